"""Losses: of labels that no class has."""

import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from meanfield.systems.networks.losses import LOSSES


@pytest.mark.long
def test_labels_outside_the_classes_cost_nan_not_nothing(key):
    network = mf.TwoLayer(dim=3, outputs=2)
    particles, x = network.init(key, 8), jnp.ones((3, 3))
    assert np.isfinite(network.risk(particles, x, jnp.array([0, 1, 1])))
    for label in (-1, 2, 5):
        assert np.isnan(network.risk(particles, x, jnp.array([0, 1, label])))


@pytest.mark.parametrize("name", LOSSES)
def test_residuals_are_the_slope_of_the_loss(name):
    f, y = jnp.array([[0.5, -1.0], [2.0, 0.0]]), jnp.array([0, 1])
    by_jax = mf.Loss(LOSSES[name].value).residuals(f, y)
    np.testing.assert_allclose(LOSSES[name].residuals(f, y), by_jax, rtol=1e-6)
