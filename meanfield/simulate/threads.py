"""The runs of one program on their way: compiled programs, states, and as many threads as there are cores."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from meanfield.simulate import ensemble, placement
from meanfield.systems.dynamics.base import NEVER, AbstractDynamics


def count(cells: int, mesh: Mesh | None) -> int:
    """Into how many equal parts the runs go, each in a thread of its own: a divisor of their number, at most one a core.

    XLA works on a program operation by operation, and at most widths the operations of a step are too small for two cores: with two
    threads on two cores runs took 2.1 to 2.9 times as many steps a second at d = 64 (N = 128 to 8192), 1.1 to 1.5 times at
    d = 784, nowhere fewer (benchmarks/README.md). A GPU and a mesh have their own ways to be busy.
    """
    if mesh is not None or jax.default_backend() != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(n for n in range(1, min(cells, cores) + 1) if cells % n == 0)


class Threads:
    """Runs that step together.

    Programs are compiled here, before anything runs, in the thread of the caller: settings such as `jax.enable_x64` hold in the
    thread that makes them, and the threads of the threads only execute.

    Args:
        system: as in `simulate`.
        data, source: what probes look at and what the dynamics draws from, placed.
        dynamics, keys: of the runs; axis 0 is the run.
        width: number of neurons.
        looks: tuples of probes that will look together.
        mesh: devices to spread over.
    """

    def __init__(
        self,
        system: Any,
        data: Any,
        source: Any,
        dynamics: AbstractDynamics,
        keys: jax.Array,
        width: int,
        looks: Sequence[tuple],
        mesh: Mesh | None = None,
    ):
        self._data, self._source = data, source
        threads = count(len(keys), mesh)
        dynamics, keys = placement.put(mesh, (dynamics, keys))
        self._size = len(keys) // threads
        part = lambda thread: jax.tree.map(lambda v: v[thread * self._size : (thread + 1) * self._size], (dynamics, keys))  # noqa: E731
        self._given = [(dynamics, keys)] if threads == 1 else [part(thread) for thread in range(threads)]
        dynamics, keys = self._given[0]
        lowered = ensemble.init.lower(dynamics, keys, network=system.network, width=width, mesh=mesh)
        bad = np.full(self._size, NEVER, np.int32)
        # Without a mesh both are traced before either is compiled: a wrong `step` is refused at once.
        compiled = None if mesh is None else lowered.compile()
        states = placement.like(mesh, lowered.out_info, compiled and compiled.output_shardings)
        steps = ensemble.advance.lower(dynamics, source, keys, states, bad, np.int32(1), mesh=mesh)
        self._init, self._advance = compiled or lowered.compile(), steps.compile()
        self._observe = {probes: ensemble.observe.lower(data, states, probes=probes, mesh=mesh).compile() for probes in looks}
        self.states: list[Any] = []

    @property
    def bytes(self) -> int:
        """Memory of a device that the programs need beside the data."""
        source, data = placement.size(self._source), placement.size(self._data)
        looks = (placement.needs(look) - data for look in self._observe.values())
        one = max(placement.needs(self._init), placement.needs(self._advance) - source, *looks)
        return len(self._given) * one

    def start(self) -> None:
        """Draw the states at step 0."""
        self.states = self._in_threads(lambda thread: self._init(*self._given[thread]))

    def advance(self, first_bad: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Take so many steps: `first_bad` brought up to date, and where a number of the particles is not finite."""

        def one(thread):
            (dynamics, keys), states, self.states[thread] = self._given[thread], self.states[thread], None
            bad = first_bad[thread * self._size : (thread + 1) * self._size]
            self.states[thread], bad, broken = self._advance(dynamics, self._source, keys, states, bad, np.int32(steps))
            return np.asarray(bad), np.asarray(broken)

        bad, broken = zip(*self._in_threads(one), strict=True)
        return np.concatenate(bad), np.concatenate(broken)

    def observe(self, probes: tuple) -> dict[str, np.ndarray]:
        """What these probes see."""
        look = self._observe[probes]
        seen = self._in_threads(lambda thread: jax.tree.map(np.asarray, look(self._data, self.states[thread])))
        return {name: np.concatenate([one[name] for one in seen]) for name in seen[0]}

    def _in_threads(self, work: Callable[[int], Any]) -> list[Any]:
        if len(self._given) == 1:
            return [work(0)]
        with ThreadPoolExecutor(len(self._given)) as pool:
            return list(pool.map(work, range(len(self._given))))
