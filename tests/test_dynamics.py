"""Every dynamics against the law it must follow: moments of a step, stationary laws, loops in float64."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special

import meanfield as mf
from meanfield.systems.dynamics.injections import MODES
from meanfield.theory import recursion, stable

POOL = 12


@pytest.fixture(scope="module")
def pool():
    rng = np.random.default_rng(1)
    return mf.data.from_arrays(rng.normal(size=(POOL, 3)), np.arange(POOL) % 4)


def one_step(dynamics, data, network, particles, key):
    """Displacement of every neuron in one step."""
    state = mf.dynamics.State(particles, jnp.zeros((), jnp.int32), network)
    batch = dynamics.draw(data, jax.random.fold_in(key, 0), state.step, len(particles.w))
    after, _ = dynamics.step(jax.random.fold_in(key, 1), state, batch)
    return np.asarray(after.particles.vectors, float) - np.asarray(particles.vectors, float)


def gradients_of_examples(network, particles, data):
    """Gradient of every example for neuron 0, float64 numpy: (examples, components)."""
    x, y, w, a = (np.asarray(v, float) for v in (data.x, data.y, particles.w, particles.a))
    z = np.tanh(x @ w.T)
    f = z @ a / len(w)
    p = np.exp(f - f.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    residual = p - np.eye(a.shape[1])[y.astype(int)]
    in_w = (residual @ a[0] * (1 - z[:, 0] ** 2))[:, None] * x
    return np.concatenate([in_w, z[:, :1] * residual], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["independent", "limit"])
def test_noise_of_a_step_has_mean_h_and_covariance_sigma(kind, pool, key):
    """40 000 equal neurons take one step each: mean and whole covariance matrix, |z| < 5; a wrong covariance must fail."""
    n, b, eta = 40_000, 3, 0.5
    network = mf.TwoLayer("tanh", dim=3, outputs=4)
    one = network.init(key, 1)
    particles = jax.tree.map(lambda v: jnp.repeat(v, n, axis=0), one)
    sgd = mf.dynamics.SGD(eta, b, minibatches="independent")
    moved = one_step(sgd if kind == "independent" else sgd.limit(), pool, network, particles, key)
    g = gradients_of_examples(network, one, pool)
    mean, sigma = -eta * g.mean(axis=0), eta**2 * np.cov(g.T, ddof=0) / b
    z_mean = (moved.mean(axis=0) - mean) / np.sqrt(np.diag(sigma) / n)
    centred = moved - mean
    products = centred[:, :, None] * centred[:, None, :]
    z = (products.mean(axis=0) - sigma) / (products.std(axis=0) / np.sqrt(n))
    assert np.abs(z_mean).max() < 5 and np.abs(z).max() < 5
    wrong = sigma + eta**2 * np.outer(g.mean(axis=0), g.mean(axis=0)) / b  # second moment instead of covariance
    assert np.abs((products.mean(axis=0) - wrong) / (products.std(axis=0) / np.sqrt(n))).max() > 10


@pytest.mark.long
def test_independent_noise_is_independent_and_shared_noise_is_shared(pool, key):
    network = mf.TwoLayer("tanh", dim=3, outputs=4)
    particles = jax.tree.map(lambda v: jnp.repeat(v, 2, axis=0), network.init(key, 1))
    pairs = {}
    for minibatches in ("shared", "independent"):
        sgd = mf.dynamics.SGD(0.5, 1, minibatches=minibatches)
        step = jax.jit(lambda k, sgd=sgd: _jitted(sgd, pool, network, particles, k))
        moved = np.asarray(jax.vmap(step)(jax.random.split(jax.random.fold_in(key, len(minibatches)), 4000)), float)[:, :, 0]
        pairs[minibatches] = np.corrcoef(moved.T)[0, 1]
    assert pairs["shared"] > 0.999 and abs(pairs["independent"]) < 5 / np.sqrt(4000)


def _jitted(dynamics, data, network, particles, key):
    state = mf.dynamics.State(particles, jnp.zeros((), jnp.int32), network)
    batch = dynamics.draw(data, jax.random.fold_in(key, 0), state.step, len(particles.w))
    return dynamics.step(jax.random.fold_in(key, 1), state, batch)[0].particles.vectors - particles.vectors


@pytest.mark.slow
def test_pool_of_an_online_source_is_fresh(key):
    data = mf.data.teacher(key, dim=3, neurons=5)
    sgd = mf.dynamics.SGD(0.1, 1, minibatches="independent", pool_size=7)
    first, again, other = (sgd.draw(data, key, jnp.asarray(step), 4)[0] for step in (0, 0, 1))
    assert first.shape == (7, 3) and np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.long
def test_expectation_is_the_full_gradient(pool, key):
    network = mf.TwoLayer("tanh", dim=3, outputs=4, bias=True)
    particles = network.init(key, 9)
    moved = one_step(mf.dynamics.McKeanVlasov(0.5), pool, network, particles, key)
    gradient = jax.grad(lambda p: 9 * network.risk(p, pool.x, pool.y))(particles)
    np.testing.assert_allclose(moved, -0.5 * np.asarray(gradient.vectors), rtol=1e-4, atol=1e-6)


def test_limits_are_those_of_the_theory():
    law, fixed = mf.scaling.StepSizeLaw(0.3, beta=0.5), 0.1
    vanishing = mf.dynamics.SGD(law, 5, weight_decay=0.2).limit()
    assert isinstance(vanishing, mf.dynamics.McKeanVlasov)
    assert vanishing.batch_size is None and vanishing.step_size == law and vanishing.weight_decay == 0.2
    assert not mf.dynamics.SGD(law, 5).conditional
    shared, independent = mf.dynamics.SGD(fixed, 5), mf.dynamics.SGD(fixed, 5, minibatches="independent")
    assert shared.conditional and shared.limit() is shared
    assert not independent.conditional and independent.limit().batch_size == 5
    assert mf.dynamics.SGD(mf.scaling.StepSizeLaw(0.3), 5).conditional  # beta = 1
    noisy = mf.dynamics.Langevin(law, 5, temperature=0.1).limit()
    assert noisy.injected == mf.dynamics.GaussianInjection(0.1) and noisy.batch_size is None
    driven = mf.dynamics.StableSGD(fixed, 5, alpha=1.5, scale=0.2, mode="scalar", minibatches="independent").limit()
    assert driven.injected == mf.dynamics.StableInjection(1.5, 0.2, "scalar") and driven.batch_size == 5
    with pytest.raises(mf.ArgumentError, match="beta"):
        mf.dynamics.SGD(mf.scaling.StepSizeLaw(0.3, beta=[0.5, 1.0]), 5).limit()


@pytest.mark.slow
def test_coupled_noise_does_not_depend_on_the_width(pool, key):
    """Particle 3 of width 5 and of width 50 draw the same: where particles do not interact they stay equal."""
    flat = mf.data.from_arrays(np.zeros((2, 3)), np.zeros(2))
    noisy = mf.dynamics.StableSGD(0.1, 1, alpha=1.5, scale=0.3, weight_decay=1.0)
    results = mf.simulate(mf.System(mf.dynamics.chains(), flat, noisy), widths=[5, 50], steps=20, seeds=2, key=key, probes=())
    np.testing.assert_allclose(results.particles[5].w, results.particles[50].w[:, :, :5], rtol=1e-5)


def stationary(dynamics, key, dim=4, width=25_000, steps=150):
    """Final numbers of a dynamics without data."""
    flat = mf.data.from_arrays(np.zeros((2, dim)), np.zeros(2))
    system = mf.System(mf.dynamics.chains(), flat, dynamics)
    results = mf.simulate(system, widths=width, steps=steps, seeds=1, key=key, probes=())
    return np.asarray(results.require_complete().particles[width].w[0, 0], float)


@pytest.mark.long
def test_langevin_has_its_stationary_variance(key):
    w = stationary(mf.dynamics.Langevin(0.2, 1, temperature=0.7, weight_decay=1.3), key).ravel()
    variance = 2 * 0.2 * 0.7 / (1 - (1 - 0.2 * 1.3) ** 2)
    z = (np.mean(w**2) / variance - 1) / np.sqrt(2 / w.size)
    assert abs(z) < 5
    assert abs((np.mean(w**2) / (0.7 / 1.3) - 1) / np.sqrt(2 / w.size)) > 10  # continuous time is another number


@pytest.mark.long(1)
@pytest.mark.parametrize("mode", ["scalar", "coordinates", "isotropic"])
@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0])
def test_stable_sgd_has_its_stationary_scale(mode, alpha, key):
    """E cos(u x) = exp(-(scale u)^alpha) at three u, 25 000 neurons of 4 coordinates; the scale of continuous time must fail."""
    w = stationary(mf.dynamics.StableSGD(0.2, 1, alpha, 0.5, mode, weight_decay=1.0), key)
    scale = stable.euler_scale(alpha, 0.5, 0.2)
    for u in (0.5 / scale, 1 / scale, 2 / scale):
        c = np.mean(np.cos(u * w), axis=1)
        z = (np.mean(c) - np.exp(-((scale * u) ** alpha))) / (np.std(c) / np.sqrt(len(c)))
        assert abs(z) < 5
    wrong = stable.ornstein_uhlenbeck_scale(alpha, 0.5)
    c = np.mean(np.cos(w / wrong), axis=1)
    if not np.isclose(wrong, scale, rtol=0.01):
        assert abs((np.mean(c) - np.exp(-1)) / (np.std(c) / np.sqrt(len(c)))) > 5


@pytest.mark.slow
def test_modes_differ_as_they_should(key):
    """Scalar: all coordinates equal. Isotropic: rotation invariant, and dependent; coordinates: heavier along the axes."""
    made = {m: stationary(mf.dynamics.StableSGD(0.2, 1, 1.2, 0.5, m, weight_decay=1.0), key) for m in MODES}
    spread = np.ptp(made["scalar"], axis=1) / np.abs(made["scalar"]).max(axis=1)
    assert np.quantile(spread, 0.9) < 1e-4  # but for what is left of the start
    diagonal = np.array([1, 1, 1, 1]) / 2
    scale = stable.euler_scale(1.2, 0.5, 0.2)
    for mode, factor in (("isotropic", 1.0), ("coordinates", 4 ** (1 / 1.2) / 2), ("scalar", 2.0)):
        phi = np.cos(made[mode] @ diagonal / (scale * factor))
        assert abs((phi.mean() - np.exp(-1)) / (phi.std() / np.sqrt(len(phi)))) < 5


@pytest.mark.slow
def test_optax_equals_a_loop(digits, key):
    """Momentum against its two formulas, Adam against optax itself, over 20 steps with the documented keys."""
    network = mf.TwoLayer("tanh", dim=64, outputs=10)

    def ours(dynamics):
        results = mf.simulate(mf.System(mf.TwoLayer("tanh"), digits, dynamics), widths=8, steps=20, seeds=[1], key=key, probes=())
        return results.particles[8].vectors.reshape(8, -1)

    def batches():
        stream = jax.random.fold_in(jax.random.fold_in(key, 1), 1)
        return (digits.batch(stream, n, 2) for n in range(20))

    start = network.init(jax.random.fold_in(jax.random.fold_in(key, 1), 0), 8)
    particles, velocity = start, jax.tree.map(jnp.zeros_like, start)
    for x, y in batches():
        _, g = network.gradient(particles, x, y)
        velocity = jax.tree.map(lambda v, d: 0.9 * v + d, velocity, g)
        particles = jax.tree.map(lambda p, v: p - 0.05 * v, particles, velocity)
    given = mf.dynamics.Optax(optax.sgd(0.05, momentum=0.9), batch_size=2)
    np.testing.assert_allclose(ours(given), particles.vectors, rtol=1e-3, atol=1e-5)
    made = mf.dynamics.Optax(lambda momentum: optax.sgd(1.0, momentum), 2, 0.05, {"momentum": 0.9})
    np.testing.assert_allclose(ours(made), particles.vectors, rtol=1e-3, atol=1e-5)

    adam, particles = optax.adam(0.01, b1=0.8), start
    memory = adam.init(particles)
    for x, y in batches():
        with jax.numpy_dtype_promotion("standard"):
            updates, memory = adam.update(network.gradient(particles, x, y)[1], memory, particles)
        particles = optax.apply_updates(particles, updates)
    found = ours(mf.dynamics.Optax(optax.adam, 2, hyperparameters={"learning_rate": 0.01, "b1": 0.8}))
    np.testing.assert_allclose(found, particles.vectors, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_hyperparameters_are_swept(digits, key):
    dynamics = mf.dynamics.Optax(optax.adam, 1, hyperparameters={"learning_rate": [0.01, 0.1], "b1": [0.5, 0.9]})
    results = mf.simulate(mf.System(mf.TwoLayer(), digits, dynamics), widths=4, steps=5, seeds=1, key=key)
    assert results.dataset["risk"].dims[:5] == ("width", "step_size", "b1", "learning_rate", "seed")
    last = results.particles[4].w
    assert len({float(v) for v in np.abs(last).sum(axis=(-1, -2)).ravel()}) == 4


@pytest.mark.slow
@pytest.mark.parametrize("coupled", [False, True])
def test_recursion_equals_a_float64_loop(coupled, key):
    data = mf.data.gaussian_regression(3, 0.5, covariance=[[2.0, 0.3, 0.0], [0.3, 1.0, 0.1], [0.0, 0.1, 0.5]], optimum=[1, 2, 3])
    dynamics = mf.dynamics.LinearRecursion(0.2, 2, weight_decay=0.3, coupled=coupled, reduced=False)
    results = mf.simulate(mf.System(mf.dynamics.chains(), data, dynamics), widths=7, steps=10, seeds=[4], key=key, probes=())
    seed = jax.random.fold_in(key, 4)
    network = dataclasses.replace(mf.dynamics.chains(), dim=3, outputs=1)
    x = np.asarray(network.init(jax.random.fold_in(seed, 0), 7).w, float)
    for n in range(10):
        a, y = (np.asarray(v, float) for v in dynamics.draw(data, jax.random.fold_in(seed, 1), jnp.asarray(n), 7))
        mean = x.mean(axis=0) if coupled else np.zeros(3)
        new = np.empty_like(x)
        for i in range(7):
            h, q = a[i].T @ a[i], a[i].T @ y[i, :, 0]
            new[i] = (np.eye(3) * (1 - 0.2 * 0.3) - 0.1 * h) @ x[i] + 0.1 * q + 0.2 * 0.3 * mean
        x = new
    np.testing.assert_allclose(results.particles[7].w[0, 0], x, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_recursion_has_its_second_moment(key):
    """d = 3, b = 2, step .3: 200 000 chains, |z| < 5 on the exact formula; the formula of another batch size must fail."""
    data = mf.data.gaussian_regression(3)
    dynamics = mf.dynamics.LinearRecursion(0.3, 2)
    results = mf.simulate(mf.System(mf.dynamics.chains(), data, dynamics), widths=200_000, steps=60, seeds=1, key=key, probes=())
    squares = np.sum(np.asarray(results.particles[200_000].w[0, 0], float) ** 2, axis=1)
    error = np.std(squares) / np.sqrt(len(squares))
    assert abs(np.mean(squares) - recursion.second_moment(0.3, 2, 3)) / error < 5
    assert abs(np.mean(squares) - recursion.second_moment(0.3, 1, 3)) / error > 5


@pytest.mark.long
def test_recursion_on_finite_data_and_correlated_inputs(key):
    """Stationary mean and second moment solve linear equations: covariance by covariance, |z| < 5."""
    rng = np.random.default_rng(5)
    a, y = rng.normal(size=(6, 2)), rng.normal(size=6)
    data = mf.data.from_arrays(a, y)
    eta, lam = 0.2, 0.1
    results = mf.simulate(
        mf.System(mf.dynamics.chains(), data, mf.dynamics.LinearRecursion(eta, 1, weight_decay=lam)),
        widths=100_000,
        steps=200,
        seeds=1,
        key=key,
        probes=(),
    )
    x = np.asarray(results.particles[100_000].w[0, 0], float)
    m = [np.eye(2) * (1 - eta * lam) - eta * np.outer(v, v) for v in a]
    q = [eta * v * t for v, t in zip(a, y, strict=True)]
    mean = np.linalg.solve(np.eye(2) - np.mean(m, axis=0), np.mean(q, axis=0))
    cross = [np.outer(mi @ mean, qi) for mi, qi in zip(m, q, strict=True)]
    constant = np.mean([np.outer(qi, qi) + c + c.T for qi, c in zip(q, cross, strict=True)], axis=0)
    second = np.linalg.solve(np.eye(4) - np.mean([np.kron(mi, mi) for mi in m], axis=0), constant.ravel()).reshape(2, 2)
    products = x[:, :, None] * x[:, None, :]
    assert np.abs((x.mean(axis=0) - mean) / (x.std(axis=0) / np.sqrt(len(x)))).max() < 5
    assert np.abs((products.mean(axis=0) - second) / (products.std(axis=0) / np.sqrt(len(x)))).max() < 5


@pytest.mark.slow
def test_coupled_chains_contract_at_the_exact_rate(key):
    """E|x_k - x'_k|^s = h(s)^k E|x_0 - x'_0|^s in two dimensions, 100 000 pairs, |z| < 5; the rate of one dimension must fail."""
    data = mf.data.gaussian_regression(2)
    dynamics = mf.dynamics.LinearRecursion(0.4, 1, reduced=False)  # pairs see the same data

    def final(scale):
        system = mf.System(mf.dynamics.chains(scale), data, dynamics)
        results = mf.simulate(system, widths=100_000, steps=4, seeds=1, key=key, probes=())
        return np.asarray(results.particles[100_000].w[0, 0], float)

    distance = np.linalg.norm(final(3.0) - final(1.0), axis=1)
    for s in (0.5, 1.0):
        start = 2**s * 2 ** (s / 2) * special.gamma((2 + s) / 2) / special.gamma(1)
        ratio = distance**s / start
        error = np.std(ratio) / np.sqrt(len(ratio))
        assert abs(np.mean(ratio) - recursion.moment(s, 0.4, 1, 2) ** 4) / error < 5
        assert abs(np.mean(ratio) - recursion.moment(s, 0.4, 1, 1) ** 4) / error > 5


@pytest.mark.long
def test_tail_index_of_stationary_chains(key):
    """Quarter of a million chains at step 1: Hill's interval holds the predicted 1.0908; that of step .8 must not."""
    system = mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(1), mf.dynamics.LinearRecursion(1.0, 1))
    results = mf.simulate(system, widths=250_000, steps=100, seeds=1, key=key, probes=())
    fit = mf.measure.tails.hill(np.abs(results.particles[250_000].w[0, 0, :, 0]), k=2500)
    z = (float(fit.alpha) - recursion.tail_index(1.0, 1, 1)) / float(fit.standard_error)
    assert abs(z) < 5 and abs(float(fit.alpha) - recursion.tail_index(0.8, 1, 1)) / float(fit.standard_error) > 5


