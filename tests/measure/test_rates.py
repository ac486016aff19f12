"""Rates: coverage with power checks, and the exponent of pruning errors."""

import numpy as np
import pytest

from meanfield.measure import pruning, rates
from meanfield.theory import compressibility


@pytest.mark.short(1)
@pytest.mark.parametrize(("alpha", "exponent"), [(1.0, 0.5), (1.5, 1 / 6)])
def test_heavy_tails_decay_with_the_predicted_exponent(alpha, exponent):
    """Pareto parts, N = 1000 ... 100 000, 200 replicas: the slope is the predicted one, and its interval refuses 0."""
    rng = np.random.default_rng(5)
    sizes = [1000, 10_000, 100_000]
    errors = [[float(pruning.error_curve(rng.pareto(alpha, n) + 1, 0.1, "magnitude")) for n in sizes] for _ in range(200)]
    fit = rates.rate(sizes, errors)
    predicted = -float(compressibility.decay_exponent(alpha))
    assert predicted == pytest.approx(-exponent)
    half = (fit.interval[1] - fit.interval[0]) / 2
    assert abs(float(fit) - predicted) < 2.5 * half  # five standard errors
    assert fit.interval[1] < 0


def test_rate_intervals_cover():
    """4 replicas with dependent widths, 4000 times: 95 % covered within five standard errors; a wrong slope is not."""
    rng = np.random.default_rng(0)
    n = np.array([10.0, 100.0, 1000.0])
    walks = np.cumsum(rng.normal(0, 0.2, (4000, 4, 3)), axis=-1)
    interval = rates.rate(n, n**-0.5 * np.exp(walks)).interval
    covered = lambda slope: np.mean((interval[:, 0] < slope) & (slope < interval[:, 1]))  # noqa: E731
    assert abs(covered(-0.5) - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 4000)
    assert covered(-0.4) < 0.8
