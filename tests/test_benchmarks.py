"""The benchmarks: one tiny cell with and without torch, numbers recomputed, and contestants that cheat are found out."""

import dataclasses
import itertools
import json
from functools import partial

import numpy as np
import pytest
from scipy import stats

import meanfield as mf
from benchmarks import child, grid, main_job, ours, peers, run, sections, tail_laws, tails, timing
from benchmarks import verify as scorer
from meanfield import verify
from sims import width_scaling

WITH_TORCH = pytest.param(True, marks=pytest.mark.skipif(peers.torch is None, reason="torch is not installed"))


@pytest.mark.slow
@pytest.mark.parametrize("torch", [False, WITH_TORCH])
def test_quick_cell(torch, tmp_path, monkeypatch):
    if not torch:
        monkeypatch.setattr(peers, "torch", None)
    assert run.main(run.Config(out=tmp_path, quick=True, sections=("grid",)).sized()) == 0
    assert {path.name for path in tmp_path.glob("[!.]*")} == {"benchmarks.json", "table.md", "roofline.png"}
    found = json.loads((tmp_path / "benchmarks.json").read_text())
    for name in ("platform", "device", "processor", "cores", "versions", "threads_tried", "date"):
        assert name in found["machine"], name
    (cell,) = found["grid"]
    assert (cell["width"], cell["batch_size"], cell["dim"], cell["outputs"]) == (64, 2, 16, 10)
    assert cell["flops"] == 4 * 64 * 2 * 16 + 6 * 64 * 2 * 10 and cell["bytes"] == 2 * 4 * 64 * 26
    copies = [t["best"] for name, t in cell["seconds"].items() if name.startswith("copy")]
    roof = max(cell["flops"] / found["peak"]["flops_per_second"], min(copies))
    for name in grid.CONTESTANTS:
        one = cell["contestants"][name]
        assert (one is not None) == (torch or name == "meanfield")
        if one:
            seconds = min(t["best"] for who, t in cell["seconds"].items() if who.split(":")[0] == name)
            assert one["fraction_of_roofline"] == pytest.approx(roof / seconds)
            assert one["gflops"] == pytest.approx(cell["flops"] / seconds / 1e9)
            if name != "meanfield":
                faster = seconds / cell["contestants"]["meanfield"]["seconds"]
                assert cell["times_faster"][name]["best"] == pytest.approx(faster)
    table = (tmp_path / "table.md").read_text()
    assert "of roofline" in table and "More than 100 %" in table and ("s first, " in table) == torch
    assert (tmp_path / "roofline.png").read_bytes()[:4] == b"\x89PNG"


class Tampered(ours.Ours):
    """Takes a step less than it is asked for."""

    def run(self, steps):
        super().run(steps - 1)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 3])
def test_unequal_work_is_found_out(batch_size):
    data = ours.synthetic(8, 3, examples=50)
    x, y = np.asarray(data.x), np.asarray(data.y)

    def check(kind, rate):
        one = kind(data, 32, batch_size, (grid.STEP_SIZE,))
        start, indices = one.particles(), one.indices(grid.CHECKED_STEPS)
        others = grid._peers(x, y, batch_size, 32, 3)
        for other in others.values():
            other.step_size = rate
        expected = grid.reference(*start, x, y, indices, grid.STEP_SIZE)
        assert expected[2].mean() > 0.9  # few neurons are at the kink
        return grid.check_equal_work(one, others, start, expected, indices)

    names = set(check(ours.Ours, grid.STEP_SIZE))
    assert "meanfield" in names and (peers.torch is None or "torch in place: examples first" in names)
    with pytest.raises(grid.UnequalWorkError, match="'meanfield'"):
        check(Tampered, grid.STEP_SIZE)
    if peers.torch is not None:
        with pytest.raises(grid.UnequalWorkError, match="torch in place"):
            check(ours.Ours, 1.01 * grid.STEP_SIZE)


