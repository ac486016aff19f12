"""The recommended tail index: an average over models of the log-spacings, with a threshold that the data choose.

The models are those of `spacings`: the mean log-spacing tends to 1 / alpha like v^rho, with rates rho from 0.2 to 1 and bends of
every size. What the data cannot tell apart stays in the average, and so in the interval.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
import scipy
from jax.scipy import special as jax_special

from meanfield import _check, _estimate
from meanfield.measure._arrays import Array, Bool, Float, Int
from meanfield.measure.tails import dependence
from meanfield.measure.tails import fit as _fit
from meanfield.measure.tails import spacings as _spacings
from meanfield.measure.tails.fit import TailFit, TailStatus
from meanfield.measure.tails.stable import CONTRADICTION, characteristic

POWER = 2 / 3  # of v in the first term of `hill_reduced`: between those of slow (1/2) and fast (1, 4/3, 2) second-order terms
FINE = 25  # bins of `hill_reduced` for every factor e
LEVEL = 0.95
SURE, LIKELY = 29.9, 24.3  # chi2_7 beyond which a threshold is refused: p = 1e-4 at once, 1e-3 twice in a row
SAFETY = 1  # octaves by which k stays below the largest one that is not refused
MIXED = (0.5, 0.3, 0.2)  # weights of the chosen k, its half and its quarter: where they disagree a test was too weak
NO_BETTER = -1.0  # log Bayes factor of a tail without an index from which the power law counts as not begun
WHOLE = 21.1  # chi2_3 of p = 1e-4, for a whole sample as a Pareto law: rare enough that refusals do not add to the error
AGREE = 3.0  # standard errors of the tail's index within which a law of the whole sample must agree with it
SCREEN = 10_000  # values that are tried first, of more than twice as many
STABLE_FROM = 50_000  # values from which the test of the stable law has power against neighbours: see `tail_index`
TIES = 0.01  # share of equal neighbours from which they are spread
ATOM = 5  # equal largest values, of a sample that was cut off: chance makes no five in one place of a power law
FILL = 32  # steps for every factor 2 to which a number of positive values below n is rounded down: few different designs
LARGEST = 100.0  # index up to which a tail counts as one of a power law: a bounded law looks like a larger one near its end
LEAST = 150  # independent values' worth of a dependent sample that has an index
BATCH = 500_000  # values fitted at a time by a thread


def hill_reduced(x, k: int | None = None, tail: str = "both") -> TailFit:
    """Hill's estimator without its second-order bias: the mean log-spacing extrapolated to the end of the tail.

    Maximum likelihood of `i log(x_(i) / x_(i+1)) ~ Exponential(mean exp(a + c_1 v^(2/3) + c_2 v^(4/3)))`, v = i / k, i <= k;
    `alpha = exp(-a)`.

    Args:
        x: samples, (..., n), n >= 50.
        k: number of upper order statistics, 30 <= k < n; by default 10 % of the sample, at least 30. Larger than for Hill's
            estimator: the bias is of third order, the standard error 4.4 alpha / sqrt(k).
        tail: "both" (of |x|), "upper" or "lower".

    Returns:
        `TailFit`; the interval is symmetric in log alpha. It holds the sampling error and a bend like v^(2/3) or faster, not a
        slower one; `tail_index` does.

    Raises:
        ValueError: fewer than 50 values, equal values, NaN or infinite entries, k out of range, fewer than k + 1 positive values.

    Source: Beirlant, Dierckx, Goegebeur, Matthys (1999), Feuerverger and Hall (1999), with two terms of fixed powers instead of
        one of an estimated power.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> low, high = hill_reduced(rng.standard_t(2, 100_000), k=10_000).interval
        >>> bool(low < 2 < high)
        True
    """
    x = _fit.sample(x, tail)
    xp, n = _fit.namespace(x), x.shape[-1]
    k = _fit.checked_k(k, n, max(_spacings.LEAST_K, n // 10), at_least=_spacings.LEAST_K)
    top = _fit.largest(x, k + 1)
    design = _spacings.design(k, bins=FINE)
    models = design.plain(POWER, 3)
    with jax.numpy_rank_promotion("allow"):
        sums = _spacings.binned(xp, top, design.edges).reshape((-1, len(design.counts)))
        a, _, _ = _spacings.modes(xp, sums, design.counts, models, steps=60)
    tied = xp.sum(sums, axis=-1) == 0
    alpha = xp.where(tied, xp.inf, xp.exp(-a[:, 0])).reshape(x.shape[:-1])
    half = scipy.special.ndtri((1 + LEVEL) / 2) * float(models.error[0])
    interval = alpha[..., None] * np.exp(np.array([-half, half])).astype(x.dtype)
    status = xp.where(xp.isfinite(alpha), TailStatus.OK.code, TailStatus.TIED.code)
    return TailFit(alpha, alpha * float(models.error[0]), interval, top[..., -1], k, n, "bias-reduced Hill", status)


def tail_index(x, tail: str = "both") -> TailFit:
    """Tail index with an interval for laws of every second-order exponent from 0.25 on: the recommended estimator.

    For `P(X > x) = C x^(-alpha) (1 + D x^(-alpha rho) + ...)` the mean log-spacing at the share v of the sample is `(1 / alpha)
    exp(c_1 v^rho + c_2 v^(2 rho) + ...)`. Models with four terms, rates rho in 0.2 ... 1 and normal priors of four scales for the c_j
    are fitted to the k largest values, and averaged with their evidence; alpha is the median, the interval holds 95 %.

    k comes from tests: going up from small k by factors of 2, the first k at which smooth functions are missing from two such models
    (score test with 7 degrees of freedom, p < 1e-4, or p < 1e-3 twice in a row) ends the search, and k is half of the last one that is
    not refused. Half and a quarter of this k enter the average with 30 and 20 % of the weight.

    Four questions go with it, and answers stand in `status`. Is it one tail? `BREAK` where the mean log-spacing falls between
    neighbouring octaves by more than 1.5 times what chance does in 1 of 10 000 samples. Does the sample show a power law? `NOT_BEGUN`
    where a log-normal, stretched exponential or bounded tail, bent by the same terms, has at least 1 / e of the evidence, or the index
    exceeds 100. Is its second order within the class? `SLOW` where a tail bent like 1 / log(1 / v), slower than every power, has as much
    evidence and an index that differs by more than half of the interval's half. Are the values independent in the order given? Sums over
    blocks of what each value contributes to Hill's estimator tell (`DEPENDENT`); their variance, over that of independent values, divides
    the number of values that everything is based on. Where this leaves fewer than 150, or the largest 5 % are fewer than 20 clusters, the
    answer is NaN, with the interval (0, inf). Dependence without an order, as of groups that were shuffled, cannot be seen.

    Then two laws are tried on the whole sample, which know more than the tail. A Pareto law, where no power of v is missing
    among all n - 1 spacings (chi2_3, p > 1e-4), and a symmetric stable law, where `stable_characteristic` does not contradict it
    (p > 1e-4). Where one holds and agrees with the tail within 3 standard errors, alpha is its index, and the status says so; of the
    stable law only for n >= 50 000, from which on its test has power against neighbours. Standard error and interval NEVER assume it:
    the interval is widened to hold the one under that law too; under a stable law that is not contradicted whether it agrees or not,
    because a stable law near 2 shows its tail in the largest few values alone.

    Five equal largest values are an end at which the sample was cut off: the status is `TIED`, alpha infinite, the interval (0, inf).

    Args:
        x: samples, (..., n), n >= 50, in the order in which neighbours may depend. Ties of rounded values are spread over the
            gap that rounding left, where they are more than 1 % of the values.
        tail: "both" (of |x|), "upper" or "lower".

    Returns:
        `TailFit` with the k and threshold of the interval. Coverage by class of laws: benchmarks/results/tails.md. Under `jax.jit`
        ties, zeros and dependence are not looked for (a sample with zeros is `TIED`), and compiling takes half a minute.

    Raises:
        ValueError: fewer than 50 values, equal values, NaN or infinite entries, fewer than 50 positive values.

    Source: exponential spacings with a second-order mean: Beirlant, Dierckx, Goegebeur, Matthys (1999), Feuerverger and Hall (1999);
        averages over models: Hoeting, Madigan, Raftery, Volinsky (1999); the largest k that a test does not refuse: Drees and
        Kaufmann (1998); variances of block sums: Drees (2000); rates, priors, levels and margins are ours.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> fit = tail_index(rng.standard_t(2, 100_000))
        >>> bool(fit.interval[0] < 2 < fit.interval[1]), TailStatus.OK.code == fit.status
        (True, np.True_)
    """
    x = _fit.sample(x, tail)
    xp, n = _fit.namespace(x), x.shape[-1]
    rows = x.reshape((-1, n))
    if xp is not np:
        with jax.numpy_rank_promotion("allow"):
            top = _fit.largest(rows, n)
            fit = _of_rows(xp, rows, top, top[:, 0] == top[:, ATOM - 1], 1.0)
    else:
        size = max(1, BATCH // n)
        with ThreadPoolExecutor(os.cpu_count()) as threads:  # numpy lets go of the interpreter's lock
            fit = _joined(list(threads.map(_of_numpy, [rows[i : i + size] for i in range(0, len(rows), size)])))
    lead = x.shape[:-1]

    def shaped(part: Any) -> Any:
        return xp.asarray(part).reshape((*lead, *part.shape[1:]))[()]

    alpha, error, interval, threshold, k, status, *extremal = (shaped(part) for part in fit)
    return TailFit(alpha, error, interval, threshold, k, n, "tail index", status, *extremal)


def ordered(
    x: Float[np.ndarray, "row n"],
) -> list[tuple[Int[np.ndarray, " _"], Float[np.ndarray, "_ _"], Bool[np.ndarray, " _"]]]:
    """Order statistics of positive values from large to small: places of rows with as many, (row,), these, (row, m), and which are cut off.

    What a row gives depends on this row alone. Ties of rounded values are spread.
    """
    top = np.sort(x, axis=-1)[..., ::-1]
    n = x.shape[-1]
    positive = np.sum(top > 0, axis=-1)  # the logarithm of 0 has no place
    few = f"have at least {_fit.SMALLEST} positive values in every sample"
    fewest = int(np.min(positive))
    _check.require(fewest >= _fit.SMALLEST, "x", few, _check.words(f"a sample with {fewest}"))
    octaves = np.floor(FILL * np.log2(positive / _fit.SMALLEST))
    used = np.where(positive == n, n, np.floor(_fit.SMALLEST * 2 ** (octaves / FILL))).astype(int)
    out = []
    for m in np.unique(used):
        rows = np.flatnonzero(used == m)
        part = np.ascontiguousarray(top[rows, :m])
        cut = part[:, 0] == part[:, ATOM - 1]
        for row in np.flatnonzero(cut | (np.mean(part[:, 1:] == part[:, :-1], axis=-1) > TIES)):
            part[row] = _spread(part[row])
        out.append((rows, part, cut))
    return out


def _spread(top: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Equal values spread evenly over half of the gaps to their neighbours, as rounding had found them."""
    values, counts = np.unique(top, return_counts=True)
    if len(values) == 1:
        return top
    edges = np.concatenate([values[:1], (values[1:] + values[:-1]) / 2, values[-1:]])
    edges[0], edges[-1] = max(1.5 * values[0] - 0.5 * values[1], values[0] / 2), 1.5 * values[-1] - 0.5 * values[-2]
    place = np.arange(len(top)) - np.repeat(np.cumsum(counts) - counts, counts)
    many, low, high = np.repeat(counts, counts), np.repeat(edges[:-1], counts), np.repeat(edges[1:], counts)
    spread = np.where(many > 1, low + (place + 0.5) / many * (high - low), np.repeat(values, counts))
    return spread[::-1]


