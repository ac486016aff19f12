"""Our side of the contest. The only place that calls the driver's inner function."""

import jax
import jax.numpy as jnp
import numpy as np

import meanfield as mf
from meanfield.simulate import memory
from meanfield.simulate.grid import DATA, make_grid
from meanfield.simulate.program import Job
from meanfield.simulate.threads import Threads
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
        self.grid = make_grid(system.dynamics, tuple(range(seeds)), jax.random.key(SEED))
        source = system.dynamics.prepare(system.data)
        self.cells = self.grid.cells
        self.stride = system.dynamics.stride(system.network, width)  # steps in one trip through memory
        self.threads = Threads(Job(system, system.data, source, (), 0, None), self.grid.dynamics, self.grid.streams, width)
        self.threads.start()
        self._first_bad = np.full(self.cells, NEVER, np.int32)
        self._needed = {name: memory.size(tree) for name, tree in {"state": self.threads.states, "data": source}.items()}

    def run(self, steps: int) -> None:
        """Take so many steps in all cells."""
        self._first_bad, _ = self.threads.advance(self._first_bad, steps)

    def particles(self) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the weights of the first cell, (N, dim) and (N, outputs)."""
        particles = self.threads.states[0].particles
        return np.array(particles.w[0]), np.array(particles.a[0])  # type: ignore[index]

    def indices(self, steps: int) -> np.ndarray:
        """Which examples the steps 0, 1, ... of the first cell draw, (steps, batch_size)."""
        numbers = mf.data.from_arrays(np.arange(self.data.size, dtype=float)[:, None], np.zeros(self.data.size, int), classes=1)
        key = self.grid.streams[DATA][0]
        return np.array([numbers.batch(key, step, self.batch_size)[0][:, 0] for step in range(steps)], np.int64)

    def finite(self) -> bool:
        """Whether no cell has diverged."""
        leaves = jax.tree.leaves([states.particles for states in self.threads.states])
        return bool(np.all(self._first_bad == NEVER)) and all(bool(jnp.all(jnp.isfinite(v))) for v in leaves)

    @property
    def bytes(self) -> dict[str, int]:
        """Bytes of what must be held (particles, other state, data), and of what the compiled chunk of steps holds at its peak."""
        return self._needed | {"chunk_peak": memory.needs(self.threads.program._advance)}
