"""Stationary law of SGD on least squares with isotropic Gaussian inputs: when it exists, and how heavy its tail is.

The recursion is `x <- ((1 - eta lam) I - (eta / b) H) x + q`, `H = sum_{i <= b} a_i a_i^T`, `a_i ~ N(0, sigma^2 I_d)` fresh in
every step. By rotation invariance a step multiplies the length of any vector by the square root of

    Q = (m - A X)^2 + A^2 X Y = m^2 (1 - B) + B (m - A T)^2,    m = 1 - eta lam,  A = eta sigma^2 / b,

where X ~ chi2_b and Y ~ chi2_{d-1} are independent, hence so are T = X + Y ~ chi2_{b+d-1} and B = X / T ~ Beta(b/2, (d-1)/2).
The tail index alpha solves `h(alpha) = E Q^(alpha/2) = 1`; it exists if and only if `rho = E log Q / 2 < 0`.

Source for all: Gurbuzbalaban, Simsekli, Zhu (2021), Theorem 2 (Kesten's theorem for SGD) and its section on Gaussian inputs.
The weight decay `lam` and the form of Q with (B, T), which makes the integrals easy, are ours.
"""

import math

import numpy as np

from meanfield import _check
from meanfield.theory import _recursion_quadrature, _scalar


def moment(s: float, step_size: float, batch_size: int, dim: int, sigma: float = 1.0, weight_decay: float = 0.0) -> float:
    """Moment h(s) = E Q^(s/2) of the growth in one step: `E |x_k - x'_k|^s = h(s)^k E |x_0 - x'_0|^s` for chains with equal data.

    Args:
        s: order, >= 0.
        step_size: eta > 0.
        batch_size: b >= 1, samples a step.
        dim: d >= 1, dimension of the inputs.
        sigma: standard deviation of an input's coordinate, > 0.
        weight_decay: lam >= 0.

    Returns:
        h(s), to about 1e-12 relative; inf beyond the range of float64.

    Raises:
        ValueError: an argument out of its range.

    Source: Gurbuzbalaban, Simsekli, Zhu (2021), h(s) for Gaussian inputs; the equality for every s holds because Q is
    independent of x.

    Examples:
        >>> round(moment(2.0, 0.5, batch_size=1, dim=1), 12)  # 1 - 2 eta + eta^2 (d + b + 1) / b
        0.75
    """
    _scalar.nonnegative("s", s)
    arguments = _recursion_quadrature.checked(step_size, batch_size, dim, sigma, weight_decay)
    with np.errstate(over="ignore"):
        return float(np.exp(_recursion_quadrature.log_moment(float(s), _recursion_quadrature.nodes(*arguments, float(s)))))


def lyapunov(step_size: float, batch_size: int, dim: int, sigma: float = 1.0, weight_decay: float = 0.0) -> float:
    """Top Lyapunov exponent rho = E log Q / 2: log |x_k| / k tends to it if it is > 0; if it is < 0 there is a stationary law.

    Args:
        step_size: eta > 0.
        batch_size: b >= 1.
        dim: d >= 1.
        sigma: standard deviation of an input's coordinate, > 0.
        weight_decay: lam >= 0.

    Returns:
        rho, to about 1e-13 absolute.

    Raises:
        ValueError: an argument out of its range.

    Source: Gurbuzbalaban, Simsekli, Zhu (2021), rho for Gaussian inputs.

    Examples:
        >>> round(lyapunov(1.0, batch_size=1, dim=1, weight_decay=1.0), 6)  # - (Euler's gamma + log 2)
        -1.270363
    """
    return _recursion_quadrature.slope(
        0.0, _recursion_quadrature.nodes(*_recursion_quadrature.checked(step_size, batch_size, dim, sigma, weight_decay), 0.0)
    )


