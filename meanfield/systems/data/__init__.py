"""Data sources. Inputs have a mean square norm of 1, so that a step size means the same thing for all of them.

The two Gaussian models, `gaussian_regression` and `gaussian_classes`, are not scaled: their theory has unit entries.

A source is a pytree with

    batch(key, step, batch_size) -> (x, y)    the mini-batch of a step
    pool(key, step, size) -> (x, y)           examples that stand for the whole: all of a finite set, else `size` fresh ones
    dim, outputs, classes (0 for regression), size (None if there is no end of examples)
    splits                                    the fixed sets (x, y) on which risk and accuracy are evaluated
"""

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
