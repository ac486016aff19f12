"""Checkpoints: what a simulation keeps on disk, so that it goes on where it was after its process has died.

A directory holds `config.json`, what runs; `finished/`, what every program that came to its end left behind; and `running/`, the last few
states of the program that has not. All arrays are written by orbax, which gives a checkpoint its name once it is whole: what is
finished is what has a name. No key is carried in a state, so that a run goes on with the same draws on any number of devices.
"""

import gc
import hashlib
import json
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast, final

import jax
import numpy as np

from meanfield import _check, _files
from meanfield.simulate import mesh as meshes
from meanfield.simulate import recipe
from meanfield.systems.networks import Particles

Result = TypeVar("Result")
FIELDS = ("w", "a", "bias")  # of `Particles`
_SAME = ("system", "widths", "steps", "seeds", "networks", "key", "probes")  # of the provenance: what a run cannot change
_LIBRARIES = ("meanfield-sgd", "jax", "jaxlib")  # on whose versions bits depend


class CheckpointWarning(UserWarning):
    """A simulation goes on from an older state, or with other versions, than it was expected to."""


@final
@dataclass(frozen=True)
class Checkpoint:
    """Where a simulation keeps its checkpoints, how often, and how many: `mf.simulate(..., checkpoint=Checkpoint(...))`.

    Args:
        directory: of this simulation alone; made if it is not there. The same call goes on with what it holds.
        minutes: of wall time between two checkpoints, >= 0; one more is made when a run is interrupted.
        keep: how many checkpoints of the running program are kept, >= 1; two, so that a damaged one costs no more than `minutes`.
        other_versions: go on with checkpoints of other versions of meanfield and jax, with which bits may differ.

    Raises:
        ValueError: an argument out of its range.

    Examples:
        >>> Checkpoint("out/sweep", minutes=5).keep
        2
    """

    directory: Any
    minutes: float = 10.0
    keep: int = 2
    other_versions: bool = False

    def __post_init__(self):
        _check.path("directory", self.directory)
        _check.number("minutes", self.minutes, "be a number >= 0", lambda v: v >= 0)
        _check.integer("keep", self.keep, at_least=1)
        _check.boolean("other_versions", self.other_versions)


class Place(NamedTuple):
    """Which program: its width, and the first of its runs among those of the grid."""

    width: int
    start: int


class Running(NamedTuple):
    """A program at a step.

    Args:
        states: the leaves of the states of all its runs.
        first_bad: see `program.advance`.
        done: steps taken.
        seen: what the probes saw, {name: {step: array}}.
    """

    states: list[Any]
    first_bad: np.ndarray
    done: int
    seen: dict[str, dict[int, np.ndarray]]


_FOLDER: ContextVar[Checkpoint | None] = ContextVar("folder", default=None)
_WORTH = 2.0  # seconds that a program must have run to be kept in a folder: a checkpoint costs a twentieth of it


@contextmanager
def folder(directory: Any, minutes: float = 10.0) -> Iterator[None]:
    """Give every simulation in the block a checkpoint, unless it names its own.

    Each has a subdirectory, named by a checksum of its arguments. A program that calls `simulate` many times and is killed repeats its
    calls, and those that are finished return at once. Programs that took less than two seconds are not kept.
    """
    token = _FOLDER.set(Checkpoint(directory, minutes))
    try:
        yield
    finally:
        _FOLDER.reset(token)


@contextmanager
def keeping(checkpoint: Any, provenance: dict, particles: str, mesh: Any, call: dict | None = None) -> Iterator["Keeper | None"]:
    """The keeper of a simulation's checkpoints; None if it keeps none. Refuses a directory of another simulation.

    Args:
        checkpoint: None, a path or a `Checkpoint`.
        provenance, particles, mesh: of the simulation.
        call: the other arguments of the simulation, for `call_in`.
    """
    here = checkpoint is None and particles == "host" and not meshes.several(mesh)  # processes do not agree on what took long
    shared = _FOLDER.get() if here else None
    if checkpoint is None and shared is None:
        yield None
        return
    if shared is not None:
        what = json.dumps(_files.strict({name: provenance[name] for name in _SAME}))
        own = Path(shared.directory) / hashlib.sha256(what.encode()).hexdigest()[:20]
        checkpoint = Checkpoint(own, shared.minutes, shared.keep, shared.other_versions)
    elif not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(_check.path("checkpoint", checkpoint))
    must = "be 'host' where there is a checkpoint, which holds the final particles of every width"
    _check.require(particles == "host", "particles", must, particles)
    with ExitStack() as held:

        def opened() -> Path:
            refused, directory = None, Path(checkpoint.directory)
            if jax.process_index() == 0 or not meshes.several(mesh):
                try:
                    directory = held.enter_context(_check.own_directory("checkpoint", directory))
                    # orbax writes with all processes or not at all, and the call is that of one.
                    first = not (directory / "config.json").exists() and not meshes.several(mesh)
                    if first and call is not None and shared is None:
                        _write_call(directory, checkpoint, call)
                    _same(directory / "config.json", provenance, checkpoint.other_versions)
                except _check.ArgumentError as error:
                    refused = error
            taken = meshes.agreed(mesh, int(refused is None))[0, 0]  # no process waits for one that was refused
            if refused is not None:
                raise refused
            _check.require(bool(taken), "checkpoint", "be a directory that process 0 can go on with", str(directory))
            return directory

        keeper = Keeper(checkpoint, opened, mesh, 0.0 if shared is None else _WORTH)
        if shared is None or Path(checkpoint.directory).exists():
            keeper.open()
        yield keeper


