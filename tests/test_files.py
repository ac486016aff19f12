"""Files that are whole, JSON that every reader takes, and the record of what ran."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from meanfield import _files

VALUE = {
    "a": (1, np.float64(2.5), float("inf")),
    "b": np.array([1.0, np.nan]),
    "c": Path("x/y"),
    "d": {"e": None, "f": jnp.ones(2)},
}


def test_a_file_that_is_cut_short_leaves_the_earlier_one(tmp_path):
    path = tmp_path / ("x" * 240)  # a name as long as a system allows
    _files.write_text(path, "earlier, é")
    with pytest.raises(ZeroDivisionError), _files.whole(path) as partial:
        partial.write_text("half")
        assert path.read_text("utf-8") == "earlier, é"
        _ = 1 / 0
    assert path.read_text("utf-8") == "earlier, é" and [p.name for p in tmp_path.iterdir()] == [path.name]
    with _files.whole(path) as one, _files.whole(path) as other:  # two processes
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one" and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_json_is_strict(tmp_path):
    def refuse(name):
        raise AssertionError(name)

    for lossless, infinite, nan in ((False, None, None), (True, "inf", "nan")):
        _files.write_json(tmp_path / "x.json", VALUE, lossless)
        found = json.loads((tmp_path / "x.json").read_text(), parse_constant=refuse)
        assert found == {"a": [1, 2.5, infinite], "b": [1.0, nan], "c": "x/y", "d": {"e": None, "f": [1.0, 1.0]}}
    again = _files.loose(found, {"b": np.zeros(2), "c": "text"})
    assert again["a"] == (1, 2.5, float("inf")) and again["c"] == "x/y"
    np.testing.assert_array_equal(again["b"], VALUE["b"])


def test_the_manifest_says_what_ran():
    @dataclass(frozen=True)
    class Config:
        size: int = 3

    found = _files.manifest(dataclasses.asdict(Config()))
    assert found["config"] == {"size": 3} and found["versions"]["jax"] == jax.__version__ and found["device"] and found["system"]
    assert _files.versions("no-such-package")["no-such-package"] is None
