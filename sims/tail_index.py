"""Tail index of SGD on least squares: predicted beside measured over step size, batch size, dimension and kinds of inputs.

    python -m sims.tail_index --out DIR

writes into DIR: config.json, summary.json, figure.png; and prints tables.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import _check
from meanfield import plot as mfplot
from meanfield.measure import tails
from meanfield.systems.examples import digit_components
from meanfield.theory import least_squares, recursion
from sims import _run

SPECTRUM = (1.0, 0.5, 0.25)  # eigenvalues of the covariance of the other Gaussian inputs
COMPONENTS = 3  # principal components of the digits, each with variance 1
OTHER_STEP_SIZES = {"gaussian": (0.5, 0.7), "digits": (0.45, 0.55)}
OTHER_STEPS = 1_000
NEGLIGIBLE = 1e-3  # what may be left of the start in the moments of low order


@_run.config(dims=(1, 2), batch_sizes=(1,), indices=(1.5, 3.0), chains=20_000)
class Config:
    """Stationary tail index of independent chains of SGD on least squares, at step sizes chosen for given indices."""

    out: Path = Path("out/tail_index")
    """Directory for the results; made if it is not there."""
    dims: tuple[int, ...] = (1, 2, 5, 10)
    """Dimensions d of isotropic Gaussian inputs."""
    batch_sizes: tuple[int, ...] = (1, 10)
    """Mini-batch sizes b."""
    indices: tuple[float, ...] = (1.2, 1.5, 2.0, 3.0, 4.0)
    """Tail indices: the step sizes are those that theory gives for them, since at d = 10 the window of indices from 0 to 2 is a few percent
    wide."""
    chains: int = 200_000
    """Number of independent chains."""
    key: int = 0
    """Seed of the random key of the whole run."""
    quick: bool = False
    """A small run, to see that everything works; it also takes a smaller population in the solver."""


def run(config: Config) -> dict:
    """Simulate and measure; the summary with predictions beside measurements. Takes some minutes at full size."""
    chains, dims, sizes, indices = config.chains, config.dims, config.batch_sizes, config.indices
    _check.integer("chains", chains, at_least=1_000)
    rows = []
    for dim in dims:
        data = mf.data.gaussian_regression(dim)
        for size in sizes:
            for alpha in indices:
                eta = recursion.step_size_for(alpha, size, dim)
                steps = stationary_after(eta, size, dim, chains)
                measured = _measured(data, eta, size, steps, chains, config.key)
                rows.append({"dim": dim, "batch_size": size, "predicted": alpha, "step_size": eta, "steps": steps} | measured)
    return {
        "about": {
            "measured": f"tail_index of the norms of {chains} chains, with its 95 % interval",
            "stationary": "whether index and ranks have stayed within 4 standard errors since half of the steps (`tail_family`)",
            "inside": "whether the prediction lies in the interval: of intervals that are right, 19 of 20 hold it",
            "steps": "of a run, after which the start is forgotten and the tail has reached the largest of the chains: `stationary_after`",
            "window": "step sizes, as shares of the largest one with a stationary law, at which the index is below 2",
            "others": "predicted by the population solver, with its standard error; digits: three principal components with variance 1,"
            " regressed on whether the digit is 5 or more",
        },
        "rows": rows,
        "window": [_window(dim, size) for dim in dims for size in sizes],
        "curves": [_curve(dim, size) for dim in dims for size in sizes],
        "others": _others(config, chains),
    }


def stationary_after(step_size: float, batch_size: int, dim: int, chains: int) -> int:
    """Steps after which the chains are stationary down to the largest of them.

    `E|x_k - x'_k|^s = h(s)^k E|x_0 - x'_0|^s` forgets the start at the order s at which h is smallest. And what is large now has
    grown from what is small by h'(alpha) a step: the largest of n chains, n^(1/alpha), needs log(n) / (alpha h'(alpha)) steps, with
    fluctuations for which we take three times as many.
    """
    alpha = recursion.tail_index(step_size, batch_size, dim)
    log_h = lambda s: float(np.log(recursion.moment(s, step_size, batch_size, dim)))  # noqa: E731
    rate = -min(log_h(s) for s in np.linspace(0, alpha, 33)[1:-1])
    slope = (log_h(alpha * (1 + 1e-4)) - log_h(alpha * (1 - 1e-4))) / (2e-4 * alpha)
    return int(np.ceil(-np.log(NEGLIGIBLE) / rate + 3 * np.log(chains) / (alpha * slope)))


def _measured(data, eta: float, size: int, steps: int, chains: int, seed: int) -> dict:
    """Index of the norms of the chains, and whether they have been stationary since half of the steps."""
    probe = mf.probes.Subsample(count=chains, at=(steps // 2, steps))
    system = mf.System(mf.dynamics.chains(), data, mf.dynamics.LinearRecursion(eta, size))
    results = mf.simulate(system, widths=chains, steps=steps, seeds=1, key=jax.random.key(seed), probes=[probe])
    seen = (
        results.require_complete().dataset["particle"].isel(width=0, step_size=0, seed=0).transpose("step", "neuron", "component")
    )
    earlier, norms = np.linalg.norm(seen.to_numpy().astype(np.float64), axis=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tails.StationarityWarning)  # it is in the table
        family = tails.tail_family(norms, earlier=earlier)
    fit = family.fit
    return {
        "measured": float(fit.alpha),
        "standard_error": float(fit.standard_error),
        "interval": fit.interval,
        "k": int(fit.k),
        "family": family.family.item().name,
        "moved": family.moved,
        "stationary": bool(family.stationary),
    }


def _window(dim: int, size: int) -> dict:
    critical, largest = recursion.critical_step_size(size, dim), recursion.maximal_step_size(size, dim)
    return {"dim": dim, "batch_size": size, "critical": critical, "maximal": largest, "share": critical / largest}


def _curve(dim: int, size: int) -> dict:
    """Predicted index over step sizes up to the largest one with a stationary law."""
    share = np.linspace(0.02, 0.999, 80)
    etas = share * recursion.maximal_step_size(size, dim)
    return {"dim": dim, "batch_size": size, "share": share, "alpha": [recursion.tail_index(eta, size, dim) for eta in etas]}


def _others(config: Config, chains: int) -> list[dict]:
    """Gaussian inputs with unequal eigenvalues, and a real finite set: predicted by the population solver."""
    x, labels = digit_components(COMPONENTS, whitened=True)
    targets = np.where(labels >= 5, 1.0, -1.0)[:, None]
    solver: dict[str, Any] = {"population": 2_000, "steps": 500} if config.quick else {"population": 20_000, "steps": 1_000}
    solver["key"] = jax.random.key(0)
    covariance = np.diag(SPECTRUM)
    kinds: dict[str, tuple[object, Callable[[float], mf.Estimate]]] = {
        "gaussian": (
            mf.data.gaussian_regression(len(SPECTRUM), covariance=covariance),
            lambda eta: least_squares.gaussian_tail_index(covariance, eta, 1, **solver),
        ),
        "digits": (mf.data.from_arrays(x, targets), lambda eta: least_squares.empirical_tail_index(x, eta, 1, **solver)),
    }
    rows = []
    for name, (data, predict) in kinds.items():
        for eta in OTHER_STEP_SIZES[name]:
            predicted = predict(eta)
            row = {"inputs": name, "step_size": eta, "predicted": predicted.value, "predicted_error": predicted.standard_error}
            rows.append(row | _measured(data, eta, 1, OTHER_STEPS, chains, config.key))
    return rows


def inside(row: dict) -> bool:
    """Whether the prediction lies within the interval of the measurement, widened by the error of the prediction."""
    low, high = row["interval"]
    slack = 2 * row.get("predicted_error", 0.0)
    return bool(low - slack <= row["predicted"] <= high + slack)


def tables(summary: dict) -> list[Table]:
    """Predictions and measurements."""
    rows, others = summary["rows"], summary["others"]
    verdict = lambda r: ("yes" if inside(r) else "no") if r["stationary"] else "not stationary"  # noqa: E731
    measured = lambda r: _run.with_interval(r["measured"], r["interval"])  # noqa: E731
    shares = {(w["dim"], w["batch_size"]): w["share"] for w in summary["window"]}
    main = [
        (
            str(r["dim"]),
            str(r["batch_size"]),
            f"{r['step_size']:.5g}",
            f"{shares[r['dim'], r['batch_size']]:.1%}",
            str(r["steps"]),
            f"{r['predicted']:.2f}",
            measured(r),
            verdict(r),
        )
        for r in rows
    ]
    count = sum(inside(r) and r["stationary"] for r in rows)
    columns = ("d", "b", "step size", "critical /\nmaximal step", "steps", "index\npredicted", "measured", "inside")
    solved = [
        (r["inputs"], f"{r['step_size']:g}", f"{r['predicted']:.3f} +- {r['predicted_error']:.3f}", measured(r), verdict(r))
        for r in others
    ]
    return [
        _run.table(f"Isotropic Gaussian inputs: {count} of {len(rows)} predictions inside their 95 % intervals", columns, main),
        _run.table("Other inputs, b = 1", ("inputs", "step size", "index\npredicted", "measured", "inside"), solved),
    ]


def plot(summary: dict) -> Figure:
    """One panel a dimension: predicted curve, measured indices, the window in which the index is below 2."""
    dims = list(dict.fromkeys(r["dim"] for r in summary["rows"]))
    sizes = list(dict.fromkeys(r["batch_size"] for r in summary["rows"]))
    figure = Figure(figsize=(3.4 * len(dims) + 0.6, 3.9), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(dims), sharey=True))
    for panel, (ax, dim) in enumerate(zip(axes, dims, strict=True)):
        for i, size in enumerate(sizes):
            at = lambda row, dim=dim, size=size: row["dim"] == dim and row["batch_size"] == size  # noqa: E731
            look = mfplot.style(i, len(sizes) + 1)
            curve, window = next(filter(at, summary["curves"])), next(filter(at, summary["window"]))
            rows = list(filter(at, summary["rows"]))
            alphas, interval = (np.array([r[k] for r in rows]) for k in ("measured", "interval"))
            share = np.array([r["step_size"] for r in rows]) / window["maximal"]
            ax.axvspan(window["share"], 1, color=look["color"], alpha=0.18, linewidth=0)
            ax.plot(curve["share"], curve["alpha"], color=look["color"], linestyle=look["linestyle"], linewidth=1.2)
            error = np.abs(interval.T - alphas)
            ax.errorbar(
                share, alphas, error, fmt=look["marker"], color=look["color"], markersize=4.5, capsize=2, label=f"$b = {size}$"
            )
        ax.axhline(2, color="black", linewidth=0.6)
        ax.set(xlim=(0, 1.02), ylim=(0, 6), xlabel="step size / largest stable one")
        ax.set_title(f"({'abcdefgh'[panel]}) $d = {dim}$", loc="left", fontsize="medium")
    axes[0].set_ylabel("tail index")
    axes[-1].plot([], [], color="black", linewidth=1.2, label="predicted")
    axes[-1].fill_between([], [], color="grey", alpha=0.3, label="index below 2")
    axes[-1].legend(fontsize="small", loc="upper left")  # in the last panel, where the curves are at the right
    return figure


def main(config: Config) -> int:
    """Run, write and print everything."""
    return _run.job(config, run, plot, tables)


if __name__ == "__main__":
    _run.command(Config, main)
