"""The main job: its four regimes from the command line, their numbers recomputed, and what a run that is cut short leaves."""

import json

import jax
import numpy as np
import pytest

import meanfield as mf
from sims import mechanisms

SMALL = ("--widths", "16", "64", "--seeds", "3", "--steps", "40", "--injected-steps", "20")


def run(out, *arguments):
    """The exit status."""
    with pytest.raises(SystemExit) as ended:
        mechanisms.main.command(["--out", str(out), *SMALL, *arguments])
    return ended.value.code


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("mechanisms")
    assert run(out) == 0
    return out, json.loads((out / "summary.json").read_text())


@pytest.mark.long
def test_files(finished):
    out, _ = finished
    kept = {f"{name}.nc" for name in mechanisms.NAMES}
    assert {path.name for path in out.glob("[!.]*")} == {"config.json", "summary.json", "figure.png"} | kept


@pytest.mark.long
def test_numbers_are_those_of_the_saved_particles(finished):
    """Accuracy, errors, slopes: from the files, by the definitions, in other words than the library's."""
    out, summary = finished
    data = mf.data.digits()
    x, y = np.asarray(data.x_test, float), np.asarray(data.y_test)
    assert [row["regime"] for row in summary["rows"]] == list(mechanisms.NAMES)
    for row in summary["rows"]:
        results = mf.Results.load(out / f"{row['regime']}.nc")
        logs = []
        for i, width in enumerate((16, 64)):
            act = np.tanh if row["regime"] == "theorem" else lambda z: np.maximum(z, 0)
            particles, errors, right = results.particles[width], [], []
            for seed in range(3):
                w, a = particles.w[0, seed].astype(float), particles.a[0, seed].astype(float)
                right.append(np.mean((act(x @ w.T) @ a / width).argmax(1) == y))
                squares = np.sort(np.sum(w**2, axis=1) + np.sum(a**2, axis=1))
                errors.append(np.sqrt(squares[: width - width // 10].sum() / squares.sum()))
            assert row["accuracy"][i] == pytest.approx(np.mean(right), abs=3e-3)  # float32 ties
            assert row["error"][i] == pytest.approx(np.mean(errors), rel=1e-9)
            logs.append(np.log(np.mean(errors)))
        slope = row["slope"]
        assert slope["measured"] == pytest.approx((logs[1] - logs[0]) / np.log(4), rel=1e-9)
        assert slope["sampling"] + slope["law"] + slope["dependence"] == pytest.approx(slope["measured"], abs=1e-12)
        assert row["dead"] + row["collapsing"] + row["growing"] + row["live"] == pytest.approx(1)
        assert row["vanishing"][-1] == pytest.approx(row["dead"] + row["collapsing"])
    theorem = summary["rows"][-1]
    assert [row["p"] for row in theorem["higher_p"]] == [3.0, 4.0] and theorem["p"] == 2.0
    assert theorem["dead"] == 0 and theorem["steps"] == 20 and "stable noise" in theorem["what"]


@pytest.mark.long
def test_regimes_are_what_their_names_say():
    """Step sizes, ridges and noise of the systems, as the text beside them has it."""
    made = mechanisms.systems(mechanisms.Config())
    for name, (system, steps) in made.items():
        dynamics, text = system.dynamics, mechanisms._what(name)
        assert f"step {float(np.ravel(dynamics.step_size)[0]):g}," in text and f"ridge {float(dynamics.weight_decay):g}" in text
        assert steps == (600 if name == "theorem" else 10_000)
        assert system.network.activation == ("tanh" if name == "theorem" else "relu")
    assert float(made["theorem"][0].dynamics.alpha) == 1.5 and not made["theorem"][0].network.train_output


@pytest.mark.slow
def test_ctrl_c_leaves_the_regimes_that_are_done(tmp_path, monkeypatch):
    """The second is cut short: two files, a summary of what there is, exit status 130; the file of an earlier run is gone."""
    simulate, runs = mf.simulate, iter([False, True])

    def cut(*arguments, **options):
        results = simulate(*arguments, **options)
        if next(runs):
            results.dataset.attrs["interrupted"] = 2  # the signal of Ctrl-C
        return results

    (tmp_path / "theorem.nc").write_bytes(b"of an earlier run")
    monkeypatch.setattr(mf, "simulate", cut)
    assert run(tmp_path) == 130
    assert {path.name for path in tmp_path.glob("*.nc")} == {"light.nc", "collapsed.nc"}
    assert [row["regime"] for row in json.loads((tmp_path / "summary.json").read_text())["rows"]] == ["light", "collapsed"]


@pytest.mark.slow
def test_runs_that_diverge_have_no_slope(tmp_path):
    """Steps far too large for all of one regime: a row without a slope, the others as before."""
    config = mechanisms.Config(out=tmp_path, widths=(16, 64), seeds=3, steps=40, injected_steps=20)
    results = mechanisms.simulation(config)()
    results["chance"].dataset["status"][:] = mf.Status.DIVERGED.code
    summary, _ = mechanisms.run(config, results)
    assert "slope" not in summary["rows"][2] and "slope" in summary["rows"][3]
    assert mechanisms.plot(summary, results) and mechanisms.tables(summary)[2].row_count == 3


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--widths", "64"], "Argument `--widths` must hold at least two widths, but is (64,)."),
        (["--widths", "4", "64"], "Argument `--widths` must be one or several different integers >= 10, but is (4, 64)."),
        (["--seeds", "2"], "Argument `--seeds` must be an integer >= 3, but is 2."),
        (["--injected-steps", "1"], "Argument `--injected-steps` must be an integer >= 2, but is 1."),
        (["--data", "no/such.npz"], "Argument `--data` must be a file or directory that exists, but is 'no/such.npz'."),
    ],
)
def test_bad_arguments_are_one_sentence(arguments, sentence, tmp_path, capsys):
    assert run(tmp_path / "out", *arguments) == 2
    assert capsys.readouterr().err == f"error: {sentence}\n"


@pytest.mark.slow
def test_the_theorem_at_work():
    """Its own row at widths 128 to 2048, 12 runs: every condition holds, and the slopes meet the prediction -(1/1.5 - 1/2)."""
    config = mechanisms.Config(widths=(128, 512, 2048), seeds=12)
    system, steps = mechanisms.systems(config)["theorem"]
    probes = [mf.probes.Evaluation(at=(steps,)), mf.probes.Snapshot(at=(steps // 2,))]
    run = {"widths": config.widths, "steps": steps, "seeds": 12, "key": jax.random.key(1), "probes": probes}
    results = mf.simulate(system, **run)
    row = mechanisms._regimes.row_of(results, {"step_size": mechanisms.STEP}, steps // 2, 0)
    assert row["fails"] == [] and row["family"] == "POWER" and row["accuracy"][-1] > 0.8
    for name in ("measured", "sampling"):
        assert abs(row["slope"][name] + 1 / 1.5 - 1 / 2) < 5 * row["slope_error"][name]
    assert row["index_interval"][0] < 1.5 < row["index_interval"][1]
