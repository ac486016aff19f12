"""Dynamics of the particles; one small file each."""

from meanfield.systems.dynamics.base import AbstractDynamics, State
from meanfield.systems.dynamics.sgd import SGD

__all__ = ["SGD", "AbstractDynamics", "State"]
