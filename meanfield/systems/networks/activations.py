"""Activations and their derivatives."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from meanfield import _check
from meanfield.systems._arrays import Array, Float


@dataclass(frozen=True)
class Activation:
    """An activation `act` and its derivative: functions of an array, number by number.

    Args:
        value: `act`.
        derivative: `act'`; None: jax derives it.

    Raises:
        ValueError: something that is no function.

    Examples:
        >>> float(Activation(jnp.sin).slope(jnp.array(0.0)))
        1.0
    """

    value: Callable[[jax.Array], jax.Array]
    derivative: Callable[[jax.Array], jax.Array] | None = None

    def __post_init__(self):
        both = callable(self.value) and (self.derivative is None or callable(self.derivative))
        _check.require(both, "activation", "hold functions of an array, `value` and perhaps `derivative`", self)

    def slope(self, z: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """`act'(z)`, of the shape of z."""
        if self.derivative is not None:
            return self.derivative(z)
        return jax.jvp(self.value, (z,), (jnp.ones_like(z),))[1]

    def check(self) -> None:
        """Refuse functions that do not go number by number; they are traced, not run."""
        z = jax.ShapeDtypeStruct((2, 3), jnp.zeros((), float).dtype)
        for function in (self.value, self.slope):  # the value first: a slope of something else could not be traced
            shape = jax.tree.map(lambda v: v.shape, jax.eval_shape(function, z))
            must = "go number by number, so that an array keeps its shape"
            _check.require(shape == z.shape, "activation", must, _check.words(f"one that makes {shape} of {z.shape}"))


# The derivative of relu at 0 is 0.
ACTIVATIONS = {
    "relu": Activation(jax.nn.relu, lambda z: (z > 0).astype(z.dtype)),
    "tanh": Activation(jnp.tanh, lambda z: 1 - jnp.tanh(z) ** 2),
    "gelu": Activation(lambda z: z * norm.cdf(z), lambda z: norm.cdf(z) + z * norm.pdf(z)),
    "quadratic": Activation(jnp.square, lambda z: 2 * z),
    "identity": Activation(lambda z: z, jnp.ones_like),
}


def activation(given: str | Activation) -> Activation:
    """The activation that a name or a value stands for.

    Examples:
        >>> activation("tanh") is ACTIVATIONS["tanh"]
        True
    """
    if isinstance(given, Activation):
        return given
    _check.choice("activation", given, ACTIVATIONS)
    return ACTIVATIONS[given]
