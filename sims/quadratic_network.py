"""A quadratic network on pure noise: its tail index beside the predicted one, and how long it lives near index 2."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import _check
from meanfield.systems.examples import quadratic_system
from meanfield.theory import network

from . import _figures, _job, _tables, _two_wall


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """Networks with activation z^2 (ridge 1, noise 1): index and blow-ups against step size and width."""

    out: _job.Out = Path("out/quadratic_network")
    step_sizes: tuple[float, ...] = (0.15, 0.2, 0.25, 0.3)
    """Step sizes at which the index is measured. Predicted indices 4.08, 3.45, 3.03, 2.73."""
    width: int = 200_000
    """Number of neurons."""
    steps: int = 200
    """Steps; the index is compared with that at a half of them."""
    seeds: int = 4
    """Independent runs."""
    life_step_sizes: tuple[float, ...] = (0.25, 0.27, 0.3)
    """Step sizes at which blow-ups are counted."""
    life_widths: tuple[int, ...] = (100, 300, 1_000, 3_000)
    """Numbers of neurons at which blow-ups are counted."""
    life_seeds: int = 200
    """Runs of every width."""
    life_steps: int = 400
    """Steps of these runs, if they do not blow up."""

    def sized(self):
        """The quick run."""
        small = {"step_sizes": (0.15, 0.2), "width": 20_000, "steps": 100, "life_step_sizes": (0.3,)}
        return dataclasses.replace(self, **small, life_widths=self.life_widths[:3], life_seeds=40, life_steps=200)


def run(config: Config) -> dict:
    """Simulate and measure; the summary with predictions beside measurements."""
    _check.integers("life_widths", config.life_widths, at_least=1)
    for name in ("seeds", "life_seeds"):
        _check.integer(name, getattr(config, name), at_least=1)
    for name in ("steps", "life_steps"):
        _check.integer(name, getattr(config, name), at_least=2)
    rows, lives = indices(config), lifetimes(config)
    return {
        "about": {
            "index": _two_wall.INDEX,
            "lifetimes": "blow-ups a step against the width, and the slope of its logarithm; predicted: 1 - alpha / 2, because the largest"
            " of N squares over N must reach a size that does not depend on N",
        },
        "verdict": [
            _two_wall.predicted("1. index of the quadratic network", rows),
            _two_wall.predicted("1. blow-ups fall with the width like N^(1 - alpha/2)", lives),
        ],
        "quadratic": rows,
        "lifetimes": lives,
    }


def indices(config: Config) -> list[dict]:
    """Index at every step size."""
    width, half, rows = config.width, config.steps // 2, []
    for eta in config.step_sizes:
        results = _two_wall.simulated(config, quadratic_system([eta]), width, config.steps, at=(half,)).require_uninterrupted()
        row = {"step_size": eta, "predicted": network.quadratic_tail_index(eta, 1.0), "width": width}
        rows.append(row | _two_wall.together(*_two_wall.norms(results, half, width, eta)))
    return rows


@_job.options(step_size="life_step_sizes")
def lifetimes(config: Config) -> list[dict]:
    """Blow-ups a step at several widths: runs that are censored at the last step count with the steps they took."""
    etas, seeds, steps = config.life_step_sizes, config.life_seeds, config.life_steps
    system, rows = quadratic_system(etas), {eta: [] for eta in etas}
    for i, width in enumerate(config.life_widths):
        # Other seeds at every width: else narrow networks are the first neurons of wide ones.
        own = list(range(i * seeds, (i + 1) * seeds))
        key = jax.random.key(config.key)
        results = mf.simulate(system, widths=width, steps=steps, seeds=own, key=key, probes=()).require_uninterrupted()
        for eta in etas:
            bad = results.dataset["first_bad_step"].sel(width=width, step_size=eta).to_numpy()
            lived = int(np.sum(np.where(bad >= 0, bad, steps)))
            rows[eta].append({"width": width, "blown": int(np.sum(bad >= 0)), "steps": lived})
    return [_lifetime(eta, seeds, rows[eta]) for eta in etas]


def _lifetime(eta: float, seeds: int, rows: list[dict]) -> dict:
    """Slope of the log rate in log N, weighted: the logarithm of a rate from m events has variance 1 / m."""
    alpha = network.quadratic_tail_index(eta, 1.0)
    seen = [r for r in rows if r["blown"] >= 2]
    log_n, events = np.log([r["width"] for r in seen]), np.array([r["blown"] for r in seen], float)
    slope = error = np.nan
    if len(seen) >= 2:
        log_rate = np.log(events / np.array([r["steps"] for r in seen]))
        centred = log_n - np.average(log_n, weights=events)
        spread = np.sum(events * centred**2)
        slope, error = np.sum(events * centred * log_rate) / spread, 1 / np.sqrt(spread)
    return {
        "step_size": eta,
        "alpha": alpha,
        "seeds": seeds,
        "rows": rows,
        "predicted": 1 - alpha / 2,
        "slope": slope,
        "interval": list(mf.Estimate(slope, error).interval),
    }


def tables(summary: dict) -> list[Table]:
    """Index, blow-ups, verdict."""
    widths = ", ".join(str(r["width"]) for r in summary["lifetimes"][0]["rows"])
    return [
        _tables.of_rows(
            "1. Quadratic network on noise",
            summary["quadratic"],
            ("step size", "{step_size:g}"),
            ("index\npredicted", "{predicted:.3f}"),
            ("measured [95 %]", _tables.measured("index", 3, "interval")),
            ("diverged", "{diverged} of {runs}"),
            ("inside", _tables.verdict),
        ),
        _tables.of_rows(
            "1. Its blow-ups",
            summary["lifetimes"],
            ("step size", "{step_size:g}"),
            ("index", "{alpha:.3f}"),
            (f"runs blown up at N =\n{widths}", lambda r: ", ".join(f"{one['blown']}/{r['seeds']}" for one in r["rows"])),
            ("slope of log rate\nin log N: predicted", "{predicted:.3f}"),
            ("measured [95 %]", _tables.measured("slope", 3, "interval")),
        ),
        _two_wall.verdict(summary),
    ]


def plot(summary: dict) -> Figure:
    """Predicted against measured index; blow-ups against width."""
    figure, (left, right) = _figures.panels(10, 4.2, columns=2)
    _two_wall.draw_predicted(left, "(a) predicted and measured", {"quadratic, noise": summary["quadratic"]})
    draw_lifetimes(right, "(b) blow-ups", summary["lifetimes"])
    return figure


def draw_lifetimes(ax: Axes, title: str, lives: Sequence[dict]) -> None:
    """Rates of blow-ups with intervals, and lines of the predicted slopes."""
    for i, r in enumerate(lives):
        rows = [one for one in r["rows"] if one["blown"]]
        n, events, steps = (column.astype(float) for column in _figures.columns(rows, "width", "blown", "steps"))
        rate, look = events / steps, _figures.points(i, len(lives))
        interval = mf.Estimate(rate, rate / np.sqrt(events)).interval
        _figures.errorbars(ax, n, rate, interval, markersize=5, label=f"{r['alpha']:.2f}", **look)
        level = np.exp(np.average(np.log(rate) - r["predicted"] * np.log(n), weights=events))
        ax.plot(n, level * n ** r["predicted"], color=look["color"], linewidth=1)
    legend = {"title": "index; lines: $N^{1 - \\alpha/2}$"}
    _figures.panel(ax, title, "width $N$", "blow-ups a step", legend, xscale="log", yscale="log")


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
