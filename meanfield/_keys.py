"""Random numbers on the host: numpy's generator from a jax key, for functions that take one."""

import jax
import numpy as np


def generator(key: jax.Array) -> np.random.Generator:
    """Numpy's generator, seeded with the words of a random key.

    Examples:
        >>> same = [generator(jax.random.key(3)).random() for _ in range(2)]
        >>> same[0] == same[1] != generator(jax.random.key(4)).random()
        True
    """
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())
