"""tanh networks with injected stable noise: f is bounded, so any tail index will do for learning."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import _check
from meanfield.measure import pruning, rates

from . import _figures, _job, _tables, _two_wall

SHARE = 0.95  # of the accuracy under Gaussian noise
KEPT = 0.1  # share of the neurons that pruning keeps


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """Index, accuracy and pruning error of tanh networks on digits whose noise has a given index."""

    out: _job.Out = Path("out/stable_networks")
    alphas: tuple[float, ...] = (1.3, 1.5, 1.8)
    """Indices of the injected noise, alongside Gaussian noise."""
    widths: tuple[int, ...] = (512, 2048, 8192)
    """Numbers of neurons."""
    steps: int = 400
    """SGD steps."""
    seeds: int = 4
    """Independent runs."""

    def sized(self):
        """The quick run."""
        return dataclasses.replace(self, alphas=(1.5,), widths=(1_000,))


def run(config: Config) -> dict:
    """Simulate and measure."""
    _check.integers("widths", config.widths, at_least=1)
    _check.integer("seeds", config.seeds, at_least=2)
    _check.integer("steps", config.steps, at_least=2)
    rows = networks(config)
    widest = [r for r in rows if r["width"] == rows[-1]["width"]]
    accuracies = [float(np.mean(r["accuracy"])) for r in widest]
    return {
        "about": {"index": _two_wall.INDEX},
        "verdict": [
            _two_wall.predicted("4. index of tanh neurons", [r for r in rows if r["predicted"] < 2]),
            _two_wall.statement(
                f"4. at an index below 2 at least {SHARE:.0%} of the accuracy under Gaussian noise",
                f"accuracies at N = {widest[0]['width']}: " + ", ".join(f"{one:.3f}" for one in accuracies),
                all(one >= SHARE * accuracies[-1] for one in accuracies),
            ),
        ],
        "stable": rows,
    }


def networks(config: Config) -> list[dict]:
    """One row per width and index; the last index is 2."""
    digits = mf.data.digits()
    x, y = np.asarray(digits.x), np.asarray(digits.y)
    alphas, half, eta = [*config.alphas, 2.0], config.steps // 2, 1.0
    dynamics = mf.dynamics.StableSGD(eta, 8, weight_decay=0.02, alpha=alphas, scale=0.05, mode="isotropic")
    system = mf.System(mf.TwoLayer("tanh", train_output=False), digits, dynamics)
    rows = []
    for width in config.widths:
        results = _two_wall.simulated(config, system, width, config.steps, at=(half,)).require_complete()
        for alpha in alphas:
            earlier, last = (results.particles_at(step, width=width, alpha=alpha, step_size=eta) for step in (half, None))
            arrays = (one.sel(part=part).to_numpy() for one, part in ((earlier, "w"), (last, "w"), (last, "a")))
            early, w, a = (array.astype(np.float64, order="C") for array in arrays)  # (seed, neuron, component)
            accuracy = [_two_wall.accuracy(np.tanh(x @ v.T) @ out / width, y) for v, out in zip(w, a, strict=True)]
            index = _two_wall.together(np.linalg.norm(early, axis=-1), np.linalg.norm(w, axis=-1))
            error, interval = rates.mean_interval(pruning.error_curve(w, [KEPT], "node")[..., 0])
            row = {"predicted": alpha, "width": width, "accuracy": accuracy} | index
            rows.append(row | {"pruning_error": error, "pruning_interval": interval})
    return rows


def tables(summary: dict) -> list[Table]:
    """Index, accuracy, pruning error, verdict."""
    index = _tables.measured("index", 2, "interval")
    return [
        _tables.of_rows(
            "4. tanh, injected stable noise",
            summary["stable"],
            ("index\ninjected", "{predicted:g}"),
            ("N", "{width}"),
            ("measured", lambda r: index(r) if r["predicted"] < 2 else "light"),
            ("inside", lambda r: _tables.verdict(r) if r["predicted"] < 2 else "-"),
            ("accuracy", _two_wall.mean_accuracy),
            (f"pruning error,\n{KEPT:.0%} kept", _tables.measured("pruning_error", 3, "pruning_interval")),
        ),
        _two_wall.verdict(summary),
    ]


def plot(summary: dict) -> Figure:
    """Predicted against measured index; pruning error against width."""
    figure, (left, right) = _figures.panels(10, 4.2, columns=2)
    rows = summary["stable"]
    _two_wall.draw_predicted(left, "(a) predicted and measured", {"tanh, stable noise": rows})
    alphas = list(dict.fromkeys(r["predicted"] for r in rows))
    for i, alpha in enumerate(alphas):
        these, look = [r for r in rows if r["predicted"] == alpha], _figures.points(i, len(alphas))
        _figures.errorbars(
            right, *_figures.columns(these, "width", "pruning_error", "pruning_interval"), label=f"{alpha:g}", **look
        )
    error = f"node pruning error, {KEPT:.0%} kept"
    _figures.panel(right, "(b) pruning", "width $N$", error, {"title": "index of the noise"}, xscale="log", yscale="log")
    _figures.ticks_at(right, list(dict.fromkeys(r["width"] for r in rows)))
    return figure


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
