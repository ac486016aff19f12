"""One sentence for every wrong argument: its name, what it must be, what it is.

All checks look at what a user typed: Python and numpy numbers, strings, sequences and concrete arrays. They let tracers and
the place holders pass that jax puts into a pytree when it rebuilds one, so that a `__post_init__` may call them.
"""

import dataclasses
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import jax
import jax.core
import jax.numpy as jnp
import numpy as np

TINY, HUGE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


THREEFRY = "threefry2x32"  # the kind of random keys that draws the same numbers alone and in company


class ArgumentError(ValueError):
    """An argument is not what it must be; the message names it."""


class StabilityWarning(UserWarning):
    """A step size is beyond the stability limit that the message names; divergence may be the experiment."""


def require(ok: bool, name: str, must: str, value: Any) -> None:
    """Raise "Argument `name` must MUST, but is VALUE." unless `ok`."""
    if not ok:
        raise ArgumentError(f"Argument `{name}` must {must}, but is {describe(value)}.")


def renamed(message: str, new: Callable[[str], str]) -> str:
    """The sentence of an `ArgumentError` with another name of the argument: on a command line, the option that was typed."""
    return re.sub(r"^Argument `(\w+)`", lambda name: f"Argument `{new(name[1])}`", message)


def describe(value: Any) -> str:
    """Short text of a value: small things whole, arrays by their shape."""
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return f"an array of random keys of shape {value.shape}"
    if isinstance(value, jax.core.Tracer):
        return f"traced by `jax.jit`, `jax.vmap` or `jax.grad` (shape {value.shape}, type {value.dtype})"
    if is_masked(value):
        return f"an array of shape {value.shape if isinstance(value, np.ndarray) else (len(value),)} with masked entries"
    if hasattr(type(value), "__array__") and not isinstance(value, jax.Array):  # pandas, xarray, torch
        try:
            value = np.asarray(value)
        except TypeError:  # an xarray dataset is not one array
            return f"a {type(value).__name__}"
    if isinstance(value, np.ndarray | jax.Array) and value.size > 8:
        return f"an array of shape {value.shape}"
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return repr(np.asarray(value).tolist())
    text = value if isinstance(value, _Words) else repr(value)
    return text if len(text) < 200 else text[:197] + "..."


class _Words(str):
    """Text that goes into a message as it stands, without quotes."""


def words(text: str) -> _Words:
    """Mark `text` as a description, not a value, for `require`."""
    return _Words(text)


def is_typed(value: Any) -> bool:
    """Whether `value` is something a user wrote, not a tracer or one of jax's place holders."""
    if isinstance(value, jax.core.Tracer):
        return False
    return isinstance(value, jax.Array) or not (
        type(value) is object or type(value).__module__.split(".")[0] in ("jax", "jaxlib")
    )


def is_masked(value: Any) -> bool:
    """Whether `value` is a numpy array with masked entries, or a list or tuple that holds one: `np.asarray` drops the mask."""
    if isinstance(value, list | tuple):
        return any(isinstance(v, np.ma.MaskedArray) and is_masked(v) for v in value)
    return isinstance(value, np.ma.MaskedArray) and bool(np.ma.is_masked(value))


def as_numpy(value: Any) -> np.ndarray:
    """What is in `value` as a numpy array that numpy can do arithmetic with; an array without numbers if there is none.

    Half precision that numpy has no kind for (bfloat16) becomes float32 of the same values. Tracers and masked entries hold no
    numbers.
    """
    if isinstance(value, jax.core.Tracer) or is_masked(value):
        return np.asarray(None)
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return np.asarray(None)
    return array.astype(np.float32) if array.dtype.kind == "V" and jnp.issubdtype(array.dtype, jnp.floating) else array


def numbers(name: str, value: Any, must: str, inside) -> None:
    """Check that `value` is a finite real number, or an array of them, for which `inside(array)` holds everywhere."""
    if not is_typed(value):
        return
    array = as_numpy(value)
    ok = bool(array.dtype.kind in "iuf" and array.size > 0 and np.all(np.isfinite(array)) and np.all(inside(array)))
    require(ok, name, must, value)


def untraced(name: str, value: Any) -> None:
    """Refuse a tracer where numbers must be known."""
    must = "be known numbers, because the answer is computed on the host"
    require(not isinstance(value, jax.core.Tracer), name, must, value)


