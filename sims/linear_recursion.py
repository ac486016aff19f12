"""SGD on least squares: tail indices, second moments and contraction of millions of chains beside their exact predictions.

    python -m sims.linear_recursion --out DIR

writes into DIR: config.json, summary.json, figure.png; and prints tables.
"""

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
from sims import _run

CONTRACTION_STEP_SIZE = 0.5
ORDERS = (0.5, 1.0)  # of the moments of the distance of coupled chains


@_run.config(chains=20_000, top=400)
class Config:
    """One-dimensional SGD on least squares with Gaussian inputs, x <- (1 - (eta/b) sum a_i^2) x + q: measured beside predicted."""

    out: Path = Path("out/linear_recursion")
    """Directory for the results; made if it is not there."""
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
    key: int = 0
    """Seed of the random key of the whole run."""
    quick: bool = False
    """A small run, to see that everything works."""


def run(config: Config) -> dict:
    """Simulate and measure; the summary with predictions beside measurements. Takes some forty seconds at full size."""
    chains, top = config.chains, config.top
    _check.integer("chains", chains, at_least=100)
    _check.require(0 < top < chains, "top", "be an integer from 1 to the number of chains", top)
    data = mf.data.gaussian_regression(config.dim)
    rows = [_stationary(config, data, float(eta), chains, top) for eta in config.step_sizes]
    return {
        "about": {
            "tail_index": f"Hill with the {top} largest norms of {chains} chains after {config.steps} steps, 95 % interval",
            "tail_index_bias": "light tails become power laws beyond the largest of the sample: there Hill reads the body, too low",
            "tail_index_halfway": "the same after half the steps: equal within the intervals if the chains are stationary",
            "second_moment": "mean of |x|^2 with its 95 % interval; none where the prediction of the tail index is 4 or less, "
            "because |x|^2 has no variance there and the error no normal law",
            "contraction": f"E|x_k - x'_k|^s / E|x_0 - x'_0|^s of chains with common data at step size {CONTRACTION_STEP_SIZE}",
        },
        "rows": rows,
        "contraction": _contraction(config, data, chains),
    }


def _paths(
    config: Config,
    data,
    eta: float,
    chains: int,
    steps: int,
    at: tuple[int, ...],
    init_scale: float = 1.0,
    reduced: bool = True,
):
    """All chains at the steps `at`: a list of float64 arrays (chains, dim)."""
    probe = mf.probes.Subsample(count=chains, at=at)
    recursion_ = mf.dynamics.LinearRecursion(eta, config.batch_size, reduced=reduced)
    system = mf.System(mf.dynamics.chains(init_scale), data, recursion_)
    key = jax.random.key(config.key)
    results = mf.simulate(system, widths=chains, steps=steps, seeds=1, key=key, probes=[probe]).require_complete()
    seen = results.dataset["particle"].isel(width=0, step_size=0, seed=0).transpose("step", "neuron", "component")
    return [np.asarray(one, np.float64) for one in seen.to_numpy()]


def _stationary(config, data, eta, chains, top) -> dict:
    parameters = (eta, config.batch_size, config.dim)
    predicted = recursion.tail_index(*parameters)
    halfway, final = _paths(config, data, eta, chains, config.steps, at=(config.steps // 2, config.steps))
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
    starts = (_paths(config, data, CONTRACTION_STEP_SIZE, chains, at[-1], at, scale, reduced=False) for scale in (1.0, 3.0))
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
    columns = ("step size", "tail index\npredicted", "measured", "halfway", "E|x|^2\npredicted", "measured")
    rows = [
        (
            f"{r['step_size']:g}",
            f"{r['tail_index_predicted']:.3f}",
            _run.with_interval(r["tail_index"], r["tail_index_interval"]),
            f"{r['tail_index_halfway']:.3f}",
            f"{r['second_moment_predicted']:.4f}",
            "-"
            if np.isinf(r["second_moment_predicted"])
            else _run.with_interval(r["second_moment"], r["second_moment_interval"], 4),
        )
        for r in summary["rows"]
    ]
    contraction = [
        (f"{r['order']:g}", str(r["steps"]), f"{r['predicted']:.4f}", _run.with_interval(r["measured"], r["interval"], 4))
        for r in summary["contraction"]
    ]
    return [
        _run.table("Stationary law of SGD on least squares, with 95 % intervals", columns, rows),
        _run.table(
            f"E|x_k - x'_k|^s / E|x_0 - x'_0|^s at step size {CONTRACTION_STEP_SIZE:g}: h(s)^k",
            ("s", "k", "predicted", "measured"),
            contraction,
        ),
    ]


def plot(summary: dict) -> Figure:
    """Survival functions with predicted slopes; tail index against step size; contraction."""
    figure = Figure(figsize=(12.5, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    rows = summary["rows"]
    for i, row in enumerate(rows):
        look = mfplot.style(i, len(rows))
        x, share = np.asarray(row["survival"]["x"]), np.asarray(row["survival"]["share"])
        left.plot(x, share, label=f"{row['step_size']:g}", markevery=(4 * i, 40), markersize=4, linewidth=1.3, **look)
        anchor = np.searchsorted(share, 1e-3)
        tail = x[: anchor + 1]
        left.plot(tail, share[anchor] * (tail / x[anchor]) ** -row["tail_index_predicted"], color="black", linewidth=0.9, ls=":")
    left.plot([], [], color="black", linewidth=0.9, ls=":", label="predicted slope")
    left.set(xscale="log", yscale="log", xlabel="norm $|x|$ of a chain", ylabel="share of chains above")
    left.set_xlim(left=0.1)
    left.legend(title="step size", fontsize="small", title_fontsize="small")
    etas = np.array([r["step_size"] for r in rows])
    measured, interval = (np.array([r[k] for r in rows]) for k in ("tail_index", "tail_index_interval"))
    middle.errorbar(etas, measured, np.abs(interval.T - measured), fmt="o", color="black", markersize=4, capsize=2, label="Hill")
    middle.plot(etas, [r["tail_index_predicted"] for r in rows], color="tab:blue", label="predicted: $h(\\alpha) = 1$")
    middle.set(xscale="log", yscale="log", xlabel="step size", ylabel="tail index")
    mfplot.plain_numbers(middle.xaxis)
    mfplot.plain_numbers(middle.yaxis)
    middle.legend(fontsize="small")
    for i, s in enumerate(ORDERS):
        these = [r for r in summary["contraction"] if r["order"] == s]
        k, m = [r["steps"] for r in these], np.array([r["measured"] for r in these])
        spread = np.abs(np.array([r["interval"] for r in these]).T - m)
        look = mfplot.style(i, len(ORDERS)) | {"linestyle": "none"}
        right.errorbar(k, m, spread, capsize=2, markersize=4.5, label=f"measured, $s = {s:g}$", **look)
        right.plot(k, [r["predicted"] for r in these], color=look["color"], linestyle=":", label=f"$h({s:g})^k$")
    right.set(yscale="log", xlabel="steps $k$", ylabel="moment of the distance, relative to the start")
    mfplot.plain_numbers(right.yaxis)
    right.legend(fontsize="small")
    for ax, title in zip((left, middle, right), ("(a) tails", "(b) tail index", "(c) contraction"), strict=True):
        ax.set_title(title, loc="left", fontsize="medium")
    return figure


def main(config: Config) -> int:
    """Run, write and print everything."""
    return _run.job(config, run, plot, tables)


if __name__ == "__main__":
    _run.command(Config, main)
