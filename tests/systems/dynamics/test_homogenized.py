"""Homogenized SGD against the exact recursion of its second moment."""

import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf


@pytest.mark.slow
@pytest.mark.parametrize("finite", [False, True])
def test_homogenized_sgd_has_its_second_moment(finite, key):
    """The second moment of Euler's scheme obeys an exact linear recursion, in two dimensions with a ridge, |z| < 5."""
    if finite:
        rng = np.random.default_rng(2)
        a, y = rng.normal(size=(40, 2)) * [1.0, 0.5], rng.normal(size=40)
        data = mf.data.from_arrays(a, y)
        h, optimum = a.T @ a / 40, np.linalg.lstsq(a, y, rcond=None)[0]
        floor = np.mean((a @ optimum - y) ** 2)
    else:
        h, optimum, floor = np.array([[1.0, 0.3], [0.3, 0.5]]), np.array([1.0, -1.0]), 0.49
        data = mf.data.gaussian_regression(2, 0.7, covariance=h, optimum=optimum)
    gamma, ridge, dt, b, n = 0.6, 0.2, 0.1, 2, 100_000
    dynamics = mf.dynamics.HomogenizedSGD(gamma, b, ridge, dt)
    results = mf.simulate(mf.System(mf.dynamics.chains(), data, dynamics), widths=n, steps=300, seeds=1, key=key, probes=())
    x = np.asarray(results.particles[n].w[0, 0], float)
    drift = np.eye(2) - gamma * dt * (h + ridge * np.eye(2))
    pull = gamma * dt * h @ optimum
    mean, second = np.zeros(2), np.eye(2)
    for _ in range(300):
        residual = floor + np.trace(h @ (second - np.outer(mean, optimum) - np.outer(optimum, mean) + np.outer(optimum, optimum)))
        cross = np.outer(drift @ mean, pull)
        second = drift @ second @ drift.T + cross + cross.T + np.outer(pull, pull) + gamma**2 * dt / b * residual * h
        mean = drift @ mean + pull
    products = x[:, :, None] * x[:, None, :]
    z = (products.mean(axis=0) - second) / (products.std(axis=0) / np.sqrt(n))
    assert np.abs(z).max() < 5
    assert np.abs((x.mean(axis=0) - mean) / (x.std(axis=0) / np.sqrt(n))).max() < 5


def test_one_step_of_eulers_scheme(key):
    """From x = 2, optimum 0: mean (1 - gamma h dt) x, variance gamma^2 (floor + h x^2) h dt / B, of 20 000 paths."""
    n, gamma, batch_size, dt, h, floor = 20_000, 0.5, 4, 0.1, 1.5, 0.49
    dynamics = mf.dynamics.HomogenizedSGD(gamma, batch_size, 0.0, dt)
    state = mf.dynamics.State(mf.Particles(jnp.full((n, 1), 2.0), None), jnp.int32(0), mf.dynamics.chains())
    after, _ = dynamics.step(key, state, dynamics.prepare(mf.data.gaussian_regression(1, floor**0.5, covariance=h)))
    x, variance = np.asarray(after.particles.w, float), gamma**2 * (floor + h * 4) * h * dt / batch_size
    assert abs(np.mean(x) - (1 - gamma * h * dt) * 2) < 5 * np.sqrt(variance / n)
    assert abs(np.var(x) / variance - 1) < 5 * np.sqrt(2 / n)
