"""Pruning errors of independent parts as their number grows: limits, rates, and the law of the error where the limit is 0.

The parts are N independent copies of X. Their relative l_p error with the floor(kappa N) largest kept tends to

    G_p(kappa)^(1/p),  G_p(kappa) = E[|X|^p; |X| < t] / E|X|^p,  P(|X| > t) = kappa,

if E|X|^p is finite, and to 0 at EVERY kappa > 0 if it is not (Gribonval, Cevher, Davies 2012, Proposition 1). Neither knows a scale:
parts that share one random factor have the error of their directing law. So a layer with a single common scale, `sqrt(A) g` with g
Gaussian, is heavy-tailed and NOT compressible: see `layer_elliptical_limit_error`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from meanfield import _check
from meanfield.theory import _column_norms, _scalar
from meanfield.theory._absolute import SAME, AbsoluteLaw, absolute_law


def decay_exponent(alpha, p: float = 2.0):
    """Exponent r of the relative l_p pruning error of N independent parts with tail index alpha, `error ~ N^(-r)`.

    `r = max(0, 1/alpha - 1/p)`. For alpha < p the p-th moment is infinite and the error vanishes at this rate at every kept
    fraction in (0, 1). For alpha > p it tends to a positive constant, r = 0; at alpha = p it vanishes slower than any power.

    Args:
        alpha: tail index of the parts, > 0, of any shape.
        p: of the norm, > 0.

    Returns:
        The exponent, of the shape of `alpha`.

    Raises:
        ValueError: a number that is not > 0.

    Source: Gribonval, Cevher, Davies (2012), Proposition 1, for the limits. The rate: the sum of x^p over the pruned parts
    grows like N, the sum over all like N^(p/alpha) times a positive stable variable, so the error's p-th power decays like
    N^(1 - p/alpha).

    Examples:
        >>> float(decay_exponent(1.0)), float(decay_exponent(1.5).round(4)), float(decay_exponent(3.0))
        (0.5, 0.1667, 0.0)
    """
    _check.positive("alpha", alpha)
    _check.positive("p", p)
    return np.maximum(0.0, 1 / np.asarray(alpha, np.float64) - 1 / p)


def limit_error(distribution: Any, kappa, p: float = 2.0):
    """Limit `G_p(kappa)^(1/p)` of the relative l_p error of pruning N -> infinity independent parts; 0 if E|X|^p is infinite.

    Closed forms for the uniform, normal, log-normal, Laplace, exponential-power, Gamma, chi, Weibull, Pareto, Lomax and Student
    families at location 0 (incomplete gamma and beta functions). Other laws go by their density alone, on panels that are
    halved until a polynomial follows it; `theory.stable` gives that of stable laws. Quantiles of scipy are hints, never trusted.

    Args:
        distribution: a frozen continuous distribution of scipy.stats, of X or of |X|.
        kappa: fraction kept, in [0, 1], of any shape.
        p: of the norm, > 0.

    Returns:
        The limit in [0, 1], of the shape of `kappa`; at kappa = 0 it is 1. Measured errors are below 1e-12 for closed forms and
        smooth densities, 1e-8 for densities with jumps or poles, 1e-9 for stable laws.

    Raises:
        ValueError: a number out of its range; a distribution whose tail is no power law and not lighter than all of them; one
            whose density and distribution function disagree by more than a relative 1e-6 and 1e-8, whose density is noise in
            the tail (jf_skew_t, ncf), or whose moment leaves the range of float64. Masses below 1e-8 go by the density alone.

    Source: Gribonval, Cevher, Davies (2012), Proposition 1. Whether E|X|^p is finite is read off the tail index alpha: it is
    infinite for alpha <= p.

    Examples:
        >>> from scipy import stats
        >>> [round(float(limit_error(stats.norm(), kappa)), 4) for kappa in (0.1, 0.5)]
        [0.7488, 0.2671]
        >>> float(limit_error(stats.t(2), 0.1)), float(limit_error(stats.levy_stable(1.5, 0), 0.01))
        (0.0, 0.0)
    """
    kappas = _fractions(kappa)
    _scalar.positive("p", p)
    law = absolute_law(distribution)
    total = law.log_total(p)
    if np.isinf(total):
        return np.where(kappas > 0, 0.0, 1.0)[()]
    return _errors(kappas, p, lambda inside: [law.log_partial(p, law.threshold(one)) - total for one in inside])


def prunable_fraction(distribution: Any, error: float, p: float = 2.0) -> float:
    """Largest fraction that can be pruned at a relative l_p error, in the limit: 1 - kappa at the root of `limit_error`.

    Args:
        distribution, p: as in `limit_error`.
        error: the relative error allowed, in [0, 1].

    Returns:
        The fraction; 1 if E|X|^p is infinite and the error > 0.

    Raises:
        ValueError: as in `limit_error`.

    Source: inverse of `limit_error`.

    Examples:
        >>> from scipy import stats
        >>> round(prunable_fraction(stats.norm(), 0.1), 4), prunable_fraction(stats.cauchy(), 0.1)
        (0.2653, 1.0)
    """
    error = _check.number("error", error, "be a number in [0, 1]", lambda v: (v >= 0) & (v <= 1))
    _scalar.positive("p", p)
    law = absolute_law(distribution)
    total = law.log_total(p)
    if error == 0:
        return 0.0
    if np.isinf(total) or error == 1:
        return 1.0
    return _pruned(law, p, p * math.log(error) + total)


def node_limit_error(distribution: Any, dim: int, kappa, p: float = 2.0):
    """Limit of the relative l_p error of node pruning: N -> infinity columns (or rows) of `dim` independent entries each.

    `E[S; S < s] / E S` to the 1/p with `S = |X_1|^p + ... + |X_dim|^p` and P(S > s) = kappa; tends to `(1 - kappa)^(1/p)` as dim
    grows, and is 0 if E|X|^p is infinite. For columns whose norms follow a known law, use `limit_error` of that law.

    Args:
        distribution: a frozen continuous distribution of scipy.stats, of an entry X or of |X|.
        dim: number of entries of a column, >= 1.
        kappa: fraction kept, in [0, 1], of any shape.
        p: of the norm, > 0.

    Returns:
        The limit, of the shape of `kappa`. Closed form where |X|^p has a Gamma law (normal at p = 2, Laplace at p = 1, ...).
        Else the law of S on a grid, to 1e-6 also for densities with jumps and poles; measured errors are below 1e-8.

    Raises:
        ValueError: as in `limit_error`; a kappa or a dim (from about 30 000) of which the grid cannot give six digits.

    Source: Gribonval, Cevher, Davies (2012), Proposition 1, applied to the norms. The grid splits the mass of |X|^p between
    neighbours so that its mean stays; its dim-fold convolution is a power of a Fourier transform.

    Examples:
        >>> from scipy import stats
        >>> [round(float(node_limit_error(stats.norm(), dim, 0.1)) ** 2, 4) for dim in (1, 10, 784)]
        [0.5607, 0.8082, 0.8909]
    """
    kappas = _fractions(kappa)
    _check.integer("dim", dim, 1)
    _scalar.positive("p", p)
    if dim == 1:
        return limit_error(distribution, kappa, p)
    law = absolute_law(distribution)
    if np.isinf(law.log_total(p)):
        return np.where(kappas > 0, 0.0, 1.0)[()]
    return _errors(kappas, p, lambda inside: _column_norms.log_shares(law, int(dim), p, inside))


def singular_limit_error(kappa, aspect: float = 1.0, p: float = 2.0):
    """Limit of the relative Schatten-p error of singular-value pruning of large matrices of independent entries of finite variance.

    The squared singular values of an n x m matrix, m/n -> aspect, follow Marchenko and Pastur's law; at aspect 1 the singular
    values follow the quarter circle. Kept are floor(kappa r) of r = min(n, m). With infinite variance (tail index alpha < 2) the
    limit is 0; at p = 2 and aspect 1 the error falls like `n^(-decay_exponent(alpha))`, n the SIDE of the matrix.

    Args:
        kappa: fraction kept, in [0, 1], of any shape.
        aspect: ratio of the sides, > 0; a and 1/a are the same.
        p: of the Schatten norm, > 0.

    Returns:
        The limit, of the shape of `kappa`.

    Raises:
        ValueError: a number out of its range.

    Source: Marchenko, Pastur (1967). The rate for heavy tails: the bulk has singular values of order n^(1/alpha) (Ben Arous,
    Guionnet 2008; Belinschi, Dembo, Guionnet 2009), n of them, the Frobenius norm is of order n^(2/alpha).

    Examples:
        >>> [round(float(singular_limit_error(kappa)) ** 2, 5) for kappa in (0.1, 0.5)]
        [0.68643, 0.10627]
    """
    kappas = _fractions(kappa)
    _scalar.positive("aspect", aspect)
    _scalar.positive("p", p)
    ratio = min(aspect, 1 / aspect)
    # x = 1 + ratio - 2 sqrt(ratio) cos(phi) is a squared singular value over the longer side; its density in phi is smooth.
    root = np.sqrt(ratio)

    def moment(order, upper):
        def integrand(phi):
            # x = (1 - root)^2 + 4 root sin(phi/2)^2, without cancellation at the hard edge.
            x = (1 - root) ** 2 + 4 * root * np.sin(phi / 2) ** 2
            return 2 / np.pi * np.sin(phi) ** 2 * x ** (order / 2 - 1)

        if root == 1:  # sin^2 phi = 4 sin^2(phi/2) cos^2(phi/2) cancels the 1/x

            def integrand(phi):
                return 2 / np.pi * np.cos(phi / 2) ** 2 * (2 * np.sin(phi / 2)) ** order

        return scipy.integrate.quad(integrand, 0.0, upper, epsabs=0, epsrel=1e-12, limit=200)[0]

    total = moment(p, np.pi)

    def share(one):
        if one in (0.0, 1.0):
            return 1.0 - one
        upper = _scalar.root(lambda phi: moment(0.0, phi) - (1 - one), 1e-12, np.pi)
        return moment(p, upper) / total

    shares = np.array([share(float(one)) for one in kappas.ravel()]).reshape(kappas.shape)
    return (shares ** (1 / p))[()]


def layer_elliptical_limit_error(kappa, p: float = 2.0):
    """Limit of the relative l_p error of magnitude pruning of an elliptical LAYER, `W = sqrt(A) G`: the Gaussian one, whatever A.

    The counter-example: every entry of W has the tail index of sqrt(A), which may be as small as one likes, but the common factor
    cancels in `||W - W_kappa|| / ||W||`. Such a layer is NOT compressible; its entries are not independent, and their directing law
    is Gaussian. Columns with a factor each are compressible, with `decay_exponent` in the number of columns.

    Args:
        kappa: fraction kept, in [0, 1], of any shape.
        p: of the norm, > 0.

    Returns:
        `limit_error(stats.norm(), kappa, p)`.

    Raises:
        ValueError: a number out of its range.

    Source: ours; Barsbey et al. (2021) plot it in their synthetic study.

    Examples:
        >>> from scipy import stats
        >>> float(layer_elliptical_limit_error(0.1) - limit_error(stats.norm(), 0.1))
        0.0
    """
    return limit_error(scipy.stats.norm(), kappa, p)


@dataclass(frozen=True)
class DivergentLimit:
    """Law of `Y = lim N^(p/alpha - 1) error^p` where E|X|^p is infinite: `Y = body / W`, W positive (alpha/p)-stable.

    Args:
        alpha: tail index of the parts, below p.
        p: of the norm.
        tail: c in `P(|X| > x) ~ c x^(-alpha)`.
        body: `E[|X|^p; |X| < t]`, t the threshold at kappa.

    `E exp(-l W) = exp(-c Gamma(1 - alpha/p) l^(alpha/p))`. The error with N parts is about `N^(1/p - 1/alpha) Y^(1/p)`: `error_mean_log`
    and `error_quantile` say this for a given N. Corrections are of smaller powers of N; they die slowly where alpha is near p.
    """

    alpha: float
    p: float
    tail: float
    body: float

    @property
    def beta(self) -> float:
        """Index of W, alpha/p."""
        return self.alpha / self.p

    @property
    def _unit(self) -> float:
        """W over a standard positive stable variable, `E exp(-l W_1) = exp(-l^beta)`."""
        return float((self.tail * scipy.special.gamma(1 - self.beta)) ** (1 / self.beta))

    @property
    def constant(self) -> float:
        """E Y, the sharp constant: `body Gamma(1 + 1/beta) / unit`."""
        return float(self.body / self._unit * scipy.special.gamma(1 + 1 / self.beta))

    @property
    def mean_log(self) -> float:
        """E log Y: `E log W_1 = gamma_E (1/beta - 1)`."""
        return float(np.log(self.body / self._unit) - np.euler_gamma * (1 / self.beta - 1))

    @property
    def std_log(self) -> float:
        """Standard deviation of log Y: `Var log W_1 = pi^2/6 (1/beta^2 - 1)`."""
        return float(np.pi / np.sqrt(6) * np.sqrt(1 / self.beta**2 - 1))

    def quantile(self, level: float) -> float:
        """Quantile of Y, from Kanter's integral for the law of W."""
        _scalar.between("level", level, 0, 1)
        return float(self.body / (self._unit * _positive_stable_quantile(self.beta, 1 - level)))

    def error_mean_log(self, width: float) -> float:
        """E log error with `width` parts."""
        width = _check.number("width", width, "be a number >= 1", lambda v: v >= 1)
        return self.mean_log / self.p - float(decay_exponent(self.alpha, self.p)) * np.log(width)

    def error_quantile(self, width: float, level: float = 0.5) -> float:
        """Quantile of the error with `width` parts."""
        width = _check.number("width", width, "be a number >= 1", lambda v: v >= 1)
        return self.quantile(level) ** (1 / self.p) * width ** -float(decay_exponent(self.alpha, self.p))


