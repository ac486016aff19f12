"""SGD on least squares: exact identities, closed forms, and the values of an independent program (tests/known/recursion.json)."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import meanfield as mf
from meanfield.measure.tails import hill
from meanfield.theory import random_products, recursion

KNOWN = json.loads((Path(__file__).parent.parent / "known" / "recursion.json").read_text())
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


@pytest.mark.short(4)
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


@pytest.mark.short(6)
@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.9, 2.0, 3.0, 30.0])
@pytest.mark.parametrize(("b", "d"), [(1, 1), (3, 2), (1, 20)])
def test_step_size_for_is_the_inverse(alpha, b, d):
    eta = recursion.step_size_for(alpha, b, d, sigma=1.3)
    np.testing.assert_allclose(recursion.tail_index(eta, b, d, sigma=1.3), alpha, rtol=1e-7)


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


KEY = jax.random.key(0)


# Homogenised SGD


def test_bounds_coincide_where_they_are_exact():
    assert recursion.homogenized_bounds([[1.0]], 0.5, 1) == (5.0, 5.0)
    for d in (1, 2, 7):
        bounds = recursion.homogenized_bounds(0.7 * np.eye(d), 0.2, 3, weight_decay=0.1)
        np.testing.assert_allclose(bounds, 2 - d + 2 * 3 * 0.8 / (0.2 * 0.49), rtol=1e-12)
    np.testing.assert_allclose(
        recursion.homogenized_bounds(np.diag([0.0, 0.7]), 0.2, 3), recursion.homogenized_bounds([[0.7]], 0.2, 3)
    )


def test_bounds_are_those_of_the_generator():
    """L |x|^p from its definition, by derivatives of |x|^p in float64, at random points: its sign is what the bounds say."""
    rng = np.random.default_rng(0)
    gamma, b, ridge, h = 0.4, 2, 0.3, np.array([0.4, 0.9, 1.3])
    low, high = recursion.homogenized_bounds(np.diag(h), gamma, b, ridge)

    def generator(x, p):
        norm = np.linalg.norm(x)
        gradient = p * norm ** (p - 2) * x
        hessian = p * norm ** (p - 2) * (np.eye(3) + (p - 2) * np.outer(x, x) / norm**2)
        return -gamma * gradient @ ((h + ridge) * x) + gamma**2 / (2 * b) * (x @ (h * x)) * np.trace(h[:, None] * hessian)

    points = np.vstack([rng.normal(size=(2_000, 3)), np.eye(3)])
    assert max(generator(x, low * (1 - 1e-9)) for x in points) < 0 < max(generator(x, low * 1.01) for x in points)
    phi = 2 + (2 * b / gamma - h.sum()) / h + 2 * b * ridge / (gamma * h**2)
    assert min(generator(x, phi.max() * (1 + 1e-9)) for x in points) > 0
    assert high == min(phi.max(), 1 + 2 * b * (h[-1] + ridge) / (gamma * h[-1] ** 2))


def euler(h, gamma, batch_size, ridge, dt):
    """A step of Euler's scheme far from the optimum, as `dynamics.HomogenizedSGD` takes it."""

    def grow(rng, u):
        size = np.sqrt((u**2) @ h * dt / batch_size)[:, None]
        return u - gamma * dt * (h + ridge) * u + gamma * size * np.sqrt(h) * rng.normal(size=u.shape)

    return grow


@pytest.mark.slow
def test_index_of_the_diffusion_lies_between_the_bounds():
    """Euler steps of 0.04, which lower the index by 1.4 %, and the population solver: isotropic (both bounds) and not (2.1 and 2.51)."""
    h = np.array([1.0, 1.0])
    (low, high), dt = recursion.homogenized_bounds(np.diag(h), 1.0, 1, 0.3), 0.04
    settings = {"key": KEY, "population": 4_000, "steps": 1_000}
    found = random_products.tail_index(euler(h, 1.0, 1, 0.3, dt), 2, **settings)
    assert low == high == 2.6 and abs(found.value - low) < 0.03 * low + 4 * found.standard_error
    h = np.array([1.0, 0.8, 0.7])
    low, high = recursion.homogenized_bounds(np.diag(h), 1.0, 1, 0.3)
    found = random_products.tail_index(euler(h, 1.0, 1, 0.3, dt), 3, **settings)
    assert 1.015 * low < found.value < 0.97 * high


@pytest.mark.slow
def test_simulated_diffusion_has_the_index_of_the_bounds(key):
    """1e5 paths of `HomogenizedSGD` in one dimension and two, isotropic: Hill with k = 500 (4.5 %) against the index of Euler's scheme,
    which is within 4 % of that of the diffusion."""
    for dim, gamma in ((1, 1.0), (2, 0.8)):
        exact = recursion.homogenized_bounds(np.eye(dim), gamma, 1)[0]
        scheme = random_products.tail_index(euler(np.ones(dim), gamma, 1, 0.0, 0.05), dim, population=5_000, steps=1_000, key=KEY)
        assert abs(scheme.value / exact - 1) < 0.06
        system = mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(dim), mf.dynamics.HomogenizedSGD(gamma, 1))
        x = np.asarray(mf.simulate(system, widths=100_000, steps=800, seeds=1, key=key).particles[100_000].w)[0, 0]
        fit = hill(np.linalg.norm(x, axis=1), k=500)
        assert abs(fit.alpha - scheme.value) < 4 * fit.standard_error
        assert abs(fit.alpha - (exact + 1)) > 4 * fit.standard_error  # the exponent of the density, not of the tail
