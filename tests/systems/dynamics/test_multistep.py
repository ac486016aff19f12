"""Several steps in one trip through the particles against the steps one by one, in float64 where rounding cannot hide a mistake."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from meanfield.simulate import program, threads
from meanfield.simulate.grid import make_grid
from meanfield.systems.dynamics import multistep
from meanfield.systems.dynamics.base import NEVER

DATA = np.random.default_rng(0).normal(size=(30, 5)) / 5**0.5
LABELS, TARGETS = np.arange(30) % 3, np.sin(3 * DATA[:, :3])
PLANS = [
    multistep.Plan(1, 1, 4),
    multistep.Plan(8, 1, 100),
    multistep.Plan(6, 2, 7),
    multistep.Plan(3, 3, 11),
    multistep.Plan(12, 4, 5),
]


def one_by_one(dynamics, system, key, steps, width=11):
    """The reference: `draw` and `step`, no window."""
    data, noise = (jax.random.fold_in(key, i) for i in (0, 1))
    state = dynamics.init(key, system.network, width)
    risks = []
    for _ in range(steps):
        state, info = dynamics.step(noise, state, dynamics.draw(system.data, data, state.step, width))
        risks.append(info["risk"])
    return state.particles, jnp.stack(risks)


def in_windows(dynamics, system, key, steps, plan, monkeypatch, width=11):
    """The same in windows of a given cut, as one cell."""
    monkeypatch.setattr(multistep, "plan", lambda *_: plan)
    streams = tuple(jax.random.fold_in(key, i)[None] for i in (0, 1))
    state = jax.tree.map(lambda v: v[None], dynamics.init(key, system.network, width))
    cells = jax.tree.map(lambda v: jnp.asarray(v)[None], dynamics)
    states, bad = cells.advance(system.data, streams, state, jnp.asarray(steps))
    return jax.tree.map(lambda v: v[0], states), int(bad[0])


def differences(network, dynamics, monkeypatch, steps=11, plan=PLANS[2], targets=False):
    """Largest relative differences of the particles, in float64."""
    with jax.enable_x64(True):
        data = mf.data.from_arrays(DATA, TARGETS if targets else LABELS)
        system, key = mf.System(network, data, dynamics), jax.random.key(1)
        particles, _ = one_by_one(dynamics, system, key, steps)
        ours, bad = in_windows(dynamics, system, key, steps, plan, monkeypatch)
        assert int(ours.step) == steps and bad == NEVER
        start = system.network.init(key, 11)
        pairs = [(a, b, c) for a, b, c in zip(*map(jax.tree.leaves, (particles, ours.particles, start)), strict=True)]
        moved = max(float(jnp.max(jnp.abs(a - c))) for a, _, c in pairs)
        return max(float(jnp.max(jnp.abs(a - b))) for a, b, _ in pairs) / moved


@pytest.mark.long(1)
@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_windows_equal_single_steps_whatever_the_cut(plan, batch_size, monkeypatch):
    """With ridge and a step size that falls from step to step; 11 steps end inside every window."""
    law = mf.scaling.StepSizeLaw(0.7, beta=0.9, decay=0.3)
    dynamics = mf.dynamics.SGD(law, batch_size, weight_decay=0.4)
    assert differences(mf.TwoLayer("tanh", bias=True), dynamics, monkeypatch, plan=plan) < 1e-12


@pytest.mark.long(2)
@pytest.mark.parametrize(
    ("activation", "loss", "train_output", "bias"),
    list(
        itertools.product(("relu", "gelu", "quadratic", "identity"), ("cross_entropy", "squared"), (True, False), (True, False))
    ),
)
def test_windows_equal_single_steps_for_every_network(activation, loss, train_output, bias, monkeypatch):
    network = mf.TwoLayer(activation, loss, train_output=train_output, bias=bias)
    dynamics = mf.dynamics.SGD(0.02, 2, weight_decay=0.1)
    assert differences(network, dynamics, monkeypatch, targets=loss == "squared") < 1e-12


@pytest.mark.long
def test_output_weights_that_are_all_one(monkeypatch):
    network = mf.TwoLayer("tanh", "squared", train_output=False, output_weights="ones", dim=5, outputs=1)
    dynamics = mf.dynamics.SGD(0.3, 2)
    with jax.enable_x64(True):
        system = mf.System(network, mf.data.from_arrays(DATA, TARGETS[:, :1]), dynamics)
        particles, _ = one_by_one(dynamics, system, jax.random.key(1), 11)
        ours, _ = in_windows(dynamics, system, jax.random.key(1), 11, PLANS[2], monkeypatch)
        np.testing.assert_allclose(ours.particles.w, particles.w, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_the_comparison_sees_a_wrong_gram_number(monkeypatch):
    """Power: a correction that is off by a thousandth, or left out, fails the test above by orders of magnitude."""
    dynamics, network = mf.dynamics.SGD(0.7, 2, weight_decay=0.4), mf.TwoLayer("tanh")
    einsum = multistep._einsum
    for factor in (0.999, 0.0):
        wrong = lambda how, *v, f=factor: (f if how == "cmd,cld->cml" else 1.0) * einsum(how, *v)  # noqa: E731
        monkeypatch.setattr(multistep, "_einsum", wrong)
        assert differences(network, dynamics, monkeypatch) > 1e-6


@pytest.mark.long
@pytest.mark.parametrize("noise", ["epochs", pytest.param("fresh", marks=pytest.mark.slow)])
def test_epochs_and_online_data(noise, monkeypatch):
    data = (
        mf.data.from_arrays(DATA, LABELS).in_epochs()
        if noise == "epochs"
        else mf.data.teacher(jax.random.key(3), dim=5, neurons=4)
    )
    dynamics = mf.dynamics.SGD(0.5, 4)
    system, key = (
        mf.System(mf.TwoLayer("relu", "cross_entropy" if noise == "epochs" else "squared"), data, dynamics),
        jax.random.key(1),
    )
    particles, _ = one_by_one(dynamics, system, key, 19)
    ours, _ = in_windows(dynamics, system, key, 19, PLANS[2], monkeypatch)
    np.testing.assert_allclose(ours.particles.vectors, particles.vectors, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_float32_loses_no_more_than_single_steps():
    """Against float64 on the same 64 examples: the windows' rounding error is that of the single steps, within a factor 3."""
    rng = np.random.default_rng(2)
    network = mf.TwoLayer(dim=5, outputs=3)
    w, a, x, y = rng.normal(size=(64, 5)), rng.normal(size=(64, 3)), rng.normal(size=(64, 1, 5)), rng.integers(0, 3, (64, 1))

    def single(dtype):
        particles = mf.Particles(jnp.asarray(w, dtype), jnp.asarray(a, dtype))
        for example, label in zip(x, y, strict=True):
            _, g = network.gradient(particles, jnp.asarray(example, dtype), jnp.asarray(label))
            particles = jax.tree.map(lambda p, d: p - d, particles, g)
        return particles

    with jax.enable_x64(True):
        exact = np.asarray(single(jnp.float64).vectors)
    start = mf.Particles(jnp.asarray(w[None], jnp.float32), jnp.asarray(a[None], jnp.float32))
    batches = jnp.asarray(x[None], jnp.float32), jnp.asarray(y[None])
    ours, _ = multistep.run(network, start, *batches, jnp.ones((1, 64)), jnp.zeros(1), multistep.Plan(64, 8, 16))
    error = [np.linalg.norm(np.asarray(v, float) - exact) for v in (single(jnp.float32).vectors, ours.vectors[0])]
    assert 0 < error[0] < 1e-2 * np.linalg.norm(exact)
    assert error[1] < 3 * error[0]


