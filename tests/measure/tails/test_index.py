"""The index of a tail with an honest interval: coverage, power, verdicts, samples that are cut off or tied."""

import warnings

import numpy as np
import pytest

import meanfield as mf
from meanfield.measure import tails
from tests.measure.tails.common import LAWS, SLOWEST, chain, stable


def test_hill_reduced_is_the_maximum_of_its_likelihood():
    """The unbinned likelihood at the fit of the binned one is within 0.05 of its maximum by a general optimiser."""
    from scipy import optimize

    s = np.sort(abs(np.random.default_rng(5).standard_t(2, 5000)))[::-1]
    k = 800
    i = np.arange(1, k + 1)
    u, v = i * np.log(s[:k] / s[1 : k + 1]), i / k

    def cost(theta):
        mean = theta[0] + theta[1] * v ** (2 / 3) + theta[2] * v ** (4 / 3)
        return np.sum(mean + u * np.exp(-mean))

    best = optimize.minimize(cost, [-0.7, 0, 0], method="BFGS")
    fit = tails.hill_reduced(s, k=k)
    assert abs(np.log(fit.alpha) + best.x[0]) < 0.05 * fit.standard_error / fit.alpha
    constrained = optimize.minimize(lambda t: cost([-np.log(fit.alpha), *t]), best.x[1:], method="BFGS")
    assert constrained.fun - best.fun < 0.05


@pytest.mark.short(2)
@pytest.mark.parametrize("law", LAWS)
def test_tail_index_covers(law):
    """100 samples of 20 000: the interval covers at least 88 % (95 % less three standard errors); a wrong index it does not."""
    alpha, draw = LAWS[law]
    fit = tails.tail_index(draw(np.random.default_rng(6), (100, 20_000)))

    def covered(value):
        return np.mean((fit.interval[:, 0] < value) & (value < fit.interval[:, 1]))

    assert covered(alpha) >= 0.88
    assert covered(2 * alpha) < 0.6 and covered(alpha / 2) < 0.6
    assert abs(np.median(fit.alpha) / alpha - 1) < 0.08


@pytest.mark.slow
@pytest.mark.parametrize("step_size", [0.8, 0.5])
def test_tail_index_of_a_recursion_is_the_predicted_one(step_size):
    """24 ensembles of 50 000 chains; the predicted index of another step size lies outside most intervals."""
    x = chain(np.random.default_rng(7), step_size, 24 * 50_000).reshape(24, -1)
    fit = tails.tail_index(x)
    predicted, other = (mf.theory.recursion.tail_index(eta, 1, 1) for eta in (step_size, 1.3 - step_size))
    inside = [np.mean((fit.interval[:, 0] < a) & (a < fit.interval[:, 1])) for a in (predicted, other)]
    assert inside[0] >= 0.8 and inside[1] < 0.3


def test_whole_laws_sharpen_the_index_and_say_so():
    """Pareto and stable samples of 50 000 get the index of the whole sample, twenty others never do."""
    rng = np.random.default_rng(8)
    pareto = tails.tail_index(rng.pareto(1.5, (20, 50_000)) + 1)
    assert (pareto.status == tails.TailStatus.PARETO.code).sum() >= 19
    assert np.std(pareto.alpha) < 0.012 and np.median(pareto.standard_error) > 0.02
    fit = tails.tail_index(stable(rng, 1.5, (20, 50_000)))
    assert (fit.status == tails.TailStatus.STABLE.code).sum() >= 19 and np.std(fit.alpha) < 0.013
    other = tails.tail_index(np.concatenate([rng.standard_t(1.5, (10, 50_000)), 1 / rng.exponential(size=(10, 50_000))]))
    assert not np.isin(other.status, [tails.TailStatus.PARETO.code, tails.TailStatus.STABLE.code]).any()


def test_light_tails_have_no_index():
    uniform = tails.moment_estimator(np.random.default_rng(13).random((5, 5000)), k=500)
    assert np.isinf(uniform.alpha).all() and (uniform.status == tails.TailStatus.LIGHT.code).all()


@pytest.mark.long(2)
@pytest.mark.parametrize("law", SLOWEST)
def test_tail_index_covers_where_the_second_order_is_slow(law):
    """100 samples of 1000 and of 10 000, 20 of 100 000: the interval covers at least 88 % (95 % less three standard errors)."""
    alpha, draw = SLOWEST[law]
    rng = np.random.default_rng(36)
    for n, count in ((1000, 100), (10_000, 100), (100_000, 20)):
        fit = tails.tail_index(draw(rng, (count, n)))
        assert np.mean((fit.interval[:, 0] < alpha) & (alpha < fit.interval[:, 1])) >= (0.88 if count > 20 else 0.8)
        assert np.mean(fit.interval[:, 1] / fit.interval[:, 0]) < {1000: 5, 10_000: 3, 100_000: 2}[n]  # power


