"""Stationary laws of Ornstein-Uhlenbeck processes, Gaussian and stable, in continuous time and of Euler's scheme."""

import numpy as np
from scipy import special

from meanfield import _check
from meanfield.theory import _scalar


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
    return float(2 / np.pi * special.gamma(alpha) * np.sin(np.pi * alpha / 2)) if alpha < 2 else 0.0


def _index(alpha: float) -> None:
    _check.number("alpha", alpha, "lie in (0, 2]", lambda v: (v > 0) & (v <= 2))


def _contraction(step_size: float, rate: float) -> float:
    _scalar.positive("step_size", step_size)
    contraction = abs(1 - step_size * rate)
    must = f"be below {2 / rate:g}: from there on the scheme has no stationary law"
    _check.require(contraction < 1, "step_size", must, step_size)
    return contraction
