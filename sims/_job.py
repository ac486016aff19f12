"""A simulation as a program: its config, its files, its exit status, and errors as one sentence."""

import dataclasses
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import tyro
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import _check, _files
from meanfield.simulate import checkpoint
from meanfield.simulate.interrupt import exit_status, interrupting

from . import _tables

Out = Annotated[Path, tyro.conf.arg(help="Directory for the results; made if it is not there.")]
_DATA = "digits, mnist_sample (needs the extra `data`), or a path: .npz file, idx images file, directory of idx files."
Data = Annotated[str, tyro.conf.arg(help=_DATA)]


@dataclass(frozen=True, kw_only=True)
class Sized:
    """A config with presets, sizes that an option names: a quick run, and others. Its fields are what runs, whichever was typed."""

    presets: ClassVar[tuple[str, ...]] = ("quick",)
    quick: bool = False
    """A small run, to see that everything works."""

    def sized(self) -> Self:
        """The same with the sizes of its preset, if a field says one; a simulation returns `dataclasses.replace(self, ...)`.

        The command line starts from `Config(quick=True).sized()` if --quick is typed, so what is typed as well wins.
        """
        return self

    def record(self) -> dict[str, Any]:
        """The fields, as config.json has them."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class Base(Sized):
    """The config of a simulation."""

    out: Out
    key: int = 0
    """Seed of the random key of the whole run."""
    resume: Path | None = None
    """Go on with the run of this directory that was interrupted or killed, as it was typed: no other option counts."""

    def record(self) -> dict[str, Any]:
        """The fields, as config.json has them."""
        return {name: value for name, value in super().record().items() if name != "resume"}


@dataclass(frozen=True)
class Job:
    """A simulation as a program: `job(config)` in Python, `job.command()` on the command line.

    Args:
        config: class of its configs.
        run: config -> summary. With `simulation`: (config, results) -> summary, and the results with all that was measured.
        tables: summary -> tables.
        plot: summary -> figure. With `simulation`: (summary, results) -> figure; a run has completed then.
        simulation: of a job that keeps its arrays: config -> a function that simulates, and returns the results, or several by
            name. It refuses wrong arguments before it returns.
        files: names of the files for the results, without .nc: one, or those of the several.
    """

    config: type[Base]
    run: Callable[..., Any]
    tables: Callable[[dict], list[Table]]
    plot: Callable[..., Figure]
    simulation: Callable[[Any], Callable[[], Any]] | None = None
    files: Sequence[str] = ("results",)

    def __call__(self, config: Any) -> int:
        """Run, write the files into `config.out`, and print the tables.

        Files of an earlier run stay as they are until the run has come to its end, in a job that keeps its arrays until it has
        simulated: a wrong argument, a kill and Ctrl-C leave them alone.

        Returns:
            The exit status: 0, 1 if no run completed, 128 and the number of the signal that cut the run short (130: Ctrl-C).
        """
        _check.seed("key", config.key)
        simulate = self.simulation(config) if self.simulation else None
        with _check.own_directory("out", config.out) as out, _kept_in(out / KEPT, config):
            start = time.perf_counter()
            summary, results = self._kept(out, config, simulate) if simulate else (self.run(config), {})
            seconds = time.perf_counter() - start
            _files.write_json(out / "config.json", _files.manifest(config.record()))
            _files.write_json(out / "summary.json", summary | {"seconds": seconds})
            statuses = [one.dataset["status"] for one in results.values()]
            finished = not results or any(bool((status == mf.Status.COMPLETE.code).any()) for status in statuses)
            if not any(one.interrupted for one in results.values()):
                shutil.rmtree(out / KEPT)
            if finished:
                figure = self.plot(summary, self._given(results)) if simulate else self.plot(summary)
                figure.savefig(out / "figure.png", dpi=160)
        kept = [f"{name}.nc" for name in results]
        written = ", ".join(["config.json", *kept, "summary.json", *["figure.png"] * finished])
        written += " (no figure: no run completed)" * (not finished)
        endings = [line for name, one in results.items() for line in _endings(one, f"{name}: " if len(self.files) > 1 else "")]
        _tables.show(self.tables(summary), f"{seconds:.0f} s. Written to {out}: {written}", *endings)
        for one in results.values():
            if one.interrupted:
                return exit_status(mf.Interrupted(one.dataset.attrs["interrupted"]))
        return int(not finished)

    def _kept(self, out: Path, config: Base, simulate: Callable[[], Any]) -> tuple[dict, dict[str, mf.Results]]:
        """Summary and results, which are in their files before they are measured: Ctrl-C may cut that short.

        Files of an earlier run stay until there are new results, and if these are cut short.
        """
        made = simulate()
        cut = [one for one in (made.values() if isinstance(made, dict) else [made]) if one.interrupted]
        if cut and (out / "summary.json").exists():
            raise mf.Interrupted(cut[0].dataset.attrs["interrupted"])
        for name in (*(f"{name}.nc" for name in self.files), "summary.json", "figure.png"):
            (out / name).unlink(missing_ok=True)
        _files.write_json(out / "config.json", _files.manifest(config.record()))
        made = self._saved(out, made)
        given = self._given(made)
        summary, measured = self.run(config, given)
        return summary, made if measured is given else self._saved(out, measured)

    def _saved(self, out: Path, results: Any) -> dict[str, mf.Results]:
        """The results by the names of their files, in which they are."""
        named = results if isinstance(results, dict) else {self.files[0]: results}
        for name, one in named.items():
            one.save(out / f"{name}.nc")
        return named

    def _given(self, named: dict[str, mf.Results]) -> Any:
        """The results as the job's own functions take them: by name if there are several."""
        return named if len(self.files) > 1 else named[self.files[0]]

    def command(self, arguments: Sequence[str] | None = None) -> None:
        """Run what the command line says, and exit."""
        command(self.config, self, arguments)


