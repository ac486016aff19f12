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
