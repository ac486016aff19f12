"""Ctrl-C: what is done is kept, and said."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import meanfield as mf
from meanfield.simulate.interrupt import SIGNALS, exit_status, interrupt_flag, interrupting
from tests.common import read_until
from tests.simulate.common import system

ROOT = Path(__file__).parent.parent.parent
INTERRUPTED = """
    import sys, jax, meanfield as mf
    system = mf.System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD(step_size=[0.1, 1.0], batch_size=1))
    mf.simulate(system, widths=[8, 64], steps=3_000_000, seeds=2, key=jax.random.key(0), probes=(), progress=True).save(sys.argv[1])
"""


@pytest.mark.long(1)
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_keeps_what_is_done(number, tmp_path):
    """A real process, a real signal: it ends by itself, the cut width is marked, and the results can be saved and read."""
    path = tmp_path / "cut.nc"
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        read_until(process.stderr, "steps/s")  # the first chunk of steps is done
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0 and "Traceback" not in err, err
    results = mf.Results.load(path)
    assert results.dataset.attrs["interrupted"] == number
    assert results.dataset["width"].to_numpy().tolist() == [8]  # the second width was never begun
    assert (results.dataset["status"] == mf.Status.INTERRUPTED.code).all()
    done = results.dataset["steps_done"].to_numpy()
    assert (done < 3_000_000).all() and (done > 0).all()
    assert np.isfinite(results.particles[8].w).all()


def test_simulate_works_outside_the_main_thread(digits, key):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(mf.simulate(system(digits), widths=4, steps=3, seeds=1, key=key, probes=()))
    )
    thread.start()
    thread.join()
    assert found[0].dataset["steps_done"].item() == 3


@pytest.mark.long
def test_ctrl_c_between_two_widths(digits, key, ctrl_c, tmp_path):
    """Every status is COMPLETE, a width is missing: the results say so, in their file too, and are not taken for whole ones."""
    system = mf.System(mf.TwoLayer(), digits, mf.dynamics.SGD(0.1, 1))
    run = {"steps": 20, "seeds": 2, "key": key, "probes": ()}
    assert not mf.simulate(system, widths=[4, 8], **run).require_complete().interrupted
    ctrl_c("width")
    results = mf.simulate(system, widths=[4, 8], **run)
    results.save(tmp_path / "cut.nc")
    for one in (results, mf.Results.load(tmp_path / "cut.nc")):
        assert list(one.particles) == [4] and one.complete(4).all() and one.interrupted
        with pytest.raises(KeyboardInterrupt):
            one.require_complete()


def test_ctrl_c_comes_before_divergence(digits, key, ctrl_c):
    """Some diverged, some were cut: Ctrl-C, not a word on divergence alone, which would be taken for a finding."""
    system = mf.System(mf.TwoLayer(), digits, mf.dynamics.SGD([0.1, 1e38], 1))
    ctrl_c("chunk")
    results = mf.simulate(system, widths=8, steps=100, seeds=2, key=key, probes=())
    found = results.dataset["status"].to_numpy().tolist()
    assert found == [[[mf.Status.INTERRUPTED.code] * 2, [mf.Status.DIVERGED.code] * 2]] and results.interrupted
    assert (results.dataset["steps_done"] < 100).all()
    with pytest.raises(KeyboardInterrupt):
        results.require_complete()


JOB = """
    import sys
    from sims import mechanisms
    mechanisms.main.command(["--widths", "16", "32", "--seeds", "3", "--steps", "30000000", "--out", sys.argv[1]])
"""


@pytest.mark.long(1)
@pytest.mark.parametrize("number", SIGNALS)
def test_a_job_ends_with_the_status_of_the_signal(number, tmp_path):
    """128 and its number, one word, and the results of what is done."""
    command = [sys.executable, "-c", textwrap.dedent(JOB), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        while not (tmp_path / "checkpoints" / "job.json").exists():
            time.sleep(0.05)
        time.sleep(4)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "Traceback" not in err + out, err
    assert mf.Results.load(tmp_path / "light.nc").interrupted and f"--resume {tmp_path} goes on" in err


def test_signals_that_are_ignored_stay_ignored():
    """Under `nohup` a connection that is lost stops nothing."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupt_flag() as flag, interrupting():
            signal.raise_signal(signal.SIGHUP)
        assert flag.number == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_same_signal_twice_acts_at_once():
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # which is not there in a job that a shell has put into the background
    with pytest.raises(KeyboardInterrupt), interrupt_flag() as flag:
        signal.raise_signal(signal.SIGINT)
        assert flag.number == signal.SIGINT
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(mf.Interrupted) as stop, interrupting():
        signal.raise_signal(signal.SIGTERM)
    assert exit_status(stop.value) == 143 and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 1.5, 2.5])
def test_ctrl_c_twice_ends_the_process_in_bounded_time(seconds, tmp_path):
    """While it compiles, and while it runs: never by a segmentation fault."""
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # which a shell takes from jobs of the background
    command = [sys.executable, "-c", heard + textwrap.dedent(INTERRUPTED), str(tmp_path / "cut.nc")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(seconds)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(1)
        process.communicate(timeout=30)
    assert process.returncode in (0, 1, -signal.SIGINT)
