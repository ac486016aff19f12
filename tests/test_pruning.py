"""Prunings of pytrees and particle states, curves of many parts, large spectra, function-space errors."""

import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import meanfield as mf
from meanfield.measure import pruning
from meanfield.measure.pruning import errors, spectrum

RNG = np.random.default_rng(0)
TREE = {
    "dense": {"kernel": RNG.standard_cauchy((5, 4)).astype(np.float32), "bias": np.ones(4, np.float32)},
    "conv": {"kernel": RNG.standard_cauchy((3, 3, 2, 6)).astype(np.float32)},
    "step": np.int32(7),
}
KAPPAS = np.linspace(0, 1, 13)


def particles(width=40, dim=5, outputs=3, bias=False):
    network = mf.TwoLayer("relu", "squared", dim=dim, outputs=outputs, bias=bias)
    return network, network.init(jax.random.key(1), width)


def relative(w, pruned, p=2.0):
    return np.sum(np.abs(w - pruned) ** p) ** (1 / p) / np.sum(np.abs(w) ** p) ** (1 / p)


# -- pytrees --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", pruning.KINDS)
@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("centred", [False, True])
def test_a_pytree_is_pruned_layer_by_layer_or_globally(kind, scope, centred):
    """Curves against the pruned arrays themselves; what is no layer stays as it is, object by object."""
    prune = getattr(pruning, kind)
    curves = pruning.error_curve(TREE, KAPPAS, kind, scope=scope, centred=centred)
    for j, kappa in enumerate(KAPPAS):
        pruned = prune(TREE, kappa, scope=scope, centred=centred)
        assert pruned["dense"]["bias"] is TREE["dense"]["bias"] and pruned["step"] == 7
        removed, whole = 0.0, 0.0
        for name in ("dense", "conv"):
            w, left = np.float64(TREE[name]["kernel"]), pruned[name]["kernel"]
            assert left.shape == w.shape and left.dtype == np.float32
            rows = w.reshape(w.shape[0], -1)
            middle = np.median(w) if kind == "magnitude" else np.median(rows, axis=0)
            size = np.sum((rows - middle * centred) ** 2)
            gone = np.sum((w - left) ** 2)
            if scope == "layer":
                np.testing.assert_allclose(curves[f"{name}/kernel"][j], np.sqrt(gone / size), atol=2e-6)
            removed, whole = removed + gone, whole + size
        if scope == "global":
            np.testing.assert_allclose(curves[j], np.sqrt(removed / whole), atol=2e-6)


def test_global_keeps_the_largest_wherever_they_are():
    tree = {"large": 10.0 + np.arange(6.0).reshape(2, 3), "small": np.arange(1.0, 7.0).reshape(2, 3)}
    both = pruning.magnitude(tree, 0.5, scope="global")
    assert (both["large"] == tree["large"]).all() and (both["small"] == 0).all()
    each = pruning.magnitude(tree, 0.5)
    assert all(np.count_nonzero(each[name]) == 3 for name in tree)
    assert pruning.prunable_fraction(tree, 0.35, "magnitude", scope="global") == 0.5  # 0.2935 with six left, 0.3785 with five
    assert pruning.prunable_fraction(tree, 0.35, "magnitude").keys() == tree.keys()


def test_centred_prunes_to_the_median():
    """The founding code: of all entries for magnitude, of every coordinate over the nodes otherwise."""
    w = np.array([[1.0, 5.0], [1.5, 6.0], [9.0, 6.5]])
    np.testing.assert_allclose(pruning.magnitude(w, 0.5, centred=True), [[1.0, 5.5], [1.5, 5.5], [9.0, 5.5]])
    np.testing.assert_allclose(pruning.node(w, 0.34, centred=True), [[1.5, 6.0], [1.5, 6.0], [9.0, 6.5]])
    np.testing.assert_allclose(pruning.singular(w, 0.0, centred=True), [[1.5, 6.0]] * 3)
    shifted = w + np.array([100.0, -30.0])
    for kind in ("node", "singular"):
        one, other = (pruning.error_curve(v, KAPPAS, kind, centred=True) for v in (w, shifted))
        np.testing.assert_allclose(one, other, atol=1e-9)
        assert np.max(np.abs(pruning.error_curve(w, KAPPAS, kind) - pruning.error_curve(shifted, KAPPAS, kind))) > 0.01


