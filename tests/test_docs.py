"""The programs that the README and the documentation show, run as they stand."""

import json
import re
from pathlib import Path

import pytest

from meanfield import testing
from meanfield.verify import CLAIMS

ROOT = Path(__file__).parent.parent


OTHERS = [
    "docs/guides/scaling.md",
    "docs/guides/resume.md",
    "docs/tails.md",
    "docs/compressibility.md",
    "docs/mechanisms.md",
    "docs/verify.md",
]


@pytest.mark.long
@pytest.mark.parametrize(
    "page", ["README.md", "docs/extending.md", *(pytest.param(page, marks=pytest.mark.slow) for page in OTHERS)]
)
def test_programs_run(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)
    assert programs
    space: dict = {}
    for program in programs:
        exec(compile(program, page, "exec"), space)
    if page.endswith("tails.md"):
        assert space["verdict"].family.item().name == "POWER" and space["fit"].interval[0] < 2 < space["fit"].interval[1]
        return
    if page.endswith("compressibility.md"):
        assert 0 < space["curve"].error[1] < space["curve"].error[0] < 1
        return
    if page.endswith("mechanisms.md"):
        sampling = space["parts"].slopes["sampling"]
        assert (
            f"# {sampling.value:.2f} [{sampling.interval[0]:.2f}, {sampling.interval[1]:.2f}]".replace("0.", ".") in programs[0]
        )
        return
    if page.endswith("verify.md"):
        assert space["checklist"].verdict.name == "ASSUMPTION_VIOLATED"
        assert not space["checklist"].checks["Their p-th moment is infinite."].holds
        assert space["evidence"].verdict.name == "CONSISTENT"
        assert space["student"].with_parameters(degrees=1.5).test().verdict.name == "ASSUMPTION_VIOLATED"
        assert space["found"]["Student limit"].verdict.name == "CONSISTENT"
        assert space["normal"].judge(space["normal"].collect_from(space["results"])).verdict.name == "CONSISTENT"
        return
    assert (space["results"].dataset["status"] == 0).all()
    if page.endswith("extending.md"):
        assert space["results"].dataset["accuracy"].dims[:4] == ("width", "step_size", "radius", "seed")
        dynamics = re.search(r"@jax.tree_util.*?return self .*?\n", programs[0], re.S)
        assert dynamics is not None and len(dynamics[0].splitlines()) <= 40


@pytest.mark.slow
def test_template_keeps_the_contract():
    space: dict = {}
    exec(compile((ROOT / "docs" / "dynamics_template.py").read_text(), "template", "exec"), space)
    testing.check_dynamics(space["MySGD"](step_size=0.1, batch_size=2))


