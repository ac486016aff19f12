"""The index at half the accuracy."""

import numpy as np

from sims import relu_networks


def test_index_at_half_accuracy():
    """Between two step sizes, on the logarithmic scale; none where the accuracy does not fall through 1/2."""
    accuracy = np.array([[1.0, 0.9, 0.4], [0.75, 0.8, 0.3], [0.25, 0.7, 0.2]])
    index = [[8.0, 8.0, 8.0], [4.0, 4.0, 4.0], [1.0, 1.0, 1.0]]
    found = relu_networks._at_half(accuracy, index)
    np.testing.assert_allclose(found[0], 2.0)
    assert np.isnan(found[1:]).all()
