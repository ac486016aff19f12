"""Tail indices of networks: polynomials, nested quadrature, a known index, and simulations."""

import itertools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize

import meanfield as mf
from meanfield.measure.tails import hill
from meanfield.theory import network
from tests.theory.common import close

KEY = jax.random.key(0)
SMALL = {"key": KEY, "population": 3_000, "steps": 500}


def test_quadratic_growth_is_a_polynomial_at_even_orders():
    odd = lambda n: math.prod(range(n, 0, -2))  # noqa: E731
    for s in (2, 4, 10, 40):
        for m, gain in ((0.8, 0.2), (0.99, 0.01), (-0.5, 0.3), (0.0, 0.5)):
            terms = (
                math.comb(s, 2 * j) * Fraction(m) ** (s - 2 * j) * Fraction(gain) ** (2 * j) * odd(2 * j - 1) * odd(4 * j - 1)
                for j in range(s // 2 + 1)
            )
            np.testing.assert_allclose(network.quadratic_growth(s, m, gain), math.log(sum(terms)), rtol=1e-12, atol=1e-13)


def test_quadratic_growth_by_nested_quadrature():
    density = lambda x: np.exp(-x * x / 2) / np.sqrt(2 * np.pi)  # noqa: E731

    def inner(x, s, m, gain):
        ends = [-14, np.clip(-m / (gain * x * x), -14, 14), 14]
        f = lambda g: abs(m + gain * x * x * g) ** s * density(g)  # noqa: E731
        return sum(integrate.quad(f, *pair, epsrel=1e-11, epsabs=1e-14, limit=200)[0] for pair in itertools.pairwise(ends))

    for s, m, gain in ((0.5, 0.7, 0.3), (3.4516, 0.8, 0.2)):
        ends = (1e-9, 0.4, 0.8, 1.3, 2, 3, 5, 12)
        parts = [
            integrate.quad(lambda x, at=(s, m, gain): 2 * density(x) * inner(x, *at), *pair, epsrel=1e-9, epsabs=1e-12)[0]
            for pair in itertools.pairwise(ends)
        ]
        np.testing.assert_allclose(network.quadratic_growth(s, m, gain), np.log(sum(parts)), atol=2e-9)


@pytest.mark.parametrize(
    ("eta", "lam", "alpha"), [(0.2, 1.0, 3.451604895), (0.3, 1.0, 2.725600550), (0.4, 1.0, 2.294626585), (0.3, 0.5, 2.031040417)]
)
def test_quadratic_network(eta, lam, alpha):
    """Nested quadrature (scipy, 1e-12) of E|1 - eta lam + eta g x^2|^alpha is 1 at these."""
    assert abs(network.quadratic_tail_index(eta, lam) - alpha) < 1e-8
    assert abs(network.quadratic_tail_index(eta, lam / 2, 2.0) - alpha) > 0.1


def test_neurons_of_the_quadratic_network_have_this_index():
    """2e5 neurons, residuals frozen to the label noise: Hill with k = 1000 (3 %)."""
    rng, eta, lam, n = np.random.default_rng(2), 0.3, 1.0, 200_000
    w = np.zeros(n)
    for _ in range(60):
        g, x = rng.normal(size=(2, n))
        w = (1 - eta * lam) * w + eta * g * x * (w * x + 1)
    fit = hill(w, k=1000)
    assert abs(fit.alpha - network.quadratic_tail_index(eta, lam)) < 4 * fit.standard_error
    assert abs(fit.alpha - network.quadratic_tail_index(0.2, lam)) > 4 * fit.standard_error


@pytest.mark.long
def test_relu_network_with_a_known_index():
    """x = +-1, r = +-c: (a + w, a - w) are multiplied by m, m + eta c, m - eta c with chances 1/2, 1/4, 1/4."""
    x, r = np.array([[1.0], [1.0], [-1.0], [-1.0]]), np.array([[2.5], [-2.5], [2.5], [-2.5]])
    eta, lam = 0.5, 1.0
    exact = optimize.brentq(lambda s: 0.5 * 0.5**s + 0.25 * 0.75**s + 0.25 * 1.75**s - 1, 0.1, 20)
    found = network.tail_index(x, r, eta, 1, lam, **SMALL)
    assert close(found, exact)
    assert not close(network.tail_index(x, r, eta, 2, lam, **SMALL), exact)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_a_step_of_the_package_is_the_map(loss, key):
    """One step of `SGD` with a shared mini-batch of three examples, at the residuals of that network."""
    net = mf.TwoLayer("relu", loss, dim=4, outputs=3)
    particles = net.init(key, 7)
    x = jax.random.normal(jax.random.fold_in(key, 1), (3, 4))
    y = jnp.array([0, 2, 1])
    dynamics = mf.dynamics.SGD(0.4, batch_size=3, weight_decay=0.3)
    state = mf.dynamics.State(particles, jnp.asarray(0), net)
    moved = np.asarray(dynamics.step(jax.random.fold_in(key, 2), state, (x, y))[0].particles.vectors, np.float64)
    f = net.predict(particles, x)
    residual = np.asarray((f if loss == "squared" else jax.nn.softmax(f)) - jax.nn.one_hot(y, 3), np.float64)
    u, x = np.asarray(particles.vectors, np.float64), np.asarray(x, np.float64)
    rows = [(np.tile(x[i], (7, 1)), np.tile(residual[i], (7, 1))) for i in range(3)]
    expected = (1 - 0.4 * 0.3) * u - 0.4 / 3 * sum(network.relu_gradient(u, *row) for row in rows)
    np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-5)
    assert np.max(np.abs(moved - u)) > 0.05
