"""Tail estimators: formulas written again as loops, laws with a known index, coverage, power, verdicts, bad input."""

import collections
import functools
import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal, stats

import meanfield as mf
from meanfield.measure import tails


def stable(rng, alpha, size):
    """Symmetric stable, by Chambers, Mallows and Stuck."""
    u, w = rng.uniform(-np.pi / 2, np.pi / 2, size), rng.exponential(size=size)
    return np.sin(alpha * u) / np.cos(u) ** (1 / alpha) * (np.cos((1 - alpha) * u) / w) ** ((1 - alpha) / alpha)


def chain(rng, step_size, n, steps=150):
    """One-dimensional SGD on least squares with Gaussian inputs and labels."""
    x = np.zeros(n)
    for _ in range(steps):
        a = rng.standard_normal(n)
        x = (1 - step_size * a * a) * x + step_size * a * rng.standard_normal(n)
    return x


LAWS = {
    "Pareto 1.5": (1.5, lambda rng, size: rng.pareto(1.5, size) + 1),
    "Student 2": (2.0, lambda rng, size: rng.standard_t(2, size)),
    "Frechet 1": (1.0, lambda rng, size: 1 / rng.exponential(size=size)),
    "Burr 2, rho -1": (2.0, lambda rng, size: np.sqrt(1 / rng.random(size) - 1)),
    "stable 1.5": (1.5, lambda rng, size: stable(rng, 1.5, size)),
}
POSITIVE = [
    tails.hill,
    tails.moment_estimator,
    tails.pickands,
    tails.kernel_estimator,
    tails.hill_reduced,
    tails.power_law,
    tails.tail_index,
]
EVERY = [*POSITIVE, tails.block_log_moment, tails.stable_quantile, tails.stable_characteristic]


def name(f):
    return f.__name__


# -- formulas -----------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("vectors", [False, True])
def test_block_log_moment_is_the_founding_papers(vectors):
    """Median over the block lengths 2, 5, 10 ... lowered to divisors of n, and the largest divisor up to sqrt(n)."""
    n = 1800
    x = stable(np.random.default_rng(1), 1.4, (n, 3) if vectors else (n, 1))
    estimates = []
    for m in (2, 5, 10, 20, 50, 100, 450, 900, 40):  # 500 and 1000 > n / 2 = 900: 500 -> 450; 1000 is left out; sqrt -> 40
        if m == 900:
            continue
        y = np.linalg.norm(x.reshape(n // m, m, -1).sum(axis=1), axis=1)
        estimates.append(np.log(m) / (np.log(y).mean() - np.log(np.linalg.norm(x, axis=1)).mean()))
    fit = tails.block_log_moment(x if vectors else x[:, 0], vectors=vectors)
    np.testing.assert_allclose(fit.alpha, np.median(estimates), rtol=1e-9)


def test_block_log_moment_clips_only_when_asked():
    x = np.random.default_rng(3).normal(size=(20, 1000))
    plain, clipped = tails.block_log_moment(x), tails.block_log_moment(x, clip=True)
    assert plain.alpha.max() > 2 and clipped.alpha.max() == 2
    assert ((clipped.status == tails.TailStatus.BOUND.code) == (plain.alpha > 2)).all()


def test_power_law_threshold_minimises_the_distance():
    """Against every candidate by brute force; a body below the threshold is found to within a tenth of k."""
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.uniform(0, 1, 3000), rng.pareto(2.2, 2000) + 1])
    fit = tails.power_law(x)
    s = np.sort(x)[::-1]

    def distance(k):
        alpha = 1 / np.mean(np.log(s[:k] / s[k]))
        model, i = (s[:k] / s[k]) ** -alpha, np.arange(1, k + 1)
        return max(np.max(i / k - model), np.max(model - (i - 1) / k))

    everything = min(distance(k) for k in range(10, 4999))
    assert distance(fit.k) <= 1.15 * everything and abs(fit.k - 2000) < 400
    assert fit.threshold == s[fit.k] and fit.interval[0] < 2.2 < fit.interval[1]


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


# -- laws with a known index ----------------------------------------------------------------------------------------------


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


@pytest.mark.long(1)
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


