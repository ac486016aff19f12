"""The exponent of small neurons that are alive: sums, matrices and chains with a known answer, and simulations."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import meanfield as mf
from meanfield.systems.examples import digit_components
from meanfield.theory import collapse, network, random_products
from tests.theory.collapse.common import KEY, SMALL, R, X, enumerated, grown, within

FIXED = mf.Loss(lambda f, y: jnp.sum(f * y, axis=1), lambda f, y: y + 0 * f)  # its residuals are the targets, whatever f is


# -- sums in one dimension ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_one_dimension_is_a_sum_over_mini_batches(batch_size):
    eta, lam, slope = 0.7, 0.2, 0.8
    products = slope * X[:, 0] * R[:, 0]
    lines = [enumerated(products, eta, batch_size, lam, sign) for sign in (1, -1)]
    found = collapse.exponent(X, R, eta, batch_size, lam, activation=slope, key=KEY)
    assert found.standard_error == 0 and abs(found.value - max(lines)) < 1e-12
    without = collapse.exponent(X, R, eta, batch_size, 0.0, activation=slope, key=KEY)
    assert abs(without.value - found.value) > 0.05 and abs(lines[0] - lines[1]) > 0.05


def test_the_solver_finds_the_sum():
    eta, lam = 0.7, 0.2
    exact = collapse.exponent(X, R, eta, 2, lam, activation=1.0, key=KEY).value
    found = random_products.survivors(*collapse.steps_near_zero(X, R, eta, 2, lam, activation=1.0), **SMALL).growth
    assert within(found, exact) and found.standard_error < 0.002 and found.bias == 0
    assert not within(found, collapse.exponent(X, R, eta, 2, 0.1, activation=1.0, key=KEY).value)
    assert not within(found, collapse.exponent(X, R, eta, 1, lam, activation=1.0, key=KEY).value)


def test_too_many_mini_batches_are_sampled():
    """Forty products that are multiples of 1/20, so that the law of a sum of ten is a convolution.

    And two lines whose exponents nearly agree, at which a population would still be on its way.
    """
    counts = np.arange(-20, 60, 2)  # times 1/20
    one = np.zeros(80)
    one[counts + 20] = 1 / 40

    def summed(batch_size):
        chance = functools.reduce(np.convolve, batch_size * [one])
        means = (np.arange(len(chance)) - 20 * batch_size) / 20 / batch_size
        return max(chance @ np.log(np.abs(1 - 0.3 * 0.1 - sign * 0.3 * means)) for sign in (1, -1))

    found = collapse.exponent(np.ones((40, 1)), counts[:, None] / 20, 0.3, 10, 0.1, activation=1.0, **SMALL)
    assert abs(found.value - summed(10)) < 5 * found.standard_error < abs(found.value - summed(9))
    x = np.linspace(-1, 1, 60)
    near = collapse.exponent(x[:, None], np.cos(5 * x)[:, None] + 0.3, 0.5, 10, 0.1, activation=1.0, key=KEY)
    assert abs(near.value + 0.0523) < 5 * near.standard_error + 2e-5 and near.standard_error < 2e-4  # eight million mini-batches


@pytest.mark.long
def test_moments_have_this_slope_at_0_and_cross_1_at_the_index():
    """Orders and exponent of one law: `log k(s)` from the solver, and the tail index at which it is 0."""
    eta, lam = 0.9, 0.5
    law = collapse.steps_near_zero(X, R, eta, 1, lam, activation=1.0)
    gamma = collapse.exponent(X, R, eta, 1, lam, activation=1.0, key=KEY).value
    growth = [random_products.log_growth(*law, s, **SMALL) for s in (0.2, 0.4)]
    slope = 2 * growth[0].value / 0.2 - growth[1].value / 0.4  # the error is that of the third derivative
    bound = 5 * np.hypot(2 * growth[0].standard_error / 0.2, growth[1].standard_error / 0.4) + 0.002
    wrong = collapse.exponent(X, R, eta, 1, 0.99 * lam, activation=1.0, key=KEY).value
    assert gamma < 0 and abs(slope - gamma) < bound < abs(slope - wrong)
    alpha = random_products.tail_index(*law, **SMALL)
    moments = [np.mean(np.abs(1 - eta * lam - sign * eta * X * R) ** alpha.value) for sign in (1, -1)]
    assert abs(max(moments) - 1) < 0.05
    assert abs(max(np.mean(np.abs(1 - eta * lam - sign * eta * X * R) ** (1.2 * alpha.value)) for sign in (1, -1)) - 1) > 0.05


# -- matrices -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.4])
def test_one_example_is_a_matrix(momentum):
    """Its gradient has the eigenvalues +-c |x| |r|; with momentum the companion matrix of `lam - c |x| |r|` has the exponent."""
    rng, eta, lam, slope = np.random.default_rng(0), 0.3, 0.2, 0.7
    x, r = rng.normal(size=(1, 4)), rng.normal(size=(1, 3))
    pull = slope * np.linalg.norm(x) * np.linalg.norm(r)
    step = np.array([[1 - eta * (lam - pull), -momentum], [eta * (lam - pull), momentum]])
    exact = np.log(np.max(np.abs(np.linalg.eigvals(step))))
    found = collapse.exponent(x, r, eta, 2, lam, activation=slope, momentum=momentum, **SMALL)
    assert abs(found.value - exact) < 1e-9
    assert exact > np.log(1 - eta * lam) + 0.1


def test_momentum_is_a_product_of_matrices():
    """One long product of the matrices of optax's rule (20 000 steps, standard error by batches)."""
    eta, lam, mu, rng = 0.4, 0.2, 0.5, np.random.default_rng(5)
    state, logs = rng.normal(size=(2, 2)), []
    for i in rng.integers(5, size=20_000):
        gradient = lam * state[0] + X[i] * R[i] * state[0][::-1]
        velocity = mu * state[1] + gradient
        state = np.stack([state[0] - eta * velocity, velocity])
        logs.append(np.log(np.linalg.norm(state)))
        state /= np.linalg.norm(state)
    batches = np.reshape(logs, (100, 200)).mean(axis=1)
    found = collapse.exponent(X, R, eta, 1, lam, activation=1.0, momentum=mu, **SMALL)
    error = np.hypot(found.standard_error, np.std(batches) / 10)
    assert abs(found.value - np.mean(batches)) < 4 * error
    assert abs(found.value - collapse.exponent(X, R, eta, 1, lam, activation=1.0, key=KEY).value) > 4 * error


