"""Threads: how many, and that they change no bit."""

import os

import jax
import numpy as np
import pytest

import meanfield as mf
from meanfield.simulate import threads as threads_module
from meanfield.simulate.grid import make_grid
from meanfield.simulate.program import Job
from meanfield.simulate.threads import Threads


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
        needed[threads] = Threads(Job(network, digits, digits, (), 0, None), grid.dynamics, grid.streams, 512).bytes
    particles = 8 * 4 * 512 * 74
    assert particles < needed[4] and 0.8 < needed[4] / needed[1] < 1.25
