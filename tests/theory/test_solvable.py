"""Solvable limits: closed forms against direct recursions and simulations, the radial flow against tabulated values."""

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.optimize import nnls

import meanfield as mf
from meanfield.theory import solvable as theory
from meanfield.theory import stable


@pytest.mark.parametrize("minibatches", ["shared", "independent"])
@pytest.mark.parametrize("width", [2, 7])
def test_linear_toy_solves_its_covariance_equation(minibatches, width):
    """C <- A C A' + K iterated in float64, A = (1 - gamma lam) I - (gamma / N) 1 1'."""
    gamma, lam, v, b = 0.3, 0.7, 2.0, 5
    a = (1 - gamma * lam) * np.eye(width) - gamma / width
    kick = gamma**2 * v / b * (np.ones((width, width)) if minibatches == "shared" else np.eye(width))
    c = np.zeros((width, width))
    for _ in range(2000):
        c = a @ c @ a.T + kick
    toy = theory.linear_toy(gamma, lam, v, b, width, minibatches)
    np.testing.assert_allclose(toy.variance, c[0, 0], rtol=1e-12)
    np.testing.assert_allclose(toy.correlation, c[0, 1] / c[0, 0], rtol=1e-10)
    np.testing.assert_allclose(toy.mean_variance, c.mean(), rtol=1e-12)


def test_linear_toy_in_the_limits_of_the_theory():
    """Small steps: gamma Var(y) / (2 lam) and 0; gamma Var(y) / (2 (1 + lam)) and 1."""
    independent = theory.linear_toy(1e-6, 0.5, 3.0, minibatches="independent")
    shared = theory.linear_toy(1e-6, 0.5, 3.0)
    np.testing.assert_allclose(independent.variance, 1e-6 * 3 / (2 * 0.5), rtol=1e-5)
    np.testing.assert_allclose(shared.mean_variance, 1e-6 * 3 / (2 * 1.5), rtol=1e-5)
    assert (independent.correlation, independent.mean_variance, shared.correlation) == (0.0, 0.0, 1.0)
    narrow = [theory.linear_toy(0.1, 1.0, 1.0, width=n, minibatches="independent").correlation * n for n in (1000, 10_000)]
    np.testing.assert_allclose(narrow[0], narrow[1], rtol=2e-3)  # O(1/N)


def test_response_is_an_expectation():
    for tau in (0.1, 0.5, 1.44, 7.0):
        sigma = lambda z: np.clip(10 * z - 7.5, -2.5, 7.5)  # noqa: E731
        points = [c / tau for c in (0.5, 1.5) if c / tau < 12]
        expected, _ = integrate.quad(lambda g: sigma(tau * g) * stats.norm.pdf(g), -12, 12, points=points, epsabs=1e-12)  # noqa: B023
        np.testing.assert_allclose(theory.response(tau), expected, rtol=1e-8, atol=1e-10)
        slope = (theory.response(tau + 1e-6) - theory.response(tau - 1e-6)) / 2e-6
        np.testing.assert_allclose(theory.response_slope(tau), slope, rtol=1e-6, atol=1e-8)


POINT = [1.64451, 1.31639, 1.16621, 1.06186, 0.96067, 0.52928, 0.49283]
SPREAD = [1.67673, 1.31899, 1.16515, 1.05978, 0.94354, 0.14727, 0.03626]
TIMES = [0, 0.1, 0.3, 1, 3, 10, 30]


def test_radial_flow_from_one_radius():
    """Tabulated risks (computed independently); the flow ends at the best single sphere, not at the least risk."""
    np.testing.assert_allclose(theory.radial_flow([0.8], 0.8, TIMES).risks, POINT, atol=6e-6)


@pytest.mark.slow
def test_radial_flow_from_gaussian_weights_in_40_dimensions():
    radii = 0.8 * np.sqrt(stats.chi2(40).ppf((np.arange(400) + 0.5) / 400) / 40)
    flow = theory.radial_flow(radii, 0.8, TIMES)
    np.testing.assert_allclose(flow.risks, SPREAD, atol=6e-6)
    assert flow.radii.shape == (7, 400) and (np.diff(flow.risks) < 0).all()
    slower = theory.radial_flow(radii, 0.8, np.array(TIMES) / 2).risks
    assert np.abs(slower[1:] - SPREAD[1:]).min() > 1e-3  # a factor in the time shows


def on_a_grid(delta):
    """Least risk of laws on a grid of radii, as a non-negative least-squares problem: another method, an upper bound."""
    grid = np.append(np.linspace(0, 6, 12_001), [10.0, 100.0, 1e5])
    rows = np.stack([theory.response((1 + delta) * grid), theory.response((1 - delta) * grid), np.full(len(grid), 1e3)])
    weights, _ = nnls(rows, np.array([1.0, -1.0, 1e3]), maxiter=100_000)
    return 0.5 * np.sum((rows[:2] @ weights / weights.sum() - [1, -1]) ** 2)


@pytest.mark.parametrize(("delta", "risk"), [(0.1, 0.62882), (0.2, 0.34115), (0.3, 0.13924), (0.4, 0.02557)])
def test_minimal_risk(delta, risk):
    """Tabulated values, and the other method."""
    assert abs(theory.minimal_risk(delta) - risk) < 6e-6
    assert theory.minimal_risk(delta) - 1e-9 < on_a_grid(delta) < theory.minimal_risk(delta) + 1e-6


def test_zero_risk_threshold():
    """0.474219. The value 0.4738 in circulation has a least risk of 8e-7: it is where the risk falls below a tolerance of 1e-6."""
    threshold = theory.zero_risk_threshold()
    np.testing.assert_allclose(threshold, 0.47421895, atol=1e-8)
    assert theory.minimal_risk(threshold + 1e-6) == 0 and theory.minimal_risk(threshold - 1e-6) > 0
    assert on_a_grid(threshold + 1e-4) < 1e-15 and on_a_grid(threshold - 1e-4) > 1e-8
    np.testing.assert_allclose([theory.minimal_risk(0.4738), on_a_grid(0.4738)], 8.2e-7, rtol=0.01)


WRONG = {
    "toy": (
        lambda: theory.linear_toy(1.5, 1.0, 1.0),
        "Argument `step_size` must be below 1: from there on there is no stationary law, but is 1.5.",
    ),
    "width": (
        lambda: theory.linear_toy(0.1, 1.0, 1.0, width=1),
        "Argument `width` must be an integer >= 2, or infinity, but is 1.",
    ),
    "euler": (
        lambda: stable.euler_scale(1.5, 1.0, 2.5),
        "Argument `step_size` must be below 2: from there on the scheme has no stationary law, but is 2.5.",
    ),
    "alpha": (lambda: stable.tail_constant(2.1), "Argument `alpha` must lie in (0, 2], but is 2.1."),
    "delta": (lambda: theory.minimal_risk(1.0), "Argument `delta` must be a number in (0, 1), but is 1.0."),
    "times": (
        lambda: theory.radial_flow([1.0], 0.5, [1.0, 0.5]),
        "Argument `times` must be increasing numbers >= 0, but is [1.0, 0.5].",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name):
    call, message = WRONG[name]
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value) == message
