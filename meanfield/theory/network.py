"""Tail index of the neurons of a two-layer network, from the multiplicative noise that its mini-batches make.

A neuron's gradient noise is the residual times the gradient of `a act(<w, x>)`. It is multiplicative, proportional to the neuron,
where this product is homogeneous of degree 2: then, with the residuals r = dl/df given, a step of SGD maps neurons by random maps
that are homogeneous of degree 1, and Kesten's equation has the tail index.
"""

import jax
import numpy as np
import scipy

from meanfield import _check
from meanfield._estimate import Estimate
from meanfield.theory import _scalar, random_products


def quadratic_tail_index(step_size: float, weight_decay: float, noise_std: float = 1.0) -> float:
    """Tail index of neurons with quadratic activation that fit pure noise: the root alpha > 0 of an expectation.

    The network is `f(x) = mean_i a_i (w_i x + c)^2 / 2` with fixed a_i = +-1 in balance and an offset c != 0, x ~ N(0, 1) in one
    dimension, targets `s g`, g ~ N(0, 1), squared loss, mini-batches of one example, each neuron's own. While f is near 0 the
    residual is the label noise, a step is `w <- (1 - eta lam) w +- eta s g x (w x + c)`, and

        E |1 - eta lam + eta s g x^2|^alpha = 1,    P(|w| > t) ~ C t^(-alpha).

    For alpha near 2 or below f does not stay near 0: the fluctuations of mean(a w^2) are then those of a sum with index alpha / 2.

    Args:
        step_size: eta > 0, the step of one neuron.
        weight_decay: lam > 0, with eta lam < 2.
        noise_std: s > 0.

    Returns:
        alpha, to about 1e-9.

    Raises:
        ValueError: an argument out of its range, a step size at which there is no stationary law.

    Source: ours, with Kesten (1973). The expectation over g is a confluent hypergeometric function, that over x a trapezoid sum in
    log |x|.

    Examples:
        >>> round(quadratic_tail_index(0.2, weight_decay=1.0), 3), round(quadratic_tail_index(0.3, weight_decay=1.0), 3)
        (3.452, 2.726)
    """
    for name, value in {"step_size": step_size, "weight_decay": weight_decay, "noise_std": noise_std}.items():
        _scalar.positive(name, value)
    m, gain = 1 - step_size * weight_decay, step_size * noise_std
    _check.require(
        abs(m) < 1, "step_size", f"be below {2 / weight_decay:g}, where the ridge alone makes the weights diverge", step_size
    )
    exponent = _quadratic_growth(1e-4, m, gain) / 1e-4  # decreases to the Lyapunov exponent as the order does
    must = f"be such that the Lyapunov exponent is < 0 (here {exponent:.3g}: no stationary law)"
    _check.require(exponent < 0, "step_size", must, step_size)
    upper = 1.0
    while _quadratic_growth(upper, m, gain) < 0:
        upper *= 1.5
    return _scalar.root(lambda s: _quadratic_growth(s, m, gain) / s, 1e-4, upper)


def quadratic_growth(s: float, m: float, gain: float) -> float:
    """`log E |m + gain g x^2|^s` for independent normal g and x, s > 0.

    Args:
        s: order.
        m, gain: numbers, gain > 0.

    Returns:
        The logarithm, to about 1e-12.

    Examples:
        >>> round(quadratic_growth(2.0, 0.8, 0.2), 12), round(float(np.log(0.8**2 + 0.2**2 * 3)), 12)  # E x^4 = 3
        (-0.274436845702, -0.274436845702)
    """
    _scalar.positive("s", s)
    _check.number("m", m, "be a number", lambda v: v == v)
    _scalar.positive("gain", gain)
    return _quadratic_growth(s, m, gain)


