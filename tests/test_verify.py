"""Verdicts: the test keeps its rates, verdicts mean what they say, files hold what verdicts rest on, controls are caught."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import meanfield as mf
from meanfield import verify
from meanfield.verify import Check, Claim, Estimate, Hypothesis, Verdict, report

ROOT = Path(__file__).parent.parent


def toy(truth=0.0, predicted=0.0, detects=0.2, size=1000, holds=True, count=1, rate=0.01) -> Claim:
    """The mean of normal numbers is what it is."""
    names = [f"mean {i}" for i in range(count)]

    def experiment(key, size, parameters):
        draws = np.asarray(jax.random.normal(key, (count, size)), np.float64) + parameters["truth"]
        return dict(zip(names, draws, strict=True))

    return Claim(
        name="toy",
        statement="The mean is the mean.",
        formula="E x = m",
        source="ours",
        parameters={"truth": truth},
        predict=lambda parameters: dict.fromkeys(names, predicted),
        experiment=experiment,
        measure=lambda data, parameters: {name: verify.mean(data[name]) for name in names},
        detects=dict.fromkeys(names, detects),
        quick_detects=dict.fromkeys(names, 10 * detects),
        sizes=(20, size),
        hypotheses=(Hypothesis("It holds.", lambda data, parameters: Check(holds, "It was looked at.")),),
        rate=rate,
    )


# -- one claim ------------------------------------------------------------------------------------------------------------


def test_four_verdicts():
    assert toy().test().verdict is Verdict.CONSISTENT
    assert toy(predicted=0.3).test().verdict is Verdict.REFUTED
    wide = toy(detects=0.02).test()
    assert wide.verdict is Verdict.INCONCLUSIVE
    (row,) = wide.comparisons
    assert toy(detects=0.02, size=int(1000 * row.needed * 1.05)).test().verdict is Verdict.CONSISTENT  # as large as it said
    assert toy(holds=False).test().verdict is Verdict.ASSUMPTION_VIOLATED
    assert toy(predicted=0.3, holds=False).test().verdict is Verdict.ASSUMPTION_VIOLATED  # before the numbers


@pytest.mark.parametrize("count", [1, 4])
def test_false_alarms_and_power_are_as_declared(count):
    """2000 seeds at rate 5 %: refuted within five standard errors of it at most; a deviation of `detects` seen in 90 %."""
    claim = toy(count=count, rate=0.05, size=50)
    data = [claim.collect(seed) for seed in range(2000)]
    alarms = np.mean([claim.judge(one).verdict is Verdict.REFUTED for one in data])
    assert alarms < 0.05 + 5 * np.sqrt(0.05 * 0.95 / 2000) and alarms > 0.03
    needed = np.mean([claim.judge(one).comparisons[0].needed for one in data])
    off = toy(count=count, rate=0.05, size=50, predicted=0.2 * np.sqrt(needed))
    seen = np.mean([off.judge(one).comparisons[0].p_value <= 0.05 / count for one in data])
    assert 0.87 < seen < 0.93
    covered = np.mean([row.interval[0] <= 0 <= row.interval[1] for one in data for row in claim.judge(one).comparisons])
    assert abs(covered - (1 - 0.05 / count)) < 0.01


def test_a_family_keeps_one_rate():
    """Holm: 400 families of five true claims, any refuted in at most 10 % (five standard errors); naively in 40 %. A false one is found."""
    claim = toy(rate=0.1, size=30)
    p_values = np.array([claim.judge(claim.collect(seed)).p_value for seed in range(2000)]).reshape(400, 5)
    any_refuted = np.mean([np.any(p <= verify.holm(p, 0.1)) for p in p_values])
    naive = np.mean(np.any(p_values <= 0.1, axis=1))
    assert any_refuted < 0.1 + 5 * np.sqrt(0.09 / 400) < naive
    false = toy(predicted=2.0, rate=0.1, size=30).test().p_value
    assert all((p <= verify.holm(p, 0.1))[-1] for p in np.column_stack([p_values, np.full(400, false)]))


def test_parameters_and_controls():
    assert toy().with_parameters(truth=1.0).test().verdict is Verdict.REFUTED
    with pytest.raises(mf.ArgumentError, match=r"Argument `parameters` must be one of 'truth', but is 'mean'."):
        toy().with_parameters(mean=1.0)
    claim = dataclasses.replace(toy(), controls={"off": {"predict": lambda parameters: {"mean 0": 0.5}}})
    assert claim.control("off").test().verdict is Verdict.REFUTED and claim.control("off").name == "toy, off"
    with pytest.raises(mf.ArgumentError, match=r"Argument `budget` must be one of 'quick', 'full', but is 'large'."):
        claim.test(budget="large")
    with pytest.raises(mf.ArgumentError, match=r"Argument `standard_error of 'x'` must be a number > 0, but is 0.0."):
        verify.compare("x", 0.0, Estimate(1.0, 0.0), 0.1, 0.01)


def test_bounds_are_predictions_too():
    """Inside: p = 1; outside: that of the nearer end; infinite ends are allowed, the wrong order and NaN are not."""
    inside = verify.compare("x", (0.0, 1.0), Estimate(0.5, 0.1), 0.2, 0.01)
    assert inside.p_value == 1 and inside.predicted == (0.0, 1.0)
    for value in (-0.2, 1.2):
        near = 0.0 if value < 0 else 1.0
        assert verify.compare("x", (0.0, 1.0), Estimate(value, 0.1), 0.2, 0.01).p_value == pytest.approx(
            verify.compare("x", near, Estimate(value, 0.1), 0.2, 0.01).p_value
        )
    assert verify.compare("x", (0.0, np.inf), Estimate(1e6, 0.1), 0.2, 0.01).p_value == 1
    one = toy(detects=0.2)
    above = dataclasses.replace(one, predict=lambda parameters: {"mean 0": (0.2, np.inf)}, detects=0.15, quick_detects=1.0)
    assert above.test().verdict is Verdict.REFUTED
    assert dataclasses.replace(above, predict=lambda parameters: {"mean 0": (-np.inf, 0.2)}).test().verdict is Verdict.CONSISTENT
    with pytest.raises(mf.ArgumentError, match=r"Argument `predicted of 'x'` must be a number or bounds \(low, high\)"):
        verify.compare("x", (1.0, 0.0), Estimate(1.0, 0.1), 0.1, 0.01)
    with pytest.raises(mf.ArgumentError, match=r"Argument `predicted of 'x'` must be a number"):
        verify.compare("x", float("nan"), Estimate(1.0, 0.1), 0.1, 0.01)
    with pytest.raises(mf.ArgumentError, match=r"Argument `measured of 'x'` must be a finite number, but is nan."):
        verify.compare("x", 0.0, Estimate(float("nan"), 0.1), 0.1, 0.01)


# -- the claims -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", verify.CLAIMS)
def test_every_claim_is_whole(name):
    claim = verify.CLAIMS[name]
    assert claim.name == name and claim.statement.endswith(".") and claim.formula and claim.source and claim.controls
    for detects in (claim.detects, claim.quick_detects):
        assert isinstance(detects, float) or set(claim.predict(claim.parameters)) == set(detects)
    data = claim.collect(0, "quick")
    evidence = claim.judge(data, "quick")
    assert evidence.verdict in (Verdict.CONSISTENT, Verdict.INCONCLUSIVE)
    assert all(np.isfinite([r.measured, *r.interval]).all() for r in evidence.comparisons)


@pytest.mark.slow
@pytest.mark.parametrize("name", verify.CLAIMS)
def test_full_budget_is_enough_and_controls_are_caught(name):
    claim = verify.CLAIMS[name]
    evidence = claim.test(seed=1)
    assert evidence.verdict is Verdict.CONSISTENT, evidence
    for control in claim.controls:
        assert claim.control(control).test(seed=2).verdict in (Verdict.REFUTED, Verdict.ASSUMPTION_VIOLATED), control


@pytest.mark.slow
def test_no_more_false_alarms_than_declared():
    """20 quick seeds of every claim at 1 %: more than 6 refutations in 140 have probability 0.1 %."""
    refuted = [
        (name, seed)
        for name, claim in verify.CLAIMS.items()
        for seed in range(20)
        if claim.test(seed, "quick").verdict is Verdict.REFUTED
    ]
    assert len(refuted) <= 6, refuted


# -- files and the command ----------------------------------------------------------------------------------------------------


def test_files_hold_what_verdicts_rest_on(tmp_path):
    claims = [verify.CLAIMS["columns"], dataclasses.replace(toy(predicted=0.3, detects=0.02), name="wrong")]
    told = []
    evidence = report.run(claims, tmp_path, seed=3, budget="quick", told=lambda claim, one: told.append(claim.name))
    assert told == ["columns", "wrong"] and set(evidence) == set(told)
    written = json.loads((tmp_path / "report.json").read_text())
    for claim, row in zip(claims, written["claims"], strict=True):
        again = report.reread(dataclasses.replace(claim, rate=row["rate"]), tmp_path, "quick")
        assert [list(r.interval) for r in again.comparisons] == [r["interval"] for r in row["comparisons"]]
        assert [r.measured for r in again.comparisons] == [r["measured"] for r in row["comparisons"]]
        assert row["verdict"] == evidence[claim.name].verdict.name and row["seed"] == 3
    assert written["versions"]["jax"] == jax.__version__
    assert report.table(evidence).row_count >= 4
    with pytest.raises(mf.ArgumentError, match="of different names"):
        report.run([claims[0], claims[0]], tmp_path)


def test_command(tmp_path):
    def call(*arguments):
        command = [sys.executable, "-m", "meanfield.verify", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    done = call("columns", "sharp constant", "--quick", "--out", str(tmp_path / "deep"))
    assert done.returncode == 0, done.stderr
    assert (
        "CONSISTENT" in done.stdout
        and "chi-square" in done.stdout
        and "limit" not in {p.stem for p in tmp_path.glob("deep/data/*")}
    )
    assert {p.name for p in (tmp_path / "deep" / "data").iterdir()} == {"columns.npz", "sharp constant.npz"}
    done = call("nonsense", "--out", str(tmp_path / "other"))
    assert done.returncode == 2 and done.stderr.startswith("error: Argument `claims` must be one of 'limit'"), done.stderr
    assert not (tmp_path / "other").exists()
    assert report.refuted({"x": toy(predicted=1.0).test()}) and not report.refuted({"x": toy().test()})