def _same(path: Path, provenance: dict, other_versions: bool) -> None:
    """Refuse to go on with what another simulation left, or another version of the libraries."""
    own = json.loads(json.dumps(_files.strict(provenance)))
    if not path.exists():
        must = "be an empty directory, or one in which `config.json` says what runs"
        kept = sorted(one.name for one in path.parent.iterdir() if one.name not in (".lock", "call"))
        _check.require(not kept, "checkpoint", must, _check.words(f"{str(path.parent)!r}, which holds {', '.join(kept[:5])}"))
        _files.write_json(path, own)
        return
    try:
        before = json.loads(path.read_text("utf-8"))
        known = {name: before[name] for name in (*_SAME, "versions")}
    except (OSError, ValueError, KeyError, TypeError):
        _check.require(
            False, "checkpoint", "have a `config.json` that is whole", _check.words(f"{str(path.parent)!r}, which has not")
        )
        raise
    for name in _SAME:
        apart = _difference(name, known[name], own[name])
        must = f"be a directory of this simulation: {apart}"
        _check.require(apart is None, "checkpoint", must, str(path.parent))
    for name in _LIBRARIES:
        old, new = known["versions"].get(name), own["versions"].get(name)
        if old == new or other_versions:
            continue
        minor = [str(version).split(".")[:2] for version in (old, new)]
        must = f"be of the version of {name} that runs, {new}, or be a `Checkpoint(..., other_versions=True)`"
        _check.require(minor[0] == minor[1], "checkpoint", must, _check.words(f"of {old}"))
        _warn(f"The checkpoint is of {name} {old}, and {new} goes on with it: last bits may differ.")


def _write_call(directory: Path, checkpoint: Checkpoint, call: dict) -> None:
    """Keep the arguments of a simulation, as far as they can be written."""
    if any(one.name not in (".lock", "call") for one in directory.iterdir()):
        return  # a directory of something else, which is refused
    arrays: dict[str, np.ndarray] = {}
    try:
        said = recipe.written(call, arrays)
    except recipe.UnwritableError as error:
        said, arrays = {"unwritable": str(error)}, {}
    shutil.rmtree(directory / "call", ignore_errors=True)  # of a process that died before it could say what runs
    about = {"call": said, "minutes": checkpoint.minutes, "keep": checkpoint.keep}
    _, reason = _tried(lambda: _shelf(directory / "call").write(arrays or {"none": np.zeros(1)}, about))
    if reason:  # before anything has run
        shutil.rmtree(directory / "call", ignore_errors=True)
    must = "be a directory with room for the arguments of the simulation"
    _check.require(not reason, "checkpoint", must, _check.words(f"{str(directory)!r} ({reason})"))


def call_in(directory: Any) -> tuple[dict[str, Any], Checkpoint]:
    """The arguments of the simulation that keeps its checkpoints in a directory, and how it does.

    Raises:
        ValueError: a directory without checkpoints, or of a simulation with an argument that could not be written.
    """
    directory = _check.path("directory", directory)
    there = (directory / "config.json").is_file() and (directory / "call").is_dir()
    must = "be the directory of a simulation with checkpoints"
    _check.require(there, "directory", must, _check.words(f"{str(directory)!r}, without them"))
    found, reason = _tried(lambda: _shelf(directory / "call").read(0))
    _check.require(found is not None, "directory", must, _check.words(f"{str(directory)!r}, whose call is damaged ({reason})"))
    about, arrays = cast(tuple[dict, dict], found)
    missing = about["call"].get("unwritable")
    must = f"be of a simulation that can be made again; call `simulate` as before, with {missing}"
    _check.require(missing is None, "directory", must, str(directory))
    return recipe.read(about["call"], arrays), Checkpoint(directory, about["minutes"], about["keep"])


