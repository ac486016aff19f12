"""Rates in the number of particles, with intervals."""

import numpy as np

from meanfield import _check
from meanfield._estimate import Estimate, mean

__all__ = ["mean", "mean_interval", "rate"]


def rate(n, values) -> Estimate:
    """Exponent of a power `value ~ N^slope`: slope of log value against log N, with Student's interval over independent replicas.

    One least-squares line is fitted to each replica; the slopes are independent and alike in law, whatever the dependence
    between the widths of one replica (coupled widths share their draws). The interval is `mean +- t_{R-1} s / sqrt(R)`.

    Args:
        n: widths or other sizes, (m,), m >= 2 different positive numbers.
        values: positive numbers, (..., R, m): replicas, then sizes.

    Returns:
        The slope, (...); its errors are NaN with a single replica.

    Raises:
        ValueError: shapes that do not fit, a value that is not positive and finite, fewer than two sizes.

    Examples:
        >>> fit = rate([10, 100, 1000], [[1.0, 0.1, 0.01], [2.0, 0.2, 0.02]])
        >>> float(fit.value.round(12)), fit.interval.round(12).tolist()
        (-1.0, [-1.0, -1.0])
    """
    n = np.asarray(_check.finite("n", n, ndim=(1,)), np.float64)
    _check.require(len(set(n.tolist())) >= 2 and bool(np.all(n > 0)), "n", "hold at least two different positive numbers", n)
    values = np.asarray(_check.finite("values", values, ndim=tuple(range(2, 9))), np.float64)
    shape = _check.words(f"an array of shape {values.shape}")
    _check.require(values.shape[-1] == len(n), "values", f"have {len(n)} columns, as many as `n`", shape)
    _check.require(bool(np.all(values > 0)), "values", "be positive", _check.words("an array with entries <= 0"))
    x = np.log(n) - np.mean(np.log(n))
    slopes = np.log(values) @ x / np.sum(x**2)
    return mean(slopes)


def mean_interval(values) -> tuple[np.ndarray, np.ndarray]:
    """Value and interval of `mean`."""
    found = mean(values)
    return found.value, found.interval
