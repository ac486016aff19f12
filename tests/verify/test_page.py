"""The page of a report: whole, and it works in a browser."""

import base64
import itertools
import json
import math
import re
import shutil

import numpy as np
import pytest
from markupsafe import Markup

from meanfield.verify import CLAIMS, page, report
from tests.verify.common import four, toy

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"


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


HOSTILE = [
    r"\text{<script>document.title='PWNED'</script>}",
    r"\mbox{<b>x</b>}",
    r"\fbox{<img src=x onerror=alert(1)>}",
    r"\tag{<script>x</script>} x",
    r"\href{javascript:alert(1)}{x}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_formula_cannot_carry_markup(text):
    """What is no formula is shown as it was typed, escaped."""
    made = page.formula(text)
    assert made == Markup("<code>{}</code>").format(text) and "<script" not in made and "<b>" not in made


def test_formulas_of_the_library_are_formulas():
    for claim in CLAIMS.values():
        assert page.formula(claim.formula).startswith("<math"), claim.name
    assert page.formula(r"\text{if } x < 1 \& y").startswith("<math")
    assert "<script" not in page.formula(r"\text{&lt;script&gt;}</mtext><script>1</script><mtext>")  # letters and signs
