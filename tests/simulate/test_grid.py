"""The grid of runs: any number is swept, and no run depends on the others."""

import jax
import numpy as np
import pytest

import meanfield as mf
from meanfield.simulate.grid import make_grid
from tests.simulate.common import Counting, system


@pytest.mark.slow
def test_a_cell_does_not_depend_on_its_company(digits, key):
    """Seed 3 at step size 1 gives the same particles alone and inside a grid."""
    alone = mf.simulate(system(digits, step_size=1.0), widths=16, steps=50, seeds=[3], key=key, probes=())
    grid = mf.simulate(system(digits, step_size=[0.1, 1.0]), widths=[8, 16], steps=50, seeds=[1, 3], key=key, probes=())
    np.testing.assert_allclose(alone.particles[16].w[0, 0], grid.particles[16].w[1, 1], rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_any_number_can_be_swept(digits, key):
    dynamics = Counting(step_size=[0.1, 0.2], temperature=[0.0, 0.01, 0.02])
    results = mf.simulate(mf.System(mf.TwoLayer("tanh"), digits, dynamics), widths=8, steps=5, seeds=2, key=key)
    assert results.dataset["risk"].dims == ("width", "step_size", "temperature", "seed", "step", "split")
    assert results.dataset["risk"].shape[:4] == (1, 2, 3, 2)
    np.testing.assert_allclose(results.dataset["temperature"], [0.0, 0.01, 0.02])
    last = results.particles[8].w
    assert not np.allclose(last[0, 0], last[0, 2]) and not np.allclose(last[0, 0], last[1, 0])


@pytest.mark.slow
def test_scaling_law_is_swept_over_gamma(digits, key):
    law = mf.scaling.StepSizeLaw(gamma=[0.5, 1.0], beta=0.5)
    results = mf.simulate(system(digits, step_size=law), widths=[16], steps=20, seeds=1, key=key, probes=())
    plain = mf.simulate(system(digits, step_size=[0.5 / 4, 1.0 / 4]), widths=[16], steps=20, seeds=1, key=key, probes=())
    np.testing.assert_allclose(results.dataset["step_size"], [0.5, 1.0])
    np.testing.assert_allclose(results.particles[16].w, plain.particles[16].w, rtol=1e-4, atol=1e-5)


def test_the_key_of_a_seed_is_that_of_its_number(key):
    keys = make_grid(mf.dynamics.SGD([0.1, 0.2], 1), (4, 9), key).keys
    expected = [jax.random.key_data(jax.random.fold_in(jax.random.clone(key), seed)).tolist() for seed in (4, 9)]
    assert jax.random.key_data(keys).tolist() == 2 * expected
