"""The recommended tail index: log-spacings extrapolated to the end of the tail, with a threshold that the data choose.

For order statistics x_(1) >= x_(2) >= ... the spacings `U_i = i log(x_(i) / x_(i+1))` are independent exponentials in the limit,
with a mean gamma(i / n) that tends to gamma = 1 / alpha at the end of the tail; Hill's estimator is the mean of the first k.
Where a law is a power law only asymptotically, gamma(v) moves with v, and Hill's estimator reads the average. Here

    log gamma(v) = a + c_1 v^(2/3) + c_2 v^(4/3) + ...,    v = i / k,

is fitted to the U_i by maximum likelihood and read off at v = 0: alpha = exp(-a). The U_i enter in bins of neighbours (each value
of its own among the largest 20, then 25 bins for every factor e), so that all that follows the sort costs nothing. The powers are
orthonormal in the Fisher information, which is therefore the identity: score tests and standard errors are sums of squares.
"""

import dataclasses
import functools
from typing import Any

import numpy as np

from meanfield import _check
from meanfield.measure import _interval
from meanfield.measure.tails import fit as _fit
from meanfield.measure.tails.fit import TailFit, TailStatus
from meanfield.measure.tails.stable import CONTRADICTION, characteristic

POWER = 2 / 3  # of v in the first term: between those of slow (1/2) and fast (1, 4/3, 2) second-order terms
TERMS = 3  # of the estimate: a, c_1, c_2
SINGLES, BINS = 20, 25  # bins of one value; bins for every factor e
LEAST_K, FIRST_K = 30, 200  # smallest k of a fit; from which the search goes up (a tenth of n if that is less)
NEWTON = 25  # steps at most, of at most 1 in the log of the mean
SURE, LIKELY, IN_A_ROW = 18.4, 13.8, 3  # chi2_2 beyond which a threshold is refused: p = 1e-4 at once, 1e-3 three times in a row
SAFETY = 2  # half octaves by which k stays below the largest one that is not refused
WHOLE = 21.1  # chi2_3 of p = 1e-4, for a whole sample as a Pareto law: rare enough that refusals do not add to the error
AGREE = 4.0  # standard errors of the tail's index within which a law of the whole sample must agree with it
STABLE_FROM = 50_000  # values from which the test of the stable law has power against neighbours: see `tail_index`


