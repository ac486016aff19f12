"""Claims on the linear recursion: moments that no sample shows."""

import pytest

from meanfield import verify
from meanfield.verify import Verdict


@pytest.mark.slow
def test_a_moment_that_no_sample_shows_is_not_refuted():
    """At step size 0.826 the second moment after 9 steps is 20, and 30 000 pairs have a mean of 2.2: most of it lies beyond them."""
    claim = verify.CLAIMS["contraction"].with_parameters(step_size=0.826, batch_size=1, dim=1, steps=9)
    evidence = claim.test(1466448043, "quick")
    assert evidence.verdict is Verdict.INCONCLUSIVE and "what 30000 pairs of chains do not see of it" in str(evidence.reasons)
