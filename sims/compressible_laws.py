"""Compressibility of independent parts and of a coupled recursion: measured pruning errors beside their limits, rates and laws."""

import dataclasses
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table
from scipy import stats

import meanfield as mf
from meanfield import _check
from meanfield.measure import pruning, rates
from meanfield.theory import compressibility, recursion

from . import _figures, _job, _tables

KAPPA, ERROR = 0.1, 0.1  # fraction kept at which widths are compared; error at which fractions are
KAPPAS = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9])
LIGHT: dict[str, Any] = {
    "normal": stats.norm(),
    "Laplace": stats.laplace(),
    "exp(-|x|^1/2)": stats.gennorm(0.5),
    "Student 5": stats.t(5),
    "Lomax 5": stats.lomax(5),
}
HEAVY: dict[str, Any] = {f"stable {alpha:g}": stats.levy_stable(alpha, 0) for alpha in (1.2, 1.5, 1.75, 1.9)}
HEAVY["Pareto 1"] = stats.pareto(1)
FLOOR: dict[str, Any] = {"Student 3": stats.t(3)}
ENSEMBLES = ("independent", "columns", "layer")


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """Pruning errors of N parts whose law is known: where they vanish, and how fast."""

    out: _job.Out = Path("out/compressible_laws")
    parts: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    """Numbers of parts N."""
    replicas: int = 100
    """Independent samples of every law."""
    indices: int = 250
    """Tail indices in (1.75, 2) of the synthetic study."""
    side: int = 500
    """Rows and columns of its matrices."""
    predictions: int = 9
    """Tail indices at which the band of the synthetic study is computed."""
    seeds: int = 64
    """Runs of the coupled recursion."""

    def sized(self):
        """The quick run."""
        small = {"parts": (100, 1_000, 10_000), "replicas": 20, "indices": 10, "side": 100, "predictions": 4, "seeds": 8}
        return dataclasses.replace(self, **small)


def run(config: Config) -> dict:
    """The four studies, in the order of the panels (a) to (d)."""
    _check.integers("parts", config.parts, at_least=100)
    _check.require(len(config.parts) > 1, "parts", "hold at least two numbers", config.parts)
    for name in ("replicas", "indices", "predictions", "seeds"):
        _check.integer(name, getattr(config, name), at_least=2)
    _check.integer("side", config.side, at_least=10)
    return {
        "about": {
            "limits": f"mean relative l_2 error of {config.replicas} samples of {max(config.parts)} parts at every kappa, the limit, "
            "and the distance in standard errors",
            "rates": f"slope of log error at kappa = {KAPPA} against log N, 95 % interval over replicas; level: mean log error at the "
            "largest N beside its prediction; nothing is fitted. A floor is met like N^(2/alpha - 1): its slope is 0 in the limit only",
            "study": f"fraction prunable at relative error {ERROR} of {config.side} x {config.side} matrices",
            "combined": "coupled recursion in d = b = 1 (every neuron sees data of its own and the mean of all), index from theory",
        },
        "parts": config.parts,
        "limits": limits(config),
        "rates": decay(config),
        "study": study(config),
        "combined": combined(config),
    }


def _samples(config: Config, name: str, law: Any, n: int):
    """Replicas of n parts, one at a time."""
    which = zlib.crc32(name.encode())  # laws have streams of their own
    stream, keys = np.random.default_rng([config.key, n, which]), jax.random.fold_in(jax.random.key(config.key), which)
    for replica in range(config.replicas):
        if law.dist.name == "levy_stable":
            key = jax.random.fold_in(jax.random.fold_in(keys, n), replica)
            yield np.asarray(mf.noise.symmetric_stable(key, law.args[0], (n,)))
        else:
            yield law.rvs(n, random_state=stream)


def limits(config: Config) -> list[dict]:
    """Laws with a limit: the measured curve on it."""
    rows = []
    for name, law in LIGHT.items():
        n = max(config.parts)
        curves = np.array([pruning.error_curve(x, KAPPAS, "magnitude") for x in _samples(config, name, law, n)])
        mean, error = curves.mean(axis=0), curves.std(axis=0, ddof=1) / np.sqrt(len(curves))
        exact = compressibility.limit_error(law, KAPPAS)
        rows.append({"law": name, "kappas": KAPPAS, "measured": mean, "limit": exact, "standard_errors": (mean - exact) / error})
    return rows


def decay(config: Config) -> list[dict]:
    """Error against N: rates and levels of heavy tails, and a law that keeps its floor."""
    rows = []
    for name, law in (HEAVY | FLOOR).items():
        log = np.log(
            [[pruning.error_curve(x, KAPPA, "magnitude") for x in _samples(config, name, law, n)] for n in config.parts]
        ).T
        fit = rates.rate(config.parts, np.exp(log))
        level, interval = rates.mean_interval(log.T)
        row = {"law": name, "slope": float(fit.value), "interval": fit.interval, "log_error": level, "log_interval": interval}
        if name in HEAVY:
            theory = compressibility.divergent_limit(law, KAPPA)
            row |= {
                "slope_predicted": -float(compressibility.decay_exponent(theory.alpha)),
                "log_error_predicted": [theory.error_mean_log(n) for n in config.parts],
            }
        else:
            row |= {"slope_predicted": 0.0, "log_error_predicted": [float(np.log(compressibility.limit_error(law, KAPPA)))]}
        rows.append(row)
    return rows


