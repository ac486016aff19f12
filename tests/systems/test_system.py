"""A system as a whole: a teacher's data, a student and SGD reach the noise floor."""

import numpy as np
import pytest

import meanfield as mf


@pytest.mark.slow
def test_teacher_student_reaches_the_noise_floor(key):
    """The identity network is linear: its risk must fall to half the noise variance, 0.005 (2000 test examples)."""
    data = mf.data.teacher(key, dim=3, neurons=20, activation="identity", noise_std=0.1)
    dynamics = mf.dynamics.SGD(step_size=0.05, batch_size=50)
    system = mf.System(mf.TwoLayer("identity", "squared"), data, dynamics)
    results = mf.simulate(system, widths=64, steps=3000, seeds=2, key=key)
    risk = results.dataset["risk"].sel(width=64, split="test").isel(step=-1).to_numpy()
    standard_error = 0.005 * np.sqrt(2 / 2000)
    assert (np.abs(risk - 0.005) < 5 * standard_error + 2e-4).all()
    assert "accuracy" not in results.dataset
