"""One input component and one output: a small neuron is two lines with a factor each, and everything is a sum over mini-batches."""

import itertools
from typing import Any, cast

import numpy as np
import scipy

from meanfield import _check
from meanfield._estimate import Estimate, exact, mean
from meanfield.theory import _scalar
from meanfield.theory.collapse import _arguments

MOST = 1_000_000  # examples in all different mini-batches together, which are summed over one by one
DRAWN = 20_000_000  # examples in the mini-batches that stand for more than those
STEEPEST = 1e4  # index at 0 up to which a root is looked for


def half_line_exponents(inputs, residuals, step_size: float, batch_size: int, weight_decay: float = 0.0) -> np.ndarray:
    """Exponents of ReLU neurons with one input component and one output that have |w| > |a|, for w > 0 and for w < 0.

    Such a neuron sees the examples on its side of 0 alone, and the others are steps of the ridge. As long as all factors below are
    positive, `w^2 - a^2` keeps its sign, so the neuron stays on its side for ever, and

        gamma = max over both signs of E log(1 - eta lam -+ (eta/b) sum_{i <= b} r_i x_i 1[x_i w > 0]).

    Args:
        inputs, residuals: as in `exponent`, (n, 1) both.
        step_size, batch_size, weight_decay: as in `exponent`.

    Returns:
        The two exponents, (2,). On a side without examples it is that of dead neurons.

    Raises:
        ValueError: an argument out of its range, a step size at which a factor is not positive, too many mini-batches to sum over.

    Source: ours.

    Examples:
        >>> half_line_exponents([[1.0], [-1.0]], [[0.0], [0.5]], step_size=0.2, batch_size=1).round(6).tolist()
        [0.0, 0.047655]
    """
    products = _arguments.products(inputs, residuals)
    _arguments.step(step_size, batch_size, weight_decay)
    found = []
    for side in (1, -1):
        means, chance = _summed(np.where(side * np.ravel(inputs) > 0, products, 0), batch_size)
        factors = _factors(means, step_size, weight_decay)
        must = "be such that no step takes a neuron with |w| > |a| across 0: all factors 1 - eta lam -+ eta mean(r_i x_i) > 0"
        _check.require(min(np.min(f) for f in factors) > 0, "step_size", must, step_size)
        found.append(max(_mean_log(f, chance) for f in factors))
    return np.array(found)


def diffusion_criterion(
    inputs, residuals, step_size: float, batch_size: int, weight_decay: float = 0.0, *, slope: float = 1.0
) -> float:
    """Criterion of continuous time: the smaller one, over both lines, of `E h + (eta / 2b) Var h`; 0 attracts where it is positive.

    On a line a step is `theta <- (1 - eta h_B) theta`, with h_B the mean over the mini-batch of `h_i = lam +- c r_i x_i`, the curvature
    of the loss of an example. By Ito the diffusion `d theta = -L' dt + (2 D)^(1/2) dB` with `L' = theta E h` and
    `D = (eta / 2b) theta^2 Var h` has the exponent `-(L''(0) + D''(0) / 2)` per unit of time. SGD has

        gamma = E log |1 - eta h_B| = -eta (E h + (eta / 2b) Var h + (eta / 2) (E h)^2) + O(eta^3).

    Continuous time neglects `(eta / 2) (E h)^2`, which is of the same order as the noise, and third moments. Where gamma is near 0 the mean
    E h is of order eta, and the neglected term is smaller by one order: both agree on the boundary at small step sizes, not on the rate.

    Args:
        inputs, residuals: as in `exponent`, (n, 1) both: with more components the direction matters, and there is no such sum.
        step_size, batch_size, weight_decay: as in `exponent`.
        slope: c, that of the activation at 0. For a ReLU neuron on one side of 0 set inputs of the other sign to 0.

    Returns:
        The criterion, per unit of time: -gamma / eta at small step sizes.

    Raises:
        ValueError: an argument out of its range, inputs or residuals with more than one component.

    Source: Chen, Kunin, Yamamura, Ganguli (2023), in one dimension: `L''(0) + D''(0) / 2 > 0`. The comparison is ours.

    Examples:
        >>> round(diffusion_criterion([[1.0], [1.0]], [[1.0], [-1.0]], step_size=0.2, batch_size=1), 9)  # noise alone
        0.1
    """
    products = _arguments.products(inputs, residuals)
    _arguments.step(step_size, batch_size, weight_decay)
    c = _arguments.scalar_slope(slope)
    return float(weight_decay - abs(c * np.mean(products)) + step_size / (2 * batch_size) * np.var(c * products))