def test_readme_numbers_are_those_of_the_committed_run():
    """The tables of the README, and what its sentences say, against the summary committed beside the figure."""
    text = (ROOT / "README.md").read_text()
    summary = json.loads((ROOT / "docs" / "results" / "mechanisms.json").read_text())
    rows = {row["regime"]: row for row in summary["rows"]}

    def short(value, digits=3, sign="+"):
        return f"{value:{sign}.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits}f}"

    def between(value, interval, digits=3):
        return f"{short(value, digits)} [{short(interval[0], digits)}, {short(interval[1], digits)}]"

    for name, row in rows.items():
        slopes = [
            between(row["slope"][part], row["slope_interval"][part]) for part in ("measured", "sampling", "law", "dependence")
        ]
        predicted = between(row["predicted"], row["predicted_interval"]) if row["predicted"] < 0 else "0"
        fails = "no: " + ", ".join(row["fails"]) if row["fails"] else "yes"
        assert f"| {' | '.join([name, *slopes, predicted, fails])} |" in text
        chance = "chance " * (row["accuracy"][-1] <= summary["chance_accuracy"])
        accuracy, error = (" → ".join(short(row[what][i], d, "") for i in (0, -1)) for what, d in (("accuracy", 2), ("error", 3)))
        low, high = row["index_interval"]
        index, growth = f"{row['index']:.2f} [{low:.2f}, {high:.2f}]", between(row["growth"], row["growth_interval"], 2)
        cells = [name, row["what"], chance + accuracy, error, index, row["family"], growth, short(row["dead"], 2, "")]
        assert f"| {' | '.join(cells)} |" in text
        assert row["complete"] == row["runs"] == 24 and "`python -m sims.mechanisms --seeds 24`" in text
    collapsed, chance, theorem = (rows[name] for name in ("collapsed", "chance", "theorem"))
    assert 0.45 < collapsed["dead"] < 0.6 and min(collapsed["vanishing"]) > 0.75  # half, four of five at every width
    assert 0.75 < collapsed["slope"]["law"] / collapsed["slope"]["measured"] < 0.85  # four fifths
    assert chance["dead"] > 0.99 and chance["slope"]["law"] < 0.5 * chance["slope"]["measured"]  # all but a few, more than half
    low, high = theorem["slope_interval"]["sampling"]
    assert low < -1 / 6 < high and theorem["predicted_interval"][0] < -1 / 6 < theorem["predicted_interval"][1]
    assert list(rows) == ["light", "collapsed", "chance", "theorem"] and rows["light"]["slope"]["measured"] > -0.005


def test_numbers_of_the_dynamics_page_are_those_of_the_committed_runs():
    text = (ROOT / "docs" / "dynamics.md").read_text()
    results = {path.stem: json.loads(path.read_text()) for path in (ROOT / "docs" / "results").glob("*.json")}

    def between(value, interval):
        return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"

    for row in results["linear_recursion"]["rows"]:
        start = f"| {row['step_size']:g} | {row['tail_index_predicted']:.3f} | {between(row['tail_index'], row['tail_index_interval'])} |"
        assert start in text, start
    for row in results["propagation_of_chaos"]["rows"]:
        if row.get("batch_size", 1) == 1 and not row["what"].startswith("SGD against the ODE"):
            assert f"| {between(row['slope'], row['interval'])} |" in text, row["what"]
    assert max(abs(row["scale"] / row["scale_predicted"] - 1) for row in results["stable_sgd"]["scales"]) < 0.007
    assert f"{results['radial_pde']['threshold']:.6f}" in text


