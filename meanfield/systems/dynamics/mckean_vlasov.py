"""Limits of wide networks: the McKean-Vlasov ODE and SDEs."""

from dataclasses import dataclass, field
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems import random
from meanfield.systems.dynamics.base import per_particle
from meanfield.systems.dynamics.gradient import AbstractGradientDynamics
from meanfield.systems.dynamics.injected import AbstractInjection


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class McKeanVlasov(AbstractGradientDynamics):
    """The law that the neurons of wide networks follow, on N particles: `limit()` of the dynamics here returns it.

        dW = -(h(W, mu_t) + weight_decay W) dt + (step_size Sigma(W, mu_t) / batch_size)^(1/2) dB + injected noise,

    where h is the expectation of the gradient of a neuron, Sigma its covariance over the examples, mu_t the law of W, every
    neuron with its own B. Discretised by Euler's scheme with time step `step_size` (a `StepSizeLaw` law: its value at the width of
    the simulation, so the scheme becomes finer as the width grows), and mu_t by the empirical law of the N particles.

    Sigma is never formed: Gaussian weights of mean 1/n and covariance `(delta_jl / n - 1/n^2) / batch_size` over the n examples
    give a gradient with mean h and covariance `Sigma / batch_size` exactly. A step costs what a step over the whole pool costs.

    Args:
        step_size, weight_decay, pool_size: as in `SGD`. Examples are always the pool: all of a finite set, or `pool_size` fresh
            ones of an online source.
        batch_size: mini-batch size of the SGD whose limit this is; None: infinite, no gradient noise, the ODE.
        injection: injected noise of the dynamics whose limit this is, or None.

    Raises:
        ValueError: a number outside its range.

    Source: De Bortoli, Durmus, Fontaine, Simsekli (2020), theorems for beta < 1 (ODE) and beta = 1 (SDE); Wan et al. (2024) for
    the stable-driven one.

    Examples:
        >>> from meanfield.systems.dynamics.sgd import SGD
        >>> from meanfield.systems.scaling import StepSizeLaw
        >>> SGD(StepSizeLaw(1.0, beta=0.5), batch_size=10).limit().batch_size is None
        True
    """

    batch_size: int | None = field(default=None, metadata={"static": True})  # type: ignore[assignment]
    injection: AbstractInjection | None = field(default=None, kw_only=True)
    minibatches: ClassVar[str] = "independent"  # type: ignore[misc]  # no field here: there is no choice

    infinite_batch = True

    def __post_init__(self):
        super().__post_init__()
        proper = self.injection is None or isinstance(self.injection, AbstractInjection) or not _check.is_typed(self.injection)
        must = "be None, a `GaussianInjection` or a `StableInjection`"
        _check.require(proper, "injection", must, self.injection)

    def weights(self, key: jax.Array, width: int, examples: int) -> jax.Array | None:
        """Gaussian weights of the examples for every neuron; None for the ODE."""
        size = self.batch_size
        if size is None:
            return None

        def gaussian(own):
            z = random.normal(own, examples, jnp.zeros((), float).dtype)
            return 1 / examples + (z - jnp.mean(z)) / float(np.sqrt(examples * size))

        return per_particle(key, width, gaussian)

    @property
    def injected(self) -> AbstractInjection | None:
        """Noise that is added to the particles beside that of the gradients."""
        return self.injection

    def limit(self) -> "McKeanVlasov":
        """Itself."""
        return self

    @property
    def references(self) -> tuple[str, ...]:
        """BibTeX keys."""
        return ("DeBortoli2020", "Wan2024")
