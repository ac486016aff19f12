"""Data sets from files of the user: idx, idx.gz, npz."""

import gzip
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from meanfield import _check
from meanfield.systems.data.finite import FiniteData, from_arrays, largest_label, scaled, split


def load(path: str | os.PathLike, test_fraction: float = 0.2) -> FiniteData:
    """A classification or regression set from files of the user.

    Inputs are flattened to vectors, standardised with one mean and one standard deviation over the whole set, and divided by
    sqrt(dim).

    Args:
        path: one of
            - a directory with MNIST's file names, `train-images-idx3-ubyte[.gz]`, `train-labels-idx1-ubyte[.gz]` and, if there
              is a test set, the two that begin with `t10k`;
            - an images file of idx format, `*images*[.gz]`, beside its labels file, `*labels*[.gz]`, named alike;
            - an `.npz` file with `x_train, y_train` and, if there is a test set, `x_test, y_test`; or with `x, y`. One more
              number, `classes`, says how many classes there are, or by 0 that the targets are real (see `from_arrays`).
        test_fraction: part kept for testing if the files have no test set, in [0, 1).

    Raises:
        ValueError: no such file, a file that is not what its name says, arrays that do not fit together (see `from_arrays`).

    Nothing is unpickled: arrays of Python objects are refused.
    """
    path, classes = _check.path("path", path), None
    _check.require(path.exists(), "path", "be a file or directory that exists", str(path))
    if path.is_dir():
        arrays = _idx_pair(_idx_file(path, "train-images-idx3-ubyte"))
        if any(path.glob("t10k-images-idx3-ubyte*")):
            arrays += _idx_pair(_idx_file(path, "t10k-images-idx3-ubyte"))
    elif path.suffix == ".npz":
        arrays, classes = _npz(path)
    elif "images" in path.name:
        arrays = _idx_pair(path)
    else:
        must = "be a directory, an .npz file or an idx file with 'images' in its name"
        raise _check.ArgumentError(f"Argument `path` must {must}, but is {str(path)!r}.")
    inputs = [_check.finite("path", v, ndim=(2, 3, 4)).reshape(len(v), -1) for v in arrays[::2]]
    for name, v in zip(("x", "x_test"), inputs, strict=False):
        fits = v.shape[1] == inputs[0].shape[1]
        _check.require(fits, "path", f"have `{name}` with {inputs[0].shape[1]} columns", _check.words(f"of shape {v.shape}"))
    targets = [v[:, 0] if v.ndim == 2 and v.shape[1] == 1 and v.dtype.kind in "iu" else v for v in arrays[1::2]]
    rows = scaled(np.concatenate(inputs))
    if len(inputs) == 1:
        return split(rows, targets[0], test_fraction, classes)
    n = len(inputs[0])
    classes = largest_label(targets) if classes is None else classes
    return from_arrays(rows[:n], targets[0], rows[n:], targets[1], classes=classes)


def _idx_file(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.exists():
            return candidate
    raise _check.ArgumentError(f"Argument `path` must be a directory with {name} or {name}.gz, but {str(folder)!r} has neither.")


def _idx_pair(images: Path) -> list[np.ndarray]:
    name = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    found = [images.with_name(name + end) for end in ("", ".gz") if images.with_name(name + end).exists()]
    _check.require(bool(found), "path", f"have its labels beside it, in {name} or {name}.gz", str(images))
    return [_idx(images), _idx(found[0])]


_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def _idx(path: Path) -> np.ndarray:
    """Read one idx file: two zero bytes, a type, the number of axes, their lengths (big-endian), the entries."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise _check.ArgumentError(
            f"Argument `path` must be a gzip file if its name ends in .gz, but {str(path)!r} is not: {error}."
        ) from None
    must = "be an idx file (two zero bytes, a type, a number of axes, their lengths, then that many entries)"
    good = len(content) >= 4 and content[:2] == b"\0\0" and content[2] in _IDX_TYPES and len(content) >= 4 + 4 * content[3]
    _check.require(good, "path", must, _check.words(f"{str(path)!r}, which begins with {content[:4]!r}"))
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    dtype = np.dtype(_IDX_TYPES[content[2]])
    body = content[4 + 4 * content[3] :]
    said = int(np.prod(shape, dtype=object)) * dtype.itemsize
    _check.require(
        len(body) == said,
        "path",
        must,
        _check.words(f"{str(path)!r}: shape {shape} asks for {said} bytes, {len(body)} are there"),
    )
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _npz(path: Path) -> tuple[list[np.ndarray], int | None]:
    """The arrays, and the number of classes if the file has it."""
    must = "be an .npz file of plain arrays with `x_train, y_train` (and `x_test, y_test`) or `x, y`, and `classes` if need be"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            sets = ("x_train", "y_train", "x_test", "y_test"), ("x_train", "y_train"), ("x", "y")
            known = set(archive.files) & {"x", "y", *sets[0]}  # a set that is there in part must not be passed over
            for names in sets:
                if set(names) == known:
                    classes = archive["classes"].item() if "classes" in archive.files else None
                    return [archive[name] for name in names], classes
            found = f"{str(path)!r} with {archive.files}"
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, TypeError, zlib.error) as error:
        found = f"{str(path)!r} ({type(error).__name__}: {error})"
    raise _check.ArgumentError(f"Argument `path` must {must}, but is {found}.")
