"""How it runs."""

from meanfield.simulate import probes
from meanfield.simulate.checkpoint import Checkpoint, CheckpointWarning
from meanfield.simulate.driver import resume, simulate
from meanfield.simulate.interrupt import Interrupted
from meanfield.simulate.mesh import make_mesh
from meanfield.simulate.results import DivergenceError, Results, Status

__all__ = [
    "Checkpoint",
    "CheckpointWarning",
    "DivergenceError",
    "Interrupted",
    "Results",
    "Status",
    "make_mesh",
    "probes",
    "resume",
    "simulate",
]
