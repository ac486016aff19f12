"""How a refusal is expected."""

import pytest

import meanfield as mf


def sentence(pattern):
    return pytest.raises(mf.ArgumentError, match=pattern)
