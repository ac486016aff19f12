"""Shapes of networks and dynamics are checked in the tests, those of particles where a function takes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

import meanfield as mf
from meanfield.systems.dynamics import multistep
from meanfield.systems.networks import Particles
from meanfield.systems.networks.losses import LOSSES

NETWORK = mf.TwoLayer("tanh", "squared", dim=3, outputs=2)
PARTICLES = Particles(np.ones((4, 3)), np.ones((4, 2)))
X = np.ones((5, 3))


def test_wrong_shapes_of_a_network_are_seen():
    assert NETWORK.predict(PARTICLES, X).shape == (5, 2)
    odd = Particles(np.ones((4, 3)), np.ones((6, 2)))
    for particles, x in ((odd, X), (PARTICLES, X[0]), (X, X)):
        with pytest.raises(TypeCheckError):
            NETWORK.predict(particles, x)
    with pytest.raises(TypeCheckError):
        LOSSES["squared"].residuals(jnp.ones((5, 2)), jnp.ones((4, 2)))
    with pytest.raises(TypeCheckError, match="return value"):
        mf.Activation(jnp.sum).slope(jnp.ones(3))


def test_wrong_shapes_of_a_dynamics_are_seen(key):
    keys = jax.random.split(key, 2)
    with pytest.raises(TypeCheckError):
        mf.dynamics.per_particle(keys, 3, jax.random.normal)
    data, dynamics = mf.data.from_arrays(X, X[:, :2]), mf.dynamics.Langevin([0.1, 0.1], 1, temperature=0.0)
    states = jax.vmap(lambda own: dynamics.init(own, NETWORK, 4))(keys)
    for streams, steps in (((keys, keys[:1]), jnp.int32(1)), ((keys, keys), jnp.zeros(2, jnp.int32))):
        with pytest.raises(TypeCheckError):
            dynamics.advance(data, streams, states, steps)
    one_less = mf.dynamics.State(states.particles, states.step[:1], NETWORK)
    with pytest.raises(TypeCheckError):
        dynamics.advance(data, (keys, keys), one_less, jnp.int32(1))
    with pytest.raises(TypeCheckError):
        dynamics.step(key, dynamics.init(key, NETWORK, 4), (X, X[:3, :2]))


def test_wrong_shapes_of_a_window_are_seen():
    with pytest.raises(TypeCheckError):
        multistep._update(jnp.ones((1, 4, 3)), jnp.ones((1, 5, 4)), jnp.ones(1), jnp.ones((1, 6, 3)), 8)
    with pytest.raises(TypeCheckError):
        multistep._factors(jnp.ones((1, 4, 3)), jnp.ones((1, 2, 2)), 2, False)


def test_pytrees_are_made_of_anything():
    assert jax.tree.map(np.shape, PARTICLES).a == (4, 2)
    assert jax.tree.map(lambda _: None, PARTICLES).w is None