def _difference(name: str, before: Any, now: Any) -> str | None:
    """The first place where two JSON values differ, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*now, *(key for key in before if key not in now)]:
            apart = _difference(f"{name}.{key}", before.get(key), now.get(key))
            if apart:
                return apart
        return None
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        each = (_difference(f"{name}[{i}]", old, new) for i, (old, new) in enumerate(zip(before, now, strict=True)))
        return next(filter(None, each), None)
    return None if before == now else f"its `{name}` is {_short(before)} and not {_short(now)}"


def _tried(work: Callable[[], Result]) -> tuple[Result | None, str]:
    """What `work` returns, and ""; or None, and in one line what the libraries below make of a file that is damaged or a disk that is full.

    The event loops that orbax leaves behind then complain on standard error when they are collected: that is done here, in silence.
    """
    try:
        return work(), ""
    except Exception as error:
        text = getattr(error, "strerror", None) or " ".join(str(error).split())
        reason = f"{type(error).__name__}: {text if len(text) <= 120 else '...' + text[-117:]}"  # the cause is at its end
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        gc.collect()
    finally:
        sys.unraisablehook = hook
    return None, reason


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _warn(text: str) -> None:
    warnings.warn(text, CheckpointWarning, stacklevel=2)


class Keeper:
    """Reads and writes the checkpoints of one simulation; see `keeping`.

    Args:
        checkpoint: how often, and how many.
        opened: makes the directory.
        mesh: of the simulation.
        worth: seconds that a program must have run for its end to be kept.
    """

    def __init__(self, checkpoint: Checkpoint, opened: Callable[[], Path], mesh: Any, worth: float):
        self._keep, self._opened, self._mesh, self._worth = checkpoint.keep, opened, mesh, worth
        self._seconds, self._saved = 60 * checkpoint.minutes, time.monotonic()
        self._parts: dict[Place, int] = {}
        self._sizes: dict[int, list[int]] = {}
        self._begun = self._saved
        self._finished: _Shelf | None = None
        self._running: _Shelf | None = None

    def open(self) -> tuple["_Shelf", "_Shelf"]:
        """What is finished and what is running; the directory is made when this is first called."""
        if self._finished is None or self._running is None:
            directory = self._opened()
            self._finished, self._running = _shelf(directory / "finished"), _shelf(directory / "running", self._keep)
            for shelf in (self._finished, self._running):
                for number in shelf.numbers:
                    if about := shelf.about(number):
                        place = Place(*about["place"])
                        self._sizes.setdefault(place.width, about["sizes"])
                        if shelf is self._finished:
                            self._parts[place] = number
        return self._finished, self._running

    def sizes(self, width: int) -> list[int] | None:
        """Into how many runs a time the programs of a width were divided; None if none of them has begun."""
        return self._sizes.get(width)

    def part(self, place: Place) -> dict[str, Any] | None:
        """What a program left behind that came to its end, as the driver's `_run` returns it; None if it did not, or if that is damaged."""
        if place not in self._parts:
            return None
        number, shelf = self._parts[place], self.open()[0]
        kept, reason = _tried(lambda: shelf.read(number))
        if kept is None:
            _warn(f"What is kept of width {place.width} cannot be read ({reason}); it runs again.")
            return None
        about, arrays = kept
        particles = Particles(**{name: arrays.get(f"particles/{name}") for name in FIELDS})  # type: ignore[arg-type]
        found = {name: arrays[name] for name in ("status", "first_bad_step", "steps_done")}
        return found | {"particles": [particles], "seen": _nested(about["seen"], arrays)}

    def running(self, place: Place, shapes: list[Any]) -> Running | None:
        """The last state of a program that is whole; None if there is none. The program begins now.

        Args:
            place: the program.
            shapes: the leaves of its states, as place holders, with their shardings on a mesh.
        """
        shelf, self._begun = self._running, time.monotonic()
        if shelf is None:
            return None
        for number in reversed(shelf.numbers):
            about = shelf.about(number)
            if about is not None and about["place"] != list(place):
                return None  # of a program that has come to its end since
            like = {f"states/{i}": leaf for i, leaf in enumerate(shapes)} if self._mesh is not None else {}
            found, reason = _tried(lambda number=number, like=like: shelf.read(number, like))
            if found is None:
                _warn(f"Checkpoint {number} cannot be read ({reason}); the one before it is taken.")
                _tried(lambda number=number: shelf.drop(number))
                continue
            about, arrays = found
            states = [arrays[f"states/{i}"] for i in range(len(shapes))]
            return Running(states, arrays["first_bad"], about["done"], _nested(about["seen"], arrays))
        return None

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return time.monotonic() - self._saved >= self._seconds

    def save(self, place: Place, sizes: list[int], state: Running) -> None:
        """Keep a program that has not come to its end."""
        arrays = {f"states/{i}": leaf for i, leaf in enumerate(state.states)}
        seen, values = _flat(state.seen)
        about = {"place": list(place), "sizes": sizes, "done": state.done, "seen": seen}
        self._write(1, arrays | values | {"first_bad": state.first_bad}, about)

    def finish(self, place: Place, sizes: list[int], part: dict[str, Any]) -> None:
        """Keep what a program left behind that came to its end."""
        if time.monotonic() - self._begun < self._worth:
            return
        seen, values = _flat(part["seen"])
        for name in FIELDS:
            pieces = [getattr(particles, name) for particles in part["particles"]]
            if pieces[0] is not None:
                values[f"particles/{name}"] = np.concatenate(pieces)
        values |= {name: part[name] for name in ("status", "first_bad_step", "steps_done")}
        self._write(0, values, {"place": list(place), "sizes": sizes, "seen": seen})

    def _write(self, shelf: int, arrays: dict[str, Any], about: dict) -> None:
        """Make a checkpoint; a run does not end because there is no room for one, or no directory any more."""
        opened = self.open()[shelf]
        _, reason = _tried(lambda: opened.write(arrays, about))
        if reason:
            _warn(f"A checkpoint could not be written ({reason}); the run goes on without it.")
        self._saved = time.monotonic()