def test_contestants_alternate():
    order = []
    runs = {name: lambda units, name=name: order.append((name, units)) for name in "ab"}
    timings = timing.alternate(runs, timing.Effort(rounds=3, seconds=0), {"b": 4})
    assert order[-6:] == [("a", 1), ("b", 4)] * 3 and timings["b"].units == 4
    assert 0 < timings["a"].best <= timings["a"].median


@pytest.mark.slow
def test_sections_that_need_no_process_of_their_own():
    rows = sections.estimators((200, 400), rounds=1)
    assert {row["n"] for row in rows} == {200, 400} and all(row["seconds"] > 0 for row in rows)
    rows = sections.ensembles((1, 4), 8, (4,), 2, timing.Effort(1, 0.0))
    assert [row["cells"] for row in rows] == [1, 4] and rows[0]["ratio_to_first"] == 1
    found = sections.against_width((8, 16), 4, 2, timing.Effort(1, 0.0))
    assert len(found["rows"]) == 2 and np.isfinite(found["exponent"])
    held = child.memory(width=64, dim=8, batch_size=1)
    assert held["state"] >= 4 * 64 * 18 and held["chunk_peak"] >= held["state"] + held["data"]
    assert child.steps(width=8, dim=4, steps=20)["peak_bytes"] > 1e6


@pytest.mark.slow
def test_main_job(tmp_path):
    found = main_job.measure(width_scaling.Config(widths=(8,), step_sizes=(0.1,), seeds=1, steps=20))
    (row,) = found["rows"]
    assert 0 < row["compile_seconds"] < row["seconds"] and row["cell_steps_per_second"] > 0


def test_a_wrong_section_is_a_sentence():
    with pytest.raises(mf.ArgumentError, match="`sections` must be one of"):
        run.measure(run.Config(sections=("speed",)))


def _shares(law, depths, samples=200, n=500):
    """z-scores of the tail probabilities of 200 x 500 values beyond its own quantiles; dependent values by their samples."""
    first = np.abs(law.draw(np.random.default_rng(1), (samples, n)))
    again = np.abs(law.draw(np.random.default_rng(2), (samples, n)))
    assert first.shape == (samples, n) and np.isfinite(first).all()
    for depth in depths:
        x = np.quantile(first, 1 - depth)
        with np.errstate(over="ignore"):
            expected = np.exp(law.log_tail(x))
        found = (again > x).mean(axis=1)
        spread = found.std(ddof=1) if law.cls == "dependent" else np.sqrt(expected * (1 - expected) / n)
        yield (found.mean() - expected) / (spread / np.sqrt(samples))


def _depths(law):
    """Where the eleven terms of the series of a stable law close to the normal hold, the tail is deep; before values are clipped."""
    if "clipped" in law.name:
        return (0.2, 2 * law.cut)
    return (0.001, 0.0002) if "stable" in law.name and law.alpha > 1.9 else (0.02, 0.002)


@pytest.mark.long
def test_samplers_follow_their_tails():
    """One set of parameters; 200 x 500 values of each law, two depths."""
    some = [law for law in tail_laws.laws(11) if law.log_tail is not None]
    assert len(some) > 60
    worst = {law.name: max(abs(z) for z in _shares(law, _depths(law))) for law in some}
    assert max(worst.values()) < 5, max(worst, key=lambda name: worst[name])
    off = dataclasses.replace(tail_laws.lomax(2.0), log_tail=tail_laws.lomax(2.2).log_tail)
    assert max(abs(z) for z in _shares(off, (0.02, 0.002))) > 5  # a tail that is not its own is seen


def _orders(law):
    """Index and second order of a law, from four values of its tail where the second order moves log P by 1e-4."""
    x = 10.0 ** np.linspace(0.5, 60, 4000)[:, None] * 2.0 ** np.arange(3)
    with np.errstate(all="ignore"):
        steps = np.diff(law.log_tail(x) + law.alpha * np.log(x), axis=1)
        best = np.nanargmin(abs(np.log(abs(steps[:, 0]) / 1e-4)))
    slope = (law.log_tail(2 * x[best, 0]) - law.log_tail(x[best, 0])) / np.log(2)
    return -slope, np.log2(steps[best, 1] / steps[best, 0]) / law.alpha


