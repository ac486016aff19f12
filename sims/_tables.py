"""Tables of the simulations: one line of code per column."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

Row = dict[str, Any]
Column = tuple[str, str | Callable[[Row], str]]


def of_rows(title: str, rows: Iterable[Row], *columns: Column) -> Table:
    """A table with one line per row.

    Args:
        title: title of the table.
        rows: dictionaries.
        columns: heading, and either a format of the row, "{step_size:g}", or a function of it.

    Examples:
        >>> made = of_rows("Squares", [{"n": 2}, {"n": 3}], ("n", "{n}"), ("square", lambda row: f"{row['n'] ** 2}"))
        >>> made.row_count, list(made.columns[1].cells)
        (2, ['4', '9'])
    """
    lines = [[how.format_map(row) if isinstance(how, str) else how(row) for _, how in columns] for row in rows]
    return table(title, [name for name, _ in columns], lines)


def measured(name: str, digits: int = 3, interval: str | None = None) -> Callable[[Row], str]:
    """For a column: `row[name]` with its interval, `row[f"{name}_interval"]` unless another name is given."""
    return lambda row: with_interval(row[name], row[interval or f"{name}_interval"], digits)


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


def plus_minus(value: float, error: float, digits: int = 2) -> str:
    """`value +- error`; a dash for a value that is not there."""
    return f"{value:.{digits}f} +- {error:.{digits}f}" if np.isfinite(value) else "-"


def inside(row: Row) -> bool:
    """Whether the prediction lies in the interval of the measurement, widened by twice the error of the prediction."""
    low, high = row["interval"]
    slack = 2 * row.get("predicted_error", 0.0)
    return bool(low - slack <= row["predicted"] <= high + slack)


def verdict(row: Row) -> str:
    """Whether a prediction lies in the interval of a measurement that is one of a stationary law."""
    return ("yes" if inside(row) else "no") if row["stationary"] else "not stationary"


def show(tables: list[Table], *lines: str) -> None:
    """Print tables, as wide as they need to be, then lines."""
    wide = Console(width=1000)
    console = Console(width=max(Console().width, *(wide.measure(table).maximum for table in tables)))
    for one in [*tables, *lines]:
        console.print(one)
