"""Figures: functions that draw plain arrays into a matplotlib Axes and return it.

They read in greyscale: marker, line and shade of two curves differ.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

_MARKERS = "os^DvPX*<>"
_LINES = ("-", (0, (6, 2)), (0, (3, 1.5)), "-.", (0, (1, 1)))


def style(index: int, count: int, colors: str = "viridis") -> dict:
    """Colour, marker and line of curve `index` of `count`: from light to dark, so that greyscale keeps the order."""
    shade = 0.82 - 0.82 * index / max(1, count - 1)
    return {
        "color": colormaps[colors](shade),
        "marker": _MARKERS[index % len(_MARKERS)],
        "linestyle": _LINES[index % len(_LINES)],
    }


def error_against_width(
    ax: Axes,
    widths: Sequence[int] | np.ndarray,
    errors: Sequence[np.ndarray],
    labels: Sequence[str],
    limits: Sequence[tuple[float, float, float]] | None = None,
    exponents: Sequence[float] | None = None,
) -> Axes:
    """Relative pruning error against width: mean and range over the seeds for each of `errors`, of shape (seed, width).

    Predictions are dotted. `limits` holds (lower, middle, upper) of the error at infinite width for every curve; where the
    middle is positive it is a level line that ends in a bar at the right edge. Where it is 0 and `exponents` are given, a line
    of slope -exponent ends in the widest network's error.
    """
    widths = np.asarray(widths)
    infinity = widths[-1] * 1.9
    for i, (error, label) in enumerate(zip(errors, labels, strict=True)):
        look = style(i, len(errors))
        # NaN: runs that diverged; 0: a single neuron, of which nothing was pruned. Neither has a place on a logarithmic axis.
        known = np.ma.masked_where(~(np.asarray(error) > 0), error)
        if not known.count():
            ax.plot([], [], label=label, **look)
            continue
        mean = known.mean(axis=0).filled(np.nan)
        spread = np.abs(np.stack([known.min(axis=0).filled(np.nan), known.max(axis=0).filled(np.nan)]) - mean)
        ax.errorbar(widths, mean, spread, label=label, capsize=2, markersize=4.5, linewidth=1.3, **look)
        dotted = {"color": look["color"], "linestyle": ":", "linewidth": 1.4, "zorder": 1}
        if limits is not None and limits[i][1] > 0:
            low, middle, high = limits[i]
            x = infinity * 1.12**i  # bars side by side
            ax.plot([widths[0], x], [middle, middle], **dotted)
            ax.plot(
                [x, x],
                [max(low, 0.5 * middle), high],
                color=look["color"],
                linewidth=3,
                alpha=0.6,
                solid_capstyle="butt",
            )
            ax.plot([x], [middle], color=look["color"], marker="_", markersize=7)
        elif limits is not None and exponents is not None and exponents[i] > 0:
            ax.plot(widths, mean[-1] * (widths / widths[-1]) ** -exponents[i], **dotted)
    ax.set(xscale="log", yscale="log", xlabel="width $N$ (neurons)", ylabel="relative pruning error")
    ticks, names = list(widths), [str(n) for n in widths]
    if limits is not None:
        ax.plot([], [], color="black", linestyle=":", linewidth=1.4, label="predicted")
        ticks, names = [*ticks, infinity * 1.12 ** ((len(errors) - 1) / 2)], [*names, r"$\infty$"]
    ax.set_xticks(ticks, names, rotation=45 if len(widths) > 5 else 0)
    ax.xaxis.set_minor_locator(NullLocator())
    return ax


def survival(
    ax: Axes,
    samples: Sequence[np.ndarray],
    labels: Sequence[str],
    fits: Sequence[tuple[float, float, float]] | None = None,
) -> Axes:
    """Empirical survival functions P(X > x) on logarithmic axes, with Pareto tails `share * (x/threshold)^(-alpha)`.

    `fits` holds (alpha, threshold, share of the sample above the threshold) for every sample.
    """
    for i, (sample, label) in enumerate(zip(samples, labels, strict=True)):
        look = style(i, len(samples))
        if not np.size(sample):
            continue
        x = np.sort(np.ravel(sample))[::-1]
        rank = np.arange(1, len(x) + 1) / len(x)
        keep = np.unique(np.rint(np.geomspace(1, len(x), 400)).astype(int)) - 1  # a curve of 1e6 points is a file nobody opens
        marks = max(1, len(keep) // 8)
        ax.plot(x[keep], rank[keep], label=label, linewidth=1.3, markersize=4, markevery=(3 * i, marks), **look)
        if fits is not None:
            alpha, threshold, share = fits[i]
            tail = np.array([threshold, max(x[0], threshold * 1.05)])
            ax.plot(tail, share * (tail / threshold) ** -alpha, color="black", linewidth=0.9, linestyle="--", zorder=5)
    if fits is not None:
        ax.plot([], [], color="black", linewidth=0.9, linestyle="--", label="fitted tail")
    ax.set(xscale="log", yscale="log", xlabel="$x$", ylabel="share of neurons with norm $> x$")
    return ax


def index_against_ratio(
    ax: Axes, ratios: Sequence[float], alphas: np.ndarray, intervals: np.ndarray, labels: Sequence[str]
) -> Axes:
    """Tail index against step_size / batch_size; `alphas` (curve, ratio), `intervals` (curve, ratio, 2)."""
    for i, label in enumerate(labels):
        spread = np.abs(intervals[i].T - alphas[i])
        ax.errorbar(
            ratios,
            alphas[i],
            spread,
            label=label,
            capsize=2,
            markersize=4.5,
            linewidth=1.3,
            **style(i, len(labels), "inferno"),
        )
    ax.axhline(2, color="black", linewidth=0.8, linestyle=":")
    ax.annotate(
        "infinite variance below", (0.02, 2), (0, -4), ("axes fraction", "data"), "offset points", va="top", fontsize="small"
    )
    ax.set(xscale="log", yscale="log", xlabel="step size / batch size", ylabel="tail index of neuron norms")
    return ax


def largest(ax: Axes, values: np.ndarray, share: float, index: float, label: str, color: str) -> Axes:
    """Survival function of the largest `share` of a sample on logarithmic axes; dotted: a power law of this index."""
    x = np.sort(np.asarray(values, np.float64))[::-1]
    at = np.unique(np.geomspace(1, len(x), 200).astype(int)) - 1
    ax.loglog(x[at], share * (at + 1) / len(x), color=color, label=label)
    ax.loglog(x[at], share * (x[at] / x[-1]) ** -index, color="black", linestyle=":", linewidth=1)
    return ax


def estimates(ax: Axes, x, measured: Sequence, errors: float = 3, **look: Any) -> Axes:
    """Points of estimates (anything with `value` and `standard_error`) with bars of so many standard errors."""
    bars = [errors * one.standard_error for one in measured]
    ax.errorbar(x, [one.value for one in measured], bars, fmt="o", **look)
    return ax


def power(ax: Axes, x, start: float, exponent: float, **look: Any) -> Axes:
    """A dotted line `start (x / x[0])^exponent`: a predicted slope on logarithmic axes, through the first point."""
    x = np.asarray(x, float)
    ax.plot(x, start * (x / x[0]) ** exponent, ":", **look)
    return ax


def tick_at(ax: Axes, sizes: Sequence[int] | np.ndarray) -> None:
    """Ticks of the horizontal axis at these sizes alone."""
    ax.set_xticks(sizes, [str(n) for n in sizes])
    ax.set_xticks([], minor=True)


def plain_numbers(axis: Axis) -> None:
    """Label a logarithmic axis at 1, 2, 5 times powers of ten, as plain numbers."""
    if not np.all(np.isfinite(axis.get_data_interval())) or axis.get_view_interval()[1] <= 0:
        axis.set_view_interval(0.1, 10, ignore=True)  # nothing to show: a logarithmic axis cannot start at matplotlib's 0
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


__all__ = [
    "error_against_width",
    "estimates",
    "index_against_ratio",
    "largest",
    "plain_numbers",
    "power",
    "style",
    "survival",
    "tick_at",
]
