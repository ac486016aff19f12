"""Dependence between neighbours of a sample, as the estimators of a tail feel it.

The contribution of a value to Hill's estimator over the threshold u, up to the factor 1 / k, is `h = log(x / u) - gamma` above u and 0
below. For independent values the variance of a sum of h is the sum of h^2; for dependent ones the sums over blocks of the length of
the dependence show how much larger it is: the inflation.
"""

import numpy as np

SHARES = (0.05, 0.01)  # of the sample above the thresholds
FEWEST = 30  # values above a threshold
BLOCKS = 20  # blocks at least
PAIRS = 5  # of exceedances that share a block by chance, at least
SORTED = 2  # turns at most
SURE = 4.0  # standard errors by which a variance must exceed that of independent values


def of(x: np.ndarray, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inflation of variances, 1 or a power of sqrt(2), and extremal index, both (row,).

    The inflation is the largest ratio of variances, over block lengths 2, 4, 8 ... and two thresholds, if one of them exceeds 1 by
    four standard errors. The extremal index is that of the intervals between exceedances (Ferro and Segers 2003, equation 12), 1 where
    nothing was seen.

    A sorted sample (or the absolute values of one) has no order left, and counts as independent.

    Args:
        x: samples in their order, (row, n).
        top: their order statistics from large to small, (row, at most n).
    """
    n = x.shape[-1]
    inflation, extremal = np.ones(len(x)), np.ones(len(x))
    for share in SHARES:
        k = min(max(FEWEST, int(share * n)), top.shape[-1] - 1)
        threshold = top[:, k, None]
        above = x > threshold
        excess = np.zeros_like(x)
        np.log(x / threshold, out=excess, where=above)
        gamma = np.sum(excess, axis=-1, keepdims=True) / np.maximum(np.sum(above, axis=-1, keepdims=True), 1)
        h = np.where(above, excess - gamma, 0.0)
        inflation = np.maximum(inflation, _inflation(h, k))
        if share == SHARES[0]:
            for row in np.flatnonzero(inflation > 1):
                extremal[row] = _extremal_index(np.flatnonzero(above[row]))
    for row in np.flatnonzero(inflation > 1):
        turns = np.diff(np.sign(np.diff(x[row])))
        if np.count_nonzero(turns) <= SORTED:
            inflation[row] = 1.0
    seen = inflation > 1
    steps = np.ceil(2 * np.log2(inflation))  # few different designs
    return np.where(seen, 2 ** (steps / 2), 1.0), np.where(seen, extremal, 1.0)


def _inflation(h: np.ndarray, k: int) -> np.ndarray:
    n, length = h.shape[-1], 1
    alone = np.maximum(np.sum(h**2, axis=-1), np.finfo(float).tiny)
    largest, seen = np.ones(len(h)), np.zeros(len(h), bool)
    while h.shape[-1] >= 2 * BLOCKS:
        even = h.shape[-1] // 2 * 2
        h, length = h[:, 0:even:2] + h[:, 1:even:2], 2 * length
        ratio = np.sum(h**2, axis=-1) / alone
        if k**2 * length >= PAIRS * 2 * n:  # fewer pairs of exceedances a sample share a block by chance: not yet normal
            seen |= ratio - 1 > SURE * np.sqrt(2 * (length - 1) / n)  # products of independent values with mean 0
            largest = np.maximum(largest, ratio)
    return np.where(seen, largest, 1.0)


def _extremal_index(places: np.ndarray) -> float:
    times = np.diff(places).astype(float)
    if len(times) < 2:
        return 1.0
    if np.max(times) <= 2:
        value = 2 * np.sum(times) ** 2 / (len(times) * np.sum(times**2))
    else:
        value = 2 * np.sum(times - 1) ** 2 / (len(times) * max(np.sum((times - 1) * (times - 2)), 1.0))
    return float(min(value, 1.0))
