"""Networks whose neurons vanish: the boundary of collapse and its rate, predicted and measured, by which steps neurons die, data paths."""

import dataclasses
import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import _check
from meanfield.measure import mechanisms, rates
from meanfield.simulate.probes import AbstractProbe, Variable
from meanfield.systems.examples import digit_components
from meanfield.theory import collapse, recursion

from . import _figures, _job, _regimes, _tables, _two_wall, relu_residuals

RELU = mf.TwoLayer("relu", "cross_entropy")
SMALLEST = 1e-30  # norms in float32 above which a rate is read off
GONE = 0.01  # largest output of a network that has collapsed


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """Digits at ridges around the boundary of collapse, with shared mini-batches and with those of every neuron's own.

    A network that collapses comes to the predictor 0. There the residuals are those of the labels alone, so that its boundary and
    its rate are predicted before anything runs.
    """

    out: _job.Out = Path("out/collapse")
    step_sizes: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """Step sizes of one neuron, all at batch size 1."""
    ridges: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1)
    """Weight decays."""
    width: int = 1024
    """Number of neurons."""
    steps: int = 3_000
    """SGD steps, at least 64."""
    own_step_sizes: tuple[float, ...] = (0.5, 1.0)
    """Step sizes where every neuron has mini-batches of its own."""
    own_ridges: tuple[float, ...] = (0.05, 0.1, 0.2)
    """Weight decays there."""
    own_width: int = 8_192
    """Number of neurons there."""
    own_steps: int = 600
    """Steps there, at least 20."""
    watched: int = 300
    """Steps of which the deaths are seen one by one, at most half of the steps."""
    path_widths: tuple[int, ...] = (128, 512, 2048)
    """Numbers of neurons of the networks that share a data path."""
    networks: int = 4
    """Networks on one data path."""
    population: int = 2_000
    """Directions of the population solver."""
    solver_steps: int = 3_000
    """Steps of the population solver: some neurons see few examples, each of which comes once in 1438 steps."""
    seeds: int = 6
    """Independent runs, at least 3."""

    def sized(self):
        """The quick run."""
        small = {"step_sizes": (1.0, 4.0), "ridges": (0.003, 0.1), "width": 128, "steps": 400, "watched": 20, "networks": 2}
        own = {"own_step_sizes": (2.0,), "own_ridges": (0.1, 0.3), "own_width": 1_000, "own_steps": 60, "path_widths": (64, 128)}
        return dataclasses.replace(self, **small, **own, population=1_000, solver_steps=500, seeds=3)

    @property
    def solver(self) -> dict[str, Any]:
        """Key and size of the population solver."""
        return {"key": jax.random.key(0), "population": self.population, "steps": self.solver_steps}


def run(config: Config) -> dict:
    """Simulate and measure; the summary with predictions beside measurements."""
    _check.integer("seeds", config.seeds, at_least=3)
    _check.integer("steps", config.steps, at_least=64)
    _check.integer("own_steps", config.own_steps, at_least=20)
    _check.integer("watched", config.watched, at_least=1)
    _check.require(
        config.watched <= config.steps // 2, "watched", f"be at most {config.steps // 2}, half of steps", config.watched
    )
    _check.integer("networks", config.networks, at_least=2)
    _check.integer("population", config.population, at_least=100)
    _check.integer("solver_steps", config.solver_steps, at_least=500)
    for name in ("width", "own_width"):
        _check.integer(name, getattr(config, name), at_least=16)
    widths = _check.integers("path_widths", config.path_widths, at_least=round(1 / _regimes.KAPPA))
    _check.require(len(widths) >= 2, "path_widths", "hold at least two widths", config.path_widths)
    cells, own, chains = networks(config), own_batches(config), least_squares(config)
    return {
        "about": ABOUT,
        "verdict": [boundary_verdict(cells), rate_verdict(cells), *own_verdicts(own), chains_verdict(chains)],
        "boundary": boundary(config),
        "cells": cells,
        "own": own,
        "deaths": deaths(config),
        "paths": paths(config),
        "least_squares": chains,
    }


