"""Why a pruning error falls with the width: four networks on real data, in which four different things happen."""

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import _check
from meanfield import plot as mfplot
from meanfield.measure import tails

from . import _figures, _job, _regimes, _tables

RELU = {"light": (0.1, 0.0), "collapsed": (1.0, 1e-3), "chance": (4.0, 0.0)}  # step size and ridge of plain SGD, batch size 1
NAMES = (*RELU, "theorem")
HIGHER = (3.0, 4.0)  # p of other errors of the last regime
STEP, RIDGE, BATCH, ALPHA, SCALE = 0.5, 0.03, 10, 1.5, 0.05  # of the network with injected stable noise


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """Four networks and what shrinks their pruning errors.

    light: small steps. collapsed: neurons vanish under a ridge, accuracy stays. chance: heavy tails, accuracy is lost. theorem: heavy
    tails in a stationary law that has settled, and accuracy. The first three are ReLU networks trained by plain SGD, the last is a
    tanh network with fixed output weights and injected stable noise.
    """

    out: _job.Out = Path("out/mechanisms")
    data: _job.Data = "digits"
    widths: tuple[int, ...] = (128, 512, 2048, 8192)
    """Numbers of neurons."""
    seeds: int = 4
    """Independent runs, at least 3."""
    steps: int = 10_000
    """Steps of plain SGD."""
    injected_steps: int = 600
    """Steps of SGD with injected noise; its law stands still after 300."""

    def sized(self):
        """The quick run."""
        return dataclasses.replace(self, widths=(64, 256), seeds=3, steps=300, injected_steps=60)


def systems(config: Config) -> dict[str, tuple[mf.System, int]]:
    """Check the config: the system of every regime, and its steps."""
    data, widths = _job.classes_of(config.data), _check.integers("widths", config.widths, at_least=round(1 / _regimes.KAPPA))
    _check.require(len(widths) >= 2, "widths", "hold at least two widths", config.widths)
    _check.integer("seeds", config.seeds, at_least=3)
    for name in ("steps", "injected_steps"):
        _check.integer(name, getattr(config, name), at_least=2)
    relu, tanh = mf.TwoLayer("relu", "cross_entropy"), mf.TwoLayer("tanh", "squared", train_output=False)
    plain = {name: mf.dynamics.SGD([step_size], 1, weight_decay=ridge) for name, (step_size, ridge) in RELU.items()}
    noisy = mf.dynamics.StableSGD([STEP], BATCH, weight_decay=RIDGE, alpha=ALPHA, scale=SCALE, mode="isotropic")
    made = {name: (mf.System(relu, data, sgd), config.steps) for name, sgd in plain.items()}
    return made | {"theorem": (mf.System(tanh, data, noisy), config.injected_steps)}


