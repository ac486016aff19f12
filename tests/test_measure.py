"""Tail index, pruning, limits and rates: known solutions, brute force, coverage with power checks."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

import meanfield as mf
from meanfield.measure import pruning, rates, tails
from meanfield.theory import compressibility

# -- tail index ---------------------------------------------------------------------------------------------------------


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


# -- pruning ------------------------------------------------------------------------------------------------------------


def norm(w, p, kind="entries"):
    if kind == "singular":
        w = np.linalg.svd(w, compute_uv=False)
    return np.sum(np.abs(w) ** p) ** (1 / p)


def brute_force(w, kept, kind, p):
    """Smallest relative error over ALL choices of `kept` parts."""
    if kind == "singular":
        u, s, vt = np.linalg.svd(w, full_matrices=False)
        parts = [s[i] * np.outer(u[:, i], vt[i]) for i in range(len(s))]
    elif kind == "node":
        parts = [np.where(np.arange(len(w))[:, None] == i, w, 0) for i in range(len(w))]
    else:
        parts = [np.where(np.arange(w.size).reshape(w.shape) == i, w, 0) for i in range(w.size)]
    chosen = itertools.combinations(range(len(parts)), kept)
    what = "singular" if kind == "singular" else "entries"
    return min(norm(w - sum((parts[i] for i in some), np.zeros_like(w)), p, what) for some in chosen) / norm(w, p, what)


@pytest.mark.parametrize("kind", pruning.KINDS)
@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0])
def test_error_is_the_best_over_all_subsets(kind, p):
    rng = np.random.default_rng(3)
    w = rng.standard_cauchy((12, 3) if kind == "node" else (6, 6) if kind == "singular" else (3, 4))
    n = {"node": 12, "singular": 6, "magnitude": 12}[kind]
    for kept in range(n + 1):
        error = pruning.error_curve(w, kept / n, kind, p)
        np.testing.assert_allclose(error, brute_force(w, kept, kind, p), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", pruning.KINDS)
def test_curve_is_the_error_of_the_pruned_matrix(kind):
    w = np.random.default_rng(0).standard_t(2, (2, 30, 7))
    prune = {"magnitude": pruning.magnitude, "node": pruning.node, "singular": pruning.singular}[kind]
    kappas = np.linspace(0, 1, 21)
    curve = pruning.error_curve(w, kappas, kind)
    assert curve.shape == (2, 21)
    for j, kappa in enumerate(kappas):
        error = np.linalg.norm(w - prune(w, kappa), axis=(1, 2)) / np.linalg.norm(w, axis=(1, 2))
        np.testing.assert_allclose(curve[:, j], error, rtol=1e-7, atol=1e-7)


matrices = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=st.floats(-1e3, 1e3, allow_subnormal=False)
)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(matrices, st.sampled_from(pruning.KINDS), st.sampled_from([0.5, 1.0, 2.0]))
def test_properties(w, kind, p):
    curve = pruning.error_curve(w, np.linspace(0, 1, 13), kind, p)
    assert (np.diff(curve) <= 1e-12).all()
    assert curve[-1] == 0 and (curve[0] == 1 or not w.any())
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(pruning.error_curve(1e-3 * w, np.linspace(0, 1, 13), kind, p), curve, atol=1e-6)
    shuffled = w[rng.permutation(len(w))][:, rng.permutation(w.shape[1])]
    np.testing.assert_allclose(pruning.error_curve(shuffled, np.linspace(0, 1, 13), kind, p), curve, atol=1e-6)
    fraction = pruning.prunable_fraction(w, 0.3, kind, p)
    n = {"magnitude": w.size, "node": len(w), "singular": min(w.shape)}[kind]
    assert pruning.error_curve(w, 1 - fraction, kind, p) <= 0.3
    if fraction < 1 and w.any():
        assert pruning.error_curve(w, (n - round(fraction * n) - 1) / n, kind, p) > 0.3


def test_kept_counts():
    assert [pruning.kept(k, 100) for k in (0.29, 0.57, 0.07, 0.1, 0.101)] == [29, 57, 7, 10, 10]
    for n in (3, 7, 100, 128, 8192):
        assert [pruning.kept(m / n, n) for m in range(n + 1)] == list(range(n + 1))


def test_float32_sum_would_lose_the_body():
    """Tail index 0.5: in float32 the squares overflow or drown; the error is 1e-12 of the whole, and exact here."""
    w = np.concatenate([np.ones(10_000), [1e8], [1e16]])
    error = pruning.error_curve(w, [1 / len(w), 2 / len(w)], "magnitude")
    np.testing.assert_allclose(error, [np.sqrt(1e16 + 1e4) / 1e16, 1e2 / 1e16], rtol=1e-12)
    huge = np.random.default_rng(0).pareto(0.05, 2000) + 1  # squares beyond float64
    assert np.isfinite(pruning.error_curve(huge * 1e150, np.linspace(0, 1, 11), "magnitude")).all()


# Limits G_2(kappa) of the squared error (closed forms, also by quadrature), for |x| of these laws.
@pytest.mark.parametrize(
    ("law", "kappa", "squared"),
    [
        (stats.norm(), 0.1, 0.560714),
        (stats.norm(), 0.5, 0.071326),
        (stats.laplace(), 0.1, 0.404647),
        (stats.t(5), 0.1, 0.434100),
        (stats.lomax(5), 0.3, 0.069235),
        (stats.uniform(), 0.2, 0.512000),
    ],
)
def test_measured_curve_meets_its_limit(law, kappa, squared):
    """20 samples of 100 000: mean within five standard errors of the limit; the limit of another law by 2 % is outside."""
    x = law.rvs((20, 100_000), random_state=np.random.default_rng(2))
    errors = np.array([float(pruning.error_curve(v, kappa, "magnitude")) for v in x]) ** 2
    spread = errors.std(ddof=1) / np.sqrt(20)
    assert abs(errors.mean() - squared) < 5 * spread
    assert abs(errors.mean() - 1.02 * squared) > 5 * spread or law.dist.name == "t"


@pytest.mark.parametrize("dim", [1, 2, 10, 100])
def test_node_pruning_of_gaussian_neurons(dim):
    """Squared limit of node pruning of N(0, I_dim) rows at kappa = 0.1: chi-square partial moments, .5607 .6697 .8082 .8737."""
    quantile = stats.chi2(dim).ppf(0.9)
    exact = stats.chi2(dim + 2).cdf(quantile)
    np.testing.assert_allclose(exact, {1: 0.5607, 2: 0.6697, 10: 0.8082, 100: 0.8737}[dim], atol=5e-5)
    w = np.random.default_rng(dim).standard_normal((20, 5000, dim))
    errors = pruning.error_curve(w, 0.1, "node") ** 2
    assert abs(errors.mean() - exact) < 5 * errors.std(ddof=1) / np.sqrt(20)


def test_singular_values_of_a_square_gaussian_matrix():
    """Quarter-circle law: squared error .68643 at kappa = .1, .10627 at .5, up to O(1/n)."""
    w = np.random.default_rng(0).standard_normal((3, 300, 300))
    np.testing.assert_allclose((pruning.error_curve(w, [0.1, 0.5], "singular") ** 2).mean(axis=0), [0.68643, 0.10627], atol=0.004)


def test_prunable_fraction_of_a_gaussian():
    x = np.random.default_rng(0).standard_normal((10, 100_000))
    fractions = [float(pruning.prunable_fraction(v, 0.1, "magnitude")) for v in x]
    assert abs(np.mean(fractions) - 0.26529) < 5 * np.std(fractions, ddof=1) / np.sqrt(10)


@pytest.mark.parametrize(("alpha", "exponent"), [(1.0, 0.5), (1.5, 1 / 6)])
def test_heavy_tails_decay_with_the_predicted_exponent(alpha, exponent):
    """Pareto parts, N = 1000 ... 100 000, 200 replicas: the slope is the predicted one, and its interval refuses 0."""
    rng = np.random.default_rng(5)
    sizes = [1000, 10_000, 100_000]
    errors = [[float(pruning.error_curve(rng.pareto(alpha, n) + 1, 0.1, "magnitude")) for n in sizes] for _ in range(200)]
    fit = rates.rate(sizes, errors)
    predicted = -float(compressibility.decay_exponent(alpha))
    assert predicted == pytest.approx(-exponent)
    half = (fit.interval[1] - fit.interval[0]) / 2
    assert abs(float(fit) - predicted) < 2.5 * half  # five standard errors
    assert fit.interval[1] < 0


@pytest.mark.parametrize("p", [1.0, 2.0])
@pytest.mark.parametrize("law", [stats.pareto(3.0), stats.t(4.0), stats.norm()])
@pytest.mark.parametrize("kappa", [0.02, 0.1, 0.5])
def test_extrapolated_limit(law, kappa, p):
    """`extrapolated_limit` on 20 samples of 50 000 against quadrature of G_p, within five standard errors plus 2 %."""
    x = np.abs(law.rvs((20, 50_000), random_state=np.random.default_rng(4)))
    fit = tails.hill(x, 2500)
    found = pruning.extrapolated_limit(x, kappa, fit.alpha, fit.k, p)
    sign = 1 if law.dist.name == "pareto" else 2
    low = law.support()[0] if sign == 1 else 0
    cut = law.ppf(1 - kappa / sign)
    part, whole = (sign * law.expect(lambda v: v**p, lb=low, ub=b) for b in (cut, np.inf))
    exact = (part / whole) ** (1 / p)
    assert abs(found.mean() - exact) < 5 * found.std(ddof=1) / np.sqrt(20) + 0.02 * exact


def test_extrapolated_limit_knows_infinite_moments():
    x = stats.pareto(1.8).rvs(20_000, random_state=1)
    assert pruning.extrapolated_limit(x, 0.1, 1.8, 1000) == 0
    assert pruning.extrapolated_limit(x, 0.1, 1.8, 1000, p=1.0) > 0.3
    assert float(pruning.error_curve(x, 0.1, "magnitude")) > 0.1  # the sample alone cannot tell
    grid = pruning.extrapolated_limit(x, 0.1, np.array([2.1, 3.0, 10.0, np.inf]), 1000)
    assert (np.diff(grid) > 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: pruning.magnitude([1.0], 1.1),
            "Argument `kappa` must be a number in [0, 1], the fraction kept, but is 1.1.",
        ),
        (
            lambda: pruning.error_curve([1.0, 2.0], 0.5, "node"),
            "Argument `w` must have 2 to 8 axes, but is an array of shape (2,).",
        ),
        (
            lambda: pruning.error_curve([[1.0]], [0.5, -0.1], "node"),
            "Argument `kappas` must be numbers in [0, 1], fractions kept, but is [0.5, -0.1].",
        ),
        (
            lambda: pruning.error_curve([[1.0]], 0.5, "rows"),
            "Argument `kind` must be one of 'magnitude', 'node', 'singular', but is 'rows'.",
        ),
        (lambda: pruning.error_curve([[1.0]], 0.5, "node", p=0), "Argument `p` must be a number > 0, but is 0."),
        (
            lambda: pruning.error_curve([[np.nan]], 0.5, "node"),
            "Argument `w` must be finite, but is an array with 1 NaN or infinite of 1 entries.",
        ),
        (
            lambda: pruning.prunable_fraction([[1.0]], 1.5, "node"),
            "Argument `error` must be a number in [0, 1], but is 1.5.",
        ),
        (
            lambda: pruning.extrapolated_limit([1.0, 2.0], 0.0, 3.0, 1),
            "Argument `kappa` must be a number in (0, 1], the fraction kept, but is 0.0.",
        ),
        (
            lambda: pruning.extrapolated_limit([1.0, 2.0], 0.5, 3.0, 2),
            "Argument `k` must be less than the size of a sample, 2, but is 2.",
        ),
        (
            lambda: compressibility.decay_exponent(0.0),
            "Argument `alpha` must be a number > 0, or an array of them, but is 0.0.",
        ),
        (
            lambda: rates.rate([10], [[1.0]]),
            "Argument `n` must hold at least two different positive numbers, but is [10.0].",
        ),
        (
            lambda: rates.rate([1, 2], [[1.0, 0.0]]),
            "Argument `values` must be positive, but is an array with entries <= 0.",
        ),
        (
            lambda: rates.rate([1, 2], [[1.0]]),
            "Argument `values` must have 2 columns, as many as `n`, but is an array of shape (1, 1).",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value) == message


def test_rate_intervals_cover():
    """4 replicas with dependent widths, 4000 times: 95 % covered within five standard errors; a wrong slope is not."""
    rng = np.random.default_rng(0)
    n = np.array([10.0, 100.0, 1000.0])
    walks = np.cumsum(rng.normal(0, 0.2, (4000, 4, 3)), axis=-1)
    interval = rates.rate(n, n**-0.5 * np.exp(walks)).interval
    covered = lambda slope: np.mean((interval[:, 0] < slope) & (slope < interval[:, 1]))  # noqa: E731
    assert abs(covered(-0.5) - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 4000)
    assert covered(-0.4) < 0.8
