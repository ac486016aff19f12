"""Wide two-layer networks trained by SGD as interacting particles: mean-field limits, heavy tails, compressibility."""

from meanfield import measure, theory
from meanfield._check import ArgumentError
from meanfield.simulate import DivergenceError, Results, Status, probes, simulate
from meanfield.systems import data, dynamics, noise, scaling
from meanfield.systems.network import Particles, TwoLayer
from meanfield.systems.system import System

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "DivergenceError",
    "Particles",
    "Results",
    "Status",
    "System",
    "TwoLayer",
    "data",
    "dynamics",
    "measure",
    "noise",
    "probes",
    "scaling",
    "simulate",
    "theory",
]
