"""Pruned matrices, their relative errors, and the limit of the error as the width grows.

`kappa` is the fraction KEPT: `floor(kappa n)` of n parts stay; the pruning ratio is 1 - kappa.
"""

from meanfield.measure.pruning.errors import KINDS, error_curve, prunable_fraction
from meanfield.measure.pruning.function import FunctionCurve, function_curve
from meanfield.measure.pruning.layers import ParticleLike
from meanfield.measure.pruning.limit import extrapolated_limit
from meanfield.measure.pruning.prune import kept, magnitude, node, singular
from meanfield.measure.pruning.spectrum import singular_values

__all__ = [
    "KINDS",
    "FunctionCurve",
    "ParticleLike",
    "error_curve",
    "extrapolated_limit",
    "function_curve",
    "kept",
    "magnitude",
    "node",
    "prunable_fraction",
    "singular",
    "singular_values",
]
