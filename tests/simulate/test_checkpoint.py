"""Checkpoints: a simulation whose process dies goes on, bit for bit; another one is refused, and a damaged one passed over."""

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import meanfield as mf
from meanfield.simulate import checkpoint as checkpoints
from meanfield.simulate import driver
from meanfield.simulate.interrupt import Clock
from tests.simulate.common import system

ROOT = Path(__file__).parent.parent.parent
KILLS = int(os.environ.get("MEANFIELD_KILLS", "6"))  # processes killed in the slow test
PROGRAM = """
    import sys, jax, meanfield as mf
    system = mf.System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD(step_size=[0.1, 1.0], batch_size=1, weight_decay=1e-3))
    probes = (*mf.probes.DEFAULT, mf.probes.Snapshot(at=(1000, 8000)))
    run = {"widths": [16, 64, 256], "steps": 8000, "seeds": 3, "key": jax.random.key(0), "probes": probes}
    checkpoint = mf.Checkpoint(sys.argv[1], minutes=float(sys.argv[3])) if sys.argv[1] else None
    mf.simulate(system, checkpoint=checkpoint, **run).save(sys.argv[2])
"""


def command(directory, path, minutes: float = 0.0):
    """A process that runs `PROGRAM`, with checkpoints in the directory, and saves its results."""
    return [sys.executable, "-c", textwrap.dedent(PROGRAM), str(directory), str(path), str(minutes)]


def same(one: mf.Results, other: mf.Results) -> bool:
    """Whether all numbers agree to the last bit."""
    leaves = [jax.tree.leaves((results.particles, results.snapshots)) for results in (one, other)]
    agree = len(leaves[0]) == len(leaves[1]) and all(np.array_equal(a, b) for a, b in zip(*leaves, strict=True))
    return one.dataset.drop_attrs().identical(other.dataset.drop_attrs()) and agree


RUN = {
    "widths": [8, 16],
    "steps": 400,
    "seeds": 4,
    "probes": (mf.probes.Evaluation(at=(0, 100, 400)), mf.probes.Snapshot(at=(100,))),
}


@pytest.fixture
def stopped(monkeypatch):
    """A function: the n-th chunk from now on raises Ctrl-C's flag, as a signal would."""

    def after(chunks: int):
        left, agree = [chunks], Clock.agree

        def counted(self, steps):
            left[0] -= 1
            return agree(self, steps) if left[0] > 0 else 0

        monkeypatch.setattr(Clock, "agree", counted)

    return after


DYNAMICS = {
    "sgd": mf.dynamics.SGD([0.1, 1.0], 1),
    "adam": mf.dynamics.Optax(optax.adam(0.01), 4),
    "langevin": mf.dynamics.Langevin([0.1], 2, temperature=0.01, minibatches="independent"),
}


@pytest.mark.long(1)
@pytest.mark.parametrize("name", DYNAMICS)
def test_an_interrupted_simulation_goes_on(name, digits, key, stopped, tmp_path, monkeypatch):
    """Cut after one chunk, and again after three: in the end nothing tells that it was."""
    one = mf.System(mf.TwoLayer("tanh"), digits, DYNAMICS[name])
    whole = mf.simulate(one, key=key, **RUN)
    again = {"key": key, "checkpoint": mf.Checkpoint(tmp_path / "kept", minutes=0), **RUN}
    for chunks in (2, 4):
        with monkeypatch.context():
            stopped(chunks)
            cut = mf.simulate(one, **again)
        assert cut.interrupted
        monkeypatch.undo()
    assert same(mf.simulate(one, **again), whole)


def test_what_has_come_to_its_end_does_not_run_again(digits, key, tmp_path, monkeypatch):
    run = {"key": key, "checkpoint": tmp_path / "kept", **RUN}
    whole = mf.simulate(system(digits), **run)
    monkeypatch.setattr(driver, "_run", None)
    assert same(mf.simulate(system(digits), **run), whole)


