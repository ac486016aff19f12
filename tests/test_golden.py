"""Nothing moves that nobody meant to move: small runs of everything public against tests/known/golden.npz, to rounding."""

import numpy as np
import pytest

from tests import golden

# Sums in another order differ by rounding; what iterates to a tolerance, or counts what lies near an edge, by more.
ROUNDING = 1e-9
DEVICE = 2e-4  # of float32, after steps that may amplify it


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chains", "data", "dynamics", "networks"])
def test_simulations(name):
    assert golden.differences([name], lambda a, b: np.allclose(a, b, rtol=DEVICE, atol=DEVICE, equal_nan=True)) == []


@pytest.mark.long
@pytest.mark.parametrize("name", ["between_samples", "noise", "prunings", "tail_indices", "theories"])
def test_functions(name):
    tolerance = DEVICE if name == "noise" else ROUNDING
    assert golden.differences([name], lambda a, b: np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)) == []


def test_a_number_that_moved_is_seen(monkeypatch):
    moved = golden.arrays("prunings")
    moved["prunings/values"] = moved["prunings/values"] * (1 + 1e-7)
    del moved["prunings/node/fraction"]
    monkeypatch.setattr(golden, "arrays", lambda name: moved)
    found = golden.differences(["prunings"], lambda a, b: np.allclose(a, b, rtol=ROUNDING, atol=0, equal_nan=True))
    assert found == ["prunings/values", "prunings/node/fraction (only in the file)"]