def origin_index(
    inputs,
    residuals,
    step_size: float,
    batch_size: int,
    weight_decay: float = 0.0,
    *,
    slope: float = 1.0,
    mixed: bool = False,
) -> float:
    """Index s at 0 of a stationary law that growth and a bound make: `P(|theta| < eps) ~ eps^s`, for a positive exponent.

    Something must check the growth where the neuron is not small, as its own effect on the residuals does. Near 0 the steps are the
    linear ones. With one input component and one output the factors M and M' of the two lines decide. Without mixing, the line with the
    larger exponent has all of the neuron, and, with mixing, every return to size 1 brings both components back:

        E |M|^(-s) = 1,    or    min over t in [0, 1] of E |M|^(-s t) |M'|^(-s (1 - t)) = 1.

    The second one is larger: both components must be small at once. With more components the maps turn the neuron, and the
    moments of negative order that a population would need are those of its rarest members, so there is no function for it.

    Args:
        inputs, residuals: as in `exponent`, (n, 1) both.
        step_size, batch_size, weight_decay: as in `exponent`.
        slope: c, that of the activation at 0. For a ReLU neuron on one side of 0 set inputs of the other sign to 0.
        mixed: whether the neuron has both components again when its growth has been checked.

    Returns:
        s > 0; infinite if no step makes the neuron smaller.

    Raises:
        ValueError: an argument out of its range, inputs or residuals with more than one component, too many mini-batches to
            sum over, an exponent that is not positive.

    Source: ours. The first equation is Cramer's for the random walk log |theta|; the second is the large deviation of the larger one of
    two random walks.

    Examples:
        >>> s = origin_index([[1.0], [1.0]], [[1.0], [-0.5]], step_size=0.5, batch_size=1)
        >>> round(0.5 * (1.5**-s + 0.75**-s), 9)
        1.0
    """
    products = _arguments.products(inputs, residuals)
    _arguments.step(step_size, batch_size, weight_decay)
    means, chance = _summed(_arguments.scalar_slope(slope) * products, batch_size)
    _check.boolean("mixed", mixed)
    with np.errstate(divide="ignore"):
        logs = [np.log(np.abs(f)) for f in _factors(means, step_size, weight_decay)]
    logs.sort(key=lambda log: -float(chance @ log))  # the line with the larger exponent first
    gamma = float(chance @ logs[0])
    must = f"be such that the exponent is > 0 (here {gamma:.3g})"
    _check.require(gamma > 0, "step_size", must, step_size)
    mixed = mixed and bool(np.isfinite(logs[1]).all())  # a component that becomes 0 stays 0

    def growth(s: float) -> float:
        """`log k(-s)`, convex in s and in t."""
        of = lambda t: float(scipy.special.logsumexp(-s * (t * logs[0] + ((1 - t) * logs[1] if t < 1 else 0)), b=chance))  # noqa: E731
        if not mixed:
            return of(1.0)
        least: Any = scipy.optimize.minimize_scalar(of, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-10})
        return min(of(0.0), of(1.0), float(least.fun))

    upper = 1.0
    while growth(upper) < 0:
        upper *= 2
        if upper > STEEPEST:
            return np.inf
    lower = upper
    while growth(lower) >= 0:
        lower /= 2
    return _scalar.root(growth, lower, upper)


def exponent_of_lines(
    products: np.ndarray, step_size: float, batch_size: int, weight_decay: float, rng: np.random.Generator
) -> Estimate:
    """The larger exponent of the two lines: summed over mini-batches, or their mean over a sample if those are too many.

    A population of directions would come to the larger line as slowly as the two exponents are near each other.
    """
    drawn = _mini_batches(products, batch_size)
    if drawn is not None:
        means, chance = drawn
        return exact(max(_mean_log(f, chance) for f in _factors(means, step_size, weight_decay)))
    means = np.concatenate(
        [rng.choice(products, (max(1, DRAWN // batch_size // 20), batch_size)).mean(axis=1) for _ in range(20)]
    )
    return max((mean(np.log(np.abs(f))) for f in _factors(means, step_size, weight_decay)), key=float)


def _mini_batches(values: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Means of `batch_size` draws with replacement and their probabilities; None if all that differ hold more than `MOST` draws."""
    values, counts = np.unique(values, return_counts=True)
    size = len(values)
    if batch_size * scipy.special.comb(size + batch_size - 1, batch_size) > MOST:
        return None
    rows = np.array(list(itertools.combinations_with_replacement(range(size), batch_size)))
    repeat, log = np.ones(len(rows)), np.full(len(rows), scipy.special.gammaln(batch_size + 1))
    for column in range(batch_size):  # the multinomial coefficient divides by 1, 2, ... along repeated numbers
        repeat = np.where((column > 0) & (rows[:, column] == rows[:, column - 1]), repeat + 1, 1)
        log += np.log(counts[rows[:, column]] / np.sum(counts)) - np.log(repeat)
    chance = np.exp(log)
    return np.mean(values[rows], axis=1), chance / np.sum(chance)


def _summed(values: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """`_mini_batches`, refused if there are too many."""
    drawn = _mini_batches(values, batch_size)
    must = f"be such that all different mini-batches of {len(np.unique(values))} products r_i x_i together hold at most {MOST} examples"
    _check.require(drawn is not None, "batch_size", must, batch_size)
    return cast(tuple[np.ndarray, np.ndarray], drawn)


def _factors(means: np.ndarray, step_size: float, weight_decay: float) -> list[np.ndarray]:
    """Factors of the lines (1, 1) and (1, -1)."""
    return [1 - step_size * weight_decay - sign * step_size * means for sign in (1, -1)]


def _mean_log(factors: np.ndarray, chance: np.ndarray) -> float:
    with np.errstate(divide="ignore"):
        return float(chance @ np.log(np.abs(factors)))
