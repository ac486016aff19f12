"""Stable laws: density, survival function and its inverse; stationary laws of Ornstein-Uhlenbeck processes and of Euler's scheme."""

from dataclasses import dataclass

import numpy as np
import scipy

from meanfield import _check
from meanfield.theory import _scalar

TERMS = 160  # of the series at infinity
FLAT = 42.0  # distance in log(e / (L - e)) from the step of K(g), and from 0, at which the integrand has vanished
FAR = 20.0  # from there on alpha = 1 has an integral that needs no graded panels
NODES = np.polynomial.legendre.leggauss(16)


def ornstein_uhlenbeck_scale(alpha: float, scale: float, rate: float = 1.0) -> float:
    """Scale of the stationary law of `dx = -rate x dt + scale dL`: `scale (alpha rate)^(-1/alpha)`.

    L is symmetric stable, `E exp(iuL_t) = exp(-t |u|^alpha)`; the stationary law is `E exp(iux) = exp(-(result |u|)^alpha)`. At
    alpha = 2 its variance is `2 result^2 = scale^2 / rate`.

    Args:
        alpha: stability index, in (0, 2].
        scale: factor of the noise, >= 0.
        rate: of the drift, > 0.

    Raises:
        ValueError: a number out of its range.

    Source: `x = scale int_0^inf exp(-rate s) dL_s`, so that the exponents `|u scale exp(-rate s)|^alpha` add up to
    `(scale |u|)^alpha / (alpha rate)`.

    Examples:
        >>> ornstein_uhlenbeck_scale(1.0, 0.5), round(2 * ornstein_uhlenbeck_scale(2.0, 0.5, rate=4.0) ** 2, 12)
        (0.5, 0.0625)
    """
    _index(alpha)
    _scalar.nonnegative("scale", scale)
    _scalar.positive("rate", rate)
    return float(scale * (alpha * rate) ** (-1 / alpha))


def euler_scale(alpha: float, scale: float, step_size: float, rate: float = 1.0) -> float:
    """Scale of the stationary law of Euler's scheme `x <- (1 - eta rate) x + scale eta^(1/alpha) L`.

    `scale (eta / (1 - |1 - eta rate|^alpha))^(1/alpha)`, with eta = `step_size`; tends to `ornstein_uhlenbeck_scale` as eta -> 0.

    Args:
        alpha: stability index, in (0, 2].
        scale: factor of the noise, >= 0.
        step_size: eta > 0, below `2 / rate`.
        rate: of the drift, > 0.

    Raises:
        ValueError: a number out of its range, a step at which there is no stationary law.

    Source: the exponents of the terms of the geometric series add up; `dynamics.StableSGD` with `weight_decay=rate` without data.

    Examples:
        >>> round(euler_scale(1.0, 0.5, 0.1), 12), round(euler_scale(2.0, 0.5, 0.2) / ornstein_uhlenbeck_scale(2.0, 0.5), 4)
        (0.5, 1.0541)
    """
    _index(alpha)
    _scalar.nonnegative("scale", scale)
    _scalar.positive("rate", rate)
    contraction = _contraction(step_size, rate)
    return float(scale * (step_size / (1 - contraction**alpha)) ** (1 / alpha))


def langevin_variance(temperature: float, weight_decay: float, step_size: float | None = None) -> float:
    """Stationary variance of a coordinate of Langevin dynamics in a ridge alone: `T / lam`, or that of its Euler scheme.

    With a step: `2 eta T / (1 - (1 - eta lam)^2)`.

    Args:
        temperature: T >= 0.
        weight_decay: lam > 0.
        step_size: eta > 0, below `2 / lam`; None: continuous time.

    Raises:
        ValueError: a number out of its range, a step at which there is no stationary law.

    Source: the variance of `x <- (1 - eta lam) x + sqrt(2 eta T) g`.

    Examples:
        >>> langevin_variance(0.5, 2.0), round(langevin_variance(0.5, 2.0, step_size=0.1), 6)
        (0.25, 0.277778)
    """
    _scalar.nonnegative("temperature", temperature)
    _scalar.positive("weight_decay", weight_decay)
    if step_size is None:
        return float(temperature / weight_decay)
    return float(2 * step_size * temperature / (1 - _contraction(step_size, weight_decay) ** 2))


