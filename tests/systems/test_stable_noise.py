"""Stable noise: quantiles, tails to 1e-12, characteristic functions; every statistical test with a wrong law that fails it."""

import math
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

import meanfield as mf
from meanfield.systems import stable_noise
from tests.systems.common import z_scores

ALPHAS = [0.3, 0.5, 0.9, 1 - 1e-3, 1 - 1e-6, 1.0, 1 + 1e-6, 1 + 1e-3, 1.25, 1.5, 1.75, 1.95, 2 - 1e-3, 2 - 1e-6, 2.0]
LAWS = {
    "symmetric": stable_noise.symmetric_stable,
    "positive": stable_noise.positive_stable,
    "isotropic": stable_noise.isotropic_stable,
}
SMALL = np.array([0.1, 0.5, 1.0, 2.0, 5.0])


def beyond(alpha, x):
    """P(|X| > x) of the symmetric law, by inversion of its characteristic function."""
    near = integrate.quad(lambda u: np.sinc(u * x / np.pi) * x * np.exp(-(u**alpha)), 0, 1, limit=500)[0]
    far = integrate.quad(lambda u: np.exp(-(u**alpha)) / u, 1, np.inf, weight="sin", wvar=x, limit=500, limlst=500)[0]
    return 1 - 2 / np.pi * (near + far)


def tail(alpha, x, positive=False):
    """Bergström's series of P(|X| > x), or of P(A > x): six terms, for the far tail."""
    angle = np.pi * alpha if positive else np.pi * alpha / 2
    terms = [
        (-1) ** (k + 1) / math.factorial(k) * special.gamma(alpha * k) * np.sin(k * angle) * x ** (-alpha * k)
        for k in range(1, 7)
    ]
    return (1 if positive else 2) / np.pi * np.sum(terms)


def far_quantile(alpha, p, positive=False):
    """The x with P(|X| > x) = p, for small p."""
    if alpha == 2:
        return stats.norm(0, np.sqrt(2)).isf(p / 2)
    top = np.log(1 / p) / alpha
    start = np.log(tail(alpha, 1e30, positive) * 1e30**alpha) / alpha + top
    return np.exp(optimize.brentq(lambda y: np.log(tail(alpha, np.exp(y), positive) / p), start - 0.5, start + 0.5))


def test_references_agree():
    """Our quadrature and series against scipy and the closed forms."""
    for alpha in (0.5, 1.5):
        np.testing.assert_allclose([beyond(alpha, x) for x in SMALL], 2 * stats.levy_stable(alpha, 0).sf(SMALL), atol=2e-8)
    np.testing.assert_allclose([beyond(1.0, x) for x in SMALL], 2 * stats.cauchy.sf(SMALL), atol=2e-8)
    np.testing.assert_allclose([beyond(2.0, x) for x in SMALL], 2 * stats.norm(0, np.sqrt(2)).sf(SMALL), atol=2e-8)
    assert tail(1.0, 50.0) == pytest.approx(2 * stats.cauchy.sf(50.0))
    assert tail(0.5, 1e4, positive=True) == pytest.approx(stats.levy(scale=0.5).sf(1e4))
    for alpha in (0.5, 1.25, 1.75, 1.9, 1.99):  # the constants C_alpha
        constant = {0.5: 0.797885, 1.25: 0.533110, 1.75: 0.223906, 1.9: 0.0957816, 1.99: 0.00995772}[alpha]
        assert tail(alpha, 1e20) * 1e20**alpha == pytest.approx(constant, rel=1e-5)


@pytest.mark.short(5)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_symmetric_distribution(alpha, key):
    """1e6 draws at five points: |z| < 5 in both halves; an index wrong by 0.05 is refused."""
    n = 1_000_000
    x = np.asarray(stable_noise.symmetric_stable(key, alpha, (n,)))
    exact = np.array([beyond(alpha, v) for v in SMALL]) / 2
    for half in (x, -x):
        assert np.abs(z_scores([np.sum(half > v) for v in SMALL], n, exact)).max() < 5
    wrong = np.array([beyond(alpha - 0.05, v) for v in SMALL])
    assert np.abs(z_scores([np.sum(np.abs(x) > v) for v in SMALL], n, wrong)).max() > 5