def divergent_limit(distribution: Any, kappa: float, p: float = 2.0, dim: int = 1) -> DivergentLimit:
    """Law of the error of pruning N -> infinity independent parts where E|X|^p is infinite, scaled by its rate.

    Args:
        distribution: as in `limit_error`, with tail index below p.
        kappa: fraction kept, in (0, 1).
        p: of the norm, > 0.
        dim: the parts are columns of `dim` independent entries. One entry makes a column large, so the tail constant is `dim` times
            that of an entry.

    Returns:
        `DivergentLimit`.

    Raises:
        ValueError: a number out of its range; a tail index that is not below p.

    Source: ours, from the classical limit of sums in the domain of attraction of a positive stable law (Feller 1971, XIII.6).

    Examples:
        >>> from scipy import stats
        >>> pareto = divergent_limit(stats.pareto(1), 0.1)
        >>> round(pareto.constant, 6), round(divergent_limit(stats.pareto(1.5), 0.1).constant, 6)
        (5.729578, 0.740337)
        >>> bool(abs(pareto.quantile(0.5) - 9 * 2 / np.pi * stats.chi2(1).median()) < 1e-8)  # (1/kappa - 1)(2/pi) chi2_1
        True
    """
    _scalar.between("kappa", kappa, 0, 1)
    _scalar.positive("p", p)
    _check.integer("dim", dim, 1)
    law = absolute_law(distribution)
    alpha, tail = law.tail()
    must = f"have a tail index below p = {p:g}"
    _check.require(alpha < p * (1 - SAME), "distribution", must, _check.words(f"one of index {alpha:g}"))
    body = law.log_partial(p, law.threshold(kappa)) if dim == 1 else _column_norms.log_body(law, int(dim), p, kappa)
    with np.errstate(over="ignore"):
        body, tail = np.exp([body + p * math.log(law.unit), math.log(tail * dim) + alpha * math.log(law.unit)])
    must = "have a body and a tail constant in the range of float64; divide it by its scale"
    _check.require(0 < body < np.inf and 0 < tail < np.inf, "distribution", must, _check.words(f"one of size {law.unit:g}"))
    return DivergentLimit(alpha, float(p), float(tail), float(body))


