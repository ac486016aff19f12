"""Intervals from leaving out one run at a time: coverage with power checks."""

import numpy as np
import pytest

from meanfield.measure import chaos

LAWS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "t5": lambda rng, shape: rng.standard_t(5, shape) / np.sqrt(5 / 3),
    "exponential": lambda rng, shape: rng.exponential(size=shape) - 1,
}


@pytest.mark.long(1)
@pytest.mark.parametrize(
    ("law", "samples", "stated"),
    [("normal", 50, 0.94), ("t5", 50, 0.91), ("exponential", 50, 0.90), ("t5", 200, 0.93), ("exponential", 10, 0.86)],
)
def test_correlation_intervals_cover_what_is_said(law, samples, stated):
    """2000 one-factor systems of other laws, correlation 1/2: the docstring's share, within four binomial standard errors and
    the rounding of its numbers. Of those that miss, more than 3 in 5 are too low."""
    rng = np.random.default_rng(4)
    draw = lambda last: LAWS[law](rng, (2000, samples, last))  # noqa: E731
    systems = np.sqrt(0.5) * (draw(1) + draw(20))
    low, high = np.array([chaos.correlation(x).interval for x in systems]).T
    covered = np.mean((low <= 0.5) & (high >= 0.5))
    assert abs(covered - stated) < 4 * np.sqrt(stated * (1 - stated) / 2000) + 0.005
    assert np.mean(high < 0.5) > 0.6 * (1 - covered)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("runs", "particles"), [(10, 20), (50, 20)])
def test_fluctuation_intervals_cover(law, runs, particles):
    """4000 ensembles of independent particles of variance 1: 95 % intervals of variance and ratio cover 92 to 97 %; a variance
    six times as large is covered by fewer than 1/4."""
    x = LAWS[law](np.random.default_rng(3), (4000, runs, particles))
    found = chaos.fluctuation(x, 0.0)
    for interval in (found.variance.interval, found.ratio.interval):
        covers = lambda v, i=interval: np.mean((i[:, 0] <= v) & (v <= i[:, 1]))  # noqa: E731
        assert 0.92 < covers(1) < 0.97
        assert covers(6) < 0.25
    for estimate in (found.variance.value, found.independent, found.ratio.value):
        assert abs(estimate.mean() - 1) < 5 * estimate.std(ddof=1) / np.sqrt(4000)


@pytest.mark.parametrize(
    ("law", "runs", "particles", "stated"),
    [
        *[(law, 3, 20, 0.99) for law in LAWS],
        ("normal", 10, 1, 0.94),
        ("t5", 10, 1, 0.89),
        ("exponential", 10, 1, 0.82),
        ("normal", 50, 1, 0.94),
        ("t5", 50, 1, 0.90),
        ("exponential", 50, 1, 0.88),
    ],
)
def test_fluctuation_intervals_cover_what_is_said(law, runs, particles, stated):
    """4000 ensembles of few runs, or of one particle with a tail: the docstring's share, within four binomial standard errors
    and the rounding of its numbers."""
    low, high = chaos.fluctuation(LAWS[law](np.random.default_rng(5), (4000, runs, particles)), 0.0).variance.interval.T
    covered = np.mean((low <= 1) & (high >= 1))
    assert abs(covered - stated) < 4 * np.sqrt(stated * (1 - stated) / 4000) + 0.005