@pytest.mark.short(2)
@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.8, 0.9])
def test_positive_distribution(alpha, key):
    """1e6 draws: S1 distribution function of scipy, Laplace transform, |z| < 5; an index wrong by 0.05 is refused."""
    n = 1_000_000
    a = np.asarray(stable_noise.positive_stable(key, alpha, (n,)), float)
    s1 = stats.levy_stable(alpha, 1, scale=np.cos(np.pi * alpha / 2) ** (1 / alpha))
    points = np.array([0.5, 1.0, 3.0])
    assert np.abs(z_scores([np.sum(a > v) for v in points], n, s1.sf(points))).max() < 5
    for rate in (0.1, 1.0, 5.0):
        values = np.exp(-rate * a)
        error = values.std() / np.sqrt(n)
        assert abs(values.mean() - np.exp(-(rate**alpha))) < 5 * error
        assert rate == 1 or abs(values.mean() - np.exp(-(rate ** (alpha - 0.05)))) > 5 * error
    levy = stats.levy(scale=0.5).sf(points)
    assert (np.abs(z_scores([np.sum(a > v) for v in points], n, levy)).max() < 5) == (alpha == 0.5)


def test_positive_at_one_and_near(key):
    assert (stable_noise.positive_stable(jax.random.clone(key), 1.0, (1000,)) == 1).all()
    near = np.asarray(stable_noise.positive_stable(key, 1 - 1e-6, (10_000,)), float)
    assert np.quantile(np.abs(near - 1), 0.99) < 2e-4 and near.min() > 1 - 1e-4


@pytest.mark.slow
def test_known_laws(key):
    """Cauchy and normal as a whole: Kolmogorov's distance of 1e6 draws, 5e-3 level; each refuses the other's neighbour."""
    n, ks = 1_000_000, stats.kstwobign.isf(5e-3)
    draw = lambda alpha: np.asarray(stable_noise.symmetric_stable(jax.random.clone(key), alpha, (n,)), float)  # noqa: E731
    normal = stats.norm(0, np.sqrt(2))
    assert np.sqrt(n) * stats.kstest(draw(1.0), stats.cauchy.cdf).statistic < ks
    assert np.sqrt(n) * stats.kstest(draw(2.0), normal.cdf).statistic < ks
    assert np.sqrt(n) * stats.kstest(draw(0.99), stats.cauchy.cdf).statistic > ks
    assert np.sqrt(n) * stats.kstest(draw(1.95), normal.cdf).statistic > ks
    assert abs(np.var(draw(2.0)) - 2) < 5 * np.sqrt(8 / n)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 1.5, 2 - 1e-3, 2.0])
def test_log_moments(alpha, key):
    """E log|X| = gamma (1/alpha - 1), Var log|X| = pi^2/6 (1/alpha^2 + 1/2): 1e6 draws, five standard errors."""
    n = 1_000_000
    y = np.log(np.abs(np.asarray(stable_noise.symmetric_stable(key, alpha, (n,)), float)))
    mean, variance = np.euler_gamma * (1 / alpha - 1), np.pi**2 / 6 * (1 / alpha**2 + 0.5)
    spread = ((y - mean) ** 2).std() / np.sqrt(n)
    assert abs(y.mean() - mean) < 5 * np.sqrt(variance / n)
    assert abs(y.var() - variance) < 5 * spread
    wrong = np.pi**2 / 6 * (1 / (alpha - 0.05) ** 2 + 0.5)
    assert abs(y.var() - wrong) > 5 * spread


