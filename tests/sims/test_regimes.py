"""The map of regimes: what its numbers are, which control says what, and that the quick run adds up."""

import dataclasses
import json

import numpy as np
import pytest

from sims import _regimes, regimes

CONFIG = regimes.Config(widths=(64, 256), seeds=8)


def planted(**slopes):
    """A row of a control with standard errors of .01 and eight runs."""
    slope = {"measured": sum(slopes.values()), "sampling": 0.0, "law": 0.0, "dependence": 0.0} | slopes
    return {"control": "x", "slope": slope, "slope_error": dict.fromkeys(slope, 0.01), "slope_sure": 3.5}


@pytest.mark.parametrize(
    ("carries", "slopes", "holds"),
    [
        ("sampling", {"sampling": -0.2}, True),
        ("sampling", {"sampling": -0.2, "law": 0.034}, True),
        ("sampling", {"sampling": -0.2, "law": 0.036}, False),
        ("sampling", {"sampling": -0.2, "dependence": -0.036}, False),
        ("sampling", {"sampling": -0.03}, None),
        ("law", {"law": -0.2, "sampling": -0.1}, True),
        ("law", {"law": -0.03, "sampling": -0.1}, None),
        ("law", {"law": -0.2, "dependence": 0.1}, False),
    ],
)
def test_a_control_holds_if_its_part_alone_differs_from_zero(carries, slopes, holds):
    assert regimes._verdict(planted(**slopes) | {"carries": carries})["holds"] is holds


@pytest.mark.long
def test_measurements_of_planted_neurons():
    """Exponential norms that have doubled since: the growth is that of a doubling in the time given; laws at two widths agree."""
    rng = np.random.default_rng(0)
    neurons = {n: rng.exponential(size=(8, n, 1)) for n in (64, 256)}
    row = _regimes.measured(neurons, neurons[256] / 2, np.log(2), 0)
    assert row["growth"] == pytest.approx(1.0) and not row["stationary"]
    assert _regimes.measured(neurons, neurons[256][:, ::-1], np.log(2), 0)["growth"] == 0
    assert 0 < row["law_distance"][0] < 0.12 and len(row["law_distance"]) == 1
    assert abs(row["slope"]["law"]) < 4 * row["slope_error"]["law"]
    far = _regimes.measured({64: 3 * neurons[64], 256: neurons[256]}, neurons[256], np.log(2), 0)
    assert far["law_distance"][0] > 0.3 and far["slope"]["measured"] == pytest.approx(row["slope"]["measured"])
    np.testing.assert_allclose(np.log(row["of_one_law"][-1] / row["error"][-1]), 0, atol=0.1)


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        ({}, []),
        ({"stationary": False}, ["not stationary"]),
        ({"index_interval": [1.4, 2.1]}, ["index not below p"]),
        ({"family": "LOGNORMAL"}, ["no power law"]),  # whose index may well look like 1.5
        ({"family": "FINITE"}, ["no power law"]),
        ({"family": "UNDECIDED"}, ["tail undecided"]),
        ({"slope": {"sampling": -0.09, "law": -0.09, "dependence": 0.0}}, ["law moves with the width"]),
        ({"slope": {"sampling": -0.2, "law": 0.05, "dependence": 0.0}}, ["law moves with the width"]),
        ({"slope": {"sampling": -0.2, "law": 0.015, "dependence": 0.0}}, []),  # a tenth of the slope at most
        ({"slope": {"sampling": -0.2, "law": 0.0, "dependence": 0.05}}, ["dependent"]),
        ({"dependence": 0.2}, ["dependent"]),  # twins
        ({"dependence": 0.2, "dependence_error": 0.1}, []),  # which may be chance
        ({"slope_interval": {"measured": [-0.3, 0.01]}}, ["no fall"]),
    ],
)
def test_conditions_of_the_theorem(change, fails):
    """Each alone; standard errors of .01, eight runs."""
    slope = {"sampling": -0.2, "law": 0.0, "dependence": 0.0} | change.get("slope", {})
    row = planted(**slope) | {
        "slope_interval": {"measured": [-0.3, -0.1]},
        "stationary": True,
        "p": 2.0,
        "family": "POWER",
        "dependence": 0.0,
        "dependence_error": 0.01,
    }
    changed = {name: value for name, value in change.items() if name != "slope"}
    assert _regimes.fails(row | {"index_interval": [1.4, 1.6]} | changed) == fails


