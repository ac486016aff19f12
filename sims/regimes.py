"""Where a pruning error falls with the width, and why: a map over step size and ridge, smaller maps, and controls with a known answer."""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import _check
from meanfield import plot as mfplot
from meanfield.systems.examples import quadratic_system
from meanfield.theory import collapse, network, recursion

from . import _figures, _job, _regimes, _tables, _two_wall
from .collapse import of_labels


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """ReLU networks on digits, step size against ridge: the parts of their pruning errors, and who vanishes.

    There are smaller maps, too: other mini-batches, step-size laws, data and teachers, and networks with injected noise.
    """

    out: _job.Out = Path("out/regimes")
    step_sizes: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0)
    """Step sizes of one neuron."""
    ridges: tuple[float, ...] = (0.0, 1e-4, 3e-4, 1e-3, 3e-3)
    """Weight decays."""
    batch_size: int = 1
    """Examples a step."""
    widths: tuple[int, ...] = (128, 512, 2048, 8192)
    """Numbers of neurons."""
    steps: int = 10_000
    """SGD steps; neurons are looked at after half of them, too."""
    seeds: int = 6
    """Independent runs, at least 3."""
    beside: bool = True
    """Make the smaller maps, too; one of them needs the extra `data`."""
    controls: bool = True
    """Run the controls, too."""
    population: int = 2_000
    """Directions of the solver for the exponents of collapse."""
    solver_steps: int = 3_000
    """Its steps, at least 500."""
    full: bool = False
    """The run for a GPU, which takes most of a day."""
    presets: ClassVar[tuple[str, ...]] = ("quick", "full")

    def sized(self):
        """The quick run, and that for a GPU."""
        if self.full:
            return dataclasses.replace(self, widths=(128, 512, 2048, 8192, 32_768), steps=100_000, seeds=12)
        small = {"step_sizes": (0.5, 1.0), "ridges": (0.0, 1e-3), "widths": (64, 256), "steps": 400, "seeds": 3}
        return dataclasses.replace(self, **small, population=500, solver_steps=500, beside=False)


@_job.options(step_size="step_sizes", weight_decay="ridges")
def run(config: Config) -> dict:
    """Simulate and measure."""
    _check.integer("seeds", config.seeds, at_least=3)
    _check.integer("steps", config.steps, at_least=2)
    _check.integer("population", config.population, at_least=100)
    _check.integer("solver_steps", config.solver_steps, at_least=500)
    widths = _check.integers("widths", config.widths, at_least=round(1 / _regimes.KAPPA))
    _check.require(len(widths) >= 2, "widths", "hold at least two widths", config.widths)
    others = sheets(config) if config.beside else []  # refuses before anything runs: one needs the extra `data`
    sheet = Sheet("digits", mf.data.digits(), mf.dynamics.SGD(config.step_sizes, config.batch_size, weight_decay=config.ridges))
    cells = [row | exponent_at_zero(row, config) for row in rows_of(sheet, config)]
    beside = [row for other in others for row in rows_of(other, config)]
    made = controls(config) if config.controls else []
    return {
        "about": _regimes.ABOUT
        | {"dead_then": "share of dead neurons of the widest networks at the steps dead_at, mean over all seeds"}
        | {"exponent": "theory.collapse.exponent at the residuals of the predictor 0: networks collapse below 0 (sims.collapse)"}
        | {"accuracy": "test accuracy; 1 - risk / (risk of the best constant) where there are no classes"},
        "verdict": [_verdict(row) for row in made],
        "cells": cells,
        "beside": beside,
        "controls": made,
    }


def exponent_at_zero(row: dict, config: Config) -> dict:
    """Exponent of small neurons where a network's predictor is 0, before which its neurons do not vanish together."""
    x, y = (np.asarray(v) for v in mf.data.digits().splits["train"])
    solver = {"key": jax.random.key(0), "population": config.population, "steps": config.solver_steps}
    found = collapse.exponent(x, of_labels(y), row["step_size"], config.batch_size, row["weight_decay"], **solver)
    return {"exponent": found.value, "exponent_error": found.standard_error, "exponent_spread": found.bias}


