"""The grid of runs: any number is swept, and no run depends on the others."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from meanfield.simulate.grid import make_grid
from meanfield.simulate.probes import AbstractProbe, Variable
from tests.simulate.common import Counting, system


@pytest.mark.slow
def test_a_cell_does_not_depend_on_its_company(digits, key):
    """Seed 3 at step size 1 gives the same particles alone and inside a grid."""
    alone = mf.simulate(system(digits, step_size=1.0), widths=16, steps=50, seeds=[3], key=key, probes=())
    grid = mf.simulate(system(digits, step_size=[0.1, 1.0]), widths=[8, 16], steps=50, seeds=[1, 3], key=key, probes=())
    np.testing.assert_allclose(alone.particles[16].w[0, 0], grid.particles[16].w[1, 1], rtol=1e-4, atol=1e-5)


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


@dataclass(frozen=True)
class Batch(AbstractProbe):
    """Sum of the inputs of the coming mini-batch."""

    def __call__(self, view):
        return {"examples": jnp.sum(view.batch[0][0] * jnp.arange(64.0))}

    @property
    def variables(self):
        return {"examples": Variable((), "inputs of the mini-batch")}


def words(keys) -> list:
    """Random keys as numbers."""
    return jax.random.key_data(keys).tolist()


def folded(key, *numbers):
    """A key folded with one number after the other."""
    for number in numbers:
        key = jax.random.fold_in(jax.random.clone(key), number)
    return key


def test_the_streams_of_a_seed_are_those_of_its_number(key):
    streams = make_grid(mf.dynamics.SGD([0.1, 0.2], 1), (4, 9), key).streams
    expected = [2 * [words(folded(key, seed, stream)) for seed in (4, 9)] for stream in range(3)]
    assert [words(keys) for keys in streams] == expected


def test_networks_of_a_seed_share_its_data_alone(key):
    streams = make_grid(mf.dynamics.SGD([0.1, 0.2], 1), (4, 9), key, networks=3).streams
    init, data, noise = (words(keys) for keys in streams)
    own = [(seed, *other) for seed in (4, 9) for other in ((), (3,), (4,))]
    assert init == 2 * [words(folded(key, *numbers, 0)) for numbers in own]
    assert noise == 2 * [words(folded(key, *numbers, 2)) for numbers in own]
    assert data == 2 * [words(folded(key, seed, 1)) for seed in (4, 9) for _ in range(3)]
    assert len({tuple(stream) for stream in init + data + noise}) == 6 + 2 + 6


@pytest.mark.long
def test_networks_are_an_axis(digits, key, tmp_path):
    """The first of several networks is the run that a single one would be, and all see the same mini-batches."""
    sweep = system(digits, step_size=[0.1, 0.2])
    shared = {"widths": [8, 16], "steps": 5, "seeds": 3, "key": key, "probes": [mf.probes.Evaluation(at=(5,)), Batch(at=(3,))]}
    one, several = mf.simulate(sweep, **shared), mf.simulate(sweep, networks=2, **shared)
    assert several.dataset["status"].dims == ("width", "step_size", "seed", "network")
    np.testing.assert_allclose(several.dataset["risk"].sel(network=0), one.dataset["risk"], rtol=1e-5)
    np.testing.assert_allclose(several.particles[16].w[:, :, 0], one.particles[16].w, rtol=1e-5, atol=1e-6)
    examples = several.dataset["examples"].sel(step=3).to_numpy()
    assert np.all(examples == examples[:1, :1, :, :1]) and len(np.unique(examples)) == 3
    assert len(np.unique(several.particles[16].w[0].reshape(6, -1), axis=0)) == 6
    neurons = {n: several.particles_at(width=n, step_size=0.1) for n in (8, 16)}
    assert neurons[16].dims == ("seed", "network", "neuron", "component")
    found = mf.measure.mechanisms.decompose(neurons, 0.2, key=key)
    assert found.paths == 3 and found.path is not None
    several.save(tmp_path / "results.nc")
    loaded = mf.Results.load(tmp_path / "results.nc")
    assert loaded.dataset.identical(several.dataset) and loaded.particles[8].w.shape == (2, 3, 2, 8, 64)
    assert (one.provenance["networks"], several.provenance["networks"]) == (1, 2)


OWN = {
    "own mini-batches": mf.dynamics.SGD(0.1, 1, minibatches="independent"),
    "chains": mf.dynamics.LinearRecursion(0.1, 1),
}


@pytest.mark.parametrize("name", OWN)
def test_networks_share_no_path_where_neurons_draw_by_themselves(name, digits, key):
    """Neurons of one number would have the same draws in all networks: not given a path, but copies."""
    chains = name == "chains"
    one = (
        mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(1), OWN[name])
        if chains
        else mf.System(mf.TwoLayer(), digits, OWN[name])
    )
    with pytest.raises(ValueError, match="`networks` must be 1 where neurons draw examples or noise of their own"):
        mf.simulate(one, widths=4, steps=1, seeds=2, key=key, networks=2)


@pytest.mark.parametrize("networks", [0, 1.5, 10**7])
def test_a_number_of_networks_that_cannot_be_is_refused(digits, key, networks):
    with pytest.raises(ValueError, match="Argument `networks` must be"):
        mf.simulate(system(digits), widths=4, steps=1, seeds=2, key=key, networks=networks)
