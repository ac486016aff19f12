"""The two-layer network against jax.grad and against loops."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from meanfield.systems.networks.activations import ACTIVATIONS
from meanfield.systems.networks.losses import LOSSES
from tests import reference

N, D, K, B = 7, 5, 3, 4


def problem(activation, loss, train_output, bias, seed=0):
    network = mf.TwoLayer(activation, loss, train_output, bias, dim=D, outputs=K)
    particles = network.init(jax.random.key(seed), N)
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(B, D)), float)
    y = jnp.asarray(rng.integers(0, K, B), jnp.int32) if loss == "cross_entropy" else jnp.asarray(rng.normal(size=(B, K)), float)
    return network, particles, x, y


COMBINATIONS = list(itertools.product(ACTIVATIONS, LOSSES, [True, False], [True, False]))


@pytest.mark.short(4)
@pytest.mark.parametrize(("activation", "loss", "train_output", "bias"), COMBINATIONS)
def test_closed_form_gradient(activation, loss, train_output, bias):
    network, particles, x, y = problem(activation, loss, train_output, bias)
    risk, gradient = network.gradient(particles, x, y)
    automatic = jax.grad(network.risk)(particles, x, y)
    np.testing.assert_allclose(risk, network.risk(particles, x, y), rtol=1e-6)
    for ours, theirs in zip(jax.tree.leaves(gradient), jax.tree.leaves(automatic), strict=True):
        np.testing.assert_allclose(ours, N * theirs, rtol=2e-5, atol=2e-6)

    w, a = np.asarray(particles.w, float), np.asarray(particles.a, float)
    b = np.zeros(N) if particles.bias is None else np.asarray(particles.bias, float)
    loop_risk, gw, ga, gb = reference.gradient(activation, loss, w, a, b, np.asarray(x, float), np.asarray(y))
    np.testing.assert_allclose(risk, loop_risk, rtol=1e-5)
    np.testing.assert_allclose(gradient.w, gw, rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(gradient.a, ga, rtol=2e-5, atol=2e-5)
    if bias:
        np.testing.assert_allclose(gradient.bias, gb, rtol=2e-5, atol=2e-5)


@pytest.mark.short(4)
@pytest.mark.parametrize(("activation", "loss", "train_output", "bias"), COMBINATIONS)
def test_one_step_in_float64(activation, loss, train_output, bias):
    """One SGD step with weight decay equals the loop to 1e-12 in float64; output weights that are not trained do not move."""
    with jax.enable_x64(True):
        network, particles, x, y = problem(activation, loss, train_output, bias)
        assert particles.w.dtype == jnp.float64
        sgd = mf.dynamics.SGD(step_size=0.3, batch_size=B, weight_decay=0.1)
        state = mf.dynamics.State(particles, jnp.zeros((), jnp.int32), network)
        state, info = sgd.step(jax.random.key(1), state, (x, y))
        new = jax.tree.map(np.asarray, state.particles)
    w, a = np.asarray(particles.w), np.asarray(particles.a)
    b = np.zeros(N) if particles.bias is None else np.asarray(particles.bias)
    risk, gw, ga, gb = reference.gradient(activation, loss, w, a, b, np.asarray(x), np.asarray(y))
    np.testing.assert_allclose(info["risk"], risk, rtol=1e-12)
    np.testing.assert_allclose(new.w, w - 0.3 * (gw + 0.1 * w), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(new.a, a - 0.3 * (ga + 0.1 * a) if train_output else a, rtol=1e-12, atol=1e-13)
    if bias:
        np.testing.assert_allclose(new.bias, b - 0.3 * (gb + 0.1 * b), rtol=1e-12, atol=1e-13)


@pytest.mark.long(2)
@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("width", [10_000, 20_000, 40_000])
@pytest.mark.parametrize(("dim", "outputs"), [(1, 1), (2, 3), (5, 5)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_wide_sums_are_not_miscompiled(width, dim, outputs, batch_size):
    """jax 0.10.2, 0.11.0 and 0.11.1 lose parts of sums over particles at these widths when mat-vecs are vmapped (jax issue
    39103).

    Three programs against a float64 sum by numpy: eager, jitted, and jitted under vmap as `simulate` runs it.
    """
    network = mf.TwoLayer("relu", "squared", dim=dim, outputs=outputs)
    sgd = mf.dynamics.SGD(step_size=0.5, batch_size=batch_size)
    state = sgd.init(jax.random.key(width), network, width)
    rng = np.random.default_rng(dim)
    x = jnp.asarray(rng.normal(size=(batch_size, dim)), float)
    y = jnp.asarray(rng.normal(size=(batch_size, outputs)), float)
    w, a = np.asarray(state.particles.w, float), np.asarray(state.particles.a, float)

    z = w @ np.asarray(x, float).T
    f = np.maximum(z, 0).T @ a / width
    r = (f - np.asarray(y, float)) / batch_size
    # Rounding decides on which side of the kink of ReLU a neuron is whose z is 0 up to rounding: it moves as on one of them.
    sides = [w - 0.5 * ((a @ r.T) * (z > kink)) @ np.asarray(x, float) for kink in (-1e-6, 1e-6)]
    tie = np.any(np.abs(z) <= 1e-6, axis=1)
    assert np.sum(tie) <= 3
    new_a = a - 0.5 * np.maximum(z, 0) @ r

    def step(state):
        return network.predict(state.particles, x), sgd.step(jax.random.key(0), state, (x, y))[0].particles

    stacked = jax.tree.map(lambda v: jnp.stack([v, v, v]), state)
    ways = {
        "eager": step(state),
        "jit": jax.jit(step)(state),
        "jit of vmap": jax.tree.map(lambda v: v[1], jax.jit(jax.vmap(step))(stacked)),
    }
    for name, (prediction, new) in ways.items():
        message = f"jax {jax.__version__} ({name}) gets a sum over {width} particles wrong; see the pins in pyproject.toml"
        np.testing.assert_allclose(prediction, f, rtol=1e-4, atol=1e-5, err_msg=message)
        left, right = (np.abs(new.w - side).max(axis=1, keepdims=True) for side in sides)
        np.testing.assert_allclose(new.w, np.where(left < right, *sides), rtol=1e-4, atol=1e-5, err_msg=message)
        np.testing.assert_allclose(new.a, new_a, rtol=1e-4, atol=1e-5, err_msg=message)


@pytest.mark.long(1)
@pytest.mark.parametrize("width", [20_000, 40_000])
def test_wide_step_against_the_loop(width):
    """f_N and one SGD step against the hand-written loop over neurons."""
    network = mf.TwoLayer("tanh", "squared", bias=True, dim=2, outputs=1)
    sgd = mf.dynamics.SGD(step_size=0.5, batch_size=2)
    state = sgd.init(jax.random.key(3), network, width)
    x, y = jnp.asarray([[0.3, -1.0], [2.0, 0.1]]), jnp.asarray([[1.0], [-2.0]])
    p = jax.tree.map(lambda v: np.asarray(v, float), state.particles)
    risk, gw, ga, gb = reference.gradient("tanh", "squared", p.w, p.a, p.bias, np.asarray(x, float), np.asarray(y, float))
    new, info = jax.jit(sgd.step)(jax.random.key(0), state, (x, y))
    f = reference.predict("tanh", p.w, p.a, p.bias, np.asarray(x[0], float))
    np.testing.assert_allclose(network.predict(state.particles, x)[0], f, rtol=1e-4)
    np.testing.assert_allclose(info["risk"], risk, rtol=1e-5)
    np.testing.assert_allclose(new.particles.w, p.w - 0.5 * gw, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(new.particles.a, p.a - 0.5 * ga, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(new.particles.bias, p.bias - 0.5 * gb, rtol=1e-5, atol=2e-6)


@pytest.mark.slow
def test_neurons_start_alike_at_every_width(key):
    """To the last bit: 0.10.1 and 0.12.0.1 are the versions of jax on which this has been seen to hold."""
    network = mf.TwoLayer(bias=True, dim=3, outputs=2)
    wide = network.init(key, 4096)
    for width in (37, 1024):
        for few, many in zip(jax.tree.leaves(network.init(key, width)), jax.tree.leaves(wide), strict=True):
            assert np.array_equal(few, many[:width])
    assert len(np.unique(np.asarray(wide.vectors), axis=0)) == 4096


def test_initial_law_is_standard_normal(key):
    """Mean and variance of 20 000 x 5 draws within five standard errors; a law with 3 % more variance would fail."""
    particles = mf.TwoLayer(dim=3, outputs=2).init(key, 20_000)
    draws = np.asarray(particles.vectors, float)
    assert draws.shape == (20_000, 5)
    n = draws.size
    assert abs(draws.mean()) < 5 / np.sqrt(n)
    z = (draws.var() - 1) / np.sqrt(2 / n)
    assert abs(z) < 5
    assert abs(((1.03 * draws.var()) - 1) / np.sqrt(2 / n)) > 5


@pytest.mark.long
def test_mean_field_gradient_does_not_depend_on_width():
    """A step of a neuron given f is the same whatever N: duplicating all neurons leaves f and every neuron's step unchanged."""
    network, particles, x, y = problem("tanh", "cross_entropy", True, False)
    double = jax.tree.map(lambda v: jnp.concatenate([v, v]), particles)
    (_, one), (_, two) = network.gradient(particles, x, y), network.gradient(double, x, y)
    np.testing.assert_allclose(two.w[:N], one.w, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(two.w[N:], one.w, rtol=1e-5, atol=1e-6)


def test_squared_loss_takes_labels_as_one_hot():
    network, particles, x, _ = problem("relu", "squared", True, False)
    labels = jnp.asarray([0, 2, 1, 1], jnp.int32)
    np.testing.assert_allclose(
        network.risk(particles, x, labels), network.risk(particles, x, jax.nn.one_hot(labels, K)), rtol=1e-6
    )