RELU = mf.TwoLayer("relu", "cross_entropy")


@dataclass(frozen=True)
class Sheet:
    """A map: every combination of the swept numbers of a dynamics. `share` of the steps of the config are taken, errors are l_p."""

    name: str
    data: mf.data.AbstractSource
    dynamics: mf.dynamics.AbstractDynamics
    network: mf.TwoLayer = RELU
    share: float = 1.0
    p: float = 2.0


def sheets(config: Config) -> list[Sheet]:
    """The smaller maps."""
    digits, ridges = mf.data.digits(), [0.0, 1e-3]
    teacher = mf.data.teacher(jax.random.key(1), dim=10, neurons=5, noise_std=0.1)
    law = mf.scaling.StepSizeLaw(gamma=[float(max(config.widths) ** 0.25)], beta=0.75)  # a step of 1 in the widest network
    tanh = mf.TwoLayer("tanh", "squared", train_output=False)
    noisy = mf.dynamics.StableSGD([0.5], 10, weight_decay=[0.01, 0.03, 0.1], alpha=[1.5, 1.8, 2.0], scale=0.05, mode="isotropic")
    return [
        Sheet("digits, batch size 8", digits, mf.dynamics.SGD([1.0, 4.0], 8, weight_decay=ridges)),
        Sheet("digits, steps fall like N^-1/4", digits, mf.dynamics.SGD(law, 1, weight_decay=ridges)),
        Sheet("mnist_sample", mf.data.mnist_sample(), mf.dynamics.SGD([1.0], 1, weight_decay=ridges), share=0.5),
        Sheet(
            "teacher of 5 neurons", teacher, mf.dynamics.SGD([0.5, 1.0], 1, weight_decay=ridges), mf.TwoLayer("relu", "squared")
        ),
        Sheet(
            "digits, Gaussian noise, p = 4", digits, mf.dynamics.Langevin([1.0], 1, weight_decay=[3e-3], temperature=0.01), p=4.0
        ),
        Sheet("digits, injected noise", digits, noisy, tanh, share=0.06),
    ]


