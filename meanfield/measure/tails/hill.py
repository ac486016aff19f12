"""Hill's estimator and its relatives: moments and weighted sums of the log-excesses over a threshold.

Throughout x_(1) >= x_(2) >= ... are the order statistics, gamma = 1 / alpha is the extreme-value index, k the number of values
above the threshold x_(k+1).
"""

import jax.core
import numpy as np
import scipy

from meanfield import _check
from meanfield._estimate import LEVEL
from meanfield.measure._arrays import Array, Float
from meanfield.measure.tails import fit as _fit
from meanfield.measure.tails.fit import TailFit, TailStatus


def default_k(n: int) -> int:
    """Number of upper order statistics used by default: 5 % of n, at least 10."""
    _check.integer("n", n, at_least=1)
    return max(10, n // 20)


def hill_interval(alpha, k: int) -> Float[Array, "*lead 2"]:
    """95 % interval of a Hill index from k excesses, `alpha * chi2_{2k}(2.5 %, 97.5 %) / (2k)`, (..., 2); see `hill`."""
    must = "be a number >= 0, infinite ones too, or an array of them"
    if not isinstance(alpha, jax.core.Tracer):  # NaN comes from no sample that `fit.sample` lets in
        ok = _check.as_numpy(alpha).dtype.kind in "iuf" and bool(np.all(np.asarray(alpha) >= 0))
        _check.require(ok, "alpha", must, alpha)
        alpha = np.asarray(alpha, np.float64)
    _check.integer("k", k, at_least=1)
    return alpha[..., None] * (scipy.stats.chi2(2 * k).ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2]) / (2 * k)).astype(alpha.dtype)


def hill(x, k: int | None = None, tail: str = "both") -> TailFit:
    """Tail index by Hill's estimator, vectorised over leading axes.

    `1/alpha = (1/k) sum_{i<=k} log(x_(i) / x_(k+1))`.

    Args:
        x: samples, (..., n), n >= 50. Only the k + 1 largest values of the tail in question need to be positive.
        k: number of upper order statistics, 1 <= k < n; by default 5 % of the sample, at least 10. The choice matters: too
            large a k reads the body, not the tail; `tail_index` chooses.
        tail: of what: "both" (of |x|), "upper" (of x), "lower" (of -x).

    Returns:
        `TailFit`. Its standard error is alpha/sqrt(k). Its interval is `alpha * chi2_{2k}(2.5 %, 97.5 %) / (2k)`: for k fixed
        and n -> infinity the log-excesses are k independent exponentials, so that 2 k alpha_true / alpha is chi-square with 2k
        degrees of freedom. It agrees with alpha (1 +- 1.96/sqrt(k)) for large k and is exact for a Pareto law at every k.
        Like it, it covers the sampling error of independent values only, not the bias of a tail that is not yet a power law
        at the threshold.

    Raises:
        ValueError: fewer than 50 values, equal values, NaN or infinite entries, k outside 1 <= k < n, fewer than k + 1 positive
            values. Where only the k + 1 largest are equal the status is TIED.

    Source: Hill (1975); de Haan and Ferreira (2006), Theorem 3.2.5.

    Examples:
        >>> from scipy import stats
        >>> x = stats.pareto(1.5).rvs(100_000, random_state=0)
        >>> fit = hill(x, k=2000)
        >>> bool(fit.interval[0] < 1.5 < fit.interval[1]), round(float(fit.standard_error / fit.alpha), 4)
        (True, 0.0224)
    """
    excess, threshold, k, n = _excesses(x, k, tail)
    xp = _fit.namespace(excess)
    mean = xp.mean(excess, axis=-1)
    positive = ~(mean <= 0)  # NaN stays NaN: under a trace nothing can be refused
    alpha = xp.where(positive, 1 / xp.where(positive, mean, 1.0), xp.inf)
    status = xp.where(positive, TailStatus.OK.code, TailStatus.TIED.code)
    return TailFit(alpha, alpha / np.sqrt(k), hill_interval(alpha, k), threshold, k, n, "hill", status)


def moment_estimator(x, k: int | None = None, tail: str = "both") -> TailFit:
    """Tail index by the moment estimator of Dekkers, Einmahl and de Haan, which may also find that there is no power law.

    `gamma = M1 + 1 - 1 / (2 (1 - M1^2 / M2))`, M_j the mean j-th power of the k log-excesses.

    Args:
        x: samples, (..., n), n >= 50.
        k: number of upper order statistics, 2 <= k < n; by default 5 %, at least 10.
        tail: "both" (of |x|), "upper" or "lower".

    Returns:
        `TailFit`, from gamma with variance (1 + gamma^2) / k. Where gamma <= 0 (light tails) alpha is inf, the status LIGHT.

    Raises:
        ValueError: fewer than 50 values, equal values, NaN or infinite entries, k out of range, fewer than k + 1 positive values.

    Source: Dekkers, Einmahl, de Haan (1989), Theorem 2.1, Corollary 3.2.

    Examples:
        >>> from scipy import stats
        >>> x = stats.pareto(1.5).rvs(100_000, random_state=0)
        >>> low, high = moment_estimator(x, k=5000).interval
        >>> bool(low < 1.5 < high)
        True
    """
    excess, threshold, k, n = _excesses(x, k, tail, at_least=2)
    xp = _fit.namespace(excess)
    first, second = xp.mean(excess, axis=-1), xp.mean(excess**2, axis=-1)
    spread = second - first**2
    tied = spread <= 0
    gamma = xp.where(tied, 0.0, first + 1 - second / (2 * xp.where(tied, 1.0, spread)))
    return _fit.from_gamma(gamma, xp.sqrt((1 + gamma**2) / k), threshold, k, n, "moment")


