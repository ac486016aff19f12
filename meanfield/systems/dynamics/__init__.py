"""Dynamics of the particles; one small file each."""

from meanfield.systems.dynamics.base import AbstractDynamics, State, per_particle
from meanfield.systems.dynamics.gradient import AbstractGradientDynamics
from meanfield.systems.dynamics.homogenized import HomogenizedSGD
from meanfield.systems.dynamics.injected import GaussianInjection, StableInjection
from meanfield.systems.dynamics.langevin import Langevin
from meanfield.systems.dynamics.mckean_vlasov import McKeanVlasov
from meanfield.systems.dynamics.optax import Optax
from meanfield.systems.dynamics.recursion import LinearRecursion, chains
from meanfield.systems.dynamics.sgd import SGD
from meanfield.systems.dynamics.stable_sgd import StableSGD

__all__ = [
    "SGD",
    "AbstractDynamics",
    "AbstractGradientDynamics",
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
