"""SGD with stable noise against its stationary law."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.theory import stable
from tests.systems.dynamics.common import stationary


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["scalar", "coordinates", "isotropic"])
@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_stable_sgd_has_its_stationary_scale(mode, alpha, key):
    """E cos(u x) = exp(-(scale u)^alpha) at three u, 25 000 neurons of 4 coordinates; the scale of continuous time must fail."""
    w = stationary(mf.dynamics.StableSGD(0.2, 1, alpha, 0.5, mode, weight_decay=1.0), key)
    scale = stable.euler_scale(alpha, 0.5, 0.2)
    for u in (0.5 / scale, 1 / scale, 2 / scale):
        c = np.mean(np.cos(u * w), axis=1)
        z = (np.mean(c) - np.exp(-((scale * u) ** alpha))) / (np.std(c) / np.sqrt(len(c)))
        assert abs(z) < 5
    wrong = stable.ornstein_uhlenbeck_scale(alpha, 0.5)
    c = np.mean(np.cos(w / wrong), axis=1)
    if not np.isclose(wrong, scale, rtol=0.01):
        assert abs((np.mean(c) - np.exp(-1)) / (np.std(c) / np.sqrt(len(c)))) > 5