@pytest.mark.parametrize("estimator", [tails.stable_quantile, tails.stable_characteristic, tails.block_log_moment], ids=name)
@pytest.mark.parametrize("alpha", [0.8, 1.2, 1.5, 1.8])
def test_stable_estimators_on_stable_laws(estimator, alpha):
    """200 samples of 5000: mean within five standard errors (plus 0.005), spread as stated within 20 %, coverage 87 to 99.9 %."""
    fit = estimator(stable(np.random.default_rng(9), alpha, (200, 5000)))
    error = np.median(fit.standard_error)
    assert abs(fit.alpha.mean() - alpha) < 0.005 + 5 * error / np.sqrt(200)
    assert abs(fit.alpha.mean() - 1.1 * alpha) > 0.005 + 5 * error / np.sqrt(200)
    if estimator is not tails.block_log_moment:  # of that the error is of one of the block lengths of which it is the median
        assert 0.8 < fit.alpha.std() / error < 1.25
        assert 0.87 <= np.mean((fit.interval[:, 0] < alpha) & (alpha < fit.interval[:, 1])) <= 0.999


def test_stable_quantiles_of_skewed_laws():
    x = stats.levy_stable(1.4, 0.8).rvs((10, 20_000), random_state=np.random.default_rng(10))
    fit = tails.stable_quantile(x)
    assert abs(fit.alpha.mean() - 1.4) < 0.03


def test_off_their_home_ground_stable_estimators_are_tight_and_wrong():
    """Student 3: the blocks say 1.7, the quantiles 1.5; the characteristic function says that the sample is not stable."""
    x = np.random.default_rng(11).standard_t(3, 100_000)
    assert tails.block_log_moment(x).interval[1] < 2.2 and tails.stable_quantile(x).interval[1] < 1.7
    assert tails.stable_characteristic(x).status == tails.TailStatus.CONTRADICTED.code
    low, high = tails.tail_index(x).interval
    assert low < 3 < high
    assert tails.power_law(np.random.default_rng(0).pareto(5, 20_000) + 1).interval[1] > 4.5  # no bound at 2


def test_contradiction_has_its_level():
    """400 stable samples: p < 0.05 in 5 % of them, within five standard errors."""
    from meanfield.measure.tails.stable import characteristic

    p = characteristic(abs(stable(np.random.default_rng(12), 1.3, (400, 2000))))[2]
    assert abs(np.mean(p < 0.05) - 0.05) < 5 * np.sqrt(0.05 * 0.95 / 400)


def test_light_tails_have_no_index():
    uniform = tails.moment_estimator(np.random.default_rng(13).random((5, 5000)), k=500)
    assert np.isinf(uniform.alpha).all() and (uniform.status == tails.TailStatus.LIGHT.code).all()


# -- families -------------------------------------------------------------------------------------------------------------

CLEAR = {
    "Pareto 1.5": ("POWER", lambda rng, n: rng.pareto(1.5, n) + 1),
    "Student 2": ("POWER", lambda rng, n: rng.standard_t(2, n)),
    "stable 1.5": ("POWER", lambda rng, n: stable(rng, 1.5, n)),
    "uniform": ("LIGHT", lambda rng, n: rng.random(n)),
    "exponential": ("LIGHT", lambda rng, n: rng.exponential(size=n)),
    "normal": ("LIGHT", lambda rng, n: rng.normal(size=n)),
}
FINITE = {"LOGNORMAL", "LIGHT", "FINITE", "UNDECIDED"}
HARD = {  # each was called something wrong once: verdicts that are not wrong
    "uniform": (FINITE - {"LOGNORMAL"}, lambda rng, n: rng.random(n)),
    "Beta(2, 5)": (FINITE - {"LOGNORMAL"}, lambda rng, n: rng.beta(2, 5, n)),
    "Beta(2, 2)": (FINITE - {"LOGNORMAL"}, lambda rng, n: rng.beta(2, 2, n)),
    "gamma 0.3": (FINITE - {"LOGNORMAL"}, lambda rng, n: rng.gamma(0.3, size=n)),
    "norm of 64 normals": (FINITE - {"LOGNORMAL"}, lambda rng, n: np.sqrt(rng.chisquare(64, n))),
    "log-normal": (FINITE - {"LIGHT"}, lambda rng, n: np.exp(rng.normal(size=n))),
    "Pareto tempered at 100": (
        FINITE - {"LOGNORMAL"},
        lambda rng, n: np.minimum(rng.pareto(1.5, n) + 1, 1 + rng.exponential(100, n)),
    ),
    "Lomax 4": ({"POWER", "UNDECIDED"}, lambda rng, n: rng.pareto(4, n)),
    "Student 10": ({"POWER", "UNDECIDED"}, lambda rng, n: rng.standard_t(10, n)),
}


