"""Probes: schedules and values."""

import dataclasses
from dataclasses import dataclass
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from tests.simulate.common import system, view


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
    values = mf.probes.Moments(orders=(1.0, 2.0, 4.0))(view(mf.TwoLayer(), particles, digits))["norm_moment"]
    exact = [np.mean(np.asarray(a, float) ** p) ** (1 / p) for p in (1, 2, 4)]
    assert np.mean(np.asarray(a, float) ** 4) > np.finfo(np.float32).max
    np.testing.assert_allclose(values, exact, rtol=1e-5)


@pytest.mark.slow
def test_evaluation_of_a_part_is_spread_over_the_set(key):
    """5 of 20 examples, sorted by label: each of the 5 labels once; and the count of a small set is the whole set."""
    data = mf.data.from_arrays(np.eye(20), np.arange(20) // 4)
    network, probe = mf.TwoLayer(dim=20, outputs=5), mf.probes.Evaluation(examples=5)
    particles = network.init(key, 6)
    found = probe(view(network, particles, data))
    index = np.array([0, 4, 8, 12, 16])
    np.testing.assert_allclose(found["risk"][0], network.risk(particles, data.x[index], data.y[index]), rtol=1e-6)
    assert (probe.count(3), probe.count(20), mf.probes.Evaluation(examples=None).count(10**6)) == (3, 5, 10**6)


@dataclass(frozen=True)
class Coming(mf.probes.AbstractProbe):
    """The info of the coming step, and the first number of its noise."""

    def __call__(self, view):
        return {"coming_risk": view.info["risk"], "coming_noise": jax.random.normal(view.noise_key)}

    @property
    def variables(self):
        return {name: mf.probes.Variable((), name) for name in ("coming_risk", "coming_noise")}


@pytest.mark.long
def test_a_view_has_the_info_and_the_noise_of_the_coming_step(digits, key):
    """Against a plain step from the particles at that step, by the documented streams."""
    dynamics = mf.dynamics.Langevin(0.1, 3, temperature=0.1)
    system = mf.System(mf.TwoLayer(), digits, dynamics)
    probes = [Coming(at=(0, 4)), mf.probes.Snapshot(at=(0, 4))]
    results = mf.simulate(system, widths=6, steps=5, seeds=[3], key=jax.random.clone(key), probes=probes)
    seed = jax.random.fold_in(key, 3)
    for step in (0, 4):
        particles = jax.tree.map(lambda v: jnp.asarray(v[0, 0]), results.snapshots[6][step])
        noise = jax.random.fold_in(jax.random.fold_in(jax.random.clone(seed), 2), step)
        batch = digits.batch(jax.random.fold_in(jax.random.clone(seed), 1), step, 3)
        _, info = dynamics.step(jax.random.clone(noise), mf.dynamics.State(particles, jnp.int32(step), system.network), batch)
        seen = results.dataset.sel(step=step).isel(width=0, step_size=0, seed=0)
        np.testing.assert_allclose(seen["coming_risk"], info["risk"], rtol=1e-5)
        assert float(seen["coming_noise"]) == float(jax.random.normal(noise))


def test_dead_is_what_mechanisms_counts(digits, key):
    """Neurons with a bias, some off on every example, in blocks of one example and whole; another activation is refused."""
    network = mf.TwoLayer("relu", dim=digits.dim, outputs=10, bias=True)
    particles = network.init(key, 300)
    particles = dataclasses.replace(particles, bias=jnp.linspace(-3, 1, 300))
    expected = np.mean(mf.measure.mechanisms.dead(particles.w, digits.splits["train"][0], particles.bias))
    assert 0.1 < expected < 0.9
    for block in (2**22, 1000, 300):
        with mock.patch("meanfield.simulate.probes._BLOCK", block):
            found = mf.probes.Dead()(view(network, particles, digits))["dead"]
        np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(mf.ArgumentError, match=r"`system` must have a `TwoLayer` of the activation 'relu' where"):
        mf.simulate(
            mf.System(mf.TwoLayer("tanh"), digits, mf.dynamics.SGD(0.1, 1)),
            widths=4,
            steps=1,
            seeds=1,
            key=key,
            probes=[mf.probes.Dead()],
        )


@pytest.mark.slow
def test_many_runs_of_wide_networks_are_looked_at(digits, key):
    """120 runs of 2048 neurons: the largest product in place of truth values crashed XLA's program here."""
    dynamics = mf.dynamics.SGD([0.25, 0.5, 1.0, 2.0], 1, weight_decay=[0.0, 1e-4, 3e-4, 1e-3, 3e-3])
    system, probes = mf.System(mf.TwoLayer("relu"), mf.data.digits(), dynamics), [mf.probes.Dead(at=(1, 2))]
    results = mf.simulate(system, widths=2048, steps=2, seeds=6, key=key, probes=probes)
    assert (results.dataset["dead"].sel(step=2) < 0.1).all()