@pytest.mark.long
def test_networks_that_vanish_leave_the_map_whole(tmp_path):
    """Most dead neurons are 0 after 3000 steps with a large ridge: that cell has no slope and says why; one step size has a figure."""
    config = regimes.Config(out=tmp_path, step_sizes=(4.0,), ridges=(0.0, 0.05), steps=2000, seeds=3, widths=(64, 128))
    assert regimes.main(dataclasses.replace(config, beside=False, controls=False)) == 0
    whole, gone = json.loads((tmp_path / "summary.json").read_text())["cells"]
    assert "slope" in whole and "slope" not in gone and "logarithm" in gone["left_out"] and gone["dead"] > 0.9
    nothing = {"cells": [gone], "beside": [], "controls": []}
    assert len(regimes.plot(nothing).axes) == 12 and len(regimes.tables(nothing)) == 1


def test_a_law_moves_over_runs_not_over_neurons():
    """A factor of every run and time, sd 5 %, is no movement of 4000 neurons a run: 200 samples of six runs, 99 % intervals. 30 % is."""
    rng, seen = np.random.default_rng(1), []
    for moved in (0.0, 0.3):
        for _ in range(200):
            ends = [rng.exponential(size=(6, 4000)) * np.exp(0.05 * rng.standard_normal((6, 1))) for _ in range(2)]
            seen.append(any(_regimes._moves(shift) for shift in _regimes._shifts(ends[0], ends[1] * np.exp(moved))))
    assert np.sum(seen[:200]) <= 9 and np.mean(seen[200:]) > 0.9
    still = np.zeros((6, 100))
    assert not any(_regimes._moves(shift) for shift in _regimes._shifts(still, still))
    assert any(_regimes._moves(shift) for shift in _regimes._shifts(still + 1, still))


def test_light_indices_move_from_narrow_to_wide():
    assert regimes._indices((64, 128, 256)).tolist() == [12.0, 9.0, 6.0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seeds": 2}, "`seeds` must"),
        ({"widths": (256,)}, "`widths` must hold at least two widths"),
        ({"widths": (8, 256)}, "`widths` must"),
        ({"step_sizes": (-1.0,)}, "`step_sizes` must"),
        ({"ridges": (-1.0,)}, "`ridges` must"),
    ],
)
def test_bad_arguments_are_sentences(change, says):
    with pytest.raises(ValueError, match=says):
        regimes.run(dataclasses.replace(CONFIG, **change))


@pytest.mark.slow
def test_the_quick_map_adds_up(quick):
    """Parts sum to the slope in every cell; the dead decay by the ridge alone; shares sum to 1; the figure is there."""
    summary, out = quick("regimes")
    assert len(summary["cells"]) == 4 and len(summary["controls"]) == len(summary["verdict"]) == 3
    for row in [*summary["cells"], *summary["controls"]]:
        assert sum(row["slope"][part] for part in _regimes.PARTS) == pytest.approx(row["slope"]["measured"], abs=1e-12)
    for row in summary["cells"]:
        assert row["dead"] + row["collapsing"] + row["growing"] + row["live"] == pytest.approx(1)
        if row["dead"] and row["dead_rate"] is not None:
            assert row["dead_rate"] == pytest.approx(row["ridge_rate"], abs=1e-6)
        assert row["exponent"] > 0  # ridges are far below the boundary
    assert (out / "figure.png").exists()
