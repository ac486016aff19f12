"""One step of a small neuron, and the neurons that no step revives."""

from collections.abc import Callable

import numpy as np

from meanfield.theory import _scalar, network, random_products
from meanfield.theory.collapse import _arguments


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
    _arguments.momentum(momentum)
    largest = max(abs(z) for z in _roots(step_size * weight_decay, momentum))
    return float(np.log(largest)) if largest > 0 else -np.inf


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
    x, r = _arguments.examples(inputs, residuals)
    _arguments.step(step_size, batch_size, weight_decay)
    _arguments.momentum(momentum)
    slope = _arguments.slope(activation)
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


def dead_for_ever(x: np.ndarray, ridge: float, momentum: float) -> Callable[[np.ndarray], np.ndarray] | None:
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


def _roots(ridge: float, momentum: float) -> np.ndarray:
    """Roots of `z^2 - (1 + mu - ridge) z + mu`, the larger one last where both are real."""
    middle = (1 + momentum - ridge) / 2
    return middle + np.sqrt(complex(middle**2 - momentum)) * np.array([-1, 1])
