"""The block bootstrap: sees clusters, and covers."""

import functools

import jax
import numpy as np
import pytest

from meanfield.measure import tails


def test_block_bootstrap_sees_clusters():
    """Every value five times: the standard error is sqrt(5) times that of as many independent values, within 25 %."""
    estimator = functools.partial(tails.hill, k=500)
    x = np.repeat(np.random.default_rng(17).pareto(2.0, 2000) + 1, 5)
    key = jax.random.key(1)
    clustered = tails.block_bootstrap(estimator, x, block=50, key=key)
    blind = tails.block_bootstrap(estimator, x, block=1, key=key)
    ratio = clustered.standard_error / estimator(x).standard_error
    assert 0.75 < ratio / np.sqrt(5) < 1.25
    assert blind.standard_error < 0.7 * clustered.standard_error
    again = tails.block_bootstrap(estimator, x, block=50, key=key)
    assert again.standard_error == clustered.standard_error and "block bootstrap" in again.method


@pytest.mark.slow
def test_block_bootstrap_covers():
    """100 samples of 2000 Pareto values, each five times over: 88 % and more, as independent values half; no bias is in the way."""
    rng = np.random.default_rng(41)
    covered = []
    for i in range(100):
        x = np.repeat(rng.pareto(2.0, 2000) + 1, 5)
        estimator = functools.partial(tails.hill, k=1000)
        fits = tails.block_bootstrap(estimator, x, block=100, key=jax.random.key(i), replicates=100), estimator(x)
        covered.append([fit.interval[0] < 2 < fit.interval[1] for fit in fits])
    blocks, plain = np.mean(covered, axis=0)
    assert 0.88 <= blocks <= 0.995 and plain < 0.75
