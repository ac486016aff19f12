"""Power law, stable law, log-normal or light tail: a verdict with its evidence, or none."""

import enum
import warnings
from dataclasses import dataclass

import numpy as np
from scipy import special

from meanfield import _check
from meanfield.measure.tails import fit as _fit
from meanfield.measure.tails import index as _index
from meanfield.measure.tails.fit import TailFit, TailStatus

SCALES = (0.5, 0.25, 0.1)  # shares of the sample on which families compete, the first that some family fits decides
DECISIVE = 4.0  # log-likelihood ratio
CHANGED = 4.0  # standard errors
BLOCKS = 16  # into which a sample is cut for the growth of its moment ratio
_GRID = np.linspace(-12.0, 0.0, 49)  # log of theta in units of its largest value


class StationarityWarning(UserWarning):
    """The law still moved between the two times given: an index measured on it is not that of a stationary law."""


class Family(enum.Enum):
    """A family of tails; the value is a sentence for the user."""

    POWER = "A power law: P(|X| > x) ~ C x^(-alpha)."
    STABLE = "A power law, and the sample is compatible with a symmetric stable law, alpha < 2."
    LOGNORMAL = "A log-normal tail: every moment is finite, an estimated index means nothing and falls with the threshold."
    LIGHT = "A stretched exponential, exponential or lighter tail: every moment is finite, an estimated index means nothing."
    UNDECIDED = "The sample does not tell; more values would."


@dataclass(frozen=True)
class TailFamily:
    """A verdict on the family of a tail, with its evidence; arrays have the leading axes of the samples.

    Args:
        family: `Family`, or an array of them.
        log_likelihood: of (power law, log-normal, stretched exponential) for the largest 50, 25 and 10 % of the sample, less 1
            for the additional parameter of the power law, (..., 3, 3). Only differences in the last axis mean something.
        fits: whether the best of them fits at that scale, (..., 3).
        index_slope: d log(Hill's alpha) / d log k between 10 and 0.5 % of the sample, and its standard error, (..., 2): 0 for
            a power law, about -1 / log(n / k) for light tails, half of it for log-normal ones.
        moment_growth: exponent with which the moment ratio E x^4 / (E x^2)^2 of a sample grows with its size: 0 where the fourth
            moment is finite, up to 1.
        fit: the `tail_index`. It is an index only where the family says so.
        moved: by how many standard errors log alpha and the mean rank have moved since `earlier`, (..., 2); NaN without it. Beyond
            `CHANGED` the law is not stationary.
    """

    family: np.ndarray
    log_likelihood: np.ndarray
    fits: np.ndarray
    index_slope: np.ndarray
    moment_growth: np.ndarray
    fit: TailFit
    moved: np.ndarray

    @property
    def stationary(self) -> np.ndarray:
        """Whether the law was seen to stay: False where it has moved, and where there was nothing earlier to compare with."""
        return np.all(np.abs(self.moved) <= CHANGED, axis=-1)


