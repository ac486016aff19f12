"""Data sources. Inputs have a mean square norm of 1, so that a step size means the same thing for all of them.

The two Gaussian models, `gaussian_regression` and `gaussian_classes`, are not scaled: their theory has unit entries.

All are an `AbstractSource`: see there for how to write one.
"""

from meanfield.systems.data.base import AbstractSource
from meanfield.systems.data.files import load
from meanfield.systems.data.finite import FiniteData, digits, from_arrays, mnist_sample
from meanfield.systems.data.online import (
    GaussianClasses,
    GaussianRegression,
    Teacher,
    gaussian_classes,
    gaussian_regression,
    teacher,
)

__all__ = [
    "AbstractSource",
    "FiniteData",
    "GaussianClasses",
    "GaussianRegression",
    "Teacher",
    "digits",
    "from_arrays",
    "gaussian_classes",
    "gaussian_regression",
    "load",
    "mnist_sample",
    "teacher",
]
