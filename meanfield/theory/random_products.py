"""Growth of products of random maps by a population of directions: generalised Lyapunov exponents and Kesten's tail index.

Let M_1, M_2, ... be independent random maps of R^d, linear or positively homogeneous of degree 1, and

    k(s) = lim_n (E |M_n ... M_1 u|^s)^(1/n).

log k is convex with log k(0) = 0 and slope rho, the top Lyapunov exponent, at 0. If rho < 0, the recursion `x <- M x + q` has a
stationary law, and under Kesten's conditions `P(|x| > t) ~ c t^(-alpha)` with k(alpha) = 1, alpha > 0.

Each of N unit vectors is multiplied by an independent map, gets the weight |M u|^s, and the population is resampled in proportion to
the weights (systematic resampling). log k(s) is the mean over the steps of the logarithm of the mean weight.

- **Bias.** The product Z of the mean weights of n steps has the right mean at every N. Being nearly log-normal it has
  `E log Z = log E Z - Var(log Z) / 2`, which is the bias, of order 1/N. Its variance is measured, for the standard error, by means
  over batches of n^(1/2) steps; half of it is added, and the error of this half counts.
- **Slope.** `d log k / ds` is the mean log-growth per step of surviving lineages. It is taken between two ages, because the last
  steps of a lineage are not yet selected.
- **Common random numbers.** All orders s use the same numbers, so that the root is that of one function.
- **Degenerate weights.** For large s a few vectors carry all weight and what is rarer is missed. The effective number of vectors,
  `(sum w)^2 / sum w^2` over all steps, is measured, and below `SMALLEST` a step the result is refused. (Measured with 12 a step: 12
  errors in units of the standard error had mean -0.3 and standard deviation 0.9.)
- **Absorption.** Maps that are not linear can have a cone that no vector leaves. `survivors` puts copies of the others in the place of
  vectors that have entered it (Fleming, Viot 1979), and follows lineages: what the survivors have grown, and how many survive.

Source: the population is the "cloning" of Giardina, Kurchan, Peliti (2006), for products of matrices Vanneste (2010), a particle
filter in the words of Del Moral, Miclo (2003); that the logarithm is nearly normal with the mean -variance / 2: Berard, Del Moral,
Doucet (2014). k(alpha) = 1: Kesten (1973). The correction, the slope and the check of the weights are ours.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from meanfield import _check, _keys
from meanfield._estimate import Estimate, exact
from meanfield.theory import _scalar

Growth = Callable[[np.random.Generator, np.ndarray], np.ndarray]

AGE = 12  # steps: lineages are followed for twice that
SMALLEST = 20  # vectors a step that must carry the weight
HIGHEST = 1_000.0  # order up to which a root is looked for
LOOK = 10  # steps between two looks for absorbed vectors
LAG = 100  # steps after which the growth of a survivor is counted: by then what is absorbed after it is known
MEMORY = 4.0  # errors of a correlation 0 from which on the growth of a vector in both halves of a run is called correlated


def stratified(rng: np.random.Generator, count: int) -> np.ndarray:
    """Uniform numbers in (0, 1), one in each of `count` equal parts, in random order: (count,).

    Each is uniform and none knows its vector, so means over a population stay right, with a smaller variance: what a `grow`
    depends on most should be made of these.

    Examples:
        >>> np.sort(4 * stratified(np.random.default_rng(0), 4)).astype(int).tolist()
        [0, 1, 2, 3]
    """
    _check.require(isinstance(rng, np.random.Generator), "rng", "be a generator of numpy, `np.random.default_rng(seed)`", rng)
    _check.integer("count", count, at_least=1)
    return np.clip((rng.permutation(count) + rng.random(count)) / count, 1e-300, 1 - 2.0**-53)


def log_growth(grow: Growth, dim: int, s: float, *, key: jax.Array, population: int = 10_000, steps: int = 1_000) -> Estimate:
    """Generalised Lyapunov exponent `log k(s) = lim (1/n) log E |M_n ... M_1 u|^s`.

    Args:
        grow: the law of the maps: `grow(rng, u)` gives M u for vectors u (population, dim) of length 1, a fresh M for each row, drawn
            with the numpy generator `rng`.
        dim: d >= 1.
        s: order, >= 0.
        key: random key.
        population: vectors, at least 100.
        steps: averaged, at least 500, after a fifth as many that are not.

    Returns:
        log k(s).

    Raises:
        ValueError: an argument out of its range, a `grow` that does not give finite vectors, too small a population for the order.

    Source: this module's. The correction of the bias is ours.

    Examples:
        >>> doubled_or_halved = lambda rng, u: u * np.where(stratified(rng, len(u)) < 0.5, 2.0, 0.5)[:, None]
        >>> found = log_growth(doubled_or_halved, dim=3, s=1.0, key=jax.random.key(0), population=1_000)
        >>> round(found.value, 4), round(float(np.log(1.25)), 4)
        (0.2231, 0.2231)
    """
    _checked(grow, dim, key, population, steps)
    _scalar.nonnegative("s", s)
    if s == 0:
        return exact(0.0)
    run = _measured(grow, dim, float(s), key, population, steps)
    _check.require(run.carriers > SMALLEST, "population", _larger(s), population)
    return Estimate(run.value, run.error, dof=run.dof)


def lyapunov(grow: Growth, dim: int, *, key: jax.Array, population: int = 10_000, steps: int = 1_000) -> Estimate:
    """Top Lyapunov exponent `rho = lim (1/n) log |M_n ... M_1 u|`.

    Args:
        grow: the law of the maps, see `log_growth`.
        dim: d >= 1.
        key: random key.
        population: vectors, at least 100.
        steps: averaged, at least 500, after a fifth as many that are not.

    Returns:
        rho; -inf if a vector became 0.

    Raises:
        ValueError: an argument out of its range, a `grow` that does not give finite vectors.

    Source: this module's, without weights.

    Examples:
        >>> tripled_or_halved = lambda rng, u: u * np.where(stratified(rng, len(u)) < 0.5, 3.0, 0.5)[:, None]
        >>> found = lyapunov(tripled_or_halved, dim=3, key=jax.random.key(0), population=1_000, steps=500)
        >>> round(found.value, 4), round(float(np.log(1.5) / 2), 4)
        (0.2027, 0.2027)
    """
    _checked(grow, dim, key, population, steps)
    run = _measured(grow, dim, 0.0, key, population, steps)
    return Estimate(run.value, run.error, dof=run.dof) if np.isfinite(run.value) else exact(-np.inf)


class Survivors(NamedTuple):
    """Growth per step of vectors that are not absorbed, and the rate per step at which vectors are absorbed."""

    growth: Estimate
    rate: Estimate


def survivors(
    grow: Growth,
    dim: int,
    absorbed: Callable[[np.ndarray], np.ndarray] | None = None,
    *,
    key: jax.Array,
    population: int = 10_000,
    steps: int = 1_000,
) -> Survivors:
    """Lyapunov exponent and rate of loss of products of maps that absorb vectors, given that a vector is not absorbed.

        rho = lim (1/n) E[log |M_n ... M_1 u| given alive at step n],    rate = -lim (1/n) log P(alive at step n)

    These are slope and value at 0 of `log k(s)`, `k(s) = lim E[|M_n ... M_1 u|^s; alive at n]^(1/n)`. An absorbed vector is replaced by
    a copy of another one, its past included. Growth in a step is averaged over the vectors whose ancestors had it `LAG` steps ago.

    Args:
        grow: the law of the maps, see `log_growth`.
        dim: d >= 1.
        absorbed: `absorbed(u)` says which of the vectors (population, dim) are in a cone that no vector leaves, (population,); None if
            there is no such cone.
        key: random key.
        population: vectors, at least 100.
        steps: averaged, at least 500, after a fifth as many that are not.

    Returns:
        rho and the rate. rho is -inf if a vector that is not absorbed became 0. Where no vector is lost, the standard error of the rate
        is that of one. If the growth of a vector in both halves of the run is correlated, rho is a mean over vectors of different
        exponents, and `bias` is their standard deviation: maps that are not linear can have several cones with an exponent each.

    Raises:
        ValueError: an argument out of its range, a `grow` that does not give finite vectors, maps that absorb every vector.

    Source: Fleming, Viot (1979) for the replacement, Del Moral, Miclo (2003) for lineages. The spread of the exponents is ours.

    Examples:
        >>> def tripled_or_lost(rng, u):  # one vector in 50 is turned into the cone u < 0
        ...     lost = stratified(rng, len(u)) < 0.02
        ...     return u * np.where(u[:, 0] < 0, 0.5, np.where(lost, -1.0, 3.0))[:, None]
        >>> found = survivors(tripled_or_lost, 1, lambda u: u[:, 0] <= 0, key=jax.random.key(0), population=1_000, steps=500)
        >>> round(found.growth.value, 6) == round(float(np.log(3)), 6), round(found.rate.value, 4), round(-float(np.log(0.98)), 4)
        (True, 0.0202, 0.0202)
    """
    _checked(grow, dim, key, population, steps)
    _check.require(
        absorbed is None or callable(absorbed), "absorbed", "be None or a function of an array (population, dim)", absorbed
    )
    rng = _keys.generator(key)
    u = rng.normal(size=(population, dim))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    recent, halves, means, alive = np.zeros((LAG, population)), np.zeros((2, population)), [], []
    for step in range(-(steps // 5) - LAG, steps):
        means.append(np.mean(recent[step % LAG]))
        moved, length, log = _move(grow, rng, u)
        u = moved / np.where(length > 0, length, 1)[:, None]
        recent[step % LAG] = log
        if step >= 0:
            halves[2 * step // steps] += log
        if absorbed is not None and step % LOOK == 0:
            lost = absorbed(u)
            _check.require(not np.all(lost), "grow", "not absorb all vectors", _check.words("one that does"))
            donors = rng.choice(np.flatnonzero(~lost), np.count_nonzero(lost))
            for numbers in (u.T, recent, halves):
                numbers[:, lost] = numbers[:, donors]
            alive.append(np.log1p(-np.mean(lost)))
    if not np.isfinite(means[-steps:]).all():
        return Survivors(exact(-np.inf), exact(0.0))
    value, error, dof = _batched(np.array(means[-steps:]), corrected=False)
    spread = _spread(*halves) / (steps / 2)
    why = f"the exponents of different vectors, a standard deviation of {spread:.2g}" if spread else ""
    return Survivors(
        Estimate(value, error, dof=dof, bias=spread, why=why), _rate(np.array(alive[-(steps // LOOK) :]), population)
    )


def _rate(alive: np.ndarray, population: int) -> Estimate:
    """Rate of loss from logarithms of the parts of a population that survive `LOOK` steps."""
    if alive.size == 0:
        return exact(0.0)
    value, error, dof = _batched(alive, corrected=True)
    return Estimate((0.0 - value) / LOOK, max(error, 1 / (population * len(alive))) / LOOK, dof=dof)


def _spread(first: np.ndarray, second: np.ndarray) -> float:
    """Standard deviation of what is common to two measurements of each vector, 0 where they are not correlated."""
    if np.ptp(first) <= 1e-9 * np.max(np.abs(first)):  # growth that rounding alone makes different
        return 0.0
    covariance, families = np.cov(first, second), len(np.unique(first))  # copies share what their ancestor had grown
    known = covariance[0, 1] > MEMORY * np.sqrt(covariance[0, 0] * covariance[1, 1] / families)
    return float(np.sqrt(covariance[0, 1])) if known else 0.0


def tail_index(grow: Growth, dim: int, *, key: jax.Array, population: int = 10_000, steps: int = 1_000) -> Estimate:
    """Tail index of the stationary law of `x <- M x + q`: the root alpha > 0 of k(alpha) = 1.

    Newton's steps with short runs, then with runs of full length until a step is below twice the error of log k over its slope; this
    quotient is the standard error of the result.

    Args:
        grow: the law of the maps, see `log_growth`.
        dim: d >= 1.
        key: random key.
        population: vectors, at least 100.
        steps: averaged, at least 500, after a fifth as many that are not.

    Returns:
        alpha. The error falls like `(population * steps)^(-1/2)`.

    Raises:
        ValueError: an argument out of its range, a `grow` that does not give finite vectors, a Lyapunov exponent that is >= 0
            within its error, too small a population for the order alpha, maps that lengthen no vector.

    Source: Kesten (1973) for matrices; the solver is this module's.

    Examples:
        >>> tripled_or_quartered = lambda rng, u: u * np.where(rng.random(len(u)) < 0.5, 3.0, 0.25)[:, None]
        >>> alpha = tail_index(tripled_or_quartered, dim=2, key=jax.random.key(0), population=1_000, steps=500)
        >>> round(alpha.value, 2), alpha.interval[0] < 0.1884 < alpha.interval[1]  # (3^alpha + 4^-alpha) / 2 = 1
        (0.19, True)
    """
    exponent = lyapunov(grow, dim, key=key, population=population, steps=steps)
    text = _check.words(f"one with {exponent.value:.3g} +- {exponent.standard_error:.1g}")
    _check.require(_negative(exponent), "grow", "have a negative Lyapunov exponent (else there is no stationary law)", text)
    return _solved(grow, dim, key, population, steps)


def tail_index_of_step(step_size: float, grow: Growth, dim: int, key: jax.Array, population: int, steps: int) -> Estimate:
    """`tail_index` of a law that depends on a step size, for which a law that is not stationary is a wrong step size."""
    exponent = lyapunov(grow, dim, key=key, population=population, steps=steps)
    text = f"be such that the Lyapunov exponent is < 0 (here {exponent.value:.3g} +- {exponent.standard_error:.1g}: no stationary law)"
    _check.require(_negative(exponent), "step_size", text, step_size)
    return _solved(grow, dim, key, population, steps)


def _negative(exponent: Estimate) -> bool:
    return exponent.value < -2 * exponent.standard_error


def _solved(grow: Growth, dim: int, key: jax.Array, population: int, steps: int) -> Estimate:
    """The root of log k, for maps whose Lyapunov exponent is known to be negative."""
    _checked(grow, dim, key, population, steps)
    s = _root(lambda s: _measured(grow, dim, s, key, population, steps // 4))
    for _ in range(10):
        if s > HIGHEST:
            break
        run = _measured(grow, dim, s, key, population, steps)
        _check.require(run.carriers > SMALLEST, "population", _larger(s), population)
        alpha = _newton(s, run)
        if run.slope > 0 and abs(alpha - s) <= max(2 * run.error / run.slope, 1e-9 * s):
            return Estimate(alpha, run.error / run.slope, dof=run.dof)
        s = alpha
    raise _check.ArgumentError(
        f"Argument `grow` must lengthen vectors often enough: up to order {s:.3g} no root of k(s) = 1 was found."
    )


class _Run(NamedTuple):
    """Log k, its standard error and degrees of freedom, its slope, and the effective number of vectors a step that carry the weight."""

    value: float
    error: float
    dof: int
    slope: float
    carriers: float


def _newton(s: float, run: _Run) -> float:
    """Newton's step for the root of `log k(s) / s`, which increases and is less curved than log k; at most to s / 2 or 3 s / 2."""
    rise = run.slope - run.value / s
    return float(np.clip(s - run.value / rise if rise > 0 else np.inf, s / 2, 1.5 * s))