# -- ReLU -----------------------------------------------------------------------------------------------------------------


def test_relu_with_inputs_of_one_sign_is_the_half_line():
    """Half of all directions are dead. The exponent is that of neurons that stay alive, not a mean with the ridge."""
    x, eta, lam = np.abs(X), 0.4, 0.3
    found = collapse.exponent(x, R, eta, 2, lam, **SMALL)
    exact = collapse.half_line_exponents(x, R, eta, 2, lam)[0]
    assert within(found, exact) and found.standard_error < 0.002
    dead = collapse.dead_exponent(eta, lam)
    assert not within(found, dead) and not within(found, (exact + dead) / 2)


def test_relu_with_momentum_on_one_side_is_a_smooth_network():
    """Inputs of one sign: a neuron that is alive for ever sees every example, and its map is linear."""
    x, eta, lam, mu = np.abs(X), 0.3, 0.05, 0.4
    found, smooth = (collapse.exponent(x, R, eta, 2, lam, activation=act, momentum=mu, **SMALL) for act in ("relu", 1.0))
    assert abs(found.value - smooth.value) < 4 * np.hypot(found.standard_error, smooth.standard_error) < 0.005
    assert found.value - collapse.dead_exponent(eta, lam, mu) > 0.01
    assert found.value - collapse.exponent(x, R, eta, 2, lam, **SMALL).value > 0.01


