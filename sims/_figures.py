"""Pieces that the figures of the simulations are made of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from meanfield import plot as mfplot


def panels(width: float, height: float, rows: int = 1, columns: int = 3, **options: Any) -> tuple[Figure, list[Axes]]:
    """A figure of the given size in inches, and its panels, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(np.ravel(figure.subplots(rows, columns, **options)))


def panel(
    ax: Axes, title: str, xlabel: str, ylabel: str | None = None, legend: dict[str, Any] | None = None, **settings: Any
) -> None:
    """Title, labels, other settings of the axes, and a legend unless `legend` is None; last, when everything is drawn."""
    ax.set(xlabel=xlabel, **({} if ylabel is None else {"ylabel": ylabel}), **settings)
    ax.set_title(title, loc="left", fontsize="medium")
    if legend is not None:
        ax.legend(**{"fontsize": "small", "title_fontsize": "small"} | legend)


def points(index: int, count: int) -> dict[str, Any]:
    """The look of curve `index` of `count` (`mf.plot.style`), without a line between the points."""
    return mfplot.style(index, count) | {"linestyle": "none"}


def errorbars(ax: Axes, x: Any, value: Any, interval: Any, **look: Any) -> None:
    """Values with their intervals, of shape (..., 2)."""
    value, interval = np.asarray(value, float), np.asarray(interval, float)
    ax.errorbar(x, value, np.abs(interval.T - value), **{"capsize": 2, "markersize": 4.5} | look)


def band(ax: Axes, x: Any, interval: Any, **look: Any) -> None:
    """The area between the two ends of intervals, of shape (..., 2), behind everything else."""
    low, high = np.asarray(interval, float).T
    ax.fill_between(x, low, high, **{"color": "0.85", "zorder": 0} | look)


def over_runs(values: Any, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean over an axis, and the smallest and the largest value as an interval, (..., 2)."""
    values = np.asarray(values)
    return values.mean(axis=axis), np.stack([values.min(axis=axis), values.max(axis=axis)], axis=-1)


def columns(rows: Sequence[dict], *names: str) -> list[np.ndarray]:
    """The entries of these names in all rows, one array per name."""
    return [np.array([row[name] for row in rows]) for name in names]


def named(ax: Axes, label: str, **look: Any) -> None:
    """An entry of the legend for a line that several curves share."""
    whole: dict[str, Any] = {"color": "black", "linestyle": ":", "label": label} | look
    ax.plot([], [], **whole)


def ticks_at(ax: Axes, numbers: Sequence[int] | np.ndarray) -> None:
    """Ticks of the x-axis at these numbers and nowhere else."""
    mfplot.tick_at(ax, numbers)
    ax.minorticks_off()