def test_numbers_of_the_page_of_mechanisms_are_those_of_the_committed_run():
    """Its tables, and what its sentences say of all cells of the map."""
    text = (ROOT / "docs" / "mechanisms.md").read_text()
    summary = json.loads((ROOT / "docs" / "results" / "regimes.json").read_text())
    cells, names = summary["cells"], ("sampling", "law", "dependence")

    def slope(row, part="measured"):
        low, high = row["slope_interval"][part]
        return f"{row['slope'][part]:+.3f} [{low:+.3f}, {high:+.3f}]"

    def parts(row):
        return " | ".join(f"{row['slope'][part]:+.3f}" for part in names)

    shown = 0
    for row in cells:
        start = f"| {row['step_size']:g} | {row['weight_decay']:g} | {row['accuracy'][-1]:.2f} | {slope(row)} |"
        if start in text:
            shares = f"{row['dead']:.2f} | {row['collapsing']:.2f} | {row['error'][-1]:.3f} | {row['error_of_live']:.3f} |"
            assert f"{start} {parts(row)} | {shares}" in text
            shown += 1
    assert shown == 6
    whole = [row for row in summary["beside"] if "slope" in row]
    gone = [row for row in summary["beside"] if "slope" not in row]
    assert (
        all(row["map"] == "teacher of 5 neurons" and row["step_size"] == 1 and not row["complete"] for row in gone)
        and len(gone) == 2
    )
    for row in whole:
        alpha = f"{row['alpha']:g}" if "alpha" in row else ""
        fails = "no: " + ", ".join(row["fails"]) if row["fails"] else "yes"
        line = f"| {row['map']} | {alpha} | {row['step_size']:.3g} | {row['weight_decay']:g} | {row['accuracy'][-1]:.2f} | {slope(row)} |"
        assert f"{line} {parts(row)} | {row['index']:.2f} | {fails} |" in text
    for row in summary["controls"]:
        assert f"| {row['control']} | {' | '.join(slope(row, part) for part in ('measured', *names))} |" in text
    theorem = json.loads((ROOT / "docs" / "results" / "mechanisms.json").read_text())["rows"][-1]
    for row in (theorem, *theorem["higher_p"]):  # at p = 2, 3 and 4, at the slope that the index of the noise predicts
        low, high = row["slope_interval"]["sampling"]
        assert row["fails"] == [] and low < -(1 / 1.5 - 1 / row["p"]) < high
    shares = [row["slope"]["sampling"] / row["slope"]["measured"] for row in cells if row["step_size"] == 1]
    assert f"carries {100 * min(shares):.0f} to {100 * max(shares):.0f} %" in text
    assert all(low <= 0 <= high for low, high in (row["slope_interval"]["dependence"] for row in cells))
    still = [row for row in cells if row["stationary"]]
    assert len(still) == 5 and all(row["step_size"] <= 0.5 and row["index_interval"][0] > 3 for row in still)
    assert all(abs(row["dead_rate"] - row["ridge_rate"]) <= 1e-3 * abs(row["ridge_rate"]) for row in cells)
    carried = [row for row in cells if row["slope"]["sampling"] < 0.5 * row["slope"]["measured"]]
    assert len(carried) == 2 and all(row["step_size"] == 2 and row["weight_decay"] >= 1e-3 for row in carried)
    assert all(row["accuracy"][-1] < 0.2 and row["dead"] > 0.99 for row in carried) and all(row["fails"] for row in cells)
    first, last = (next(r for r in cells if (r["step_size"], r["weight_decay"]) == (1, ridge)) for ridge in (0.0, 0.003))
    died = [f"{100 * share:.0f} %" for share in (first["dead_then"][0], *first["dead_then"][-2:], last["dead_then"][-1])]
    assert (
        "1 {} of them are dead after 312 steps without a ridge, {} after 5000 and {} after 10 000; with ridge 0.003 it is {}".format(
            *died
        )
        in text
    )
    assert max(row["duplicates"] for row in cells) == pytest.approx(0.15, abs=0.005)
    assert max(abs(row["error"][-1] - row["error_of_distinct"]) for row in cells) < 0.0065
    assert all(row["holds"] for row in summary["verdict"]) and "uses 99 % intervals" in text and len(summary["verdict"]) == 3
    for row in summary["controls"][1:]:
        low, high = row["index_interval"]
        assert f"{row['index']:.2f} [{low:.2f}, {high:.2f}]" in text
    law = summary["controls"][0]
    assert law["slope_interval"]["law"][1] < 0 < law["slope"]["law"] + law["slope_sure"] * law["slope_error"]["law"]
    smallest = min(cells, key=lambda row: row["exponent"])
    assert (smallest["step_size"], smallest["weight_decay"]) == (2, 0.003) and f"{smallest['exponent']:.4f}"[1:] in text
    assert set(cells[0]) >= {"exponent", "dependence", "dependence_error"} and set(summary["about"]) >= {"exponent", "dependence"}
    injected = [row for row in whole if row.get("alpha") == 1.5]
    assert injected and all(set(row["fails"]) <= {"tail undecided", "not stationary"} for row in injected)