def _quadratic_growth(s: float, m: float, gain: float) -> float:
    step = min(0.03, 0.3 / np.sqrt(s + 8))
    u = np.arange(-45.0, np.log(12 + 3 * np.sqrt(2 * s + 1)), step)
    log_w = u - np.exp(2 * u) / 2 + np.log(step) + np.log(2 / np.pi) / 2
    c = gain * np.exp(2 * u)
    z = m**2 / (2 * c**2)
    # E |m + c g|^s = c^s 2^(s/2) Gamma((1 + s) / 2) / sqrt(pi) exp(-z) 1F1((1 + s)/2; 1/2; z)
    near = z < min(50 + s, 600)
    log = np.empty_like(u)
    scale = s / 2 * np.log(2) + scipy.special.gammaln((1 + s) / 2) - np.log(np.pi) / 2
    log[near] = s * np.log(c[near]) + scale - z[near] + np.log(scipy.special.hyp1f1((1 + s) / 2, 0.5, z[near]))
    # Far from 0 the moments of m + c g are those of the series in c / m, cut where its terms are negligible.
    log[~near] = s * np.log(max(abs(m), 1e-300)) + np.log(_series(s, z[~near]))
    return float(np.logaddexp.reduce(log_w + log) - np.logaddexp.reduce(log_w))


def _series(s: float, z: np.ndarray) -> np.ndarray:
    """`E |1 + g / sqrt(2 z)|^s`, the asymptotic series 2F0(-s/2, (1 - s)/2; 1/z) for z >= 50 + s."""
    term, total = np.ones_like(z), np.ones_like(z)
    for k in range(40 + int(s)):
        term = term * (k - s / 2) * (k + (1 - s) / 2) / ((k + 1) * z)
        total = total + term
    return total


def tail_index(
    inputs,
    residuals,
    step_size: float,
    batch_size: int,
    weight_decay: float = 0.0,
    *,
    key: jax.Array,
    population: int = 10_000,
    steps: int = 1_000,
) -> Estimate:
    """Tail index of the neurons (w, a) of a ReLU network with both layers trained, given the residuals of its examples.

    A step of SGD in mean-field scaling, with mini-batches of each neuron's own, drawn with replacement, moves one neuron by

        w <- (1 - eta lam) w - (eta/b) sum_i 1[<w, x_i> > 0] <a, r_i> x_i,    a <- (1 - eta lam) a - (eta/b) sum_i max(<w, x_i>, 0) r_i

    which is homogeneous of degree 1 in (w, a). alpha > 0 solves `lim (E |M_n ... M_1|^alpha)^(1/n) = 1`.

    What is assumed: residuals stay as they are. In training they move with the neurons, above all once alpha is near 2, where the
    network itself, a mean of squares, has no law of large numbers any more. And something must be added in every step, such as the noise
    of `dynamics.Langevin`: the map alone, which adds nothing, shrinks all neurons to 0 if it has an index at all. Without it a predictor
    that stays, a mean of functions of degree 2, asks for k(2) = 1, whatever the step: alpha = 2, and no law of the neurons that stays.

    Args:
        inputs: x_i, (n, dim).
        residuals: r_i = dl/df at f(x_i), (n, outputs): f - y for squared loss, softmax(f) - one-hot label for cross-entropy.
        step_size: eta > 0, the step of one neuron.
        batch_size: b >= 1.
        weight_decay: lam >= 0, on both layers. Without it neurons that no example activates stay as they are, and there is no index.
        key: random key of the solver.
        population, steps: of the solver, see `random_products.tail_index`.

    Returns:
        alpha.

    Raises:
        ValueError: an argument out of its range, a step size at which there is no stationary law (or whose Lyapunov exponent
            cannot be told from 0), one so small that the population is too small for alpha.

    Source: ours. The step is that of `dynamics.SGD` on `TwoLayer("relu")` with independent noise.

    Examples:
        >>> x, r = np.array([[1.0], [1.0], [-1.0], [-1.0]]), np.array([[2.0], [-2.0], [2.0], [-2.0]])
        >>> found = tail_index(x, r, step_size=0.5, batch_size=1, weight_decay=1.0, key=jax.random.key(0), population=2_000, steps=500)
        >>> exact = 3.2107  # .5^alpha / 2 + (.5^alpha + 1.5^alpha) / 4 = 1
        >>> bool(abs(found.value - exact) < 4 * found.standard_error)
        True
    """
    grow, dim = relu_steps(inputs, residuals, step_size, batch_size, weight_decay)
    return random_products.tail_index_of_step(step_size, grow, dim, key, population, steps)


