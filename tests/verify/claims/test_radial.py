"""The radial flow: settings that are refused."""

import pytest

from meanfield import verify


def test_a_flow_that_has_forgotten_its_start_is_refused():
    with pytest.raises(ValueError, match=r"Argument `times` must begin early enough to tell the start from one at radius 1.2"):
        verify.CLAIMS["radial flow"].with_parameters(delta=0.895, times=(0.6, 1.0))