def test_numbers_of_the_page_on_collapse_are_those_of_the_committed_run():
    text = (ROOT / "docs" / "mechanisms.md").read_text()
    summary = json.loads((ROOT / "docs" / "results" / "collapse.json").read_text())

    def between(value, interval, digits=4):
        return f"{value:.{digits}f} [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"

    for row in summary["cells"]:
        known = row["rate_predicted"] is not None
        rate = (between(row["rate"], row["interval"]), f"{row['rate_predicted']:.4f}") if known else ("", "")
        line = f"| {row['step_size']:g} | {row['weight_decay']:g} | {row['accuracy']:.2f} | {row['predicted']:+.4f} |"
        assert f"{line} {'yes' if row['collapsed'] else 'no'} | {rate[0]} | {rate[1]} |" in text
    off = {}
    for row in summary["own"]:
        noisy, start = row["noisy"], f"| {row['step_size']:g} | {row['weight_decay']:g} | {row['accuracy']:.2f} |"
        rate, exponent = (between(row[name], row[f"{name}_interval"]) for name in ("rate", "exponent"))
        index = between(noisy["index"], noisy["interval"], 2) + ("" if noisy["stationary"] else ", moves")
        end = f"| {row['exponent_at_zero']:.4f} | {index} | {noisy['predicted']:.2f} |"
        assert f"{start} {rate} | {exponent} {end}" in text
        off[row["step_size"], row["weight_decay"]] = row["rate"] / row["exponent"] - 1
        assert row["rate"] * row["exponent"] > 0
    assert [f"{off.pop((step_size, 0.05)):.0%}" for step_size in (0.5, 1)] == ["21%", "40%"] and max(off.values()) < 0.07
    assert sum(row["exponent"] * row["exponent_at_zero"] < 0 for row in summary["own"]) == 2
    said = {row["statement"].split(" ")[0]: row for row in summary["verdict"]}
    assert all(row["holds"] for row in summary["verdict"]) and "19 of 19" in said["networks"]["evidence"]
    known = [row for row in summary["cells"] if row["rate_predicted"] is not None]
    assert len(known) == 6 and max(abs(row["rate"] / row["rate_predicted"] - 1) for row in known) < 0.04
    assert max(abs(row["rate_predicted"] / row["predicted"] - 1) for row in known) < 0.08
    assert [f"{ridge:.2g}" for ridge in summary["boundary"]["ridges"]] == ["0.061", "0.046", "0.0037", "0.00024"]
    first, last = (next(r for r in summary["deaths"] if (r["step_size"], r["first"]) == (1, at)) for at in (0, 2700))
    shares = [f"{100 * value:.0f} %" for value in (first["died"], first["in_largest_losses"], last["in_largest_losses"])]
    assert shares == ["6 %", "49 %", "86 %"]
    low, high = last["loss_at_death_interval"]
    assert f"{last['loss_at_death']:.1f} [{low:.1f}, {high:.1f}], that over all steps {last['loss']:.2f}." in text
    for row in summary["paths"]:
        for part in ("path", "network"):
            assert row[f"{part}_interval"][0] <= 0 <= row[f"{part}_interval"][1]
            assert abs(row[part]) < (0.05 if row["networks"].startswith("tanh") else 0.005) and abs(row["slope"][part]) <= 0.02
    chains = summary["least_squares"]
    assert all(row["interval"][0] <= row["predicted"] <= row["interval"][1] for row in chains) and len(chains) == 21
    assert max(abs(row["rate"] - row["predicted"]) for row in chains) < 0.0021


SIMULATED = ("tail_index", "transients", "index_two_wall")


