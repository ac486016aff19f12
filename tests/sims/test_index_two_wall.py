"""Networks at index 2: predictions, lifetimes, condensation."""

import numpy as np
import pytest

from meanfield.theory import network


@pytest.mark.slow
def test_index_two_wall(quick):
    """Predictions within four standard errors; the wrong network's (index 2 for 3.45) is not; nothing diverged gets an index."""
    summary, _ = quick("index_two_wall")
    rows = summary["quadratic"] + summary["predicted"] + [r for r in summary["stable"] if r["predicted"] < 2]
    error = np.array([np.log(r["interval"][1] / r["interval"][0]) / (2 * 1.96) for r in rows])
    z = np.array([np.log(r["index"] / r["predicted"]) for r in rows]) / error
    assert np.max(np.abs(z)) < 4 and all(r["stationary"] for r in rows)
    wrong = np.log(summary["quadratic"][1]["index"] / network.quadratic_tail_index(0.5, 1.0)) / error[1]
    assert abs(wrong) > 4
    life = summary["lifetimes"][0]
    half = (life["interval"][1] - life["interval"][0]) / 2
    assert abs(life["slope"] - life["predicted"]) < 2 * half and life["rows"][0]["blown"] > life["rows"][-1]["blown"]
    for r in summary["condensation"]:
        early = len(r["times"]) // 4
        assert r["median"][-1] < r["median"][early] / 2 and 0.5 < r["second_moment"][-1] / r["second_moment"][early] < 2
        assert r["lyapunov"] < 0 and r["index"][-1] < r["index"][0]
    assert {v["holds"] for v in summary["verdict"]} <= {True, False, None} and len(summary["verdict"]) == 9
