"""Power law, log-normal or light tail: a verdict with its evidence, or none."""

import enum
import warnings
from dataclasses import dataclass

import numpy as np

from meanfield import _check
from meanfield.measure import distances
from meanfield.measure._arrays import Array, Float
from meanfield.measure.tails import dependence
from meanfield.measure.tails import fit as _fit
from meanfield.measure.tails import index as _index
from meanfield.measure.tails import spacings as _spacings
from meanfield.measure.tails.fit import TailFit, TailStatus

POWER, POWER_BEYOND = 5.0, 4.0  # log Bayes factors for a power law, against either set of tails without an index
AGAIN = 1.0  # at half of k, of a power law
FINITE, LIGHTER, FROM_LIGHT = 7.0, 6.0, 4.0  # against a power law; if it is light, not log-normal; between these two
ABOVE = 150  # values above a break, of a power law
CHANGED = 4.0  # standard errors
BLOCKS = 16  # into which a sample is cut for the growth of its moment ratio


class StationarityWarning(UserWarning):
    """The law still moved between the two times given: an index measured on it is not that of a stationary law."""


class Family(enum.Enum):
    """A family of tails; the value is a sentence for the user."""

    POWER = "A power law: P(|X| > x) ~ C x^(-alpha)."
    LOGNORMAL = "A log-normal tail: every moment is finite, an estimated index means nothing and falls with the threshold."
    LIGHT = "A stretched exponential, exponential, lighter or bounded tail: an estimated index means nothing."
    FINITE = "Every moment is finite, an estimated index means nothing; the sample does not tell log-normal from lighter."
    UNDECIDED = "The sample does not tell; more values would."


@dataclass(frozen=True)
class TailFamily:
    """A verdict on the family of a tail, with its evidence; arrays have the leading axes of the samples.

    Args:
        family: `Family`, or an array of them.
        log_evidence: of (power law, log-normal, light) for the k largest values and for half of them, (..., 2, 3). Only differences in
            the last axis mean something.
        stable: whether the sample is compatible with a symmetric stable law (p > 1e-4 by `stable_characteristic`, and an index below 2
            that agrees with the tail): a power law may then be stable. Never seen below 50 000 values.
        index_slope: d log(Hill's alpha) / d log k between 10 and 0.5 % of the sample, and its standard error, (..., 2): 0 for
            a power law, about -1 / log(n / k) for light tails, half of it for log-normal ones.
        moment_growth: exponent with which the moment ratio E x^4 / (E x^2)^2 of a sample grows with its size: 0 where the fourth
            moment is finite, up to 1.
        fit: the `tail_index`. It is an index only where the family says so.
        moved: by how many standard errors log alpha and the mean rank have moved since `earlier`, (..., 2); NaN without it. Beyond
            `CHANGED` the law is not stationary.
    """

    family: np.ndarray
    log_evidence: np.ndarray
    stable: np.ndarray
    index_slope: np.ndarray
    moment_growth: np.ndarray
    fit: TailFit
    moved: np.ndarray

    @property
    def stationary(self) -> np.ndarray:
        """Whether the law was seen to stay: False where it has moved, and where there was nothing earlier to compare with."""
        return np.all(np.abs(self.moved) <= CHANGED, axis=-1)


