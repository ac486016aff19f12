"""Sources that draw fresh examples: their laws."""

import jax
import numpy as np
import pytest

import meanfield as mf


@pytest.mark.slow
def test_teacher_law():
    """Moments of 50 000 fresh examples within five standard errors, and the label noise: residual variance 0.09."""
    data = mf.data.teacher(jax.random.key(0), dim=4, neurons=10, activation="tanh", noise_std=0.3)
    x, y = data.batch(jax.random.key(1), 0, 50_000)
    x, y = np.asarray(x, float), np.asarray(y, float)
    squares = np.sum(x**2, axis=1)
    assert abs(squares.mean() - 1) < 5 * np.sqrt(2 / 4 / 50_000)
    w, a = np.asarray(data.particles.w, float), np.asarray(data.particles.a, float)
    residual = y - np.tanh(x @ w.T) @ a / 10
    z = (residual.var() / 0.09 - 1) / np.sqrt(2 / 50_000)
    assert abs(z) < 5
    again, _ = data.batch(jax.random.key(1), 0, 3)
    other, _ = data.batch(jax.random.key(2), 0, 3)
    assert not np.array_equal(again, other)
    assert data.x_test.shape == (2000, 4)


def test_every_step_draws_other_examples(key):
    for data in (mf.data.gaussian_regression(2), mf.data.gaussian_classes(jax.random.key(0), dim=2, delta=0.5, test_size=1)):
        other = jax.random.key(9)
        first, second, third = (data.batch(jax.random.clone(k), n, 3)[0] for k, n in ((key, 0), (key, 1), (other, 0)))
        assert not np.any(first == second) and not np.any(first == third)


def test_label_noise_is_not_that_of_the_inputs(key):
    """One input and one output, where both could be one draw: of 2000 examples a correlation below five standard errors."""
    data = mf.data.teacher(jax.random.key(0), dim=1, neurons=2, noise_std=0.5, test_size=1)
    x, y = data.batch(key, 0, 2000)
    noise = np.asarray(y - data.network.predict(data.particles, x), float)[:, 0]
    assert abs(np.corrcoef(noise, x[:, 0])[0, 1]) < 5 / np.sqrt(2000)
    assert abs(np.std(noise) / 0.5 - 1) < 5 / np.sqrt(2 * 2000)
