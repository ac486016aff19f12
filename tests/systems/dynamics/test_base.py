"""Step sizes beyond stability: a warning that names the limit."""

import numpy as np
import pytest

import meanfield as mf
from tests.systems.dynamics.common import small

WARNED = {
    "ridge": (lambda: mf.System(mf.TwoLayer(), small(), mf.dynamics.SGD(0.5, 1, weight_decay=[1.0, 5.0])), "stability limit 2"),
    "recursion": (
        lambda: mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(1), mf.dynamics.LinearRecursion([0.5, 3.0], 1)),
        "`step_size` is 3, beyond its stability limit 2.42125",
    ),
    "finite": (
        lambda: mf.System(
            mf.dynamics.chains(), mf.data.from_arrays(np.ones((4, 1)), np.ones(4)), mf.dynamics.LinearRecursion(2.5, 1)
        ),
        "stability limit 2",
    ),
    "coupled": (
        lambda: mf.System(
            mf.dynamics.chains(),
            mf.data.gaussian_regression(1),
            mf.dynamics.LinearRecursion(1.2, 1, weight_decay=0.5, coupled=True),
        ),
        "has no mean",
    ),
    "euler": (
        lambda: mf.System(
            mf.dynamics.chains(), mf.data.gaussian_regression(1), mf.dynamics.HomogenizedSGD(1.0, 1, time_step=3.0)
        ),
        "`time_step` is 3, beyond its stability limit 2",
    ),
}


@pytest.mark.parametrize("name", WARNED)
def test_a_step_beyond_stability_warns_and_names_the_limit(name):
    make, text = WARNED[name]
    with pytest.warns(mf.StabilityWarning, match=text):
        make()
