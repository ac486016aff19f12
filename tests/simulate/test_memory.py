"""The memory of a run: planned, and grids that are split to fit."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.simulate import memory
from tests.simulate.common import close, make_system

DATA = mf.data.from_arrays(np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 3)


@pytest.mark.long(1)
@pytest.mark.parametrize("layout", [None, (2, 2)])
def test_a_grid_that_does_not_fit_is_split(layout, monkeypatch, caplog, key):
    """Six runs with room for some: the same results, several programs, and a line that says so."""
    mesh = layout and mf.make_mesh(*layout)
    system = make_system(mf.dynamics.SGD([0.1, 0.2, 0.4], 2))
    probes = (mf.probes.Moments(at=(0, 7)),)

    def run(free=None, **more):
        if free is not None:
            monkeypatch.setattr(memory, "available", lambda mesh: free if mesh is None else free // 4)
        return mf.simulate(system, widths=400, steps=30, seeds=2, key=key, mesh=mesh, probes=probes, **more)

    whole = run()
    assert whole.dataset["programs"].item() == 1 and not caplog.text
    split = run(450_000)
    programs = split.dataset["programs"].item()
    assert 1 < programs < 6
    assert f"Width 400: 6 runs do not fit into memory together and run as {programs} programs." in caplog.text
    close(split.particles, whole.particles)
    for variable in set(whole.dataset) - {"programs"}:
        close(split.dataset[variable].to_numpy(), whole.dataset[variable].to_numpy())
    must = "`widths` must leave room for one run in the memory that a device has free, .* KiB, but is 400, for which a run needs .* KiB"
    with pytest.raises(mf.ArgumentError, match=must):
        run(20_000)
    with pytest.raises(mf.ArgumentError, match="`particles` must be 'host' for a grid whose runs do not fit"):
        run(450_000, particles="device")
    monkeypatch.setattr(memory, "host_memory", lambda: 2**16)
    with pytest.raises(mf.ArgumentError, match=r"`particles` must be 'device' for final particles of 75\.0 KiB, where this host"):
        run(10**9)


def test_plans_are_the_fewest_programs_of_nearly_equal_size():
    for cells in range(1, 30):
        for room in range(1, 40):
            sizes = memory.plan(10, cells, int(10 * room / 0.9) + 1, 1)
            assert sum(sizes) == cells and max(sizes) <= room and len(sizes) == -(-cells // room)
            assert len(set(sizes)) <= 2  # two compilations at most


def test_memory_of_this_machine_is_known():
    free = memory.host_memory()
    assert 2**26 < free < 2**50
    assert memory.available(mf.make_mesh(4)) <= memory.available(None)
