"""The grid of runs: every combination of swept numbers and seeds."""

import itertools
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems.dynamics.base import AbstractDynamics

# The random streams of one seed. A step's key is `fold_in(stream, step)` and a neuron's `fold_in(stream, index)`: no key is
# carried along, so a run can be resumed anywhere, and widths, step sizes and everything else that is swept see the same draws.
INIT, DATA, NOISE = range(3)


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
    leaves, structure = jax.tree.flatten(dynamics)
    sweeps, places = {}, {}
    for position, (name, leaf) in enumerate(zip(dynamics.names(), leaves, strict=True)):
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
    leaves = [jnp.asarray(columns[i] if i in columns else np.full(cells, leaf), float) for i, leaf in enumerate(leaves)]
    seed_keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.asarray(seeds, jnp.uint32))
    return Grid(sweeps, seeds, jax.tree.unflatten(structure, leaves), seed_keys[combinations[:, -1].astype(int)])