KEPT = "checkpoints"  # directory within that of the results; gone when they are there


@contextmanager
def _kept_in(directory: Path, config: Any) -> Iterator[None]:
    """Keep checkpoints of all simulations in a directory, and the config that goes on with them; who has the results removes it."""
    directory.mkdir(exist_ok=True)
    _files.write_json(directory / "job.json", config.record(), lossless=True)
    try:
        with checkpoint.folder(directory):
            yield
    except KeyboardInterrupt:
        print(f"--resume {directory.parent} goes on", file=sys.stderr)
        raise
    except Exception:
        if [one.name for one in directory.iterdir()] == ["job.json"]:  # nothing has run for long
            shutil.rmtree(directory)
        raise
    if directory.exists():
        print(f"--resume {directory.parent} goes on", file=sys.stderr)


def _resumed(kind: Any, directory: Path) -> Any:
    """The config of the run in a directory."""
    kept = directory / KEPT / "job.json"
    must = "be the directory of a run that was interrupted or killed"
    _check.require(kept.is_file(), "resume", must, _check.words(f"{str(directory)!r}, without a run to go on with"))
    read, first = json.loads(kept.read_text("utf-8")), kind()
    names = [field.name for field in dataclasses.fields(kind) if field.name != "resume"]
    must = f"be the directory of a run of {kind.__module__}"
    _check.require(set(read) >= set(names), "resume", must, _check.words(f"{str(directory)!r}, of another job"))
    values = {name: _files.loose(read[name], getattr(first, name)) for name in names}
    values = {name: Path(one) if isinstance(getattr(first, name), Path) else one for name, one in values.items()}
    return dataclasses.replace(first, **values | {"out": directory})  # type: ignore[arg-type]


def _endings(results: mf.Results, of: str) -> Iterator[str]:
    """One line for every way of ending that is not that of a complete run."""
    status = results.dataset["status"]
    for one in (mf.Status.DIVERGED, mf.Status.INTERRUPTED):
        count = int((status == one.code).sum())
        if count:
            yield f"{of}{count} of {status.size} runs {one.name.lower()}. {one.value}"
    left_out = sorted(set(results.provenance["widths"]) - set(results.particles))
    if left_out:
        yield f"{of}Interrupted before the widths {typed(tuple(left_out))}: they are left out."


# -- the command line -------------------------------------------------------------------------------------------------------------


