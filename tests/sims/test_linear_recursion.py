"""SGD on least squares: predictions lie in the measurements."""

import pytest

from sims import linear_recursion

pytestmark = pytest.mark.long  # the quick run takes more than 8 seconds


@pytest.mark.slow
def test_linear_recursion(quick):
    """20 000 chains: Hill's interval widened to five standard errors, and contraction within five."""
    rows = {row["step_size"]: row for row in quick("linear_recursion")[0]["rows"]}
    for eta in (0.8, 1.0):
        low, high = rows[eta]["tail_index_interval"]
        assert abs(rows[eta]["tail_index"] - rows[eta]["tail_index_predicted"]) < 2.5 * (high - low) / 2
    low, high = rows[0.2]["second_moment_interval"]
    assert abs(rows[0.2]["second_moment"] - rows[0.2]["second_moment_predicted"]) < 2.5 * (high - low) / 2
    for row in quick("linear_recursion")[0]["contraction"]:
        assert abs(row["measured"] - row["predicted"]) < 2.5 * (row["interval"][1] - row["measured"])


@pytest.mark.slow
def test_linear_recursion_at_full_size():
    """Two million chains: tail indices 2.904, 1.546, 1.091 within 3 %; second moments within 1 %."""
    rows = linear_recursion.run(linear_recursion.Config(step_sizes=(0.2, 0.3, 0.5, 0.8, 1.0)))["rows"]
    for row in rows[2:]:
        assert abs(row["tail_index"] / row["tail_index_predicted"] - 1) < 0.03
    for row in rows[:2]:
        assert abs(row["second_moment"] / row["second_moment_predicted"] - 1) < 0.01
