"""Finite sets: real, their mini-batches uniform, their epochs shuffled; arrays that are not what they say."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from meanfield.systems.data.finite import shuffled
from tests.systems.data.common import sentence


def test_digits_are_real_and_scaled(digits):
    from sklearn.datasets import load_digits

    x = np.concatenate([digits.x, digits.x_test]).astype(float)
    assert x.shape == (1797, 64) and digits.outputs == 10
    np.testing.assert_allclose(np.mean(np.sum(x**2, axis=1)), 1, rtol=1e-5)
    np.testing.assert_allclose(x.mean(), 0, atol=1e-6)
    raw, labels = load_digits(return_X_y=True)
    scaled = (raw - raw.mean()) / raw.std() / 8
    rows = {tuple(np.round(r, 4)): y for r, y in zip(scaled, labels, strict=True)}
    assert all(
        rows[tuple(np.round(r, 4))] == y
        for r, y in zip(np.asarray(digits.x[:200], float), np.asarray(digits.y[:200]), strict=True)
    )
    train = {r.tobytes() for r in np.asarray(digits.x)}
    assert sum(r.tobytes() in train for r in np.asarray(digits.x_test)) <= 5  # split, not copied (a few digits may be equal)


def test_mini_batches_are_uniform(digits):
    """20 000 draws with replacement: chi-square over the 1437 examples within five standard deviations; a skewed law fails."""
    x, y = digits.batch(jax.random.key(0), 0, 20_000)
    order = {r.tobytes(): i for i, r in enumerate(np.asarray(digits.x))}
    index = np.array([order[r.tobytes()] for r in np.asarray(x)])
    assert np.array_equal(np.asarray(digits.y)[index], y)
    n = len(order)

    def z(index):
        counts = np.bincount(index, minlength=n)
        expected = len(index) * np.bincount([order[r.tobytes()] for r in np.asarray(digits.x)], minlength=n) / digits.size
        return (np.sum((counts - expected)[expected > 0] ** 2 / expected[expected > 0]) - (n - 1)) / np.sqrt(2 * (n - 1))

    assert abs(z(index)) < 5
    assert abs(z(np.minimum(index, n * 9 // 10))) > 5


def test_bad_arrays():
    x, y = np.eye(4), np.array([0, 1, 2, 1])
    bad = x.copy()
    bad[0, 0], bad[1, 2] = np.nan, np.inf
    with sentence("Argument `x` must be finite, but is an array with 2 NaN or infinite of 16 entries."):
        mf.data.from_arrays(bad, y)
    with sentence(re.escape("Argument `x` must have 2 axes, but is an array of shape (4,).")):
        mf.data.from_arrays(x[0], y)
    with sentence("Argument `y` must have 4 rows"):
        mf.data.from_arrays(x, y[:3])
    with sentence(r"Argument `y` must hold labels in 0, ..., 1, but is holding \[2\]."):
        mf.data.from_arrays(x, y, classes=2)
    with sentence("`y` must hold no negative labels"):
        mf.data.from_arrays(x, y - 1)
    with sentence("`y_test` must hold labels in 0, ..., 2"):
        mf.data.from_arrays(x, y, x, y + 5)
    with sentence("`x_test` must have as many columns as `x`, that is 4"):
        mf.data.from_arrays(x, y, x[:, :2], y)
    with sentence("`y_test` must be given together"):
        mf.data.from_arrays(x, y, x)
    with sentence("`y_test` must be of the kind of `y`"):
        mf.data.from_arrays(x, y, x, y * 0.5)
    with sentence("`x` must be an array of real numbers"):
        mf.data.from_arrays([["a"]], [0])
    with sentence("`x` must not be empty"):
        mf.data.from_arrays(np.zeros((0, 3)), [])
    with sentence("`classes` must be None with real targets"):
        mf.data.from_arrays(x, y * 0.5, classes=3)
    with sentence("`test_fraction` must lie in"):
        mf.data.digits(test_fraction=1.0)
    with sentence("`noise_std` must be a number >= 0"):
        mf.data.teacher(jax.random.key(0), dim=2, neurons=2, noise_std=-1)
    with sentence("`key` must be one random key"):
        mf.data.teacher(jnp.zeros(2), dim=2, neurons=2)


@pytest.mark.long
def test_epochs_visit_every_example_once_in_changing_order(key):
    """Seven epochs of 10 examples in mini-batches of 4, which do not divide an epoch; orders differ between epochs and keys."""
    data = mf.data.from_arrays(np.arange(10.0)[:, None], np.zeros(10, int)).in_epochs()
    visits = np.ravel([data.batch(key, step, 4)[0] for step in range(18)])[:70].reshape(7, 10)
    assert (np.sort(visits, axis=1) == np.arange(10)).all()
    assert len({tuple(row) for row in visits}) == 7
    other = np.ravel([data.batch(jax.random.key(1), step, 4)[0] for step in range(18)])[:70].reshape(7, 10)
    assert (other != visits).any(axis=1).all()


@pytest.mark.short(3)
@pytest.mark.parametrize("size", [1, 2, 5, 16, 17, 1000])
def test_shuffled_is_a_permutation(size, key):
    order = jax.vmap(lambda place: shuffled(key, place, size))(jnp.arange(size))
    assert sorted(order.tolist()) == list(range(size))


def orders(key, size, number):
    """So many orders of `size` things, (number, size), as epochs make their keys."""
    order = jax.vmap(lambda epoch: jax.vmap(lambda p: shuffled(jax.random.fold_in(key, epoch), p, size))(jnp.arange(size)))
    return np.asarray(jax.jit(order)(jnp.arange(number, dtype=jnp.uint32)))


def departure(found, cells):
    """Standard deviations by which chi-square of rows says that `cells` outcomes are not equally likely."""
    counts = np.unique(found, axis=0, return_counts=True)[1]
    expected = len(found) / cells
    chi = np.sum((counts - expected) ** 2 / expected) + expected * (cells - len(counts))
    return (chi - (cells - 1)) / np.sqrt(2 * (cells - 1))


@pytest.mark.short(1)
@pytest.mark.parametrize("size", [4, 5, 6])
def test_every_order_of_few_examples_is_equally_likely(size, key):
    """100 000 orders: chi-square over all size! of them, |z| < 5; orders whose first place alone is right must fail."""
    found = orders(key, size, 100_000)
    assert abs(departure(found, math.factorial(size))) < 5
    rotated = (found[:, :1] + np.arange(size)) % size
    assert departure(rotated, math.factorial(size)) > 1000


@pytest.mark.long(1)
@pytest.mark.parametrize("size", [7, 16, 64])
def test_places_of_an_epoch_are_independent(size, key):
    """100 000 orders: chi-square of the first, the first and last, and three places, |z| < 5. A share of 1/10 in which the last
    place follows the first must fail."""
    found = orders(key, size, 100_000)
    last = np.where(np.arange(100_000)[:, None] % 10 == 0, (found[:, :1] + 1) % size, found[:, -1:])
    assert abs(departure(found[:, :1], size)) < 5
    assert abs(departure(found[:, [0, -1]], size * (size - 1))) < 5
    assert abs(departure(found[:, [0, size // 2, -1]], size * (size - 1) * (size - 2))) < 5
    assert departure(np.hstack([found[:, :1], last]), size * (size - 1)) > 10


@pytest.mark.parametrize("size", [5, 16])
def test_even_and_odd_orders_are_equally_likely(size, key):
    """100 000 orders of up to 16 examples: the mean of the signs is within 5 standard errors of 0; one even order more in 50 is not."""
    found = orders(key, size, 100_000)
    inversions = sum(np.sum(found[:, i, None] > found[:, i + 1 :], axis=1) for i in range(size))
    signs = 1 - 2 * (inversions % 2)
    z = lambda v: v.mean() * np.sqrt(len(v))  # noqa: E731
    assert abs(z(signs)) < 5 < z(np.where(np.arange(len(signs)) % 25 == 0, 1, signs))


def test_all_of_a_few_examples_are_drawn(key):
    data = mf.data.from_arrays(np.arange(3.0)[:, None], np.arange(3))
    assert set(np.asarray(data.batch(key, 0, 200)[1]).tolist()) == {0, 1, 2}
