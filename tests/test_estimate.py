"""One estimate for all: its interval, its degrees of freedom, and that measurements, solvers and comparisons share it."""

import jax
import numpy as np
import pytest
from scipy import stats

import meanfield as mf
from meanfield import _estimate, verify
from meanfield._estimate import mean, quantile
from meanfield.measure import chaos, distances, rates, tails
from meanfield.theory import least_squares

X = np.random.default_rng(0).pareto(1.5, (60, 50)) + 1


@pytest.mark.parametrize("dof", [3, 20.0, np.inf])
@pytest.mark.parametrize("value", [1.5, np.array([1.0, -2.0, 0.0])])
def test_the_interval_is_students(value, dof):
    found = mf.Estimate(value, 0.1 + 0 * value, dof=dof)
    law = stats.norm() if np.isinf(dof) else stats.t(dof)
    expected = np.stack([value + 0.1 * law.ppf(0.025), value + 0.1 * law.ppf(0.975)], axis=-1)
    np.testing.assert_allclose(found.interval, expected, rtol=1e-12)
    assert quantile(0.9, dof) == pytest.approx(law.ppf(0.9), rel=1e-12)


@pytest.mark.parametrize("factor", [2.0, -0.5, 0.0])
def test_an_estimate_is_mapped_with_all_that_it_says(factor):
    for value in (3.0, np.array([3.0, 4.0])):
        one = mf.Estimate(value, 0.2 + 0 * value, dof=5, bias=0.1, why="a reason")
        found = one.mapped(factor, 1.0)
        again = mf.Estimate(factor * value + 1, abs(factor) * one.standard_error, dof=5)
        np.testing.assert_allclose(found.interval, again.interval, atol=1e-12)
        assert (found.dof, found.bias, found.why) == (5, abs(factor) * 0.1, "a reason")
    skewed = mf.Estimate(0.0, 1.0, (-1.0, 3.0)).mapped(-2.0)
    assert skewed.interval == (-6.0, 2.0)


def test_the_mean_covers():
    """4000 means of 5 normal values: 95 % within five standard errors; a law shifted by two errors is not covered."""
    found = mean(np.random.default_rng(1).standard_normal((4000, 5)))
    covers = lambda truth: np.mean((found.interval[:, 0] <= truth) & (truth <= found.interval[:, 1]))  # noqa: E731
    assert abs(covers(0.0) - 0.95) < 5 * np.sqrt(0.05 * 0.95 / 4000) and covers(2 / np.sqrt(5)) < 0.75
    single = mean([[1.0], [2.0]])
    assert single.value.tolist() == [1, 2] and np.isnan(single.standard_error).all() and np.isnan(single.interval).all()


SHARED = {
    "distance": lambda: distances.mmd(X, 2 * X),
    "sliced": lambda: distances.sliced_wasserstein(X, 2 * X, key=jax.random.key(0)),
    "correlation": lambda: chaos.correlation(X),
    "fluctuation": lambda: chaos.fluctuation(X, 3.0).ratio,
    "rate": lambda: rates.rate([1, 2], X[:, :2]),
    "mean": lambda: rates.mean(X[0]),
    "solver": lambda: least_squares.empirical_tail_index([[1.0], [0.5], [2.0]], 0.6, 1, key=jax.random.key(0)),
    "verify": lambda: verify.mean(X),
    "tail": lambda: tails.hill(X[0]),
}


@pytest.mark.parametrize("name", SHARED)
def test_every_measurement_has_the_four_parts(name):
    found = SHARED[name]()
    low, high = found.interval
    assert low <= found.value <= high and found.standard_error >= 0 and found.dof >= 1
    assert isinstance(found, mf.Estimate) or name == "tail"
    if name not in ("tail", "solver"):  # those have another form, and no error
        assert verify.compare(name, float(found), found, 1.0, 0.05).p_value == 1


WRONG = {
    "value text": (lambda: mf.Estimate("1", 0.1), "Argument `value` must be a number, or an array of numbers, but is '1'."),
    "error list": (
        lambda: mf.Estimate(1.0, [0.1]),
        "Argument `standard_error` must be a number, or an array of numbers, but is [0.1].",
    ),
    "dof in the place of the interval": (
        lambda: mf.Estimate(1.0, 0.1, 7),
        "Argument `interval` must have the shape (2,): two ends for every value, but is 7.",
    ),
    "interval": (
        lambda: mf.Estimate(np.ones(3), np.ones(3), np.zeros((2, 3))),
        "Argument `interval` must have the shape (3, 2): two ends for every value, but is [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]].",
    ),
    "mean of NaN": (
        lambda: mean([1.0, np.nan]),
        "Argument `values` must be finite, but is an array with 1 NaN or infinite of 2 entries.",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_part_is_a_sentence(case):
    make, message = WRONG[case]
    with pytest.raises(mf.ArgumentError) as error:
        make()
    assert str(error.value) == message


def test_the_normal_quantile_is_what_it_says():
    assert _estimate.quantile((1 + _estimate.LEVEL) / 2) == _estimate.NORMAL
