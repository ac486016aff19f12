"""Distances: closed forms, brute force, metric properties, coverage with power checks."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import optimize, stats

import meanfield as mf
from meanfield.measure import distances
from meanfield.measure.distances import kolmogorov, median_bandwidth, mmd, sliced_wasserstein, wasserstein

# -- Wasserstein on the line --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, 7.0, 300.0, np.inf])
def test_shift_and_scale(p):
    """|shift| for every p; scaling by s > 0 costs |s - 1| (mean |x|^p)^(1/p)."""
    x = np.random.default_rng(0).standard_normal((3, 500))
    np.testing.assert_allclose(wasserstein(x, x[:, ::-1] - 2.5, p), 2.5, rtol=1e-12)
    norm = np.max(np.abs(x), axis=-1) if np.isinf(p) else np.mean(np.abs(x) ** p, axis=-1) ** (1 / p)
    np.testing.assert_allclose(wasserstein(x, 3 * x, p), 2 * norm, rtol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 7), (10, 10), (10, 20), (97, 100), (1000, 999)])
def test_order_one_is_scipys(n, m):
    rng = np.random.default_rng(n)
    x, y = rng.standard_cauchy(n), rng.normal(1, 3, m)
    np.testing.assert_allclose(wasserstein(x, y), stats.wasserstein_distance(x, y), rtol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(3, 3), (2, 3), (4, 6), (5, 4), (1, 6), (6, 15)])
@pytest.mark.parametrize("p", [1.0, 1.3, 2.0, 4.0])
def test_best_assignment_of_repeated_atoms(n, m, p):
    """Every atom repeated until both samples have lcm(n, m) atoms: optimal transport is the best assignment."""
    rng = np.random.default_rng(10 * n + m)
    x, y = np.round(rng.normal(0, 2, n)), rng.normal(1, 1, m)
    whole = math.lcm(n, m)
    cost = np.abs(np.repeat(x, whole // n)[:, None] - np.repeat(y, whole // m)) ** p
    rows, columns = optimize.linear_sum_assignment(cost)
    np.testing.assert_allclose(wasserstein(x, y, p), np.mean(cost[rows, columns]) ** (1 / p), rtol=1e-12)


def test_infinite_order_is_the_best_bottleneck():
    rng = np.random.default_rng(0)
    for _ in range(10):
        x, y = rng.standard_normal((2, 6))
        best = min(np.max(np.abs(x - y[list(q)])) for q in itertools.permutations(range(6)))
        np.testing.assert_allclose(wasserstein(x, y, np.inf), best, rtol=1e-14)


def test_merged_grids_have_no_slivers():
    """W_inf sees every piece, however thin: a repeated sample is at distance exactly 0, at any repetition."""
    for n in (3, 7, 49, 1000):
        for times in (3, 10, 11):
            x = np.arange(n) ** 2.0
            assert wasserstein(x, np.repeat(x, times), np.inf) == 0
    i = np.arange(1, 1000) / 1000
    assert np.setdiff1d(np.cumsum(np.full(3000, 1 / 3000))[2::3][:-1], i).size > 0  # in float64 they would have slivers


@pytest.mark.parametrize(("shift", "scale"), [(1.0, 2.0), (0.5, 1.0)])
def test_gaussians(shift, scale):
    """W_2(N(0,1), N(m,s^2))^2 = m^2 + (s-1)^2; 200 pairs of samples of 5000 and 4000: mean within five standard errors plus
    0.2 % for the bias, which is O(log log n / n) of the square; a value 3 % higher is not."""
    rng = np.random.default_rng(3)
    found = wasserstein(rng.standard_normal((200, 5000)), rng.normal(shift, scale, (200, 4000)), 2)
    exact, error = math.hypot(shift, scale - 1), np.std(found, ddof=1) / np.sqrt(200)
    assert abs(found.mean() - exact) < 5 * error + 2e-3 * exact
    assert abs(found.mean() - 1.03 * exact) > 5 * error + 2e-3 * exact


finite = st.floats(-1e6, 1e6, allow_subnormal=False)
sample = hnp.arrays(np.float64, st.integers(1, 12), elements=finite)
orders = st.sampled_from([1.0, 1.5, 2.0, 5.0, np.inf])


@settings(deadline=None, max_examples=100, derandomize=True)
@given(sample, sample, sample, orders)
def test_wasserstein_is_a_metric(x, y, z, p):
    xy = wasserstein(x, y, p)
    assert xy == wasserstein(y, x, p) and xy >= 0
    assert wasserstein(x, x[::-1], p) == 0 == wasserstein(x, np.repeat(x, 3), p)
    assert (xy > 0) == (kolmogorov(x, y) > 0)  # equal laws, and only they
    scale = max(np.abs(v).max() for v in (x, y, z))
    assert wasserstein(x, z, p) <= xy + wasserstein(y, z, p) + 1e-12 * scale
    assert xy <= wasserstein(x, y, np.inf) * (1 + 1e-12) and wasserstein(x, y, 1) <= xy * (1 + 1e-12)
    np.testing.assert_allclose(wasserstein(-4 * x, -4 * y, p), 4 * xy, rtol=1e-12)
    np.testing.assert_allclose(wasserstein(x + 1, y + 1, p), xy, rtol=1e-6, atol=1e-9 * (scale + 1))


def test_leading_axes_and_other_arrays():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 1, 30)), rng.standard_normal((5, 20))
    whole = wasserstein(x, y, 2)
    assert whole.shape == (4, 5) and whole.dtype == np.float64
    assert kolmogorov(x, y).shape == (4, 5)
    for i, j in itertools.product(range(4), range(5)):
        np.testing.assert_allclose(whole[i, j], wasserstein(x[i, 0], y[j], 2), rtol=1e-14)
        assert kolmogorov(x, y)[i, j] == kolmogorov(x[i, 0], y[j])
    ones = jnp.ones(100_001, jnp.float32)
    assert wasserstein(1e8 * ones, 1e8 * ones + jnp.float32(8)) == 8  # sums in float64
    assert wasserstein([0, 1], [2, 3]) == 2
    assert wasserstein([1e200, 0.0], [-1e200, 0.0], 2) == pytest.approx(1e200)  # squares beyond float64


# -- sliced Wasserstein -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_sliced_on_the_line_is_wasserstein(p, key):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 1)), rng.standard_normal((40, 1)) + 1
    found = sliced_wasserstein(x, y, p, directions=5, key=key)
    np.testing.assert_allclose(float(found), wasserstein(x[:, 0], y[:, 0], p), rtol=1e-12)
    assert found.standard_error < 1e-12


@pytest.mark.long
@pytest.mark.parametrize("p", [1.0, 2.0, 4.0])
def test_sliced_of_a_shift(p, key):
    """x and x + mu: every direction costs |<theta, mu>|, so SW_p = |mu| (E |theta_1|^p)^(1/p), for p = 2 |mu|/sqrt(d). 300
    repetitions of 100 directions: 95 % of the intervals hold it, within five standard errors; a value 10 % off is held by fewer.
    """
    d, mu = 6, np.array([3.0, 0, 4, 0, 0, 0])
    x = np.random.default_rng(0).standard_normal((2, d))
    moment = math.gamma((p + 1) / 2) * math.gamma(d / 2) / (math.gamma(0.5) * math.gamma((p + d) / 2))
    exact = 5 * moment ** (1 / p)
    assert p != 2 or exact == pytest.approx(5 / math.sqrt(d))
    found = [sliced_wasserstein(x, x + mu, p, directions=100, key=jax.random.fold_in(key, i)) for i in range(300)]
    covers = lambda value: np.mean([f.interval[0] < value < f.interval[1] for f in found])  # noqa: E731
    assert abs(covers(exact) - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 300)
    assert covers(1.2 * exact) < 0.5
    spread = np.std([float(f) for f in found], ddof=1)
    np.testing.assert_allclose(np.mean([f.standard_error for f in found]), spread, rtol=5 / math.sqrt(2 * 300))


@pytest.mark.long
def test_sliced_of_two_gaussian_samples(key):
    """N(0, I) against N(mu, I), 20 000 points in R^3: |mu|/sqrt(3) within five standard errors over the directions plus 3 % for
    the samples; without the root or with a factor of the dimension it is not."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((20_000, 3)), rng.standard_normal((19_000, 3)) + np.array([1.0, 1, 1])
    found = sliced_wasserstein(x, y, directions=300, key=key)
    band = 5 * found.standard_error + 0.03
    assert abs(float(found) - 1) < band
    assert abs(math.sqrt(3) * float(found) - 1) > band


