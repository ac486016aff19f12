"""SGD on least squares: tail indices, second moments and contraction of millions of chains beside their exact predictions."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table
from scipy import special

import meanfield as mf
from meanfield import _check
from meanfield import plot as mfplot
from meanfield.measure import rates, tails
from meanfield.theory import recursion

from . import _figures, _job, _tables

CONTRACTION_STEP_SIZE = 0.5
ORDERS = (0.5, 1.0)  # of the moments of the distance of coupled chains


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """One-dimensional SGD on least squares with Gaussian inputs, x <- (1 - (eta/b) sum a_i^2) x + q: measured beside predicted."""

    out: _job.Out = Path("out/linear_recursion")
    step_sizes: tuple[float, ...] = (0.2, 0.3, 0.5, 0.8, 1.0)
    """Step sizes eta."""
    batch_size: int = 1
    """Mini-batch size b."""
    dim: int = 1
    """Length d of a chain's vector."""
    chains: int = 2_000_000
    """Number of independent chains."""
    steps: int = 150
    """Steps before the chains are taken for stationary; the table compares with the index at a half of them."""
    top: int = 10_000
    """Number of largest values that Hill's estimator uses."""

    def sized(self):
        """The quick run."""
        return dataclasses.replace(self, chains=20_000, top=400)


def run(config: Config) -> dict:
    """Simulate and measure; the summary with predictions beside measurements. Takes some forty seconds at full size."""
    chains, top = config.chains, config.top
    _check.integer("chains", chains, at_least=100)
    _check.integer("steps", config.steps, at_least=2)
    _check.require(0 < top < chains, "top", "be an integer from 1 to the number of chains", top)
    data = mf.data.gaussian_regression(config.dim)
    rows = [_stationary(config, data, float(eta), chains, top) for eta in config.step_sizes]
    return {
        "about": {
            "tail_index": f"Hill with the {top} largest norms of {chains} chains after {config.steps} steps, 95 % interval",
            "tail_index_bias": "for light tails the power law sets in beyond the sample maximum, "
            "so Hill's estimate reflects the body and is biased low",
            "tail_index_halfway": "the same after half the steps: equal within the intervals if the chains are stationary",
            "second_moment": "mean of |x|^2 with its 95 % interval; none where the prediction of the tail index is 4 or less, "
            "because |x|^2 has no variance there and the error no normal law",
            "contraction": f"E|x_k - x'_k|^s / E|x_0 - x'_0|^s of chains with common data at step size {CONTRACTION_STEP_SIZE}",
        },
        "rows": rows,
        "contraction": _contraction(config, data, chains),
    }


def _chains(config: Config, data, eta: float, chains: int, steps: int, at: tuple[int, ...], **law) -> list[np.ndarray]:
    """All chains at the steps `at`: a list of float64 arrays (chains, dim)."""
    start = mf.dynamics.chains(law.pop("init_scale", 1.0))
    system = mf.System(start, data, mf.dynamics.LinearRecursion(eta, config.batch_size, **law))
    grid = {
        "widths": chains,
        "steps": steps,
        "seeds": 1,
        "key": jax.random.key(config.key),
        "probes": [mf.probes.Snapshot(at=at)],
    }
    results = mf.simulate(system, **grid).require_complete()
    return [results.particles_at(step, width=chains, step_size=eta, seed=0).to_numpy().astype(np.float64) for step in at]


