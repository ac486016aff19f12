"""The floors of the house, its references and its promises, checked by a machine."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import meanfield as mf

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "systems": {"theory"},  # a dynamics knows its stability limit
    "measure": set(),
    "theory": set(),
    "simulate": {"systems"},
    "plot": set(),
    "verify": {"systems", "simulate", "measure", "theory"},
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def wrong_floor(room, names):
    rooms = {n.split(".")[1] for n in names if n.startswith("meanfield.")} & set(MAY_IMPORT)
    return rooms - MAY_IMPORT[room] - {room}


@pytest.mark.parametrize("path", sorted(ROOT.glob("meanfield/*/**/*.py")), ids=str)
def test_rooms_import_only_what_lies_below(path):
    names = list(imported(path))
    assert not wrong_floor(path.relative_to(ROOT).parts[1], names)
    assert not [n for n in names if n.split(".")[0] == "sims"]
    assert wrong_floor("measure", ["meanfield.systems.network"]) and not wrong_floor("simulate", ["meanfield.systems.network"])


def test_every_reference_is_in_the_bibliography():
    keys = set(re.findall(r"@\w+\{(\w+),", (ROOT / "docs" / "references.bib").read_text()))
    dynamics = [v for v in vars(mf.dynamics).values() if isinstance(v, type) and issubclass(v, mf.dynamics.AbstractDynamics)]
    for kind in dynamics:
        if not kind.__name__.startswith("Abstract"):
            assert set(kind.references.fget(None)) <= keys


def test_import_leaves_jax_alone():
    check = "assert jax.config.values == before; print(jax.config.jax_enable_x64)"
    code = f"import jax; before = jax.config.values.copy(); import meanfield; {check}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout == "False\n", done.stderr


def test_jax_is_not_a_version_that_miscompiles():
    assert jax.__version__ not in ("0.10.2", "0.11.0", "0.11.1")
    pins = [r for r in importlib.metadata.requires("meanfield-sgd") or [] if re.match(r"jax(lib)?[^a-z\[]", r)]
    assert len(pins) == 2 and all("!=0.10.2" in p and "!=0.11.0" in p and "!=0.11.1" in p for p in pins)


def test_makefile_refuses_an_old_python(tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'Python 3.9.2' && exit 0\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(["make", f"PYTHON={old}", "python"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "meanfield needs Python 3.11 or newer, but" in done.stderr and "Python 3.9.2" in done.stderr
    done = subprocess.run(["make", "PYTHON=no-such-python", "python"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "there is no 'no-such-python'" in done.stderr
