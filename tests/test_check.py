"""Checks that guard a run: keys that would be others, and directories that another run writes into."""

import subprocess
import sys

import pytest

import meanfield as mf
from benchmarks import tails as tail_benchmark
from benchmarks import verify as rates
from meanfield import _check, verify
from meanfield.verify import report
from sims import shared_noise, width_scaling
from tests.sims.common import JOBS

SENTENCE = "Argument `{}` must be an integer from 0 to 2^32 - 1"


@pytest.mark.parametrize("value", [-1, 2**32, 2**32 + 1, 2**63])
def test_keys_that_would_be_others_are_refused(value, tmp_path, capsys):
    """4294967297 would be recorded, and be 1."""
    for module in JOBS.values():
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


def test_what_cannot_be_an_array_has_a_description():
    """A dataset in the place of its results."""
    import xarray

    with pytest.raises(mf.ArgumentError, match="Argument `results` must be `Results` of a simulation, but is a Dataset"):
        verify.founding(xarray.Dataset({"status": ("x", [0, 1])}))  # type: ignore[arg-type]
