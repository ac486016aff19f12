"""Every simulation script: its quick mode, what it writes, and that its predictions stand in its measurements."""

import dataclasses
import doctest
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import meanfield as mf
from meanfield.systems.examples import quadratic_system
from meanfield.theory import network, recursion
from sims import (
    _job,
    _tables,
    compressibility,
    compressible_laws,
    compressible_networks,
    index_two_wall,
    linear_recursion,
    propagation_of_chaos,
    quadratic_network,
    radial_pde,
    relu_networks,
    relu_residuals,
    shared_noise,
    stable_networks,
    stable_sgd,
    tail_index,
    transients,
)

ROOT = Path(__file__).parent.parent
PARTS = {  # a figure that joins others, and the programs whose numbers it shows
    "compressibility": (compressible_laws, compressible_networks),
    "index_two_wall": (quadratic_network, relu_networks, relu_residuals, stable_networks),
}
MODULES = (
    *(compressibility, index_two_wall, linear_recursion, propagation_of_chaos, radial_pde),
    *(shared_noise, stable_sgd, tail_index, transients),
)
JOBS = {m.__name__.split(".")[1]: m for m in MODULES}


LONG = ("compressibility", "index_two_wall", "propagation_of_chaos", "stable_sgd", "transients")  # a quarter of a minute and more
NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in JOBS]


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Run a job's quick mode once; its folder."""
    done = {}

    def run(name):
        if name not in done:
            out = tmp_path_factory.mktemp(name)
            assert JOBS[name].main(JOBS[name].Config(out=out, quick=True).sized()) == 0
            done[name] = json.loads((out / "summary.json").read_text()), out
        return done[name]

    return run


def test_every_script_is_tested():
    scripts = {path.stem for path in (ROOT / "sims").glob("[!_]*.py")}
    parts = {part.__name__.split(".")[1] for several in PARTS.values() for part in several}
    assert scripts == {*JOBS, *parts, "width_scaling"}  # which has another file of tests


def test_simulations_import_one_another_by_relative_names():
    """So that a wheel can carry them under another name."""
    for path in (ROOT / "sims").glob("*.py"):
        assert not re.search(r"^\s*(from|import) sims\b", path.read_text(), re.M), path


@pytest.mark.parametrize("module", [_job, _tables])
def test_examples_of_the_shared_pieces(module):
    assert doctest.testmod(module).attempted and not doctest.testmod(module).failed


@pytest.mark.long(1)
@pytest.mark.parametrize("name", NAMES)
def test_quick_mode_writes_everything(name, quick):
    summary, out = quick(name)
    assert {path.name for path in out.glob("[!.]*")} == {"config.json", "summary.json", "figure.png"}
    config = json.loads((out / "config.json").read_text())
    assert config["config"]["quick"] is True and "jax" in config["versions"]
    assert (out / "figure.png").read_bytes()[:4] == b"\x89PNG" and summary["about"]


@pytest.mark.long(1)
@pytest.mark.parametrize("name", NAMES)
def test_figures_and_tables_say_what_they_show(name, quick):
    module, (summary, _) = JOBS[name], quick(name)
    restored = _arrays(summary)
    figures = [module.plot(restored), *(part.plot(restored) for part in PARTS.get(name, ()))]
    for figure in figures:
        for ax in figure.axes:
            assert ax.get_xlabel() and ax.get_title(loc="left")
        assert figure.axes[0].get_ylabel() and any(ax.get_legend() for ax in figure.axes)
    made = module.tables(restored)
    assert all(table.title and table.row_count for table in made)
    parts = {table.title for part in PARTS.get(name, ()) for table in part.tables(restored)}
    assert not parts or parts == {table.title for table in made}


