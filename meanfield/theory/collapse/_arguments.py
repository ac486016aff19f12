"""Checks of the arguments that the functions of collapse share."""

import numpy as np

from meanfield import _check
from meanfield.theory import _scalar


def examples(inputs, residuals) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (n, dim) and residuals (n, outputs) of the same examples."""
    x = _check.finite("inputs", inputs, (2,)).astype(np.float64)
    r = _check.finite("residuals", residuals, (2,)).astype(np.float64)
    text = _check.words(f"an array of shape {r.shape}")
    _check.require(len(r) == len(x), "residuals", f"have {len(x)} rows, one for each input", text)
    return x, r


def products(inputs, residuals) -> np.ndarray:
    """The products r_i x_i of examples with one input component and one output, (n,)."""
    x, r = examples(inputs, residuals)
    for name, value in (("inputs", x), ("residuals", r)):
        _check.require(value.shape[1] == 1, name, "have one column", _check.words(f"an array of shape {value.shape}"))
    return x[:, 0] * r[:, 0]


def step(step_size, batch_size, weight_decay) -> None:
    """Check for eta > 0, an integer b >= 1 and lam >= 0."""
    _scalar.positive("step_size", step_size)
    _check.integer("batch_size", batch_size, 1)
    _scalar.nonnegative("weight_decay", weight_decay)


def momentum(value) -> None:
    """Check for one number in [0, 1)."""
    _check.number("momentum", value, "be a number in [0, 1)", lambda v: (v >= 0) & (v < 1))


def slope(activation) -> float | None:
    """Slope at 0 of a smooth activation; None for ReLU."""
    if isinstance(activation, str) and activation == "relu":
        return None
    must = "be 'relu', or a number: the slope at 0 of a smooth activation with act(0) = 0"
    return _check.number("activation", activation, must, lambda v: v == v)


def scalar_slope(slope) -> float:
    """Slope at 0 of a smooth activation, where there is no ReLU."""
    return _check.number("slope", slope, "be a number", lambda v: v == v)


def some_alive(x: np.ndarray) -> None:
    """Check for inputs that some ReLU neuron sees."""
    _check.require(bool(np.any(x)), "inputs", "not be 0", _check.words("an array of zeros, on which every neuron is dead"))
