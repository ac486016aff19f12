"""No false record: what is written is what ran, of keys and seeds too."""

import dataclasses
import json

import pytest

import meanfield as mf
from benchmarks import run as bench
from benchmarks import tails as tail_benchmark
from benchmarks import verify as rates
from meanfield import _check, verify
from meanfield.verify import report
from sims import (
    _run,
    compressibility,
    index_two_wall,
    linear_recursion,
    propagation_of_chaos,
    radial_pde,
    shared_noise,
    stable_sgd,
    tail_index,
    transients,
    width_scaling,
)

JOBS = (
    *(compressibility, index_two_wall, linear_recursion, propagation_of_chaos, radial_pde),
    *(shared_noise, stable_sgd, tail_index, transients, width_scaling),
)
NAMES = [module.__name__ for module in JOBS]
everyone = pytest.mark.parametrize("module", [*JOBS, bench], ids=[*NAMES, "bench"])


@everyone
def test_what_is_typed_beside_quick_wins(module):
    """Of every size that the quick run makes smaller; the others are those of the quick run."""
    small = module.Config(quick=True)
    changed = {f.name for f in dataclasses.fields(small) if getattr(small, f.name) != f.default}
    assert changed == {"quick", *module.Config.small}
    for name in module.Config.small:
        given = getattr(module.Config(), name)
        config = module.Config(quick=True, **{name: given})
        assert config == dataclasses.replace(small, **{name: given})
        words = [given] if isinstance(given, int | float) else [] if isinstance(given[0], tuple) else list(given)
        if words:
            parsed = _run.parsed(module.Config, ["--" + name.replace("_", "-"), *map(str, words), "--quick"])
            assert parsed == config and _run.manifest(parsed)["config"][name] == given
    assert _run.parsed(module.Config, ["--quick"]) == small and _run.parsed(module.Config, []) == module.Config()


@everyone
def test_help_says_what_the_quick_run_is_and_what_the_full_one(module, capsys):
    with pytest.raises(SystemExit):
        _run.parsed(module.Config, ["--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name, value in module.Config.small.items():
        flag, full = "--" + name.replace("_", "-"), getattr(module.Config(), name)
        assert f"{flag} {_run.typed(value)}" in text and f"(default: {_run.typed(full)})" in text, name


def test_config_json_is_what_ran(tmp_path):
    """The case of the review: widths and seeds beside --quick."""
    arguments = ["--quick", "--widths", "8", "--seeds", "1", "--steps", "9", "--step-sizes", "0.1", "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as ended:
        _run.command(width_scaling.Config, width_scaling.main, arguments)
    assert ended.value.code == 0
    config = json.loads((tmp_path / "config.json").read_text())["config"]
    results = mf.Results.load(tmp_path / "results.nc").dataset
    assert config["widths"] == results["width"].to_numpy().tolist() == [8]
    assert config["seeds"] == results.sizes["seed"] == 1
    assert config["steps"] == results["step"].to_numpy()[-1] == results["steps_done"].max() == 9


@pytest.mark.parametrize(
    ("module", "arguments", "name"),
    [
        (width_scaling, {"widths": (0,)}, "widths"),
        (linear_recursion, {"chains": 5}, "chains"),
        (tail_index, {"chains": 5}, "chains"),
        (transients, {"chains": 5}, "chains"),
        (shared_noise, {"widths": (0,)}, "widths"),
        (stable_sgd, {"widths": (0,)}, "widths"),
        (radial_pde, {"width": 0}, "width"),
        (propagation_of_chaos, {"seeds": 0}, "seeds"),
        (compressibility, {"parts": (5,)}, "parts"),
        (index_two_wall, {"seeds": 0}, "seeds"),
        (bench, {"widths": (0,)}, "widths"),
    ],
    ids=[*(f"{i}" for i in range(10)), "bench"],
)
def test_wrong_sizes_are_refused_beside_quick(module, arguments, name, tmp_path):
    with pytest.raises(mf.ArgumentError, match=f"Argument `{name}` must"):
        module.main(module.Config(out=tmp_path, quick=True, **arguments))
    assert not list(tmp_path.iterdir())


SENTENCE = "Argument `{}` must be an integer from 0 to 2^32 - 1"


@pytest.mark.parametrize("value", [-1, 2**32, 2**32 + 1, 2**63])
def test_keys_that_would_be_others_are_refused(value, tmp_path, capsys):
    """4294967297 would be recorded, and be 1."""
    for module in JOBS:
        with pytest.raises(mf.ArgumentError) as caught:
            module.main(module.Config(key=value, out=tmp_path / "out"))
        assert str(caught.value).startswith(SENTENCE.format("key"))
    with pytest.raises(SystemExit) as ended:
        _run.command(shared_noise.Config, shared_noise.main, ["--quick", f"--key={value}", "--out", str(tmp_path / "out")])
    assert ended.value.code == 2 and not (tmp_path / "out").exists()
    assert capsys.readouterr().err == f"error: {SENTENCE.format('key')}, but is {value}.\n"
    _check.seed("key", 2**32 - 1)
    claim = verify.CLAIMS["limit"]
    for seeded in (
        lambda: claim.collect(value, "quick"),
        lambda: report.run([claim], tmp_path / "out", seed=value),
        lambda: tail_benchmark.main(tail_benchmark.Config(out=tmp_path / "out", seed=value)),
        lambda: rates.main(rates.Config(out=tmp_path / "out", first=value)),
        lambda: rates.main(rates.Config(out=tmp_path / "out", first=2**32 - 2, seeds=3)),
    ):
        with pytest.raises(mf.ArgumentError, match="must be an integer from 0 to"):
            seeded()
    assert not (tmp_path / "out").exists()
