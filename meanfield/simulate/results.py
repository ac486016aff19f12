"""What a simulation leaves behind: labelled arrays, the final particles, and a status a cell."""

import dataclasses
import enum
import json
import os
import re
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from meanfield import _check, _files
from meanfield.simulate.interrupt import Interrupted
from meanfield.systems.networks import Particles

if TYPE_CHECKING:
    import xarray  # takes half a second, and only results need it


class Status(enum.Enum):
    """How a run ended; the value is a sentence for the user."""

    COMPLETE = "The run took all its steps and its particles are finite."
    DIVERGED = (
        "The particles became infinite or NaN; what was recorded before is kept, and no stationary law can be read off the run."
    )
    INTERRUPTED = "The run was stopped before its last step; what it has is kept."

    @property
    def code(self) -> int:
        """Number that stands for the status in arrays and files."""
        return list(Status).index(self)


class DivergenceError(ArithmeticError):
    """Raised by `Results.require_complete`."""


@dataclass(frozen=True)
class Results:
    """Results of `mf.simulate`.

    Args:
        dataset: labelled arrays with axes width, the swept fields, seed, network (where several share a data path), then step and
            what a probe adds; NaN where a probe did not look. Among them `status` (codes of `Status`), `steps_done`, and
            `first_bad_step` (-1 if the run did not diverge). Widths that Ctrl-C left out are not there, and the attribute
            `interrupted` is the number of the signal. The attribute `provenance` is the JSON text of the property.
        particles: for every width the particles at the last step, as numpy arrays with axes (swept fields, seed, [network,] neuron,
            component); with `simulate(..., particles="device")` as jax arrays on the mesh.
        snapshots: for every width the particles at the steps at which `probes.Snapshot` looked, by step, with the same axes.

    `particles_at` gives particles with labels; the two dictionaries are for functions of `Particles`, such as `network.predict`.
    """

    dataset: "xarray.Dataset"
    particles: dict[int, Particles]
    snapshots: dict[int, dict[int, Particles]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        import xarray

        labelled = isinstance(self.dataset, xarray.Dataset) and all(name in self.dataset for name in ("status", "steps_done"))
        _check.require(
            labelled, "dataset", "be an xarray dataset with `status` and `steps_done`", _check.words(_text(self.dataset))
        )
        named = isinstance(self.particles, dict) and all(isinstance(p, Particles) for p in self.particles.values())
        _check.require(named, "particles", "be a dictionary of `Particles` by width", _check.words(_text(self.particles)))
        named = isinstance(self.snapshots, dict) and all(isinstance(at, dict) for at in self.snapshots.values())
        must = "be a dictionary of dictionaries of `Particles`, by width and step"
        _check.require(named, "snapshots", must, _check.words(_text(self.snapshots)))

    def complete(self, width: int) -> np.ndarray:
        """Which cells of a width ended `Status.COMPLETE`: a boolean array with axes (swept fields, seed, [network])."""
        return self._status(width).to_numpy() == Status.COMPLETE.code

    def particles_at(self, step: int | None = None, *, width: int, **cell: float) -> "xarray.DataArray":
        """The neurons of one width as one labelled array of their vectors (w_i, [bias_i,] [a_i]).

        The dimensions are (swept fields, seed, [network,] neuron, component). The array holds whole vectors, because norms, tail
        indices and pruning errors are those of whole vectors, and because chains have nothing but w. `array.sel(part="w")` selects
        the input weights, "bias" and "a" the other parts: `part` labels the components.

        Args:
            step: a step at which `probes.Snapshot` looked; None: the particles after the last step.
            width: number of neurons N.
            cell: values of swept fields, and a seed, by name. Such a dimension is gone from the array.

        Returns:
            An array on the host, with the coordinates of the dataset, `neuron`, `part`, and `step` if one was asked for.

        Raises:
            ValueError: a width, a step, a swept value or a seed that is not in the results; the message lists those that are.

        Examples:
            >>> import jax, meanfield as mf
            >>> system = mf.System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD([0.1, 1.0], 1))
            >>> run = {"widths": [8, 16], "steps": 20, "seeds": 2, "key": jax.random.key(0)}
            >>> results = mf.simulate(system, probes=[mf.probes.Snapshot(at=(10,))], **run)
            >>> dict(results.particles_at(width=16).sizes)
            {'step_size': 2, 'seed': 2, 'neuron': 16, 'component': 74}
            >>> one = results.particles_at(10, width=16, step_size=1.0, seed=0)
            >>> one.dims, one.sel(part="a").shape
            (('neuron', 'component'), (16, 10))
        """
        import xarray

        status = self._status(width)
        particles = self.particles[width] if step is None else self._snapshot(step, width)
        places = {name: _place(status, name, value) for name, value in cell.items()}
        at = tuple(places.get(str(name), slice(None)) for name in status.dims)
        picked = jax.tree.map(lambda v: v[at], particles)
        vectors, status = np.asarray(picked.vectors), status.isel(places)
        outputs = 0 if picked.a is None else picked.a.shape[-1]
        sizes = {"w": picked.w.shape[-1], "bias": int(picked.bias is not None), "a": outputs}
        coords = {str(name): value for name, value in status.coords.items()} | ({} if step is None else {"step": step})
        coords |= {"neuron": np.arange(vectors.shape[-2]), "part": ("component", np.repeat(list(sizes), list(sizes.values())))}
        about = {"long_name": "vector (w_i, [bias_i,] [a_i]) of a neuron", "units": "1"}
        found = xarray.DataArray(vectors, coords, (*status.dims, "neuron", "component"), "particles", about)
        return found.set_xindex("part")

    def _status(self, width: int) -> "xarray.DataArray":
        widths = self.dataset["width"].to_numpy().tolist()
        known = isinstance(width, int | np.integer) and width in widths
        _check.require(known, "width", "be one of " + ", ".join(str(n) for n in widths), width)
        return self.dataset["status"].sel(width=width)

    def _snapshot(self, step: int, width: int) -> Particles:
        steps = sorted(self.snapshots.get(width, {}))
        known = isinstance(step, int | np.integer) and step in steps
        looked = ", ".join(map(str, steps)) or "no step"
        _check.require(known, "step", f"be one at which `probes.Snapshot` looked ({looked}), or None for the last step", step)
        return self.snapshots[width][step]

    @property
    def provenance(self) -> dict[str, Any]:
        """What ran: system with a checksum of its data, widths, steps, seeds, key, probes, mesh, versions and device."""
        return json.loads(self.dataset.attrs.get("provenance", "{}"))

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C cut a run short, or left out a width."""
        status = self.dataset["status"].to_numpy()
        return bool(self.dataset.attrs.get("interrupted", 0)) or bool(np.any(status == Status.INTERRUPTED.code))

    def require_uninterrupted(self) -> "Results":
        """Return these results, diverged runs included, or go on with the signal: no number comes from what was cut short.

        Raises:
            Interrupted: Ctrl-C, or another signal, stopped the simulation; a KeyboardInterrupt.
        """
        if self.interrupted:
            raise Interrupted(self.dataset.attrs.get("interrupted") or signal.SIGINT)
        return self

    def require_complete(self) -> "Results":
        """Return these results, or raise if a cell diverged or was interrupted.

        Raises:
            Interrupted: Ctrl-C, or another signal, stopped the simulation; a KeyboardInterrupt.
            DivergenceError: a cell diverged.
        """
        status = self.require_uninterrupted().dataset["status"].to_numpy()
        count = int(np.sum(status == Status.DIVERGED.code))
        if count:
            raise DivergenceError(f"{count} of {status.size} runs did not complete. {Status.DIVERGED.value}")
        return self

    def save(self, path: str | os.PathLike) -> None:
        """Write one netCDF-4 file: the arrays in its root, the particles of width N in its group `particles_N`.

        Those that `probes.Snapshot` saw at step S are in the group `particles_N_S`.

        The file appears under its name only when it is whole. Of several processes that share a directory one needs to call this.

        Raises:
            ValueError: a path that cannot be written to, a dataset that netCDF cannot hold.
        """
        import xarray

        path = _check.path("path", path)
        _check.require(not path.is_dir(), "path", "be the name of a file", _check.words(f"the directory {str(path)!r}"))
        dims = self.dataset["status"].dims[1:]
        tree = {"/": self.dataset}
        last = {(width, None): particles for width, particles in self.particles.items()}
        seen = {(width, step): particles for width, at in self.snapshots.items() for step, particles in at.items()}
        for (width, step), particles in (last | seen).items():
            axes = {"w": ("neuron", "input"), "a": ("neuron", "output"), "bias": ("neuron",)}
            arrays = {name: (*dims, *axes[name]) for name in axes if getattr(particles, name) is not None}
            group = xarray.Dataset({name: (at, np.asarray(getattr(particles, name))) for name, at in arrays.items()})
            for name, text in {"w": "input weights", "a": "output weights", "bias": "bias"}.items():
                if name in group:
                    when = "the last step" if step is None else f"step {step}"
                    group[name].attrs = {"long_name": f"{text} at {when}", "units": "1"}
            # Names of their own: a group inherits the root's coordinates, and the root's `neuron` are those of a probe.
            tree[f"particles_{width}" + ("" if step is None else f"_{step}")] = group.rename(neuron=f"neuron_{width}")
        with (
            _sentences(path, "be a file that can be written, with a dataset that netCDF can hold"),
            _files.whole(path) as partial,
        ):
            xarray.DataTree.from_dict(tree).to_netcdf(partial, engine="h5netcdf")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Results":
        """Read what `save` wrote.

        Raises:
            ValueError: no such file, a file that is damaged, or one that `save` did not write.
        """
        import xarray

        path = _check.path("path", path)
        _check.require(path.is_file(), "path", "be a file that exists", _check.words(repr(str(path))))
        with _sentences(path, "be a netCDF-4 file that is whole"):
            foreign = _foreign(path)
            must = "be a file that `Results.save` wrote, with `status`, `steps_done` and groups `particles_N`"
            _check.require(foreign is None, "path", must, _check.words(f"{str(path)!r}, which holds {foreign}"))
            with xarray.open_datatree(path, engine="h5netcdf") as tree:
                tree.load()
        particles, snapshots = {}, {}
        for name, node in tree.children.items():
            arrays = {field: node[field].to_numpy() if field in node.data_vars else None for field in ("w", "a", "bias")}
            width, *step = map(int, name.split("_")[1:])
            at, where = (snapshots.setdefault(width, {}), step[0]) if step else (particles, width)
            at[where] = Particles(**arrays)  # type: ignore[arg-type]
        return cls(tree.to_dataset(), particles, snapshots)

    def with_variables(self, **variables: "xarray.DataArray") -> "Results":
        """These results with more labelled arrays."""
        try:
            return dataclasses.replace(self, dataset=self.dataset.assign(variables))
        except ValueError as error:
            raise _check.ArgumentError(f"Argument `variables` must fit the axes of the dataset, but: {error}.") from None


def _place(cells: "xarray.DataArray", name: str, value: float) -> int:
    """Where a value is along an axis of the cells."""
    axes = [str(axis) for axis in cells.dims]
    _check.require(name in axes, "cell", "name axes of the runs, " + ", ".join(axes), name)
    values = cells[name].to_numpy().tolist()
    known = isinstance(value, int | float | np.number) and value in values
    _check.require(known, name, "be one of " + ", ".join(f"{v:g}" for v in values), value)
    return values.index(value)


def _foreign(path: Path) -> str | None:
    """What in an HDF5 file is not as `Results.save` makes it, if there is such a thing. No link and no other file is followed."""
    import h5py  # not needed by who only simulates

    with h5py.File(path, "r") as file:
        if not {"status", "steps_done"} <= set(file):
            return str(list(file)[:10])
        groups: list[h5py.Group] = [file]
        for group in groups:
            for name in map(str, group):
                own = group.get(name, getclass=True, getlink=True) is h5py.HardLink
                thing = group[name] if own else None
                if group is file and isinstance(thing, h5py.Group) and re.fullmatch(r"particles_\d+(_\d+)?", name):
                    groups.append(thing)
                elif not own or isinstance(thing, h5py.Group) or getattr(thing, "external", None):
                    return f"{group.name}/{name}".replace("//", "/")
        return next((f"{group.name} without `w`" for group in groups[1:] if "w" not in group), None)


@contextmanager
def _sentences(path: Path, must: str):
    """Make one sentence of what the libraries below raise over a file."""
    try:
        yield
    except _check.ArgumentError:
        raise
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        found = _check.words(f"{str(path)!r} ({type(error).__name__}: {error})")
        _check.require(False, "path", must, found)


def _text(value) -> str:
    import xarray

    return f"a {type(value).__name__}" + (f" with {list(value)}" if isinstance(value, dict | xarray.Dataset) else "")
