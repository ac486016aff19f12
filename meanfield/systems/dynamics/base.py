"""What a dynamics is. A new one is one file with three things to write: copy docs/dynamics_template.py."""

import abc
import dataclasses
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from meanfield import _check
from meanfield.systems._arrays import Array, Int, Key
from meanfield.systems.data.base import AbstractSource
from meanfield.systems.networks.base import AbstractNetwork, Particles
from meanfield.systems.scaling import Number, StepSizeLaw

NEVER = np.iinfo(np.int32).max  # a step that no run reaches
POOL = 1024  # fresh examples a step that represent an online distribution, unless said otherwise

Tree = TypeVar("Tree")  # arrays, in the same containers before and after


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
    step: Int[Array, "*run"]
    network: AbstractNetwork


class AbstractDynamics(abc.ABC):
    """One step of a particle system, written for one run: `simulate` vectorises it over step sizes, seeds and other numbers.

    Three things to write: `step_size`, `batch_size` and `step`.

        step_size    a field: a number, a `mf.scaling.StepSizeLaw`, or a 1-D array to sweep
        batch_size   a static field: examples a step; or the class attribute None: `draw` then gives the whole of the data
        step         the state and a mini-batch -> the next state and its info

    A final subclass is a frozen dataclass with `@jax.tree_util.register_dataclass`. Fields that are numbers are pytree leaves:
    they are traced (a new value never recompiles), and a 1-D array in one of them is a sweep. Static fields decide shapes.
    Everything else has a default: `check`, `names`, `prepare`, `draw`, `init`, `limit`, `conditional`, `references`, and for speed
    alone `advance` and `stride`.

    Raises:
        ValueError: a decorator, `step_size` or `batch_size` is missing, or `batch_size` is not static.
    """

    step_size: Number | StepSizeLaw
    batch_size: int | None

    def __new__(cls, *args: Any, **kwargs: Any):
        """Refuse a class without a decorator."""
        _check.frozen("dynamics", cls)
        return super().__new__(cls)

    def __post_init__(self):
        _check.pytree("dynamics", self)
        fields = {field.name: field for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        _check.declared("batch_size", self, "be a field, or the class attribute None of a dynamics without mini-batches")
        _check.declared("step_size", self, "be a field: a number, an array to sweep, or a `mf.scaling.StepSizeLaw`")
        static = "batch_size" not in fields or fields["batch_size"].metadata.get("static", False)
        must = 'be a static field, for it decides shapes: `batch_size: int = field(metadata={"static": True})`'
        _check.require(static, "batch_size", must, _check.words("one that is traced"))
        if self.batch_size is not None:
            _check.integer("batch_size", self.batch_size, at_least=1)
        for field in fields.values():
            if not field.metadata.get("static", False):
                _check.as_array_field(self, field.name)

    def check(self, network: AbstractNetwork, data: AbstractSource) -> None:
        """Called by `System`: raise `ArgumentError` for parts that do not fit, warn with `StabilityWarning`."""
        for path, leaf in jax.tree_util.tree_leaves_with_path(self):  # `__post_init__` lets jax's place holders pass
            real = _check.as_numpy(leaf).dtype.kind in "iuf"
            _check.require(real, str(getattr(path[0], "name", path[0])), "hold numbers only", leaf)
        if data.size is not None and self.batch_size is not None:
            must = f"be at most the size of the finite data set, {data.size}"
            _check.require(self.batch_size <= data.size, "batch_size", must, self.batch_size)

    def names(self) -> list[str]:
        """The name of every number (pytree leaf): its field, or its key in a dictionary. A swept number names an axis of the results.

        A step-size law is swept over its gamma, under the name of its field.
        """
        paths = (path for path, _ in jax.tree_util.tree_leaves_with_path(self))
        entries = ([str(getattr(entry, "name", getattr(entry, "key", entry))) for entry in path] for path in paths)
        return [field if inner[-1:] == [StepSizeLaw.SWEPT] else (field, *inner)[-1] for field, *inner in entries]

    def prepare(self, data: AbstractSource) -> Any:
        """Converts the data once, on the host, into the form that `draw` reads: a pytree."""
        return data

    def draw(self, source: Any, key: Key[Array, ""], step: Int[Array, ""], width: int) -> Any:
        """The DATA of one step, the `batch` of `step`: by default a mini-batch that all neurons share.

        Args:
            source: what `prepare` returned.
            key: the data stream of the seed; depends on nothing else, so all widths share their data path.
            step: number of steps taken.
            width: number of particles.
        """
        if self.batch_size is None:
            return source.pool(key, step, POOL)
        return source.batch(key, step, self.batch_size)

    def init(self, key: Key[Array, ""], network: AbstractNetwork, width: int) -> State:
        """State at step 0: `width` particles drawn by the network. A dynamics with memory adds fields to `State`."""
        return State(network.init(key, width), jnp.zeros((), jnp.int32), network)

    @abc.abstractmethod
    def step(self, key: Key[Array, ""], state: Any, batch: Any) -> tuple[State, dict[str, jax.Array]]:
        """One step.

        Args:
            key: a key of this step alone, for NOISE that the dynamics itself adds; `per_particle` splits it.
            state: what `init` or the step before returned.
            batch: what `draw` returned; by default inputs (batch_size, dim) and labels or targets, the same for all neurons.

        Returns:
            The next state, and scalars to look at ("info"). `simulate` takes the first step whose info is not finite for the
            step at which a run diverged, so the info should hold a number that feels every particle, like the risk.
        """

    def advance(
        self, source: Any, streams: tuple[Key[Array, "*run"], Key[Array, "*run"]], states: State, steps: Int[Array, ""]
    ) -> tuple[State, Int[Array, "*run"]]:
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
            state, info = state_and_info(one, state, one.step(jax.random.fold_in(noise_key, state.step), state, batch))
            finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(v)) for v in (*jax.tree.leaves(info), 0.0)]))
            return state, jnp.where(finite, bad, jnp.minimum(bad, state.step))

        def body(_, carry):
            return jax.vmap(step)(self, carry[0], *streams, carry[1])

        return jax.lax.fori_loop(0, steps, body, (states, jnp.full(states.step.shape, NEVER, jnp.int32)))

    def stride(self, network: AbstractNetwork, width: int) -> int:
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
        """Whether the limit is a random law, which depends on the data path: particles are then independent only GIVEN that path."""
        return True

    @property
    def references(self) -> tuple[str, ...]:
        """BibTeX keys; those of the library are in docs/references.bib."""
        return ()


