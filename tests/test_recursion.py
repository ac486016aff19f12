"""SGD on least squares: exact identities, closed forms, and the values of an independent program (tests/known/recursion.json)."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

import meanfield as mf
from meanfield.theory import recursion

KNOWN = json.loads((Path(__file__).parent / "known" / "recursion.json").read_text())
# The table was computed with a root tolerance of about 1e-11 in alpha.
ALPHA = 1e-9


@pytest.mark.parametrize("row", KNOWN["d1_b1"], ids=lambda row: f"{row['eta']:g}")
def test_one_dimension_batch_size_one(row):
    at = (row["eta"], 1, 1)
    np.testing.assert_allclose(recursion.lyapunov(*at), row["rho"], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(recursion.tail_index(*at), row["alpha"], rtol=ALPHA)
    for order, name in ((0.5, "h_half"), (1.0, "h1"), (2.0, "h2"), (4.0, "h4")):
        np.testing.assert_allclose(recursion.moment(order, *at), row[name], rtol=1e-10)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 10])
def test_maximal_step_size_in_one_dimension(batch_size):
    np.testing.assert_allclose(recursion.maximal_step_size(batch_size, 1), KNOWN["eta_max_d1"][str(batch_size)], rtol=1e-10)


@pytest.mark.parametrize(("batch_size", "eta"), [(b, eta) for b, row in KNOWN["d1_b"].items() for eta in row])
def test_one_dimension_with_mini_batches(batch_size, eta):
    np.testing.assert_allclose(recursion.tail_index(float(eta), int(batch_size), 1), KNOWN["d1_b"][batch_size][eta], rtol=ALPHA)


@pytest.mark.parametrize("name", KNOWN["multi"])
def test_windows_in_many_dimensions(name):
    row = KNOWN["multi"][name]
    b, d = (int(part[1:]) for part in name.split("_"))
    np.testing.assert_allclose(recursion.critical_step_size(b, d), row["eta_crit"], rtol=1e-13)
    np.testing.assert_allclose(recursion.maximal_step_size(b, d), row["eta_max"], rtol=1e-9)
    np.testing.assert_allclose(recursion.lyapunov(row["eta_crit"], b, d), row["rho_at_crit"], rtol=1e-7)
    for fraction, alpha in row["alpha_frac"].items():
        # The table is less exact where alpha > 140: see `test_large_order_in_100_dimensions`.
        np.testing.assert_allclose(recursion.tail_index(float(fraction) * row["eta_crit"], b, d), alpha, rtol=1e-6)
    eta, alpha = row["alpha_mid"]
    np.testing.assert_allclose(recursion.tail_index(eta, b, d), alpha, rtol=1e-6)
    np.testing.assert_allclose(recursion.step_size_for(4.0, b, d), row["eta_alpha4"], rtol=1e-10)


@pytest.mark.parametrize("name", KNOWN["mf_coupled"])
def test_weight_decay(name):
    lam, eta = (float(part[3:]) for part in name.split("_"))
    row = KNOWN["mf_coupled"][name]
    np.testing.assert_allclose(recursion.lyapunov(eta, 1, 1, weight_decay=lam), row["rho"], rtol=1e-9)
    np.testing.assert_allclose(recursion.tail_index(eta, 1, 1, weight_decay=lam), row["alpha"], rtol=ALPHA)


def test_weight_decay_with_an_exact_answer():
    """eta = lam = b = d = 1: Q = Z^4, so h(s) = E|Z|^(2s), alpha = 1, rho = -(gamma_E + log 2)."""
    np.testing.assert_allclose(recursion.tail_index(1.0, 1, 1, weight_decay=1.0), 1.0, rtol=1e-11)
    np.testing.assert_allclose(recursion.lyapunov(1.0, 1, 1, weight_decay=1.0), -(np.euler_gamma + np.log(2)), rtol=1e-11)


def test_small_step_sizes():
    """alpha eta / b -> y / 2 with y (log y - 1) = 1, whatever the dimension."""
    for eta, value in KNOWN["small_eta_check"].items():
        np.testing.assert_allclose(recursion.tail_index(float(eta), 1, 1) * float(eta), value, rtol=1e-9)
    y = 2 * KNOWN["small_eta_const"]
    np.testing.assert_allclose(y * (np.log(y) - 1), 1, rtol=1e-9)
    assert abs(recursion.tail_index(1e-3, 1, 3) * 1e-3 - y / 2) < 5e-3


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


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.9, 2.0, 3.0, 30.0])
@pytest.mark.parametrize(("b", "d"), [(1, 1), (3, 2), (1, 20)])
def test_step_size_for_is_the_inverse(alpha, b, d):
    eta = recursion.step_size_for(alpha, b, d, sigma=1.3)
    np.testing.assert_allclose(recursion.tail_index(eta, b, d, sigma=1.3), alpha, rtol=1e-7)


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


@pytest.mark.long
def test_monotone():
    """The index falls with the step size and sigma, rises with the batch size, falls with the dimension (where it is >= 1)."""
    at = [recursion.tail_index(eta, 2, 3) for eta in np.linspace(0.05, 0.8, 12)]
    assert (np.diff(at) < 0).all()
    assert (np.diff([recursion.tail_index(0.2, b, 3) for b in range(1, 12)]) > 0).all()
    assert (np.diff([recursion.tail_index(0.1, 2, d) for d in range(1, 12)]) < 0).all()
    assert recursion.tail_index(0.2, 2, 3, sigma=1.1) < recursion.tail_index(0.2, 2, 3)


def test_second_moment():
    np.testing.assert_allclose(recursion.second_moment(0.3, 2, 5, 0.7, 1.5), 0.3 * 5 * 1.5**2 / (4 - 0.3 * 0.49 * 8))
    assert recursion.second_moment(recursion.critical_step_size(1, 2), 1, 2) == np.inf
    assert np.isfinite(recursion.second_moment(0.99 * recursion.critical_step_size(1, 2), 1, 2))


WRONG = {
    "no stationary law": (
        lambda: recursion.tail_index(3.0, 1, 1),
        "Argument `step_size` must be below 2.4212 (Lyapunov exponent 0: beyond there is no stationary law), but is 3.0.",
    ),
    "dim": (lambda: recursion.tail_index(0.5, 1, 0), "Argument `dim` must be an integer >= 1, but is 0."),
    "step size": (lambda: recursion.lyapunov(-0.5, 1, 1), "Argument `step_size` must be a number > 0, but is -0.5."),
    "alpha": (lambda: recursion.step_size_for(0.0, 1, 1), "Argument `alpha` must be a number > 0, but is 0.0."),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name):
    call, message = WRONG[name]
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value) == message
