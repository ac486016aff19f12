"""SGD on least squares: loops in float64, moments, contraction, and the law of a step by two routes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

import meanfield as mf
from meanfield.systems.dynamics import least_squares
from meanfield.theory import recursion
from meanfield.theory import recursion as theory


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


@pytest.mark.slow
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


CORRELATED = [[2.0, 0.5, 0.0], [0.5, 1.0, 0.1], [0.0, 0.1, 0.5]]


N = 200_000


def one_step(dynamics, data, at, key):
    """A step of N chains that all start at `at`: their displacements, float64."""
    network = dataclasses.replace(mf.dynamics.chains(), dim=data.dim, outputs=1)
    state = dynamics.init(key, network, N)
    start = jnp.broadcast_to(jnp.asarray(at, jnp.float32), (N, data.dim))
    state = dataclasses.replace(state, particles=dataclasses.replace(state.particles, w=start))
    run = jax.jit(lambda state, key: dynamics.step(key, state, dynamics.draw(data, key, state.step, N))[0].particles.w)
    return np.asarray(run(state, jax.random.clone(key)), float) - np.asarray(start, float)


def projections(move, data, at):
    """Of the displacements, along the error and across it (all of it at the optimum), in coordinates in which inputs are N(0, I)."""
    root, error = np.asarray(data.root, float), np.asarray(at, float) - np.asarray(data.optimum, float)
    white, v = np.linalg.solve(root, move.T).T, root.T @ error
    along = v / np.linalg.norm(v) if v.any() else np.eye(len(v))[0]
    across = np.linalg.svd(along[None, :])[2][1:]
    return [white @ along, *(white @ across.T).T[:1]]


def z_means(samples, exact):
    return (samples.mean(axis=0) - exact) / (samples.std(axis=0) / np.sqrt(len(samples)) + 1e-12)


CASES = {
    "d1 b1": (1, 1, 0.7, {}, [1.5]),
    "d1 b4": (1, 4, 0.0, {"optimum": [0.5], "covariance": 2.0}, [-1.0]),
    "d2 b1, no noise": (2, 1, 0.3, {"noise_std": 0.0}, [1.0, -2.0]),
    "d3 b2": (3, 2, 0.0, {"optimum": [1.0, 2.0, 3.0], "noise_std": 0.5}, [1.5, 1.0, 3.0]),
    "d3 b7, at the optimum": (3, 7, 0.2, {"optimum": [1.0, 0.0, 0.0]}, [1.0, 0.0, 0.0]),
    "d3 b5, correlated": (3, 5, 0.1, {"covariance": CORRELATED, "optimum": [0.0, 1.0, 0.0]}, [1.0, 1.0, -1.0]),
    "d10 b6": (10, 6, 0.0, {}, np.linspace(-1, 1, 10)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_one_step_has_the_law_of_a_mini_batch(name, key):
    """200 000 steps from one point: mean and covariance exact; fourth moments and Kolmogorov's test against mini-batches."""
    dim, b, ridge, how, at = CASES[name]
    data, eta = mf.data.gaussian_regression(dim, **how), 0.3
    dynamics = mf.dynamics.LinearRecursion(eta, b, ridge)
    one, two = jax.random.split(key)
    move = one_step(dynamics, data, at, one)
    plain = one_step(dataclasses.replace(dynamics, reduced=False), data, at, two)
    # The power check: chi^2 of b + 1 degrees of freedom (and everything else that batches of b + 1 change but the mean).
    wrong = one_step(dataclasses.replace(dynamics, batch_size=b + 1), data, at, jax.random.fold_in(key, 2))

    root, x = np.asarray(data.root, float), np.asarray(at, float)
    error = x - np.asarray(data.optimum, float)
    c = root @ root.T
    mean = -eta * (c @ error + ridge * x)
    scale = error @ c @ error + float(data.noise_std) ** 2
    covariance = eta**2 / b * (scale * c + np.outer(c @ error, c @ error))
    centred = move - mean
    products = centred[:, :, None] * centred[:, None, :]
    assert np.abs(z_means(move, mean)).max() < 5 and np.abs(z_means(products, covariance)).max() < 5
    centred = wrong - mean
    assert np.abs(z_means(centred[:, :, None] * centred[:, None, :], covariance)).max() > 5

    # Normal numbers of the right mean and covariance are refused as well.
    normal = np.random.default_rng(1).multivariate_normal(mean, covariance, N)
    drift = -eta * ridge * x
    ours, theirs, *others = (projections(v - drift, data, at) for v in (move, plain, wrong, normal))
    for a, b_ in zip(ours, theirs, strict=True):
        # A standard normal has |z| > 5 with the probability 6e-7.
        assert stats.ks_2samp(a, b_).pvalue > 6e-7
        fourth = np.mean(a**4) - np.mean(b_**4)
        assert abs(fourth) / np.hypot(np.std(a**4), np.std(b_**4)) * np.sqrt(N) < 5
    for other in others:
        assert min(stats.ks_2samp(a, c).pvalue for a, c in zip(other, theirs, strict=True)) < 6e-7