def study(config: Config) -> dict:
    """Independent entries, elliptical columns, an elliptical layer: stable of the same index, prunable fraction at one error."""
    side, rng = config.side, np.random.default_rng([config.key, config.side])
    alphas = np.sort(rng.uniform(1.75, 2, config.indices))
    fractions = {name: [] for name in ENSEMBLES}
    for i, alpha in enumerate(alphas):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(config.key), i), 3)
        draws = {
            "independent": mf.noise.symmetric_stable(keys[0], alpha, (side * side,)),
            "columns": mf.noise.isotropic_stable(keys[1], alpha, (side, side)),  # a vector is a column
            "layer": mf.noise.isotropic_stable(keys[2], alpha, (1, side * side)),
        }
        for name, draw in draws.items():
            fractions[name].append(float(pruning.prunable_fraction(np.ravel(draw), ERROR, "magnitude")))
    at = np.linspace(1.75, 1.99, config.predictions)
    band = [
        [compressibility.prunable_quantile(stats.levy_stable(a, 0), ERROR, side * side, level=v) for a in at]
        for v in (0.025, 0.5, 0.975)
    ]
    inside = [np.interp(alphas, at, edge) for edge in band]
    independent = np.array(fractions["independent"])
    return {
        "alphas": alphas,
        "fractions": fractions,
        "predicted_at": at,
        "predicted": band,
        "share_in_band": float(np.mean((independent >= inside[0]) & (independent <= inside[2]))),
        "layer_predicted": compressibility.prunable_fraction(stats.norm(), ERROR),
        "rank_correlation": {name: rank_correlation(alphas, f) for name, f in fractions.items()},
    }


def rank_correlation(x, y) -> float:
    """Spearman's."""
    found: Any = stats.spearmanr(x, y)
    return float(found.statistic)


