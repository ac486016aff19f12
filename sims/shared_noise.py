"""Shared against independent mini-batches in the linear toy: what common noise does to neurons."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import _check
from meanfield import plot as mfplot
from meanfield.measure import chaos, rates
from meanfield.theory.solvable import linear_toy

from . import _figures, _job, _tables

MINIBATCHES = ("shared", "independent")


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """N numbers w_i with predictor mean(w), squared loss and a ridge, labels that are pure noise: stationary laws beside theory."""

    out: _job.Out = Path("out/shared_noise")
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

    def sized(self):
        """The quick run."""
        return dataclasses.replace(self, widths=(8, 32), runs=60)


def run(config: Config) -> dict:
    """Simulate and measure; the summary with predictions beside measurements."""
    widths, runs = config.widths, config.runs
    _check.integers("widths", widths, at_least=1)
    _check.integer("runs", runs, at_least=2)
    data = mf.data.from_arrays(np.ones((2, 1)), np.array([-1.0, 1.0]))  # x = 1, y = +-1: Var(y) = 1
    at = tuple(range(0, config.steps + 1, 2))
    probe = mf.probes.Subsample(count=8, at=at)
    rows, paths = [], {}
    for minibatches in MINIBATCHES:
        sgd = mf.dynamics.SGD(config.step_size, 1, weight_decay=config.weight_decay, minibatches=minibatches)
        system = mf.System(mf.dynamics.chains(), data, sgd)
        key = jax.random.key(config.key)
        results = mf.simulate(system, widths=widths, steps=config.steps, seeds=runs, key=key, probes=[probe]).require_complete()
        one = results.dataset["particle"].sel(step_size=config.step_size, seed=0, component=0, width=widths[-1])
        paths[minibatches] = one.transpose("neuron", "step").to_numpy()
        for width in widths:
            last = results.particles_at(width=width, step_size=config.step_size).isel(component=0)  # (seed, neuron)
            w = last.to_numpy().astype(np.float64)
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
    columns = [("minibatches", "{minibatches}"), ("width", "{width}")]
    headings = {"variance": "variance", "correlation": "correlation", "mean_variance": "variance\nof the mean"}
    for name, heading in headings.items():
        columns += [(f"{heading}\npredicted", f"{{{name}_predicted:.5f}}"), ("measured", _tables.measured(name, 5))]
    return [_tables.of_rows("Stationary law of the linear toy at every width, with 95 % intervals", summary["rows"], *columns)]


def plot(summary: dict) -> Figure:
    """Paths of eight neurons under both kinds of mini-batches; correlation against width."""
    figure, axes = _figures.panels(12.5, 4)
    for ax, minibatches, letter in zip(axes, MINIBATCHES, "ab", strict=False):
        for i, path in enumerate(summary["paths"][minibatches]):
            ax.plot(summary["steps"], path, linewidth=0.9, color=mfplot.style(i, 8)["color"])
        _figures.panel(ax, f"({letter}) eight neurons, {minibatches} mini-batches", "step", "weight of a neuron")
    widths = sorted({r["width"] for r in summary["rows"]})
    for i, minibatches in enumerate(MINIBATCHES):
        rows, look = [r for r in summary["rows"] if r["minibatches"] == minibatches], _figures.points(i, 3)
        value, interval, predicted = _figures.columns(rows, "correlation", "correlation_interval", "correlation_predicted")
        look |= {"capsize": 3, "markersize": 5}
        _figures.errorbars(axes[2], widths, value, interval, label=f"{minibatches}: measured", **look)
        axes[2].plot(widths, predicted, ":", color=look["color"], label=f"{minibatches}: predicted")
    settings = {"ylim": (-0.2, 1.1), "xscale": "log", "legend": {"loc": "center right"}}
    _figures.panel(axes[2], "(c) dependence", "width $N$ (neurons)", "correlation of two neurons over runs", **settings)
    mfplot.plain_numbers(axes[2].xaxis)
    axes[2].set_xticks(widths, [str(n) for n in widths])
    return figure


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
