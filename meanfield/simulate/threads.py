"""How many threads run, and the runs in them: one thread per core, each with its states."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from meanfield.simulate import mesh as meshes
from meanfield.simulate.grid import DATA, Streams
from meanfield.simulate.program import Job, Program
from meanfield.systems.dynamics.base import AbstractDynamics, State

Seen = TypeVar("Seen")


def count(cells: int, mesh: Mesh | None) -> int:
    """Number of threads, each with an equal part of the runs: a divisor of their number, at most one a core.

    XLA works on a program operation by operation, and at most widths the operations of a step are too small for two cores: with two
    threads on two cores runs took 2.1 to 2.9 times as many steps a second at d = 64 (N = 128 to 8192), 1.1 to 1.5 times at
    d = 784, nowhere fewer (benchmarks/README.md). A GPU and a mesh have their own ways to be busy.
    """
    if mesh is not None or jax.default_backend() != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(n for n in range(1, min(cells, cores) + 1) if cells % n == 0)


class Threads:
    """Runs that step together, in as many threads as there are cores for.

    Args:
        job: the simulation.
        dynamics, streams: of the runs; axis 0 is the run.
        width: number of neurons.
    """

    def __init__(self, job: Job, dynamics: AbstractDynamics, streams: Streams, width: int):
        cells = len(streams[DATA])
        threads = count(cells, job.mesh)
        given = meshes.put(job.mesh, (dynamics, streams))
        self._size = cells // threads
        part = lambda thread: jax.tree.map(lambda v: v[thread * self._size : (thread + 1) * self._size], given)  # noqa: E731
        self._given: list[tuple] = [given] if threads == 1 else [part(thread) for thread in range(threads)]
        dynamics, streams = self._given[0]
        self.program = Program(job, dynamics, streams, width)
        self.states: list[State] = []
        self._mesh = job.mesh

    @property
    def bytes(self) -> int:
        """Memory of a device that the programs need beside the data."""
        return len(self._given) * self.program.bytes

    @property
    def shapes(self) -> list[Any]:
        """Place holders of the leaves of the states of one thread; on a mesh of all runs."""
        return jax.tree.leaves(self.program.shapes)

    def start(self, leaves: list[Any] | None = None) -> None:
        """Draw the states at step 0, or take the leaves of states of all runs that `leaves` gave."""
        if leaves is None:
            self.states = self._in_threads(lambda thread: self.program.init(*self._given[thread]))
            return
        structure, size = jax.tree.structure(self.program.shapes), self._size
        whole = len(self._given) == 1
        of = lambda v, thread: v if whole else v[thread * size : (thread + 1) * size]  # noqa: E731
        put = lambda v: v if isinstance(v, jax.Array) else jnp.array(v)  # noqa: E731  a copy: the program takes its memory
        self.states = [
            jax.tree.unflatten(structure, [put(of(leaf, thread)) for leaf in leaves]) for thread in range(len(self._given))
        ]

    def leaves(self) -> list[Any]:
        """The leaves of the states of all runs: copies on the host, on a mesh the arrays themselves."""
        states = [jax.tree.leaves(state) for state in self.states]
        if self._mesh is not None:
            return states[0]
        return [np.concatenate(pieces) for pieces in zip(*states, strict=True)]

    def advance(self, first_bad: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Take so many steps: `first_bad` brought up to date, and where a number of the particles is not finite."""

        def one(thread):
            (dynamics, streams), states = self._given[thread], self.states[thread]
            self.states[thread] = None  # type: ignore[call-overload]  # the program takes their memory
            bad = first_bad[thread * self._size : (thread + 1) * self._size]
            self.states[thread], bad, broken = self.program.advance(dynamics, streams, states, bad, steps)
            return np.asarray(bad), np.asarray(broken)

        bad, broken = zip(*self._in_threads(one), strict=True)
        return np.concatenate(bad), np.concatenate(broken)

    def observe(self, probes: tuple) -> dict[str, np.ndarray]:
        """What these probes see."""

        def one(thread):
            dynamics, streams = self._given[thread]
            return jax.tree.map(np.asarray, self.program.observe(dynamics, streams, self.states[thread], probes))

        seen = self._in_threads(one)
        return {name: np.concatenate([one[name] for one in seen]) for name in seen[0]}

    def _in_threads(self, work: Callable[[int], Seen]) -> list[Seen]:
        if len(self._given) == 1:
            return [work(0)]
        with ThreadPoolExecutor(len(self._given)) as pool:
            return list(pool.map(work, range(len(self._given))))
