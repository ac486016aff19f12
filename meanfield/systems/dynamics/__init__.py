"""Dynamics of the particles; one file each."""

from meanfield.systems.dynamics.base import AbstractDynamics, State, per_particle
from meanfield.systems.dynamics.chains import chains
from meanfield.systems.dynamics.gradient import AbstractGradientDynamics, McKeanVlasov
from meanfield.systems.dynamics.homogenized import HomogenizedSGD
from meanfield.systems.dynamics.injections import AbstractInjection, GaussianInjection, StableInjection
from meanfield.systems.dynamics.langevin import Langevin
from meanfield.systems.dynamics.least_squares import LinearRecursion
from meanfield.systems.dynamics.optax import Optax
from meanfield.systems.dynamics.sgd import SGD
from meanfield.systems.dynamics.stable_sgd import StableSGD

__all__ = [
    "SGD",
    "AbstractDynamics",
    "AbstractGradientDynamics",
    "AbstractInjection",
    "GaussianInjection",
    "HomogenizedSGD",
    "Langevin",
    "LinearRecursion",
    "McKeanVlasov",
    "Optax",
    "StableInjection",
    "StableSGD",
    "State",
    "chains",
    "per_particle",
]
