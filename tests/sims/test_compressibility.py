"""Compressibility: limits, rates, levels, ensembles."""

import numpy as np
import pytest


@pytest.mark.slow
def test_compressibility(quick):
    """Limits, rates and levels of 20 samples; the ensembles; the coupled recursion; what must hold of the networks at any size."""
    summary, _ = quick("compressibility")
    for row in summary["limits"]:
        assert np.max(np.abs(row["standard_errors"])) < 5
    for row in summary["rates"]:
        half = (row["interval"][1] - row["interval"][0]) / 2
        assert abs(row["slope"] - row["slope_predicted"]) < 2.5 * half
        if len(row["log_error_predicted"]) > 1:
            low, high = row["log_interval"][-1]
            assert abs(row["log_error"][-1] - row["log_error_predicted"][-1]) < 1.25 * (high - low)
    study = summary["study"]
    layer, independent = (np.array(study["fractions"][name]) for name in ("layer", "independent"))
    assert np.all(np.abs(layer - study["layer_predicted"]) < 0.02) and independent.mean() > layer.mean() + 0.02
    assert study["layer_predicted"] == pytest.approx(0.2652911398)
    heavy, light = summary["combined"]
    assert heavy["index_predicted"] == pytest.approx(1.23538, abs=1e-4) and heavy["interval"][1] < light["interval"][0]
    assert abs(np.exp(light["log_error"][-1]) - light["floor_predicted"]) < 0.05
    for row in summary["networks"]:
        assert 0 <= row["function_width"] <= 1 < 2 * row["function_kept"] + 1 and -1 <= row["accuracy"] <= 1
    for row in summary["bounds"]:
        assert row["bound"] == pytest.approx(row["margin_risk"] + row["complexity"])
        assert row["bound"] > row["train_error"] + row["gap"]  # what is bounded is below its bound
    assert all(row["index_and_nats"] > 0 for row in summary["bounds_ordered"])
