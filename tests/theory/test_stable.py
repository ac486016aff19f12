"""Stable laws against values of another program (mpmath: convergent series, asymptotic ones with a checked last term)."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special

import meanfield as mf
from meanfield.theory import stable

KNOWN = json.loads((Path(__file__).parent.parent / "known" / "stable.json").read_text())


@pytest.mark.parametrize("law", KNOWN["laws"], ids=lambda law: f"{law['alpha']},{law['beta']}")
def test_values_of_mpmath(law):
    """x from 1e-8 to 1e60; near alpha = 1 the rounding of alpha - 1 shows in the density."""
    alpha, beta = law["alpha"], law["beta"]
    x, above, density = (np.array(law[name]) for name in ("x", "sf", "pdf"))
    np.testing.assert_allclose(stable.sf(x, alpha, beta), above, rtol=1e-12)
    np.testing.assert_allclose(stable.pdf(x, alpha, beta), density, rtol=4e-12 if alpha == 1.0001 else 1e-12)
    tail = ((above < 0.1) & (x > 0.1)) | (x == 1)
    np.testing.assert_allclose(stable.isf(above[tail], alpha, beta), x[tail], rtol=1e-11)
    assert np.max(abs(stable.sf(x, alpha * (1 + 1e-10), beta) / above - 1)) > 1e-12  # 1e-10 of alpha is seen


def test_laws_with_a_name():
    x = np.logspace(-3, 100, 50)
    np.testing.assert_allclose(stable.sf(x, 0.5, 1.0), special.erf(1 / np.sqrt(2 * x)), rtol=1e-13)  # Levy
    np.testing.assert_allclose(stable.sf(x, 1.0), np.arctan2(1, x) / np.pi, rtol=1e-13)
    np.testing.assert_allclose(stable.sf([-3.0, 0.0, 8.0], 2.0), special.erfc(np.array([-3.0, 0.0, 8.0]) / 2) / 2, rtol=1e-13)
    np.testing.assert_allclose(stable.isf([0.9, 1e-9], 2.0), 2 * special.erfcinv([1.8, 2e-9]), rtol=1e-12)
    assert stable.sf(-1.0, 0.5, 1.0) == 1 and stable.pdf(-1.0, 0.5, 1.0) == 0  # nothing below 0
    assert stable.isf(1e-200, 0.5) == np.inf


@pytest.mark.parametrize("beta", [0.5, -0.9])
def test_index_one_with_skewness_far_out(beta):
    """(1 + beta)/(pi x^2) and its integral; at 1e3 another route, the slope of the survival function by Zolotarev's integral."""
    x = np.array([1e20, 1e100])
    np.testing.assert_allclose(stable.pdf(x, 1.0, beta) * x, (1 + beta) / np.pi / x, rtol=1e-12)
    np.testing.assert_allclose(stable.sf(x, 1.0, beta), (1 + beta) / np.pi / x, rtol=1e-12)
    half = stable._Half(1.0, beta)
    for near in (21.0, 1e3):
        np.testing.assert_allclose(half._laplace(np.array([near])), half._integrals(np.array([near])), rtol=1e-11)


@pytest.mark.parametrize(("alpha", "beta"), [(0.4, -0.5), (1.2, 0.0), (1.9, 1.0)])
def test_quantiles_invert_far_into_the_tail(alpha, beta):
    p = np.array([0.7, 1e-2, 1e-8, 1e-40, 1e-100])
    np.testing.assert_allclose(stable.sf(stable.isf(p, alpha, beta), alpha, beta), p, rtol=1e-12)


def test_density_is_the_slope():
    """Central differences of sf, also at alpha = 1 with skewness, where there is no table."""
    x = np.array([-40.0, -2.0, -0.1, 0.3, 5.0, 3e4])
    step = 1e-3 * np.abs(x)
    for alpha, beta in ((1.0, 0.7), (0.7, -0.4), (1.6, 0.9)):
        ends = stable.sf(np.stack([x - step, x + step]), alpha, beta)
        slope = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(stable.pdf(x, alpha, beta), slope, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stable.pdf(1.0, 2.5), "Argument `alpha` must lie in (0, 2], but is 2.5."),
        (lambda: stable.sf(1.0, 1.5, 2.0), "Argument `beta` must lie in [-1, 1], but is 2.0."),
        (lambda: stable.sf(np.nan, 1.5), "Argument `x` must be a number, or an array of them, but is nan."),
        (lambda: stable.isf(0.0, 1.5), "Argument `p` must be a number in (0, 1), or an array of them, but is 0.0."),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5, 1.9, 2.0])
@pytest.mark.parametrize("eta", [0.01, 0.3, 1.0, 1.7])
def test_euler_scale_is_the_fixed_point_of_the_recursion(alpha, eta):
    """Characteristic exponents of independent terms add: scale^alpha <- |1 - eta|^alpha scale^alpha + eta sigma^alpha."""
    power = 0.0
    for _ in range(20_000):
        power = abs(1 - eta) ** alpha * power + eta * 0.7**alpha
    np.testing.assert_allclose(stable.euler_scale(alpha, 0.7, eta), power ** (1 / alpha), rtol=1e-10)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5, 2.0])
def test_small_steps_tend_to_continuous_time(alpha):
    exponent, _ = integrate.quad(lambda s: (0.7 * np.exp(-1.3 * s)) ** alpha, 0, np.inf, epsabs=0, epsrel=1e-11)
    scale = stable.ornstein_uhlenbeck_scale(alpha, 0.7, 1.3)
    np.testing.assert_allclose(scale, exponent ** (1 / alpha), rtol=1e-9)
    np.testing.assert_allclose(stable.euler_scale(alpha, 0.7, 1e-7, 1.3), scale, rtol=1e-6)


def test_gaussian_ends():
    np.testing.assert_allclose(2 * stable.ornstein_uhlenbeck_scale(2.0, 0.6, 1.5) ** 2, stable.langevin_variance(0.6**2, 1.5))
    np.testing.assert_allclose(2 * stable.euler_scale(2.0, 0.6, 0.2, 1.5) ** 2, stable.langevin_variance(0.6**2, 1.5, 0.2))


@pytest.mark.parametrize(
    ("alpha", "constant"),
    [(0.5, 0.797885), (1.0, 0.636620), (1.25, 0.533110), (1.5, 0.398942), (1.75, 0.223906), (1.9, 0.0957816), (1.99, 0.00995772)],
)
def test_tail_constants(alpha, constant):
    """Tabulated values, and Cauchy and Levy exactly: 2/pi, and that of the symmetrised law at 1/2 by its series."""
    np.testing.assert_allclose(stable.tail_constant(alpha), constant, rtol=3e-6)
    np.testing.assert_allclose(stable.tail_constant(alpha), 2 / np.pi * special.gamma(alpha) * np.sin(np.pi * alpha / 2))
