"""What measuring devices are off at a finite threshold, number of steps or size: known by formula, and allowed for in the rows.

A row is corrected by what its device is off to leading order, `Estimate.value`, and a share `DOUBT` of the correction is its bias.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import special

from meanfield.theory import recursion
from meanfield.verify.claim import Estimate

DOUBT = 0.75  # of a correction: terms that it leaves out (oscillations of complex roots of h) were 0.6 of it at most in chains
SHARE = 0.01  # of a sample that `_tools.tail` keeps


class Reading(NamedTuple):
    """What Hill's log alpha, and the `bow` of log-excesses, are off: 0 for a pure power law."""

    index: float
    shape: float


def reading(alpha: float, survival: Callable[[np.ndarray], np.ndarray]) -> Reading:
    """Of a law whose share beyond `e^y` thresholds, `survival(y)`, tends to `e^(-alpha y)` times a constant."""
    y = np.linspace(0, 60 / alpha, 12_001)
    beyond = survival(y) / survival(y[:1])
    first, second = np.trapezoid(beyond, y), 2 * np.trapezoid(y * beyond, y)
    grid = np.trapezoid(np.exp(-alpha * y), y), 2 * np.trapezoid(y * np.exp(-alpha * y), y)  # of the quadrature itself
    return Reading(float(np.log(grid[0] / first)), bow(first, second) - bow(*grid))


def bow(first: float, second: float) -> float:
    """`(1 - (2 first^2 / second)^2) / 2` of the moments of log-excesses: 0 where they are exponential.

    Below 0 for a law whose logarithm has a lighter tail: -0.088 for the largest hundredth of a log-normal one. For the moments of k
    values of a power law its variance is 1/k, its mean -2.4/k and its skewness 0 to leading order.
    """
    return float((1 - (2 * first**2 / second) ** 2) / 2)


def index_row(largest: np.ndarray, off: Reading, why: str) -> Estimate:
    """Hill's log alpha of the largest values, corrected."""
    y = _excesses(largest)
    return Estimate(float(-np.log(y.mean()) - off.index), 1 / math.sqrt(len(y)), bias=DOUBT * abs(off.index), why=why)


def shape_row(largest: np.ndarray, off: Reading, why: str) -> Estimate:
    """Whether the largest values are those of a power law: the `bow` of their log-excesses, corrected."""
    y = _excesses(largest)
    k = len(y)
    value = bow(float(y.mean()), float(np.mean(y**2))) + 2.4 / k
    return Estimate(value - off.shape, 1 / math.sqrt(k), bias=DOUBT * abs(off.shape), why=why)


def _excesses(largest: np.ndarray) -> np.ndarray:
    x = np.sort(np.asarray(largest, np.float64))
    return np.log(x[1:] / x[0])


# -- chains ---------------------------------------------------------------------------------------------------------------


def chain(eta: float, b: int, d: int, threshold: float, steps: int, share: float = SHARE) -> Reading:
    """Of |x| beyond the threshold, which a share of the chains exceed, so many steps of least squares after a start near 0."""
    alpha, bend = _curvature(eta, b, d)
    log_h = [math.log(recursion.moment(s, eta, b, d)) for s in (0.999 * alpha, alpha, 1.001 * alpha)]
    drift, spread = (log_h[2] - log_h[0]) / (0.002 * alpha), (log_h[2] - 2 * log_h[1] + log_h[0]) / (0.001 * alpha) ** 2
    return reading(alpha, bent(alpha, bend / threshold**2, grown(alpha, share, steps, drift, spread)))


def bent(
    alpha: float, bend: float, rest: Callable[[np.ndarray], np.ndarray] = np.ones_like
) -> Callable[[np.ndarray], np.ndarray]:
    """`t^-alpha (1 + bend t^-2 + ...)`, bend <= 0, at t = e^y, resummed as `(t^2 - 2 bend / alpha)^(-alpha / 2)`, times the rest."""
    inside = max(-2 * bend / alpha, 0.0)
    return lambda y: np.exp(-alpha * (y + np.log1p((np.exp(-2 * y) - 1) * inside / (1 + inside)) / 2)) * rest(y)