@pytest.mark.long(3)
@pytest.mark.parametrize("b", [1, 2, 3, 4, 5, 6, 7, 8, 33])
def test_chi_square(b, key):
    """Every number of normal squares and exponentials that a batch size can need: Kolmogorov's test and moments."""
    recipe = least_squares._Recipe.of(mf.data.gaussian_regression(2), key, b)
    xi, q = (np.asarray(v, float) for v in jax.jit(recipe.numbers, static_argnums=1)(jnp.arange(N, dtype="uint32"), b))
    assert xi.shape == (2, N) and q.shape == (1, N)
    assert stats.kstest(q[0], stats.chi2(b).cdf).pvalue > 6e-7 > stats.kstest(q[0], stats.chi2(b + 1).cdf).pvalue
    assert np.abs(z_means(q[0][:, None] ** [1, 2], [b, b * (b + 2)])).max() < 5
    # Independent: no correlation of values, of squares, of absolute values.
    for f in (np.abs, np.square, lambda v: v):
        r = np.corrcoef(np.vstack([f(xi), f(q)]))[np.triu_indices(3, 1)]
        assert np.abs(r).max() * np.sqrt(N) < 5


def final(dynamics, data, steps, key, n=N):
    results = mf.simulate(mf.System(mf.dynamics.chains(), data, dynamics), widths=n, steps=steps, seeds=1, key=key, probes=())
    return np.asarray(results.particles[n].w[0, 0], float)


@pytest.mark.slow
@pytest.mark.parametrize("coupled", [False, True])
def test_many_steps_have_the_law_of_mini_batches(coupled, key):
    """Norms and coordinates after 30 steps in three dimensions, index 3.2: Kolmogorov's test; quantiles to 2e-4; Hill's index."""
    data = mf.data.gaussian_regression(3, 0.5, optimum=[1.0, 0.0, -1.0])
    eta = theory.step_size_for(3.2, 3, 3, 1.0, 0.1)
    dynamics = mf.dynamics.LinearRecursion(eta, 3, 0.1, coupled=coupled)
    one, two, three = jax.random.split(key, 3)
    ours, wrong = final(dynamics, data, 30, one), final(dataclasses.replace(dynamics, batch_size=4), data, 30, two)
    plain = final(dataclasses.replace(dynamics, reduced=False), data, 30, three)
    for f in (lambda x: x[:, 0], lambda x: x[:, 1], lambda x: np.linalg.norm(x - np.asarray(data.optimum), axis=1)):
        assert stats.ks_2samp(f(ours), f(plain)).pvalue > 6e-7
    assert stats.ks_2samp(f(wrong), f(plain)).pvalue < 6e-7
    a, b, c = (f(x) for x in (ours, plain, wrong))
    for p in (1e-2, 1e-3, 2e-4):
        z = lambda v, p=p: (np.sum(v > np.quantile(b, 1 - p)) - N * p) / np.sqrt(2 * N * p)  # noqa: E731
        assert abs(z(a)) < 5 and (p < 1e-3 or abs(z(c)) > 5)
    fits = [mf.measure.tails.hill(v, k=1000) for v in (a, b)]
    assert abs(float(fits[0].alpha) - float(fits[1].alpha)) / np.hypot(*(float(f.standard_error) for f in fits)) < 5


