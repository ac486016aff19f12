"""Laws with a known index, and the estimators that tests run them through."""

import numpy as np

from meanfield.measure import tails


def stable(rng, alpha, size):
    """Symmetric stable, by Chambers, Mallows and Stuck."""
    u, w = rng.uniform(-np.pi / 2, np.pi / 2, size), rng.exponential(size=size)
    return np.sin(alpha * u) / np.cos(u) ** (1 / alpha) * (np.cos((1 - alpha) * u) / w) ** ((1 - alpha) / alpha)


def chain(rng, step_size, n, steps=150):
    """One-dimensional SGD on least squares with Gaussian inputs and labels."""
    x = np.zeros(n)
    for _ in range(steps):
        a = rng.standard_normal(n)
        x = (1 - step_size * a * a) * x + step_size * a * rng.standard_normal(n)
    return x


LAWS = {
    "Pareto 1.5": (1.5, lambda rng, size: rng.pareto(1.5, size) + 1),
    "Student 2": (2.0, lambda rng, size: rng.standard_t(2, size)),
    "Frechet 1": (1.0, lambda rng, size: 1 / rng.exponential(size=size)),
    "Burr 2, rho -1": (2.0, lambda rng, size: np.sqrt(1 / rng.random(size) - 1)),
    "stable 1.5": (1.5, lambda rng, size: stable(rng, 1.5, size)),
}
POSITIVE = [
    tails.hill,
    tails.moment_estimator,
    tails.pickands,
    tails.kernel_estimator,
    tails.hill_reduced,
    tails.power_law,
    tails.tail_index,
]


def name(f):
    return f.__name__


SLOWEST = {  # second-order exponent in 0.25 ... 0.5, or a tail that begins late: the interval of fixed powers missed most of these
    "Lomax 4": (4.0, lambda rng, size: rng.pareto(4, size)),
    "genpareto 0.4": (2.5, lambda rng, size: (rng.random(size) ** -0.4 - 1) / 0.4),
    "inverse gamma 2.5": (2.5, lambda rng, size: 1 / rng.gamma(2.5, size=size)),
    "Burr(1.3, 1.9)": (2.47, lambda rng, size: (rng.random(size) ** (-1 / 1.9) - 1) ** (1 / 1.3)),
    "half Pareto 1.5, half 3": (1.5, lambda rng, size: rng.random(size) ** (-1 / np.where(rng.random(size) < 0.5, 1.5, 3.0))),
}
