"""No false record: what is written of a job is what ran, sizes that were typed beside --quick too."""

import dataclasses
import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import meanfield as mf
from benchmarks import run as bench
from meanfield import _files
from sims import (
    _job,
    compressibility,
    compressible_laws,
    compressible_networks,
    index_two_wall,
    linear_recursion,
    mechanisms,
    propagation_of_chaos,
    quadratic_network,
    radial_pde,
    regimes,
    relu_networks,
    relu_residuals,
    shared_noise,
    stable_networks,
    stable_sgd,
    tail_index,
    transients,
    width_scaling,
)
from tests.sims.common import JOBS

ROOT = Path(__file__).parent.parent.parent
NAMES = [module.__name__ for module in JOBS.values()]
everyone = pytest.mark.parametrize("module", [*JOBS.values(), bench], ids=[*NAMES, "bench"])


@everyone
def test_what_is_typed_beside_a_preset_wins(module):
    """Of every size that it changes; the others are those of the preset."""
    assert _job.parsed(module.Config, []) == module.Config()
    for preset in module.Config.presets:
        _typed_beside(module, preset)


def _typed_beside(module, preset):
    full, chosen = module.Config(), {preset: True}
    small = module.Config(**chosen).sized()
    assert getattr(small, preset) and small.sized() == small and module.Config(**chosen) == dataclasses.replace(full, **chosen)
    assert _job.parsed(module.Config, [f"--{preset}"]) == small
    changed = _job.changed(module.Config, preset)
    assert changed or module is index_two_wall  # whose parts are made small
    for name in changed:
        given = getattr(full, name)
        if isinstance(given, bool):
            words = [_job.option_name(name if given else f"no_{name}")]
        elif isinstance(given, int | float):
            words = [_job.option_name(name), given]
        else:
            words = [] if isinstance(given[0], tuple) else [_job.option_name(name), *given]
        if words:
            parsed = _job.parsed(module.Config, [*map(str, words), f"--{preset}"])
            assert (
                parsed == dataclasses.replace(small, **{name: given})
                and _files.manifest(parsed.record())["config"][name] == given
            )


@everyone
def test_help_says_what_the_presets_are(module, capsys):
    with pytest.raises(SystemExit):
        _job.parsed(module.Config, ["--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Directory for the results" in text
    for preset, name in [(one, name) for one in module.Config.presets for name in _job.changed(module.Config, one)]:
        small, full = (getattr(config, name) for config in (module.Config(**{preset: True}).sized(), module.Config()))
        assert f"{_job.option_name(name)} {_job.typed(small)}" in text and f"(default: {_job.typed(full)})" in text, name


def test_two_presets_are_refused():
    with pytest.raises(ValueError, match="`quick` must be typed alone, but is typed with --full"):
        _job.parsed(regimes.Config, ["--quick", "--full"])


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
        (mechanisms, {"seeds": 2}, "seeds"),
        (regimes, {"widths": (8, 64)}, "widths"),
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
    ids=[*(f"{i}" for i in range(18)), "bench"],
)
def test_wrong_sizes_are_refused_beside_quick(module, arguments, name, tmp_path):
    with pytest.raises(mf.ArgumentError, match=f"Argument `{name}` must"):
        module.main(dataclasses.replace(module.Config(out=tmp_path, quick=True).sized(), **arguments))
    assert not list(tmp_path.glob("[!.]*"))


KILLED = """
    import sys
    from meanfield.simulate import checkpoint
    from sims import mechanisms
    checkpoint._WORTH = 0.0  # short runs are kept, too
    size = ["--widths", "16", "64", "--seeds", "3", "--steps", "40000", "--injected-steps", "60"]
    mechanisms.main.command([*size, "--out", sys.argv[1]] if len(sys.argv) == 2 else ["--resume", sys.argv[1]])
"""


@pytest.mark.slow
def test_a_job_that_was_killed_goes_on(tmp_path):
    """SIGKILL after a simulation has been kept: `--resume` makes the files of a whole run, and runs less."""
    command = [sys.executable, "-c", textwrap.dedent(KILLED)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, cwd=ROOT, timeout=300, stdout=subprocess.DEVNULL)
    killed = tmp_path / "killed"
    with subprocess.Popen([*command, str(killed)], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while not list(killed.glob("checkpoints/*/finished/0/commit_success.txt")):
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    assert not (killed / "summary.json").exists()
    done = subprocess.run([*command, str(killed), "--resume"], cwd=ROOT, timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    summaries = [json.loads((one / "summary.json").read_text()) for one in (tmp_path / "whole", killed)]
    assert summaries[0].pop("seconds") > 0 < summaries[1].pop("seconds") and summaries[0] == summaries[1]
    assert not (killed / "checkpoints").exists()
    for name in mechanisms.NAMES:
        whole, again = (mf.Results.load(one / f"{name}.nc") for one in (tmp_path / "whole", killed))
        assert whole.dataset.identical(again.dataset)


def test_resume_goes_on_as_typed_or_is_a_sentence(tmp_path):
    """Every kind of field comes back; a directory without a run, and one of another job, are refused."""
    config = regimes.Config(out=tmp_path / "a", widths=(16, 32), ridges=(0.0, 0.5), beside=False, key=7)
    with pytest.raises(KeyboardInterrupt), _job._kept_in(_made(tmp_path / "a" / "checkpoints"), config):
        raise KeyboardInterrupt
    assert _job.parsed(regimes.Config, ["--resume", str(tmp_path / "a")]) == config
    (tmp_path / "a").rename(tmp_path / "b")
    assert _job.parsed(regimes.Config, ["--resume", str(tmp_path / "b")]) == dataclasses.replace(config, out=tmp_path / "b")
    with pytest.raises(ValueError, match="`resume` must be the directory of a run that was interrupted or killed"):
        _job.parsed(regimes.Config, ["--resume", str(tmp_path)])
    with pytest.raises(ValueError, match=r"`resume` must be the directory of a run of sims\.tail_index"):
        _job.parsed(tail_index.Config, ["--resume", str(tmp_path / "b")])


def _made(directory):
    directory.parent.mkdir(parents=True)
    return directory


@pytest.mark.long
def test_a_rerun_that_is_cut_leaves_the_finished_one_alone(tmp_path, ctrl_c, capsys):
    """Nothing of the earlier run is gone, and the new one can go on."""
    run = {"out": tmp_path, "widths": (16, 32), "seeds": 3, "steps": 20, "injected_steps": 20}
    assert mechanisms.main(mechanisms.Config(**run)) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    ctrl_c("chunk")
    with pytest.raises(SystemExit, match="130"):
        mechanisms.main.command(["--widths", "16", "32", "--seeds", "3", "--steps", "40000", "--out", str(tmp_path)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    assert f"--resume {tmp_path} goes on" in capsys.readouterr().err
    assert _job.parsed(mechanisms.Config, ["--resume", str(tmp_path)]).steps == 40000
