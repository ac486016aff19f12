"""Claims on stable noise: settings that are refused."""

import numpy as np
import pytest

from meanfield import verify


def test_networks_that_oscillate_are_refused():
    """At step size 1.69 the distance of 86 neurons to more of them is 3.4 times what N^-1/2 makes of that of 344."""
    claim = verify.CLAIMS["injected chaos"]
    with pytest.raises(
        ValueError,
        match=r"`step_size` must be so small that 86 neurons do not oscillate, eta \(1 \+ g'\) at most 1\.9, but is 1\.69, with 3\.45",
    ):
        claim.with_parameters(step_size=1.69, scale=0.2137, dim=11, alpha=1.962, mode="coordinates", widths=(86, 840), wider=16)
    assert claim.measure({"N = 128": np.ones(9) * 8**0.5, "N = 1024": np.ones(9)}, claim.parameters)["slope"].bias < 0.01