@pytest.mark.long(1)
@pytest.mark.parametrize("finite", [False, True])
def test_homogenized_sgd_has_its_second_moment(finite, key):
    """The second moment of Euler's scheme obeys an exact linear recursion, in two dimensions with a ridge, |z| < 5."""
    if finite:
        rng = np.random.default_rng(2)
        a, y = rng.normal(size=(40, 2)) * [1.0, 0.5], rng.normal(size=40)
        data = mf.data.from_arrays(a, y)
        h, optimum = a.T @ a / 40, np.linalg.lstsq(a, y, rcond=None)[0]
        floor = np.mean((a @ optimum - y) ** 2)
    else:
        h, optimum, floor = np.array([[1.0, 0.3], [0.3, 0.5]]), np.array([1.0, -1.0]), 0.49
        data = mf.data.gaussian_regression(2, 0.7, covariance=h, optimum=optimum)
    gamma, ridge, dt, b, n = 0.6, 0.2, 0.1, 2, 100_000
    dynamics = mf.dynamics.HomogenizedSGD(gamma, b, ridge, dt)
    results = mf.simulate(mf.System(mf.dynamics.chains(), data, dynamics), widths=n, steps=300, seeds=1, key=key, probes=())
    x = np.asarray(results.particles[n].w[0, 0], float)
    drift = np.eye(2) - gamma * dt * (h + ridge * np.eye(2))
    pull = gamma * dt * h @ optimum
    mean, second = np.zeros(2), np.eye(2)
    for _ in range(300):
        residual = floor + np.trace(h @ (second - np.outer(mean, optimum) - np.outer(optimum, mean) + np.outer(optimum, optimum)))
        cross = np.outer(drift @ mean, pull)
        second = drift @ second @ drift.T + cross + cross.T + np.outer(pull, pull) + gamma**2 * dt / b * residual * h
        mean = drift @ mean + pull
    products = x[:, :, None] * x[:, None, :]
    z = (products.mean(axis=0) - second) / (products.std(axis=0) / np.sqrt(n))
    assert np.abs(z).max() < 5
    assert np.abs((x.mean(axis=0) - mean) / (x.std(axis=0) / np.sqrt(n))).max() < 5


