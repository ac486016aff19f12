"""The report: files hold what verdicts rest on, and are judged again from them."""

import dataclasses
import math
import re
import shlex

import jax
import numpy as np
import pytest
from scipy import special

import meanfield as mf
from meanfield import verify
from meanfield.verify import CLAIMS, Claim, Verdict, report, terminal
from meanfield.verify.__main__ import Config, command, main
from tests.verify.common import four, rows, strictly, toy


def numbers(evidence) -> list:
    return [dataclasses.astuple(row) for row in evidence.comparisons]


# -- files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_files_hold_what_verdicts_rest_on(tmp_path):
    claims, told = [CLAIMS["columns"], *four()], []
    evidence = report.run(claims, tmp_path, seed=3, budget="quick", told=lambda claim, one: told.append(claim.name))
    assert told == [claim.name for claim in claims] == list(evidence)
    written = strictly(tmp_path / "report.json")
    for claim, row in zip(claims, written["claims"], strict=True):
        one = evidence[claim.name]
        assert row["data"] == one.data == f"data/{claim.name}.npz" and (tmp_path / row["data"]).is_file()
        again = report.reread(dataclasses.replace(claim, rate=row["rate"]), tmp_path, "quick")
        assert numbers(again) == numbers(one) and again.verdict is one.verdict
        assert [list(r.interval) for r in again.comparisons] == [r["interval"] for r in row["comparisons"]]
        assert [r.measured for r in again.comparisons] == [r["measured"] for r in row["comparisons"]]
        assert row["verdict"] == one.verdict.name and row["seed"] == 3 and row["size"] == one.size == claim.sizes[0]
    assert [row["verdict"] for row in written["claims"]][1:] == ["CONSISTENT", "REFUTED", "INCONCLUSIVE", "ASSUMPTION_VIOLATED"]
    assert written["finished"] and written["planned"] == 5 and written["versions"]["jax"] == jax.__version__
    assert written["claims"][1]["comparisons"][1]["predicted"] == [-0.2, "inf"] and '"inf"' in written["about"]
    assert not list(tmp_path.rglob("*.partial"))
    with pytest.raises(mf.ArgumentError, match="of different names"):
        report.run([claims[0], claims[0]], tmp_path)


def test_of_a_violated_claim_nothing_is_refuted(tmp_path):
    """Its small p-value does not take a place in Holm's order: another claim is judged as one of two, not as the only one left."""
    evidence = report.run([toy("v", predicted=0.3, holds=False), toy("w")], tmp_path, budget="quick")
    assert evidence["v"].p_value < 1e-6 and evidence["w"].rate == evidence["v"].rate == 0.005


def never(key, size, parameters):
    raise AssertionError("It must not run.")


def test_wrong_arguments_are_refused_before_anything_runs(tmp_path):
    out = tmp_path / "none"
    for name in ("", "a/b", ".", "..", "a\0b", "a\nb", "\ud800", 101 * "a", 100 * "蝶"):
        with pytest.raises(mf.ArgumentError, match=r"Argument `claims` must have names that a file can have, of 1 to 100"):
            report.run([toy(name, experiment=never)], out)
    for held in (object(), 1j, {1: 2}, np.array([1j]), (b"x",)):
        with pytest.raises(mf.ArgumentError, match=r"Argument `parameters` must be what JSON can hold, also of 'toy', but is"):
            report.run([toy(parameters={"x": held}, experiment=never)], out)
    for seed in (-1, 2**32, 0.5):
        with pytest.raises(mf.ArgumentError, match=r"Argument `seed` must be"):
            report.run([toy(experiment=never)], out, seed=seed)
    for rate in (0.0, 1.0, math.nan, "a"):
        with pytest.raises(mf.ArgumentError, match=r"Argument `rate` must lie in \(0, 1\), but is"):
            report.run([toy(experiment=never)], out, rate=rate)
    assert not out.exists()
    report.run([toy(100 * "é")], tmp_path, seed=2**32 - 1, budget="quick")
    (tmp_path / "file" / "data").parent.mkdir()
    (tmp_path / "file" / "data").touch()
    with pytest.raises(mf.ArgumentError, match=r"Argument `out` must be a directory that can be written to"):
        report.run([toy(experiment=never)], tmp_path / "file")


