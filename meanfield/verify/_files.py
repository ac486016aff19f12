"""What a report's files are made of: strict JSON, files that are whole, what ran."""

import datetime
import importlib.metadata
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from meanfield import _check

ABOUT = (
    'Infinite numbers are the strings "inf" and "-inf", NaN is "nan". The numbers of a claim follow from the arrays in its file: '
    "python -m meanfield.verify --again --out DIR."
)
HEAD: dict[str, Any] = {  # what `content` must find in report.json
    "finished": bool,
    "planned": int,
    "date": str,
    "budget": str,
    "seed": int | None,
    "results": str | None,
    "family_rate": float,
    "seconds": float | int,
    "versions": dict,
    "device": str,
    "system": str,
    "claims": list,
}
ROW: dict[str, Any] = {  # and in every row of its "claims"
    "name": str,
    "parameters": dict,
    "budget": str,
    "size": int | None,
    "seed": int | None,
    "seconds": float | int,
    "data": str,
    "controls": dict,
}


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


def loose(value: Any, like: Any = None) -> Any:
    """What `strict` was given, sequences as tuples; "inf" stays text where `like` has text, and a sequence an array.

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


def holds(value: Any) -> bool:
    """Whether JSON can hold what `strict` makes of the value.

    Examples:
        >>> holds({"a": (np.int64(1), None, "b")}), holds({"a": 1j}), holds({1: 2})
        (True, False, False)
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return all(isinstance(name, str) and holds(one) for name, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(holds, value))
    return value is None or isinstance(value, str | int | float)


def content(out: Path) -> dict:
    """What report.json in `out` says of `HEAD` and `ROW`, checked.

    Raises:
        ValueError: there is none, or it is none of `report.run`.
    """

    def require(ok: bool, why: str) -> None:
        _check.require(ok, "out", "be a directory with a report.json of `run`", _check.words(f"{str(out)!r} ({why})"))

    def members(given: Any, kinds: dict[str, Any], where: str) -> dict:
        require(isinstance(given, dict), f"{where} is no object")
        for name, kind in kinds.items():
            require(name in given and isinstance(given[name], kind), f"{where} has no {name!r} as it should be")
        require(given["budget"] in ("quick", "full", "data"), f"{where} has the budget {given['budget']!r}")
        return {name: given[name] for name in kinds}

    found: Any = None
    try:
        found = json.loads((out / "report.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        require(False, reason(error))
    head = members(found, HEAD, "report.json")
    rows = head["claims"] = [members(row, ROW, f"row {i} of report.json") for i, row in enumerate(head["claims"])]
    require(len({row["name"] for row in rows}) == len(rows), "report.json has two rows of one name")
    require(max(len(rows), 1) <= head["planned"], f"report.json has {len(rows)} rows, but {head['planned']} were planned")
    require(0 < head["family_rate"] < 1, f"report.json has the family_rate {head['family_rate']}")
    for row in rows:
        require(Path(row["data"]).parent == Path("data"), f"report.json names {row['data']!r}, which is not in data/")
        require(all(isinstance(one, str) for one in row["controls"].values()), "report.json has controls without verdict")
    return {"about": ABOUT, **head}


def reason(error: Exception) -> str:
    """What went wrong, in one line.

    Examples:
        >>> reason(KeyError("x"))
        "KeyError: 'x'"
    """
    return " ".join(f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}".split())


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
