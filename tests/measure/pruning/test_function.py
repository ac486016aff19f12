"""Errors of functions: against the definition, for particles and any model."""

import numpy as np
import pytest

from meanfield.measure import pruning
from tests.measure.pruning.common import particles

RNG = np.random.default_rng(0)
KAPPAS = np.linspace(0, 1, 13)


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
