"""Indices below 2 that belong to no stationary law: SGD on least squares in 100 dimensions, on the published grid of step sizes.

The grid is that of the notebook beside Gurbuzbalaban, Simsekli, Zhu (2021): d = 100, b in {1, ..., 20}, ten step sizes from .02 to
.2, 1600 chains, averages over the second half of 1000 steps, the block log-moment estimator. Inputs are drawn afresh in every step,
so that the Lyapunov exponent is known exactly; the notebook draws them from 10 000. Diverging chains leave the range of single
precision: this script steps them on the host in double precision, by the law of `mf.dynamics.LinearRecursion`.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from meanfield import _check
from meanfield import plot as mfplot
from meanfield.measure import rates, tails
from meanfield.theory import recursion

from . import _figures, _job, _tables

BLOCKS = (2, 5, 10, 20, 40, 50, 100)  # of the notebook's estimator
START, OPTIMUM, NOISE = 5.0, 3.0, 3.0  # standard deviations of start, optimum and label noise in the notebook
# Step sizes of stored results of others at d = 100, b = 1, and the indices stored (offline_ht, n = 1000).
STORED = {0.0121: 1.998, 0.02895: 1.592, 0.03737: 1.035}
HEAVY = 1.5  # an index inside the window, for a chain that does have one below 2


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """Estimated index of averages of chains after 250, 500 and 1000 steps, beside the Lyapunov exponent that says what it means."""

    out: _job.Out = Path("out/transients")
    dim: int = 100
    """Dimension d of the inputs."""
    batch_sizes: tuple[int, ...] = (1, 2, 3, 4, 5, 10, 20)
    """Mini-batch sizes b."""
    step_sizes: tuple[float, ...] = tuple(np.linspace(0.02, 0.2, 10).round(4).tolist())
    """Step sizes eta."""
    chains: int = 1_600
    """Number of independent chains."""
    times: tuple[int, ...] = (250, 500, 1_000)
    """Numbers of steps after which the index is estimated."""

    def sized(self):
        """The quick run."""
        return dataclasses.replace(self, batch_sizes=(1, 20), step_sizes=(0.02, 0.04, 0.06), chains=400)


def run(config: Config) -> dict:
    """Simulate and measure; the summary with predictions beside measurements. Takes some minutes at full size."""
    chains, sizes, etas = config.chains, config.batch_sizes, config.step_sizes
    _check.integer("chains", chains, at_least=2 * max(BLOCKS))
    _check.integers("times", config.times, at_least=2)
    grid = [(size, float(eta)) for size in sizes for eta in etas]
    rows = [_row(config, chains, *cell) for cell in grid]
    stored = [_row(config, chains, 1, eta) | {"stored": index} for eta, index in STORED.items()] if config.dim == 100 else []
    window = _row(config, chains, 1, recursion.step_size_for(HEAVY, 1, config.dim))
    return {
        "about": {
            "index": f"block log-moment, blocks {BLOCKS}, of averages over the second half of the steps, not clipped; 95 % interval",
            "lyapunov": "predicted Lyapunov exponent (quadrature): above 0 there is no stationary law",
            "tail_index": "predicted tail index of the stationary law, null where there is none",
            "growth": "mean growth of log |x| a step over the second half of the steps, 95 % interval; tends to the exponent if that is"
            " above 0, else to 0",
            "stored": "indices stored by others at these step sizes, from 1000 examples",
            "window": f"a chain whose stationary law has index {HEAVY}, and the steps in which its mean log |x| forgets its start",
        },
        "times": config.times,
        "rows": rows,
        "stored": stored,
        "window": window | {"relaxation": -1 / window["lyapunov"]},
        "verdict": _verdict(rows),
    }


def _row(config: Config, chains: int, size: int, eta: float) -> dict:
    exponent = recursion.lyapunov(eta, size, config.dim)
    fits, growth, interval, median = _measured(config, chains, size, eta)
    return {
        "batch_size": size,
        "step_size": eta,
        "lyapunov": exponent,
        "tail_index": recursion.tail_index(eta, size, config.dim) if exponent < 0 else np.nan,
        "index": [float(f.alpha) for f in fits],
        "standard_error": [float(f.standard_error) for f in fits],
        "interval": [f.interval for f in fits],
        "growth": growth,
        "growth_interval": interval,
        "median_norm": median,
    }


def _measured(config: Config, chains: int, size: int, eta: float):
    """Fits at the times, growth a step with interval over the last half, median norm at the end. The error x is that to the optimum."""
    rng = np.random.default_rng([config.key, size, round(1e9 * eta)])
    x = np.hypot(START, OPTIMUM) * rng.standard_normal((chains, config.dim))
    total, sums, norms = np.zeros_like(x), {0: np.zeros_like(x)}, {}
    halves = {t // 2 for t in config.times}
    for step in range(1, max(config.times) + 1):
        x = step_chains(rng, x, eta, size)
        total += x
        if step in halves or step in config.times:
            sums[step], norms[step] = total.copy(), _log_norm(x)
    means = {t: (sums[t] - sums[t // 2]) / (t - t // 2) for t in config.times}
    fits = [tails.block_log_moment(means[t] / np.max(np.abs(means[t])), BLOCKS, vectors=True) for t in config.times]
    last = max(config.times)
    growth, interval = rates.mean_interval((norms[last] - norms[last // 2]) / (last - last // 2))
    return fits, growth, interval, float(np.exp(np.median(norms[last])))


def step_chains(rng: np.random.Generator, x: np.ndarray, step_size: float, batch_size: int) -> np.ndarray:
    """One step of SGD on least squares with inputs N(0, I) and label noise, every row of x (chains, d) the error of a chain of its own.

    With the coordinate g_i of input a_i along x, the residual is |x| g_i - noise; across x inputs are independent of it, and their
    sum with these weights is normal with the norm of the residuals as its standard deviation.
    """
    norm = np.exp(_log_norm(x))[:, None]
    along = x / norm
    g = rng.standard_normal((len(x), batch_size))
    residual = norm * g - NOISE * rng.standard_normal((len(x), batch_size))
    across = rng.standard_normal(x.shape)
    across -= np.einsum("nd,nd->n", across, along)[:, None] * along
    size = np.exp(_log_norm(residual))[:, None]
    pull = np.einsum("nb,nb->n", g, residual)[:, None]
    return x - step_size / batch_size * (pull * along + size * across)


def _log_norm(x: np.ndarray) -> np.ndarray:
    """Log of the norms of rows, whose squares may leave the range of float64."""
    largest = np.max(np.abs(x), axis=1)
    return np.log(largest) + 0.5 * np.log(np.einsum("nd,nd->n", x / largest[:, None], x / largest[:, None]))


def _verdict(rows: list[dict]) -> dict:
    """Which chains show an index clearly below 2 at the end, and whether it fell."""
    low = [r for r in rows if r["interval"][-1][1] < 2]
    fall = [r for r in low if r["interval"][-1][1] < r["interval"][0][0]]
    return {
        "cells": len(rows),
        "without_stationary_law": sum(r["lyapunov"] > 0 for r in rows),
        "index_below_2": len(low),
        "of_these_without_stationary_law": sum(r["lyapunov"] > 0 for r in low),
        "of_these_fallen": len(fall),
        "indices_of_the_others": [r["tail_index"] for r in low if r["lyapunov"] < 0],
    }


def tables(summary: dict) -> list[Table]:
    """The grid at the last time, the stored step sizes, the verdict."""
    rows, times = summary["rows"], summary["times"]
    sizes = list(dict.fromkeys(r["batch_size"] for r in rows))
    etas = list(dict.fromkeys(r["step_size"] for r in rows))
    cell = {(r["batch_size"], r["step_size"]): r for r in rows}
    show = lambda r: f"{r['index'][-1]:.2f}" + ("*" if r["lyapunov"] > 0 else " ")  # noqa: E731
    grid = [(str(b), *(show(cell[b, eta]) for eta in etas)) for b in sizes]
    at_time = lambda i: lambda r: _tables.with_interval(r["index"][i], r["interval"][i], 2)  # noqa: E731
    v = summary["verdict"]
    others = ", ".join(f"{alpha:.2f}" for alpha in v["indices_of_the_others"])
    verdict = [
        ("cells of the grid", str(v["cells"])),
        ("without a stationary law (*)", str(v["without_stationary_law"])),
        ("estimated index below 2, by its interval", str(v["index_below_2"])),
        ("of these without a stationary law", str(v["of_these_without_stationary_law"])),
        ("predicted indices of the others", others or "-"),
        ("of those below 2: fallen since the first time, beyond both intervals", str(v["of_these_fallen"])),
        (f"steps in which the chain of index {HEAVY:g} forgets its start", f"{summary['window']['relaxation']:.3g}"),
    ]
    title = f"Estimated index after {times[-1]} steps; *: no stationary law"
    return [
        _tables.table(title, ("b \\ step size", *(f"{e:g}" for e in etas)), grid),
        _tables.of_rows(
            "b = 1: stored indices of others, and (last row) the chain that does have an index below 2",
            [*summary["stored"], summary["window"]],
            ("step size", "{step_size:.5f}"),
            ("Lyapunov\nexponent", "{lyapunov:+.5f}"),
            ("tail index\npredicted", lambda r: f"{r['tail_index']:.4g}" if r["lyapunov"] < 0 else "none"),
            *((f"estimated,\n{t} steps", at_time(i)) for i, t in enumerate(times)),
            ("stored", lambda r: f"{r['stored']:.3f}" if "stored" in r else "-"),
            ("median |x|", "{median_norm:.2g}"),
        ),
        _tables.table("Verdict", ("", ""), verdict),
    ]


def plot(summary: dict) -> Figure:
    """Index against Lyapunov exponent; index against time; growth against Lyapunov exponent."""
    figure, (left, middle, right) = _figures.panels(12.5, 4.0)
    rows, times = summary["rows"], summary["times"]
    sizes = list(dict.fromkeys(r["batch_size"] for r in rows))
    for i, size in enumerate(sizes):
        these, look = [r for r in rows if r["batch_size"] == size], _figures.points(i, len(sizes))
        exponent, index, interval, growth = _figures.columns(these, "lyapunov", "index", "interval", "growth")
        _figures.errorbars(left, exponent, index[:, -1], interval[:, -1], label=f"{size}", **look)
        right.plot(exponent, growth, markersize=4.5, **look)
    left.axvspan(0, 1, color="grey", alpha=0.15, linewidth=0, label="no stationary law")
    left.axhline(2, color="black", linewidth=0.6)
    after, exponent = f"estimated index after {times[-1]} steps", "predicted Lyapunov exponent"
    _figures.panel(left, "(a) index", exponent, after, {"title": "batch size"}, ylim=(0, 2.6))
    left.set_xlim(-0.1, max(0.1, 1.1 * max(r["lyapunov"] for r in rows)))
    first = [r for r in rows if r["batch_size"] == sizes[0]]
    for i, r in enumerate(first):
        look = mfplot.style(i, len(first))
        _figures.errorbars(middle, times, r["index"], r["interval"], label=f"{r['step_size']:g}", **look)
    middle.axhline(2, color="black", linewidth=0.6)
    legend = {"title": f"step size, $b = {sizes[0]}$", "ncols": 5, "loc": "upper center"}
    _figures.panel(middle, "(b) index against time", "steps", "estimated index", legend, xscale="log", ylim=(0, 2.8))
    _figures.ticks_at(middle, times)
    exponents = np.sort([r["lyapunov"] for r in rows])
    right.plot(exponents, np.maximum(exponents, 0), color="black", linewidth=1, label="predicted")
    _figures.panel(right, "(c) growth", exponent, "growth of $\\log |x|$ a step", {})
    return figure


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
