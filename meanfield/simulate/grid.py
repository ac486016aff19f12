"""The grid of runs: every combination of swept numbers and seeds."""

import itertools
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems.dynamics.base import AbstractDynamics

# The random streams of one run. A step's key is `fold_in(stream, step)` and a neuron's `fold_in(stream, index)`: no key is
# carried along, so a run can be resumed anywhere, and widths, step sizes and everything else that is swept see the same draws.
INIT, DATA, NOISE = range(3)
OTHERS = 3  # first number that the key of a seed is folded with for its other networks, which share DATA alone

Streams = tuple[jax.Array, jax.Array, jax.Array]

# Names of other axes and variables of the results.
RESERVED = (
    "width",
    "seed",
    "network",
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
    """The cells of one sweep, in the order of `itertools.product(*sweeps, seeds, networks)`.

    Args:
        sweeps: the swept fields of the dynamics and their values.
        seeds: the seeds.
        networks: number of networks of every seed, on one data path.
        dynamics: the dynamics with one value a cell in every number: axis 0 is the cell.
        streams: the keys of the streams INIT, DATA and NOISE, each (cells,).
    """

    sweeps: dict[str, np.ndarray]
    seeds: tuple[int, ...]
    networks: int
    dynamics: AbstractDynamics
    streams: Streams

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self.streams[DATA])

    @property
    def coords(self) -> dict[str, list]:
        """Axes and their values. A single network of a seed has no axis."""
        own = {"network": list(range(self.networks))} if self.networks > 1 else {}
        return {name: values.tolist() for name, values in self.sweeps.items()} | {"seed": list(self.seeds)} | own

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along every axis."""
        return tuple(len(values) for values in self.coords.values())

    def part(self, start: int, size: int) -> tuple[AbstractDynamics, Streams]:
        """Dynamics and streams of `size` cells from `start` on."""
        return jax.tree.map(lambda v: v[start : start + size], (self.dynamics, jax.tree.map(jax.random.clone, self.streams)))


def make_grid(dynamics: AbstractDynamics, seeds: tuple[int, ...], key: jax.Array, networks: int = 1) -> Grid:
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
    combinations = np.array(list(itertools.product(*sweeps.values(), range(len(seeds) * networks))))
    columns = {places[name]: combinations[:, i] for i, name in enumerate(sweeps)}
    cells = len(combinations)
    leaves = [jnp.asarray(columns[i] if i in columns else np.full(cells, leaf), float) for i, leaf in enumerate(leaves)]
    own = combinations[:, -1].astype(int)
    streams = tuple(keys[own] for keys in _streams(key, jnp.asarray(seeds, jnp.uint32), networks))
    return Grid(sweeps, seeds, networks, jax.tree.unflatten(structure, leaves), (streams[INIT], streams[DATA], streams[NOISE]))


def _streams(key: jax.Array, seeds: jax.Array, networks: int) -> Streams:
    """The streams of every network of every seed, (seeds networks,) each. The first one's are those of a run of one network a seed."""
    fold = jax.vmap(jax.random.fold_in, (0, None))
    of_seed = jnp.repeat(jax.vmap(partial(jax.random.fold_in, key))(seeds), networks)
    number = jnp.tile(jnp.arange(networks), len(seeds))
    others = jax.vmap(jax.random.fold_in)(jax.random.clone(of_seed), OTHERS + number - 1)
    own = jnp.where(number == 0, jax.random.clone(of_seed), others)
    init, noise = (fold(jax.random.clone(own), stream) for stream in (INIT, NOISE))
    return init, fold(jax.random.clone(of_seed), DATA), noise
