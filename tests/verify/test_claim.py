"""Verdicts: the test keeps its rates, verdicts mean what they say, controls are caught."""

import dataclasses

import jax
import numpy as np
import pytest

import meanfield as mf
from meanfield import verify
from meanfield.verify import Check, Claim, Estimate, Hypothesis, Row, Verdict, report


def row(name="mean 0", measured=verify.mean, predicted=0.0, detects=0.2) -> Row:
    """What is measured on the array of its name."""
    return Row(name, predicted, lambda data: measured(data[name]), detects, 10 * detects)


def compares(**changes):
    """The field of a claim that has one row."""
    return {"rows": lambda parameters: [row(**changes)]}


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
        rows=lambda parameters: [row(name, predicted=predicted, detects=detects) for name in names],
        experiment=experiment,
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


@pytest.mark.slow
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


@pytest.mark.long
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
    claim = dataclasses.replace(toy(), controls={"off": compares(predicted=0.5)})
    assert claim.control("off").test().verdict is Verdict.REFUTED and claim.control("off").name == "toy, off"
    with pytest.raises(
        mf.ArgumentError, match=r"Argument `changed field of the control 'off'` must be one of 'statement', .*'rows'.*'rwos'."
    ):
        dataclasses.replace(toy(), controls={"off": {"rwos": claim.rows}})
    with pytest.raises(mf.ArgumentError, match=r"Argument `budget` must be one of 'quick', 'full', but is 'large'."):
        claim.test(budget="large")
    with pytest.raises(mf.ArgumentError, match=r"Argument `budget` must be one of 'quick', 'full', 'data', but is 'quik'."):
        claim.judge(claim.collect(), "quik")
    with pytest.raises(mf.ArgumentError, match=r"Argument `standard_error of 'x'` must be a number > 0, but is 0.0."):
        verify.compare("x", 0.0, Estimate(1.0, 0.0), 0.1, 0.01)


@pytest.mark.long
def test_divergence_is_a_violated_assumption():
    """Of runs that diverged there are no numbers, and no crash."""

    def experiment(key, size, parameters):
        with pytest.warns(mf.StabilityWarning):
            system = mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(1), mf.dynamics.LinearRecursion(4.0, 1))
        results = mf.simulate(system, widths=9, steps=2000, seeds=1, key=key, probes=())
        return {"mean 0": results.require_complete().particles[9].w}

    claim = dataclasses.replace(toy(), experiment=experiment)
    evidence = claim.test()
    assert evidence.verdict is Verdict.ASSUMPTION_VIOLATED and evidence.comparisons == () and evidence.size_needed == 1000
    (check,) = evidence.checks.values()
    assert check.evidence.startswith("1 of 1 runs did not complete.")
    assert claim.judge(claim.collect(1)).verdict is Verdict.ASSUMPTION_VIOLATED


def test_where_a_hypothesis_fails_numbers_may_be_missing():
    """Nothing varies, so that there is no standard error: a mistake of the claim, unless a hypothesis failed."""
    claim = dataclasses.replace(toy(), experiment=lambda key, size, parameters: {"mean 0": np.zeros(size)})
    with pytest.raises(mf.ArgumentError, match="standard_error"):
        claim.test()
    evidence = dataclasses.replace(claim, hypotheses=toy(holds=False).hypotheses).test()
    assert evidence.verdict is Verdict.ASSUMPTION_VIOLATED and evidence.comparisons == () and evidence.p_value == 1


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        (compares(measured=lambda x: Estimate(50.0, 0.1, dof=float("nan"))), "dof of 'mean 0'"),
        (compares(measured=lambda x: Estimate(50.0, 0.1, dof=0)), "dof of 'mean 0'"),
        (compares(measured=lambda x: Estimate(50.0, 0.1, bias=-1.0)), "bias of 'mean 0'"),
        (compares(measured=lambda x: Estimate(50.0, 0.1, bias=float("nan"))), "bias of 'mean 0'"),
        (compares(detects=float("nan")), "detects of 'mean 0'"),
        (compares(detects=float("inf")), "detects of 'mean 0'"),
        (compares(detects=0), "detects of 'mean 0'"),
        ({"rows": lambda p: []}, "rows"),
        ({"rows": lambda p: [row(), row()]}, "rows"),
        (compares(predicted=(-np.inf, np.inf)), "predicted of 'mean 0'"),
        (compares(predicted=(0.0, 1.0, 2.0)), "predicted"),
        ({"rate": float("nan")}, "rate"),
        ({"rate": -1.0}, "rate"),
        ({"hypotheses": 2 * toy().hypotheses}, "hypotheses"),
    ],
)
def test_nonsense_is_refused_and_never_consistent(changes, name):
    with pytest.raises(mf.ArgumentError, match=f"Argument `{name}` must"):
        dataclasses.replace(toy(), **changes).test()


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
    above, below = (
        dataclasses.replace(one, **compares(predicted=ends, detects=0.15)) for ends in ((0.2, np.inf), (-np.inf, 0.2))
    )
    assert above.test().verdict is Verdict.REFUTED and below.test().verdict is Verdict.CONSISTENT
    with pytest.raises(mf.ArgumentError, match=r"Argument `predicted of 'x'` must be a number or bounds \(low, high\)"):
        verify.compare("x", (1.0, 0.0), Estimate(1.0, 0.1), 0.1, 0.01)
    with pytest.raises(mf.ArgumentError, match=r"Argument `predicted of 'x'` must be a number"):
        verify.compare("x", float("nan"), Estimate(1.0, 0.1), 0.1, 0.01)
    with pytest.raises(mf.ArgumentError, match=r"Argument `measured of 'x'` must be a finite number, but is nan."):
        verify.compare("x", 0.0, Estimate(float("nan"), 0.1), 0.1, 0.01)


