"""What every simulation script shares: arguments from a dataclass, errors as one sentence, tables."""

import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, dataclass_transform

import numpy as np
import tyro
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

import meanfield as mf
from meanfield import _check, _files

Kind = TypeVar("Kind", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def config(**small: Any) -> Callable[[Kind], Kind]:
    """A class decorator: a frozen dataclass with a field `quick`, whose defaults are those of the quick run, `small`, where that is True.

    So what is given beside `quick=True` wins, and the fields of a config are what runs.
    """

    def made(kind: Kind) -> Kind:
        kind = dataclasses.dataclass(frozen=True, kw_only=True)(kind)
        plain = kind.__init__

        @functools.wraps(plain)
        def init(self, **given):
            plain(self, **(small if given.get("quick") else {}) | given)

        kind.__init__, kind.small = init, small  # type: ignore[attr-defined]
        return kind

    return made


def parsed(kind: Any, arguments: Sequence[str] | None = None) -> Any:
    """The config that a command line says: what is not typed is that of the quick run if --quick is."""
    if not hasattr(kind, "small"):
        return tyro.cli(kind, args=arguments)
    sizes = " ".join(f"--{name.replace('_', '-')} {typed(value)}" for name, value in kind.small.items())
    about = f"{kind.__doc__}\n\n--quick stands for {sizes}. What is typed beside it wins."
    found = tyro.cli(kind, args=arguments, description=about)
    return tyro.cli(kind, args=arguments, default=kind(quick=True)) if found.quick else found


def typed(value: Any) -> str:
    """A value as one types it."""
    return " ".join(map(typed, value)) if isinstance(value, tuple) else str(value)


def command(config_type: type, run: Callable[[Any], int | None], arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run, and exit: one sentence and 2 if an argument is wrong, 1 if runs diverged, 130 at Ctrl-C."""
    try:
        code = run(parsed(config_type, arguments))
    except mf.ArgumentError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except mf.DivergenceError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


def job(config: Any, run: Callable, plot: Callable[[dict], Figure], tables: Callable[[dict], list[Table]]) -> int:
    """Run, write config.json, summary.json and figure.png into `config.out`, and print the tables; 0.

    Nothing is written before the run has come to its end, so a wrong argument leaves the files of an earlier run alone.
    """
    _check.seed("key", config.key)
    start = time.perf_counter()
    with _check.own_directory("out", config.out) as out:
        summary = run(config)
        seconds = time.perf_counter() - start
        _files.write_json(out / "config.json", _files.manifest(config))
        _files.write_json(out / "summary.json", summary | {"seconds": seconds})
        plot(summary).savefig(out / "figure.png", dpi=160)
    show(tables(summary), f"{seconds:.0f} s. Written to {out}: config.json, summary.json, figure.png")
    return 0


def show(tables: list[Table], *lines: str) -> None:
    """Print tables, as wide as they need to be, then lines."""
    wide = Console(width=1000)
    console = Console(width=max(Console().width, *(wide.measure(table).maximum for table in tables)))
    for table in [*tables, *lines]:
        console.print(table)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A plain table, numbers to the right."""
    made = Table(title=title, box=box.SIMPLE_HEAD)
    for name in columns:
        made.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made


def with_interval(value: float, interval, digits: int = 3) -> str:
    """`value [low, high]`; a dash for a value that is not there."""
    if not np.isfinite(value):
        return "-"
    low, high = np.asarray(interval, float)
    return f"{value:.{digits}f}" + (f" [{low:.{digits}f}, {high:.{digits}f}]" if np.isfinite(low + high) else "")
