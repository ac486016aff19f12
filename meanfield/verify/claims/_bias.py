"""What measuring devices are off at a finite threshold, number of steps or size: known by formula, and allowed for.

A row is corrected by what its device is off to leading order, `Estimate.value`, and a share `DOUBT` of the correction is its bias.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from meanfield.theory import recursion
from meanfield.verify.claim import Estimate

DOUBT = 0.75  # of a correction: terms that it leaves out (oscillations of complex roots of h) were 0.6 of it at most in chains
EXACT = 0.25  # of one that is exact but for the body of a sample
SHARE = 0.01  # of a sample that `_tools.largest_hundredth` keeps


class Reading(NamedTuple):
    """What Hill's log alpha, and the `bow` of log-excesses, are off: 0 for a pure power law."""

    hill: float
    shape: float


def reading(alpha: float, survival: Callable[[np.ndarray], np.ndarray]) -> Reading:
    """Of a law whose share beyond `e^y` thresholds, `survival(y)`, tends to `e^(-alpha y)` times a constant."""
    y = np.linspace(0, 60 / alpha, 12_001)
    beyond = survival(y) / survival(y[:1])
    first, second = float(np.trapezoid(beyond, y)), 2 * float(np.trapezoid(y * beyond, y))
    pure = np.exp(-alpha * y)
    grid = float(np.trapezoid(pure, y)), 2 * float(np.trapezoid(y * pure, y))  # of the quadrature itself
    return Reading(float(np.log(grid[0] / first)), bow(first, second) - bow(*grid))


def bow(first: float, second: float) -> float:
    """`(1 - (2 first^2 / second)^2) / 2` of the moments of log-excesses: 0 where they are exponential.

    Below 0 for a law whose logarithm has a lighter tail: -0.088 for the largest hundredth of a log-normal one. For the moments of k
    values of a power law its variance is 1/k, its mean -2.4/k and its skewness 0 to leading order.
    """
    return float((1 - (2 * first**2 / second) ** 2) / 2)


def log_alpha(largest: np.ndarray, off: Reading, why: str) -> Estimate:
    """Hill's log alpha of the largest values, corrected."""
    y = _excesses(largest)
    return Estimate(float(-np.log(y.mean()) - off.hill), 1 / math.sqrt(len(y)), bias=DOUBT * abs(off.hill), why=why)


def bowed(largest: np.ndarray, off: Reading, why: str) -> Estimate:
    """Whether the largest values are those of a power law: the `bow` of their log-excesses, corrected."""
    y = _excesses(largest)
    k = len(y)
    value = bow(float(y.mean()), float(np.mean(y**2))) + 2.4 / k
    return Estimate(value - off.shape, 1 / math.sqrt(k), bias=DOUBT * abs(off.shape), why=why)


def _excesses(largest: np.ndarray) -> np.ndarray:
    x = np.sort(np.asarray(largest, np.float64))
    return np.log(x[1:] / x[0])


def corrected(found: Estimate, shift: float, why: str, doubt: float = DOUBT) -> Estimate:
    """The measurement without a known shift, of which a share is doubted."""
    return replace(found.mapped(shift=-shift), bias=doubt * abs(shift), why=why)


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


