"""Losses of one example and their derivatives with respect to the output of the network."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from meanfield import _check
from meanfield.systems._arrays import Array, Float, Integer, Real


@dataclass(frozen=True)
class Loss:
    """A loss l(f, y) of every example, and its derivative with respect to f.

    Args:
        value: outputs (b, k) and labels (b,) or targets (b, k) -> losses (b,); the loss of an example reads that example alone.
        derivative: the same arguments -> dl/df, (b, k); None: jax derives it.

    Raises:
        ValueError: something that is no function.

    Examples:
        >>> absolute = Loss(lambda f, y: jnp.sum(jnp.abs(f - y), axis=1))
        >>> absolute.residuals(jnp.array([[2.0], [-1.0]]), jnp.zeros((2, 1))).ravel().tolist()
        [1.0, -1.0]
    """

    value: Callable[[jax.Array, jax.Array], jax.Array]
    derivative: Callable[[jax.Array, jax.Array], jax.Array] | None = None

    def __post_init__(self):
        both = callable(self.value) and (self.derivative is None or callable(self.derivative))
        _check.require(both, "loss", "hold functions of outputs and labels, `value` and perhaps `derivative`", self)

    def residuals(self, f: Float[Array, "example output"], y: Real[Array, " example *target"]) -> Float[Array, "example output"]:
        """dl/df of every example, (b, k)."""
        if self.derivative is not None:
            return self.derivative(f, y)
        return jax.grad(lambda f: jnp.sum(self.value(f, y)))(f)

    def check(self, outputs: int, y: jax.ShapeDtypeStruct) -> None:
        """Refuse a loss that does not give one number for every example of these labels or targets; it is traced, not run."""
        f = jax.ShapeDtypeStruct((y.shape[0], outputs), jnp.zeros((), float).dtype)
        for function, expected in ((self.value, f.shape[:1]), (self.residuals, f.shape)):
            shape = jax.tree.map(lambda v: v.shape, jax.eval_shape(function, f, y))
            must = f"make an array of shape {expected} of outputs {f.shape} and labels or targets {y.shape}"
            _check.require(shape == expected, "loss", must, _check.words(f"one that makes {shape}"))


def _one_hot(y: Integer[Array, " example"], f: Float[Array, "example output"]) -> Float[Array, "example output"]:
    """Labels (b,) as rows; NaN for a label outside the classes, so that it cannot pass for an example without loss."""
    _check.require(y.shape == f.shape[:1], "y", f"have one label for each of {f.shape[0]} examples", _shape(y))
    inside = ((y >= 0) & (y < f.shape[1]))[:, None]
    return jnp.where(inside, jax.nn.one_hot(y, f.shape[1], dtype=f.dtype), jnp.nan)


def _shape(y):
    return _check.words(f"an array of shape {y.shape} and type {y.dtype}")


def _target(f: Float[Array, "example output"], y: Real[Array, " example *target"]) -> Float[Array, "example output"]:
    """Labels as one-hot rows; real targets as they are."""
    if jnp.issubdtype(y.dtype, jnp.integer):
        return _one_hot(y, f)
    must = f"hold integer labels, or targets of shape {f.shape} for {f.shape[0]} examples and {f.shape[1]} outputs"
    _check.require(y.shape == f.shape, "y", must, _shape(y))
    return y.astype(f.dtype)


def _labels(f: Float[Array, "example output"], y: Integer[Array, " example"]) -> Float[Array, "example output"]:
    _check.require(jnp.issubdtype(y.dtype, jnp.integer), "y", "hold integer labels for cross-entropy", _shape(y))
    return _one_hot(y, f)


def _cross_entropy(f: Float[Array, "example output"], y: Integer[Array, " example"]) -> Float[Array, " example"]:
    target = _labels(f, y)
    return -jnp.sum(jnp.where(target == 0, 0, target * jax.nn.log_softmax(f)), axis=1)


LOSSES = {
    "cross_entropy": Loss(_cross_entropy, lambda f, y: jnp.exp(jax.nn.log_softmax(f)) - _labels(f, y)),
    "squared": Loss(lambda f, y: 0.5 * jnp.sum((f - _target(f, y)) ** 2, axis=1), lambda f, y: f - _target(f, y)),
}


def loss(given: str | Loss) -> Loss:
    """The loss that a name or a value stands for.

    Examples:
        >>> loss("squared") is LOSSES["squared"]
        True
    """
    if isinstance(given, Loss):
        return given
    _check.choice("loss", given, LOSSES)
    return LOSSES[given]