# -- bias and domain -------------------------------------------------------------------------------------------------------


def biased(bias, bound, detects=0.2, truth=0.0, why="the shift"):
    """The toy claim, measured by a device that is off by `bias`, of which the claim knows `bound`."""

    def measured(values):
        found = verify.mean(values)
        return dataclasses.replace(found.mapped(shift=bias), bias=bound, why=why)

    return dataclasses.replace(toy(truth=truth, size=400), **compares(measured=measured, detects=detects))


def test_a_bias_within_its_bound_refutes_nothing_and_hides_nothing_else():
    """400 seeds, device off by one standard error: refuted in far more than 1 % unless known; with the bound, in at most 1 % (five
    standard errors); a truth off by the smallest detectable deviation, the bias against it, is seen in 90 %."""
    claims = {bound: biased(0.05, bound) for bound in (0.0, 0.05)}
    data = [claims[0.0].collect(seed) for seed in range(400)]
    alarms = {bound: np.mean([c.judge(d).verdict is Verdict.REFUTED for d in data]) for bound, c in claims.items()}
    most = 0.01 + 5 * np.sqrt(0.01 * 0.99 / 400)
    assert alarms[0.05] < most < alarms[0.0]
    (row,) = claims[0.05].judge(data[0]).comparisons
    off = biased(-0.05, 0.05, truth=row.detectable)
    assert abs(np.mean([off.test(seed).verdict is Verdict.REFUTED for seed in range(400)]) - 0.9) < 0.075


def test_a_bias_that_hides_what_is_declared_makes_it_inconclusive_with_a_reason():
    assert biased(0.0, 0.001, detects=0.25).test().verdict is Verdict.CONSISTENT
    hidden = biased(0.0, 0.125, detects=0.25).test()
    assert hidden.verdict is Verdict.INCONCLUSIVE and hidden.size_needed is None
    assert hidden.reasons == (
        "mean 0: a deviation of 0.25 cannot be seen by any sample: a systematic error of up to 0.125 is allowed for, from the shift.",
    )
    nothing = biased(0.0, np.inf, detects=0.2, truth=5.0).test()
    assert nothing.verdict is Verdict.INCONCLUSIVE and "without bound" in nothing.reasons[0]
    noisy = toy(detects=0.02).test()
    assert noisy.size_needed is not None and "a sample larger by a factor of" in noisy.reasons[0]
    assert toy().test().reasons == ()


def test_parameters_have_a_domain():
    d = verify.domain

    def fits(parameters):
        mf._check.require(parameters["truth"] < 9 or parameters["n"] > 1, "truth", "be below 9 for n = 1", parameters["truth"])

    domain = {"truth": d.Real(0, 10), "n": d.Whole(1, 3)}
    claim = dataclasses.replace(toy(), parameters={"truth": 0.0, "n": 1}, domain=domain, fits=fits)
    assert claim.with_parameters(truth=10, n=2).parameters == {"truth": 10, "n": 2}
    for wrong, told in {
        "truth": (11.0, r"Argument `truth` must be a number from 0 to 10, but is 11.0\."),
        "n": (1.0, r"Argument `n` must be a whole number from 1 to 3, but is 1.0\."),
    }.items():
        with pytest.raises(mf.ArgumentError, match=told[1]):
            claim.with_parameters(**{wrong: told[0]})
    with pytest.raises(mf.ArgumentError, match=r"Argument `truth` must be below 9 for n = 1, but is 9.5\."):
        claim.with_parameters(truth=9.5)
    drawn = [claim.anywhere(np.random.default_rng(seed)).parameters for seed in range(200)]
    assert {one["n"] for one in drawn} == {1, 2, 3} and max(one["truth"] for one in drawn if one["n"] == 1) < 9


# -- wrong calls ------------------------------------------------------------------------------------------------------------

