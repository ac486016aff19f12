"""The limit of the error of a law, under two readings of its tail."""

import numpy as np
import pytest

from meanfield.measure import tails
from meanfield.measure.mechanisms import limit


def test_a_power_law_and_a_truncated_one_are_told_apart_by_their_limits():
    """Pareto 3: both readings give sqrt(1 - .1^(1/3)). Pareto 1.5: the power law leaves 0, the sample itself never does."""
    rng = np.random.default_rng(1)
    light = limit(rng.pareto(3.0, (4, 25_000)) + 1)
    assert light.power.interval[0] < np.sqrt(1 - 0.1 ** (1 / 3)) < light.power.interval[1]
    assert light.family is tails.Family.POWER and light.index.interval[0] < 3 < light.index.interval[1]
    heavy = limit(rng.pareto(1.5, (4, 25_000)) + 1)
    assert float(heavy.power) == 0 < float(heavy.finite) and heavy.power.interval == (0, 0)


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_a_light_law_has_the_limit_of_its_quantiles(p):
    """Exponential norms: int_0^q x^p e^-x dx over Gamma(p + 1), q = log 10, inside the interval of the runs; a wrong p is not."""
    found = limit(np.random.default_rng(3).exponential(size=(12, 20_000)), p=p)
    q = np.log(10)
    exact = {1.0: 1 - (1 + q) / 10, 2.0: (1 - (1 + q + q**2 / 2) / 10) ** 0.5}
    low, high = found.finite.interval
    assert low < exact[p] < high and not low < exact[3 - p] < high
    assert found.family is not tails.Family.POWER
    assert float(found.power) == pytest.approx(exact[p], abs=0.02)


@pytest.mark.parametrize(
    ("norms", "says"),
    [
        (np.ones((2, 100)), r"`norms` must hold at least 3 independent runs"),
        (-np.ones((3, 100)), r"`norms` must be non-negative"),
        (np.full((3, 100), np.nan), r"`norms` must"),
    ],
)
def test_bad_input_is_a_sentence(norms, says):
    with pytest.raises(ValueError, match=says):
        limit(norms)
