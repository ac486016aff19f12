"""Tail index of SGD on least squares where inputs are not isotropic: Gaussian of any covariance, or a finite set.

The recursion is that of `recursion`, `x <- ((1 - eta lam) I - (eta / b) sum_{i <= b} a_i a_i^T) x + q`. Growth depends on the
direction, so that there is no integral to solve: the answers come from a population of directions (`random_products`), with their errors.

Source for all: Gurbuzbalaban, Simsekli, Zhu (2021), Theorem 2; for finite sets Pavasovic, Durmus, Simsekli (2023).
"""

import jax
import numpy as np
import scipy

from meanfield import _check
from meanfield._estimate import Estimate, exact
from meanfield.theory import _scalar, random_products, recursion

ROUNDING = 64 * np.finfo(float).eps  # relative, of the squared length of an input


def gaussian_tail_index(
    covariance,
    step_size: float,
    batch_size: int,
    weight_decay: float = 0.0,
    *,
    key: jax.Array,
    population: int = 10_000,
    steps: int = 1_000,
) -> Estimate:
    """Tail index of the stationary law for inputs N(0, C): `P(|x| > t) ~ c t^(-alpha)`, `lim (E |M_n ... M_1|^alpha)^(1/n) = 1`.

    A step draws d + 1 numbers: with C = L L', v = L' u and independent Q ~ chi2_b and xi ~ N(0, I), given u,

        sum_{i <= b} a_i <a_i, u>  ~  L (Q v + sqrt(Q) |v| xi_perp),    xi_perp the part of xi orthogonal to v.

    Args:
        covariance: C, (d, d), symmetric, without negative eigenvalues. Directions without inputs are left out.
        step_size: eta > 0.
        batch_size: b >= 1.
        weight_decay: lam >= 0.
        key: random key of the solver.
        population, steps: of the solver, see `random_products.tail_index`.

    Returns:
        alpha; with standard error 0, by `recursion.tail_index`, if all positive eigenvalues are equal.

    Raises:
        ValueError: an argument out of its range, a step size at which there is no stationary law (or whose Lyapunov exponent
            cannot be told from 0), one so small that the population is too small for alpha.

    Source: as in the head of this module; the law of a step is that of `dynamics.LinearRecursion`.

    Examples:
        >>> round(gaussian_tail_index([[1.0, 0.0], [0.0, 1.0]], step_size=0.5, batch_size=1, key=jax.random.key(0)).value, 9)
        2.0
        >>> found = gaussian_tail_index([[1.0, 0.0], [0.0, 0.5]], 0.5, batch_size=1, key=jax.random.key(0), population=2_000, steps=500)
        >>> bool(abs(found.value - 2.729) < 4 * found.standard_error)
        True
    """
    values, _ = recursion.spectrum(covariance)
    _step(step_size, batch_size, weight_decay)
    if np.ptp(values) <= 1e-12 * values[-1]:
        return exact(recursion.tail_index(step_size, batch_size, len(values), float(np.sqrt(values[-1])), weight_decay))
    m, gain, root = 1 - step_size * weight_decay, step_size / batch_size, np.sqrt(values)

    def grow(rng, u):
        v, xi = u * root, rng.normal(size=u.shape)
        square = np.einsum("nd,nd->n", v, v)
        # A step's growth depends most on Q: its first part is stratified.
        q = scipy.special.ndtri(random_products.stratified(rng, len(u))) ** 2
        if batch_size > 1:
            q = q + 2 * rng.standard_gamma((batch_size - 1) / 2, len(u))
        along = q - np.sqrt(q / square) * np.einsum("nd,nd->n", v, xi)
        return m * u - gain * (along[:, None] * v + np.sqrt(q * square)[:, None] * xi) * root

    return random_products.tail_index_of_step(step_size, grow, len(values), key, population, steps)