@pytest.mark.slow
def test_indices_and_second_orders():
    """Of all laws with a closed tail, at three sets of parameters."""
    some = [law for seed in (11, 12, 13) for law in tail_laws.laws(seed, tuple(tail_laws.BOUNDS)) if law.log_tail is not None]
    assert len(some) > 80
    for law in some:
        low, high = tail_laws.BOUNDS[law.cls]
        assert low <= -law.rho <= high, law
        alpha, rho = _orders(law)
        assert alpha == pytest.approx(law.alpha, rel=1e-3), law
        assert rho == pytest.approx(law.rho, rel=0.01), law
    wrong = dataclasses.replace(tail_laws.student(3.0), rho=-1 / 3)
    assert _orders(wrong)[1] != pytest.approx(wrong.rho, rel=0.01)


def test_stable_tails_are_scipys():
    for alpha in (0.7, 1.4):
        law = tail_laws.stable(alpha)
        x = np.array([50.0, 200.0])
        assert np.exp(law.log_tail(x)) == pytest.approx(2 * stats.levy_stable(alpha, 0).sf(x), rel=1e-4)


def test_log_gamma_has_no_second_order():
    law = tail_laws.log_gamma(2.0, 1.5)
    x = 10.0 ** np.array([20, 40, 80])
    level = law.log_tail(x) + 1.5 * np.log(x)
    assert np.diff(level) == pytest.approx(np.log(2), rel=0.05)  # (shape - 1) log log x: never at rest


@pytest.mark.slow
def test_second_order_of_a_chain():
    """1 - h has the index, the pair found, and no other zero in the strip below the pole at alpha + 2 (argument principle)."""
    alpha = 1.9
    eta = mf.theory.recursion.step_size_for(alpha, 1, 1)
    logs, weights = tail_laws.log_factors(eta)

    def h(s):
        return np.exp(np.multiply.outer(s, logs)) @ weights

    zero = tail_laws.second_zero(alpha, eta)
    assert h(np.array([alpha, zero, 0.0])) == pytest.approx(1, abs=1e-8)
    low, high, end = alpha + 0.01, alpha + 2.0, 30.0
    corners = np.array([low - end * 1j, high - end * 1j, high + end * 1j, low + end * 1j, low - end * 1j])
    path = np.concatenate([a + (b - a) * np.linspace(0, 1, 1500) for a, b in itertools.pairwise(corners)])
    turns = np.unwrap(np.angle(h(path) - 1))
    assert (turns[-1] - turns[0]) / (2 * np.pi) == pytest.approx(2, abs=0.01) and low < zero.real < high
    # The law itself: one step more leaves it as it is, and its share beyond x falls with the index.
    x = tail_laws.kesten(alpha).draw(np.random.default_rng(0), (1, 200_000))[0]
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, x.size))
    after = (1 - eta * a * a) * x + eta * a * b
    assert stats.ks_2samp(abs(x), abs(after)).pvalue > 1e-6
    before = np.clip(x, -2, 2)  # a law that is not stationary moves
    assert stats.ks_2samp(abs(before), abs((1 - eta * a * a) * before + eta * a * b)).pvalue < 1e-6


def test_dependent_chains():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, 700))
    by_hand = b.copy()
    for t in range(1, 700):
        by_hand[:, t] += a[:, t] * by_hand[:, t - 1]
    assert tail_laws.affine(a.copy(), b.copy()) == pytest.approx(by_hand, rel=1e-9, abs=1e-9)
    assert tail_laws.arch_index(1.0) == pytest.approx(2)  # an integrated ARCH
    k = tail_laws.arch_index(0.7) / 2
    z = stats.norm().expect(lambda z: (0.7 * z * z) ** k, epsabs=1e-10)
    assert z == pytest.approx(1, abs=1e-6)
    for law in tail_laws.laws(4, ("dependent",)):
        x = law.draw(rng, (200, 400))
        size = np.log(abs(x) + 1e-300)
        neighbours = np.corrcoef(size[:, 1:].ravel(), size[:, :-1].ravel())[0, 1]
        assert neighbours > 0.1, law.name
        begin, end = size[:, 0], size[:, -1]
        assert stats.ks_2samp(begin, end).pvalue > 1e-5, law.name


