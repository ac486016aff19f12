"""What a network is. A new one has two things to write: how its neurons start, and what they compute."""

import abc
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems._arrays import Array, Float, Key, Real
from meanfield.systems.networks import losses


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Particles:
    """N neurons as one pytree; axis 0 of every array is the neuron (after the axes of a grid of runs, if there are any).

    Args:
        w: input weights, (N, dim); in another network any numbers of the neuron.
        a: output weights, (N, outputs); None in a network whose output weights are all 1.
        bias: one number a neuron, (N,); None in a network without bias.
    """

    w: Float[Array, "*run neuron number"]  # dim numbers in a `TwoLayer`
    a: Float[Array, "*run neuron output"] | None
    bias: Float[Array, "*run neuron"] | None = None

    @property
    def vectors(self) -> Float[Array, "*run neuron component"]:
        """Every neuron as one vector `(w_i, [bias_i,] [a_i])`: array (..., N, components)."""
        parts = [self.w, None if self.bias is None else self.bias[..., None], self.a]
        parts = [part for part in parts if part is not None]
        # jax would round a float64 array of numpy to float32.
        return (np if isinstance(self.w, np.ndarray) else jnp).concatenate(parts, axis=-1)  # type: ignore[return-value]

    def like(self, vectors: Float[Array, "*run neuron component"]) -> "Particles":
        """Particles of this make whose `vectors` are the given array."""
        dim = self.w.shape[-1]
        bias = None if self.bias is None else vectors[..., dim]
        a = None if self.a is None else vectors[..., -self.a.shape[-1] :]
        return Particles(vectors[..., :dim], a, bias)


class AbstractNetwork(abc.ABC):
    """What N particles compute together: `f_N(x) = (1/N) sum_i F(theta_i, x)`.

    A final subclass is a frozen dataclass with `@jax.tree_util.register_dataclass` and static fields only, three of which are
    `loss`, a name or a `mf.Loss`, and `dim` and `outputs`, the sizes of x and f, which `mf.System` takes from the data. It writes
    `init` and `predict`. The gradient is jax's unless a closed form is written too.

    Raises:
        ValueError: a decorator is missing, or, when a `System` is made, one of the fields.
    """

    loss: str | losses.Loss
    dim: int | None
    outputs: int | None

    def __new__(cls, *args: Any, **kwargs: Any):
        """Refuse a class without a decorator."""
        _check.frozen("network", cls)
        return super().__new__(cls)

    @abc.abstractmethod
    def init(self, key: Key[Array, ""], width: int) -> Particles:
        """Draw `width` independent neurons; neuron i from `fold_in(key, i)` alone, so that widths are coupled."""

    @abc.abstractmethod
    def predict(self, particles: Particles, x: Real[Array, "example dim"]) -> Float[Array, "example output"]:
        """`f_N(x)`: inputs (b, dim) -> outputs (b, outputs), the MEAN over the neurons."""

    def risk(self, particles: Particles, x: Real[Array, "example dim"], y: Real[Array, " example *target"]) -> Float[Array, ""]:
        """Mean loss over the examples (x, y): inputs (b, dim), labels (b,) or targets (b, outputs)."""
        _check.numeric("y", y)
        return jnp.mean(losses.loss(self.loss).value(self.predict(particles, x), y))

    def gradient(
        self,
        particles: Particles,
        x: Real[Array, "example dim"],
        y: Real[Array, " example *target"],
        weights: Real[Array, "neuron example"] | None = None,
    ) -> tuple[Float[Array, ""], Particles]:
        """Risk R on the examples and the mean-field gradient, N times dR/d(particles).

        Args:
            particles: the neurons.
            x, y: the examples, (b, dim) and (b,) or (b, outputs).
            weights: weight of example j in the gradient of neuron i, (N, b); None: 1/b for all. Only a closed form takes them.
        """
        must = "be None for a network whose gradient is jax's: use shared mini-batches, or write `gradient`"
        _check.require(weights is None, "weights", must, weights)
        risk, gradient = jax.value_and_grad(self.risk)(particles, x, y)
        return risk, jax.tree.map(lambda v: len(particles.w) * v, gradient)

    def trained(self, gradient: Particles) -> Particles:
        """The gradient with 0 for what is not trained: for norms, clipping and other things that mix its parts."""
        return gradient

    def move(self, particles: Particles, displacement: Particles) -> Particles:
        """`particles + displacement`, except that what is not trained stays where it is."""
        return jax.tree.map(jnp.add, particles, displacement)

    def check(self, x: jax.ShapeDtypeStruct, y: jax.ShapeDtypeStruct) -> None:
        """Called by `System` with the shapes of a mini-batch: refuse what does not fit. Functions are traced, not run."""
        particles = jax.eval_shape(lambda key: self.init(key, 3), jax.random.key(0))
        is_particles = isinstance(particles, Particles)
        _check.require(is_particles, "network", "draw `Particles`", _check.words(f"one that draws a {type(particles).__name__}"))
        rows = [v.shape for v in jax.tree.leaves(particles)]
        must = "draw one row for every neuron"
        _check.require(all(s[0] == 3 for s in rows), "network", must, _check.words(f"one whose 3 neurons have shapes {rows}"))
        f = jax.tree.map(lambda v: v.shape, jax.eval_shape(self.predict, particles, x))
        must = f"predict {self.outputs} outputs for each of {x.shape[0]} inputs"
        _check.require(f == (x.shape[0], self.outputs), "network", must, _check.words(f"one that predicts shape {f}"))
        losses.loss(self.loss).check(self.outputs or 0, y)
