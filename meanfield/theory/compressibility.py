"""Pruning errors of independent parts as their number grows."""

import numpy as np

from meanfield import _check


def decay_exponent(alpha, q: float = 2.0):
    """Exponent r of the relative l_q pruning error of N independent parts with tail index alpha, `error ~ N^(-r)`.

    `r = max(0, 1/alpha - 1/q)`. For alpha < q the q-th moment is infinite and the error vanishes at this rate at every kept
    fraction in (0, 1). For alpha > q it tends to a positive constant, r = 0; at alpha = q it vanishes slower than any power.

    Args:
        alpha: tail index of the parts, > 0, of any shape.
        q: of the norm, > 0.

    Returns:
        The exponent, of the shape of `alpha`.

    Raises:
        ValueError: a number that is not > 0.

    Source: Gribonval, Cevher, Davies (2012), Proposition 1, for the limits. The rate: the sum of x^q over the pruned parts
    grows like N, the sum over all like N^(q/alpha) times a positive stable variable, so the error's q-th power decays like
    N^(1 - q/alpha).

    Examples:
        >>> float(decay_exponent(1.0)), float(decay_exponent(1.5).round(4)), float(decay_exponent(3.0))
        (0.5, 0.1667, 0.0)
    """
    _check.positive("alpha", alpha)
    _check.positive("q", q)
    return np.maximum(0.0, 1 / np.asarray(alpha, np.float64) - 1 / q)
