"""Pruned arrays: against the curve of their errors, centred, rows and columns, of any kind of array."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from meanfield.measure import pruning
from tests.measure.pruning.common import TREE


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


def test_kept_counts():
    assert [pruning.kept(k, 100) for k in (0.29, 0.57, 0.07, 0.1, 0.101)] == [29, 57, 7, 10, 10]
    for n in (3, 7, 100, 128, 8192):
        assert [pruning.kept(m / n, n) for m in range(n + 1)] == list(range(n + 1))


RNG = np.random.default_rng(0)


KAPPAS = np.linspace(0, 1, 13)


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
