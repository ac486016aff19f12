"""Hill's estimator and its relatives: formulas written again as loops, coverage, known laws, bad input."""

import itertools

import numpy as np
import pytest
from scipy import stats

import meanfield as mf
from meanfield.measure import tails


def test_hill_is_its_formula():
    x = np.random.default_rng(0).pareto(2.0, (3, 4, 500)) + 1
    fit = tails.hill(x, k=40)
    for i, j in itertools.product(range(3), range(4)):
        ordered = np.sort(x[i, j])[::-1]
        alpha = 1 / np.mean([np.log(ordered[m] / ordered[40]) for m in range(40)])
        np.testing.assert_allclose(fit.alpha[i, j], alpha, rtol=1e-12)
        assert fit.threshold[i, j] == ordered[40]
    assert fit.interval.shape == (3, 4, 2) and fit.k == 40 and fit.n == 500 and fit.method == "hill"
    np.testing.assert_allclose(fit.standard_error, fit.alpha / np.sqrt(40))


@pytest.mark.parametrize("k", [5, 50, 500])
def test_hill_intervals_cover(k):
    """4000 Pareto samples of 2000: 95 % covered within five standard errors; an index three standard errors away is not."""
    rng = np.random.default_rng(k)
    x = rng.pareto(1.3, (4000, 2000)) + 1
    interval = tails.hill(x, k).interval

    def z(alpha):
        covered = np.mean((interval[:, 0] < alpha) & (alpha < interval[:, 1]))
        return (covered - 0.95) / np.sqrt(0.95 * 0.05 / 4000)

    assert abs(z(1.3)) < 5
    assert z(1.3 * (1 + 3 / np.sqrt(k))) < -5


@pytest.mark.parametrize("law", [stats.pareto(0.5), stats.pareto(3.0), stats.t(1.5), stats.invweibull(1.5)])
def test_hill_on_known_laws(law):
    """Mean of 100 samples of 20 000 at k = 200 within five standard errors plus 2 % bias; the other laws' indices are not."""
    truth = {"pareto": lambda a: a, "t": lambda a: a, "invweibull": lambda a: a}[law.dist.name](law.args[0])
    x = np.abs(law.rvs((100, 20_000), random_state=np.random.default_rng(1)))
    alpha = tails.hill(x, 200).alpha
    assert abs(alpha.mean() - truth) < 0.02 * truth + 5 * truth / np.sqrt(200 * 100)
    assert abs(alpha.mean() - 1.1 * truth) > 0.02 * truth + 5 * truth / np.sqrt(200 * 100)


def test_hill_scale_invariance_and_extremes():
    x = np.random.default_rng(0).pareto(0.05, 1000) + 1  # up to 1e60 and more
    assert np.isfinite(tails.hill(x).alpha)
    np.testing.assert_allclose(tails.hill(x * 1e-200, 30).alpha, tails.hill(x, 30).alpha, rtol=1e-9)


def test_hill_ties_and_zeros():
    tied = tails.hill(np.concatenate([np.arange(90.0), np.full(20, 100.0)]))
    assert np.isinf(tied.alpha) and tied.status == tails.TailStatus.TIED.code
    half = np.concatenate([np.zeros(50), np.arange(1.0, 51)])
    assert tails.hill(half, k=49).status == tails.TailStatus.OK.code
    with pytest.raises(mf.ArgumentError, match=r"Argument `x` must have at least k \+ 1 = 51 positive values"):
        tails.hill(half, k=50)


def test_hill_default_k():
    assert [tails.hill(np.arange(1.0, n + 1)).k for n in (50, 128, 8192)] == [10, 10, 409]


@pytest.mark.parametrize(
    ("x", "k", "message"),
    [
        ([1.0, np.nan, 2.0], None, "Argument `x` must be finite, but is an array with 1 NaN or infinite of 3 entries."),
        (np.arange(60.0), 60, "Argument `k` must be less than the size of a sample, 60, but is 60."),
        (np.arange(60.0), 0, "Argument `k` must be an integer >= 1, but is 0."),
        (np.arange(49.0), None, "Argument `x` must hold at least 50 values a sample, but is an array of shape (49,)."),
    ],
)
def test_hill_bad_input(x, k, message):
    with pytest.raises(mf.ArgumentError) as caught:
        tails.hill(x, k)
    assert str(caught.value) == message


def test_moments_pickands_and_kernel_are_their_formulas():
    x = np.random.default_rng(1).standard_t(1, (2, 400))
    fits = tails.moment_estimator(x, k=60), tails.pickands(x, k=60), tails.kernel_estimator(x, k=60)
    for i in range(2):
        s = np.sort(abs(x[i]))[::-1]
        excess = [np.log(s[j] / s[60]) for j in range(60)]
        m1, m2 = np.mean(excess), np.mean(np.square(excess))
        gamma = m1 + 1 - 0.5 / (1 - m1**2 / m2)
        np.testing.assert_allclose(fits[0].alpha[i], 1 / gamma if gamma > 0 else np.inf, rtol=1e-9)
        gamma = np.log((s[14] - s[29]) / (s[29] - s[59])) / np.log(2)
        np.testing.assert_allclose(fits[1].alpha[i], 1 / gamma if gamma > 0 else np.inf, rtol=1e-10)
        weights = [(1 - (j / 61) ** 2) ** 2 for j in range(1, 61)]
        terms = [w * j * np.log(s[j - 1] / s[j]) for j, w in enumerate(weights, 1)]
        np.testing.assert_allclose(1 / fits[2].alpha[i], sum(terms) / sum(weights), rtol=1e-10)