# -- the rate of a family -------------------------------------------------------------------------------------------------


def edge(p_value: float, **changes) -> Claim:
    """A prediction whose p-value at the quick budget, seed 0, is this."""
    mean = verify.mean(toy().collect(0, "quick")["x"])
    return toy("edge", predicted=mean.value - mean.standard_error * special.stdtrit(mean.dof, p_value / 4), **changes)


@pytest.mark.long
def test_rerun_gives_the_same_verdict(tmp_path, monkeypatch):
    """A claim with a p-value of 0.4 %: held against 0.25 % as one of four and against 1 % alone; by its own line, against 0.25 %."""
    claim, told = edge(0.004), []
    monkeypatch.setitem(CLAIMS, "edge", claim)
    family = [claim, *(toy(name) for name in "abc")]
    before = report.run(family, tmp_path, budget="quick", controls=True, told=lambda claim, one: told.append(one))
    assert told == list(before.values())  # nothing is refuted: the lines say what the table says
    assert before["edge"].verdict is Verdict.CONSISTENT and before["edge"].p_value == pytest.approx(0.004)
    rows = strictly(tmp_path / "report.json")["claims"]
    again = tmp_path / "again"
    line = shlex.split(rows[0]["rerun"].replace("DIR", str(again)))
    assert line[:3] == ["python", "-m", "meanfield.verify"] and "--controls" in line and command(line[3:]) == 0
    (row,) = strictly(again / "report.json")["claims"]
    assert row["rerun"] == rows[0]["rerun"] and row["rate"] == 0.0025
    assert {**row, "seconds": 0} == {**rows[0], "seconds": 0}
    assert command([*line[3:], "--rate", "0.01"]) == 1
    assert eval(rows[1]["rerun"], {"claim": family[1]}).comparisons == before["a"].comparisons

    monkeypatch.setitem(CLAIMS, "edge", claim.with_parameters(widths=(1, 2)))  # not the one that was run
    report.again(family, tmp_path)
    assert strictly(tmp_path / "report.json")["claims"][0]["rerun"] == "claim.at_rate(0.0025).test(seed=0, budget='quick')"


@pytest.mark.long
def test_one_refuted_leaves_more_for_the_others(tmp_path, monkeypatch):
    """Live at 0.3 % of 0.9 %, in the end at 0.45 %; the line says at which. An unfinished report stays at the strictest level."""
    claim, told = edge(0.004), []
    monkeypatch.setitem(CLAIMS, "edge", claim)
    family = [claim, toy("off", predicted=0.3), toy("a")]
    found = report.run(family, tmp_path, budget="quick", rate=0.009, told=lambda claim, one: told.append(one))
    assert [one.rate for one in told] == [0.009 / 3] * 3 and told[0].verdict is Verdict.CONSISTENT
    assert found["edge"].verdict is Verdict.REFUTED and found["edge"].rate == 0.009 / 2
    written = strictly(tmp_path / "report.json")
    assert written["family_rate"] == 0.009 and f"--rate {0.009 / 2!r} " in written["claims"][0]["rerun"]

    def stop(key, size, parameters):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        report.run([*family[:2], toy("stops", experiment=stop)], tmp_path, budget="quick", rate=0.009)
    assert [row["rate"] for row in strictly(tmp_path / "report.json")["claims"]] == [0.009 / 3] * 2
    assert [one.rate for one in report.again(family, tmp_path).values()] == [0.009 / 3] * 2


@pytest.mark.long
def test_controls_are_judged_at_the_level_of_their_claim(tmp_path):
    """A control off by 3.3 standard errors: caught alone, not as one of ten."""
    mean = verify.mean(toy().collect(0, "quick")["x"])
    off = {"off": {"rows": rows(mean.value + 3.3 * mean.standard_error)}}
    family = [toy("x", controls=off), *(toy(name) for name in "abcdefghi")]
    for claims, verdict in ((family[:1], "REFUTED"), (family, "CONSISTENT")):
        report.run(claims, tmp_path, budget="quick", controls=True)
        assert strictly(tmp_path / "report.json")["claims"][0]["controls"] == {"off": verdict}


