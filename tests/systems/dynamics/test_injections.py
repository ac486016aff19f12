"""Injected noise: of every neuron its own, in three modes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from meanfield.systems.dynamics.injections import MODES, GaussianInjection, StableInjection
from meanfield.theory import stable
from tests.systems.dynamics.common import stationary


@pytest.mark.slow
def test_coupled_noise_does_not_depend_on_the_width(pool, key):
    """Particle 3 of width 5 and of width 50 draw the same: where particles do not interact they stay equal."""
    flat = mf.data.from_arrays(np.zeros((2, 3)), np.zeros(2))
    noisy = mf.dynamics.StableSGD(0.1, 1, alpha=1.5, scale=0.3, weight_decay=1.0)
    results = mf.simulate(mf.System(mf.dynamics.chains(), flat, noisy), widths=[5, 50], steps=20, seeds=2, key=key, probes=())
    np.testing.assert_allclose(results.particles[5].w, results.particles[50].w[:, :, :5], rtol=1e-5)


@pytest.mark.slow
def test_modes_differ_as_they_should(key):
    """Scalar: all coordinates equal. Isotropic: rotation invariant, and dependent; coordinates: heavier along the axes."""
    made = {m: stationary(mf.dynamics.StableSGD(0.2, 1, 1.2, 0.5, m, weight_decay=1.0), key) for m in MODES}
    spread = np.ptp(made["scalar"], axis=1) / np.abs(made["scalar"]).max(axis=1)
    assert np.quantile(spread, 0.9) < 1e-4  # but for what is left of the start
    diagonal = np.array([1, 1, 1, 1]) / 2
    scale = stable.euler_scale(1.2, 0.5, 0.2)
    for mode, factor in (("isotropic", 1.0), ("coordinates", 4 ** (1 / 1.2) / 2), ("scalar", 2.0)):
        phi = np.cos(made[mode] @ diagonal / (scale * factor))
        assert abs((phi.mean() - np.exp(-1)) / (phi.std() / np.sqrt(len(phi)))) < 5


def test_increments_grow_with_the_step_as_they_should(key):
    """Brownian motion has the variance 2 step T; stable motion the size step^(1/alpha), that of a Cauchy law the step itself."""
    normal = GaussianInjection(0.5).vector(key, jnp.float32(0.1), 20_000)
    assert abs(np.var(normal) / 0.1 - 1) < 5 * np.sqrt(2 / 20_000)
    short, long = (StableInjection(1.0, 1.0, "coordinates").vector(jax.random.clone(key), jnp.float32(s), 5) for s in (0.01, 1.0))
    np.testing.assert_allclose(short, 0.01 * long, rtol=1e-5)
