"""Any optax optimiser, on the particles."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, final

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems._arrays import Array, Float, Key, Real
from meanfield.systems.data.base import AbstractSource
from meanfield.systems.dynamics.base import AbstractDynamics, State
from meanfield.systems.networks import AbstractNetwork, Particles
from meanfield.systems.scaling import Number, StepSizeLaw, per_neuron

if TYPE_CHECKING:
    import optax


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class OptaxState(State):
    """The state of a network and of its optimiser."""

    optimiser: "optax.OptState"


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Optax(AbstractDynamics):
    """An optax `GradientTransformation` on the mean-field gradients N dR/dtheta_i, with shared mini-batches.

        updates = transformation(N dR/dtheta);   theta_i <- theta_i + step_size * updates_i

    Args:
        transformation: a `GradientTransformation` that includes its sign, like `optax.sgd(0.1, momentum=0.9)`; or a function that
            makes one from the numbers in `hyperparameters`, like `optax.adam`.
        batch_size: examples a step.
        step_size: factor of the updates, or a `mf.scaling.StepSizeLaw`; 1-D arrays are swept, here and in `hyperparameters`.
        hyperparameters: named numbers for the function.

    Raises:
        ValueError: something that is no transformation, hyperparameters without a function, a number that is not finite.

    `limit()` is the conditional limit given the data path, this same dynamics at infinite width, if the transformation treats
    each neuron by itself (momentum, Adam, RMSProp, clipping by value); this is tried out on a few particles and gradients of
    five sizes. A transformation that mixes neurons (clipping by the global norm, whose size depends on the width) has no limit
    here: None, nor has a step that vanishes with the width. A transformation with a random key of its own (`optax.add_noise`)
    draws the same in every seed.

    Examples:
        >>> import optax
        >>> adam = Optax(optax.adam, batch_size=1, hyperparameters={"learning_rate": [0.01, 0.1], "b1": 0.9})
        >>> adam.limit() is adam
        True
        >>> Optax(optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)), batch_size=1).limit() is None
        True
    """

    transformation: "optax.GradientTransformation | Callable[..., optax.GradientTransformation]" = field(
        metadata={"static": True}
    )
    batch_size: int = field(metadata={"static": True})
    step_size: Number | StepSizeLaw = 1.0
    hyperparameters: Mapping[str, Number] = field(default_factory=dict)

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.step_size, StepSizeLaw):
            _check.positive("step_size", self.step_size)
        given = _is_made(self.transformation)
        must = "be an optax `GradientTransformation` or a function that makes one"
        _check.require(given or isinstance(self.transformation, Callable), "transformation", must, self.transformation)
        named = isinstance(self.hyperparameters, Mapping) or not _check.is_typed(self.hyperparameters)
        _check.require(named, "hyperparameters", "be a dictionary of named numbers", self.hyperparameters)
        if isinstance(self.hyperparameters, Mapping):
            must = "be empty for a transformation that is already made"
            _check.require(not (given and self.hyperparameters), "hyperparameters", must, self.hyperparameters)
            values = {
                name: np.asarray(v, float) if isinstance(v, list | tuple) else v for name, v in self.hyperparameters.items()
            }
            for name, value in values.items():
                _check.numbers(name, value, "be a finite number, or an array of them", lambda v: np.ones(v.shape, bool))
            object.__setattr__(self, "hyperparameters", values)  # an array is one leaf, a list would be many

    def check(self, network: AbstractNetwork, data: AbstractSource) -> None:
        """Refuse hyperparameters that the function does not take, and what it makes if that is no transformation."""
        super().check(network, data)
        try:
            made = _first(self)._made(np.float32)
        except (TypeError, ValueError) as error:
            raise _check.ArgumentError(f"Argument `hyperparameters` must be those of `transformation`, but: {error}.") from None
        must = "be an optax `GradientTransformation` or a function that makes one"
        _check.require(_is_made(made), "transformation", must, self.transformation)
        try:
            with jax.numpy_dtype_promotion("standard"):
                jax.eval_shape(lambda g: made.update(g, made.init(g), g), Particles(jnp.zeros((2, 3)), jnp.zeros((2, 1))))
        except TypeError as error:
            must = "take gradients and particles alone"
            raise _check.ArgumentError(
                f"Argument `transformation` must {must}, but is one whose update fails: {error}."
            ) from None

    def init(self, key: Key[Array, ""], network: AbstractNetwork, width: int) -> OptaxState:
        """State at step 0: particles and the optimiser's start."""
        start = super().init(key, network, width)
        made = self._made(start.particles.w.dtype)
        return OptaxState(start.particles, start.step, network, made.init(start.particles))  # type: ignore[arg-type]

    def step(
        self, key: Key[Array, ""], state: OptaxState, batch: tuple[Real[Array, "example dim"], Real[Array, " example *target"]]
    ) -> tuple[OptaxState, dict[str, Float[Array, ""]]]:
        """One step; `key` is not used."""
        network, particles = state.network, state.particles
        risk, gradient = network.gradient(particles, *batch)
        gradient = network.trained(gradient)
        dtype = particles.w.dtype
        with jax.numpy_dtype_promotion("standard"):  # optax takes powers of traced numbers to integer counts
            updates, optimiser = self._made(dtype).update(gradient, state.optimiser, particles)  # type: ignore[arg-type]
        eta = jnp.asarray(per_neuron(self.step_size, particles.w.shape[0], state.step), dtype)
        moved = network.move(particles, jax.tree.map(lambda u: eta * u.astype(dtype), updates))
        return OptaxState(moved, state.step + 1, network, optimiser), {"risk": risk}

    def limit(self) -> "Optax | None":
        """The same dynamics, conditional on the data path, if neurons do not mix; None if they do."""
        rng = np.random.default_rng(0)
        many, gradient = (Particles(*(jnp.asarray(rng.normal(size=(4, size)), float) for size in (3, 2))) for _ in range(2))
        first = lambda tree: jax.tree.map(lambda v: v[:2], tree)  # noqa: E731
        if isinstance(self.step_size, StepSizeLaw) and np.any(np.asarray(self.step_size.beta) < 1):
            return None
        made = _first(self)._made(many.w.dtype)
        for size in (1e-6, 1e-3, 1.0, 1e3, 1e6):  # clipping shows at the size where it begins
            g = jax.tree.map(lambda v, size=size: size * v, gradient)
            with jax.numpy_dtype_promotion("standard"):
                together, _ = made.update(g, made.init(many), many)  # type: ignore[arg-type]
                alone, _ = made.update(first(g), made.init(first(many)), first(many))
            same = jax.tree.map(lambda a, b: np.allclose(a, b, rtol=1e-5, atol=0), first(together), alone)
            if not all(jax.tree.leaves(same)):
                return None
        return self

    def _made(self, dtype) -> "optax.GradientTransformation":
        if _is_made(self.transformation):
            return self.transformation  # type: ignore[return-value]
        return self.transformation(**{name: jnp.asarray(value, dtype) for name, value in self.hyperparameters.items()})  # type: ignore[operator]

    @property
    def references(self) -> tuple[str, ...]:
        """BibTeX keys."""
        return ("Optax2020",)


def _first(swept: Optax) -> Optax:
    """The first member of a sweep."""
    return jax.tree.map(lambda v: np.ravel(v)[0], swept)


def _is_made(given: object) -> bool:
    import optax  # here, so that the import of meanfield is light

    return isinstance(given, optax.GradientTransformation)