def simulation(config: Config) -> Callable[[], dict[str, mf.Results]]:
    """The four runs, as a function that makes them; wrong arguments are refused before."""
    made = systems(config)

    def simulate() -> dict[str, mf.Results]:
        found, key = {}, jax.random.key(config.key)
        for name, (system, steps) in made.items():
            probes = [mf.probes.Evaluation(at=(steps,)), mf.probes.NormQuantiles((0.99,), at=(steps // 2, steps))]
            run = {"widths": sorted(config.widths), "steps": steps, "seeds": config.seeds, "key": key}
            found[name] = mf.simulate(system, probes=[*probes, mf.probes.Snapshot(at=(steps // 2,))], **run)
            if found[name].interrupted:
                break
        return found

    return simulate


def run(config: Config, results: dict[str, mf.Results]) -> tuple[dict, dict[str, mf.Results]]:
    """Measure the final particles."""
    made, rows = systems(config), []
    data = made["light"][0].data
    inputs = np.asarray(data.splits["train"][0])
    for name, result in results.items():
        steps = made[name][1]
        whole = not set(config.widths) - set(result.particles)
        cell = {"step_size": float(result.dataset["step_size"][0])}
        row = _regimes.row_of(result, cell, steps // 2, config.key, None if name == "theorem" else inputs) if whole else {}
        if name == "theorem" and "slope" in row:
            ok = np.all([result.complete(width)[0] for width in result.particles], axis=0)
            neurons = {width: result.particles_at(None, width=width, **cell).to_numpy()[ok] for width in result.particles}
            earlier = result.particles_at(steps // 2, width=max(neurons), **cell).to_numpy()[ok]
            time = float(np.log(steps / (steps // 2)))
            row["higher_p"] = [_regimes.measured(neurons, earlier, time, config.key, p) for p in HIGHER]
        rows.append({"regime": name, "what": _what(name), "steps": steps} | row)
    _, labels = data.splits.get("test", data.splits["train"])
    examples = mf.probes.Evaluation().count(len(labels))
    return {
        "about": _regimes.ABOUT
        | {"higher_p": f"the row for the l_p errors of p = {HIGHER[0]:g} and {HIGHER[1]:g}"}
        | {"chance_accuracy": f"accuracy of a guess among the classes, plus three standard errors of {examples} examples"},
        "chance_accuracy": 1 / data.classes + 3 * np.sqrt((1 - 1 / data.classes) / data.classes / examples),
        "rows": rows,
    }, results


def _what(name: str) -> str:
    if name == "theorem":
        return f"tanh, step {STEP:g}, ridge {RIDGE:g}, stable noise of index {ALPHA:g}"
    return "ReLU, step {:g}, ridge {:g}".format(*RELU[name])


def tables(summary: dict) -> list[Table]:
    """Widths; tails and neurons of the widest networks; parts of the slopes."""
    rows = [row for row in summary["rows"] if "slope" in row]
    by_width = [
        {"regime": row["regime"], "width": width, "accuracy": row["accuracy"][i], "error": row["error"][i]}
        | {"vanishing": row["vanishing"][i], "error_interval": row["error_interval"][i], "of_one_law": row["of_one_law"][i]}
        for row in rows
        for i, width in enumerate(row["widths"])
    ]
    learns = lambda r: f"{'chance ' if r['accuracy'] <= summary['chance_accuracy'] else ''}{r['accuracy']:.3f}"  # noqa: E731
    widths = _tables.of_rows(
        f"Node pruning errors, {_regimes.KAPPA:.0%} kept",
        by_width,
        ("regime", "{regime}"),
        ("width", "{width}"),
        ("accuracy", learns),
        ("error", _tables.measured("error")),
        ("of draws from\nthe widest law", "{of_one_law:.3f}"),
        ("dead or\ncollapsing", "{vanishing:.2f}"),
    )
    for line, (row, following) in zip(widths.rows, itertools.pairwise([*by_width, {"regime": None}]), strict=True):
        line.end_section = row["regime"] != following["regime"]
    parts = _tables.of_rows(
        "Slope of log error in log width = sampling + law + dependence; 95 % intervals",
        rows,
        ("regime", "{regime}"),
        *((name, _regimes.part(name)) for name in ("measured", *_regimes.PARTS)),
        ("predicted\nby the index", _tables.measured("predicted")),
        ("theorem\nat work?", _regimes.at_work),
    )
    laws = _tables.of_rows(
        f"The law of a neuron, width {rows[0]['widths'][-1]}" if rows else "The law of a neuron",
        rows,
        ("regime", "{regime}"),
        ("", "{what}"),
        ("tail index,\ntop 1 %", _tables.measured("index", 2)),
        ("family", "{family}"),
        ("growth, 0\nif stationary", _tables.measured("growth", 2)),
        ("moves from the\nwidth before", lambda r: f"{r['law_distance'][-1]:.3f}"),
        ("dead", "{dead:.2f}"),
        ("collapsing", "{collapsing:.2f}"),
        ("error", lambda r: f"{r['error'][-1]:.3f}"),
        ("of the living", "{error_of_live:.3f}"),
    )
    return [widths, laws, parts]


def plot(summary: dict, results: dict[str, mf.Results]) -> Figure:
    """Error against width, as measured and of draws from the widest law; parts of the slopes; survival functions."""
    rows = [row for row in summary["rows"] if "slope" in row]
    figure, (left, middle, right) = _figures.panels(13.5, 4.9)
    for i, row in enumerate(rows):
        look = mfplot.style(i, len(rows))
        name = f"{row['regime']}, accuracy {row['accuracy'][-1]:.2f}"
        _figures.errorbars(left, row["widths"], row["error"], row["error_interval"], label=name, linewidth=1.3, **look)
        left.plot(row["widths"], row["of_one_law"], "--", color=look["color"], linewidth=0.9)
        if row["predicted"] < 0:
            mfplot.power(left, row["widths"], row["error"][0], row["predicted"], color=look["color"])
    _figures.named(left, "draws from the widest law (a)", linestyle="--")
    _figures.named(left, "predicted by the index (a)")
    left.set(xscale="log", yscale="log")
    _figures.ticks_at(left, rows[0]["widths"])
    mfplot.plain_numbers(left.yaxis)
    _figures.panel(left, "(a) error against width", "width $N$ (neurons)", f"node pruning error, {_regimes.KAPPA:.0%} kept")
    _regimes.draw_parts(middle, "(b) what its slope is made of", "regime", [row["regime"] for row in rows], rows)
    samples, fits = [], []
    for row in rows:
        result, widest = results[row["regime"]], row["widths"][-1]
        vectors = result.particles_at(width=widest).to_numpy()[result.complete(widest)]
        samples.append(np.linalg.norm(vectors.astype(np.float64), axis=-1).ravel())
        k = max(10, samples[-1].size // 100)
        fit = tails.hill(samples[-1], k=k)
        fits.append((float(fit.alpha), float(np.sort(samples[-1])[-k]), k / samples[-1].size))
    mfplot.survival(right, samples, [row["regime"] for row in rows], fits)
    _figures.named(left, "fitted tail (c)", linestyle=(0, (3, 1)))
    _figures.panel(right, "(c) norms in the widest networks", "norm of a neuron", "share of neurons above")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


main = _job.Job(Config, run, tables, plot, simulation, files=NAMES)

if __name__ == "__main__":
    main.command()
