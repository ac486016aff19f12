"""Chains without a network: a stable step does not warn."""

import warnings

import meanfield as mf
from tests.systems.dynamics.common import small


def test_a_stable_step_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(1), mf.dynamics.LinearRecursion([0.5, 2.4], 1))
        mf.System(mf.TwoLayer(), small(), mf.dynamics.SGD(0.5, 1, weight_decay=3.9))