def tail_family(x, tail: str = "both", earlier=None) -> TailFamily:
    """Which family a tail belongs to: power law, stable law, log-normal, light, or undecided.

    The mean log-spacing at the share u = i / n of the sample is, up to a factor, `exp(c_1 v^(2/3) + c_2 v^(4/3))` for a power law
    (see `hill_reduced`), `u' / phi(Phi^(-1)(1 - u'))` for a log-normal one, `1 / log(1 / u')` for a stretched exponential, u' =
    theta u. Each is fitted to the largest 50 % of the values, and its likelihood compared. A family is named if it beats the
    others by a log-likelihood ratio of 4 at the largest scale, of 50, 25 and 10 %, at which the best fits at all (deviance within
    five standard deviations). A power law is called stable if `tail_index` finds the sample compatible with a stable law.

    Args:
        x: samples, (..., n), n >= 50, of independent values. Below some 50 000 values many laws are undecided.
        tail: "both" (of |x|), "upper" or "lower".
        earlier: values of the same chains at an earlier time (half of the steps, say), of the shape of x. If the law has moved
            since, there is a warning.

    Returns:
        `TailFamily`.

    Raises:
        ValueError: as `tail_index`; `earlier` of another shape.

    Warns:
        StationarityWarning: the index, or the ranks of `earlier` among x, differ by more than four standard errors.

    Source: likelihood ratios between families: Clauset, Shalizi, Newman (2009), section 5; on log-spacings, with a body that
        need not follow the law, ours.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> tail_family(rng.standard_t(2, 100_000)).family.item().name, tail_family(rng.exponential(size=100_000)).family.item().name
        ('POWER', 'LIGHT')
    """
    values = np.asarray(_fit.sample(x, tail))
    fit = _index.tail_index(values, "upper")
    moved = np.full((*values.shape[:-1], 2), np.nan)
    if earlier is not None:
        moved = _moved(values, fit, _fit.sample(earlier, tail))
        if np.max(np.abs(moved)) > CHANGED:
            warnings.warn(_warning(moved), StationarityWarning, stacklevel=2)
    top = np.sort(values, axis=-1)[..., ::-1]
    positive = int(np.min(np.sum(top > 0, axis=-1)))
    n = values.shape[-1]
    log_likelihood, fits = [], []
    for share in SCALES:
        size = max(_index.LEAST_K, min(int(share * n), positive - 1))
        likelihood, good = _compete(top[..., : size + 1], size / n)
        log_likelihood.append(likelihood)
        fits.append(good)
    log_likelihood, fits = np.stack(log_likelihood, axis=-2), np.stack(fits, axis=-1)
    scale = np.argmax(fits, axis=-1)
    at_scale = np.take_along_axis(log_likelihood, scale[..., None, None], axis=-2)[..., 0, :]
    ordered = np.sort(at_scale, axis=-1)
    decided = np.any(fits, axis=-1) & (ordered[..., 2] - ordered[..., 1] > DECISIVE)
    family = np.array([Family.POWER, Family.LOGNORMAL, Family.LIGHT])[np.argmax(at_scale, axis=-1)]
    family = np.where(decided, family, np.array(Family.UNDECIDED))
    family = np.where((family == Family.POWER) & (fit.status == TailStatus.STABLE.code), np.array(Family.STABLE), family)
    return TailFamily(family, log_likelihood, fits, _index_slope(top[..., :positive]), _moment_growth(values), fit, moved)


