"""The progress bar: silent when nobody watches."""

import meanfield as mf
from tests.simulate.common import system


def test_progress_bar_is_silent_when_not_a_terminal(digits, key, capfd):
    mf.simulate(system(digits), widths=4, steps=3, seeds=1, key=key, probes=())
    assert capfd.readouterr().err == ""
    mf.simulate(system(digits), widths=4, steps=3000, seeds=1, key=key, probes=(), progress=True)
    assert "steps/s" in capfd.readouterr().err
