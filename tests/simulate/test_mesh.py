"""Particles and runs over a mesh of (virtual) devices: the same results, one sum a step, no device that holds all neurons."""

import math
import re
from dataclasses import dataclass, field
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P

import meanfield as mf
from meanfield.simulate import mesh as meshes
from meanfield.simulate import program
from meanfield.simulate.grid import make_grid
from meanfield.systems.dynamics.base import NEVER
from tests.simulate.common import close, make_system
from tests.test_testing import MEMBERS, ONLINE, REGRESSION

WIDTH = 4 * 46  # no other axis of a program is as long
DATA = mf.data.from_arrays(np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 3)
CELLS = 6
LAYOUTS = [(2, 2), (1, 2)]  # devices along "particles", along "replicas"
COLLECTIVES = "all-reduce|all-gather|all-to-all|collective-permute|collective-broadcast|reduce-scatter"


def grid(system):
    return make_grid(system.dynamics, tuple(range(CELLS)), jax.random.key(1))


def start(system, mesh=None):
    cells = grid(system)
    return program.init(cells.dynamics, cells.streams, network=system.network, width=WIDTH, mesh=mesh)


@cache
def plain_start(chains):
    """The states at step 0 of all dynamics without a state of their own."""
    return start(make_system(MEMBERS["recursion" if chains else "sgd"]))


def advanced(system, mesh, steps=30):
    """Final particles, and the text of the compiled program."""
    cells, source = grid(system), system.dynamics.prepare(system.data)
    own = isinstance(system.dynamics, mf.dynamics.Optax)
    states = start(system) if own else plain_start(system.network.output_weights == "ones")
    states = spread_out(states, mesh)
    arguments = (cells.dynamics, source, cells.streams, states, np.full(CELLS, NEVER, np.int32), np.int32(steps))
    text = program.advance.lower(*arguments, mesh=mesh).compile().as_text()
    return program.advance(*arguments, mesh=mesh)[0].particles, text


def spread_out(states, mesh):
    """A copy, for it is donated, on the mesh."""
    copy = jax.tree.map(jnp.copy, states)
    shard = lambda v: meshes.sharding(mesh, *meshes.AXES[: 2 if v.ndim > 1 else 1])  # noqa: E731
    return copy if mesh is None else jax.tree.map(lambda v: jax.device_put(v, shard(v)), copy)


def collectives(program, inside_the_loop=False):
    """Kind and how many numbers of every collective of a compiled program."""
    parts = dict(re.findall(r"^(?:ENTRY )?%?([\w.-]+) \(.*?\) -> .*? \{\n(.*?)^\}", program, re.M | re.S))
    if inside_the_loop:
        todo, loop = re.findall(r"while\(.*?body=%?([\w.-]+)", parts[re.findall(r"^ENTRY %?([\w.-]+)", program, re.M)[0]]), set()
        assert todo
        while todo:
            name = todo.pop()
            loop.add(name)
            todo += [n for n in re.findall(r"%([\w.-]+)", parts[name]) if n in parts and n not in loop]
        parts = {name: parts[name] for name in loop}
    found = []
    for text in parts.values():
        for shapes, kind in re.findall(rf"^.*? = (.*?) ({COLLECTIVES})(?:-start)?\(", text, re.M):
            sizes = [math.prod(int(n) for n in shape.split(",") if n) for shape in re.findall(r"\w+\[([\d,]*)\]", shapes)]
            found.append((kind, sum(sizes)))
    return sorted(found)


def axes(program):
    """The length of every axis of every array in a compiled program: shapes there are those of one device."""
    return {int(n) for shape in re.findall(r"\w+\[([\d,]+)\]", program) for n in shape.split(",")}


LONG = ("stable, scalar", "stable, coordinates", "mckean-vlasov, sde")  # to compile; their kin run by default


