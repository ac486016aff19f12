"""Compressibility: measured pruning errors beside their limits, rates and laws; the function and the bound of real networks.

    python -m sims.compressibility --out DIR

writes into DIR: config.json, summary.json, figure.png; and prints tables.
"""

import zlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table
from scipy import special, stats

import meanfield as mf
from meanfield import _check
from meanfield import plot as mfplot
from meanfield.measure import pruning, rates
from meanfield.theory import bounds, compressibility, recursion
from sims import _run, width_scaling

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
DEGREES = 5.0  # standard errors within which a simulated curve must lie
ENSEMBLES = ("independent", "columns", "layer")


@_run.config(parts=(100, 1_000, 10_000), replicas=20, indices=10, side=100, seeds=8)
class Config:
    """Pruning errors: where they vanish, how fast, and what they do to the function and the bound."""

    out: Path = Path("out/compressibility")
    """Directory for the results; made if it is not there."""
    parts: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    """Numbers of parts N."""
    replicas: int = 100
    """Independent samples of every law."""
    indices: int = 250
    """Tail indices in (1.75, 2) of the synthetic study."""
    side: int = 500
    """Rows and columns of its matrices."""
    seeds: int = 64
    """Runs of the coupled recursion."""
    key: int = 0
    """Seed of the random key of the whole run."""
    quick: bool = False
    """A small run, to see that everything works; it also takes the quick networks of width_scaling and fewer predictions."""


def run(config: Config) -> dict:
    """All parts, in the order of the panels (a) to (f)."""
    _check.integers("parts", config.parts, at_least=100)
    _check.require(len(config.parts) > 1, "parts", "hold at least two numbers", config.parts)
    for name in ("replicas", "indices", "seeds"):
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
            "networks": "two-layer ReLU networks of width_scaling, neurons pruned by norm or by weighted norm; errors of the "
            "parameters and of the function on test data, relative; accuracy lost; means over seeds",
            "bounds": "compression bound of the 0-1 risk from training data, above 1 vacuous; gap: test error - training error",
        },
        "parts": config.parts,
        "limits": limits(config),
        "rates": decay(config),
        "study": study(config),
        "combined": combined(config),
        **networks(config),
    }


# -- (a, b) independent parts ---------------------------------------------------------------------------------------------------


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
        row = {"law": name, "slope": float(fit), "interval": fit.interval, "log_error": level, "log_interval": interval}
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


# -- (c) the synthetic study of the founding paper ----------------------------------------------------------------------------------


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
    at = np.linspace(1.75, 1.99, 4 if config.quick else 9)
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
        "rank_correlation": {name: _rank_correlation(alphas, f) for name, f in fractions.items()},
    }


