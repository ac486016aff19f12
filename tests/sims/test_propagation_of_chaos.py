"""Distances to the limits: signs and sizes of their slopes."""

import numpy as np
import pytest


@pytest.mark.slow
def test_propagation_of_chaos(quick):
    """Three widths and three seeds: signs and sizes of the slopes, not their digits."""
    rows = quick("propagation_of_chaos")[0]["rows"]
    for row in rows:
        assert abs(row["slope"] - row["slope_predicted"]) < 0.4, row["what"]
    ode = next(row for row in rows if row["what"].endswith("against the ODE"))
    conditional = next(row for row in rows if row["what"].endswith("conditional limit"))
    assert np.min(ode["errors"]) > 10 * np.max(conditional["errors"])
