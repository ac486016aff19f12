"""The programs of some runs of one width, compiled before anything runs."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from meanfield.simulate import memory
from meanfield.simulate import mesh as meshes
from meanfield.simulate.grid import DATA, INIT, NOISE, Streams
from meanfield.simulate.probes import AbstractProbe, View
from meanfield.systems.data import AbstractSource
from meanfield.systems.dynamics.base import NEVER, AbstractDynamics, State
from meanfield.systems.networks import AbstractNetwork
from meanfield.systems.system import System


@dataclass(frozen=True)
class Job:
    """What all programs of one simulation share.

    Args:
        system: as in `simulate`.
        data, source: what probes look at and what the dynamics draws from, on the devices.
        probes: what to look at along the runs.
        steps: number of steps.
        mesh: devices to spread over.
    """

    system: System
    data: AbstractSource
    source: Any
    probes: tuple[AbstractProbe, ...]
    steps: int
    mesh: Mesh | None

    @property
    def looks(self) -> dict[int, tuple[AbstractProbe, ...]]:
        """The probes that look, for every step at which some do, in order."""
        at = sorted({step for probe in self.probes for step in probe.schedule(self.steps)})
        return {step: tuple(p for p in self.probes if step in p.schedule(self.steps)) for step in at}


class Program:
    """The three programs of a number of runs of one width: `init`, `advance`, and `observe` for every tuple of probes.

    They are compiled here, in the thread of the caller: settings such as `jax.enable_x64` hold in the thread that makes them, and
    other threads only execute.

    Args:
        job: the simulation.
        dynamics, streams: of the runs that go through one program together; axis 0 is the run.
        width: number of neurons.
    """

    def __init__(self, job: Job, dynamics: AbstractDynamics, streams: Streams, width: int):
        self._data, self._source = job.data, job.source
        lowered = init.lower(dynamics, streams, network=job.system.network, width=width, mesh=job.mesh)
        bad = np.full(len(streams[DATA]), NEVER, np.int32)
        # Without a mesh both are traced before either is compiled: a wrong `step` is refused at once.
        compiled = None if job.mesh is None else lowered.compile()
        self.shapes = states = meshes.like(job.mesh, lowered.out_info, compiled and compiled.output_shardings)
        steps = advance.lower(dynamics, job.source, streams, states, bad, np.int32(1), mesh=job.mesh)
        self._init, self._advance = compiled or lowered.compile(), steps.compile()
        given = dynamics, job.data, job.source, streams, states
        look = lambda probes: observe.lower(*given, probes=probes, mesh=job.mesh).compile()  # noqa: E731
        self._observe = {probes: look(probes) for probes in set(job.looks.values())}

    @property
    def bytes(self) -> int:
        """Memory of a device that the programs need beside the data."""
        source, data = memory.size(self._source), memory.size(self._data)
        looks = (memory.needs(look) - data for look in self._observe.values())
        return max(memory.needs(self._init), memory.needs(self._advance) - source, *looks)

    def init(self, dynamics: AbstractDynamics, streams: Streams) -> State:
        """The states at step 0."""
        return self._init(dynamics, streams)

    def advance(
        self, dynamics: AbstractDynamics, streams: Streams, states: State, first_bad: np.ndarray, steps: int
    ) -> tuple[State, jax.Array, jax.Array]:
        """See the function `advance`; the states given are lost."""
        return self._advance(dynamics, self._source, streams, states, first_bad, np.int32(steps))

    def observe(
        self, dynamics: AbstractDynamics, streams: Streams, states: State, probes: tuple[AbstractProbe, ...]
    ) -> dict[str, jax.Array]:
        """What these probes see."""
        return self._observe[probes](dynamics, self._data, self._source, streams, states)


@partial(jax.jit, static_argnames=("width", "network", "mesh"))
def init(
    dynamics: AbstractDynamics, streams: Streams, *, network: AbstractNetwork, width: int, mesh: Mesh | None = None
) -> State:
    """The states of all cells at step 0; on a mesh every device draws its own neurons and never sees the others."""
    with meshes.using(mesh):
        states = jax.vmap(lambda one, key: one.init(key, network, width))(dynamics, streams[INIT])
    return meshes.placed(mesh, states, width)


@partial(jax.jit, static_argnames=("mesh",), donate_argnames=("states",))
def advance(
    dynamics: AbstractDynamics,
    source: Any,
    streams: Streams,
    states: State,
    first_bad: jax.Array,
    steps: jax.Array,
    *,
    mesh: Mesh | None = None,
) -> tuple[State, jax.Array, jax.Array]:
    """Take `steps` steps in all cells.

    `steps` is traced, so chunks of any length share one program; so are all numbers of the dynamics.

    Args:
        dynamics, streams, states: axis 0 is the cell.
        source: what the dynamics draws from (`prepare`), one for all cells.
        first_bad: step count after which a cell's info was first seen not finite, (cells,); the largest integer if never.
        steps: number of steps.
        mesh: over which the states lie.

    Returns:
        The states, `first_bad`, and whether a number of the particles is not finite, (cells,).
    """
    width = states.particles.w.shape[1]
    with meshes.using(mesh):
        states, bad = dynamics.advance(source, (streams[DATA], streams[NOISE]), meshes.placed(mesh, states, width), steps)
    broken = ~jnp.all(
        jnp.stack([_finite(v, zero=(steps < 0).astype(v.dtype)) for v in jax.tree.leaves(states.particles)]), axis=0
    )
    return meshes.placed(mesh, states, width), *meshes.everywhere(mesh, (jnp.minimum(first_bad, bad), broken))


def _finite(leaf, zero):
    """Whether all numbers of a cell are finite, (cells,), in one pass through memory without a copy: 0 times infinity is NaN.

    XLA would write `isfinite(leaf)` out before it takes `all`, and takes extremes at a fifth of this speed. It must not know the zero.
    """
    sums = jnp.einsum("c...i,i->c...", leaf, jnp.full(leaf.shape[-1], zero))
    return jnp.all(jnp.isfinite(sums.reshape(leaf.shape[0], -1)), axis=1)


@partial(jax.jit, static_argnames=("probes", "mesh"))
def observe(
    dynamics: AbstractDynamics,
    data: AbstractSource,
    source: Any,
    streams: Streams,
    states: State,
    *,
    probes: tuple[AbstractProbe, ...],
    mesh: Mesh | None = None,
) -> dict[str, jax.Array]:
    """What the probes see in every cell, one cell after the other: evaluation needs more memory than the particles.

    On a mesh every replica goes through its own cells.
    """
    replicas = 1 if mesh is None else mesh.shape.get("replicas", 1)

    def one(cell):
        dynamics, own, state = cell
        view = View(state, dynamics, data, source, own[DATA:])
        return {name: value for probe in probes for name, value in probe(view).items()}

    cells = dynamics, streams, states

    def of_every_replica(number):
        return jax.vmap(one)(jax.tree.map(lambda v: v.reshape(replicas, -1, *v.shape[1:])[:, number], cells))

    with meshes.using(mesh):
        if replicas == 1:
            return meshes.everywhere(mesh, jax.lax.map(one, cells))
        values = jax.lax.map(of_every_replica, jnp.arange(states.step.shape[0] // replicas))
        values = jax.tree.map(lambda v: jnp.swapaxes(v, 0, 1).reshape(-1, *v.shape[2:]), values)
        return meshes.everywhere(mesh, values)
