"""Files of a report: what was written comes back, and broken files are sentences."""

import json
import math
import re
import shutil

import numpy as np
import pytest

from meanfield import verify
from meanfield.verify import CLAIMS, _report_file, report
from meanfield.verify.__main__ import command
from tests.verify.common import rows, toy


def test_parameters_come_back_as_they_were(tmp_path):
    given = {
        "scale": 1.0,
        "self": 2,
        "text": "inf",
        "far": math.inf,
        "none": None,
        "mixed": ("nan", -math.inf, (1, "inf")),
        "named": {"a": "inf", "b": math.inf},
    }
    claim = toy(parameters={**given, "array": np.array([1.0, math.inf])})
    report.run([claim], tmp_path, budget="quick")
    back = dict(report.again([claim], tmp_path)["toy"].parameters)
    array = back.pop("array")
    assert isinstance(array, np.ndarray) and array.tolist() == [1.0, math.inf] and back == given


def head(**changes):
    return lambda out: edited(out, lambda content: content | changes)


def row(**changes):
    return lambda out: edited(out, lambda content: content | {"claims": [content["claims"][0] | changes]})


def without(name, of="head"):
    def left(content):
        (content if of == "head" else content["claims"][0]).pop(name)
        return content

    return lambda out: edited(out, left)


def edited(out, change):
    path = out / "report.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def arrays(**given):
    return lambda out: np.savez(out / "data" / "toy.npz", **given)


def one_array(out):
    np.save(out / "one.npy", np.arange(3))
    (out / "one.npy").rename(out / "data" / "toy.npz")


BROKEN = {
    "not JSON": lambda out: (out / "report.json").write_text("{"),
    "not text": lambda out: (out / "report.json").write_bytes(b"\xff\xfe"),
    "too deep": lambda out: (out / "report.json").write_text(100_000 * "["),
    "no object": lambda out: (out / "report.json").write_text("[1]"),
    **{f"no {name}": without(name) for name in _report_file.HEAD},
    **{f"no {name} of the row": without(name, "row") for name in _report_file.ROW},
    "budget": head(budget="large"),
    "planned": head(planned=0),
    "family rate": head(family_rate=1.5),
    "claims": head(claims={}),
    "a row that is none": head(claims=[1]),
    "two rows": lambda out: edited(out, lambda content: content | {"claims": 2 * content["claims"], "planned": 2}),
    "budget of the row": row(budget="large"),
    "controls": row(controls={"off": 1}),
    "somewhere": row(data="/etc/hostname"),
    "above": row(data="data/../../toy.npz"),
    "directory": row(data="data/.."),
    "zero": row(data="data/a\0"),
    "unknown parameter": row(parameters={"nonsense": 1}),
    "wrong parameter": row(parameters={"scale": {}}),
    "missing": lambda out: (out / "data" / "toy.npz").unlink(),
    "empty": lambda out: (out / "data" / "toy.npz").write_bytes(b""),
    "garbage": lambda out: (out / "data" / "toy.npz").write_bytes(b"garbage"),
    "truncated": lambda out: (out / "data" / "toy.npz").write_bytes((out / "data" / "toy.npz").read_bytes()[:-50]),
    "one array": one_array,
    "pickled": arrays(x=np.array([{}])),
    "other arrays": arrays(y=np.arange(3.0)),
    "text": arrays(x=np.array(["a", "b"])),
    "no numbers": arrays(x=np.full(9, np.nan)),
}


SCALED = rows(measured=lambda data, parameters: verify.mean(parameters["scale"] * data["x"]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that `--again` takes."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CLAIMS, "toy", toy(rows=SCALED, plot=None))
        assert command(["toy", "--quick", "--out", str(out)]) == 0 and command(["--again", "--out", str(out)]) == 0
    return out


@pytest.mark.short(12)
@pytest.mark.parametrize("how", BROKEN)
def test_broken_files_are_sentences(tmp_path, capsys, monkeypatch, whole, how):
    monkeypatch.setitem(CLAIMS, "toy", toy(rows=SCALED, plot=None))
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    again = ["--again", "--out", str(tmp_path)]
    report_before = (tmp_path / "report.html").read_bytes()
    BROKEN[how](tmp_path)
    capsys.readouterr()
    assert command(again) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"error: Argument `--out` must .*report\.json.*, but is .*\.\n", said)
    assert str(tmp_path) in said and (tmp_path / "report.html").read_bytes() == report_before
