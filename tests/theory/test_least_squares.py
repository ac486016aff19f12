"""Tail indices of least squares beyond isotropic inputs: exact answers, invariances, and simulations of what they predict."""

import math

import jax
import numpy as np
import pytest
from scipy import optimize

import meanfield as mf
from meanfield.measure.tails import hill
from meanfield.theory import least_squares, network, random_products, recursion
from tests.theory.common import close

KEY = jax.random.key(0)
SMALL = {"key": KEY, "population": 3_000, "steps": 500}


# Gaussian inputs


@pytest.mark.long(1)
@pytest.mark.parametrize(("batch_size", "dim", "lam"), [(1, 2, 0.0), (3, 5, 0.2)])
def test_equal_eigenvalues_are_the_isotropic_law(batch_size, dim, lam):
    eta = 0.9 * recursion.critical_step_size(batch_size, dim, 1.5, lam)
    exact = recursion.tail_index(eta, batch_size, dim, 1.5, lam)
    assert least_squares.gaussian_tail_index(1.5**2 * np.eye(dim), eta, batch_size, lam, key=KEY) == random_products.exact(exact)
    nearly = np.diag(1.5**2 + 1e-9 * np.arange(dim))
    found = least_squares.gaussian_tail_index(nearly, eta, batch_size, lam, **SMALL)
    assert found.standard_error > 0 and close(found, exact)
    assert not close(found, recursion.tail_index(eta, batch_size, dim + 1, 1.5, lam))


@pytest.mark.slow
def test_covariances_by_their_mini_batches():
    """The reduced law of a step against the mini-batches themselves, in a basis that is not that of the eigenvectors."""
    root = np.random.default_rng(5).normal(size=(3, 3)) / 2
    eta, b = 0.9, 2

    def grow(rng, u):
        a = rng.normal(size=(len(u), b, 3)) @ root.T
        return u - eta / b * np.einsum("nb,nbd->nd", np.einsum("nbd,nd->nb", a, u), a)

    found = least_squares.gaussian_tail_index(root @ root.T, eta, b, **SMALL)
    other = random_products.tail_index(grow, 3, key=jax.random.key(7), population=4_000, steps=500)
    assert abs(found.value - other.value) < 4 * np.hypot(found.standard_error, other.standard_error)
    assert other.standard_error < 0.02 * other.value
    wrong = least_squares.gaussian_tail_index(root @ root.T, 1.1 * eta, b, **SMALL)
    assert abs(wrong.value - other.value) > 4 * np.hypot(wrong.standard_error, other.standard_error)


def test_directions_without_inputs_do_not_count():
    v = np.array([3.0, 4.0]) / 5
    assert math.isclose(
        least_squares.gaussian_tail_index(np.outer(v, v), 0.8, 1, key=KEY).value, recursion.tail_index(0.8, 1, 1), rel_tol=1e-9
    )
    inputs = np.array([1.0, 3**0.5])[:, None] * v
    assert math.isclose(least_squares.empirical_tail_index(inputs, 1.0, 1, key=KEY).value, 1.0, rel_tol=1e-9)


@pytest.mark.slow
def test_chains_with_a_covariance_have_this_index(key):
    """2e5 chains of `LinearRecursion`, Hill with k = 1000 (3 %), against the index, not against that of the mean eigenvalue."""
    covariance = np.diag([1.0, 0.3])
    found = least_squares.gaussian_tail_index(covariance, 0.6, 1, key=KEY)
    data = mf.data.gaussian_regression(2, covariance=covariance)
    system = mf.System(mf.dynamics.chains(), data, mf.dynamics.LinearRecursion(0.6, 1))
    x = np.asarray(mf.simulate(system, widths=200_000, steps=600, seeds=1, key=key).particles[200_000].w)[0, 0]
    fit = hill(np.linalg.norm(x, axis=1), k=1000)
    assert abs(fit.alpha - found.value) < 4 * np.hypot(fit.standard_error, found.standard_error)
    assert abs(fit.alpha - recursion.tail_index(0.6, 1, 2, 0.65**0.5)) > 4 * fit.standard_error