def sums(values: np.ndarray, alpha: float, eta: float, sizes: tuple[int, int], spreads: tuple[float, float]) -> float:
    """What the exponent of the spread m of K dependent steps is above 1/min(alpha, 2) between two K: `m^2 / V(eta m) ~ K`.

    V(t) is the second moment of a stationary chain cut off at t, a jump of t makes a sum of about t / eta, and the tail beyond the
    largest hundredth of `values` is a power law: `d log m / d log K = 1 / (2 - t V'(t) / V(t))`.
    """
    x = np.sort(np.abs(np.asarray(values, np.float64)))
    u = x[-(len(x) // 100) - 1]
    body = float(np.mean(np.minimum(x, u) ** 2))
    t = np.maximum(eta * np.geomspace(*spreads, 50), u) / u
    power = 2 - alpha
    whole = body + 0.02 * u**2 * (np.log(t) if abs(power) < 1e-9 else (t**power - 1) / power)
    local = 1 / (2 - 0.02 * u**2 * t**power / whole)
    # The mean over log K, of which d log K = d log m / local.
    return float(1 / np.mean(1 / local)) - 1 / min(alpha, 2.0)


def sum_over_largest(squares: np.ndarray, alpha: float, group: int) -> float:
    """What E[sum / largest] of a group of squares is above its limit 1 / (1 - alpha/2), for a power law beyond the largest hundredth."""
    x, a = np.sort(np.asarray(squares, np.float64)), alpha / 2
    u = x[-(len(x) // 100) - 1]
    largest = u * (-np.expm1(np.log((np.arange(4000) + 0.5) / 4000) / group) / 0.01) ** (-1 / a)  # by quantiles of its law
    r = np.maximum(largest / u, 1.0)
    below = np.mean(np.where(x < u, x, 0.0)) / u + 0.01 * a / (1 - a) * (r ** (1 - a) - 1)
    return float(1 + (group - 1) * np.mean(below / (r * (1 - 0.01 * r**-a)))) - 1 / (1 - a)


def unseen(values: np.ndarray, index: float) -> float:
    """Part of a mean of positive values that lies beyond what a sample sees, by a power tail of the index, > 1, through its tenth value."""
    n = len(values)
    tenth = float(np.partition(np.asarray(values, np.float64), n - 10)[n - 10])
    return tenth * 10 ** (1 / index) / n * index / (index - 1)


def rare(values: np.ndarray, s: float, log_moment: Callable[[float], float]) -> float:
    """What a sample of positive X does not see of E X^s, relative to it: the part beyond its tenth largest value t, by theory.

    `E[X^s; X > t] / E X^s` is about `Phi(-w)`, `w^2 / 2 = max_u (u log t - log E X^(s + u) + log E X^s)`, w < 0 where u is: by large
    deviations of log X, each value weighted by X^s. It is no less than what the ten largest values hold.

    Args:
        values: of X, (n,).
        s: order.
        log_moment: log E X^s of an order s > 0.
    """
    n = len(values)
    largest = np.partition(np.asarray(values, np.float64), n - 10)[n - 10 :]
    log_t, at = math.log(largest[0]), log_moment(s)
    found = optimize.minimize_scalar(
        lambda u: log_moment(s + u) - at - u * log_t, bounds=(-0.99 * s, 40.0), method="bounded", options={"xatol": 1e-3}
    )
    w = math.copysign(math.sqrt(max(-2 * found.fun, 0.0)), found.x)
    return max(float(special.ndtr(-w)), float(np.sum(largest**s) / n / math.exp(at)))


# -- a finite data set ----------------------------------------------------------------------------------------------------

BINS = 0.04  # of the grid, in log x; half of it changes what is read by less than GRID
GRID = 0.001


@lru_cache(maxsize=64)
def finite_set(
    inputs: tuple[float, ...], targets: tuple[float, ...], eta: float, steps: int, index: float
) -> tuple[float, float]:
    """What Hill's log alpha is off at the largest hundredth of the chains of a finite set, d = b = 1, and how far that is known.

    The law of `x <- (1 - eta a^2) x + eta a y` from N(0, 1) on a grid even in log |x|, step by step, without chance. Hill's reading of
    it after the steps is held against its slope beyond quantiles of 1e-5, once that has settled: the theorem is not used.

    Args:
        inputs, targets: a and y of the examples.
        eta: step size.
        steps: of the chains.
        index: about the tail index, for the reach of the grid.
    """
    a, y = np.asarray(inputs), np.asarray(targets)
    grow, kick = 1 - eta * a**2, eta * a * y
    scale, half = float(np.median(np.abs(kick))), int((6 + 9 * math.log(10) / index) / BINS)
    x = scale * np.sinh(np.arange(-half, half + 1) * BINS)
    came = (x[:, None] - kick) / np.where(np.abs(grow) < 1e-12, 1e-12, grow)
    place = np.arcsinh(came / scale) / BINS + half
    left = np.clip(np.floor(place).astype(np.int32), 0, 2 * half - 1)
    part, rising = place - left, grow > 0

    def after(one: np.ndarray, other: np.ndarray) -> np.ndarray:  # log share beyond x: from the same side where a map rises
        one, other = (v[left] + part * (v[left + 1] - v[left]) for v in (one, other))
        return np.log(np.maximum(np.exp(np.minimum(np.where(rising, one, other), 0)).mean(axis=1), 1e-300))

    above, below = np.maximum(special.log_ndtr(-x), -700), np.maximum(special.log_ndtr(x), -700)
    log_x, positive, decades = np.log(x[half + 1 :]), slice(half + 1, None), math.log(10) * np.arange(5, 9)
    hill, slopes, moved, settled = math.nan, np.full(3, math.inf), math.inf, steps
    for step in range(1, 8 * steps + 1):
        above, below = after(above, below), after(below, above)
        if step != settled:
            continue
        log_share = np.logaddexp(above[positive], below[::-1][positive])
        if step == steps:
            threshold = np.interp(-math.log(SHARE), -log_share, log_x)
            excess = np.linspace(0, log_x[-1] - threshold, 20_001)
            hill = -math.log(np.trapezoid(np.exp(np.interp(threshold + excess, log_x, log_share)), excess) / SHARE)
        before, slopes = slopes, np.log(math.log(10) / np.diff(np.interp(decades, -log_share, log_x)))
        moved = float(np.max(np.abs(slopes - before)))
        if moved < GRID:
            break
        settled *= 2
    return hill - float(np.mean(slopes)), float(np.ptp(slopes)) + moved + GRID


# -- pruning --------------------------------------------------------------------------------------------------------------


def pruned(beyond: Callable[[np.ndarray], np.ndarray], n: int, kappa: float, p: float, limit: float) -> float:
    """What the expected relative l_p error of n independent parts, floor(kappa n) of them kept, is above its limit.

    By the law of order statistics and the second order of the delta method in the body B and the sum S of the |x|^p,
    `E (B/S)^(1/p) = (E B / E S)^(1/p) (1 + n E phi(|X|^p / E S) - (1/p) (1/p + 1) / (2n) + (1/p) (1/p - 1) Var B / (2 (E B)^2)
    - Cov(B, S) / (p^2 E B E S))` with `phi(y) = (1 + y)^(-1/p) - 1 + y/p`, which also holds where |X|^p has no variance.

    Args:
        beyond: t(s) with P(|X|^p > t(s)) = s.
        n: number of parts.
        kappa: fraction kept.
        p: of the norm.
        limit: the limit of the error.
    """
    kept, z, s, x, weight = _grid(beyond, n, kappa)
    total = float(np.trapezoid(x * weight, z))
    body, spread, common = _body(beyond, n, kept, z, s, x, weight)
    y = x / (n * total)
    phi = np.where(y < 1e-4, y**2 * (1 / p) * (1 / p + 1) / 2, (1 + y) ** (-1 / p) - 1 + y / p)
    sum_alone = n * float(np.trapezoid(phi * weight, z)) - (1 / p) * (1 / p + 1) / (
        2 * n
    )  # phi takes the sum for one of a random number of parts
    return (body / total) ** (1 / p) * (1 + sum_alone + (1 / p) * (1 / p - 1) / 2 * spread - common / total / p**2) - limit


def _grid(beyond: Callable[[np.ndarray], np.ndarray], n: int, kappa: float):
    """Number kept; logits z of the probability, dense around 1 - kappa; s = P(|X|^p > x); x; the weight s (1 - s) of dz."""
    kept = max(int(np.floor(kappa * n + 1e-9)), 1)
    near, width = math.log((n - kept) / kept), math.sqrt(1 / kept + 1 / (n - kept))
    z = np.unique(np.concatenate([np.linspace(-45, 45, 6001), near + np.linspace(-15, 15, 4001) * width]))
    s = special.expit(-z)
    return kept, z, s, beyond(s), s * special.expit(z)


def _body(beyond, n: int, kept: int, z, s, x, weight) -> tuple[float, float, float]:
    """Of the sum B of all but the `kept` largest of n parts: E B / n, Var B / (E B)^2 and the covariance with the sum over n E B."""

    def expected(values: np.ndarray) -> float:
        return float(np.trapezoid(values * weight, z))

    body = expected(x * special.betainc(kept, n - kept, s))
    capped = np.minimum(x, beyond(np.array([kept / n]))[0])  # what a part does to B: its own size, and the rank it takes
    centred = capped - expected(capped)
    return body, expected(centred**2) / (n * body**2), expected(centred * x) / (n * body)


def pareto(n: int, kappa: float) -> tuple[float, float]:
    """For Pareto parts of index 1: by how much E[N B/S] is above its limit (1/kappa - 1)(2/pi), relative, were B fixed; Var B / (E B)^2."""

    def laplace(u: np.ndarray) -> np.ndarray:  # 1 - E exp(-u X^2)
        return -np.expm1(-u) + np.sqrt(np.pi * u) * special.erfc(np.sqrt(u))

    z = np.linspace(-80, 8, 20_001)
    inverse = float(np.trapezoid(np.exp(n * np.log1p(-np.minimum(laplace(np.exp(z)), 1 - 1e-16)) + z), z))  # E 1/S
    grid = _grid(lambda s: s**-2.0, n, kappa)
    body, spread, _ = _body(lambda s: s**-2.0, n, *grid[:1], *grid[1:])
    return n**2 * body * inverse / ((1 / kappa - 1) * 2 / math.pi) - 1, spread


def stable_slope(alpha: float, norms: np.ndarray, dim: int, sizes: tuple[int, int], kappa: float) -> float:
    """What the slope of E log error (p = 2) between two sizes is above -(1/alpha - 1/2), for parts of `dim` independent stable entries.

    Exact for the sum of squares S, by `E log S = int (e^-u - (E e^(-u |X|^2))^N) du / u`, to second order for the body.

    Args:
        alpha: stability index, in (0, 2).
        norms: a sample of |X|, for the quantiles of the body.
        dim: entries of a part.
        sizes: numbers of parts.
        kappa: fraction kept.

    """
    square = np.sort(np.asarray(norms, np.float64))[::-1] ** 2
    share = (np.arange(len(square)) + 0.5) / len(square)
    xi = np.linspace(0, 9, 1501)
    weight = np.exp(-(xi**2) / 2) * math.sqrt(2 / math.pi) * xi[1]
    weight[0] /= 2
    z = np.linspace(-2 * math.log(sizes[1]) * 2 / alpha - 20, 12, 6001)
    rest = np.array([weight @ -np.expm1(-a * xi**alpha) for a in (2 * np.exp(z)) ** (alpha / 2)])  # 1 - E exp(-u |X_1|^2)
    log_laplace = dim * np.log1p(-np.minimum(rest, 1 - 1e-16))
    log_body, log_sum = [], []
    for n in sizes:
        kept, at, s, x, dp = _grid(lambda s: np.interp(s, share, square), n, kappa)
        inside = s > share[min(kept, 10)] / 2
        x = np.where(inside, x, 0.0)  # beyond lies the sum's matter
        body, spread, _ = _body(lambda s: np.interp(s, share, square), n, kept, at, s, x, dp)
        log_body.append(math.log(body) - spread / 2)
        log_sum.append(float(np.trapezoid(np.exp(-np.exp(z)) - np.exp(n * log_laplace), z)))
    ratio = math.log(sizes[1] / sizes[0])
    slope = (log_body[1] - log_body[0] - log_sum[1] + log_sum[0]) / 2 / ratio + 0.5  # the sum has N bodies
    return slope + 1 / alpha - 0.5


# -- stable laws ----------------------------------------------------------------------------------------------------------


def stable_norms(alpha: float, mode: str, dim: int, share: float, threshold: float, reach: float) -> tuple[Reading, Reading]:
    """Of norms of stable vectors that are moved by at most `reach`, beyond the threshold, which a share of them exceed.

    With -log of the characteristic function `|k|^alpha` (isotropic) or `sum |k_i|^alpha` (coordinates) and normal xi,
    `E exp(-u |X|^2) = E exp(-(2u)^(alpha/2) Y)`, `Y = |xi|^alpha` or `sum |xi_i|^alpha`. The powers of u^(alpha/2) are those of the tail,
    `P(|X| > t) = sum_k c_k t^(-k alpha)`, `c_k = -(-1)^k 2^(k alpha/2) E Y^k / (k! Gamma(1 - k alpha/2))`.

    Returns:
        The reading with three terms, and what the third term and the move change in it, in modulus.
    """
    moments = _stable_moments(alpha, mode, dim)
    c = [
        -((-1) ** k) * 2 ** (k * alpha / 2) * m * special.rgamma(1 - k * alpha / 2) / math.factorial(k)
        for k, m in enumerate(moments, 1)
    ]
    found = []
    for terms in (c[:2], c):
        size = share / c[0]
        for _ in range(50):  # sum_k c_k size^k = share
            slope = sum(k * v * size ** (k - 1) for k, v in enumerate(terms, 1))
            size = min(max(size - (sum(v * size**k for k, v in enumerate(terms, 1)) - share) / slope, size / 2), 2 * size)
        weights = [v * size**k for k, v in enumerate(terms, 1)]
        found.append(reading(alpha, lambda y, w=weights: sum((v * np.exp(-k * alpha * y) for k, v in enumerate(w, 1)), 0 * y)))
    moved = reading(alpha, bent(alpha, -alpha * (alpha + 1) / 2 * (reach / threshold) ** 2))
    two, three = found
    return three, Reading(*(abs(a - b) + abs(m) for a, b, m in zip(two, three, moved, strict=True)))


def _stable_moments(alpha: float, mode: str, dim: int) -> tuple[float, float, float]:
    """E Y^k for k = 1, 2, 3; a scalar times (1, ..., 1) has the norm of one entry but for a factor."""

    def entry(k: int, d: int = 1) -> float:
        return 2 ** (k * alpha / 2) * math.gamma((d + k * alpha) / 2) / math.gamma(d / 2)  # E chi_d^(k alpha)

    if mode != "coordinates":
        return tuple(entry(k, dim if mode == "isotropic" else 1) for k in (1, 2, 3))  # type: ignore[return-value]
    one, two, three = (entry(k) for k in (1, 2, 3))
    third = dim * three + 3 * dim * (dim - 1) * two * one + dim * (dim - 1) * (dim - 2) * one**3
    return dim * one, dim * two + dim * (dim - 1) * one**2, third