def _arrays(value):
    """What JSON made null is NaN again."""
    if isinstance(value, dict):
        return {k: _arrays(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_arrays(v) for v in value]
    return np.nan if value is None else value


@pytest.mark.long
def test_command_line(tmp_path):
    command = [sys.executable, "-m", "sims.stable_sgd", "--quick", "--alphas", "2.5", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2 and done.stderr == "error: Argument `--alphas` must lie in (0, 2], but is [2.5].\n"
    for name in JOBS:
        fields = {f.name for f in dataclasses.fields(importlib.import_module(f"sims.{name}").Config)}
        assert {"out", "key", "quick"} <= fields


@pytest.mark.slow
def test_divergence_is_one_sentence(tmp_path):
    command = [sys.executable, "-m", "sims.radial_pde", "--quick", "--step-size", "1e30", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode in (1, 2) and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr


TYPED = {
    ("linear_recursion", "--step-sizes", "0.2", "-1"): "`--step-sizes` must be a number > 0",
    ("tail_index", "--indices", "1.5", "-1"): "`--indices` must",
    ("radial_pde", "--radius", "-1"): "`--radius` must be a number >= 0",
    ("propagation_of_chaos", "--limit-step", "-1"): "`--limit-step` must be a number > 0",
    ("relu_networks", "--step-sizes-b8", "-1"): "`--step-sizes-b8` must be a number > 0",
    ("relu_residuals", "--noisy", "1", "1", "-1"): "`--noisy` must be a number >= 0",
    ("shared_noise", "--runs", "0"): "`--runs` must be an integer >= 2",
}


@pytest.mark.long
@pytest.mark.parametrize("words", TYPED, ids="-".join)
def test_the_option_that_was_typed_is_reported(words, tmp_path, capsys):
    """A library names its arguments, a command line the options that their values came from."""
    name, *arguments = words
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"sims.{name}").main.command(["--quick", "--out", str(tmp_path), *arguments])
    err = capsys.readouterr().err
    assert ended.value.code == 2 and err.startswith(f"error: Argument {TYPED[words]}") and err.count("\n") == 1, err


@pytest.mark.long(1)
@pytest.mark.parametrize("part", [quadratic_network.indices, quadratic_network.lifetimes, relu_networks.networks])
def test_ctrl_c_gives_no_number(part, ctrl_c, capsys):
    """These parts allow runs that diverge: one that is cut short is none of them."""
    ctrl_c("chunk")
    with pytest.raises(SystemExit, match="130"):
        _job.command(importlib.import_module(part.__module__).Config, part, ["--quick"])
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.long
def test_linear_recursion(quick):
    """20 000 chains: Hill's interval widened to five standard errors, and contraction within five."""
    rows = {row["step_size"]: row for row in quick("linear_recursion")[0]["rows"]}
    for eta in (0.8, 1.0):
        low, high = rows[eta]["tail_index_interval"]
        assert abs(rows[eta]["tail_index"] - rows[eta]["tail_index_predicted"]) < 2.5 * (high - low) / 2
    low, high = rows[0.2]["second_moment_interval"]
    assert abs(rows[0.2]["second_moment"] - rows[0.2]["second_moment_predicted"]) < 2.5 * (high - low) / 2
    for row in quick("linear_recursion")[0]["contraction"]:
        assert abs(row["measured"] - row["predicted"]) < 2.5 * (row["interval"][1] - row["measured"])


@pytest.mark.slow
def test_stable_sgd(quick):
    for row in quick("stable_sgd")[0]["scales"]:
        assert abs(row["scale"] - row["scale_predicted"]) < 2.5 * (row["scale_interval"][1] - row["scale_interval"][0]) / 2


@pytest.mark.slow
def test_shared_noise(quick):
    for row in quick("shared_noise")[0]["rows"]:
        assert abs(row["mean_variance"] - row["mean_variance_predicted"]) < 5 * row["mean_variance_predicted"] * np.sqrt(2 / 60)
        low, high = row["correlation_interval"]
        assert low - 2 * (high - low) - 1e-6 < row["correlation_predicted"] < high + 2 * (high - low) + 1e-6


@pytest.mark.slow
def test_propagation_of_chaos(quick):
    """Three widths and three seeds: signs and sizes of the slopes, not their digits."""
    rows = quick("propagation_of_chaos")[0]["rows"]
    for row in rows:
        assert abs(row["slope"] - row["slope_predicted"]) < 0.4, row["what"]
    ode = next(row for row in rows if row["what"].endswith("against the ODE"))
    conditional = next(row for row in rows if row["what"].endswith("conditional limit"))
    assert np.min(ode["errors"]) > 10 * np.max(conditional["errors"])


@pytest.mark.long
def test_radial_pde(quick):
    """In 10 dimensions the risk is that of infinite dimension up to a tenth; it falls along the flow."""
    summary, _ = quick("radial_pde")
    row = summary["rows"][0]
    risk = np.mean(row["risk"], axis=0)
    np.testing.assert_allclose(risk, row["risk_pde"], rtol=0.12)
    assert (np.diff(risk) < 0).all() and abs(summary["threshold"] - 0.474219) < 1e-6


@pytest.mark.slow
def test_tail_index(quick):
    """20 000 chains: within four standard errors of the prediction, and not within them of what another dimension would have."""
    summary, _ = quick("tail_index")
    rows = summary["rows"] + summary["others"]
    z = [np.log(r["measured"] / r["predicted"]) * r["measured"] / r["standard_error"] for r in rows]
    assert all(r["stationary"] for r in rows) and np.max(np.abs(z)) < 4
    assert sum(_tables.inside(r) for r in rows) >= len(rows) - 3
    two = [r for r in rows if r.get("dim") == 2]
    other = [recursion.tail_index(r["step_size"], r["batch_size"], 1) for r in two]
    wrong = [np.log(r["measured"] / a) * r["measured"] / r["standard_error"] for r, a in zip(two, other, strict=True)]
    assert np.max(np.abs(wrong)) > 5


@pytest.mark.slow
def test_steps_suffice_and_not_by_far():
    """Chains have been stationary since a half of them; after a twentieth of them they are not."""
    eta, chains = recursion.step_size_for(1.5, 1, 5), 20_000
    steps = tail_index.stationary_after(eta, 1, 5, chains)
    data = mf.data.gaussian_regression(5)
    assert tail_index._measured(data, eta, 1, steps, chains, seed=1)["stationary"]
    assert not tail_index._measured(data, eta, 1, steps // 20, chains, seed=1)["stationary"]


@pytest.mark.slow
def test_transients(quick):
    """Every index below 2 belongs to a chain without a stationary law and falls; the growth is the Lyapunov exponent."""
    summary, _ = quick("transients")
    verdict = summary["verdict"]
    assert verdict["index_below_2"] == verdict["of_these_without_stationary_law"] == verdict["of_these_fallen"] >= 2
    for row in summary["rows"] + summary["stored"]:
        low, high = row["growth_interval"]
        if row["lyapunov"] > 0.01:  # the start is forgotten, and what is small lost in what has grown
            assert abs(row["growth"] - row["lyapunov"]) < 2.5 * (high - low) / 2
        elif row["lyapunov"] < -0.015:  # the start is forgotten before the last half
            assert abs(row["growth"]) < 2.5 * (high - low) / 2 and row["index"][-1] > 1.8
    # What others have stored, within five standard errors of both (1600 chains there, 1600 here).
    for row in summary["stored"]:
        assert abs(row["index"][-1] - row["stored"]) < 5 * np.sqrt(2) * row["standard_error"][-1]
    window = summary["window"]
    assert window["lyapunov"] < 0 and abs(window["tail_index"] - 1.5) < 1e-6 and window["index"][-1] > 1.8


@pytest.mark.slow
def test_index_two_wall(quick):
    """Predictions within four standard errors; the wrong network's (index 2 for 3.45) is not; nothing diverged gets an index."""
    summary, _ = quick("index_two_wall")
    rows = summary["quadratic"] + summary["predicted"] + [r for r in summary["stable"] if r["predicted"] < 2]
    error = np.array([np.log(r["interval"][1] / r["interval"][0]) / (2 * 1.96) for r in rows])
    z = np.array([np.log(r["index"] / r["predicted"]) for r in rows]) / error
    assert np.max(np.abs(z)) < 4 and all(r["stationary"] for r in rows)
    wrong = np.log(summary["quadratic"][1]["index"] / network.quadratic_tail_index(0.5, 1.0)) / error[1]
    assert abs(wrong) > 4
    life = summary["lifetimes"][0]
    half = (life["interval"][1] - life["interval"][0]) / 2
    assert abs(life["slope"] - life["predicted"]) < 2 * half and life["rows"][0]["blown"] > life["rows"][-1]["blown"]
    for r in summary["condensation"]:
        early = len(r["times"]) // 4
        assert r["median"][-1] < r["median"][early] / 2 and 0.5 < r["second_moment"][-1] / r["second_moment"][early] < 2
        assert r["lyapunov"] < 0 and r["index"][-1] < r["index"][0]
    assert {v["holds"] for v in summary["verdict"]} <= {True, False, None} and len(summary["verdict"]) == 9


def test_index_at_half_accuracy():
    """Between two step sizes, on the logarithmic scale; none where the accuracy does not fall through 1/2."""
    accuracy = np.array([[1.0, 0.9, 0.4], [0.75, 0.8, 0.3], [0.25, 0.7, 0.2]])
    index = [[8.0, 8.0, 8.0], [4.0, 4.0, 4.0], [1.0, 1.0, 1.0]]
    found = relu_networks._at_half(accuracy, index)
    np.testing.assert_allclose(found[0], 2.0)
    assert np.isnan(found[1:]).all()


@pytest.mark.long
def test_runs_that_blow_up_get_no_index():
    """The quadratic network at index 2.03: everything blows up."""
    config = dataclasses.replace(quadratic_network.Config(quick=True).sized(), step_sizes=(0.6,), seeds=2)
    (row,) = quadratic_network.indices(config)
    assert row["diverged"] == 2 and np.isnan(row["index"]) and not row["stationary"]


@pytest.mark.slow
def test_fresh_examples_are_independent_noise(key):
    """One step from given weights: mean and variance of a move against `SGD(minibatches="independent")`, whose pool is drawn anew."""
    width, eta, lam = 4_000, 0.2, 0.5
    system = quadratic_system([eta], lam)
    other = mf.System(
        system.network, system.data, mf.dynamics.SGD(eta, 1, weight_decay=lam, minibatches="independent", pool_size=4096)
    )
    arguments = {"widths": width, "steps": 1, "seeds": 4, "key": key, "probes": ()}
    start = mf.simulate(system, **arguments | {"steps": 0}).particles[width].w
    moves = [mf.simulate(one, **arguments).particles[width].w - start for one in (system, other)]
    for power in (1, 2):
        one, two = (np.mean(m.astype(np.float64) ** power, axis=(0, 2, 3)) for m in moves)
        # Neurons of a run share the pool in the second: 4096 examples of their own stand for each of its runs.
        error = np.sqrt(np.var(moves[0].astype(np.float64) ** power) * (1 / width + 1 / 4096) / 4)
        assert abs(one.mean() - two.mean()) < 5 * error
    assert np.mean(moves[0] ** 2) > 0.01


def test_host_chains_have_the_law_of_the_package():
    """One step from a fixed point, in two dimensions: mean, covariance and fourth moments of 2e5 chains against the mini-batches."""
    rng, n, eta, b = np.random.default_rng(3), 200_000, 0.3, 2
    x = np.tile([2.0, -1.0], (n, 1))
    ours = transients.step_chains(rng, x, eta, b)
    a = rng.standard_normal((n, b, 2))
    residual = np.einsum("nbd,nd->nb", a, x) - transients.NOISE * rng.standard_normal((n, b))
    theirs = x - eta / b * np.einsum("nb,nbd->nd", residual, a)
    for power in ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (2, 2)):
        one, two = (np.prod(v ** np.array(power), axis=1) for v in (ours, theirs))
        assert abs(one.mean() - two.mean()) < 5 * np.sqrt((one.var() + two.var()) / n)
    wrong = transients.step_chains(rng, x, 1.05 * eta, b)
    assert abs(np.mean(wrong[:, 0]) - np.mean(theirs[:, 0])) > 5 * np.sqrt((wrong[:, 0].var() + theirs[:, 0].var()) / n)


@pytest.mark.slow
def test_compressibility(quick):
    """Limits, rates and levels of 20 samples; the ensembles; the coupled recursion; what must hold of the networks at any size."""
    summary, _ = quick("compressibility")
    for row in summary["limits"]:
        assert np.max(np.abs(row["standard_errors"])) < 5
    for row in summary["rates"]:
        half = (row["interval"][1] - row["interval"][0]) / 2
        assert abs(row["slope"] - row["slope_predicted"]) < 2.5 * half
        if len(row["log_error_predicted"]) > 1:
            low, high = row["log_interval"][-1]
            assert abs(row["log_error"][-1] - row["log_error_predicted"][-1]) < 1.25 * (high - low)
    study = summary["study"]
    layer, independent = (np.array(study["fractions"][name]) for name in ("layer", "independent"))
    assert np.all(np.abs(layer - study["layer_predicted"]) < 0.02) and independent.mean() > layer.mean() + 0.02
    assert study["layer_predicted"] == pytest.approx(0.2652911398)
    heavy, light = summary["combined"]
    assert heavy["index_predicted"] == pytest.approx(1.23538, abs=1e-4) and heavy["interval"][1] < light["interval"][0]
    assert abs(np.exp(light["log_error"][-1]) - light["floor_predicted"]) < 0.05
    for row in summary["networks"]:
        assert 0 <= row["function_width"] <= 1 < 2 * row["function_kept"] + 1 and -1 <= row["accuracy"] <= 1
    for row in summary["bounds"]:
        assert row["bound"] == pytest.approx(row["margin_risk"] + row["complexity"])
        assert row["bound"] > row["train_error"] + row["gap"]  # what is bounded is below its bound
    assert all(row["index_and_nats"] > 0 for row in summary["bounds_ordered"])


@pytest.mark.slow
def test_linear_recursion_at_full_size():
    """Two million chains: tail indices 2.904, 1.546, 1.091 within 3 %; second moments within 1 %."""
    rows = linear_recursion.run(linear_recursion.Config(step_sizes=(0.2, 0.3, 0.5, 0.8, 1.0)))["rows"]
    for row in rows[2:]:
        assert abs(row["tail_index"] / row["tail_index_predicted"] - 1) < 0.03
    for row in rows[:2]:
        assert abs(row["second_moment"] / row["second_moment_predicted"] - 1) < 0.01


@pytest.mark.slow
def test_stable_scale_at_full_size():
    """Within 1 % in all modes."""
    for row in stable_sgd.run(stable_sgd.Config())["scales"]:
        assert abs(row["scale"] / row["scale_predicted"] - 1) < 0.01