CHANGES = {
    "widths": ({"widths": [8, 32]}, r"its `widths\[1\]` is 16 and not 32"),
    "steps": ({"steps": 401}, "its `steps` is 400 and not 401"),
    "seeds": ({"seeds": 5}, "its `seeds`"),
    "networks": ({"networks": 2}, "its `networks` is 1 and not 2"),
    "probes": ({"probes": ()}, "its `probes`"),
    "key": ({"key": jax.random.key(99)}, "its `key"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_simulation_is_refused_with_the_difference(name, digits, key, tmp_path):
    mf.simulate(system(digits), key=key, checkpoint=tmp_path, **RUN)
    change, says = CHANGES[name]
    with pytest.raises(ValueError, match=says):
        mf.simulate(system(digits), **{"key": key, "checkpoint": tmp_path, **RUN} | change)


def test_every_field_of_a_system_counts(digits, key, tmp_path):
    """Network, data and dynamics: a change of any of their fields is refused, and named."""
    base = mf.System(mf.TwoLayer("tanh"), digits, mf.dynamics.SGD([0.1], 1))
    mf.simulate(base, key=key, checkpoint=tmp_path, **RUN)
    others = {
        "activation": mf.TwoLayer("relu"),
        "train_output": mf.TwoLayer("tanh", train_output=False),
        "init_scale": mf.TwoLayer("tanh", init_scale=2.0),
        "bias": mf.TwoLayer("tanh", bias=True),
    }
    systems = {f"system.network.{field}": dataclasses.replace(base, network=network) for field, network in others.items()}
    sgd = {"step_size": mf.dynamics.SGD([0.2], 1), "batch_size": mf.dynamics.SGD([0.1], 2)}
    sgd["weight_decay"] = mf.dynamics.SGD([0.1], 1, weight_decay=0.1)
    sgd["minibatches"] = mf.dynamics.SGD([0.1], 1, minibatches="independent")
    systems |= {f"system.dynamics.{field}": dataclasses.replace(base, dynamics=one) for field, one in sgd.items()}
    nudged = np.asarray(digits.x).copy()
    nudged[7, 7] += 1e-6
    systems["system.data.x.sha256"] = dataclasses.replace(base, data=dataclasses.replace(digits, x=jnp.asarray(nudged)))
    for field, other in systems.items():
        with pytest.raises(ValueError, match=f"`{field}"):
            mf.simulate(other, key=key, checkpoint=tmp_path, **RUN)


@pytest.mark.parametrize(
    ("old", "says"), [("0.0.1", "be of the version of jax that runs"), (".".join([*jax.__version__.split(".")[:2], "999"]), None)]
)
def test_other_versions(old, says, digits, key, tmp_path):
    """Another patch: a warning. Another minor version: refused, unless it is allowed."""
    run = {"key": key, **RUN}
    whole = mf.simulate(system(digits), checkpoint=tmp_path, **run)
    config = json.loads((tmp_path / "config.json").read_text())
    config["versions"]["jax"] = old
    (tmp_path / "config.json").write_text(json.dumps(config))
    if says:
        with pytest.raises(ValueError, match=says):
            mf.simulate(system(digits), checkpoint=tmp_path, **run)
    else:
        with pytest.warns(mf.CheckpointWarning, match=f"is of jax {old}"):
            mf.simulate(system(digits), checkpoint=tmp_path, **run)
    allowed = mf.Checkpoint(tmp_path, other_versions=True)
    assert same(mf.simulate(system(digits), checkpoint=allowed, **run), whole)


def test_a_directory_of_something_else_is_refused(digits, key, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match=r"be an empty directory, .* but is '.*', which holds thesis.tex"):
        mf.simulate(system(digits), key=key, checkpoint=tmp_path, **RUN)
    with pytest.raises(ValueError, match="`particles` must be 'host'"):
        mf.simulate(system(digits), key=key, checkpoint=tmp_path, particles="device", **RUN)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"`checkpoint` must have a `config.json` that is whole"):
        mf.simulate(system(digits), key=key, checkpoint=tmp_path, **RUN)


@pytest.mark.parametrize(
    "arguments", [{"minutes": -1}, {"minutes": "x"}, {"keep": 0}, {"keep": 1.5}, {"other_versions": 1}, {"directory": 3}]
)
def test_bad_settings_are_sentences(arguments):
    with pytest.raises(ValueError, match=f"Argument `{next(iter(arguments))}` must"):
        mf.Checkpoint(**{"directory": "out"} | arguments)


def damage(path: Path, how: str) -> None:
    """The largest file of a checkpoint: a bit of it flipped, its second half gone, or all of it."""
    largest = max((one for one in path.rglob("*") if one.is_file()), key=lambda one: one.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes({"flipped": content, "truncated": content[: len(content) // 2], "empty": b""}[how])


@pytest.mark.long
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # orbax leaves coroutines behind when a file is empty
@pytest.mark.parametrize("how", ["flipped", "truncated", "empty"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(how, digits, key, stopped, tmp_path, monkeypatch):
    """And says so. Two are kept, of different steps."""
    run = {"key": key, "checkpoint": mf.Checkpoint(tmp_path, minutes=0), **RUN}
    whole = mf.simulate(system(digits), key=key, **RUN)
    with monkeypatch.context():
        stopped(6)
        mf.simulate(system(digits), **run)
    monkeypatch.undo()
    numbers = sorted(int(one.name) for one in (tmp_path / "running").iterdir())
    assert len(numbers) == 2
    damage(tmp_path / "running" / str(numbers[-1]), how)
    with pytest.warns(mf.CheckpointWarning, match=f"Checkpoint {numbers[-1]} cannot be read"):
        again = mf.simulate(system(digits), **run)
    assert same(again, whole)


@pytest.mark.long
@pytest.mark.parametrize("how", ["flipped", "truncated"])
def test_a_finished_width_that_is_damaged_runs_again(how, digits, key, tmp_path):
    """And is kept anew: the next call finds it whole."""
    run = {"key": key, "checkpoint": tmp_path, **RUN}
    whole = mf.simulate(system(digits), **run)
    damage(tmp_path / "finished" / "0", how)
    with pytest.warns(mf.CheckpointWarning, match="What is kept of width 8 cannot be read .*; it runs again"):
        assert same(mf.simulate(system(digits), **run), whole)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(mf.simulate(system(digits), **run), whole)


def test_two_processes_in_one_directory(digits, key, tmp_path):
    """The second one is refused before anything runs."""
    with checkpoints.keeping(tmp_path, provenance_of(digits, key), "host", None):
        code = f"from meanfield._check import own_directory\nwith own_directory('checkpoint', {str(tmp_path)!r}): pass"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.returncode and "into which no other run writes" in done.stderr


def provenance_of(digits, key) -> dict:
    """What a simulation of `RUN` says of itself."""
    results = mf.simulate(system(digits), key=key, **RUN | {"steps": 0, "probes": ()})
    return results.provenance


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    """`MEANFIELD_KILLS` processes, each killed somewhere between its start and the end of a whole run: the last one tells nothing of it."""
    begun = time.monotonic()
    subprocess.run(command("", tmp_path / "whole.nc"), check=True, cwd=ROOT, timeout=300)
    seconds, rng, kills, rounds = time.monotonic() - begun, random.Random(0), 0, 0
    whole = mf.Results.load(tmp_path / "whole.nc")
    while kills < KILLS:
        directory, path, rounds = tmp_path / f"kept_{rounds}", tmp_path / "again.nc", rounds + 1
        while True:
            with subprocess.Popen(command(directory, path), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
                try:
                    _, err = process.communicate(timeout=rng.uniform(0.3, 1.1) * seconds)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                    kills += 1
                    continue
            assert process.returncode == 0, err
            break
        assert same(mf.Results.load(path), whole)
        shutil.rmtree(directory)
        path.unlink()


@pytest.mark.long(1)
@pytest.mark.parametrize("first, then", [(None, (4, 1)), ((2, 2), None), ((4, 1), (1, 4)), (None, (2, 2))])
def test_another_mesh_goes_on_with_the_same_draws(first, then, digits, key, stopped, tmp_path, monkeypatch):
    """A smooth activation: equal but for the order of sums, and exactly equal on the mesh that it was stopped on."""
    meshes = [one and mf.make_mesh(*one) for one in (first, then)]
    one = mf.System(mf.TwoLayer("tanh"), digits, mf.dynamics.Langevin([0.1], 2, temperature=0.01))
    run = {"key": key, **RUN}
    whole = mf.simulate(one, mesh=meshes[0], **run)
    kept = mf.Checkpoint(tmp_path / "kept", minutes=0)
    with monkeypatch.context():
        stopped(4)
        cut = mf.simulate(one, mesh=meshes[0], checkpoint=kept, **run)
    monkeypatch.undo()
    assert cut.interrupted and int(cut.dataset["steps_done"].max()) > 0
    shutil.copytree(tmp_path / "kept", tmp_path / "copy")
    again = mf.simulate(one, mesh=meshes[1], checkpoint=kept, **run)
    for a, b in zip(jax.tree.leaves(again.particles), jax.tree.leaves(whole.particles), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(again.dataset["risk"], whole.dataset["risk"], rtol=1e-4)
    assert same(mf.simulate(one, mesh=meshes[0], checkpoint=mf.Checkpoint(tmp_path / "copy"), **run), whole)


@pytest.mark.long
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # orbax leaves an event loop behind when a file is broken
def test_resume_needs_the_directory_alone(digits, key, stopped, tmp_path, monkeypatch):
    """A run that was cut goes on; one that is finished comes back; without checkpoints, or with a lambda, there is a sentence."""
    whole = mf.simulate(system(digits), key=key, **RUN)
    with monkeypatch.context():
        stopped(4)
        assert mf.simulate(
            system(digits), key=key, checkpoint=mf.Checkpoint(tmp_path / "a", minutes=0, keep=3), **RUN
        ).interrupted
    monkeypatch.undo()
    assert checkpoints.call_in(tmp_path / "a")[1].keep == 3
    for _ in range(2):
        assert same(mf.resume(tmp_path / "a"), whole)
    (tmp_path / "b").mkdir()
    with pytest.raises(ValueError, match="`directory` must be the directory of a simulation with checkpoints"):
        mf.resume(tmp_path / "b")
    optax_made = mf.System(mf.TwoLayer(), digits, mf.dynamics.Optax(optax.sgd(0.1), 1))
    mf.simulate(optax_made, key=key, checkpoint=tmp_path / "b", **RUN)
    with pytest.raises(ValueError, match="call `simulate` as before"):
        mf.resume(tmp_path / "b")
    damage(tmp_path / "a" / "call", "truncated")
    with pytest.raises(ValueError, match="whose call is damaged"):
        mf.resume(tmp_path / "a")


FULL = """
    import resource, sys, warnings, jax, meanfield as mf
    system = mf.System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD(step_size=0.1, batch_size=1))
    run = {"widths": [16, 512], "steps": 3000, "seeds": 2, "key": jax.random.key(0), "probes": (mf.probes.Evaluation(at=(3000,)),)}
    whole = mf.simulate(system, **run)
    limit = lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    limit(10_000)
    try:
        mf.simulate(system, checkpoint=sys.argv[1], **run)
        raise SystemExit("was not refused")
    except mf.ArgumentError as error:
        assert "be a directory with room for the arguments" in str(error) and "File too large" in str(error), error
    limit(120_000)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        kept = mf.simulate(system, checkpoint=mf.Checkpoint(sys.argv[1], minutes=0), **run)
    limit(resource.RLIM_INFINITY)
    assert kept.dataset.identical(whole.dataset)
    assert said and all("could not be written" in str(one.message) for one in said), [str(one.message) for one in said]
    again = mf.simulate(system, checkpoint=sys.argv[1], **run)
    assert again.dataset.identical(whole.dataset)
"""


@pytest.mark.long
def test_a_disk_that_is_full_ends_no_run(tmp_path):
    """Files have a largest size: refused at once, or warnings, whole results, and a directory with which a run goes on later."""
    program = [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path / "kept")]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.long
def test_a_directory_that_vanishes_ends_no_run(digits, key, tmp_path, monkeypatch):
    whole, agree = mf.simulate(system(digits), key=key, **RUN), Clock.agree

    def vanishing(self, steps):
        shutil.rmtree(tmp_path / "kept", ignore_errors=True)
        return agree(self, steps)

    monkeypatch.setattr(Clock, "agree", vanishing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mf.CheckpointWarning)
        kept = mf.simulate(system(digits), key=key, checkpoint=mf.Checkpoint(tmp_path / "kept", minutes=0), **RUN)
    assert same(kept, whole)
