"""The arguments of a simulation as JSON and arrays, and back: for going on without the program that made them.

What can be written are numbers, texts, arrays, random keys, tuples, lists and dictionaries of them, dataclasses, and functions
and classes of meanfield, jax, optax and numpy by their names; others raise `UnwritableError`. There is no pickle: nothing runs
that is not known.
"""

import dataclasses
import functools
import importlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from meanfield import _check

ROOTS = ("meanfield", "jax", "optax", "numpy")  # packages of which classes are made and functions are taken by name


class UnwritableError(TypeError):
    """A value that cannot be written, such as a lambda."""


def written(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """A value as JSON, its arrays put into `arrays`.

    Examples:
        >>> arrays = {}
        >>> written((1, np.zeros(3)), arrays), list(arrays)
        ({'tuple': [1, {'array': '0'}]}, ['0'])
        >>> read(written((1, np.zeros(3)), arrays), arrays)[1].tolist()
        [0.0, 0.0, 0.0]
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, jax.Array) and jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        return {"key": written(np.asarray(jax.random.key_data(value)), arrays), "kind": str(jax.random.key_impl(value))}
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        name, array = str(len(arrays)), np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise UnwritableError(f"an array of {array.dtype}")
        arrays[name] = array
        return {"array": name} | ({"jax": True} if isinstance(value, jax.Array) else {})
    if isinstance(value, tuple) and type(value) is tuple:
        return {"tuple": [written(one, arrays) for one in value]}
    if isinstance(value, list):
        return {"list": [written(one, arrays) for one in value]}
    if isinstance(value, Mapping):
        return {"dict": [[written(name, arrays), written(one, arrays)] for name, one in value.items()]}
    if isinstance(value, functools.partial):
        parts = (value.func, value.args, dict(value.keywords))
        return {"partial": [written(one, arrays) for one in parts]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: written(getattr(value, field.name), arrays) for field in dataclasses.fields(value) if field.init}
        return {"make": _named(type(value)), "fields": fields}
    return {"import": _named(value)}


def read(said: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The value that was `written`."""
    if said is None or isinstance(said, bool | int | str):
        return said
    kind = next(iter(said))
    inside = said[kind]
    match kind:
        case "float":
            return float.fromhex(inside)
        case "key":
            return jax.random.wrap_key_data(read(inside, arrays), impl=said["kind"])
        case "array":
            return jax.numpy.asarray(arrays[inside]) if said.get("jax") else arrays[inside]
        case "tuple":
            return tuple(read(one, arrays) for one in inside)
        case "list":
            return [read(one, arrays) for one in inside]
        case "dict":
            return {read(name, arrays): read(one, arrays) for name, one in inside}
        case "partial":
            function, given, named = (read(one, arrays) for one in inside)
            return functools.partial(function, *given, **named)
        case "make":
            made = _found(inside)
            _check.require(dataclasses.is_dataclass(made), "directory", "name dataclasses", inside)
            return made(**{name: read(one, arrays) for name, one in said["fields"].items()})
        case _:
            return _found(inside)


def _named(value: Any) -> str:
    """`module:name` of a class or a function that an import finds."""
    name = f"{getattr(value, '__module__', None)}:{getattr(value, '__qualname__', None)}"
    try:
        same = _found(name) is value
    except (ImportError, AttributeError, ValueError):
        same = False
    if not same:
        raise UnwritableError(_check.describe(value))
    return name


def _found(name: str) -> Any:
    module, _, path = name.partition(":")
    must = f"name what {', '.join(ROOTS)} have"
    _check.require(module.split(".")[0] in ROOTS, "directory", must, name)
    return functools.reduce(getattr, path.split("."), importlib.import_module(module))
