"""What tests of collapse share: five examples, sums over their mini-batches, and growth step by step."""

import itertools

import jax
import numpy as np

KEY = jax.random.key(0)
SMALL = {"key": KEY, "population": 2_000, "steps": 500}
X = np.array([[1.0], [-0.6], [0.8], [1.3], [-1.1]])  # five examples of one component and one output
R = np.array([[1.0], [0.6], [-0.8], [0.8], [0.4]])


def enumerated(products, step_size, batch_size, weight_decay, sign):
    """E log |factor| over all ordered mini-batches."""
    draws = itertools.product(products, repeat=batch_size)
    return np.mean([np.log(abs(1 - step_size * weight_decay - sign * step_size * np.mean(one))) for one in draws])


def grown(grow, start, steps, seed=0):
    """Logarithms of the lengths of vectors (N, dim) after `steps` steps, and their directions."""
    rng, u, log = np.random.default_rng(seed), start, np.zeros(len(start))
    for _ in range(steps):
        u = grow(rng, u)
        length = np.linalg.norm(u, axis=1)
        u, log = u / length[:, None], log + np.log(length)
    return log, u


def within(found, exact, errors=4.0):
    """Within the errors, or rounding where the numbers are stratified perfectly."""
    return abs(found.value - exact) < max(errors * found.standard_error, 1e-9)
