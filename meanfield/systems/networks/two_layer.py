"""The two-layer network as N interacting particles."""

from dataclasses import dataclass, field
from functools import partial
from typing import final

import jax
import jax.numpy as jnp

from meanfield import _check
from meanfield.systems import random
from meanfield.systems._arrays import Array, Float, Key, Real
from meanfield.systems.networks import activations, losses
from meanfield.systems.networks.activations import Activation
from meanfield.systems.networks.base import AbstractNetwork, Particles

# On a GPU a float32 product would by default be rounded to TF32: three digits, without a word.
_matmul = partial(jnp.matmul, precision="highest")

# How the output weights a_i start: neuron i and output j -> number. "signs" are +-1 in exact balance over every 2^(j+1)
# neurons, so that f_N starts near 0 without chance; "ones" are not stored, f_N is the plain mean of the activations.
OUTPUT_WEIGHTS = ("normal", "signs", "ones")


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TwoLayer(AbstractNetwork):
    """Two-layer network in mean-field scaling, `f_N(x) = (1/N) sum_i a_i act(<w_i, x> + bias_i)`.

    Args:
        activation: "relu", "tanh", "gelu" (exact, with the normal distribution function), "quadratic" (z^2), "identity", or an
            `mf.Activation`, whose derivative jax finds unless it is given.
        loss: "cross_entropy" (of softmax(f), integer labels), "squared" (|f - y|^2 / 2; integer labels become one-hot vectors), or an
            `mf.Loss`.
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
    loss: str | losses.Loss = field(default="cross_entropy", metadata={"static": True})
    train_output: bool = field(default=True, metadata={"static": True})
    bias: bool = field(default=False, metadata={"static": True})
    output_weights: str = field(default="normal", metadata={"static": True})
    init_scale: float = field(default=1.0, metadata={"static": True})
    dim: int | None = field(default=None, metadata={"static": True})
    outputs: int | None = field(default=None, metadata={"static": True})

    def __post_init__(self):
        activations.activation(self.activation)
        losses.loss(self.loss)
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
        return activations.activation(self.activation)

    def init(self, key: Key[Array, ""], width: int) -> Particles:
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

    def predict(self, particles: Particles, x: Real[Array, "example dim"]) -> Float[Array, "example output"]:
        """`f_N(x)`: inputs (b, dim) -> outputs (b, k). One matmul a layer; never a mat-vec a particle."""
        return self._forward(particles, x)[2]

    def gradient(
        self,
        particles: Particles,
        x: Real[Array, "example dim"],
        y: Real[Array, " example *target"],
        weights: Real[Array, "neuron example"] | None = None,
    ) -> tuple[Float[Array, ""], Particles]:
        """Risk R on the examples and the mean-field gradient, N times dR/d(particles), in closed form.

        The same formulas, over many steps, are in `multistep._forward_and_gradient`.

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
        loss = losses.loss(self.loss)
        risk, residuals = jnp.mean(loss.value(f, y)), loss.residuals(f, y)
        if weights is None:
            residuals = residuals / x.shape[0]
        pull = residuals.T if particles.a is None else _matmul(particles.a, residuals.T)
        slope = pull * self.act.slope(z)
        if weights is not None:
            slope, h = slope * weights, h * weights
        return risk, Particles(
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

    def check(self, x: jax.ShapeDtypeStruct, y: jax.ShapeDtypeStruct) -> None:
        """Refuse an activation that does not go number by number, and what does not fit the data."""
        self.act.check()
        super().check(x, y)

    def _forward(
        self, particles: Particles, x: Real[Array, "example dim"]
    ) -> tuple[Float[Array, "neuron example"], Float[Array, "neuron example"], Float[Array, "example output"]]:
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