def prunable_quantile(distribution: Any, error: float, width: float, p: float = 2.0, level: float = 0.5) -> float:
    """Quantile of the fraction of N parts that can be pruned at a relative l_p error, where E|X|^p is infinite.

    `P(|X| < t)` with `E[|X|^p; |X| < t] = error^p N^(p/alpha - 1) W_level`: the remainder allowed, given the sum of all N parts.
    It tends to 1 as N grows, very slowly for alpha near p: `prunable_fraction` is that limit. Leading order: many parts must be kept.

    Args:
        distribution, p: as in `divergent_limit`.
        error: the relative error allowed, in (0, 1).
        width: number of parts N.
        level: of the quantile, in (0, 1).

    Returns:
        The fraction in [0, 1].

    Raises:
        ValueError: as in `divergent_limit`.

    Source: ours; see `DivergentLimit`.

    Examples:
        >>> from scipy import stats
        >>> [round(prunable_quantile(stats.cauchy(), 0.1, n), 3) for n in (100, 1000, 10_000)]
        [0.822, 0.973, 0.997]
    """
    _scalar.between("error", error, 0, 1)
    _scalar.positive("width", width)
    limit = divergent_limit(distribution, 0.5, p)
    law = absolute_law(distribution)
    allowed = error**p * width ** (1 / limit.beta - 1) * limit.body / limit.quantile(1 - level)
    return _pruned(law, p, math.log(allowed) - p * math.log(law.unit))


