"""Lyapunov exponent of a small neuron: whether neurons of a two-layer network collapse to 0, given the residuals.

A neuron theta = (w, a) near 0, both layers trained, moves by random maps that are homogeneous of degree 1 given the residuals
r_i = dl/df(x_i). For ReLU that is the whole step, `network.relu_steps`. A smooth activation with act(0) = 0 has, with c = act'(0),

    w <- (1 - eta lam) w - (eta/b) c sum_i <a, r_i> x_i,    a <- (1 - eta lam) a - (eta/b) c sum_i <w, x_i> r_i.

|theta| grows or decays like exp(gamma n). gamma is the Lyapunov exponent per step, and 0 attracts the neuron if gamma < 0.

- **Mini-batches** are drawn with replacement. Whether neurons share them does not matter here: the law of the maps of one neuron, and
  so gamma, is the same.
- **Dead neurons.** A ReLU neuron that is off on every example decays by the ridge alone, and no step revives it. Other neurons fall
  into this cone, so that in the long run the exponent of all neurons would be that of dead ones. `exponent` is that of a neuron given
  that it is alive, `death_rate` the rate at which such neurons die, `dead_exponent` the exponent of dead ones.
- **Several exponents.** ReLU maps can have several cones that no neuron leaves, with an exponent each. `exponent` is then a mean over
  random directions at the start, and `bias` of the `Estimate` is the standard deviation of the exponents. Where the two largest
  exponents of the maps are equal, as in one dimension with residuals that are symmetric, the solver converges like steps^(-1/2) only.
- **Residuals are given.** Those of one moment usually have a mean gradient, which lets small neurons grow. For a run at rest use the
  mean residuals of many moments, as for `network.tail_index`, or the residuals of many moments, each with its input. With shared
  mini-batches and large steps the residuals answer to the last mini-batches, are not independent of the next map, and the prediction
  need not even have the right sign.
- **Momentum** is that of `optax.sgd`, with the ridge in the gradient: `v <- momentum v + gradient + lam theta`,
  `theta <- theta - eta v`. That is `optax.chain(optax.add_decayed_weights(lam), optax.sgd(eta, momentum))` in `dynamics.Optax`.
  Its velocity can bring back a neuron that is off on every example. Only a neuron that stays off for ever counts as dead.

With one input component and one output everything is a sum over mini-batches. The lines spanned by (w, a) = (1, 1) and (1, -1) are
mapped onto themselves, with the factors `1 - eta lam -+ (eta/b) c sum_i r_i x_i`.

Source: products of random maps: Furstenberg, Kesten (1960), Kesten (1973). Collapse by noise: Chen, Kunin, Yamamura, Ganguli (2023),
whose criterion is `diffusion_criterion`. The sums, the conditioning on being alive and the boundary are ours.
"""

import itertools
from collections.abc import Callable
from typing import Any, cast

import jax
import numpy as np
import scipy

from meanfield import _check
from meanfield._estimate import Estimate, exact
from meanfield.theory import _scalar, network, random_products

MOST = 1_000_000  # examples in all different mini-batches together, which are summed over one by one
STEEPEST = 1e4  # index at 0 up to which a root is looked for


def dead_exponent(step_size: float, weight_decay: float, momentum: float = 0.0) -> float:
    """Exponent of a neuron that is off on every example: `log |1 - eta lam|`, the ridge alone.

    With momentum mu it is the logarithm of the larger modulus of the roots of `z^2 - (1 + mu - eta lam) z + mu = 0`.

    Args:
        step_size: eta > 0, the step of one neuron.
        weight_decay: lam >= 0.
        momentum: mu in [0, 1).

    Returns:
        The exponent; -inf if one step takes the neuron to 0.

    Raises:
        ValueError: an argument out of its range.

    Source: the companion matrix of the step.

    Examples:
        >>> dead_exponent(0.5, weight_decay=1.0) == float(np.log(0.5)), dead_exponent(0.5, weight_decay=0.0)
        (True, 0.0)
        >>> round(dead_exponent(0.5, weight_decay=1.0, momentum=0.81), 9) == round(float(np.log(0.9)), 9)  # complex roots
        True
    """
    _scalar.positive("step_size", step_size)
    _scalar.nonnegative("weight_decay", weight_decay)
    _momentum(momentum)
    largest = max(abs(z) for z in _roots(step_size * weight_decay, momentum))
    return float(np.log(largest)) if largest > 0 else -np.inf