def tail_index(step_size: float, batch_size: int, dim: int, sigma: float = 1.0, weight_decay: float = 0.0) -> float:
    """Tail index of the stationary law: `P(|x| > t) ~ c t^(-alpha)`, the root alpha > 0 of h(alpha) = 1.

    Args:
        step_size: eta > 0.
        batch_size: b >= 1.
        dim: d >= 1.
        sigma: standard deviation of an input's coordinate, > 0.
        weight_decay: lam >= 0.

    Returns:
        alpha.

    Raises:
        ValueError: an argument out of its range; a step size at which there is no stationary law.

    Source: Gurbuzbalaban, Simsekli, Zhu (2021), Theorem 2.

    Examples:
        >>> round(tail_index(2 / 3, batch_size=1, dim=1), 9), round(tail_index(0.8, batch_size=1, dim=1), 4)
        (2.0, 1.5464)
    """
    arguments = _recursion_quadrature.checked(step_size, batch_size, dim, sigma, weight_decay)
    if _recursion_quadrature.slope(0.0, _recursion_quadrature.nodes(*arguments, 0.0)) >= 0:
        maximal = maximal_step_size(batch_size, dim, sigma, weight_decay)
        must = f"be below {maximal:.5g} (Lyapunov exponent 0: beyond there is no stationary law)"
        _check.require(False, "step_size", must, step_size)
    upper, growth = max(2.0, 1.8 / arguments[1]), 1.0  # alpha tends to 1.79556 b / (eta sigma^2) for small step sizes
    while True:
        nodes = _recursion_quadrature.nodes(*arguments, upper)
        excess = _recursion_quadrature.log_moment(upper, nodes)
        if excess < 0:
            upper, growth = upper * (1 + growth), 2 * growth
            continue
        alpha = _scalar.root(lambda s, nodes=nodes: _recursion_quadrature.slope(s, nodes), 0.0, upper)
        if excess < 5:  # else the nodes, chosen for the moment of order `upper`, may miss what matters at alpha
            return alpha
        growth = 1e-6 / max(1.0, _recursion_quadrature.log_moment(alpha * (1 + 1e-6), nodes))
        upper = alpha * (1 + growth)


def critical_step_size(batch_size: int, dim: int, sigma: float = 1.0, weight_decay: float = 0.0) -> float:
    """Step size at which the second moment becomes infinite, alpha = 2: `2 b / (sigma^2 (d + b + 1))` without weight decay.

    With weight decay `2 (lam + sigma^2) / (lam^2 + 2 lam sigma^2 + sigma^4 (d + b + 1) / b)`, the root of h(2) = 1.

    Args:
        batch_size: b >= 1.
        dim: d >= 1.
        sigma: standard deviation of an input's coordinate, > 0.
        weight_decay: lam >= 0.

    Returns:
        The step size.

    Raises:
        ValueError: an argument out of its range.

    Source: Gurbuzbalaban, Simsekli, Zhu (2021), threshold alpha = 2 for Gaussian inputs; with weight decay ours.

    Examples:
        >>> critical_step_size(batch_size=10, dim=9)
        1.0
    """
    _recursion_quadrature.checked(1.0, batch_size, dim, sigma, weight_decay)
    second = weight_decay**2 + 2 * weight_decay * sigma**2 + sigma**4 * (dim + batch_size + 1) / batch_size
    return float(2 * (weight_decay + sigma**2) / second)


def maximal_step_size(batch_size: int, dim: int, sigma: float = 1.0, weight_decay: float = 0.0) -> float:
    """Step size at which the Lyapunov exponent is 0: above it there is no stationary law, just below it alpha tends to 0.

    Args:
        batch_size: b >= 1.
        dim: d >= 1.
        sigma: standard deviation of an input's coordinate, > 0.
        weight_decay: lam >= 0. The step size multiplies it too.

    Returns:
        The step size, the first root of rho above the critical one, where rho < 0 by Jensen's inequality.

    Raises:
        ValueError: an argument out of its range.

    Source: Gurbuzbalaban, Simsekli, Zhu (2021), condition rho < 0 of Theorem 2.

    Examples:
        >>> round(maximal_step_size(batch_size=1, dim=1), 6), round(maximal_step_size(batch_size=1, dim=100), 6)
        (2.42125, 0.019631)
    """

    def exponent(step_size):
        return lyapunov(step_size, batch_size, dim, sigma, weight_decay)

    lower = critical_step_size(batch_size, dim, sigma, weight_decay)
    upper = 1.1 * lower
    while exponent(upper) < 0:
        lower, upper = upper, 1.5 * upper
    return _scalar.root(exponent, lower, upper)


