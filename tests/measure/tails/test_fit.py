"""What all estimators have in common: axes, traces, scales, sides, ties."""

import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from meanfield.measure import tails
from tests.measure.tails.common import POSITIVE, name

EVERY = [*POSITIVE, tails.block_log_moment, tails.stable_quantile, tails.stable_characteristic]


@pytest.mark.parametrize("estimator", EVERY, ids=name)
def test_leading_axes_are_samples_of_their_own(estimator):
    x = np.random.default_rng(18).standard_t(2, (2, 3, 2000))
    together = estimator(x)
    assert together.alpha.shape == (2, 3) and together.interval.shape == (2, 3, 2) and together.n == 2000
    for i, j in itertools.product(range(2), range(3)):
        alone = estimator(x[i, j])
        np.testing.assert_allclose(alone.alpha, together.alpha[i, j], rtol=1e-8)
        np.testing.assert_allclose(alone.interval, together.interval[i, j], rtol=1e-8)


@pytest.mark.long(2)
@pytest.mark.parametrize("estimator", EVERY, ids=name)
def test_under_jit(estimator):
    x = np.random.default_rng(19).standard_t(2, 4000).astype(np.float32)
    plain, traced = estimator(x), jax.jit(estimator)(jnp.asarray(x))
    assert isinstance(traced, tails.TailFit) and traced.method == plain.method
    np.testing.assert_allclose(traced.alpha, plain.alpha, rtol=2e-3)
    np.testing.assert_allclose(traced.interval, plain.interval, rtol=2e-3)


@pytest.mark.parametrize("estimator", EVERY, ids=name)
def test_scale_does_not_matter(estimator):
    x = np.random.default_rng(20).standard_t(2, 2000)
    for factor in (1e-150, 1e100):
        np.testing.assert_allclose(estimator(factor * x).alpha, estimator(x).alpha, rtol=1e-6)


@pytest.mark.parametrize("estimator", POSITIVE, ids=name)
def test_sides(estimator):
    """The lower tail of -x is the upper tail of x."""
    rng = np.random.default_rng(21)
    x = np.where(rng.random(20_000) < 0.5, rng.pareto(1.0, 20_000) + 1, -(rng.pareto(3.0, 20_000) + 1))
    assert estimator(x, tail="lower").alpha == estimator(-x, tail="upper").alpha
    assert estimator(x, tail="upper").alpha < estimator(x, tail="lower").alpha


@pytest.mark.parametrize("n", [300, 2000, 20_000])
def test_a_sample_clipped_within_the_tail_that_is_fitted(n):
    x = np.random.default_rng(0).pareto(1.5, n)
    fit = tails.hill_reduced(np.stack([np.minimum(x, np.quantile(x, 0.8)), x]))
    assert fit.status.tolist() == [tails.TailStatus.TIED.code, tails.TailStatus.OK.code]
    assert np.isinf(fit.alpha[0]) and np.isfinite(fit.interval[1]).all()


@pytest.mark.parametrize("estimator", EVERY, ids=name)
def test_ties_and_zeros(estimator):
    """Rounded values and a sample half of zeros: finite answers, no warning."""
    x = np.round(np.random.default_rng(24).standard_t(2, 5000), 1)
    assert np.isfinite(estimator(x).alpha)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        half = estimator(np.where(np.arange(5000) % 2 == 0, x, 0.0))
    assert np.isfinite(half.alpha) or half.status != tails.TailStatus.OK.code
