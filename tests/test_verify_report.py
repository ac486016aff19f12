"""The report: files hold what verdicts rest on, the command says what came out, the page works in a browser."""

import base64
import dataclasses
import itertools
import json
import math
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console
from scipy import special

import meanfield as mf
from meanfield import verify
from meanfield.verify import CLAIMS, Check, Claim, Hypothesis, Row, Verdict, _report_file, page, report, terminal
from meanfield.verify.__main__ import Config, command, main

ROOT = Path(__file__).parent.parent
CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"


def plot(ax, data, parameters):
    ax.hist(data["x"], 20)
    ax.set_xlabel(r"$x_\infty$ & <more>")


def rows(predicted=0.0, detects=0.2, measured=lambda data, parameters: verify.mean(data["x"])):
    """The mean, held against a number and against bounds."""
    return lambda parameters: [
        Row(name, prediction, lambda data: measured(data, parameters), detects, detects)
        for name, prediction in (("mean", predicted), ("above", (-0.2, math.inf)))
    ]


def toy(name="toy", predicted=0.0, detects=0.2, holds=True, **changes) -> Claim:
    """The mean of a thousand normal numbers is 0; the first prediction is a number, the second is bounds."""
    claim = Claim(
        name=name,
        statement="The mean of numbers <x> is m & no other.",
        formula=r"\mathbb E\Big(x\Big)^2 < \|m\| \sim \tfrac12\sqrt{\mathrm{err}}\ \text{for } x^\star",
        source="ours",
        parameters={"scale": 1.0, "widths": (16, 64), "kind": "normal"},
        rows=rows(predicted, detects),
        experiment=lambda key, size, p: {"x": p["scale"] * np.asarray(jax.random.normal(key, (size,)), np.float64)},
        sizes=(1000, 4000),
        hypotheses=(Hypothesis("It holds.", lambda data, parameters: Check(holds, "0.3 standard errors from 0.")),),
        controls={"off": {"rows": rows(0.5, detects)}},
        plot=plot,
    )
    return dataclasses.replace(claim, **changes)


def four() -> list[Claim]:
    """One of each verdict."""
    return [
        toy("b consistent", source="A (2001)"),
        toy("c refuted", predicted=0.3, source="C (2003)", formula=r"\nosuch"),
        toy("d small", detects=0.01, source="B (2002)"),
        toy("a violated", predicted=0.3, holds=False, source="D (2004)", plot=None),
    ]


def strictly(path: Path) -> dict:
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


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


def test_parameters_come_back_as_they_were(tmp_path):
    given = {
        "scale": 1.0,
        "self": 2,
        "text": "inf",
        "far": math.inf,
        "none": None,
        "mixed": ("nan", -math.inf, (1, "inf")),
        "named": {"a": "inf", "b": math.inf},
    }
    claim = toy(parameters={**given, "array": np.array([1.0, math.inf])})
    report.run([claim], tmp_path, budget="quick")
    back = dict(report.again([claim], tmp_path)["toy"].parameters)
    array = back.pop("array")
    assert isinstance(array, np.ndarray) and array.tolist() == [1.0, math.inf] and back == given


def head(**changes):
    return lambda out: edited(out, lambda content: content | changes)


def row(**changes):
    return lambda out: edited(out, lambda content: content | {"claims": [content["claims"][0] | changes]})


def without(name, of="head"):
    def left(content):
        (content if of == "head" else content["claims"][0]).pop(name)
        return content

    return lambda out: edited(out, left)


def edited(out, change):
    path = out / "report.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def arrays(**given):
    return lambda out: np.savez(out / "data" / "toy.npz", **given)


def one_array(out):
    np.save(out / "one.npy", np.arange(3))
    (out / "one.npy").rename(out / "data" / "toy.npz")