def test_sliced_is_blocked_reproducible_and_symmetric(key, monkeypatch):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((30, 4)), rng.standard_normal((20, 4))
    whole = sliced_wasserstein(x, y, key=key)
    assert float(sliced_wasserstein(y, x, key=key)) == pytest.approx(float(whole), rel=1e-14)
    assert float(sliced_wasserstein(x, x, key=key)) == 0 == sliced_wasserstein(x, x, key=key).standard_error
    assert float(sliced_wasserstein(x, y, key=jax.random.key(5))) != float(whole)
    monkeypatch.setattr(distances, "BLOCK", 350)
    assert float(sliced_wasserstein(x, y, key=key)) == pytest.approx(float(whole), rel=1e-14)


# -- maximum mean discrepancy -------------------------------------------------------------------------------------------


def exact_mmd(d, shift, scale, bandwidth):
    """MMD^2 of N(0, I_d) and N(shift e_1, scale^2 I_d)."""

    def expected(variance, square):
        whole = bandwidth**2 + variance
        return (bandwidth**2 / whole) ** (d / 2) * np.exp(-square / (2 * whole))

    return expected(2, 0) + expected(2 * scale**2, 0) - 2 * expected(1 + scale**2, shift**2)


def brute_mmd(x, y, bandwidth):
    k = lambda a, b: np.exp(-np.sum((a - b) ** 2) / (2 * bandwidth**2))  # noqa: E731
    inside = [np.mean([k(a, b) for a, b in itertools.permutations(z, 2)]) for z in (x, y)]
    return sum(inside) - 2 * np.mean([k(a, b) for a, b in itertools.product(x, y)])


