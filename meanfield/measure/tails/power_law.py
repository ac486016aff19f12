"""Power law by maximum likelihood above the threshold at which it fits best."""

import numpy as np

from meanfield.measure.tails import fit as _fit
from meanfield.measure.tails.fit import TailFit, TailStatus
from meanfield.measure.tails.hill import hill_interval

RATIO = 0.9  # of neighbouring candidates for the number of values above the threshold


def power_law(x, tail: str = "both", least: int = 10) -> TailFit:
    """Maximum likelihood above the threshold that minimises the Kolmogorov-Smirnov distance to a power law.

    For each candidate k: alpha_k is Hill's, `D_k = max_{i<=k} |i/k - (x_(i) / x_(k+1))^(-alpha_k)|`; the k of the least D_k.

    Args:
        x: samples, (..., n), n >= 50.
        tail: "both" (of |x|), "upper" or "lower".
        least: smallest k tried.

    Returns:
        `TailFit` with the chosen k and threshold. Standard error and interval are Hill's at this k, as if it had been chosen
        beforehand: they leave out the choice and any bias. The index is not bounded. The status is DATA_END where every value
        there is was used.

    Raises:
        ValueError: fewer than 50 values, equal values, NaN or infinite entries, fewer than `least` + 1 positive values.

    Source: Clauset, Shalizi, Newman (2009), sections 3.1 and 3.3. They try every value as a threshold, which costs n^2; the
        candidates here fall geometrically (k, 0.9 k, 0.81 k ...), so that all distances together, each exact, cost 10 n.

    Examples:
        >>> x = np.random.default_rng(0).pareto(1.5, 20_000) + 1
        >>> low, high = power_law(x).interval
        >>> bool(low < 1.5 < high)
        True
    """
    x = _fit.sample(x, tail)
    xp, n = _fit.namespace(x), x.shape[-1]
    least = _fit.checked_k(least, n, least)
    top = _fit.largest(x, n) if xp is not np else np.sort(x, axis=-1)[..., ::-1]
    usable = n if xp is not np else int(np.min(np.sum(top > 0, axis=-1)))  # a logarithm of 0 serves no candidate
    if xp is np:
        _fit.largest(x, least + 1)  # refuses fewer positive values
    logs = xp.log(top[..., :usable])
    sums = xp.cumsum(logs, axis=-1)
    sizes, k = [], usable - 1
    while k >= least:
        sizes.append(k)
        k = min(k - 1, int(RATIO * k))
    alphas, distances = [], []
    for k in sizes:
        mean = sums[..., k - 1] / k - logs[..., k]
        alpha = 1 / xp.where(mean > 0, mean, np.inf)
        survival = xp.exp(-alpha[..., None] * (logs[..., :k] - logs[..., k, None]))
        rank = (np.arange(k + 1) / k).astype(x.dtype)
        gap = xp.maximum(xp.max(rank[1:] - survival, axis=-1), xp.max(survival - rank[:-1], axis=-1))
        alphas.append(alpha)
        distances.append(gap)
    best = xp.argmin(xp.stack(distances, axis=-1), axis=-1)[..., None]
    chosen = xp.asarray(np.array(sizes))[best[..., 0]]
    alpha = xp.take_along_axis(xp.stack(alphas, axis=-1), best, axis=-1)[..., 0]
    threshold = xp.take_along_axis(top, chosen[..., None], axis=-1)[..., 0]
    ends = xp.stack([xp.ones(()) * hill_interval(np.ones(()), k) for k in sizes])[best[..., 0]].astype(x.dtype)
    status = xp.where(chosen >= n - 1, TailStatus.DATA_END.code, TailStatus.OK.code)
    status = xp.where(alpha > 0, status, TailStatus.TIED.code)
    return TailFit(
        alpha, alpha / xp.sqrt(chosen.astype(x.dtype)), alpha[..., None] * ends, threshold, chosen, n, "power law", status
    )