def _pruned(law: AbsoluteLaw, p: float, wanted: float) -> float:
    """`P(|X| < t)` with `log E[|X|^p; |X| < t] = wanted`."""

    def excess(t):
        return max(law.log_partial(p, t), -1e9) - wanted

    low = high = law.threshold(0.5)
    while excess(high) < 0:
        low, high = high, 2 * high
        if np.isinf(high):
            return 1.0
    while excess(low) > 0:
        low, high = low / 2, low
    return 1 - law.above(_scalar.root(excess, low, high))


def _positive_stable_quantile(beta: float, level: float) -> float:
    """Quantile of W_1: `P(W_1 < w) = (1/pi) int_0^pi exp(-a(u) w^(-beta/(1-beta))) du` (Kanter 1975)."""

    def log_a(u):
        one = np.log(np.sin(beta * u)) * beta + np.log(np.sin((1 - beta) * u)) * (1 - beta) - np.log(np.sin(u))
        return one / (1 - beta)

    u, weights = np.polynomial.legendre.leggauss(400)
    a = log_a(np.pi / 2 * (1 + u))
    weights = weights / 2

    def excess(log_w):
        return float(weights @ np.exp(-np.exp(np.minimum(a - beta / (1 - beta) * log_w, 700.0)))) - level

    low, high = -1.0, 1.0
    while excess(low) > 0:
        low *= 2
    while excess(high) < 0:
        high *= 2
    return float(np.exp(_signed_root(excess, low, high)))


def _signed_root(function: Callable[[float], float], low: float, high: float) -> float:
    """`_scalar.root` on an interval that holds 0."""
    return _scalar.root(lambda x: function(x - 1 + low), 1.0, high - low + 1) - 1 + low


def _errors(kappas: np.ndarray, p: float, log_shares: Callable[[list[float]], list[float]]) -> Any:
    """`share^(1/p)` at kappas; 1 at kappa = 0, 0 at kappa = 1."""
    inside = (kappas > 0) & (kappas < 1)
    errors = np.where(kappas == 0, 1.0, 0.0)
    errors[inside] = np.exp(np.minimum(log_shares(kappas[inside].tolist()), 0.0) / p)
    return errors[()]


def _fractions(kappa) -> np.ndarray:
    must = "be a number in [0, 1], the fraction kept, or an array of them"
    _check.numbers("kappa", kappa, must, lambda v: (v >= 0) & (v <= 1))
    return np.asarray(kappa, np.float64)
