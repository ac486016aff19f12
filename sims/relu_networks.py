"""ReLU networks on digits, trained as usual: tail index, accuracy, and whether the law moves."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import _check
from meanfield.measure import rates, tails

from . import _figures, _job, _tables, _two_wall

HALF, LEARNED = 0.5, 0.9  # accuracies


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """Index against accuracy of networks with shared mini-batches and without weight decay."""

    out: _job.Out = Path("out/relu_networks")
    step_sizes_b1: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
    """Step sizes at batch size 1, from small to large."""
    step_sizes_b8: tuple[float, ...] = (1.0, 4.0, 6.0, 8.0, 12.0)
    """Step sizes at batch size 8, from small to large."""
    widths: tuple[int, ...] = (256, 1024, 4096)
    """Numbers of neurons."""
    steps: int = 20_000
    """SGD steps."""
    seeds: int = 4
    """Independent runs."""

    def sized(self):
        """The quick run."""
        return dataclasses.replace(self, step_sizes_b1=(0.25, 3.0), step_sizes_b8=(1.0, 12.0), widths=(256,), steps=500)


def run(config: Config) -> dict:
    """Simulate and measure."""
    _check.integers("widths", config.widths, at_least=1)
    _check.integer("seeds", config.seeds, at_least=1)
    _check.integer("steps", config.steps, at_least=2)
    relu = networks(config)
    return {
        "about": {
            "index": _two_wall.INDEX,
            "hill": "Hill's estimator at the top 5 %, which the conjecture was read from",
            "power, stationary, moving": "shares: of runs that are power laws, and whose index and ranks have stayed within 4 standard"
            " errors since half of the steps; of neurons that have moved since then",
            "half": f"index where the accuracy of a run first falls through {HALF}, between step sizes; geometric mean, t-interval",
        },
        "verdict": _verdict(relu),
        "relu": relu,
    }


def networks(config: Config) -> dict:
    """Cells, and the index at which the accuracy falls through `HALF` for every width and batch size."""
    digits = mf.data.digits()
    x, y = np.asarray(digits.x), np.asarray(digits.y)
    steps, half_time = config.steps, config.steps // 2
    cells, half = [], []
    for size, etas in ((1, config.step_sizes_b1), (8, config.step_sizes_b8)):
        with _job.options(step_size=f"step_sizes_b{size}"):
            system = mf.System(mf.TwoLayer("relu"), digits, mf.dynamics.SGD(list(etas), size))
        for width in config.widths:
            results = _two_wall.simulated(config, system, width, steps, at=(half_time,)).require_uninterrupted()
            about = {"batch_size": size, "width": width}
            rows = []
            for eta in etas:
                vectors = results.particles_at(width=width, step_size=eta).to_numpy()
                accuracy = [_two_wall.accuracy(_two_wall.outputs(x, one), y) for one in vectors]
                norms = _two_wall.norms(results, half_time, width, eta)
                rows.append(about | {"step_size": eta, "accuracy": accuracy} | _per_run(*norms))
            cells += rows
            accuracy = np.array([r["accuracy"] for r in rows])
            half.append(about | {name: _mean(_at_half(accuracy, [r[name] for r in rows])) for name in ("index", "hill")})
    return {"cells": cells, "half": half}


def _at_half(accuracy: np.ndarray, index) -> np.ndarray:
    """Index of every run, (seed,), where its accuracy (step size, seed) first falls through `HALF`, between step sizes; NaN: never."""
    logs, found = np.log(np.asarray(index, float)), np.full(accuracy.shape[1], np.nan)
    for s, one in enumerate(accuracy.T):
        falls = np.flatnonzero((one[:-1] >= HALF) & (one[1:] < HALF))
        if len(falls):
            i = falls[0]
            found[s] = np.exp(np.interp(HALF, one[[i + 1, i]], logs[[i + 1, i], s]))
    return found


def _mean(values) -> dict:
    """Geometric mean over the runs that have a number, with a t-interval of the logarithm."""
    logs = np.log(np.asarray(values, float))
    logs = logs[np.isfinite(logs)]
    if len(logs) < 2:
        return {"mean": np.nan, "interval": [np.nan, np.nan], "runs": len(logs)}
    mean, interval = rates.mean_interval(logs)
    return {"mean": np.exp(mean), "interval": np.exp(interval), "runs": len(logs)}


def _per_run(earlier: np.ndarray, norms: np.ndarray) -> dict:
    """Index of every run, NaN if it diverged; shares of the others that are power laws, whose law stays, and of neurons that move."""
    alive = np.isfinite(norms).all(axis=1)
    row: dict = {name: np.full(len(norms), np.nan) for name in ("index", "hill")}
    row |= {"diverged": int(np.sum(~alive)), "power": np.nan, "stationary": np.nan, "moving": np.nan}
    if alive.any():
        norms, earlier = norms[alive], earlier[alive]
        family = _two_wall.family(norms, earlier)
        row["index"][alive] = family.fit.alpha
        row["hill"][alive] = tails.hill(norms, k=norms.shape[-1] // 20).alpha
        row["power"] = np.mean([f is tails.Family.POWER for f in family.family.ravel()])
        row["stationary"], row["moving"] = np.mean(family.stationary), np.mean(norms != earlier)
    return row


def _verdict(relu: dict) -> list[dict]:
    def crossing(name):
        found = [h[name] for h in relu["half"] if np.isfinite(h[name]["mean"])]
        holds = [f["interval"][0] <= 2 <= f["interval"][1] for f in found]
        return ", ".join(_tables.with_interval(f["mean"], f["interval"], 1) for f in found), all(holds) if found else None

    still = np.mean([r["stationary"] for r in relu["cells"] if np.mean(r["accuracy"]) > LEARNED])
    return [
        _two_wall.statement("2. accuracy 1/2 at tail_index 2, whatever the width", *crossing("index")),
        _two_wall.statement("2. accuracy 1/2 at 2 of Hill, top 5 %", *crossing("hill")),
        _two_wall.statement("2. networks that learn stand still", f"{still:.0%} of the runs", bool(still > 0.95)),
    ]


def tables(summary: dict) -> list[Table]:
    """Cells, the index at half accuracy, verdict."""
    shown = lambda found: _tables.with_interval(found["mean"], found["interval"], 2)  # noqa: E731
    return [
        _tables.of_rows(
            "2. ReLU on digits, shared mini-batches, no weight decay",
            summary["relu"]["cells"],
            ("b", "{batch_size}"),
            ("N", "{width}"),
            ("step size", "{step_size:g}"),
            ("accuracy", _two_wall.mean_accuracy),
            ("tail_index", lambda r: shown(_mean(r["index"]))),
            ("Hill, top 5 %", lambda r: shown(_mean(r["hill"]))),
            ("power law", "{power:.2f}"),
            ("stationary", "{stationary:.2f}"),
            ("moving", "{moving:.2f}"),
            ("diverged", "{diverged}"),
        ),
        _tables.of_rows(
            "2. The index at which accuracy falls through 1/2",
            summary["relu"]["half"],
            ("b", "{batch_size}"),
            ("N", "{width}"),
            ("tail_index", lambda h: shown(h["index"])),
            ("Hill, top 5 %", lambda h: shown(h["hill"])),
        ),
        _two_wall.verdict(summary),
    ]


def plot(summary: dict) -> Figure:
    """Accuracy against index."""
    figure, (ax,) = _figures.panels(6.5, 4.2, columns=1)
    draw(ax, "(a) accuracy against index", summary["relu"]["cells"])
    return figure


def draw(ax: Axes, title: str, cells: list[dict]) -> None:
    """Accuracy of every run against its index, by two estimators."""
    widths = list(dict.fromkeys(r["width"] for r in cells))
    for i, width in enumerate(widths):
        look: dict[str, Any] = _figures.points(i, len(widths)) | {"markersize": 5}
        these = [r for r in cells if r["width"] == width]
        index, hill, accuracy = map(np.ravel, _figures.columns(these, "index", "hill", "accuracy"))
        ax.plot(index, accuracy, label=f"{width}", **look)
        ax.plot(hill, accuracy, markerfacecolor="none", **look)
    _figures.named(ax, "Hill, top 5 %", linestyle="none", marker="o", color="grey", markerfacecolor="none")
    ax.axvline(2, color="black", linewidth=0.8)
    legend = {"title": "width; filled: tail_index"}
    _figures.panel(ax, title, "index of ReLU neurons", "training accuracy", legend, xscale="log")
    _figures.ticks_at(ax, [1, 2, 4, 8, 16])


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