def combined(config: Config) -> list[dict]:
    """The coupled recursion: tail index from h(alpha) = 1, and from it the rate, or the floor, of its pruning error."""
    rows = []
    for eta in (1.0, 0.5):
        dynamics = mf.dynamics.LinearRecursion(eta, 1, weight_decay=0.25, coupled=True)
        system = mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(1), dynamics)
        alpha = recursion.tail_index(eta, 1, 1, weight_decay=0.25)
        logs = {}
        for steps in (60, 120):  # the Lyapunov exponent is -0.6: the start is forgotten
            key = jax.random.key(config.key)
            widths = sorted(config.parts)
            results = mf.simulate(system, widths=widths, steps=steps, seeds=config.seeds, key=key, probes=()).require_complete()
            x = {n: results.particles_at(width=n, step_size=eta).to_numpy().astype(np.float64) for n in widths}  # (seed, N, 1)
            logs[steps] = np.log([pruning.error_curve(x[n], KAPPA, "node") for n in widths]).T
        fit = rates.rate(config.parts, np.exp(logs[120]))
        level, interval = rates.mean_interval(logs[120].T)
        moved, moved_interval = rates.mean_interval((logs[120] - logs[60])[:, -1])
        row = {
            "step_size": eta,
            "index_predicted": alpha,
            "slope_predicted": 0.0 - float(compressibility.decay_exponent(alpha)),
            "slope": float(fit.value),
            "interval": fit.interval,
            "log_error": level,
            "log_interval": interval,
            "moved_since_half": float(moved),
            "moved_interval": moved_interval,
        }
        if alpha > 2:
            sizes = np.abs(x[max(config.parts)][..., 0]).ravel()
            row["floor_predicted"] = float(pruning.extrapolated_limit(sizes, KAPPA, alpha, k=max(100, len(sizes) // 1000)))
        rows.append(row)
    return rows


def tables(summary: dict) -> list[Table]:
    """Predictions beside measurements."""
    n, found = max(summary["parts"]), summary["study"]
    at_kappa = lambda i: lambda r: f"{r['measured'][i]:.4f} ({r['standard_errors'][i]:+.1f})"  # noqa: E731
    band = f"{found['predicted'][1][-1]:.3f} to {found['predicted'][1][0]:.3f}, {found['share_in_band']:.0%} in 95 % band"
    predicted = {
        "independent": band,
        "columns": "grows with the number of columns",
        "layer": f"{found['layer_predicted']:.4f} whatever the index",
    }
    fractions = lambda name: f"{np.min(found['fractions'][name]):.3f} to {np.max(found['fractions'][name]):.3f}"  # noqa: E731
    slope = _tables.measured("slope", 4, "interval")
    return [
        _tables.of_rows(
            f"Measured error of {n} parts (standard errors from the limit)",
            summary["limits"],
            ("law", "{law}"),
            *((f"{kappa:g}", at_kappa(i)) for i, kappa in enumerate(KAPPAS)),
        ),
        _tables.of_rows(
            f"Slope of log error against log N, {KAPPA:.0%} kept",
            summary["rates"],
            ("law", "{law}"),
            ("predicted", "{slope_predicted:.4f}"),
            ("measured", slope),
            ("inside", lambda r: _slope_inside(r) if r["law"] in HEAVY else "floor"),
            (f"log error at\n{n}, predicted", lambda r: f"{r['log_error_predicted'][-1]:.3f}"),
            ("measured", lambda r: _tables.with_interval(r["log_error"][-1], r["log_interval"][-1])),
        ),
        _tables.of_rows(
            f"Prunable fraction at error {ERROR}, stable of index 1.75 to 2",
            [{"name": name} for name in ENSEMBLES],
            ("ensemble", "{name}"),
            ("measured", lambda r: fractions(r["name"])),
            ("rank correlation\nwith the index", lambda r: f"{found['rank_correlation'][r['name']]:+.2f}"),
            ("predicted", lambda r: predicted[r["name"]]),
        ),
        _tables.of_rows(
            "Coupled recursion: everything from theory",
            summary["combined"],
            ("step\nsize", "{step_size:g}"),
            ("index", "{index_predicted:.3f}"),
            ("slope\npredicted", "{slope_predicted:.4f}"),
            ("measured", slope),
            ("limit\npredicted", lambda r: f"{r['floor_predicted']:.4f}" if "floor_predicted" in r else "0"),
            (f"error at\n{n}", lambda r: _tables.with_interval(np.exp(r["log_error"][-1]), np.exp(r["log_interval"][-1]), 4)),
            ("moved since\nhalf time", _tables.measured("moved_since_half", 3, "moved_interval")),
        ),
    ]


def _slope_inside(row: dict) -> str:
    return "yes" if _tables.inside({"predicted": row["slope_predicted"], "interval": row["interval"]}) else "no"


def plot(summary: dict) -> Figure:
    """Curves on their limits; error against N; the synthetic study; the coupled recursion."""
    figure, axes = _figures.panels(9.2, 8.2, rows=2, columns=2)
    draw(axes, summary)
    return figure


def draw(axes: Sequence[Axes], summary: dict) -> None:
    """The four panels."""
    a, b, c, d = axes
    error, small = f"error, {KAPPA:.0%} kept", {"fontsize": "x-small"}
    fine = np.linspace(0.005, 0.99, 60)
    for i, row in enumerate(summary["limits"]):
        look = _figures.points(i, len(summary["limits"]))
        a.plot(row["kappas"], row["measured"], markersize=4.5, label=row["law"], **look)
        a.plot(fine, compressibility.limit_error(LIGHT[row["law"]], fine), color=look["color"], linewidth=1, linestyle=":")
    _figures.named(a, "limit", linewidth=1)
    _figures.panel(a, "(a) light tails", "fraction kept $\\kappa$", "relative $l_2$ error", small)
    parts = np.asarray(summary["parts"], float)
    for i, row in enumerate(summary["rates"]):
        _against_width(b, parts, row, _figures.points(i, len(summary["rates"])), row["law"])
    _figures.named(b, "predicted", linewidth=1)
    _figures.panel(b, "(b) heavy tails", "number of parts $N$", error, small, xscale="log", yscale="log")
    found = summary["study"]
    for i, name in enumerate(ENSEMBLES):
        c.plot(found["alphas"], found["fractions"][name], markersize=3, label=name, **_figures.points(i, 3))
    low, middle, high = found["predicted"]
    _figures.band(c, found["predicted_at"], np.transpose([low, high]))
    c.plot(found["predicted_at"], middle, color="black", linestyle=":", linewidth=1.2, label="predicted, 95 % band")
    level = found["layer_predicted"]
    c.axhline(level, color="black", linestyle="--", linewidth=0.8, label=f"Gaussian, {level:.4f}")
    _figures.panel(c, "(c) synthetic study", "tail index", f"prunable fraction at error {ERROR}", small)
    for i, row in enumerate(summary["combined"]):
        label = f"step {row['step_size']:g}, index {row['index_predicted']:.2f}"
        _against_width(d, parts, row, _figures.points(i, 2), label)
    _figures.named(d, "predicted slope, limit", linewidth=1)
    _figures.panel(d, "(d) coupled recursion", "width $N$", error, small, xscale="log", yscale="log")


def _against_width(ax: Axes, parts: np.ndarray, row: dict, look: dict, label: str) -> None:
    """Errors, and the line that is predicted: levels where theory has them, else a slope."""
    value = np.exp(np.asarray(row["log_error"]))
    _figures.errorbars(ax, parts, value, np.exp(np.asarray(row["log_interval"])), label=label, **look)
    if "log_error_predicted" in row:
        line = np.exp(np.broadcast_to(row["log_error_predicted"], parts.shape))
    elif "floor_predicted" in row:
        line = np.full(parts.shape, row["floor_predicted"])
    else:
        line = value[-1] * (parts / parts[-1]) ** row["slope_predicted"]
    ax.plot(parts, line, color=look["color"], linestyle=":", linewidth=1.2)


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
