"""Quadratic networks that blow up."""

import dataclasses

import numpy as np
import pytest

from sims import quadratic_network


@pytest.mark.slow
def test_runs_that_blow_up_get_no_index():
    """The quadratic network at index 2.03: everything blows up."""
    config = dataclasses.replace(quadratic_network.Config(quick=True).sized(), step_sizes=(0.6,), seeds=2)
    (row,) = quadratic_network.indices(config)
    assert row["diverged"] == 2 and np.isnan(row["index"]) and not row["stationary"]