def exponent(
    inputs,
    residuals,
    step_size: float,
    batch_size: int,
    weight_decay: float = 0.0,
    *,
    activation: str | float = "relu",
    momentum: float = 0.0,
    key: jax.Array,
    population: int = 10_000,
    steps: int = 1_000,
) -> Estimate:
    """Lyapunov exponent per step of a small neuron, given that it is alive: `lim (1/n) E[log |theta_n| / |theta_0| given alive at n]`.

    With one input component, one output, a smooth activation and no momentum, the exponent is the larger one of the two lines,

        gamma = max over both signs of E log |1 - eta lam -+ (eta/b) c sum_{i <= b} r_i x_i|.

    Args:
        inputs: x_i, (n, dim).
        residuals: r_i = dl/df at f(x_i), (n, outputs): f - y for squared loss, softmax(f) - one-hot label for cross-entropy.
        step_size: eta > 0, the step of one neuron.
        batch_size: b >= 1, drawn with replacement.
        weight_decay: lam >= 0, on both layers.
        activation: "relu", or the slope c at 0 of a smooth activation with act(0) = 0, 1 for tanh.
        momentum: mu in [0, 1).
        key: random key of the solver.
        population, steps: of the solver, see `random_products.survivors`.

    Returns:
        gamma; with standard error 0 from the sum above if its mini-batches hold at most `MOST` examples together. -inf if a map makes
        a neuron 0.

    Raises:
        ValueError: an argument out of its range, inputs on which every neuron is dead.

    Source: this module's.

    Examples:
        >>> key = jax.random.key(0)
        >>> found = exponent([[1.0]], [[0.5]], step_size=0.2, batch_size=1, activation=1.0, key=key)
        >>> round(found.value, 9) == round(float(np.log(1.1)), 9), found.standard_error  # a -> -w, along which the loss falls
        (True, 0.0)
        >>> x, r = [[1.0], [1.0]], [[1.0], [-0.5]]  # neurons that stay alive have w > |a|: half_line_exponents
        >>> found = exponent(x, r, step_size=0.5, batch_size=1, key=key, population=1_000, steps=500)
        >>> round(found.value, 6), round(float(np.log(1.5 * 0.75) / 2), 6)
        (0.058892, 0.058892)
    """
    x, r = _examples(inputs, residuals)
    _step(step_size, batch_size, weight_decay)
    _momentum(momentum)
    slope = _slope(activation)
    if slope is not None and x.shape[1] == r.shape[1] == 1 and momentum == 0:
        drawn = _mini_batches(slope * x[:, 0] * r[:, 0], batch_size)
        if drawn is not None:
            return exact(max(_mean_log(f, drawn[1]) for f in _factors(drawn[0], step_size, weight_decay)))
    law = steps_near_zero(x, r, step_size, batch_size, weight_decay, activation=activation, momentum=momentum)
    dead = None
    if slope is None:
        _some_alive(x)
        dead = _dead(x, step_size * weight_decay, momentum)
    return random_products.survivors(*law, dead, key=key, population=population, steps=steps).growth


def death_rate(
    inputs,
    residuals,
    step_size: float,
    batch_size: int,
    weight_decay: float = 0.0,
    *,
    momentum: float = 0.0,
    key: jax.Array,
    population: int = 10_000,
    steps: int = 1_000,
) -> Estimate:
    """Rate per step at which small ReLU neurons that have long been alive die: `-lim (1/n) log P(alive at step n)`.

    Neurons that start in random directions die faster at first. The rate is 0 if some cone keeps its neurons alive for ever.

    Args:
        inputs, residuals, step_size, batch_size, weight_decay, momentum, key, population, steps: as in `exponent`.

    Returns:
        The rate. With a momentum at which dead neurons oscillate, or with `eta lam > 1`, none is dead for ever and the rate is 0.

    Raises:
        ValueError: an argument out of its range, inputs on which every neuron is dead.

    Source: this module's.

    Examples:
        >>> x, r = [[1.0], [1.0], [1.0]], [[0.0], [3.0], [-3.0]]  # on both lines one factor of three is negative: w < 0, and dead
        >>> found = death_rate(x, r, step_size=0.5, batch_size=1, key=jax.random.key(0), population=5_000, steps=500)
        >>> bool(abs(found.value - np.log(1.5)) < 4 * found.standard_error)
        True
    """
    x, r = _examples(inputs, residuals)
    law = steps_near_zero(x, r, step_size, batch_size, weight_decay, momentum=momentum)
    _some_alive(x)
    dead = _dead(x, step_size * weight_decay, momentum)
    return random_products.survivors(*law, dead, key=key, population=population, steps=steps).rate


