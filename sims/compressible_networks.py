"""Compressibility of trained networks: pruning in the parameters and in the function, and the generalisation bound that it gives."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table
from scipy import special

import meanfield as mf
from meanfield import plot as mfplot
from meanfield.measure import pruning
from meanfield.theory import bounds

from . import _figures, _job, _tables, width_scaling
from .compressible_laws import rank_correlation

ERROR = 0.1  # pruning error at which networks are described


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """The networks of width_scaling: what pruning does to parameters and function, and the compression bound."""

    out: _job.Out = Path("out/compressible_networks")
    widths: tuple[int, ...] = (128, 512, 2048, 8192)
    """Numbers of neurons."""
    seeds: int = 4
    """Independent runs."""
    steps: int = 10_000
    """SGD steps."""

    def sized(self):
        """The quick run."""
        return dataclasses.replace(self, widths=(64, 256), seeds=2, steps=300)


def run(config: Config) -> dict:
    """Train, prune, and evaluate."""
    return {
        "about": {
            "networks": "two-layer ReLU networks of width_scaling, neurons pruned by norm or by weighted norm; errors of the "
            "parameters and of the function on test data, relative; accuracy lost; means over seeds",
            "bounds": "compression bound of the 0-1 risk from training data, above 1 vacuous; gap: test error - training error",
        },
        **networks(config),
    }


def networks(config: Config) -> dict:
    """The networks of `width_scaling`: what pruning does to the function, and the bound that it gives."""
    widths = config.widths
    settings = width_scaling.Config(widths=widths, key=config.key, seeds=config.seeds, steps=config.steps)
    system = width_scaling.prepare(settings)
    results = width_scaling.simulate(settings, system).require_uninterrupted()
    train, test = (tuple(map(np.asarray, system.data.splits[s])) for s in ("train", "test"))
    predict = jax.jit(system.network.predict)
    radius = float(max(np.linalg.norm(x, axis=1).max() for x, _ in (train, test)))
    rows, bounds_ = [], []
    for width in widths:
        status = results.dataset["status"].sel(width=width)
        for step_size in results.dataset["step_size"].to_numpy():
            complete = status.sel(step_size=step_size) == mf.Status.COMPLETE.code
            particles = results.particles_at(width=width, step_size=step_size).sel(seed=complete)
            states = [results.particles[width].like(one.to_numpy()) for one in particles]
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
            both = {"index_and_nats": rank_correlation(index, nats), "index_and_gap": rank_correlation(index, gap)}
            made.append({"width": width} | both)
    return made


def tables(summary: dict) -> list[Table]:
    """Errors of parameters and function; the bound; rank correlations."""
    kinds = {"rows": "norm", "weighted": "weighted"}
    vacuous = lambda r: " vacuous" if r["bound_of_pruned"] >= 1 else ""  # noqa: E731
    return [
        _tables.of_rows(
            "Real networks, pruned neurons: relative errors, and what accuracy and loss change; f divided by N or by the neurons kept",
            sorted(summary["networks"], key=lambda r: (r["step_size"], r["width"], r["ranked_by"], r["kappa"])),
            ("step\nsize", "{step_size:g}"),
            ("width", "{width}"),
            ("kept", "{kappa:g}"),
            ("ranked by", lambda r: kinds[r["ranked_by"]]),
            ("error of\nparam.", "{parameters:.3f}"),
            ("function\n/N", "{function_width:.3f}"),
            ("/kept", "{function_kept:.3f}"),
            ("accuracy", "{accuracy:+.3f}"),
            ("loss\n/N", "{loss_width:+.3f}"),
            ("/kept", "{loss_kept:+.3f}"),
        ),
        _tables.of_rows(
            f"Compression bound at pruning error {ERROR}",
            sorted(summary["bounds"], key=lambda r: (r["step_size"], r["width"])),
            ("step\nsize", "{step_size:g}"),
            ("width", "{width}"),
            ("Hill\nindex", "{index:.2f}"),
            ("kept", "{kept:.3f}"),
            ("nats", "{nats:.3g}"),
            ("margin risk\n+ complexity", "{margin_risk:.2f} + {complexity:.1f}"),
            ("bound of the\npruned one", lambda r: f"{r['bound_of_pruned']:.1f}{vacuous(r)}"),
            ("examples for\ncomplexity 0.1", "{examples_needed:.2g}"),
            ("train\nerror", "{train_error:.3f}"),
            ("gap", "{gap:+.3f}"),
        ),
        _tables.of_rows(
            "Rank correlation over the step sizes of the tail index with ...",
            summary["bounds_ordered"],
            ("width", "{width}"),
            ("nats", "{index_and_nats:+.2f}"),
            ("measured gap", "{index_and_gap:+.2f}"),
        ),
    ]


def plot(summary: dict) -> Figure:
    """Error of the function against that of the parameters; length of the description against the tail index."""
    figure, axes = _figures.panels(9.2, 4.1, columns=2)
    draw(axes, summary)
    return figure


def draw(axes: Sequence[Axes], summary: dict, letters: str = "ab") -> None:
    """The two panels."""
    (left, right), (first, second) = axes, letters
    small = {"fontsize": "x-small"}
    steps = sorted({row["step_size"] for row in summary["networks"]})
    for i, step in enumerate(steps):
        look = _figures.points(i, len(steps))
        for nodes, fill, label in (("rows", look["color"], f"step {step:g}"), ("weighted", "none", None)):
            of = [r for r in summary["networks"] if r["step_size"] == step and r["ranked_by"] == nodes]
            left.plot(*_figures.columns(of, "parameters", "function_width"), markerfacecolor=fill, label=label, **look)
    _figures.named(left, "ranked by weighted norm", linestyle="none", marker="o", markerfacecolor="none")
    line = np.array([0.02, 1.0])
    left.plot(line, line**2, color="black", linewidth=0.8, linestyle=":", label="square of it")
    function = "relative error of the function"
    logs = {"xscale": "log", "yscale": "log"}
    _figures.panel(left, f"({first}) networks", "relative error of the parameters", function, small, **logs)
    widths = sorted({row["width"] for row in summary["bounds"]})
    for i, width in enumerate(widths):
        of = sorted((r for r in summary["bounds"] if r["width"] == width), key=lambda r: r["index"])
        index, nats = _figures.columns(of, "index", "nats")
        right.plot(index, nats / width, label=f"N = {width}", **mfplot.style(i, len(widths)))
    description = f"description at error {ERROR}, nats a neuron"
    _figures.panel(right, f"({second}) description", "Hill index of the neurons", description, small, xscale="log")
    mfplot.plain_numbers(right.xaxis)


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
