"""What tests of several dynamics share: one step, a run without data, and a small set."""

import jax
import jax.numpy as jnp
import numpy as np

import meanfield as mf


def one_step(dynamics, data, network, particles, key):
    """Displacement of every neuron in one step."""
    state = mf.dynamics.State(particles, jnp.zeros((), jnp.int32), network)
    batch = dynamics.draw(data, jax.random.fold_in(key, 0), state.step, len(particles.w))
    after, _ = dynamics.step(jax.random.fold_in(key, 1), state, batch)
    return np.asarray(after.particles.vectors, float) - np.asarray(particles.vectors, float)


def stationary(dynamics, key, dim=4, width=25_000, steps=150):
    """Final numbers of a dynamics without data."""
    flat = mf.data.from_arrays(np.zeros((2, dim)), np.zeros(2))
    system = mf.System(mf.dynamics.chains(), flat, dynamics)
    results = mf.simulate(system, widths=width, steps=steps, seeds=1, key=key, probes=())
    return np.asarray(results.require_complete().particles[width].w[0, 0], float)


def small():
    return mf.data.from_arrays(np.eye(3), np.arange(3))