@pytest.mark.parametrize("block", [1 << 22, 20])
def test_mmd_is_its_formula(block, monkeypatch):
    monkeypatch.setattr(distances, "BLOCK", block)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((9, 3)), rng.standard_normal((12, 3)) + 1
    np.testing.assert_allclose(float(mmd(x, y, 0.8)), brute_mmd(x, y, 0.8), rtol=1e-10)
    swapped = mmd(y, x, 0.8)
    np.testing.assert_allclose(float(swapped), float(mmd(x, y, 0.8)), rtol=1e-12)
    np.testing.assert_allclose(swapped.interval, mmd(x, y, 0.8).interval, rtol=1e-9)
    np.testing.assert_allclose(mmd(1e3 * x, 1e3 * y, 800).interval, mmd(x, y, 0.8).interval, rtol=1e-9)
    # far from the origin, and with a bandwidth at which the kernel is 1 - O(1e-12)
    np.testing.assert_allclose(float(mmd(x + 1e6, y + 1e6, 0.8)), float(mmd(x, y, 0.8)), rtol=1e-7)
    gap = [np.sum(np.cov(z.T, ddof=1).trace()) / len(z) for z in (x, y)]
    np.testing.assert_allclose(float(mmd(x, y, 1e6)) * 1e12, np.sum((x.mean(0) - y.mean(0)) ** 2) - sum(gap), rtol=1e-6)


@pytest.mark.long(2)
@pytest.mark.parametrize(
    ("n", "m", "d", "shift", "scale", "bandwidth"),
    [
        (60, 90, 2, 0.0, 1.0, 1.0),  # equal laws
        (60, 90, 2, 1.0, 1.0, 1.0),  # different laws
        (60, 60, 1, 0.3, 1.0, 1.5),  # in between: as far apart as a standard error
        (80, 50, 10, 0.0, 1.5, 4.0),  # different spreads
        (60, 60, 1, 0.0, 1.0, 20.0),  # equal laws and almost a single chi-square
    ],
)
def test_mmd_intervals_cover(n, m, d, shift, scale, bandwidth):
    """1500 pairs of samples: no bias within five standard errors; 95 % intervals cover 92 to 98 %; a value four standard
    errors higher is covered by fewer than 3/5 (equal laws: 20, because the error grows with the distance)."""
    rng = np.random.default_rng(7)
    centre = shift * np.eye(d)[0]
    found = [mmd(rng.standard_normal((n, d)), scale * rng.standard_normal((m, d)) + centre, bandwidth) for _ in range(1500)]
    values, intervals = np.array([float(f) for f in found]), np.array([f.interval for f in found])
    exact, spread = exact_mmd(d, shift, scale, bandwidth), np.std(values, ddof=1)
    assert abs(values.mean() - exact) < 5 * spread / np.sqrt(1500)
    covers = lambda value: np.mean((intervals[:, 0] <= value) & (value <= intervals[:, 1]))  # noqa: E731
    assert 0.92 < covers(exact) < 0.98
    assert covers(exact + (4 if exact > 0 else 20) * spread) < 0.6
    assert 0.8 < np.mean([f.standard_error for f in found]) / spread < 1.45
    if exact == 0:
        assert 0.3 < np.mean(values < 0) < 0.8  # unbiased: it must be negative often


