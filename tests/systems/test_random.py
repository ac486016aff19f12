"""Random words and normal numbers: bit for bit jax's where they are, and exact in their tails."""

import math
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from meanfield.systems import random
from tests.systems.common import z_scores


def test_words_are_those_of_fold_in(key):
    """Bit for bit, twice folded, at the ends of the counter."""
    counts = np.array([0, 1, 2, 12345, 2**31, 2**32 - 1], np.uint32)
    once = random.fold_words(random.key_words(key), jnp.uint32(7))
    words = random.fold_words((once[0][None], once[1][None]), jnp.asarray(counts))
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.fold_in(key, 7), i))(jnp.asarray(counts))
    assert np.array_equal(jax.random.key_data(keys).T, words)


def radius_tail(radius, z):
    """P(|R sin V| > z) for V uniform on the circle."""
    return 2 / np.pi * np.arccos(np.minimum(z / radius, 1))


@pytest.mark.long
def test_tail_of_normal_pairs_is_exact():
    """P(|Z| > z) by summing over ALL random words of a radius above 4; uniforms of 24 bits, and of 32 beyond 6, are refused."""

    def radius(one, low):
        # 2^21 of 2^22 parts of a quarter of the circle: the two numbers are equal.
        first, second = random.normal_pair((jnp.asarray(one, jnp.uint32), jnp.asarray(low, jnp.uint32) | jnp.uint32(2**21 << 8)))
        return np.hypot(np.asarray(first, float), np.asarray(second, float))

    near, far = np.arange(2**12), np.arange(2**12, math.ceil(2**32 * np.exp(-8)) + 1)
    low = np.arange(256)
    fine = radius(np.repeat(near, 256), np.tile(low, len(near)))
    coarse = radius(far, np.full(len(far), 128))  # where the low byte no longer matters
    bits_24 = np.sqrt(-2 * np.log((np.arange(2**14) + 0.5) / 2**24))
    bits_32 = np.sqrt(-2 * np.log((np.arange(2**12) + 0.5) / 2**32))
    for z in (4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0):
        exact = 2 * stats.norm.sf(z)
        ours = np.sum(radius_tail(fine, z)) * 2.0**-40 + np.sum(radius_tail(coarse, z)) * 2.0**-32
        assert abs(ours / exact - 1) < (1e-5 if z < 6 else 1e-3 if z < 7 else 1e-2)
        if z >= 5:
            assert abs(np.sum(radius_tail(bits_24, z)) * 2.0**-24 / exact - 1) > 1e-3
        if z >= 6.5:
            assert abs(np.sum(radius_tail(bits_32, z)) * 2.0**-32 / exact - 1) > 1e-2
    assert 7.53 < fine.max() < 7.55


@pytest.mark.slow
def test_angles_of_normal_pairs_are_exact():
    """All 2^24 of them, against float64: a random bit for every sign, and error of the last digits."""
    bits = np.arange(2**24, dtype=np.uint32) << 8
    first, second = (np.asarray(v, float) for v in jax.jit(random.normal_pair)((jnp.zeros(2**24, jnp.uint32), jnp.asarray(bits))))
    quarter = ((bits >> 8 & (2**22 - 1)) + 0.5) / 2**22 * np.pi / 2
    radius = np.sqrt(-2 * np.log(2.0**-41))
    assert np.abs(first - (1 - 2.0 * (bits >> 31)) * radius * np.sin(quarter)).max() < 2e-6
    assert np.abs(second - (1 - 2.0 * (bits >> 30 & 1)) * radius * np.cos(quarter)).max() < 2e-6
    assert (first != 0).all() and (second != 0).all()


def normal_counts(sample, rounds, levels):
    """How many of the numbers of `sample(round)` lie beyond the levels, above and below; their number."""
    counts = jax.jit(lambda i: [jnp.sum(sign * v > z) for v in sample(i) for sign in (1, -1) for z in levels])
    total = np.sum([np.array(counts(jnp.uint32(i))) for i in range(rounds)], axis=0)
    return total.reshape(-1, len(levels))


def pairs(key, size=5_000_000):
    """`size` pairs a round."""
    return lambda i: random.normal_pair(
        random.fold_words(random.fold_words(random.key_words(key), i), jnp.arange(size, dtype="uint32"))
    )


