"""Noisy SGD: mean-field Langevin dynamics."""

from dataclasses import dataclass
from typing import final

import jax

from meanfield import _check
from meanfield.systems.dynamics.gradient import AbstractGradientDynamics
from meanfield.systems.dynamics.injections import GaussianInjection
from meanfield.systems.scaling import Number


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Langevin(AbstractGradientDynamics):
    """Noisy SGD, the mean-field Langevin dynamics in discrete time.

        theta_i <- theta_i - step_size * (N dR_batch/dtheta_i + weight_decay * theta_i) + sqrt(2 step_size temperature) g_i

    with g_i ~ N(0, I) fresh for every neuron. Without data (a constant risk) a coordinate has the stationary variance
    `2 step_size T / (1 - (1 - step_size weight_decay)^2)`, close to `T / weight_decay`.

    Args:
        step_size, batch_size, weight_decay, minibatches, pool_size: as in `SGD`.
        temperature: T >= 0; 1/beta in the notation of Mei, Montanari and Nguyen.

    Raises:
        ValueError: a number outside its range.

    Source: Mei, Montanari, Nguyen (2018), noisy SGD, with step `2 s_k = step_size` and ridge `lambda = weight_decay`.

    Examples:
        >>> langevin = Langevin(step_size=0.1, batch_size=2, temperature=[0.0, 0.1], weight_decay=1.0)
        >>> langevin.temperature.tolist(), langevin.conditional
        ([0.0, 0.1], True)
    """

    temperature: Number

    def __post_init__(self):
        super().__post_init__()
        _check.nonnegative("temperature", self.temperature)

    @property
    def injected(self) -> GaussianInjection:
        """Brownian motion."""
        return GaussianInjection(self.temperature)

    @property
    def references(self) -> tuple[str, ...]:
        """BibTeX keys."""
        return ("MeiMontanariNguyen2018",)