def tail_constant(alpha: float) -> float:
    """C with `P(|X| > x) ~ C x^(-alpha)` for symmetric stable X of scale 1: `(2/pi) Gamma(alpha) sin(pi alpha / 2)`.

    Args:
        alpha: stability index, in (0, 2); at 2 there is no such tail, C = 0.

    Raises:
        ValueError: alpha outside (0, 2].

    Source: Samorodnitsky, Taqqu (1994), property 1.2.15.

    Examples:
        >>> round(tail_constant(1.0), 6), round(tail_constant(1.5), 6), round(tail_constant(2.0), 6)
        (0.63662, 0.398942, 0.0)
    """
    _index(alpha)
    return float(2 / np.pi * scipy.special.gamma(alpha) * np.sin(np.pi * alpha / 2)) if alpha < 2 else 0.0


def pdf(x, alpha: float, beta: float = 0.0) -> np.ndarray:
    """Density of the stable law of scale 1 in S1 parameters, `log E exp(iuX) = -|u|^alpha (1 - i beta sign(u) tan(pi alpha/2))`.

    At alpha = 1 the tangent is `-(2/pi) log |u|`. Both tails are right to the ends of the range of float64.

    Args:
        x: of any shape.
        alpha: stability index, in (0, 2].
        beta: skewness, in [-1, 1].

    Returns:
        Density of the shape of `x`, to a relative 1e-12; for alpha within 1e-3 of 1, to 1e-15 over the distance.

    Raises:
        ValueError: a number out of its range.

    Source: Zolotarev (1986), theorem 2.2.3, as in Nolan (1997); the series is Zolotarev's theorem 2.4.2. Scipy's `levy_stable`
    has absolute errors, so that its quantiles stop short in the tails.

    Examples:
        >>> float(pdf(0.0, 1.0) * np.pi), bool(abs(pdf(1e60, 1.5) / (0.75 * tail_constant(1.5) * 1e60**-2.5) - 1) < 1e-12)
        (1.0, True)
    """
    return _evaluate(_Half.pdf, x, alpha, beta)


def sf(x, alpha: float, beta: float = 0.0) -> np.ndarray:
    """Survival function `P(X > x)` of the law of `pdf`; arguments, precision and source as there.

    Examples:
        >>> float(sf(1.0, 1.0)), bool(abs(sf(1e60, 1.5) / (0.5 * tail_constant(1.5) * 1e60**-1.5) - 1) < 1e-12)
        (0.25, True)
    """
    return _evaluate(_Half.sf, x, alpha, beta)


def isf(p, alpha: float, beta: float = 0.0) -> np.ndarray:
    """Inverse of `sf`: the x with `P(X > x) = p`.

    Args:
        p: probabilities in (0, 1), of any shape.
        alpha, beta: as in `pdf`.

    Returns:
        Quantiles of the shape of `p`; infinity beyond the largest float64. Near 0 the error is 1e-12 of the scale.

    Raises:
        ValueError: a number out of its range.

    Source: bisection of `sf`.

    Examples:
        >>> bool(abs(isf(1e-12, 1.0) * np.pi * 1e-12 - 1) < 1e-12), float(isf(0.5, 1.7))
        (True, 0.0)
    """
    _check.numbers("p", p, "be a number in (0, 1), or an array of them", lambda v: (v > 0) & (v < 1))
    shape, p = np.shape(p), np.ravel(np.asarray(p, np.float64))
    right, left = _halves(alpha, beta)
    positive = p < right.mass
    out = np.empty_like(p)
    out[positive] = right.isf(p[positive])
    out[~positive] = -left.isf(1 - p[~positive])
    out[p == right.mass] = 0.0
    return out.reshape(shape)[()]


