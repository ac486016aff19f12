"""The law of |X| for a frozen scipy.stats distribution of X: thresholds, moments below them, moments, tail.

Where no closed form is known, one thing is taken from scipy, the density. Its masses must agree with scipy's distribution function;
a law of which they do not is refused. Moments are logarithms, so that none leaves the range of float64.
"""

import contextlib
import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy
from numpy.polynomial import legendre

from meanfield import _check
from meanfield.theory import _scalar, stable

SAME = 1e-9  # relative; a tail index this close to the order of a moment counts as equal to it
STEADY = 1e-4  # relative change of the local index over the last third of the tail, up to which a tail is a power law
LOWEST, HIGHEST, WIDE = -700.0, 704.0, 4.0  # of log |x|, and the widest panel there
NARROW = 2.0**-24  # the narrowest: it holds a jump or a pole, and takes its mass from the distribution function
MANY = 4000  # panels: a density that needs more is not smooth but at a few points
FINE, NOISE = 1e-11, 1e-6  # size of the last two coefficients; below NOISE they count as rounding once halving does not help
GONE, LITTLE = 1e-290, 1e-13  # a density below GONE has vanished; errors of mass below LITTLE do not matter under the body
RELATIVE, ABSOLUTE = 1e-6, 1e-8  # difference of a mass by density and by distribution function that is let through
HINTS = np.array([1e-12, 1e-8, 1e-5, 1e-3, 0.03, 0.25, 0.5, 0.75, 0.97, 0.999, 1 - 1e-5, 1 - 1e-8, 1 - 1e-12])
ORDER = 16
NODES, WEIGHTS = legendre.leggauss(ORDER)
COEFFICIENTS = legendre.legvander(NODES, ORDER - 1) * WEIGHTS[:, None] * (np.arange(ORDER) + 0.5)


def absolute_law(distribution: Any) -> "AbsoluteLaw":
    """The law of |X| in units of `unit`, |location| or scale; with closed forms where the distribution has them."""
    usable = all(hasattr(distribution, name) for name in ("dist", "pdf", "cdf"))
    must = "be a frozen continuous distribution of scipy.stats, such as stats.t(3)"
    _check.require(usable, "distribution", must, _check.words(f"of type {type(distribution).__name__}"))
    law: Any = distribution.dist
    single = all(np.ndim(v) == 0 for v in (*distribution.args, *distribution.kwds.values()))
    _check.require(single, "distribution", "be one law", _check.words(f"an array of laws {law.name}"))
    low, high = (float(v) for v in distribution.support())
    shapes, loc, scale = law._parse_args(*distribution.args, **distribution.kwds)
    shapes, loc, scale = tuple(float(s) for s in shapes), float(loc), float(scale)
    unit = max(scale, abs(loc))
    own = law.name == "levy_stable"  # scipy's distribution function fails for some of these
    right = low < high and np.isfinite(unit) and scale > 0
    if right:
        distribution = law(*shapes, loc=loc / unit, scale=scale / unit)
        with _quiet():
            ends = np.asarray([0.0] if own else distribution.cdf([-1e20, 0.0, 1e20]))
        right = bool(np.all((ends >= -SAME) & (ends <= 1 + SAME)))
    must = "have valid parameters and live on the line"
    _check.require(right, "distribution", must, _check.words(f"{law.name} without a distribution function there"))
    if own:
        alpha, beta = shapes
        return StableLaw(distribution, unit, alpha, beta, loc / scale, scale, law.parameterization == "S0")
    kind = _gamma_like(law.name, shapes) if loc == 0 else None
    if kind is not None:
        return GammaLaw(distribution, unit, *kind)
    if loc == 0 and law.name in ("pareto", "lomax", "t", "cauchy", "halfcauchy"):
        shape = shapes[0] if shapes else 1.0
        return PowerLaw(distribution, unit, {"cauchy": "t", "halfcauchy": "t"}.get(law.name, law.name), shape)
    if loc == 0 and law.name in ("lognorm", "gibrat"):
        return LogNormalLaw(distribution, unit, shapes[0] if shapes else 1.0)
    if law.name == "uniform" and (low == 0 or low == -high):
        return UniformLaw(distribution, unit, high / unit)
    return AbsoluteLaw(distribution, unit)