def test_cones_with_an_exponent_each_are_told():
    """Inputs of both signs. Neurons on a side stay there; those with a > |w| go to and fro, because both sides push w across 0.

    There log |w + a| - log |w - a| has mean increments D of opposite signs on the two sides. Its mean is 0, so the shares of the steps
    are known, and the exponent with them.
    """
    eta, lam = 0.4, 0.05
    sides = collapse.half_line_exponents(X, R, eta, 1, lam)
    logs = np.array(
        [[np.log(1 - eta * lam - sign * eta * np.where(side * X > 0, X * R, 0)).mean() for sign in (1, -1)] for side in (1, -1)]
    )
    drift = logs[:, 0] - logs[:, 1]
    share = drift[1] / (drift[1] - drift[0])
    between = share * logs[0, 0] + (1 - share) * logs[1, 0]
    assert drift[0] < 0 < drift[1] and between < min(sides) - 0.05
    law, _ = network.relu_steps(X, R, eta, 1, lam)
    _, u = grown(law, np.tile([0.1, 1.0], (2_000, 1)), 100)
    log, _ = grown(law, u, 400, seed=1)
    assert abs(np.mean(log) / 400 - between) < 4 * np.std(log / 400) / 2_000**0.5 + 1e-3
    found = collapse.exponent(X, R, eta, 1, lam, **SMALL)
    assert between < found.value < max(sides) and "exponents of different vectors" in found.why
    assert 0.2 * (max(sides) - between) < found.bias < 0.6 * (max(sides) - between)


def test_death_rate_where_every_third_step_kills():
    """x = 1: on both lines one factor of three is negative, and takes w across 0: the rate is log 1.5."""
    x, r = np.ones((3, 1)), np.array([[8.0], [-6.0], [0.5]])
    found = collapse.death_rate(x, r, 0.5, 1, 0.1, key=KEY, population=5_000, steps=500)
    assert abs(found.value - np.log(1.5)) < 4 * found.standard_error < 0.1
    assert collapse.death_rate(x, [[8.0], [0.0], [0.5]], 0.5, 1, 0.1, **SMALL).value == 0  # the line (1, -1) stays


def frozen_digits():
    """Sixty digits, five components each, and residuals of two outputs that are pure noise."""
    x, _ = digit_components(5, 60)
    r = np.random.default_rng(2).normal(size=(60, 2))
    return x, 2 * (r - r.mean(axis=0))


@pytest.mark.long
def test_neurons_of_a_simulation_decay_at_the_exponent(optimised):
    """ReLU neurons on digits (5 components, 60 examples) in `mf.simulate`, every neuron with its own mini-batches.

    The loss is linear in f, so that the residuals stay. 4000 neurons, growth from step 300 to 600 of those alive at the end.
    """
    x, r = frozen_digits()
    eta, lam = 0.5, 0.3
    found = collapse.exponent(x, r, eta, 1, lam, key=KEY, population=4_000, steps=1_000)
    dynamics = mf.dynamics.SGD(eta, 1, weight_decay=lam, minibatches="independent")
    system = mf.System(mf.TwoLayer("relu", FIXED), mf.data.from_arrays(x, r), dynamics)
    probe = mf.probes.Snapshot(at=(300, 600))
    results = mf.simulate(system, widths=4_000, steps=600, seeds=1, key=KEY, probes=[probe])
    seen = [results.particles_at(step, width=4_000).to_numpy().reshape(4_000, -1).astype(np.float64) for step in (300, 600)]
    alive = np.any(seen[1][:, :5] @ x.T > 0, axis=1)
    rates = np.log(np.linalg.norm(seen[1], axis=1) / np.linalg.norm(seen[0], axis=1))[alive] / 300
    error = np.hypot(np.std(rates) / len(rates) ** 0.5, found.standard_error)
    assert found.value < 0 and abs(np.mean(rates) - found.value) < max(2 * error, 0.02 * abs(found.value))
    for wrong in (collapse.dead_exponent(eta, lam), found.value - collapse.dead_exponent(eta, lam)):
        assert abs(np.mean(rates) - wrong) > 0.1 * abs(found.value)


