"""How far a count is from what is expected, in standard deviations."""

import numpy as np


def z_scores(count, n, p):
    return (np.asarray(count) - n * p) / np.sqrt(n * p * (1 - p))
