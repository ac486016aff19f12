"""Moments of the growth of a step by quadrature: closed forms, polynomials, brute force."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from meanfield.theory import recursion


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("eta", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("s", [0.5, 1.5, 3.0])
def test_closed_form_in_one_dimension(batch_size, eta, s):
    """Beta and Gamma integrals of |1 - A x|^s against the chi-square density on both sides of its zero."""
    b, c = batch_size, batch_size / eta
    below = special.beta(b / 2, s + 1) * special.hyp1f1(b / 2, s + 1 + b / 2, -c / 2)
    above = special.gamma(s + 1) * np.exp(-c / 2) * special.hyperu(s + 1, s + 1 + b / 2, c / 2)
    closed = c ** (b / 2) / (2 ** (b / 2) * special.gamma(b / 2)) * (below + above)
    np.testing.assert_allclose(recursion.moment(s, eta, b, 1), closed, rtol=1e-10)


@settings(max_examples=100, deadline=None)
@given(
    eta=st.floats(0.01, 3),
    b=st.integers(1, 20),
    d=st.integers(1, 50),
    sigma=st.floats(0.3, 2),
    lam=st.floats(0, 0.3),
)
def test_polynomial_moments(eta, b, d, sigma, lam):
    """h(2) and h(4) are polynomials in the moments of chi-squares; h(0) = 1."""
    a, m = eta * sigma**2 / b, 1 - eta * lam
    x = [1.0, b, b * (b + 2), b * (b + 2) * (b + 4), b * (b + 2) * (b + 4) * (b + 6)]
    second = m**2 - 2 * m * a * x[1] + a**2 * x[2] + a**2 * x[1] * (d - 1)
    fourth = sum(special.comb(4, k) * m ** (4 - k) * (-a) ** k * x[k] for k in range(5))
    fourth += 2 * a**2 * (d - 1) * (m**2 * x[1] - 2 * m * a * x[2] + a**2 * x[3]) + a**4 * (d - 1) * (d + 1) * x[2]
    np.testing.assert_allclose(recursion.moment(2.0, eta, b, d, sigma, lam), second, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(recursion.moment(4.0, eta, b, d, sigma, lam), fourth, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(recursion.moment(0.0, eta, b, d, sigma, lam), 1, rtol=1e-12)


def test_growth_is_what_a_step_does():
    """A million steps in three dimensions by brute force: E|M x|^s for s = .5, 1 and E log|M x|, |z| < 5."""
    rng = np.random.default_rng(3)
    eta, b, d, lam, sigma, n = 0.4, 2, 3, 0.2, 0.8, 1_000_000
    a = sigma * rng.normal(size=(n, b, d))
    step = np.array([1.0, 0, 0]) * (1 - eta * lam) - eta / b * np.einsum("nb,nbd->nd", a[:, :, 0], a)
    length = np.linalg.norm(step, axis=1)
    for value, exact in (
        (length**0.5, recursion.moment(0.5, eta, b, d, sigma, lam)),
        (length, recursion.moment(1.0, eta, b, d, sigma, lam)),
        (np.log(length), recursion.lyapunov(eta, b, d, sigma, lam)),
    ):
        assert abs(value.mean() - exact) / (value.std() / np.sqrt(n)) < 5
    wrong = recursion.moment(1.0, eta, b, d + 1, sigma, lam)
    assert abs(length.mean() - wrong) / (length.std() / np.sqrt(n)) > 5


def test_lyapunov_in_one_dimension_by_quadrature():
    f = lambda x, eta: 2 * stats.chi2(1).pdf(x * x) * x * np.log(abs(1 - eta * x * x))  # noqa: E731
    for eta in (0.5, 2.0):
        zero = 1 / np.sqrt(eta)
        value = sum(integrate.quad(f, *ends, args=(eta,), limit=400)[0] for ends in ((0, zero), (zero, 12)))
        np.testing.assert_allclose(recursion.lyapunov(eta, 1, 1), value, rtol=1e-7)


def test_large_order_in_100_dimensions():
    """E Q^72, a polynomial with 2701 terms, summed in exact rational arithmetic."""
    n, b, d = 72, 1, 100
    eta = Fraction(1, 102)  # half the critical step
    total = Fraction(0)
    for i in range(n + 1):
        for j in range(n - i + 1):
            # E T^(i+2j) for T ~ chi2_(b+d-1), and E B^(i+j) for B ~ Beta(b/2, (d-1)/2), as rising factorials.
            t = math.prod(b + d - 1 + 2 * k for k in range(i + 2 * j))
            beta = Fraction(math.prod(b + 2 * k for k in range(i + j)), math.prod(b + d - 1 + 2 * k for k in range(i + j)))
            ways = math.comb(n, i) * math.comb(n - i, j)
            total += ways * (-2 * eta / b) ** i * (eta / b) ** (2 * j) * t * beta
    np.testing.assert_allclose(recursion.moment(2.0 * n, float(eta), b, d), float(total), rtol=1e-10)