def tail_counts(draw, alpha, levels, chunks, key, positive=False, size=5_000_000):
    """How many of chunks * size draws lie beyond the quantiles of these levels; fails if one draw is not finite."""
    quantiles = [float(far_quantile(alpha, p, positive)) for p in levels]

    @jax.jit
    def count(key):
        x = jnp.abs(draw(key, alpha, (size,)))
        return jnp.stack([jnp.sum(x > q) for q in quantiles]), jnp.sum(~jnp.isfinite(x))

    counts, bad = zip(*(count(k) for k in jax.random.split(key, chunks)), strict=True)
    assert not np.sum(bad)
    return np.sum(counts, axis=0)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.5, 1.5, 2.0])
def test_tails(alpha, key):
    """Frequencies beyond the quantiles 1e-5, 1e-6, 1e-7 in 2e7 draws; the quantiles of alpha - 0.05 are refused."""
    n, levels = 20_000_000, np.array([1e-5, 1e-6, 1e-7])
    counts = tail_counts(stable_noise.symmetric_stable, alpha, levels, 4, key)
    assert np.abs(z_scores(counts, n, levels)).max() < 5
    moved = [far_quantile(alpha, p) for p in levels]
    wrong = np.array([tail(alpha - 0.05, x) for x in moved])
    assert np.abs(z_scores(counts, n, wrong)).max() > 5


@pytest.mark.slow
@pytest.mark.parametrize(("law", "alpha"), [("symmetric", 0.3), ("symmetric", 1.5), ("symmetric", 2.0), ("positive", 0.3)])
def test_a_thousand_million_draws(law, alpha, key):
    """1e9 draws (MEANFIELD_DRAWS; fewer in .ci/run): all finite; frequencies beyond the quantiles 1e-6, 1e-7, 1e-8."""
    draws = float(os.environ.get("MEANFIELD_DRAWS", "1e9"))
    levels = np.array([level for level in (1e-6, 1e-7, 1e-8) if draws * level >= 10])
    counts = tail_counts(LAWS[law], alpha, levels, round(draws / 5e6), key, law == "positive")
    assert np.abs(z_scores(counts, draws, levels)).max() < 5


def replace_bits(monkeypatch, change):
    bits = jax.random.bits
    monkeypatch.setattr(jax.random, "bits", lambda *a: change(bits(*a)))


@pytest.mark.long
@pytest.mark.parametrize("alpha", [1.0, 1.5, 1.9])
def test_far_tail(alpha, key, monkeypatch):
    """The quantile 1e-12 in float32, by draws conditional on q < 2^-34: 3e5 of them, |z| < 5; 1.1e-12 is refused."""
    n = 300_000

    def near_the_end(words):
        return jnp.stack([words[0] | jnp.uint32(0xFFFFFFFE), words[1] | jnp.uint32(0x1C000)])

    replace_bits(monkeypatch, near_the_end)
    _, _, q = stable_noise._uniforms(jax.random.clone(key), (n,), jnp.dtype("float32"))[0]
    assert q.max() <= 2.0**-34
    x = jnp.abs(stable_noise._symmetric.__wrapped__(key, jnp.float32(alpha), (n,), jnp.float32))
    count = int(jnp.sum(x > float(far_quantile(alpha, 1e-12))))
    assert abs(z_scores(count, n, 1e-12 * 2**34)) < 5
    assert abs(z_scores(count, n, 1.1e-12 * 2**34)) > 5


@pytest.mark.long(4)
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_finite_at_every_corner(law, dtype, key, monkeypatch):
    """The most extreme random words there are, in all pairs, at indices down to the smallest number."""
    with jax.enable_x64(dtype == "float64"):
        size = 64 if dtype == "float64" else 32
        ones = 2**size - 1
        corners = [0, 1, 2, 3, 0xFFFF, 0x1FFFF, 2 ** (size - 1), ones - 0x1FFFF, ones - 0xFFFF, ones - 1, ones]
        pairs = np.array([[[a, b]] for a in corners for b in corners], f"uint{size}").T
        n, calc, dtype = pairs.shape[2], jnp.dtype("float64" if size == 64 else "float32"), jnp.dtype(dtype)
        alphas = [0.0, float(jnp.finfo(calc).tiny), 1e-30, 1e-3, 0.1, *ALPHAS]
        alphas = jnp.array([[v] for v in alphas if v <= (1 if law == "positive" else 2)], calc)
        if law == "isotropic":  # two coordinates a pair of words, and the largest scale
            monkeypatch.setattr(jax.random, "bits", lambda *a: jnp.asarray(pairs[:, 0]))
            monkeypatch.setattr(stable_noise, "_log_positive", lambda k, a, s: jnp.full(s, 1e30, a.dtype))
            x = stable_noise._isotropic.__wrapped__(key, alphas[-1, 0], (2 * n,), dtype)
        else:
            monkeypatch.setattr(jax.random, "bits", lambda *a: jnp.asarray(pairs))
            inner = stable_noise._symmetric if law == "symmetric" else stable_noise._positive
            x = inner.__wrapped__(key, alphas, (len(alphas), n), dtype)
            assert x.shape == (len(alphas), n) and (dtype == "float16" or (x != 0).all())
        assert x.dtype == dtype and jnp.isfinite(x).all()