ABOUT = {
    "cells": "shared mini-batches: largest output of a network over the examples and the runs; rate: log-growth per step of its"
    f" neurons that are alive, over the last part of the run with norms above {SMALLEST:g}, t-interval over runs",
    "predicted": "theory.collapse.exponent at the residuals of the predictor 0, with its standard error and, as `spread`, the"
    " standard deviation of the exponents of different cones",
    "rate_predicted": "mean log-growth over the same steps of neurons that start as the network's, move by the maps near 0 at these"
    " residuals, and are alive at the end. A rate is judged where all outputs are small from the first of these steps on",
    "boundary": "theory.collapse.boundary at the same residuals",
    "own": "60 digits, 5 components, every neuron's own mini-batches. Without noise: rate of neurons that are alive over the second half"
    " of the steps, or before if float32 loses them; exponent at the mean residuals of each run, and at those of the predictor 0. With"
    " Langevin noise: tail index, predicted by theory.network.tail_index at the mean residuals",
    "deaths": "share of neurons that die in the steps watched; loss of the mini-batch of a step, mean over all steps and over the deaths;"
    " share of the deaths in the tenth of the steps with the largest loss; means over runs",
    "paths": "node errors as parts, several networks on one data path: dependence = path + network",
    "least_squares": "without label noise: mean of log(|x_30| / |x_10|) / 20 per chain, and its Lyapunov exponent",
}


# -- networks that collapse to the predictor 0 ------------------------------------------------------------------------------------


def of_labels(y: np.ndarray) -> np.ndarray:
    """Residuals of the predictor 0 for cross-entropy, (n, classes)."""
    classes = int(y.max()) + 1
    return 1 / classes - np.eye(classes)[y]