def _of_numpy(x: Float[np.ndarray, "row n"]) -> tuple:
    """Fields of the fits of concrete samples, (row, n): one design for every number of values and every inflation that occurs."""
    parts = []
    for rows, top, cut in ordered(x):
        inflation, extremal = dependence.of(x[rows], top)
        for value in np.unique(inflation):
            at = inflation == value
            parts.append((rows[at], (*_of_rows(np, x[rows[at]], top[at], cut[at], float(value)), extremal[at])))
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    return tuple(part[order] for part in _joined([fields for _, fields in parts]))


def _joined(parts: list[tuple]) -> tuple:
    return tuple(np.concatenate(fields) for fields in zip(*parts, strict=True))


def _of_rows(
    xp: Any, x: Float[Array, "row n"], top: Float[Array, "row m"], cut: Bool[Array, " row"], inflation: float
) -> tuple[
    Float[Array, " row"],
    Float[Array, " row"],
    Float[Array, "row 2"],
    Float[Array, " row"],
    Int[Array, " row"],
    Int[Array, " row"],
]:
    """Alpha, standard error, interval, threshold, k, status of samples with one inflation."""
    n, m = x.shape[-1], top.shape[-1] - 1
    design = _spacings.design(m, inflation)
    sums = _spacings.binned(xp, top, design.edges) / inflation
    a, error, weight, chosen, power = mixture(xp, sums, design)
    low, log_gamma, high = (_quantile(xp, a, error, weight, q) for q in ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2))
    gap, slow = _rivals(xp, sums, design, chosen, power)
    share = xp.exp(weight)
    center = xp.sum(share * a, axis=-1, keepdims=True)
    spread = xp.sqrt(xp.sum(share * (error**2 + (a - center) ** 2), axis=-1))
    alpha, interval = xp.exp(-log_gamma), xp.exp(-xp.stack([high, low], axis=-1))
    k = xp.asarray(design.sizes)[chosen]
    threshold = xp.take_along_axis(top, k[..., None], axis=-1)[..., 0]
    status = xp.where(abs(slow - log_gamma) > (high - low) / 4, TailStatus.SLOW.code, TailStatus.OK.code)
    status = xp.where((gap > NO_BETTER) | (alpha > LARGEST), TailStatus.NOT_BEGUN.code, status)
    broken = _spacings.above_break(xp, sums, design) > 0
    law, law_error, holds = _stable(xp, abs(x))
    law_error = law_error * inflation**0.5
    near = (abs(xp.log(law / alpha)) < AGREE * spread) & ~broken
    interval = _widened(xp, interval, law, law_error, holds)
    if n >= STABLE_FROM:
        alpha, status = xp.where(holds & near, law, alpha), xp.where(holds & near, TailStatus.STABLE.code, status)
    if m + 1 == n:
        total = xp.sum(sums, axis=-1)
        models = design.plain(POWER, 4)
        counts = design.counts.astype(sums.dtype)
        residual = sums * (xp.sum(counts) / total)[:, None] - counts
        missing = xp.sum((residual @ models.basis[0, 1:].astype(sums.dtype).T) ** 2, axis=-1)
        law = xp.sum(counts) / total
        holds = (missing < WHOLE) & (abs(xp.log(law / alpha)) < AGREE * spread) & ~broken
        interval = _widened(xp, interval, law, law / np.sqrt(np.sum(design.counts)), holds)
        alpha, status = xp.where(holds, law, alpha), xp.where(holds, TailStatus.PARETO.code, status)
    status = xp.where(broken & (status != TailStatus.NOT_BEGUN.code), TailStatus.BREAK.code, status)
    if inflation > 1:
        status = np.full(len(x), TailStatus.DEPENDENT.code)
        if n < LEAST * inflation:
            alpha, spread = np.full(len(x), np.nan), np.full(len(x), np.nan)
            interval = np.broadcast_to([0.0, np.inf], (len(x), 2))
    tied = cut | (~xp.isfinite(spread) & (status != TailStatus.DEPENDENT.code))
    alpha, spread = xp.where(tied, xp.inf, alpha), xp.where(tied, xp.nan, spread)
    interval = xp.where(tied[:, None], xp.asarray([0.0, np.inf], dtype=interval.dtype), interval)
    return alpha, alpha * spread, interval, threshold, k, xp.where(tied, TailStatus.TIED.code, status)