def unmasked(name: str, value: Any) -> None:
    """Refuse a masked array: numpy would drop the mask and measure what it hides."""
    require(not is_masked(value), name, "be an array without masked entries (leave them out or fill them first)", value)


def frozen(name: str, kind: type) -> None:
    """Refuse a class of a user's own whose fields nobody would see, or that could change."""
    made = getattr(vars(kind).get("__dataclass_params__"), "frozen", False)
    must = "be of a class with the decorators `@jax.tree_util.register_dataclass` and `@dataclass(frozen=True)`, in this order"
    require(made, name, must, words(f"{kind.__name__} without `@dataclass(frozen=True)`"))


def pytree(name: str, one: Any) -> None:
    """Refuse an object that jax would take for a leaf."""
    must = "be a pytree: decorate its class with `@jax.tree_util.register_dataclass`"
    require(not jax.tree_util.all_leaves([one]), name, must, words(f"a {type(one).__name__}, which is none"))


def declared(name: str, one: Any, must: str, of: str | None = None) -> None:
    """Refuse a frozen dataclass without a field or class attribute `name`."""
    known = name in {field.name for field in dataclasses.fields(one)} or any(name in vars(kind) for kind in type(one).mro())
    require(known, of or name, must, words(f"missing in {type(one).__name__}"))


def outside_of_jax(name: str, tree: Any, what: str) -> None:
    """Refuse to do `what` under `jax.jit`, or with numbers that `jax.vmap` or `jax.grad` trace."""
    traced = any(isinstance(v, jax.core.Tracer) for v in (jnp.zeros(()), *jax.tree.leaves(tree)))
    must = f"be {what} outside of `jax.jit`, `jax.vmap` and `jax.grad`: that is done on the host"
    require(not traced, name, must, words("traced by one of them"))


def as_array_field(owner: Any, name: str) -> None:
    """Replace a list or tuple in a field of a frozen dataclass by the array of its numbers: one pytree leaf, not many.

    Numbers that jax would round to 0 or infinity are refused.
    """
    value = getattr(owner, name)
    foreign = hasattr(type(value), "__array__") and not isinstance(value, np.ndarray | np.generic | jax.Array)
    if isinstance(value, list | tuple | range) or foreign:
        try:
            array = np.empty(0) if is_masked(value) else np.asarray(value, float)
        except (TypeError, ValueError):
            array = np.empty(0)
        require(array.size > 0 and array.ndim <= 1, name, "be a number or a sequence of numbers", value)
        object.__setattr__(owner, name, array)
        value = array
    if isinstance(value, float | np.ndarray | np.generic):
        representable(name, value)


def representable(name: str, value: Any) -> None:
    """Check that jax rounds no number of `value` to 0 or infinity; what holds no numbers passes."""
    array = as_numpy(value)
    if array.dtype.kind == "f":
        size = np.abs(array.astype(np.float64))
        kept = (size == 0) | (size >= TINY) & (size <= HUGE) | ~np.isfinite(size) | bool(jax.config.read("jax_enable_x64"))
        require(bool(np.all(kept)), name, f"be 0 or between {TINY:g} and {HUGE:g} in modulus, what float32 can hold", value)


def positive(name: str, value: Any) -> None:
    """Check for a number > 0, or an array of such numbers."""
    numbers(name, value, "be a number > 0, or an array of them", lambda v: v > 0)


def nonnegative(name: str, value: Any) -> None:
    """Check for a number >= 0, or an array of such numbers."""
    numbers(name, value, "be a number >= 0, or an array of them", lambda v: v >= 0)


def number(name: str, value: Any, must: str, inside) -> float:
    """Check for one finite real number for which `inside(number)` holds, and return it."""
    untraced(name, value)
    require(as_numpy(value).ndim == 0, name, must, value)
    numbers(name, value, must, inside)
    return float(value)


def integer(name: str, value: Any, at_least: int) -> None:
    """Check for one integer not below `at_least`."""
    ok = isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= at_least)
    require(ok, name, f"be an integer >= {at_least}", value)


def seed(name: str, value: Any) -> None:
    """Check for a seed of a random key: jax would take a larger one for a smaller one."""
    ok = isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(0 <= value < 2**32)
    require(ok, name, "be an integer from 0 to 2^32 - 1", value)


