"""The power law above a threshold, against every candidate."""

import numpy as np

from meanfield.measure import tails


def test_power_law_threshold_minimises_the_distance():
    """Against every candidate by brute force; a body below the threshold is found to within a tenth of k."""
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.uniform(0, 1, 3000), rng.pareto(2.2, 2000) + 1])
    fit = tails.power_law(x)
    s = np.sort(x)[::-1]

    def distance(k):
        alpha = 1 / np.mean(np.log(s[:k] / s[k]))
        model, i = (s[:k] / s[k]) ** -alpha, np.arange(1, k + 1)
        return max(np.max(i / k - model), np.max(model - (i - 1) / k))

    everything = min(distance(k) for k in range(10, 4999))
    assert distance(fit.k) <= 1.15 * everything and abs(fit.k - 2000) < 400
    assert fit.threshold == s[fit.k] and fit.interval[0] < 2.2 < fit.interval[1]