@pytest.mark.slow
def test_contraction_in_one_dimension_needs_no_mini_batches(key):
    """There H and q themselves have the law of the reduced ones: pairs contract at the exact rate, and maps are affine."""
    data = mf.data.gaussian_regression(1)
    finals = []
    for scale in (1.0, 2.0, 4.0):
        system = mf.System(mf.dynamics.chains(scale), data, mf.dynamics.LinearRecursion(0.4, 3))
        results = mf.simulate(system, widths=100_000, steps=4, seeds=1, key=jax.random.clone(key), probes=())
        finals.append(np.asarray(results.particles[100_000].w[0, 0, :, 0], float))
    np.testing.assert_allclose(finals[2] - finals[0], 3 * (finals[1] - finals[0]), rtol=1e-3, atol=1e-5)
    ratio = np.abs(finals[2] - finals[0]) ** 0.5 / (3**0.5 * 2**0.25 * special.gamma(0.75) / special.gamma(0.5))
    error = np.std(ratio) / np.sqrt(len(ratio))
    assert abs(np.mean(ratio) - theory.moment(0.5, 0.4, 3, 1) ** 4) / error < 5
    assert abs(np.mean(ratio) - theory.moment(0.5, 0.4, 4, 1) ** 4) / error > 5


@pytest.mark.long(2)
@pytest.mark.parametrize(("dim", "b"), [(1, 1), (3, 2), (3, 5), (2, 12)])
def test_a_step_is_its_formula_in_float64(dim, b, key):
    """From the words of `jax.random.fold_in`, chain by chain: what a chain draws is a function of key, step, index alone."""
    data = mf.data.gaussian_regression(dim, 0.5, optimum=np.arange(1.0, dim + 1), covariance=1.7)
    dynamics = mf.dynamics.LinearRecursion(0.2, b, weight_decay=0.3)
    network = dataclasses.replace(mf.dynamics.chains(), dim=dim, outputs=1)
    state = dynamics.init(key, network, 5)
    after, _ = dynamics.step(key, state, dynamics.draw(data, jax.random.clone(key), jnp.asarray(4), 5))
    step = jax.random.fold_in(key, 4)
    for i, x in enumerate(np.asarray(state.particles.w, float)):
        normals, uniforms = least_squares._pairs(dim, b)
        words = [jax.random.key_data(jax.random.fold_in(jax.random.fold_in(step, j), i)) for j in range(normals + uniforms)]
        words = np.array(words).astype(np.int64)
        u = (words[:normals, 0] + ((words[:normals, 1] & 255) + 0.5) / 256) / 2**32
        quarter = ((words[:normals, 1] >> 8 & (2**22 - 1)) + 0.5) / 2**22 * np.pi / 2
        signs = 1 - 2 * np.array([words[:normals, 1] >> 31, words[:normals, 1] >> 30 & 1])
        xi = (np.sqrt(-2 * np.log(u)) * signs * [np.sin(quarter), np.cos(quarter)]).ravel()
        q = b % 2 * xi[dim : dim + 1].sum() ** 2 + np.sum(-2 * np.log((words[normals:].ravel("C") + 0.5) / 2**32)[: b // 2])
        e = x - np.arange(1.0, dim + 1)
        xi, s2 = xi[:dim], 1.7
        along = (e @ xi) * e / (e @ e)
        spread = np.sqrt(s2 * q) * (0.5 * along + np.sqrt(s2 * e @ e + 0.25) * (xi - along))
        np.testing.assert_allclose(after.particles.w[i], x - 0.2 * ((s2 * q * e + spread) / b + 0.3 * x), rtol=2e-5, atol=2e-6)


@pytest.mark.slow
def test_chains_do_not_depend_on_their_number(key):
    """Fewer than a block, many blocks, a last block that is not whole."""
    data, dynamics = mf.data.gaussian_regression(3), mf.dynamics.LinearRecursion(0.2, 2)
    block = least_squares._Recipe.of(data, jax.random.clone(key), 2).block
    few, many = (final(dynamics, data, 3, jax.random.clone(key), n) for n in (100, 2 * block + 77))
    np.testing.assert_allclose(few, many[:100], rtol=1e-5, atol=1e-6)
    whole = final(dynamics, data, 3, jax.random.clone(key), 3 * block)
    np.testing.assert_allclose(whole[: len(many)], many, rtol=1e-5, atol=1e-6)
    assert len(np.unique(whole[:, 0])) > 0.99 * len(whole)


@pytest.mark.slow
def test_far_away_and_at_rest(key):
    """No overflow before the number itself, no 0/0 at the optimum without noise, and a NaN stays one."""
    network = dataclasses.replace(mf.dynamics.chains(), dim=3, outputs=1)
    dynamics = mf.dynamics.LinearRecursion(0.2, 2)

    def step(data, w):
        state = dynamics.init(key, network, 4)
        state = dataclasses.replace(state, particles=dataclasses.replace(state.particles, w=jnp.asarray(w, jnp.float32)))
        return np.asarray(dynamics.step(key, state, dynamics.draw(data, jax.random.clone(key), state.step, 4))[0].particles.w)

    quiet, start = mf.data.gaussian_regression(3, 0.0), np.arange(12.0).reshape(4, 3) - 5
    for scale in (1e-30, 1e30, 1e36):
        np.testing.assert_allclose(step(quiet, scale * start) / scale, step(quiet, start), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        step(mf.data.gaussian_regression(3), 1e30 * start) / 1e30, step(quiet, start), rtol=1e-4, atol=1e-5
    )
    assert (step(quiet, 0 * start) == 0).all()
    for bad in (np.nan, np.inf):
        assert np.isnan(step(quiet, np.where(start == 0, bad, start))[1]).all() and np.isfinite(step(quiet, start)).all()


@pytest.mark.long
def test_no_batch_in_memory(key):
    """A hundred steps of a million chains in ten dimensions allocate 2 MB beside the chains; mini-batches much more."""
    data, n = mf.data.gaussian_regression(10), 1_000_000
    network = dataclasses.replace(mf.dynamics.chains(), dim=10, outputs=1)

    def temporary(reduced):
        dynamics = mf.dynamics.LinearRecursion(0.1, 5, reduced=reduced)
        one = lambda key: lambda _, s: dynamics.step(key, s, dynamics.draw(data, key, s.step, n))[0]  # noqa: E731
        run = jax.jit(lambda state, key: jax.lax.fori_loop(0, 100, one(key), state), donate_argnums=0)
        shape = jax.eval_shape(lambda key: dynamics.init(key, network, n), jax.random.clone(key))
        return run.lower(shape, jax.random.clone(key)).compile().memory_analysis().temp_size_in_bytes

    assert temporary(True) < 2e6 < 1e8 < temporary(False)


def test_a_source_with_batches_of_its_own_keeps_its_law(key):
    """Only the batches of a Gaussian regression itself have the reduced law."""

    @jax.tree_util.register_dataclass
    @dataclasses.dataclass(frozen=True)
    class Silent(type(mf.data.gaussian_regression(2))):
        def batch(self, key, step, batch_size):
            x, y = super().batch(key, step, batch_size)
            return 0 * x, y

    data = mf.data.gaussian_regression(2)
    silent = Silent(**{field.name: getattr(data, field.name) for field in dataclasses.fields(data) if field.init})
    dynamics = mf.dynamics.LinearRecursion(0.5, 1)
    drawn = [type(dynamics.draw(source, key, jnp.int32(0), 5)) for source in (data, silent)]
    assert drawn == [least_squares._Recipe, tuple]


def test_wrong_arguments():
    with pytest.raises(mf.ArgumentError, match="Argument `reduced` must be True or False, but is 1"):
        mf.dynamics.LinearRecursion(0.1, 1, reduced=1)


def test_gradients_of_a_mini_batch_are_averaged(key):
    """x = 1, inputs 1 and 2, targets 0: the gradient is (1 + 4) / 2."""
    state = mf.dynamics.State(mf.Particles(jnp.ones((1, 1)), None), jnp.int32(0), mf.dynamics.chains())
    after, _ = mf.dynamics.LinearRecursion(0.1, 2).step(key, state, (jnp.array([[[1.0], [2.0]]]), jnp.zeros((1, 2, 1))))
    np.testing.assert_allclose(after.particles.w, [[1 - 0.1 * 2.5]], rtol=1e-6)
