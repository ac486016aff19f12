"""Wrong arguments of all of pruning, in a sentence each."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.measure import pruning, rates
from meanfield.theory import compressibility
from tests.measure.pruning.common import TREE, particles


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


RNG = np.random.default_rng(0)


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