# -- once more ------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_again_from_the_files(tmp_path):
    changed = toy("w").with_parameters(scale=2.0, widths=(8, 8))
    claims = [*four(), changed]
    before = report.run(claims, tmp_path, seed=5, budget="quick", controls=True)
    old = strictly(tmp_path / "report.json")
    again = report.again([*four(), toy("w"), toy("another")], tmp_path)
    assert list(again) == list(before) and again == before
    new = strictly(tmp_path / "report.json")
    assert new.pop("judged_again")["versions"] == new["versions"] and new == old
    assert "judged again" in (tmp_path / "report.html").read_text()
    assert new["claims"][0]["controls"] == {"off": "REFUTED"}

    np.savez(tmp_path / "data" / "b consistent.npz", x=np.load(tmp_path / "data" / "b consistent.npz")["x"] + 1)
    tampered = report.again(claims, tmp_path)
    assert tampered["b consistent"].verdict is Verdict.REFUTED
    assert tampered["b consistent"].comparisons[0].measured == pytest.approx(before["b consistent"].comparisons[0].measured + 1)
    assert tampered["w"].comparisons[0].measured == before["w"].comparisons[0].measured
    assert tampered["w"].rate > before["w"].rate  # Holm: one refuted more leaves more for the others
    with pytest.raises(mf.ArgumentError, match=r"Argument `claims` must be one of 'other', but is 'b consistent'."):
        report.again([toy("other")], tmp_path)
    with pytest.raises(mf.ArgumentError, match=r"Argument `out` must be a directory with a report.json"):
        report.again(claims, tmp_path / "data")


def test_again_refuses_what_it_would_ignore(tmp_path):
    report.run([toy()], tmp_path, budget="quick")
    for name, value in {
        "claims": ("toy",),
        "budget": "quick",
        "seed": 1,
        "rate": 0.1,
        "controls": True,
        "results": tmp_path,
    }.items():
        with pytest.raises(mf.ArgumentError, match=f"Argument `{name}` must be left out with `--again`"):
            main(Config(out=tmp_path, again=True, **{name: value}))


def test_an_interrupted_run_leaves_what_it_has(tmp_path):
    def stop(key, size, parameters):
        assert not strictly(tmp_path / "report.json")["finished"]
        raise KeyboardInterrupt

    claims = [*four()[:2], toy("stops", experiment=stop)]
    with pytest.raises(KeyboardInterrupt):
        report.run(claims, tmp_path, budget="quick")
    left = strictly(tmp_path / "report.json")
    assert not left["finished"] and left["planned"] == 3 and len(left["claims"]) == 2 and left["interrupted"] == "stops"
    assert "Unfinished: 2 of 3 claims.</b> Interrupted in “stops”" in (tmp_path / "report.html").read_text()
    assert [one.verdict.name for one in report.again(claims, tmp_path).values()] == [row["verdict"] for row in left["claims"]]
    assert not strictly(tmp_path / "report.json")["finished"]


@pytest.mark.slow
def test_ctrl_c_inside_a_simulation_is_no_verdict(tmp_path, monkeypatch, ctrl_c, capsys):
    """A real signal in the middle of a run: no row, not "the runs do not diverge"; exit status 130."""

    def cut(key, size, parameters):
        system = mf.System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD(0.1, 1))
        ctrl_c("chunk")
        mf.simulate(system, widths=[4, 8], steps=100, seeds=2, key=key, probes=()).require_complete()
        return {"x": np.zeros(4)}

    monkeypatch.setitem(CLAIMS, "a", toy("a"))
    monkeypatch.setitem(CLAIMS, "cut", toy("cut", experiment=cut))
    assert command(["a", "cut", "--quick", "--out", str(tmp_path)]) == 130
    left = strictly(tmp_path / "report.json")
    assert not left["finished"] and [row["name"] for row in left["claims"]] == ["a"] and left["interrupted"] == "cut"
    assert "interrupted: what is finished is in the report" in capsys.readouterr().err


