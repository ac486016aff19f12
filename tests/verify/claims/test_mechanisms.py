"""Claims on mechanisms: their predictions where they are known otherwise, what is refused, and lies that their rows catch."""

import dataclasses

import numpy as np
import pytest
from scipy import integrate, stats

import meanfield as mf
from meanfield import verify
from meanfield.verify import Verdict
from meanfield.verify.claims import mechanisms


def test_exponents_are_those_of_a_product_of_matrices():
    """The predictions beside products of 200 000 steps of (w, a), and of chains, written out here; 5 errors from 100 batches."""
    claim, rng = verify.CLAIMS["collapse exponent"], np.random.default_rng(0)
    predicted = claim.predict(claim.parameters)
    pull = (mechanisms.INPUTS * mechanisms.RESIDUALS)[:, 0]

    def found(logs):
        batches = np.reshape(logs, (100, -1)).mean(axis=1)
        return batches.mean(), batches.std(ddof=1) / 10

    for eta, ridge in claim.parameters["settings"]:
        theta, logs = np.array([1.0, 0.3]), []
        for i in rng.integers(len(pull), size=200_000):
            theta = (1 - eta * ridge) * theta - eta * pull[i] * theta[::-1]
            logs.append(np.log(np.hypot(*theta)))
            theta /= np.hypot(*theta)
        value, error = found(logs)
        assert abs(predicted[f"step {eta:g}, ridge {ridge:g}"] - value) < 5 * error < 0.005
    value, error = found(np.log(np.abs(1 - claim.parameters["chain_step_size"] * rng.chisquare(1, 200_000))))
    assert abs(predicted[mechanisms.CHAIN] - value) < 5 * error < 0.02


def test_the_boundary_is_where_the_exponent_is_0():
    claim = verify.CLAIMS["collapse boundary"]
    for eta in claim.parameters["step_sizes"]:
        ridge = mechanisms._boundary(eta, 1)
        assert abs(mechanisms._exponent(eta, ridge, 1)) < 1e-12 and ridge > 0.02
        assert mechanisms._exponent(eta, 0.9 * ridge, 1) > 1e-4 and mechanisms._exponent(eta, 1.1 * ridge, 1) < -1e-4


def test_a_crossing_is_read_off_two_exponents():
    """100 000 pairs that share their noise, around exponents that are 0 elsewhere: the zero of the line, and an error that says so."""
    claim, rng = verify.CLAIMS["collapse boundary"], np.random.default_rng(1)
    parameters = {**claim.parameters, "step_sizes": (0.3,)}
    sides, spread = mechanisms._both_sides(0.3, parameters), 0.02
    for factor in (1.0, 1.1):
        zero = factor * mechanisms._boundary(0.3, 1)
        found = []
        for _ in range(40):
            noise = rng.normal(size=(2, 2500)) * np.array([[spread], [spread / 5]])
            data = {"step 0.3": -0.3 * (sides[:, None] - zero) + noise[0] + noise[1] * np.array([[1.0], [-1.0]])}
            found.append(claim.measure(data, parameters)["ridge over prediction, step 0.3"])
        values = np.array([one.value for one in found])
        errors = np.array([one.standard_error for one in found])
        assert abs(values.mean() - factor) < 5 * values.std() / 40**0.5 + found[0].bias and found[0].bias < 0.01
        assert 0.7 < values.std() / errors.mean() < 1.4


@pytest.mark.long
@pytest.mark.parametrize("name", ["collapse exponent", "collapse boundary", "dead neurons"])
def test_a_quick_run_and_a_lie(name):
    """The quick budget: not refuted; predictions that are off by twice the smallest detectable deviation of every row are."""
    claim = verify.CLAIMS[name]
    data = claim.collect(3, "quick")
    evidence = claim.judge(data, "quick")
    assert evidence.verdict is Verdict.CONSISTENT, evidence
    for row in evidence.comparisons:
        assert row.detectable <= row.detects

        def off(parameters, row=row):
            return [
                dataclasses.replace(one, predicted=one.predicted + 2 * row.detectable) if one.name == row.name else one
                for one in claim.rows(parameters)
            ]

        assert dataclasses.replace(claim, rows=off).judge(data, "quick").verdict is Verdict.REFUTED, row.name


def test_without_dead_neurons_nothing_is_said():
    claim = verify.CLAIMS["dead neurons"]
    none = {f"dead, ridge {r:g}": np.zeros(4, int) for r in claim.parameters["ridges"]}
    rates = {f"rate, ridge {r:g}": np.zeros(0) for r in claim.parameters["ridges"]}
    assert claim.judge(none | rates).verdict is Verdict.ASSUMPTION_VIOLATED


