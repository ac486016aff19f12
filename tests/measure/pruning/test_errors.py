"""Errors of pruning: brute force over all subsets, known limits, remainders that powers cannot hold."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from meanfield.measure import pruning
from meanfield.measure.pruning import errors


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


RNG = np.random.default_rng(0)


@pytest.mark.parametrize("p", [0.3, 1.0, 2.0, 30.0])
def test_blocks_against_the_plain_sum(p):
    """The curve from partial sums of blocks equals one sum a kappa in extended precision; the fraction a scan of all counts."""
    for parts in (np.sort(np.abs(RNG.standard_cauchy(997))), np.sort(RNG.pareto(0.3, (3, 250)), axis=-1)):
        n = parts.shape[-1]
        exact = np.longdouble(parts) / np.longdouble(parts[..., -1:])
        sums = np.concatenate([np.zeros((*parts.shape[:-1], 1)), np.cumsum(exact ** np.longdouble(p), axis=-1)], axis=-1)
        curve = np.float64((sums / sums[..., -1:]) ** (1 / np.longdouble(p)))
        np.testing.assert_allclose(errors._errors(parts, np.arange(n + 1), p), curve, rtol=1e-10)
        for error in (0.0, 1e-4, 0.1, 0.9, 1.0):
            found = errors._prunable(parts, error * (1 + 1e-12), p)
            np.testing.assert_array_equal(found, np.float64(np.sum(curve <= error * (1 + 1e-12), axis=-1) - 1) / n)


def test_remainders_that_powers_cannot_hold():
    """(1e-9)^40 is not a float64; the error 1e-9 is."""
    w = np.array([1.0, 1e-9, 1e-9])
    np.testing.assert_allclose(pruning.error_curve(w, 1 / 3, "magnitude", 40.0), 1e-9 * 2 ** (1 / 40), rtol=1e-12)
    assert pruning.prunable_fraction(w, 0.5e-9, "magnitude", 40.0) == 0


def test_ten_million_entries_in_three_seconds():
    w = RNG.pareto(0.5, 10_000_000)
    started = time.perf_counter()
    curve = pruning.error_curve(w, np.linspace(0, 1, 101), "magnitude")
    seconds = time.perf_counter() - started
    assert seconds < 3, f"{seconds:.2f} s"
    rest = np.sum((np.partition(w, -100_000)[:-100_000] / w.max()) ** 2)  # a difference of sums would cancel
    assert curve[0] == 1 and curve[-1] == 0 and (np.diff(curve) <= 0).all()
    assert curve[1] == pytest.approx(np.sqrt(rest / np.sum((w / w.max()) ** 2)), abs=1e-6)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    hnp.arrays(np.float64, (6, 4), elements=st.floats(-1e3, 1e3, allow_subnormal=False)),
    st.integers(0, 10**6),
    st.sampled_from([0.7, 1.0, 2.0]),
)
def test_invariances(w, seed, p):
    """Permutations, scales, and for singular values rotations from both sides."""
    rng = np.random.default_rng(seed)
    kappas = np.linspace(0, 1, 9)
    left, right = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in w.shape)
    curve = pruning.error_curve(w, kappas, "singular")
    np.testing.assert_allclose(pruning.error_curve(left @ w @ right, kappas, "singular"), curve, atol=1e-6)
    for kind in ("magnitude", "node"):
        curve = pruning.error_curve(w, kappas, kind, p)
        assert (np.diff(curve) <= 1e-12).all() and curve[-1] == 0 and (curve[0] == 1 or not w.any())
        moved = 1e12 * w[rng.permutation(6)][:, rng.permutation(4)] * rng.choice([-1, 1], w.shape)
        np.testing.assert_allclose(pruning.error_curve(moved, kappas, kind, p), curve, atol=1e-9)


@pytest.mark.parametrize("nodes", ["rows", "columns"])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_no_choice_of_nodes_is_better(nodes, scope):
    """Brute force over all subsets of at most 12 nodes of two layers."""
    tree = {"a": RNG.standard_cauchy((5, 4)), "b": RNG.standard_cauchy((4, 6))}

    def columns(w):
        return list(w if nodes == "rows" else w.T)

    found = pruning.error_curve(tree, 0.5, "node", 1.0, scope=scope, nodes=nodes)
    groups = {"": columns(tree["a"]) + columns(tree["b"])} if scope == "global" else {k: columns(w) for k, w in tree.items()}
    for name, rows in groups.items():
        masses = [np.sum(np.abs(r)) for r in rows]
        best = min(sum(masses) - sum(some) for some in itertools.combinations(masses, len(masses) // 2)) / sum(masses)
        assert (found if scope == "global" else found[name]) == pytest.approx(best, rel=1e-12)
