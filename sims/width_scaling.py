"""Pruning error against width on real data, for step sizes from light to heavy tails."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import _check
from meanfield import plot as mfplot
from meanfield.measure import mechanisms, pruning, rates, tails

from . import _figures, _job, _regimes, _tables

KAPPAS = np.round(np.linspace(0, 1, 101), 2)
KAPPA = 0.1  # fraction kept at which widths are compared
ERROR = 0.1  # relative error at which prunable fractions are compared


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """Pruning error against width, from light to heavy tails: two-layer ReLU networks, both layers trained by plain SGD."""

    out: _job.Out = Path("out/width_scaling")
    data: _job.Data = "digits"
    widths: tuple[int, ...] = (128, 512, 1024, 2048, 8192)
    """Numbers of neurons."""
    step_sizes: tuple[float, ...] = (0.1, 0.5, 1.0, 4.0)
    """Step sizes of one neuron."""
    batch_size: int = 1
    """Examples a step."""
    seeds: int = 4
    """Number of independent repetitions."""
    steps: int = 10_000
    """Number of SGD steps."""

    def sized(self):
        """The quick run."""
        return dataclasses.replace(self, widths=(64, 256), seeds=3, steps=300)


def prepare(config: Config) -> mf.System:
    """Check the config and put the system together."""
    _check.integer("seeds", config.seeds, at_least=1)
    _check.integer("steps", config.steps, at_least=0)
    _check.integers("step_sizes", tuple(range(len(config.step_sizes))), at_least=0)
    must = "hold different numbers > 0"
    _check.require(len(set(config.step_sizes)) == len(config.step_sizes), "step_sizes", must, config.step_sizes)
    _check.integers("widths", config.widths, at_least=1)
    sgd = mf.dynamics.SGD(step_size=config.step_sizes, batch_size=config.batch_size)
    return mf.System(mf.TwoLayer("relu", "cross_entropy"), _job.classes_of(config.data), sgd)


def simulate(config: Config, system: mf.System) -> mf.Results:
    """Run the grid."""
    key = jax.random.key(config.key)
    results = mf.simulate(system, widths=sorted(config.widths), steps=config.steps, seeds=config.seeds, key=key)
    evaluated = {f"{name}_examples": mf.probes.Evaluation().count(len(y)) for name, (_, y) in system.data.splits.items()}
    results.dataset.attrs |= {"classes": system.data.classes} | evaluated
    return results


def simulation(config: Config) -> Callable[[], mf.Results]:
    """The grid, as a function that runs it; wrong arguments are refused before."""
    return partial(simulate, config, prepare(config))


def run(config: Config, results: mf.Results) -> tuple[dict, mf.Results]:
    """Measure the final particles: the summary, and the results with the measured arrays."""
    results = results.with_variables(**measure(results))
    return summarise(results, config), results


def measure(results: mf.Results) -> dict[str, xr.DataArray]:
    """Tail index, pruning errors, prunable fractions of the vectors (w_i, a_i) of runs that completed; NaN for the others."""
    status = results.dataset["status"]

    def empty(long_name, **axes):
        """An array of NaN over all runs and the given axes."""
        coords = {name: status.coords[name] for name in status.dims} | axes
        shape = status.shape + tuple(len(labels) for labels in axes.values())
        attrs = {"long_name": long_name, "units": "1"}
        return xr.DataArray(np.full(shape, np.nan), coords, (*status.dims, *axes), attrs=attrs)

    def labels(name, values, long_name):
        return {name: xr.DataArray(values, dims=name, attrs={"long_name": long_name, "units": "1"})}

    bound = labels("bound", ["lower", "upper"], "end of a 95 % interval")
    ends = labels("estimate", ["lower", "middle", "upper"], "from the lower end, the middle, the upper end of the tail index")
    kind = labels("kind", list(pruning.KINDS), "what is pruned in the matrix of rows (w_i, a_i)")
    kappa = labels("kappa", KAPPAS, "fraction kept, 1 - pruning ratio")
    hill = "Hill tail index of |(w_i, a_i)|"
    found = {
        "tail_index": empty(f"{hill}, upper 5 % (at least 10)"),
        "tail_index_far": empty(f"{hill} from a fifth as many values: the same if the tail is a power law"),
        "tail_index_interval": empty("95 % interval of the tail index, for neurons independent given the data", **bound),
        "error": empty("relative l_2 pruning error of the matrix of rows (w_i, a_i)", **kind, **kappa),
        "prunable_fraction": empty(f"largest fraction pruned at relative l_2 error {ERROR}", **kind),
        "node_error_limit": empty(
            f"limit at infinite width of the node error at kappa = {KAPPA}, from the fitted tail and its interval", **ends
        ),
    }
    for i, width in enumerate(results.particles):
        ok = results.complete(width)
        if not ok.any():
            continue
        vectors = results.particles_at(width=width).to_numpy()[ok]
        values = {name: array.to_numpy()[i] for name, array in found.items()}  # views, which are filled
        if width >= tails.SMALLEST:  # fewer values say nothing about a tail
            norms = np.linalg.norm(np.asarray(vectors, np.float64), axis=-1)
            fit = tails.hill(norms)
            values["tail_index"][ok], values["tail_index_interval"][ok] = fit.alpha, fit.interval
            values["tail_index_far"][ok] = tails.hill(norms, k=-(-fit.k // 5)).alpha
            for j, alpha in enumerate((fit.interval[:, 0], fit.alpha, fit.interval[:, 1])):
                values["node_error_limit"][ok, j] = pruning.extrapolated_limit(norms, KAPPA, alpha, fit.k)
        for j, name in enumerate(pruning.KINDS):
            values["error"][ok, j] = pruning.error_curve(vectors, KAPPAS, name)
            values["prunable_fraction"][ok, j] = pruning.prunable_fraction(vectors, ERROR, name)
    return found


def summarise(results: mf.Results, config: Config) -> dict:
    """Means over the seeds for every width and step size, and slopes in the width for every step size."""
    dataset, seeds = results.dataset, results.dataset.sizes["seed"]
    mean = dataset.mean("seed")
    split = "test" if "test" in dataset["split"] else "train"
    cells, slopes = [], []
    for step_size in dataset["step_size"].to_numpy():
        for width in dataset["width"].to_numpy():
            at = {"width": width, "step_size": step_size}
            one, all_seeds = mean.sel(at), dataset.sel(at)
            complete = int((all_seeds["status"] == mf.Status.COMPLETE.code).sum())
            pooled = _pooled_index(results, width, step_size)
            error = one["error"].sel(kappa=KAPPA, method="nearest")
            last = one.isel(step=-1)
            cells.append(
                at
                | {
                    "accuracy": last["accuracy"].sel(split=split).item(),
                    "risk": last["risk"].sel(split="train").item(),
                    "tail_index": pooled[0],
                    "tail_index_interval": pooled[1],
                    "tail_index_far": 1 / (1 / all_seeds["tail_index_far"]).mean("seed").item(),
                    "growth": _growth(one),
                    "error": {str(k): error.sel(kind=k).item() for k in pruning.KINDS},
                    "prunable_fraction": {str(k): one["prunable_fraction"].sel(kind=k).item() for k in pruning.KINDS},
                    "runs_complete": complete,
                    "runs": seeds,
                }
            )
        of_step_size = [cell for cell in cells if cell["step_size"] == step_size and cell["runs_complete"]]
        found = _slopes(dataset.sel(step_size=step_size), of_step_size)
        slopes.append({"step_size": step_size} | found | {"parts": _parts(results, float(step_size), config.key)})
    classes, count = results.dataset.attrs["classes"], results.dataset.attrs[f"{split}_examples"]
    statuses = {s.name.lower(): int((dataset["status"] == s.code).sum()) for s in mf.Status}
    return {
        "about": {
            "chance_accuracy": f"accuracy of a guess among the classes, plus three standard errors of {count} examples",
            "accuracy": f"share of {count} {split} examples classified right after the last step, mean over seeds",
            "error": f"relative l_2 error at kappa = {KAPPA}, mean over seeds",
            "parts": "slope of the logarithm of the mean node error = sampling + law + dependence, from 3 seeds on that completed at all"
            " widths; of_one_law: the error of N draws from the widest law",
            "growth": "d log q / d log step of the 99 % quantile q of the norms at the last two recorded steps; 0 if stationary",
            "prunable_fraction": f"at relative l_2 error {ERROR}, mean over seeds",
            "slope": f"of log error at kappa = {KAPPA} against log width, mean and 95 % t-interval over the seeds' slopes",
            "tail_index_far": "the same from a fifth as many values; far from tail_index, the tail is no power law there",
            "tail_index": "Hill, upper 5 % (at least 10) of every seed, log-excesses averaged over seeds, with 95 % interval",
        },
        "step_size_over_batch_size": [s / config.batch_size for s in config.step_sizes],
        "chance_accuracy": 1 / classes + 3 * np.sqrt((1 - 1 / classes) / classes / count),
        "status": statuses,
        "cells": cells,
        "slopes": slopes,
    }


def _pooled_index(results: mf.Results, width: int, step_size: float) -> tuple[float, list[float]]:
    """Hill index over all complete seeds: the excesses over every seed's own threshold, averaged (R k of them)."""
    at = {"width": width, "step_size": step_size}
    alpha = results.dataset["tail_index"].sel(at).to_numpy()
    alpha = alpha[np.isfinite(alpha)]
    if not alpha.size:
        return np.nan, [np.nan, np.nan]
    pooled = float(1 / np.mean(1 / alpha))
    return pooled, tails.hill_interval(pooled, tails.default_k(width) * alpha.size).tolist()