def _evaluate(of, x, alpha, beta):
    _check.numbers("x", x, "be a number, or an array of them", np.isfinite)
    right, left = _halves(alpha, beta)
    shape, x = np.shape(x), np.ravel(np.asarray(x, np.float64))
    out = np.empty_like(x)
    positive = x > 0
    out[positive] = of(right, x[positive])
    below = of(left, -x[~positive])
    out[~positive] = 1 - below if of is _Half.sf else below
    return out.reshape(shape)[()]


def _index(alpha: float) -> None:
    _check.number("alpha", alpha, "lie in (0, 2]", lambda v: (v > 0) & (v <= 2))


def _contraction(step_size: float, rate: float) -> float:
    _scalar.positive("step_size", step_size)
    contraction = abs(1 - step_size * rate)
    must = f"be below {2 / rate:g}: from there on the scheme has no stationary law"
    _check.require(contraction < 1, "step_size", must, step_size)
    return contraction


def _halves(alpha, beta) -> "tuple[_Half, _Half]":
    """The laws of X on X > 0 and of -X on X <= 0."""
    _check.number("alpha", alpha, "lie in (0, 2]", lambda v: (v > 0) & (v <= 2))
    _check.number("beta", beta, "lie in [-1, 1]", lambda v: abs(v) <= 1)
    alpha, beta = float(alpha), float(beta) if alpha < 2 else 0.0
    return _Half(alpha, beta), _Half(alpha, -beta)