# -- somebody's own simulation --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """200 chains of two numbers from a normal law, one step of size almost 0."""
    path = tmp_path_factory.mktemp("results") / "results.nc"
    recursion = mf.dynamics.LinearRecursion(1e-6, 1)
    system = mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(2), recursion)
    mf.simulate(system, widths=200, steps=1, seeds=1, key=jax.random.key(0), probes=()).save(path)
    return path


def reader(**changes) -> Claim:
    read = {"read": lambda results, p: {"x": np.ravel(results.particles[200].w).astype(np.float64)}}
    return toy("reader", **read | changes)


@pytest.mark.slow
def test_results_take_the_place_of_the_experiment(tmp_path, simulated, monkeypatch, capsys):
    monkeypatch.setitem(CLAIMS, "reader", reader(detects=0.5))
    for given in (simulated, simulated.parent):
        assert main(Config(("reader",), tmp_path, results=given)) == 0
    (row,) = strictly(tmp_path / "report.json")["claims"]
    assert row["verdict"] == "CONSISTENT" and row["budget"] == "data" and row["seed"] is None and row["size"] is None
    assert row["comparisons"][0]["measured"] == mf.Results.load(simulated).particles[200].w.astype(np.float64).mean()
    assert row["rerun"] == f"python -m meanfield.verify reader --results {simulated.parent} --rate 0.01 --out DIR"
    note = f"Parameters are the claim's, numbers are of the runs at <code>{simulated.parent}</code>."
    assert note in (tmp_path / "report.html").read_text()
    assert main(Config(out=tmp_path, again=True)) == 0
    assert strictly(tmp_path / "report.json")["claims"][0]["rerun"] == row["rerun"]
    assert note in (tmp_path / "report.html").read_text()
    monkeypatch.setitem(CLAIMS, "reader", reader(detects=0.01))
    assert main(Config(("reader",), tmp_path, results=simulated)) == 0
    assert re.search(r"INCONCLUSIVE .* x \d", capsys.readouterr().out)

    with pytest.raises(mf.ArgumentError, match=r"Argument `claims` must be exactly one if `results` are given"):
        main(Config(("reader", "columns"), tmp_path, results=simulated))
    with pytest.raises(mf.ArgumentError, match=r"Argument `results` must be left out: 'toy' has only its own experiment"):
        report.run([toy()], tmp_path, results=simulated)
    with pytest.raises(mf.ArgumentError, match=r"Argument `controls` must be left out if `results` are given"):
        report.run([reader()], tmp_path, controls=True, results=simulated)
    probed = reader(read=lambda results, p: {"x": results.dataset["norm_quantile"]})
    with pytest.raises(
        mf.ArgumentError, match=r"hold all that 'reader' reads, but is '.*nc' \(No variable named 'norm_quantile'\)\."
    ):
        report.run([probed], tmp_path, results=simulated)
    for wrong in (tmp_path, tmp_path / "report.json"):
        with pytest.raises(mf.ArgumentError, match=r"Argument `results` must be a file of `Results.save`"):
            main(Config(("reader",), tmp_path, results=wrong))


def test_a_diverged_experiment_is_reported(tmp_path):
    def diverge(key, size, parameters):
        raise mf.DivergenceError("2 of 3 runs did not complete.")

    evidence = report.run([toy("lost", experiment=diverge), toy()], tmp_path, budget="quick", controls=True)
    assert evidence["lost"].verdict is Verdict.ASSUMPTION_VIOLATED and evidence["toy"].verdict is Verdict.CONSISTENT
    row = strictly(tmp_path / "report.json")["claims"][0]
    assert row["comparisons"] == [] and row["controls"] == {"off": "ASSUMPTION_VIOLATED"}
    assert "2 of 3 runs did not complete." in (tmp_path / "report.html").read_text()
    assert report.again([toy("lost"), toy()], tmp_path) == evidence and terminal.table(evidence).row_count == 3