def _stationary(config, data, eta, chains, top) -> dict:
    parameters = (eta, config.batch_size, config.dim)
    predicted = recursion.tail_index(*parameters)
    halfway, final = _chains(config, data, eta, chains, config.steps, at=(config.steps // 2, config.steps))
    early, norms = np.linalg.norm(halfway, axis=1), np.linalg.norm(final, axis=1)
    fit, half = tails.hill(norms, k=top), tails.hill(early, k=top)
    second, interval = rates.mean_interval(norms**2)
    return {
        "step_size": eta,
        "tail_index_predicted": predicted,
        "tail_index": float(fit.alpha),
        "tail_index_interval": fit.interval,
        "tail_index_halfway": float(half.alpha),
        "second_moment_predicted": recursion.second_moment(*parameters),
        "second_moment": second,
        "second_moment_interval": interval if predicted > 4 else [np.nan, np.nan],
        "survival": _survival(norms),
    }


def _survival(norms: np.ndarray) -> dict:
    ranks = np.unique(np.rint(np.geomspace(1, len(norms), 200)).astype(int))
    return {"x": np.sort(norms)[::-1][ranks - 1], "share": ranks / len(norms)}


def _contraction(config, data, chains) -> list[dict]:
    """Two chains with common data and different starts: their distance is multiplied by independent factors, whatever the noise."""
    rows = []
    radius = {s: 2 ** (s / 2) * np.exp(special.gammaln((config.dim + s) / 2) - special.gammaln(config.dim / 2)) for s in ORDERS}
    at = (1, 2, 4, 6, 8)
    arguments = (config, data, CONTRACTION_STEP_SIZE, chains, at[-1], at)
    starts = (_chains(*arguments, init_scale=scale, reduced=False) for scale in (1.0, 3.0))
    for steps, one, three in zip(at, *starts, strict=True):
        distance = np.linalg.norm(three - one, axis=1)
        for s in ORDERS:
            ratio = distance**s / (2**s * radius[s])  # x_0 - x'_0 is 2 N(0, I)
            measured, interval = rates.mean_interval(ratio)
            rows.append(
                {
                    "order": s,
                    "steps": steps,
                    "predicted": recursion.moment(s, CONTRACTION_STEP_SIZE, config.batch_size, config.dim) ** steps,
                    "measured": measured,
                    "interval": interval,
                }
            )
    return rows


def tables(summary: dict) -> list[Table]:
    """Predictions and measurements."""
    second = _tables.measured("second_moment", 4)
    return [
        _tables.of_rows(
            "Stationary law of SGD on least squares, with 95 % intervals",
            summary["rows"],
            ("step size", "{step_size:g}"),
            ("tail index\npredicted", "{tail_index_predicted:.3f}"),
            ("measured", _tables.measured("tail_index")),
            ("halfway", "{tail_index_halfway:.3f}"),
            ("E|x|^2\npredicted", "{second_moment_predicted:.4f}"),
            ("measured", lambda r: "-" if np.isinf(r["second_moment_predicted"]) else second(r)),
        ),
        _tables.of_rows(
            f"E|x_k - x'_k|^s / E|x_0 - x'_0|^s at step size {CONTRACTION_STEP_SIZE:g}: h(s)^k",
            summary["contraction"],
            ("s", "{order:g}"),
            ("k", "{steps}"),
            ("predicted", "{predicted:.4f}"),
            ("measured", _tables.measured("measured", 4, "interval")),
        ),
    ]


def plot(summary: dict) -> Figure:
    """Survival functions with predicted slopes; tail index against step size; contraction."""
    figure, (left, middle, right) = _figures.panels(12.5, 4.2)
    rows = summary["rows"]
    for i, row in enumerate(rows):
        look = mfplot.style(i, len(rows))
        x, share = np.asarray(row["survival"]["x"]), np.asarray(row["survival"]["share"])
        left.plot(x, share, label=f"{row['step_size']:g}", markevery=(4 * i, 40), markersize=4, linewidth=1.3, **look)
        anchor = np.searchsorted(share, 1e-3)
        tail = x[: anchor + 1]
        left.plot(tail, share[anchor] * (tail / x[anchor]) ** -row["tail_index_predicted"], color="black", linewidth=0.9, ls=":")
    _figures.named(left, "predicted slope", linewidth=0.9)
    logs = {"xscale": "log", "yscale": "log"}
    _figures.panel(left, "(a) tails", "norm $|x|$ of a chain", "share of chains above", {"title": "step size"}, **logs)
    left.set_xlim(left=0.1)
    etas, predicted = _figures.columns(rows, "step_size", "tail_index_predicted")
    found = _figures.columns(rows, "tail_index", "tail_index_interval")
    _figures.errorbars(middle, etas, *found, fmt="o", color="black", markersize=4, label="Hill")
    middle.plot(etas, predicted, color="tab:blue", label="predicted: $h(\\alpha) = 1$")
    _figures.panel(middle, "(b) tail index", "step size", "tail index", {}, **logs)
    mfplot.plain_numbers(middle.xaxis)
    mfplot.plain_numbers(middle.yaxis)
    for i, s in enumerate(ORDERS):
        these = [r for r in summary["contraction"] if r["order"] == s]
        look = _figures.points(i, len(ORDERS))
        k, predicted, measured, interval = _figures.columns(these, "steps", "predicted", "measured", "interval")
        _figures.errorbars(right, k, measured, interval, label=f"measured, $s = {s:g}$", **look)
        right.plot(k, predicted, color=look["color"], linestyle=":", label=f"$h({s:g})^k$")
    moment = "moment of the distance, relative to the start"
    _figures.panel(right, "(c) contraction", "steps $k$", moment, {}, yscale="log")
    mfplot.plain_numbers(right.yaxis)
    return figure


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
