"""The two-layer network as N interacting particles."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

from meanfield import _check
from meanfield.systems import random

# On a GPU a float32 product would by default be rounded to TF32: three digits, without a word.
_matmul = partial(jnp.matmul, precision="highest")


class Activation(NamedTuple):
    """An activation of one's own: `act` and `act'`, functions of an array, number by number.

    Examples:
        >>> TwoLayer(Activation(jnp.sin, jnp.cos), dim=3, outputs=1).init(jax.random.key(0), 5).w.shape
        (5, 3)
    """

    value: Callable[[jax.Array], jax.Array]
    derivative: Callable[[jax.Array], jax.Array]

    def check(self) -> None:
        """Refuse functions that do not go number by number; they are traced, not run."""
        z = jax.ShapeDtypeStruct((2, 3), jnp.zeros((), float).dtype)
        for function in self:
            shape = getattr(jax.eval_shape(function, z), "shape", None)
            must = "go number by number, so that an array keeps its shape"
            _check.require(shape == z.shape, "activation", must, _check.words(f"one that makes {shape} of {z.shape}"))


# `act` and `act'`. The derivative of relu at 0 is 0.
ACTIVATIONS = {
    "relu": Activation(jax.nn.relu, lambda z: (z > 0).astype(z.dtype)),
    "tanh": Activation(jnp.tanh, lambda z: 1 - jnp.tanh(z) ** 2),
    "gelu": Activation(lambda z: z * norm.cdf(z), lambda z: norm.cdf(z) + z * norm.pdf(z)),
    "quadratic": Activation(jnp.square, lambda z: 2 * z),
    "identity": Activation(lambda z: z, jnp.ones_like),
}


def _one_hot(y, f):
    """Labels (b,) as rows; NaN for a label outside the classes, so that it cannot pass for an example without loss."""
    _check.require(y.shape == f.shape[:1], "y", f"have one label for each of {f.shape[0]} examples", _shape(y))
    inside = ((y >= 0) & (y < f.shape[1]))[:, None]
    return jnp.where(inside, jax.nn.one_hot(y, f.shape[1], dtype=f.dtype), jnp.nan)


def _shape(y):
    return _check.words(f"an array of shape {y.shape} and type {y.dtype}")


def _cross_entropy(f, y):
    _check.require(jnp.issubdtype(y.dtype, jnp.integer), "y", "hold integer labels for cross-entropy", _shape(y))
    log_p, target = jax.nn.log_softmax(f), _one_hot(y, f)
    return -jnp.sum(jnp.where(target == 0, 0, target * log_p), axis=1), jnp.exp(log_p) - target


def _squared(f, y):
    if jnp.issubdtype(y.dtype, jnp.integer):
        target = _one_hot(y, f)
    else:
        must = f"hold integer labels, or targets of shape {f.shape} for {f.shape[0]} examples and {f.shape[1]} outputs"
        _check.require(y.shape == f.shape, "y", must, _shape(y))
        target = y.astype(f.dtype)
    return 0.5 * jnp.sum((f - target) ** 2, axis=1), f - target


# How the output weights a_i start: neuron i and output j -> number. "signs" are +-1 in exact balance over every 2^(j+1)
# neurons, so that f_N starts near 0 without chance; "ones" are not stored, f_N is the plain mean of the activations.
OUTPUT_WEIGHTS = ("normal", "signs", "ones")


