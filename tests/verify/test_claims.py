"""The claims: whole, quick enough, right in their tools; at full budget CONSISTENT, and their negative controls are not."""

import dataclasses
import os

import numpy as np
import pytest
from matplotlib.figure import Figure

from meanfield import verify
from meanfield.verify import Verdict
from meanfield.verify.claim import bounds
from meanfield.verify.claims import _tools as tools

REAL = {"founding theorem, digits"}  # no theorem says how these end
FAST = ("columns", "second moment")  # run here at the quick budget; all of them in the slow tests
# A full run of all claims and controls takes an hour: continuous integration takes every MEANFIELD_CLAIMS-th claim.
SOME = list(verify.CLAIMS)[:: int(os.environ.get("MEANFIELD_CLAIMS", "1"))]


@pytest.mark.short(12)
@pytest.mark.parametrize("name", verify.CLAIMS)
def test_every_claim_is_whole(name):
    claim = verify.CLAIMS[name]
    assert claim.name == name and claim.statement.endswith(".") and claim.formula and claim.source and claim.controls
    assert claim.plot is not None and 0 < claim.sizes[0] < claim.sizes[1] and claim.rate == 0.01
    assert set(claim.domain) <= set(claim.parameters) and claim.with_parameters(**claim.parameters) == claim  # its own fit
    predicted = claim.predict(claim.parameters)
    full, quick = claim.detects, claim.quick_detects
    assert list(full) == list(quick) == list(predicted) and all(0 < full[row] <= quick[row] for row in predicted)
    for control in claim.controls:
        other = claim.control(control)
        changed = other.predict(other.parameters) != predicted
        assert changed or other.experiment is not claim.experiment or other.parameters != claim.parameters, control


@pytest.mark.long(1)
@pytest.mark.parametrize("name", FAST)
def test_a_quick_run(name):
    """Numbers, a figure, and controls that are judged on the same arrays."""
    claim = verify.CLAIMS[name]
    data = claim.collect(0, "quick")
    evidence = claim.judge(data, "quick")
    assert evidence.verdict is Verdict.CONSISTENT
    assert all(np.isfinite([r.measured, *r.interval, r.detectable]).all() for r in evidence.comparisons)
    ax = Figure().subplots()
    claim.plot(ax, data, claim.parameters)
    assert ax.has_data() and ax.get_ylabel()
    assert {e.verdict for e in claim.judge_controls(data, 0, "quick").values()} <= {Verdict.REFUTED, Verdict.ASSUMPTION_VIOLATED}


# -- at full size ------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", SOME)
def test_full_budget_is_enough_and_controls_are_caught(name):
    """At the level that a claim has in a run of all of them."""
    claim = verify.CLAIMS[name]
    data = claim.collect(1)
    if name not in REAL:
        level = claim.rate / len(verify.CLAIMS)
        evidence = verify.CLAIMS[name].at_rate(level).judge(data)
        assert evidence.verdict is Verdict.CONSISTENT, evidence
    for control, evidence in claim.judge_controls(data, 2).items():
        assert evidence.verdict is not Verdict.CONSISTENT, (control, evidence)


# -- at other parameters ---------------------------------------------------------------------------------------------------------

MOVED = (  # true claims that were refuted here before what their devices are off was allowed for
    ("limit", {"orders": (4.0,)}),
    ("sharp constant", {"kappa": 0.01, "parts": 1000}),
    ("columns", {"kappa": 0.01, "columns": 200}),
    ("contraction", {"step_size": 0.9, "dim": 1}),
    ("finite data index", {"data_seed": 3}),
    ("generalised CLT", {"step_sizes": (0.66,)}),
)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "moved"), MOVED, ids=[name for name, _ in MOVED])
def test_true_claims_are_not_refuted_where_they_are_moved_to(name, moved):
    """Nor do they lose their power: a prediction that is off by 1.5 times what the rows say they detect is refuted by the same data."""
    claim = verify.CLAIMS[name].with_parameters(**moved)
    data = claim.collect(5)
    evidence = claim.judge(data)
    assert evidence.verdict in (Verdict.CONSISTENT, Verdict.INCONCLUSIVE), evidence
    off = {row.name: tuple(end + 1.5 * row.detectable for end in bounds(row.predicted)) for row in evidence.comparisons}
    moved = dataclasses.replace(claim, rows=tools.predicting(claim.rows, lambda parameters: off))
    assert moved.judge(data).verdict is Verdict.REFUTED