# Finite sets of inputs


def test_equations_with_exact_roots():
    """(2^alpha + 0^alpha) / 2 = 1, and (3^alpha + 4^-alpha) / 2 = 1."""
    assert math.isclose(least_squares.empirical_tail_index([[1.0], [3**0.5]], 1.0, 1, key=KEY).value, 1.0, rel_tol=1e-9)
    found = least_squares.empirical_tail_index([[1.0], [0.3125**0.5]], 4.0, 1, key=KEY)
    exact = optimize.brentq(lambda s: (3**s + 4**-s) / 2 - 1, 0.05, 5)
    assert math.isclose(found.value, exact, rel_tol=1e-10) and found.standard_error == 0
    # A ridge: |1 - .1 - a^2| = 2 and .4.
    found = least_squares.empirical_tail_index([[2.9**0.5], [0.5**0.5]], 1.0, 1, weight_decay=0.1, key=KEY)
    assert math.isclose(found.value, optimize.brentq(lambda s: (2**s + 0.4**s) / 2 - 1, 0.05, 5), rel_tol=1e-10)


def test_no_map_lengthens_a_vector():
    inputs = np.array([[1.0, 0.5], [0.2, -1.0], [0.3, 0.1]])
    longest = float(np.max(np.sum(inputs**2, axis=1)))
    for b in (1, 3):
        assert least_squares.empirical_tail_index(inputs, 1.999 / longest, b, key=KEY).value == np.inf
        # With a ridge the step may be 2 / (|a|^2 + lam).
        assert (
            least_squares.empirical_tail_index(inputs, 2 / (longest + 0.5) - 1e-9, b, weight_decay=0.5, key=KEY).value == np.inf
        )
    assert np.isfinite(least_squares.empirical_tail_index(inputs[:, :1], 2.1, 1, key=KEY).value)


@pytest.mark.long
def test_pairs_by_enumeration():
    """d = 1, b = 2: all n^2 mini-batches."""
    a = np.array([0.3, 0.8, 1.0, 1.6])
    growth = np.abs(1 - 0.5 * (a[:, None] ** 2 + a[None, :] ** 2)).ravel()
    exact = optimize.brentq(lambda s: np.mean(growth**s) - 1, 0.1, 50)
    assert close(least_squares.empirical_tail_index(a[:, None], 1.0, 2, **SMALL), exact)
    single = least_squares.empirical_tail_index(a[:, None], 1.0, 1, key=KEY).value
    assert not close(least_squares.empirical_tail_index(a[:, None], 1.0, 2, **SMALL), single)


@pytest.mark.long
def test_orthogonal_inputs_are_one_dimensional_problems():
    """b = 1: axis j is hit by its own inputs alone; alpha is the smallest root."""
    a = np.array([[1.5, 0], [0.6, 0], [0, 1.6], [0, 0.9]])
    growth = np.abs(1 - np.where(a > 0, a, 0) ** 2).T
    roots = [optimize.brentq(lambda s, g=g: np.mean(g**s) - 1, 0.02, 50) for g in growth]
    assert abs(roots[0] - roots[1]) > 0.5
    found = least_squares.empirical_tail_index(a, 1.0, 1, population=5_000, steps=800, key=KEY)
    assert close(found, min(roots))