BROKEN = {
    "not JSON": lambda out: (out / "report.json").write_text("{"),
    "not text": lambda out: (out / "report.json").write_bytes(b"\xff\xfe"),
    "too deep": lambda out: (out / "report.json").write_text(100_000 * "["),
    "no object": lambda out: (out / "report.json").write_text("[1]"),
    **{f"no {name}": without(name) for name in _report_file.HEAD},
    **{f"no {name} of the row": without(name, "row") for name in _report_file.ROW},
    "budget": head(budget="large"),
    "planned": head(planned=0),
    "family rate": head(family_rate=1.5),
    "claims": head(claims={}),
    "a row that is none": head(claims=[1]),
    "two rows": lambda out: edited(out, lambda content: content | {"claims": 2 * content["claims"], "planned": 2}),
    "budget of the row": row(budget="large"),
    "controls": row(controls={"off": 1}),
    "somewhere": row(data="/etc/hostname"),
    "above": row(data="data/../../toy.npz"),
    "directory": row(data="data/.."),
    "zero": row(data="data/a\0"),
    "unknown parameter": row(parameters={"nonsense": 1}),
    "wrong parameter": row(parameters={"scale": {}}),
    "missing": lambda out: (out / "data" / "toy.npz").unlink(),
    "empty": lambda out: (out / "data" / "toy.npz").write_bytes(b""),
    "garbage": lambda out: (out / "data" / "toy.npz").write_bytes(b"garbage"),
    "truncated": lambda out: (out / "data" / "toy.npz").write_bytes((out / "data" / "toy.npz").read_bytes()[:-50]),
    "one array": one_array,
    "pickled": arrays(x=np.array([{}])),
    "other arrays": arrays(y=np.arange(3.0)),
    "text": arrays(x=np.array(["a", "b"])),
    "no numbers": arrays(x=np.full(9, np.nan)),
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_files_are_sentences(tmp_path, capsys, monkeypatch, how):
    scaled = rows(measured=lambda data, parameters: verify.mean(parameters["scale"] * data["x"]))
    monkeypatch.setitem(CLAIMS, "toy", toy(rows=scaled, plot=None))
    again = ["--again", "--out", str(tmp_path)]
    assert command(["toy", "--quick", "--out", str(tmp_path)]) == 0 and command(again) == 0
    report_before = (tmp_path / "report.html").read_bytes()
    BROKEN[how](tmp_path)
    capsys.readouterr()
    assert command(again) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"error: Argument `out` must .*report\.json.*, but is .*\.\n", said)
    assert str(tmp_path) in said and (tmp_path / "report.html").read_bytes() == report_before


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