@pytest.mark.parametrize("law", LAWS)
def test_very_small_index(law, key):
    x = LAWS[law](key, 1e-4, (1000, 3))
    assert jnp.isfinite(x).all() and jnp.abs(x).max() > 1e36 and jnp.abs(x).min() < 1e-36


@pytest.mark.long(5)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_single_draws_in_float32(alpha, key):
    """Each draw against the formula in float64 from the same uniforms: 1e5 draws, relative errors below 2e-5 / alpha."""
    single = np.float64(np.float32(alpha))
    (sign, p, q), (_, p2, q2) = (
        [np.asarray(v, float) for v in triple]
        for triple in stable_noise._uniforms(jax.random.clone(key), (100_000,), jnp.dtype("float32"))
    )
    np.testing.assert_allclose(p + q, 1, rtol=1e-7)
    p = np.where(p < 0.5, p, 1 - q)
    w = np.where(p2 < 0.5, -np.log1p(-p2), -np.log(q2))
    v, cos = p * np.pi / 2, np.sin(q * np.pi / 2)
    power = (1 - single) / single
    exact = sign * np.sin(single * v) / cos ** (1 / single) * (np.cos((1 - single) * v) / w) ** power
    found = stable_noise.symmetric_stable(jax.random.clone(key), alpha, (100_000,))
    np.testing.assert_allclose(found, exact, rtol=2e-5 / single)
    if alpha < 1:
        v = p * np.pi
        base = np.sin(single * v) / np.sin(np.minimum(p, q) * np.pi) ** (1 / single)
        exact = base * (np.sin((1 - single) * v) / w) ** power
        np.testing.assert_allclose(stable_noise.positive_stable(key, alpha, (100_000,)), exact, rtol=2e-5 / single)


def test_continuity(key):
    """Same key, 1e5 draws: at alpha = 1 every draw, at alpha = 2 all but the few that are jumps."""
    draw = lambda alpha: np.asarray(stable_noise.symmetric_stable(jax.random.clone(key), alpha, (100_000,)))  # noqa: E731
    for other in (1 - 1e-6, 1 + 1e-6):
        np.testing.assert_allclose(draw(other), draw(1.0), rtol=1e-4)
    assert np.mean(np.abs(draw(2 - 1e-6) / draw(2.0) - 1) > 1e-3) < 1e-2
    np.testing.assert_allclose(np.sort(draw(2 - 1e-6)), np.sort(draw(2.0)), atol=1e-3)