def _stable(xp: Any, x: Float[Array, "row n"]) -> tuple[Float[Array, " row"], Float[Array, " row"], Bool[Array, " row"]]:
    """Index and standard error of a symmetric stable law, and where the whole sample does not contradict it."""
    if xp is not np:
        law, error, p = characteristic(x)
        return law, error, p > CONTRADICTION / 10
    law, error, p = np.full(len(x), np.inf), np.zeros(len(x)), np.zeros(len(x))
    left = np.ones(len(x), bool)
    if x.shape[-1] > 2 * SCREEN:  # most laws are refused by some of their values
        left = characteristic(x[:, :: x.shape[-1] // SCREEN])[2] > CONTRADICTION / 1e5
    if left.any():
        law[left], error[left], p[left] = characteristic(x[left])
    return law, error, p > CONTRADICTION / 10


def _widened(
    xp: Any, interval: Float[Array, "row 2"], alpha: Float[Array, " row"], error: Float[Array, " row"], holds: Bool[Array, " row"]
) -> Float[Array, "row 2"]:
    """The interval, and where a law of the whole sample holds also the one under that law."""
    half = _estimate.NORMAL * error
    both = xp.stack([xp.minimum(interval[:, 0], alpha - half), xp.maximum(interval[:, 1], alpha + half)], axis=-1)
    return xp.where(holds[:, None], both, interval)


def mixture(
    xp: Any, sums: Float[Array, "sample bin"], design: _spacings.Design
) -> tuple[
    Float[Array, "sample component"],
    Float[Array, "sample component"],
    Float[Array, "sample component"],
    Int[Array, " sample"],
    Float[Array, " sample"],
]:
    """The average over models.

    Returns:
        Modes of log gamma(0), their standard deviations and log weights, (sample, component), the place of the chosen k, (sample,),
        and there the mean log evidence of a power law.
    """
    places = range(len(design.sizes))
    chosen = choice(xp, xp.stack([missing(xp, sums, design, j) for j in places], axis=-1))
    modes, evidences = [], []
    for j in places:
        models = design.power_laws(j)
        used = slice(None) if xp is not np else np.flatnonzero((chosen >= j) & (chosen < j + len(MIXED)))
        a, evidence, _ = _spacings.modes(xp, sums[used, : design.inside[j]], design.counts[: design.inside[j]], models)
        if xp is np:  # the k of the other samples do not enter their averages
            every = np.zeros((2, len(sums), len(models.kinds)), sums.dtype)
            every[:, used] = a, evidence
            a, evidence = every
        modes.append(a)
        evidences.append(evidence)
    modes, evidences = xp.stack(modes), xp.stack(evidences)
    errors = xp.asarray(np.stack([design.power_laws(j).error for j in places]).astype(sums.dtype))
    parts = []
    for shift, mixed in enumerate(MIXED):
        at = xp.maximum(chosen - shift, 0)
        evidence = xp.take_along_axis(evidences, at[None, :, None], axis=0)[0]
        largest = xp.max(evidence, axis=-1, keepdims=True)
        weight = evidence - largest - xp.log(xp.sum(xp.exp(evidence - largest), axis=-1, keepdims=True)) + np.log(mixed)
        parts.append((xp.take_along_axis(modes, at[None, :, None], axis=0)[0], errors[at], weight))
    a, error, weight = (xp.concatenate(z, axis=-1) for z in zip(*parts, strict=True))
    at_chosen = xp.take_along_axis(evidences, chosen[None, :, None], axis=0)[0]
    return a, error, weight, chosen, _spacings.log_mean(xp, at_chosen, np.tile(_spacings.WEIGHTS, len(_spacings.RATES)))


def missing(xp: Any, sums: Float[Array, "sample bin"], design: _spacings.Design, j: int) -> Float[Array, " sample"]:
    """Score statistic of smooth functions that the better of two power laws leaves out at the j-th k, (sample,)."""
    models, directions = design.directions(j)
    _, _, residual = _spacings.modes(xp, sums[:, : design.inside[j]], design.counts[: design.inside[j]], models)
    scores = residual @ np.swapaxes(directions, -1, -2).astype(sums.dtype)
    return xp.min(xp.sum(scores**2, axis=-1), axis=0)


def choice(xp: Any, statistic: Float[Array, "sample k"], safety: int = SAFETY) -> Int[Array, " sample"]:
    """Place of the k to be used among those tried, from small to large, from the score statistics (sample, k)."""
    likely = statistic > LIKELY
    again = xp.concatenate([likely[:, 1:], xp.ones_like(likely[:, :1])], axis=-1)  # beyond the largest k nothing contradicts
    refused = (likely & again) | (statistic > SURE)
    first = xp.where(xp.any(refused, axis=-1), xp.argmax(refused, axis=-1), statistic.shape[-1])
    return xp.maximum(first - 1 - safety, 0)


def _rivals(
    xp: Any,
    sums: Float[Array, "sample bin"],
    design: _spacings.Design,
    chosen: Int[Array, " sample"],
    power: Float[Array, " sample"],
) -> tuple[Float[Array, " sample"], Float[Array, " sample"]]:
    """At the chosen k: log Bayes factor of tails without an index, and log gamma(0) of a slow tail (NaN where it is worse)."""

    def at(j: int, part: Any, power: Any) -> Any:
        part, counts = part[:, : design.inside[j]], design.counts[: design.inside[j]]
        models = design.others(j)
        a, evidence, _ = _spacings.modes(xp, part, counts, models)
        is_slow = models.kinds == "slow"
        slow = evidence[:, is_slow]
        weights = xp.exp(slow - xp.max(slow, axis=-1, keepdims=True))
        center = xp.sum(weights * a[:, is_slow], axis=-1) / xp.sum(weights, axis=-1)
        slow = _spacings.log_mean(xp, slow, np.array(_spacings.WEIGHTS))
        none = [_spacings.log_mean(xp, evidence[:, models.kinds == kind]) for kind in ("log-normal", "light")]
        return xp.stack([xp.maximum(*none) - power, xp.where(slow > power, center, xp.nan)], axis=-1)

    if xp is np:
        out = np.zeros((len(sums), 2))
        for j in np.unique(chosen):
            out[chosen == j] = at(j, sums[chosen == j], power[chosen == j])
        return out[:, 0], out[:, 1]
    every = xp.stack([at(j, sums, power) for j in range(len(design.sizes))])
    found = xp.take_along_axis(every, chosen[None, :, None], axis=0)[0]
    return found[:, 0], found[:, 1]


def _quantile(
    xp: Any,
    a: Float[Array, "sample component"],
    error: Float[Array, "sample component"],
    weight: Float[Array, "sample component"],
    level: float,
) -> Float[Array, " sample"]:
    """Of a mixture of normal laws with log weights, by bisection."""
    cdf = scipy.special.ndtr if xp is np else jax_special.ndtr
    share = xp.exp(weight)
    low, high = xp.min(a - 8 * error, axis=-1), xp.max(a + 8 * error, axis=-1)
    for _ in range(40):
        middle = (low + high) / 2
        below = xp.sum(share * cdf((middle[:, None] - a) / error), axis=-1) < level
        low, high = xp.where(below, middle, low), xp.where(below, high, middle)
    return (low + high) / 2
