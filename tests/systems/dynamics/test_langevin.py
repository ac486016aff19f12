"""Langevin dynamics against its stationary law."""

import numpy as np
import pytest

import meanfield as mf
from tests.systems.dynamics.common import stationary


@pytest.mark.slow
def test_langevin_has_its_stationary_variance(key):
    w = stationary(mf.dynamics.Langevin(0.2, 1, temperature=0.7, weight_decay=1.3), key).ravel()
    variance = 2 * 0.2 * 0.7 / (1 - (1 - 0.2 * 1.3) ** 2)
    z = (np.mean(w**2) / variance - 1) / np.sqrt(2 / w.size)
    assert abs(z) < 5
    assert abs((np.mean(w**2) / (0.7 / 1.3) - 1) / np.sqrt(2 / w.size)) > 10  # continuous time is another number
