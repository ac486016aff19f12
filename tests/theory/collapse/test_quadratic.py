"""Neurons with quadratic activation: quadrature, closed forms, and the slope of the growth at 0."""

import itertools

import numpy as np
import pytest
from scipy import integrate

from meanfield.theory import collapse, network
from meanfield.theory.collapse import quadratic


def test_mean_log_of_a_normal_variable():
    """By quadrature with the singularity as an end, on both sides of the change of method at 10."""
    density = lambda g: np.exp(-g * g / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    for mean in (0.0, 0.3, 2.0, 9.9, 10.1, 30.0):
        f = lambda g, mean=mean: np.log(abs(g + mean)) * density(g)  # noqa: E731
        ends = np.unique([-20, np.clip(-mean, -20, 20), 0, 20])
        parts = [integrate.quad(f, *pair, epsabs=1e-13, epsrel=1e-12, limit=300)[0] for pair in itertools.pairwise(ends)]
        np.testing.assert_allclose(quadratic._mean_log_normal(np.array([mean])), sum(parts), atol=1e-11)


def test_quadratic_exponent_where_it_is_known():
    """At eta lam = 1 the factor is eta s g x^2, and E log |g| = -(gamma + log 2) / 2."""
    exact = np.log(0.5 * 1.3) - 3 * (np.euler_gamma + np.log(2)) / 2
    assert abs(collapse.quadratic_exponent(0.5, 2.0, 1.3) - exact) < 1e-10


@pytest.mark.parametrize(("eta", "lam", "std"), [(0.2, 1.0, 1.0), (0.4, 0.5, 2.0), (0.1, 0.0, 1.0), (0.3, 5.0, 1.0)])
def test_quadratic_exponent_is_the_slope_of_the_growth(eta, lam, std):
    growth = [network.quadratic_growth(s, 1 - eta * lam, eta * std) / s for s in (1e-3, 2e-3)]
    found = collapse.quadratic_exponent(eta, lam, std)
    assert abs(2 * growth[0] - growth[1] - found) < 1e-5
    assert abs(growth[0] - found) > 1e-5
