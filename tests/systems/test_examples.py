"""Systems that claims and simulations share: the contract of their dynamics, and the components of the digits."""

import numpy as np
import pytest

import meanfield as mf
from meanfield import testing
from meanfield.systems import examples
from meanfield.systems.examples import quadratic_system


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


@pytest.mark.slow
def test_fresh_examples_are_independent_noise(key):
    """One step from given weights: mean and variance of a move against `SGD(minibatches="independent")`, whose pool is drawn anew."""
    width, eta, lam = 4_000, 0.2, 0.5
    system = quadratic_system([eta], lam)
    other = mf.System(
        system.network, system.data, mf.dynamics.SGD(eta, 1, weight_decay=lam, minibatches="independent", pool_size=4096)
    )
    arguments = {"widths": width, "steps": 1, "seeds": 4, "key": key, "probes": ()}
    start = mf.simulate(system, **arguments | {"steps": 0}).particles[width].w
    moves = [mf.simulate(one, **arguments).particles[width].w - start for one in (system, other)]
    for power in (1, 2):
        one, two = (np.mean(m.astype(np.float64) ** power, axis=(0, 2, 3)) for m in moves)
        # Neurons of a run share the pool in the second: 4096 examples of their own stand for each of its runs.
        error = np.sqrt(np.var(moves[0].astype(np.float64) ** power) * (1 / width + 1 / 4096) / 4)
        assert abs(one.mean() - two.mean()) < 5 * error
    assert np.mean(moves[0] ** 2) > 0.01
