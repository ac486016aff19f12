"""What every tail estimator returns, and what every one asks of a sample.

A sample is an array (..., n): the last axis holds the values, the others are samples to be fitted side by side. Concrete arrays
are checked and measured in float64 numpy, whose sort on a CPU is several times faster than XLA's; under `jax.jit` or `jax.vmap`
the same lines run in jax, in the dtype of the sample, without checks, so that an estimator can sit in a probe.
"""

import enum
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from meanfield import _check, _estimate
from meanfield.measure._arrays import Array, Float

SMALLEST = 50  # values a sample; fewer say nothing about a tail
TAILS = ("both", "upper", "lower")


class TailStatus(enum.Enum):
    """What became of a fit; the value is a sentence for the user."""

    OK = "The fit used the k largest values."
    TIED = "The largest values are equal, as where a sample is cut off; the tail has no index there, and alpha is infinite."
    LIGHT = "The extreme-value index is not positive: no power law, and alpha is infinite."
    BOUND = "The estimate is at the end of its range."
    DATA_END = "Every scale down to the smallest value was used: the threshold is at the end of the data."
    PARETO = "The whole sample is compatible with a Pareto law, whose index alpha is; the interval does not assume it."
    STABLE = "The sample is compatible with a symmetric stable law, whose index alpha is; the interval does not assume it."
    CONTRADICTED = (
        "The sample contradicts the stable law that the estimator assumes; neither alpha nor the interval is a tail index."
    )

    NOT_BEGUN = (
        "A tail without an index (log-normal, stretched exponential, bounded) explains the sample about as well: the power law, if"
        " there is one, has not begun in it; the interval holds only if there is one."
    )
    SLOW = (
        "A tail that approaches its power law more slowly than every power, as the log-gamma law does, explains the sample as well and"
        " moves the index; the interval holds for second-order exponents |rho| >= 0.25 only."
    )
    DEPENDENT = (
        "Neighbours in the sample depend on each other: the interval is widened by what sums over blocks show; where that leaves less"
        " than 150 independent values' worth, or the largest 5 % are less than 20 clusters, there is no index."
    )
    BREAK = (
        "The law changes abruptly between the largest values and those below, as spikes over a bulk, a tail on a body or a law that was"
        " moved do: this is not one tail, and neither the index nor the interval can be relied on."
    )

    @property
    def code(self) -> int:
        """Number that stands for the status in arrays."""
        return list(TailStatus).index(self)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TailFit:
    """A tail index, `P(X > x) ~ C x^(-alpha)`, with its uncertainty; every array has the leading axes of the samples.

    Args:
        alpha: the index.
        standard_error: standard error of alpha.
        interval: 95 % confidence interval, (..., 2).
        threshold: the value above which the tail was fitted.
        k: number of values above the threshold; an array where the data chose it.
        n: size of a sample.
        method: name of the estimator.
        status: codes of `TailStatus`.
        extremal_index: 1 / (mean size of a cluster of large values in the order given), 1 where no dependence was seen; None
            where the estimator does not look for it.
    """

    alpha: Any
    standard_error: Any
    interval: Any
    threshold: Any
    k: Any
    n: int = field(metadata={"static": True})
    method: str = field(metadata={"static": True})
    status: Any
    extremal_index: Any = None

    @property
    def value(self) -> Any:
        """The index, under the name that every `Estimate` gives its value."""
        return self.alpha

    @property
    def dof(self) -> float:
        """Infinite: standard errors are those of large samples."""
        return np.inf


def sample(x, tail: str = "both", vectors: bool = False) -> Float[Array, "..."]:
    """The numbers whose upper tail is meant, (..., n): checked float64 numpy, or jax where `x` is traced."""
    _check.choice("tail", tail, TAILS)
    traced = isinstance(x, jax.core.Tracer)
    if not traced:
        x = _check.finite("x", x, ndim=tuple(range(1 + vectors, 9)))
        _check.require(x.dtype.kind != "b", "x", "hold numbers", _check.words("an array of True and False"))
        x = np.asarray(x, np.float64)
    axis = -2 if vectors else -1
    shape = _check.words(f"an array of shape {x.shape}")
    _check.require(x.shape[axis] >= SMALLEST, "x", f"hold at least {SMALLEST} values a sample", shape)
    if not traced:
        first = np.take(x, [0], axis=axis)
        constant = _check.words("a sample of equal values, or an array with one")
        _check.require(bool(np.all(np.any(x != first, axis=axis))), "x", "hold different values in every sample", constant)
    if vectors:
        return x
    return abs(x) if tail == "both" else x if tail == "upper" else -x


def namespace(x: Any) -> Any:
    """Numpy for a numpy array, else `jax.numpy`."""
    return np if isinstance(x, np.ndarray | np.generic) else jnp


def largest(x: Float[Array, "*lead n"], k: int) -> Float[Array, "*lead top"]:
    """The k largest values of every sample, from large to small, (..., k), checked to be positive."""
    n = x.shape[-1]
    if namespace(x) is jnp:
        return jnp.flip(jnp.sort(x, axis=-1), axis=-1)[..., :k]
    top = np.partition(x, n - k, axis=-1)[..., n - k :] if n - k > 0 else x
    top = np.sort(top, axis=-1)[..., ::-1]
    few = f"have at least k + 1 = {k} positive values in every sample"
    _check.require(bool(np.all(top[..., -1] > 0)), "x", few, _check.words("with fewer in at least one"))
    return top


def checked_k(k: int | None, n: int, default: int, at_least: int = 1) -> int:
    """The number of upper order statistics: the user's, checked, or the default."""
    if k is None:
        return default
    _check.integer("k", k, at_least=at_least)
    _check.require(k < n, "k", f"be less than the size of a sample, {n}", k)
    return int(k)


def from_gamma(
    gamma: Float[Array, "*lead"],
    standard_error: Float[Array, "*lead"],
    threshold: Float[Array, "*lead"],
    k: Any,
    n: int,
    method: str,
) -> TailFit:
    """A fit from an estimate of the extreme-value index gamma = 1 / alpha with a normal error.

    The interval is the image of `gamma +- 1.96 standard_error`; what reaches gamma <= 0 reaches alpha = inf.
    """
    xp = namespace(gamma)
    half = _estimate.NORMAL * standard_error
    with np.errstate(divide="ignore", invalid="ignore"):
        positive = ~(gamma <= 0)  # NaN stays NaN: under a trace nothing can be refused
        alpha = xp.where(positive, 1 / xp.where(positive, gamma, 1.0), xp.inf)
        error = xp.where(positive, standard_error * xp.where(positive, alpha, 1.0) ** 2, xp.inf)
        ends = xp.stack([gamma + half, gamma - half], axis=-1)
        interval = xp.where(ends <= 0, xp.inf, 1 / xp.where(ends <= 0, 1.0, ends))
    status = xp.where(positive, TailStatus.OK.code, TailStatus.LIGHT.code)
    return TailFit(alpha, error, interval, threshold, k, n, method, status)
