"""Whole particles at given steps, and particles with labels."""

import dataclasses

import jax
import numpy as np
import pytest

import meanfield as mf
from meanfield.simulate import driver

pytestmark = pytest.mark.long  # programs that simulate


AT = (0, 7)
RUN = {"widths": [4, 9], "steps": 10, "seeds": [2, 5]}


def simulated(data, key, network=None, **more):
    sgd = mf.dynamics.SGD(step_size=[0.5, 1.0], batch_size=2)
    system = mf.System(network or mf.TwoLayer(bias=True), data, sgd)
    return mf.simulate(system, key=key, **RUN | {"probes": [mf.probes.Snapshot(at=AT)]} | more)


@pytest.fixture(scope="module")
def results():
    return simulated(mf.data.digits(), jax.random.key(3))


@pytest.mark.slow
def test_snapshots_are_the_particles_of_a_run_that_ends_there(results):
    """Bit for bit; with the default probes beside them, whose neurons have the same name."""
    for step in AT:
        shorter = simulated(mf.data.digits(), jax.random.key(3), steps=step, probes=())
        for width in RUN["widths"]:
            for name in ("w", "a", "bias"):
                assert np.array_equal(getattr(results.snapshots[width][step], name), getattr(shorter.particles[width], name))
    both = simulated(mf.data.digits(), jax.random.key(3), probes=[*mf.probes.DEFAULT, mf.probes.Snapshot(at=AT)])
    np.testing.assert_array_equal(
        both.dataset["particle"].sel(width=9, step=0, neuron=slice(0, 8)), both.particles_at(0, width=9)
    )
    assert not [name for name in both.dataset if str(name).startswith("snapshot")]


def test_labels(results):
    last = results.particles_at(width=9)
    assert last.dims == ("step_size", "seed", "neuron", "component") and last.shape == (2, 2, 9, 75)
    assert last["seed"].to_numpy().tolist() == [2, 5] and last["width"].item() == 9 and "step" not in last.coords
    np.testing.assert_array_equal(last, results.particles[9].vectors)
    seen = results.particles_at(7, width=9)
    assert seen["step"].item() == 7 and not np.array_equal(seen, last)
    one = results.particles_at(7, width=9, step_size=1.0, seed=5)
    np.testing.assert_array_equal(one, seen.sel(step_size=1.0, seed=5))
    assert one.dims == ("neuron", "component") and one["step_size"].item() == 1.0
    for name in ("w", "a", "bias"):
        array = np.asarray(getattr(results.snapshots[9][7], name))
        np.testing.assert_array_equal(np.squeeze(seen.sel(part=name)), array)
    assert np.linalg.norm(one, axis=-1).shape == (9,)


def test_chains_and_devices(key):
    """A network without output weights and bias; particles that stay on the device."""
    system = mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(3), mf.dynamics.LinearRecursion(0.3, 1))
    run = {"widths": 6, "steps": 4, "seeds": 1, "key": key, "probes": [mf.probes.Snapshot(at=(4,))]}
    results = mf.simulate(system, particles="device", **run)
    last = results.particles_at(width=6, step_size=0.3, seed=0)
    np.testing.assert_array_equal(last, results.particles_at(4, width=6, step_size=0.3, seed=0))
    assert isinstance(last.data, np.ndarray) and set(last["part"].to_numpy()) == {"w"} and last.shape == (6, 3)


def test_snapshots_survive_a_file(results, tmp_path):
    results.save(tmp_path / "results.nc")
    back = mf.Results.load(tmp_path / "results.nc")
    assert {n: sorted(at) for n, at in back.snapshots.items()} == {n: list(AT) for n in RUN["widths"]}
    for step in (None, *AT):
        for width in RUN["widths"]:
            assert back.particles_at(step, width=width).identical(results.particles_at(step, width=width))
    assert back.with_variables().snapshots is back.snapshots


@pytest.mark.slow
def test_several_programs_and_ctrl_c(results, key, monkeypatch, ctrl_c, tmp_path):
    """A grid divided for memory gives the same; a run that was cut short has the snapshots it came to."""
    monkeypatch.setattr(driver, "_plan", lambda job, grid, width, particles: ([2, 2], None))
    parted = simulated(mf.data.digits(), jax.random.key(3))
    assert (parted.dataset["programs"] == 2).all()
    np.testing.assert_allclose(parted.particles_at(7, width=9), results.particles_at(7, width=9), rtol=1e-5, atol=1e-6)
    monkeypatch.undo()
    ctrl_c("width")
    cut = simulated(mf.data.digits(), jax.random.key(3))
    cut.save(tmp_path / "cut.nc")
    assert list(cut.snapshots) == [4] == list(mf.Results.load(tmp_path / "cut.nc").snapshots)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda r: r.particles_at(width=5), "Argument `width` must be one of 4, 9, but is 5."),
        (lambda r: r.particles_at(3, width=4), "Argument `step` must be one at which `probes.Snapshot` looked (0, 7), or None"),
        (lambda r: r.particles_at(width=4, step_size=0.7), "Argument `step_size` must be one of 0.5, 1, but is 0.7."),
        (lambda r: r.particles_at(width=4, seed=0), "Argument `seed` must be one of 2, 5, but is 0."),
        (
            lambda r: r.particles_at(width=4, neuron=0),
            "Argument `cell` must name axes of the runs, step_size, seed, but is 'neuron'.",
        ),
        (lambda r: dataclasses.replace(r, snapshots={4: None}), "Argument `snapshots` must be a dictionary of dictionaries of"),
        (lambda r: dataclasses.replace(r, snapshots={}).particles_at(0, width=4), "Argument `step` must be one at which"),
        (lambda r: mf.probes.Snapshot(), "Argument `at` must name the steps at which the whole particles are kept, but is None."),
        (lambda r: mf.probes.Snapshot(at=(-1,)), "Argument `at` must be one or several different integers >= 0, but is (-1,)."),
    ],
)
def test_wrong_arguments_are_one_sentence(ask, sentence, results):
    with pytest.raises(mf.ArgumentError) as caught:
        ask(results)
    assert str(caught.value).startswith(sentence)
