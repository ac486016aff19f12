"""Tail index of SGD on least squares: predicted beside measured over step size, batch size, dimension and kinds of inputs."""

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass
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

from . import _figures, _job, _tables

SPECTRUM = (1.0, 0.5, 0.25)  # eigenvalues of the covariance of the other Gaussian inputs
COMPONENTS = 3  # principal components of the digits, each with variance 1
OTHER_STEP_SIZES = {"gaussian": (0.5, 0.7), "digits": (0.45, 0.55)}
OTHER_STEPS = 1_000
NEGLIGIBLE = 1e-3  # what may be left of the start in the moments of low order


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """Stationary tail index of independent chains of SGD on least squares, at step sizes chosen for given indices."""

    out: _job.Out = Path("out/tail_index")
    dims: tuple[int, ...] = (1, 2, 5, 10)
    """Dimensions d of isotropic Gaussian inputs."""
    batch_sizes: tuple[int, ...] = (1, 10)
    """Mini-batch sizes b."""
    indices: tuple[float, ...] = (1.2, 1.5, 2.0, 3.0, 4.0)
    """Tail indices: the step sizes are those that theory gives for them, since at d = 10 the window of indices from 0 to 2 is a few percent
    wide."""
    chains: int = 200_000
    """Number of independent chains."""
    population: int = 20_000
    """Directions of the population solver, which predicts the index for other inputs."""
    solver_steps: int = 1_000
    """Steps of the population solver."""

    def sized(self):
        """The quick run."""
        small = {"dims": (1, 2), "batch_sizes": (1,), "indices": (1.5, 3.0), "chains": 20_000}
        return dataclasses.replace(self, **small, population=2_000, solver_steps=500)


@_job.options(alpha="indices")
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
    system = mf.System(mf.dynamics.chains(), data, mf.dynamics.LinearRecursion(eta, size))
    grid = {"widths": chains, "steps": steps, "seeds": 1, "key": jax.random.key(seed)}
    results = mf.simulate(system, probes=[mf.probes.Snapshot(at=(steps // 2,))], **grid).require_complete()
    seen = (results.particles_at(at, width=chains, step_size=eta, seed=0) for at in (steps // 2, None))
    earlier, norms = (np.linalg.norm(one.to_numpy().astype(np.float64), axis=-1) for one in seen)
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
    solver: dict[str, Any] = {"key": jax.random.key(0), "population": config.population, "steps": config.solver_steps}
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


def tables(summary: dict) -> list[Table]:
    """Predictions and measurements."""
    rows = summary["rows"]
    shares = {(w["dim"], w["batch_size"]): w["share"] for w in summary["window"]}
    count = sum(_tables.inside(r) and r["stationary"] for r in rows)
    found = _tables.measured("measured", 3, "interval")
    return [
        _tables.of_rows(
            f"Isotropic Gaussian inputs: {count} of {len(rows)} predictions inside their 95 % intervals",
            rows,
            ("d", "{dim}"),
            ("b", "{batch_size}"),
            ("step size", "{step_size:.5g}"),
            ("critical /\nmaximal step", lambda r: f"{shares[r['dim'], r['batch_size']]:.1%}"),
            ("steps", "{steps}"),
            ("index\npredicted", "{predicted:.2f}"),
            ("measured", found),
            ("inside", _tables.verdict),
        ),
        _tables.of_rows(
            "Other inputs, b = 1",
            summary["others"],
            ("inputs", "{inputs}"),
            ("step size", "{step_size:g}"),
            ("index\npredicted", "{predicted:.3f} +- {predicted_error:.3f}"),
            ("measured", found),
            ("inside", _tables.verdict),
        ),
    ]


def plot(summary: dict) -> Figure:
    """One panel a dimension: predicted curve, measured indices, the window in which the index is below 2."""
    dims = list(dict.fromkeys(r["dim"] for r in summary["rows"]))
    sizes = list(dict.fromkeys(r["batch_size"] for r in summary["rows"]))
    figure, axes = _figures.panels(3.4 * len(dims) + 0.6, 3.9, columns=len(dims), sharey=True)
    for ax, dim, letter in zip(axes, dims, "abcdefgh", strict=False):
        for i, size in enumerate(sizes):
            at = lambda row, dim=dim, size=size: row["dim"] == dim and row["batch_size"] == size  # noqa: E731
            look = mfplot.style(i, len(sizes) + 1)
            curve, window = next(filter(at, summary["curves"])), next(filter(at, summary["window"]))
            step_sizes, alphas, interval = _figures.columns([*filter(at, summary["rows"])], "step_size", "measured", "interval")
            ax.axvspan(window["share"], 1, color=look["color"], alpha=0.18, linewidth=0)
            ax.plot(curve["share"], curve["alpha"], color=look["color"], linestyle=look["linestyle"], linewidth=1.2)
            shares, look = step_sizes / window["maximal"], look | {"linestyle": "none"}
            _figures.errorbars(ax, shares, alphas, interval, label=f"$b = {size}$", **look)
        ax.axhline(2, color="black", linewidth=0.6)
        _figures.panel(ax, f"({letter}) $d = {dim}$", "step size / largest stable one", xlim=(0, 1.02), ylim=(0, 6))
    axes[0].set_ylabel("tail index")
    _figures.named(axes[-1], "predicted", linestyle="-", linewidth=1.2)
    axes[-1].fill_between([], [], color="grey", alpha=0.3, label="index below 2")
    axes[-1].legend(fontsize="small", loc="upper left")  # in the last panel, where the curves are at the right
    return figure


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
