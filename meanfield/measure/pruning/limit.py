"""The relative error of pruning in the limit of infinitely many parts, read off a sample and its tail fit."""

import numpy as np

from meanfield import _check
from meanfield.measure._arrays import Array, Float
from meanfield.measure.pruning.layers import exponent
from meanfield.measure.pruning.prune import kept


def extrapolated_limit(sizes, kappa: float, alpha, k: int, p: float = 2.0) -> Float[Array, "..."]:
    """Limit `G_p(kappa)^(1/p)` of the relative error of pruning n -> infinity independent parts, with the tail extrapolated.

    For parts with distribution function F and E X^p < infinity the error converges to

        G_p(kappa)^(1/p),  G_p(kappa) = int_0^{F^-1(1-kappa)} x^p dF / E X^p,

    and to 0 otherwise. The n - k smallest of the sample stand for the body of F, a Pareto tail of index `alpha` from the
    threshold u = x_(k+1) on for the rest: `E X^p = (1/n) sum_body x^p + (k/n) u^p alpha/(alpha - p)` if alpha > p, infinite if
    not. A sample alone cannot tell: its own error is always positive.

    Args:
        sizes: sizes of the parts (norms of neurons), non-negative, (..., n).
        kappa: fraction kept, in (0, 1].
        alpha: tail index of the sizes above their k largest, (...), as `measure.tails.hill(sizes, k)` gives it. The end points of
            its interval give an interval: the limit increases with alpha.
        k: number of values above the threshold, 1 <= k < n.
        p: of the norm, > 0.

    Returns:
        The limit, (...).

    Raises:
        ValueError: NaN or negative sizes, a number outside its range.

    Source: Gribonval, Cevher, Davies (2012), Proposition 1, for the limit; the tail extrapolation is ours.

    Examples:
        >>> x = np.linspace(1, 0, 20_000, endpoint=False) ** (-1 / 3)  # Pareto law of index 3; the limit is sqrt(1 - 0.1^(1/3))
        >>> round(float(extrapolated_limit(x, 0.1, alpha=3.0, k=1000)), 3), round((1 - 0.1 ** (1 / 3)) ** 0.5, 3)
        (0.732, 0.732)
        >>> float(extrapolated_limit(x, 0.1, alpha=1.9, k=1000))
        0.0
    """
    x = np.sort(np.asarray(_check.finite("sizes", sizes, ndim=tuple(range(1, 9))), np.float64), axis=-1)
    _check.require(bool(np.all(x >= 0)), "sizes", "be non-negative", _check.words("an array with negative entries"))
    kappa = _check.number("kappa", kappa, "be a number in (0, 1], the fraction kept", lambda v: (v > 0) & (v <= 1))
    n, p = x.shape[-1], exponent(p)
    _check.integer("k", k, at_least=1)
    _check.require(k < n, "k", f"be less than the size of a sample, {n}", k)
    real = _check.as_numpy(alpha).dtype.kind in "iuf" and bool(np.all(np.asarray(alpha) > 0))
    _check.require(real, "alpha", "be a number > 0, or an array of them", alpha)
    alpha = np.asarray(alpha, np.float64)
    threshold = x[..., n - k - 1, None]
    powers = (x / np.where(threshold > 0, threshold, 1)) ** p  # in units of the threshold
    with np.errstate(divide="ignore", invalid="ignore"):
        body = np.sum(powers[..., : n - k], axis=-1)
        excess = np.where(np.isinf(alpha), 1.0, alpha / (alpha - p))
        total = body + k * excess
        if kappa * n >= k:  # the cut lies in the body
            below = np.sum(powers[..., : n - kept(kappa, n)], axis=-1)
        else:
            below = body + k * excess * (1 - (kappa * n / k) ** (1 - p / alpha))
        return np.where(alpha > p, below / total, 0) ** (1 / p)
