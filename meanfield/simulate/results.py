"""What a simulation leaves behind: labelled arrays, the final particles, and a status a cell."""

import dataclasses
import enum
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from meanfield.systems.network import Particles


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
        dataset: labelled arrays with axes width, the swept fields, seed, then step and what a probe adds; NaN where a probe
            did not look. Among them `status` (codes of `Status`), `steps_done`, and `first_bad_step` (-1 if the run did not
            diverge).
        particles: for every width the particles at the last step, as numpy arrays with axes (swept fields, seed, neuron,
            component); with `simulate(..., particles="device")` as jax arrays on the mesh.
    """

    dataset: xr.Dataset
    particles: dict[int, Particles]

    def complete(self, width: int) -> np.ndarray:
        """Which cells of a width ended `Status.COMPLETE`: a boolean array with axes (swept fields, seed)."""
        return self.dataset["status"].sel(width=width).to_numpy() == Status.COMPLETE.code

    def require_complete(self) -> "Results":
        """Return these results, or raise if a cell diverged or was interrupted.

        Raises:
            DivergenceError: a cell did not end `Status.COMPLETE`.
        """
        status = self.dataset["status"].to_numpy()
        for bad in (Status.DIVERGED, Status.INTERRUPTED):
            count = int(np.sum(status == bad.code))
            if count:
                raise DivergenceError(f"{count} of {status.size} runs did not complete. {bad.value}")
        return self

    def save(self, path: str | os.PathLike) -> None:
        """Write one netCDF-4 file: the arrays in its root, the particles of width N in its group `particles_N`.

        The file appears under its name only when it is whole. Of several processes that share a directory one needs to call this.
        """
        path = Path(path)
        dims = self.dataset["status"].dims[1:]
        tree = {"/": self.dataset}
        for width, particles in self.particles.items():
            axes = {"w": ("neuron", "input"), "a": ("neuron", "output"), "bias": ("neuron",)}
            arrays = {name: (*dims, *axes[name]) for name in axes if getattr(particles, name) is not None}
            group = xr.Dataset({name: (at, np.asarray(getattr(particles, name))) for name, at in arrays.items()})
            for name, text in {"w": "input weights", "a": "output weights", "bias": "bias"}.items():
                if name in group:
                    group[name].attrs = {"long_name": f"{text} at the last step", "units": "1"}
            # Names of their own: a group inherits the root's coordinates, and the root's `neuron` are those of a probe.
            tree[f"particles_{width}"] = group.rename(neuron=f"neuron_{width}")
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")  # processes may write the same file
        xr.DataTree.from_dict(tree).to_netcdf(partial, engine="h5netcdf")
        partial.replace(path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Results":
        """Read what `save` wrote."""
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            tree.load()
        particles = {}
        for name, node in tree.children.items():
            arrays = {field: node[field].to_numpy() if field in node.data_vars else None for field in ("w", "a", "bias")}
            particles[int(name.removeprefix("particles_"))] = Particles(**arrays)  # type: ignore[arg-type]
        return cls(tree.to_dataset(), particles)

    def with_variables(self, **variables: xr.DataArray) -> "Results":
        """These results with more labelled arrays."""
        return dataclasses.replace(self, dataset=self.dataset.assign(variables))
