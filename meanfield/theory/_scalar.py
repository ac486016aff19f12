"""Functions of one number: checks of arguments that must be one, not an array, and roots."""

from collections.abc import Callable
from typing import Any

import scipy

from meanfield import _check


def positive(name: str, value: Any) -> None:
    """Check for one number > 0."""
    _check.untraced(name, value)
    _check.numbers(name, value, "be a number > 0", lambda v: (v.ndim == 0) & (v > 0))


def nonnegative(name: str, value: Any) -> None:
    """Check for one number >= 0."""
    _check.untraced(name, value)
    _check.numbers(name, value, "be a number >= 0", lambda v: (v.ndim == 0) & (v >= 0))


def between(name: str, value: Any, low: float, high: float) -> None:
    """Check for one number strictly between `low` and `high`."""
    _check.untraced(name, value)
    _check.numbers(name, value, f"be a number in ({low:g}, {high:g})", lambda v: (v.ndim == 0) & (low < v) & (v < high))


def root(function: Callable[[float], float], lower: float, upper: float) -> float:
    """Root of `function` to relative precision, given a bracket."""
    solution: Any = scipy.optimize.root_scalar(function, bracket=(lower, upper), method="brentq", xtol=1e-300, rtol=1e-14)
    return float(solution.root)