@pytest.mark.slow
def test_neurons_of_a_trained_network_collapse_at_the_exponent():
    """ReLU on digits with cross-entropy, step .5, ridge .05, every neuron with its own mini-batches, at rest from step 1000 on.

    2000 neurons lose .0022 of the logarithm of their norms per step, a twelfth of what the ridge takes. The exponent at the mean residuals,
    and that at the residuals of all times, are within a fifth: residuals still move.
    """
    (x, y), eta, lam, times = digit_components(5, 60), 0.5, 0.05, tuple(range(1_000, 2_001, 25))
    dynamics = mf.dynamics.SGD(eta, 1, weight_decay=lam, minibatches="independent")
    system = mf.System(mf.TwoLayer("relu"), mf.data.from_arrays(x, y, classes=10), dynamics)
    probe = mf.probes.Snapshot(at=times)
    results = mf.simulate(system, widths=2_000, steps=times[-1], seeds=1, key=KEY, probes=[probe]).require_complete()
    seen = np.array([results.particles_at(step, width=2_000).to_numpy().reshape(2_000, -1).astype(np.float64) for step in times])
    f = np.array([np.maximum(one[:, :5] @ x.T, 0).T @ one[:, 5:] / 2_000 for one in seen])
    residuals = special.softmax(f, axis=-1) - np.eye(10)[y]
    rate = np.mean(np.log(np.linalg.norm(seen[-1], axis=1) / np.linalg.norm(seen[0], axis=1))) / (times[-1] - times[0])
    of_mean = collapse.exponent(x, residuals.mean(axis=0), eta, 1, lam, key=KEY, population=2_000, steps=1_000)
    every = np.tile(x, (len(times), 1)), residuals.reshape(-1, 10)
    of_all = collapse.exponent(*every, eta, 1, lam, key=KEY, population=1_000, steps=500)
    assert of_mean.interval[1] < 0 and of_all.interval[1] < 0
    assert abs(of_mean.value / rate - 1) < 0.2 and abs(of_all.value / rate - 1) < 0.2
    assert np.mean(f[-1].argmax(axis=1) == y) > 0.5 and rate > collapse.dead_exponent(eta, lam) / 5


@pytest.mark.long(1)
@pytest.mark.parametrize(("eta", "ridge", "sign"), [(0.5, 0.3, -1), (0.2, 0.01, 1)])
def test_neurons_of_a_smooth_network_collapse_or_grow_in_a_simulation(eta, ridge, sign):
    """2000 small tanh neurons, in units in which they are not small, in `mf.simulate`: the mean growth is the exponent (5 errors)."""
    steps, width = 200, 2_000
    exact = collapse.exponent(X, R, eta, 1, ridge, activation=1.0, key=KEY)
    tanh = mf.Activation(lambda z: jnp.tanh(1e-6 * z) * 1e6, lambda z: 1 - jnp.tanh(1e-6 * z) ** 2)
    dynamics = mf.dynamics.SGD(eta, 1, weight_decay=ridge, minibatches="independent")
    system = mf.System(mf.TwoLayer(tanh, FIXED), mf.data.from_arrays(X, R), dynamics)
    probe = mf.probes.Snapshot(at=(100, steps))
    results = mf.simulate(system, widths=width, steps=steps, seeds=1, key=KEY, probes=[probe])
    seen = [results.particles_at(step, width=width).to_numpy().reshape(width, -1).astype(np.float64) for step in (100, steps)]
    rates = np.log(np.linalg.norm(seen[1], axis=1) / np.linalg.norm(seen[0], axis=1)) / (steps - 100)
    error = np.std(rates) / width**0.5
    assert np.sign(exact.value) == sign and abs(np.mean(rates) - exact.value) < 5 * error < 0.2 * abs(exact.value)
    wrong = enumerated((X * R).ravel(), eta, 1, ridge, 1), collapse.exponent(X, R, eta, 1, 0.0, activation=1.0, key=KEY).value
    assert min(abs(np.mean(rates) - number) for number in wrong) > 5 * error


