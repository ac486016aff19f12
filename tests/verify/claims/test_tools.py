"""What claims share: tampered rows, probabilities, slopes, stationarity."""

import numpy as np
import pytest

import meanfield as mf
from meanfield import verify
from meanfield.verify.claims import _tools as tools


def test_tampering():
    def rows(parameters):
        return [verify.Row("a", 2.0, verify.mean, 1.0, 1.0), verify.Row("b", (1.0, np.inf), verify.mean, 1.0, 1.0)]

    assert tools.predictions(tools.tampered(rows, 1.5, 0.5), {}) == {"a": 3.5, "b": (2.0, np.inf)}
    assert tools.predictions(tools.tampered(rows, shift=0.5, only="a"), {}) == {"a": 2.5, "b": (1.0, np.inf)}
    assert tools.predictions(tools.predicting(rows, lambda p: {"b": 7.0}), {}) == {"a": 2.0, "b": 7.0}
    with pytest.raises(mf.ArgumentError, match=r"Argument `only` must be how the name of a row begins, but is 'c'."):
        tools.tampered(rows, 2.0, only="c")({})
    with pytest.raises(mf.ArgumentError, match=r"Argument `predicted row` must be one of 'a', 'b', but is 'c'."):
        tools.predicting(rows, lambda p: {"c": 1.0})({})


def test_shares_cover_and_have_power():
    """400 samples of 200 at probability .9 and .99: beyond four standard errors at most twice; a probability of .7 always."""
    rng = np.random.default_rng(0)
    for p in (0.9, 0.99):
        found = [tools.probability(rng.random(200) < p) for _ in range(400)]
        assert sum(abs(f.value - p) > 4 * f.standard_error for f in found) <= 2
        assert all(abs(f.value - 0.6) > 4 * f.standard_error for f in found)
    assert tools.probability(np.ones(30)).standard_error > 0


@pytest.mark.parametrize("slope", [tools.slope, tools.log_slope])
def test_slopes(slope):
    """400 samples of 30 log-normal errors at two sizes: z of mean 0 and variance 1 within five standard errors; off by .3 is seen."""
    rng, z = np.random.default_rng(1), []
    for _ in range(400):
        values = [n**-0.5 * np.exp(0.3 * rng.standard_normal(30)) for n in (100, 1000)]
        found = slope((100, 1000), values)
        z.append((found.value + 0.5) / found.standard_error)
        assert abs(found.value + 0.2) > 4 * found.standard_error
    assert abs(np.mean(z)) < 5 / 20 and abs(np.var(z) - 1) < 5 * np.sqrt(2 / 400) + 0.1  # Student's variance is 1.07


def test_stationarity_is_checked_by_ranks():
    """200 pairs of samples of 500 of a Cauchy law hold; of another scale none does, whatever the moments."""
    rng, hypothesis = np.random.default_rng(2), tools.stationary("before", "after")
    for scale, expected in ((1.0, True), (2.0, False)):
        data = [
            {"before": np.abs(rng.standard_cauchy(500)), "after": scale * np.abs(rng.standard_cauchy(500))} for _ in range(200)
        ]
        assert all(hypothesis.check(one, {}).holds == expected for one in data)