def _growth(one: xr.Dataset) -> float:
    quantile = one["norm_quantile"].sel(level=0.99).to_numpy()
    steps = one["step"].to_numpy()
    if len(steps) < 3:
        return np.nan
    return float(np.diff(np.log(quantile[-2:]))[0] / np.diff(np.log(steps[-2:]))[0])


def _slopes(dataset: xr.Dataset, complete: list[dict]) -> dict:
    """Measured slopes with intervals, and what the tail index of the widest network predicts for independent neurons.

    `complete` holds the cells, from narrow to wide, of which a run completed; seeds count that completed in all of these widths.
    """
    if not complete:
        nothing = {"value": np.nan, "interval": [np.nan, np.nan]}
        return {"measured": {}, "predicted": {}, "node_error_at_infinite_width": nothing}
    dataset, widest = dataset.sel(width=[cell["width"] for cell in complete]), complete[-1]
    errors = dataset["error"].sel(kappa=KAPPA, method="nearest").transpose("kind", "seed", "width")
    errors = errors.sel(seed=errors.notnull().all(["kind", "width"]))
    measured = {}
    if errors.sizes["width"] > 1 and errors.sizes["seed"] and bool((errors > 0).all()):
        fit = rates.rate(errors["width"].to_numpy(), errors.to_numpy())
        measured = {k: {"slope": fit.value[i], "interval": fit.interval[i]} for i, k in enumerate(pruning.KINDS)}
    alphas = (widest["tail_index"], *widest["tail_index_interval"])
    predicted = [0.0 - float(mf.theory.compressibility.decay_exponent(a)) for a in alphas if a > 0]
    limit = dataset["node_error_limit"].isel(width=-1).mean("seed").to_numpy()
    return {
        "measured": measured,
        "predicted": {"slope": predicted[0], "interval": predicted[1:]} if predicted else {},
        "node_error_at_infinite_width": {"value": limit[1], "interval": limit[[0, 2]]},
    }


