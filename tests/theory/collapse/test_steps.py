"""One step of a small neuron: dead neurons, and those that momentum revives."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import meanfield as mf
from meanfield.theory import collapse
from meanfield.theory.collapse.steps import dead_for_ever
from tests.theory.collapse.common import KEY, R, X


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.81, 0.99])
@pytest.mark.parametrize("ridge", [0.0, 1e-3, 0.01, 0.5, 1.7])
def test_dead_exponent_is_that_of_the_companion_matrix(ridge, momentum):
    """Real roots and complex ones. At a double root, momentum .81 and ridge .01, numpy has half the digits."""
    step = np.array([[1 - ridge, -momentum], [ridge, momentum]])
    found = collapse.dead_exponent(0.5, ridge / 0.5, momentum)
    np.testing.assert_allclose(found, np.log(np.max(np.abs(np.linalg.eigvals(step)))), atol=1e-7 if ridge == 0.01 else 1e-13)


def test_dead_exponent_is_that_of_optax():
    """A hundred steps of `optax.sgd` with momentum on a gradient of 0 and the ridge."""
    eta, lam, mu = 0.1, 0.3, 0.6
    rule = optax.chain(optax.add_decayed_weights(lam), optax.sgd(eta, momentum=mu))
    theta, log = jnp.ones(1), []
    state = rule.init(theta)
    for _ in range(100):
        updates, state = rule.update(jnp.zeros(1), state, theta)
        theta = theta + updates
        log.append(float(jnp.log(jnp.abs(theta[0]))))
    np.testing.assert_allclose((log[-1] - log[50]) / 49, collapse.dead_exponent(eta, lam, mu), rtol=1e-3)
    assert abs((log[-1] - log[50]) / 49 / collapse.dead_exponent(eta, lam) - 1) > 0.5


def test_one_step_to_zero():
    assert collapse.dead_exponent(0.5, 2.0) == -np.inf


@pytest.mark.long(1)
@pytest.mark.parametrize("momentum", [0.0, 0.3])
def test_dead_neurons_of_a_simulation_decay_by_the_ridge(digits, momentum, optimised):
    """512 neurons on digits with batch size 1: neurons that are off on all digits lose their norm at the predicted rate, within 0.1 %."""
    eta, lam, times = 1.0 - momentum, 3e-3, (1_500, 2_500)
    rule = optax.chain(optax.add_decayed_weights(lam), optax.sgd(eta, momentum=momentum))
    dynamics = mf.dynamics.Optax(rule, 1) if momentum else mf.dynamics.SGD(eta, 1, weight_decay=lam)
    system = mf.System(mf.TwoLayer("relu"), digits, dynamics)
    probe = mf.probes.Snapshot(at=times)
    results = mf.simulate(system, widths=512, steps=times[-1], seeds=1, key=KEY, probes=[probe]).require_complete()
    seen = [results.particles_at(step, width=512).to_numpy().reshape(512, -1).astype(np.float64) for step in times]
    x = np.asarray(digits.x, np.float64)
    dead = np.all([np.all(one[:, : x.shape[1]] @ x.T <= 0, axis=1) for one in seen], axis=0)
    rates = np.log(np.linalg.norm(seen[1], axis=1) / np.linalg.norm(seen[0], axis=1)) / (times[1] - times[0])
    expected = collapse.dead_exponent(eta, lam, momentum)
    assert np.count_nonzero(dead) >= 20
    np.testing.assert_allclose(rates[dead], expected, rtol=1e-3)
    alive = np.any(seen[1][:, : x.shape[1]] @ x.T > 0, axis=1)
    assert np.median(np.abs(rates[alive] / expected - 1)) > 0.05


@pytest.mark.parametrize(("activation", "momentum"), [("relu", 0.0), (0.8, 0.0), ("relu", 0.4), (0.8, 0.4)])
def test_a_step_follows_the_mean_gradient_of_its_mini_batch(activation, momentum):
    """Mini-batches of four draws of one example make the step of that example, mini-batches of five others the mean of their steps.

    100 000 steps of a neuron, within five standard errors, and not those of a mini-batch that is summed.
    """
    neuron = np.array([0.7, 0.4, 0.1, -0.2][: 2 if momentum == 0 else 4])
    law = {"step_size": 0.3, "weight_decay": 0.2, "activation": activation, "momentum": momentum}

    def moved(x, r, batch_size, count=1):
        grow, _ = collapse.steps_near_zero(x, r, batch_size=batch_size, **law)
        return grow(np.random.default_rng(0), np.tile(neuron, (count, 1)))

    singles = np.array([moved(X[i : i + 1], R[i : i + 1], 1)[0] for i in range(5)])
    fours = np.array([moved(X[i : i + 1], R[i : i + 1], 4)[0] for i in range(5)])
    np.testing.assert_allclose(fours, singles, rtol=1e-12)
    steps, mean = moved(X, R, 3, 100_000), singles.mean(axis=0)
    error = np.std(steps, axis=0) / 100_000**0.5
    still = moved(0 * X[:1] + 1, 0 * R[:1], 1)[0]  # the ridge alone
    assert np.all(np.abs(steps.mean(axis=0) - mean) < 5 * error)
    assert np.all(np.abs(steps.mean(axis=0) - (mean + 2 * (mean - still))) > 5 * error)


def test_momentum_revives_dead_neurons():
    """Off now, with a velocity that takes the weights across 0: not dead. Without velocity, or at rest beyond, it is."""
    x, eta = np.array([[1.0], [2.0]]), 0.5
    dead = dead_for_ever(x, 0.01, 0.5)
    off = np.array([[-1.0, 0.3, -2.0, 0.0], [-1.0, 0.3, 0.0, 0.0], [-1.0, 0.3, -0.5, 0.0], [1.0, 0.3, 0.0, 0.0]])
    assert dead(off).tolist() == [False, True, True, False]
    grow, _ = collapse.steps_near_zero(x, [[1.0], [1.0]], eta, 1, 0.01 / eta, momentum=0.5)
    u, rng = off[:3], np.random.default_rng(0)
    crossed = np.zeros(3, bool)
    for _ in range(50):
        u = grow(rng, u)
        crossed |= u[:, 0] > 0
    assert crossed.tolist() == [True, False, False]
    assert dead_for_ever(x, 0.5, 0.5) is None and dead_for_ever(x, 1.5, 0.0) is None  # they change their sign