def hill_reduced(x, k: int | None = None, tail: str = "both") -> TailFit:
    """Hill's estimator without its second-order bias: the mean log-spacing extrapolated to the end of the tail.

    Maximum likelihood of `i log(x_(i) / x_(i+1)) ~ Exponential(mean exp(a + c_1 v^(2/3) + c_2 v^(4/3)))`, v = i / k, i <= k;
    `alpha = exp(-a)`.

    Args:
        x: samples, (..., n), n >= 50.
        k: number of upper order statistics, 30 <= k < n; by default 10 % of the sample, at least 30. Larger than for Hill's
            estimator: the bias is of third order, the standard error 4.4 alpha / sqrt(k).
        tail: "both" (of |x|), "upper" or "lower".

    Returns:
        `TailFit`; the interval is symmetric in log alpha.

    Raises:
        ValueError: fewer than 50 values, equal values, NaN or infinite entries, k out of range, fewer than k + 1 positive values.

    Source: Beirlant, Dierckx, Goegebeur, Matthys (1999), Feuerverger and Hall (1999), with two terms of fixed powers instead of
        one of an estimated power, because the power is what cannot be estimated.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> low, high = hill_reduced(rng.standard_t(2, 100_000), k=10_000).interval
        >>> bool(low < 2 < high)
        True
    """
    x = _fit.sample(x, tail)
    xp, n = _fit.namespace(x), x.shape[-1]
    k = _fit.checked_k(k, n, max(LEAST_K, n // 10), at_least=LEAST_K)
    top = _fit.largest(x, k + 1)
    design = _design(k, whole=True)
    log_alpha, error = _extrapolated(xp, _binned(xp, top, design), design)
    return _as_fit(xp, log_alpha[..., 0], error[0], top[..., -1], k, n, "bias-reduced Hill")


def tail_index(x, tail: str = "both") -> TailFit:
    """Tail index with an interval that covers, without anything to choose: the recommended estimator.

    `hill_reduced` at a k found thus. Go from small k to large in steps of a factor sqrt(2), fit `a + c_1 v^(2/3)`, and test
    whether two more powers of v are missing (score test, chi2_2). The first k refused with p < 1e-4, or with p < 1e-3 three
    times in a row, ends the search; k stays a factor 2 below the last one not refused, and one power more than was tested is
    fitted. So what the test could just not see is small beside the standard error.

    Then two laws are tried on the whole sample, which know more than the tail. A Pareto law, where no power of v is missing
    among all n - 1 spacings (chi2_3, p > 1e-4); a symmetric stable law, for n >= 50 000, where `stable_characteristic` does not
    contradict it (p > 1e-4). Where one holds and agrees with the tail within 4 standard errors, alpha is its index, and the
    status says so. Standard error and interval NEVER assume it (the interval is widened where it would not hold alpha): some
    laws 100 000 values can hardly tell from a stable one, such as a coordinate of a recursion chain in two dimensions (step
    size 0.6) with index 1.30, whose nearest stable law has index 1.21 +- .004.

    Args:
        x: samples, (..., n), n >= 50, of independent values; for dependent ones see `block_bootstrap`.
        tail: "both" (of |x|), "upper" or "lower".

    Returns:
        `TailFit` with the k and threshold of the interval. benchmarks/README.md has bias, error and coverage on fourteen laws.

    Raises:
        ValueError: fewer than 50 values, equal values, NaN or infinite entries, fewer than 50 positive values.

    Source: as `hill_reduced`; choosing the largest k that a test does not refuse: Drees and Kaufmann (1998);
        the powers, the levels and the margin are ours.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> fit = tail_index(rng.standard_t(2, 100_000))
        >>> bool(fit.interval[0] < 2 < fit.interval[1]), TailStatus.OK.code == fit.status
        (True, np.True_)
    """
    x = _fit.sample(x, tail)
    xp, n = _fit.namespace(x), x.shape[-1]
    if xp is np:
        top = np.sort(x, axis=-1)[..., ::-1]
        positive = int(np.min(np.sum(top > 0, axis=-1)))
        few = f"have at least {_fit.SMALLEST} positive values in every sample"
        _check.require(positive >= _fit.SMALLEST, "x", few, _check.words(f"a sample with {positive}"))
        top = top[..., :positive]  # the logarithm of 0 has no place
    else:
        top = _fit.largest(x, n)
    design = _design(top.shape[-1] - 1)
    binned = _binned(xp, top, design)
    log_alpha, error = _extrapolated(xp, binned, design)
    chosen = _choice(xp, _missing(xp, binned, design, 2))
    k = xp.asarray(design.sizes)[chosen]
    at_k = xp.take_along_axis(log_alpha, chosen[..., None], axis=-1)[..., 0]
    threshold = xp.take_along_axis(top, k[..., None], axis=-1)[..., 0]
    fit = _as_fit(xp, at_k, xp.asarray(error.astype(top.dtype))[chosen], threshold, k, n, "tail index")
    log_error = fit.standard_error / fit.alpha
    if n >= STABLE_FROM:
        stable, _, p = characteristic(abs(x))
        holds = (p > CONTRADICTION / 10) & (abs(xp.log(stable) - at_k) < AGREE * log_error)
        fit = _sharpened(xp, fit, stable, holds, TailStatus.STABLE)
    if top.shape[-1] == n:
        pareto = (n - 1) / xp.sum(binned, axis=-1)
        complete = _missing(xp, binned, _design(n - 1, whole=True), 1)[..., 0] < WHOLE
        holds = complete & (abs(xp.log(pareto) - at_k) < AGREE * log_error)
        fit = _sharpened(xp, fit, pareto, holds, TailStatus.PARETO)
    return fit


class _Design:
    """Bins of the spacings i = 1 ... m, and, for every k tried, powers of i / k that are orthonormal in the information.

    Args:
        m: number of spacings.
        whole: whether only k = m is wanted.
    """

    def __init__(self, m: int, whole: bool):
        beyond = np.geomspace(SINGLES, m, max(2, int(BINS * np.log(m / SINGLES)))) if m > SINGLES else []
        self.edges = np.unique(np.concatenate([np.arange(min(m, SINGLES) + 1), np.round(beyond)])).astype(int)
        self.counts = np.diff(self.edges).astype(float)
        sizes, k = [], (1.0 if whole else 0.9) * m
        least = min(FIRST_K, max(LEAST_K, m // 10))  # below, scores are not yet chi-square
        while not sizes or (k >= least and not whole):
            sizes.append(int(self.edges[np.searchsorted(self.edges, k)]))
            k /= np.sqrt(2)
        self.sizes = np.array(sorted(set(sizes)))
        self.basis = np.zeros((len(self.sizes), len(self.counts), TERMS + 1))
        self.heads = np.zeros((len(self.sizes), TERMS + 1))
        middle = (self.edges[:-1] + 1 + self.edges[1:]) / 2
        for j, k in enumerate(self.sizes):
            inside = self.edges[1:] <= k
            powers = (middle[inside, None] / k) ** (POWER * np.arange(TERMS + 1))
            root = np.sqrt(self.counts[inside])[:, None]
            q, r = np.linalg.qr(root * powers)
            self.basis[j, inside] = q / root
            self.heads[j] = np.linalg.inv(r)[0]  # a from the coefficients; of its leading terms, too, since r is triangular


@functools.lru_cache(maxsize=16)
def _design(m: int, whole: bool = False) -> _Design:
    return _Design(m, whole)


def _binned(xp: Any, top: Any, design: _Design) -> Any:
    """Sums of the spacings over the bins, (..., bin), from the order statistics."""
    logs = xp.log(top)
    m = int(design.edges[-1])
    spacings = (logs[..., :m] - logs[..., 1 : m + 1]) * np.arange(1, m + 1).astype(top.dtype)
    total = xp.concatenate([xp.zeros_like(spacings[..., :1]), xp.cumsum(spacings, axis=-1)], axis=-1)
    return xp.diff(total[..., design.edges], axis=-1)


def _fitted(xp: Any, binned: Any, design: _Design, terms: int) -> tuple[Any, Any]:
    """Coefficients (..., k, terms) of the maximum likelihood, and residuals sum / mean - count of all bins, (..., k, bin)."""
    basis = design.basis.astype(binned.dtype)
    inside = (np.abs(basis[..., 0]) > 0).astype(binned.dtype)
    counts = design.counts.astype(binned.dtype) * inside
    sums = binned[..., None, :] * inside
    used = basis[..., :terms]
    level = xp.log(xp.maximum(xp.sum(sums, axis=-1), np.finfo(binned.dtype).tiny) / np.sum(counts, axis=-1))
    theta = xp.sum(counts[..., None] * used, axis=-2) * level[..., None]  # of the constant function: <1, q_j> level
    squares = (used[..., :, None] * used[..., None, :]).reshape((*used.shape[:-1], -1))
    ratio = sums * xp.exp(-xp.einsum("...kt,kbt->...kb", theta, used))
    for _ in range(0 if terms == 1 else NEWTON):
        gradient = xp.einsum("...kb,kbt->...kt", ratio - counts, used)
        curvature = xp.einsum("...kb,kbp->...kp", ratio, squares).reshape((*gradient.shape, terms))
        curvature = curvature + 1e-6 * np.broadcast_to(np.eye(terms, dtype=binned.dtype), curvature.shape)
        step = xp.linalg.solve(curvature, gradient[..., None])[..., 0]
        longest = xp.max(abs(xp.einsum("...kt,kbt->...kb", step, used)), axis=-1)
        theta = theta + step * xp.minimum(1.0, 1 / xp.maximum(longest, 1e-30))[..., None]
        ratio = sums * xp.exp(-xp.clip(xp.einsum("...kt,kbt->...kb", theta, used), -80.0, 80.0))
        if xp is np and np.max(longest) < 1e-7:  # the next step would be 1e-14
            break
    return theta, ratio - counts


def _extrapolated(xp: Any, binned: Any, design: _Design) -> tuple[Any, np.ndarray]:
    """Log alpha at every k, (..., k), and its standard errors, (k,)."""
    heads = design.heads[:, :TERMS].astype(binned.dtype)
    theta, _ = _fitted(xp, binned, design, TERMS)
    return -xp.sum(theta * heads, axis=-1), np.linalg.norm(heads, axis=-1)


def _missing(xp: Any, binned: Any, design: _Design, terms: int) -> Any:
    """Score statistic, (..., k), of the powers that a fit of `terms` leaves out: chi-square with TERMS + 1 - terms degrees."""
    _, residual = _fitted(xp, binned, design, terms)
    return xp.sum(xp.einsum("...kb,kbt->...kt", residual, design.basis[..., terms:].astype(binned.dtype)) ** 2, axis=-1)


def _choice(xp: Any, statistic: Any) -> Any:
    """Place of the k to be used among those tried, from small to large."""
    likely = statistic > LIKELY
    row = likely
    for ahead in range(1, IN_A_ROW):  # beyond the largest k nothing contradicts a refusal
        row = row & xp.concatenate([likely[..., ahead:], xp.ones_like(likely[..., :ahead])], axis=-1)
    refused = row | (statistic > SURE)
    count = statistic.shape[-1]
    first = xp.where(xp.any(refused, axis=-1), xp.argmax(refused, axis=-1), count)
    return xp.maximum(first - 1 - SAFETY, 0)


def _sharpened(xp: Any, fit: TailFit, alpha: Any, holds: Any, status: TailStatus) -> TailFit:
    """The fit with the index of a law of the whole sample, where this `holds`, and an interval that contains it."""
    low, high = xp.minimum(fit.interval[..., 0], alpha), xp.maximum(fit.interval[..., 1], alpha)
    return dataclasses.replace(
        fit,
        alpha=xp.where(holds, alpha, fit.alpha),
        interval=xp.where(holds[..., None], xp.stack([low, high], axis=-1), fit.interval),
        status=xp.where(holds, status.code, fit.status),
    )


def _as_fit(xp: Any, log_alpha: Any, error: Any, threshold: Any, k: Any, n: int, method: str) -> TailFit:
    half = _interval.NORMAL * error
    alpha = xp.exp(log_alpha)
    interval = xp.exp(xp.stack([log_alpha - half, log_alpha + half], axis=-1))
    status = xp.where(xp.isfinite(alpha), TailStatus.OK.code, TailStatus.TIED.code)
    return TailFit(alpha, alpha * error, interval, threshold, k, n, method, status)
