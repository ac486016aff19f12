"""The host loop: jitted chunks of steps, probes between them, and a status for every cell."""

import json
import logging
import math
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from meanfield import _check
from meanfield.simulate import ensemble, placement
from meanfield.simulate import probes as _probes
from meanfield.simulate.progress import progress_bar
from meanfield.simulate.provenance import provenance
from meanfield.simulate.results import Results, Status
from meanfield.simulate.threads import Threads
from meanfield.systems.data.finite import FiniteData
from meanfield.systems.dynamics.base import NEVER
from meanfield.systems.system import System

if TYPE_CHECKING:
    import xarray

_CHUNK_SECONDS = 0.3  # how long Ctrl-C may wait, and how often the progress bar moves
_log = logging.getLogger("meanfield")


def simulate(
    system: System,
    *,
    widths: int | Sequence[int],
    steps: int,
    seeds: int | Sequence[int],
    key: jax.Array,
    probes: Sequence[_probes.AbstractProbe] = _probes.DEFAULT,
    progress: bool | None = None,
    mesh: Mesh | None = None,
    particles: str = "host",
) -> Results:
    """Run a system at several widths, at every swept value of its dynamics, with several seeds.

    All cells of one width run as one vectorised program (on CPU, in as many equal parts side by side as there are cores for). Runs
    that share a seed share their data path whatever their width and step size, and the first neurons of a wide network start like
    those of a narrow one: differences between cells are due to width and step size alone, and statistics of several widths with
    one seed are NOT independent.

    Args:
        system: network, data and dynamics; 1-D arrays in fields of the dynamics are swept (`step_size` is an axis always).
        widths: number of neurons N, one or several.
        steps: number of steps, >= 0, below 2^31; in epochs at most 2^32 examples.
        seeds: how many seeds (0, 1, ...), or the seeds themselves.
        key: random key of the kind threefry2x32 (jax's default); every draw of seed s comes from `fold_in(key, s)`.
        probes: what to look at along the run.
        progress: show a progress bar; None: if standard error is a terminal.
        mesh: devices to spread over, `mf.make_mesh(...)`: neurons over its axis "particles", runs over its axis "replicas". Widths
            and the number of runs must be multiples. Draws are the same on every mesh; sums over neurons are rounded differently.
            A mesh over the devices of several processes needs the same call in all of them.
        particles: "host": the final particles come back as numpy arrays, in several processes to every one of them. "device":
            they stay where they are, as jax arrays spread over the mesh.

    For the same arguments results are the same to the last bit, on one machine and with one version of jax. Other probes, another
    grid, mesh or number of cores change the order of sums: equal but for rounding. Some runs magnify it: where one ReLU flips,
    neurons part, and results agree in law only (docs/definitions.md, "What agrees, and how far").

    Runs that do not fit into memory together are taken some at a time; a log line says so, and `programs` in the dataset.

    Returns:
        `Results`. A run that diverges is marked and does not stop the others; Ctrl-C stops the simulation and keeps what it has:
        `Results.interrupted` says so.

    Raises:
        ValueError: an argument is not what it must be; nothing has been compiled then. Or a single run does not fit into memory;
            nothing of its width has run then.

    Examples:
        >>> import meanfield as mf
        >>> system = mf.System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD(step_size=[0.1, 1.0], batch_size=1))
        >>> results = simulate(system, widths=[16, 32], steps=20, seeds=2, key=jax.random.key(0))
        >>> dict(results.dataset["status"].sizes), results.particles[32].w.shape
        ({'width': 2, 'step_size': 2, 'seed': 2}, (2, 2, 32, 64))
    """
    _check.require(isinstance(system, System), "system", "be a `System`", system)
    _check.outside_of_jax("system", (system.data, system.dynamics, widths, steps, seeds, key), "simulated")
    widths = _check.integers("widths", widths, at_least=1)
    _check.integer("steps", steps, at_least=0)
    # The counter is an int32, and a window may reach beyond the last step.
    most = int(NEVER) - max(system.dynamics.stride(system.network, width) for width in widths)
    _check.require(steps <= most, "steps", f"be at most {most}, what the step counter holds", steps)
    if isinstance(system.data, FiniteData) and system.data.epochs and system.dynamics.batch_size is not None:
        most = 2**32 // system.dynamics.batch_size
        _check.require(steps <= most, "steps", f"be at most {most} in epochs, which count to 2^32 examples", steps)
    if isinstance(seeds, int | np.integer):
        _check.integer("seeds", seeds, at_least=1)
        _check.require(seeds <= 10**7, "seeds", "be at most 10 million: every seed is a run of its own", seeds)
        seeds = range(int(seeds))
    seeds = _check.integers("seeds", seeds, at_least=0)
    _check.require(max(seeds) < 2**32, "seeds", "be less than 2^32", seeds)
    _check.random_key("key", key)
    _check.require(isinstance(probes, Sequence), "probes", "be a sequence of probes", probes)
    for probe in probes:
        _check.require(isinstance(probe, _probes.AbstractProbe), "probes", "hold probes only", probe)
    names = [name for probe in probes for name in probe.variables]
    _check.require(len(set(names)) == len(names), "probes", "have variables of different names", names)
    _check.choice("particles", particles, ("host", "device"))
    _check.require(progress is None or isinstance(progress, bool), "progress", "be True, False or None", progress)
    few = jax.eval_shape(partial(system.network.init, width=widths[0]), key)
    for probe in probes:
        _probes.checked(probe, system.network, few, system.data, steps)

    grid = ensemble.make_grid(system.dynamics, seeds, key)
    cells = len(grid.keys)
    mesh = placement.checked(mesh, widths, cells)
    source = system.dynamics.prepare(system.data)
    data = placement.put(mesh, system.data)
    source = data if source is system.data else placement.put(mesh, source)
    programs = _Programs(system, data, source, tuple(probes), steps, mesh)
    columns = []
    show = False if placement.several(mesh) and jax.process_index() > 0 else progress
    with progress_bar(sum(widths) * steps * cells, show) as report, _interrupt_flag() as interrupted:
        clock, before = _Clock(mesh, interrupted), 0
        for number, width in enumerate(widths, 1):
            what = f"width {width} ({number} of {len(widths)})"
            report(before, f"{what}, {cells} runs")
            sizes, parts = programs.plan(grid, width, particles), []
            if len(sizes) > 1:
                _log.warning(
                    "Width %d: %d runs do not fit into memory together and run as %d programs.", width, cells, len(sizes)
                )
            for start, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
                which = f"{cells} runs" if len(sizes) == 1 else f"runs {start + 1} to {start + size} of {cells}"
                say = _Speaker(report, before, width * size, f"{what}, {which}")
                parts.append(programs.run(*grid.part(start, size), width, say, clock, particles))
                before += width * steps * size
            columns.append(_joined(parts, grid.shape))
            if not clock.agree(1):
                break
    done = widths[: len(columns)]
    kept = {n: _probes.snapshots(column["seen"], grid.shape) for n, column in zip(done, columns, strict=True)}
    dataset = _label(system, grid, done, steps, probes, columns)
    dataset.attrs["provenance"] = json.dumps(provenance(system, widths, steps, grid.seeds, key, probes, mesh))
    if len(done) < len(widths):  # Ctrl-C between two widths: no status tells
        dataset.attrs["interrupted"] = 1
    return Results(
        dataset,
        {n: c["particles"] for n, c in zip(done, columns, strict=True)},
        {n: at for n, at in kept.items() if at},
    )