def test_a_tail_that_has_not_begun_is_covered_or_said():
    """100 samples of 1000 of |stable 1.99|, and of 1 % of Pareto in a normal: covered, or NOT_BEGUN; a Pareto sample is not that."""
    rng = np.random.default_rng(37)
    mixed = np.where(rng.random((100, 1000)) < 0.01, rng.random((100, 1000)) ** (-1 / 1.5), rng.normal(size=(100, 1000)))
    for alpha, x in ((1.99, stable(rng, 1.99, (100, 1000))), (1.5, mixed)):
        fit = tails.tail_index(x)
        covered = (fit.interval[:, 0] < alpha) & (alpha < fit.interval[:, 1])
        assert np.mean(covered | (fit.status == tails.TailStatus.NOT_BEGUN.code)) >= 0.95
    pareto = tails.tail_index(rng.random((100, 1000)) ** (-1 / 1.5))
    assert np.mean(pareto.status == tails.TailStatus.NOT_BEGUN.code) < 0.5


@pytest.mark.parametrize("unit", [1.0, 0.5])
def test_rounded_values_are_spread(unit):
    """200 samples of 1000 of a Pareto law, rounded down: covered 90 to 100 % (fixed powers: 60 %)."""
    x = np.floor(np.random.default_rng(38).random((200, 1000)) ** (-1 / 1.5) / unit) * unit
    fit = tails.tail_index(x)
    assert np.mean((fit.interval[:, 0] < 1.5) & (fit.interval[:, 1] > 1.5)) >= 0.9


def test_what_stands_beside_a_sample_does_not_matter():
    """Stacked with samples that have few positive values, many zeros, ties or an end, every number is that of the sample alone."""
    rng = np.random.default_rng(31)
    x = np.stack([rng.standard_t(2, 4000) for _ in range(6)])
    x[1] = -abs(x[1])
    x[1, :80] = rng.pareto(2, 80)
    x[2, 500:] = 0
    x[3] = np.clip(x[3], -3, 3)
    x[4] = np.round(x[4], 1)
    together, families = tails.tail_index(x, "upper"), tails.tail_family(x, "upper")
    for i in range(6):
        alone, family = tails.tail_index(x[i], "upper"), tails.tail_family(x[i], "upper")
        for part in ("alpha", "interval", "k", "threshold", "status", "extremal_index"):
            np.testing.assert_array_equal(getattr(together, part)[i], getattr(alone, part), err_msg=f"{part} of {i}")
        assert families.family[i] is family.family.item()
        np.testing.assert_array_equal(families.log_evidence[i], family.log_evidence)
        np.testing.assert_array_equal(families.index_slope[i], family.index_slope)


CUT_OFF = {
    "Student 3 at 10": lambda rng, size: np.clip(rng.standard_t(3, size), -10, 10),
    "uniform at 0.995": lambda rng, size: np.minimum(rng.random(size), 0.995),
    "normal at 3": lambda rng, size: np.clip(rng.standard_normal(size), -3, 3),
    "log-normal at 12": lambda rng, size: np.minimum(rng.lognormal(size=size), 12.0),
}


@pytest.mark.short(3)
@pytest.mark.parametrize("n", [10_000, 100_000])
@pytest.mark.parametrize("law", CUT_OFF)
def test_a_sample_that_was_cut_off_has_no_index(law, n):
    """Five and more equal largest values, in each of 5 samples: no number, no power law, no warning."""
    x = CUT_OFF[law](np.random.default_rng(32), (5, n))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit, family = tails.tail_index(x), tails.tail_family(x)
    assert (fit.status == tails.TailStatus.TIED.code).all() and np.isinf(fit.alpha).all()
    assert (fit.interval == [0, np.inf]).all()
    assert all(one is tails.Family.LIGHT for one in family.family)


def test_five_equal_values_are_an_end_and_four_are_chance():
    x = np.sort(np.random.default_rng(34).pareto(1.5, 5000) + 1)
    for count, tied in ((4, False), (5, True)):
        fit = tails.tail_index(np.minimum(x, x[-count]))
        assert (fit.status == tails.TailStatus.TIED.code) == tied and np.isfinite(fit.alpha) != tied


@pytest.mark.slow
def test_intervals_hold_stable_laws_next_to_the_normal_law():
    """400 samples of |stable 1.99| and |stable 1.95| at 10 000, 20 at 100 000: covered, or said not to have begun, in 90 % and more."""
    for alpha, n, samples in ((1.99, 10_000, 400), (1.95, 10_000, 400), (1.95, 100_000, 20)):
        fit = tails.tail_index(stable(np.random.default_rng(33), alpha, (samples, n)))
        covered = (fit.interval[:, 0] < alpha) & (alpha < fit.interval[:, 1])
        assert np.mean(covered | (fit.status == tails.TailStatus.NOT_BEGUN.code)) >= 0.9
