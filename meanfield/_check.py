"""One sentence for every wrong argument: its name, what it must be, what it is.

All checks look at what a user typed: Python and numpy numbers, strings, sequences and concrete arrays. They let tracers and
the place holders pass that jax puts into a pytree when it rebuilds one, so that a `__post_init__` may call them.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

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


def describe(value: Any) -> str:
    """Short text of a value: small things whole, arrays by their shape."""
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return f"an array of random keys of shape {value.shape}"
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
    return (
        isinstance(value, bool | int | float | complex | str | list | tuple | np.ndarray | np.generic | jax.Array)
        or value is None
    )


def numbers(name: str, value: Any, must: str, inside) -> None:
    """Check that `value` is a finite real number, or an array of them, for which `inside(array)` holds everywhere."""
    if not is_typed(value):
        return
    try:
        array = np.asarray(value)
        ok = bool(array.dtype.kind in "iuf" and array.size > 0 and np.all(np.isfinite(array)) and np.all(inside(array)))
    except (TypeError, ValueError):
        ok = False
    require(ok, name, must, value)


def as_array_field(owner: Any, name: str) -> None:
    """Replace a list or tuple in a field of a frozen dataclass by the array of its numbers: one pytree leaf, not many.

    Numbers that jax would round to 0 or infinity are refused.
    """
    value = getattr(owner, name)
    if isinstance(value, list | tuple):
        try:
            array = np.asarray(value, float)
        except (TypeError, ValueError):
            array = np.empty(0)
        require(array.size > 0 and array.ndim == 1, name, "be a number or a sequence of numbers", value)
        object.__setattr__(owner, name, array)
        value = array
    if isinstance(value, float | np.ndarray | np.generic) and np.asarray(value).dtype.kind == "f":
        size = np.abs(np.asarray(value, np.float64))
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
    require(np.ndim(value) == 0, name, must, value)  # type: ignore[arg-type]
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
    items = tuple(value) if isinstance(value, list | tuple | range | np.ndarray) else (value,)
    ok = len(items) > 0 and all(isinstance(v, int | np.integer) and not isinstance(v, bool) and v >= at_least for v in items)
    ok = ok and len(set(items)) == len(items)
    require(ok, name, f"be one or several different integers >= {at_least}", value)
    return tuple(int(v) for v in items)


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


def finite(name: str, value: Any, ndim: tuple[int, ...]) -> np.ndarray:
    """Check for a non-empty array of finite real numbers with one of the given numbers of axes; return it as numpy."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        array = np.asarray(None)
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
