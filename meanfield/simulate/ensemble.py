"""One width's whole grid, every combination of swept numbers and seeds, as ONE vectorised program."""

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from meanfield import _check
from meanfield.simulate import placement
from meanfield.systems.dynamics.base import AbstractDynamics

# Random streams of one seed. A step's key is `fold_in(stream, step)` and a neuron's `fold_in(stream, index)`: no key is carried
# along, so a run can be resumed anywhere, and widths, step sizes and everything else that is swept see the same draws.
_INIT, _DATA, _NOISE = range(3)
STREAMS = (_DATA, _NOISE)


# Names of other axes and variables of the results.
RESERVED = (
    "width",
    "seed",
    "step",
    "split",
    "level",
    "order",
    "neuron",
    "component",
    "status",
    "steps_done",
    "first_bad_step",
    "programs",
)


@dataclass(frozen=True)
class Grid:
    """The cells of one sweep, in the order of `itertools.product(*sweeps, seeds)`.

    Args:
        sweeps: the swept fields of the dynamics and their values.
        seeds: the seeds.
        dynamics: the dynamics with one value a cell in every number: axis 0 is the cell.
        keys: the key of every cell's seed.
    """

    sweeps: dict[str, np.ndarray]
    seeds: tuple[int, ...]
    dynamics: AbstractDynamics
    keys: jax.Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along every axis."""
        return (*(len(v) for v in self.sweeps.values()), len(self.seeds))

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes."""
        return (*self.sweeps, "seed")

    def part(self, start: int, size: int) -> tuple[AbstractDynamics, jax.Array]:
        """Dynamics and keys of `size` cells from `start` on."""
        return jax.tree.map(lambda v: v[start : start + size], (self.dynamics, jax.random.clone(self.keys)))


