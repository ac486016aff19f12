"""Checks for arguments that must be one number: the theory functions are functions of numbers, not of arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize

from meanfield import _check


def positive(name: str, value: Any) -> None:
    """Check for one number > 0."""
    _check.numbers(name, value, "be a number > 0", lambda v: (v.ndim == 0) & (v > 0))


def nonnegative(name: str, value: Any) -> None:
    """Check for one number >= 0."""
    _check.numbers(name, value, "be a number >= 0", lambda v: (v.ndim == 0) & (v >= 0))


def between(name: str, value: Any, low: float, high: float) -> None:
    """Check for one number strictly between `low` and `high`."""
    _check.numbers(name, value, f"be a number in ({low:g}, {high:g})", lambda v: (v.ndim == 0) & (low < v) & (v < high))


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Zero of a function between two numbers at which its signs differ, to the last digits."""
    found = optimize.brentq(function, low, high, xtol=1e-300, rtol=np.float64(1e-14))
    return float(found)  # type: ignore[arg-type]
