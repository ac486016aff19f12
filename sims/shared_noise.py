"""Shared against independent mini-batches in the linear toy: what common noise does to neurons.

    python -m sims.shared_noise --out DIR

writes into DIR: config.json, summary.json, figure.png; and prints a table.
"""

from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import plot as mfplot
from meanfield.measure import chaos, rates
from meanfield.theory.solvable import linear_toy
from sims import _run

MINIBATCHES = ("shared", "independent")


@_run.config(widths=(8, 32), runs=60)
class Config:
    """N numbers w_i with predictor mean(w), squared loss and a ridge, labels that are pure noise: stationary laws beside theory."""

    out: Path = Path("out/shared_noise")
    """Directory for the results; made if it is not there."""
    widths: tuple[int, ...] = (16, 64, 256, 1024)
    """Numbers of neurons."""
    step_size: float = 0.1
    """Step size gamma of one neuron."""
    weight_decay: float = 1.0
    """Ridge lambda."""
    runs: int = 400
    """Independent runs a width."""
    steps: int = 150
    """Steps; starts are forgotten like (1 - gamma lambda)^steps."""
    key: int = 0
    """Seed of the random key of the whole run."""
    quick: bool = False
    """A small run, to see that everything works."""


def run(config: Config) -> dict:
    """Simulate and measure; the summary with predictions beside measurements."""
    widths, runs = config.widths, config.runs
    data = mf.data.from_arrays(np.ones((2, 1)), np.array([-1.0, 1.0]))  # x = 1, y = +-1: Var(y) = 1
    at = tuple(range(0, config.steps + 1, 2))
    probe = mf.probes.Subsample(count=8, at=at)
    rows, paths = [], {}
    for minibatches in MINIBATCHES:
        sgd = mf.dynamics.SGD(config.step_size, 1, weight_decay=config.weight_decay, minibatches=minibatches)
        system = mf.System(mf.dynamics.chains(), data, sgd)
        key = jax.random.key(config.key)
        results = mf.simulate(system, widths=widths, steps=config.steps, seeds=runs, key=key, probes=[probe]).require_complete()
        one = results.dataset["particle"].isel(step_size=0, seed=0, component=0, width=-1)
        paths[minibatches] = one.transpose("neuron", "step").to_numpy()
        for width in widths:
            w = np.asarray(results.particles[width].w[0, :, :, 0], np.float64)
            theory = linear_toy(config.step_size, config.weight_decay, 1.0, width=width, minibatches=minibatches)
            limit = linear_toy(config.step_size, config.weight_decay, 1.0, minibatches=minibatches)
            rows.append(
                {"minibatches": minibatches, "width": width} | _measured(w) | _predicted(theory, "") | _predicted(limit, "_limit")
            )
    small = config.step_size / (2 * config.weight_decay)
    return {
        "about": {
            "variance": "of one neuron over runs, with 95 % interval from runs",
            "correlation": "between two neurons over runs, jackknife interval",
            "mean_variance": "of the mean of the neurons over runs",
            "small_step_variance": "gamma Var(y) / (2 lambda), the variance of independent neurons for small steps",
        },
        "small_step_variance": small,
        "rows": rows,
        "steps": at,
        "paths": paths,
    }


def _predicted(toy, suffix: str) -> dict:
    names = ("variance", "correlation", "mean_variance")
    return {f"{name}_predicted{suffix}": float(getattr(toy, name)) for name in names}


def _measured(w: np.ndarray) -> dict:
    """From final particles (runs, N), centred at their known mean 0."""
    squares, means = np.mean(w**2, axis=1), np.mean(w, axis=1) ** 2
    found = chaos.correlation(w)
    (variance, variance_interval), (mean_variance, mean_interval) = rates.mean_interval(squares), rates.mean_interval(means)
    return {
        "variance": variance,
        "variance_interval": variance_interval,
        "correlation": found.value,
        "correlation_interval": found.interval,
        "mean_variance": mean_variance,
        "mean_variance_interval": mean_interval,
    }


def tables(summary: dict) -> list[Table]:
    """Predictions and measurements."""
    names = ("variance", "correlation", "mean_variance")
    columns = ["minibatches", "width"]
    for name in ("variance", "correlation", "variance\nof the mean"):
        columns += [f"{name}\npredicted", "measured"]
    rows = []
    for row in summary["rows"]:
        cells = [row["minibatches"], str(row["width"])]
        for name in names:
            cells += [f"{row[f'{name}_predicted']:.5f}", _run.with_interval(row[name], row[f"{name}_interval"], 5)]
        rows.append(cells)
    return [_run.table("Stationary law of the linear toy at every width, with 95 % intervals", columns, rows)]


def plot(summary: dict) -> Figure:
    """Paths of eight neurons under both noises; correlation against width."""
    figure = Figure(figsize=(12.5, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    for ax, minibatches, letter in zip(axes, MINIBATCHES, "ab", strict=False):
        for i, path in enumerate(summary["paths"][minibatches]):
            ax.plot(summary["steps"], path, linewidth=0.9, color=mfplot.style(i, 8)["color"])
        ax.set(xlabel="step", ylabel="weight of a neuron")
        ax.set_title(f"({letter}) eight neurons, {minibatches} mini-batches", loc="left", fontsize="medium")
    widths = sorted({r["width"] for r in summary["rows"]})
    for i, minibatches in enumerate(MINIBATCHES):
        rows = [r for r in summary["rows"] if r["minibatches"] == minibatches]
        value = np.array([r["correlation"] for r in rows])
        spread = np.abs(np.array([r["correlation_interval"] for r in rows]).T - value)
        look = mfplot.style(i, 3) | {"linestyle": "none"}
        axes[2].errorbar(widths, value, spread, capsize=3, markersize=5, label=f"{minibatches}: measured", **look)
        axes[2].plot(
            widths, [r["correlation_predicted"] for r in rows], ":", color=look["color"], label=f"{minibatches}: predicted"
        )
    axes[2].set(xscale="log", xlabel="width $N$ (neurons)", ylabel="correlation of two neurons over runs", ylim=(-0.2, 1.1))
    mfplot.plain_numbers(axes[2].xaxis)
    axes[2].set_xticks(widths, [str(n) for n in widths])
    axes[2].legend(fontsize="small", loc="center right")
    axes[2].set_title("(c) dependence", loc="left", fontsize="medium")
    return figure


def main(config: Config) -> int:
    """Run, write and print everything."""
    return _run.job(config, run, plot, tables)


if __name__ == "__main__":
    _run.command(Config, main)