def _shelf(directory: Path, keep: int | None = None) -> "_Shelf":
    """The checkpoints in a directory, of which the last `keep` are kept; None: all."""
    import orbax.checkpoint as ocp  # a quarter of a second, for those who keep checkpoints

    options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False, max_to_keep=keep)
    return _Shelf(ocp, ocp.CheckpointManager(directory.resolve(), options=options))


class _Shelf:
    """Numbered checkpoints in one directory: named arrays, and what JSON can say about them."""

    def __init__(self, ocp: Any, manager: Any):
        self._ocp, self._manager = ocp, manager

    @property
    def numbers(self) -> list[int]:
        """Those that are whole."""
        return sorted(self._manager.all_steps())

    def about(self, number: int) -> dict | None:
        """What a checkpoint says; None if it is damaged."""
        args = self._ocp.args.Composite(about=self._ocp.args.JsonRestore())
        found, reason = _tried(lambda: self._manager.restore(number, args=args))
        if found is None:
            _warn(f"Checkpoint {number} cannot be read ({reason}).")
            return None
        return found.about

    def read(self, number: int, like: dict[str, Any] | None = None) -> tuple[dict, dict[str, Any]]:
        """What a checkpoint says, and its arrays: on a mesh those of `like` as its place holders say, others on the host."""
        about = self.about(number)
        if about is None:
            raise ValueError("it says nothing")
        shapes = {name: np.zeros(shape, dtype) for name, (shape, dtype) in about["shapes"].items() if np.prod(shape)}
        restore = self._ocp.args.StandardRestore(shapes | (like or {}))
        arrays = dict(self._manager.restore(number, args=self._ocp.args.Composite(arrays=restore)).arrays)
        for name, expected in about["sha256"].items():
            here = getattr(arrays[name], "is_fully_addressable", True)  # of an array of several processes no one has the whole
            if here and _checksum(np.asarray(arrays[name])) != expected:
                raise ValueError(f"{name} is damaged")
        empty = {name: np.zeros(shape, dtype) for name, (shape, dtype) in about["shapes"].items() if not np.prod(shape)}
        return about, arrays | empty

    def write(self, arrays: dict[str, Any], about: dict) -> None:
        """Make the next checkpoint; it has its name once it is whole."""
        number = max(self.numbers, default=-1) + 1
        about |= {"shapes": {name: [list(value.shape), str(value.dtype)] for name, value in arrays.items()}}
        whole = {name: value for name, value in arrays.items() if value.size}  # orbax takes no empty ones
        about["sha256"] = {name: _checksum(value) for name, value in whole.items() if isinstance(value, np.ndarray)}
        args = self._ocp.args
        self._manager.save(number, args=args.Composite(arrays=args.StandardSave(whole), about=args.JsonSave(about)), force=True)

    def drop(self, number: int) -> None:
        """Remove a checkpoint that is damaged: the next one may get its number."""
        self._manager.delete(number)


def _checksum(value: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()


def _flat(seen: dict[str, dict[int, np.ndarray]]) -> tuple[list, dict[str, np.ndarray]]:
    """What probes saw as numbered arrays, and the names and steps of the numbers."""
    names = [(name, step) for name, at in seen.items() for step in at]
    return [list(one) for one in names], {f"seen/{i}": np.asarray(seen[name][step]) for i, (name, step) in enumerate(names)}


def _nested(names: list, arrays: dict[str, np.ndarray]) -> dict[str, dict[int, np.ndarray]]:
    """What `_flat` made flat."""
    seen: dict[str, dict[int, np.ndarray]] = {}
    for i, (name, step) in enumerate(names):
        seen.setdefault(name, {})[step] = arrays[f"seen/{i}"]
    return seen
