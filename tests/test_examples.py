"""Systems that claims and simulations share: the contract of their dynamics, and the components of the digits."""

import numpy as np
import pytest

from meanfield import testing
from meanfield.systems import examples


@pytest.mark.long
def test_fresh_examples_keep_the_contract():
    system = examples.quadratic_system([0.1])
    testing.check_dynamics(examples.FreshExamples(0.1, 1.0), system.network, system.data)


@pytest.mark.parametrize("count", [3, 8])
def test_components_of_the_digits(count):
    """Uncorrelated over all digits, of falling variance or all of variance 1; the first digits of them."""
    x, labels = examples.digit_components(count)
    spread = np.cov(x.T, bias=True)
    np.testing.assert_allclose(spread, np.diag(np.diag(spread)), atol=1e-12)
    assert np.all(np.diff(np.diag(spread)) < 0) and np.trace(spread) == pytest.approx(1)
    white, same = examples.digit_components(count, whitened=True)
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(count), atol=1e-12)
    assert np.array_equal(labels, same) and set(labels) == set(range(10))
    few, first = examples.digit_components(count, examples=20)
    assert few.shape == (20, count) and np.array_equal(first, labels[:20])
    assert np.mean(np.sum(few**2, axis=1)) == pytest.approx(1)
    np.testing.assert_allclose(few / few[0, 0], x[:20] / x[0, 0])