def _parts(results: mf.Results, step_size: float, key: int) -> dict:
    """What the node error's slope is made of; nothing for fewer than three seeds, or widths of which nothing is kept."""
    widths = [width for width in results.particles if width * KAPPA >= 1]
    complete = [
        (results.dataset["status"].sel(width=w, step_size=step_size) == mf.Status.COMPLETE.code).to_numpy() for w in widths
    ]
    if len(widths) < 2 or np.all(complete, axis=0).sum() < 3:
        return {}
    whole = np.all(complete, axis=0)
    neurons = {w: results.particles_at(width=w, step_size=step_size).to_numpy()[whole] for w in widths}
    parts = mechanisms.decompose(neurons, KAPPA, key=jax.random.key(key))
    slopes = {name: {"slope": float(slope), "interval": slope.interval} for name, slope in parts.slopes.items()}
    return slopes | {"widths": parts.widths, "of_one_law": np.exp(parts.level.value + parts.sampling.value)}


def tables(summary: dict) -> list[Table]:
    """The summary as two tables: every width and step size; slopes."""
    collapsed = lambda c: "chance " if c["accuracy"] <= summary["chance_accuracy"] else ""  # noqa: E731
    ratios = dict(zip((row["step_size"] for row in summary["slopes"]), summary["step_size_over_batch_size"], strict=True))
    widths = [cell["width"] for cell in summary["cells"]]
    cells = _tables.of_rows(
        f"Errors with {KAPPA:.0%} kept, and fractions prunable at error {ERROR}; means over seeds",
        summary["cells"],
        ("step\nsize", "{step_size:g}"),
        ("width", "{width}"),
        ("accuracy", lambda c: f"{collapsed(c)}{c['accuracy']:.3f}"),
        ("tail index\ntop 5 %", _tables.measured("tail_index", 2)),
        ("index\ntop 1 %", lambda c: _tables.with_interval(c["tail_index_far"], (np.nan, np.nan), 2)),
        ("growth", "{growth:+.2f}"),
        *((f"error\n{kind[:4]}.", f"{{error[{kind}]:.3f}}") for kind in pruning.KINDS),
        *((f"prune\n{kind[:4]}.", f"{{prunable_fraction[{kind}]:.3f}}") for kind in pruning.KINDS),
        ("runs\ncomplete", "{runs_complete}/{runs}"),
    )
    for row, width in zip(cells.rows, widths, strict=True):
        row.end_section = width == widths[-1]

    def slope(part, *kind):
        def shown(row):
            found = row[part].get(*kind, {}) if kind else row[part]
            return _tables.with_interval(found.get("slope", np.nan), found.get("interval", [np.nan] * 2))

        return shown

    limit = lambda row: _tables.with_interval(*row["node_error_at_infinite_width"].values())  # noqa: E731
    slopes = _tables.of_rows(
        f"Slope of log error ({KAPPA:.0%} kept) against log width, with 95 % intervals",
        summary["slopes"],
        ("step\nsize", "{step_size:g}"),
        ("step/\nbatch", lambda row: f"{ratios[row['step_size']]:g}"),
        *((f"{kind}\nmeasured", slope("measured", kind)) for kind in pruning.KINDS),
        *((f"node:\n{part}", slope("parts", part)) for part in _regimes.PARTS),
        ("predicted by\ntail index", slope("predicted")),
        ("node error at\ninfinite width", limit),
    )
    return [cells, slopes]