@pytest.mark.slow
def test_distribution_of_normal_pairs(key):
    """Five million pairs: |z| < 5 of frequencies, Kolmogorov, moments, independence of the two and of neighbours."""
    levels, n = (0.01, 0.5, 1.0, 2.0, 3.0, 4.0, 4.5), 5_000_000
    counts = normal_counts(pairs(key), 1, levels)
    assert np.abs(z_scores(counts, n, stats.norm.sf(levels))).max() < 5
    assert np.abs(z_scores(counts, n, stats.t(200).sf(levels))).max() > 5
    both = np.array(jax.jit(pairs(key, 200_000))(jnp.uint32(1)), float)
    rows = np.vstack([both[:, :-1], both[:, 1:]])
    for sample in (*both, both.sum(axis=0) / np.sqrt(2)):
        assert stats.kstest(sample, stats.norm.cdf).pvalue > 6e-7 > stats.kstest(sample, stats.norm(0.02).cdf).pvalue
        moments = np.array([np.mean(sample**k) for k in (1, 2, 3, 4)])
        assert np.abs((moments - [0, 1, 0, 3]) / np.sqrt(np.array([1, 2, 15, 96]) / len(sample))).max() < 5
    for f in (lambda v: v, np.abs, np.square):
        r = np.corrcoef(f(rows))[np.triu_indices(4, 1)]
        assert np.abs(r).max() * np.sqrt(rows.shape[1]) < 5


@pytest.mark.slow
def test_a_thousand_million_normal_pairs(key):
    """1e9 draws (MEANFIELD_DRAWS): frequencies beyond 4, 5, 5.5, 6; `jax.random.normal` has none beyond 5.5, and fails."""
    draws = float(os.environ.get("MEANFIELD_DRAWS", "1e9"))
    levels, rounds = np.array([4.0, 4.5, 5.0, 5.5, 6.0]), round(draws / 1e7)
    counts = normal_counts(pairs(key), rounds, levels).sum(axis=0)
    exact = 2 * stats.norm.sf(levels)
    tested = exact * rounds * 1e7 >= 10
    assert np.abs(z_scores(counts, rounds * 1e7, exact))[tested].max() < 5
    if draws >= 1e9:
        other = normal_counts(lambda i: (jax.random.normal(jax.random.fold_in(key, i), (10_000_000,)),), rounds, levels).sum(
            axis=0
        )
        assert np.abs(z_scores(other, rounds * 1e7, exact))[tested].max() > 5


@pytest.mark.long(1)
@pytest.mark.parametrize(("count", "start", "stop"), [(1, 0, 1), (5, 1, 3), (2048, 0, 74), (3000, 700, 785)])
def test_rows_of_normal_numbers_are_those_of_jax(count, start, stop):
    keys = jax.random.split(jax.random.key(3), 4)
    rows = jax.vmap(lambda key: random.normal_rows(key, count, start, stop))(keys)
    of_jax = lambda key, i: jax.random.normal(jax.random.fold_in(key, i), (stop,))[start:]  # noqa: E731
    expected = jax.vmap(lambda key: jax.vmap(lambda i: of_jax(key, i))(jnp.arange(count)))(keys)
    assert (rows == expected).all()


@pytest.mark.short(1)
@pytest.mark.parametrize("size", [1, 6, 7])
def test_normal_vectors_are_pairs_of_folded_keys(size, key):
    """`random.normal`, from its documented words; sizes even and odd."""
    own = jax.vmap(lambda i: jax.random.key_data(jax.random.fold_in(key, i)))(jnp.arange((size + 1) // 2))
    first, second = random.normal_pair((own[:, 0], own[:, 1]))
    expected = np.concatenate([first, second])[:size]
    np.testing.assert_allclose(random.normal(key, size, jnp.float32), expected, rtol=1e-6)


@pytest.mark.long
def test_normal_vectors_have_independent_normal_numbers(key):
    """100 000 vectors of three: the law of every number, and no correlation of numbers or of their squares."""
    n = 10**5
    vectors = jax.vmap(lambda k: random.normal(k, 3, jnp.float32))(jax.random.split(key, n))
    z = np.asarray(vectors, np.float64)
    assert all(stats.kstest(column, "norm").pvalue > 1e-4 for column in z.T)
    for powers in (z, z**2):
        correlation = np.corrcoef(powers.T)[np.triu_indices(3, 1)]
        assert np.all(np.abs(correlation) < 5 / np.sqrt(n))
