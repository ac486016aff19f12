"""Figures show the numbers that they are given."""

import numpy as np
from matplotlib.figure import Figure

import meanfield as mf
from meanfield import plot


def test_survival_function_and_fitted_tail():
    ax = plot.survival(Figure().subplots(), [np.array([8.0, 1.0, 4.0, 2.0])], ["x"], [(1.5, 2.0, 0.75)])
    curve, tail, _ = ax.get_lines()
    assert curve.get_xydata().tolist() == [[8, 0.25], [4, 0.5], [2, 0.75], [1, 1]]
    np.testing.assert_allclose(tail.get_xydata(), [[2, 0.75], [8, 0.75 * 4**-1.5]])


def test_predicted_slope_ends_in_the_error_of_the_widest():
    """Errors 0.4 and 0.1 of one seed, 0.6 and 0.3 of another."""
    errors = [np.array([[0.4, 0.1], [0.6, 0.3]])]
    ax = plot.error_against_width(Figure().subplots(), [10, 1000], errors, ["one"], [(0, 0, 0)], [0.5])
    curve, predicted = (
        line.get_xydata() for line in ax.get_lines() if len(line.get_xydata()) and line.get_linestyle() in ("-", ":")
    )
    np.testing.assert_allclose(curve, [[10, 0.5], [1000, 0.2]])
    np.testing.assert_allclose(predicted, [[10, 2.0], [1000, 0.2]])


def test_dotted_power_starts_in_its_first_point():
    ax = plot.power(Figure().subplots(), [2, 8], 3.0, -0.5)
    np.testing.assert_allclose(ax.get_lines()[0].get_xydata(), [[2, 3.0], [8, 1.5]])


def test_runs_that_diverged_have_no_part_in_the_mean_and_a_limit_is_a_level():
    errors = [np.array([[0.4, 0.1], [np.nan, np.nan], [0.6, 0.3]])]
    ax = plot.error_against_width(Figure().subplots(), [10, 1000], errors, ["one"], [(0.2, 0.3, 0.4)])
    level = next(line for line in ax.get_lines() if line.get_linestyle() == ":" and len(line.get_xdata()))
    np.testing.assert_allclose(level.get_ydata(), 0.3)
    bars = ax.containers[0][2][0].get_segments()
    np.testing.assert_allclose(np.array(bars)[:, :, 1], [[0.4, 0.6], [0.1, 0.3]])


def test_bars_of_estimates_and_ticks():
    ax = plot.estimates(Figure().subplots(), [1, 2], [mf.Estimate(1.0, 0.1), mf.Estimate(2.0, 0.2)], errors=2)
    np.testing.assert_allclose(np.array(ax.containers[0][2][0].get_segments())[:, :, 1], [[0.8, 1.2], [1.6, 2.4]])
    ax.set_xscale("log")
    plot.tick_at(ax, [1, 2])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "2"] and not len(ax.xaxis.get_minorticklocs())
