"""Hill's estimator."""

import numpy as np
from scipy import stats

from meanfield import _check
from meanfield.measure._interval import LEVEL
from meanfield.measure.tails.fit import TailFit, TailStatus


def default_k(n: int) -> int:
    """Number of upper order statistics used by default: 5 % of n, at least 10, at most n - 1."""
    return min(n - 1, max(10, n // 20))


def interval(alpha, k: int) -> np.ndarray:
    """95 % interval of a Hill index from k excesses, `alpha * chi2_{2k}(2.5 %, 97.5 %) / (2k)`, (..., 2); see `hill`."""
    return np.asarray(alpha)[..., None] * stats.chi2(2 * k).ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2]) / (2 * k)


def hill(x, k: int | None = None) -> TailFit:
    """Tail index by Hill's estimator, vectorised over leading axes.

    With the order statistics x_(1) >= x_(2) >= ..., `1/alpha = (1/k) sum_{i<=k} log(x_(i) / x_(k+1))`.

    Args:
        x: samples of positive numbers (norms, absolute values), (..., n). Only the k + 1 largest need to be positive.
        k: number of upper order statistics, 1 <= k < n; by default 5 % of the sample, at least 10 (at most n - 1). The choice
            matters: too large a k reads the body, not the tail.

    Returns:
        `TailFit`. Its standard error is alpha/sqrt(k). Its interval is `alpha * chi2_{2k}(2.5 %, 97.5 %) / (2k)`: for k fixed
        and n -> infinity the log-excesses are k independent exponentials, so that 2 k alpha_true / alpha is chi-square with 2k
        degrees of freedom. It agrees with alpha (1 +- 1.96/sqrt(k)) for large k and is exact for a Pareto law at every k.
        Like it, it covers the sampling error of independent values only, not the bias of a tail that is not yet a power law
        at the threshold.

    Raises:
        ValueError: NaN or infinite entries, k outside 1 <= k < n, fewer than k + 1 positive values.

    Source: Hill (1975); de Haan and Ferreira (2006), Theorem 3.2.5.

    Examples:
        >>> x = stats.pareto(1.5).rvs(100_000, random_state=0)
        >>> fit = hill(x, k=2000)
        >>> bool(fit.interval[0] < 1.5 < fit.interval[1]), round(float(fit.standard_error / fit.alpha), 4)
        (True, 0.0224)
    """
    x = np.asarray(_check.finite("x", x, ndim=tuple(range(1, 9))), np.float64)
    n = x.shape[-1]
    _check.require(n >= 2, "x", "hold at least 2 values a sample", _check.words(f"an array of shape {x.shape}"))
    if k is None:
        k = default_k(n)
    _check.integer("k", k, at_least=1)
    _check.require(k < n, "k", f"be less than the size of a sample, {n}", k)
    top = np.sort(np.partition(x, n - k - 1, axis=-1)[..., n - k - 1 :], axis=-1)
    threshold = top[..., 0]
    few = f"have at least k + 1 = {k + 1} positive values in every sample"
    _check.require(bool(np.all(threshold > 0)), "x", few, _check.words("with fewer in at least one"))
    mean_excess = np.mean(np.log(top[..., 1:]) - np.log(threshold)[..., None], axis=-1)
    with np.errstate(divide="ignore"):
        alpha = 1 / mean_excess
    status = np.where(mean_excess > 0, TailStatus.OK.code, TailStatus.TIED.code)
    return TailFit(alpha, alpha / np.sqrt(k), interval(alpha, k), threshold, int(k), n, "hill", status)