@pytest.mark.long(2)
@pytest.mark.parametrize(("alpha", "dim"), [(0.7, 3), (1.5, 5), (1.75, 1), (2.0, 3)])
def test_isotropic_characteristic_function(alpha, dim, key):
    """E cos <u, X> = exp(-|u|^alpha) in six directions, four radii; 5e5 vectors, |z| < 5; a wrong index or shape is refused."""
    n = 500_000
    x = np.asarray(stable_noise.isotropic_stable(key, alpha, (n, dim)), float)
    directions = np.concatenate([np.eye(dim)[:3], np.random.default_rng(0).standard_normal((3, dim))])
    radii = np.array([0.1, 0.5, 1.0, 2.0])
    phi = lambda r, a: np.exp(-(r**a))  # noqa: E731
    error = np.sqrt(((1 + phi(2 * radii, alpha)) / 2 - phi(radii, alpha) ** 2) / n)
    for u in directions / np.linalg.norm(directions, axis=1, keepdims=True):
        found = np.array([np.cos(r * (x @ u)).mean() for r in radii])
        assert np.abs((found - phi(radii, alpha)) / error).max() < 5
        assert np.abs((found - phi(radii, alpha - 0.05)) / error).max() > 5
        assert np.abs((found - phi(radii / np.sqrt(2), alpha)) / error).max() > 5  # the scale of Wan et al.


def test_coordinates_of_isotropic_vectors(key):
    """Coordinates 0 and 2 of four share random words: at alpha = 2 independent (5e5, |z| < 5), below they share A."""
    n = 500_000

    def z(alpha, f):
        a, _, b, _ = f(np.asarray(stable_noise.isotropic_stable(jax.random.clone(key), alpha, (n, 4)), float).T)
        return np.sqrt(n) * np.corrcoef(a, b)[0, 1]

    log = lambda v: np.log(np.abs(v))  # noqa: E731
    assert abs(z(2.0, np.sign)) < 5 and abs(z(1.5, np.sign)) < 5
    assert abs(z(2.0, log)) < 5 and abs(z(2.0, np.square)) < 5
    assert z(1.5, log) > 5


def test_consecutive_draws_are_independent(key):
    x = np.log(np.abs(np.asarray(stable_noise.symmetric_stable(key, 1.3, (1_000_000,)), float)))
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) * 1e3 < 5


@pytest.mark.long(1)
@pytest.mark.parametrize("law", LAWS)
def test_changing_alpha_does_not_compile(law, key, caplog):
    draw = LAWS[law]
    traces = []

    @jax.jit
    def traced(key, alpha):
        traces.append(alpha)
        return draw(key, alpha, (7, 3))

    keys = [jax.random.clone(key) for _ in range(8)]
    draw(keys[0], 0.5, (7, 3)), traced(keys[1], 0.5)
    with jax.log_compiles():
        for k, alpha in zip(keys[2:], [0.6, np.float32(0.7), 1, 0.9, 0.3, 1.0], strict=True):
            found = draw(k, alpha, (7, 3))
            np.testing.assert_allclose(traced(jax.random.clone(k), float(alpha)), found, rtol=1e-6)
    assert len(traces) == 1
    assert not [r for r in caplog.records if "ompiling" in r.getMessage() and law in r.getMessage()]


def test_the_compile_log_works(key, caplog):
    with jax.log_compiles():
        stable_noise.symmetric_stable(key, 0.5, (11, 13))
    assert [r for r in caplog.records if "ompiling" in r.getMessage() and "symmetric" in r.getMessage()]


@pytest.mark.long(1)
@pytest.mark.parametrize("law", LAWS)
def test_arrays_of_alpha(law, key):
    """An array of indices, a vmapped index and single ones: the same numbers."""
    draw, alphas = LAWS[law], np.array([0.4, 0.5, 0.6, 0.7, 1.0])
    clone = lambda: jax.random.clone(key)  # noqa: E731
    mapped = jax.vmap(lambda a: draw(clone(), a, (5, 3)))(jnp.asarray(alphas))
    rows = draw(clone(), alphas if law == "isotropic" else alphas[:, None], (5, 3))
    for i, alpha in enumerate(alphas):
        np.testing.assert_allclose(mapped[i], draw(clone(), alpha, (5, 3)), rtol=1e-5)
        np.testing.assert_allclose(rows[i], mapped[i, i], rtol=1e-5)


@pytest.mark.long(1)
@pytest.mark.parametrize("law", LAWS)
def test_vmapped_keys_and_traced_index_outside(law, key):
    """Other keys, other numbers; an index that is only known to be wrong at run time gives NaN."""
    keys, alphas = jax.random.split(key, 5), jnp.array([0.7, 0.7, 2.1, -0.5, jnp.nan])
    found = jax.vmap(lambda k, a: LAWS[law](k, a, (4, 3)))(keys, alphas)
    assert jnp.isfinite(found[:2]).all() and not (found[0] == found[1]).any()
    assert jnp.isnan(found[2:]).all()


