"""What measuring devices are off, by formula."""

import numpy as np
import pytest
from scipy import stats

from meanfield.verify.claims import _bias
from meanfield.verify.claims import _tools as tools


def test_a_lognormal_sample_is_no_power_law():
    """2e6 numbers: of a Pareto law index and bow are right within 4 errors; of a log-normal one with that index the bow is 8 off."""
    rng, none = np.random.default_rng(4), _bias.Reading(0.0, 0.0)
    pareto, other = (
        tools.largest_hundredth(1 + rng.pareto(1.3, 2_000_000)),
        tools.largest_hundredth(tools.lognormal(rng, 2_000_000, 1.3)),
    )
    for largest, shaped in ((pareto, True), (other, False)):
        index, bow = _bias.log_alpha(largest, none, ""), _bias.bowed(largest, none, "")
        assert abs(index.value - np.log(1.3)) < 4 * index.standard_error
        assert abs(bow.value) < 4 * bow.standard_error if shaped else bow.value < -8 * bow.standard_error


@pytest.mark.parametrize("s", [0.5, 1.0, 2.0])
def test_what_a_sample_does_not_see_of_a_moment(s):
    """Of a log-normal law the part beyond t is Phi(s sigma - log t / sigma), exactly."""
    sigma, n = 1.5, 100_000
    x = np.exp(sigma * np.random.default_rng(3).normal(size=n))
    tenth = np.log(np.sort(x)[-10])
    found = _bias.rare(x, s, lambda v: (v * sigma) ** 2 / 2)
    held = np.sum(np.sort(x)[-10:] ** s) / n / np.exp((s * sigma) ** 2 / 2)
    assert found == pytest.approx(max(stats.norm.cdf(s * sigma - tenth / sigma), held), rel=1e-3)
