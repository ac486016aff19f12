"""No false record: what is written is what ran, of keys and seeds too."""

import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest

import meanfield as mf
from benchmarks import run as bench
from benchmarks import tails as tail_benchmark
from benchmarks import verify as rates
from meanfield import _check, _files, verify
from meanfield.verify import report
from sims import (
    _job,
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
    width_scaling,
)

JOBS = (
    *(compressibility, compressible_laws, compressible_networks, index_two_wall, linear_recursion, propagation_of_chaos),
    *(quadratic_network, radial_pde, relu_networks, relu_residuals, shared_noise, stable_networks, stable_sgd, tail_index),
    *(transients, width_scaling),
)
NAMES = [module.__name__ for module in JOBS]
everyone = pytest.mark.parametrize("module", [*JOBS, bench], ids=[*NAMES, "bench"])


@everyone
def test_what_is_typed_beside_quick_wins(module):
    """Of every size that the quick run makes smaller; the others are those of the quick run."""
    full, small = module.Config(), module.Config(quick=True).sized()
    assert small.quick and small.sized() == small and module.Config(quick=True) == dataclasses.replace(full, quick=True)
    assert _job.parsed(module.Config, ["--quick"]) == small and _job.parsed(module.Config, []) == full
    changed = _job.made_small(module.Config)
    assert changed or module is index_two_wall  # whose parts are made small
    for name in changed:
        given = getattr(full, name)
        words = [given] if isinstance(given, int | float) else [] if isinstance(given[0], tuple) else list(given)
        if words:
            parsed = _job.parsed(module.Config, [_job.option_name(name), *map(str, words), "--quick"])
            assert (
                parsed == dataclasses.replace(small, **{name: given})
                and _files.manifest(parsed.record())["config"][name] == given
            )


@everyone
def test_help_says_what_the_quick_run_is_and_what_the_full_one(module, capsys):
    with pytest.raises(SystemExit):
        _job.parsed(module.Config, ["--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Directory for the results" in text
    for name in _job.made_small(module.Config):
        small, full = (getattr(config, name) for config in (module.Config(quick=True).sized(), module.Config()))
        assert f"{_job.option_name(name)} {_job.typed(small)}" in text and f"(default: {_job.typed(full)})" in text, name


def test_joined_figures_record_the_configs_of_their_parts():
    """With their key and seeds, and small if the quick run was asked for."""
    for quick in (False, True):
        record = index_two_wall.Config(key=3, seeds=2, quick=quick).record()
        made = relu_networks.Config(key=3, seeds=2, quick=quick, out=index_two_wall.Config().out)
        assert record["relu_networks"] == (made.sized() if quick else made).record()
        made = compressible_networks.Config(key=3, out=compressibility.Config().out, quick=quick)
        assert compressibility.Config(key=3, quick=quick).record()["networks"] == (made.sized() if quick else made).record()


@pytest.mark.slow
def test_config_json_is_what_ran(tmp_path):
    """The case of the review: widths and seeds beside --quick."""
    arguments = ["--quick", "--widths", "8", "--seeds", "1", "--steps", "9", "--step-sizes", "0.1", "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as ended:
        width_scaling.main.command(arguments)
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
        (compressible_laws, {"side": 0}, "side"),
        (compressible_networks, {"widths": (0,)}, "widths"),
        (quadratic_network, {"life_steps": 0}, "life_steps"),
        (relu_networks, {"steps": 0}, "steps"),
        (relu_residuals, {"noiseless_width": 0}, "noiseless_width"),
        (stable_networks, {"widths": (0,)}, "widths"),
        (bench, {"widths": (0,)}, "widths"),
    ],
    ids=[*(f"{i}" for i in range(16)), "bench"],
)
def test_wrong_sizes_are_refused_beside_quick(module, arguments, name, tmp_path):
    with pytest.raises(mf.ArgumentError, match=f"Argument `{name}` must"):
        module.main(dataclasses.replace(module.Config(out=tmp_path, quick=True).sized(), **arguments))
    assert not list(tmp_path.glob("[!.]*"))


SENTENCE = "Argument `{}` must be an integer from 0 to 2^32 - 1"


@pytest.mark.parametrize("value", [-1, 2**32, 2**32 + 1, 2**63])
def test_keys_that_would_be_others_are_refused(value, tmp_path, capsys):
    """4294967297 would be recorded, and be 1."""
    for module in JOBS:
        with pytest.raises(mf.ArgumentError) as caught:
            module.main(module.Config(key=value, out=tmp_path / "out"))
        assert str(caught.value).startswith(SENTENCE.format("key"))
    with pytest.raises(SystemExit) as ended:
        shared_noise.main.command(["--quick", f"--key={value}", "--out", str(tmp_path / "out")])
    assert ended.value.code == 2 and not (tmp_path / "out").exists()
    assert capsys.readouterr().err == f"error: {SENTENCE.format('--key')}, but is {value}.\n"
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


@pytest.mark.long
def test_results_say_what_ran(key, tmp_path):
    """Every argument is in the file; other data, of one shape, have another checksum; a call repeated is described alike."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3)).astype(np.float32)

    def run(x, **more):
        data = mf.data.from_arrays(x, x[:, :1])
        system = mf.System(mf.TwoLayer(loss="squared"), data, mf.dynamics.SGD([0.1, 0.2], 2, weight_decay=0.5))
        arguments = {"widths": [4, 8], "steps": 2, "seeds": [3, 5], "key": key, "probes": [mf.probes.Moments(orders=(1.0,))]}
        return mf.simulate(system, **arguments | more)

    results = run(x)
    results.save(tmp_path / "results.nc")
    found = mf.Results.load(tmp_path / "results.nc").provenance
    dynamics = found["system"]["dynamics"]
    assert dynamics["type"].endswith(".SGD") and dynamics["step_size"] == [0.1, 0.2]
    assert (dynamics["batch_size"], dynamics["weight_decay"], found["system"]["network"]["loss"]) == (2, 0.5, "squared")
    assert (found["widths"], found["steps"], found["seeds"], found["probes"][0]["orders"]) == ([4, 8], 2, [3, 5], [1.0])
    assert found["key"] == jax.random.key_data(key).tolist() and found["versions"]["jax"] == jax.__version__
    assert found == run(x).provenance == results.provenance
    x[17, 1] += 1
    for other in (run(x), run(x, key=jax.random.key(1)), run(x, steps=3)):
        assert other.provenance != found
    assert len(found["system"]["data"]["x"]["sha256"]) == 64 and "0x" not in json.dumps(found)


HOLDS = """import sys, time
from meanfield import _check
with _check.own_directory("out", sys.argv[1]):
    print("here", flush=True)
    time.sleep(600)
"""


@pytest.mark.long
def test_two_runs_do_not_share_a_directory(tmp_path):
    """Refused while another process writes, and before anything is touched; free again once that one is killed."""
    claim = verify.CLAIMS["limit"]
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "here\n"
        (tmp_path / "summary.json").write_text("of the other")
        for run in (
            lambda: width_scaling.main(width_scaling.Config(out=tmp_path, quick=True).sized()),
            lambda: shared_noise.main(shared_noise.Config(out=tmp_path, quick=True).sized()),
            lambda: report.run([claim], tmp_path, budget="quick"),
        ):
            with pytest.raises(mf.ArgumentError, match="Argument `out` must be a directory into which no other run writes"):
                run()
        assert (tmp_path / "summary.json").read_text() == "of the other" and not (tmp_path / "report.json").exists()
        other.kill()
    assert report.run([claim], tmp_path, budget="quick")["limit"].verdict is not None