def make_grid(dynamics: AbstractDynamics, seeds: tuple[int, ...], key: jax.Array) -> Grid:
    """Lay out the cells: a 1-D array in a field of the dynamics is an axis named after the field; `step_size` always is one."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(dynamics)
    sweeps, places = {}, {}
    for position, (path, leaf) in enumerate(leaves):
        must = "be a pytree: decorate its class with `jax.tree_util.register_dataclass`"
        _check.require(leaf is not dynamics, "dynamics", must, _check.words(f"a {type(dynamics).__name__}, which is none"))
        name = leaf_name(path)
        _check.require(np.ndim(leaf) <= 1, name, "be a number or a 1-D array of them", leaf)
        if np.ndim(leaf) == 1 or name == "step_size":
            free = name not in RESERVED
            _check.require(
                free,
                "dynamics",
                f"sweep fields of names other than {', '.join(RESERVED)}",
                _check.words(f"with a sweep of {name!r}"),
            )
            _check.require(name not in sweeps, name, "name one axis of the results", _check.words("the name of two fields"))
            values = np.atleast_1d(np.asarray(leaf, float))
            different = [len(np.unique(v)) == len(v) for v in (values, values.astype(jax.dtypes.canonicalize_dtype(float)))]
            must = "hold different numbers in a sweep" + ", also as float32" * different[0]
            _check.require(all(different), name, must, leaf)
            sweeps[name], places[name] = values, position
    combinations = np.array(list(itertools.product(*sweeps.values(), range(len(seeds)))))
    columns = {places[name]: combinations[:, i] for i, name in enumerate(sweeps)}
    cells = len(combinations)
    leaves = [jnp.asarray(columns[i] if i in columns else np.full(cells, leaf), float) for i, (_, leaf) in enumerate(leaves)]
    seed_keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.asarray(seeds, jnp.uint32))
    return Grid(sweeps, seeds, jax.tree.unflatten(structure, leaves), seed_keys[combinations[:, -1].astype(int)])


def leaf_name(path) -> str:
    """Name of an axis for the number at this path: its field or key; a step-size law is swept over its gamma."""
    first, last = (str(getattr(entry, "name", getattr(entry, "key", entry))) for entry in (path[0], path[-1]))
    return "step_size" if (first, last) == ("step_size", "gamma") else last


def check_step(system: Any, source: Any, grid: Grid, width: int) -> None:
    """Refuse a `step` that does not return a state and its info, by tracing one step of one cell: nothing is compiled."""

    def one(dynamics, key, source):
        state = dynamics.init(key, system.network, width)
        result = dynamics.step(key, state, dynamics.draw(source, key, state.step, width))
        pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)
        found = f"a {type(dynamics).__name__} that returns a {type(result).__name__}"
        must = "return from `step` a pair: the next state, and a dictionary of scalars"
        _check.require(pair, "dynamics", must, _check.words(found))

    cell = jax.tree.map(lambda v: jax.ShapeDtypeStruct(v.shape[1:], v.dtype), (grid.dynamics, grid.keys))
    jax.eval_shape(one, *cell, source)


@partial(jax.jit, static_argnames=("width", "network", "mesh"))
def init(dynamics: AbstractDynamics, keys: jax.Array, *, network: Any, width: int, mesh: Mesh | None = None) -> Any:
    """The states of all cells at step 0; on a mesh every device draws its own neurons and never sees the others."""
    with placement.using(mesh):
        states = jax.vmap(lambda one, key: one.init(jax.random.fold_in(key, _INIT), network, width))(dynamics, keys)
    return placement.placed(mesh, states, width)


@partial(jax.jit, static_argnames=("mesh",), donate_argnames=("states",))
def advance(
    dynamics: AbstractDynamics,
    source: Any,
    keys: jax.Array,
    states: Any,
    first_bad: jax.Array,
    steps: jax.Array,
    *,
    mesh: Mesh | None = None,
) -> Any:
    """Take `steps` steps in all cells.

    `steps` is traced, so chunks of any length share one program; so are all numbers of the dynamics.

    Args:
        dynamics, keys, states: axis 0 is the cell.
        source: what the dynamics draws from (`prepare`), one for all cells.
        first_bad: step count after which a cell's info was first seen not finite, (cells,); the largest integer if never.
        steps: number of steps.
        mesh: over which the states lie.

    Returns:
        The states, `first_bad`, and whether a number of the particles is not finite, (cells,).
    """
    data_keys, noise_keys = (jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, stream) for stream in (_DATA, _NOISE))
    width = states.particles.w.shape[1]
    with placement.using(mesh):
        states, bad = dynamics.advance(source, (data_keys, noise_keys), placement.placed(mesh, states, width), steps)
    broken = ~jnp.all(
        jnp.stack([_finite(v, zero=(steps < 0).astype(v.dtype)) for v in jax.tree.leaves(states.particles)]), axis=0
    )
    return placement.placed(mesh, states, width), *placement.everywhere(mesh, (jnp.minimum(first_bad, bad), broken))


def _finite(leaf, zero):
    """Whether all numbers of a cell are finite, (cells,), in one pass through memory without a copy: 0 times infinity is NaN.

    XLA would write `isfinite(leaf)` out before it takes `all`, and takes extremes at a fifth of this speed. It must not know the zero.
    """
    sums = jnp.einsum("c...i,i->c...", leaf, jnp.full(leaf.shape[-1], zero))
    return jnp.all(jnp.isfinite(sums.reshape(leaf.shape[0], -1)), axis=1)


@partial(jax.jit, static_argnames=("probes", "mesh"))
def observe(data: Any, states: Any, *, probes: tuple, mesh: Mesh | None = None) -> dict[str, jax.Array]:
    """What the probes see in every cell, one cell after the other: evaluation needs more memory than the particles.

    On a mesh every replica goes through its own cells.
    """
    replicas = 1 if mesh is None else mesh.shape.get("replicas", 1)

    def one(state):
        return {name: value for probe in probes for name, value in probe(state.network, state.particles, data).items()}

    def of_every_replica(number):
        return jax.vmap(one)(jax.tree.map(lambda v: v.reshape(replicas, -1, *v.shape[1:])[:, number], states))

    with placement.using(mesh):
        if replicas == 1:
            return placement.everywhere(mesh, jax.lax.map(one, states))
        values = jax.lax.map(of_every_replica, jnp.arange(states.step.shape[0] // replicas))
        values = jax.tree.map(lambda v: jnp.swapaxes(v, 0, 1).reshape(-1, *v.shape[2:]), values)
        return placement.everywhere(mesh, values)
