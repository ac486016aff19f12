"""The report: files hold what verdicts rest on, the command says what came out, the page works in a browser."""

import base64
import dataclasses
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

import meanfield as mf
from meanfield import verify
from meanfield.verify import CLAIMS, Check, Claim, Hypothesis, Verdict, page, report, terminal
from meanfield.verify.__main__ import Config, main

ROOT = Path(__file__).parent.parent
CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"


def plot(ax, data, parameters):
    ax.hist(data["x"], 20)
    ax.set_xlabel(r"$x_\infty$ & <more>")


def toy(name="toy", predicted=0.0, detects=0.2, holds=True, **changes) -> Claim:
    """The mean of a thousand normal numbers is 0; the first prediction is a number, the second is bounds."""
    claim = Claim(
        name=name,
        statement="The mean of numbers <x> is m & no other.",
        formula=r"\mathbb E\Big(x\Big)^2 < \|m\| \sim \tfrac12\sqrt{\mathrm{err}}\ \text{for } x^\star",
        source="ours",
        parameters={"scale": 1.0, "widths": (16, 64), "kind": "normal"},
        predict=lambda parameters: {"mean": predicted, "above": (-0.2, math.inf)},
        experiment=lambda key, size, p: {"x": p["scale"] * np.asarray(jax.random.normal(key, (size,)), np.float64)},
        measure=lambda data, parameters: dict.fromkeys(("mean", "above"), verify.mean(data["x"])),
        detects=detects,
        quick_detects=detects,
        sizes=(1000, 4000),
        hypotheses=(Hypothesis("It holds.", lambda data, parameters: Check(holds, "0.3 standard errors from 0.")),),
        controls={"off": {"predict": lambda parameters: {"mean": 0.5, "above": (-0.2, math.inf)}}},
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
    with pytest.raises(mf.ArgumentError, match="names that a file can have"):
        report.run([toy("a/b")], tmp_path)


def test_of_a_violated_claim_nothing_is_refuted(tmp_path):
    """Its small p-value does not take a place in Holm's order: another claim is judged as one of two, not as the only one left."""
    evidence = report.run([toy("v", predicted=0.3, holds=False), toy("w")], tmp_path, budget="quick")
    assert evidence["v"].p_value < 1e-6 and evidence["w"].rate == evidence["v"].rate == 0.005


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
    (tmp_path / "data" / "w.npz").unlink()
    with pytest.raises(mf.ArgumentError, match=r"Argument `out` must hold data/w.npz"):
        report.again(claims, tmp_path)
    with pytest.raises(mf.ArgumentError, match=r"Argument `out` must be a directory with a report.json"):
        report.again(claims, tmp_path / "data")


def test_an_interrupted_run_leaves_what_it_has(tmp_path):
    def stop(key, size, parameters):
        assert not strictly(tmp_path / "report.json")["finished"]
        raise KeyboardInterrupt

    claims = [*four()[:2], toy("stops", experiment=stop)]
    with pytest.raises(KeyboardInterrupt):
        report.run(claims, tmp_path, budget="quick")
    left = strictly(tmp_path / "report.json")
    assert not left["finished"] and left["planned"] == 3 and len(left["claims"]) == 2
    assert "Unfinished: 2 of 3 claims." in (tmp_path / "report.html").read_text()
    assert [one.verdict.name for one in report.again(claims, tmp_path).values()] == [row["verdict"] for row in left["claims"]]
    assert not strictly(tmp_path / "report.json")["finished"]


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


def test_results_take_the_place_of_the_experiment(tmp_path, simulated, monkeypatch, capsys):
    monkeypatch.setitem(CLAIMS, "reader", reader(detects=0.5))
    for given in (simulated, simulated.parent):
        assert main(Config(("reader",), tmp_path, results=given)) == 0
    (row,) = strictly(tmp_path / "report.json")["claims"]
    assert row["verdict"] == "CONSISTENT" and row["budget"] == "data" and row["seed"] is None and row["size"] is None
    assert row["comparisons"][0]["measured"] == mf.Results.load(simulated).particles[200].w.astype(np.float64).mean()
    assert row["rerun"] == f"python -m meanfield.verify reader --results {simulated.parent} --out DIR"
    assert main(Config(out=tmp_path, again=True)) == 0
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


# -- the command ----------------------------------------------------------------------------------------------------------


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
    assert row["rerun"] == "python -m meanfield.verify 'sharp constant' --quick --seed 0 --out DIR"
    done = call("nonsense", "--out", str(tmp_path / "other"))
    assert done.returncode == 2 and done.stderr.startswith("error: Argument `claims` must be one of '"), done.stderr
    assert not (tmp_path / "other").exists()


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
    assert "python -m meanfield.verify columns --quick --seed 0 --controls --out DIR" in text
    assert page.number(float("nan")) == "not a number"


@pytest.mark.parametrize("name", CLAIMS)
def test_every_formula_is_converted(name):
    made = page.formula(CLAIMS[name].formula)
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
