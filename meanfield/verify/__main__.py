"""python -m meanfield.verify [CLAIM ...] [--quick | --full] --out DIR."""

import dataclasses
import importlib
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from meanfield import _check
from meanfield.simulate.interrupt import exit_status, interrupting
from meanfield.verify import CLAIMS, report, terminal
from meanfield.verify.claim import RATE, Claim, Evidence


@dataclass(frozen=True)
class Config:
    """Put theorems to the test.

    Exit status 1: something was refuted, or a control was not caught; 2: a wrong argument; 3: an experiment broke down; 130: Ctrl-C,
    143: SIGTERM.
    """

    claims: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names of claims; none: all."""
    out: Path = Path("out/verify")
    """Directory for the results; made if it is not there."""
    budget: Annotated[Literal["quick", "full"], tyro.conf.arg(aliases=["-b"])] = "full"
    """How much is spent: seconds a claim, or what it needs to see the deviations it declares. --quick and --full for short."""
    seed: int = 0
    """Of all experiments."""
    rate: float = RATE
    """Probability with which one or more of the claims, all true, may be refuted: they share it."""
    controls: tyro.conf.FlagCreatePairsOff[bool] = False
    """Judge the negative controls, too: what must not come back CONSISTENT at full budget."""
    results: Path | None = None
    """Your own simulation, a file of `Results.save` or a directory with results.nc, in place of the experiment of one claim."""
    again: tyro.conf.FlagCreatePairsOff[bool] = False
    """Run nothing: judge once more from the files in the directory, as they say."""
    list: tyro.conf.FlagCreatePairsOff[bool] = False
    """Say what claims there are."""
    resume: Path | None = None
    """Go on with the run of this directory that was interrupted or killed, as it was typed: of the other options --module counts alone."""
    module: str | None = None
    """Your claims as well: a file `my_claims.py`, or a module that can be imported, with a sequence `CLAIMS`."""


def main(config: Config) -> int:
    """Run, write and print."""
    console = Console(width=max(150, Console().width))
    going_on = config.resume is not None
    if config.resume is not None:
        config = before(config.resume, config.module)
    known = CLAIMS if config.module is None else CLAIMS | own_claims(config.module)
    if config.list:
        console.print(terminal.listed(known.values()))
        return 0
    if config.again:
        for name in ("claims", "budget", "seed", "rate", "controls", "results"):
            given = getattr(config, name)
            _check.require(
                given == getattr(Config, name), name, "be left out with `--again`, which takes all from the files", given
            )
        evidence = report.again(known.values(), config.out)
    else:
        for name in config.claims:
            _check.choice("claims", name, tuple(known))
        evidence = run([known[name] for name in dict.fromkeys(config.claims or known)], config, console, going_on)
    made = terminal.table(evidence)
    console.width = max(console.width, Console(width=1000).measure(made).maximum)  # as wide as it needs to be
    console.print(made)
    escaped = report.escaped(config.out)
    for name in escaped:
        console.print(f"[red]negative control came back CONSISTENT:[/] {escape(name)}", highlight=False)
    console.print(f"Written to {escape(str(config.out))}: report.html, report.json, data/", highlight=False, soft_wrap=True)
    return int(report.refuted(evidence) or bool(escaped))


def own_claims(module: str) -> dict[str, Claim]:
    """The claims of a file or of a module that can be imported, by name."""
    path = Path(module)
    if path.suffix == ".py":
        _check.require(path.is_file(), "module", "be a file that exists, or the name of a module", module)
        loader = SourceFileLoader(path.stem, str(path))
        made = ModuleType(path.stem)
        loader.exec_module(made)
    else:
        try:
            made = importlib.import_module(module)
        except ModuleNotFoundError:
            raise _check.ArgumentError(
                f"Argument `module` must be a file .py or a module that can be imported, but is {module!r}."
            ) from None
    claims: Any = vars(made).get("CLAIMS")
    good = isinstance(claims, Sequence) and all(isinstance(claim, Claim) for claim in claims)
    _check.require(good, "module", "have a sequence `CLAIMS` of claims", module)
    for claim in claims:
        _check.require(claim.name not in CLAIMS, "module", "have claims of other names than those of the library", claim.name)
    return {claim.name: claim for claim in claims}


def before(out: Path, module: str | None) -> Config:
    """The arguments of the run in a directory that was interrupted or killed."""
    content, names, controls = report.interrupted(out)
    results = None if content["results"] is None else Path(content["results"])
    budget = "full" if content["budget"] == "data" else content["budget"]
    seed = content["seed"] or 0
    return Config(names, out, budget, seed, content["family_rate"], controls, results, module=module)


def run(claims: list[Claim], config: Config, console: Console, going_on: bool = False) -> dict[str, Evidence]:
    """Run with a bar on stderr, where that is a terminal, and a line for every claim."""
    watched = Console(stderr=True)
    columns = (TextColumn("{task.completed:.0f} of {task.total:.0f} claims"), BarColumn(), TimeElapsedColumn())
    bar = Progress(
        *columns,
        TextColumn("{task.description}"),
        console=watched,
        disable=not watched.is_terminal,
        transient=True,
    )
    above = watched if watched.is_terminal and console.is_terminal else console  # only the bar's own console writes above it
    with bar:
        task = bar.add_task(claims[0].name, total=len(claims))

        def told(claim: Claim, one: Evidence) -> None:
            done = claims.index(claim) + 1
            bar.update(task, completed=done, description=claims[done].name if done < len(claims) else "")
            space = " " * (20 - len(one.verdict.name))
            above.print(f"{terminal.coloured(one.verdict)}{space}{one.seconds:6.1f} s  {escape(claim.name)}", highlight=False)

        shared = {"rate": config.rate, "resume": going_on}
        return report.run(claims, config.out, config.seed, config.budget, told, config.controls, config.results, **shared)


def command(typed: list[str]) -> int:
    """Do what the arguments say; the exit status."""

    def option(name: str) -> str:
        """What was typed for an argument of the library; the names of claims are typed alone."""
        short = [a for a in typed if a in ("--quick", "--full")]
        known = name != "claims" and name in {field.name for field in dataclasses.fields(Config)}
        return short[0] if name == "budget" and short else f"--{name}" if known else name

    arguments = ["--budget=" + a[2:] if a in ("--quick", "--full") else a for a in typed]
    try:
        with interrupting():
            return main(tyro.cli(Config, args=arguments, prog="python -m meanfield.verify"))
    except _check.ArgumentError as error:
        print(f"error: {_check.renamed(str(error), option)}", *getattr(error, "__notes__", ()), file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print("interrupted: what is finished is in the report", file=sys.stderr)
        return exit_status(stop)
    except Exception:
        traceback.print_exc()  # its last line names the claim
        return 3


if __name__ == "__main__":
    sys.exit(command(sys.argv[1:]))
