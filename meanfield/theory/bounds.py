"""Compression-based generalisation bounds of a pruned two-layer network, with every constant.

A network that can be written down in L nats after pruning and rounding, and that stays within a distance of the original which is
small against its margins, has a small risk. All constants are ours (Barsbey et al. 2021 state the order only); the three steps:

1. Occam. For a countable set of predictors with code lengths `sum exp(-L) <= 1` and n independent examples, with probability
   `1 - delta` for all of them at once: `risk <= empirical risk + sqrt((L + log(1/delta)) / (2n))` (Hoeffding and a union bound;
   McAllester 1999).
2. Pruning error. `|f(x) - f^(x)| <= lipschitz |x| (1/N) (sum_pruned |a_i||w_i| + (2u + u^2) sum_kept |a_i||w_i|)`, u the rounding of
   the numbers kept; with `|a||w| <= |(w, a)|^2 / 2` this is at most `lipschitz |x| / 2 * (1/N) sum |(w_i, a_i)|^2 *
   (error^2 + 2u + u^2)`, error the relative l_2 error of node pruning.
3. Margin. The margin `f_y - max_other f` moves by at most sqrt(2) times that distance.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from meanfield import _check
from meanfield.theory import _scalar

KINDS = ("magnitude", "node", "singular")
EXPONENT_BITS = 9  # of a number: its sign and an exponent of 8 bits, as in bfloat16; the others are its significand


def occam(empirical_risk, description_length, examples: int, delta: float = 0.05):
    """Bound of the risk of a predictor that is described by `description_length` nats: step 1 above.

    Args:
        empirical_risk: of a loss with values in [0, 1], on the examples, of any shape.
        description_length: L >= 0 in nats, of a prefix code fixed before the examples were seen.
        examples: n >= 1, independent.
        delta: probability with which the bound may fail, in (0, 1).

    Returns:
        `empirical_risk + sqrt((L + log(1/delta)) / (2n))`. Above 1 it says nothing (is vacuous).

    Raises:
        ValueError: a number out of its range.

    Source: McAllester (1999), Theorem 1.

    Examples:
        >>> round(float(occam(0.1, 100.0, 10_000)), 4)
        0.1718
    """
    _check.numbers("empirical_risk", empirical_risk, "be a number in [0, 1], or an array of them", lambda v: (v >= 0) & (v <= 1))
    _check.nonnegative("description_length", description_length)
    _check.integer("examples", examples, 1)
    _scalar.between("delta", delta, 0, 1)
    shapes = np.shape(empirical_risk), np.shape(description_length)
    fits = all(1 in pair or pair[0] == pair[1] for pair in zip(*(s[::-1] for s in shapes), strict=False))
    _check.require(fits, "description_length", f"broadcast against shape {shapes[0]}", _check.words(f"of shape {shapes[1]}"))
    return np.asarray(empirical_risk) + np.sqrt((np.asarray(description_length) - np.log(delta)) / (2 * examples))


def description_length(kind: str, kept, width: int, dim: int, bits: int = 16):
    """Nats that describe a pruned matrix of `width` rows and `dim` columns, up to what the width is.

    - node: `log(N + 1) + kept dim bits log 2`. Which rows were kept need not be told: neurons can be exchanged.
    - magnitude: `log(N dim + 1) + log C(N dim, kept) + kept bits log 2`.
    - singular: `log(r + 1) + kept (N + dim) bits log 2`, r = min(N, dim); the values go into one of the two factors.

    Args:
        kind: "magnitude", "node" or "singular".
        kept: number of parts kept, of any shape.
        width, dim: shape of the matrix.
        bits: of a number kept, > 9: sign, 8 bits of exponent, the rest significand (16: bfloat16).

    Returns:
        Code lengths L with `sum exp(-L) <= 1` over all pruned matrices of the kind.

    Raises:
        ValueError: a number out of its range.

    Source: ours.

    Examples:
        >>> round(float(description_length("node", 2, 8, 3)), 4), round(float(description_length("magnitude", 6, 8, 3)), 4)
        (68.7394, 81.571)
    """
    _check.choice("kind", kind, KINDS)
    _check.integer("width", width, 1)
    _check.integer("dim", dim, 1)
    _check.integer("bits", bits, EXPONENT_BITS + 1)
    parts = {"magnitude": width * dim, "node": width, "singular": min(width, dim)}[kind]
    must = f"be an integer from 0 to {parts}, or an array of them"
    _check.numbers("kept", kept, must, lambda v: (v >= 0) & (v <= parts) & (v == np.floor(v)))
    kept = np.asarray(kept, np.float64)
    numbers = kept * {"magnitude": 1, "node": dim, "singular": width + dim}[kind]
    where = scipy.special.gammaln([parts + 1])[0] - scipy.special.gammaln(kept + 1) - scipy.special.gammaln(parts - kept + 1)
    return np.log(parts + 1) + (where if kind == "magnitude" else 0.0) + numbers * bits * np.log(2)


def roundoff(bits: int) -> float:
    """Largest relative error of a number of `bits` bits, 9 of them sign and exponent: `2^(8 - bits)`.

    Examples:
        >>> roundoff(16)
        0.00390625
    """
    _check.integer("bits", bits, EXPONENT_BITS + 1)
    return 2.0 ** (EXPONENT_BITS - 1 - bits)


def distortion(error, second_moment: float, radius: float = 1.0, lipschitz: float = 1.0, unit_roundoff: float = 0.0):
    """Bound of |f_N(x) - f_pruned(x)| for every |x| <= radius from the relative l_2 error of node pruning: step 2 above.

    `lipschitz radius / 2 * second_moment * (error^2 + 2u + u^2)`.

    Args:
        error: relative l_2 error of node pruning of the rows (w_i, a_i), >= 0, of any shape.
        second_moment: `(1/N) sum_i |(w_i, a_i)|^2`.
        radius: largest |x|.
        lipschitz: constant of the activation, which must vanish at 0 (ReLU, tanh, identity: 1).
        unit_roundoff: u, relative error of the numbers kept.

    Raises:
        ValueError: a negative number.

    Source: ours. A neuron with a bias counts it in w_i, with |x|^2 + 1 for |x|^2.

    Examples:
        >>> float(distortion(0.1, 2.0, radius=3.0).round(12))
        0.03
    """
    _check.nonnegative("error", error)
    for name, value in (("second_moment", second_moment), ("radius", radius), ("lipschitz", lipschitz)):
        _scalar.nonnegative(name, value)
    _scalar.nonnegative("unit_roundoff", unit_roundoff)
    lost = np.asarray(error, np.float64) ** 2 + 2 * unit_roundoff + unit_roundoff**2
    return lipschitz * radius / 2 * second_moment * lost


@dataclass(frozen=True)
class Bound:
    """A bound of the 0-1 risk and its parts.

    Args:
        value: `margin_risk + complexity`; above 1 it is vacuous.
        kept: number of neurons that describe the network.
        margin: gamma.
        margin_risk: share of the examples with margin at most gamma.
        complexity: `sqrt((description_length + log(1/delta)) / (2n))`.
        description_length: nats, of the pruned network and of gamma.
        distortion: what pruning and rounding may change f by, anywhere within the radius.
    """

    value: float
    kept: int
    margin: float
    margin_risk: float
    complexity: float
    description_length: float
    distortion: float

    @property
    def vacuous(self) -> bool:
        """Whether the bound says nothing."""
        return self.value >= 1


def compression_bound(
    margins,
    errors,
    kept,
    width: int,
    dim: int,
    second_moment: float,
    radius: float,
    *,
    lipschitz: float = 1.0,
    bits: int = 16,
    delta: float = 0.05,
) -> Bound:
    """Bound of the 0-1 risk of a two-layer classifier from how well it can be pruned: the best over the numbers of neurons kept.

    With probability `1 - delta`, for every number `kept` and the smallest power of two `gamma >= 2 sqrt(2) distortion`,

        P(margin <= 0) <= (share of margins <= gamma) + sqrt((L + log(1/delta)) / (2n)),
        L = description_length("node", kept) + log(2.3 (1 + |log2 gamma|)^2).

    Heavier tails: smaller errors at the same `kept`, fewer neurons for the same distortion, a shorter description.

    Args:
        margins: `f_y - max_(j != y) f_j` of the n training examples under the UNPRUNED network, (n,).
        errors: relative l_2 errors of node pruning of the rows (w_i, a_i), (m,).
        kept: number of neurons kept at each error, (m,).
        width, dim: number of neurons, of numbers of a neuron.
        second_moment, radius, lipschitz: as in `distortion`; |x| <= radius must hold for every example, seen or not.
        bits: of a number, as in `description_length`.
        delta: probability with which the bound may fail.

    Returns:
        `Bound`.

    Raises:
        ValueError: arrays that do not fit, a number out of its range.

    Source: ours, after Arora, Ge, Neyshabur, Zhang (2018) and Barsbey et al. (2021): the kept fraction is `kept / width`, and
    every number of examples `n` enters through `complexity` alone.

    Examples:
        >>> bound = compression_bound(np.ones(100_000), [1.0, 0.01], [0, 5], 1000, 10, second_moment=2.0, radius=1.0)
        >>> bound.kept, round(bound.margin, 4), bound.margin_risk, round(bound.complexity, 3)
        (5, 0.0312, 0.0, 0.053)
    """
    margins = np.asarray(_check.finite("margins", margins, ndim=(1,)), np.float64)
    errors = np.asarray(_check.finite("errors", errors, ndim=(1,)), np.float64)
    kept = np.asarray(_check.finite("kept", kept, ndim=(1,)))
    must = f"have {len(errors)} entries, as many as `errors`"
    _check.require(len(kept) == len(errors), "kept", must, _check.words(f"an array of shape {kept.shape}"))
    moved = distortion(errors, second_moment, radius, lipschitz, roundoff(bits))
    with np.errstate(divide="ignore"):
        power = np.maximum(np.ceil(np.log2(2 * np.sqrt(2) * moved)), -1000.0)
    gamma = 2.0**power
    lengths = description_length("node", kept, width, dim, bits) + np.log(2.3 * (1 + np.abs(power)) ** 2)
    risks = np.searchsorted(np.sort(margins), gamma, side="right") / len(margins)
    values = occam(risks, lengths, len(margins), delta)
    best = int(np.argmin(values))
    return Bound(
        float(values[best]),
        int(kept[best]),
        float(gamma[best]),
        float(risks[best]),
        float(values[best] - risks[best]),
        float(lengths[best]),
        float(moved[best]),
    )


def examples_needed(bound: Bound, complexity: float, delta: float = 0.05) -> float:
    """Number of examples at which the complexity term of this bound would be the given one: `(L + log(1/delta)) / (2 complexity^2)`.

    Raises:
        ValueError: something that is no `Bound`, a number out of its range.

    Examples:
        >>> examples_needed(Bound(1.5, 5, 0.1, 0.0, 1.5, 97.0, 0.01), 0.1) > 4900
        True
    """
    _check.require(isinstance(bound, Bound), "bound", "be a `Bound`", bound)
    _scalar.positive("complexity", complexity)
    _scalar.between("delta", delta, 0, 1)
    return float((bound.description_length - np.log(delta)) / (2 * complexity**2))