BAD_CLAIMS = {  # changed fields of `toy`, and what `test` says
    "rows": (None, "a function of parameters"),
    "rows, a number": (lambda p: 3.0, r"return one or several `Row` objects, but is a function that returns 3.0"),
    "rows, names": (lambda p: {"mean 0": 3.0}, "return one or several `Row` objects"),
    "rows, a number measured": (compares(measured=lambda x: 3.0)["rows"], "`measured of 'mean 0'` must be an `Estimate`"),
    "rows, nothing measured": (lambda p: [Row("x", 0.0, None, 1.0, 1.0)], "`measured of 'x'` must be a function of data"),
    "rows, no name": (lambda p: [Row(3, 0.0, verify.mean, 1.0, 1.0)], "`name` must be a text"),
    "experiment": (lambda k, s, p: 3, "return arrays by name"),
    "sizes": (5, "two integers >= 1"),
    "sizes, negative": ((100, -5), "an integer >= 1"),
    "hypotheses": ([3], "hold `Hypothesis` objects"),
    "hypotheses, a truth": ((Hypothesis("h", lambda d, p: True),), "return a `Check`"),
    "parameters": (None, "map names to numbers"),
    "controls": ({"c": {"foo": 1}}, "must be one of 'statement', 'formula'"),
    "controls, a function": ({"c": np.sin}, "map names to changed fields of a claim"),
    "name": (3, "a text"),
}


@pytest.mark.parametrize("case", BAD_CLAIMS)
def test_a_claim_of_wrong_parts_is_a_sentence(case):
    value, must = BAD_CLAIMS[case]
    with pytest.raises(mf.ArgumentError, match=must):
        dataclasses.replace(toy(), **{case.split(",")[0]: value}).test()


BAD_CALLS = {
    "judge nothing": (lambda: toy().judge(None), "`data` must map names to arrays"),
    "judge other arrays": (lambda: toy().judge({"y": np.ones(9)}), "`data` must hold the array 'mean 0', which the claim reads"),
    "judge masked": (lambda: toy().judge({"mean 0": np.ma.masked_array([1.0, 9.0, 2.0], [0, 1, 0])}), "without masked entries"),
    "rate": (lambda: toy().at_rate("a"), "`rate` must lie in"),
    "results": (
        lambda: dataclasses.replace(toy(), read=lambda r, p: {}).collect_from(None),
        "`results` must be `Results`",
    ),
    "predicted": (lambda: verify.compare("a", "x", Estimate(0.0, 1.0), 1.0, 0.05), "`predicted` must be a number or bounds"),
    "measured": (lambda: verify.compare("a", 0.0, 3.0, 1.0, 0.05), "`measured of 'a'` must be an `Estimate`"),
    "value": (lambda: verify.compare("a", 0.0, Estimate(np.zeros(2), 1.0), 1.0, 0.05), "`value of 'a'` must be a number"),
    "mean of one": (lambda: verify.mean([1.0]), "hold at least 2 values"),
    "mean of nothing": (lambda: verify.mean([]), "not be empty"),
    "mean of NaN": (lambda: verify.mean([np.nan, 1.0]), "`values` must be finite"),
    "mean of masked": (lambda: verify.mean(np.ma.masked_array([1.0, 2.0, 30.0], [0, 0, 1])), "without masked entries"),
    "p-values": (lambda: verify.holm([2.0, -1.0]), r"lie in \[0, 1\]"),
    "family rate": (lambda: verify.holm([0.1], rate=2), r"`rate` must lie in \(0, 1\)"),
    "claims": (lambda: report.run(["limit"], "out"), "a sequence of `Claim` objects"),
    "one claim": (lambda: report.run(toy(), "out"), "a sequence of `Claim` objects"),
    "out": (lambda: report.run([toy()], None), "`out` must be a path"),
    "told": (lambda: report.run([toy()], "out", told=3), "`told` must be a function"),
    "again": (lambda: report.again(None, "out"), "a sequence of `Claim` objects"),
    "reread": (lambda: report.reread(toy(), "/nothing"), "hold data/toy.npz"),
    "refuted": (lambda: report.refuted(None), "map names of claims to `Evidence`"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_a_wrong_call_is_a_sentence(case):
    call, must = BAD_CALLS[case]
    with pytest.raises(mf.ArgumentError, match=must):
        call()


@pytest.mark.parametrize(("third", "levels"), [(0.009, [0.03, 0.01, 0.015]), (0.02, [0.015, 0.01, 0.015])])
def test_levels_of_a_family_are_holms(third, levels):
    """0.03 / 3 for the smallest p-value, 0.03 / 2 for the next, and 0.03 for the last if that was refuted as well."""
    np.testing.assert_allclose(verify.holm([0.2, 0.001, third], 0.03), levels)