def test_rows_and_columns():
    w = RNG.standard_t(2, (6, 9))
    np.testing.assert_array_equal(pruning.node(w, 0.4, nodes="columns"), pruning.node(w.T, 0.4).T)
    np.testing.assert_array_equal(
        pruning.error_curve(w, KAPPAS, "node", nodes="columns"), pruning.error_curve(w.T, KAPPAS, "node")
    )
    kernel = TREE["conv"]["kernel"]  # flax: the last axis is the output channel
    left = pruning.node(TREE, 0.5, nodes="columns")["conv"]["kernel"]
    norms = np.sqrt(np.sum(np.float64(kernel) ** 2, axis=(0, 1, 2)))
    assert set(np.flatnonzero(np.any(left != 0, axis=(0, 1, 2)))) == set(np.argsort(norms)[-3:])


def test_what_comes_from_flax_half_precision_and_devices():
    import flax.linen as nn

    params = nn.Dense(4, param_dtype=jnp.bfloat16, dtype=jnp.bfloat16).init(jax.random.key(0), jnp.ones((1, 8), jnp.bfloat16))
    pruned = pruning.magnitude(params, 0.25)
    assert np.count_nonzero(pruned["params"]["kernel"]) == 8
    assert pruning.error_curve(params, 0.25, "magnitude").keys() == {"params/kernel"}
    assert pruning.magnitude(jnp.arange(4.0), 0.5).dtype == np.float32
    assert pruning.magnitude([1, 2, 3, 4], 0.5).tolist() == [0.0, 0.0, 3.0, 4.0]


# -- particle states ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [False, True])
def test_neurons_are_units(bias):
    _, state = particles(bias=bias)
    vectors = np.float64(state.vectors)
    for kind in pruning.KINDS:
        np.testing.assert_allclose(
            pruning.error_curve(state, KAPPAS, kind), pruning.error_curve(vectors, KAPPAS, kind), rtol=1e-12
        )
    pruned = pruning.node(state, 0.25)
    left = np.any(np.asarray(pruned.vectors) != 0, axis=1)
    assert left.sum() == 10 and set(np.flatnonzero(left)) == set(np.argsort(np.linalg.norm(vectors, axis=1))[-10:])
    assert isinstance(pruned, mf.Particles) and (pruned.bias is None) == (not bias) and pruned.w.dtype == np.float32


@pytest.mark.parametrize("p", [0.5, 2.0])
def test_weighted_nodes_are_the_tensors(p):
    """Rows a_i w_i^T: their l_p norms are |a_i|_p |w_i|_p; the error is that of the tensors."""
    _, state = particles()
    tensors = np.einsum("nk,nd->nkd", np.float64(state.a), np.float64(state.w)).reshape(40, -1)
    curve = pruning.error_curve(state, KAPPAS, "node", p, nodes="weighted")
    np.testing.assert_allclose(curve, pruning.error_curve(tensors, KAPPAS, "node", p), rtol=1e-9)
    kept = np.any(np.asarray(pruning.node(state, 0.3, p, nodes="weighted").w) != 0, axis=1)
    assert set(np.flatnonzero(kept)) == set(np.argsort(np.sum(np.abs(tensors) ** p, axis=1))[-12:])
    assert np.max(np.abs(curve - pruning.error_curve(state, KAPPAS, "node", p))) > 0.01


# -- curves ---------------------------------------------------------------------------------------------------------------


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
    top = np.partition(w, -100_000)[-100_000:]
    rest = np.sum((w / w.max()) ** 2) - np.sum((top / w.max()) ** 2)
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


# -- large spectra --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(300, 40), (40, 300), (2, 60, 60)])
def test_gram_matrix_against_the_decomposition(shape, monkeypatch):
    monkeypatch.setattr(spectrum, "CHUNK", 1000)  # many blocks
    w = RNG.standard_normal(shape) * 1e200
    exact = np.linalg.svd(w / 1e200, compute_uv=False)
    found = spectrum.singular_values(w, large=0)
    np.testing.assert_allclose(found / 1e200, exact, rtol=1e-6)
    assert np.max(np.abs(found / 1e200 - exact)) > 0  # it was another way
    assert jax.config.read("jax_enable_x64") is False


