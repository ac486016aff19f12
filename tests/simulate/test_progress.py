"""The progress bar, and the plain line a minute where nobody watches; what goes on when the terminal goes away."""

import os
import pty
import re
import subprocess
import sys
import textwrap

import pytest

import meanfield as mf
from meanfield.simulate import progress
from tests.common import read_until
from tests.simulate.common import system

LONG = """
    import sys, jax, meanfield as mf
    system = mf.System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD(step_size=0.1, batch_size=1))
    mf.simulate(system, widths=8, steps=400_000, seeds=2, key=jax.random.key(0), probes=(), progress=True).save(sys.argv[1])
"""


def test_a_short_run_is_silent_when_not_a_terminal(digits, key, capfd):
    mf.simulate(system(digits), widths=4, steps=3, seeds=1, key=key, probes=())
    assert capfd.readouterr().err == ""
    mf.simulate(system(digits), widths=4, steps=3000, seeds=1, key=key, probes=(), progress=True)
    assert "steps/s" in capfd.readouterr().err


def test_a_long_run_says_a_plain_line_a_minute(digits, key, capfd, monkeypatch):
    """Steps a second and the time left, without escape codes; nothing with progress=False."""
    monkeypatch.setattr(progress, "SILENCE", 0.0)
    run = {"widths": 4, "steps": 3000, "seeds": 1, "key": key, "probes": ()}
    mf.simulate(system(digits), **run)
    lines = capfd.readouterr().err.splitlines()
    assert lines and all(re.fullmatch(r"width 4 \(1 of 1\), 1 runs: \d+%, [\d,]+ steps/s, \d+ min left", line) for line in lines)
    mf.simulate(system(digits), progress=False, **run)
    assert capfd.readouterr().err == ""


def test_the_time_left_is_that_of_the_work_that_is_left(monkeypatch, capfd):
    """A run that went on from 30 of 130: after 10 minutes it has done 50 of the 100 that were left."""
    clock = iter([0.0, 0.0, 600.0, 610.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    report = progress._lines(130)
    report(30, "width 8", 5.0)
    report(80, "width 8", 1234.5)
    report(81, "width 8", 1234.5)  # ten seconds later: silence
    assert capfd.readouterr().err == "width 8: 62%, 1,234 steps/s, 10 min left\n"


@pytest.mark.long(1)
@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_a_terminal_that_goes_away_stops_no_run(kind, tmp_path):
    """The far end of standard error closes in the middle of the run: it comes to its end and keeps its results."""
    ours, theirs = pty.openpty() if kind == "terminal" else os.pipe()
    command = [sys.executable, "-c", textwrap.dedent(LONG), str(tmp_path / "results.nc")]
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        os.close(theirs)
        with os.fdopen(ours, "r", errors="replace") as stream:
            read_until(stream, "steps/s")
        assert process.wait(timeout=120) == 0
    assert mf.Results.load(tmp_path / "results.nc").complete(8).all()