@pytest.mark.long(1)
@pytest.mark.parametrize(("n", "m", "shift"), [(10, 40, 1.0), (10, 10, 1.5), (20, 20, 1.0)])
def test_mmd_intervals_of_few_points_cover(n, m, shift):
    """3000 pairs of normal samples: 95 % intervals cover 93 to 96.5 % (with a normal quantile 91 to 92 % at 10 points)."""
    rng = np.random.default_rng(8)
    draw = lambda: mmd(rng.standard_normal((n, 1)), shift + rng.standard_normal((m, 1)), 1.0)  # noqa: E731
    low, high = np.array([draw().interval for _ in range(3000)]).T
    exact = exact_mmd(1, shift, 1.0, 1.0)
    assert 0.93 < np.mean((low <= exact) & (exact <= high)) < 0.965


def test_mmd_with_the_default_bandwidth():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 2)), rng.standard_normal((300, 2)) + np.array([1.0, 0])
    pairs = [np.linalg.norm(a - b) for a, b in itertools.combinations(np.concatenate([x[:20], y[:30]]), 2)]
    np.testing.assert_allclose(median_bandwidth(x[:20], y[:30]), np.median(pairs), rtol=1e-12)
    assert float(mmd(x, y)) == float(mmd(x, y, median_bandwidth(x, y)))
    assert median_bandwidth(1e200 * x, 1e200 * y) == pytest.approx(1e200 * median_bandwidth(x, y))
    assert mmd(x, y).interval[0] > 0 > mmd(x, np.array(x)).value
    large = rng.standard_normal((5001, 2))
    assert median_bandwidth(large, x) == median_bandwidth(x, large) == pytest.approx(1.665, rel=0.1)
    same = mmd(np.ones((5, 2)), np.ones((6, 2)))
    assert float(same) == 0 == same.standard_error and same.interval.tolist() == [0, 0]
    apart = mmd(np.ones((5, 2)), np.zeros((6, 2)))
    assert float(apart) == pytest.approx(2 - 2 * math.exp(-0.5)) and apart.standard_error < 1e-7


# -- Kolmogorov ---------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    hnp.arrays(np.int64, st.integers(2, 30), elements=st.integers(-4, 4)),
    hnp.arrays(np.int64, st.integers(2, 30), elements=st.integers(-4, 4)),
)
def test_kolmogorov_is_scipys_with_ties(x, y):
    found = kolmogorov(x, y)
    np.testing.assert_allclose(found, stats.ks_2samp(x, y, method="asymp").statistic, atol=1e-12)
    brute = max(abs(np.mean(x <= t) - np.mean(y <= t)) for t in range(-4, 5))
    np.testing.assert_allclose(found, brute, atol=1e-12)
    assert found == kolmogorov(y, x) == kolmogorov(3 * x + 1, 3 * y + 1)
    assert kolmogorov(x, np.repeat(x, 7)) == 0
    steps = lambda t: np.mean(y[:, None] <= t, axis=0)  # noqa: E731
    np.testing.assert_allclose(kolmogorov(x, steps), found, atol=1e-12)  # a law with atoms


def test_kolmogorov_against_a_law():
    x = np.random.default_rng(0).standard_normal((3, 200))
    found = kolmogorov(x, stats.norm().cdf)
    np.testing.assert_allclose(found, [stats.kstest(v, "norm").statistic for v in x], rtol=1e-10)
    tied = np.repeat([0.2, 0.2, 0.7], 2)
    assert kolmogorov(tied, stats.uniform().cdf) == pytest.approx(2 / 3 - 0.2)
    assert kolmogorov([0.0], stats.norm().cdf) == pytest.approx(0.5)