# -- (d) mean field, heavy tails and compressibility together ----------------------------------------------------------------------


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
            x = {n: np.asarray(results.particles[n].w, np.float64)[0] for n in widths}  # (seed, N, 1)
            logs[steps] = np.log([pruning.error_curve(x[n], KAPPA, "node") for n in widths]).T
        fit = rates.rate(config.parts, np.exp(logs[120]))
        level, interval = rates.mean_interval(logs[120].T)
        moved, moved_interval = rates.mean_interval((logs[120] - logs[60])[:, -1])
        row = {
            "step_size": eta,
            "index_predicted": alpha,
            "slope_predicted": 0.0 - float(compressibility.decay_exponent(alpha)),
            "slope": float(fit),
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


# -- (e, f) real networks -----------------------------------------------------------------------------------------------------------


def networks(config: Config) -> dict:
    """The networks of `width_scaling`: what pruning does to the function, and the bound that it gives."""
    widths = (64, 256) if config.quick else (128, 512, 2048, 8192)
    settings = width_scaling.Config(
        widths=widths, key=config.key, seeds=2 if config.quick else 4, steps=300 if config.quick else 10_000
    )
    system = width_scaling.prepare(settings)
    results = width_scaling.simulate(settings, system).require_uninterrupted()
    train, test = (tuple(map(np.asarray, system.data.splits[s])) for s in ("train", "test"))
    predict = jax.jit(system.network.predict)
    radius = float(max(np.linalg.norm(x, axis=1).max() for x, _ in (train, test)))
    rows, bounds_ = [], []
    for width in widths:
        ok = results.complete(width)
        for i, step_size in enumerate(np.asarray(results.dataset["step_size"])):
            states = [
                jax.tree.map(lambda leaf, i=i, s=s: np.asarray(leaf[i, s]), results.particles[width])
                for s in range(settings.seeds)
                if ok[i, s]
            ]
            at = {"width": width, "step_size": float(step_size), "runs": len(states)}
            if not states:
                continue
            for nodes in ("rows", "weighted"):
                for kappa in (0.1, 0.5):
                    made = [_function(predict, state, test, kappa, nodes) for state in states]
                    rows.append(
                        at | {"ranked_by": nodes, "kappa": kappa} | {k: float(np.mean([m[k] for m in made])) for k in made[0]}
                    )
            made = [_bound(predict, state, train, test, radius) for state in states]
            bounds_.append(at | {k: float(np.mean([m[k] for m in made])) for k in made[0]})
    index = width_scaling.measure(results)["tail_index"]
    for row in bounds_:  # Hill, the founding paper's reading of a tail
        row["index"] = float(1 / (1 / index.sel(width=row["width"], step_size=row["step_size"])).mean())
    return {"networks": rows, "bounds": bounds_, "bounds_ordered": _ordering(bounds_)}


def _loss(f, y) -> float:
    return float(np.mean(special.logsumexp(f, axis=1) - f[np.arange(len(y)), y]))


def _function(predict, state, data, kappa: float, nodes: str) -> dict:
    x, y = data
    made = {"parameters": float(pruning.error_curve(state, kappa, "node", nodes=nodes))}
    for normalisation in ("width", "kept"):
        curve: Any = pruning.function_curve(
            predict, state, x, [kappa], "node", y=y, loss=_loss, nodes=nodes, normalisation=normalisation
        )
        made |= {f"function_{normalisation}": curve.error[0], f"loss_{normalisation}": curve.loss[0] - curve.full_loss}
    return made | {"accuracy": curve.accuracy[0] - curve.full_accuracy}  # the largest output is the same in both


def _bound(predict, state, train, test, radius: float) -> dict:
    """The bound at pruning error ERROR, of the network (with margins) and of the pruned and rounded network itself."""
    vectors = np.asarray(state.vectors, np.float64)
    width, dim = vectors.shape
    errors = pruning.error_curve(vectors, np.arange(width + 1) / width, "node")
    kept = int(np.argmax(errors <= ERROR))
    margins, wrong = zip(*(_margins(predict, state, data) for data in (train, test)), strict=True)
    second = float(np.mean(np.sum(vectors**2, axis=1)))
    bound = bounds.compression_bound(margins[0], errors[kept : kept + 1], [kept], width, dim, second, radius)
    pruned = pruning.node(state, kept / width)
    rounded = pruned.like(np.asarray(jnp.asarray(pruned.vectors).astype(jnp.bfloat16).astype(jnp.float32)))
    length = float(bounds.description_length("node", kept, width, dim))
    return {
        "kept": kept / width,
        "nats": length,
        "complexity": bound.complexity,
        "margin_risk": bound.margin_risk,
        "bound": bound.value,
        "bound_of_pruned": float(bounds.occam(_margins(predict, rounded, train)[1], length, len(train[1]))),
        "examples_needed": bounds.examples_needed(bound, 0.1),
        "train_error": wrong[0],
        "gap": wrong[1] - wrong[0],
    }


def _margins(predict, state, data) -> tuple[np.ndarray, float]:
    """Output of the label over the largest other, and the share of those that are not positive."""
    x, y = data
    f, rows = np.asarray(predict(state, x), np.float64), np.arange(len(y))
    others = f.copy()
    others[rows, y] = -np.inf
    margins = f[rows, y] - others.max(axis=1)
    return margins, float(np.mean(margins <= 0))


def _ordering(rows: list[dict]) -> list[dict]:
    """Spearman's rank correlation of the tail index, over step sizes, with the length of the description at one pruning error."""
    made = []
    for width in sorted({row["width"] for row in rows}):
        of = [row for row in rows if row["width"] == width and np.isfinite(row["index"])]
        if len(of) > 2:
            index, nats, gap = ([row[name] for row in of] for name in ("index", "nats", "gap"))
            both = {"index_and_nats": _rank_correlation(index, nats), "index_and_gap": _rank_correlation(index, gap)}
            made.append({"width": width} | both)
    return made


def _rank_correlation(x, y) -> float:
    found: Any = stats.spearmanr(x, y)
    return float(found.statistic)


# -- tables and figure ------------------------------------------------------------------------------------------------------------


def tables(summary: dict) -> list[Table]:
    """Predictions beside measurements."""
    kappas = [float(k) for k in KAPPAS]
    curves = [
        (row["law"], *(f"{m:.4f} ({z:+.1f})" for m, z in zip(row["measured"], row["standard_errors"], strict=True)))
        for row in summary["limits"]
    ]
    slopes = [
        (
            row["law"],
            f"{row['slope_predicted']:.4f}",
            _run.with_interval(row["slope"], row["interval"], 4),
            _inside(row["slope_predicted"], row["interval"]) if row["law"] in HEAVY else "floor",
            f"{row['log_error_predicted'][-1]:.3f}",
            _run.with_interval(row["log_error"][-1], row["log_interval"][-1]),
        )
        for row in summary["rates"]
    ]
    found = summary["study"]
    ensembles = [
        (
            name,
            f"{np.min(found['fractions'][name]):.3f} to {np.max(found['fractions'][name]):.3f}",
            f"{found['rank_correlation'][name]:+.2f}",
            {
                "independent": f"{found['predicted'][1][-1]:.3f} to {found['predicted'][1][0]:.3f}, "
                f"{found['share_in_band']:.0%} in 95 % band",
                "columns": "grows with the number of columns",
                "layer": f"{found['layer_predicted']:.4f} whatever the index",
            }[name],
        )
        for name in ENSEMBLES
    ]
    together = [
        (
            f"{row['step_size']:g}",
            f"{row['index_predicted']:.3f}",
            f"{row['slope_predicted']:.4f}",
            _run.with_interval(row["slope"], row["interval"], 4),
            f"{row['floor_predicted']:.4f}" if "floor_predicted" in row else "0",
            _run.with_interval(np.exp(row["log_error"][-1]), np.exp(row["log_interval"][-1]), 4),
            _run.with_interval(row["moved_since_half"], row["moved_interval"]),
        )
        for row in summary["combined"]
    ]
    real = [
        (
            f"{row['step_size']:g}",
            str(row["width"]),
            f"{row['kappa']:g}",
            {"rows": "norm", "weighted": "weighted"}[row["ranked_by"]],
            *(f"{row[name]:.3f}" for name in ("parameters", "function_width", "function_kept")),
            *(f"{row[name]:+.3f}" for name in ("accuracy", "loss_width", "loss_kept")),
        )
        for row in sorted(summary["networks"], key=lambda r: (r["step_size"], r["width"], r["ranked_by"], r["kappa"]))
    ]
    priced = [
        (
            f"{row['step_size']:g}",
            str(row["width"]),
            f"{row['index']:.2f}",
            f"{row['kept']:.3f}",
            f"{row['nats']:.3g}",
            f"{row['margin_risk']:.2f} + {row['complexity']:.1f}",
            f"{row['bound_of_pruned']:.1f}" + (" vacuous" if row["bound_of_pruned"] >= 1 else ""),
            f"{row['examples_needed']:.2g}",
            f"{row['train_error']:.3f}",
            f"{row['gap']:+.3f}",
        )
        for row in sorted(summary["bounds"], key=lambda r: (r["step_size"], r["width"]))
    ]
    ordered = [(str(r["width"]), f"{r['index_and_nats']:+.2f}", f"{r['index_and_gap']:+.2f}") for r in summary["bounds_ordered"]]
    n = max(summary["parts"])
    return [
        _run.table(f"Measured error of {n} parts (standard errors from the limit)", ("law", *map("{:g}".format, kappas)), curves),
        _run.table(
            f"Slope of log error against log N, {KAPPA:.0%} kept",
            ("law", "predicted", "measured", "inside", f"log error at\n{n}, predicted", "measured"),
            slopes,
        ),
        _run.table(
            f"Prunable fraction at error {ERROR}, stable of index 1.75 to 2",
            ("ensemble", "measured", "rank correlation\nwith the index", "predicted"),
            ensembles,
        ),
        _run.table(
            "Coupled recursion: everything from theory",
            (
                "step\nsize",
                "index",
                "slope\npredicted",
                "measured",
                "limit\npredicted",
                f"error at\n{n}",
                "moved since\nhalf time",
            ),
            together,
        ),
        _run.table(
            "Real networks, pruned neurons: relative errors, and what accuracy and loss change; f divided by N or by the neurons kept",
            (
                "step\nsize",
                "width",
                "kept",
                "ranked by",
                "error of\nparam.",
                "function\n/N",
                "/kept",
                "accuracy",
                "loss\n/N",
                "/kept",
            ),
            real,
        ),
        _run.table(
            f"Compression bound at pruning error {ERROR}",
            (
                *("step\nsize", "width", "Hill\nindex", "kept", "nats", "margin risk\n+ complexity", "bound of the\npruned one"),
                *("examples for\ncomplexity 0.1", "train\nerror", "gap"),
            ),
            priced,
        ),
        _run.table("Rank correlation over the step sizes of the tail index with ...", ("width", "nats", "measured gap"), ordered),
    ]


def _inside(value: float, interval) -> str:
    low, high = np.asarray(interval, float)
    return "yes" if low <= value <= high else "no"


def plot(summary: dict) -> Figure:
    """Curves on their limits; error against N; the synthetic study; the combined statement; function against parameters; bounds."""
    figure = Figure(figsize=(13.5, 8.2), layout="constrained")
    (a, b, c), (d, e, f) = figure.subplots(2, 3)
    fine = np.linspace(0.005, 0.99, 60)
    for i, row in enumerate(summary["limits"]):
        look = mfplot.style(i, len(summary["limits"]))
        a.plot(
            row["kappas"],
            row["measured"],
            ls="none",
            marker=look["marker"],
            color=look["color"],
            markersize=4.5,
            label=row["law"],
        )
        a.plot(fine, compressibility.limit_error(LIGHT[row["law"]], fine), color=look["color"], linewidth=1, linestyle=":")
    a.plot([], [], color="black", linestyle=":", linewidth=1, label="limit")
    a.set(xlabel="fraction kept $\\kappa$", ylabel="relative $l_2$ error")
    parts = np.asarray(summary["parts"], float)
    for i, row in enumerate(summary["rates"]):
        _against_width(b, parts, row, mfplot.style(i, len(summary["rates"])), row["law"])
    b.plot([], [], color="black", linestyle=":", linewidth=1, label="predicted")
    b.set(xscale="log", yscale="log", xlabel="number of parts $N$", ylabel=f"error, {KAPPA:.0%} kept")
    found = summary["study"]
    for i, name in enumerate(ENSEMBLES):
        look = mfplot.style(i, 3)
        c.plot(
            found["alphas"],
            found["fractions"][name],
            ls="none",
            marker=look["marker"],
            color=look["color"],
            markersize=3,
            label=name,
        )
    low, middle, high = (np.asarray(line) for line in found["predicted"])
    c.fill_between(found["predicted_at"], low, high, color="0.85", zorder=0)
    c.plot(found["predicted_at"], middle, color="black", linestyle=":", linewidth=1.2, label="predicted, 95 % band")
    c.axhline(
        found["layer_predicted"], color="black", linestyle="--", linewidth=0.8, label=f"Gaussian, {found['layer_predicted']:.4f}"
    )
    c.set(xlabel="tail index", ylabel=f"prunable fraction at error {ERROR}")
    for i, row in enumerate(summary["combined"]):
        _against_width(d, parts, row, mfplot.style(i, 2), f"step {row['step_size']:g}, index {row['index_predicted']:.2f}")
    d.plot([], [], color="black", linestyle=":", linewidth=1, label="predicted slope, limit")
    d.set(xscale="log", yscale="log", xlabel="width $N$", ylabel=f"error, {KAPPA:.0%} kept")
    steps = sorted({row["step_size"] for row in summary["networks"]})
    for i, step in enumerate(steps):
        look = mfplot.style(i, len(steps))
        for nodes, filled in (("rows", True), ("weighted", False)):
            of = [r for r in summary["networks"] if r["step_size"] == step and r["ranked_by"] == nodes]
            fill = look["color"] if filled else "none"
            e.plot(
                [r["parameters"] for r in of],
                [r["function_width"] for r in of],
                ls="none",
                marker=look["marker"],
                color=look["color"],
                markerfacecolor=fill,
                label=f"step {step:g}" if filled else None,
            )
    e.plot([], [], ls="none", marker="o", color="black", markerfacecolor="none", label="ranked by weighted norm")
    line = np.array([0.02, 1.0])
    e.plot(line, line**2, color="black", linewidth=0.8, linestyle=":", label="square of it")
    e.set(xscale="log", yscale="log", xlabel="relative error of the parameters", ylabel="relative error of the function")
    widths = sorted({row["width"] for row in summary["bounds"]})
    for i, width in enumerate(widths):
        of = sorted((r for r in summary["bounds"] if r["width"] == width), key=lambda r: r["index"])
        f.plot(
            [r["index"] for r in of],
            [r["nats"] / r["width"] for r in of],
            label=f"N = {width}",
            **mfplot.style(i, len(widths)),
        )
    f.set(xscale="log", xlabel="Hill index of the neurons", ylabel=f"description at error {ERROR}, nats a neuron")
    mfplot.plain_numbers(f.xaxis)
    titles = (
        "(a) light tails",
        "(b) heavy tails",
        "(c) synthetic study",
        "(d) coupled recursion",
        "(e) networks",
        "(f) description",
    )
    for ax, title in zip((a, b, c, d, e, f), titles, strict=True):
        ax.set_title(title, loc="left", fontsize="medium")
        ax.legend(fontsize="x-small")
    return figure


def _against_width(ax, parts, row: dict, look: dict, label: str) -> None:
    value = np.exp(np.asarray(row["log_error"]))
    spread = np.abs(np.exp(np.asarray(row["log_interval"])).T - value)
    ax.errorbar(parts, value, spread, capsize=2, markersize=4.5, label=label, **(look | {"linestyle": "none"}))
    if "log_error_predicted" in row:
        line = np.exp(np.broadcast_to(row["log_error_predicted"], parts.shape))
    elif "floor_predicted" in row:
        line = np.full(parts.shape, row["floor_predicted"])
    else:
        line = value[-1] * (parts / parts[-1]) ** row["slope_predicted"]
    ax.plot(parts, line, color=look["color"], linestyle=":", linewidth=1.2)


def main(config: Config) -> int:
    """Run, write and print everything."""
    return _run.job(config, run, plot, tables)


if __name__ == "__main__":
    _run.command(Config, main)
