"""SGD and its limits: the data they draw, the expectation, which limit belongs to which step size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from tests.systems.dynamics.common import one_step


@pytest.mark.slow
def test_pool_of_an_online_source_is_fresh(key):
    data = mf.data.teacher(key, dim=3, neurons=5)
    sgd = mf.dynamics.SGD(0.1, 1, minibatches="independent", pool_size=7)
    first, again, other = (sgd.draw(data, key, jnp.asarray(step), 4)[0] for step in (0, 0, 1))
    assert first.shape == (7, 3) and np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.long
def test_expectation_is_the_full_gradient(pool, key):
    network = mf.TwoLayer("tanh", dim=3, outputs=4, bias=True)
    particles = network.init(key, 9)
    moved = one_step(mf.dynamics.McKeanVlasov(0.5), pool, network, particles, key)
    gradient = jax.grad(lambda p: 9 * network.risk(p, pool.x, pool.y))(particles)
    np.testing.assert_allclose(moved, -0.5 * np.asarray(gradient.vectors), rtol=1e-4, atol=1e-6)


def test_limits_are_those_of_the_theory():
    law, fixed = mf.scaling.StepSizeLaw(0.3, beta=0.5), 0.1
    vanishing = mf.dynamics.SGD(law, 5, weight_decay=0.2).limit()
    assert isinstance(vanishing, mf.dynamics.McKeanVlasov)
    assert vanishing.batch_size is None and vanishing.step_size == law and vanishing.weight_decay == 0.2
    assert not mf.dynamics.SGD(law, 5).conditional
    shared, independent = mf.dynamics.SGD(fixed, 5), mf.dynamics.SGD(fixed, 5, minibatches="independent")
    assert shared.conditional and shared.limit() is shared
    assert not independent.conditional and independent.limit().batch_size == 5
    assert mf.dynamics.SGD(mf.scaling.StepSizeLaw(0.3), 5).conditional  # beta = 1
    noisy = mf.dynamics.Langevin(law, 5, temperature=0.1).limit()
    assert noisy.injected == mf.dynamics.GaussianInjection(0.1) and noisy.batch_size is None
    driven = mf.dynamics.StableSGD(fixed, 5, alpha=1.5, scale=0.2, mode="scalar", minibatches="independent").limit()
    assert driven.injected == mf.dynamics.StableInjection(1.5, 0.2, "scalar") and driven.batch_size == 5
    with pytest.raises(mf.ArgumentError, match="beta"):
        mf.dynamics.SGD(mf.scaling.StepSizeLaw(0.3, beta=[0.5, 1.0]), 5).limit()
