"""Small systems to simulate, a dynamics that counts its traces, and results that agree but for the order of sums."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

import meanfield as mf
from tests.test_testing import REGRESSION

DATA = mf.data.from_arrays(np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 3)


def make_system(dynamics):
    chains = isinstance(dynamics, mf.dynamics.LinearRecursion | mf.dynamics.HomogenizedSGD)
    return mf.System(*((mf.dynamics.chains(), REGRESSION) if chains else (mf.TwoLayer("tanh"), DATA)), dynamics)


def close(ours, theirs):
    """Equal but for the order of sums, after a few dozen steps of float32."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def system(data, **sgd):
    return mf.System(mf.TwoLayer(), data, mf.dynamics.SGD(**({"step_size": 0.5, "batch_size": 1} | sgd)))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Counting(mf.dynamics.AbstractDynamics):
    """Noisy SGD that counts how often Python runs through its step, which is how often jax traces it."""

    step_size: float
    temperature: float = 0.0
    batch_size: int = field(default=1, metadata={"static": True})
    traces = 0

    def step(self, key, state, batch):
        type(self).traces += 1
        risk, gradient = state.network.gradient(state.particles, *batch)
        noise = self.temperature * jax.random.normal(key, state.particles.w.shape)
        w, a = state.particles.w - self.step_size * gradient.w + noise, state.particles.a - self.step_size * gradient.a
        return mf.dynamics.State(mf.Particles(w, a), state.step + 1, state.network), {"risk": risk}

    references = ()


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Recording(mf.dynamics.AbstractDynamics):
    """The three numbers of every neuron are one of the data stream, one of the noise, and the steps taken; 0 at the start."""

    step_size: float
    batch_size = None

    def draw(self, source, key, step, width):
        return jax.random.uniform(jax.random.fold_in(key, step))

    def init(self, key, network, width):
        return mf.dynamics.State(mf.Particles(jnp.zeros((width, 3)), jnp.zeros((width, 1))), jnp.int32(0), network)

    def step(self, key, state, batch):
        steps = state.step + 1
        numbers = jnp.stack([batch, jax.random.uniform(key), steps.astype(batch.dtype)])
        w = jnp.broadcast_to(numbers[None], state.particles.w.shape)
        return mf.dynamics.State(mf.Particles(w, state.particles.a), steps, state.network), {"steps": steps}

    references = ()


def view(network, particles, data):
    """What a probe sees of particles at the start of a run."""
    state = mf.dynamics.State(particles, jnp.int32(0), network)
    return mf.probes.View(state, mf.dynamics.SGD(0.1, 1), data, data, (jax.random.key(0), jax.random.key(1)))
