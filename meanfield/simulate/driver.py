"""The host loop: jitted chunks of steps, probes between them, and a status for every cell."""

import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from meanfield import _check
from meanfield.simulate import checkpoint as checkpoints
from meanfield.simulate import memory, program
from meanfield.simulate import mesh as meshes
from meanfield.simulate import probes as _probes
from meanfield.simulate.grid import Grid, make_grid
from meanfield.simulate.interrupt import Clock, interrupt_flag
from meanfield.simulate.labels import joined, labelled
from meanfield.simulate.program import Job
from meanfield.simulate.progress import progress_bar
from meanfield.simulate.provenance import provenance
from meanfield.simulate.results import Results, Status
from meanfield.simulate.threads import Threads
from meanfield.systems.dynamics.base import NEVER
from meanfield.systems.system import System

_CHUNK_SECONDS = 0.3  # how long Ctrl-C may wait, and how often the progress bar moves
_log = logging.getLogger("meanfield")


def simulate(
    system: System,
    *,
    widths: int | Sequence[int],
    steps: int,
    seeds: int | Sequence[int],
    key: jax.Array,
    networks: int = 1,
    probes: Sequence[_probes.AbstractProbe] = _probes.DEFAULT,
    progress: bool | None = None,
    mesh: Mesh | None = None,
    particles: str = "host",
    checkpoint: str | os.PathLike | checkpoints.Checkpoint | None = None,
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
        networks: how many networks of every seed share its data path, each with its own start and its own noise. More than one
            are an axis "network" after the seeds; the first is the run that a single one would be. Their mean over one path is
            a mean given the data, and `mechanisms.decompose` takes them apart. Only for dynamics whose neurons share mini-batches.
        probes: what to look at along the run.
        progress: show a progress bar; None: if standard error is a terminal.
        mesh: devices to spread over, `mf.make_mesh(...)`: neurons over its axis "particles", runs over its axis "replicas". Widths
            and the number of runs must be multiples. Draws are the same on every mesh; sums over neurons are rounded differently.
            A mesh over the devices of several processes needs the same call in all of them.
        particles: "host": the final particles come back as numpy arrays, in several processes to every one of them. "device":
            they stay where they are, as jax arrays spread over the mesh.
        checkpoint: a directory, or a `Checkpoint`, in which the simulation keeps what it needs to go on after its process has died.
            The same call goes on there, to the same last bit on as many devices; what has come to its end does not run again.

    For the same arguments results are the same to the last bit, on one machine and with one version of jax. Other probes, another
    grid, mesh or number of cores change the order of sums: equal but for rounding. Some runs magnify it: where one ReLU flips,
    neurons part, and results agree in law only (docs/definitions.md, "What agrees, and how far").

    Runs that do not fit into memory together are taken some at a time; a log line says so, and `programs` in the dataset.

    Returns:
        `Results`. A run that diverges is marked and does not stop the others. Ctrl-C stops the simulation and keeps what it has, as do
        SIGTERM, SIGUSR1 and SIGHUP: `Results.interrupted` says so.

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
    _check.outside_of_jax("system", (system.data, system.dynamics, widths, steps, seeds, key, networks), "simulated")
    widths = _check.integers("widths", widths, at_least=1)
    _check.integer("steps", steps, at_least=0)
    # The counter is an int32, and a window may reach beyond the last step.
    most = int(NEVER) - max(system.dynamics.stride(system.network, width) for width in widths)
    _check.require(steps <= most, "steps", f"be at most {most}, what the step counter holds", steps)
    if system.data.epochs and system.dynamics.batch_size is not None:
        most = 2**32 // system.dynamics.batch_size
        _check.require(steps <= most, "steps", f"be at most {most} in epochs, which count to 2^32 examples", steps)
    if isinstance(seeds, int | np.integer):
        _check.integer("seeds", seeds, at_least=1)
        _check.require(seeds <= 10**7, "seeds", "be at most 10 million: every seed is a run of its own", seeds)
        seeds = range(int(seeds))
    seeds = _check.integers("seeds", seeds, at_least=0)
    _check.require(max(seeds) < 2**32, "seeds", "be less than 2^32", seeds)
    _check.random_key("key", key)
    _check.integer("networks", networks, at_least=1)
    must = "be 1 where neurons draw examples or noise of their own: there is no data path that networks could share"
    _check.require(networks == 1 or system.dynamics.conditional, "networks", must, networks)
    must = f"be at most {10**7 // len(seeds)}: 10 million runs of {len(seeds)} seeds"
    _check.require(networks * len(seeds) <= 10**7, "networks", must, networks)
    _check.require(isinstance(probes, Sequence), "probes", "be a sequence of probes", probes)
    for probe in probes:
        _check.require(isinstance(probe, _probes.AbstractProbe), "probes", "hold probes only", probe)
    names = [name for probe in probes for name in probe.variables]
    _check.require(len(set(names)) == len(names), "probes", "have variables of different names", names)
    _check.choice("particles", particles, ("host", "device"))
    _check.require(progress is None or isinstance(progress, bool), "progress", "be True, False or None", progress)
    source = system.dynamics.prepare(system.data)
    for probe in probes:
        _probes.checked(probe, system, source, widths[0], steps, key)

    grid = make_grid(system.dynamics, seeds, key, networks)
    cells = grid.cells
    mesh = meshes.checked(mesh, widths, cells)
    data = meshes.put(mesh, system.data)
    source = data if source is system.data else meshes.put(mesh, source)
    job = Job(system, data, source, tuple(probes), steps, mesh)
    about = provenance(system, widths, steps, grid.seeds, networks, key, probes, mesh)
    call = {"system": system, "widths": widths, "steps": steps, "seeds": grid.seeds, "networks": networks, "key": key}
    call["probes"] = tuple(probes)
    for width in widths:
        _room(job, grid, width, particles)
    columns = []
    show = False if meshes.several(mesh) and jax.process_index() > 0 else progress
    with (
        checkpoints.keeping(checkpoint, about, particles, mesh, call) as keeper,
        progress_bar(sum(widths) * steps * cells, show) as report,
        interrupt_flag() as flag,
    ):
        clock, before = Clock(mesh, flag), 0
        for number, width in enumerate(widths, 1):
            what = f"width {width} ({number} of {len(widths)})"
            report(before, f"{what}, {cells} runs")
            sizes, threads, parts = keeper.sizes(width) if keeper else None, None, []
            if sizes is None:
                sizes, threads = _plan(job, grid, width, particles)
            if len(sizes) > 1:
                _log.warning(
                    "Width %d: %d runs do not fit into memory together and run as %d programs.", width, cells, len(sizes)
                )
            for start, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
                which = f"{cells} runs" if len(sizes) == 1 else f"runs {start + 1} to {start + size} of {cells}"
                say, place = _Speaker(report, before, width * size, f"{what}, {which}"), checkpoints.Place(width, int(start))
                part = keeper.part(place) if keeper else None
                if part is None:
                    if start or threads is None:  # the first program was compiled to see what it needs
                        threads = Threads(job, *grid.part(start, size), width)
                    kept = _Kept(keeper, place, sizes)
                    part = _run(job, threads, size, width, say, clock, particles, kept)
                parts.append(part)
                before += width * steps * size
            columns.append(joined(parts, grid.shape))
            if not clock.agree(1):
                break
    done = widths[: len(columns)]
    kept = {n: _probes.snapshots(column["seen"], grid.shape) for n, column in zip(done, columns, strict=True)}
    dataset = labelled(job, grid, done, columns)
    dataset.attrs["provenance"] = json.dumps(about)
    if len(done) < len(widths) or (dataset["status"] == Status.INTERRUPTED.code).any():
        dataset.attrs["interrupted"] = clock.number
    return Results(
        dataset,
        {n: c["particles"] for n, c in zip(done, columns, strict=True)},
        {n: at for n, at in kept.items() if at},
    )


def resume(directory: str | os.PathLike, *, progress: bool | None = None, mesh: Mesh | None = None) -> Results:
    """Go on with a simulation that was killed or interrupted, from its checkpoints alone; one that is finished comes back at once.

    Systems that are made of this library's parts are known from the directory. With a class of your own, or a function that another
    one made (a lambda, `optax.sgd(0.1)`), call `simulate` again as before, with the same `checkpoint`.

    Args:
        directory: of the checkpoints, `simulate(..., checkpoint=directory)`.
        progress, mesh: as in `simulate`; another mesh goes on with the same draws.

    Returns:
        `Results`, as `simulate` would have returned them.

    Raises:
        ValueError: a directory without checkpoints, or of a simulation that has to be called again.

    Examples:
        >>> import tempfile, meanfield as mf
        >>> folder = tempfile.mkdtemp()
        >>> system = mf.System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD([0.1, 1.0], 1))
        >>> done = simulate(system, widths=8, steps=20, seeds=2, key=jax.random.key(0), checkpoint=folder)
        >>> resume(folder).dataset.identical(done.dataset)
        True
    """
    call, checkpoint = checkpoints.call_in(directory)
    return simulate(**call, progress=progress, mesh=mesh, checkpoint=checkpoint)


def _room(job: Job, grid: Grid, width: int, particles: str) -> tuple[int, int, list[int]]:
    """Bytes that are free, those that final particles take of them, and the sizes of the groups that the states alone allow.

    The final particles of all runs come to the host. Where that is the device, they take room from the programs.
    """
    cells, mesh = grid.cells, job.mesh
    replicas = 1 if mesh is None else mesh.shape.get("replicas", 1)
    shapes = jax.eval_shape(partial(program.init, network=job.system.network, width=width), *grid.part(0, 1))
    final = cells * memory.size(shapes.particles)
    room = memory.least(mesh, memory.host_memory())
    must = f"be 'device' for final particles of {memory.text(final)}, where this host has {memory.text(room)} free"
    _check.require(particles == "device" or final < room, "particles", must, particles)
    free, devices = memory.available(mesh), 1 if mesh is None else mesh.size
    taken = final // devices if particles == "host" and memory.is_host(mesh) else 0
    return free, taken, memory.plan(replicas * memory.size(shapes) // devices, cells // replicas, free, width, taken)


def _plan(job: Job, grid: Grid, width: int, particles: str) -> tuple[list[int], Threads | None]:
    """How many runs to take at a time so that they fit into memory, and the first of them, compiled, if their number is right.

    The states alone give a first bound; the program compiled for as many runs then tells what a run really needs.
    """
    cells, mesh = grid.cells, job.mesh
    replicas = 1 if mesh is None else mesh.shape.get("replicas", 1)
    free, taken, groups = _room(job, grid, width, particles)
    threads = Threads(job, *grid.part(0, replicas * groups[0]), width)
    sizes = memory.plan(threads.bytes // groups[0], cells // replicas, free, width, taken)
    must = "be 'host' for a grid whose runs do not fit into memory together"
    _check.require(len(sizes) == 1 or particles == "host", "particles", must, particles)
    return [replicas * size for size in sizes], threads if sizes[0] == groups[0] else None


@dataclass(frozen=True)
class _Kept:
    """The checkpoints of one program; none without a keeper."""

    keeper: checkpoints.Keeper | None
    place: checkpoints.Place
    sizes: list[int]

    def last(self, threads: Threads) -> checkpoints.Running | None:
        """The state that a run before left behind."""
        return self.keeper.running(self.place, threads.shapes) if self.keeper else None

    def due(self, clock: Clock) -> bool:
        """Whether it is time for a checkpoint, in all processes alike."""
        return self.keeper is not None and bool(clock.agree(int(self.keeper.due)))

    def save(self, threads: Threads, first_bad: np.ndarray, done: int, seen: dict) -> None:
        """Keep the state after `done` steps."""
        if self.keeper:
            self.keeper.save(self.place, self.sizes, checkpoints.Running(threads.leaves(), first_bad, done, seen))

    def finish(self, part: dict[str, Any]) -> None:
        """Keep what the program left behind at its end."""
        if self.keeper:
            self.keeper.finish(self.place, self.sizes, part)


def _run(job: Job, threads: Threads, cells: int, width: int, say, clock, particles: str, kept: _Kept) -> dict[str, Any]:
    """Some cells of one width: final particles, status, and what the probes saw as {name: {step: array (cell, ...)}}."""
    steps, looks, before = job.steps, job.looks, kept.last(threads)
    threads.start(before and before.states)
    first_bad = before.first_bad if before else np.full(cells, NEVER, np.int32)
    seen: dict[str, dict[int, np.ndarray]] = before.seen if before else {}
    stride = job.system.dynamics.stride(job.system.network, width)
    done, chunk = before.done if before else 0, 16
    say(done)
    looked = {step for at in seen.values() for step in at}
    for stop in sorted({stop for stop in (*looks, steps) if stop >= done}):
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
            if done < stop and kept.due(clock):
                kept.save(threads, first_bad, done, seen)
        if done < stop:
            kept.save(threads, first_bad, done, seen)
            break
        if looks.get(stop) and stop not in looked:
            about = {name: variable for probe in looks[stop] for name, variable in probe.variables.items()}
            for name, value in threads.observe(looks[stop]).items():
                seen.setdefault(name, {})[stop] = value
                lost = ~np.isfinite(value).reshape(cells, -1).all(axis=1) & (not about[name].may_be_nan)
                first_bad = np.minimum(first_bad, np.where(lost, stop, NEVER).astype(np.int32))
    bad = first_bad < NEVER
    status = np.where(bad, Status.DIVERGED.code, Status.COMPLETE.code if done == steps else Status.INTERRUPTED.code)
    part = {
        "particles": [meshes.gathered(job.mesh, v.particles) if particles == "host" else v.particles for v in threads.states],
        "status": status,
        "first_bad_step": np.where(bad, first_bad, -1),
        "steps_done": np.full(cells, done),
        "seen": seen,
    }
    if done == steps:
        kept.finish(part)
    return part


class _Speaker:
    """Reports of one program to the progress bar; a step is worth as much as it moves neurons."""

    def __init__(self, report, before: int, neurons: int, description: str):
        self._report, self._before, self._neurons, self._description = report, before, neurons, description

    def __call__(self, done: int, steps_per_second: float | None = None) -> None:
        self._report(self._before + self._neurons * done, self._description, steps_per_second)
