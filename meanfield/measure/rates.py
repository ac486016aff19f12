"""Rates in the number of particles, with intervals."""

from dataclasses import dataclass

import numpy as np

from meanfield import _check
from meanfield.measure import _interval


@dataclass(frozen=True)
class Rate:
    """A fitted power, `value ~ N^slope`; every array has the leading axes of the values.

    Args:
        slope: mean over the replicas of the slope of log value against log N.
        interval: 95 % confidence interval of the slope, (..., 2); NaN with a single replica.
        replicas: number of replicas.
    """

    slope: np.ndarray
    interval: np.ndarray
    replicas: int


def rate(n, values) -> Rate:
    """Slope of log value against log N, with Student's interval over independent replicas.

    One least-squares line is fitted to each replica; the slopes are independent and alike in law, whatever the dependence
    between the widths of one replica (coupled widths share their draws). The interval is `mean +- t_{R-1} s / sqrt(R)`.

    Args:
        n: widths or other sizes, (m,), m >= 2 different positive numbers.
        values: positive numbers, (..., R, m): replicas, then sizes.

    Returns:
        `Rate`.

    Raises:
        ValueError: shapes that do not fit, a value that is not positive and finite, fewer than two sizes.

    Examples:
        >>> fit = rate([10, 100, 1000], [[1.0, 0.1, 0.01], [2.0, 0.2, 0.02]])
        >>> float(fit.slope.round(12)), fit.interval.round(12).tolist()
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
    return Rate(*mean_interval(slopes), replicas=slopes.shape[-1])


def mean_interval(values) -> tuple[np.ndarray, np.ndarray]:
    """Mean over independent replicas and its 95 % interval `mean +- t_{R-1} s / sqrt(R)`.

    Args:
        values: (..., R).

    Returns:
        The means (...) and their intervals (..., 2); NaN with a single replica.

    Raises:
        ValueError: NaN or infinite values.

    Examples:
        >>> mean, interval = mean_interval([1.0, 2.0, 3.0])
        >>> float(mean), interval.round(3).tolist()
        (2.0, [-0.484, 4.484])
    """
    values = np.asarray(_check.finite("values", values, ndim=tuple(range(1, 9))), np.float64)
    replicas, mean = values.shape[-1], np.mean(values, axis=-1)
    error = np.std(values, axis=-1, ddof=1) / np.sqrt(replicas) if replicas > 1 else np.full_like(mean, np.nan)
    return mean, _interval.student(mean, error, max(replicas - 1, 1))