@pytest.mark.parametrize("law", CLEAR)
def test_families(law):
    """20 samples of 100 000: at least 13 right (8 of the stable law: the share decided is .6), none wrong; of 3000, none wrong."""
    family, draw = CLEAR[law]
    rng = np.random.default_rng(14)
    found = collections.Counter(f.name for f in tails.tail_family(draw(rng, (20, 100_000))).family)
    also = {"POWER": set(), "LIGHT": {"FINITE"}}[family]
    assert found[family] >= (8 if law == "stable 1.5" else 13) and set(found) <= {family, "UNDECIDED"} | also
    few = collections.Counter(f.name for f in tails.tail_family(draw(rng, (40, 3000))).family)
    assert set(few) <= {family, "UNDECIDED"} | also


@pytest.mark.long(3)
@pytest.mark.parametrize("law", HARD)
def test_families_are_not_guessed(law):
    """50 samples of 1000, 50 of 10 000, 10 of 100 000: at most one wrong verdict of the 110."""
    allowed, draw = HARD[law]
    rng = np.random.default_rng(34)
    found = [
        f.name for n, count in ((1000, 50), (10_000, 50), (100_000, 10)) for f in tails.tail_family(draw(rng, (count, n))).family
    ]
    assert sum(f not in allowed for f in found) <= 1, collections.Counter(found)


def test_a_spectrum_of_bulk_and_spikes_is_not_one_tail():
    """Eigenvalues of W W^T, W 512 x 512 Gaussian: never a power law; with eight spikes the status does not vouch for the index."""
    rng = np.random.default_rng(35)
    values = np.linalg.svd(rng.normal(size=(512, 512)), compute_uv=False) ** 2
    assert tails.tail_family(values).family.item() is not tails.Family.POWER
    values[:8] *= np.geomspace(30, 3, 8)
    said = (tails.TailStatus.NOT_BEGUN, tails.TailStatus.SLOW, tails.TailStatus.BREAK)
    assert tails.tail_index(values).status in [status.code for status in said]


SLOWEST = {  # second-order exponent in 0.25 ... 0.5, or a tail that begins late: the interval of fixed powers missed most of these
    "Lomax 4": (4.0, lambda rng, size: rng.pareto(4, size)),
    "genpareto 0.4": (2.5, lambda rng, size: (rng.random(size) ** -0.4 - 1) / 0.4),
    "inverse gamma 2.5": (2.5, lambda rng, size: 1 / rng.gamma(2.5, size=size)),
    "Burr(1.3, 1.9)": (2.47, lambda rng, size: (rng.random(size) ** (-1 / 1.9) - 1) ** (1 / 1.3)),
    "half Pareto 1.5, half 3": (1.5, lambda rng, size: rng.random(size) ** (-1 / np.where(rng.random(size) < 0.5, 1.5, 3.0))),
}


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


def autoregression(rng, coefficient, count, n):
    """Stationary chains with Student innovations of two degrees of freedom: index 2."""
    e = rng.standard_t(2, (n + 300, count))
    x = np.zeros((n + 300, count))
    for i in range(1, n + 300):
        x[i] = coefficient * x[i - 1] + e[i]
    return x[300:].T.copy()


@pytest.mark.parametrize("coefficient", [0.5, 0.9])
def test_dependence_is_seen_and_widens(coefficient):
    """60 chains of 10 000 in order: nearly all DEPENDENT, covered at least 85 % (0.43 before); shuffled, at most 10 % are."""
    rng = np.random.default_rng(39)
    x = autoregression(rng, coefficient, 60, 10_000)
    fit, shuffled = tails.tail_index(x), tails.tail_index(rng.permuted(x, axis=-1))
    assert np.mean((fit.interval[:, 0] < 2) & (fit.interval[:, 1] > 2)) >= 0.85
    dependent = tails.TailStatus.DEPENDENT.code
    assert np.mean(fit.status == dependent) > 0.95 and np.mean(shuffled.status == dependent) < 0.1
    assert np.median(fit.extremal_index) < 0.9 and np.median(shuffled.extremal_index) == 1.0


