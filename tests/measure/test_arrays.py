"""Shapes are checked in the tests, and sentences come before shapes."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError

import meanfield as mf
from meanfield.measure import tails
from meanfield.measure.pruning import errors
from meanfield.measure.tails import spacings


def test_wrong_shapes_are_seen():
    design = spacings.design(200)
    with pytest.raises(TypeCheckError):
        spacings.modes(np, np.ones((2, 7)), design.counts, design.power_laws(0))
    with pytest.raises(TypeCheckError):
        errors._errors(np.ones((2, 3)), np.array([0.0, 1.0]), 2.0)
    assert errors._errors(np.ones((2, 3)), np.array([0, 1]), 1.0).shape == (2, 2)


def test_sentences_come_first():
    for x, k in (("text", None), (np.ones(60), 1.5), ([], None)):
        with pytest.raises(mf.ArgumentError):
            tails.hill(x, k=k)