@pytest.mark.long(1)
@pytest.mark.parametrize("law", LAWS)
def test_types_and_shapes(law, key):
    draw = LAWS[law]
    clone = lambda: jax.random.clone(key)  # noqa: E731
    x = draw(clone(), 0.9, (4, 3), "float16")
    assert x.dtype == jnp.float16 and jnp.isfinite(x).all()
    for shape in [(0,), (3,), (0, 2), (2, 0), (1, 1), (5, 4, 3), *([()] if law != "isotropic" else [])]:
        assert jax.eval_shape(lambda s=shape: draw(clone(), 0.9, s)).shape == shape
    assert draw(clone(), 0.9, (0, 2)).size == 0
    with jax.enable_x64(True):
        x = draw(clone(), 0.9, (100_000, 2))
        assert x.dtype == jnp.float64 and jnp.isfinite(x).all()
        median = float(jnp.median(jnp.abs(x)))
    single = draw(clone(), 0.9, (100_000, 2))
    assert single.dtype == jnp.float32
    assert abs(median / float(jnp.median(jnp.abs(single))) - 1) < 0.03  # other words, the same law


KEY = jax.random.key(0)
TOP2, TOP1 = "Argument `alpha` must lie in (0, 2], but is ", "Argument `alpha` must lie in (0, 1], but is "


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stable_noise.symmetric_stable(KEY, 0), TOP2 + "0."),
        (lambda: stable_noise.symmetric_stable(KEY, 2.1), TOP2 + "2.1."),
        (lambda: stable_noise.symmetric_stable(KEY, float("nan")), TOP2 + "nan."),
        (lambda: stable_noise.symmetric_stable(KEY, "x"), TOP2 + "'x'."),
        (lambda: stable_noise.symmetric_stable(KEY, None), TOP2 + "None."),
        (lambda: stable_noise.symmetric_stable(KEY, jnp.array([0.5, 3.0]), (2,)), TOP2 + "[0.5, 3.0]."),
        (lambda: stable_noise.isotropic_stable(KEY, -1, (2,)), TOP2 + "-1."),
        (lambda: stable_noise.positive_stable(KEY, 1.5), TOP1 + "1.5."),
        (
            lambda: stable_noise.symmetric_stable(0, 1.5),
            "Argument `key` must be one random key, made by `jax.random.key(seed)`, but is 0.",
        ),
        (lambda: stable_noise.symmetric_stable(KEY, 1.5, 7), "Argument `shape` must be a tuple of integers >= 0, but is 7."),
        (
            lambda: stable_noise.positive_stable(KEY, 0.5, (-1,)),
            "Argument `shape` must be a tuple of integers >= 0, but is (-1,).",
        ),
        (
            lambda: stable_noise.isotropic_stable(KEY, 1.5, ()),
            "Argument `shape` must be a tuple of one or more integers >= 0, but is ().",
        ),
        (
            lambda: stable_noise.symmetric_stable(KEY, [1.0, 1.5], (3,)),
            "Argument `alpha` must broadcast to (3,), but is an array of shape (2,).",
        ),
        (
            lambda: stable_noise.isotropic_stable(KEY, [1.0, 1.5], (2,)),
            "Argument `alpha` must broadcast to (), but is an array of shape (2,).",
        ),
        (
            lambda: stable_noise.symmetric_stable(KEY, 1.5, (), "float64"),
            "Argument `dtype` must be a floating type of 2 or 4 bytes, or of 8 under `jax.enable_x64`, but is 'float64'.",
        ),
        (
            lambda: stable_noise.symmetric_stable(KEY, 1.5, (), int),
            "Argument `dtype` must be a floating type of 2 or 4 bytes, or of 8 under `jax.enable_x64`, but is <class 'int'>.",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value) == message
