"""Chains without a stationary law, and a step on the host."""

import numpy as np
import pytest

from sims import transients


@pytest.mark.slow
def test_transients(quick):
    """Every index below 2 belongs to a chain without a stationary law and falls; the growth is the Lyapunov exponent."""
    summary, _ = quick("transients")
    verdict = summary["verdict"]
    assert verdict["index_below_2"] == verdict["of_these_without_stationary_law"] == verdict["of_these_fallen"] >= 2
    for row in summary["rows"] + summary["stored"]:
        low, high = row["growth_interval"]
        if row["lyapunov"] > 0.01:  # the start is forgotten, and what is small lost in what has grown
            assert abs(row["growth"] - row["lyapunov"]) < 2.5 * (high - low) / 2
        elif row["lyapunov"] < -0.015:  # the start is forgotten before the last half
            assert abs(row["growth"]) < 2.5 * (high - low) / 2 and row["index"][-1] > 1.8
    # What others have stored, within five standard errors of both (1600 chains there, 1600 here).
    for row in summary["stored"]:
        assert abs(row["index"][-1] - row["stored"]) < 5 * np.sqrt(2) * row["standard_error"][-1]
    window = summary["window"]
    assert window["lyapunov"] < 0 and abs(window["tail_index"] - 1.5) < 1e-6 and window["index"][-1] > 1.8


def test_host_chains_have_the_law_of_the_package():
    """One step from a fixed point, in two dimensions: mean, covariance and fourth moments of 2e5 chains against the mini-batches."""
    rng, n, eta, b = np.random.default_rng(3), 200_000, 0.3, 2
    x = np.tile([2.0, -1.0], (n, 1))
    ours = transients.step_chains(rng, x, eta, b)
    a = rng.standard_normal((n, b, 2))
    residual = np.einsum("nbd,nd->nb", a, x) - transients.NOISE * rng.standard_normal((n, b))
    theirs = x - eta / b * np.einsum("nb,nbd->nd", residual, a)
    for power in ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (2, 2)):
        one, two = (np.prod(v ** np.array(power), axis=1) for v in (ours, theirs))
        assert abs(one.mean() - two.mean()) < 5 * np.sqrt((one.var() + two.var()) / n)
    wrong = transients.step_chains(rng, x, 1.05 * eta, b)
    assert abs(np.mean(wrong[:, 0]) - np.mean(theirs[:, 0])) > 5 * np.sqrt((wrong[:, 0].var() + theirs[:, 0].var()) / n)
