"""SGD with stable noise: the scale is the predicted one."""

import pytest

from sims import stable_sgd


@pytest.mark.slow
def test_stable_sgd(quick):
    for row in quick("stable_sgd")[0]["scales"]:
        assert abs(row["scale"] - row["scale_predicted"]) < 2.5 * (row["scale_interval"][1] - row["scale_interval"][0]) / 2


@pytest.mark.slow
def test_stable_scale_at_full_size():
    """Within 1 % in all modes."""
    for row in stable_sgd.run(stable_sgd.Config())["scales"]:
        assert abs(row["scale"] / row["scale_predicted"] - 1) < 0.01