@pytest.mark.long(2)
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in MEMBERS])
def test_a_member_on_a_mesh(name):
    """Every member: the same particles, no device that ever holds an axis of all neurons, and only sums over them are sent.

    With shared mini-batches what is sent is one all-reduce a step of batch x outputs numbers a run; with a pool, of pool x outputs.
    """
    system = make_system(MEMBERS[name])
    alone, whole = advanced(system, None)
    spread, program = advanced(system, mf.make_mesh(4))
    close(spread, alone)
    assert WIDTH not in axes(program) and WIDTH // 4 in axes(program)
    assert WIDTH in axes(whole) and not collectives(whole)  # power
    examples = 40 if "independent" in name or "mckean" in name else 2
    in_a_step = collectives(program, inside_the_loop=True)
    if system.data is REGRESSION:  # chains: a mean for the info, and of coupled chains their mean
        assert in_a_step == sorted(
            [("all-reduce", CELLS)] + [("all-reduce", 3 * CELLS)] * bool(getattr(system.dynamics, "coupled", False))
        )
    else:
        norm = [("all-reduce", 2 * CELLS)] * (name == "optax, clipped")  # the parts of the global norm that it is clipped by
        assert in_a_step == [*norm, ("all-reduce", examples * 3 * CELLS)]
    rest = collectives(program)
    for one in in_a_step:
        rest.remove(one)
    assert all(kind == "all-reduce" and size <= 3 * CELLS for kind, size in rest), (
        rest
    )  # counts of non-finite numbers, at the end


@pytest.mark.slow
@pytest.mark.parametrize("coupled", [False, True])
def test_chains_that_draw_the_reduced_law_on_a_mesh(coupled, monkeypatch):
    """Many more chains than fit a block of the CPU: the numbers of one device, and nothing but means is sent."""
    recipe = type(mf.dynamics.LinearRecursion(0.1, 2).draw(ONLINE, jax.random.key(0), jnp.int32(0), 4))
    monkeypatch.setattr(recipe, "block", 16)
    system = mf.System(mf.dynamics.chains(), ONLINE, mf.dynamics.LinearRecursion(0.1, 2, coupled=coupled))
    (alone, _), (spread, program) = advanced(system, None), advanced(system, mf.make_mesh(4))
    close(spread, alone)
    assert {kind for kind, _ in collectives(program)} == {"all-reduce"} and WIDTH not in axes(program)


