"""Wide two-layer networks trained by SGD as interacting particles: mean-field limits, heavy tails, compressibility."""

from meanfield import measure, theory, verify
from meanfield._check import ArgumentError, StabilityWarning
from meanfield.simulate import DivergenceError, Results, Status, make_mesh, probes, simulate
from meanfield.systems import data, dynamics, noise, scaling
from meanfield.systems.network import Activation, Particles, TwoLayer
from meanfield.systems.system import System

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "ArgumentError",
    "DivergenceError",
    "Particles",
    "Results",
    "StabilityWarning",
    "Status",
    "System",
    "TwoLayer",
    "data",
    "dynamics",
    "make_mesh",
    "measure",
    "noise",
    "probes",
    "scaling",
    "simulate",
    "theory",
    "verify",
]
