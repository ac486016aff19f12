"""What the claims share: runs in parts, tampered rows, indices, probabilities, slopes, stationarity."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from scipy import special

from meanfield import _check
from meanfield.measure import distances, tails
from meanfield.simulate import Results, simulate
from meanfield.systems.system import System
from meanfield.verify.claim import Arrays, Check, Estimate, Hypothesis, Numbers, Prediction, Row, Rows, bounds, mean

# -- experiments ----------------------------------------------------------------------------------------------------------


def run_to_the_end(system: System, *, probes=(), **run) -> Results:
    """`simulate` without a progress bar, where every run must complete."""
    return simulate(system, probes=probes, progress=False, **run).require_complete()


def in_parts(key: jax.Array, runs: int, at_once: int, part: Callable[[jax.Array, int], np.ndarray]) -> np.ndarray:
    """`part(key, count)` of so many runs, at most `at_once` at a time: they fit into memory, and share one compiled program."""
    counts = [min(at_once, runs - first) for first in range(0, runs, at_once)]
    return np.concatenate([part(jax.random.fold_in(key, i), count) for i, count in enumerate(counts)])


def side_by_side(parts: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    """What the functions return, by their names, each called in a thread: their programs are compiled at the same time."""
    with ThreadPoolExecutor(len(parts)) as pool:
        running = {name: pool.submit(part) for name, part in parts.items()}
        return {name: one.result() for name, one in running.items()}


def lognormal(draw: np.random.Generator, size: int, alpha: float, share: float = 0.01) -> np.ndarray:
    """Log-normal numbers for controls: of the largest `share` the mean log-excess is 1/alpha, as that of a power law."""
    at = -special.ndtri(share)
    return np.exp(draw.standard_normal(size) / (alpha * (np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi) / share - at)))


def keeps_some(kappa: float, *sizes: int, at_least: int = 10) -> None:
    """Refuse a fraction at which fewer than `at_least` parts are kept: rounding to whole parts would be all that is measured."""
    must = f"keep {at_least} parts or more of {min(sizes)}"
    _check.require(kappa * min(sizes) >= at_least, "kappa", must, kappa)


# -- rows of controls -----------------------------------------------------------------------------------------------------


def predictions(rows: Rows, parameters: Numbers) -> dict[str, Prediction]:
    """What the rows predict, by their names."""
    return {row.name: row.predicted for row in rows(parameters)}


def predicting(rows: Rows, predict: Callable[[Numbers], Mapping[str, Prediction]]) -> Rows:
    """The rows with other predictions: those by name of `predict(parameters)`; a row that it does not name keeps its own."""

    def other(parameters: Numbers) -> list[Row]:
        own, given = list(rows(parameters)), predict(parameters)
        for name in given:
            _check.choice("predicted row", name, [row.name for row in own])
        return [replace(row, predicted=given.get(row.name, row.predicted)) for row in own]

    return other


def tampered(rows: Rows, factor: float = 1.0, shift: float = 0.0, only: str = "") -> Rows:
    """The rows with the predictions `factor * prediction + shift`; `only`: those rows whose names begin with it."""

    def predict(parameters: Numbers) -> dict[str, Prediction]:
        made = {}
        for name, value in predictions(rows, parameters).items():
            if name.startswith(only):
                low, high = (factor * end + shift for end in bounds(value))
                made[name] = low if low == high else (low, high)
        _check.require(bool(made), "only", "be how the name of a row begins", only)
        return made

    return predicting(rows, predict)


# -- measurements ---------------------------------------------------------------------------------------------------------

BIAS = 0.01  # of log alpha by `hill_reduced` on samples of a million, less than its standard error of 0.014


def log_index(values) -> Estimate:
    """Estimate of log alpha from independent values, by `hill_reduced`; its bias counts as noise, or large samples would refute truths.

    The law of a claim is known to bend like a power above 1/2, so that it needs no `tail_index`, whose interval is for any bend.
    """
    fit = tails.hill_reduced(values)
    return Estimate(float(np.log(fit.alpha)), float(np.hypot(fit.standard_error / fit.alpha, BIAS)))


def largest_hundredth(values: np.ndarray) -> np.ndarray:
    """The largest hundredth. Hill's estimator reads it with a bias of some 0.1 % in the chains of the claims."""
    return np.sort(values)[-(len(values) // 100) - 1 :].astype(np.float32)


def log_hill(largest: np.ndarray) -> Estimate:
    """Estimate of log alpha from the largest values."""
    k = len(largest) - 1
    return Estimate(float(np.log(tails.hill(np.asarray(largest, np.float64), k=k).alpha)), float(1 / np.sqrt(k)))


def probability(right) -> Estimate:
    """Estimate of a probability from independent yes or no: after Agresti and Coull, with a standard error that is never 0."""
    right = np.asarray(right, bool)
    n, p = right.size + 16, (right.sum() + 8) / (right.size + 16)  # four standard errors
    return Estimate(float(p), float(np.sqrt(p * (1 - p) / n)))


def slope(sizes, values) -> Estimate:
    """Slope of log mean against log size between independent samples (len(sizes), R) of positive values, by least squares.

    The standard error follows from those of the means (delta method).
    """
    values = np.asarray(values, np.float64)
    x = np.log(np.asarray(sizes, np.float64))
    x = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    means = values.mean(axis=-1)
    errors = values.std(axis=-1, ddof=1) / np.sqrt(values.shape[-1]) / means
    return Estimate(float(x @ np.log(means)), float(np.sqrt(np.sum((x * errors) ** 2))), dof=values.shape[-1] - 1)


def log_slope(sizes, values) -> Estimate:
    """Slope of E log between two independent samples of positive values: for errors whose law has a heavy tail."""
    return slope_between(sizes, [mean(np.log(np.asarray(one, np.float64))) for one in values])


def slope_between(sizes, ends) -> Estimate:
    """Slope against log size between two independent estimates, by Student's law of the smaller sample."""
    ratio = float(np.log(sizes[1] / sizes[0]))
    error = float(np.hypot(ends[0].standard_error, ends[1].standard_error)) / ratio
    return Estimate((ends[1].value - ends[0].value) / ratio, error, dof=min(end.dof for end in ends))


def log_ratio(one: Estimate, other: Estimate, factor: float = 1.0) -> Estimate:
    """Logarithm of `factor * one / other` of independent means (delta method), by Student's law of the second."""
    error = np.hypot(one.standard_error / one.value, other.standard_error / other.value)
    return Estimate(float(np.log(factor * one.value / other.value)), float(error), dof=other.dof)


def stationary(earlier: str, now: str) -> Hypothesis:
    """Hypothesis that two independent samples, at half of the steps and after all, are of one law: by their mean ranks."""

    def check(data: Arrays, parameters: Numbers) -> Check:
        z = float(distances.rank_shift(np.ravel(data[earlier]), np.ravel(data[now])))
        return Check(abs(z) < 4, f"The mean rank after all steps is {z:+.1f} standard errors from that after half of them.")

    return Hypothesis("The chains are stationary.", check)