@pytest.mark.long(1)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_replicas_share_nothing_in_a_step(layout):
    (particles, replicas), system = layout, make_system(MEMBERS["sgd"])
    _, program = advanced(system, mf.make_mesh(particles, replicas))
    in_a_step = [("all-reduce", CELLS // replicas * 2 * 3)] if particles > 1 else []
    assert collectives(program, inside_the_loop=True) == in_a_step
    assert all(size <= 3 * CELLS for kind, size in collectives(program) if (kind, size) not in in_a_step)


@pytest.mark.long(1)
@pytest.mark.parametrize("name", ["sgd", "langevin, independent"])
def test_simulate_does_not_depend_on_the_mesh(name):
    """From the start, which is the same to the last bit, through all probes to the final particles."""
    system = make_system(MEMBERS[name])
    run = lambda mesh: mf.simulate(system, widths=WIDTH, steps=30, seeds=2, key=jax.random.key(1), mesh=mesh)  # noqa: E731
    alone = run(None)
    spread = run(mf.make_mesh(2, 2))
    assert isinstance(spread.particles[WIDTH].w, np.ndarray) and set(spread.dataset) == set(alone.dataset)
    close(spread.particles, alone.particles)
    for variable in alone.dataset:
        close(spread.dataset[variable].to_numpy(), alone.dataset[variable].to_numpy())
    assert np.array_equal(*(r.dataset["particle"].sel(step=0) for r in (spread, alone)))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Ranked(mf.dynamics.AbstractDynamics):
    """Neurons that interact through the order of their first weights: no sum can say it. `noise` is drawn without `per_particle`."""

    step_size: float
    batch_size: int = field(default=2, metadata={"static": True})
    ranked: bool = field(default=True, metadata={"static": True})

    def step(self, key, state, batch):
        w = state.particles.w
        risk = state.network.risk(state.particles, *batch)
        noise = 0.01 * jax.random.normal(key, w.shape)
        rank = jnp.argsort(jnp.argsort(w[:, 0])).astype(w.dtype)[:, None] / len(w) if self.ranked else jnp.zeros((len(w), 1))
        moved = mf.Particles(w + self.step_size * (rank - w) + noise, state.particles.a)
        return mf.dynamics.State(moved, state.step + 1, state.network), {"risk": risk}

    references = ()


@pytest.mark.slow
def test_dynamics_that_mix_all_neurons_work_and_show():
    """Power: a sort over the neurons gives the same results on a mesh, and is seen by the tests above."""
    system = make_system(Ranked(0.1))
    (alone, _), (spread, program) = advanced(system, None), advanced(system, mf.make_mesh(4))
    close(spread, alone)
    assert {kind for kind, _ in collectives(program, inside_the_loop=True)} > {"all-reduce"} and WIDTH in axes(program)


@pytest.mark.slow
def test_noise_of_a_plain_array_is_drawn_where_it_is_used():
    """`jax.random.normal(key, (N, d))` in a user's step: every device draws its part, and the numbers are those of one device."""
    system = make_system(Ranked(0.1, ranked=False))
    (alone, _), (spread, program) = advanced(system, None), advanced(system, mf.make_mesh(4))
    close(spread, alone)
    assert WIDTH not in axes(program) and {kind for kind, _ in collectives(program)} == {"all-reduce"}


@pytest.mark.long
def test_particles_are_born_on_their_devices():
    for name, (particles, replicas) in [("optax", (2, 2)), ("sgd", (4, 1))]:  # momentum is born there, too
        system, mesh = make_system(MEMBERS[name]), mf.make_mesh(particles, replicas)
        leaves = [leaf for leaf in jax.tree.leaves(start(system, mesh)) if leaf.ndim > 1]
        assert len(leaves) == (4 if name == "optax" else 2)
        for leaf in leaves:
            assert {part.data.shape[:2] for part in leaf.addressable_shards} == {(CELLS // replicas, WIDTH // particles)}
        for ours, theirs in zip(jax.tree.leaves(start(system, mesh)), jax.tree.leaves(start(system)), strict=True):
            assert np.array_equal(ours, theirs)
        cells = grid(system)
        lower = partial(program.init.lower, cells.dynamics, cells.streams, network=system.network, width=WIDTH)
        there, here = (axes(lower(mesh=m).compile().as_text()) for m in (mesh, None))
        assert WIDTH not in there and WIDTH in here


@pytest.mark.slow
def test_probes_leave_the_particles_where_they_are():
    """Sums, and the norms for a quantile, travel; a run of another replica does not."""
    for particles, replicas in [(4, 1), (2, 2)]:
        mesh = mf.make_mesh(particles, replicas)
        cells, states = grid(make_system(mf.dynamics.SGD(0.1, 2))), spread_out(plain_start(False), mesh)
        for probe in mf.probes.DEFAULT:
            given = cells.dynamics, DATA, DATA, cells.streams, states
            text = program.observe.lower(*given, probes=(probe,), mesh=mesh).compile().as_text()
            quantiles = isinstance(probe, mf.probes.NormQuantiles)
            sent = max(size for _, size in collectives(text))
            assert sent <= (WIDTH if quantiles else CELLS * 16 * 8), (probe, collectives(text))  # 16 neurons of the subsample
            shapes = re.findall(rf"\w+\[[\d,]*\b{WIDTH}\b[\d,]*\]", text) if particles > 1 else []
            flat = all(re.sub(r"\b1,|,1\b", "", shape).count(",") == 0 for shape in shapes)
            assert (flat and quantiles) or not shapes, (probe, set(shapes))


@pytest.mark.slow
def test_device_particles_stay_on_the_mesh(key):
    mesh = mf.make_mesh(2, 2)
    system = make_system(mf.dynamics.SGD([0.1, 0.2], 2))
    arguments = {"widths": [8], "steps": 10, "seeds": 2, "key": key, "mesh": mesh, "probes": ()}
    there, here = (mf.simulate(system, particles=where, **arguments) for where in ("device", "host"))
    for width in (8,):
        w = there.particles[width].w
        assert isinstance(w, jax.Array) and w.shape == (2, 2, width, 5)
        assert {shard.data.size for shard in w.addressable_shards} == {4 * width * 5 // 4}
        assert np.array_equal(w, here.particles[width].w)
        norms = np.linalg.norm(here.particles[width].vectors, axis=-1)
        np.testing.assert_allclose(jnp.linalg.norm(there.particles[width].vectors, axis=-1), norms, rtol=1e-6)


@pytest.mark.slow
def test_any_jax_mesh_with_the_right_names_will_do(key):
    system = make_system(mf.dynamics.SGD([0.1, 0.2], 2))
    run = lambda mesh: mf.simulate(system, widths=8, steps=10, seeds=2, key=key, mesh=mesh, probes=()).particles  # noqa: E731
    alone = run(None)
    for mesh in (
        jax.make_mesh((2, 2), ("particles", "replicas")),  # explicit axes, jax's default
        jax.make_mesh((2,), ("replicas",), (AxisType.Auto,)),
    ):
        close(run(mesh), alone)
    made = mf.make_mesh(replicas=2)
    assert dict(made.shape) == {"replicas": 2, "particles": 2} and dict(mf.make_mesh().shape)["particles"] == 4
    assert made.devices[0].tolist() == jax.devices()[:2]


@pytest.mark.slow
def test_divergence_and_other_statuses_on_a_mesh(key):
    """A cell that explodes is marked at the same step as without a mesh, the others go on."""
    system = mf.System(mf.TwoLayer("quadratic", "squared"), DATA, mf.dynamics.SGD(step_size=[0.001, 1e4], batch_size=1))
    run = lambda mesh: mf.simulate(system, widths=16, steps=60, seeds=2, key=key, mesh=mesh, probes=()).dataset  # noqa: E731
    alone, spread = run(None), run(mf.make_mesh(2, 2))
    assert spread["status"].to_numpy().tolist() == [[[mf.Status.COMPLETE.code] * 2, [mf.Status.DIVERGED.code] * 2]]
    assert spread.assign_attrs(provenance="").identical(alone.assign_attrs(provenance=""))  # which names the mesh


@pytest.mark.long
def test_threefry_draws_are_the_same_on_every_mesh():
    """What the promise rests on: jax's partitionable threefry, which is its default."""
    assert jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    draw = lambda: jax.random.normal(jax.random.key(3), (64, 5))  # noqa: E731
    spread = jax.jit(draw, out_shardings=meshes.sharding(mf.make_mesh(4), "particles"))()
    assert spread.sharding.spec == P("particles") and np.array_equal(spread, draw())


def wrong(match, **arguments):
    system = make_system(mf.dynamics.SGD([0.1, 0.2], 2))
    with pytest.raises(mf.ArgumentError, match=match):
        mf.simulate(system, **({"widths": [8], "steps": 5, "seeds": 2, "key": jax.random.key(0)} | arguments))


def test_what_does_not_fit_a_mesh_is_a_sentence():
    wrong("Argument `widths` must be multiples of the 4 devices along 'particles', but is 6.", widths=[8, 6], mesh=mf.make_mesh())
    wrong("Argument `mesh` must have .* divide the number of runs, 2, but is one with 4", seeds=1, mesh=mf.make_mesh(1, 4))
    wrong("Argument `mesh` must be None, ", mesh=4)
    wrong("Argument `mesh` must be None, ", mesh=Mesh(np.array(jax.devices()), ("x",)))
    wrong("Argument `particles` must be one of 'host', 'device'", particles="disk")
    with pytest.raises(mf.ArgumentError, match="Argument `particles` must be at most 2: there are 4 devices for 2 replicas"):
        mf.make_mesh(3, 2)
    with pytest.raises(mf.ArgumentError, match="Argument `replicas` must be at most the number of devices, 4, but is 5"):
        mf.make_mesh(replicas=5)
