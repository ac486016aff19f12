"""Optimisers of optax against loops, swept, and their limits."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import meanfield as mf


@pytest.mark.slow
def test_optax_equals_a_loop(digits, key):
    """Momentum against its two formulas, Adam against optax itself, over 20 steps with the documented keys."""
    network = mf.TwoLayer("tanh", dim=64, outputs=10)

    def ours(dynamics):
        results = mf.simulate(mf.System(mf.TwoLayer("tanh"), digits, dynamics), widths=8, steps=20, seeds=[1], key=key, probes=())
        return results.particles[8].vectors.reshape(8, -1)

    def batches():
        stream = jax.random.fold_in(jax.random.fold_in(key, 1), 1)
        return (digits.batch(stream, n, 2) for n in range(20))

    start = network.init(jax.random.fold_in(jax.random.fold_in(key, 1), 0), 8)
    particles, velocity = start, jax.tree.map(jnp.zeros_like, start)
    for x, y in batches():
        _, g = network.gradient(particles, x, y)
        velocity = jax.tree.map(lambda v, d: 0.9 * v + d, velocity, g)
        particles = jax.tree.map(lambda p, v: p - 0.05 * v, particles, velocity)
    given = mf.dynamics.Optax(optax.sgd(0.05, momentum=0.9), batch_size=2)
    np.testing.assert_allclose(ours(given), particles.vectors, rtol=1e-3, atol=1e-5)
    made = mf.dynamics.Optax(lambda momentum: optax.sgd(1.0, momentum), 2, 0.05, {"momentum": 0.9})
    np.testing.assert_allclose(ours(made), particles.vectors, rtol=1e-3, atol=1e-5)

    adam, particles = optax.adam(0.01, b1=0.8), start
    memory = adam.init(particles)
    for x, y in batches():
        with jax.numpy_dtype_promotion("standard"):
            updates, memory = adam.update(network.gradient(particles, x, y)[1], memory, particles)
        particles = optax.apply_updates(particles, updates)
    found = ours(mf.dynamics.Optax(optax.adam, 2, hyperparameters={"learning_rate": 0.01, "b1": 0.8}))
    np.testing.assert_allclose(found, particles.vectors, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_hyperparameters_are_swept(digits, key):
    dynamics = mf.dynamics.Optax(optax.adam, 1, hyperparameters={"learning_rate": [0.01, 0.1], "b1": [0.5, 0.9]})
    results = mf.simulate(mf.System(mf.TwoLayer(), digits, dynamics), widths=4, steps=5, seeds=1, key=key)
    assert results.dataset["risk"].dims[:5] == ("width", "step_size", "b1", "learning_rate", "seed")
    last = results.particles[4].w
    assert len({float(v) for v in np.abs(last).sum(axis=(-1, -2)).ravel()}) == 4


@pytest.mark.long
def test_limit_of_optax_sees_mixing_at_any_size():
    for size in (0.01, 1.0, 100.0):
        clipped = optax.chain(optax.clip_by_global_norm(size), optax.sgd(0.1))
        assert mf.dynamics.Optax(clipped, 1).limit() is None
    assert mf.dynamics.Optax(optax.sgd(0.1), 1, mf.scaling.StepSizeLaw(1.0, beta=0.5)).limit() is None


@pytest.mark.slow
def test_frozen_output_weights_do_not_enter_a_clipped_norm(pool, key):
    """The clipped displacement of the trained weights alone has the norm of the clip."""
    network = mf.TwoLayer("tanh", train_output=False, dim=3, outputs=4)
    clipped = mf.dynamics.Optax(optax.chain(optax.clip_by_global_norm(0.01), optax.sgd(1.0)), 2)
    state = clipped.init(key, network, 6)
    after, _ = clipped.step(key, state, pool.batch(key, 0, 2))
    np.testing.assert_allclose(jnp.linalg.norm(after.particles.w - state.particles.w), 0.01, rtol=1e-3)
