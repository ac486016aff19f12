"""Where a pruning error falls with the width, and why: a map over step size and ridge, with controls whose mechanism is known."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import _check
from meanfield._estimate import quantile
from meanfield.measure import distances, mechanisms
from meanfield.systems.examples import quadratic_system
from meanfield.theory import network, recursion

from . import _figures, _job, _tables, _two_wall

KAPPA = 0.1  # fraction kept
PARTS = ("sampling", "law", "dependence")
LEVEL = 0.99  # of the intervals by which a part of a control differs from 0


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """ReLU networks on digits, step size against ridge: the parts of their pruning errors, and who vanishes."""

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
    controls: bool = True
    """Run the controls, too."""

    def sized(self):
        """The quick run."""
        small = {"step_sizes": (0.5, 1.0), "ridges": (0.0, 1e-3), "widths": (64, 256), "steps": 400, "seeds": 3}
        return dataclasses.replace(self, **small)


@_job.options(step_size="step_sizes", weight_decay="ridges")
def run(config: Config) -> dict:
    """Simulate and measure."""
    _check.integer("seeds", config.seeds, at_least=3)
    _check.integer("steps", config.steps, at_least=2)
    widths = _check.integers("widths", config.widths, at_least=round(1 / KAPPA))
    _check.require(len(widths) >= 2, "widths", "hold at least two widths", config.widths)
    rows = networks(config)
    made = controls(config) if config.controls else []
    return {
        "about": {
            "slope": f"of the log of the mean node error ({KAPPA:.0%} kept, l_p) against log width: measured = sampling + law + dependence",
            "shares": "of the widest networks' neurons between half of the steps and the end: dead (off on every example), collapsing"
            " (alive, the norm fell by a factor e), growing (it rose by e), live",
            "growth": "d log q / d log step of the 99 % quantile q of the widest networks' norms over the second half of the steps",
            "law_distance": "Kolmogorov distance of the laws of the norms at neighbouring widths",
            "index": "Hill, largest 1 % of the widest networks' norms, with the family that tail_family names",
        },
        "verdict": [_verdict(row) for row in made],
        "cells": rows,
        "controls": made,
    }


def networks(config: Config) -> list[dict]:
    """One row per step size and ridge."""
    digits, half = mf.data.digits(), config.steps // 2
    x, widths = np.asarray(digits.splits["train"][0]), sorted(config.widths)
    dynamics = mf.dynamics.SGD(config.step_sizes, config.batch_size, weight_decay=config.ridges)
    system = mf.System(mf.TwoLayer("relu", "cross_entropy"), digits, dynamics)
    probes = [mf.probes.Evaluation(at=(config.steps,)), mf.probes.Snapshot(at=(half,))]
    run = {"widths": widths, "steps": config.steps, "seeds": config.seeds, "key": jax.random.key(config.key), "probes": probes}
    results = mf.simulate(system, **run)
    rows = []
    for step_size in config.step_sizes:
        for ridge in config.ridges:
            cell = {"step_size": step_size, "weight_decay": ridge}
            complete = (results.dataset["status"].sel(cell) == mf.Status.COMPLETE.code).all("width").to_numpy()
            row = cell | {"runs": len(complete), "complete": int(complete.sum())}
            if complete.sum() < 3:
                rows.append(row)
                continue
            pairs = {w: [results.particles_at(t, width=w, **cell)[complete] for t in (half, None)] for w in widths}
            earlier, later = pairs[widths[-1]]
            off = [mechanisms.dead(one.sel(part="w").to_numpy(), x) for one in (earlier, later)]
            found = mechanisms.census(earlier.to_numpy(), later.to_numpy(), off[1], config.steps - half, off[0], kappa=KAPPA)
            accuracy = results.dataset["accuracy"].sel(cell | {"split": "test"}).isel(step=-1)
            row |= {"accuracy": [float(accuracy.sel(width=w)[complete].mean()) for w in widths]}
            row |= {fate.name.lower(): float(getattr(found, fate.name.lower())) for fate in mechanisms.Fate}
            row |= {"dead_rate": float(found.dead_rate), "ridge_rate": float(np.log1p(-step_size * ridge))}
            row |= {"error_without_dead": float(found.error_without_dead), "error_of_live": float(found.error_of_live)}
            neurons = {w: last.to_numpy() for w, (_, last) in pairs.items()}
            rows.append(row | measured(neurons, earlier.to_numpy(), config, np.log(config.steps / half)))
    return rows


def measured(neurons: dict[int, np.ndarray], earlier: np.ndarray, config: Config, log_time: float, p: float = 2.0) -> dict:
    """Parts of the error, tail and stationarity of the widest law, distances of the laws of neighbouring widths."""
    parts = mechanisms.decompose(neurons, KAPPA, p=p, key=jax.random.key(config.key))
    norms = {w: np.linalg.norm(np.asarray(x, np.float64), axis=-1) for w, x in neurons.items()}
    before, after = np.linalg.norm(np.asarray(earlier, np.float64), axis=-1), norms[max(norms)]
    growth = np.log(np.quantile(after, 0.99, axis=1) / np.quantile(before, 0.99, axis=1)) / log_time
    end, widths = mechanisms.limit(after, KAPPA, p), sorted(norms)
    pairs = [(norms[a].ravel(), norms[b].ravel()) for a, b in itertools.pairwise(widths)]
    return {
        "widths": widths,
        "p": p,
        "error": np.exp(parts.measured.value),
        "of_one_law": np.exp(parts.level.value + parts.sampling.value),
        "slope": {name: float(slope) for name, slope in parts.slopes.items()},
        "slope_interval": {name: slope.interval for name, slope in parts.slopes.items()},
        "slope_error": {name: slope.standard_error for name, slope in parts.slopes.items()},
        "slope_sure": quantile((1 + LEVEL) / 2, parts.paths - 1),
        "growth": float(growth.mean()),
        "growth_interval": mf.measure.rates.mean_interval(growth)[1],
        "stationary": bool(_two_wall.family(after.ravel(), before.ravel()).stationary),
        "index": float(end.index),
        "index_interval": end.index.interval,
        "family": end.family.name,
        "limit": float(end.finite),
        "limit_of_power_law": float(end.power),
        "law_distance": [float(distances.kolmogorov(a, b)) for a, b in pairs],
    }


# Controls: systems in which one mechanism must carry everything. ----------------------------------------------------------


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
    row = measured(neurons, earlier, config, float(np.log(times[1] / times[0])), p)
    return {"control": name, "carries": carries, "index_predicted": index} | row


def _moving(name: str, steps: dict[int, float], data, times, config: Config) -> dict:
    neurons, earlier = {}, np.zeros(0)
    for width, eta in steps.items():
        system = mf.System(mf.dynamics.chains(), data, mf.dynamics.LinearRecursion(eta, 1))
        one, earlier = _snapshots(system, eta, [width], times, config)
        neurons |= one
    row = measured(neurons, earlier, config, float(np.log(times[1] / times[0])))
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
    differs = {part: abs(row["slope"][part]) > row["slope_sure"] * row["slope_error"][part] for part in PARTS}
    may = {"sampling": {"sampling"}, "law": {"law", "sampling"}}[row["carries"]]
    evidence = f"slope {row['slope']['measured']:.3f} = " + " ".join(f"{row['slope'][part]:+.3f} {part}" for part in PARTS)
    holds = differs[row["carries"]] and not any(differs[part] for part in PARTS if part not in may)
    return _two_wall.statement(f"{row['control']}: {row['carries']} carries the fall, {LEVEL:.0%} intervals", evidence, holds)


def tables(summary: dict) -> list[Table]:
    """The map; the controls; the verdict."""
    shown = [row for row in summary["cells"] if "slope" in row]
    part = lambda name: lambda row: _tables.with_interval(row["slope"][name], row["slope_interval"][name])  # noqa: E731
    parts = [(name, part(name)) for name in ("measured", *PARTS)]
    cells = _tables.of_rows(
        f"Parts of the slope of log error against log width, {KAPPA:.0%} of the neurons kept",
        shown,
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
    )
    known = _tables.of_rows(
        "Controls",
        summary["controls"],
        ("control", "{control}"),
        *parts,
        ("index\npredicted", "{index_predicted:.2f}"),
        ("top 1 %", _tables.measured("index", 2)),
    )
    return [cells, known, _two_wall.verdict(summary)] if summary["controls"] else [cells]


def plot(summary: dict) -> Figure:
    """Maps of accuracy, slope, what carries it, and who vanishes; parts of the controls."""
    figure, axes = _figures.panels(15.5, 7.6, rows=2)
    cells = [row for row in summary["cells"] if "slope" in row]
    draw_map(axes[0], "(a) test accuracy, widest", cells, lambda r: r["accuracy"][-1], "viridis", (0, 1))
    draw_map(axes[1], "(b) slope of log error in log width", cells, lambda r: r["slope"]["measured"], "magma", (-1, 0))
    draw_map(axes[2], "(c) share of the slope that sampling carries", cells, _carried, "viridis", (0, 1))
    vanished = lambda r: r["dead"] + r["collapsing"]  # noqa: E731
    draw_map(axes[3], "(d) dead and collapsing neurons, widest", cells, vanished, "viridis", (0, 1))
    draw_map(axes[4], "(e) growth of the 99 % quantile, 0 at rest", cells, lambda r: r["growth"], "coolwarm", (-1, 1))
    draw_controls(axes[5], "(f) controls", summary["controls"])
    return figure


def _carried(row: dict) -> float:
    return row["slope"]["sampling"] / row["slope"]["measured"]


def draw_map(ax: Axes, title: str, cells: Sequence[dict], value, colors: str, limits: tuple[float, float]) -> None:
    """A number in every cell of step size against ridge."""
    steps, ridges = (sorted({row[name] for row in cells}) for name in ("step_size", "weight_decay"))
    image = np.full((len(ridges), len(steps)), np.nan)
    for row in cells:
        image[ridges.index(row["weight_decay"]), steps.index(row["step_size"])] = value(row)
    shades = ax.imshow(image, origin="lower", aspect="auto", cmap=colors, vmin=limits[0], vmax=limits[1])
    for (i, j), number in np.ndenumerate(image):
        if np.isfinite(number):
            dark = sum(shades.cmap(shades.norm(number))[:3]) < 1.5
            ax.text(j, i, f"{number:.2f}", ha="center", va="center", fontsize="small", color="white" if dark else "black")
    ax.set_xticks(range(len(steps)), [f"{s:g}" for s in steps])
    ax.set_yticks(range(len(ridges)), [f"{r:g}" for r in ridges])
    _figures.panel(ax, title, "step size", "ridge")


def draw_controls(ax: Axes, title: str, rows: Iterable[dict]) -> None:
    """The parts of every control's slope, with their intervals."""
    rows = list(rows)
    for i, part in enumerate(("measured", *PARTS)):
        values = [row["slope"][part] for row in rows]
        intervals = [row["slope_interval"][part] for row in rows]
        if rows:
            _figures.errorbars(
                ax, np.arange(len(rows)) + 0.15 * (i - 1.5), values, intervals, label=part, **_figures.points(i, 4)
            )
    ax.axhline(0, color="black", linewidth=0.6)
    ax.set_xticks(range(len(rows)), [row["control"].replace(", ", ",\n") for row in rows], fontsize="small")
    _figures.panel(ax, title, "control", "slope of log error", {} if rows else None)


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
