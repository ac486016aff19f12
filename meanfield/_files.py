"""Files that are whole, JSON without NaN, and the record of what ran: for simulations, verification and benchmarks."""

import datetime
import importlib.metadata
import json
import platform
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

PACKAGES = ("meanfield-sgd", "jax", "jaxlib", "numpy", "scipy", "xarray")  # that numbers depend on


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to, whose file takes the name `path` at the end of the block: a file under that name is always whole.

    If the block fails, an earlier file stays as it was.
    """
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")  # processes may write the same file; names have a longest length
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole, in UTF-8."""
    with whole(path) as partial:
        partial.write_text(text, "utf-8")


def write_json(path: Path, content: Any, lossless: bool = False) -> None:
    """Write a JSON file, whole; see `strict`."""
    write_text(path, json.dumps(strict(content, lossless), indent=2, allow_nan=False) + "\n")


def strict(value: Any, lossless: bool = False) -> Any:
    """The value in what JSON can say. Numbers that are not finite become null, or, `lossless`, text of which `loose` makes them again.

    Examples:
        >>> strict({"a": (np.float64(1), float("-inf"))}), strict({"a": (np.float64(1), float("-inf"))}, lossless=True)
        ({'a': [1.0, None]}, {'a': [1.0, '-inf']})
    """
    if isinstance(value, np.generic | np.ndarray | jax.Array):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): strict(one, lossless) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [strict(one, lossless) for one in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value) if lossless else None
    return str(value) if isinstance(value, Path) else value


def loose(value: Any, like: Any = None) -> Any:
    """The value that `strict` was given, sequences as tuples; "inf" stays text where `like` has text, and a sequence an array.

    Examples:
        >>> loose({"a": [1.0, "-inf"], "b": "inf"}, {"b": "other"})
        {'a': (1.0, -inf), 'b': 'inf'}
    """
    if isinstance(value, dict):
        return {name: loose(one, like.get(name) if isinstance(like, dict) else None) for name, one in value.items()}
    if isinstance(value, list):
        same = isinstance(like, list | tuple) and len(like) == len(value)
        made = tuple(map(loose, value, like if same else [None] * len(value)))
        return np.array(made) if isinstance(like, np.ndarray) else made
    return float(value) if value in ("inf", "-inf", "nan") and not isinstance(like, str) else value


def fits(value: Any) -> bool:
    """Whether `loose` can make the value of what `strict` writes.

    Examples:
        >>> fits({"a": (np.int64(1), None, "b")}), fits({"a": 1j}), fits({1: 2})
        (True, False, False)
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return all(isinstance(name, str) and fits(one) for name, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(fits, value))
    return value is None or isinstance(value, str | int | float)


def now() -> str:
    """Date and time, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(" ", "minutes")


def versions(*others: str) -> dict[str, str | None]:
    """Versions of Python, of `PACKAGES` and of `others`; None for a package that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in (*PACKAGES, *others):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def device() -> str:
    """Kind of the devices, and their number."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}" if len(devices) > 1 else devices[0].device_kind


def environment() -> dict[str, Any]:
    """Versions, devices and operating system, under these names."""
    return {"versions": versions(), "device": device(), "system": f"{platform.system()} {platform.machine()}"}


def manifest(config: dict[str, Any]) -> dict[str, Any]:
    """The fields of a config, and the `environment` that ran it."""
    return {"config": config, **environment()}
