"""Wrong arguments of collapse are refused in a sentence."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.theory import collapse
from tests.theory.collapse.common import KEY, R, X

CASES = {
    "inputs": (lambda: collapse.exponent(X[:, 0], R, 0.1, 1, key=KEY), "`inputs` must have 2 axes"),
    "residuals": (lambda: collapse.exponent(X, R[:2], 0.1, 1, key=KEY), "`residuals` must have 5 rows"),
    "step size": (lambda: collapse.exponent(X, R, 0.0, 1, key=KEY), "`step_size` must be a number > 0"),
    "batch size": (lambda: collapse.exponent(X, R, 0.1, 0, key=KEY), "`batch_size` must be an integer >= 1"),
    "ridge": (lambda: collapse.dead_exponent(0.1, -1.0), "`weight_decay` must be a number >= 0"),
    "momentum": (lambda: collapse.dead_exponent(0.1, 0.1, 1.0), "`momentum` must be a number in [0, 1)"),
    "activation": (
        lambda: collapse.exponent(X, R, 0.1, 1, activation="tanh", key=KEY),
        "`activation` must be 'relu', or a number",
    ),
    "key": (lambda: collapse.exponent(X, R, 0.1, 1, key=0), "`key` must be one random key"),
    "no inputs": (lambda: collapse.exponent(0 * X, R, 0.1, 1, key=KEY), "`inputs` must not be 0"),
    "two columns": (lambda: collapse.diffusion_criterion(np.ones((5, 2)), R, 0.1, 1), "`inputs` must have one column"),
    "two outputs": (lambda: collapse.origin_index(X, np.ones((5, 2)), 0.1, 1), "`residuals` must have one column"),
    "factors": (lambda: collapse.half_line_exponents(X, 9 * R, 0.5, 1), "`step_size` must be such that no step takes a neuron"),
    "no growth": (
        lambda: collapse.origin_index(X, R, 0.1, 1, 1.0),
        "`step_size` must be such that the exponent is > 0 (here -0.0",
    ),
    "many": (
        lambda: collapse.half_line_exponents(X, R, 0.1, 200),
        "`batch_size` must be such that all different mini-batches of 4",
    ),
    "mixed": (lambda: collapse.origin_index(X, R, 0.1, 1, mixed=1), "`mixed` must be True or False"),
    "step sizes": (lambda: collapse.boundary(X, R, 1, [0.1, -1.0], key=KEY), "`step_sizes` must be a number > 0"),
    "noise": (lambda: collapse.quadratic_exponent(0.1, 0.1, 0.0), "`noise_std` must be a number > 0"),
}


@pytest.mark.parametrize("name", CASES)
def test_refused_in_a_sentence(name):
    call, fragment = CASES[name]
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value).startswith("Argument `") and str(caught.value).endswith(".") and fragment in str(caught.value)
