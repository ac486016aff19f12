"""Wrong arguments of all tail estimators, in a sentence each."""

import numpy as np
import pytest

import meanfield as mf
from meanfield.measure import tails
from tests.measure.tails.common import POSITIVE, name

EVERY = [*POSITIVE, tails.block_log_moment, tails.stable_quantile, tails.stable_characteristic]


@pytest.mark.parametrize("estimator", [f for f in EVERY if f is not tails.hill] + [tails.tail_family], ids=name)
def test_bad_input(estimator):
    x = np.random.default_rng(22).standard_t(2, 100)
    for wrong, message in (
        (x[:49], "Argument `x` must hold at least 50 values a sample, but is an array of shape (49,)."),
        (
            np.ones(100),
            "Argument `x` must hold different values in every sample, but is a sample of equal values, or an array with",
        ),
        (np.zeros(100), "Argument `x` must hold different values in every sample, but is"),
        (np.append(x, np.nan), "Argument `x` must be finite, but is an array with 1 NaN or infinite of 101 entries."),
        (np.append(x, np.inf), "Argument `x` must be finite, but is an array with 1 NaN or infinite of 101 entries."),
    ):
        with pytest.raises(mf.ArgumentError) as caught:
            estimator(wrong)
        assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "estimator", [tails.moment_estimator, tails.pickands, tails.kernel_estimator, tails.hill_reduced], ids=name
)
@pytest.mark.parametrize("k", [0, 100, 2.5, -1])
def test_wrong_k(estimator, k):
    with pytest.raises(mf.ArgumentError, match="Argument `k` must be"):
        estimator(np.random.default_rng(23).standard_t(2, 100), k=k)
