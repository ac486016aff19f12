"""Neurons with quadratic activation that fit pure noise: the exponent is an integral."""

import numpy as np
import scipy

from meanfield.theory import _scalar


def quadratic_exponent(step_size: float, weight_decay: float, noise_std: float = 1.0) -> float:
    """Exponent of neurons with quadratic activation that fit pure noise: `E log |1 - eta lam + eta s g x^2|`, g, x ~ N(0, 1).

    The network is that of `network.quadratic_tail_index` with offset c = 0. With an offset, which is added in every step, the neurons
    do not collapse, and the exponent must be negative for a stationary law.

    Args:
        step_size: eta > 0, the step of one neuron.
        weight_decay: lam >= 0.
        noise_std: s > 0.

    Returns:
        The exponent, to about 1e-10; the derivative at 0 of `network.quadratic_growth`.

    Raises:
        ValueError: an argument out of its range.

    Source: ours. The mean over g is half that of the logarithm of a noncentral chi-square variable, a Poisson mixture; that over x is a
    trapezoid sum in log |x|.

    Examples:
        >>> round(quadratic_exponent(0.2, weight_decay=1.0), 6)
        -0.268097
    """
    _scalar.positive("step_size", step_size)
    _scalar.nonnegative("weight_decay", weight_decay)
    _scalar.positive("noise_std", noise_std)
    m, gain = abs(1 - step_size * weight_decay), step_size * noise_std
    u = np.arange(-45.0, 15.0, 0.02)
    w = np.exp(u - np.exp(2 * u) / 2)
    kept = w > 0
    scale = np.log(gain) + 2 * u[kept]  # log of gain x^2
    return float(w[kept] @ (scale + _mean_log_normal(m * np.exp(-scale))) / np.sum(w[kept]))


def _mean_log_normal(mean: np.ndarray) -> np.ndarray:
    """`E log |g + mean|` for g ~ N(0, 1) and numbers >= 0."""
    found, z = np.empty_like(mean), mean**2 / 2
    near = z < 50
    j = np.arange(200.0)[:, None]
    poisson = np.exp(scipy.special.xlogy(j, z[near]) - z[near] - scipy.special.gammaln(j + 1))
    found[near] = (np.sum(poisson * scipy.special.digamma(0.5 + j), axis=0) + np.log(2)) / 2
    # Far from 0 the moments of log(1 + g / mean), as long as they fall.
    term, far = np.ones(np.count_nonzero(~near)), np.log(mean[~near])
    for k in range(1, 25):
        term = term * (2 * k - 1) / (2 * z[~near])
        far = far - term / (2 * k)
    found[~near] = far
    return found
