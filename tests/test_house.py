"""The floors of the house, its references and its promises, checked by a machine."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import jax

import meanfield as mf

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "systems": {"theory"},  # a dynamics knows its stability limit
    "measure": set(),
    "theory": set(),
    "simulate": {"systems"},
    "plot": set(),
    "verify": {"systems", "simulate", "measure", "theory", "plot"},
}


WITHOUT_TESTS = {  # modules, or packages of modules, that need no test file
    "_keys": "one line, and its doctest",
    "measure/tails/_quantile_table": "a table, read in tests/measure/tails/test_stable.py",
    "systems/data/base": "abstract; docs/extending.md writes a source, and tests/test_docs.py runs it",
    "verify/claims": "claims, which tests/verify/test_claims.py runs; what is about one alone has a file",
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


def test_rooms_import_only_what_lies_below():
    for path in sorted(ROOT.glob("meanfield/**/*.py")):
        names, room = list(imported(path)), path.relative_to(ROOT).parts[1].removesuffix(".py")
        assert room not in MAY_IMPORT or not wrong_floor(room, names), path
        assert not [n for n in names if n.split(".")[0] == "sims"], path
    assert wrong_floor("measure", ["meanfield.systems.networks"]) and not wrong_floor("simulate", ["meanfield.systems.networks"])


def file_of(module):
    """The test file of a module: meanfield/X/y.py and meanfield/X/_y.py have tests/X/test_y.py."""
    return module.with_name(f"test_{module.stem.strip('_')}.py")


def test_every_module_has_its_tests_and_no_tests_are_without_a_module():
    """A package X may have tests/test_X.py for what is about several of its modules; sims are mirrored where they have a file."""
    modules = {path.relative_to(ROOT / "meanfield") for path in ROOT.glob("meanfield/**/*.py") if path.name != "__init__.py"}
    tests = {path.relative_to(ROOT / "tests") for path in ROOT.glob("tests/**/test_*.py")}
    names = {module: module.with_suffix("").as_posix() for module in modules}
    missing = {name for module, name in names.items() if file_of(module) not in tests}
    assert missing == {name for name in missing if any(f"{name}/".startswith(f"{exempt}/") for exempt in WITHOUT_TESTS)}
    assert all(any(f"{name}/".startswith(f"{exempt}/") for name in missing) for exempt in WITHOUT_TESTS)
    files = [*modules, *(path.relative_to(ROOT) for path in ROOT.glob("sims/*.py"))]
    expected = {file_of(path) for path in files} | {file_of(path.parent) for path in files if path.parent.name}
    assert {path for path in tests if len(path.parts) > 1} <= expected


def test_every_reference_is_in_the_bibliography():
    keys = set(re.findall(r"@\w+\{(\w+),", (ROOT / "docs" / "references.bib").read_text()))
    dynamics = [v for v in vars(mf.dynamics).values() if isinstance(v, type) and issubclass(v, mf.dynamics.AbstractDynamics)]
    for kind in dynamics:
        if not kind.__name__.startswith("Abstract"):
            assert set(kind.references.fget(None)) <= keys


def test_import_is_light_and_leaves_jax_alone():
    """Packages that take long to load are loaded where they are used: every process of a job pays for what the import loads."""
    heavy = {
        "h5py",
        "matplotlib",
        "optax",
        "pandas",
        "rich",
        "scipy.optimize",
        "scipy.spatial",
        "scipy.special",
        "scipy.stats",
        "xarray",
    }
    code = (
        "import sys, jax; before = jax.config.values.copy(); import meanfield; assert jax.config.values == before; "
        f"assert not jax.config.jax_enable_x64; print(sorted({heavy} & set(sys.modules)), meanfield.verify.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout == "[] meanfield.verify\n", (done.stdout, done.stderr)


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
