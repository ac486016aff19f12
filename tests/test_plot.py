"""Pieces of figures: what they draw is what they say."""

import numpy as np
from matplotlib.figure import Figure

import meanfield as mf


def axes():
    return Figure().subplots()


def test_error_against_width():
    """Means and ranges over the seeds that have an error, the predicted slope from the widest network, and the level at infinity."""
    widths, rng = np.array([10, 100, 1000]), np.random.default_rng(0)
    errors = rng.uniform(0.1, 0.9, (2, 4, 3))
    errors[0, 1] = np.nan
    ax = mf.plot.error_against_width(axes(), widths, list(errors), ["a", "b"], [(0, 0, 0), (0.2, 0.3, 0.4)], [0.5, 0.0])
    dotted = [line for line in ax.lines if line.get_linestyle() == ":" and len(line.get_xdata())]
    known = errors[0, [0, 2, 3]]
    slope, level = (next(line for line in dotted if len(line.get_xdata()) == n).get_ydata() for n in (3, 2))
    np.testing.assert_allclose(slope, known.mean(axis=0)[-1] * np.array([10, np.sqrt(10), 1]))
    np.testing.assert_allclose(level, 0.3)
    bars = ax.containers[0][2][0].get_segments()
    np.testing.assert_allclose(bars[0][:, 1], [known[:, 0].min(), known[:, 0].max()])


def test_survival_and_its_tail():
    """P(X > x) of the k-th largest of n is k / n, and the fitted tail starts at its threshold and share."""
    sample = np.random.default_rng(1).pareto(1.5, 200) + 1
    curve, tail = mf.plot.survival(axes(), [sample], ["a"], [(1.5, 2.0, 0.25)]).lines[:2]
    assert curve.get_xdata()[0] == sample.max() and curve.get_ydata()[0] == 1 / 200 and curve.get_ydata()[-1] == 1
    x, y = tail.get_data()
    assert (x[0], y[0]) == (2.0, 0.25) and np.isclose(np.log(y[1] / y[0]) / np.log(x[1] / x[0]), -1.5)


def test_estimates_power_and_ticks():
    made = [mf.Estimate(1.0, 0.1), mf.Estimate(2.0, 0.2)]
    ax = mf.plot.estimates(axes(), [1, 2], made, errors=2)
    np.testing.assert_allclose(np.array(ax.containers[0][2][0].get_segments())[:, :, 1], [[0.8, 1.2], [1.6, 2.4]])
    np.testing.assert_allclose(mf.plot.power(axes(), [1, 10], 3.0, -2.0).lines[0].get_ydata(), [3.0, 0.03])
    ax.set_xscale("log")
    mf.plot.tick_at(ax, [1, 2])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "2"] and not len(ax.xaxis.get_minorticklocs())
