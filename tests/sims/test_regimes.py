"""The map of regimes: what its numbers are, which control says what, and that the quick run adds up."""

import dataclasses

import numpy as np
import pytest

from sims import regimes

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
        ("sampling", {"sampling": -0.03}, False),
        ("law", {"law": -0.2, "sampling": -0.1}, True),
        ("law", {"law": -0.03, "sampling": -0.1}, False),
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
    row = regimes.measured(neurons, neurons[256] / 2, CONFIG, np.log(2))
    assert row["growth"] == pytest.approx(1.0) and not row["stationary"]
    assert regimes.measured(neurons, neurons[256][:, ::-1], CONFIG, np.log(2))["growth"] == 0
    assert 0 < row["law_distance"][0] < 0.12 and len(row["law_distance"]) == 1
    assert abs(row["slope"]["law"]) < 4 * row["slope_error"]["law"]
    far = regimes.measured({64: 3 * neurons[64], 256: neurons[256]}, neurons[256], CONFIG, np.log(2))
    assert far["law_distance"][0] > 0.3 and far["slope"]["measured"] == pytest.approx(row["slope"]["measured"])
    np.testing.assert_allclose(np.log(row["of_one_law"][-1] / row["error"][-1]), 0, atol=0.1)


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
        assert sum(row["slope"][part] for part in regimes.PARTS) == pytest.approx(row["slope"]["measured"], abs=1e-12)
    for row in summary["cells"]:
        assert row["dead"] + row["collapsing"] + row["growing"] + row["live"] == pytest.approx(1)
        if row["dead"] and row["dead_rate"] is not None:
            assert row["dead_rate"] == pytest.approx(row["ridge_rate"], abs=1e-6)
    assert (out / "figure.png").exists()
