"""The memory of a run: planned, and grids that are split to fit."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.simulate import memory
from meanfield.simulate.program import Program
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


GROUPS = {
    "slurm, v1": ("4:memory:/slurm/job_7/step_0\n0::/", {"/sys/fs/cgroup/memory/slurm/job_7": (3000, 1000)}, 2000),
    "systemd, v2": (
        "0::/user.slice/a.scope\n",
        {"/sys/fs/cgroup/user.slice/a.scope": (900, 100), "/sys/fs/cgroup": (9000, 1)},
        800,
    ),
    "a parent is tighter": ("0::/a/b\n", {"/sys/fs/cgroup/a/b": (900, 100), "/sys/fs/cgroup/a": (950, 700)}, 250),
    "container": ("0::/\n", {"/sys/fs/cgroup": (700, 200)}, 500),
    "a path of the host, in a container": ("0::/docker/77\n", {"/sys/fs/cgroup": (700, 200)}, 500),
    "nothing known": ("", {}, 2**30),
    "over its limit": ("0::/a\n", {"/sys/fs/cgroup/a": (100, 900)}, 0),
}


@pytest.mark.parametrize("name", GROUPS)
def test_the_limit_of_the_own_control_group_counts(name, monkeypatch):
    own, limits, free = GROUPS[name]
    files = {"/proc/self/cgroup": own, "/proc/meminfo": f"MemAvailable: {2**20} kB"}
    for folder, (limit, used) in limits.items():
        old = "/memory/" in f"{folder}/" and folder.startswith("/sys/fs/cgroup/memory")
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if old else ("memory.max", "memory.current")
        files |= {f"{folder}/{one}": str(value) for one, value in zip(names, (limit, used), strict=True)}
    monkeypatch.setattr(memory, "_read", lambda path: files.get(path, ""))
    assert memory.host_memory() == free


def test_every_width_is_checked_before_the_first_one_runs(monkeypatch, key):
    """A late width that does not fit loses nothing: no program has been compiled."""
    monkeypatch.setattr(Program, "__init__", None)
    with pytest.raises(mf.ArgumentError, match=r"`particles` must be 'device' for final particles of .* TiB"):
        mf.simulate(make_system(mf.dynamics.SGD(0.1, 1)), widths=[8, 10**12], steps=10**6, seeds=2, key=key)


@pytest.mark.long
def test_the_copy_of_the_final_particles_takes_room(monkeypatch, caplog, key):
    """On CPU the states of six runs and their final particles lie in one memory."""
    system = make_system(mf.dynamics.SGD([0.1, 0.2, 0.4], 2))
    free = {"bytes": 10**9}
    monkeypatch.setattr(memory, "available", lambda mesh: free["bytes"])

    def programs(particles):
        results = mf.simulate(system, widths=4000, steps=3, seeds=2, key=key, probes=(), particles=particles)
        return results.dataset["programs"].item()

    assert programs("host") == 1
    final, needs = 6 * 4000 * (5 + 3) * 4, []
    for free["bytes"] in range(final, 20 * final, final // 4):
        try:
            needs.append(programs("host"))
        except mf.ArgumentError:
            continue
    assert needs[0] > 1 and needs[-1] == 1 and needs == sorted(needs, reverse=True)
