"""All simulations: their quick mode, what it writes, and their command lines."""

import dataclasses
import doctest
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sims import _job, _tables, quadratic_network, relu_networks
from tests.sims.common import FOLDER, JOBS, PARTS

ROOT = Path(__file__).parent.parent
OTHERS = {
    "mechanisms",
    "width_scaling",
    *(part for parts in PARTS.values() for part in parts),
}  # with tests in another file, or with their figure
LONG = (
    "collapse",
    "compressibility",
    "index_two_wall",
    "propagation_of_chaos",
    "regimes",
    "stable_sgd",
    "transients",
)  # a quarter of a minute and more
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in JOBS if name not in OTHERS]


def test_simulations_import_one_another_by_relative_names():
    """So that a wheel can carry them under another name."""
    for path in FOLDER.glob("*.py"):
        assert not re.search(r"^\s*(from|import) sims\b", path.read_text(), re.M), path


@pytest.mark.parametrize("module", [_job, _tables])
def test_examples_of_the_shared_pieces(module):
    assert doctest.testmod(module).attempted and not doctest.testmod(module).failed


@pytest.mark.long(1)
@pytest.mark.parametrize("name", NAMES)
def test_quick_mode_writes_everything(name, quick):
    summary, out = quick(name)
    assert {path.name for path in out.glob("[!.]*")} == {"config.json", "summary.json", "figure.png"}
    config = json.loads((out / "config.json").read_text())
    assert config["config"]["quick"] is True and "jax" in config["versions"]
    assert (out / "figure.png").read_bytes()[:4] == b"\x89PNG" and summary["about"]


@pytest.mark.long(1)
@pytest.mark.parametrize("name", NAMES)
def test_figures_and_tables_say_what_they_show(name, quick):
    module, (summary, _) = JOBS[name], quick(name)
    parts = [JOBS[part] for part in PARTS.get(name, ())]
    restored = _arrays(summary)
    figures = [module.plot(restored), *(part.plot(restored) for part in parts)]
    for figure in figures:
        for ax in figure.axes:
            assert ax.get_xlabel() and ax.get_title(loc="left")
        assert figure.axes[0].get_ylabel() and any(ax.get_legend() for ax in figure.axes)
    made = module.tables(restored)
    assert all(table.title and table.row_count for table in made)
    titles = {table.title for part in parts for table in part.tables(restored)}
    assert not titles or titles == {table.title for table in made}


def _arrays(value):
    """What JSON made null is NaN again."""
    if isinstance(value, dict):
        return {k: _arrays(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_arrays(v) for v in value]
    return np.nan if value is None else value


@pytest.mark.long
def test_command_line(tmp_path):
    command = [sys.executable, "-m", "sims.stable_sgd", "--quick", "--alphas", "2.5", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2 and done.stderr == "error: Argument `--alphas` must lie in (0, 2], but is [2.5].\n"
    for name in JOBS:
        fields = {f.name for f in dataclasses.fields(importlib.import_module(f"sims.{name}").Config)}
        assert {"out", "key", "quick"} <= fields


@pytest.mark.slow
def test_divergence_is_one_sentence(tmp_path):
    command = [sys.executable, "-m", "sims.radial_pde", "--quick", "--step-size", "1e30", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode in (1, 2) and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr


TYPED = {
    ("linear_recursion", "--step-sizes", "0.2", "-1"): "`--step-sizes` must be a number > 0",
    ("tail_index", "--indices", "1.5", "-1"): "`--indices` must",
    ("radial_pde", "--radius", "-1"): "`--radius` must be a number >= 0",
    ("propagation_of_chaos", "--limit-step", "-1"): "`--limit-step` must be a number > 0",
    ("relu_networks", "--step-sizes-b8", "-1"): "`--step-sizes-b8` must be a number > 0",
    ("relu_residuals", "--noisy", "1", "1", "-1"): "`--noisy` must be a number >= 0",
    ("shared_noise", "--runs", "0"): "`--runs` must be an integer >= 2",
}


@pytest.mark.long
@pytest.mark.parametrize("words", TYPED, ids="-".join)
def test_the_option_that_was_typed_is_reported(words, tmp_path, capsys):
    """A library names its arguments, a command line the options that their values came from."""
    name, *arguments = words
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"sims.{name}").main.command(["--quick", "--out", str(tmp_path), *arguments])
    err = capsys.readouterr().err
    assert ended.value.code == 2 and err.startswith(f"error: Argument {TYPED[words]}") and err.count("\n") == 1, err


@pytest.mark.long(1)
@pytest.mark.parametrize("part", [quadratic_network.indices, quadratic_network.lifetimes, relu_networks.networks])
def test_ctrl_c_gives_no_number(part, ctrl_c, capsys):
    """These parts allow runs that diverge: one that is cut short is none of them."""
    ctrl_c("chunk")
    with pytest.raises(SystemExit, match="130"):
        _job.command(importlib.import_module(part.__module__).Config, part, ["--quick"])
    assert capsys.readouterr().err == "interrupted\n"
