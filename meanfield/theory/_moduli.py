"""The law of |X| for a frozen scipy.stats distribution of X: thresholds, partial moments, tail."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import integrate, special

from meanfield import _check
from meanfield.theory import _scalar, stable

FAR = 120.0  # log of the distance, in thresholds, at which a tail is looked at
SAME = 1e-9  # relative; a tail index this close to the order of a moment counts as equal to it
NODES = np.polynomial.legendre.leggauss(24)
STEADY = 1e-4  # relative change of the local index from half way to the end, up to which a tail is a power law


def moduli(distribution: Any) -> "Moduli":
    """The law of |X|; with closed forms where the distribution has them."""
    usable = all(hasattr(distribution, name) for name in ("dist", "pdf", "cdf"))
    must = "be a frozen continuous distribution of scipy.stats, such as stats.t(3)"
    _check.require(usable, "distribution", must, _check.words(f"of type {type(distribution).__name__}"))
    law: Any = distribution.dist
    low, high = (float(v) for v in distribution.support())
    must = "have valid parameters and live on the line"
    own = law.name == "levy_stable"  # scipy's distribution function fails for some of these
    ends = np.asarray([0.0] if own else distribution.cdf([-1e150, 0.0, 1e150]))
    right = bool(np.all((ends >= -SAME) & (ends <= 1 + SAME))) and low < high
    _check.require(right, "distribution", must, _check.words(f"{law.name} without a distribution function there"))
    shapes, loc, scale = law._parse_args(*distribution.args, **distribution.kwds)
    shapes = tuple(float(s) for s in shapes)
    if own:
        alpha, beta = shapes
        return StableModuli(distribution, alpha, beta, float(loc), float(scale), law.parameterization == "S0")
    kind = _gamma_like(law.name, shapes) if loc == 0 else None
    if kind is not None:
        return GammaModuli(distribution, *kind, float(scale))
    if loc == 0 and law.name in ("pareto", "lomax", "t", "cauchy", "halfcauchy"):
        shape = shapes[0] if shapes else 1.0
        return PowerModuli(distribution, {"cauchy": "t", "halfcauchy": "t"}.get(law.name, law.name), shape, float(scale))
    if law.name == "uniform" and (low == 0 or low == -high):
        return UniformModuli(distribution, high)
    return Moduli(distribution)


def _gamma_like(name: str, shapes: tuple[float, ...]) -> tuple[float, float] | None:
    """(a, c) of laws for which (|X| / scale')^c is Gamma(a); the scale does not matter."""
    laws = {
        "norm": lambda: (0.5, 2.0),
        "halfnorm": lambda: (0.5, 2.0),
        "laplace": lambda: (1.0, 1.0),
        "expon": lambda: (1.0, 1.0),
        "gennorm": lambda b: (1 / b, b),
        "halfgennorm": lambda b: (1 / b, b),
        "gamma": lambda a: (a, 1.0),
        "erlang": lambda a: (a, 1.0),
        "dgamma": lambda a: (a, 1.0),
        "chi": lambda df: (df / 2, 2.0),
        "chi2": lambda df: (df / 2, 1.0),
        "rayleigh": lambda: (1.0, 2.0),
        "maxwell": lambda: (1.5, 2.0),
        "nakagami": lambda nu: (nu, 2.0),
        "weibull_min": lambda c: (1.0, c),
        "dweibull": lambda c: (1.0, c),
    }
    return laws[name](*shapes) if name in laws else None


@dataclass(frozen=True)
class Moduli:
    """The law of |X| by quadrature of the density `f(x) + f(-x)` in log x.

    Kinks of the density at 0, at the ends of the support and at the median and mode do no harm; others cost digits.
    """

    distribution: Any

    def density(self, x):
        """Of |X| at x > 0."""
        low = self.distribution.support()[0]
        one = self.distribution.pdf(x)
        return one if low >= 0 else one + self.distribution.pdf(-x)

    def above(self, x):
        """P(|X| > x)."""
        low = self.distribution.support()[0]
        one = self.distribution.sf(x)
        return one if low >= 0 else one + self.distribution.cdf(-x)

    def threshold(self, kappa: float) -> float:
        """The x with P(|X| > x) = kappa."""
        if kappa >= 1:
            return 0.0
        if self.distribution.support()[0] >= 0:
            return float(self.distribution.isf(kappa))
        ends = (float(abs(self.distribution.isf(kappa / 2))), float(abs(self.distribution.ppf(kappa / 2))))
        lower, upper = min(ends), max(ends)
        if upper - lower <= 1e-13 * upper:
            return upper
        while self.above(lower) < kappa:  # quantiles of scipy are not always those of its distribution function
            lower /= 1.01
        while self.above(upper) > kappa:
            upper *= 1.01
        return _scalar.root(lambda x: float(self.above(x)) - kappa, lower, upper)

    def partial(self, q: float, lower: float, upper: float) -> float:
        """E[|X|^q; lower < |X| < upper]."""
        low, high = (float(v) for v in self.distribution.support())
        kinks = sorted({abs(v) for v in (low, high, *self.distribution.ppf([0.25, 0.5, 0.75])) if np.isfinite(v) and v != 0})
        if lower == 0:
            start = upper if np.isfinite(upper) else self.threshold(0.5)
            lower = min([start, *kinks[:1]]) * math.exp(-min(700.0, 45 / q + 5))
        if not lower < upper:
            return 0.0
        kinks = [math.log(k) for k in kinks if lower < k < upper]
        a, b = math.log(lower), math.log(upper)
        edges = np.unique([a, *kinks, b, *np.arange(a, b, 4.0)])
        return math.fsum(self._piece(q, left, right) for left, right in itertools.pairwise(edges))

    def _piece(self, q: float, left: float, right: float) -> float:
        def integrand(y):
            x = math.exp(y)
            return math.exp((q + 1) * y) * float(self.density(x)) if (q + 1) * y < 700 else 0.0

        return integrate.quad(integrand, left, right, epsabs=0, epsrel=1e-11, limit=200)[0]

    def total(self, q: float) -> float:
        """E |X|^q, infinity if it does not exist."""
        high = max(abs(float(v)) for v in self.distribution.support())
        if np.isfinite(high):
            return self.partial(q, 0.0, high)
        middle = self.threshold(0.5)
        alpha, _ = self.tail()
        if alpha <= q * (1 + SAME):
            return np.inf
        if np.isinf(alpha):
            return self.partial(q, 0.0, self._end(middle))
        far = middle * math.exp(FAR / 4)
        return self.partial(q, 0.0, far) + far ** (q + 1) * float(self.density(far)) / (alpha - q)

    def _end(self, middle: float) -> float:
        """Where the density of a light tail has vanished."""
        for y in np.arange(1.0, 600.0, 1.0):
            if self.density(middle * math.exp(y)) <= 1e-280:
                return middle * math.exp(y)
        return middle * math.exp(600.0)

    def tail(self) -> tuple[float, float]:
        """(alpha, c) with P(|X| > x) ~ c x^(-alpha); (inf, 0) for tails lighter than every power.

        Alpha from the local slope of the log density far out. A power law has the same slope twice as far; one that grows
        steeper is lighter than every power; anything else is refused.
        """
        if np.isfinite(max(abs(float(v)) for v in self.distribution.support())):
            return np.inf, 0.0
        middle = self.threshold(0.5)
        near, alpha = (self._local_index(middle * math.exp(y)) for y in (FAR / 4, FAR / 2))
        if np.isinf(alpha) or alpha > near * (1 + STEADY):
            return np.inf, 0.0
        must = "have a tail that is a power law or lighter than every power"
        _check.require(abs(alpha - near) <= STEADY * near, "distribution", must, self._words())
        x = middle * math.exp(FAR / 4)
        return alpha, x ** (1 + alpha) * float(self.density(x)) / alpha

    def _local_index(self, x: float) -> float:
        step = 1.0
        a, b = (float(self.density(x * math.exp(v))) for v in (-step, step))
        return np.inf if min(a, b) <= 1e-290 else -math.log(b / a) / (2 * step) - 1

    def _words(self):
        return _check.words(f"{self.distribution.dist.name}, of which this could not be found")


@dataclass(frozen=True)
class GammaModuli(Moduli):
    """`(|X| / s)^c ~ Gamma(a)`: normal, Laplace, exponential power, Weibull, chi and others."""

    a: float
    c: float
    scale: float

    def _unit(self) -> float:
        """s: the threshold at kappa = 1/2 tells it, whatever the parametrisation."""
        return Moduli.threshold(self, 0.5) / special.gammaincinv(self.a, 0.5) ** (1 / self.c)

    def threshold(self, kappa):
        return float(self._unit() * special.gammainccinv(self.a, kappa) ** (1 / self.c)) if kappa < 1 else 0.0

    def partial(self, q, lower, upper):
        unit, order = self._unit(), self.a + q / self.c
        low, high = (special.gammainc(order, (v / unit) ** self.c) for v in (lower, upper))
        return float((high - low) * unit**q * np.exp(special.gammaln(order) - special.gammaln(self.a)))

    def total(self, q):
        return self.partial(q, 0.0, np.inf)

    def tail(self):
        return np.inf, 0.0


@dataclass(frozen=True)
class UniformModuli(Moduli):
    """|X| uniform on (0, high)."""

    high: float

    def threshold(self, kappa):
        return self.high * (1 - kappa)

    def partial(self, q, lower, upper):
        return (min(upper, self.high) ** (q + 1) - lower ** (q + 1)) / ((q + 1) * self.high)

    def tail(self):
        return np.inf, 0.0


@dataclass(frozen=True)
class PowerModuli(Moduli):
    """Pareto, Lomax, Student: incomplete beta functions. The index is `shape`."""

    name: str
    shape: float
    scale: float

    def threshold(self, kappa):
        if kappa >= 1:
            return self.scale if self.name == "pareto" else 0.0
        if self.name == "t":
            return float(self.scale * -special.stdtrit(self.shape, kappa / 2))
        return self.scale * (kappa ** (-1 / self.shape) - (self.name == "lomax"))

    def partial(self, q, lower, upper):
        if np.isinf(upper) and q >= self.shape * (1 - SAME):
            return np.inf
        if q >= self.shape * (1 - SAME):
            return super().partial(q, lower, upper)
        low, high = (self._part(q, v / self.scale) for v in (lower, upper))
        return (high - low) * self.scale**q

    def _part(self, q: float, x: float) -> float:
        """E[|X|^q; |X| < x] at scale 1, for q below the index."""
        a = self.shape
        if self.name == "pareto":
            return a / (a - q) * (1 - x ** (q - a)) if x > 1 else 0.0
        if self.name == "lomax":
            beta, z = (q + 1, a - q), x / (1 + x) if np.isfinite(x) else 1.0
            return float(a * np.exp(special.betaln(*beta)) * special.betainc(*beta, z))
        beta, z = ((q + 1) / 2, (a - q) / 2), x**2 / (a + x**2) if np.isfinite(x) else 1.0
        factor = np.exp(special.betaln(*beta) - special.betaln(0.5, a / 2) + q / 2 * np.log(a))
        return float(factor * special.betainc(*beta, z))

    def total(self, q):
        return self.partial(q, 0.0, np.inf)

    def tail(self):
        a = self.shape
        c = 2 * np.exp((a / 2 - 1) * np.log(a) - special.betaln(0.5, a / 2)) if self.name == "t" else 1.0
        return a, float(c * self.scale**a)


@dataclass(frozen=True)
class StableModuli(Moduli):
    """Stable laws from our own density, survival function and quantiles, right to the ends of float64; scipy's stop short in the tails."""

    alpha: float
    beta: float
    loc: float
    scale: float
    s0: bool

    @property
    def _slant(self) -> float:
        return self.beta * math.tan(math.pi * self.alpha / 2) if self.alpha not in (1, 2) else 0.0

    @property
    def _shift(self) -> float:
        """X is `shift + scale Z`, Z as in `stable.pdf`; in units of the scale."""
        shift = self.loc / self.scale
        if self.alpha == 1:
            return shift + (0.0 if self.s0 else 2 * self.beta * math.log(self.scale) / math.pi)
        return shift - (self._slant if self.s0 else 0.0)

    def density(self, x):
        z = np.asarray(x) / self.scale
        right = stable.pdf(z - self._shift, self.alpha, self.beta)
        return (2 * right if self._symmetric else right + stable.pdf(-z - self._shift, self.alpha, self.beta)) / self.scale

    def above(self, x):
        z = np.asarray(x) / self.scale
        right = stable.sf(z - self._shift, self.alpha, self.beta)
        return 2 * right if self._symmetric else right + stable.sf(z + self._shift, self.alpha, -self.beta)

    @property
    def _symmetric(self) -> bool:
        return self._shift == 0 and self.beta == 0

    def threshold(self, kappa):
        if kappa >= 1:
            return 0.0
        right, left = (s * self._shift + float(stable.isf(kappa / 2, self.alpha, s * self.beta)) for s in (1, -1))
        lower, upper = sorted((abs(right), abs(left)))
        if upper - lower > 1e-13 * upper:
            unit = self.scale
            lower, upper = lower * (1 - 1e-9), upper * (1 + 1e-9)
            upper = _scalar.root(lambda z: float(self.above(unit * z)) / kappa - 1, lower, upper)
        return self.scale * upper

    def partial(self, q, lower, upper):
        if np.isinf(upper):
            return self.total(q)
        middle = self.threshold(0.5)
        if lower == 0:
            lower = max(min(upper, middle) * math.exp(-min(700.0, 45 / q + 5)), 1e-300)
        if not lower < upper:
            return 0.0
        a, b = math.log(lower), math.log(upper)
        body = math.log(middle) + np.arange(-5.0, 5.5, 0.75)
        grid = [np.arange(a, b, 4.0), body[(body > a) & (body < b)]]
        # Around the end or cusp of the law, and around its body.
        for centre, sizes in ((self._shift, np.arange(-12.0, 4.0)), (self._shift + self._slant, np.arange(-1.0, 4.0))):
            if centre != 0:
                steps = 4.0**sizes
                kinks = self.scale * abs(abs(centre) + np.concatenate([-steps, [0.0], steps]))
                grid.append(np.log(kinks[(kinks > lower) & (kinks < upper)]))
        edges = np.unique(np.concatenate([*grid, [a, b]]))
        y, weights = NODES
        left, right = edges[:-1, None], edges[1:, None]
        y = (left + right) / 2 + (right - left) / 2 * y
        density = self.density(np.exp(y))
        with np.errstate(divide="ignore"):
            return float(np.sum((right - left) / 2 * weights * np.exp((q + 1) * y + np.log(density))))

    def total(self, q):
        if q >= self.alpha * (1 - SAME) and self.alpha < 2:
            return np.inf
        if self.alpha == 2:
            return self.partial(q, 0.0, self._end(self.threshold(0.5)))
        if self._shift == 0 and (self.alpha != 1 or self.beta == 0):
            gammas = special.gammaln(q) + special.gammaln(1 - q / self.alpha) + q / (2 * self.alpha) * np.log1p(self._slant**2)
            angles = np.sin(np.pi * q / 2) * np.cos(q / self.alpha * np.arctan(self._slant))
            return float(2 / np.pi * self.scale**q * np.exp(gammas) * angles)
        far = self.threshold(0.5) * math.exp(min(500.0, 45 / min(self.alpha, 1.0)))
        alpha, tail = self.tail()
        return self.partial(q, 0.0, far) + tail * alpha / (alpha - q) * far ** (q - alpha)

    def tail(self):
        return (self.alpha, stable.tail_constant(self.alpha) * self.scale**self.alpha) if self.alpha < 2 else (np.inf, 0.0)