# -- the boundary ---------------------------------------------------------------------------------------------------------


def test_boundary_in_one_dimension():
    """The exponent is 0 there, and simulated neurons shrink above and grow below it."""
    found = collapse.boundary(X, R, 2, [0.2, 0.5], activation=1.0, key=KEY)
    for eta, lam in zip((0.2, 0.5), found.value, strict=True):
        assert 0 < lam < 1 / eta and abs(collapse.exponent(X, R, eta, 2, lam, activation=1.0, key=KEY).value) < 1e-12
        for factor, sign in ((0.5, 1), (1.5, -1)):
            grow, _ = collapse.steps_near_zero(X, R, eta, 2, factor * lam, activation=1.0)
            log, _ = grown(grow, np.random.default_rng(0).normal(size=(400, 2)), 400)
            assert sign * np.mean(log) > 4 * np.std(log) / 20


def test_boundary_by_the_solver():
    """ReLU with inputs of one sign, whose half line has the exact root."""
    x, eta = np.abs(X), 0.4
    found = collapse.boundary(x, R, 2, eta, **SMALL)
    lam = found.value
    exact = optimize_root(lambda lam: collapse.half_line_exponents(x, R, eta, 2, lam)[0], 1e-6, 1.0)
    assert abs(lam - exact) < 4 * found.standard_error < 0.1 * exact
    assert found.interval[0] < lam < found.interval[1] and isinstance(lam, float)
    slope = np.diff([collapse.half_line_exponents(x, R, eta, 2, ridge)[0] for ridge in (exact + 1e-4, exact - 1e-4)])[0] / 2e-4
    at = collapse.exponent(x, R, eta, 2, lam, **SMALL)
    assert found.standard_error == pytest.approx(at.standard_error / slope, rel=0.02)


def optimize_root(function, low, high):
    """Bisection."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return low


@pytest.mark.slow
def test_boundary_of_a_simulation(optimised):
    """ReLU neurons on digits in `mf.simulate`: 1000 shrink above the boundary and grow below it, by 4 errors of the mean."""
    x, r, eta = *frozen_digits(), 0.5
    lam = collapse.boundary(x, r, 1, eta, key=KEY, population=1_000, steps=500).value
    dynamics = mf.dynamics.SGD(eta, 1, weight_decay=[0.8 * lam, 1.2 * lam], minibatches="independent")
    system = mf.System(mf.TwoLayer("relu", FIXED), mf.data.from_arrays(x, r), dynamics)
    times = (100, 400)
    results = mf.simulate(system, widths=1_000, steps=times[1], seeds=1, key=KEY, probes=[mf.probes.Snapshot(at=times)])
    for ridge, sign in ((0.8 * lam, 1), (1.2 * lam, -1)):
        seen = [
            results.particles_at(step, width=1_000, weight_decay=ridge, seed=0).to_numpy().astype(np.float64) for step in times
        ]
        alive = np.any(seen[1].squeeze()[:, :5] @ x.T > 0, axis=1)
        growth = np.log(np.linalg.norm(seen[1].squeeze(), axis=1) / np.linalg.norm(seen[0].squeeze(), axis=1))[alive]
        assert sign * np.mean(growth) > 4 * np.std(growth) / len(growth) ** 0.5


def test_boundaries_at_the_ends():
    """Residuals 0 keep neurons as they are; steps of +-2 eta outgrow every ridge; noise alone collapses without a ridge."""
    x = np.ones((2, 1))
    assert collapse.boundary(x, 0 * x, 1, 0.5, activation=1.0, key=KEY).value == 0
    noise = np.array([[1.0], [-1.0]])
    found = collapse.boundary(x, noise, 1, [0.5, 4.0], activation=1.0, key=KEY)
    assert found.value.tolist() == [0.0, np.inf] and found.standard_error.tolist() == [0.0, 0.0]
