"""Exponent of small neurons that are alive, the rate at which they die, and the ridge at which the exponent is 0."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import scipy

from meanfield import _check, _keys
from meanfield._estimate import Estimate
from meanfield.theory import random_products
from meanfield.theory.collapse import _arguments, lines
from meanfield.theory.collapse.steps import dead_for_ever, steps_near_zero


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
        population, steps: of the solver, see `random_products.survivors`. A neuron may see one example alone, which comes once in
            n / b steps: take several times as many where n is large, or the exponent is that of the first steps.

    Returns:
        gamma; from the formula above where it holds, with standard error 0 if its mini-batches hold at most a million examples together,
        else from a sample of them. -inf if a map makes a neuron 0.

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
    x, r = _arguments.examples(inputs, residuals)
    _arguments.step(step_size, batch_size, weight_decay)
    _arguments.momentum(momentum)
    _check.random_key("key", key)
    slope = _arguments.slope(activation)
    if slope is not None and x.shape[1] == r.shape[1] == 1 and momentum == 0:
        return lines.exponent_of_lines(slope * x[:, 0] * r[:, 0], step_size, batch_size, weight_decay, _keys.generator(key))
    return _survivors(x, r, step_size, batch_size, weight_decay, activation, momentum, key, population, steps).growth


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
    x, r = _arguments.examples(inputs, residuals)
    return _survivors(x, r, step_size, batch_size, weight_decay, "relu", momentum, key, population, steps).rate


def _survivors(
    x: np.ndarray, r: np.ndarray, step_size, batch_size, weight_decay, activation, momentum, key, population, steps
) -> random_products.Survivors:
    """What the solver finds: the steps of a small neuron, absorbed by the dead ones of ReLU."""
    law = steps_near_zero(x, r, step_size, batch_size, weight_decay, activation=activation, momentum=momentum)
    dead = None
    if activation == "relu":
        _arguments.some_alive(x)
        dead = dead_for_ever(x, step_size * weight_decay, momentum)
    try:
        return random_products.survivors(*law, dead, key=key, population=population, steps=steps)
    except _check.ArgumentError as error:
        if "must not absorb" not in str(error):
            raise
        must = f"be such that some neurons stay alive, which all die at the step size {step_size:g}"
        raise _check.ArgumentError(f"Argument `weight_decay` must {must}, but is {weight_decay:g}.") from None


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
    x, r = _arguments.examples(inputs, residuals)
    sizes = _check.finite("step_sizes", step_sizes, (0, 1)).astype(np.float64)
    _check.positive("step_sizes", sizes)
    _arguments.step(1.0, batch_size, 0.0)
    _arguments.momentum(momentum)
    _check.random_key("key", key)
    end = (1 - momentum**0.5) ** 2 if _arguments.slope(activation) is None else 1.0
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
