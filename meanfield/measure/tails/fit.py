"""What every tail estimator returns."""

import enum
from dataclasses import dataclass

import numpy as np


class TailStatus(enum.Enum):
    """What became of a fit; the value is a sentence for the user."""

    OK = "The fit used the k largest values."
    TIED = "The k + 1 largest values are equal; the tail has no index there, and alpha is infinite."

    @property
    def code(self) -> int:
        """Number that stands for the status in arrays."""
        return list(TailStatus).index(self)


@dataclass(frozen=True)
class TailFit:
    """A tail index, `P(X > x) ~ C x^(-alpha)`, with its uncertainty; every array has the leading axes of the samples.

    Args:
        alpha: the index.
        standard_error: asymptotic standard error of alpha.
        interval: 95 % confidence interval, (..., 2).
        threshold: the value above which the tail was fitted.
        k: number of values above the threshold.
        n: size of a sample.
        method: name of the estimator.
        status: codes of `TailStatus`.
    """

    alpha: np.ndarray
    standard_error: np.ndarray
    interval: np.ndarray
    threshold: np.ndarray
    k: int
    n: int
    method: str
    status: np.ndarray
