"""Stochastic gradient descent with shared or independent mini-batches."""

from dataclasses import dataclass
from typing import Any, final

import jax

from meanfield.systems._arrays import Array, Int, Key
from meanfield.systems.dynamics import multistep
from meanfield.systems.dynamics.base import State
from meanfield.systems.dynamics.gradient import AbstractGradientDynamics
from meanfield.systems.networks import AbstractNetwork, TwoLayer


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SGD(AbstractGradientDynamics):
    """SGD on the risk of `f_N`, in the time scale of one neuron.

    With theta_i = (w_i, a_i) and a mini-batch of `batch_size` examples, the same for all neurons or each neuron's own,

        theta_i <- theta_i - step_size * (N dR_batch/dtheta_i + weight_decay * theta_i).

    Args:
        step_size: step of one neuron, independent of the width, or a `mf.scaling.StepSizeLaw`. A 1-D array is a sweep.
        batch_size: examples a step.
        weight_decay: ridge coefficient, >= 0; acts on trained parameters only.
        minibatches: "shared" (what training does) or "independent" (every neuron draws its own mini-batch; costs a forward pass over
            the whole of a finite set, or over `pool_size` fresh examples).
        pool_size: see `minibatches`; 1024 if None.

    Raises:
        ValueError: a number outside its range.

    Shared mini-batches are common noise: with a step size that does not vanish as N grows, neurons that start independent remain
    independent only given the data path. `limit()` says what the particles converge to. Finite data are sampled with
    replacement, or in epochs: `data.in_epochs()`.

    Source: De Bortoli, Durmus, Fontaine, Simsekli (2020), section 2; Mei, Montanari, Nguyen (2018). The time scale of one
    neuron is theirs after multiplying the 1/N-scaled gradient by N. In their theorems at beta = 1 the noise of different neurons
    is independent (`minibatches="independent"`); in their experiments it is shared.

    Examples:
        >>> import jax.numpy as jnp
        >>> from meanfield.systems.networks import TwoLayer
        >>> sgd = SGD(step_size=0.1, batch_size=2)
        >>> state = sgd.init(jax.random.key(0), TwoLayer(dim=3, outputs=2), width=8)
        >>> batch = jnp.ones((2, 3)), jnp.array([0, 1])
        >>> state, info = sgd.step(jax.random.key(1), state, batch)
        >>> int(state.step), sorted(info)
        (1, ['risk'])
        >>> sgd.conditional, sgd.limit() is sgd, SGD(0.1, 2, minibatches="independent").limit().batch_size
        (True, True, 2)
    """

    def advance(
        self, source: Any, streams: tuple[Key[Array, "*run"], Key[Array, "*run"]], states: State, steps: Int[Array, ""]
    ) -> tuple[State, Int[Array, "*run"]]:
        """The steps; with shared mini-batches several of them in one pass over the particles (systems/dynamics/multistep.py)."""
        if not self._in_windows(states.network):
            return super().advance(source, streams, states, steps)
        return multistep.advance(self, source, streams, states, steps)

    def stride(self, network: AbstractNetwork, width: int) -> int:
        """Steps in one window."""
        return multistep.plan(width, self.batch_size, network.dim or 1).steps if self._in_windows(network) else 1

    def _in_windows(self, network: AbstractNetwork) -> bool:
        """Whether `multistep` has this step."""
        return type(self) is SGD and type(network) is TwoLayer and self.minibatches == "shared"

    @property
    def references(self) -> tuple[str, ...]:
        """BibTeX keys."""
        return ("DeBortoli2020", "MeiMontanariNguyen2018")
