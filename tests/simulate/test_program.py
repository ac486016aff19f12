"""The compiled program: compiled once, cut into chunks, and the step at which a number is lost."""

import logging
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from meanfield.simulate import driver, program
from meanfield.simulate import threads as threads_module
from meanfield.simulate.threads import Threads
from meanfield.systems.dynamics.base import NEVER
from tests.simulate.common import Counting, Recording, make_system, view

DATA = mf.data.from_arrays(np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 3)


@pytest.mark.long
def test_every_program_is_compiled_once(caplog, key):
    """The memory plan reads off the programs that run afterwards; it does not compile its own."""
    system = make_system(mf.dynamics.SGD([0.1, 0.2], 2, weight_decay=0.3))
    for mesh in (None, mf.make_mesh(2, 2)):
        caplog.clear()
        with jax.log_compiles(), caplog.at_level(logging.WARNING):
            mf.simulate(system, widths=20, steps=30, seeds=2, key=key, mesh=mesh, probes=(mf.probes.Moments(at=(0, 30)),))
        names = re.findall(r"Finished XLA compilation of jit\((init|advance|observe)\)", caplog.text)
        assert sorted(names) == ["advance", "init", "observe"], names


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


@pytest.mark.long
def test_numbers_never_recompile(digits, key, monkeypatch):
    monkeypatch.setattr(threads_module, "count", lambda cells, mesh: 1)  # on many cores 4 runs and 6 are the same program
    monkeypatch.setattr(Counting, "traces", 0)
    jax.clear_caches()  # another test of this worker may have traced 6 cells at width 8 before

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


@pytest.mark.slow
def test_a_run_whose_risk_is_lost_is_no_complete_run(digits):
    """Weights of 1e20 are finite numbers, the risk they give is not; step sizes that huge used to end `COMPLETE`."""
    dynamics = mf.dynamics.SGD(step_size=[1.0, 1e18], batch_size=1)
    results = mf.simulate(mf.System(mf.TwoLayer(), digits, dynamics), widths=32, steps=30, seeds=1, key=jax.random.key(0))
    assert np.isnan(results.dataset["risk"][0, 1, 0, -1]).any()
    assert results.dataset["status"].to_numpy().ravel().tolist() == [mf.Status.COMPLETE.code, mf.Status.DIVERGED.code]
    particles = mf.Particles(jnp.full((4, 3), 1e25), jnp.full((4, 2), 1e25))
    expected = np.sqrt(5) * 1e25
    np.testing.assert_allclose(
        mf.probes.NormQuantiles()(view(mf.TwoLayer(), particles, digits))["norm_quantile"], expected, rtol=1e-6
    )
    np.testing.assert_allclose(mf.probes.Moments()(view(mf.TwoLayer(), particles, digits))["norm_moment"], expected, rtol=1e-6)


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


def test_streams_and_lost_arrays():
    """Data and noise have the documented streams; a run is broken whichever of its arrays is lost."""
    keys = jax.vmap(jax.random.key)(np.arange(3, dtype=np.uint32))
    streams = tuple(jax.vmap(jax.random.fold_in, (0, None))(keys, stream) for stream in range(3))
    a = jnp.zeros((3, 2, 1)).at[1, 0, 0].set(jnp.inf)
    states = mf.dynamics.State(mf.Particles(jnp.zeros((3, 2, 3)), a), jnp.zeros(3, jnp.int32), mf.TwoLayer(dim=3, outputs=1))
    dynamics, never = Recording(jnp.ones(3)), jnp.full(3, NEVER, jnp.int32)
    states, _, broken = program.advance(dynamics, jnp.zeros(()), streams, states, never, jnp.int32(1))
    assert broken.tolist() == [False, True, False]
    data, noise = (jax.random.fold_in(jax.random.fold_in(jax.random.key(0), stream), 0) for stream in (1, 2))
    np.testing.assert_allclose(states.particles.w[0, 1], [jax.random.uniform(data), jax.random.uniform(noise), 1])
