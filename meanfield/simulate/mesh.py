"""Where the particles are: a mesh of devices, and several processes that must agree."""

from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from meanfield import _check

AXES = ("replicas", "particles")
Tree = TypeVar("Tree")  # arrays, in the same containers before and after


def make_mesh(particles: int | None = None, replicas: int = 1) -> Mesh:
    """A mesh of `replicas` x `particles` devices for `mf.simulate(..., mesh=...)`.

    The neurons of every network are cut into `particles` equal parts, the runs of the grid into `replicas`. Neighbours along
    "particles" are neighbours in `jax.devices()`, so that the sum over the neurons stays within a host where it can.

    Args:
        particles: parts of the neurons; None: as many as there are devices for.
        replicas: parts of the runs.

    Raises:
        ValueError: there are fewer devices.

    Examples:
        >>> dict(make_mesh(1).shape)
        {'replicas': 1, 'particles': 1}
    """
    devices = jax.devices()
    _check.integer("replicas", replicas, at_least=1)
    fits = replicas <= len(devices)
    _check.require(fits, "replicas", f"be at most the number of devices, {len(devices)}", replicas)
    if particles is None:
        particles = len(devices) // replicas
    _check.integer("particles", particles, at_least=1)
    must = f"be at most {len(devices) // replicas}: there are {len(devices)} devices for {replicas} replicas"
    _check.require(particles * replicas <= len(devices), "particles", must, particles)
    return Mesh(np.array(devices[: replicas * particles]).reshape(replicas, particles), AXES, axis_types=(AxisType.Auto,) * 2)


def checked(mesh: Any, widths: tuple[int, ...], cells: int) -> Mesh | None:
    """The mesh with automatic axes, or a sentence about what does not fit."""
    if mesh is None:
        return None
    known = isinstance(mesh, Mesh) and set(mesh.axis_names) <= set(AXES)
    must = "be None, `mf.make_mesh(...)`, or a jax Mesh with no axes but 'particles' and 'replicas'"
    _check.require(known, "mesh", must, mesh)
    members = {device.process_index for device in mesh.devices.flat}
    must = "have devices of this process alone, or of all processes"
    about = _check.words(
        f"one with devices of the processes {sorted(members)} of {jax.process_count()}, in process {jax.process_index()}"
    )
    _check.require(members in ({jax.process_index()}, set(range(jax.process_count()))), "mesh", must, about)
    parts = {axis: mesh.shape.get(axis, 1) for axis in AXES}
    for width in widths:
        must = f"be multiples of the {parts['particles']} devices along 'particles'"
        _check.require(width % parts["particles"] == 0, "widths", must, width)
    must = f"have at most as many devices along 'replicas' as divide the number of runs, {cells}"
    _check.require(cells % parts["replicas"] == 0, "mesh", must, _check.words(f"one with {parts['replicas']}"))
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))


def sharding(mesh: Mesh, *axes: str | None) -> NamedSharding:
    """Sharding over those of the named axes that the mesh has."""
    return NamedSharding(mesh, P(*(axis if axis in mesh.axis_names else None for axis in axes)))


def placed(mesh: Mesh | None, states: Tree, width: int) -> Tree:
    """States with a constraint: axis 0 is the run; axis 1, where it is as long as the width, the neuron."""
    if mesh is None:
        return states

    def one(leaf):
        axes = AXES if leaf.ndim > 1 and leaf.shape[1] == width else AXES[:1]
        return jax.lax.with_sharding_constraint(leaf, sharding(mesh, *axes))

    return jax.tree.map(one, states)


def everywhere(mesh: Mesh | None, tree: Tree) -> Tree:
    """A tree with a constraint: whole on every device."""
    return tree if mesh is None else jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, P()))


@contextmanager
def using(mesh: Mesh | None):
    """Let what is traced inside know the mesh (`per_particle` asks for it)."""
    if mesh is None:
        yield
    else:
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            yield


def several(mesh: Mesh | None) -> bool:
    """Whether the mesh has devices of several processes."""
    return mesh is not None and len({device.process_index for device in mesh.devices.flat}) > 1


def put(mesh: Mesh | None, tree: Tree) -> Tree:
    """A tree of arrays, whole on every device of the mesh. Fails if they are not the same in every process."""

    def one(leaf):
        if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            # jax cannot put keys on devices of other processes, but their numbers.
            return jax.random.wrap_key_data(one(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        return jax.device_put(leaf, NamedSharding(mesh, P()))  # type: ignore[arg-type]

    return tree if mesh is None else jax.tree.map(one, tree)


def gathered(mesh: Mesh | None, tree: Tree) -> Tree:
    """A tree of numpy arrays, whole in every process."""
    if not several(mesh):
        return jax.tree.map(np.asarray, tree)
    # One run at a time: a device holds it whole for a moment.
    whole = jax.jit(lambda leaf, cell: leaf[cell], out_shardings=NamedSharding(mesh, P()))  # type: ignore[arg-type]
    return jax.tree.map(lambda v: np.stack([np.asarray(whole(v, np.int32(cell))) for cell in range(len(v))]), tree)


def agreed(mesh: Mesh | None, *numbers: int) -> np.ndarray:
    """The integers of all processes of the mesh, one row a process."""
    row = np.array(numbers, np.int32)
    return multihost_utils.process_allgather(row) if several(mesh) else row[None]


def like(mesh: Mesh | None, shapes: Any, shardings: Any) -> Any:
    """Place holders for what a program returns, to compile the next program before anything runs."""
    if mesh is None:
        return jax.tree.map(lambda v: jax.ShapeDtypeStruct(v.shape, v.dtype), shapes)
    return jax.tree.map(lambda v, s: jax.ShapeDtypeStruct(v.shape, v.dtype, sharding=s), shapes, shardings)
