"""Prunings of pytrees and particle states, layer by layer or globally."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.measure import pruning
from tests.measure.pruning.common import TREE, particles

RNG = np.random.default_rng(0)
KAPPAS = np.linspace(0, 1, 13)


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