def test_numbers_of_the_tails_page_are_those_of_the_committed_runs():
    text = (ROOT / "docs" / "tails.md").read_text()
    results = {name: json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text()) for name in SIMULATED}

    def between(value, interval, digits=3):
        return f"{value:.{digits}f} [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"

    rows = results["tail_index"]["rows"]
    inside = sum(r["interval"][0] <= r["predicted"] <= r["interval"][1] for r in rows)
    assert f"{inside} of {len(rows)} predictions lie inside" in text
    for row in [r for r in rows if r["dim"] == 10]:
        measured = between(row["measured"], row["interval"])
        assert f"| {row['step_size']:.5g} |" in text and f"| {row['predicted']:.2f} | {measured} |" in text
    for row in results["tail_index"]["others"]:
        assert f"{row['predicted']:.3f} +- {row['predicted_error']:.3f} | {between(row['measured'], row['interval'])} |" in text
    verdict = results["transients"]["verdict"]
    assert f"Of {verdict['cells']} cells {verdict['without_stationary_law']} have" in text
    assert f"in {verdict['index_below_2']}: these {verdict['of_these_without_stationary_law']} and" in text
    assert f"In {verdict['of_these_fallen']} of the {verdict['index_below_2']} it has fallen" in text
    for row in [*results["transients"]["stored"], results["transients"]["window"]]:
        assert " | ".join(between(*one, 2) for one in zip(row["index"], row["interval"], strict=True)) in text
    wall = results["index_two_wall"]
    for row in wall["quadratic"]:
        assert (
            f"| {row['predicted']:.3f} | {between(row['index'], row['interval'], 2)} | {row['diverged']} of {row['runs']} |"
            in text
        )
    for row in wall["lifetimes"]:
        blown = ", ".join(str(one["blown"]) for one in row["rows"])
        assert f"| {row['predicted']:.3f} | {between(row['slope'], row['interval'])} | {blown} |" in text
    for row in wall["relu"]["half"]:
        both = " | ".join(between(row[name]["mean"], row[name]["interval"], 2) for name in ("index", "hill"))
        assert f"| {row['batch_size']} | {row['width']} | {both} |" in text
    for row in wall["predicted"]:
        error = f"{row['predicted']:.4f} +- {row['predicted_error']:.4f}"
        assert f"| {error} | {between(row['index'], row['interval'], 2)} |" in text
    for row in wall["condensation"]:
        last = f"| {row['carriers'][-1]:.0f} | {between(row['log_k2'], row['log_k2_interval'], 4)} |"
        assert f"| {row['index'][-1]:.2f} | {row['second_moment'][-1]:.1f} | {row['median'][-1]:.2g} {last}" in text
    for row in wall["stable"]:
        index = between(row["index"], row["interval"], 2) if row["predicted"] < 2 else "light"
        assert f"| {row['predicted']:g} | {row['width']} | {index} |" in text


def test_coverage_by_class_is_that_of_the_committed_battery():
    """docs/tails.md and benchmarks/results/tails.json: every class of laws, at every size."""
    text = (ROOT / "docs" / "tails.md").read_text()
    content = json.loads((ROOT / "benchmarks" / "results" / "tails.json").read_text())
    lines = {
        ("pareto", "covered"): "Pareto",
        ("fast", "covered"): "\\|rho\\| of 1 and more",
        ("middle", "covered"): ".5 to 1",
        ("quarter", "covered"): ".25 to .5",
        ("slow", "covered"): "below .25: covers",
        ("slow", "good"): "below .25: covers, or a status says that it may not",
        ("log-gamma", "covered"): "\\|rho\\| = 0, log-gamma: covers",
        ("log-gamma", "good"): "\\|rho\\| = 0: covers, or a status says that it may not",
        ("traps", "good"): "rounded, mixed with a normal, nearly normal, shifted: covers, or a status says so",
        ("dependent", "covered"): "dependent values",
    }
    for (cls, counted), name in lines.items():
        shares = []
        for n in content["sizes"]:
            rows = [row for row in content["rows"] if (row["class"], row["n"], row["estimator"]) == (cls, n, "tail_index")]
            shares.append(f"{sum(row[counted] for row in rows) / sum(row['samples'] for row in rows):.3f}".lstrip("0"))
        cells = r"( \[[^|]*\])? \| ".join(map(re.escape, shares))  # in brackets the law that fares worst
        assert re.search(rf"\| {re.escape(name)} \| {cells}", text), (name, shares)


