"""Confidence intervals that several measurements share."""

import math

import numpy as np
from scipy import special

LEVEL = 0.95
NORMAL = float(special.ndtri((1 + LEVEL) / 2))  # 1.96


def student(value, standard_error, dof: float = np.inf) -> np.ndarray:
    """95 % interval `value +- t_dof standard_error`, (..., 2); the normal one for infinite `dof`."""
    p = (1 + LEVEL) / 2
    half = (special.ndtri(p) if np.isinf(dof) else special.stdtrit(dof, p)) * np.asarray(standard_error)
    return np.stack([value - half, value + half], axis=-1)


def jackknife(without) -> np.ndarray:
    """Delete-one jackknife standard error, from the estimates (..., S) that leave out one of the S runs each."""
    size = without.shape[-1]
    return np.sqrt((size - 1) * np.var(without, axis=-1))


def jackknife_of_log(value, without, normal) -> np.ndarray:
    """95 % interval of a positive quantity that is a ratio of variances, or one variance, (..., 2), from a jackknife of its logarithm.

    With S runs, v the jackknife's variance of the logarithm, and g the skewness of the influences of the runs times S / (S + 10),

        log value - (s / a) log(1 +- a z),   s^2 = (S v + 5 normal) / (S + 5) (1 + 2.5 g^2 / S),   a = g / (2 sqrt(S)),   z = 1.96.

    A sample that is skewed to the right has a small error where its estimate is small: at t errors from the estimate the error
    is s exp(a t), to first order. The ends take that into account, and they are finite because |g| < sqrt(S). A few runs say little of
    v and of g: hence the part that normal runs would give. The last factor of s^2 stands for the large values that a sample
    misses. Its 2.5, the 5 and the 10 are from simulations of variances of normal, uniform, Laplace and Student-t numbers (5 and 8
    degrees of freedom, 3 to 100 runs).

    Args:
        value: the estimate, (...), >= 0.
        without: the estimates that leave out one run each, (..., S), >= 0.
        normal: variance of the logarithm if runs are normal, (...).

    Returns:
        The interval, [value, value] where the value and all of `without` are 0 or all are infinite, and [0, inf] where only
        some are.

    Source: Miller (1968) for the jackknife of log variances; Hall (1992), section 3.9, for intervals that know the skewness. The
    combination is ours.
    """
    every = np.concatenate([np.asarray(value)[..., None], without], axis=-1)
    proper = (every > 0) & np.isfinite(every)
    usable = np.all(proper, axis=-1)
    logs = np.log(np.where(usable[..., None], every, 1.0))
    size = without.shape[-1]
    influence = np.mean(logs[..., 1:], axis=-1, keepdims=True) - logs[..., 1:]
    second = np.mean(influence**2, axis=-1)
    skewness = np.mean(influence**3, axis=-1) / np.where(second > 0, second, 1) ** 1.5
    skewness = skewness * size / (size + 10)
    variance = (size * (size - 1) * second + 5 * normal) / (size + 5) * (1 + 2.5 * skewness**2 / size)
    a = np.maximum(skewness / (2 * math.sqrt(size)), 1e-6)[..., None]  # 1e-6 is as good as 0; short tails have a negative one
    ends = -np.log1p(a * NORMAL * np.array([1.0, -1.0])) / a
    interval = np.exp(logs[..., :1] + np.sqrt(variance)[..., None] * ends)
    same = np.all(every == every[..., :1], axis=-1)
    interval = np.where(usable[..., None], interval, np.array([0.0, np.inf]))
    return np.where((same & ~usable)[..., None], every[..., :1], interval)
