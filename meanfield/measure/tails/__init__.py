"""Tail indices, each with an interval."""

from meanfield.measure.tails.fit import TailFit, TailStatus
from meanfield.measure.tails.hill import hill

__all__ = ["TailFit", "TailStatus", "hill"]
