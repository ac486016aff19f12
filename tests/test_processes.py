"""Several real processes on this host: the same results as one, one decision for all."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
import pytest

import meanfield as mf
from tests.common import read_until

ROOT = Path(__file__).parent.parent
SYSTEMS = """
import jax, numpy as np, meanfield as mf
DATA = mf.data.from_arrays(np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 3)
PROBES = (mf.probes.Evaluation(at=(0, 40)), mf.probes.Subsample(at=(0, 40)))
SYSTEMS = {
    "sgd": mf.dynamics.SGD([0.1, 0.2], 2),
    "independent": mf.dynamics.Langevin([0.1, 0.2], 2, temperature=0.1, minibatches="independent"),
}

def run(name, steps=40, widths=24, **more):
    system = mf.System(mf.TwoLayer("tanh"), DATA, SYSTEMS[name])
    more = {"probes": PROBES} | more
    return mf.simulate(system, widths=widths, steps=steps, seeds=2, key=jax.random.key(1), **more)
"""
JOIN = """
import os, sys
import jax
address, count, number, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
jax.distributed.initialize(address, num_processes=count, process_id=number)
"""


@contextmanager
def processes(count, devices, program, out):
    """`count` Python processes of `devices` virtual devices each that form one jax cluster; they end with the block."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
    }
    code = JOIN + SYSTEMS + textwrap.dedent(program)
    started = []
    try:
        for number in range(count):
            command = [sys.executable, "-c", code, address, str(count), str(number), str(out)]
            started.append(
                subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
        yield started
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
            process.wait()


def finish(started, seconds=100):
    """Wait for all of them; what they wrote to standard error."""
    errors = []
    for process in started:
        _, error = process.communicate(timeout=seconds)
        assert process.returncode == 0, error[-3000:]
        errors.append(error)
    return errors


@pytest.mark.long
@pytest.mark.parametrize(
    ("count", "devices", "particles", "replicas", "names"),
    [
        (2, 2, 2, 2, ["sgd"]),
        pytest.param(2, 2, 2, 2, ["independent"], marks=pytest.mark.slow),
        pytest.param(4, 1, 4, 1, ["sgd"], marks=pytest.mark.slow),
    ],
)
def test_processes_get_the_results_of_one(count, devices, particles, replicas, names, tmp_path):
    """Every process has the whole dataset and all final particles; they are the same in all, and up to rounding those of one."""
    program = f"""
    mesh = mf.make_mesh({particles}, {replicas})
    assert len({{d.process_index for d in mesh.devices.flat}}) == {count}
    for name in {names}:
        results = run(name, mesh=mesh, progress=True)
        results.save(f"{{out}}/{{name}}_{{number}}.nc")
        stays = run(name, mesh=mesh, probes=(), particles="device").particles[24]
        assert not stays.w.is_fully_addressable and stays.w.shape == (2, 2, 24, 5)
        here = stays.w.addressable_shards[0]
        assert np.array_equal(here.data, results.particles[24].w[here.index])
    """
    with processes(count, devices, program, tmp_path) as started:
        errors = finish(started)
    assert "steps/s" in errors[0] and not any("steps/s" in error for error in errors[1:])  # one progress bar
    space: dict = {}
    exec(SYSTEMS, space)
    for name in names:
        alone = space["run"](name)
        first, *others = (mf.Results.load(tmp_path / f"{name}_{number}.nc") for number in range(count))
        for other in others:
            assert other.dataset.identical(first.dataset)
            assert all(
                np.array_equal(a, b)
                for a, b in zip(jax.tree.leaves(other.particles), jax.tree.leaves(first.particles), strict=True)
            )
        for a, b in zip(jax.tree.leaves(first.particles), jax.tree.leaves(alone.particles), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5)
        for variable in alone.dataset:
            np.testing.assert_allclose(first.dataset[variable], alone.dataset[variable], rtol=2e-5, atol=1e-5)
        assert np.array_equal(*(r.dataset["particle"].sel(step=0) for r in (first, alone)), equal_nan=True)


@pytest.mark.slow
def test_ctrl_c_in_one_process_stops_all_at_the_same_step(tmp_path):
    """SIGINT to the process that does not lead, and differently slow hosts: the same chunks, the same last step in both."""
    program = """
    import json
    from meanfield.simulate import driver
    driver._CHUNK_SECONDS /= 1 + 9 * number  # clocks that disagree
    mesh = mf.make_mesh()
    more = {"probes": (mf.probes.Moments(at=(100, 1000)),), "progress": True}
    results = run("sgd", mesh=mesh, steps=50_000_000, widths=[8, 24], **more)
    done = results.dataset["steps_done"].to_numpy().ravel().tolist()
    about = {"done": done, "status": results.dataset["status"].to_numpy().ravel().tolist(), "w": results.particles[8].w.sum().item()}
    print(json.dumps(about), flush=True)
    """
    with processes(2, 1, program, tmp_path) as started:
        assert started[0].stderr is not None
        read_until(started[0].stderr, "steps/s")  # of the one that leads: the first chunk of steps is done
        started[1].send_signal(signal.SIGINT)
        outputs = [process.communicate(timeout=60) for process in started]
    assert all(process.returncode == 0 for process in started), outputs
    first, second = (json.loads(out.splitlines()[-1]) for out, _ in outputs)
    assert first == second
    assert set(first["status"]) == {mf.Status.INTERRUPTED.code} and len(set(first["done"])) == 1
    assert 0 < first["done"][0] < 50_000_000 and len(first["done"]) == 4  # the second width was never begun


@pytest.mark.slow
def test_processes_without_a_mesh_are_on_their_own(tmp_path):
    """No mesh: each process simulates by itself, even if the others do not; and a mesh that leaves a process out is refused."""
    program = """
    if number == 0:
        assert run("sgd", probes=()).complete(24).all()
        mesh = jax.make_mesh((2,), ("particles",), devices=jax.local_devices())
        assert run("sgd", probes=(), mesh=mesh).complete(24).all()
    else:
        others = jax.make_mesh((2,), ("particles",), devices=[d for d in jax.devices() if d.process_index == 0])
        try:
            run("sgd", probes=(), mesh=others)
        except mf.ArgumentError as error:
            assert "Argument `mesh` must" in str(error), error
        else:
            raise AssertionError("not refused")
    """
    with processes(2, 2, program, tmp_path) as started:
        finish(started)


@pytest.mark.slow
def test_processes_that_were_stopped_go_on(tmp_path):
    """SIGTERM to one of two: both make one checkpoint of one step. Two go on to the same bits, one process alone up to rounding."""
    program = """
    mesh = mf.make_mesh(2, 2)
    kept = mf.Checkpoint(f"{out}/kept", minutes=0)
    results = run("sgd", steps=STEPS, mesh=mesh, progress=True, checkpoint=kept if KEEP else None)
    results.save(f"{out}/NAME_{number}.nc")
    print(int(results.dataset["steps_done"].max()))
    """

    def asked(name, keep, steps=4_000):
        return program.replace("NAME", name).replace("KEEP", str(keep)).replace("STEPS", str(steps))

    with processes(2, 2, asked("whole", False), tmp_path) as started:
        finish(started)
    with processes(2, 2, asked("cut", True), tmp_path) as started:
        read_until(started[0].stderr, "steps/s")
        started[1].send_signal(signal.SIGTERM)
        done = {process.communicate(timeout=100)[0].split()[-1] for process in started}
    assert len(done) == 1 and 0 < int(done.pop()) < 4_000
    shutil.copytree(tmp_path / "kept", tmp_path / "copy")
    with processes(2, 2, asked("again", True), tmp_path) as started:
        finish(started)
    whole, again = (mf.Results.load(tmp_path / f"{name}_0.nc") for name in ("whole", "again"))
    assert whole.dataset.drop_attrs().identical(again.dataset.drop_attrs())
    assert np.array_equal(whole.particles[24].w, again.particles[24].w)
    space: dict = {}
    exec(SYSTEMS, space)
    alone = space["run"]("sgd", steps=4_000, checkpoint=tmp_path / "copy")
    np.testing.assert_allclose(alone.dataset["risk"], whole.dataset["risk"], rtol=1e-3)
    with processes(2, 2, asked("other", True, 4_001), tmp_path) as started:
        errors = [process.communicate(timeout=100)[1] for process in started]
    assert "its `steps` is 4000 and not 4001" in errors[0] and "that process 0 can go on with" in errors[1]