def pickands(x, k: int | None = None, tail: str = "both") -> TailFit:
    """Tail index by Pickands' estimator, from three quantiles.

    `gamma = log((x_(j) - x_(2j)) / (x_(2j) - x_(4j))) / log 2`, j the integer part of k / 4.

    Args:
        x: samples, (..., n), n >= 50.
        k: 4 <= k < n, of which the multiple of four below is used; by default 5 %, at least 12.
        tail: "both" (of |x|), "upper" or "lower".

    Returns:
        `TailFit`, from gamma with variance `gamma^2 (2^(2 gamma + 1) + 1) / (2 (2^gamma - 1) log 2)^2 / j`. Where gamma <= 0
        alpha is inf, the status LIGHT.

    Raises:
        ValueError: fewer than 50 values, equal values, NaN or infinite entries, k out of range, fewer than k positive values.

    Source: Pickands (1975); variance: Dekkers and de Haan (1989), Theorem 2.3.

    Examples:
        >>> from scipy import stats
        >>> x = stats.pareto(1.5).rvs(100_000, random_state=0)
        >>> low, high = pickands(x, k=20_000).interval
        >>> bool(low < 1.5 < high)
        True
    """
    x = _fit.sample(x, tail)
    xp, n = _fit.namespace(x), x.shape[-1]
    j = _fit.checked_k(k, n, max(12, default_k(n)), at_least=4) // 4
    top = _fit.largest(x, 4 * j)
    upper, lower = top[..., j - 1] - top[..., 2 * j - 1], top[..., 2 * j - 1] - top[..., 4 * j - 1]
    tied = (upper <= 0) | (lower <= 0)
    gamma = xp.where(tied, 0.0, xp.log(xp.where(tied, 1.0, upper) / xp.where(tied, 1.0, lower)) / np.log(2))
    small = abs(gamma) < 1e-6
    safe = xp.where(small, 1.0, gamma)
    ratio = xp.where(small, 1 / np.log(2), safe / (2**safe - 1))  # gamma / (2^gamma - 1), continued to gamma = 0
    error = ratio * xp.sqrt(2 ** (2 * gamma + 1) + 1) / (2 * np.log(2)) / np.sqrt(j)
    return _fit.from_gamma(gamma, error, top[..., -1], 4 * j, n, "pickands")


def kernel_estimator(x, k: int | None = None, tail: str = "both") -> TailFit:
    """Tail index by a kernel estimator: Hill's with smooth weights, so that it moves less from one k to the next.

    `gamma = sum_i K(i/(k+1)) i log(x_(i) / x_(i+1)) / sum_i K(i/(k+1))`, `K(u) = (1 - u^2)^2` (biweight).

    Args:
        x: samples, (..., n), n >= 50.
        k: number of upper order statistics, 1 <= k < n; by default 5 %, at least 10.
        tail: "both" (of |x|), "upper" or "lower".

    Returns:
        `TailFit`, from gamma with variance `gamma^2 sum K^2 / (sum K)^2`, 1.43 gamma^2 / k for large k.

    Raises:
        ValueError: fewer than 50 values, equal values, NaN or infinite entries, k out of range, fewer than k + 1 positive values.

    Source: Csorgo, Deheuvels, Mason (1985), with a kernel of Groeneboom, Lopuhaa, de Wolf (2003).

    Examples:
        >>> from scipy import stats
        >>> x = stats.pareto(1.5).rvs(100_000, random_state=0)
        >>> low, high = kernel_estimator(x, k=5000).interval
        >>> bool(low < 1.5 < high)
        True
    """
    excess, threshold, k, n = _excesses(x, k, tail)
    xp = _fit.namespace(excess)
    below = xp.concatenate([excess[..., 1:], xp.zeros_like(excess[..., :1])], axis=-1)
    i = np.arange(1, k + 1)
    weight = (1 - (i / (k + 1)) ** 2) ** 2
    weight = weight / weight.sum()
    gamma = xp.sum((excess - below) * (i * weight).astype(excess.dtype), axis=-1)
    return _fit.from_gamma(gamma, gamma * float(np.sqrt(np.sum(weight**2))), threshold, k, n, "kernel")


def _excesses(x, k: int | None, tail: str, at_least: int = 1) -> tuple[Float[Array, "*lead k"], Float[Array, "*lead"], int, int]:
    """Log-excesses of the k largest values over the next, from large to small, the threshold, k, and n."""
    x = _fit.sample(x, tail)
    n = x.shape[-1]
    k = _fit.checked_k(k, n, default_k(n), at_least)
    top = _fit.largest(x, k + 1)
    threshold = top[..., -1]
    xp = _fit.namespace(x)
    return xp.log(top[..., :-1]) - xp.log(threshold)[..., None], threshold, k, n
