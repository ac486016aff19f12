"""The law of S = |X_1|^q + ... + |X_dim|^q by inversion of its Laplace transform."""

from collections.abc import Callable

import numpy as np
from scipy import special

from meanfield.theory import _scalar
from meanfield.theory._moduli import GammaModuli, Moduli

TERMS, EXTRA, SHIFT = 38, 12, 20.7  # of Euler's algorithm: its error is about exp(-SHIFT) = 1e-9, and that of the averages
PANELS, ORDER = 120, 20


def share_below(law: Moduli, dim: int, q: float) -> Callable[[float], float]:
    """Give kappa -> `E[S; S < s] / E S` with P(S > s) = kappa, for finite E S."""
    if isinstance(law, GammaModuli) and law.c == q:
        shape = dim * law.a
        return lambda kappa: float(special.gammainc(shape + 1, special.gammainccinv(shape, kappa)))
    mean = dim * law.total(q)
    below = body(law, dim, q)
    return lambda kappa: below(kappa) / mean


def body(law: Moduli, dim: int, q: float) -> Callable[[float], float]:
    """Give kappa -> `E[S; S < s]` with P(S > s) = kappa."""
    unit = law.threshold(0.5) ** q
    sizes, weights = _nodes(law, q)
    sizes = sizes / unit

    def transforms(z):
        decay = np.exp(-np.multiply.outer(z, sizes)) * weights
        return decay.sum(axis=-1), (decay * sizes).sum(axis=-1)

    def invert(values, s):
        """Abate, Whitt (1995): an alternating series, its end averaged by binomial weights."""
        k = np.arange(TERMS + EXTRA + 1)
        terms = np.where(k == 0, 0.5, 1.0) * (-1.0) ** k * values((SHIFT + 2j * np.pi * k) / (2 * s)).real
        sums = np.exp(SHIFT / 2) / s * np.cumsum(terms)
        return float(sums[TERMS:] @ special.comb(EXTRA, np.arange(EXTRA + 1)) / 2.0**EXTRA)

    def probability(s):
        return invert(lambda z: transforms(z)[0] ** dim / z, s)

    def partial(s):
        def transform(z):
            one, moment = transforms(z)
            return dim * one ** (dim - 1) * moment / z

        return invert(transform, s)

    def at(kappa):
        high = 1.0
        while probability(high) < 1 - kappa:
            high *= 2
        low = high
        while probability(low) > 1 - kappa:
            low /= 2
        s = _scalar.root(lambda x: probability(x) - (1 - kappa), low, high)
        return partial(s) * unit

    return at


def _nodes(law: Moduli, q: float) -> tuple[np.ndarray, np.ndarray]:
    """Sizes |x|^q and probabilities of a quadrature of the law of |X| in log x, from tiny to huge values."""
    middle = law.threshold(0.5)
    top = min(middle * np.exp(40.0), max(abs(float(v)) for v in law.distribution.support()))
    # Fine where exp(-z |x|^q) turns around many times at the z of the inversion.
    edges = np.log(middle) + np.concatenate([np.arange(-40.0, -3.0), np.linspace(-3.0, 5.0, PANELS + 1), np.arange(6.0, 41.0)])
    edges = np.append(edges[edges < np.log(top)], np.log(top))
    y, weights = np.polynomial.legendre.leggauss(ORDER)
    left, right = edges[:-1, None], edges[1:, None]
    x = np.exp((left + right) / 2 + (right - left) / 2 * y)
    mass = (right - left) / 2 * weights * x * np.asarray(law.density(x.ravel())).reshape(x.shape)
    keep = mass > 0
    return x[keep] ** q, mass[keep] / mass[keep].sum()