def command(kind: type, run: Callable[[Any], int | None], arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run, and exit: one sentence and 2 if an argument is wrong, 1 if runs diverged, 130 at Ctrl-C."""
    try:
        with interrupting():
            code = run(parsed(kind, arguments))
    except mf.ArgumentError as error:
        print(f"error: {_of_the_option(str(error), kind)}", file=sys.stderr)
        code = 2
    except mf.DivergenceError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt as stop:
        print("interrupted", file=sys.stderr)
        code = exit_status(stop)
    sys.exit(code)


def parsed(kind: Any, arguments: Sequence[str] | None = None) -> Any:
    """The config that a command line says: an option that is not typed is that of the preset that is."""
    if not issubclass(kind, Sized):
        return tyro.cli(kind, args=arguments)
    about = str(kind.__doc__)
    for preset in kind.presets:
        sized: Any = kind(**{preset: True}).sized()
        sizes = " ".join(f"{option_name(name)} {typed(getattr(sized, name))}" for name in changed(kind, preset))
        about += f"\n\n{option_name(preset)} means {sizes}. What is typed as well wins." if sizes else ""
    found = tyro.cli(kind, args=arguments, description=about)
    before = getattr(found, "resume", None)  # what is no `Base` cannot go on
    if before is not None:
        return _resumed(kind, before)
    chosen = [preset for preset in kind.presets if getattr(found, preset)]
    _check.require(
        len(chosen) <= 1, "quick", "be typed alone", _check.words(f"typed with {option_name(chosen[-1])}" if chosen else "")
    )
    return tyro.cli(kind, args=arguments, default=kind(**{chosen[0]: True}).sized()) if chosen else found


def changed(kind: Any, preset: str) -> list[str]:
    """Names of the fields that a preset changes."""
    before, after = kind(**{preset: True}), kind(**{preset: True}).sized()
    return [field.name for field in dataclasses.fields(kind) if getattr(before, field.name) != getattr(after, field.name)]


def typed(value: Any) -> str:
    """A value as one types it."""
    return " ".join(map(typed, value)) if isinstance(value, tuple) else str(value)


def option_name(field: str) -> str:
    """The option of a field."""
    return "--" + field.replace("_", "-")


@contextmanager
def options(**fields: str) -> Iterator[None]:
    """Within it, or in a function with it as decorator, a refused argument is reported as the field of the config that it came from.

    Only names that differ are needed: a field of the same name, or of its plural or its singular, is found without.

    Examples:
        >>> with options(path="data"):
        ...     mf.data.load("no/such.npz")
        Traceback (most recent call last):
        meanfield._check.ArgumentError: Argument `data` must be a file or directory that exists, but is 'no/such.npz'.
    """
    try:
        yield
    except mf.ArgumentError as error:
        raise mf.ArgumentError(_check.renamed(str(error), lambda name: fields.get(name, name))) from None


def _of_the_option(message: str, kind: Any) -> str:
    """The message with the option that was typed: a field of that name, or of its plural or its singular."""
    fields = {field.name for field in dataclasses.fields(kind)}

    def new(name: str) -> str:
        names = [one for one in (name, name + "s", name.removesuffix("s")) if one in fields]
        return option_name(names[0]) if names else name

    return _check.renamed(message, new)


def classes_of(data: str) -> mf.data.FiniteData:
    """The data set that a `Data` names, which must have classes: the jobs report accuracy."""
    sources = {"digits": mf.data.digits, "mnist_sample": mf.data.mnist_sample}
    with options(path="data"):
        found = sources[data]() if data in sources else mf.data.load(data)
    must = "hold classes (integer labels): the job reports accuracy"
    _check.require(found.classes > 0, "data", must, _check.words(f"{data!r}, with real targets"))
    return found


# -- files ------------------------------------------------------------------------------------------------------------------------


def together(summaries: Sequence[dict]) -> dict:
    """One summary of several: their entries, and all that they say about them."""
    about = {name: text for summary in summaries for name, text in summary["about"].items()}
    return {name: value for summary in summaries for name, value in summary.items()} | {"about": about}
