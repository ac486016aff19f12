"""Tail indices of chains: predictions, and steps that suffice."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.theory import recursion
from sims import _tables, tail_index

pytestmark = pytest.mark.long  # the quick run takes more than 8 seconds


@pytest.mark.slow
def test_tail_index(quick):
    """20 000 chains: within four standard errors of the prediction, and not within them of what another dimension would have."""
    summary, _ = quick("tail_index")
    rows = summary["rows"] + summary["others"]
    z = [np.log(r["measured"] / r["predicted"]) * r["measured"] / r["standard_error"] for r in rows]
    assert all(r["stationary"] for r in rows) and np.max(np.abs(z)) < 4
    assert sum(_tables.inside(r) for r in rows) >= len(rows) - 3
    two = [r for r in rows if r.get("dim") == 2]
    other = [recursion.tail_index(r["step_size"], r["batch_size"], 1) for r in two]
    wrong = [np.log(r["measured"] / a) * r["measured"] / r["standard_error"] for r, a in zip(two, other, strict=True)]
    assert np.max(np.abs(wrong)) > 5


@pytest.mark.slow
def test_steps_suffice_and_not_by_far():
    """Chains have been stationary since a half of them; after a twentieth of them they are not."""
    eta, chains = recursion.step_size_for(1.5, 1, 5), 20_000
    steps = tail_index.stationary_after(eta, 1, 5, chains)
    data = mf.data.gaussian_regression(5)
    assert tail_index._measured(data, eta, 1, steps, chains, seed=1)["stationary"]
    assert not tail_index._measured(data, eta, 1, steps // 20, chains, seed=1)["stationary"]
