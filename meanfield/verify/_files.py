"""What a report's files are made of: strict JSON, files that are whole, what ran."""

import datetime
import importlib.metadata
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

ABOUT = (
    'Infinite numbers are the strings "inf" and "-inf", NaN is "nan". The numbers of a claim follow from the arrays in its file: '
    "python -m meanfield.verify --again --out DIR."
)


def replace(path: Path, write: Callable[[Any], Any]) -> None:
    """Write a file that appears under its name only when it is whole: `write(open file)`."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        write(file)
    partial.replace(path)


def strict(value: Any) -> Any:
    """The value in what JSON can say.

    Examples:
        >>> strict({"a": (np.float64(1), float("-inf"))})
        {'a': [1.0, '-inf']}
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): strict(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [strict(one) for one in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def loose(value: Any) -> Any:
    """What `strict` was given, sequences as tuples.

    Examples:
        >>> loose({"a": [1.0, "-inf"]})
        {'a': (1.0, -inf)}
    """
    if isinstance(value, dict):
        return {name: loose(one) for name, one in value.items()}
    if isinstance(value, list):
        return tuple(loose(one) for one in value)
    return float(value) if value in ("inf", "-inf", "nan") else value


def now() -> str:
    """Date and time, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(" ", "minutes")


def versions() -> dict[str, str]:
    """Of all that numbers depend on."""
    packages = ("meanfield-sgd", "jax", "jaxlib", "numpy", "scipy")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def device() -> str:
    """Kind of the devices, and their number."""
    devices = jax.devices()
    return f"{len(devices)} x {devices[0].device_kind}" if len(devices) > 1 else devices[0].device_kind