def test_numbers_of_the_compressibility_page_are_those_of_the_committed_run():
    text = (ROOT / "docs" / "compressibility.md").read_text()
    results = json.loads((ROOT / "docs" / "results" / "compressibility.json").read_text())

    def between(value, interval, digits=3):
        return f"{value:.{digits}f} [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"

    largest = max(abs(z) for row in results["limits"] for z in row["standard_errors"])
    assert f"within {largest:.1f} standard errors" in text and largest < 5
    for row in results["rates"]:
        level, interval = row["log_error"], row["log_interval"]
        if len(row["log_error_predicted"]) == 1:
            assert ", ".join(f"{one - row['log_error_predicted'][0]:+.4f}" for one in level) in text
            continue
        assert (
            f"| {row['slope_predicted']:.4f} | {between(row['slope'], row['interval'], 4)} | {row['log_error_predicted'][-1]:.3f} | "
            f"{between(level[-1], interval[-1])} |" in text
        )
        assert row["interval"][0] < row["slope_predicted"] < row["interval"][1] < row["interval"][0] + 0.1
        assert interval[-1][0] < row["log_error_predicted"][-1] < interval[-1][1]
    study = results["study"]
    layer = study["fractions"]["layer"]
    assert f"{study['share_in_band']:.0%} of them" in text and f"{min(layer):.3f} to {max(layer):.3f}" in text
    for row in results["combined"]:
        assert (
            f"| {row['slope_predicted']:.4f} | {between(row['slope'], row['interval'], 4)} | {row.get('floor_predicted', 0):.4f}"
            in text
        )
    for row in results["networks"]:
        if row["ranked_by"] == "rows" and row["kappa"] == 0.1 and row["width"] in (512, 8192):
            numbers = f"{row['parameters']:.3f} | {row['function_width']:.3f} | {row['accuracy']:+.3f} | {row['loss_width']:+.3f}"
            assert f"| {row['width']} | {numbers} | {row['loss_kept']:+.3f} |" in text
    for row in results["bounds"]:
        if row["width"] in (512, 8192):
            assert f"| {row['index']:.2f} | {row['kept']:.3f} | {row['nats']:.3g} | {row['bound_of_pruned']:.1f} |" in text
    assert {row["index_and_nats"] for row in results["bounds_ordered"]} == {1.0}


def test_the_page_on_verify_shows_the_committed_run():
    """Every claim with its statement and verdict; no control came back CONSISTENT; the page beside it is that of the same run."""
    text = (ROOT / "docs" / "verify.md").read_text()
    content = json.loads((ROOT / "docs" / "results" / "verify.json").read_text())
    page = (ROOT / "docs" / "results" / "verify.html").read_text()
    assert [row["name"] for row in content["claims"]] == list(CLAIMS) and content["finished"] and content["budget"] == "full"
    for row in content["claims"]:
        verdict = row["verdict"].lower().replace("_", " ")
        assert f"| `{row['name']}` | {CLAIMS[row['name']].statement} | {verdict} |" in text, row["name"]
        assert row["controls"] and "CONSISTENT" not in row["controls"].values(), row["name"]
        assert f'data-name="{row["name"]}" data-verdict="{row["verdict"]}"' in page
    assert "REPLACE" not in text and "nan" not in [row["p_value"] for row in content["claims"]]
    controls = sum(len(row["controls"]) for row in content["claims"])
    assert f"all {controls} controls" in text
    for name in ("verify.json", "verify_full.json"):
        rates = json.loads((ROOT / "benchmarks" / "results" / name).read_text())
        assert [row["claim"] for row in rates["claims"]] == list(CLAIMS)
        counted = ("refuted", "seeds", "covered", "intervals", "seen", "deviations")
        total = {key: sum(row[key] for row in rates["claims"]) for key in counted}
        assert f"{total['refuted']} of {total['seeds']} runs" in text and f"{total['seen'] / total['deviations']:.3f}" in text
        assert (
            f"{total['covered']} of {total['intervals']} intervals" in text
            and f"{total['seen']} of {total['deviations']}" in text
        )
