"""Types for the shapes of arrays: `Float[Array, "neuron dim"]`. The tests check them at every call (tests/conftest.py).

Fields of pytrees have them too, for what a function takes and returns; one that jax makes may hold anything.
"""

from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Float, Int, Integer, Key, Real

if TYPE_CHECKING:
    from jax import Array
else:
    Array = np.ndarray | np.generic | jax.Array  # numpy's arrays are taken as they are, jax's are what comes out

__all__ = ["Array", "Float", "Int", "Integer", "Key", "Real"]
