"""What every simulation script shares: arguments from a dataclass, errors as one sentence, the record of what was run."""

import dataclasses
import importlib.metadata
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import tyro

import meanfield as mf


def command(config_type: type, run: Callable[[Any], int]) -> None:
    """Parse the command line into a config, run, and exit: 2 with one sentence if an argument is wrong."""
    config = tyro.cli(config_type)
    try:
        code = run(config)
    except mf.ArgumentError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    sys.exit(code)


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file that appears under its name only when it is whole. Numbers that are not finite become null."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(_plain(content), indent=2, allow_nan=False) + "\n")
    partial.replace(path)


def manifest(config: Any) -> dict:
    """The config, and what ran it."""
    packages = ("meanfield-sgd", "jax", "jaxlib", "numpy", "scipy", "xarray")
    return {
        "config": dataclasses.asdict(config),
        "versions": {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages},
        "device": jax.devices()[0].device_kind,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _plain(value):
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and value - value != 0:
        return None
    return value
