"""Ctrl-C: what is done is kept, and said."""

import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import meanfield as mf
from tests.common import read_until
from tests.simulate.common import system

INTERRUPTED = """
    import sys, jax, meanfield as mf
    system = mf.System(mf.TwoLayer(), mf.data.digits(), mf.dynamics.SGD(step_size=[0.1, 1.0], batch_size=1))
    mf.simulate(system, widths=[8, 64], steps=3_000_000, seeds=2, key=jax.random.key(0), probes=(), progress=True).save(sys.argv[1])
"""


@pytest.mark.long
def test_ctrl_c_keeps_what_is_done(tmp_path):
    """A real process, a real SIGINT: it ends by itself, the cut width is marked, and the results can be saved and read."""
    path = tmp_path / "cut.nc"
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        read_until(process.stderr, "steps/s")  # the first chunk of steps is done
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0 and "Traceback" not in err, err
    results = mf.Results.load(path)
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