def integers(name: str, value: Any, at_least: int) -> tuple[int, ...]:
    """Check for one or several different integers not below `at_least`, and return them as a tuple."""
    items = (value,)
    if isinstance(value, list | tuple | range | np.ndarray) and not is_masked(value):
        items = tuple(np.atleast_1d(value) if isinstance(value, np.ndarray) else value)
    ok = len(items) > 0 and all(isinstance(v, int | np.integer) and not isinstance(v, bool) and v >= at_least for v in items)
    ok = ok and len(set(items)) == len(items)
    require(ok, name, f"be one or several different integers >= {at_least}", value)
    return tuple(int(v) for v in items)


def boolean(name: str, value: Any) -> None:
    """Check for True or False."""
    require(isinstance(value, bool | np.bool_), name, "be True or False", value)


def function(name: str, value: Any, of: str) -> None:
    """Check for something that can be called; `of` says with what."""
    require(callable(value), name, f"be a function of {of}", value)


def choice(name: str, value: Any, options) -> None:
    """Check for one of `options`, and list them if it is not."""
    ok = isinstance(value, str) and value in options
    require(ok, name, "be one of " + ", ".join(repr(o) for o in options), value)


def random_key(name: str, value: Any) -> None:
    """Check for one typed random key (`jax.random.key(...)`) of the kind whose numbers are a function of the key alone."""
    ok = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key) and value.ndim == 0
    require(ok, name, "be one random key, made by `jax.random.key(seed)`", value)
    kind = str(jax.random.key_impl(value))  # others draw other numbers where they are drawn in company (`vmap`)
    must = "be a key of the kind threefry2x32, as `jax.random.key(seed, impl='threefry2x32')`"
    require(kind == THREEFRY, name, must, words(f"a key of the kind {kind}"))


def numeric(name: str, value: Any) -> Any:
    """Check for an array of real numbers, numpy's, jax's or traced, and return it as it is."""
    kinds = (jnp.floating, jnp.integer, jnp.bool_)
    ok = isinstance(value, np.ndarray | jax.Array) and any(jnp.issubdtype(value.dtype, kind) for kind in kinds)
    found = value if isinstance(value, str) else words(f"of type {type(value).__name__} ({getattr(value, 'dtype', 'no array')})")
    require(ok and not is_masked(value), name, "be an array of real numbers", found)
    return value


def finite(name: str, value: Any, ndim: tuple[int, ...]) -> np.ndarray:
    """Check for a non-empty array of finite real numbers with one of the given numbers of axes; return it as numpy."""
    untraced(name, value)
    unmasked(name, value)
    array = as_numpy(value)
    axes = " or ".join(str(n) for n in ndim) if len(ndim) < 4 else f"{min(ndim)} to {max(ndim)}"
    require(
        array.dtype.kind in "biuf",
        name,
        "be an array of real numbers",
        words(f"of type {type(value).__name__} ({array.dtype})"),
    )
    require(array.ndim in ndim, name, f"have {axes} axes", words(f"an array of shape {array.shape}"))
    require(array.size > 0, name, "not be empty", words(f"an array of shape {array.shape}"))
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    require(bad == 0, name, "be finite", words(f"an array with {bad} NaN or infinite of {array.size} entries"))
    return array


def path(name: str, value: Any) -> Path:
    """Check for the path of a file or directory, there or not, and return it."""
    require(isinstance(value, str | os.PathLike) and value != "", name, "be a path, as text or `pathlib.Path`", value)
    try:
        Path(value).exists()
    except (OSError, TypeError, ValueError) as error:  # too long a name, a name of bytes, a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        require(False, name, "be a path that this system can have", words(f"{describe(value)} ({reason})"))
    return Path(value)


def writable_directory(name: str, path: str | os.PathLike) -> Path:
    """Make the directory `path` if it is not there and check that a file can be written into it."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        require(False, name, "be a directory that can be written to", words(f"{str(path)!r} ({reason})"))
    return path


@contextmanager
def own_directory(name: str, path: str | os.PathLike) -> Iterator[Path]:
    """A `writable_directory` that no other run gets until the end of the block."""
    path = writable_directory(name, path)
    lock = filelock.FileLock(path / ".lock", timeout=0)  # the system lets go of it when its process dies
    try:
        lock.acquire()
    except filelock.Timeout:
        require(False, name, "be a directory into which no other run writes", words(f"{str(path)!r}, into which one does"))
    try:
        yield path
    finally:
        lock.release()
