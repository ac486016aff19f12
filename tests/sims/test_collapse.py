"""Networks that collapse: what the numbers are, which verdict says what, and that the quick run adds up."""

import dataclasses

import numpy as np
import pytest

from sims import collapse

CELL = {"predicted": -0.05, "predicted_error": 1e-4, "spread": 0.0, "steps": 1000, "collapsed": True, "rate": -0.0505}
CELL |= {"interval": [-0.0506, -0.0504], "rate_predicted": -0.05, "rate_error": 1e-4}


def test_residuals_of_the_predictor_0():
    """softmax(0) minus the label."""
    assert collapse.of_labels(np.array([0, 1, 1])).tolist() == [[-0.5, 0.5], [0.5, -0.5], [0.5, -0.5]]


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ([{}], True),
        ([{}, {"predicted": 0.05, "collapsed": False}], True),
        ([{}, {"predicted": 0.05}], False),
        ([{"collapsed": False}], False),
        ([{"collapsed": False, "predicted": -0.007}], None),  # e^-7 after a thousand steps
        ([{"collapsed": False, "spread": 0.03}], None),
    ],
)
def test_the_boundary_is_judged_where_the_exponent_decides(changes, holds):
    assert collapse.boundary_verdict([CELL | change for change in changes])["holds"] is holds


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"rate": -0.052}, False),
        ({"rate": -0.052, "interval": [-0.055, -0.049]}, True),
        ({"rate": -0.052, "rate_error": 0.001}, True),
        ({"rate": np.nan}, None),
        ({"rate_predicted": np.nan}, None),  # outputs are not small
    ],
)
def test_rates_are_judged_by_their_errors(change, holds):
    assert collapse.rate_verdict([CELL | change])["holds"] is holds


def test_own_rates_are_judged_by_their_signs_and_indices_by_their_intervals():
    noisy = {"interval": [2.9, 3.1], "predicted": 3.0, "stationary": True}
    row = {"rate": -0.011, "rate_interval": [-0.012, -0.01], "exponent": -0.01, "exponent_at_zero": 0.01, "noisy": noisy}
    judged = lambda **change: collapse.own_verdicts([row, row | change])  # noqa: E731
    holds = lambda **change: [one["holds"] for one in judged(**change)]  # noqa: E731
    assert holds() == [True, True] and holds(exponent=0.01) == [False, True]
    assert holds(exponent=0.01, rate_interval=[-0.02, 0.001]) == [True, True]  # cannot be told
    assert collapse.own_verdicts([row | {"rate_interval": [-0.02, 0.001]}])[0]["holds"] is None
    assert "2 of 2 signs right, in 2 the predictor 0 has the other sign; sizes are off by 10%" in judged()[0]["evidence"]
    assert holds(noisy=noisy | {"predicted": 3.3}) == [True, False]


def test_a_chain_off_by_more_than_is_allowed_is_told():
    """2 % or four standard errors, and the sign."""
    row = {"rate": -0.5, "interval": [-0.501, -0.499], "predicted": -0.505}
    holds = lambda **change: collapse.chains_verdict([row | change, row])["holds"]  # noqa: E731
    assert holds() and not holds(predicted=-0.52) and holds(predicted=-0.52, interval=[-0.52, -0.48])
    assert holds(rate=0.001, predicted=-0.001, interval=[-0.01, 0.012])  # cannot be told
    assert not holds(rate=0.001, predicted=-0.001, interval=[0.0001, 0.0019])


def test_rates_leave_out_the_dead_and_what_float32_loses():
    """Planted neurons: one grows by e^.1 a step, one is dead, and at the last look the run has lost its norms."""
    x = np.array([[1.0, 0.0]])
    alive, dead = np.array([1.0, 0.0, 1.0]), np.array([-1.0, 0.0, 1.0])
    seen = [np.array([[s * alive, dead]]) for s in (1.0, np.exp(1.0), np.exp(3.0))]
    assert collapse.rate_of(seen, (0, 10, 30), x) == ((10, 30), pytest.approx([0.1]))
    lost = np.array([[1e-31 * alive, dead]])
    assert collapse.rate_of([*seen, lost], (0, 10, 30, 40), x) == ((10, 30), pytest.approx([0.1]))
    assert np.isnan(collapse.rate_of([np.array([[dead]])] * 2, (0, 10), x)[1]).all()


def test_the_rate_of_small_neurons_is_the_exponent_when_they_are_old():
    """Two examples with w = +-a on both lines: neurons that stay alive grow by half the logarithm of 1.5 * .75."""
    config = dataclasses.replace(collapse.Config(), population=2_000)
    x, r = np.array([[1.0], [1.0]]), np.array([[1.0], [-0.5]])
    rate, error = collapse.aged_rate(x, r, 0.5, 0.0, (100, 400), config)
    assert abs(rate - np.log(1.5 * 0.75) / 2) < 4 * error < 0.01
    young, _ = collapse.aged_rate(x, r, 0.5, 0.0, (0, 1), config)
    assert abs(young - rate) > 4 * error


def test_which_steps_kill():
    """All deaths in the step with the largest loss; a run without deaths counts in their number alone."""
    died, loss = np.zeros((3, 20)), np.tile(np.linspace(0, 1, 20), (3, 1))
    died[0, 19], died[1, [19, 0]] = 0.2, 0.1
    row = collapse.by_which_steps(died, loss)
    assert row["died"] == pytest.approx(0.4 / 3) and row["loss"] == pytest.approx(0.5)
    assert row["in_largest_losses"] == pytest.approx(0.75)
    assert row["loss_at_death"] == pytest.approx((1 + 0.5) / 2)
    assert np.isnan(collapse.by_which_steps(died[2:], loss[2:])["in_largest_losses"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seeds": 2}, "`seeds` must"),
        ({"steps": 10}, "`steps` must"),
        ({"watched": 1600}, "`watched` must be at most 1500, half of steps, but is 1600"),
        ({"networks": 1}, "`networks` must"),
        ({"path_widths": (256,)}, "`path_widths` must hold at least two widths"),
        ({"step_sizes": (-1.0,)}, "`step_sizes` must"),
        ({"ridges": (-1.0,)}, "`ridges` must"),
        ({"width": 3}, "`width` must"),
    ],
)
def test_bad_arguments_are_sentences(change, says):
    with pytest.raises(ValueError, match=says):
        collapse.run(dataclasses.replace(collapse.Config(), **change))


@pytest.mark.slow
def test_the_quick_run_holds(quick):
    """No verdict is false; parts of the dependence sum; a network of ridge .1 is gone, one of .003 is not."""
    summary, out = quick("collapse")
    assert all(one["holds"] is not False for one in summary["verdict"]) and len(summary["verdict"]) == 5
    small, large = summary["cells"][:2]
    assert not small["collapsed"] and large["collapsed"] and small["predicted"] > 0 > large["predicted"]
    for row in summary["paths"]:
        for part in (row, row["slope"]):
            assert part["path"] + part["network"] == pytest.approx(part["dependence"], abs=1e-12)
    assert len(summary["deaths"]) == 4 and summary["boundary"]["ridges"][0] > 0.003
    assert (out / "figure.png").exists()