def test_an_experiment_that_breaks_down_is_named(tmp_path, monkeypatch, capsys):
    def broken(key, size, parameters):
        raise ZeroDivisionError("It is broken.")

    def wrong(key, size, parameters):
        mf.dynamics.LinearRecursion(-1.0, 1)

    for claim in (toy("fine"), toy("breaks", experiment=broken), toy("wrong", experiment=wrong)):
        monkeypatch.setitem(CLAIMS, claim.name, claim)
    assert command(["fine", "breaks", "--quick", "--out", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert "Traceback" in said and "ZeroDivisionError: It is broken.\nRaised by the claim 'breaks'." in said
    left = strictly(tmp_path / "report.json")
    assert not left["finished"] and [row["verdict"] for row in left["claims"]] == ["CONSISTENT"]
    assert command(["fine", "wrong", "--quick", "--out", str(tmp_path)]) == 2
    assert re.match(r"error: Argument `step_size` .* Raised by the claim 'wrong'\.", capsys.readouterr().err)


# -- the command ----------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_command(tmp_path):
    def call(*arguments):
        command = [sys.executable, "-m", "meanfield.verify", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    done = call("columns", "sharp constant", "--quick", "--out", str(tmp_path / "deep"))
    assert done.returncode == 0, done.stderr
    assert re.search(r"^CONSISTENT +\d+\.\d s  columns$", done.stdout, re.M) and "N error^2" in done.stdout
    assert not done.stderr and "\x1b" not in done.stdout  # no bar, no colours
    assert {p.name for p in (tmp_path / "deep" / "data").iterdir()} == {"columns.npz", "sharp constant.npz"}
    row = strictly(tmp_path / "deep" / "report.json")["claims"][1]
    assert row["rerun"] == "python -m meanfield.verify 'sharp constant' --quick --seed 0 --rate 0.005 --out DIR"
    done = call("nonsense", "--out", str(tmp_path / "other"))
    assert done.returncode == 2 and done.stderr.startswith("error: Argument `claims` must be one of '"), done.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.long
def test_exit_status_and_list(tmp_path, monkeypatch, capsys):
    for claim in [*four(), toy("fooled", controls={"off": {"statement": "The same."}})]:
        monkeypatch.setitem(CLAIMS, claim.name, claim)
    assert main(Config(("b consistent", "d small", "a violated"), tmp_path, controls=True)) == 0
    assert main(Config(("b consistent", "c refuted"), tmp_path)) == 1
    assert main(Config(out=tmp_path, again=True)) == 1
    assert main(Config(("fooled",), tmp_path)) == 0
    assert main(Config(("fooled",), tmp_path, controls=True, budget="quick")) == 0  # only the full budget must catch them
    capsys.readouterr()
    assert main(Config(("fooled",), tmp_path, controls=True)) == 1
    assert "negative control came back CONSISTENT: fooled, off" in capsys.readouterr().out
    assert main(Config(list=True)) == 0
    assert "columns" in (listed := capsys.readouterr().out) and "The mean of numbers" in listed
    with pytest.raises(mf.ArgumentError, match=r"Argument `claims` must be left out with `--again`"):
        main(Config(("fooled",), tmp_path, again=True))


def test_table(tmp_path):
    evidence = report.run(four(), tmp_path, budget="quick")
    console = Console(width=150)
    with console.capture() as capture:
        console.print(terminal.table(evidence))
    text = capture.get()
    assert f"{evidence['d small'].size_needed:,}" in text and "a violated: violated: It holds. 0.3 standard errors" in text
    assert "−" not in text and "…" not in text and "-0.2 to inf" in text
    assert terminal.coloured(Verdict.REFUTED) == "[red]REFUTED[/]"
    assert report.refuted(evidence) and not report.refuted({"b": evidence["b consistent"]})


# -- the page -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("page")
    evidence = report.run([*four(), CLAIMS["columns"]], out, budget="quick", controls=True)
    return out / "report.html", evidence


@pytest.mark.long
def test_page_is_whole_and_loads_nothing(written):
    path, evidence = written
    text = path.read_text()
    for attribute in re.findall(r"""(?:src|href|action|poster|srcset|data)\s*=\s*["']([^"']*)""", text):
        assert attribute.startswith(("data:", "#")), attribute
    assert "@import" not in text and "url(" not in text and "<b>" in text
    for one in evidence.values():
        for row in one.comparisons:
            for value in (row.measured, *row.interval, row.detects, *np.atleast_1d(row.predicted)):
                assert page.number(float(value)) in text
            assert page.number(row.detectable, 3) in text and page.number(row.p_value, 3) in text
    assert "numbers &lt;x&gt; is m &amp; no other" in text and "<x>" not in text
    assert "nan" not in re.sub(r"base64,\S+", "", text) and "<code>\\nosuch</code>" in text
    assert "python -m meanfield.verify columns --quick --seed 0 --controls --rate 0.0025 --out DIR" in text
    assert "The quick budget sees only the coarse deviations" in text
    assert page.number(float("nan")) == "not a number"


@pytest.mark.parametrize("name", CLAIMS)
def test_every_formula_is_converted(name):
    made = page.formula(CLAIMS[name].formula)
    assert CLAIMS[name].formula.isprintable()  # "\\f" of a string that is not raw is one character
    assert made.startswith("<math") and "mathvariant" not in made.replace('mathvariant="normal"', "")


def test_large_figures_become_png():
    def many(ax, data, parameters):
        ax.plot(np.linspace(0, 1, 20_000), np.random.default_rng(0).normal(size=20_000), ".")

    data = {"x": np.arange(3.0)}
    assert page.figure(toy(plot=many), data).startswith("data:image/png;base64,")
    small = page.figure(toy(), data)
    assert small.startswith("data:image/svg+xml;base64,") and small == page.figure(toy(), data)
    assert b"&amp; &lt;more&gt;" in base64.b64decode(small.split(",")[1])


def test_axis_is_true_to_scale():
    """Places in per cent: linear in the value, whatever is infinite at the edge."""
    row = {"name": "x", "predicted": (-math.inf, 1.0), "measured": 0.5, "interval": (0.0, 2.0), "detects": 0.5}
    drawn = page.axis(row)
    assert 'cx="29.000%"' in drawn and 'class="interval" x1="8.000%" x2="92.000%"' in drawn
    assert '<rect class="bounds" x="1.000%" width="49.000%"' in drawn and "nan" not in drawn
    labels = [float(label.replace("−", "-")) for label in re.findall(r">([^<]+)</text>", drawn)]
    assert len(labels) >= 3 and labels == sorted(labels)
    same = page.axis({**row, "predicted": 1.0, "measured": 1.0, "interval": (1.0, 1.0), "detects": 0.0})
    assert "nan" not in same and "inf" not in same


# -- in a browser ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not (shutil.which(CHROMIUM) and shutil.which(DRIVER)):
        pytest.skip("needs Debian's chromium and chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    quiet = ("quic", "background-networking", "component-update", "sync", "gpu")
    profile = tmp_path_factory.mktemp("profile")
    for flag in ("headless=new", "no-sandbox", "no-first-run", f"user-data-dir={profile}", *(f"disable-{q}" for q in quiet)):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def opened(browser, path, width=1200):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get_log("performance")
    browser.get(f"file://{path}")
    return browser


def names(browser) -> list[str]:
    script = "return [...document.querySelectorAll('.card')].filter(c => c.offsetHeight > 0).map(c => c.dataset.name)"
    return browser.execute_script(script)


def test_page_loads_without_errors_and_without_network(browser, written):
    opened(browser, written[0])
    assert names(browser) == list(written[1])
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    assert any(url.startswith("file:") for url in asked) and not [u for u in asked if not u.startswith(("file:", "data:"))]
    images = browser.execute_script("return [...document.images].map(i => i.complete && i.naturalWidth)")
    drawn = [claim for claim in (*four(), CLAIMS["columns"]) if claim.plot]
    assert len(images) == len(drawn) and all(images)


def test_formulas_are_rendered(browser, written):
    opened(browser, written[0])
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('math')].map(m => m.getBoundingClientRect()).map(b => [b.width, b.height])"
    )
    assert len(sizes) == 4 and all(width > 50 and height > 15 for width, height in sizes)


def test_sort_and_filter(browser, written):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.select import Select

    opened(browser, written[0])
    evidence = written[1]
    select = Select(browser.find_element(By.ID, "sort"))
    for by, key in {
        "name": lambda name: name,
        "p": lambda name: evidence[name].p_value,
        "seconds": lambda name: evidence[name].seconds,
        "order": lambda name: list(evidence).index(name),
    }.items():
        select.select_by_value(by)
        assert names(browser) == sorted(evidence, key=key), by
    select.select_by_value("verdict")
    assert names(browser) == ["c refuted", "a violated", "d small", "b consistent", "columns"]
    select.select_by_value("source")
    assert names(browser)[:4] == ["b consistent", "d small", "c refuted", "a violated"]
    browser.find_element(By.CSS_SELECTOR, "input[value=CONSISTENT]").click()
    assert names(browser) == ["d small", "c refuted", "a violated"]


def test_phone(browser, written):
    opened(browser, written[0], width=390)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert len(names(browser)) == 5


@pytest.mark.parametrize("width", [390, 1200])
def test_labels_do_not_overlap(browser, written, width):
    opened(browser, written[0], width)
    axes = browser.execute_script(
        "return [...document.querySelectorAll('td .axis')].map(a => [...a.querySelectorAll('text')]"
        ".map(t => t.getBoundingClientRect()).map(b => [b.left, b.right]).sort((x, y) => x[0] - y[0]))"
    )
    assert len(axes) == sum(len(one.comparisons) for one in written[1].values())
    for boxes in axes:
        assert len(boxes) >= 2 and boxes[0][0] >= 0 and boxes[-1][1] <= width
        assert all(left[1] + 4 < right[0] for left, right in itertools.pairwise(boxes)), boxes


def test_page_can_be_printed_and_read_without_javascript(browser, written):
    opened(browser, written[0])
    assert base64.b64decode(browser.print_page())[:5] == b"%PDF-"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script("return document.querySelector('.controls').offsetHeight") == 0
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        opened(browser, written[0])
        text = browser.find_element("tag name", "body").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "sort by" not in text and all(name in text for name in written[1]) and "ASSUMPTION VIOLATED" in text