@pytest.mark.parametrize(("coefficient", "n"), [(0.98, 500), (0.99, 1000), (0.99, 10_000), (0.999, 10_000)])
def test_too_few_clusters_have_no_index(coefficient, n):
    """40 chains whose largest 5 % are 1 to 10 clusters: 7 in 10 and more are refused, alpha NaN, the interval everything.

    Before clusters were counted a third to two thirds were answered, and covered in 0 to 0.6.
    """
    rng = np.random.default_rng(40)
    x = np.asarray(signal.lfilter([1], [1, -coefficient], rng.standard_t(2, (40, n + 3000))))
    fit = tails.tail_index(x[:, 3000:])
    refused = np.isnan(fit.alpha)
    assert np.mean(refused) > 0.7 and (fit.status[refused] == tails.TailStatus.DEPENDENT.code).all()
    assert (fit.interval[refused] == [0, np.inf]).all()


def test_evidence_of_families():
    rng = np.random.default_rng(15)
    heavy, light = tails.tail_family(rng.pareto(1.5, 200_000) + 1), tails.tail_family(rng.exponential(size=200_000))
    assert abs(heavy.index_slope[0] / heavy.index_slope[1]) < 5 and light.index_slope[0] / light.index_slope[1] < -5
    assert heavy.moment_growth > 0.5 and abs(light.moment_growth) < 0.1
    assert heavy.log_evidence.shape == (2, 3) and not heavy.stable
    assert heavy.log_evidence[0, 0] > heavy.log_evidence[0, 1:].max() and light.log_evidence[0, 0] < light.log_evidence[0, 2] - 4


def test_a_law_that_moves_is_no_stationary_law():
    """Chains beyond the largest step size widen; at a smaller one they stand still."""
    rng = np.random.default_rng(16)
    half = chain(rng, 2.6, 5000, steps=50)
    with pytest.warns(tails.StationarityWarning, match="The law has moved"):
        moving = tails.tail_family(chain(rng, 2.6, 5000, steps=100), earlier=half)
    assert not moving.stationary and np.max(np.abs(moving.moved)) > 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        still = tails.tail_family(chain(rng, 0.8, 5000, steps=200), earlier=chain(rng, 0.8, 5000, steps=100))
    assert still.stationary and not tails.tail_family(half).stationary  # nothing to compare with
    with pytest.raises(mf.ArgumentError, match="Argument `earlier` must have the shape of x"):
        tails.tail_family(half, earlier=half[:100])


# -- dependence -----------------------------------------------------------------------------------------------------------


def test_block_bootstrap_sees_clusters():
    """Every value five times: the standard error is sqrt(5) times that of as many independent values, within 25 %."""
    estimator = functools.partial(tails.hill, k=500)
    x = np.repeat(np.random.default_rng(17).pareto(2.0, 2000) + 1, 5)
    key = jax.random.key(1)
    clustered = tails.block_bootstrap(estimator, x, block=50, key=key)
    blind = tails.block_bootstrap(estimator, x, block=1, key=key)
    ratio = clustered.standard_error / estimator(x).standard_error
    assert 0.75 < ratio / np.sqrt(5) < 1.25
    assert blind.standard_error < 0.7 * clustered.standard_error
    again = tails.block_bootstrap(estimator, x, block=50, key=key)
    assert again.standard_error == clustered.standard_error and "block bootstrap" in again.method


@pytest.mark.slow
def test_block_bootstrap_covers():
    """100 samples of 2000 Pareto values, each five times over: 88 % and more, as independent values half; no bias is in the way."""
    rng = np.random.default_rng(41)
    covered = []
    for i in range(100):
        x = np.repeat(rng.pareto(2.0, 2000) + 1, 5)
        estimator = functools.partial(tails.hill, k=1000)
        fits = tails.block_bootstrap(estimator, x, block=100, key=jax.random.key(i), replicates=100), estimator(x)
        covered.append([fit.interval[0] < 2 < fit.interval[1] for fit in fits])
    blocks, plain = np.mean(covered, axis=0)
    assert 0.88 <= blocks <= 0.995 and plain < 0.75


# -- shapes, transformations, bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", EVERY, ids=name)
def test_leading_axes_are_samples_of_their_own(estimator):
    x = np.random.default_rng(18).standard_t(2, (2, 3, 2000))
    together = estimator(x)
    assert together.alpha.shape == (2, 3) and together.interval.shape == (2, 3, 2) and together.n == 2000
    for i, j in itertools.product(range(2), range(3)):
        alone = estimator(x[i, j])
        np.testing.assert_allclose(alone.alpha, together.alpha[i, j], rtol=1e-8)
        np.testing.assert_allclose(alone.interval, together.interval[i, j], rtol=1e-8)