# `l(f, y)` of every example and its derivative with respect to f: arrays (b, k), y -> (b,), (b, k).
LOSSES = {"cross_entropy": _cross_entropy, "squared": _squared}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Particles:
    """N neurons as one pytree; axis 0 of every array is the neuron (after the axes of an ensemble, if there are any).

    Args:
        w: input weights, (N, dim).
        a: output weights, (N, outputs); None in a network whose output weights are all 1.
        bias: one number a neuron, (N,); None in a network without bias.
    """

    w: jax.Array
    a: jax.Array | None
    bias: jax.Array | None = None

    @property
    def vectors(self):
        """Every neuron as one vector `(w_i, [bias_i,] [a_i])`: array (..., N, components)."""
        parts = [self.w, None if self.bias is None else self.bias[..., None], self.a]
        parts = [part for part in parts if part is not None]
        # jax would round a float64 array of numpy to float32.
        return (np if isinstance(self.w, np.ndarray) else jnp).concatenate(parts, axis=-1)

    def like(self, vectors: jax.Array) -> "Particles":
        """Particles of this make whose `vectors` are the given array."""
        dim = self.w.shape[-1]
        bias = None if self.bias is None else vectors[..., dim]
        a = None if self.a is None else vectors[..., -self.a.shape[-1] :]
        return Particles(vectors[..., :dim], a, bias)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TwoLayer:
    """Two-layer network in mean-field scaling, `f_N(x) = (1/N) sum_i a_i act(<w_i, x> + bias_i)`.

    Args:
        activation: "relu", "tanh", "gelu" (exact, with the normal distribution function), "quadratic" (z^2), "identity", or an
            `mf.Activation`.
        loss: "cross_entropy" (of softmax(f), integer labels) or "squared" (|f - y|^2 / 2; integer labels become one-hot vectors).
        train_output: whether the output weights a_i move; if not, they stay what `init` drew.
        bias: whether every neuron has a bias.
        output_weights: how the a_i start: "normal" (N(0, 1)), "signs" (+-1 in balance), or "ones": a_i = 1, which needs
            `train_output=False` and gives one output.
        init_scale: standard deviation of the numbers of w_i at the start.
        dim, outputs: sizes of x and of f; `mf.System` takes them from the data.

    Raises:
        ValueError: an activation or loss that does not exist, a size below 1.

    Examples:
        >>> network = TwoLayer("tanh", "squared", dim=3, outputs=1)
        >>> particles = network.init(jax.random.key(0), 5)
        >>> particles.w.shape, particles.a.shape, network.predict(particles, jnp.ones((2, 3))).shape
        ((5, 3), (5, 1), (2, 1))
    """

    activation: str | Activation = field(default="relu", metadata={"static": True})
    loss: str = field(default="cross_entropy", metadata={"static": True})
    train_output: bool = field(default=True, metadata={"static": True})
    bias: bool = field(default=False, metadata={"static": True})
    output_weights: str = field(default="normal", metadata={"static": True})
    init_scale: float = field(default=1.0, metadata={"static": True})
    dim: int | None = field(default=None, metadata={"static": True})
    outputs: int | None = field(default=None, metadata={"static": True})

    def __post_init__(self):
        if isinstance(self.activation, Activation):
            both = all(callable(function) for function in self.activation)
            _check.require(both, "activation", "hold two functions of an array, `value` and `derivative`", self.activation)
        else:
            _check.choice("activation", self.activation, ACTIVATIONS)
        _check.choice("loss", self.loss, LOSSES)
        for name in ("train_output", "bias"):
            _check.boolean(name, getattr(self, name))
        _check.choice("output_weights", self.output_weights, OUTPUT_WEIGHTS)
        _check.representable("init_scale", self.init_scale)
        scale = _check.number("init_scale", self.init_scale, "be a number >= 0", lambda v: v >= 0)
        object.__setattr__(self, "init_scale", scale)  # an array could not be hashed
        if self.output_weights == "ones":
            _check.require(not self.train_output, "train_output", "be False if the output weights are all 1", self.train_output)
            _check.require(self.outputs in (None, 1), "outputs", "be 1 if the output weights are all 1", self.outputs)
        for name in ("dim", "outputs"):
            if getattr(self, name) is not None:
                _check.integer(name, getattr(self, name), at_least=1)

    @property
    def act(self) -> Activation:
        """The activation and its derivative."""
        return self.activation if isinstance(self.activation, Activation) else ACTIVATIONS[self.activation]

    def init(self, key: jax.Array, width: int) -> Particles:
        """Draw `width` independent neurons: w_i from N(0, init_scale^2 I), bias_i from N(0, 1), a_i as `output_weights` says.

        Neuron i depends on `fold_in(key, i)` alone, so the first n neurons are the same at every width >= n (coupled widths): bit
        for bit with jax 0.10.1 and 0.12.0.1 on CPU.
        """
        _check.random_key("key", key)
        _check.integer("width", width, at_least=1)
        dim, outputs = self.dim or 0, self.outputs or 0
        for name, size in (("dim", dim), ("outputs", outputs)):
            _check.require(size > 0, name, "be set, by hand or by `System`, before particles are drawn", None)

        # Three draws of parts of a row, not parts of one draw: what two arrays are made from XLA would keep.
        w = self.init_scale * random.normal_rows(key, width, 0, dim)
        a = {
            "normal": lambda: random.normal_rows(key, width, dim, dim + outputs),
            "signs": lambda: (1 - 2 * ((jnp.arange(width)[:, None] >> jnp.arange(outputs)[None]) & 1)).astype(w.dtype),
            "ones": lambda: None,
        }[self.output_weights]()
        return Particles(w, a, random.normal_rows(key, width, dim + outputs, dim + outputs + 1)[:, 0] if self.bias else None)

    def predict(self, particles: Particles, x: jax.Array) -> jax.Array:
        """`f_N(x)`: inputs (b, dim) -> outputs (b, k). One matmul a layer; never a mat-vec a particle."""
        return self._forward(particles, x)[2]

    def risk(self, particles: Particles, x: jax.Array, y: jax.Array) -> jax.Array:
        """Mean loss over the examples (x, y): inputs (b, dim), labels (b,) or targets (b, k)."""
        _check.numeric("y", y)
        return jnp.mean(LOSSES[self.loss](self.predict(particles, x), y)[0])

    def gradient(
        self, particles: Particles, x: jax.Array, y: jax.Array, weights: jax.Array | None = None
    ) -> tuple[jax.Array, Particles]:
        """Risk R on the examples and the mean-field gradient, N times dR/d(particles), in closed form.

        With residuals `r_j = dl/df (f_N(x_j), y_j)`, example j gives neuron i the gradients `act(z_ij) r_j` in a,
        `act'(z_ij) <a_i, r_j> x_j` in w, and the same without x_j in its bias. Given f_N they involve no other neuron: this is
        what makes neurons interacting particles. Does not look at `train_output`: `move` does.

        Args:
            particles: the neurons.
            x, y: the examples, (b, dim) and (b,) or (b, outputs).
            weights: weight of example j in the gradient of neuron i, (N, b); None: 1/b for all. They need not sum to 1.
        """
        _check.numeric("y", y)
        z, h, f = self._forward(particles, x)
        if weights is not None:
            shape = _check.words(f"an array of shape {_check.numeric('weights', weights).shape}")
            _check.require(weights.shape == z.shape, "weights", f"have shape {z.shape}, (neurons, examples)", shape)
        losses, residuals = LOSSES[self.loss](f, y)
        if weights is None:
            residuals = residuals / x.shape[0]
        pull = residuals.T if particles.a is None else _matmul(particles.a, residuals.T)
        slope = pull * self.act.derivative(z)
        if weights is not None:
            slope, h = slope * weights, h * weights
        return jnp.mean(losses), Particles(
            w=_matmul(slope, x.astype(slope.dtype)),
            a=None if particles.a is None else _matmul(h, residuals),
            bias=jnp.sum(slope, axis=1) if self.bias else None,
        )

    def trained(self, gradient: Particles) -> Particles:
        """The gradient with 0 for output weights that are not trained: for norms, clipping and other things that mix its parts."""
        if self.train_output or gradient.a is None:
            return gradient
        return Particles(gradient.w, jnp.zeros_like(gradient.a), gradient.bias)

    def move(self, particles: Particles, displacement: Particles) -> Particles:
        """`particles + displacement`, except that output weights that are not trained stay where they are."""
        moved = jax.tree.map(jnp.add, particles, displacement)
        return moved if self.train_output else Particles(moved.w, particles.a, moved.bias)

    def _forward(self, particles, x):
        _check.require(isinstance(particles, Particles), "particles", "be `Particles`, as `init` draws them", particles)
        w, a, bias = particles.w, particles.a, particles.bias
        same = a is None or a.shape[:-1] == w.shape[:-1]
        shapes = _check.words(f"with w of shape {w.shape} and a of shape {None if a is None else a.shape}")
        _check.require(same, "particles", "have one row of `a` for each row of `w`", shapes)
        shape = _check.words(f"an array of shape {_check.numeric('x', x).shape}")
        _check.require(x.ndim == 2 and x.shape[1] == w.shape[1], "x", f"have shape (examples, {w.shape[1]})", shape)
        _check.require(x.shape[0] > 0, "x", "hold at least one example", shape)
        z = _matmul(w, x.astype(w.dtype).T)
        if bias is not None:
            z = z + bias[:, None]
        h = self.act.value(z)
        return z, h, _matmul(h.T, jnp.ones((w.shape[0], 1), h.dtype) if a is None else a) / w.shape[0]