@pytest.mark.long
def test_steps_that_do_not_happen_change_nothing(monkeypatch):
    """Chunks that begin and end inside windows, and an empty one, equal one chunk; infinite numbers stay what they are."""
    data, key = mf.data.from_arrays(DATA, LABELS), jax.random.key(1)
    grid = make_grid(mf.dynamics.SGD([0.5, 1.0], 2, weight_decay=0.1), (0, 1), key)
    monkeypatch.setattr(multistep, "plan", lambda *_: multistep.Plan(8, 2, 4))

    def run(*chunks, start=lambda particles: particles):
        states = program.init(grid.dynamics, grid.streams, network=mf.TwoLayer(dim=5, outputs=3), width=9)
        states = mf.dynamics.State(start(states.particles), states.step, states.network)
        bad = jnp.full(4, NEVER, jnp.int32)
        for steps in chunks:
            states, bad, _ = program.advance(grid.dynamics, data, grid.streams, states, bad, jnp.asarray(steps))
        return states.particles, states.step, bad

    for chunks in ((3, 0, 1, 20), (8, 16), (23, 1)):
        for a, b in zip(jax.tree.leaves(run(24)), jax.tree.leaves(run(*chunks)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    huge = lambda particles: mf.Particles(particles.w.at[1].multiply(3e38), particles.a)  # noqa: E731
    before, _, bad = run(0, start=huge)
    assert np.array_equal(before.w[1], run(0, 0, start=huge)[0].w[1]) and np.isinf(np.asarray(before.w[1])).any()
    assert bad.tolist() == [NEVER] * 4
    after, _, bad = run(5, start=huge)
    assert bad.tolist() == [NEVER, 1, NEVER, NEVER] and np.isfinite(after.w[0]).all()


@pytest.mark.slow
def test_cells_in_groups_equal_all_at_once(monkeypatch):
    """Groups of 1, 2 and 4 of 8 cells, one of which is lost on the way: the same numbers, each in its place."""
    data, key = mf.data.from_arrays(DATA, TARGETS), jax.random.key(1)
    system = mf.System(mf.TwoLayer("identity", "squared"), data, mf.dynamics.SGD([0.1, 0.2, 0.4, 300.0], 2))
    monkeypatch.setattr(threads, "count", lambda cells, mesh: 1)

    def run(together):
        monkeypatch.setattr(multistep, "cells_together", lambda cells, size: together)
        jax.clear_caches()
        return mf.simulate(system, widths=10, steps=40, seeds=2, key=key, probes=())

    whole = run(8)
    assert (whole.dataset["status"].to_numpy()[0] == 0).tolist() == [[True, True]] * 3 + [[False, False]]
    for together in (1, 2, 4):
        parts = run(together)
        assert np.array_equal(parts.dataset["first_bad_step"], whole.dataset["first_bad_step"])
        np.testing.assert_allclose(parts.particles[10].vectors[:3], whole.particles[10].vectors[:3], rtol=1e-4, atol=1e-5)


def test_groups_divide_the_cells():
    assert [multistep.cells_together(*v) for v in ((64, 75776), (16, 2424832), (6, 600_000), (1, 10**9))] == [16, 1, 2, 1]


@pytest.mark.slow
def test_the_step_at_which_a_run_is_lost(monkeypatch):
    """The same step as in single steps, whatever the window."""
    data, key = mf.data.from_arrays(100 * DATA, TARGETS), jax.random.key(1)
    dynamics = mf.dynamics.SGD(3.0, 1)
    system = mf.System(mf.TwoLayer("identity", "squared"), data, dynamics)
    _, risks = one_by_one(dynamics, system, key, 40)
    lost = 1 + int(np.argmin(np.isfinite(risks)))
    assert 2 < lost < 40
    for plan in PLANS:
        assert in_windows(dynamics, system, key, 40, plan, monkeypatch)[1] == lost


def test_who_goes_in_windows():
    """Shared mini-batches and nothing beside them; a step of one's own is never passed over."""

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass(frozen=True)
    class Mine(mf.dynamics.SGD):
        def step(self, key, state, batch):
            return super().step(key, state, batch)

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass(frozen=True)
    class Weighted(mf.dynamics.SGD):
        def weights(self, key, width, examples):
            return None

    network = mf.TwoLayer(dim=64, outputs=10)
    assert mf.dynamics.SGD(0.1, 1).stride(network, 1000) > 1
    others = [Mine(0.1, 1), Weighted(0.1, 1), mf.dynamics.SGD(0.1, 1, minibatches="independent"), mf.dynamics.McKeanVlasov(0.1)]
    others += [mf.dynamics.Langevin(0.1, 1, temperature=0.0)]
    assert [one.stride(network, 1000) for one in others] == [1] * len(others)

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass(frozen=True)
    class Own(mf.TwoLayer):
        def gradient(self, particles, x, y, weights=None):
            return super().gradient(particles, x, y, weights)

    assert mf.dynamics.SGD(0.1, 1).stride(Own(dim=64, outputs=10), 1000) == 1


@pytest.mark.parametrize("width", [1, 100, 10**4, 10**6])
@pytest.mark.parametrize("batch_size", [1, 3, 10, 100, 1000])
@pytest.mark.parametrize("dim", [1, 64, 784])
def test_plans_are_consistent(width, batch_size, dim):
    cut = multistep.plan(width, batch_size, dim)
    assert cut.steps % cut.group == 0 and cut.group <= cut.steps
    assert cut.block >= 1


@pytest.mark.slow
def test_no_second_copy_of_the_weights():
    """Temporary memory of a chunk at N = 65536, d = 784: less than a fifth of the particles (batch size 1)."""
    network = mf.TwoLayer(dim=784, outputs=10)
    system = mf.System(network, mf.data.from_arrays(np.zeros((50, 784)), np.arange(50) % 10), mf.dynamics.SGD(0.1, 1))
    grid = make_grid(system.dynamics, (0,), jax.random.key(0))
    states = jax.eval_shape(lambda: program.init(grid.dynamics, grid.streams, network=network, width=65536))
    bad, steps = jnp.zeros(1, jnp.int32), jnp.asarray(1)
    memory = program.advance.lower(grid.dynamics, system.data, grid.streams, states, bad, steps).compile().memory_analysis()
    particles = 4 * 65536 * 794
    assert memory.temp_size_in_bytes < 0.2 * particles
    assert memory.alias_size_in_bytes > 0.99 * particles


@pytest.mark.parametrize("bias", [False, True])
def test_the_start_makes_no_copy_of_the_weights(bias):
    """Nothing but the particles is in memory while they are drawn."""
    network = mf.TwoLayer(dim=784, outputs=10, bias=bias)
    grid = make_grid(mf.dynamics.SGD(0.1, 1), (0,), jax.random.key(0))
    memory = program.init.lower(grid.dynamics, grid.streams, network=network, width=65536).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 0.01 * memory.output_size_in_bytes


def test_decay_between_steps():
    """Three steps that keep 1/2, 1/4, 1/5: of the start all of it is lost step by step, of an update what comes after it."""
    before, after = multistep._decay_products(jnp.array([[0.5, 0.25, 0.2]]))
    np.testing.assert_allclose(before[0], [[1, 1, 1, 1], [0.5, 1, 1, 1], [0.125, 0.25, 1, 1]], rtol=1e-6)
    np.testing.assert_allclose(after[0], [0.025, 0.05, 0.2, 1], rtol=1e-6)
