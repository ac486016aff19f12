"""Activations and output weights of one's own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from meanfield.systems.networks.activations import ACTIVATIONS


@pytest.mark.slow
def test_output_weights_and_activations_of_ones_own(key):
    """Signs are balanced; "ones" is the mean of activations, with gradients of its own risk; a sine is as good as tanh."""
    network = mf.TwoLayer("relu", "squared", output_weights="signs", dim=2, outputs=3)
    a = np.asarray(network.init(key, 16).a)
    assert set(a.ravel()) == {-1.0, 1.0} and (a.sum(axis=0) == 0).all() and len(np.unique(a, axis=0)) == 8
    sine = mf.TwoLayer(mf.Activation(jnp.sin, jnp.cos), "squared", train_output=False, output_weights="ones", dim=2, outputs=1)
    particles = sine.init(key, 5)
    x, y = jax.random.normal(key, (4, 2)), jnp.ones((4, 1))
    expected = np.mean(np.sin(np.asarray(x) @ np.asarray(particles.w).T), axis=1, keepdims=True)
    np.testing.assert_allclose(sine.predict(particles, x), expected, rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda p: 5 * sine.risk(p, x, y))(particles)
    np.testing.assert_allclose(sine.gradient(particles, x, y)[1].w, gradient.w, rtol=1e-5, atol=1e-6)
    scaled = dataclasses.replace(sine, init_scale=0.25).init(key, 5)
    np.testing.assert_allclose(scaled.w, 0.25 * np.asarray(particles.w), rtol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_those_that_jax_derives(name):
    z = jnp.array([-2.0, -0.3, 0.4, 1.5])
    np.testing.assert_allclose(ACTIVATIONS[name].slope(z), mf.Activation(ACTIVATIONS[name].value).slope(z), rtol=1e-5)
