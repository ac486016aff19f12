"""Intervals for dependent values."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from meanfield import _check, _estimate, _keys
from meanfield.measure.tails import fit as _fit
from meanfield.measure.tails.fit import TailFit


def block_bootstrap(estimator: Callable[..., TailFit], x, block: int, key: jax.Array, replicates: int = 200) -> TailFit:
    """The fit of an estimator, with standard error and interval from resampled blocks of consecutive values.

    Replicates are n / block blocks, drawn with replacement among all n - block + 1; `standard_error = alpha sd(log alpha*)`, the
    interval `alpha exp(+- 1.96 sd(log alpha*))`.

    Args:
        estimator: any of this module, with its arguments bound: `functools.partial(hill, k=500)`.
        x: one sample (n,), in the order in which it depends: steps of a chain, neighbours.
        block: length of the blocks, 1 <= block <= n / 10: longer than the dependence, short enough for many blocks to exist. 1
            is the bootstrap of independent values.
        key: random key.
        replicates: number of resampled samples, >= 20.

    Returns:
        `TailFit` of the sample with the standard error and interval of the replicates. They show the sampling error of dependent
        values, not the bias. Extremes come in clusters, so that the error of a dependent sample is larger than that of an
        independent one by the root of the mean cluster size.

    Raises:
        ValueError: x with more than one axis, a block length or number of replicates out of range.

    Source: Kunsch (1989), moving blocks; for Hill's estimator Drees (2003).

    Examples:
        >>> from meanfield.measure import tails
        >>> x = np.repeat(np.random.default_rng(0).pareto(2.0, 2000) + 1, 5)  # every value five times
        >>> fit = block_bootstrap(tails.hill, x, block=50, key=jax.random.key(0))
        >>> bool(fit.standard_error > 1.5 * tails.hill(x).standard_error)
        True
    """
    _check.function("estimator", estimator, "a sample")
    x = _fit.sample(_check.finite("x", x, ndim=(1,)), "upper")
    n = x.shape[0]
    _check.integer("block", block, at_least=1)
    _check.require(block <= n // 10, "block", f"be at most a tenth of the size of the sample, {n // 10}", block)
    _check.random_key("key", key)
    _check.integer("replicates", replicates, at_least=20)
    fit = estimator(x)
    _check.require(isinstance(fit, TailFit), "estimator", "return a `TailFit`", _check.words(f"one that returns {fit!r}"))
    rng = _keys.generator(key)
    count = -(-n // block)
    logs = []
    for _ in range(replicates):  # one by one: all at once would need `replicates` copies of the sample
        starts = rng.integers(0, n - block + 1, count)
        again = (starts[:, None] + np.arange(block)).ravel()[:n]
        logs.append(np.log(float(estimator(x[again]).alpha)))
    spread = float(np.std(logs, ddof=1)) if np.all(np.isfinite(logs)) else np.inf
    half = _estimate.NORMAL * spread
    with np.errstate(over="ignore", invalid="ignore"):
        interval = np.nan_to_num(fit.alpha * np.exp(np.array([-half, half])), nan=np.inf, posinf=np.inf)
    return dataclasses.replace(fit, standard_error=fit.alpha * spread, interval=interval, method=f"{fit.method}, block bootstrap")