@pytest.mark.long(2)
@pytest.mark.parametrize("estimator", EVERY, ids=name)
def test_under_jit(estimator):
    x = np.random.default_rng(19).standard_t(2, 4000).astype(np.float32)
    plain, traced = estimator(x), jax.jit(estimator)(jnp.asarray(x))
    assert isinstance(traced, tails.TailFit) and traced.method == plain.method
    np.testing.assert_allclose(traced.alpha, plain.alpha, rtol=2e-3)
    np.testing.assert_allclose(traced.interval, plain.interval, rtol=2e-3)


@pytest.mark.parametrize("estimator", EVERY, ids=name)
def test_scale_does_not_matter(estimator):
    x = np.random.default_rng(20).standard_t(2, 2000)
    for factor in (1e-150, 1e100):
        np.testing.assert_allclose(estimator(factor * x).alpha, estimator(x).alpha, rtol=1e-6)


@pytest.mark.parametrize("estimator", POSITIVE, ids=name)
def test_sides(estimator):
    """The lower tail of -x is the upper tail of x."""
    rng = np.random.default_rng(21)
    x = np.where(rng.random(20_000) < 0.5, rng.pareto(1.0, 20_000) + 1, -(rng.pareto(3.0, 20_000) + 1))
    assert estimator(x, tail="lower").alpha == estimator(-x, tail="upper").alpha
    assert estimator(x, tail="upper").alpha < estimator(x, tail="lower").alpha


@pytest.mark.parametrize("estimator", [f for f in EVERY if f is not tails.hill] + [tails.tail_family], ids=name)
def test_bad_input(estimator):
    x = np.random.default_rng(22).standard_t(2, 100)
    for wrong, message in (
        (x[:49], "Argument `x` must hold at least 50 values a sample, but is an array of shape (49,)."),
        (
            np.ones(100),
            "Argument `x` must hold different values in every sample, but is a sample of equal values, or an array with",
        ),
        (np.zeros(100), "Argument `x` must hold different values in every sample, but is"),
        (np.append(x, np.nan), "Argument `x` must be finite, but is an array with 1 NaN or infinite of 101 entries."),
        (np.append(x, np.inf), "Argument `x` must be finite, but is an array with 1 NaN or infinite of 101 entries."),
    ):
        with pytest.raises(mf.ArgumentError) as caught:
            estimator(wrong)
        assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "estimator", [tails.moment_estimator, tails.pickands, tails.kernel_estimator, tails.hill_reduced], ids=name
)
@pytest.mark.parametrize("k", [0, 100, 2.5, -1])
def test_wrong_k(estimator, k):
    with pytest.raises(mf.ArgumentError, match="Argument `k` must be"):
        estimator(np.random.default_rng(23).standard_t(2, 100), k=k)


@pytest.mark.parametrize("n", [300, 2000, 20_000])
def test_a_sample_clipped_within_the_tail_that_is_fitted(n):
    x = np.random.default_rng(0).pareto(1.5, n)
    fit = tails.hill_reduced(np.stack([np.minimum(x, np.quantile(x, 0.8)), x]))
    assert fit.status.tolist() == [tails.TailStatus.TIED.code, tails.TailStatus.OK.code]
    assert np.isinf(fit.alpha[0]) and np.isfinite(fit.interval[1]).all()


@pytest.mark.parametrize("estimator", EVERY, ids=name)
def test_ties_and_zeros(estimator):
    """Rounded values and a sample half of zeros: finite answers, no warning."""
    x = np.round(np.random.default_rng(24).standard_t(2, 5000), 1)
    assert np.isfinite(estimator(x).alpha)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        half = estimator(np.where(np.arange(5000) % 2 == 0, x, 0.0))
    assert np.isfinite(half.alpha) or half.status != tails.TailStatus.OK.code


def test_mean_cosines_are_those_of_float64():
    """Of angles up to 1e8 and of all signs, within 1e-7; of the angles in float32 they would be off by 1e-3."""
    from meanfield.measure.tails.stable import _mean_cosines

    z = 100 * stable(np.random.default_rng(30), 0.7, (20, 1000))
    plain = np.stack([np.mean(np.cos(t * z), axis=-1) for t in (0.3, 2.0)], axis=-1)
    assert abs(z).max() > 1e5
    assert abs(_mean_cosines(np, z, np.array([0.3, 2.0])) - plain).max() < 1e-7
    assert abs(np.mean(np.cos(2 * z.astype(np.float32)), axis=-1) - plain[:, 1]).max() > 1e-6


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


