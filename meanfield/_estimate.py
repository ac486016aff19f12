"""A number with its uncertainty: the one form in which measurements, solvers and claims hand on what they found."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from meanfield import _check

LEVEL = 0.95
NORMAL = 1.959963984540054  # quantile((1 + LEVEL) / 2), a literal because scipy.special takes a tenth of a second to load


@dataclass(frozen=True)
class Estimate:
    """A number, or an array of numbers, with its uncertainty; `float(estimate)` is the value of a single one.

    Args:
        value: the estimate, (...).
        standard_error: its standard error, (...); 0 where the value is exact, NaN where it is not known.
        interval: 95 % confidence interval of the noise, (..., 2); by default Student's, `value +- t_dof standard_error`.
        dof: degrees of freedom of Student's law of `(value - E value) / standard_error`; infinite: the normal law.
        bias: bound of `|E value - truth|`, the systematic error that no sample makes smaller; 0 where none is stated, infinite where the
            measurement says nothing. The interval does not include it.
        why: the source of the bias, as a noun with its numbers: "the curvature of the tail at the threshold 12.3".

    Raises:
        ValueError: a part that is no number, or an interval that does not have two ends for every value.

    Examples:
        >>> Estimate(2.0, 0.5).interval
        (1.020018007729973, 2.979981992270027)
        >>> Estimate(2.0, 0.5, dof=3).mapped(factor=-1.0).value
        -2.0
    """

    value: Any
    standard_error: Any
    interval: Any = None
    dof: float = np.inf
    bias: float = 0.0
    why: str = ""

    def __post_init__(self):
        for name in ("value", "standard_error", "dof", "bias"):
            part = getattr(self, name)
            ok = _check.as_numpy(part).dtype.kind in "iuf" and not isinstance(part, list | tuple)
            _check.require(ok, name, "be a number, or an array of numbers", part)
        if self.interval is None:
            object.__setattr__(self, "interval", student(self.value, self.standard_error, self.dof))
        shape = (*np.shape(self.value), 2)
        must = f"have the shape {shape}: two ends for every value"
        _check.require(np.asarray(self.interval).shape == shape, "interval", must, self.interval)

    def __float__(self) -> float:
        """The value alone."""
        return float(self.value)

    def mapped(self, factor: float = 1.0, shift: float = 0.0) -> "Estimate":
        """The estimate of `factor x + shift`, of everything that is estimated for x."""
        ends = [factor * end + shift for end in np.moveaxis(np.asarray(self.interval), -1, 0)]
        low, high = ends if factor >= 0 else ends[::-1]
        return Estimate(
            factor * self.value + shift,
            abs(factor) * self.standard_error,
            _pair(self.value, low, high),
            self.dof,
            abs(factor) * self.bias,
            self.why,
        )


def exact(value: float) -> Estimate:
    """The estimate of a number that is known.

    Examples:
        >>> exact(2.0).interval, exact(2.0).standard_error
        ((2.0, 2.0), 0.0)
    """
    known = _check.as_numpy(value)
    _check.require(known.ndim == 0 and known.dtype.kind in "iuf", "value", "be a number, infinite ones too", value)
    return Estimate(float(value), 0.0, (float(value), float(value)))


def mean(values) -> Estimate:
    """Mean of independent values in the last axis, with `s / sqrt(R)` as its standard error and Student's law of R - 1 degrees.

    Args:
        values: (..., R).

    Returns:
        The means, (...); their errors are NaN for a single value.

    Raises:
        ValueError: NaN, infinite or masked values.

    Examples:
        >>> found = mean([1.0, 2.0, 3.0])
        >>> float(found), found.interval.round(3).tolist()
        (2.0, [-0.484, 4.484])
    """
    values = np.asarray(_check.finite("values", values, ndim=tuple(range(1, 9))), np.float64)
    count, middle = values.shape[-1], np.mean(values, axis=-1)
    error = np.std(values, axis=-1, ddof=1) / np.sqrt(count) if count > 1 else np.full_like(middle, np.nan)
    return Estimate(middle, error, dof=max(count - 1, 1))


def student(value, standard_error, dof: float = np.inf) -> Any:
    """95 % interval `value +- t_dof standard_error`, (..., 2), two floats for a float; the normal one for infinite `dof`."""
    half = quantile((1 + LEVEL) / 2, dof) * standard_error
    with np.errstate(invalid="ignore"):  # infinite values have no error
        return _pair(value, value - half, value + half)


def quantile(p: float, dof: float = np.inf) -> float:
    """Quantile of Student's law, or of the normal law for infinite `dof`."""
    return float(scipy.special.ndtri(p) if np.isinf(dof) else scipy.special.stdtrit(dof, p))


def _pair(value, low, high) -> Any:
    return (float(low), float(high)) if type(value) in (int, float) else np.stack([low, high], axis=-1)