def empirical_tail_index(
    inputs,
    step_size: float,
    batch_size: int,
    weight_decay: float = 0.0,
    *,
    key: jax.Array,
    population: int = 10_000,
    steps: int = 1_000,
) -> Estimate:
    """Tail index of the stationary law on a finite set of inputs, with mini-batches drawn with replacement.

    If `eta max |a_i|^2 <= 2 - eta lam` no map lengthens a vector and alpha is infinite: the stationary law has all moments, and below
    equality bounded support. Otherwise a mini-batch that repeats the longest input lengthens it, and alpha is finite, the root of
    `lim (E |M_n ... M_1|^alpha)^(1/n) = 1`. In one dimension with b = 1 it solves, exactly,

        (1/n) sum_i |1 - eta lam - eta a_i^2|^alpha = 1.

    Args:
        inputs: a_i, (n, d). Directions without inputs are left out.
        step_size: eta > 0.
        batch_size: b >= 1.
        weight_decay: lam >= 0.
        key: random key of the solver.
        population, steps: of the solver, see `random_products.tail_index`.

    Returns:
        alpha; with standard error 0 if it is infinite or solves the equation above.

    Raises:
        ValueError: an argument out of its range, a step size at which there is no stationary law (or whose Lyapunov exponent
            cannot be told from 0), one so small that the population is too small for alpha.

    Source: Pavasovic, Durmus, Simsekli (2023) for SGD on finite sets; the equation and the condition are ours. In one dimension with
    b = 1 the index of n inputs drawn from a law with index alpha has standard deviation `(Var |M|^alpha / n)^(1/2) / h'(alpha)`.

    Examples:
        >>> key = jax.random.key(0)
        >>> round(empirical_tail_index([[1.0], [3.0**0.5]], 1.0, batch_size=1, key=key).value, 9)  # (0^alpha + 2^alpha) / 2 = 1
        1.0
        >>> empirical_tail_index([[0.5], [1.0]], step_size=1.0, batch_size=2, key=key).value
        inf
    """
    a = _check.finite("inputs", inputs, (2,)).astype(np.float64)
    _step(step_size, batch_size, weight_decay)
    _, singular, rows = np.linalg.svd(a, full_matrices=False)
    _check.require(singular[0] > 0, "inputs", "not be 0", inputs)
    a = a @ rows[singular > 1e-7 * singular[0]].T
    m, gain, (count, dim) = 1 - step_size * weight_decay, step_size / batch_size, a.shape
    squares = np.sum(a**2, axis=1)
    # Up to the rounding of the squares: an excess below it is none.
    if m >= -1 and step_size * np.max(squares) <= (1 + m) * (1 + ROUNDING):
        return exact(np.inf)
    if dim == batch_size == 1:
        return exact(_one_dimension(np.abs(m - step_size * squares), step_size))

    def grow(rng, u):
        moved = m * u
        for _ in range(batch_size):
            batch = a[(count * random_products.stratified(rng, len(u))).astype(int)]
            moved = moved - gain * np.einsum("nd,nd->n", batch, u)[:, None] * batch
        return moved

    return random_products.tail_index_of_step(step_size, grow, dim, key, population, steps)


def _one_dimension(growth: np.ndarray, step_size: float) -> float:
    """Root of `mean(growth^s) = 1` for numbers of which one is above 1."""
    with np.errstate(divide="ignore"):
        logs = np.log(growth)
    exponent = float(np.mean(logs))
    text = f"be such that the Lyapunov exponent is < 0 (here {exponent:.3g}: no stationary law)"
    _check.require(exponent < 0, "step_size", text, step_size)

    def slope(s):
        if s * np.max(logs) < 0.5:  # without cancellation for small s
            return float(np.mean(np.expm1(s * logs))) / s
        return float(scipy.special.logsumexp(s * logs) - np.log(len(logs))) / s

    lower = upper = 1.0
    while slope(upper) < 0:
        upper *= 2
    while slope(lower) >= 0:
        lower /= 2
    return _scalar.root(slope, lower, upper)


def _step(step_size, batch_size, weight_decay) -> None:
    _scalar.positive("step_size", step_size)
    _check.integer("batch_size", batch_size, 1)
    _scalar.nonnegative("weight_decay", weight_decay)
