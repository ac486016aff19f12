"""What a dynamics is. A new one is one file: copy docs/dynamics_template.py, change `step`."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from meanfield import _check
from meanfield.systems.network import Particles, TwoLayer

NEVER = np.iinfo(np.int32).max  # a step that no run reaches


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """What continues from step to step. A dynamics with memory adds fields to it.

    Args:
        particles: the neurons.
        step: number of steps taken, the n of step-size laws and of random streams.
        network: the architecture; it has no numbers, so it costs nothing here.
    """

    particles: Particles
    step: jax.Array
    network: TwoLayer


class AbstractDynamics(abc.ABC):
    """One step of a particle system, written for one run: `simulate` vectorises it over step sizes, seeds and other numbers.

    A final subclass is a frozen dataclass with `@jax.tree_util.register_dataclass`. Fields that are numbers are pytree leaves:
    they are traced (a new value never recompiles), and a 1-D array in one of them is a sweep. Fields marked static (`batch_size`)
    decide shapes.
    """

    batch_size: Any  # every dynamics has this static field (the annotation alone adds none)
    infinite_batch = False  # whether batch_size may be None, an expectation over all examples

    def __post_init__(self):
        must = "be a static field (or, for a dynamics without mini-batches, None, beside `infinite_batch = True`)"
        missing = _check.words(f"missing in {type(self).__name__}")
        _check.require(hasattr(self, "batch_size"), "batch_size", must, missing)
        if not (self.batch_size is None and self.infinite_batch):
            _check.integer("batch_size", self.batch_size, at_least=1)
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            if not field.metadata.get("static", False):
                _check.as_array_field(self, field.name)

    def check(self, network: TwoLayer, data: Any) -> None:
        """Called by `System`: raise `ArgumentError` for parts that do not fit, warn with `StabilityWarning`."""
        for path, leaf in jax.tree_util.tree_leaves_with_path(self):  # `__post_init__` lets jax's place holders pass
            real = _check.as_numpy(leaf).dtype.kind in "iuf"
            _check.require(real, str(getattr(path[0], "name", path[0])), "hold numbers only", leaf)
        if data.size is not None and self.batch_size is not None:
            must = f"be at most the size of the finite data set, {data.size}"
            _check.require(self.batch_size <= data.size, "batch_size", must, self.batch_size)

    def prepare(self, data: Any) -> Any:
        """What `draw` reads instead of the data: a pytree made once, on the host, before anything runs."""
        return data

    def draw(self, source: Any, key: jax.Array, step: jax.Array, width: int) -> Any:
        """The data of one step, what `step` gets as its batch: a mini-batch that all neurons share.

        Args:
            source: what `prepare` returned.
            key: the data stream of the seed; depends on nothing else, so all widths share their data path.
            step: number of steps taken.
            width: number of particles.
        """
        return source.batch(key, step, self.batch_size)

    def init(self, key: jax.Array, network: TwoLayer, width: int) -> Any:
        """State at step 0: `width` particles drawn by the network."""
        return State(network.init(key, width), jnp.zeros((), jnp.int32), network)

    @abc.abstractmethod
    def step(self, key: jax.Array, state: Any, batch: Any) -> tuple[Any, dict[str, jax.Array]]:
        """One step.

        Args:
            key: a key of this step alone, for noise that the dynamics itself adds; `per_particle` splits it.
            state: what `init` or the step before returned.
            batch: what `draw` returned; by default inputs (batch_size, dim) and labels or targets, the same for all neurons.

        Returns:
            The next state, and scalars to look at ("info"). `simulate` takes the first step whose info is not finite for the
            step at which a run diverged, so the info should hold a number that feels every particle, like the risk.
        """

    def advance(self, source: Any, streams: tuple[jax.Array, jax.Array], states: Any, steps: jax.Array) -> tuple[Any, jax.Array]:
        """Take `steps` steps in all cells; axis 0 of every array, those of the dynamics included, is the cell.

        By default a `draw` and a `step` after the other. A dynamics that can take several steps in one pass over the particles
        overrides this; what comes out must be what the steps give one by one, up to rounding.

        Args:
            source: what `prepare` returned, one for all cells.
            streams: keys of the data and of the noise of every cell.
            states: the states.
            steps: number of steps.

        Returns:
            The states, and the step count after which a number of a cell's info was first seen not finite, (cells,); `NEVER` if none.
        """

        def step(one, state, data_key, noise_key, bad):
            batch = one.draw(source, data_key, state.step, state.particles.w.shape[0])
            state, info = one.step(jax.random.fold_in(noise_key, state.step), state, batch)
            finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(v)) for v in (*jax.tree.leaves(info), 0.0)]))
            return state, jnp.where(finite, bad, jnp.minimum(bad, state.step))

        def body(_, carry):
            return jax.vmap(step)(self, carry[0], *streams, carry[1])

        return jax.lax.fori_loop(0, steps, body, (states, jnp.full(states.step.shape, NEVER, jnp.int32)))

    def stride(self, network: TwoLayer, width: int) -> int:
        """How many steps `advance` takes at once: chunks end at multiples of it, so that results do not depend on their lengths."""
        return 1

    def limit(self) -> "AbstractDynamics | None":
        """The dynamics that the particles converge to as the width grows; None where the library has none.

        It is simulated like any other, at a width much larger than those it is compared with. Because streams depend on the seed
        alone, its first particles start like those of a narrow system, see the same data and the same noise: they are coupled.
        """
        return None

    @property
    def conditional(self) -> bool:
        """Whether the limit is random: particles are then independent only GIVEN the data path, which all of them see."""
        return True

    @property
    @abc.abstractmethod
    def references(self) -> tuple[str, ...]:
        """BibTeX keys, in docs/references.bib."""


def per_particle(key: jax.Array, width: int, sample: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """`sample(key_i)` for every particle, on axis 0. Draws of particle i depend on i alone, not on the width.

    Examples:
        >>> draw = lambda key: jax.random.normal(key, (3,))
        >>> few, many = (per_particle(jax.random.key(0), width, draw) for width in (2, 5))
        >>> bool(jnp.all(few == many[:2]))
        True
    """
    mine = over_particles(jnp.arange(width))
    return over_particles(jax.vmap(lambda index: sample(jax.random.fold_in(key, index)))(mine))


def over_particles(tree: Any) -> Any:
    """Axis 0 of every array cut over the axis "particles" of the mesh in use, if there is one.

    Without it every device could draw the noise of all particles and throw most of it away.
    """
    parts = jax.sharding.get_abstract_mesh().shape.get("particles", 1)

    def one(leaf):
        return jax.lax.with_sharding_constraint(leaf, P("particles")) if leaf.shape[0] % parts == 0 else leaf

    return tree if parts == 1 else jax.tree.map(one, tree)