def step_size_for(alpha: float, batch_size: int, dim: int, sigma: float = 1.0, weight_decay: float = 0.0) -> float:
    """Step size at which the stationary law has tail index alpha: the inverse of `tail_index`.

    The window of step sizes with alpha in (0, 2) closes like 4 (b + 2) / d^2 (relative) as d grows, so choose alpha, not the
    step size.

    Args:
        alpha: tail index, > 0.
        batch_size: b >= 1.
        dim: d >= 1.
        sigma: standard deviation of an input's coordinate, > 0.
        weight_decay: lam >= 0.

    Returns:
        The step size.

    Raises:
        ValueError: an argument out of its range.

    Source: Gurbuzbalaban, Simsekli, Zhu (2021), Theorem 2, solved for eta. The root is bracketed by Jensen's inequality: it
    lies below the critical step size for alpha > 2, between this and the maximal one for alpha < 2. For alpha >= 1 it is the
    only one, since h(alpha) is then convex in eta.

    Examples:
        >>> round(step_size_for(2.0, batch_size=1, dim=2), 12), round(step_size_for(4.0, batch_size=1, dim=2), 12)
        (0.5, 0.333333333333)
    """
    _scalar.positive("alpha", alpha)
    alpha = float(alpha)

    def growth(step_size):
        return _recursion_quadrature.log_moment(
            alpha,
            _recursion_quadrature.nodes(*_recursion_quadrature.checked(step_size, batch_size, dim, sigma, weight_decay), alpha),
        )

    critical = critical_step_size(batch_size, dim, sigma, weight_decay)
    if alpha == 2:
        return critical
    if alpha > 2:
        lower, upper = critical / 2, critical
        while growth(lower) >= 0:
            lower, upper = lower / 2, lower
    else:
        lower, upper = critical, maximal_step_size(batch_size, dim, sigma, weight_decay)
    return _scalar.root(growth, lower, upper)


def second_moment(step_size: float, batch_size: int, dim: int, sigma: float = 1.0, noise_std: float = 1.0) -> float:
    """Stationary `E |x - x*|^2 = eta d s^2 / (2 b - eta sigma^2 (d + b + 1))` with labels `<a, x*> + s g`; no weight decay.

    Args:
        step_size: eta > 0.
        batch_size: b >= 1.
        dim: d >= 1.
        sigma: standard deviation of an input's coordinate, > 0.
        noise_std: s >= 0, standard deviation of the label noise, which is independent of the inputs.

    Returns:
        The second moment; inf at the critical step size and beyond.

    Raises:
        ValueError: an argument out of its range.

    Source: `E |q|^2 / (1 - h(2))`, q = (eta / b) sum_i a_i s g_i, with h(2) of Gurbuzbalaban, Simsekli, Zhu (2021).

    Examples:
        >>> second_moment(0.5, batch_size=1, dim=1), second_moment(0.7, batch_size=1, dim=1)
        (1.0, inf)
    """
    _recursion_quadrature.checked(step_size, batch_size, dim, sigma, 0.0)
    _scalar.nonnegative("noise_std", noise_std)
    room = 2 * batch_size - step_size * sigma**2 * (dim + batch_size + 1)
    return float(step_size * dim * noise_std**2 / room) if room > 0 else math.inf


