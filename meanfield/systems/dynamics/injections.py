"""Noise that a dynamics adds to its particles, every neuron its own."""

import abc
import dataclasses
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp

from meanfield import _check
from meanfield.systems import random, stable_noise
from meanfield.systems._arrays import Array, Float, Key
from meanfield.systems.dynamics.base import per_particle
from meanfield.systems.networks.base import Particles
from meanfield.systems.scaling import Number

MODES = ("scalar", "coordinates", "isotropic")


class AbstractInjection(abc.ABC):
    """A Levy process of every neuron: independent over neurons and steps."""

    def __post_init__(self):
        for one in dataclasses.fields(self):  # type: ignore[arg-type]
            if not one.metadata.get("static", False):
                _check.as_array_field(self, one.name)

    @abc.abstractmethod
    def vector(self, key: Key[Array, ""], step_size: Float[Array, ""], size: int) -> Float[Array, " {size}"]:
        """The increment over a time `step_size` of one neuron's vector, (size,)."""

    def displacement(self, key: Key[Array, ""], step_size: Float[Array, ""], particles: Particles) -> Particles:
        """The increments of all neurons; neuron i's depends on `fold_in(key, i)` alone."""
        width, size = particles.vectors.shape
        return particles.like(per_particle(key, width, lambda own: self.vector(own, step_size, size)))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GaussianInjection(AbstractInjection):
    """Brownian motion of temperature T: increments `sqrt(2 step_size T) N(0, I)`.

    Args:
        temperature: T >= 0.
    """

    temperature: Number

    def __post_init__(self):
        super().__post_init__()
        _check.nonnegative("temperature", self.temperature)

    def vector(self, key: Key[Array, ""], step_size: Float[Array, ""], size: int) -> Float[Array, " {size}"]:
        """Increment of one neuron."""
        scale = jnp.sqrt(2 * step_size * jnp.asarray(self.temperature, step_size.dtype))
        return scale * random.normal(key, size, step_size.dtype)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StableInjection(AbstractInjection):
    """Symmetric alpha-stable motion: increments `scale * step_size^(1/alpha) * L`, with L of one of three kinds.

    Args:
        alpha: stability index, in (0, 2]. At 2 a number of L is N(0, 2).
        scale: factor >= 0.
        mode: "scalar": one number a neuron, added to all its coordinates; "coordinates": independent numbers; "isotropic":
            rotation-invariant vectors. All have the characteristic function exp(-|u|^alpha) of a single coordinate.
    """

    alpha: Number
    scale: Number
    mode: str = field(metadata={"static": True})

    def __post_init__(self):
        super().__post_init__()
        _check.numbers("alpha", self.alpha, "lie in (0, 2]", lambda v: (v > 0) & (v <= 2))
        _check.nonnegative("scale", self.scale)
        _check.choice("mode", self.mode, MODES)

    def vector(self, key: Key[Array, ""], step_size: Float[Array, ""], size: int) -> Float[Array, " {size}"]:
        """Increment of one neuron."""
        alpha = jnp.asarray(self.alpha, step_size.dtype)
        draw = stable_noise.isotropic_stable if self.mode == "isotropic" else stable_noise.symmetric_stable
        stable = draw(key, alpha, (1,) if self.mode == "scalar" else (size,), step_size.dtype)
        return jnp.broadcast_to(jnp.asarray(self.scale, step_size.dtype) * step_size ** (1 / alpha) * stable, (size,))
