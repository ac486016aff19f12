"""The driver: the plain loop, draws that widths share, training that learns."""

import jax
import numpy as np
import pytest

import meanfield as mf
from tests.simulate.common import Recording, system
from tests.test_testing import REGRESSION


@pytest.mark.long
def test_simulation_equals_a_plain_loop_over_steps(digits, key):
    """The whole machine (grid, vmap, chunks, donation) against a Python loop of single steps with the documented keys."""
    dynamics = mf.dynamics.SGD(step_size=[0.5, 2.0], batch_size=3, weight_decay=0.01)
    results = mf.simulate(mf.System(mf.TwoLayer(), digits, dynamics), widths=24, steps=30, seeds=[4, 9], key=key, probes=())
    network = mf.TwoLayer(dim=64, outputs=10)
    step = jax.jit(lambda one, stream, n, state: one.step(jax.random.key(0), state, digits.batch(stream, n, 3))[0])
    for i, eta in enumerate([0.5, 2.0]):
        for j, seed in enumerate([4, 9]):
            one = mf.dynamics.SGD(step_size=eta, batch_size=3, weight_decay=0.01)
            seed_key = jax.random.fold_in(key, seed)
            state = one.init(jax.random.fold_in(seed_key, 0), network, 24)
            stream = jax.random.fold_in(seed_key, 1)
            for n in range(30):
                state = step(one, stream, n, state)
            np.testing.assert_allclose(results.particles[24].w[i, j], state.particles.w, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(results.particles[24].a[i, j], state.particles.a, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_widths_and_step_sizes_share_their_draws(digits, key):
    results = mf.simulate(system(digits, step_size=[0.1, 1.0]), widths=[32, 64], steps=0, seeds=2, key=key)
    narrow, wide = results.particles[32], results.particles[64]
    assert np.array_equal(narrow.w, wide.w[:, :, :32]) and np.array_equal(narrow.a, wide.a[:, :, :32])
    assert np.array_equal(wide.w[0], wide.w[1])  # the same start at both step sizes
    assert not np.array_equal(wide.w[0, 0], wide.w[0, 1])  # another at another seed


@pytest.mark.slow
def test_training_learns(digits, key):
    """Small steps learn the digits: more than 90 % of the test set after 20 000 examples, chance at the start."""
    results = mf.simulate(system(digits, step_size=0.5, batch_size=10), widths=256, steps=2000, seeds=2, key=key)
    accuracy = results.dataset["accuracy"].sel(width=256, step_size=0.5, split="test")
    assert (accuracy.isel(step=0) < 0.4).all() and (accuracy.isel(step=-1) > 0.9).all()


def test_probes_look_at_the_step_that_they_name(key):
    """The last number of every neuron is that of the steps taken."""
    system = mf.System(mf.TwoLayer(loss="squared"), REGRESSION, Recording(1.0))
    probes = [mf.probes.Snapshot(at=(0, 3, 4, 9))]
    results = mf.simulate(system, widths=2, steps=9, seeds=1, key=key, probes=probes)
    for step in (0, 3, 4, 9):
        assert (results.snapshots[2][step].w[..., 2] == step).all()
    assert (results.particles[2].w[..., 2] == 9).all() and (results.dataset["steps_done"] == 9).all()