def plot(summary: dict, results: mf.Results) -> Figure:
    """Error against width with its limit at infinite width; survival functions with fitted tails; tail index against ratio.

    Of the widths of which a run completed; there must be one.
    """
    widths = np.array(sorted({cell["width"] for cell in summary["cells"] if cell["runs_complete"]}))
    dataset = results.dataset.sel(width=widths)
    labels = [f"{s:g}" for s in dataset["step_size"].to_numpy()]
    figure, axes = _figures.panels(12.5, 4.4)
    left, middle, right = axes

    errors = dataset["error"].sel(kind="node").sel(kappa=KAPPA, method="nearest").transpose("step_size", "seed", "width")
    limits = [row["node_error_at_infinite_width"] for row in summary["slopes"]]
    levels = [(row["interval"][0], row["value"], row["interval"][1]) for row in limits]
    exponents = [-row["predicted"].get("slope", 0.0) for row in summary["slopes"]]
    mfplot.error_against_width(left, widths, list(errors.to_numpy()), labels, levels, exponents)
    for i, row in enumerate(summary["slopes"]):
        if row["parts"]:
            look = mfplot.style(i, len(labels)) | {"linestyle": "-", "markerfacecolor": "white", "markersize": 4.5}
            left.plot(row["parts"]["widths"], row["parts"]["of_one_law"], linewidth=0.7, zorder=1, **look)
    (open_marks,) = left.plot([], [], "o-", color="black", markerfacecolor="white", markersize=4.5, linewidth=0.7)
    mfplot.plain_numbers(left.yaxis)
    left.set_ylabel(f"relative node pruning error, {KAPPA:.0%} kept")

    widest = int(widths[-1])
    complete = results.complete(widest)
    norms = np.linalg.norm(results.particles_at(width=widest).to_numpy().astype(np.float64), axis=-1)
    rows = [cell for cell in summary["cells"] if cell["width"] == widest]
    k = tails.default_k(widest)
    samples, names, fits = [], [], []
    for i, cell in enumerate(rows):
        sample = norms[i][complete[i]]
        samples.append(sample)
        names.append(labels[i])
        threshold = np.sort(sample, axis=None)[-k * len(sample)] if np.isfinite(cell["tail_index"]) else np.nan
        fits.append((cell["tail_index"], threshold, k / widest))
    mfplot.survival(middle, samples, names, fits)
    middle.set(xlabel="norm of a neuron $|(w_i, a_i)|$", ylabel="share of neurons above")
    curves = dict(zip(*reversed(left.get_legend_handles_labels()), strict=True))
    tail = dict(zip(*reversed(middle.get_legend_handles_labels()), strict=True))["fitted tail"]
    handles = {f"step size {name}": curves[name] for name in labels} | {
        "of draws from the widest law (a)": open_marks,
        r"predicted (a), interval at $\infty$": curves["predicted"],
        "fitted tail (b)": tail,
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), frameon=False)

    ratios = summary["step_size_over_batch_size"]
    shown = [int(w) for w in (widths if len(widths) <= 3 else widths[[0, len(widths) // 2, -1]])]
    by_width = [[cell for cell in summary["cells"] if cell["width"] == width] for width in shown]
    alphas = np.array([[cell["tail_index"] for cell in cells] for cells in by_width])
    intervals = np.array([[cell["tail_index_interval"] for cell in cells] for cells in by_width])
    mfplot.index_against_ratio(right, ratios, alphas, intervals, [str(w) for w in shown])
    mfplot.plain_numbers(right.xaxis)
    mfplot.plain_numbers(right.yaxis)
    right.legend(title="width", fontsize="small", title_fontsize="small", loc="upper right")
    titles = ("error against width", f"tails at width {widest}", "tail index, 95 % intervals")
    for ax, letter, title in zip(axes, "abc", titles, strict=True):
        ax.set_title(f"({letter}) {title}", loc="left", fontsize="medium")
    return figure


main = _job.Job(Config, run, tables, plot, simulation)

if __name__ == "__main__":
    main.command()