@pytest.mark.long
def test_transients_do_not_rest_and_the_seed_draws_parameters():
    early, late = tail_laws.unfinished(3.0, 5), tail_laws.unfinished(3.0, 15)
    x, y = (np.median(np.log(abs(law.draw(np.random.default_rng(0), (1, 4000))))) for law in (early, late))
    assert (y - x) / 10 == pytest.approx(mf.theory.recursion.lyapunov(3.0, 1, 1), abs=0.1)
    beyond = [tail_laws._beyond(1.1, steps).draw(np.random.default_rng(0), (1, 4000)) for steps in (20, 60)]
    assert np.diff([np.median(np.log(abs(x))) for x in beyond]) > 1  # beyond the limit chains never come to rest
    names = [[law.name for law in tail_laws.laws(seed, ("middle",))] for seed in (0, 0, 1)]
    assert names[0] == names[1] and not set(names[0]) & set(names[2])
    assert names[0] == [law.name for law in tail_laws.laws(0) if law.cls == "middle"]


def perfect(x):
    """Knows the law of the test."""
    return 2.0, (1.9, 2.1)


def bad(x):
    """Covers nothing, and says so for samples that begin below the median of Lomax(2)."""
    return 3.0, (2.5, np.inf), "NOT_BEGUN" if x[0] < 2**0.5 - 1 else "OK"


def broken(x):
    raise ZeroDivisionError


def _score(law, n=100, samples=300):
    by = {f.__name__: tails.one_by_one(f) for f in (perfect, bad, broken)}
    verdicts = {f.__name__: partial(tails.words_of, f) for f in (power, broken)}
    rows, words = tails.score(law, n, samples, 0, by, verdicts, {"endless": endless, "quick": perfect}, 0.3)
    return {row["estimator"]: row for row in rows}, {row["estimator"]: row for row in words}


def power(x):
    return "POWER"


def endless(x):
    while True:
        pass


def test_scores():
    rows, words = _score(dataclasses.replace(tail_laws.lomax(2.0), cls="middle"))
    one, other, none = rows["perfect"], rows["bad"], rows["broken"]
    assert one["covered"] == one["good"] == one["samples"] == 300 and one["width"] == pytest.approx(2.1 / 1.9)
    assert one["squares"] == 0 and one["said"] == 0
    assert other["covered"] == other["good"] == 0 and other["width"] == np.inf and 100 < other["said"] < 200
    assert other["errors"] / 300 == pytest.approx(np.log(1.5)) and other["status"]["OK"] == 300 - other["said"]
    assert none["status"] == {"ZeroDivisionError": 300} and none["estimates"] == 0 and none["covered"] == 0
    assert "endless" not in rows and 0 < rows["quick"]["samples"] <= 300
    assert words["power"]["right"] == 300 and words["broken"]["undecided"] == 300
    rows, _ = _score(dataclasses.replace(tail_laws.lomax(2.0), cls="traps"))
    assert rows["bad"]["good"] == rows["bad"]["said"] > 0  # in a trap, saying so counts


@pytest.mark.parametrize(
    ("law", "n", "right", "wrong"),
    [
        (tail_laws.stable(1.5), 100, {"STABLE", "POWER"}, {"LIGHT", "LOGNORMAL", "BOUNDED"}),
        (tail_laws.student(2.0), 100, {"POWER"}, {"STABLE", "LIGHT", "LOGNORMAL", "BOUNDED"}),
        (tail_laws.truncated(1.5, 0.01), 100, {"POWER", "LIGHT", "BOUNDED"}, {"STABLE", "LOGNORMAL"}),
        (tail_laws.truncated(1.5, 0.01), 10_000, {"LIGHT", "BOUNDED"}, {"POWER", "STABLE", "LOGNORMAL"}),
        (tail_laws.tempered(1.5, 0.01), 100, {"LIGHT", "POWER"}, {"STABLE", "LOGNORMAL", "BOUNDED"}),
        (tail_laws.unfinished(1.0, 2), 100, {"LIGHT", "LOGNORMAL"}, {"POWER", "STABLE", "BOUNDED"}),
    ],
)
def test_verdicts(law, n, right, wrong):
    for word in ("POWER", "STABLE", "LIGHT", "LOGNORMAL", "BOUNDED", "UNDECIDED"):
        row = tails.judged(law, n, "name", [word])
        assert (row["right"], row["wrong"]) == (int(word in right), int(word in wrong)), word
        assert row["undecided"] == 1 - row["right"] - row["wrong"]