def steps_near_zero(
    inputs,
    residuals,
    step_size: float,
    batch_size: int,
    weight_decay: float = 0.0,
    *,
    activation: str | float = "relu",
    momentum: float = 0.0,
) -> tuple[random_products.Growth, int]:
    """The law of the steps of a small neuron, for the solvers of `random_products`, and the length of its vector.

    With momentum the vector is (theta, eta v), twice as long.

    Args:
        inputs, residuals, step_size, batch_size, weight_decay, activation, momentum: as in `exponent`.

    Raises:
        ValueError: an argument out of its range.

    Examples:
        >>> grow, dim = steps_near_zero([[1.0]], [[0.5]], step_size=0.2, batch_size=1, activation=1.0)
        >>> dim, grow(np.random.default_rng(0), np.array([[1.0, 0.0], [-1.0, 0.0]])).tolist()
        (2, [[1.0, -0.1], [-1.0, 0.1]])
    """
    x, r = _examples(inputs, residuals)
    _step(step_size, batch_size, weight_decay)
    _momentum(momentum)
    slope = _slope(activation)
    if slope is None and momentum == 0:
        return network.relu_steps(x, r, step_size, batch_size, weight_decay)
    dim = x.shape[1] + r.shape[1]

    def gradient(neurons, rows):
        if slope is None:
            return network.relu_gradient(neurons, x[rows], r[rows])
        w, a = neurons[:, : x.shape[1]], neurons[:, x.shape[1] :]
        pull, z = (np.einsum("nd,nd->n", u, v)[:, None] for u, v in ((a, r[rows]), (w, x[rows])))
        return slope * np.hstack([pull * x[rows], z * r[rows]])

    def grow(rng, u):
        neurons = u[:, :dim]
        moved = step_size * weight_decay * neurons
        for _ in range(batch_size):
            rows = (len(x) * random_products.stratified(rng, len(u))).astype(int)
            moved = moved + step_size / batch_size * gradient(neurons, rows)
        if momentum == 0:
            return u - moved
        velocity = momentum * u[:, dim:] + moved
        return np.hstack([neurons - velocity, velocity])

    return grow, dim if momentum == 0 else 2 * dim


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
    products = _one_dimension(inputs, residuals)
    _step(step_size, batch_size, weight_decay)
    found = []
    for side in (1, -1):
        means, chance = _summed(np.where(side * np.ravel(inputs) > 0, products, 0), batch_size)
        factors = _factors(means, step_size, weight_decay)
        must = "be such that no step takes a neuron with |w| > |a| across 0: all factors 1 - eta lam -+ eta mean(r_i x_i) > 0"
        _check.require(min(np.min(f) for f in factors) > 0, "step_size", must, step_size)
        found.append(max(_mean_log(f, chance) for f in factors))
    return np.array(found)


def quadratic_exponent(step_size: float, weight_decay: float, noise_std: float = 1.0) -> float:
    """Exponent of neurons with quadratic activation that fit pure noise: `E log |1 - eta lam + eta s g x^2|`, g, x ~ N(0, 1).

    The network is that of `network.quadratic_tail_index` with offset c = 0. With an offset, which is added in every step, the neurons
    do not collapse, and the exponent must be negative for a stationary law.

    Args:
        step_size: eta > 0, the step of one neuron.
        weight_decay: lam >= 0.
        noise_std: s > 0.

    Returns:
        The exponent, to about 1e-10; the derivative at 0 of `network.quadratic_growth`.

    Raises:
        ValueError: an argument out of its range.

    Source: ours. The mean over g is half that of the logarithm of a noncentral chi-square variable, a Poisson mixture; that over x is a
    trapezoid sum in log |x|.

    Examples:
        >>> round(quadratic_exponent(0.2, weight_decay=1.0), 6)
        -0.268097
    """
    _scalar.positive("step_size", step_size)
    _scalar.nonnegative("weight_decay", weight_decay)
    _scalar.positive("noise_std", noise_std)
    m, gain = abs(1 - step_size * weight_decay), step_size * noise_std
    u = np.arange(-45.0, 15.0, 0.02)
    w = np.exp(u - np.exp(2 * u) / 2)
    kept = w > 0
    scale = np.log(gain) + 2 * u[kept]  # log of gain x^2
    return float(w[kept] @ (scale + _mean_log_normal(m * np.exp(-scale))) / np.sum(w[kept]))