def homogenized_bounds(covariance, step_size: float, batch_size: int, weight_decay: float = 0.0) -> tuple[float, float]:
    """Bounds of the tail index alpha, `P(|X| > t) ~ c t^(-alpha)`, of the stationary law of homogenised SGD.

    Far from the optimum, `dX = -gamma (H + delta) X dt + gamma (X' H X / b)^(1/2) H^(1/2) dB`. With the unit vector e = X / |X| and
    h = e' H e the generator gives

        L |x|^p = p |x|^p (gamma^2 h^2 / 2b) (p - phi(h)),    phi(h) = 2 + (2b / gamma - Tr H) / h + 2 b delta / (gamma h^2),

    so that moments of an order below all phi(h) are finite, and of an order above all of them infinite, h between the smallest and
    the largest eigenvalue h_1 of H. And along the first eigenvector X has at least the noise that its own square makes, a Pearson
    diffusion:

        min phi(h) <= alpha <= min(max phi(h), 1 + 2 b (h_1 + delta) / (gamma h_1^2)).

    Both are `2 - d + 2 b (h_1 + delta) / (gamma h_1^2)` for isotropic inputs.

    Args:
        covariance: H, (d, d), symmetric, without negative eigenvalues: the second moment of the inputs.
        step_size: gamma > 0.
        batch_size: b >= 1.
        weight_decay: delta >= 0.

    Returns:
        The lower bound, 0 where there is none, and the upper bound.

    Raises:
        ValueError: an argument out of its range, a step size at which there is no stationary law for sure (an upper bound <= 0).

    Source: the diffusion is that of Paquette et al. (2022), with a ridge Jiao, Keller-Ressel (2024), who compare it with Pearson
    diffusions; the bounds in this form are ours. Directions without inputs are left out: nothing random happens there.

    Examples:
        >>> homogenized_bounds([[1.0]], step_size=0.5, batch_size=1), homogenized_bounds([[1.0, 0.0], [0.0, 0.5]], 0.5, 1)
        ((5.0, 5.0), (4.5, 5.0))
    """
    values = spectrum(covariance)[0]
    _scalar.positive("step_size", step_size)
    _check.integer("batch_size", batch_size, 1)
    _scalar.nonnegative("weight_decay", weight_decay)
    room, ridge = 2 * batch_size / step_size - values.sum(), 2 * batch_size * weight_decay / step_size
    h = [values[0], values[-1]]
    if room < 0 and values[0] < -2 * ridge / room < values[-1]:
        h.append(-2 * ridge / room)  # where phi is smallest
    phi = [2 + room / v + ridge / v**2 for v in h]
    must = f"be smaller (the tail index would be below {max(phi):.3g}: there is no stationary law)"
    _check.require(max(phi) > 0, "step_size", must, step_size)
    pearson = 1 + 2 * batch_size * (values[-1] + weight_decay) / (step_size * values[-1] ** 2)
    return float(max(0.0, min(phi))), float(min(max(phi), pearson))


def spectrum(covariance) -> tuple[np.ndarray, np.ndarray]:
    """Positive eigenvalues (r,) of a covariance, in increasing order, and their eigenvectors, the columns of (d, r).

    Args:
        covariance: (d, d), symmetric, without negative eigenvalues.

    Raises:
        ValueError: not such a matrix, or 0.

    Examples:
        >>> spectrum([[0.0, 0.0], [0.0, 4.0]])[0].tolist()
        [4.0]
    """
    matrix = _check.finite("covariance", covariance, (2,)).astype(np.float64)
    shape = _check.words(f"an array of shape {matrix.shape}")
    _check.require(matrix.shape[0] == matrix.shape[1], "covariance", "have as many rows as columns", shape)
    _check.require(np.allclose(matrix, matrix.T, rtol=1e-6, atol=0), "covariance", "be symmetric", covariance)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    small = 1e-7 * np.max(np.abs(values))  # single precision makes eigenvalues of this size
    ok = values[0] >= -small and values[-1] > 0
    _check.require(
        bool(ok), "covariance", "have no negative eigenvalue, and a positive one", _check.words(f"with {values[0]:.3g}")
    )
    return values[values > small], vectors[:, values > small]