def test_the_gram_matrix_is_left_where_it_cannot_see():
    """Singular values 1 ... 1e-12: below 1e-8 the Gram matrix holds rounding only, and the decomposition is done after all."""
    u, v = (np.linalg.qr(RNG.standard_normal((50, 50)))[0] for _ in range(2))
    exact = np.logspace(0, -12, 50)
    w = (u * exact) @ v
    np.testing.assert_allclose(spectrum.singular_values(w, large=0)[:30], exact[:30], rtol=1e-6)
    blind = np.sqrt(np.abs(np.linalg.eigvalsh(w.T @ w)[::-1]))
    assert np.max(np.abs(blind[:40] / exact[:40] - 1)) > 0.1
    assert (spectrum.singular_values(np.zeros((4, 3)), large=0) == 0).all()


# -- the function ---------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_function_curve_against_its_definition():
    network, state = particles()
    x, y = RNG.standard_normal((50, 5)).astype(np.float32), RNG.integers(0, 3, 50)

    def loss(f, y):
        return np.mean((f - np.eye(3)[y]) ** 2)

    curve = pruning.function_curve(network.predict, state, x, KAPPAS, "node", y=y, loss=loss)
    full = np.float64(network.predict(state, x))
    vectors = np.float64(state.vectors)
    order = np.argsort(np.linalg.norm(vectors, axis=1))
    for j, kappa in enumerate(KAPPAS):
        f = np.zeros((50, 3))
        for i in order[40 - int(40 * kappa + 1e-9) :]:
            f += np.outer(np.maximum(x @ vectors[i, :5], 0), vectors[i, 5:]) / 40
        assert curve.distance[j] == pytest.approx(np.sqrt(np.mean(np.sum((f - full) ** 2, 1))), rel=1e-4, abs=1e-6)
        assert curve.loss[j] == pytest.approx(loss(f, y), rel=1e-4)
        assert curve.accuracy[j] == pytest.approx(np.mean(f.argmax(1) == y), abs=0.021)
    assert curve.error[0] == pytest.approx(1) and curve.error[-1] == 0
    assert curve.full_loss == pytest.approx(loss(full, y)) and curve.loss[-1] == pytest.approx(curve.full_loss)


def test_normalisations():
    network, state = particles()
    x = RNG.standard_normal((20, 5)).astype(np.float32)
    small = network.predict(state.like(state.vectors[np.argsort(-np.linalg.norm(state.vectors, axis=1))[:10]]), x)
    width, kept = (pruning.function_curve(network.predict, state, x, [0.25], "node", normalisation=n) for n in ("width", "kept"))
    full = network.predict(state, x)
    assert width.distance[0] == pytest.approx(np.sqrt(np.mean(np.sum((small / 4 - full) ** 2, 1))), rel=1e-4)
    assert kept.distance[0] == pytest.approx(np.sqrt(np.mean(np.sum((small - full) ** 2, 1))), rel=1e-4)
    zeroed = pruning.function_curve(lambda w, x: network.predict(w, x), pruning.node(state, 0.25), x, [1.0], "node")
    assert zeroed.distance[0] == 0
    masked = network.predict(pruning.node(state, 0.25), x)  # set to 0 or taken out, the function is the same
    assert width.distance[0] == pytest.approx(np.sqrt(np.mean(np.sum((masked - full) ** 2, 1))), rel=1e-4)


def test_function_curve_of_any_model():
    tree = {"first": RNG.standard_normal((4, 8)), "second": RNG.standard_normal((8, 2))}
    x = RNG.standard_normal((30, 4))

    def predict(w, x):
        return np.maximum(x @ w["first"], 0) @ w["second"]

    for kind, options in (("magnitude", {"scope": "global"}), ("node", {"nodes": "columns"}), ("singular", {})):
        curve = pruning.function_curve(predict, tree, x, [0.5], kind, **options)
        pruned = getattr(pruning, kind)(tree, 0.5, **options)
        assert curve.distance[0] == pytest.approx(np.sqrt(np.mean(np.sum((predict(pruned, x) - predict(tree, x)) ** 2, 1))))
        assert curve.loss is None and curve.accuracy is None


