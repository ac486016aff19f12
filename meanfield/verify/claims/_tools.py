"""What the claims share: random numbers, tampering, indices, stationarity, slopes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import special

from meanfield._keys import generator
from meanfield.measure import distances, tails
from meanfield.simulate import Results, simulate
from meanfield.systems.system import System
from meanfield.verify.claim import Arrays, Check, Estimate, Hypothesis, Numbers, bounds, mean

rng = generator


def complete(system: System, *, probes=(), **run) -> Results:
    """`simulate` without a progress bar, where every run must complete."""
    return simulate(system, probes=probes, progress=False, **run).require_complete()


def side_by_side(*parts: Callable) -> list:
    """What the functions return, each called in a thread of its own: their programs are compiled at the same time."""
    with ThreadPoolExecutor(len(parts)) as pool:
        return [one.result() for one in [pool.submit(part) for part in parts]]


def off(predict: Callable, factor: float = 1.0, shift: float = 0.0) -> Callable:
    """A tampered prediction: `factor * prediction + shift`."""

    def tampered(parameters: Numbers) -> dict:
        made = {}
        for name, value in predict(parameters).items():
            low, high = (factor * end + shift for end in bounds(value))
            made[name] = low if low == high else (low, high)
        return made

    return tampered


BIAS = 0.01  # of log alpha by `hill_reduced` on samples of a million, less than its standard error of 0.014


def log_index(values) -> Estimate:
    """Estimate of log alpha from independent values, by `hill_reduced`; its bias counts as noise, or large samples would refute truths.

    The law of a claim is known to bend like a power above 1/2, so that it needs no `tail_index`, whose interval is for any bend.
    """
    fit = tails.hill_reduced(values)
    return Estimate(float(np.log(fit.alpha)), float(np.hypot(fit.standard_error / fit.alpha, BIAS)))


def tail(values: np.ndarray) -> np.ndarray:
    """The largest hundredth. Hill's estimator reads it with a bias of some 0.1 % in the chains of the claims."""
    return np.sort(values)[-(len(values) // 100) - 1 :].astype(np.float32)


def log_hill(largest: np.ndarray) -> Estimate:
    """Estimate of log alpha from the largest values."""
    k = len(largest) - 1
    return Estimate(float(np.log(tails.hill(np.asarray(largest, np.float64), k=k).alpha)), float(1 / np.sqrt(k)))


def lognormal(draw: np.random.Generator, size: int, alpha: float, share: float = 0.01) -> np.ndarray:
    """Log-normal numbers for controls: of the largest `share` the mean log-excess is 1/alpha, as that of a power law."""
    at = -special.ndtri(share)
    return np.exp(draw.standard_normal(size) / (alpha * (np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi) / share - at)))


def stationary(earlier: str, now: str) -> Hypothesis:
    """Hypothesis that two independent samples, at half of the steps and after all, are of one law: by their mean ranks."""

    def check(data: Arrays, parameters: Numbers) -> Check:
        z = float(distances.rank_shift(np.ravel(data[earlier]), np.ravel(data[now])))
        return Check(abs(z) < 4, f"The mean rank after all steps is {z:+.1f} standard errors from that after half of them.")

    return Hypothesis("The chains are stationary.", check)


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


def share(right) -> Estimate:
    """Estimate of a probability from independent yes or no: after Agresti and Coull, with a standard error that is never 0."""
    right = np.asarray(right, bool)
    n, p = right.size + 16, (right.sum() + 8) / (right.size + 16)  # four standard errors
    return Estimate(float(p), float(np.sqrt(p * (1 - p) / n)))


def log_slope(sizes, values) -> Estimate:
    """Slope of E log between two independent samples of positive values: for errors whose law has a heavy tail."""
    return between(sizes, [mean(np.log(np.asarray(one, np.float64))) for one in values])


def between(sizes, ends) -> Estimate:
    """Slope against log size between two independent estimates, by Student's law of the smaller sample."""
    ratio = float(np.log(sizes[1] / sizes[0]))
    error = float(np.hypot(ends[0].standard_error, ends[1].standard_error)) / ratio
    return Estimate((ends[1].value - ends[0].value) / ratio, error, dof=min(end.dof for end in ends))


def ticks(ax, sizes) -> None:
    """Ticks at these sizes alone."""
    ax.set_xticks(sizes, [str(n) for n in sizes])
    ax.set_xticks([], minor=True)


def null_bias(null: Estimate, predicted: float) -> float:
    """Bound of a device's bias from its measurement of samples whose law is the predicted one: what it is off, and three errors."""
    return abs(null.value - predicted) + 3 * null.standard_error
