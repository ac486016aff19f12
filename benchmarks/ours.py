"""Our side of the contest. The only place that calls the driver's inner function."""

from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

import meanfield as mf
from meanfield.simulate import ensemble
from meanfield.systems.dynamics.base import NEVER

SEED = 20211103


def synthetic(dim: int, outputs: int, examples: int = 5000) -> mf.data.FiniteData:
    """Gaussian inputs of mean square norm 1 with random labels, always the same."""
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((examples, dim)) / np.sqrt(dim)
    return mf.data.from_arrays(x, rng.integers(outputs, size=examples), classes=outputs)


class Ours:
    """All cells of one width, advanced as `mf.simulate` advances them, without probes.

    Args:
        data: a finite data set.
        width: number of neurons.
        batch_size: examples a step.
        step_sizes: one or several.
        seeds: number of seeds; there are `len(step_sizes) * seeds` cells.
    """

    def __init__(self, data, width: int, batch_size: int, step_sizes: tuple[float, ...] = (0.1,), seeds: int = 1):
        sgd = mf.dynamics.SGD(step_size=step_sizes, batch_size=batch_size)
        system = mf.System(mf.TwoLayer("relu", "cross_entropy"), data, sgd)
        self.data, self.batch_size = data, batch_size
        self.grid = ensemble.make_grid(system.dynamics, tuple(range(seeds)), jax.random.key(SEED))
        self._source = system.dynamics.prepare(system.data)
        self.cells = len(self.grid.keys)
        self.stride = system.dynamics.stride(system.network, width)  # steps in one trip through memory
        self._states = ensemble.init(self.grid.dynamics, self.grid.keys, network=system.network, width=width)
        self._first_bad = jnp.full(self.cells, NEVER, jnp.int32)

    def _arguments(self, steps: int) -> tuple:
        return self.grid.dynamics, self._source, self.grid.keys, self._states, self._first_bad, jnp.asarray(steps)

    def run(self, steps: int) -> None:
        """Take so many steps in all cells."""
        self._states, self._first_bad, broken = ensemble.advance(*self._arguments(steps))
        jax.block_until_ready((self._states, broken))

    def particles(self, cell: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the weights of one cell, (N, dim) and (N, outputs)."""
        particles = self._states.particles
        return np.array(particles.w[cell]), np.array(particles.a[cell])

    def indices(self, steps: int) -> np.ndarray:
        """Which examples the steps 0, 1, ... of the first cell draw, (steps, batch_size)."""
        numbers = mf.data.from_arrays(np.arange(self.data.size, dtype=float)[:, None], np.zeros(self.data.size, int), classes=1)
        key = jax.random.fold_in(self.grid.keys[0], ensemble._DATA)
        return np.array([numbers.batch(key, step, self.batch_size)[0][:, 0] for step in range(steps)], np.int64)

    def finite(self) -> bool:
        """Whether no cell has diverged."""
        leaves = jax.tree.leaves(self._states.particles)
        return bool(jnp.all(self._first_bad == NEVER)) and all(bool(jnp.all(jnp.isfinite(v))) for v in leaves)

    @cached_property
    def bytes(self) -> dict[str, int]:
        """Bytes of what must be held (particles, other state, data), and of what the compiled chunk of steps holds at its peak.

        The peak is arguments + outputs + temporaries, less what outputs share with arguments.
        """
        needed = {"state": self._states, "data": self._source}
        needed = {name: sum(v.nbytes for v in jax.tree.leaves(tree)) for name, tree in needed.items()}
        analysis = ensemble.advance.lower(*self._arguments(1)).compile().memory_analysis()
        assert analysis is not None
        held = analysis.argument_size_in_bytes + analysis.output_size_in_bytes + analysis.temp_size_in_bytes
        return needed | {"chunk_peak": held - analysis.alias_size_in_bytes}
