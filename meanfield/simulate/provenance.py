"""What a simulation was made of, as JSON can hold it: so that a file of results says what ran."""

import dataclasses
import functools
import hashlib
import types
from typing import Any

import jax
import numpy as np

from meanfield import _files
from meanfield.systems.system import System

_SHORT = 100  # numbers of an array that are written out; of larger ones a checksum


def described(value: Any) -> Any:
    """A value as JSON can hold it: fields of dataclasses, functions, numbers of short arrays and the SHA-256 of long ones.

    A function is its name. If no import finds it under that name, as a lambda or one that another function made, its code and what it
    encloses count as well. Of objects that are no dataclasses it holds the name alone: two of one name may differ.

    Examples:
        >>> from meanfield import dynamics
        >>> described(dynamics.SGD(0.1, 1))["batch_size"]
        1
        >>> sorted(described(np.zeros((100, 50))))
        ['dtype', 'sha256', 'shape']
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        return _array(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: described(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"type": _name(type(value))} | fields
    if isinstance(value, dict):
        return {str(name): described(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset | range):
        return [described(one) for one in (sorted(value, key=repr) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, functools.partial):
        return {"type": "partial", "function": described(value.func), "given": described([value.args, value.keywords])}
    if isinstance(value, types.FunctionType) and "<" in value.__qualname__:
        return {"type": _name(value)} | _inside(value)
    return {"type": _name(value if callable(value) and hasattr(value, "__qualname__") else type(value))}


def provenance(system: System, widths, steps: int, seeds, networks: int, key: jax.Array, probes, mesh) -> dict[str, Any]:
    """The arguments of `simulate`, and what ran it. No date and no name of a machine: the same call is described alike."""
    return {
        "system": described(system),
        "widths": list(widths),
        "steps": steps,
        "seeds": described(np.asarray(seeds)),
        "networks": networks,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "probes": described(tuple(probes)),
        "mesh": None if mesh is None else dict(mesh.shape),
        "versions": _files.versions(),
        "device": jax.devices()[0].device_kind if mesh is None else mesh.devices.flat[0].device_kind,
    }


def _inside(function: types.FunctionType) -> dict[str, Any]:
    """The code of a function, its defaults, and what it encloses; a function that encloses itself is described once."""
    if function in _WITHIN:
        return {}
    _WITHIN.append(function)
    try:
        cells = [cell.cell_contents for cell in function.__closure__ or () if cell != types.CellType()]
        given = [function.__defaults__, function.__kwdefaults__, cells]
        return {"sha256": hashlib.sha256(_code(function.__code__)).hexdigest(), "given": described(given)}
    finally:
        _WITHIN.pop()


_WITHIN: list[types.FunctionType] = []


def _code(code: types.CodeType) -> bytes:
    constants = [_code(one) if isinstance(one, types.CodeType) else repr(one).encode() for one in code.co_consts]
    return b"|".join([code.co_code, *constants, repr(code.co_names).encode()])


def _array(value: np.ndarray | np.generic | jax.Array) -> dict | list:
    about = {"shape": list(value.shape), "dtype": str(value.dtype)}
    if isinstance(value, jax.Array) and not value.is_fully_addressable:
        return about  # its numbers lie in other processes
    if isinstance(value, jax.Array) and jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    array = np.asarray(value)
    if array.size <= _SHORT and array.dtype.kind in "biuf" and np.all(np.isfinite(array)):
        return array.tolist()
    return about | {"sha256": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}


def _name(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