def boundary(
    inputs,
    residuals,
    batch_size: int,
    step_sizes,
    *,
    activation: str | float = "relu",
    momentum: float = 0.0,
    key: jax.Array,
    population: int = 10_000,
    steps: int = 1_000,
) -> Estimate:
    """Collapse boundary: for each step size the ridge at which the exponent of a small neuron, given that it is alive, falls below 0.

    Without momentum `gamma(eta, lam) = log m + gamma(eta / m, 0)` with `m = 1 - eta lam > 0`. The exponent falls with the ridge unless
    it grows faster with the step size than its logarithm, as it can where steps take a neuron across 0. The ridge is raised by a half
    until the exponent is negative, and the root lies in the last interval. All ridges use the same random numbers.

    Args:
        inputs, residuals, batch_size, activation, momentum, key, population, steps: as in `exponent`.
        step_sizes: eta > 0, a number or (S,).

    Returns:
        The ridges, of the shape of `step_sizes`: 0 where the exponent is not positive without a ridge, infinite where no ridge up to
        1 / eta makes it negative (for ReLU up to `(1 - momentum^(1/2))^2 / eta`, from where on dead neurons oscillate). Standard error
        and `bias` are those of the exponent over its slope in the ridge.

    Raises:
        ValueError: an argument out of its range.

    Source: this module's.

    Examples:
        >>> x, r = [[1.0], [1.0]], [[1.0], [-0.8]]  # (m + eta) (m - .8 eta) = 1 on the boundary
        >>> found = boundary(x, r, 1, [0.1, 0.2], activation=1.0, key=jax.random.key(0))
        >>> found.value.round(4).tolist(), found.standard_error.tolist()
        ([0.0596, 0.0196], [0.0, 0.0])
    """
    x, r = _examples(inputs, residuals)
    sizes = _check.finite("step_sizes", step_sizes, (0, 1)).astype(np.float64)
    _check.positive("step_sizes", sizes)
    _step(1.0, batch_size, 0.0)
    _momentum(momentum)
    end = (1 - momentum**0.5) ** 2 if _slope(activation) is None else 1.0
    solver: dict[str, Any] = {
        "activation": activation,
        "momentum": momentum,
        "key": key,
        "population": population,
        "steps": steps,
    }
    found = [
        _root(lambda ridge, eta=eta: exponent(x, r, float(eta), batch_size, ridge, **solver), float(eta), 0.999 * end / eta)
        for eta in sizes.ravel()
    ]
    value, error, bias, dof = (np.array(part).reshape(sizes.shape) for part in zip(*found, strict=True))
    why = "the exponents of different neurons" if np.any(bias > 0) else ""
    if sizes.ndim == 0:
        return Estimate(float(value), float(error), dof=float(dof), bias=float(bias), why=why)
    return Estimate(value, error, dof=float(np.min(dof)), bias=float(np.max(bias)), why=why)


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
    products = _one_dimension(inputs, residuals)
    _step(step_size, batch_size, weight_decay)
    c = _scalar_slope(slope)
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
    products = _one_dimension(inputs, residuals)
    _step(step_size, batch_size, weight_decay)
    means, chance = _summed(_scalar_slope(slope) * products, batch_size)
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


# -- checks ---------------------------------------------------------------------------------------------------------------


def _examples(inputs, residuals) -> tuple[np.ndarray, np.ndarray]:
    x = _check.finite("inputs", inputs, (2,)).astype(np.float64)
    r = _check.finite("residuals", residuals, (2,)).astype(np.float64)
    text = _check.words(f"an array of shape {r.shape}")
    _check.require(len(r) == len(x), "residuals", f"have {len(x)} rows, one for each input", text)
    return x, r


def _one_dimension(inputs, residuals) -> np.ndarray:
    """The products r_i x_i of examples with one input component and one output, (n,)."""
    x, r = _examples(inputs, residuals)
    for name, value in (("inputs", x), ("residuals", r)):
        _check.require(value.shape[1] == 1, name, "have one column", _check.words(f"an array of shape {value.shape}"))
    return x[:, 0] * r[:, 0]


def _step(step_size, batch_size, weight_decay) -> None:
    _scalar.positive("step_size", step_size)
    _check.integer("batch_size", batch_size, 1)
    _scalar.nonnegative("weight_decay", weight_decay)


def _momentum(momentum) -> None:
    _check.number("momentum", momentum, "be a number in [0, 1)", lambda v: (v >= 0) & (v < 1))