def test_kolmogorov_has_its_limit_law():
    """2000 samples of 1000 of the law: P(sqrt(n) D > 1.358) = 5 % within five standard errors (and 0.01 for finite n); samples
    shifted by 0.1 are beyond it in more than half of the cases."""
    x = np.random.default_rng(0).standard_normal((2000, 1000))
    beyond = lambda v: np.mean(np.sqrt(1000) * kolmogorov(v, stats.norm().cdf) > 1.3581)  # noqa: E731
    assert abs(beyond(x) - 0.05) < 5 * np.sqrt(0.05 * 0.95 / 2000) + 0.01
    assert beyond(x + 0.1) > 0.5


# -- wrong arguments ----------------------------------------------------------------------------------------------------

CLOUD = np.zeros((4, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wasserstein([1.0], [2.0], p=0.5), "Argument `p` must be a number >= 1, or infinite, but is 0.5."),
        (lambda: wasserstein([1.0], [2.0], p=np.nan), "Argument `p` must be a number >= 1, or infinite, but is nan."),
        (
            lambda: wasserstein([1.0, np.nan], [2.0]),
            "Argument `x` must be finite, but is an array with 1 NaN or infinite of 2 entries.",
        ),
        (lambda: wasserstein([1.0], []), "Argument `y` must not be empty, but is an array of shape (0,)."),
        (lambda: wasserstein(1.0, [2.0]), "Argument `x` must have 1 to 8 axes, but is an array of shape ()."),
        (
            lambda: wasserstein(np.zeros((2, 5)), np.zeros((3, 5))),
            "Argument `y` must have leading axes that broadcast against those of `x`, (2,), but is an array of shape (3, 5).",
        ),
        (
            lambda: sliced_wasserstein(CLOUD, CLOUD, np.inf, key=jax.random.key(0)),
            "Argument `p` must be a number >= 1, and finite, but is inf.",
        ),
        (
            lambda: sliced_wasserstein(CLOUD, CLOUD, directions=1, key=jax.random.key(0)),
            "Argument `directions` must be an integer >= 2, but is 1.",
        ),
        (
            lambda: sliced_wasserstein(CLOUD, CLOUD, key=0),
            "Argument `key` must be one random key, made by `jax.random.key(seed)`, but is 0.",
        ),
        (
            lambda: sliced_wasserstein(CLOUD, CLOUD[:, :1], key=jax.random.key(0)),
            "Argument `y` must have 2 columns, as many as `x`, but is an array of shape (4, 1).",
        ),
        (lambda: mmd(CLOUD[0], CLOUD), "Argument `x` must have 2 axes, but is an array of shape (2,)."),
        (lambda: mmd(CLOUD, CLOUD[:3]), "Argument `y` must hold at least 4 points, but is an array of shape (3, 2)."),
        (lambda: mmd(CLOUD, CLOUD, bandwidth=0), "Argument `bandwidth` must be a number > 0, but is 0."),
        (lambda: mmd(CLOUD, CLOUD, bandwidth="median"), "Argument `bandwidth` must be a number > 0, but is 'median'."),
        (
            lambda: kolmogorov([1.0], lambda t: t + 1),
            "Argument `y` must be samples, or a function with values in [0, 1] of the shape of its argument, "
            "but is a function whose values on an array of shape (1,) are [2.0].",
        ),
        (
            lambda: kolmogorov([1.0, 2.0], ["a"]),
            "Argument `y` must be an array of real numbers, but is of type list (<U1).",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value) == message


def test_rank_shift_of_values_that_are_equal():
    """Four of five values are 0, as of networks whose neurons have vanished: the statistic of scipy, and 0 where all are equal."""
    rng = np.random.default_rng(0)
    x, y = (np.where(rng.random(n) < 0.8, 0.0, np.round(rng.exponential(size=n), 1)) for n in (700, 500))
    expected = stats.mannwhitneyu(y, x, method="asymptotic", use_continuity=False, alternative="greater").pvalue
    assert stats.norm.sf(distances.rank_shift(x, y)) == pytest.approx(expected, rel=1e-9)
    assert distances.rank_shift(np.zeros((2, 5)), np.zeros((2, 7))).tolist() == [0.0, 0.0]