@pytest.mark.parametrize(
    ("name", "moved", "sentence"),
    [
        (
            "collapse exponent",
            {"steps": 200},
            "`steps` must leave less than .* per step of the smaller exponent at step size 0.4",
        ),
        ("collapse exponent", {"settings": ((0.5, 0.4),)}, "`steps` must be so few that norms stay within float32"),
        ("collapse exponent", {"chain_step_size": 2.3}, "`chain_step_size` must have an exponent"),
        ("collapse boundary", {"step_sizes": (0.45,)}, "`step_sizes` must be one at which small neurons grow without a ridge"),
        ("parts of an error", {"widths": (64, 128)}, "`widths` must end at 8 times their first or more"),
        ("parts of an error", {"kappa": 0.2, "widths": (64, 512)}, None),
        ("dead neurons", {"ridges": (0.1,)}, "`ridges` must"),
    ],
)
def test_parameters_that_do_not_fit(name, moved, sentence):
    claim = verify.CLAIMS[name]
    if sentence is None:
        assert claim.with_parameters(**moved).parameters["kappa"] == 0.2
        return
    with pytest.raises(mf.ArgumentError, match=sentence):
        claim.with_parameters(**moved)


# -- parts of an error --------------------------------------------------------------------------------------------------------


def normal_error(kept):
    """Limit of the relative l_2 error of normal sizes, of which a fraction `kept` is kept, by quadrature."""
    threshold = stats.norm.isf(kept / 2)
    return np.sqrt(2 * integrate.quad(lambda x: x**2 * stats.norm.pdf(x), 0, threshold)[0])


def test_limits_of_the_parts():
    """By quadrature: shares .9, .65, .4 alive, at .1 kept; two kinds of networks, .3 and .9 alive, whose neurons are .6 alive together."""
    parameters = verify.CLAIMS["parts of an error"].parameters
    vanishing = mechanisms._limits("vanishing", parameters)
    logs = [np.log(normal_error(0.1 / alive)) for alive in (0.9, 0.65, 0.4)]
    np.testing.assert_allclose(vanishing["law"], np.polyfit(np.log([64, 256, 1024]), logs, 1)[0], rtol=1e-6)
    assert vanishing["sampling"] == 0 and abs(vanishing["dependence"]) < 1e-12 and vanishing["law"] < -0.1
    sharing = mechanisms._limits("sharing", parameters)
    apart = np.log((normal_error(0.1 / 0.3) + normal_error(0.1 / 0.9)) / 2)
    np.testing.assert_allclose(sharing["dependence"], apart - np.log(normal_error(0.1 / 0.6)), rtol=1e-6)
    assert abs(sharing["law"]) < 1e-12 and sharing["dependence"] < -0.1
    heavy = mechanisms._limits("heavy", parameters)
    assert heavy == {"sampling": pytest.approx(1 / 2 - 1 / 1.3), "law": 0.0, "dependence": 0.0}
    off, low = mechanisms._off("heavy", parameters)
    assert abs(off["sampling"]) < 0.03 and off["law"] == off["dependence"] == 0 < low < 0.02  # what 64 neurons are off


@pytest.mark.long
def test_finite_widths_bring_the_parts_to_their_limits():
    """What finite widths add is a quarter or less at 16 times the widths: the limits are those."""
    parameters = {**verify.CLAIMS["parts of an error"].parameters, "widths": (64, 512)}
    wide = {**parameters, "widths": (1024, 8192)}
    for name, part in (("vanishing", "law"), ("sharing", "dependence")):
        (near, _), (far, _) = (mechanisms._off(name, one) for one in (parameters, wide))
        assert abs(far[part]) < max(abs(near[part]) / 4, 0.004), (name, near, far)


def test_sizes_are_of_the_laws_they_are_called():
    rng = np.random.default_rng(0)
    law = mechanisms._Law(alive=(0.2, 0.8))
    networks = law.networks(rng, 400, 500)[..., 0]
    alive = np.mean(networks > 0, axis=1)
    assert np.all((abs(alive - 0.2) < 0.1) | (abs(alive - 0.8) < 0.1)) and abs(np.mean(alive < 0.5) - 0.5) < 0.13
    assert np.all(abs(np.mean(law.networks(rng, 50, 4000, independent=True) > 0, axis=1) - 0.5) < 0.05)
    heavy = mechanisms._Law(1.3).networks(rng, 1, 200_000).ravel()
    assert abs(np.mean(np.log(heavy)) * 1.3 - 1) < 5 / 200_000**0.5


@pytest.mark.slow
def test_a_quick_run_of_the_parts_and_their_controls():
    claim = verify.CLAIMS["parts of an error"]
    data = claim.collect(3, "quick")
    assert claim.judge(data, "quick").verdict is Verdict.CONSISTENT
    verdicts = {name: one.verdict for name, one in claim.judge_controls(data, 4, "quick").items()}
    assert set(verdicts.values()) == {Verdict.REFUTED}, verdicts
