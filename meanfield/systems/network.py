"""The two-layer network as N interacting particles."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from meanfield import _check

# On a GPU a float32 product would by default be rounded to TF32: three digits, without a word.
_matmul = partial(jnp.matmul, precision="highest")


class _Activation(NamedTuple):
    value: Callable[[jax.Array], jax.Array]
    derivative: Callable[[jax.Array], jax.Array]


# `act` and `act'`. The derivative of relu at 0 is 0.
ACTIVATIONS = {
    "relu": _Activation(jax.nn.relu, lambda z: (z > 0).astype(z.dtype)),
    "tanh": _Activation(jnp.tanh, lambda z: 1 - jnp.tanh(z) ** 2),
    "gelu": _Activation(lambda z: z * norm.cdf(z), lambda z: norm.cdf(z) + z * norm.pdf(z)),
    "quadratic": _Activation(jnp.square, lambda z: 2 * z),
    "identity": _Activation(lambda z: z, jnp.ones_like),
}


def _cross_entropy(f, y):
    log_p = jax.nn.log_softmax(f)
    target = jax.nn.one_hot(y, f.shape[1], dtype=f.dtype)
    return -jnp.sum(jnp.where(target > 0, log_p, 0), axis=1), jnp.exp(log_p) - target


def _squared(f, y):
    target = jax.nn.one_hot(y, f.shape[1], dtype=f.dtype) if jnp.issubdtype(y.dtype, jnp.integer) else y.astype(f.dtype)
    return 0.5 * jnp.sum((f - target) ** 2, axis=1), f - target


# `l(f, y)` of every example and its derivative with respect to f: arrays (b, k), y -> (b,), (b, k).
LOSSES = {"cross_entropy": _cross_entropy, "squared": _squared}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Particles:
    """N neurons as one pytree; axis 0 of every array is the neuron (after the axes of an ensemble, if there are any).

    Args:
        w: input weights, (N, dim).
        a: output weights, (N, outputs).
        bias: one number a neuron, (N,); None in a network without bias.
    """

    w: jax.Array
    a: jax.Array
    bias: jax.Array | None = None

    @property
    def vectors(self):
        """Every neuron as one vector `(w_i, bias_i, a_i)`: array (..., N, dim + [1 +] outputs)."""
        parts = [self.w, self.a] if self.bias is None else [self.w, self.bias[..., None], self.a]
        return jnp.concatenate(parts, axis=-1)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TwoLayer:
    """Two-layer network in mean-field scaling, `f_N(x) = (1/N) sum_i a_i act(<w_i, x> + bias_i)`.

    Args:
        activation: "relu", "tanh", "gelu" (exact, with the normal distribution function), "quadratic" (z^2) or "identity".
        loss: "cross_entropy" (of softmax(f), integer labels) or "squared" (|f - y|^2 / 2; integer labels become one-hot vectors).
        train_output: whether the output weights a_i move; if not, they stay what `init` drew.
        bias: whether every neuron has a bias.
        dim, outputs: sizes of x and of f; `mf.System` takes them from the data.

    Raises:
        ValueError: an activation or loss that does not exist, a size below 1.

    Examples:
        >>> network = TwoLayer("tanh", "squared", dim=3, outputs=1)
        >>> particles = network.init(jax.random.key(0), 5)
        >>> particles.w.shape, particles.a.shape, network.predict(particles, jnp.ones((2, 3))).shape
        ((5, 3), (5, 1), (2, 1))
    """

    activation: str = field(default="relu", metadata={"static": True})
    loss: str = field(default="cross_entropy", metadata={"static": True})
    train_output: bool = field(default=True, metadata={"static": True})
    bias: bool = field(default=False, metadata={"static": True})
    dim: int | None = field(default=None, metadata={"static": True})
    outputs: int | None = field(default=None, metadata={"static": True})

    def __post_init__(self):
        _check.choice("activation", self.activation, ACTIVATIONS)
        _check.choice("loss", self.loss, LOSSES)
        for name in ("train_output", "bias"):
            _check.require(isinstance(getattr(self, name), bool), name, "be True or False", getattr(self, name))
        for name in ("dim", "outputs"):
            if getattr(self, name) is not None:
                _check.integer(name, getattr(self, name), at_least=1)

    def init(self, key: jax.Array, width: int) -> Particles:
        """Draw `width` independent neurons, every number of them from N(0, 1).

        Neuron i depends on `fold_in(key, i)` alone, so the first n neurons are the same at every width >= n (coupled widths).
        """
        _check.integer("width", width, at_least=1)
        dim, outputs, bias = self.dim or 0, self.outputs or 0, int(self.bias)
        for name, size in (("dim", dim), ("outputs", outputs)):
            _check.require(size > 0, name, "be set, by hand or by `System`, before particles are drawn", None)

        def neuron(index):
            draws = jax.random.normal(jax.random.fold_in(key, index), (dim + outputs + bias,))
            return Particles(draws[:dim], draws[dim : dim + outputs], draws[-1] if bias else None)

        return jax.vmap(neuron)(jnp.arange(width))

    def predict(self, particles: Particles, x: jax.Array) -> jax.Array:
        """`f_N(x)`: inputs (b, dim) -> outputs (b, k). One matmul a layer; never a mat-vec a particle."""
        return self._forward(particles, x)[2]

    def risk(self, particles: Particles, x: jax.Array, y: jax.Array) -> jax.Array:
        """Mean loss over the examples (x, y): inputs (b, dim), labels (b,) or targets (b, k)."""
        return jnp.mean(LOSSES[self.loss](self.predict(particles, x), y)[0])

    def gradient(self, particles: Particles, x: jax.Array, y: jax.Array) -> tuple[jax.Array, Particles]:
        """Mini-batch risk R and the mean-field gradient, N times dR/d(particles), in closed form.

        With residuals `r_j = dl/df (f_N(x_j), y_j)`, neuron i has the gradients `mean_j act(z_ij) r_j` in a,
        `mean_j act'(z_ij) <a_i, r_j> x_j` in w, and the same without x_j in its bias. Given f_N they involve no other neuron:
        this is what makes neurons interacting particles. Does not look at `train_output`: `move` does.
        """
        z, h, f = self._forward(particles, x)
        losses, residuals = LOSSES[self.loss](f, y)
        residuals = residuals / x.shape[0]
        slope = _matmul(particles.a, residuals.T) * ACTIVATIONS[self.activation].derivative(z)
        return jnp.mean(losses), Particles(
            w=_matmul(slope, x.astype(slope.dtype)),
            a=_matmul(h, residuals),
            bias=jnp.sum(slope, axis=1) if self.bias else None,
        )

    def move(self, particles: Particles, displacement: Particles) -> Particles:
        """`particles + displacement`, except that output weights that are not trained stay where they are."""
        moved = jax.tree.map(jnp.add, particles, displacement)
        return moved if self.train_output else Particles(moved.w, particles.a, moved.bias)

    def _forward(self, particles, x):
        w, a, bias = particles.w, particles.a, particles.bias
        fits = x.ndim == 2 and x.shape[1] == w.shape[1]
        _check.require(fits, "x", f"have shape (examples, {w.shape[1]})", _check.words(f"an array of shape {x.shape}"))
        z = _matmul(w, x.astype(w.dtype).T)
        if bias is not None:
            z = z + bias[:, None]
        h = ACTIVATIONS[self.activation].value(z)
        return z, h, _matmul(h.T, a) / w.shape[0]
