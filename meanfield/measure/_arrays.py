"""Types for the shapes of arrays: `Float[Array, "sample bin"]`. The tests check them at every call (tests/conftest.py)."""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

if TYPE_CHECKING:
    Array = Any  # the lines of an estimator run in numpy and in jax
else:
    Array = np.ndarray | np.generic | jax.Array

__all__ = ["Array", "Bool", "Float", "Int"]