def _root(measure: Callable[[float], _Run]) -> float:
    """Newton's steps from s = 1 until one is below 3 %; back from orders at which a few vectors carry the weight."""
    s, last = 1.0, 0.0
    for _ in range(25):
        run = measure(s)
        if run.carriers < SMALLEST / 4:
            s = (s + last) / 2
            continue
        last, s = s, _newton(s, run)
        if abs(s - last) < 0.03 * last:
            return s
    return s


def _checked(grow, dim, key, population, steps) -> None:
    _check.require(callable(grow), "grow", "be a function of a numpy generator and an array (population, dim)", grow)
    _check.integer("dim", dim, 1)
    _check.integer("population", population, 100)
    _check.integer("steps", steps, 500)
    _check.random_key("key", key)


def _larger(s: float) -> str:
    return f"be larger (too few vectors carry the weight |M u|^{s:.3g}, and what is rarer is missed)"


def _measured(grow: Growth, dim: int, s: float, key: jax.Array, population: int, steps: int) -> _Run:
    """One run of the population; at s = 0, where nothing is selected, mean logarithms stand for log k."""
    rng = _keys.generator(key)
    u = rng.normal(size=(population, dim))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    means, squares, grown, younger, older = [], [], np.zeros(population), [], []
    for step in range(-(steps // 5), steps):
        moved, length, log = _move(grow, rng, u)
        if s == 0:
            means.append(np.mean(log))
            u = moved / np.where(length > 0, length, 1)[:, None]
            continue
        mean, square, chosen = _select(rng, s * log)
        u = moved[chosen] / length[chosen, None]
        age = step % (2 * AGE) + 1
        grown = log[chosen] if age == 1 else (grown + log)[chosen]
        means.append(mean)
        squares.append(square)
        if age == AGE:
            younger.append(np.mean(grown))
        elif age == 2 * AGE and younger:
            older.append(np.mean(grown))
    slope = (np.mean(older) - np.mean(younger)) / AGE if s > 0 else np.nan
    logs = np.array(means[-steps:])
    # Over all steps together: a step where nothing rare has happened looks as if all vectors carried the weight.
    carriers = population / steps * np.exp(2 * _log_sum(logs) - _log_sum(squares[-steps:])) if s > 0 else np.inf
    return _Run(*_batched(logs, corrected=s > 0), float(slope), float(carriers))


def _move(grow: Growth, rng: np.random.Generator, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """M u, its lengths and their logarithms."""
    moved = grow(rng, u)
    shape = getattr(moved, "shape", None)
    _check.require(shape == u.shape, "grow", f"give an array of shape {u.shape}", _check.words(f"one that gives {shape}"))
    length = np.sqrt(np.einsum("nd,nd->n", moved, moved))
    _check.require(bool(np.isfinite(length).all()), "grow", "give finite vectors", _check.words("one that does not"))
    with np.errstate(divide="ignore"):
        return moved, length, np.log(length)


def _select(rng: np.random.Generator, log_w: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Logs of the mean weight and of the mean squared weight, and the rows that systematic resampling chooses."""
    highest = np.max(log_w)
    _check.require(bool(np.isfinite(highest)), "grow", "not make all vectors 0", _check.words("one that does"))
    w = np.exp(log_w - highest)
    total, count = np.cumsum(w), len(w)
    marks = np.ceil(total * (count / total[-1]) - rng.random()).astype(int)
    marks[-1] = count
    chosen = np.repeat(np.arange(count), np.diff(marks, prepend=0))
    return float(highest + np.log(total[-1] / count)), float(2 * highest + np.log(w @ w / count)), chosen


def _log_sum(logs) -> float:
    return float(np.logaddexp.reduce(logs))


def _batched(means: np.ndarray, corrected: bool) -> tuple[float, float, int]:
    """Mean, its standard error, and degrees of freedom, from means over batches.

    `corrected` adds half the variance v of a batch's sum divided by its length: (size / 2) v, an estimate with the relative variance
    2 / dof.
    """
    size = round(np.sqrt(len(means)))
    count = len(means) // size
    batches = means[-size * count :].reshape(count, size).mean(axis=1)
    with np.errstate(invalid="ignore"):
        v = float(np.var(batches, ddof=1))
    bias = corrected * size * v / 2
    return float(np.mean(batches)) + bias, float(np.sqrt(v / count + 2 * bias**2 / (count - 1))), count - 1
