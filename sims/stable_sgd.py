"""Injected stable noise against a ridge: the stationary scale of Euler's scheme in its three modes, beside its closed form.

    python -m sims.stable_sgd --out DIR

writes into DIR: config.json, summary.json, figure.png; and prints tables.
"""

from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import plot as mfplot
from meanfield.measure import pruning, tails
from meanfield.systems.dynamics.injections import MODES
from meanfield.theory import compressibility, stable
from sims import _run

KAPPA = 0.1


@_run.config(widths=(500, 2000))
class Config:
    """theta <- (1 - eta) theta + sigma eta^(1/alpha) L: the Ornstein-Uhlenbeck process of every neuron, without data."""

    out: Path = Path("out/stable_sgd")
    """Directory for the results; made if it is not there."""
    alphas: tuple[float, ...] = (1.0, 1.5, 1.75, 2.0)
    """Stability indices."""
    step_size: float = 0.2
    """Step size eta."""
    scale: float = 0.5
    """Factor sigma of the noise."""
    dim: int = 4
    """Coordinates of a neuron."""
    widths: tuple[int, ...] = (500, 5_000, 50_000)
    """Numbers of neurons."""
    seeds: int = 4
    """Independent runs a width."""
    key: int = 0
    """Seed of the random key of the whole run."""
    quick: bool = False
    """A small run, to see that everything works."""


def run(config: Config) -> dict:
    """Simulate and measure; the summary with predictions beside measurements."""
    widths, seeds = config.widths, config.seeds
    steps = int(np.ceil(20 / config.step_size))  # the start is forgotten like exp(-20)
    data = mf.data.from_arrays(np.zeros((1, config.dim)), np.zeros(1))  # no inputs, no gradient
    scales, errors = [], []
    for mode in MODES:
        noisy = mf.dynamics.StableSGD(config.step_size, 1, config.alphas, config.scale, mode, weight_decay=1.0)
        system = mf.System(mf.dynamics.chains(), data, noisy)
        key = jax.random.key(config.key)
        results = mf.simulate(system, widths=widths, steps=steps, seeds=seeds, key=key, probes=()).require_complete()
        for i, alpha in enumerate(np.asarray(results.dataset["alpha"])):
            w = np.asarray(results.particles[max(widths)].w[0, i], np.float64)
            predicted = stable.euler_scale(alpha, config.scale, config.step_size)
            norms = np.linalg.norm(w, axis=-1)
            fit = tails.hill(norms.ravel(), k=max(50, norms.size // 1000))
            value, interval = _scale(w, float(alpha), predicted)
            scales.append(
                {
                    "mode": mode,
                    "alpha": alpha,
                    "scale_predicted": predicted,
                    "scale": value,
                    "scale_interval": interval,
                    "scale_of_continuous_time": stable.ornstein_uhlenbeck_scale(alpha, config.scale),
                    "tail_index": float(fit.alpha),
                    "tail_index_interval": fit.interval,
                }
            )
            curve = [
                pruning.error_curve(np.asarray(results.particles[n].w[0, i], np.float64), [KAPPA], "node")[:, 0] for n in widths
            ]
            errors.append({"mode": mode, "alpha": alpha, "error": curve})
    return {
        "about": {
            "scale": "root of -log E cos(u x) = (scale u)^alpha at u = 1/predicted scale, over all coordinates, 95 % interval",
            "scale_of_continuous_time": "sigma alpha^(-1/alpha), the limit of small steps",
            "tail_index": "Hill of the norms of the neurons, upper 0.1 %; Gaussian at alpha = 2, where it has no meaning",
            "error": f"relative l_2 error of node pruning with {KAPPA:.0%} kept, per width and seed",
            "decay_exponent": "1/alpha - 1/2, of the error against the width; 0 at alpha = 2",
        },
        "widths": widths,
        "decay_exponent": [float(compressibility.decay_exponent(a)) for a in config.alphas],
        "scales": scales,
        "errors": errors,
    }


def _scale(w: np.ndarray, alpha: float, predicted: float) -> tuple[float, list[float]]:
    """Scale from the empirical characteristic function of single coordinates; neurons are independent, their coordinates not."""
    per_neuron = np.mean(np.cos(w / predicted), axis=-1).ravel()
    mean, error = np.mean(per_neuron), 1.96 * np.std(per_neuron) / np.sqrt(per_neuron.size)
    estimate = lambda phi: float(predicted * (-np.log(phi)) ** (1 / alpha))  # noqa: E731
    return estimate(mean), [estimate(mean + error), estimate(mean - error)]


def tables(summary: dict) -> list[Table]:
    """Predictions and measurements."""
    rows = [
        (
            r["mode"],
            f"{r['alpha']:g}",
            f"{r['scale_predicted']:.5f}",
            _run.with_interval(r["scale"], r["scale_interval"], 5),
            f"{100 * (r['scale'] / r['scale_predicted'] - 1):+.2f} %",
            f"{r['scale_of_continuous_time']:.5f}",
            "-" if r["alpha"] == 2 else _run.with_interval(r["tail_index"], r["tail_index_interval"]),
        )
        for r in summary["scales"]
    ]
    columns = ("mode", "alpha", "scale\npredicted", "measured", "difference", "continuous\ntime", "Hill of\nthe norms")
    return [_run.table("Stationary scale of a coordinate, with 95 % intervals", columns, rows)]


def plot(summary: dict) -> Figure:
    """Node pruning error against width, one panel a mode, with the predicted slopes."""
    figure = Figure(figsize=(12.5, 4), layout="constrained")
    axes = figure.subplots(1, len(MODES), sharey=True)
    widths = np.asarray(summary["widths"])
    for ax, mode, letter in zip(axes, MODES, "abc", strict=True):
        these = [e for e in summary["errors"] if e["mode"] == mode]
        for i, (row, exponent) in enumerate(zip(these, summary["decay_exponent"], strict=True)):
            error = np.asarray(row["error"])
            look = mfplot.style(i, len(these))
            spread = np.abs(np.stack([error.min(axis=1), error.max(axis=1)]) - error.mean(axis=1))
            label = f"$\\alpha = {row['alpha']:g}$"
            ax.errorbar(widths, error.mean(axis=1), spread, capsize=2, markersize=4.5, linewidth=1.3, label=label, **look)
            line = error.mean(axis=1)[-1] * (widths / widths[-1]) ** -exponent
            ax.plot(widths, line, color=look["color"], linestyle=":", linewidth=1.4)
        ax.plot([], [], color="black", linestyle=":", label="predicted slope")
        ax.set(xscale="log", yscale="log", xlabel="width $N$ (neurons)")
        ax.set_title(f"({letter}) {mode}", loc="left", fontsize="medium")
    axes[0].set_ylabel(f"relative node pruning error, {KAPPA:.0%} kept")
    mfplot.plain_numbers(axes[0].yaxis)
    axes[0].legend(fontsize="small")
    return figure


def main(config: Config) -> int:
    """Run, write and print everything."""
    return _run.job(config, run, plot, tables)


if __name__ == "__main__":
    _run.command(Config, main)
