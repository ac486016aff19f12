"""The radial flow: risks follow it."""

import numpy as np
import pytest

pytestmark = pytest.mark.long  # the quick run takes more than 8 seconds


@pytest.mark.slow
def test_radial_pde(quick):
    """In 10 dimensions the risk is that of infinite dimension up to a tenth; it falls along the flow."""
    summary, _ = quick("radial_pde")
    row = summary["rows"][0]
    risk = np.mean(row["risk"], axis=0)
    np.testing.assert_allclose(risk, row["risk_pde"], rtol=0.12)
    assert (np.diff(risk) < 0).all() and abs(summary["threshold"] - 0.474219) < 1e-6