@_job.options(step_size="step_sizes", weight_decay="ridges")
def networks(config: Config) -> list[dict]:
    """Every cell of step size against ridge: whether its networks collapse, and how fast."""
    digits = mf.data.digits()
    x, y = (np.asarray(v) for v in digits.splits["train"])
    looks = tuple(sorted({config.steps // 2**k for k in range(8)}))
    system = mf.System(RELU, digits, mf.dynamics.SGD(config.step_sizes, 1, weight_decay=config.ridges))
    probes = [mf.probes.Evaluation(at=(config.steps,)), mf.probes.Snapshot(at=looks)]
    run = {"widths": config.width, "steps": config.steps, "seeds": config.seeds, "key": jax.random.key(config.key)}
    results, rows = mf.simulate(system, probes=probes, **run).require_complete(), []
    for step_size, ridge in itertools.product(config.step_sizes, config.ridges):
        cell = {"step_size": step_size, "weight_decay": ridge}
        seen = [results.particles_at(t, width=config.width, **cell).to_numpy().astype(np.float64) for t in looks]
        found = collapse.exponent(x, of_labels(y), step_size, 1, ridge, **config.solver)
        outputs = [max(float(np.abs(_two_wall.outputs(x, one)).max()) for one in runs) for runs in seen]
        window, by_run = rate_of(seen, looks, x)
        rate, interval = _mean(by_run)
        linear = max(outputs[looks.index(window[0]) :]) < GONE
        aged = aged_rate(x, of_labels(y), step_size, ridge, window, config) if linear else (np.nan, np.nan)
        accuracy = results.dataset["accuracy"].sel(cell).sel(split="test", step=config.steps)
        rows.append(
            cell
            | {"accuracy": float(accuracy.mean()), "largest_output": outputs[-1], "collapsed": outputs[-1] < GONE}
            | {"rate": rate, "interval": interval, "window": window, "rate_predicted": aged[0], "rate_error": aged[1]}
            | {"predicted": found.value, "predicted_error": found.standard_error, "spread": found.bias, "steps": config.steps}
        )
    return rows


def rate_of(seen: Sequence[np.ndarray] | np.ndarray, looks: Sequence[int], x: np.ndarray) -> tuple[tuple[int, int], list[float]]:
    """Log-growth per step of the neurons of every run that are alive, between the last two looks at which float32 holds their norms.

    Returns:
        The two looks, of all runs together, and one number per run, NaN where no neuron is alive.
    """
    window, found = (looks[0], looks[1]), [np.nan] * len(seen[0])
    for i in range(1, len(looks)):
        by_run = []
        for before, after in zip(seen[i - 1], seen[i], strict=True):
            alive = ~mechanisms.dead(after[:, : x.shape[1]], x)
            old, new = (np.linalg.norm(one[alive], axis=-1) for one in (before, after))
            held = alive.any() and new.min() > SMALLEST
            by_run.append(float(np.mean(np.log(new / old))) / (looks[i] - looks[i - 1]) if held else np.nan)
        if not np.isfinite(by_run).all():
            break
        window, found = (looks[i - 1], looks[i]), by_run
    return window, found


def aged_rate(
    x: np.ndarray, residuals: np.ndarray, step_size: float, ridge: float, window: tuple[int, int], config: Config
) -> tuple[float, float]:
    """What `rate_of` is for small neurons with these residuals, and its standard error.

    The exponent is that of old neurons. Some see one example alone, which comes once in n steps: younger ones have another rate.
    """
    grow, dim = collapse.steps_near_zero(x, residuals, step_size, 1, ridge)
    rng = np.random.default_rng(config.key)
    u, logs, before = rng.standard_normal((config.population, dim)), np.zeros(config.population), np.zeros(config.population)
    for step in range(window[1]):
        before = logs.copy() if step == window[0] else before
        u = grow(rng, u)
        sizes = np.linalg.norm(u, axis=1)
        logs += np.log(sizes)
        u /= sizes[:, None]
    alive = ~mechanisms.dead(u[:, : x.shape[1]], x)
    grown = (logs - before)[alive] / (window[1] - window[0])
    return float(np.mean(grown)), float(np.std(grown) / np.sqrt(len(grown)))


def _mean(values: Sequence[float] | np.ndarray) -> tuple[float, Any]:
    """Mean over the runs that have a number, and its interval; NaN if fewer than two have."""
    known = np.asarray(values)[np.isfinite(values)]
    if len(known) < 2:
        return np.nan, [np.nan, np.nan]
    value, interval = rates.mean_interval(known)
    return float(value), interval


def boundary(config: Config) -> dict:
    """Ridge at which networks begin to collapse, for every step size."""
    x, y = (np.asarray(v) for v in mf.data.digits().splits["train"])
    found = collapse.boundary(x, of_labels(y), 1, config.step_sizes, **config.solver)
    return {"step_sizes": config.step_sizes, "ridges": found.value, "errors": found.standard_error}


def _decided(row: dict) -> bool:
    """Whether the exponent is far enough from 0 to say what a run of so many steps must do."""
    return abs(row["predicted"]) > max(2 * row["spread"], 4 * row["predicted_error"], 8 / row["steps"])


def boundary_verdict(rows: Sequence[dict]) -> dict:
    """Whether networks collapse where the exponent is negative, and not where it is positive."""
    decided = [row for row in rows if _decided(row)]
    right = sum(row["collapsed"] == (row["predicted"] < 0) for row in decided)
    evidence = f"{right} of {len(decided)} cells right; {len(rows) - len(decided)} too near the boundary for their steps"
    text = "networks collapse to the predictor 0 where its exponent is negative"
    return _two_wall.statement(text, evidence, right == len(decided) if decided else None)


def rate_verdict(rows: Sequence[dict]) -> dict:
    """Whether networks that collapse do it at the rate of small neurons of their age: within 2 %, or two standard errors of both."""
    gone = [row for row in rows if np.isfinite(row["rate_predicted"]) and np.isfinite(row["rate"])]
    off = [abs(row["rate"] - row["rate_predicted"]) for row in gone]
    allowed = [max(0.02 * abs(row["rate_predicted"]), np.ptp(row["interval"]) / 2 + 2 * row["rate_error"]) for row in gone]
    inside = int(np.sum(np.less_equal(off, allowed)))
    largest = max((d / abs(row["rate_predicted"]) for d, row in zip(off, gone, strict=True)), default=np.nan)
    evidence = f"{inside} of {len(gone)} rates within their errors, off by {largest:.1%} at most"
    return _two_wall.statement(
        "they collapse at the rate of small neurons of their age", evidence, inside == len(gone) if gone else None
    )


# -- every neuron's own mini-batches ----------------------------------------------------------------------------------------------

TEMPERATURE = 0.02


@_job.options(step_size="own_step_sizes", weight_decay="own_ridges", width="own_width")
def own_batches(config: Config) -> list[dict]:
    """Without noise the rate of living neurons and their exponent; with noise the tail index and the predicted one."""
    (x, y), rows = digit_components(relu_residuals.COMPONENTS, relu_residuals.EXAMPLES), []
    steps = max(8, config.own_steps)
    sizes: dict[str, Any] = {name: getattr(config, name) for name in ("seeds", "key", "population", "solver_steps")}
    times = tuple(config.own_steps * k // 20 for k in range(1, 21))
    for eta, ridge in itertools.product(config.own_step_sizes, config.own_ridges):
        like = relu_residuals.Config(noisy=((eta, ridge, TEMPERATURE),), width=config.own_width, steps=steps, **sizes)
        sgd = mf.dynamics.SGD(eta, 1, weight_decay=ridge, minibatches="independent")
        seen, residuals, accuracy = relu_residuals.trained(like, sgd, config.own_width, times)
        looks = [1, 4, len(times) // 2, -1]
        rate, interval = _mean(rate_of(seen[looks], [times[i] for i in looks], x)[1])
        found = [collapse.exponent(x, one, eta, 1, ridge, **config.solver) for one in residuals]
        predicted, spread = rates.mean_interval([float(one) for one in found])
        at_zero = collapse.exponent(x, of_labels(y), eta, 1, ridge, **config.solver)
        rows.append(
            {
                "step_size": eta,
                "weight_decay": ridge,
                "accuracy": float(np.mean(accuracy)),
                "rate": rate,
                "rate_interval": interval,
            }
            | {"exponent": predicted, "exponent_interval": spread, "exponent_at_zero": float(at_zero)}
            | _with_noise(like)
        )
    return rows


def _with_noise(config: relu_residuals.Config) -> dict:
    """The row of relu_residuals; without one where the residuals let neurons grow, so that they have no index."""
    try:
        return {"noisy": relu_residuals.indices(config)[0]}
    except mf.ArgumentError as error:
        return {"left_out": str(error)}


def own_verdicts(rows: Sequence[dict]) -> list[dict]:
    """Signs and sizes of rates, and indices."""
    decided = [row for row in rows if row["rate_interval"][0] * row["rate_interval"][1] > 0]
    signs = sum(row["rate"] * row["exponent"] > 0 for row in decided)
    telling = sum(row["exponent"] * row["exponent_at_zero"] < 0 for row in decided)
    off = [abs(row["rate"] / row["exponent"] - 1) for row in decided]
    evidence = f"{signs} of {len(decided)} signs right, in {telling} the predictor 0 has the other sign"
    evidence += f"; sizes are off by {max(off):.0%} at most" if off else ""
    text = "own mini-batches: living neurons shrink or grow as the exponent of their mean residuals says"
    return [
        _two_wall.statement(text, evidence, signs == len(decided) if decided else None),
        _two_wall.predicted(
            "own mini-batches and noise: the index is that of the mean residuals",
            [row["noisy"] for row in rows if "noisy" in row],
        ),
    ]


# -- by which steps neurons die ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loss(AbstractProbe):
    """Loss of the mini-batch of the coming step."""

    def __call__(self, view):
        """Array "loss" without axes."""
        return {"loss": view.info["risk"]}

    @property
    def variables(self):
        """A loss."""
        return {"loss": Variable((), "loss of the mini-batch of the coming step")}


def deaths(config: Config) -> list[dict]:
    """Deaths step by step at the beginning and at the end of a run without a ridge, for the step sizes of 1 and more."""
    rows, large = [], [eta for eta in config.step_sizes if eta >= 1]  # smaller steps kill few
    for first in (0, config.steps - config.watched) if large else ():
        looks = tuple(range(first, first + config.watched + 1))
        system = mf.System(RELU, mf.data.digits(), mf.dynamics.SGD(large, 1))
        run = {"widths": config.width, "steps": looks[-1], "seeds": config.seeds, "key": jax.random.key(config.key)}
        results = mf.simulate(system, probes=[mf.probes.Dead(at=looks), Loss(at=looks)], **run).require_complete()
        for eta in large:
            one = results.dataset.sel(width=config.width, step_size=eta)
            died = np.diff(one["dead"].to_numpy(), axis=-1)
            rows.append({"step_size": eta, "first": first} | by_which_steps(died, one["loss"].to_numpy()[:, :-1]))
    return rows


def by_which_steps(died: np.ndarray, loss: np.ndarray) -> dict:
    """Shares of neurons that die in each step, and losses of their mini-batches, both (run, step): which steps kill."""
    count, total = max(1, died.shape[1] // 10), died.sum(axis=1)
    some = total > 0
    weights = died[some] / total[some, None]
    worst = np.take_along_axis(weights, np.argsort(-loss[some], axis=1)[:, :count], axis=1).sum(axis=1)
    found = {"died": total, "loss": loss.mean(axis=1), "loss_at_death": (weights * loss[some]).sum(axis=1)}
    found["in_largest_losses"] = worst
    row = {}
    for name, values in found.items():
        row[name], row[f"{name}_interval"] = _mean(values)
    return row


# -- several networks on one data path --------------------------------------------------------------------------------------------


def paths(config: Config) -> list[dict]:
    """What of the dependence a data path makes, and what is left given the path."""
    tanh = mf.TwoLayer("tanh", "squared", train_output=False)
    noisy = mf.dynamics.StableSGD([0.5], 10, weight_decay=0.03, alpha=1.5, scale=0.05, mode="isotropic")
    made = {
        "ReLU, step 1": (RELU, mf.dynamics.SGD([1.0], 1), config.steps),
        "ReLU, step 1, ridge .001": (RELU, mf.dynamics.SGD([1.0], 1, weight_decay=1e-3), config.steps),
        "tanh, stable noise": (tanh, noisy, min(600, config.steps)),
    }
    rows = []
    for name, (network, dynamics, steps) in made.items():
        system = mf.System(network, mf.data.digits(), dynamics)
        run = {"widths": config.path_widths, "steps": steps, "seeds": config.seeds, "key": jax.random.key(config.key)}
        results = mf.simulate(system, networks=config.networks, probes=(), **run).require_complete()
        step_size = float(results.dataset["step_size"][0])
        neurons = {n: results.particles_at(width=n, step_size=step_size).to_numpy() for n in config.path_widths}
        parts = mechanisms.decompose(neurons, _regimes.KAPPA, key=jax.random.key(config.key))
        row: dict[str, Any] = {"networks": name, "widths": parts.widths, "error": np.exp(parts.measured.value), "slope": {}}
        row["slope_interval"] = {}
        for part, slope in parts.slopes.items():
            row["slope"][part], row["slope_interval"][part] = float(slope), slope.interval
        for part in ("dependence", "path", "network"):
            whole = getattr(parts, part)
            row[part], row[f"{part}_interval"] = whole.value[-1], whole.interval[-1]
        rows.append(row)
    return rows


# -- chains, whose exponent is an integral ----------------------------------------------------------------------------------------

CHAIN_STEPS, CHAIN_RIDGES, CHAIN_TIMES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5), (0.0, 0.2, 0.4), (10, 30)


def least_squares(config: Config) -> list[dict]:
    """Chains without anything added: they shrink or grow at their Lyapunov exponent, whose zero is the boundary of collapse."""
    silent = mf.data.gaussian_regression(1, optimum=np.zeros(1), noise_std=0.0)
    dynamics = mf.dynamics.LinearRecursion(CHAIN_STEPS, 1, weight_decay=CHAIN_RIDGES)
    width, (first, last) = config.own_width, CHAIN_TIMES
    run = {"widths": width, "steps": last, "seeds": config.seeds, "key": jax.random.key(config.key)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mf.StabilityWarning)  # some are beyond the boundary
        system = mf.System(mf.dynamics.chains(), silent, dynamics)
        results = mf.simulate(system, probes=[mf.probes.Snapshot(at=(first,))], **run)
    rows = []
    for step_size, ridge in itertools.product(CHAIN_STEPS, CHAIN_RIDGES):
        cell = {"width": width, "step_size": step_size, "weight_decay": ridge}
        before, after = (np.abs(results.particles_at(t, **cell).to_numpy().astype(np.float64)) for t in (first, None))
        whole = after > 0  # a step to exactly 0 is one of float32, in one chain of a million
        logs = (np.log(one, where=whole, out=np.zeros_like(one)).sum(axis=(1, 2)) for one in (after, before))
        rate = np.subtract(*logs) / whole.sum(axis=(1, 2)) / (last - first)
        value, interval = rates.mean_interval(rate)
        predicted = recursion.lyapunov(step_size, 1, 1, weight_decay=ridge)
        rows.append({"step_size": step_size, "weight_decay": ridge, "rate": value, "interval": interval, "predicted": predicted})
    return rows


def chains_verdict(rows: Sequence[dict]) -> dict:
    """Whether rates are those predicted, within 2 % or four standard errors, and have their signs."""
    decided = [row for row in rows if row["interval"][0] * row["interval"][1] > 0]
    signs = sum(row["rate"] * row["predicted"] > 0 for row in decided)
    inside = sum(map(_tables.inside, rows))
    off = [abs(row["rate"] - row["predicted"]) for row in rows]
    allowed = [max(0.02 * abs(row["predicted"]), 1.6 * np.ptp(row["interval"]) / 2) for row in rows]
    evidence = f"{inside} of {len(rows)} exponents in 95 % intervals, {signs} of {len(decided)} signs right"
    evidence += f", largest difference {max(off):.4f}"
    holds = bool(np.all(np.less(off, allowed)) and signs == len(decided))
    return _two_wall.statement("least squares without label noise: collapse at the Lyapunov exponent", evidence, holds)


# -- tables and figure ------------------------------------------------------------------------------------------------------------


def tables(summary: dict) -> list[Table]:
    """Networks that collapse; own mini-batches; deaths; data paths; chains; the verdict."""
    at = [("step\nsize", "{step_size:g}"), ("ridge", "{weight_decay:g}")]
    rate = ("rate per step", lambda r: _tables.with_interval(r["rate"], r["interval"], 4))
    cells = _tables.of_rows(
        "Digits, shared mini-batches of one: do networks collapse?",
        summary["cells"],
        *at,
        ("accuracy", "{accuracy:.2f}"),
        ("largest output", "{largest_output:.1e}"),
        ("collapsed", lambda r: "yes" if r["collapsed"] else "no"),
        rate,
        ("of small neurons\nof this age", lambda r: _tables.plus_minus(r["rate_predicted"], r["rate_error"], 4)),
        ("exponent of the\npredictor 0", "{predicted:.4f} +- {predicted_error:.4f}"),
        ("cones differ by", lambda r: f"{r['spread']:.4f}"),
    )
    own = _tables.of_rows(
        "60 digits, every neuron's own mini-batches",
        summary["own"],
        *at,
        ("accuracy", "{accuracy:.2f}"),
        ("rate per step", _tables.measured("rate", 4)),
        ("exponent", _tables.measured("exponent", 4)),
        ("of the predictor 0", "{exponent_at_zero:.4f}"),
        (
            "index with noise",
            lambda r: _tables.with_interval(r["noisy"]["index"], r["noisy"]["interval"], 2) if "noisy" in r else "-",
        ),
        ("predicted", lambda r: f"{r['noisy']['predicted']:.2f} +- {r['noisy']['predicted_error']:.2f}" if "noisy" in r else "-"),
    )
    which = _tables.of_rows(
        "By which steps neurons die, no ridge",
        summary["deaths"],
        at[0],
        ("from step", "{first}"),
        ("died", _tables.measured("died")),
        ("loss", _tables.measured("loss", 2)),
        ("at a death", _tables.measured("loss_at_death", 2)),
        ("in the tenth with\nthe largest loss", _tables.measured("in_largest_losses", 2)),
    )
    shared = _tables.of_rows(
        "Several networks on one data path: slopes, and parts of the log error of the widest",
        summary["paths"],
        ("", "{networks}"),
        *((name, _regimes.part(name)) for name in ("measured", "dependence", "path", "network")),
        *((f"{name},\nwidest", _tables.measured(name)) for name in ("dependence", "path", "network")),
    )
    predicted = ("predicted", "{predicted:.4f}")
    chains = _tables.of_rows("Least squares without label noise", summary["least_squares"], *at, rate, predicted)
    return [cells, own, which, shared, chains, _two_wall.verdict(summary)]


def plot(summary: dict) -> Figure:
    """The map with the predicted boundary over it; rates; indices over their map; deaths; data paths; chains."""
    figure, axes = _figures.panels(16, 8.4, rows=2)
    draw_boundary(axes[0], "(a) accuracy, and predicted boundary", summary["cells"], summary["boundary"])
    draw_rates(axes[1], "(b) rates of collapse", summary)
    draw_own(axes[2], "(c) own mini-batches and noise: tail index", summary["own"])
    draw_deaths(axes[3], "(d) by which steps neurons die", summary["deaths"])
    names = [row["networks"].replace(", ", ",\n") for row in summary["paths"]]
    draw_paths(axes[4], "(e) what the widest networks share", names, summary["paths"])
    draw_chains(axes[5], "(f) least squares without label noise", summary["least_squares"])
    return figure


def draw_boundary(ax: Axes, title: str, rows: Sequence[dict], predicted: dict) -> None:
    """Networks in the plane of step size and ridge: filled if they have collapsed."""
    for collapsed, look, label in ((True, "black", "collapsed"), (False, "white", "not collapsed")):
        some = [row for row in rows if row["collapsed"] is collapsed]
        at = _figures.columns(some, "step_size", "weight_decay") if some else ([], [])
        ax.scatter(*at, s=60, facecolor=look, edgecolor="black", label=label)
    for row in rows:
        ax.annotate(
            f"{row['accuracy']:.2f}",
            (row["step_size"], row["weight_decay"]),
            (6, 4),
            textcoords="offset points",
            fontsize="small",
        )
    ax.plot(predicted["step_sizes"], predicted["ridges"], ":", color="black", label="predicted boundary")
    ax.set(xscale="log", yscale="log")
    _figures.ticks_at(ax, sorted({row["step_size"] for row in rows}))
    _figures.panel(ax, title, "step size", "ridge", {"loc": "lower left"})


def draw_rates(ax: Axes, title: str, summary: dict) -> None:
    """Measured against predicted rates: of networks that have collapsed, and of living neurons with mini-batches of their own."""
    gone = [row for row in summary["cells"] if np.isfinite(row["rate_predicted"]) and np.isfinite(row["rate"])]
    if gone:
        x, y, interval = _figures.columns(gone, "rate_predicted", "rate", "interval")
        _figures.errorbars(ax, -x, -y, -interval[:, ::-1], label="collapsed, shared", **_figures.points(0, 3))
    own = [row for row in summary["own"] if row["rate"] < 0 and row["exponent"] < 0]
    if own:
        x, y, interval = _figures.columns(own, "exponent", "rate", "rate_interval")
        _figures.errorbars(ax, -x, -y, -interval[:, ::-1], label="living, own mini-batches", **_figures.points(1, 3))
    ends = np.array([1e-3, 1.0])
    ax.plot(ends, ends, color="black", linewidth=0.6)
    _figures.panel(ax, title, "- predicted", "- log-growth per step", {}, xscale="log", yscale="log")


def draw_own(ax: Axes, title: str, rows: Sequence[dict]) -> None:
    """The measured index against the ridge, over the predicted one."""
    known = [row["noisy"] for row in rows if "noisy" in row]
    sizes = sorted({row["step_size"] for row in known})
    for i, size in enumerate(sizes):
        some = [row for row in known if row["step_size"] == size]
        look = _figures.points(i, len(sizes))
        _figures.errorbars(ax, *_figures.columns(some, "weight_decay", "index", "interval"), label=f"{size:g}", **look)
        ax.plot(*_figures.columns(some, "weight_decay", "predicted"), ":", color=look["color"])
    _figures.named(ax, "predicted")
    _figures.panel(ax, title, "ridge", "index", {"title": "step size"})


def draw_deaths(ax: Axes, title: str, rows: Sequence[dict]) -> None:
    """Share of the deaths in the tenth of the steps with the largest loss."""
    shown = [row for row in rows if np.isfinite(row["in_largest_losses"])]
    if shown:
        values, interval = _figures.columns(shown, "in_largest_losses", "in_largest_losses_interval")
        _figures.errorbars(ax, np.arange(len(shown)), values, interval, **_figures.points(0, 2))
    ax.axhline(0.1, color="black", linewidth=0.6)  # if losses did not matter
    ax.set_xticks(range(len(shown)), [f"{row['step_size']:g}\n{row['first']}" for row in shown])
    _figures.panel(ax, title, "step size, first step", "deaths in the tenth with the largest loss", ylim=(0, 1.05))


def draw_paths(ax: Axes, title: str, names: Sequence[str], rows: Sequence[dict]) -> None:
    """Dependence, and its two parts."""
    for i, name in enumerate(("dependence", "path", "network")):
        values, interval = _figures.columns(rows, name, f"{name}_interval")
        _figures.errorbars(ax, np.arange(len(rows)) + 0.15 * (i - 1), values, interval, label=name, **_figures.points(i, 3))
    ax.axhline(0, color="black", linewidth=0.6)
    ax.set_xticks(range(len(rows)), list(names), fontsize="small")
    _figures.panel(ax, title, "networks", "part of log error", {})


def draw_chains(ax: Axes, title: str, rows: Sequence[dict]) -> None:
    """Measured exponents against the step size, over the predicted ones; the boundary of collapse is where they cross 0."""
    ridges = sorted({row["weight_decay"] for row in rows})
    for i, ridge in enumerate(ridges):
        some = [row for row in rows if row["weight_decay"] == ridge]
        look = _figures.points(i, len(ridges))
        _figures.errorbars(ax, *_figures.columns(some, "step_size", "rate", "interval"), label=f"{ridge:g}", **look)
        ends = np.linspace(some[0]["step_size"], some[-1]["step_size"], 60)
        ax.plot(ends, [recursion.lyapunov(eta, 1, 1, weight_decay=ridge) for eta in ends], ":", color=look["color"])
    ax.axhline(0, color="black", linewidth=0.6)
    _figures.panel(ax, title, "step size", "log-growth per step", {"title": "ridge"})


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