@dataclass(frozen=True)
class _Programs:
    """The compiled programs of a simulation: how much memory they need, and running them."""

    system: System
    data: Any
    source: Any
    probes: tuple
    steps: int
    mesh: Any

    @property
    def due(self) -> dict[int, tuple]:
        """The probes that look, for every step at which some do."""
        at = _union(self.probes, self.steps)
        return {step: tuple(p for p in self.probes if step in p.schedule(self.steps)) for step in at}

    def plan(self, grid, width, particles) -> list[int]:
        """How many runs to take at a time so that they fit into memory.

        The states alone give a first bound; the program compiled for as many runs then tells what a run really needs.
        """
        cells = len(grid.keys)
        replicas = 1 if self.mesh is None else self.mesh.shape.get("replicas", 1)
        free = placement.available(self.mesh)
        shapes = jax.eval_shape(partial(ensemble.init, network=self.system.network, width=width), *grid.part(0, 1))
        final = cells * placement.size(shapes.particles)
        room = placement.least(self.mesh, placement.host_memory())
        fits = particles == "device" or final < room
        must = f"be 'device' for final particles of {placement.text(final)}, where this host has {placement.text(room)} free"
        _check.require(fits, "particles", must, particles)
        lowest = replicas * placement.size(shapes) // (1 if self.mesh is None else self.mesh.size)
        groups = placement.plan(lowest, cells // replicas, free, width)
        dynamics, keys = grid.part(0, replicas * groups[0])
        needed = self.threads(dynamics, keys, width).bytes // groups[0]
        sizes = placement.plan(needed, cells // replicas, free, width)
        must = "be 'host' for a grid whose runs do not fit into memory together"
        _check.require(len(sizes) == 1 or particles == "host", "particles", must, particles)
        return [replicas * size for size in sizes]

    def threads(self, dynamics, keys, width) -> Threads:
        """Some cells of one width, compiled, not begun. What was compiled before is not compiled again."""
        return Threads(self.system, self.data, self.source, dynamics, keys, width, tuple(set(self.due.values())), self.mesh)

    def run(self, dynamics, keys, width, say, clock, particles) -> dict[str, Any]:
        """Some cells of one width: final particles, status, and what the probes saw as {name: {step: array (cell, ...)}}."""
        threads = self.threads(dynamics, keys, width)
        threads.start()
        cells, steps, due = len(keys), self.steps, self.due
        first_bad = np.full(cells, NEVER, np.int32)
        seen: dict[str, dict[int, np.ndarray]] = {}
        stride = self.system.dynamics.stride(self.system.network, width)
        done, chunk = 0, 16
        say(0)
        for stop in sorted({*due, steps}):
            while done < stop:
                take = clock.agree(min(-(-chunk // stride) * stride - done % stride, stop - done))
                if not take:
                    break
                start = time.perf_counter()
                first_bad, broken = threads.advance(first_bad, take)
                seconds = time.perf_counter() - start
                # A short chunk is timed badly: the length grows stepwise.
                chunk = max(1, min(4 * chunk, int(take * _CHUNK_SECONDS / seconds)))
                done += take
                first_bad = np.minimum(first_bad, np.where(broken, done, NEVER).astype(np.int32))
                say(done, take / seconds)
            if done < stop:
                break
            if due.get(stop):
                about = {name: variable for probe in due[stop] for name, variable in probe.variables.items()}
                for name, value in threads.observe(due[stop]).items():
                    seen.setdefault(name, {})[stop] = value
                    lost = ~np.isfinite(value).reshape(cells, -1).all(axis=1) & (not about[name].may_be_nan)
                    first_bad = np.minimum(first_bad, np.where(lost, stop, NEVER).astype(np.int32))
        bad = first_bad < NEVER
        status = np.where(bad, Status.DIVERGED.code, Status.COMPLETE.code if done == steps else Status.INTERRUPTED.code)
        return {
            "particles": [
                placement.gathered(self.mesh, v.particles) if particles == "host" else v.particles for v in threads.states
            ],
            "status": status,
            "first_bad_step": np.where(bad, first_bad, -1),
            "steps_done": np.full(cells, done),
            "seen": seen,
        }


def _joined(parts, shape) -> dict[str, Any]:
    """The cells of one width, from those of its programs; the particles in the shape of the grid."""
    together = lambda values: values[0] if len(values) == 1 else np.concatenate(values)  # noqa: E731
    column = {name: together([part[name] for part in parts]) for name in ("status", "first_bad_step", "steps_done")}
    seen = {
        name: {step: together([p["seen"].get(name, {}).get(step, _blank(p, value)) for p in parts]) for step, value in at.items()}
        for name, at in parts[0]["seen"].items()
    }
    particles = _stacked([thread for part in parts for thread in part.pop("particles")], shape)
    return column | {"particles": particles, "seen": seen, "programs": len(parts)}


def _stacked(pieces: list, shape) -> Any:
    """Particles of all cells in the shape of the grid. On the host a piece is let go once it is copied: one is in memory twice."""
    if len(pieces) > 1 and isinstance(pieces[0].w, jax.Array):
        pieces = [jax.tree.map(lambda *v: jnp.concatenate(v), *pieces)]
    if len(pieces) > 1:
        whole = jax.tree.map(lambda v: np.empty((math.prod(shape), *v.shape[1:]), v.dtype), pieces[0])
        first = 0
        while pieces:
            piece = pieces.pop(0)
            for target, values in zip(jax.tree.leaves(whole), jax.tree.leaves(piece), strict=True):
                target[first : first + len(values)] = values
            first += len(piece.w)
        pieces = [whole]
    return jax.tree.map(lambda v: v.reshape(*shape, *v.shape[1:]), pieces[0])


def _blank(part, value):
    """What a program that was interrupted did not see."""
    return np.full((len(part["status"]), *value.shape[1:]), np.nan)


def _union(probes, steps) -> list[int]:
    return sorted({step for probe in probes for step in probe.schedule(steps)})


def _label(system, grid, widths, steps, probes, columns) -> "xarray.Dataset":
    """Put what every width left behind into labelled arrays."""
    import xarray

    at = _union(probes, steps)
    coords: dict[str, Any] = {"width": list(widths), **grid.sweeps, "seed": list(grid.seeds), "step": at}
    variables = {}
    for probe in probes:
        coords |= probe.coords(system.data)
        for name, about in probe.variables.items():
            if not any(name in column["seen"] for column in columns):
                continue
            shape = next(value.shape[1:] for column in columns for value in column["seen"].get(name, {}).values())
            array = np.full((len(widths), len(at), len(grid.keys), *shape), np.nan)
            for i, column in enumerate(columns):
                for step, value in column["seen"].get(name, {}).items():
                    array[i, at.index(step)] = value
            array = np.moveaxis(array, 1, 2).reshape(len(widths), *grid.shape, len(at), *shape)
            attrs = {"long_name": about.long_name, "units": about.units}
            variables[name] = (("width", *grid.dims, "step", *about.dims), array, attrs)
    dims = ("width", *grid.dims)
    meanings = " ".join(s.name.lower() for s in Status)
    about = {
        "status": {
            "long_name": "how the run ended",
            "units": "1",
            "flag_values": [s.code for s in Status],
            "flag_meanings": meanings,
        },
        "first_bad_step": {"long_name": "first step seen to be infinite or NaN; -1 if none", "units": "step"},
        "steps_done": {"long_name": "steps taken", "units": "step"},
    }
    for name, attrs in about.items():
        array = np.stack([np.broadcast_to(column[name], len(grid.keys)).reshape(grid.shape) for column in columns])
        variables[name] = (dims, array.astype(np.int32), attrs)
    attrs = {"long_name": "programs that the runs were divided into, to fit into memory", "units": "1"}
    variables["programs"] = (("width",), np.array([column["programs"] for column in columns], np.int32), attrs)
    dataset = xarray.Dataset(variables, coords)
    units = {
        "width": ("number of neurons N", "neuron"),
        "step_size": ("step size of one neuron", "1"),
        "step": ("steps taken", "step"),
        "split": ("set of examples", "1"),
        "level": ("level of the quantile", "1"),
        "order": ("p of the L_p norm", "1"),
        "neuron": ("index of the neuron", "1"),
    }
    for name, (long_name, unit) in units.items():
        if name in dataset.coords:
            dataset[name].attrs = {"long_name": long_name, "units": unit}
    dataset["seed"].attrs = {"long_name": "seed, folded into the key of the run", "units": "1"}
    return dataset


class _Speaker:
    """Reports of one program to the progress bar; a step is worth as much as it moves neurons."""

    def __init__(self, report, before: int, neurons: int, description: str):
        self._report, self._before, self._neurons, self._description = report, before, neurons, description

    def __call__(self, done: int, steps_per_second: float | None = None) -> None:
        self._report(self._before + self._neurons * done, self._description, steps_per_second)


class _Clock:
    """How many steps to take next. All processes must take the same number, or their sums over the neurons would not meet."""

    def __init__(self, mesh, interrupted: threading.Event):
        self._mesh, self._interrupted = mesh, interrupted

    def agree(self, steps: int) -> int:
        """The steps that process 0 wants to take; 0 if Ctrl-C was pressed in any process."""
        wishes = placement.agreed(self._mesh, steps, int(self._interrupted.is_set()))
        return 0 if wishes[:, 1].any() else int(wishes[0, 0])


@contextmanager
def _interrupt_flag():
    """Yield an event that Ctrl-C sets. A second Ctrl-C interrupts at once.

    A flag, not an exception: an exception between the start of a chunk and its assignment would lose the donated state.
    """
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def set_flag(number, frame):
        flag.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, set_flag) or signal.SIG_DFL
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, previous)