@pytest.mark.parametrize("n", [1000, 10_000, 100_000])
def test_the_end_of_a_bounded_law_is_no_power_law(n):
    """10 samples of tanh(2.4 z) in float32, whose log-spacings are 1e-7: never POWER, never an index of 1e6 under OK."""
    z = np.random.default_rng(42).standard_normal((10, n), np.float32)
    family = tails.tail_family(np.tanh(np.float32(2.4) * z))
    assert not any(one is tails.Family.POWER for one in family.family)
    vouched = np.isin(family.fit.status, [tails.TailStatus.OK.code, tails.TailStatus.PARETO.code])
    assert not np.any(vouched & (family.fit.alpha > 100))


def test_five_equal_values_are_an_end_and_four_are_chance():
    x = np.sort(np.random.default_rng(34).pareto(1.5, 5000) + 1)
    for count, tied in ((4, False), (5, True)):
        fit = tails.tail_index(np.minimum(x, x[-count]))
        assert (fit.status == tails.TailStatus.TIED.code) == tied and np.isfinite(fit.alpha) != tied


@pytest.mark.long
def test_intervals_hold_stable_laws_next_to_the_normal_law():
    """400 samples of |stable 1.99| and |stable 1.95| at 10 000, 20 at 100 000: covered, or said not to have begun, in 90 % and more."""
    for alpha, n, samples in ((1.99, 10_000, 400), (1.95, 10_000, 400), (1.95, 100_000, 20)):
        fit = tails.tail_index(stable(np.random.default_rng(33), alpha, (samples, n)))
        covered = (fit.interval[:, 0] < alpha) & (alpha < fit.interval[:, 1])
        assert np.mean(covered | (fit.status == tails.TailStatus.NOT_BEGUN.code)) >= 0.9


def test_one_sample_without_an_index_does_not_hide_that_another_moved():
    """A dependent sample that is refused, alpha NaN, beside one that has grown by a factor 50: the warning comes all the same."""
    rng = np.random.default_rng(38)
    x = rng.standard_t(2, (3, 2, 500))
    walk = np.cumsum(x[2, 0])  # depends on itself for ever
    values, earlier = np.stack([walk, 50 * x[0, 1]]), np.stack([walk[::-1], x[1, 1]])
    with pytest.warns(tails.StationarityWarning, match="standard errors"):
        family = tails.tail_family(values, earlier=earlier)
    assert np.isnan(family.fit.alpha[0])


BROKEN = {  # coverage where no status was given: 0 to 0.6
    "Pareto 1.6 moved by 14": lambda rng, size: rng.pareto(1.6, size) + 15,
    "1 % of Pareto 1.5 in a normal law": lambda rng, size: np.where(
        rng.random(size) < 0.01, rng.random(size) ** (-1 / 1.5), rng.normal(size=size)
    ),
}


@pytest.mark.slow
def test_abrupt_changes_are_said():
    """Moved laws, tails on a body: in half and more of 20 samples of 100 000; in none of 400 of 1000 and 40 of 10 000 of one tail."""
    rng = np.random.default_rng(39)
    code = tails.TailStatus.BREAK.code
    for draw in BROKEN.values():
        assert np.mean(tails.tail_index(draw(rng, (20, 100_000))).status == code) >= 0.5
    for alpha, draw in (*LAWS.values(), *SLOWEST.values()):
        del alpha
        for n, count in ((1000, 400), (10_000, 40)):
            assert not np.any(tails.tail_index(draw(rng, (count, n))).status == code)


@pytest.mark.long(5)
@pytest.mark.parametrize("size", [256, 512, 1024])
@pytest.mark.parametrize(("spikes", "low", "high"), [(5, 1.5, 5), (10, 1.2, 3), (10, 1.5, 10), (20, 1.2, 10), (60, 1.2, 20)])
def test_spectra_with_spikes_have_no_index(size, spikes, low, high):
    """Spikes of 1.2 to 20 times the edge of the bulk: a status says so, and no family is a power law."""
    rng = np.random.default_rng(40)
    sides = [np.linalg.qr(rng.normal(size=(size, spikes)))[0] for _ in range(2)]
    w = rng.normal(size=(size, size)) / np.sqrt(size) + sides[0] * (2 * np.geomspace(low, high, spikes)) @ sides[1].T
    family = tails.tail_family(np.linalg.svd(w, compute_uv=False) ** 2)
    said = (tails.TailStatus.BREAK, tails.TailStatus.NOT_BEGUN, tails.TailStatus.SLOW)
    assert family.fit.status in [status.code for status in said]
    assert family.family.item() is not tails.Family.POWER
