"""Dependence between neighbours of a sample, as the estimators of a tail feel it.

The contribution of a value to Hill's estimator over the threshold u, up to the factor 1 / k, is `h = log(x / u) - gamma` above u and 0
below. For independent values the variance of a sum of h is the sum of h^2; for dependent ones the sums over blocks of the length of
the dependence show how much larger it is: the inflation.
"""

import numpy as np

from meanfield.measure._arrays import Float, Int

SHARES = (0.05, 0.01)  # of the sample above the thresholds
FEWEST = 30  # values above a threshold
BLOCKS = 20  # blocks at least
PAIRS = 5  # of exceedances that share a block by chance, at least
CLUSTERS = 20  # of exceedances of the first threshold, at least: fewer do not show how much their sums vary
SORTED = 2  # turns at most
SURE = 4.0  # standard errors by which a variance must exceed that of independent values


def of(
    x: Float[np.ndarray, "row n"], top: Float[np.ndarray, "row order"]
) -> tuple[Float[np.ndarray, " row"], Float[np.ndarray, " row"]]:
    """Inflation of variances, 1 or a power of sqrt(2), and extremal index, both (row,).

    The inflation is the largest ratio of variances, over block lengths 2, 4, 8 ... and two thresholds, if one of them exceeds 1 by
    four standard errors. It is n where less than 20 clusters exceed the larger threshold: variances seen in so few are too small. The
    extremal index is that of the intervals between exceedances (Ferro and Segers 2003, equation 12), 1 where
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
        row, place = np.nonzero(x > top[:, k, None])
        excess = np.log(x[row, place] / top[row, k])
        h = excess - (np.bincount(row, excess, len(x)) / np.maximum(np.bincount(row, minlength=len(x)), 1))[row]
        inflation = np.maximum(inflation, _inflation(row, place, h, x.shape, k))
        if share == SHARES[0]:
            for seen in np.flatnonzero(inflation > 1):
                extremal[seen] = _extremal_index(place[row == seen])
    for row in np.flatnonzero(inflation > 1):
        turns = np.diff(np.sign(np.diff(x[row])))
        if np.count_nonzero(turns) <= SORTED:
            inflation[row] = 1.0
    exceedances = min(max(FEWEST, int(SHARES[0] * n)), top.shape[-1] - 1)
    inflation[(inflation > 1) & (extremal * exceedances < CLUSTERS)] = n
    seen = inflation > 1
    steps = np.ceil(2 * np.log2(inflation))  # few different designs
    return np.where(seen, 2 ** (steps / 2), 1.0), np.where(seen, extremal, 1.0)


def _inflation(
    row: Int[np.ndarray, " value"],
    place: Int[np.ndarray, " value"],
    h: Float[np.ndarray, " value"],
    shape: tuple[int, int],
    k: int,
) -> Float[np.ndarray, " row"]:
    """From the contributions h that are not 0, at (row, place) in order: only they enter the sums."""
    rows, n = shape
    alone = np.maximum(np.bincount(row, h**2, rows), np.finfo(float).tiny)
    largest, seen = np.ones(rows), np.zeros(rows, bool)
    blocks, length = n, 1
    while blocks >= 2 * BLOCKS:
        blocks, length = blocks // 2, 2 * length
        kept = place // 2 < blocks  # the last of an odd number of blocks has no partner
        row, place, h = row[kept], place[kept] // 2, h[kept]
        first = np.flatnonzero(np.concatenate([[True], (np.diff(place) != 0) | (np.diff(row) != 0)])) if len(h) else []
        row, place, h = row[first], place[first], np.add.reduceat(h, first) if len(h) else h
        ratio = np.bincount(row, h**2, rows) / alone
        if k**2 * length >= PAIRS * 2 * n:  # fewer pairs of exceedances a sample share a block by chance: not yet normal
            seen |= ratio - 1 > SURE * np.sqrt(2 * (length - 1) / n)  # products of independent values with mean 0
            largest = np.maximum(largest, ratio)
    return np.where(seen, largest, 1.0)


def _extremal_index(places: Int[np.ndarray, " value"]) -> float:
    times = np.diff(places).astype(float)
    if len(times) < 2:
        return 1.0
    if np.max(times) <= 2:
        value = 2 * np.sum(times) ** 2 / (len(times) * np.sum(times**2))
    else:
        value = 2 * np.sum(times - 1) ** 2 / (len(times) * max(np.sum((times - 1) * (times - 2)), 1.0))
    return float(min(value, 1.0))
