"""What a law would leave of the pruning error beyond the widest width, by the family of its tail."""

from dataclasses import dataclass
from typing import final

import numpy as np

from meanfield import _check
from meanfield._estimate import Estimate
from meanfield.measure import _jackknife, tails
from meanfield.measure.pruning.errors import error_curve
from meanfield.measure.pruning.limit import extrapolated_limit


@final
@dataclass(frozen=True)
class Limit:
    """Error of N -> infinity independent draws from one law, by what its tail is.

    Args:
        finite: error of the sample itself, which is the limit where the sample shows all of the tail: log-normal, light or truncated.
        power: error with a power law in place of the largest hundredth; its interval is that of the index alone.
        index: Hill's index of the largest hundredth, which `power` continues.
        family: what `tails.tail_family` says of the sample: only POWER speaks for `power`; LOGNORMAL, LIGHT and FINITE for `finite`.
    """

    finite: Estimate
    power: Estimate
    index: Estimate
    family: tails.Family


def limit(norms, kappa: float = 0.1, p: float = 2.0) -> Limit:
    """Limit of the node pruning error for a law that no longer moves with the width, under two readings of its tail.

    Args:
        norms: of the neurons of S >= 3 independent runs of the widest width, (S, N); all S N are one sample.
        kappa: fraction kept.
        p: of the norm.

    Returns:
        The two limits and the family. Below an index of p the power law leaves an error of 0.

    Raises:
        ValueError: NaN, infinite or negative norms, fewer than three runs or 50 values, values that are all equal, kappa outside (0, 1).

    Source: Gribonval, Cevher, Davies (2012), Proposition 1; see `pruning.extrapolated_limit`.

    Examples:
        >>> found = limit(np.random.default_rng(0).pareto(3.0, (4, 25_000)) + 1)  # truth: sqrt(1 - 0.1^(1/3)) = 0.732
        >>> found.family.name, round(float(found.power), 2), round(float(found.finite), 2)
        ('POWER', 0.73, 0.73)
    """
    x = np.asarray(_check.finite("norms", norms, ndim=(2,)), np.float64)
    shape = _check.words(f"an array of shape {x.shape}")
    _check.require(len(x) >= 3, "norms", "hold at least 3 independent runs, in its first axis", shape)
    _check.require(bool(np.all(x >= 0)), "norms", "be non-negative", _check.words("an array with negative entries"))
    several = x.size >= 50 and np.ptp(x) > 0
    what = _check.words(f"an array of shape {x.shape}" + " of one value" * bool(x.size and np.ptp(x) == 0))
    _check.require(bool(several), "norms", "hold 50 values or more that differ, for a tail to be read off them", what)
    kappa = _check.number("kappa", kappa, "be a number in (0, 1), the fraction kept", lambda v: (v > 0) & (v < 1))
    pooled = x.ravel()
    without = np.array([error_curve(np.delete(x, s, axis=0).ravel(), kappa, "magnitude", p) for s in range(len(x))])
    value = np.asarray(error_curve(pooled, kappa, "magnitude", p))
    finite = Estimate(float(value), float(_jackknife.standard_error(without)), tuple(_jackknife.log_interval(value, without)))
    fit = tails.hill(pooled, k=max(10, pooled.size // 100))
    index = Estimate(float(fit.alpha), float(fit.standard_error), tuple(float(end) for end in fit.interval))
    low, middle, high = (
        float(extrapolated_limit(pooled, kappa, a, fit.k, p)) for a in (index.interval[0], index.value, index.interval[1])
    )
    return Limit(finite, Estimate(middle, np.nan, (low, high)), index, tails.tail_family(pooled).family.item())
