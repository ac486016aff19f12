"""Step size as a function of the width and of the iteration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check

Number = float | Sequence[float] | np.ndarray | jax.Array


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StepSizeLaw:
    """Step size of SGD on the 1/N-scaled network, as a law in the width N and the iteration n.

    The parameters move by `s(N, n) = gamma N^beta (n + 1/gamma_ab)^(-decay)` times the gradient of the risk, with
    `gamma_ab(N) = gamma^(1/(1-decay)) N^((beta-1)/(1-decay))`. The gradient of the risk with respect to one neuron is of order
    1/N, so each neuron moves by `s(N, n) / N` times its own mean-field gradient; that number is what a call returns.
    With `beta = 1, decay = 0` it is `gamma`, whatever the width: the default of every dynamics here. Continuous time is
    `n gamma_ab(N)`. `beta < 1` leads to a deterministic limit, `beta = 1` to a stochastic one.

    Args:
        gamma: positive number, or a 1-D array of them to sweep.
        beta: exponent of the width, in [0, 1].
        decay: exponent of the iteration, in [0, 1).

    Raises:
        ValueError: a number lies outside its range.

    Source: De Bortoli, Durmus, Fontaine, Simsekli (2020), section 2 (schedule of the paper's code: `lr0 = gamma N^beta`,
    `gamma_ab = (lr0/N)^(1/(1-decay))`).

    Examples:
        >>> float(StepSizeLaw(0.5)(1000, 7))
        0.5
        >>> schedule = StepSizeLaw(gamma=2.0, beta=0.5, decay=0.0)
        >>> round(float(schedule(10000, 3)), 6), round(float(schedule.time_step(10000)), 6)
        (0.02, 0.02)
    """

    SWEPT: ClassVar[str] = "gamma"  # a sweep over it is an axis with the name of the field that has the law

    gamma: Number
    beta: Number = 1.0
    decay: Number = 0.0

    def __post_init__(self):
        for name in ("gamma", "beta", "decay"):
            _check.as_array_field(self, name)
        _check.positive("gamma", self.gamma)
        _check.numbers("beta", self.beta, "lie in [0, 1]", lambda v: (v >= 0) & (v <= 1))
        _check.numbers("decay", self.decay, "lie in [0, 1)", lambda v: (v >= 0) & (v < 1))

    def time_step(self, width: int):
        """Continuous time per iteration at decay 0, `gamma_ab(N) = (gamma N^(beta-1))^(1/(1-decay))`."""
        return self._size(width) ** (1 / (1 - jnp.asarray(self.decay, float)))

    def __call__(self, width: int, step):
        """Step size of one neuron, `gamma N^(beta-1) (n + 1/gamma_ab)^(-decay)`; `step` is the iteration n = 0, 1, ..."""
        _check.nonnegative("step", step)
        since = jnp.asarray(step, float) + 1 / self.time_step(width)
        return self._size(width) * since ** -jnp.asarray(self.decay, float)

    def _size(self, width: int):
        """`gamma N^(beta-1)`."""
        _check.integer("width", width, at_least=1)
        return jnp.asarray(self.gamma, float) * jnp.exp((jnp.asarray(self.beta, float) - 1) * float(np.log(width)))


def per_neuron(step_size: Number | StepSizeLaw, width: int, step):
    """Step size of one neuron at this width and iteration: a plain number stands for `StepSizeLaw(number)`."""
    return step_size(width, step) if isinstance(step_size, StepSizeLaw) else step_size