# -- wrong arguments ------------------------------------------------------------------------------------------------------

STATE = particles()[1]
CASES = {
    "scope": (
        lambda: pruning.magnitude(TREE, 0.5, scope="all"),
        "Argument `scope` must be one of 'layer', 'global', but is 'all'.",
    ),
    "kappa": (
        lambda: pruning.node(TREE, 1.5),
        "Argument `kappa` must be a number in [0, 1], the fraction kept, but is 1.5.",
    ),
    "centred": (
        lambda: pruning.magnitude([1.0], 0.5, centred=1),
        "Argument `centred` must be True or False, but is 1.",
    ),
    "nodes of entries": (
        lambda: pruning.error_curve(np.eye(2), 0.5, "magnitude", nodes="columns"),
        "Argument `nodes` must be 'rows' unless nodes are pruned, but is 'columns'.",
    ),
    "weighted arrays": (
        lambda: pruning.node(np.eye(2), 0.5, nodes="weighted"),
        "Argument `nodes` must be 'rows' or 'columns' except for a particle state, but is 'weighted'.",
    ),
    "columns of particles": (
        lambda: pruning.node(STATE, 0.5, nodes="columns"),
        "Argument `nodes` must be 'rows' or 'weighted' for a particle state, but is 'columns'.",
    ),
    "centred and weighted": (
        lambda: pruning.node(STATE, 0.5, nodes="weighted", centred=True),
        "Argument `centred` must be False for weighted nodes, but is True.",
    ),
    "tree without layers": (
        lambda: pruning.magnitude({"bias": np.ones(3)}, 0.5),
        "Argument `w` must hold a floating-point array of two or more axes, but is a pytree (dict) without one.",
    ),
    "NaN in a layer": (
        lambda: pruning.magnitude({"a": np.full((2, 2), np.nan)}, 0.5),
        "Argument `w[a]` must be finite, but is an array with 4 NaN or infinite of 4 entries.",
    ),
    "empty": (
        lambda: pruning.error_curve(np.ones((0, 3)), 0.5, "node"),
        "Argument `w` must not be empty, but is an array of shape (0, 3).",
    ),
    "empty layer": (
        lambda: pruning.magnitude({"a": np.ones((0, 2)), "b": np.eye(2)}, 0.5),
        "Argument `w[a]` must not be empty, but is an array of shape (0, 2).",
    ),
    "complex layer": (
        lambda: pruning.magnitude({"a": 1j * np.eye(2)}, 0.5),
        "Argument `w[a]` must be an array of real numbers, but is of type ndarray (complex128).",
    ),
    "norms beyond float64": (
        lambda: pruning.error_curve(np.full((2, 2), 1.7e308), 0.5, "node"),
        "Argument `w` must have norms and singular values below 1.8e+308, but is an array with larger ones.",
    ),
    "None": (
        lambda: pruning.magnitude(None, 0.5),
        "Argument `w` must be an array of real numbers, but is of type NoneType (object).",
    ),
    "a matrix is meant": (
        lambda: pruning.singular(np.ones(3), 0.5),
        "Argument `w` must have 2 to 8 axes, but is an array of shape (3,).",
    ),
    "p": (lambda: pruning.error_curve(np.eye(2), 0.5, "node", 0), "Argument `p` must be a number > 0, but is 0."),
    "normalisation": (
        lambda: pruning.function_curve(lambda w, x: x, np.eye(2), np.eye(2), [0.5], "magnitude", normalisation="kept"),
        "Argument `normalisation` must be 'width' except for node pruning of a particle state, but is 'kept'.",
    ),
    "loss without y": (
        lambda: pruning.function_curve(lambda w, x: x, np.eye(2), np.eye(2), [0.5], "magnitude", loss=lambda f, y: 0.0),
        "Argument `y` must be given with a loss, but is None.",
    ),
    "no neuron left": (
        lambda: pruning.function_curve(lambda w, x: x, STATE, np.eye(2), [0.01], "node", normalisation="kept"),
        "Argument `kappas` must keep at least one of 40 neurons if `normalisation` is 'kept', but is [0.01].",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_arguments(case):
    call, message = CASES[case]
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value) == message