WARNED = {
    "ridge": (lambda: mf.System(mf.TwoLayer(), small(), mf.dynamics.SGD(0.5, 1, weight_decay=[1.0, 5.0])), "stability limit 2"),
    "recursion": (
        lambda: mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(1), mf.dynamics.LinearRecursion([0.5, 3.0], 1)),
        "`step_size` is 3, beyond its stability limit 2.42125",
    ),
    "finite": (
        lambda: mf.System(
            mf.dynamics.chains(), mf.data.from_arrays(np.ones((4, 1)), np.ones(4)), mf.dynamics.LinearRecursion(2.5, 1)
        ),
        "stability limit 2",
    ),
    "coupled": (
        lambda: mf.System(
            mf.dynamics.chains(),
            mf.data.gaussian_regression(1),
            mf.dynamics.LinearRecursion(1.2, 1, weight_decay=0.5, coupled=True),
        ),
        "has no mean",
    ),
    "euler": (
        lambda: mf.System(
            mf.dynamics.chains(), mf.data.gaussian_regression(1), mf.dynamics.HomogenizedSGD(1.0, 1, time_step=3.0)
        ),
        "`time_step` is 3, beyond its stability limit 2",
    ),
}


def small():
    return mf.data.from_arrays(np.eye(3), np.arange(3))


