"""Data sources: laws, files, and files that are not what they say."""

import gzip
import math
import re
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import meanfield as mf
from meanfield.systems.data.finite import shuffled


def idx(array: np.ndarray) -> bytes:
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    return (
        bytes([0, 0, code, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (30, 4, 3), dtype=np.uint8), (np.arange(30) % 5).astype(np.uint8)


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


@pytest.mark.slow
def test_teacher_law():
    """Moments of 50 000 fresh examples within five standard errors, and the label noise: residual variance 0.09."""
    data = mf.data.teacher(jax.random.key(0), dim=4, neurons=10, activation="tanh", noise_std=0.3)
    x, y = data.batch(jax.random.key(1), 0, 50_000)
    x, y = np.asarray(x, float), np.asarray(y, float)
    squares = np.sum(x**2, axis=1)
    assert abs(squares.mean() - 1) < 5 * np.sqrt(2 / 4 / 50_000)
    w, a = np.asarray(data.particles.w, float), np.asarray(data.particles.a, float)
    residual = y - np.tanh(x @ w.T) @ a / 10
    z = (residual.var() / 0.09 - 1) / np.sqrt(2 / 50_000)
    assert abs(z) < 5
    again, _ = data.batch(jax.random.key(1), 0, 3)
    other, _ = data.batch(jax.random.key(2), 0, 3)
    assert not np.array_equal(again, other)
    assert data.x_test.shape == (2000, 4)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_directory(tmp_path, images, suffix):
    x, y = images
    pack = gzip.compress if suffix else bytes
    for split, part in (("train", slice(0, 20)), ("t10k", slice(20, 30))):
        (tmp_path / f"{split}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(x[part])))
        (tmp_path / f"{split}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(y[part])))
    data = mf.data.load(tmp_path)
    flat = x.reshape(30, -1).astype(float)
    expected = (flat - flat.mean()) / flat.std() / np.sqrt(12)
    np.testing.assert_allclose(data.x, expected[:20], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(data.x_test, expected[20:], rtol=1e-5, atol=1e-6)
    assert np.array_equal(data.y, y[:20]) and np.array_equal(data.y_test, y[20:]) and data.classes == 5
    one = mf.data.load(tmp_path / f"train-images-idx3-ubyte{suffix}")
    assert one.x.shape == (16, 12) and one.x_test.shape == (4, 12)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_idx_types(tmp_path, dtype):
    x = np.arange(24).reshape(6, 4).astype(dtype)
    (tmp_path / "my-images").write_bytes(idx(x))
    (tmp_path / "my-labels").write_bytes(idx(np.array([0, 1, 2, 0, 1, 2], "i4")))
    data = mf.data.load(tmp_path / "my-images", test_fraction=0)
    flat = x.astype(float)
    rows = (flat - flat.mean()) / flat.std() / 2
    np.testing.assert_allclose(np.sort(np.asarray(data.x), axis=0), np.sort(rows, axis=0), rtol=1e-5)


def test_npz(tmp_path, images):
    x, y = images
    np.savez(tmp_path / "a.npz", x_train=x[:20], y_train=y[:20], x_test=x[20:], y_test=y[20:])
    np.savez(tmp_path / "b.npz", x=x, y=y)
    np.savez(tmp_path / "c.npz", x=x.reshape(30, -1), y=np.linspace(0, 1, 30))
    assert mf.data.load(tmp_path / "a.npz").x_test.shape == (10, 12)
    assert mf.data.load(tmp_path / "b.npz").x_test.shape == (6, 12)
    regression = mf.data.load(tmp_path / "c.npz")
    assert regression.classes == 0 and regression.outputs == 1


@pytest.mark.long
def test_mnist_sample_is_real():
    data = mf.data.mnist_sample()
    assert data.x.shape == (4000, 784) and data.classes == 10
    counts = np.bincount(np.asarray(data.y), minlength=10)
    assert (counts > 350).all() and (counts < 450).all()  # shuffled: the file is sorted by class


def sentence(pattern):
    return pytest.raises(mf.ArgumentError, match=pattern)


def test_files_that_are_not_what_they_say(tmp_path, images):
    x, y = images
    with sentence("`path` must be a file or directory that exists, but is .*nothing"):
        mf.data.load(tmp_path / "nothing.npz")
    with sentence("train-images-idx3-ubyte"):
        mf.data.load(tmp_path)
    (tmp_path / "text.npz").write_text("hello")
    with sentence("must be an .npz file"):
        mf.data.load(tmp_path / "text.npz")
    np.save(tmp_path / "one.npy", x)
    (tmp_path / "one.npy").rename(tmp_path / "npy.npz")
    with sentence("must be an .npz file"):
        mf.data.load(tmp_path / "npy.npz")
    np.savez(tmp_path / "names.npz", images=x)
    with sentence(r"with \['images'\]"):
        mf.data.load(tmp_path / "names.npz")
    np.savez(tmp_path / "pickled.npz", x=np.array([{"a": 1}], object), y=y)
    with sentence("must be an .npz file of plain arrays"):
        mf.data.load(tmp_path / "pickled.npz")
    (tmp_path / "truncated.npz").write_bytes((tmp_path / "names.npz").read_bytes()[:200])
    with sentence("must be an .npz file"):
        mf.data.load(tmp_path / "truncated.npz")
    (tmp_path / "a-images.gz").write_bytes(idx(x))
    (tmp_path / "a-labels.gz").write_bytes(gzip.compress(idx(y)))
    with sentence("must be a gzip file"):
        mf.data.load(tmp_path / "a-images.gz")
    (tmp_path / "a-images.gz").write_bytes(gzip.compress(idx(x))[:-20])
    with sentence("must be a gzip file"):
        mf.data.load(tmp_path / "a-images.gz")
    (tmp_path / "b-images").write_bytes(idx(x)[:-1])
    with sentence("labels beside it"):
        mf.data.load(tmp_path / "b-images")
    (tmp_path / "b-labels").write_bytes(idx(y))
    with sentence("asks for 360 bytes, 359 are there"):
        mf.data.load(tmp_path / "b-images")
    (tmp_path / "b-images").write_bytes(b"P5 not idx")
    with sentence("must be an idx file"):
        mf.data.load(tmp_path / "b-images")
    (tmp_path / "b-images").write_bytes(idx(x[:7]))
    with sentence("must have 7 rows"):
        mf.data.load(tmp_path / "b-images")
    (tmp_path / "notes.txt").write_text("x")
    with sentence("must be a directory, an .npz file or an idx file"):
        mf.data.load(tmp_path / "notes.txt")
    np.savez(tmp_path / "widths.npz", x_train=x, y_train=y, x_test=x[:, :2], y_test=y)
    with sentence("`x_test` with 12 columns"):
        mf.data.load(tmp_path / "widths.npz")


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


def test_huge_inputs_keep_their_pictures(tmp_path):
    """1e200 times an image is the same image after standardisation, not zeros."""
    x = np.random.default_rng(0).normal(size=(40, 5))
    for factor in (1.0, 1e200, 1e-200):
        np.savez(tmp_path / "d.npz", x=x * factor, y=np.arange(40) % 3)
        loaded = mf.data.load(tmp_path / "d.npz")
        first = loaded.x if factor == 1.0 else first  # noqa: F821
        np.testing.assert_allclose(loaded.x, first, rtol=1e-5)


@pytest.mark.parametrize("names", [("x_train", "y_train", "x_test"), ("x", "y", "x_train", "y_train")])
def test_npz_with_a_part_of_a_set_is_refused(names, tmp_path):
    arrays = {n: np.arange(8.0).reshape(4, 2) if n[0] == "x" else np.arange(4) % 2 for n in names}
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(mf.ArgumentError, match="x_train, y_train"):
        mf.data.load(tmp_path / "d.npz")
