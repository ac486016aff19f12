"""The noise of a gradient step: its mean, its covariance, and which neurons share it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from tests.systems.dynamics.common import one_step


def gradients_of_examples(network, particles, data):
    """Gradient of every example for neuron 0, float64 numpy: (examples, components)."""
    x, y, w, a = (np.asarray(v, float) for v in (data.x, data.y, particles.w, particles.a))
    z = np.tanh(x @ w.T)
    f = z @ a / len(w)
    p = np.exp(f - f.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    residual = p - np.eye(a.shape[1])[y.astype(int)]
    in_w = (residual @ a[0] * (1 - z[:, 0] ** 2))[:, None] * x
    return np.concatenate([in_w, z[:, :1] * residual], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["independent", "limit"])
def test_noise_of_a_step_has_mean_h_and_covariance_sigma(kind, pool, key):
    """40 000 equal neurons take one step each: mean and whole covariance matrix, |z| < 5; a wrong covariance must fail."""
    n, b, eta = 40_000, 3, 0.5
    network = mf.TwoLayer("tanh", dim=3, outputs=4)
    one = network.init(key, 1)
    particles = jax.tree.map(lambda v: jnp.repeat(v, n, axis=0), one)
    sgd = mf.dynamics.SGD(eta, b, minibatches="independent")
    moved = one_step(sgd if kind == "independent" else sgd.limit(), pool, network, particles, key)
    g = gradients_of_examples(network, one, pool)
    mean, sigma = -eta * g.mean(axis=0), eta**2 * np.cov(g.T, ddof=0) / b
    z_mean = (moved.mean(axis=0) - mean) / np.sqrt(np.diag(sigma) / n)
    centred = moved - mean
    products = centred[:, :, None] * centred[:, None, :]
    z = (products.mean(axis=0) - sigma) / (products.std(axis=0) / np.sqrt(n))
    assert np.abs(z_mean).max() < 5 and np.abs(z).max() < 5
    wrong = sigma + eta**2 * np.outer(g.mean(axis=0), g.mean(axis=0)) / b  # second moment instead of covariance
    assert np.abs((products.mean(axis=0) - wrong) / (products.std(axis=0) / np.sqrt(n))).max() > 10


@pytest.mark.long
def test_independent_noise_is_independent_and_shared_noise_is_shared(pool, key):
    network = mf.TwoLayer("tanh", dim=3, outputs=4)
    particles = jax.tree.map(lambda v: jnp.repeat(v, 2, axis=0), network.init(key, 1))
    pairs = {}
    for minibatches in ("shared", "independent"):
        sgd = mf.dynamics.SGD(0.5, 1, minibatches=minibatches)
        step = jax.jit(lambda k, sgd=sgd: _jitted(sgd, pool, network, particles, k))
        moved = np.asarray(jax.vmap(step)(jax.random.split(jax.random.fold_in(key, len(minibatches)), 4000)), float)[:, :, 0]
        pairs[minibatches] = np.corrcoef(moved.T)[0, 1]
    assert pairs["shared"] > 0.999 and abs(pairs["independent"]) < 5 / np.sqrt(4000)


def _jitted(dynamics, data, network, particles, key):
    state = mf.dynamics.State(particles, jnp.zeros((), jnp.int32), network)
    batch = dynamics.draw(data, jax.random.fold_in(key, 0), state.step, len(particles.w))
    return dynamics.step(jax.random.fold_in(key, 1), state, batch)[0].particles.vectors - particles.vectors


def test_a_ridge_alone_shrinks(key):
    """Without data a step multiplies by 1 - step_size * weight_decay."""
    network = mf.dynamics.chains()
    sgd = mf.dynamics.SGD(0.5, 1, weight_decay=0.2, minibatches="independent")
    state = mf.dynamics.State(mf.Particles(jnp.array([[2.0], [-1.0]]), None), jnp.int32(0), network)
    state, _ = sgd.step(key, state, (jnp.zeros((3, 1)), jnp.zeros((3, 1))))
    np.testing.assert_allclose(state.particles.w, [[1.8], [-0.9]], rtol=1e-6)
