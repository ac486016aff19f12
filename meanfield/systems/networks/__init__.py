"""Networks as interacting particles."""

from meanfield.systems.networks.activations import Activation
from meanfield.systems.networks.base import AbstractNetwork, Particles
from meanfield.systems.networks.losses import Loss
from meanfield.systems.networks.two_layer import TwoLayer

__all__ = ["AbstractNetwork", "Activation", "Loss", "Particles", "TwoLayer"]
