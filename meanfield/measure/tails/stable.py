"""Estimators that assume a stable law. Off that home ground they are tight and wrong: see `tail_index`, which does not assume it.

A Student law with 3 degrees of freedom has index 3; the block estimator says 1.73 +- 0.02, the quantile ratio 1.5, the
characteristic function 1.6. Only the last one can tell: its status is CONTRADICTED where the sample is not stable.
"""

from typing import Any

import numpy as np
import scipy

from meanfield import _check, _estimate
from meanfield.measure._arrays import Array, Float
from meanfield.measure.tails import _quantile_table
from meanfield.measure.tails import fit as _fit
from meanfield.measure.tails.fit import TailFit, TailStatus

BLOCKS = (2, 5, 10, 20, 50, 100, 500, 1000)
TIMES = np.array([0.05, 0.12, 0.25, 0.45, 0.7, 1.0, 1.4, 1.9, 2.6, 3.6])  # of the characteristic function, in units of 1 / scale
CONTRADICTION = 1e-3  # level of the test of the stable law


def block_log_moment(x, blocks: tuple[int, ...] | None = None, vectors: bool = False, clip: bool = False) -> TailFit:
    """Index of a strictly stable law from logarithms of block sums: the estimator of the founding paper.

    `1/alpha = (mean log|Y| - mean log|X|) / log K`, Y_i the sum of K consecutive X; the median over block lengths K.

    Args:
        x: samples, (..., n), n >= 50, in an order without dependence: shuffle neurons. With `vectors` (..., n, d), and |.| is
            the Euclidean norm. Centre them first if the law is not centred.
        blocks: block lengths K, each 2 <= K <= n / 2; values beyond the last whole block are left out. By default those of the
            founding paper's code: 2, 5, 10, 20, 50, 100, 500, 1000 up to n / 2, each lowered to a divisor of n, and the largest
            divisor of n up to sqrt(n).
        vectors: whether the last axis holds the components of vectors.
        clip: whether to report at most 2, as the founding paper's code does. The status is then BOUND.

    Returns:
        `TailFit`. Standard error and interval are those of the block length whose estimate is the median, from the spread of
        `log|Y_i| - mean log|X|` over the blocks. They hold for strictly stable laws only: nothing in them sees another law.

    Raises:
        ValueError: fewer than 50 values, equal values, NaN or infinite entries, a block length out of range.

    Source: Mohammadi, Mohammadpour, Ogata (2015), Corollaries 2.2 and 2.4; Barsbey et al. (2021). The code adds 2e-16 to every
        norm; we put the smallest norm in the place of zeros, so that the scale does not matter.

    Examples:
        >>> x = np.random.default_rng(0).standard_cauchy(100_000)
        >>> low, high = block_log_moment(x).interval
        >>> bool(low < 1 < high)
        True
    """
    for name, value in (("vectors", vectors), ("clip", clip)):
        _check.boolean(name, value)
    x = _fit.sample(x, "upper", vectors)
    xp = _fit.namespace(x)
    x = x if vectors else x[..., None]
    n = x.shape[-2]
    lengths = _default_blocks(n) if blocks is None else _check.integers("blocks", blocks, at_least=2)
    must = f"be at most half of the size of a sample, {n // 2}"
    _check.require(len(lengths) > 0 and max(lengths) <= n // 2, "blocks", must, blocks)
    size = _norm(xp, x)
    floor = xp.min(xp.where(size > 0, size, xp.asarray(np.inf, dtype=size.dtype)), axis=-1)[..., None]
    logs = xp.log(xp.maximum(size, floor))
    inverse, errors = [], []
    for length in lengths:
        count = n // length
        sums = xp.sum(x[..., : count * length, :].reshape((*x.shape[:-2], count, length, x.shape[-1])), axis=-2)
        inside = xp.mean(logs[..., : count * length].reshape((*logs.shape[:-1], count, length)), axis=-1)
        gain = (xp.log(xp.maximum(_norm(xp, sums), floor)) - inside) / np.log(length)
        inverse.append(xp.mean(gain, axis=-1))
        errors.append(xp.std(gain, axis=-1) / np.sqrt(count - 1))
    gamma, error = xp.stack(inverse, axis=-1), xp.stack(errors, axis=-1)
    middle = _median_gamma(xp, gamma)
    nearest = xp.argmin(abs(gamma - middle[..., None]), axis=-1)
    error = xp.take_along_axis(error, nearest[..., None], axis=-1)[..., 0]
    fit = _fit.from_gamma(middle, error, xp.zeros_like(middle), n, n, "block log-moment")
    if not clip:
        return fit
    status = xp.where(fit.alpha > 2, TailStatus.BOUND.code, fit.status)
    return TailFit(
        xp.minimum(fit.alpha, 2.0), fit.standard_error, fit.interval, fit.threshold, fit.k, n, "block log-moment, clipped", status
    )


def stable_quantile(x) -> TailFit:
    """Index of a stable law, symmetric or not, from a ratio of quantiles: McCulloch's estimator.

    `nu = (q95 - q05) / (q75 - q25)` and the skewness `(q95 + q05 - 2 q50) / (q95 - q05)` determine alpha.

    Args:
        x: samples with their signs, (..., n), n >= 50. Of absolute values alone it makes no sense.

    Returns:
        `TailFit`; k is n, the threshold 0. The standard error is that of a symmetric stable law with the estimated index. The
        status is BOUND where the ratio lies outside those of stable laws with alpha in [0.5, 2].

    Raises:
        ValueError: fewer than 50 values, equal values, NaN or infinite entries.

    Source: McCulloch (1986). His tables have three digits; ours are computed anew by inversion of the characteristic function.

    Examples:
        >>> x = np.random.default_rng(0).standard_cauchy(100_000)
        >>> low, high = stable_quantile(x).interval
        >>> bool(low < 1 < high)
        True
    """
    x = _fit.sample(x, "upper")
    xp, n = _fit.namespace(x), x.shape[-1]
    q05, q25, q50, q75, q95 = xp.moveaxis(_quantiles(xp, x, (0.05, 0.25, 0.5, 0.75, 0.95)), -1, 0)
    tied = ~((q75 > q25) & (q95 > q05))
    log_nu = xp.log(xp.where(tied, 1.0, q95 - q05) / xp.where(tied, 1.0, q75 - q25))
    skew = abs(xp.where(tied, 0.0, (q95 + q05 - 2 * q50) / xp.where(tied, 1.0, q95 - q05)))
    alpha, inside = _quantile_table.index(xp, log_nu, skew)
    spread = xp.interp(alpha, np.asarray(_quantile_table.ALPHAS), np.asarray(_quantile_table.SPREAD))
    error = spread / np.sqrt(n)
    status = xp.where(inside & ~tied, TailStatus.OK.code, TailStatus.BOUND.code)
    half = _estimate.NORMAL * error
    interval = xp.stack([xp.maximum(alpha - half, 0.0), xp.minimum(alpha + half, 2.0)], axis=-1)
    return TailFit(alpha, error, interval, xp.zeros_like(alpha), n, n, "stable quantile", status)


def stable_characteristic(x) -> TailFit:
    """Index of a stable law, symmetric around 0, from the empirical characteristic function, by generalised least squares.

    `E cos(u X) = exp(-|c u|^alpha)` at ten points u; the covariance of the ten means is that of the law itself.

    Args:
        x: samples, (..., n), n >= 50, or their absolute values.

    Returns:
        `TailFit`; k is n, the threshold 0. Within 4 % of the efficiency of maximum likelihood for 1 <= alpha <= 1.95. Eight
        degrees of freedom are left to contradict the law: the status is CONTRADICTED where they do at the level 0.001. A sample
        that does not contradict it need not be stable: a recursion chain of index 1.30 in two dimensions gives 1.21 +- 0.004.

    Raises:
        ValueError: fewer than 50 values, equal values, NaN or infinite entries.

    Source: Press (1972), Koutrouvelis (1980); the choice of points and the weights are ours, after Feuerverger and McDunnough (1981).

    Examples:
        >>> x = np.random.default_rng(0).standard_cauchy(100_000)
        >>> fit = stable_characteristic(x)
        >>> bool(fit.interval[0] < 1 < fit.interval[1])
        True
    """
    x = _fit.sample(x)
    alpha, error, p = characteristic(x)
    xp, n = _fit.namespace(x), x.shape[-1]
    at_end = (alpha <= 0.2) | (alpha >= 2)
    status = xp.where(
        p < CONTRADICTION, TailStatus.CONTRADICTED.code, xp.where(at_end, TailStatus.BOUND.code, TailStatus.OK.code)
    )
    half = _estimate.NORMAL * error
    interval = xp.stack([xp.maximum(alpha - half, 0.0), xp.minimum(alpha + half, 2.0)], axis=-1)
    return TailFit(alpha, error, interval, xp.zeros_like(alpha), n, n, "stable characteristic function", status)


def characteristic(x: Float[Array, "*lead n"]) -> tuple[Float[Array, "*lead"], Float[Array, "*lead"], Float[Array, "*lead"]]:
    """Index, its standard error, and the p-value of the symmetric stable law, from a checked sample of absolute values."""
    xp, n = _fit.namespace(x), x.shape[-1]
    times = TIMES.astype(x.dtype)
    middle = _quantiles(xp, x, (0.5,))[..., 0]
    unit = xp.where(middle > 0, middle, xp.max(x, axis=-1))  # half of the sample may be zeros
    z = x / unit[..., None]
    seen = _mean_cosines(xp, z, times)
    grid = np.linspace(0.25, 1.95, 18)
    alpha, scale = _start(xp, seen, grid, times)
    for _ in range(12):
        step, _, _ = _gauss_newton(xp, seen, alpha, scale, times, n)
        alpha = xp.clip(alpha + xp.clip(step[..., 0], -0.2, 0.2), 0.2, 2.0)
        scale = xp.clip(scale * xp.exp(xp.clip(step[..., 1], -0.5, 0.5)), 1e-2, 1e2)
    _, error, distance = _gauss_newton(xp, seen, alpha, scale, times, n)
    return alpha, error, _chi_square_tail(xp, distance, len(times) // 2 - 1)


def _mean_cosines(xp: Any, z: Float[Array, "*lead n"], times: Float[np.ndarray, " time"]) -> Float[Array, "*lead time"]:
    """Means of cos(t z) over the last axis, (..., time).

    In numpy row by row, which stays in the cache, and of float32 angles that were reduced in float64: four times as fast, right to 1e-7.
    """
    if xp is not np:
        return xp.stack([xp.mean(xp.cos(t * z), axis=-1) for t in times], axis=-1)
    means = np.empty((*z.shape[:-1], len(times)))
    for place in np.ndindex(z.shape[:-1]):
        for j, t in enumerate(times):
            turns = z[place] * (t / (2 * np.pi))
            turns -= np.rint(turns)
            means[(*place, j)] = np.mean(np.cos(np.float32(2 * np.pi) * turns.astype(np.float32)), dtype=np.float64)
    return means


def _start(
    xp: Any, seen: Float[Array, "*lead time"], grid: Float[np.ndarray, " alpha"], times: Float[np.ndarray, " time"]
) -> tuple[Float[Array, "*lead"], Float[Array, "*lead"]]:
    """The alpha of the grid, with scale 1 or what fits at time 0.7, that is nearest in plain least squares."""
    at = 4
    level = -xp.log(xp.clip(seen[..., at], 1e-3, 1 - 1e-6))[..., None]
    scales = level ** (1 / grid).astype(times.dtype) / times[at]
    shape = xp.exp(-((scales[..., None] * times[None]) ** grid[:, None].astype(times.dtype)))
    best = xp.argmin(xp.sum((seen[..., None, :] - shape) ** 2, axis=-1), axis=-1)
    return xp.asarray(grid.astype(times.dtype))[best], xp.take_along_axis(scales, best[..., None], axis=-1)[..., 0]


def _gauss_newton(
    xp: Any,
    seen: Float[Array, "*lead time"],
    alpha: Float[Array, "*lead"],
    scale: Float[Array, "*lead"],
    times: Float[np.ndarray, " time"],
    n: int,
) -> tuple[Float[Array, "*lead 2"], Float[Array, "*lead"], Float[Array, "*lead"]]:
    """Step in (alpha, log scale), standard error of alpha, and squared distance of the fit in units of its covariance."""
    a, t = alpha[..., None], scale[..., None] * times
    level = xp.exp(-(t**a))
    residual = seen - level
    up, down = t[..., :, None] + t[..., None, :], abs(t[..., :, None] - t[..., None, :])
    wide = alpha[..., None, None]
    covariance = (xp.exp(-(up**wide)) + xp.exp(-(down**wide))) / 2 - level[..., :, None] * level[..., None, :]
    covariance = covariance + 1e-7 * np.broadcast_to(np.eye(len(times), dtype=times.dtype), covariance.shape)
    slope = xp.stack([-level * t**a * xp.log(t), -level * a * t**a], axis=-1)
    solved = xp.linalg.solve(covariance, xp.concatenate([slope, residual[..., None]], axis=-1))
    weighted, pull = solved[..., :2], solved[..., 2]
    information = xp.swapaxes(slope, -1, -2) @ weighted
    gradient = (xp.swapaxes(weighted, -1, -2) @ residual[..., None])[..., 0]
    determinant = information[..., 0, 0] * information[..., 1, 1] - information[..., 0, 1] ** 2
    step = xp.stack(
        [
            information[..., 1, 1] * gradient[..., 0] - information[..., 0, 1] * gradient[..., 1],
            information[..., 0, 0] * gradient[..., 1] - information[..., 0, 1] * gradient[..., 0],
        ],
        axis=-1,
    )
    error = xp.sqrt(information[..., 1, 1] / determinant / n)
    return step / determinant[..., None], error, n * xp.sum(residual * pull, axis=-1)


def _chi_square_tail(xp: Any, value: Float[Array, "*lead"], half: int) -> Float[Array, "*lead"]:
    """P(chi2_{2 half} > value), a finite sum."""
    terms = [(value / 2) ** j / scipy.special.factorial(j) for j in range(half)]
    return xp.exp(-value / 2) * sum(terms[1:], terms[0])


def _default_blocks(n: int) -> tuple[int, ...]:
    """Block lengths of the founding paper's code; a length without a divisor of n below it is left out."""

    def divisor(length: int) -> int:
        return next(m for m in range(length, 0, -1) if n % m == 0)

    chosen = {divisor(length) for length in BLOCKS if length <= n / 2} | {divisor(int(np.sqrt(n)))}
    lengths = tuple(sorted(chosen - {1}))
    return lengths or tuple(length for length in BLOCKS if length <= n / 2)


def _median_gamma(xp: Any, gamma: Float[Array, "*lead block"]) -> Float[Array, "*lead"]:
    """1 / median of alpha = 1 / gamma: the middle one of an odd number, the mean alpha of the middle two of an even number."""
    count = gamma.shape[-1]
    ordered = xp.sort(gamma, axis=-1)
    low, high = ordered[..., (count - 1) // 2], ordered[..., count // 2]
    return 2 * low * high / xp.where(low + high == 0, 1.0, low + high) if count % 2 == 0 else low


def _norm(xp: Any, vectors: Float[Array, "*lead d"]) -> Float[Array, "*lead"]:
    largest = xp.max(abs(vectors), axis=-1)
    if vectors.shape[-1] == 1:
        return largest
    unit = xp.where(largest > 0, largest, 1.0)  # squares of what diverges would overflow
    return unit * xp.sqrt(xp.sum((vectors / unit[..., None]) ** 2, axis=-1))


def _quantiles(xp: Any, x: Float[Array, "*lead n"], levels: tuple[float, ...]) -> Float[Array, "*lead level"]:
    """Quantiles at the `levels`, (..., level), between order statistics at n p + 1/2, as McCulloch corrects them."""
    n = x.shape[-1]
    place = np.clip(np.array(levels) * n - 0.5, 0, n - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, n - 1)
    places = tuple(int(i) for i in np.unique(np.concatenate([low, high])))
    ordered = np.partition(x, places, axis=-1) if xp is np else xp.sort(x, axis=-1)
    part = (place - low).astype(x.dtype)
    return (1 - part) * ordered[..., low] + part * ordered[..., high]