def rows_of(sheet: Sheet, config: Config) -> list[dict]:
    """One row per cell of a map."""
    steps = max(2, round(sheet.share * config.steps))
    half, widths, relu = steps // 2, sorted(config.widths), sheet.network.activation == "relu"
    system = mf.System(sheet.network, sheet.data, sheet.dynamics)
    looks = tuple({steps // 32, steps // 8, half // 2, half, steps} - {0})
    probes = [mf.probes.Evaluation(at=(steps,)), mf.probes.Snapshot(at=(half,)), *[mf.probes.Dead(at=looks)] * relu]
    run = {"widths": widths, "steps": steps, "seeds": config.seeds, "key": jax.random.key(config.key), "probes": probes}
    results = mf.simulate(system, **run)
    axes = {str(name): results.dataset[name].to_numpy().tolist() for name in results.dataset["status"].dims[1:-1]}
    inputs = _inputs(sheet.data) if relu else None
    constant = float(np.var(np.asarray(sheet.data.splits["test"][1]))) / 2
    rows = []
    for values in itertools.product(*axes.values()):
        cell = dict(zip(axes, values, strict=True))
        known = cell.get("alpha", 2.0)
        row = {"map": sheet.name, "weight_decay": 0.0} | _regimes.row_of(
            results, cell, half, config.key, inputs, constant, sheet.p
        )
        row["ridge_rate"] = float(np.log1p(-cell["step_size"] * row["weight_decay"]))
        if relu:
            died = results.dataset["dead"].sel(cell).isel(width=-1).mean("seed").dropna("step")
            row |= {"dead_at": died["step"].to_numpy(), "dead_then": died.to_numpy()}
        rows.append(row | {"index_predicted": known if known < 2 else np.nan, "steps": steps})
    return rows


def _inputs(data: mf.data.AbstractSource) -> np.ndarray:
    """The examples on which a neuron is dead or alive: all of a finite set, the test sample of an endless one."""
    return np.asarray(data.splits["train" if data.size else "test"][0])


# Controls: systems in which one mechanism must carry everything, and its size is known. ---------------------------------------


def controls(config: Config) -> list[dict]:
    """Rows like those of the map; `carries` names the one part that may differ from 0."""
    regression, times = mf.data.gaussian_regression(1), (1_000, 2_000)
    alpha, chains = 1.5, mf.dynamics.chains()
    eta = float(recursion.step_size_for(alpha, 1, 1))
    heavy = mf.System(chains, regression, mf.dynamics.LinearRecursion(eta, 1))
    rows = [_control("least squares, independent chains, p = 2", "sampling", heavy, eta, times, config, index=alpha)]
    quadratic = quadratic_system([0.2])
    known = float(network.quadratic_tail_index(0.2, 1.0))
    rows.append(
        _control("quadratic network, own mini-batches, p = 4", "sampling", quadratic, 0.2, (150, 300), config, p=4.0, index=known)
    )
    moving = {
        w: float(recursion.step_size_for(a, 1, 1)) for w, a in zip(sorted(config.widths), _indices(config.widths), strict=True)
    }
    rows.append(_moving("only the law moves", moving, regression, times, config))
    return rows


def _indices(widths: Sequence[int]) -> np.ndarray:
    """Indices from 12 down to 6: light for p = 2, and different at every width."""
    return np.linspace(12.0, 6.0, len(widths))


def _control(
    name: str, carries: str, system, step_size: float, times, config: Config, p: float = 2.0, index: float = np.nan
) -> dict:
    neurons, earlier = _snapshots(system, step_size, sorted(config.widths), times, config)
    row = _regimes.measured(neurons, earlier, float(np.log(times[1] / times[0])), config.key, p)
    return {"control": name, "carries": carries, "index_predicted": index} | row


def _moving(name: str, steps: dict[int, float], data, times, config: Config) -> dict:
    neurons, earlier = {}, np.zeros(0)
    for width, eta in steps.items():
        system = mf.System(mf.dynamics.chains(), data, mf.dynamics.LinearRecursion(eta, 1))
        one, earlier = _snapshots(system, eta, [width], times, config)
        neurons |= one
    row = _regimes.measured(neurons, earlier, float(np.log(times[1] / times[0])), config.key)
    return {"control": name, "carries": "law", "index_predicted": float(_indices(config.widths)[-1])} | row


def _snapshots(system, step_size: float, widths: list[int], times, config: Config) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """What moves in the neurons: of every width at the end, of the widest at the earlier time."""
    probe = mf.probes.Snapshot(at=times[:1])
    seeds = {"seeds": config.seeds, "key": jax.random.key(config.key)}
    results = mf.simulate(system, widths=widths, steps=times[1], probes=[probe], **seeds).require_complete()

    def moving(step: int | None, width: int) -> np.ndarray:
        w = results.particles_at(step, width=width, step_size=step_size).sel(part="w").to_numpy()
        return w.reshape(config.seeds, width, -1)

    return {width: moving(None, width) for width in widths}, moving(times[0], widths[-1])


def _verdict(row: dict) -> dict:
    """Whether the part that must carry the slope does, and those that must not do not differ from 0."""
    differs = {part: abs(row["slope"][part]) > row["slope_sure"] * row["slope_error"][part] for part in _regimes.PARTS}
    may = {"sampling": {"sampling"}, "law": {"law", "sampling"}}[row["carries"]]
    evidence = f"slope {row['slope']['measured']:.3f} = " + " ".join(
        f"{row['slope'][part]:+.3f} {part}" for part in _regimes.PARTS
    )
    wrong = any(differs[part] for part in _regimes.PARTS if part not in may)
    holds = False if wrong else True if differs[row["carries"]] else None  # too few runs to see it
    return _two_wall.statement(
        f"{row['control']}: {row['carries']} carries the fall, {_regimes.LEVEL:.0%} intervals", evidence, holds
    )


def tables(summary: dict) -> list[Table]:
    """The maps; the controls; the verdict."""
    parts = [(name, _regimes.part(name)) for name in ("measured", *_regimes.PARTS)]
    shared = [
        ("step\nsize", "{step_size:g}"),
        ("ridge", "{weight_decay:g}"),
        ("accuracy, narrow\nto wide", lambda r: f"{r['accuracy'][0]:.2f} {r['accuracy'][-1]:.2f}"),
        *parts,
        ("growth", "{growth:+.2f}"),
        ("index,\ntop 1 %", _tables.measured("index", 1)),
        ("family", "{family}"),
        ("dead", "{dead:.2f}"),
        ("collap-\nsing", "{collapsing:.2f}"),
        ("error", lambda r: f"{r['error'][-1]:.3f}"),
        ("of the\nlive", "{error_of_live:.3f}"),
        ("law moves,\nlast pair", lambda r: f"{r['law_distance'][-1]:.3f}"),
        ("theorem at work?", _regimes.at_work),
    ]
    title = f"Parts of the slope of log error against log width, {_regimes.KAPPA:.0%} of the neurons kept"
    made = [_tables.of_rows(title, _measured(summary["cells"]), *shared)]
    if summary["beside"]:
        alpha = ("alpha", lambda r: f"{r['alpha']:g}" if "alpha" in r else "")
        made.append(_tables.of_rows("Smaller maps", _measured(summary["beside"]), ("", "{map}"), alpha, *shared))
    if summary["controls"]:
        index = [("index\npredicted", "{index_predicted:.2f}"), ("top 1 %", _tables.measured("index", 2))]
        made.append(_tables.of_rows("Controls", summary["controls"], ("control", "{control}"), *parts, *index))
        made.append(_two_wall.verdict(summary))
    return made


def _measured(rows: Sequence[dict]) -> list[dict]:
    """Those that have slopes."""
    return [row for row in rows if "slope" in row]


def plot(summary: dict) -> Figure:
    """Maps of accuracy, slope, what carries it, and who vanishes; parts under injected noise; the controls."""
    figure, axes = _figures.panels(16, 16, rows=4)
    cells = _measured(summary["cells"])
    draw_map(axes[0], "(a) test accuracy, widest", cells, lambda r: r["accuracy"][-1], "viridis", (0, 1))
    draw_map(axes[1], "(b) slope of log error in log width", cells, lambda r: r["slope"]["measured"], "magma", (-1, 0))
    draw_map(axes[2], "(c) share of the slope that sampling carries", cells, _carried, "viridis", (0, 1))
    vanished = lambda r: r["dead"] + r["collapsing"]  # noqa: E731
    draw_map(axes[3], "(d) dead and collapsing neurons, widest", cells, vanished, "viridis", (0, 1))
    draw_map(axes[4], "(e) growth of the 99 % quantile, 0 at rest", cells, lambda r: r["growth"], "coolwarm", (-1, 1))
    draw_indices(axes[5], "(f) index where a theory predicts it", [*_measured(summary["beside"]), *summary["controls"]])
    noisy = [row for row in _measured(summary["beside"]) if "alpha" in row]
    names = [f"{row['alpha']:g}\n{row['weight_decay']:g}" for row in noisy]
    _regimes.draw_parts(axes[6], "(g) digits, injected noise", "index, ridge", names, noisy)
    names = [row["control"].replace(", ", ",\n") for row in summary["controls"]]
    _regimes.draw_parts(axes[7], "(h) controls", "control", names, summary["controls"])
    draw_map(axes[8], "(i) exponent of the predictor 0", cells, lambda r: r["exponent"], "coolwarm", (-0.05, 0.05))
    middle = next(iter(sorted({row["step_size"] for row in cells})[-2:]), np.nan)
    column = [row for row in cells if row["step_size"] == middle]
    draw_curves(axes[9], f"(j) when neurons die, step size {middle:g}", "step", "share dead", "dead_at", "dead_then", column)
    draw_curves(
        axes[10],
        f"(k) the law settles, step size {middle:g}",
        "width",
        "distance from the next",
        "widths",
        "law_distance",
        column,
    )
    axes[10].set_yscale("log")
    for i, name in enumerate(("measured", *_regimes.PARTS)):
        ends = [[row[when][name] for row in cells] for when in ("slope_halfway", "slope")]
        axes[11].plot(*ends, label=name, **mfplot.style(i, 4, "plasma") | {"linestyle": "none", "markersize": 4})
    axes[11].plot([-1, 0.1], [-1, 0.1], color="black", linewidth=0.6)
    ends = {"xlim": (-1, 0.1), "ylim": (-1, 0.1)}  # networks that learn
    _figures.panel(axes[11], "(l) slopes through training", "after half of the steps", "at the end", {}, **ends)
    return figure


def _carried(row: dict) -> float:
    return row["slope"]["sampling"] / row["slope"]["measured"]


def draw_map(ax: Axes, title: str, cells: Sequence[dict], value, colors: str, limits: tuple[float, float]) -> None:
    """A number in every cell of step size against ridge."""
    steps, ridges = (sorted({row[name] for row in cells}) for name in ("step_size", "weight_decay"))
    image = np.full((len(ridges), len(steps)), np.nan)
    for row in cells:
        image[ridges.index(row["weight_decay"]), steps.index(row["step_size"])] = value(row)
    if not cells:
        return _figures.panel(ax, title, "step size", "ridge")
    shades = ax.imshow(image, origin="lower", aspect="auto", cmap=colors, vmin=limits[0], vmax=limits[1])
    for (i, j), number in np.ndenumerate(image):
        if np.isfinite(number):
            dark = sum(shades.cmap(shades.norm(number))[:3]) < 1.5
            ax.text(j, i, f"{number:.2f}", ha="center", va="center", fontsize="small", color="white" if dark else "black")
    ax.set_xticks(range(len(steps)), [f"{s:g}" for s in steps])
    ax.set_yticks(range(len(ridges)), [f"{r:g}" for r in ridges])
    _figures.panel(ax, title, "step size", "ridge")


def draw_curves(ax: Axes, title: str, xlabel: str, ylabel: str, x: str, y: str, rows: Sequence[dict]) -> None:
    """A list of every row against another, one curve per ridge."""
    for i, row in enumerate(rows):
        ax.plot(row[x][: len(row[y])], row[y], label=f"{row['weight_decay']:g}", markersize=4.5, **mfplot.style(i, len(rows)))
    ax.set_xscale("log")
    if rows:
        _figures.ticks_at(ax, rows[0][x][: len(rows[0][y])])
    _figures.panel(ax, title, xlabel, ylabel, {"title": "ridge"} if rows else None)


def draw_indices(ax: Axes, title: str, rows: Sequence[dict]) -> None:
    """Hill's index of the widest networks' norms against the predicted one."""
    known = [row for row in rows if np.isfinite(row["index_predicted"])]
    if known:
        _figures.errorbars(ax, *_figures.columns(known, "index_predicted", "index", "index_interval"), **_figures.points(1, 2))
    ends = [1.0, max([2.0, *(row["index_predicted"] for row in known)]) + 0.5]
    ax.plot(ends, ends, color="black", linewidth=0.8)
    _figures.panel(ax, title, "predicted index", "measured index, top 1 %")


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
