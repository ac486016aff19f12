"""Tail indices, each with an interval."""

from meanfield.measure.tails.fit import TailFit, TailStatus
from meanfield.measure.tails.hill import default_k, hill, interval

__all__ = ["TailFit", "TailStatus", "default_k", "hill", "interval"]
