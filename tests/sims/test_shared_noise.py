"""Shared and independent noise: variances and correlations are the predicted ones."""

import numpy as np
import pytest

pytestmark = pytest.mark.long  # the quick run takes more than 8 seconds


@pytest.mark.slow
def test_shared_noise(quick):
    for row in quick("shared_noise")[0]["rows"]:
        assert abs(row["mean_variance"] - row["mean_variance_predicted"]) < 5 * row["mean_variance_predicted"] * np.sqrt(2 / 60)
        low, high = row["correlation_interval"]
        assert low - 2 * (high - low) - 1e-6 < row["correlation_predicted"] < high + 2 * (high - low) + 1e-6