@dataclass(frozen=True)
class _Half:
    """A stable law on x > 0: the series at infinity where it has 16 digits, else Zolotarev's integral.

    `P(X > x) = (1/pi) int_0^L K(g(e)) de`, K(g) = exp(-g) for alpha > 1, 1 - exp(-g) for alpha < 1; e is the distance to the end where
    the tail is made. g is monotone, and K(g) a step in log e; panels are graded around it.
    """

    alpha: float
    beta: float

    @property
    def _slant(self) -> float:
        """`beta tan(pi alpha / 2)`, right also near alpha = 2."""
        a = self.alpha
        return self.beta * float(np.tan(np.pi * a / 2) if a < 1 else -np.tan(np.pi * (2 - a) / 2)) if a != 1 else 0.0

    @property
    def _angle(self) -> float:
        """Alpha theta_0."""
        return float(np.arctan(self._slant))

    @property
    def _log_cos(self) -> float:
        return -0.5 * float(np.log1p(self._slant**2))

    @property
    def _end(self) -> float:
        """Pi - alpha L."""
        return np.pi * (2 - self.alpha) / 2 - self._angle

    @property
    def _length(self) -> float:
        """L, pi times P(X > 0)."""
        return np.pi / 2 + self._angle / self.alpha if self.alpha != 1 else np.pi

    @property
    def _short(self) -> bool:
        """K(g) = exp(-g): the tail is made where g is small."""
        return self.alpha > 1 or (self.alpha == 1 and self.beta < 0)

    @property
    def mass(self) -> float:
        """P(X > 0)."""
        if self.alpha == 1 and self.beta != 0:
            return float(self._integrals(np.zeros(1))[0][0])
        return self._length / np.pi

    def sf(self, x):
        return self._both(x)[0]

    def pdf(self, x):
        return self._both(x)[1]

    def _both(self, x):
        """P(X > x) and the density."""
        if self.alpha == 2:
            return scipy.special.erfc(x / 2) / 2, np.exp(-(np.minimum(x, 1e3) ** 2) / 4) / (2 * np.sqrt(np.pi))
        if self.alpha == 1 and self.beta == 0:
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                return np.arctan2(1.0, x) / np.pi, np.where(x < 1, 1 / (1 + np.minimum(x, 1) ** 2), (1 / x) / (x + 1 / x)) / np.pi
        above, density = np.zeros_like(x), np.zeros_like(x)
        if self._length <= 0:  # totally skewed, alpha < 1: nothing here
            return above, density
        rest = np.ones(len(x), bool)
        if self.alpha != 1:
            origin = np.sin(self._length) * np.exp(scipy.special.gammaln(1 + 1 / self.alpha) + self._log_cos / self.alpha) / np.pi
            second = scipy.special.gammaln(1 + 2 / self.alpha) - scipy.special.gammaln(1 + 1 / self.alpha)
            with np.errstate(divide="ignore"):
                tiny = np.log(x) + second < -40 + min(0.0, np.log(abs(np.sin(self._length)) + 1e-300))
            above[tiny], density[tiny] = self.mass - origin * x[tiny], origin
            far = np.flatnonzero(~tiny)
            good, *values = self._series(x[far])
            above[far[good]], density[far[good]] = (v[good] for v in values)
            rest[far[good]] = False
            rest &= ~tiny
        else:
            far = x > FAR
            above[far], density[far] = self._laplace(x[far])
            rest &= ~far
        rest = np.flatnonzero(rest)
        unlike, places = np.unique(np.maximum(x[rest], 1e-18) if self.alpha == 1 else x[rest], return_inverse=True)
        found = [self._integrals(unlike[start : start + 500]) for start in range(0, len(unlike), 500)]
        if found:
            above[rest], density[rest] = (np.concatenate(v)[places] for v in zip(*found, strict=True))
        return above, density

    def _laplace(self, x):
        """At alpha = 1: `P(X > x) = (1/pi) int_0^inf exp(-v x - (2 beta/pi) v log v) sin((1 + beta) v) / v dv`, the contour turned."""
        y, weights = NODES
        edges = np.arange(-40.0, 4.5, 1.0)
        log = (edges[:, None] + (1 + y) / 2).ravel()
        w, measure = np.exp(log), np.tile(weights / 2, len(edges))
        v = w / x[:, None]
        sizes = measure * np.exp(-w - 2 * self.beta / np.pi * v * np.log(v)) * np.sin((1 + self.beta) * v) / np.pi
        return sizes.sum(axis=1), (sizes * w).sum(axis=1) / x

    def _series(self, x):
        """`P(X > x) = (1/pi) sum_k (-1)^(k-1) Gamma(alpha k)/k! sin(k alpha L) (x^alpha cos(alpha theta_0))^(-k)`; whether it is right."""
        k = np.arange(1.0, TERMS + 1)
        # Of k alpha L, without cancellation where that is near a multiple of pi.
        sines = np.sin(k * self._end) if self.alpha > 1 else -((-1.0) ** k) * np.sin(k * (np.pi * self.alpha / 2 + self._angle))
        power = self.alpha * np.log(x) + self._log_cos
        sizes = np.multiply.outer(-power, k) + (scipy.special.gammaln(self.alpha * k) - scipy.special.gammaln(k + 1))
        sizes[:, 1:] -= sizes[:, :1]
        least = np.argmin(sizes[:, 1:], axis=1) + 1
        terms = np.exp(np.minimum(np.where(k - 1 <= least[:, None], sizes, -np.inf), 600.0))
        terms[:, 0] = 1.0
        above, density = terms @ sines, terms @ (sines * self.alpha * k)
        end = np.exp(np.take_along_axis(sizes, least[:, None], axis=1)[:, 0])
        with np.errstate(divide="ignore", invalid="ignore"):
            good = (
                (end * TERMS < 1e-17 * np.minimum(abs(above), abs(density)))
                & ((terms * abs(sines)).max(axis=1) <= 10 * abs(above))
                & (above > 0)
            )
            first = np.exp(sizes[:, 0]) / np.pi
            return good, first * above, first / x * density

    def _log_g(self, e, rest, x):
        """Log g at distances e and rest = L - e from the two ends."""
        if self.alpha == 1:
            m = np.pi / 2 * (1 + self.beta) - self.beta * e
            tangent = np.tan(np.minimum(e, rest)) * np.where(e < rest, 1.0, -1.0)
            return np.log(2 * m / (np.pi * _sine(e, rest))) + (m / tangent - np.pi / 2 * x) / self.beta
        a = self.alpha
        end = self._end + a * e if a > 1 else np.pi - self._length + (1 - a) * rest
        both = _sine(a * rest + e, self._end + (a - 1) * e if a > 1 else end)
        inner = _sine(a * rest, self._end + a * e)
        ratio = np.log(x * np.exp(self._log_cos) * (_sine(e, np.pi - self._length + rest) / inner))
        return ratio / (a - 1) + np.log(x * (both / inner))

    def _integrals(self, x):
        """P(X > x) and the density by Gauss's rule on panels in u = log(e / (L - e))."""
        length = self._length

        def log_g(u, x):
            return self._log_g(length * scipy.special.expit(u), length * scipy.special.expit(-u), x)

        low, high = np.full(len(x), -700.0), np.full(len(x), 700.0)
        rising = 1.0 if self._short else -1.0  # sign of dg/de
        for _ in range(64):
            middle = (low + high) / 2
            up = rising * log_g(middle, x) < 0
            low, high = np.where(up, middle, low), np.where(up, high, middle)
        centre = np.where(abs(low) < 699, low, 0.0)  # a light tail: g stays above 1
        width = 2e-3 / np.maximum(abs(log_g(centre + 1e-3, x) - log_g(centre - 1e-3, x)), 2e-3)
        half = [np.zeros(len(x))]
        while np.any(half[-1] < abs(centre) + FLAT):
            half.append(half[-1] + np.minimum(1.0, np.maximum(width, half[-1] / 2)))
        half = np.stack(half, axis=1)
        edges = np.hstack([-half[:, :0:-1], half])
        y, weights = NODES
        left, right = edges[:, :-1, None], edges[:, 1:, None]
        u = centre[:, None, None] + (left + right) / 2 + (right - left) / 2 * y
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            log = np.nan_to_num(log_g(u, x[:, None, None]), nan=-np.inf, posinf=1e3, neginf=-np.inf)
            g = np.exp(np.minimum(log, 7.0))
        measure = (right - left) / 2 * weights * scipy.special.expit(u) * scipy.special.expit(-u) * length / np.pi
        step = np.exp(-g) if self._short else -np.expm1(-g)
        above, density = ((measure * one).sum(axis=(1, 2)) for one in (step, g * np.exp(-g)))
        return above, density * (self.alpha / (abs(self.alpha - 1) * x) if self.alpha != 1 else np.pi / (2 * abs(self.beta)))

    def isf(self, p):
        """The x > 0 with P(X > x) = p, for p below the mass: safeguarded Newton steps in the logarithms, in x near 0."""
        low, high, y = np.full(len(p), -745.0), np.full(len(p), 709.78), np.zeros(len(p))
        open_ = np.arange(len(p))
        for _ in range(120):
            if not len(open_):
                break
            now, target = y[open_], p[open_]
            x = np.exp(now)
            above, density = self._both(x)
            low[open_] = np.where(above > target, now, low[open_])
            high[open_] = np.where(above > target, high[open_], now)
            with np.errstate(all="ignore"):
                tail, body = above * np.log(above / target) / (x * density), np.log1p((above - target) / (x * density))
            new = now + np.where(target < self.mass / 2, tail, body)
            slack = 1e-14 + 1e-15 * abs(now)  # rounding
            inside = (new > low[open_] - slack) & (new < high[open_] + slack)
            y[open_] = np.where(inside, new, (low[open_] + high[open_]) / 2)
            open_ = open_[abs(y[open_] - now) > slack]
        return np.where(y > 709.7, np.inf, np.exp(y))


def _sine(t, rest):
    """Sine of t, with rest = pi - t known as sharply."""
    return np.sin(np.minimum(t, rest))
