"""Homogenized SGD against the exact recursion of its second moment."""

import numpy as np
import pytest

import meanfield as mf


@pytest.mark.long(1)
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
