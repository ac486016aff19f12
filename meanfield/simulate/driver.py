"""The host loop: jitted chunks of steps, probes between them, and a status for every cell."""

import signal
import threading
import time
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from meanfield import _check
from meanfield.simulate import ensemble
from meanfield.simulate import probes as _probes
from meanfield.simulate.progress import progress_bar
from meanfield.simulate.results import Results, Status
from meanfield.systems.dynamics.base import NEVER
from meanfield.systems.system import System

_CHUNK_SECONDS = 0.3  # how long Ctrl-C may wait, and how often the progress bar moves


def simulate(
    system: System,
    *,
    widths: int | Sequence[int],
    steps: int,
    seeds: int | Sequence[int],
    key: jax.Array,
    probes: Sequence[_probes.AbstractProbe] = _probes.DEFAULT,
    progress: bool | None = None,
) -> Results:
    """Run a system at several widths, at every swept value of its dynamics, with several seeds.

    All cells of one width run as one vectorised program. Runs that share a seed share their data path whatever their width and
    step size, and the first neurons of a wide network start like those of a narrow one: differences between cells are due to
    width and step size alone, and statistics of several widths with one seed are NOT independent.

    Args:
        system: network, data and dynamics; 1-D arrays in fields of the dynamics are swept (`step_size` is an axis always).
        widths: number of neurons N, one or several.
        steps: number of steps, >= 0.
        seeds: how many seeds (0, 1, ...), or the seeds themselves.
        key: random key; every draw of seed s comes from `fold_in(key, s)`.
        probes: what to look at along the run.
        progress: show a progress bar; None: if standard error is a terminal.

    Returns:
        `Results`. A run that diverges is marked and does not stop the others; Ctrl-C stops the simulation and keeps what it has.

    Raises:
        ValueError: an argument is not what it must be; nothing has been compiled then.

    Examples:
        >>> import meanfield as mf
        >>> system = mf.System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD(step_size=[0.1, 1.0], batch_size=1))
        >>> results = simulate(system, widths=[16, 32], steps=20, seeds=2, key=jax.random.key(0))
        >>> dict(results.dataset["status"].sizes), results.particles[32].w.shape
        ({'width': 2, 'step_size': 2, 'seed': 2}, (2, 2, 32, 64))
    """
    _check.require(isinstance(system, System), "system", "be a `System`", system)
    widths = _check.integers("widths", widths, at_least=1)
    _check.integer("steps", steps, at_least=0)
    if isinstance(seeds, int | np.integer):
        _check.integer("seeds", seeds, at_least=1)
        seeds = range(int(seeds))
    seeds = _check.integers("seeds", seeds, at_least=0)
    _check.require(max(seeds) < 2**32, "seeds", "be less than 2^32", seeds)
    _check.random_key("key", key)
    _check.require(isinstance(probes, Sequence), "probes", "be a sequence of probes", probes)
    for probe in probes:
        _check.require(isinstance(probe, _probes.AbstractProbe), "probes", "hold probes only", probe)
    names = [name for probe in probes for name in probe.variables]
    _check.require(len(set(names)) == len(names), "probes", "have variables of different names", names)

    grid = ensemble.make_grid(system.dynamics, seeds, key)
    source = system.dynamics.prepare(system.data)
    columns = []
    with progress_bar(sum(widths) * steps, progress) as report, _interrupt_flag() as interrupted:
        before = 0
        for number, width in enumerate(widths, 1):
            say = _Speaker(report, before, width, f"width {width} ({number} of {len(widths)}), {len(grid.keys)} runs")
            columns.append(_run_width(system, source, grid, width, steps, tuple(probes), say, interrupted))
            before += width * steps
            if interrupted.is_set():
                break
    done = widths[: len(columns)]
    return Results(
        _label(system, grid, done, steps, probes, columns),
        {n: c["particles"] for n, c in zip(done, columns, strict=True)},
    )


def _run_width(system, source, grid, width, steps, probes, say, interrupted) -> dict[str, Any]:
    """All cells of one width: final particles, status, and what the probes saw as {name: {step: array (cell, ...)}}."""
    states = ensemble.init(grid.dynamics, grid.keys, network=system.network, width=width)
    cells = len(grid.keys)
    first_bad, broken = jnp.full(cells, NEVER, jnp.int32), np.zeros(cells, bool)
    seen: dict[str, dict[int, np.ndarray]] = {}
    due = {step: tuple(p for p in probes if step in p.schedule(steps)) for step in _union(probes, steps)}
    stride = system.dynamics.stride(system.network, width)
    done, chunk = 0, 16
    say(0)
    for stop in sorted({*due, steps}):
        while done < stop and not interrupted.is_set():
            take = min(-(-chunk // stride) * stride - done % stride, stop - done)
            start = time.perf_counter()
            states, first_bad, broken = ensemble.advance(grid.dynamics, source, grid.keys, states, first_bad, jnp.asarray(take))
            broken = np.asarray(broken)
            seconds = time.perf_counter() - start
            # The first chunk includes compilation, so the length grows stepwise instead of being computed at once.
            chunk = max(1, min(4 * chunk, int(take * _CHUNK_SECONDS / seconds)))
            done += take
            first_bad = jnp.minimum(first_bad, jnp.where(broken, done, NEVER))
            say(done, take / seconds)
        if done < stop:
            break
        if due.get(stop):
            about = {name: variable for probe in due[stop] for name, variable in probe.variables.items()}
            for name, value in ensemble.observe(system.data, states, probes=due[stop]).items():
                value = seen.setdefault(name, {})[stop] = np.asarray(value)
                lost = ~np.isfinite(value).reshape(cells, -1).all(axis=1) & (not about[name].may_be_nan)
                first_bad = jnp.minimum(first_bad, jnp.where(jnp.asarray(lost), stop, NEVER))
    first_bad = np.asarray(first_bad)
    bad = first_bad < NEVER
    status = np.where(bad, Status.DIVERGED.code, Status.COMPLETE.code if done == steps else Status.INTERRUPTED.code)
    final = jax.tree.map(lambda v: np.asarray(v).reshape(*grid.shape, *v.shape[1:]), states.particles)
    return {
        "particles": final,
        "status": status,
        "first_bad_step": np.where(bad, first_bad, -1),
        "steps_done": done,
        "seen": seen,
    }


def _union(probes, steps) -> list[int]:
    return sorted({step for probe in probes for step in probe.schedule(steps)})


def _label(system, grid, widths, steps, probes, columns) -> xr.Dataset:
    """Put what every width left behind into labelled arrays."""
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
    dataset = xr.Dataset(variables, coords)
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
    """Reports of one width to the progress bar."""

    def __init__(self, report, before: int, width: int, description: str):
        self._report, self._before, self._width, self._description = report, before, width, description

    def __call__(self, done: int, steps_per_second: float | None = None) -> None:
        self._report(self._before + self._width * done, self._description, steps_per_second)


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