def warn_unstable(name: str, limit: float, value: float, what: str) -> None:
    """Say once, when the system is put together, that a step is beyond a stability limit."""
    text = f"Argument `{name}` is {value:g}, beyond its stability limit {limit:.6g}: {what}."
    warnings.warn(text, _check.StabilityWarning, stacklevel=5)


def state_and_info(dynamics: AbstractDynamics, before: State, result: Any) -> tuple[State, dict[str, jax.Array]]:
    """What `step` made of a state; refused, while it is traced, if it is not the next state and its info."""
    name = type(dynamics).__name__
    must = "return from `step` a pair: the next state, and a dictionary of scalars"
    pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)
    _check.require(pair, "dynamics", must, _check.words(f"a {name} that returns a {type(result).__name__}"))
    state, info = result
    is_state = isinstance(state, State)
    _check.require(is_state, "dynamics", must, _check.words(f"a {name} that returns a {type(state).__name__} for a state"))
    shapes = {key: jnp.shape(value) for key, value in info.items() if jnp.shape(value)}
    _check.require(not shapes, "dynamics", must, _check.words(f"a {name} whose info has shapes {shapes}"))
    # Random streams and step-size laws read the counter: left where it is, every step would see the same mini-batch.
    _check.require(
        state.step is not before.step, "dynamics", "count its steps", _check.words(f"a {name} that leaves `step` as it was")
    )
    return result


def per_particle(key: Key[Array, ""], width: int, sample: Callable[[Key[Array, ""]], Tree]) -> Tree:
    """`sample(key_i)` for every particle, on axis 0. Draws of particle i depend on i alone, not on the width.

    Examples:
        >>> draw = lambda key: jax.random.normal(key, (3,))
        >>> few, many = (per_particle(jax.random.key(0), width, draw) for width in (2, 5))
        >>> bool(jnp.all(few == many[:2]))
        True
    """
    mine = over_particles(jnp.arange(width))
    return over_particles(jax.vmap(lambda index: sample(jax.random.fold_in(key, index)))(mine))


def over_particles(tree: Tree) -> Tree:
    """Axis 0 of every array cut over the axis "particles" of the mesh in use, if there is one.

    Without it every device could draw the noise of all particles and throw most of it away.
    """
    parts = jax.sharding.get_abstract_mesh().shape.get("particles", 1)

    def one(leaf):
        return jax.lax.with_sharding_constraint(leaf, P("particles")) if leaf.shape[0] % parts == 0 else leaf

    return tree if parts == 1 else jax.tree.map(one, tree)