def _slope(activation) -> float | None:
    """Slope at 0 of a smooth activation; None for ReLU."""
    if isinstance(activation, str) and activation == "relu":
        return None
    must = "be 'relu', or a number: the slope at 0 of a smooth activation with act(0) = 0"
    return _check.number("activation", activation, must, lambda v: v == v)


def _scalar_slope(slope) -> float:
    return _check.number("slope", slope, "be a number", lambda v: v == v)


def _some_alive(x: np.ndarray) -> None:
    _check.require(bool(np.any(x)), "inputs", "not be 0", _check.words("an array of zeros, on which every neuron is dead"))


# -- steps ----------------------------------------------------------------------------------------------------------------


def _roots(ridge: float, momentum: float) -> np.ndarray:
    """Roots of `z^2 - (1 + mu - ridge) z + mu`, the larger one last where both are real."""
    middle = (1 + momentum - ridge) / 2
    return middle + np.sqrt(complex(middle**2 - momentum)) * np.array([-1, 1])


def _dead(x: np.ndarray, ridge: float, momentum: float) -> Callable[[np.ndarray], np.ndarray] | None:
    """Which vectors (theta, eta v) are off on every example for ever; None if dead neurons change their sign.

    A dead neuron has `w_n = A z_1^n + B z_2^n` with the roots z_1 >= z_2. Where both are real and not negative, <w_n, x> / z_1^n moves from
    <A + B, x> to <A, x> without turning back, so that it stays off if both ends are.
    """
    low, high = _roots(ridge, momentum)
    if abs(high.imag) > 0 or low.real < -1e-12:
        return None
    x, dim = np.unique(x, axis=0), x.shape[1]

    def dead(u: np.ndarray) -> np.ndarray:
        w = u[:, :dim]
        off = np.all(w @ x.T <= 0, axis=1)
        if momentum > 0:
            velocity = u[:, u.shape[1] // 2 :][:, :dim]
            end = (1 - ridge - low.real) * w - momentum * velocity
            off &= np.all(end @ x.T <= 0, axis=1)
        return off

    return dead


# -- one dimension --------------------------------------------------------------------------------------------------------


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


def _mean_log_normal(mean: np.ndarray) -> np.ndarray:
    """`E log |g + mean|` for g ~ N(0, 1) and numbers >= 0."""
    found, z = np.empty_like(mean), mean**2 / 2
    near = z < 50
    j = np.arange(200.0)[:, None]
    poisson = np.exp(scipy.special.xlogy(j, z[near]) - z[near] - scipy.special.gammaln(j + 1))
    found[near] = (np.sum(poisson * scipy.special.digamma(0.5 + j), axis=0) + np.log(2)) / 2
    # Far from 0 the moments of log(1 + g / mean), as long as they fall.
    term, far = np.ones(np.count_nonzero(~near)), np.log(mean[~near])
    for k in range(1, 25):
        term = term * (2 * k - 1) / (2 * z[~near])
        far = far - term / (2 * k)
    found[~near] = far
    return found


# -- the boundary ---------------------------------------------------------------------------------------------------------


def _root(gamma: Callable[[float], Estimate], step_size: float, highest: float) -> tuple[float, float, float, float]:
    """Ridge at which `gamma` falls below 0, its standard error, its bias and the degrees of freedom."""
    first = gamma(0.0)
    if first.value <= 0:
        return 0.0, 0.0, 0.0, first.dof
    low, high = 0.0, min(first.value / step_size, highest)
    while gamma(high).value > 0:
        if high == highest:
            return np.inf, 0.0, 0.0, first.dof
        low, high = high, min(1.5 * high, highest)
    of = lambda ridge: float(np.clip(gamma(ridge).value, -1e3, 1e3))  # noqa: E731  -inf has a sign as well
    tolerance = max(0.02 * first.standard_error / step_size, 1e-14 * high)
    solution: Any = scipy.optimize.root_scalar(of, bracket=(low, high), method="brentq", xtol=tolerance, rtol=1e-14)
    ridge = float(solution.root)
    found = gamma(ridge)
    if found.standard_error == found.bias == 0:
        return ridge, 0.0, 0.0, found.dof
    near = 0.9 * ridge, min(1.1 * ridge, highest)
    slope = abs(gamma(near[0]).value - gamma(near[1]).value) / (near[1] - near[0])
    return ridge, found.standard_error / slope, found.bias / slope, found.dof