@contextlib.contextmanager
def _quiet():
    """Without scipy's warnings: what it gives is checked."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _gamma_like(name: str, shapes: tuple[float, ...]) -> tuple[float, float, float] | None:
    """(a, c, s) of laws for which (|X| / s)^c is Gamma(a)."""
    root = math.sqrt(2)
    laws = {
        "norm": lambda: (0.5, 2.0, root),
        "halfnorm": lambda: (0.5, 2.0, root),
        "laplace": lambda: (1.0, 1.0, 1.0),
        "expon": lambda: (1.0, 1.0, 1.0),
        "gennorm": lambda b: (1 / b, b, 1.0),
        "halfgennorm": lambda b: (1 / b, b, 1.0),
        "gamma": lambda a: (a, 1.0, 1.0),
        "erlang": lambda a: (a, 1.0, 1.0),
        "dgamma": lambda a: (a, 1.0, 1.0),
        "chi": lambda df: (df / 2, 2.0, root),
        "chi2": lambda df: (df / 2, 1.0, 2.0),
        "rayleigh": lambda: (1.0, 2.0, root),
        "maxwell": lambda: (1.5, 2.0, root),
        "nakagami": lambda nu: (nu, 2.0, nu**-0.5),
        "weibull_min": lambda c: (1.0, c, 1.0),
        "dweibull": lambda c: (1.0, c, 1.0),
    }
    return laws[name](*shapes) if name in laws else None


@dataclass(frozen=True)
class Panels:
    """The law of |X| in y = log |x|: on every panel a polynomial for the mass, and one for |x|^p times it, integrated from its left end."""

    edges: np.ndarray
    mass: np.ndarray
    moment: np.ndarray  # in units of exp(p y) at the right end
    p: float
    below: np.ndarray  # P(|X| < e^y) at the edges
    above: np.ndarray
    log_moment: np.ndarray  # log E[|X|^p; |X| < e^y]

    def _place(self, y):
        i = np.clip(np.searchsorted(self.edges, y, side="right") - 1, 0, self.mass.shape[1] - 1)
        left, right = self.edges[i], self.edges[i + 1]
        return i, np.clip((2 * y - left - right) / (right - left), -1.0, 1.0)

    def masses(self, y):
        """P(|X| < e^y)."""
        i, t = self._place(y)
        return self.below[i] + legendre.legval(t, self.mass[:, i], tensor=False)

    def log_moments(self, y):
        """Log E[|X|^p; |X| < e^y]."""
        i, t = self._place(y)
        with np.errstate(divide="ignore"):
            part = np.log(np.maximum(legendre.legval(t, self.moment[:, i], tensor=False), 0.0))
        return np.logaddexp(self.log_moment[i], part + self.p * self.edges[i + 1])

    def relative(self, y, unit: float):
        """P(|X| < e^y), and E[|X|^p; |X| < e^y] in units of e^(p unit), for y <= unit."""
        i, t = self._place(y)
        sizes = np.exp(np.minimum(self.p * (self.edges[1:] - unit), 700.0))
        sums = np.append(0.0, np.cumsum(sizes * legendre.legval(1.0, self.moment)))
        mass, moment = (legendre.legval(t, one[:, i], tensor=False) for one in (self.mass, self.moment))
        return self.below[i] + mass, sums[i] + sizes[i] * moment

    def threshold(self, kappa: float) -> float:
        """The y with P(|X| > e^y) = kappa."""
        upper = kappa < 0.5
        i = int(np.searchsorted(-self.above, -kappa) if upper else np.searchsorted(self.below, 1 - kappa)) - 1
        if i < 0:
            return -np.inf
        if i >= self.mass.shape[1]:
            return float(self.edges[-1])
        wanted = self.above[i] - kappa if upper else 1 - kappa - self.below[i]
        one = self.mass[:, i]
        whole = legendre.legval(1.0, one)
        if not 0 < wanted < whole:
            return float(self.edges[i] if wanted <= 0 else self.edges[i + 1])
        t = _scalar.root(lambda t: float(legendre.legval(t - 2, one)) / whole - wanted / whole, 1.0, 3.0) - 2
        left, right = self.edges[i], self.edges[i + 1]
        return float((left + right) / 2 + (right - left) / 2 * t)


@dataclass(frozen=True)
class AbsoluteLaw:
    """The law of |X| / unit from its density, on panels in log |x| that are halved until polynomials follow the density.

    Panels end up narrow only where the density jumps or is infinite; there the distribution function gives the mass.
    """

    distribution: Any
    unit: float = 1.0
    _known: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    # -- what is asked --------------------------------------------------------------------------------------------------

    def threshold(self, kappa: float) -> float:
        """The x with P(|X| > x) = kappa."""
        return math.exp(self.panels().threshold(kappa)) if kappa < 1 else 0.0

    def above(self, x: float) -> float:
        """P(|X| > x)."""
        return 1 - float(self.panels().masses(np.log(x)))

    def log_partial(self, p: float, x: float) -> float:
        """Log E[|X|^p; |X| < x]."""
        return float(self.panels(p).log_moments(np.log(x))) if x > 0 else -np.inf

    def log_total(self, p: float) -> float:
        """Log E |X|^p, infinity if it does not exist."""
        alpha, constant = self.tail()
        if alpha <= p * (1 + SAME):
            return np.inf
        panels = self.panels(p)
        inside, y = float(panels.log_moment[-1]), float(panels.edges[-1])
        if np.isfinite(alpha):
            return float(np.logaddexp(inside, math.log(constant * alpha / (alpha - p)) + (p - alpha) * y))
        last = float(self.density(np.exp(y)))
        ok = self._bounded or last == 0 or math.log(last) + (p + 1) * y < inside - 30
        must = f"have a moment of order p = {p:g} that can be computed in float64"
        _check.require(ok, "distribution", must, self._words("whose density has not decayed at its end"))
        return inside

    def partial(self, p: float, lower: float, upper: float) -> float:
        """E[|X|^p; lower < |X| < upper]."""
        return math.exp(self.log_partial(p, upper)) - math.exp(self.log_partial(p, lower))

    def total(self, p: float) -> float:
        """E |X|^p, infinity if it does not exist."""
        return float(np.exp(self.log_total(p)))

    def tail(self) -> tuple[float, float]:
        """(alpha, c) with P(|X| > x) ~ c x^(-alpha); (inf, 0) for tails lighter than every power.

        Alpha from the local slope of the log density where that is last seen. A power law has the same slope at two thirds of
        the way, in log x; one that grows steeper is lighter than every power; anything else is refused.
        """
        if "tail" not in self._known:
            self._known["tail"] = self._tail()
        return self._known["tail"]

    # -- what scipy says -------------------------------------------------------------------------------------------------

    def _ask(self, name: str, x):
        """A function of the distribution; numbers that are not finite count as 0."""
        with _quiet():
            try:
                found = np.asarray(getattr(self.distribution, name)(x), np.float64)
            except (ArithmeticError, ValueError, RecursionError) as error:
                must = "have a density and a distribution function"
                raise _check.ArgumentError(
                    f"Argument `distribution` must {must}, but is {self._words(f'whose `{name}` fails: {error}')}."
                ) from error
        return np.where(np.isfinite(found), found, 0.0)

    def density(self, x):
        """Of |X| at x > 0."""
        low, high = self.distribution.support()
        x = np.asarray(x)
        return (self._ask("pdf", x) if high > 0 else 0.0) + (self._ask("pdf", -x) if low < 0 else 0.0)

    def _between(self, x):
        """P(x_i < |X| < x_(i+1)), from the end where there is less to subtract."""

        def one(above, below):
            return np.where(above[:-1] < 0.5, above[:-1] - above[1:], below[1:] - below[:-1])

        right = one(self._ask("sf", x), self._ask("cdf", x))
        return right + one(self._ask("cdf", -x), self._ask("sf", -x)) if self.distribution.support()[0] < 0 else right

    def _kinks(self) -> np.ndarray:
        """Where the density may not be smooth, ends of the support and the location; quantiles, lest a peak be missed."""
        location = self.distribution.dist._parse_args(*self.distribution.args, **self.distribution.kwds)[1]
        return np.abs([*self.distribution.support(), location, *self._ask("ppf", HINTS)])

    # -- panels -----------------------------------------------------------------------------------------------------------

    def panels(self, p: float | None = None) -> Panels:
        """Panels for the moment of order p; any if p is not given."""
        found: dict[float, Panels] = self._known.setdefault("panels", {})
        p = next(iter(found), 1.0) if p is None else p
        if p not in found:
            found[p] = self._make(p)
        return found[p]

    @property
    def _bounded(self) -> bool:
        return bool(np.all(np.isfinite(self.distribution.support())))

    def _ends(self) -> tuple[float, float]:
        """Of log |x|: the support, as far as the density is seen."""
        low, high = (float(v) for v in self.distribution.support())
        with np.errstate(divide="ignore"):
            least, most = (float(np.log(v)) for v in (max(0.0, low, -high), max(abs(low), abs(high))))
        return max(least, LOWEST), min(most, self._last()) if np.isinf(most) else min(most, HIGHEST)

    def _words(self, text: str):
        return _check.words(f"{self.distribution.dist.name} {text}")

    def _make(self, p: float) -> Panels:
        low, high = self._ends()
        with np.errstate(divide="ignore"):
            exact = {float(np.log(v)): float(v) for v in self._kinks() if low <= np.log(v) <= high}  # edges, without rounding
        edges = np.unique([low, *np.arange(LOWEST, HIGHEST, WIDE)[1:], *exact, high])
        edges = edges[(edges >= low) & (edges <= high)]
        left, right, coefficients, narrow = self._refine(edges, p)
        for i in np.flatnonzero(narrow):
            ends = np.array([exact.get(v, math.exp(v)) for v in (left[i], right[i])])
            coefficients[:, i] = 0.0
            coefficients[:, i, 0] = max(float(self._between(ends)[0]), 0.0) / 2
        masses, moments = 2 * np.maximum(coefficients[..., 0], 0.0)
        zero = self._agree(edges, left, masses, exact)
        ends = np.append(left, right[-1])
        above = np.cumsum(np.append(masses, self._beyond(ends[-1]))[::-1])[::-1]
        with np.errstate(divide="ignore"):
            logs = np.append(-np.inf, np.logaddexp.accumulate(np.log(moments) + p * right))
        mass, moment = (legendre.legint(c, lbnd=-1, axis=1).T for c in coefficients)
        return Panels(ends, mass, moment, p, zero + np.append(0.0, np.cumsum(masses)), above, logs)

    def _refine(self, edges, p: float):
        """Panels between the edges: left ends, right ends, Legendre coefficients of mass and moment, whether narrow."""
        left, right, before = edges[:-1], edges[1:], np.full(len(edges) - 1, np.inf)
        done: list[tuple] = []
        while len(left):
            half = (right - left)[:, None] / 2
            y = left[:, None] + half * (1 + NODES)
            mass = np.exp(y) * self.density(np.exp(y)) * half
            both = np.stack([mass, mass * np.exp(p * (y - right[:, None]))])
            coefficients = both @ COEFFICIENTS
            with np.errstate(divide="ignore", invalid="ignore"):
                rough = np.nan_to_num(abs(coefficients[..., -2:]).max(-1) / both.max(-1)).max(0)
            little = (right <= self._body()) & (rough * mass.max(-1) < LITTLE)
            # Both halves as rough as the whole: the density itself is not smoother than this.
            noise = (np.repeat(np.minimum(rough[::2], rough[1::2]), 2) > 0.3 * before) & (before < NOISE) if done else False
            good = (rough < FINE) | little | noise
            narrow = ~good & (right - left < NARROW)
            good |= narrow
            done.append((left[good], right[good], coefficients[:, good], narrow[good]))
            if sum(len(part[0]) for part in done) + 2 * np.sum(~good) > MANY:
                text = f"which is not so near |x| = {self.unit * math.exp(left[~good][0]):g}"
                _check.require(False, "distribution", "have a density that is smooth but at a few points", self._words(text))
            middle = (left + right)[~good] / 2
            before = np.repeat(rough[~good], 2)
            left, right = np.ravel([left[~good], middle], order="F"), np.ravel([middle, right[~good]], order="F")
        lefts, rights, coefficients, narrow = zip(*done, strict=True)
        left = np.concatenate(lefts)
        order = np.argsort(left)
        return (
            left[order],
            np.concatenate(rights)[order],
            np.concatenate(coefficients, axis=1)[:, order],
            np.concatenate(narrow)[order],
        )

    def _agree(self, edges, left, masses, exact) -> float:
        """Refuse a law whose distribution function has other masses than the panels; give the mass below them."""
        own = np.add.reduceat(masses, np.searchsorted(left, edges[:-1]))
        seen = np.flatnonzero(own > 1e-14)
        first, last = (seen[0], seen[-1] + 1) if len(seen) else (0, len(own))
        some = np.unique([0, *range(first, last + 1), len(own)])
        x = np.array([0.0 if y == LOWEST else exact.get(y, math.exp(y)) for y in edges[some]])
        theirs = self._between(x)
        ours = np.add.reduceat(own, some[:-1])
        zero = 0.0
        if edges[0] == LOWEST:
            zero = float(self._between(np.array([0.0, math.exp(LOWEST)]))[0])
            theirs[0] -= zero
        wrong = abs(ours - theirs) > RELATIVE * abs(ours) + ABSOLUTE
        if np.any(wrong):
            i = int(np.argmax(wrong))
            text = f"whose density gives {ours[i]:g}, whose distribution function {theirs[i]:g} to |x / {self.unit:g}| "
            text += f"in [{x[i]:g}, {x[i + 1]:g}]"
            _check.require(False, "distribution", "have a density and a distribution function that agree", self._words(text))
        return zero

    # -- the tail ---------------------------------------------------------------------------------------------------------

    def _body(self) -> float:
        """Log |x| at the larger quartile."""
        if "body" not in self._known:
            with np.errstate(divide="ignore"):
                self._known["body"] = float(np.log(np.max(abs(self._ask("ppf", np.array([0.25, 0.75]))))))
        return self._known["body"]

    def _last(self) -> float:
        """Log |x| where the density is last seen."""
        if "last" not in self._known:
            y = np.union1d(np.arange(LOWEST, HIGHEST, 0.5), self._body() + np.arange(0.0, 2.0, 0.005))
            seen = y[self.density(np.exp(y)) > GONE]
            ok = len(seen) > 0 and self._body() < seen[-1]
            _check.require(ok, "distribution", "have a density in the range of float64", self._words("without one"))
            self._known["last"] = float(seen[-1])
        return self._known["last"]

    def _tail(self) -> tuple[float, float]:
        if self._bounded:
            return np.inf, 0.0
        body, last = self._body(), self._last()
        step = min(1.0, (last - body) / 12)
        y = last - step
        near, alpha = (self._local_index(v, step) for v in (body + (y - body) * 2 / 3, y))
        if np.isinf(alpha) or alpha > near * (1 + STEADY):
            return np.inf, 0.0
        must = "have a tail that is a power law or lighter than every power"
        ok = alpha > 0 and abs(alpha - near) <= STEADY * near
        _check.require(ok, "distribution", must, self._words("of which this could not be found"))
        return alpha, math.exp((1 + alpha) * y + math.log(float(self.density(np.exp(y)))) - math.log(alpha))

    def _local_index(self, y: float, step: float) -> float:
        a, b = (float(self.density(np.exp(y + v))) for v in (-step, step))
        return (math.log(a) - math.log(b)) / (2 * step) - 1 if min(a, b) > 0 else np.inf

    def _beyond(self, y: float) -> float:
        """P(|X| > e^y) for a power law at the end of the panels."""
        alpha, constant = self.tail()
        return math.exp(math.log(constant) - alpha * y) if constant > 0 else 0.0


@dataclass(frozen=True)
class GammaLaw(AbsoluteLaw):
    """`(|X| / s)^c ~ Gamma(a)`: normal, Laplace, exponential power, Weibull, chi and others."""

    a: float = 1.0
    c: float = 1.0
    s: float = 1.0

    def threshold(self, kappa):
        return float(self.s * scipy.special.gammainccinv(self.a, kappa) ** (1 / self.c)) if kappa < 1 else 0.0

    def above(self, x):
        return float(scipy.special.gammaincc(self.a, (x / self.s) ** self.c))

    def log_partial(self, p, x):
        with np.errstate(divide="ignore"):
            return float(np.log(scipy.special.gammainc(self.a + p / self.c, (x / self.s) ** self.c)) + self.log_total(p))

    def log_total(self, p):
        return float(scipy.special.gammaln(self.a + p / self.c) - scipy.special.gammaln(self.a) + p * math.log(self.s))

    def tail(self):
        return np.inf, 0.0


@dataclass(frozen=True)
class UniformLaw(AbsoluteLaw):
    """|X| uniform on (0, high)."""

    high: float = 1.0

    def threshold(self, kappa):
        return self.high * (1 - kappa)

    def above(self, x):
        return max(0.0, 1 - x / self.high)

    def log_partial(self, p, x):
        return (p + 1) * math.log(min(x / self.high, 1.0)) + self.log_total(p) if x > 0 else -np.inf

    def log_total(self, p):
        return p * math.log(self.high) - math.log(p + 1)

    def tail(self):
        return np.inf, 0.0


@dataclass(frozen=True)
class LogNormalLaw(AbsoluteLaw):
    """Log |X| normal of mean 0 and standard deviation s."""

    s: float = 1.0

    def threshold(self, kappa):
        return float(np.exp(-self.s * scipy.special.ndtri(kappa))) if kappa < 1 else 0.0

    def above(self, x):
        return float(scipy.special.ndtr(-math.log(x) / self.s))

    def log_partial(self, p, x):
        return float(scipy.special.log_ndtr(math.log(x) / self.s - p * self.s)) + self.log_total(p) if x > 0 else -np.inf

    def log_total(self, p):
        return (p * self.s) ** 2 / 2

    def tail(self):
        return np.inf, 0.0


@dataclass(frozen=True)
class PowerLaw(AbsoluteLaw):
    """Pareto, Lomax, Student: incomplete beta functions. The index is `shape`."""

    name: str = "pareto"
    shape: float = 1.0

    def threshold(self, kappa):
        if kappa >= 1:
            return 1.0 if self.name == "pareto" else 0.0
        if self.name == "t":
            return float(-scipy.special.stdtrit(self.shape, kappa / 2))
        y = -math.log(kappa) / self.shape
        return math.exp(y) if self.name == "pareto" else math.expm1(y)

    def above(self, x):
        if self.name == "t":
            return float(2 * scipy.special.stdtr(self.shape, -x))
        return float(min(1.0, x**-self.shape) if self.name == "pareto" else (1 + x) ** -self.shape)

    def log_partial(self, p, x):
        if p >= self.shape * (1 - SAME):
            return super().log_partial(p, x)
        with np.errstate(divide="ignore"):
            return float(np.log(self._part(p, x)))

    def _part(self, p: float, x: float) -> float:
        """E[|X|^p; |X| < x], for p below the index."""
        a = self.shape
        if self.name == "pareto":
            return a / (a - p) * -math.expm1((p - a) * math.log(x)) if x > 1 else 0.0
        if self.name == "lomax":
            beta, z = (p + 1, a - p), x / (1 + x) if np.isfinite(x) else 1.0
            return float(a * np.exp(scipy.special.betaln(*beta)) * scipy.special.betainc(*beta, z))
        beta, z = ((p + 1) / 2, (a - p) / 2), x**2 / (a + x**2) if np.isfinite(x) else 1.0
        factor = np.exp(scipy.special.betaln(*beta) - scipy.special.betaln(0.5, a / 2) + p / 2 * np.log(a))
        return float(factor * scipy.special.betainc(*beta, z))

    def log_total(self, p):
        return math.log(self._part(p, np.inf)) if p < self.shape * (1 - SAME) else np.inf

    def tail(self):
        a = self.shape
        c = 2 * np.exp((a / 2 - 1) * np.log(a) - scipy.special.betaln(0.5, a / 2)) if self.name == "t" else 1.0
        return a, float(c)


@dataclass(frozen=True)
class StableLaw(AbsoluteLaw):
    """Stable laws from our own density and survival function, right to the ends of float64; scipy's stop short in the tails."""

    alpha: float = 2.0
    beta: float = 0.0
    loc: float = 0.0  # in units of the scale
    scale: float = 1.0
    s0: bool = False

    @property
    def _slant(self) -> float:
        return self.beta * math.tan(math.pi * self.alpha / 2) if self.alpha not in (1, 2) else 0.0

    @property
    def _shift(self) -> float:
        """X is `scale (shift + Z)`, Z as in `stable.pdf`."""
        if self.alpha == 1:
            return self.loc + (0.0 if self.s0 else 2 * self.beta * math.log(self.scale) / math.pi)
        return self.loc - (self._slant if self.s0 else 0.0)

    @property
    def _size(self) -> float:
        """The scale in units of `unit`."""
        return self.scale / self.unit

    def _ask(self, name, x):
        if name == "ppf":
            return self._size * (self._shift - stable.isf(x, self.alpha, -self.beta))
        z = np.asarray(x) / self._size - self._shift
        if name == "pdf":
            return stable.pdf(z, self.alpha, self.beta) / self._size
        return stable.sf(z, self.alpha, self.beta) if name == "sf" else stable.sf(-z, self.alpha, -self.beta)

    def density(self, x):
        right = self._ask("pdf", x)
        return 2 * right if self.beta == 0 == self._shift else right + self._ask("pdf", -np.asarray(x))

    def above(self, x):
        right = float(self._ask("sf", np.array([x]))[0])
        return right + float(self._ask("cdf", np.array([-x]))[0])

    def _kinks(self):
        quartiles = self._ask("ppf", np.array([0.25, 0.5, 0.75]))
        return np.abs([*quartiles, self._size * self._shift, self._size * (self._shift + self._slant)])

    def _last(self):
        return min(HIGHEST, 660 / (1 + self.alpha)) if self.alpha < 2 else super()._last()

    def _agree(self, edges, left, masses, exact):
        return 0.0

    def tail(self):
        return (self.alpha, stable.tail_constant(self.alpha) * self._size**self.alpha) if self.alpha < 2 else (np.inf, 0.0)
