"""The benchmarks: one tiny cell with and without torch, numbers recomputed, and contestants that cheat are found out."""

import json

import numpy as np
import pytest

import meanfield as mf
from benchmarks import child, grid, main_job, ours, peers, run, sections, timing
from sims import width_scaling

WITH_TORCH = pytest.param(True, marks=pytest.mark.skipif(peers.torch is None, reason="torch is not installed"))


@pytest.mark.parametrize("torch", [False, WITH_TORCH])
def test_quick_cell(torch, tmp_path, monkeypatch):
    if not torch:
        monkeypatch.setattr(peers, "torch", None)
    assert run.main(run.Config(out=tmp_path, quick=True, sections=("grid",))) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"benchmarks.json", "table.md", "roofline.png"}
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


def test_main_job(tmp_path):
    found = main_job.measure(width_scaling.Config(widths=(8,), step_sizes=(0.1,), seeds=1, steps=20))
    (row,) = found["rows"]
    assert 0 < row["compile_seconds"] < row["seconds"] and row["cell_steps_per_second"] > 0


def test_a_wrong_section_is_a_sentence():
    with pytest.raises(mf.ArgumentError, match="`sections` must be one of"):
        run.measure(run.Config(sections=("speed",)))