def grown(alpha: float, share: float, steps: int, drift: float, spread: float) -> Callable[[np.ndarray], np.ndarray]:
    """Part of the tail that is there after so many steps, by a normal law: tilted by alpha, log |x| moves by (drift, spread) a step."""
    scale = math.sqrt(max(spread, 1e-12) * steps)
    return lambda y: special.ndtr((steps * drift - y + math.log(share) / alpha) / scale)


@lru_cache(maxsize=256)
def _curvature(eta: float, b: int, d: int) -> tuple[float, float]:
    """Alpha and D of `P(|x| > t) = C t^-alpha (1 + D t^-2 + ...)` for Gaussian inputs and labels.

    With a step `R e' + B` of a unit vector, c the part of B along e' and p that across,
    `D = -E[R^alpha (alpha p^2 + alpha (alpha + 1) c^2)] / (2 (h(alpha + 2) - 1))`: terms of order t^-(alpha + 2) of the equation of
    the stationary law. The expectation by points that fill the square evenly.
    """
    alpha, gain, n = recursion.tail_index(eta, b, d), eta / b, 100_000
    u, v = (np.arange(n) + 0.5) / n, np.mod(np.arange(n) * 0.6180339887498949 + 0.5 / n, 1)
    x = 2 * special.gammainccinv(b / 2, u)
    y = 2 * special.gammainccinv((d - 1) / 2, v) if d > 1 else np.zeros(n)
    square = (1 - gain * x) ** 2 + gain**2 * x * y
    along = gain**2 * (x * (1 - gain * (x + y)) ** 2 + gain**2 * x * y * (b - 1)) / np.maximum(square, 1e-300)
    across = np.maximum(gain**2 * (x + y + (b - 1) * (d - 1)) - along, 0.0)
    top = np.mean(square ** (alpha / 2) * (alpha * across + alpha * (alpha + 1) * along)) / 2
    return alpha, float(-top / (recursion.moment(alpha + 2, eta, b, d) - 1))


# -- pruning --------------------------------------------------------------------------------------------------------------


def pruned(beyond: Callable[[np.ndarray], np.ndarray], n: int, kappa: float, q: float, limit: float) -> float:
    """What the expected relative l_q error of n independent parts, floor(kappa n) of them kept, is above its limit.

    By the law of order statistics and the second order of the delta method in the body B and the sum S of the |x|^q,
    `E (B/S)^(1/q) = (E B / E S)^(1/q) (1 + n E phi(|X|^q / E S) - (1/q) (1/q + 1) / (2n) + (1/q) (1/q - 1) Var B / (2 (E B)^2)
    - Cov(B, S) / (q^2 E B E S))` with `phi(y) = (1 + y)^(-1/q) - 1 + y/q`, which also holds where |X|^q has no variance.

    Args:
        beyond: t(s) with P(|X|^q > t(s)) = s.
        n: number of parts.
        kappa: fraction kept.
        q: of the norm.
        limit: the limit of the error.
    """
    kept = int(np.floor(kappa * n + 1e-9))
    near = math.log((n - kept) / kept) if kept else 40.0
    z = np.unique(np.concatenate([np.linspace(-45, 45, 6001), near + np.linspace(-15, 15, 4001) * (1 / max(kept, 1) + 1 / (n - kept)) ** 0.5]))
    s = special.expit(-z)
    weight = s * special.expit(z)  # dp = p (1 - p) dz
    x = beyond(s)

    def expected(values: np.ndarray) -> float:
        return float(np.trapezoid(values * weight, z))

    total = expected(x)
    body = expected(x * special.betainc(kept, n - kept, s)) if kept else total
    capped = np.minimum(x, beyond(np.array([max(kept, 0.5) / n]))[0])
    centred = capped - expected(capped)
    spread, common = expected(centred**2) / (n * body**2), expected(centred * x) / (n * body * total)
    y = x / (n * total)
    phi = np.where(y < 1e-4, y**2 * (1 / q) * (1 / q + 1) / 2, (1 + y) ** (-1 / q) - 1 + y / q)
    sum_alone = n * expected(phi) - (1 / q) * (1 / q + 1) / (2 * n)  # phi takes the sum for one of a random number of parts
    return (body / total) ** (1 / q) * (1 + sum_alone + (1 / q) * (1 / q - 1) / 2 * spread - common / q**2) - limit