def _compete(top: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihoods (..., 3) of the families for the order statistics `top`, and whether the best one fits."""
    design = _index._design(top.shape[-1] - 1, whole=True)
    sums, counts = _index._binned(np, top, design), design.counts
    sums = np.maximum(sums, np.finfo(float).tiny)
    theta, _ = _index._fitted(np, sums, design, _index.TERMS)
    power = _likelihood(sums, counts, theta[..., 0, :] @ design.basis[0, :, : _index.TERMS].T) - 1
    u = share * (design.edges[:-1] + 1 + design.edges[1:]) / 2 / design.edges[-1]
    both = [power] + [_best(sums, counts, u, shape) for shape in (_log_normal, _stretched)]
    log_likelihood = np.stack(both, axis=-1)
    perfect = _likelihood(sums, counts, np.log(sums / counts))
    freedom = len(counts) - 3
    # The deviance of a sum of m exponentials has mean 2 m (log m - digamma(m)), 1 for large m, 1.15 for m = 1.
    expected = np.sum(2 * counts * (np.log(counts) - special.digamma(counts))) - 3
    deviance = 2 * (perfect - np.max(log_likelihood, axis=-1))
    return log_likelihood, deviance < expected + 5 * np.sqrt(2 * freedom)


def _likelihood(sums: np.ndarray, counts: np.ndarray, log_mean: np.ndarray) -> np.ndarray:
    """Of exponentials with these means in bins with these sums."""
    return -np.sum(counts * log_mean + sums * np.exp(-log_mean), axis=-1)


def _best(sums: np.ndarray, counts: np.ndarray, u: np.ndarray, shape) -> np.ndarray:
    """Largest log-likelihood over theta and a factor of the mean: on a grid, then on a finer one around its best."""
    largest = np.log((1 - 1e-6) / u[-1])
    grid, width = np.broadcast_to(_GRID, (*sums.shape[:-1], len(_GRID))) + largest, _GRID[1] - _GRID[0]
    best = np.full(sums.shape[:-1], -np.inf)
    for _ in range(3):
        log_shape = shape(np.minimum(np.exp(grid[..., None] + np.log(u)), 1 - 1e-9))
        level = np.log(np.sum(sums[..., None, :] * np.exp(-log_shape), axis=-1) / np.sum(counts))
        values = _likelihood(sums[..., None, :], counts, log_shape + level[..., None])
        at = np.argmax(values, axis=-1)[..., None]
        best = np.maximum(best, np.take_along_axis(values, at, axis=-1)[..., 0])
        centre = np.take_along_axis(grid, at, axis=-1)
        grid, width = np.minimum(centre + width * np.linspace(-1, 1, 17), largest), width / 8
    return best


def _log_normal(u: np.ndarray) -> np.ndarray:
    z = -special.ndtri(u)
    return np.log(u) + z**2 / 2


def _stretched(u: np.ndarray) -> np.ndarray:
    return -np.log(-np.log(u))


def _index_slope(top: np.ndarray) -> np.ndarray:
    """Slope of log Hill's alpha in log k between two k, and its standard error, (..., 2)."""
    n = top.shape[-1]
    low, high = max(_index.LEAST_K // 2, n // 200), max(_index.LEAST_K, n // 10)
    logs = np.log(top)
    gamma = [np.mean(logs[..., :k], axis=-1) - logs[..., k] for k in (low, high)]
    span = np.log(high / low)
    # Hill's estimators at low < high have the covariance gamma^2 / high, so that their logs differ with variance 1/low - 1/high.
    error = np.sqrt(1 / low - 1 / high) / span
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.log(gamma[0] / gamma[1]) / span
    return np.stack([slope, np.broadcast_to(error, slope.shape)], axis=-1)


def _moment_growth(values: np.ndarray) -> np.ndarray:
    def ratio(part):
        part = part / np.max(np.abs(part), axis=-1, keepdims=True)
        return np.mean(part**4, axis=-1) / np.mean(part**2, axis=-1) ** 2

    length = values.shape[-1] // BLOCKS
    blocks = values[..., : length * BLOCKS].reshape((*values.shape[:-1], BLOCKS, length))
    usable = np.where(np.any(blocks != 0, axis=-1, keepdims=True), blocks, 1.0)
    return np.log(ratio(values) / np.median(ratio(usable), axis=-1)) / np.log(BLOCKS)


def _moved(values: np.ndarray, fit: TailFit, before: np.ndarray) -> np.ndarray:
    same = before.shape == values.shape
    _check.require(same, "earlier", f"have the shape of x, {values.shape}", _check.words(f"an array of shape {before.shape}"))
    old = _index.tail_index(before, "upper")
    error = np.sqrt((fit.standard_error / fit.alpha) ** 2 + (old.standard_error / old.alpha) ** 2)
    index = np.log(fit.alpha / old.alpha) / error
    n = values.shape[-1]
    place = np.argsort(np.argsort(np.concatenate([before, values], axis=-1), axis=-1), axis=-1)
    ranks = (np.mean(place[..., n:], axis=-1) - (2 * n - 1) / 2) / np.sqrt((2 * n + 1) / 12)  # Mann and Whitney
    return np.stack([index, ranks], axis=-1)


def _warning(moved: np.ndarray) -> str:
    return (
        f"The law has moved since the earlier time, by up to {np.max(np.abs(moved)):.0f} standard errors of its index or ranks: it is"
        " not stationary, and no index of a stationary law is measured."
    )