@pytest.mark.parametrize("name", WARNED)
def test_a_step_beyond_stability_warns_and_names_the_limit(name):
    make, text = WARNED[name]
    with pytest.warns(mf.StabilityWarning, match=text):
        make()


def test_a_stable_step_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(1), mf.dynamics.LinearRecursion([0.5, 2.4], 1))
        mf.System(mf.TwoLayer(), small(), mf.dynamics.SGD(0.5, 1, weight_decay=3.9))


WRONG = {
    "alpha": (lambda: mf.dynamics.StableSGD(0.1, 1, alpha=2.5, scale=1.0), "Argument `alpha` must lie in (0, 2], but is 2.5."),
    "mode": (
        lambda: mf.dynamics.StableSGD(0.1, 1, alpha=1.5, scale=1.0, mode="radial"),
        "Argument `mode` must be one of 'scalar', 'coordinates', 'isotropic', but is 'radial'.",
    ),
    "temperature": (
        lambda: mf.dynamics.Langevin(0.1, 1, temperature=-1),
        "Argument `temperature` must be a number >= 0, or an array of them, but is -1.",
    ),
    "minibatches": (
        lambda: mf.dynamics.SGD(0.1, 1, minibatches="common"),
        "Argument `minibatches` must be one of 'shared', 'independent', but is 'common'.",
    ),
    "epochs": (
        lambda: mf.System(mf.TwoLayer(), small().in_epochs(), mf.dynamics.SGD(0.1, 1, minibatches="independent")),
        "Argument `minibatches` must be 'shared' for data sampled in epochs, but is 'independent'.",
    ),
    "pool of a finite set": (
        lambda: mf.System(mf.TwoLayer(), small(), mf.dynamics.SGD(0.1, 1, minibatches="independent", pool_size=5)),
        "Argument `pool_size` must be None unless neurons draw from fresh examples (independent noise, online data), but is 5.",
    ),
    "pool too small": (
        lambda: mf.System(
            mf.TwoLayer("tanh", "squared"),
            mf.data.teacher(jax.random.key(0), dim=2, neurons=2),
            mf.dynamics.SGD(0.1, 4, minibatches="independent", pool_size=16),
        ),
        "Argument `pool_size` must be at least 8 times the batch size, 32: examples of the pool are common to the neurons, but is 16.",
    ),
    "a name that is taken": (
        lambda: mf.simulate(
            mf.System(
                mf.TwoLayer(),
                small(),
                mf.dynamics.Optax(lambda step: optax.sgd(step), 1, hyperparameters={"step": [0.1, 0.2]}),
            ),
            widths=2,
            steps=1,
            seeds=1,
            key=jax.random.key(0),
        ),
        "Argument `dynamics` must sweep fields of names other than width, seed, step, split, level, order, neuron, component, status, "
        "steps_done, first_bad_step, programs, but is with a sweep of 'step'.",
    ),
    "covariance": (
        lambda: mf.data.gaussian_regression(2, covariance=[[1.0, 2.0], [2.0, 1.0]]),
        "Argument `covariance` must be a number > 0 or a symmetric positive definite matrix of shape (2, 2), "
        "but is one with the eigenvalue -1.",
    ),
    "covariance, not symmetric": (
        lambda: mf.data.gaussian_regression(2, covariance=[[1.0, 0.5], [0.0, 1.0]]),
        "Argument `covariance` must be a number > 0 or a symmetric positive definite matrix of shape (2, 2), but is not symmetric.",
    ),
    "chains": (
        lambda: mf.System(mf.TwoLayer("relu", "squared"), mf.data.gaussian_regression(2), mf.dynamics.LinearRecursion(0.1, 1)),
        "Argument `network` must be `mf.dynamics.chains()` for this dynamics, but is TwoLayer(activation='relu', "
        "loss='squared', train_output=True, bias=False, output_weights='normal', init_scale=1.0, dim=2, outputs=1).",
    ),
    "ones": (
        lambda: mf.TwoLayer(output_weights="ones"),
        "Argument `train_output` must be False if the output weights are all 1, but is True.",
    ),
    "transformation": (
        lambda: mf.dynamics.Optax(3, 1),
        "Argument `transformation` must be an optax `GradientTransformation` or a function that makes one, but is 3.",
    ),
    "recursion on a teacher": (
        lambda: mf.System(
            mf.dynamics.chains(), mf.data.teacher(jax.random.key(0), dim=2, neurons=2), mf.dynamics.LinearRecursion(0.1, 1)
        ),
        "Argument `data` must be a finite set or `mf.data.gaussian_regression(...)` for this dynamics, but is a Teacher.",
    ),
    "a law for chains": (
        lambda: mf.dynamics.HomogenizedSGD(mf.scaling.StepSizeLaw(0.1), 1),
        "Argument `step_size` must be a number > 0, or an array of them, for this dynamics, "
        "but is StepSizeLaw(gamma=0.1, beta=1.0, decay=0.0).",
    ),
    "injection": (
        lambda: mf.dynamics.McKeanVlasov(0.1, injection=3),
        "Argument `injection` must be None, a `GaussianInjection` or a `StableInjection`, but is 3.",
    ),
    "init_scale": (lambda: mf.TwoLayer(init_scale=[1.0, 2.0]), "Argument `init_scale` must be a number >= 0, but is [1.0, 2.0]."),
    "hyperparameters": (
        lambda: mf.dynamics.Optax(optax.adam, 1, hyperparameters=[1.0]),
        "Argument `hyperparameters` must be a dictionary of named numbers, but is [1.0].",
    ),
    "learning rate": (
        lambda: mf.System(mf.TwoLayer(), small(), mf.dynamics.Optax(optax.adam, 1)),
        "Argument `hyperparameters` must be those of `transformation`, but: adam() missing 1 required positional argument: "
        "'learning_rate'.",
    ),
    "delta": (
        lambda: mf.data.gaussian_classes(jax.random.key(0), dim=2, delta=1.0),
        "Argument `delta` must lie in (0, 1), but is 1.0.",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name):
    call, message = WRONG[name]
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.slow
def test_output_weights_and_activations_of_ones_own(key):
    """Signs are balanced; "ones" is the mean of activations, with gradients of its own risk; a sine is as good as tanh."""
    network = mf.TwoLayer("relu", "squared", output_weights="signs", dim=2, outputs=3)
    a = np.asarray(network.init(key, 16).a)
    assert set(a.ravel()) == {-1.0, 1.0} and (a.sum(axis=0) == 0).all() and len(np.unique(a, axis=0)) == 8
    sine = mf.TwoLayer(mf.Activation(jnp.sin, jnp.cos), "squared", train_output=False, output_weights="ones", dim=2, outputs=1)
    particles = sine.init(key, 5)
    x, y = jax.random.normal(key, (4, 2)), jnp.ones((4, 1))
    expected = np.mean(np.sin(np.asarray(x) @ np.asarray(particles.w).T), axis=1, keepdims=True)
    np.testing.assert_allclose(sine.predict(particles, x), expected, rtol=1e-5, atol=1e-6)
    gradient = jax.grad(lambda p: 5 * sine.risk(p, x, y))(particles)
    np.testing.assert_allclose(sine.gradient(particles, x, y)[1].w, gradient.w, rtol=1e-5, atol=1e-6)
    scaled = dataclasses.replace(sine, init_scale=0.25).init(key, 5)
    np.testing.assert_allclose(scaled.w, 0.25 * np.asarray(particles.w), rtol=1e-6)


@pytest.mark.long
def test_limit_of_optax_sees_mixing_at_any_size():
    for size in (0.01, 1.0, 100.0):
        clipped = optax.chain(optax.clip_by_global_norm(size), optax.sgd(0.1))
        assert mf.dynamics.Optax(clipped, 1).limit() is None
    assert mf.dynamics.Optax(optax.sgd(0.1), 1, mf.scaling.StepSizeLaw(1.0, beta=0.5)).limit() is None


@pytest.mark.slow
def test_frozen_output_weights_do_not_enter_a_clipped_norm(pool, key):
    """The clipped displacement of the trained weights alone has the norm of the clip."""
    network = mf.TwoLayer("tanh", train_output=False, dim=3, outputs=4)
    clipped = mf.dynamics.Optax(optax.chain(optax.clip_by_global_norm(0.01), optax.sgd(1.0)), 2)
    state = clipped.init(key, network, 6)
    after, _ = clipped.step(key, state, pool.batch(key, 0, 2))
    np.testing.assert_allclose(jnp.linalg.norm(after.particles.w - state.particles.w), 0.01, rtol=1e-3)
