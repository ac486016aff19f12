"""Wide two-layer networks trained by SGD as interacting particles: mean-field limits, heavy tails, compressibility."""

import importlib
from typing import TYPE_CHECKING, Any

from meanfield import measure, theory
from meanfield._check import ArgumentError, StabilityWarning
from meanfield._estimate import Estimate
from meanfield.simulate import (
    Checkpoint,
    CheckpointWarning,
    DivergenceError,
    Interrupted,
    Results,
    Status,
    make_mesh,
    probes,
    resume,
    simulate,
)
from meanfield.systems import data, dynamics, networks, scaling
from meanfield.systems import stable_noise as noise
from meanfield.systems.networks import AbstractNetwork, Activation, Loss, Particles, TwoLayer
from meanfield.systems.system import System

if TYPE_CHECKING:
    from meanfield import verify

__version__ = "0.1.0"

__all__ = [
    "AbstractNetwork",
    "Activation",
    "ArgumentError",
    "Checkpoint",
    "CheckpointWarning",
    "DivergenceError",
    "Estimate",
    "Interrupted",
    "Loss",
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
    "networks",
    "noise",
    "probes",
    "resume",
    "scaling",
    "simulate",
    "theory",
    "verify",
]


def __getattr__(name: str) -> Any:
    """`verify`, when it is first used: its claims need packages that nothing else does."""
    if name == "verify":
        return importlib.import_module("meanfield.verify")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "verify"})
