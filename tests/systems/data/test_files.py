"""Data sets in files, and files that are not what they say."""

import gzip
import struct

import numpy as np
import pytest

import meanfield as mf
from tests.systems.data.common import sentence


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