def tail_family(x, tail: str = "both", earlier=None) -> TailFamily:
    """Which family a tail belongs to: power law, log-normal, light, one of the last two, or undecided.

    The mean log-spacing at the share u of the sample is, up to a factor, 1 for a power law, `u / phi(Phi^(-1)(1 - u))` for a log-normal
    one, `1 / log(1 / u)` for a stretched exponential, a power of u for a bounded one; a Gaussian law around a mean far from 0 counts as
    light. Each is bent by the same terms as in `tail_index`, with the same priors, so that the body decides nothing: families differ
    by their ends alone. A family is named by its log Bayes factor at the largest k, up to half of the sample, at which a bent power law
    is not refused (`tail_index`), if half of this k agrees. POWER: 5 against tails that follow their law from the body on, or 4 against
    tails that need follow it beyond the threshold only, and 1 at half of k. LIGHT: 6 against the power law and 4 against log-normal.
    LOGNORMAL: 7 and 4. FINITE: 7 against the power law. A sample cut off at its largest value (`TIED`) is bounded, so LIGHT. Fewer
    than 150 values above a break (`BREAK`) are no power law, nor is a tail with an index above 100. Dependent samples count as fewer
    values, as in `tail_index`.

    Args:
        x: samples, (..., n), n >= 50, in the order in which neighbours may depend. Below some 50 000 values most laws are
            undecided.
        tail: "both" (of |x|), "upper" or "lower".
        earlier: values of the same chains at an earlier time (half of the steps, say), of the shape of x. If the law has moved
            since, there is a warning.

    Returns:
        `TailFamily`.

    Raises:
        ValueError: as `tail_index`; `earlier` of another shape.

    Warns:
        StationarityWarning: the index, or the ranks of `earlier` among x, differ by more than four standard errors.

    Source: likelihood ratios between families: Clauset, Shalizi, Newman (2009), section 5; Bayes factors on log-spacings, with a body
        that need not follow the law, ours.

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
        if np.any(np.abs(moved) > CHANGED):
            warnings.warn(_warning(moved), StationarityWarning, stacklevel=2)
    n = values.shape[-1]
    rows = values.reshape((-1, n))
    evidence, slope, cut = np.zeros((len(rows), 2, 5)), np.zeros((len(rows), 2)), np.zeros(len(rows), bool)
    above = np.zeros(len(rows), int)
    for places, top, at_end in _index.ordered(rows):
        inflation, _ = dependence.of(rows[places], top)
        for value in np.unique(inflation):
            at = inflation == value
            design = _spacings.design(top.shape[-1] - 1, float(value))
            sums = _spacings.binned(np, top[at], design.edges) / value
            evidence[places[at]], above[places[at]] = _evidence(sums, design), _spacings.above_break(np, sums, design)
        slope[places], cut[places] = _index_slope(top), at_end
    gap = np.maximum(evidence[..., 1], evidence[..., 2]) - evidence[..., 0]
    beyond = np.maximum(evidence[..., 3], evidence[..., 4]) - evidence[..., 0]
    light = evidence[:, 0, 2] - evidence[:, 0, 1]
    power = (gap[:, 1] < -AGAIN) & (beyond[:, 1] < -AGAIN) & ((gap[:, 0] < -POWER) | (beyond[:, 0] < -POWER_BEYOND))
    power &= ((above == 0) | (above >= ABOVE)) & ~(np.ravel(fit.alpha) > _index.LARGEST)
    finite = np.where(light > FROM_LIGHT, gap[:, 0] > LIGHTER, gap[:, 0] > FINITE) & (gap[:, 1] > 0)
    named = np.where(light > FROM_LIGHT, 1, np.where(light < -FROM_LIGHT, 2, 3))
    place = np.where(cut, 1, np.where(power, 0, np.where(finite, named, 4)))
    family = np.array([Family.POWER, Family.LIGHT, Family.LOGNORMAL, Family.FINITE, Family.UNDECIDED])[place]
    lead = values.shape[:-1]
    return TailFamily(
        family.reshape(lead),
        evidence[..., :3].reshape((*lead, 2, 3)),
        np.asarray(fit.status == TailStatus.STABLE.code),
        slope.reshape((*lead, 2)),
        _moment_growth(values),
        fit,
        moved,
    )


def _evidence(sums: Float[np.ndarray, "row bin"], design: _spacings.Design) -> Float[np.ndarray, "row 2 5"]:
    """Mean log evidence of power laws, log-normal, light, and the last two beyond the threshold, at k and k / 2, (row, 2, 5)."""
    sizes = range(max(1, len(design.sizes) - 1))
    statistic = np.stack([_index.missing(np, sums, design, j) for j in sizes], axis=-1)
    chosen = _index.choice(np, statistic, safety=0)
    out = np.zeros((len(sums), 2, 5))
    for octave in (0, 1):
        place = np.maximum(chosen - octave, 0)
        for j in np.unique(place):
            at, inside = place == j, design.inside[j]
            _, power, _ = _spacings.modes(np, sums[at, :inside], design.counts[:inside], design.power_laws(j))
            models = design.others(j)
            _, other, _ = _spacings.modes(np, sums[at, :inside], design.counts[:inside], models)
            kinds = [other[:, models.kinds == kind + end] for end in ("", " beyond") for kind in ("log-normal", "light")]
            weights = np.tile(_spacings.WEIGHTS, len(_spacings.RATES))
            out[at, octave] = np.stack(
                [_spacings.log_mean(np, power, weights), *(_spacings.log_mean(np, kind) for kind in kinds)], -1
            )
    return out


def _index_slope(top: Float[np.ndarray, "row order"]) -> Float[np.ndarray, "row 2"]:
    """Slope of log Hill's alpha in log k between two k, and its standard error, (..., 2)."""
    n = top.shape[-1]
    low, high = max(_spacings.LEAST_K // 2, n // 200), max(_spacings.LEAST_K, n // 10)
    logs = np.log(top)
    gamma = [np.mean(logs[..., :k], axis=-1) - logs[..., k] for k in (low, high)]
    span = np.log(high / low)
    # Hill's estimators at low < high have the covariance gamma^2 / high, so that their logs differ with variance 1/low - 1/high.
    error = np.sqrt(1 / low - 1 / high) / span
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.log(gamma[0] / gamma[1]) / span
    return np.stack([slope, np.broadcast_to(error, slope.shape)], axis=-1)


def _moment_growth(values: Float[np.ndarray, "*lead n"]) -> Float[Array, "*lead"]:
    def ratio(part):
        square = (part / np.max(np.abs(part), axis=-1, keepdims=True)) ** 2
        return np.mean(square**2, axis=-1) / np.mean(square, axis=-1) ** 2

    length = values.shape[-1] // BLOCKS
    blocks = values[..., : length * BLOCKS].reshape((*values.shape[:-1], BLOCKS, length))
    usable = np.where(np.any(blocks != 0, axis=-1, keepdims=True), blocks, 1.0)
    return np.log(ratio(values) / np.median(ratio(usable), axis=-1)) / np.log(BLOCKS)


def _moved(
    values: Float[np.ndarray, "*lead n"], fit: TailFit, before: Float[np.ndarray, "*earlier"]
) -> Float[np.ndarray, "*lead 2"]:
    same = before.shape == values.shape
    _check.require(same, "earlier", f"have the shape of x, {values.shape}", _check.words(f"an array of shape {before.shape}"))
    old = _index.tail_index(before, "upper")
    error = np.sqrt((fit.standard_error / fit.alpha) ** 2 + (old.standard_error / old.alpha) ** 2)
    index = np.log(fit.alpha / old.alpha) / error
    return np.stack([index, distances.rank_shift(before, values)], axis=-1)


def _warning(moved: Float[np.ndarray, "*lead 2"]) -> str:
    return (
        f"The law has moved since the earlier time, by up to {np.nanmax(np.abs(moved)):.0f} standard errors of its index or ranks: it is"
        " not stationary, and no index of a stationary law is measured."
    )
