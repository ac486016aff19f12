"""Models of the log-spacings of a tail, each with its evidence: what `tail_index` and `tail_family` are made of.

For order statistics x_(1) >= x_(2) >= ... of n values the spacings `U_i = i log(x_(i) / x_(i+1))` are independent exponentials
in the limit, with a mean gamma(i / n). A power law has `gamma(0) = 1 / alpha`; in a tail without an index gamma(0) = 0. A model is

    log gamma(v k / n) = base(v) + a + sum_j c_j h(v)^j,    v = i / k <= 1,  j = 1 ... 4,  c_j ~ N(0, tau^(2 j)),

a base function, a function h with h(0) = 0, and a scale tau of the bend. The base of a power law is 0, its h are v^rho for rates rho
from 0.2 to 1: gamma(v) tends to 1 / alpha like v^rho, the second-order exponent. The priors fall geometrically, as the powers of
such an expansion do, so that a straight tail (small tau) keeps all its terms small.

The spacings enter as sums over bins of neighbours. The columns h^j are orthonormal in the Fisher information of a model's own
exponentials, which is therefore the identity, and Fisher's scoring needs matrices that depend on n alone. The evidence of a
model is Laplace's approximation of its marginal likelihood, with a flat prior on a.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from meanfield.measure._arrays import Array, Float, Int

RATES = (0.2, 0.25, 0.35, 0.5, 0.7, 1.0)  # of a power law; the slowest lies below the class that is promised, 0.25
SCALES, WEIGHTS = (0.1, 0.3, 1.0, 3.0), (-1.5, -0.7, 0.0, 0.0)  # of the bend tau, and logarithms of their prior weights
TERMS = 5  # of a power law: a, c_1 ... c_4
SINGLES, BINS = 20, 8  # bins of one value; bins for every factor e
LEAST_K, FIRST_K = 30, 200  # smallest k; from which k goes up by factors 2 (a tenth of n if that is less)
STEPS = 12  # of Fisher's scoring, each of at most 1 in the log of the mean
TOLERANCE = 1e-4  # of the last step, far below the standard errors
FALL, RARE = 1.5, 1e-4  # by which factor the mean may fall between neighbouring octaves, and how rarely chance may add to it
SLOW = 0.3  # of 1 / (1 + SLOW log(1 / v)), the function h of a tail that is slower than every power


@dataclass(frozen=True)
class Models:
    """Models that share k and their number of terms, with what depends on n alone.

    Args:
        kinds: "power", "slow", "log-normal", "light", or one of the last two with " beyond", (model,).
        base: base functions at the bins, (model, bin).
        basis: orthonormal columns, (model, term, bin).
        precision: of the prior, in the coordinates of the basis, (model, term, term).
        covariance: of the posterior, (model, term, term).
        head: of a from the coordinates, (model, term).
        constant: of the log evidence, prior weights included, (model,).
    """

    kinds: np.ndarray
    base: Float[np.ndarray, "model bin"]
    basis: Float[np.ndarray, "model term bin"]
    precision: Float[np.ndarray, "model term term"]
    covariance: Float[np.ndarray, "model term term"]
    head: Float[np.ndarray, "model term"]
    constant: Float[np.ndarray, " model"]

    @functools.cached_property
    def error(self) -> Float[np.ndarray, " model"]:
        """Standard deviation of a, (model,)."""
        return np.sqrt(np.einsum("mt,mtu,mu->m", self.head, self.covariance, self.head))


class Design:
    """Bins of the spacings i = 1 ... m, and the models for every k tried.

    Args:
        m: number of spacings.
        inflation: by which factor the variance of a sum exceeds that of independent values; counts are divided by it.
        bins: for every factor e.
    """

    def __init__(self, m: int, inflation: float = 1.0, bins: int = BINS):
        beyond = np.geomspace(SINGLES, m, max(2, int(bins * np.log(m / SINGLES)))) if m > SINGLES else []
        self.edges = np.unique(np.concatenate([np.arange(min(m, SINGLES) + 1), np.round(beyond)])).astype(int)
        self.inflation = inflation
        self.counts = np.diff(self.edges) / inflation
        self.middle = (self.edges[:-1] + 1 + self.edges[1:]) / 2
        least, k, sizes = min(FIRST_K, max(LEAST_K, m // 10)), 0.9 * m, []  # below the least, scores are not yet chi-square
        while not sizes or k >= least:
            sizes.append(int(self.edges[np.searchsorted(self.edges, k)]))
            k /= 2
        self.sizes = np.array(sorted(set(sizes)))
        self.inside = np.searchsorted(self.edges, self.sizes)  # number of bins up to each k

    @functools.cached_property
    def falls(self) -> tuple[np.ndarray, ...]:
        """Bins at i / 2, i and 4 i for every i tried, from 4 to a tenth of the spacings, and the critical ratio of means."""
        edges = self.edges
        middle = np.flatnonzero((edges >= 4) & (edges <= max(edges[-1] / 10, 4)) & (4 * edges <= edges[-1]))
        start, end = (np.searchsorted(edges, part * edges[middle]) for part in (0.5, 4))
        below = np.concatenate([[0.0], np.cumsum(self.counts)])
        upper, lower = below[middle] - below[start], below[end] - below[middle]
        return start, middle, end, upper, lower, FALL * scipy.special.fdtri(2 * upper, 2 * lower, 1 - RARE)

    @functools.lru_cache(maxsize=64)  # noqa: B019  designs are few and cached themselves
    def power_laws(self, j: int) -> Models:
        """Of every rate and scale, at the j-th k."""
        v = self._v(j)
        return self._models(j, [("power", 0 * v, v**rate, s, w) for rate in RATES for s, w in zip(SCALES, WEIGHTS, strict=True)])

    @functools.lru_cache(maxsize=64)  # noqa: B019
    def others(self, j: int) -> Models:
        """Tails without an index, and those that are slower than every power, at the j-th k.

        Kinds without "beyond" follow their law from the body on (shares u = i / n, or a part of them), and are bent as much as power laws
        are; those "beyond" follow it from some share of the threshold on, whatever the body is, and are bent less.
        """
        v = self._v(j)
        u = v * self.sizes[j] / (self.edges[-1] + 1)
        rows = [("slow", 0 * v, 1 / (1 + SLOW * np.log(1 / v)), s, w) for s, w in zip(SCALES, WEIGHTS, strict=True)]
        for rate in (0.5, 1.0):
            bends = [(v**rate, scale, 0.0) for scale in SCALES[:3]]
            for share in (1.0, 0.3, 0.1, 0.01):
                part = min(share, 0.98 / u[-1]) * u
                for bend in bends:
                    rows += [("log-normal", _log_normal(part), *bend), ("light", -np.log(-np.log(part)), *bend)]
                    if share == 1.0:  # Gaussian around a mean far from 0, as the norm of many components is
                        rows += [("light", _log_normal(part) - np.log1p(r * _normal(part)), *bend) for r in (0.1, 0.3)]
            for share in (0.98, 0.3, 0.1, 0.03, 0.01, 0.001):
                for bend in bends[:2]:
                    rows.append(("log-normal beyond", _log_normal(share * v), *bend))
                    rows.append(("light beyond", -np.log(-np.log(share * v)), *bend))
                    rows += [
                        ("light beyond", _log_normal(share * v) - np.log1p(r * _normal(share * v)), *bend) for r in (0.1, 0.3)
                    ]
            for bend in bends:
                bounded = [(power * np.log(v), *bend) for power in (0.1, 0.2, 0.4, 0.7, 1.0, 2.0)]
                rows += [(kind, *row) for row in bounded for kind in ("light", "light beyond")]
        return self._models(j, rows)

    @functools.lru_cache(maxsize=64)  # noqa: B019
    def directions(self, j: int) -> tuple[Models, Float[np.ndarray, "model direction bin"]]:
        """Two power laws with a term less, and directions that they leave out, (model, direction, bin), orthonormal."""
        v, counts = self._v(j), self.counts[: self.inside[j]]
        models = self._models(j, [("power", 0 * v, v**rate, 3.0, 0.0) for rate in (0.3, 0.8)], TERMS - 1)
        smooth = [np.polynomial.legendre.Legendre.basis(i)(2 * np.sqrt(v) - 1) for i in range(1, TERMS + 3)]
        root = np.sqrt(counts)
        out = []
        for basis in models.basis:
            q, r = np.linalg.qr((np.concatenate([basis, smooth]) * root).T)
            keep = np.abs(np.diag(r)) > 1e-7
            keep[: TERMS - 1] = False
            out.append(np.where(keep[:, None], q.T / root, 0.0)[TERMS - 1 :])
        return models, np.stack(out)

    @functools.lru_cache(maxsize=8)  # noqa: B019
    def plain(self, rate: float, terms: int) -> Models:
        """One power law of all m spacings, without a prior: maximum likelihood."""
        root = np.sqrt(self.counts)[:, None]
        q, r = np.linalg.qr(root * (self.middle / self.edges[-1])[:, None] ** (rate * np.arange(terms)))
        zero, one = np.zeros((1, terms, terms)), np.eye(terms)[None]
        head = np.linalg.inv(r)[:1]
        return Models(np.array(["power"]), np.zeros((1, len(q))), (q / root).T[None], zero, one, head, np.zeros(1))

    def _v(self, j: int) -> np.ndarray:
        return self.middle[: self.inside[j]] / self.sizes[j]

    def _models(self, j: int, rows: list, terms: int = TERMS) -> Models:
        kinds, bases, h, scales, weights = zip(*rows, strict=True)
        root = np.sqrt(self.counts[: self.inside[j]])[:, None]
        q, r = np.linalg.qr(root * np.stack(h)[..., None] ** np.arange(terms))
        inverse, one = np.linalg.inv(r), np.eye(terms)
        prior = np.array(scales)[:, None] ** -np.arange(1.0, terms)  # square roots of the precisions of c_j
        part = np.pad(prior, ((0, 0), (1, 0)))[..., None] * inverse
        precision = np.swapaxes(part, -1, -2) @ part
        volume = np.sum(np.log(abs(np.diagonal(inverse, axis1=-2, axis2=-1))), axis=-1)
        volume = volume - np.linalg.slogdet(one + precision)[1] / 2
        basis = np.ascontiguousarray(np.swapaxes(q / root, -1, -2))
        constant = np.array(weights) + np.sum(np.log(prior), axis=-1) + volume
        return Models(np.array(kinds), np.stack(bases), basis, precision, np.linalg.inv(one + precision), inverse[:, 0], constant)


def _normal(u: Float[np.ndarray, " bin"]) -> Float[np.ndarray, " bin"]:
    """Standard normal quantile of the upper tail, no less than 0."""
    return np.maximum(-scipy.special.ndtri(u), 0)


def _log_normal(u: Float[np.ndarray, " bin"]) -> Float[np.ndarray, " bin"]:
    """Of the mean log-spacing `u / phi(z)` of a log-normal law, z its standard normal quantile, up to a constant."""
    return np.log(u) + scipy.special.ndtri(u) ** 2 / 2


@functools.lru_cache(maxsize=16)
def design(m: int, inflation: float = 1.0, bins: int = BINS) -> Design:
    """The design for m spacings; only arrays of m, so that it is kept."""
    return Design(m, inflation, bins)


def binned(xp: Any, top: Float[Array, "*sample order"], edges: Int[np.ndarray, " edge"]) -> Float[Array, "*sample bin"]:
    """Sums of the spacings over the bins between `edges`, (..., bin), from the order statistics (..., at least edges[-1] + 1)."""
    logs = xp.log(top)
    m = int(edges[-1])
    spacings = (logs[..., :m] - logs[..., 1 : m + 1]) * np.arange(1, m + 1).astype(top.dtype)
    if xp is np:
        return np.add.reduceat(spacings[..., :m], edges[:-1], axis=-1)
    total = xp.concatenate([xp.zeros_like(spacings[..., :1]), xp.cumsum(spacings, axis=-1)], axis=-1)
    return xp.diff(total[..., edges], axis=-1)


def above_break(xp: Any, sums: Float[Array, "sample bin"], design: Design) -> Int[Array, " sample"]:
    """Number of values above the last place where the mean log-spacing falls abruptly, (sample,), 0 where it nowhere does.

    The mean of `U_j` over i / 2 < j <= i is compared with that over i < j <= 4 i: 1.5 times F(2 a, 2 b) at p = 1e-4, of a and b spacings.
    Of the 42 900 samples of laws with |rho| of .25 and more in benchmarks/results/tails.json, 1 gets there. |stable 1.99| does more often.
    """
    start, middle, end, upper, lower, critical = design.falls
    total = xp.concatenate([xp.zeros_like(sums[..., :1]), xp.cumsum(sums, axis=-1)], axis=-1)
    above = (total[..., middle] - total[..., start]) / upper.astype(sums.dtype)
    below = (total[..., end] - total[..., middle]) / lower.astype(sums.dtype)
    return xp.max(xp.where(above > critical.astype(sums.dtype) * below, design.edges[middle], 0), axis=-1, initial=0)


def modes(
    xp: Any, sums: Float[Array, "sample bin"], counts: Float[np.ndarray, " bin"], models: Models, steps: int = STEPS
) -> tuple[Float[Array, "sample model"], Float[Array, "sample model"], Float[Array, "model sample bin"]]:
    """Posterior modes by Fisher's scoring, all models at once.

    Args:
        xp: numpy or `jax.numpy`.
        sums: of the spacings over the bins, (sample, bin), divided by the inflation.
        counts: of the spacings, (bin,), divided likewise.
        models: the models.
        steps: of the scoring.

    Returns:
        Modes of a, (sample, model), log evidence, (sample, model), and residuals sum / mean - count, (model, sample, bin).
    """
    kind = sums.dtype
    basis, precision, covariance = (z.astype(kind) for z in (models.basis, models.precision, models.covariance))
    base, counts = models.base.astype(kind), counts.astype(kind)
    sums = xp.maximum(sums, np.finfo(kind).tiny / np.finfo(kind).eps)  # ties leave none
    flat = sums * xp.exp(-base)[:, None, :]  # (model, sample, bin): the base is taken out
    average = xp.sum(flat, axis=-1) / np.sum(counts)
    level, flat = xp.log(average), flat / average[..., None]  # so is the level: the mean moves from 0 by at most 1 in a step
    theta = xp.zeros((*level.shape, basis.shape[1]), kind)
    own = (flat, basis, np.swapaxes(basis, -1, -2), precision, covariance)
    live, now, moving = np.arange(len(base)), theta, xp.ones_like(theta[..., :1])
    for _ in range(steps):
        flat_now, basis_now, columns, precise, spread = own
        residual = flat_now * xp.exp(-(now @ basis_now)) - counts
        step = (residual @ columns - now @ precise) @ spread
        longest = xp.max(abs(step @ basis_now), axis=-1, keepdims=True)
        moving = moving * (longest > TOLERANCE).astype(kind)  # each sample by itself: what stands beside it does not matter
        now = now + moving * step * xp.minimum(1.0, 1 / xp.maximum(longest, 1e-30))
        if xp is np and not np.all(left := np.any(moving, axis=(1, 2))):  # go on with the models that still move
            theta[live] = now
            live, now, moving, own = live[left], now[left], moving[left], tuple(z[left] for z in own)
            if not len(live):
                break
    if xp is np:
        theta[live] = now
    else:
        theta = now
    mean = theta @ basis
    residual = flat * xp.exp(-mean) - counts
    fit = -xp.sum(counts * mean + residual, axis=-1) - (base @ counts)[:, None] - np.sum(counts) * level
    penalty = xp.sum((theta @ precision) * theta, axis=-1) / 2
    evidence = fit - penalty + models.constant.astype(kind)[:, None]
    return xp.einsum("mst,mt->sm", theta, models.head.astype(kind)) + level.T, evidence.T, residual


def log_mean(xp: Any, evidence: Float[Array, "*sample model"], weights: Any = 0.0) -> Float[Array, "*sample"]:
    """Logarithm of the mean evidence over the models in the last axis."""
    largest = xp.max(evidence, axis=-1, keepdims=True)
    mass = np.sum(np.exp(weights + np.zeros(evidence.shape[-1])))
    return xp.log(xp.sum(xp.exp(evidence - largest), axis=-1) / mass) + largest[..., 0]