def relu_steps(
    inputs, residuals, step_size: float, batch_size: int, weight_decay: float = 0.0
) -> tuple[random_products.Growth, int]:
    """The law of the steps in `tail_index`, for `log_growth` and `lyapunov` of `random_products`, and the length of a neuron's vector.

    Args:
        inputs, residuals, step_size, batch_size, weight_decay: as in `tail_index`.

    Raises:
        ValueError: an argument out of its range.

    Examples:
        >>> grow, dim = relu_steps([[1.0]], [[0.5]], step_size=0.2, batch_size=1)
        >>> dim, grow(np.random.default_rng(0), np.array([[1.0, 0.0], [-1.0, 0.0]])).tolist()
        (2, [[1.0, -0.1], [-1.0, 0.0]])
    """
    x = _check.finite("inputs", inputs, (2,)).astype(np.float64)
    r = _check.finite("residuals", residuals, (2,)).astype(np.float64)
    _check.require(
        len(r) == len(x), "residuals", f"have {len(x)} rows, one for each input", _check.words(f"an array of shape {r.shape}")
    )
    _scalar.positive("step_size", step_size)
    _check.integer("batch_size", batch_size, 1)
    _scalar.nonnegative("weight_decay", weight_decay)

    def grow(rng, u):
        moved = (1 - step_size * weight_decay) * u
        for _ in range(batch_size):
            rows = (len(x) * random_products.stratified(rng, len(u))).astype(int)
            moved = moved - step_size / batch_size * _relu_gradient(u, x[rows], r[rows])
        return moved

    return grow, x.shape[1] + r.shape[1]


def relu_gradient(neurons: np.ndarray, x: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Mean-field gradient `(1[<w, x> > 0] <a, r> x, max(<w, x>, 0) r)` of neurons (w, a), each on an example of its own.

    Args:
        neurons: (N, dim + outputs).
        x: inputs, (N, dim).
        r: residuals, (N, outputs).

    Returns:
        The gradient, (N, dim + outputs).

    Raises:
        ValueError: arrays that do not fit together, NaN or infinite entries.

    Examples:
        >>> relu_gradient(np.array([[2.0, 3.0], [-2.0, 3.0]]), np.ones((2, 1)), np.ones((2, 1))).tolist()
        [[3.0, 2.0], [0.0, 0.0]]
    """
    neurons, x, r = (_check.finite(name, v, (2,)) for name, v in {"neurons": neurons, "x": x, "r": r}.items())
    must = f"have one row for each of {len(neurons)} neurons"
    for name, value in {"x": x, "r": r}.items():
        _check.require(len(value) == len(neurons), name, must, _check.words(f"an array of shape {value.shape}"))
    length = x.shape[1] + r.shape[1]
    shape = _check.words(f"an array of shape {neurons.shape}")
    _check.require(neurons.shape[1] == length, "neurons", f"have {length} columns, those of `x` and `r` together", shape)
    return _relu_gradient(neurons, x, r)


def _relu_gradient(neurons: np.ndarray, x: np.ndarray, r: np.ndarray) -> np.ndarray:
    """`relu_gradient` of arrays that are checked already."""
    w, a = neurons[:, : x.shape[1]], neurons[:, x.shape[1] :]
    z = np.einsum("nd,nd->n", w, x)
    pull = np.where(z > 0, np.einsum("nk,nk->n", a, r), 0)
    return np.hstack([pull[:, None] * x, np.maximum(z, 0)[:, None] * r])
