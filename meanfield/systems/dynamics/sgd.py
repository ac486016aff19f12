"""Stochastic gradient descent with shared mini-batches."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from meanfield import _check
from meanfield.systems.dynamics.base import AbstractDynamics, State
from meanfield.systems.scaling import MeanField, Number, per_neuron


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SGD(AbstractDynamics):
    """SGD on the risk of `f_N`, in the time scale of one neuron.

    With theta_i = (w_i, a_i) and a mini-batch of `batch_size` examples that ALL neurons share, as in training,

        theta_i <- theta_i - step_size * (N dR_batch/dtheta_i + weight_decay * theta_i).

    Args:
        step_size: step of one neuron, independent of the width, or a `mf.scaling.MeanField` law. A 1-D array is a sweep.
        batch_size: examples a step.
        weight_decay: ridge coefficient, >= 0; acts on trained parameters only.

    Raises:
        ValueError: a number outside its range.

    Shared mini-batches are common noise: with a step size that does not vanish as N grows, neurons that start independent remain
    independent only given the data path.

    Source: De Bortoli, Durmus, Fontaine, Simsekli (2020), section 2; Mei, Montanari, Nguyen (2018). The time scale of one
    neuron is theirs after multiplying the 1/N-scaled gradient by N.

    Examples:
        >>> from meanfield.systems.network import TwoLayer
        >>> sgd = SGD(step_size=0.1, batch_size=2)
        >>> state = sgd.init(jax.random.key(0), TwoLayer(dim=3, outputs=2), width=8)
        >>> batch = jnp.ones((2, 3)), jnp.array([0, 1])
        >>> state, info = sgd.step(jax.random.key(1), state, batch)
        >>> int(state.step), sorted(info)
        (1, ['risk'])
    """

    step_size: Number | MeanField
    batch_size: int = field(metadata={"static": True})
    weight_decay: Number = 0.0

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.step_size, MeanField):
            _check.positive("step_size", self.step_size)
        _check.nonnegative("weight_decay", self.weight_decay)

    def step(self, key: jax.Array, state: State, batch: tuple[jax.Array, jax.Array]) -> tuple[State, dict[str, jax.Array]]:
        """One step; `key` is not used, the mini-batch is the only noise."""
        network, particles = state.network, state.particles
        risk, gradient = network.gradient(particles, *batch)
        dtype = particles.w.dtype
        eta = jnp.asarray(per_neuron(self.step_size, particles.w.shape[0], state.step), dtype)
        decay = jnp.asarray(self.weight_decay, dtype)
        displacement = jax.tree.map(lambda p, g: -eta * (g + decay * p), particles, gradient)
        return State(network.move(particles, displacement), state.step + 1, network), {"risk": risk}

    @property
    def references(self) -> tuple[str, ...]:
        """BibTeX keys."""
        return ("DeBortoli2020", "MeiMontanariNguyen2018")