def test_exact_intervals():
    for count, of in ((0, 100), (7, 100), (100, 100)):
        low, high = tails.exact(count, of)
        known = stats.binomtest(count, of).proportion_ci(0.95, "exact")
        assert (low, high) == pytest.approx((known.low, known.high))


def test_page(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "somebody.py").write_text("def estimate(x):\n    return 9.0, (8.0, 10.0)\ndef verdict(x):\n    return 'LIGHT'\n")
    config = tails.Config(
        out=tmp_path, classes=("pareto", "traps"), sizes=(100,), samples=(5,), extras=False, peers=False,
        estimator=("somebody:estimate",), verdict=("somebody:verdict",),
    )  # fmt: skip
    tails.main(config)
    found, page = json.loads((tmp_path / "tails.json").read_text()), (tmp_path / "tails.md").read_text()
    assert {row["estimator"] for row in found["rows"]} == {"tail_index", "somebody:estimate"}
    assert len(found["rows"]) == 2 * len(found["laws"]) == 26
    first = next(line for line in page.splitlines() if line.startswith("| ") and "class" not in line)
    assert page.index("## Failures") < page.index("## Classes") and "somebody:estimate | 0.000 [0.000, 0.522]" in first
    with pytest.raises(mf.ArgumentError, match="`classes` must be among"):
        tails.main(dataclasses.replace(config, classes=("mine",)))
    with pytest.raises(mf.ArgumentError, match="`estimator` must be module:function"):
        tails.main(dataclasses.replace(config, estimator=("somebody",)))


def test_settings_are_scored(tmp_path):
    """Drawn settings are judged, once; a false claim is refuted by two seeds, an experiment that breaks down does not stop the rest."""
    config = scorer.Config(("columns",), out=tmp_path, settings=2, seed=3, full=0.0)
    scorer.main(config)
    path = tmp_path / "verify_settings.json"
    content = json.loads(path.read_text())
    assert [s["number"] for s in content["settings"]] == [0, 1] and all(s["verdict"] != "ERROR" for s in content["settings"])
    drawn = [s["parameters"] for s in content["settings"]]
    assert drawn[0] != drawn[1] and drawn[1] == dict(scorer.setting(1, config).claim.parameters)

    other = dataclasses.replace(scorer.setting(0, config), claim=verify.CLAIMS["columns"].control("limit off by 20 %"))
    wrong = scorer.scored(dataclasses.replace(other, claim=dataclasses.replace(other.claim, name="columns")))

    def breaks(key, size, parameters):
        raise TypeError("it broke")

    broken = scorer.scored(dataclasses.replace(other, claim=dataclasses.replace(other.claim, experiment=breaks)))
    assert (wrong["verdict"], wrong["again"], broken["verdict"]) == ("REFUTED", "REFUTED", "ERROR")
    content["settings"][0] = {**wrong, "number": 0}
    path.write_text(json.dumps(content))
    scorer.main(dataclasses.replace(config, settings=2))  # resumes: nothing is run again
    report = (tmp_path / "verify_settings.md").read_text()
    assert json.loads(path.read_text())["settings"][0]["verdict"] == "REFUTED"
    assert "1 consistent, 1 refuted" in scorer.settings_report(content) and "Refuted: 1 of 2" in scorer.settings_report(content)
    assert report.startswith("2 of 2 settings, seed 3")
