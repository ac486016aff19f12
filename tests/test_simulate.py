"""The driver: randomness, vectorisation, recompilation, divergence, interruption."""

import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from meanfield.simulate import driver, program
from meanfield.simulate import threads as threads_module
from meanfield.simulate.grid import make_grid
from meanfield.simulate.threads import Threads

RISK = (mf.probes.Evaluation(at=(0, 7)),)


def system(data, **sgd):
    return mf.System(mf.TwoLayer(), data, mf.dynamics.SGD(**({"step_size": 0.5, "batch_size": 1} | sgd)))


@pytest.mark.long
def test_simulation_equals_a_plain_loop_over_steps(digits, key):
    """The whole machine (grid, vmap, chunks, donation) against a Python loop of single steps with the documented keys."""
    dynamics = mf.dynamics.SGD(step_size=[0.5, 2.0], batch_size=3, weight_decay=0.01)
    results = mf.simulate(mf.System(mf.TwoLayer(), digits, dynamics), widths=24, steps=30, seeds=[4, 9], key=key, probes=())
    network = mf.TwoLayer(dim=64, outputs=10)
    for i, eta in enumerate([0.5, 2.0]):
        for j, seed in enumerate([4, 9]):
            one = mf.dynamics.SGD(step_size=eta, batch_size=3, weight_decay=0.01)
            seed_key = jax.random.fold_in(key, seed)
            state = one.init(jax.random.fold_in(seed_key, 0), network, 24)
            stream = jax.random.fold_in(seed_key, 1)
            for n in range(30):
                state, _ = one.step(key, state, digits.batch(stream, n, 3))
            np.testing.assert_allclose(results.particles[24].w[i, j], state.particles.w, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(results.particles[24].a[i, j], state.particles.a, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_widths_and_step_sizes_share_their_draws(digits, key):
    results = mf.simulate(system(digits, step_size=[0.1, 1.0]), widths=[32, 64], steps=0, seeds=2, key=key)
    narrow, wide = results.particles[32], results.particles[64]
    assert np.array_equal(narrow.w, wide.w[:, :, :32]) and np.array_equal(narrow.a, wide.a[:, :, :32])
    assert np.array_equal(wide.w[0], wide.w[1])  # the same start at both step sizes
    assert not np.array_equal(wide.w[0, 0], wide.w[0, 1])  # another at another seed


@pytest.mark.slow
def test_a_cell_does_not_depend_on_its_company(digits, key):
    """Seed 3 at step size 1 gives the same particles alone and inside a grid."""
    alone = mf.simulate(system(digits, step_size=1.0), widths=16, steps=50, seeds=[3], key=key, probes=())
    grid = mf.simulate(system(digits, step_size=[0.1, 1.0]), widths=[8, 16], steps=50, seeds=[1, 3], key=key, probes=())
    np.testing.assert_allclose(alone.particles[16].w[0, 0], grid.particles[16].w[1, 1], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_chunks_do_not_matter_bit_for_bit(digits, key, monkeypatch):
    """How many steps the host loop asks for at a time depends on the clock; the results do not, to the last bit."""
    system = mf.System(mf.TwoLayer(), digits, mf.dynamics.SGD(step_size=[0.5, 1.0], batch_size=2))
    run = lambda: mf.simulate(system, widths=16, steps=1000, seeds=2, key=key, probes=())  # noqa: E731
    lengths, advance = [], Threads.advance

    def watched(self, first_bad, steps):
        lengths[-1].append(steps)
        return advance(self, first_bad, steps)

    monkeypatch.setattr(Threads, "advance", watched)
    particles = []
    for seconds in (1e-9, 1e9):  # the shortest and the longest chunks there are
        monkeypatch.setattr(driver, "_CHUNK_SECONDS", seconds)
        lengths.append([])
        particles.append(run().particles[16].vectors)
    assert len(lengths[0]) > len(lengths[1]) + 5 and sum(lengths[0]) == sum(lengths[1]) == 1000
    assert np.array_equal(*particles)


@pytest.mark.parametrize("shape", [(3, 7, 5), (3, 7), (2, 3000, 3), (2, 40, 785)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38, -3e38])
def test_one_bad_number_anywhere_is_seen(shape, bad):
    """In its cell and in no other; the largest finite numbers are not bad, many of them neither."""
    finite = jax.jit(lambda v, steps: program._finite(v, (steps < 0).astype(v.dtype)))
    values, size = np.full(shape, 3e38, np.float32), math.prod(shape[1:])
    for place in range(0, size, max(1, size // 13)):
        one = values.copy()
        one.reshape(shape[0], -1)[1, place] = bad
        expected = np.arange(shape[0]) != (-1 if np.isfinite(bad) else 1)
        assert np.array_equal(finite(one, np.int32(5)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("x64", [pytest.param(False, marks=pytest.mark.slow), True])
def test_lanes_do_not_matter_bit_for_bit(digits, key, monkeypatch, x64):
    """The runs of a program are spread over as many threads as divide their number, up to one a core: these results do not show it.

    Other systems may, in the last digits: parts of another size may be summed in another order (ReLU, N = 256, single examples).
    Under `enable_x64` too, which holds only in the thread that called.
    """
    system = mf.System(mf.TwoLayer(), digits, mf.dynamics.SGD(step_size=[0.5, 1.0, 1e30], batch_size=2))
    results = {}
    with jax.enable_x64(x64):
        for threads in (1, 2, 3, 6):
            monkeypatch.setattr(threads_module, "count", lambda cells, mesh, threads=threads: threads)
            results[threads] = mf.simulate(system, widths=16, steps=300, seeds=2, key=key)
    alone = results.pop(1)
    assert alone.particles[16].w.dtype == (np.float64 if x64 else np.float32)
    assert x64 or (alone.dataset["status"].values[0] == [[0, 0], [0, 0], [1, 1]]).all()
    for other in results.values():
        assert other.dataset.identical(alone.dataset)
        for one, two in zip(jax.tree.leaves(other.particles), jax.tree.leaves(alone.particles), strict=True):
            assert np.array_equal(one, two, equal_nan=True)


def test_lanes_are_as_many_as_there_are_cores_for(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    assert [threads_module.count(cells, None) for cells in (1, 3, 5, 6, 8, 16)] == [1, 3, 1, 3, 4, 4]
    assert threads_module.count(8, mf.make_mesh(1)) == 1


@pytest.mark.slow
def test_lanes_hold_more_memory_together(digits, key, monkeypatch):
    """The plan counts all threads, and the data once."""
    grid = make_grid(mf.dynamics.SGD(1.0, 1), tuple(range(8)), key)
    network, needed = mf.System(mf.TwoLayer(), digits, mf.dynamics.SGD(1.0, 1)), {}
    for threads in (1, 4):
        monkeypatch.setattr(threads_module, "count", lambda cells, mesh, threads=threads: threads)
        needed[threads] = Threads(network, digits, digits, grid.dynamics, grid.keys, 512, ()).bytes
    particles = 8 * 4 * 512 * 74
    assert particles < needed[4] and 0.8 < needed[4] / needed[1] < 1.25


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Counting(mf.dynamics.AbstractDynamics):
    """Noisy SGD that counts how often Python runs through its step, which is how often jax traces it."""

    step_size: float
    temperature: float = 0.0
    batch_size: int = field(default=1, metadata={"static": True})
    traces = 0

    def step(self, key, state, batch):
        type(self).traces += 1
        risk, gradient = state.network.gradient(state.particles, *batch)
        noise = self.temperature * jax.random.normal(key, state.particles.w.shape)
        w, a = state.particles.w - self.step_size * gradient.w + noise, state.particles.a - self.step_size * gradient.a
        return mf.dynamics.State(mf.Particles(w, a), state.step + 1, state.network), {"risk": risk}

    references = ()


@pytest.mark.long
def test_numbers_never_recompile(digits, key, monkeypatch):
    monkeypatch.setattr(threads_module, "count", lambda cells, mesh: 1)  # on many cores 4 runs and 6 are the same program

    def run(**numbers):
        mf.simulate(
            mf.System(mf.TwoLayer("tanh"), digits, Counting(**numbers)),
            widths=[8, 12],
            steps=40,
            seeds=2,
            key=key,
            probes=(),
        )

    run(step_size=[0.1, 0.2], temperature=0.0)
    first = Counting.traces
    assert first == 2  # once a width, however many chunks
    run(step_size=[0.3, 7.0], temperature=0.1)
    mf.simulate(
        mf.System(mf.TwoLayer("tanh"), digits, Counting(step_size=[1, 2])),
        widths=[12],
        steps=333,
        seeds=[5, 8],
        key=jax.random.key(9),
        probes=(),
    )
    assert Counting.traces == first
    run(step_size=[0.1, 0.2, 0.3])  # another number of cells is another program
    assert Counting.traces == 2 * first


@pytest.mark.long
def test_any_number_can_be_swept(digits, key):
    dynamics = Counting(step_size=[0.1, 0.2], temperature=[0.0, 0.01, 0.02])
    results = mf.simulate(mf.System(mf.TwoLayer("tanh"), digits, dynamics), widths=8, steps=5, seeds=2, key=key)
    assert results.dataset["risk"].dims == ("width", "step_size", "temperature", "seed", "step", "split")
    assert results.dataset["risk"].shape[:4] == (1, 2, 3, 2)
    np.testing.assert_allclose(results.dataset["temperature"], [0.0, 0.01, 0.02])
    last = results.particles[8].w
    assert not np.allclose(last[0, 0], last[0, 2]) and not np.allclose(last[0, 0], last[1, 0])


@pytest.mark.slow
def test_scaling_law_is_swept_over_gamma(digits, key):
    law = mf.scaling.StepSizeLaw(gamma=[0.5, 1.0], beta=0.5)
    results = mf.simulate(system(digits, step_size=law), widths=[16], steps=20, seeds=1, key=key, probes=())
    plain = mf.simulate(system(digits, step_size=[0.5 / 4, 1.0 / 4]), widths=[16], steps=20, seeds=1, key=key, probes=())
    np.testing.assert_allclose(results.dataset["step_size"], [0.5, 1.0])
    np.testing.assert_allclose(results.particles[16].w, plain.particles[16].w, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_divergence_is_a_status_of_its_cell(digits, key):
    network = mf.TwoLayer("quadratic", "squared")
    dynamics = mf.dynamics.SGD(step_size=[0.001, 1e4], batch_size=1)
    results = mf.simulate(mf.System(network, digits, dynamics), widths=16, steps=60, seeds=2, key=key)
    status = results.dataset["status"].sel(width=16).to_numpy()
    assert status.tolist() == [[mf.Status.COMPLETE.code] * 2, [mf.Status.DIVERGED.code] * 2]
    bad = results.dataset["first_bad_step"].sel(width=16).to_numpy()
    assert (bad[0] == -1).all() and (bad[1] > 0).all() and (bad[1] < 60).all()
    assert np.isfinite(results.particles[16].w[0]).all()
    assert np.isfinite(results.dataset["accuracy"][0, 0]).all()
    assert np.isnan(results.dataset["accuracy"][0, 1, :, -1]).all()  # not the share of class 0
    assert np.isfinite(results.dataset["risk"][0, 1, :, 0]).all()  # what was recorded before is kept
    assert not results.complete(16)[1].any()
    with pytest.raises(mf.DivergenceError, match="2 of 4 runs"):
        results.require_complete()


@pytest.mark.slow
def test_a_run_whose_risk_is_lost_is_no_complete_run(digits):
    """Weights of 1e20 are finite numbers, the risk they give is not; step sizes that huge used to end `COMPLETE`."""
    dynamics = mf.dynamics.SGD(step_size=[1.0, 1e18], batch_size=1)
    results = mf.simulate(mf.System(mf.TwoLayer(), digits, dynamics), widths=32, steps=30, seeds=1, key=jax.random.key(0))
    assert np.isnan(results.dataset["risk"][0, 1, 0, -1]).any()
    assert results.dataset["status"].to_numpy().ravel().tolist() == [mf.Status.COMPLETE.code, mf.Status.DIVERGED.code]
    particles = mf.Particles(jnp.full((4, 3), 1e25), jnp.full((4, 2), 1e25))
    expected = np.sqrt(5) * 1e25
    np.testing.assert_allclose(mf.probes.NormQuantiles()(mf.TwoLayer(), particles, digits)["norm_quantile"], expected, rtol=1e-6)
    np.testing.assert_allclose(mf.probes.Moments()(mf.TwoLayer(), particles, digits)["norm_moment"], expected, rtol=1e-6)


@pytest.mark.long
def test_labels_outside_the_classes_cost_nan_not_nothing(key):
    network = mf.TwoLayer(dim=3, outputs=2)
    particles, x = network.init(key, 8), jnp.ones((3, 3))
    assert np.isfinite(network.risk(particles, x, jnp.array([0, 1, 1])))
    for label in (-1, 2, 5):
        assert np.isnan(network.risk(particles, x, jnp.array([0, 1, label])))


def test_vectors_of_numpy_particles_keep_float64():
    particles = mf.Particles(np.full((1, 2), 1 + 1e-12), np.full((1, 1), 1e300))
    assert particles.vectors.dtype == np.float64 and particles.vectors[0].tolist() == [1 + 1e-12, 1 + 1e-12, 1e300]


@pytest.mark.slow
def test_first_bad_step_is_the_first(digits, key):
    """Against a loop of single steps that looks at every risk."""
    network, sgd = mf.TwoLayer("quadratic", "squared"), mf.dynamics.SGD(step_size=1e4, batch_size=1)
    results = mf.simulate(mf.System(network, digits, sgd), widths=16, steps=60, seeds=[2], key=key, probes=())
    seed_key = jax.random.fold_in(key, 2)
    state = sgd.init(jax.random.fold_in(seed_key, 0), mf.TwoLayer("quadratic", "squared", dim=64, outputs=10), 16)
    for n in range(60):
        state, info = sgd.step(key, state, digits.batch(jax.random.fold_in(seed_key, 1), n, 1))
        if not np.isfinite(info["risk"]):
            break
    assert results.dataset["first_bad_step"].item() == n + 1


@pytest.mark.slow
def test_probe_schedules_and_values(digits, key):
    early, late = mf.probes.Moments(at=(0, 3)), mf.probes.NormQuantiles(at=(20,), levels=(0.5, 1.0))
    chosen = (early, late, mf.probes.Subsample(count=5, at=(20,)), mf.probes.Evaluation(at=(20,)))
    results = mf.simulate(system(digits), widths=[4, 40], steps=20, seeds=2, key=key, probes=chosen)
    data = results.dataset
    assert data["step"].to_numpy().tolist() == [0, 3, 20]
    assert np.isfinite(data["norm_moment"].sel(step=[0, 3])).all() and np.isnan(data["norm_moment"].sel(step=20)).all()
    particles = results.particles[40]
    norms = np.linalg.norm(np.asarray(particles.vectors, float), axis=-1)
    np.testing.assert_allclose(data["norm_quantile"].sel(width=40, step=20, level=1.0)[0], norms.max(axis=-1)[0], rtol=1e-5)
    np.testing.assert_allclose(
        data["norm_quantile"].sel(width=40, step=20, level=0.5)[0], np.median(norms, axis=-1)[0], rtol=1e-5
    )
    np.testing.assert_allclose(data["particle"].sel(width=40, step=20), particles.vectors[:, :, :5], rtol=1e-6)
    assert np.isnan(data["particle"].sel(width=4, step=20, neuron=4)).all()
    w, a = np.asarray(particles.w[0, 0], float), np.asarray(particles.a[0, 0], float)
    f = np.maximum(np.asarray(digits.x_test, float) @ w.T, 0) @ a / 40
    accuracy = np.mean(f.argmax(axis=1) == np.asarray(digits.y_test))
    log_p = f - np.log(np.exp(f).sum(axis=1, keepdims=True))
    risk = -np.mean(log_p[np.arange(len(f)), np.asarray(digits.y_test)])
    cell = data.sel(width=40, step=20, split="test", seed=0, step_size=0.5)
    np.testing.assert_allclose(cell["accuracy"], accuracy, atol=1e-6)
    np.testing.assert_allclose(cell["risk"], risk, rtol=1e-5)


@pytest.mark.long
def test_moments_of_a_heavy_tail_do_not_overflow(digits):
    """Norms up to 1e12: their fourth power is beyond float32."""
    rng = np.random.default_rng(0)
    a = jnp.asarray(1e5 * (rng.pareto(0.5, size=(5000, 1)) + 1), jnp.float32)
    particles = mf.Particles(jnp.zeros((5000, 1)), a)
    values = mf.probes.Moments(orders=(1.0, 2.0, 4.0))(mf.TwoLayer(), particles, digits)["norm_moment"]
    exact = [np.mean(np.asarray(a, float) ** p) ** (1 / p) for p in (1, 2, 4)]
    assert np.mean(np.asarray(a, float) ** 4) > np.finfo(np.float32).max
    np.testing.assert_allclose(values, exact, rtol=1e-5)


@pytest.mark.slow
def test_results_survive_a_file(digits, key, tmp_path):
    network = mf.TwoLayer(bias=True)
    dynamics = mf.dynamics.SGD(step_size=[0.5, 1.0], batch_size=2)
    results = mf.simulate(mf.System(network, digits, dynamics), widths=[4, 20], steps=10, seeds=2, key=key)
    results.save(tmp_path / "results.nc")
    back = mf.Results.load(tmp_path / "results.nc")
    assert back.dataset.identical(results.dataset)
    for width in (4, 20):
        for name in ("w", "a", "bias"):
            assert np.array_equal(getattr(back.particles[width], name), getattr(results.particles[width], name))
    assert [p.name for p in tmp_path.iterdir()] == ["results.nc"]


@pytest.mark.slow
def test_training_learns(digits, key):
    """Small steps learn the digits: more than 90 % of the test set after 20 000 examples, chance at the start."""
    results = mf.simulate(system(digits, step_size=0.5, batch_size=10), widths=256, steps=2000, seeds=2, key=key)
    accuracy = results.dataset["accuracy"].sel(width=256, step_size=0.5, split="test")
    assert (accuracy.isel(step=0) < 0.4).all() and (accuracy.isel(step=-1) > 0.9).all()


@pytest.mark.slow
def test_teacher_student_reaches_the_noise_floor(key):
    """The identity network is linear: its risk must fall to half the noise variance, 0.005 (2000 test examples)."""
    data = mf.data.teacher(key, dim=3, neurons=20, activation="identity", noise_std=0.1)
    dynamics = mf.dynamics.SGD(step_size=0.05, batch_size=50)
    system = mf.System(mf.TwoLayer("identity", "squared"), data, dynamics)
    results = mf.simulate(system, widths=64, steps=3000, seeds=2, key=key)
    risk = results.dataset["risk"].sel(width=64, split="test").isel(step=-1).to_numpy()
    standard_error = 0.005 * np.sqrt(2 / 2000)
    assert (np.abs(risk - 0.005) < 5 * standard_error + 2e-4).all()
    assert "accuracy" not in results.dataset


INTERRUPTED = """
    import sys, jax, meanfield as mf
    system = mf.System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD(step_size=[0.1, 1.0], batch_size=1))
    mf.simulate(system, widths=[8], steps=5, seeds=2, key=jax.random.key(0), probes=())
    print("ready", flush=True)
    mf.simulate(system, widths=[8, 64], steps=3_000_000, seeds=2, key=jax.random.key(0), probes=()).save(sys.argv[1])
"""


@pytest.mark.long
def test_ctrl_c_keeps_what_is_done(tmp_path):
    """A real process, a real SIGINT: it ends by itself, the cut width is marked, and the results can be saved and read."""
    path = tmp_path / "cut.nc"
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(1.5)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 0
    results = mf.Results.load(path)
    assert results.dataset["width"].to_numpy().tolist() == [8]  # the second width was never begun
    assert (results.dataset["status"] == mf.Status.INTERRUPTED.code).all()
    done = results.dataset["steps_done"].to_numpy()
    assert (done < 3_000_000).all() and (done > 0).all()
    assert np.isfinite(results.particles[8].w).all()


def test_simulate_works_outside_the_main_thread(digits, key):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(mf.simulate(system(digits), widths=4, steps=3, seeds=1, key=key, probes=()))
    )
    thread.start()
    thread.join()
    assert found[0].dataset["steps_done"].item() == 3


def test_progress_bar_is_silent_when_not_a_terminal(digits, key, capfd):
    mf.simulate(system(digits), widths=4, steps=3, seeds=1, key=key, probes=())
    assert capfd.readouterr().err == ""
    mf.simulate(system(digits), widths=4, steps=3000, seeds=1, key=key, probes=(), progress=True)
    assert "steps/s" in capfd.readouterr().err


@pytest.mark.slow
def test_evaluation_of_a_part_is_spread_over_the_set(key):
    """5 of 20 examples, sorted by label: each of the 5 labels once; and the count of a small set is the whole set."""
    data = mf.data.from_arrays(np.eye(20), np.arange(20) // 4)
    network, probe = mf.TwoLayer(dim=20, outputs=5), mf.probes.Evaluation(examples=5)
    particles = network.init(key, 6)
    found = probe(network, particles, data)
    index = np.array([0, 4, 8, 12, 16])
    np.testing.assert_allclose(found["risk"][0], network.risk(particles, data.x[index], data.y[index]), rtol=1e-6)
    assert (probe.count(3), probe.count(20), mf.probes.Evaluation(examples=None).count(10**6)) == (3, 5, 10**6)


@pytest.mark.long
def test_ctrl_c_between_two_widths(digits, key, ctrl_c, tmp_path):
    """Every status is COMPLETE, a width is missing: the results say so, in their file too, and are not taken for whole ones."""
    system = mf.System(mf.TwoLayer(), digits, mf.dynamics.SGD(0.1, 1))
    run = {"steps": 20, "seeds": 2, "key": key, "probes": ()}
    assert not mf.simulate(system, widths=[4, 8], **run).require_complete().interrupted
    ctrl_c("width")
    results = mf.simulate(system, widths=[4, 8], **run)
    results.save(tmp_path / "cut.nc")
    for one in (results, mf.Results.load(tmp_path / "cut.nc")):
        assert list(one.particles) == [4] and one.complete(4).all() and one.interrupted
        with pytest.raises(KeyboardInterrupt):
            one.require_complete()


def test_ctrl_c_comes_before_divergence(digits, key, ctrl_c):
    """Some diverged, some were cut: Ctrl-C, not a word on divergence alone, which would be taken for a finding."""
    system = mf.System(mf.TwoLayer(), digits, mf.dynamics.SGD([0.1, 1e38], 1))
    ctrl_c("chunk")
    results = mf.simulate(system, widths=8, steps=100, seeds=2, key=key, probes=())
    found = results.dataset["status"].to_numpy().tolist()
    assert found == [[[mf.Status.INTERRUPTED.code] * 2, [mf.Status.DIVERGED.code] * 2]] and results.interrupted
    with pytest.raises(KeyboardInterrupt):
        results.require_complete()
