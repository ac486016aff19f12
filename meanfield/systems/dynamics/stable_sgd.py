"""SGD with injected alpha-stable noise."""

from dataclasses import dataclass, field
from typing import final

import jax

from meanfield.systems.dynamics.gradient import AbstractGradientDynamics
from meanfield.systems.dynamics.injections import StableInjection
from meanfield.systems.scaling import Number


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StableSGD(AbstractGradientDynamics):
    """SGD with heavy-tailed noise injected into every neuron.

        theta_i <- theta_i - step_size * (N dR_batch/dtheta_i + weight_decay * theta_i) + scale * step_size^(1/alpha) * L_i

    with L_i symmetric alpha-stable, fresh for every neuron; a single coordinate of it has the characteristic function
    exp(-|u|^alpha). In the limit of small steps `d theta = -drift dt + scale dL`.

    Args:
        step_size, batch_size, weight_decay, minibatches, pool_size: as in `SGD`.
        alpha: stability index, in (0, 2]; 2 is Gaussian with variance `2 scale^2 step_size`.
        scale: factor sigma >= 0.
        mode: "scalar" (one number a neuron, added to all its coordinates), "coordinates" (independent) or "isotropic"
            (rotation-invariant): types 1, 2 and 3 of Wan et al.

    Raises:
        ValueError: alpha outside (0, 2], another number outside its range, an unknown mode.

    Source: Wan, Barsbey, Zaidi, Simsekli (2024). We depart from their code in three points: at alpha = 2 the variance is that of
    the stable law (2, not 1), so that alpha -> 2 is continuous; type 3 has the characteristic function exp(-|u|^alpha) in every
    direction, theirs exp(-2^(-alpha/2) |u|^alpha); noise is scaled with the step on every device.

    Examples:
        >>> StableSGD(0.1, 2, alpha=[1.5, 2.0], scale=0.01, mode="isotropic").injected.mode
        'isotropic'
    """

    alpha: Number
    scale: Number
    mode: str = field(default="coordinates", metadata={"static": True})

    def __post_init__(self):
        super().__post_init__()
        _ = self.injected  # checks alpha, scale and mode

    @property
    def injected(self) -> StableInjection:
        """Stable motion."""
        return StableInjection(self.alpha, self.scale, self.mode)

    @property
    def references(self) -> tuple[str, ...]:
        """BibTeX keys."""
        return ("Wan2024",)
