"""One component and one output: half lines, continuous time and the law near 0, by sums over mini-batches and by simulations."""

import itertools

import numpy as np
import pytest

from meanfield.measure.tails import hill
from meanfield.theory import collapse, network
from tests.theory.collapse.common import KEY, R, X, enumerated, grown


@pytest.mark.parametrize("batch_size", [1, 2])
def test_half_lines(batch_size):
    """Neurons with |w| > |a| on both sides of 0, by the ReLU step itself, 2000 of each and 300 steps: the mean over independent neurons."""
    eta, lam = 0.4, 0.3
    grow, _ = network.relu_steps(X, R, eta, batch_size, lam)
    exact = collapse.half_line_exponents(X, R, eta, batch_size, lam)
    for side, expected, other in zip((1, -1), exact, exact[::-1], strict=True):
        _, u = grown(grow, np.tile([side, 0.3], (2_000, 1)), 100)
        log, u = grown(grow, u, 300, seed=1)
        error = np.std(log / 300) / 2_000**0.5
        assert abs(np.mean(log) / 300 - expected) < 4 * error < abs(expected - other)
        assert np.all(u[:, 0] * side > 0)
    signed = [enumerated(np.where(X > 0, X * R, 0).ravel(), eta, batch_size, lam, sign) for sign in (1, -1)]
    assert abs(exact[0] - max(signed)) < 1e-12


def test_a_side_without_examples_is_dead():
    found = collapse.half_line_exponents(np.abs(X), R, 0.4, 1, 0.3)
    assert found[1] == pytest.approx(collapse.dead_exponent(0.4, 0.3), abs=1e-14)


# -- continuous time ------------------------------------------------------------------------------------------------------


def test_continuous_time_is_the_limit_of_small_steps():
    """With `(eta / 2) (E h)^2` added what is left is of order eta^2: a quarter at half the step. Without it, half."""
    left, without = [], []
    for eta in (0.02, 0.01):
        rate = -collapse.exponent(X, R, eta, 2, 1.0, activation=1.0, key=KEY).value / eta
        criterion = collapse.diffusion_criterion(X, R, eta, 2, 1.0)
        drift = 1.0 - abs(np.mean(X * R))
        left.append(rate - criterion - eta / 2 * drift**2)
        without.append(rate - criterion)
    assert left[1] / left[0] == pytest.approx(0.25, abs=0.02)
    assert without[1] / without[0] == pytest.approx(0.5, abs=0.05)


def test_the_boundary_of_continuous_time_is_that_of_small_steps():
    """Residuals with mean 0 but for a part of order eta: the ridges part by a relative order of eta, tenfold at ten times the step."""
    apart = []
    for eta in (0.2, 0.02):
        r = np.array([[1.0], [-1.0]]) + eta
        x = np.ones((2, 1))
        ridge = collapse.boundary(x, r, 1, eta, activation=1.0, key=KEY).value
        apart.append(abs(collapse.diffusion_criterion(x, r, eta, 1, ridge)) / ridge)
    assert 0 < apart[1] < 0.2 * apart[0] < 0.1


def test_the_criterion_is_that_of_itos_formula():
    """Euler's scheme with 80 small steps for each step of SGD, 4000 paths of 25, for the line with the smaller criterion.

    Half or twice the noise, and the other line, are beyond the five standard errors.
    """
    eta, lam, rng = 0.3, 0.1, np.random.default_rng(1)
    h = lam - X[:, 0] * R[:, 0] * np.sign(np.mean(X * R))
    small, log = eta / 80, np.zeros(4_000)
    for _ in range(2_000):
        log += np.log(np.abs(1 - small * np.mean(h) + np.sqrt(eta * np.var(h) * small) * rng.normal(size=4_000)))
    rate = log / (2_000 * small)
    found = collapse.diffusion_criterion(X, R, eta, 1, lam)
    wrong = found - eta / 4 * np.var(h), found + eta / 2 * np.var(h), found + 2 * (lam - np.mean(h))
    error = np.std(rate) / 4_000**0.5
    assert abs(np.mean(rate) + found) < 5 * error < min(abs(np.mean(rate) + number) for number in wrong)


# -- near 0 ---------------------------------------------------------------------------------------------------------------


def held(products, eta, steps, count, mixed, seed=0):
    """Lengths of neurons that are put back to length 1 whenever they are longer, in a random direction (mixed) or in their own.

    In their own the component with the smaller exponent fades for ever: it starts e^-50 times the other one.
    """
    rng = np.random.default_rng(seed)
    log, signs = np.tile([[0.0 if mixed else -50.0], [0.0]], (1, count)), np.array([[1.0], [-1.0]])
    for _ in range(steps):
        log = log + np.log(np.abs(1 - signs * eta * products[rng.integers(len(products), size=count)]))
        over = np.max(log, axis=0)
        fresh = np.log(np.abs(rng.normal(size=(2, count))))
        back = fresh - np.max(fresh, axis=0) if mixed else log - over
        log = np.where(over > 0, back, log)
    return np.exp(np.max(log, axis=0))


@pytest.mark.parametrize("mixed", [False, True])
def test_the_law_near_0(mixed):
    """100 000 neurons held below length 1: 1 / length has the tail index s, by Hill with k = 500 (4.5 %).

    The exponents of the lines are .20 and .37, the indices .74 and 1.34.
    """
    r = np.array([[3.0], [-2.5], [0.8], [-0.6]])
    x, eta = np.ones((4, 1)), 1.0
    s = collapse.origin_index(x, r, eta, 1, mixed=mixed)
    fit = hill(1 / held(r[:, 0], eta, 100, 100_000, mixed), k=500)
    assert abs(fit.alpha - s) < 4 * fit.standard_error
    assert abs(fit.alpha - collapse.origin_index(x, r, eta, 1, mixed=not mixed)) > 4 * fit.standard_error


def test_origin_index_solves_its_equation():
    s = collapse.origin_index(X, R, 0.3, 2, 0.02)
    draws = np.array([np.mean(one) for one in itertools.product((X * R).ravel(), repeat=2)])
    sign = np.sign(np.mean(X * R))
    assert abs(np.mean((1 - 0.3 * 0.02 + sign * 0.3 * draws) ** -s) - 1) < 1e-10
    assert collapse.origin_index(X[:1], R[:1], 0.3, 1) == np.inf  # one example, and the loss falls along the line
