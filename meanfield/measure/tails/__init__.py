"""Tail indices, each with an interval. `tail_index` is the one to use; the others are there to be compared with."""

from meanfield.measure.tails.bootstrap import block_bootstrap
from meanfield.measure.tails.family import Family, StationarityWarning, TailFamily, tail_family
from meanfield.measure.tails.fit import SMALLEST, TailFit, TailStatus
from meanfield.measure.tails.hill import default_k, hill, hill_interval, kernel_estimator, moment_estimator, pickands
from meanfield.measure.tails.index import hill_reduced, tail_index
from meanfield.measure.tails.power_law import power_law
from meanfield.measure.tails.stable import block_log_moment, stable_characteristic, stable_quantile

__all__ = [
    "SMALLEST",
    "Family",
    "StationarityWarning",
    "TailFamily",
    "TailFit",
    "TailStatus",
    "block_bootstrap",
    "block_log_moment",
    "default_k",
    "hill",
    "hill_interval",
    "hill_reduced",
    "kernel_estimator",
    "moment_estimator",
    "pickands",
    "power_law",
    "stable_characteristic",
    "stable_quantile",
    "tail_family",
    "tail_index",
]
