"""Standard errors and intervals from leaving out one run at a time."""

import numpy as np

from meanfield import _estimate
from meanfield.measure._arrays import Array, Float


def standard_error(without: Float[np.ndarray, "*lead run"]) -> Float[Array, "*lead"]:
    """Delete-one jackknife standard error, from the estimates (..., S) that leave out one of the S runs each."""
    size = without.shape[-1]
    return np.sqrt((size - 1) * np.var(without, axis=-1))


def log_interval(value: Float[Array, "*lead"], without: Float[np.ndarray, "*lead run"]) -> Float[np.ndarray, "*lead 2"]:
    """95 % interval of a positive quantity, (..., 2): Student's on the scale of the logarithm, with a jackknife error.

    Args:
        value: the estimate, (...), >= 0.
        without: the estimates that leave out one run each, (..., S), >= 0.

    Returns:
        The interval, [value, value] where the value and all of `without` are 0 or all are infinite, and [0, inf] where only
        some are.

    Source: Miller (1968).
    """
    every = np.concatenate([np.asarray(value)[..., None], without], axis=-1)
    proper = (every > 0) & np.isfinite(every)
    usable = np.all(proper, axis=-1)
    logs = np.log(np.where(usable[..., None], every, 1.0))
    interval = np.exp(_estimate.student(logs[..., 0], standard_error(logs[..., 1:]), without.shape[-1] - 1))
    same = np.all(every == every[..., :1], axis=-1)
    interval = np.where(usable[..., None], interval, np.array([0.0, np.inf]))
    return np.where((same & ~usable)[..., None], every[..., :1], interval)
