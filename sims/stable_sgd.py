"""Injected stable noise against a ridge: the stationary scale of Euler's scheme in its three modes, beside its closed form."""

import dataclasses
from dataclasses import dataclass
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

from . import _figures, _job, _tables

KAPPA = 0.1


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """theta <- (1 - eta) theta + sigma eta^(1/alpha) L: the Ornstein-Uhlenbeck process of every neuron, without data."""

    out: _job.Out = Path("out/stable_sgd")
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

    def sized(self):
        """The quick run."""
        return dataclasses.replace(self, widths=(500, 2000))


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
        for alpha in np.asarray(results.dataset["alpha"]):
            at = {"step_size": config.step_size, "alpha": alpha}
            samples = [results.particles_at(width=n, **at).to_numpy().astype(np.float64) for n in widths]
            w = samples[int(np.argmax(widths))]
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
            curve = [pruning.error_curve(one, [KAPPA], "node")[:, 0] for one in samples]
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
    found = mf.Estimate(np.mean(per_neuron), np.std(per_neuron) / np.sqrt(per_neuron.size))
    scale = lambda phi: float(predicted * (-np.log(phi)) ** (1 / alpha))  # noqa: E731
    low, high = found.interval
    return scale(found.value), [scale(high), scale(low)]


def tables(summary: dict) -> list[Table]:
    """Predictions and measurements."""
    index = _tables.measured("tail_index")
    return [
        _tables.of_rows(
            "Stationary scale of a coordinate, with 95 % intervals",
            summary["scales"],
            ("mode", "{mode}"),
            ("alpha", "{alpha:g}"),
            ("scale\npredicted", "{scale_predicted:.5f}"),
            ("measured", _tables.measured("scale", 5)),
            ("difference", lambda r: f"{100 * (r['scale'] / r['scale_predicted'] - 1):+.2f} %"),
            ("continuous\ntime", "{scale_of_continuous_time:.5f}"),
            ("Hill of\nthe norms", lambda r: "-" if r["alpha"] == 2 else index(r)),
        )
    ]


def plot(summary: dict) -> Figure:
    """Node pruning error against width, one panel a mode, with the predicted slopes."""
    figure, axes = _figures.panels(12.5, 4, columns=len(MODES), sharey=True)
    widths = np.asarray(summary["widths"])
    for ax, mode, letter in zip(axes, MODES, "abc", strict=True):
        these = [e for e in summary["errors"] if e["mode"] == mode]
        for i, (row, exponent) in enumerate(zip(these, summary["decay_exponent"], strict=True)):
            look, label = mfplot.style(i, len(these)), f"$\\alpha = {row['alpha']:g}$"
            mean, ends = _figures.over_runs(row["error"], axis=1)
            _figures.errorbars(ax, widths, mean, ends, linewidth=1.3, label=label, **look)
            ax.plot(widths, mean[-1] * (widths / widths[-1]) ** -exponent, color=look["color"], linestyle=":", linewidth=1.4)
        _figures.named(ax, "predicted slope")
        _figures.panel(ax, f"({letter}) {mode}", "width $N$ (neurons)", xscale="log", yscale="log")
    axes[0].set_ylabel(f"relative node pruning error, {KAPPA:.0%} kept")
    mfplot.plain_numbers(axes[0].yaxis)
    axes[0].legend(fontsize="small")
    return figure


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