@pytest.mark.slow
def test_many_gaussian_inputs_have_the_gaussian_index():
    """1e5 inputs in 3 dimensions; in one, 200 sets of 2000: the standard deviation over the sets is that of the delta method."""
    rng = np.random.default_rng(8)
    eta = recursion.step_size_for(2.0, 1, 3)
    assert close(least_squares.empirical_tail_index(rng.normal(size=(100_000, 3)), eta, 1, **SMALL), 2.0)

    eta, n = 0.8, 2_000
    alpha = recursion.tail_index(eta, 1, 1)
    found = np.array([least_squares.empirical_tail_index(rng.normal(size=(n, 1)), eta, 1, key=KEY).value for _ in range(200)])
    slope = (recursion.moment(alpha + 1e-4, eta, 1, 1) - recursion.moment(alpha - 1e-4, eta, 1, 1)) / 2e-4
    deviation = np.sqrt((recursion.moment(2 * alpha, eta, 1, 1) - 1) / n) / slope
    z = (found - alpha) / deviation
    assert abs(z.mean()) < 5 / np.sqrt(200) and 0.75 < z.std() < 1.25
    assert np.std((found - alpha) / (deviation / np.sqrt(2))) > 1.25  # as if there were twice the inputs


WRONG = {
    "unstable covariance": (
        lambda: least_squares.gaussian_tail_index(np.diag([1.0, 2.0]), 3.0, 1, population=1000, steps=500, key=KEY),
        "Argument `step_size` must be such that the Lyapunov exponent is < 0 (here ",
    ),
    "unstable set": (
        lambda: least_squares.empirical_tail_index([[1.0], [2.0]], 3.0, 1, key=KEY),
        "Argument `step_size` must be such that the Lyapunov exponent is < 0 (here 1.55: no stationary law), but is 3.0.",
    ),
    "not square": (
        lambda: least_squares.gaussian_tail_index(np.ones((2, 3)), 0.1, 1, key=KEY),
        "Argument `covariance` must have as many rows as columns, but is an array of shape (2, 3).",
    ),
    "not symmetric": (
        lambda: least_squares.gaussian_tail_index([[1.0, 0.5], [0.0, 1.0]], 0.1, 1, key=KEY),
        "Argument `covariance` must be symmetric, but is [[1.0, 0.5], [0.0, 1.0]].",
    ),
    "negative": (
        lambda: recursion.homogenized_bounds(np.diag([1.0, -1.0]), 0.1, 1),
        "Argument `covariance` must have no negative eigenvalue, and a positive one, but is with -1.",
    ),
    "diffusion": (
        lambda: recursion.homogenized_bounds(np.eye(5), 1.0, 1),
        "Argument `step_size` must be smaller (the tail index would be below -1: there is no stationary law), but is 1.0.",
    ),
    "inputs": (
        lambda: least_squares.empirical_tail_index([1.0, 2.0], 0.1, 1, key=KEY),
        "Argument `inputs` must have 2 axes, but is an array of shape (2,).",
    ),
    "no inputs": (
        lambda: least_squares.empirical_tail_index([[0.0]], 0.1, 1, key=KEY),
        "Argument `inputs` must not be 0, but is [[0.0]].",
    ),
    "batch size": (
        lambda: least_squares.empirical_tail_index([[1.0]], 0.1, 0, key=KEY),
        "Argument `batch_size` must be an integer >= 1, but is 0.",
    ),
    "residuals": (
        lambda: network.tail_index(np.ones((3, 2)), np.ones((2, 1)), 0.1, 1, 0.1, key=KEY),
        "Argument `residuals` must have 3 rows, one for each input, but is an array of shape (2, 1).",
    ),
    "no ridge": (
        lambda: network.tail_index(np.ones((3, 2)), np.ones((3, 1)), 0.1, 1, population=1000, steps=500, key=KEY),
        "Argument `step_size` must be such that the Lyapunov exponent is < 0 (here ",
    ),
    "ridge": (
        lambda: network.quadratic_tail_index(3.0, 1.0),
        "Argument `step_size` must be below 2, where the ridge alone makes the weights diverge, but is 3.0.",
    ),
    "noise": (
        lambda: network.quadratic_tail_index(0.5, 0.1, 20.0),
        "Argument `step_size` must be such that the Lyapunov exponent is < 0 (here ",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name):
    call, message = WRONG[name]
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value).startswith(message)
