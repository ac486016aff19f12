"""Solvable mean-field limits: the linear toy, and the radial flow of Mei, Montanari and Nguyen."""

import functools
from dataclasses import dataclass

import numpy as np
import scipy

from meanfield import _check
from meanfield.theory import _scalar


@dataclass(frozen=True)
class LinearToy:
    """Stationary law of the linear toy.

    Args:
        variance: of one neuron.
        correlation: between two neurons.
        mean_variance: of the mean of all neurons.
    """

    variance: float
    correlation: float
    mean_variance: float


def linear_toy(
    step_size: float,
    weight_decay: float,
    noise_variance: float,
    batch_size: int = 1,
    width: float = np.inf,
    minibatches: str = "shared",
) -> LinearToy:
    """Stationary law of N numbers that fit pure noise by their mean, `w_k <- w_k - gamma ((mean(w) - y_k) + lam w_k)`.

    y_k has mean 0 and variance v = `noise_variance / batch_size`; it is the same for all k (shared mini-batches) or each neuron's
    own. The mean contracts by c = 1 - gamma (1 + lam), deviations from it by e = 1 - gamma lam:

        shared:       Var(mean) = gamma^2 v / (1 - c^2), deviations vanish, correlation 1
        independent:  Var(mean) = gamma^2 v / N / (1 - c^2), Var(deviation) = gamma^2 v (1 - 1/N) / (1 - e^2), correlation O(1/N)

    Args:
        step_size: gamma > 0.
        weight_decay: lam > 0.
        noise_variance: of one label, > 0.
        batch_size: labels a mini-batch.
        width: N >= 2, or infinity.
        minibatches: "shared" or "independent".

    Raises:
        ValueError: a number out of its range, a step at which there is no stationary law.

    Source: ours, after De Bortoli, Durmus, Fontaine, Simsekli (2020): their beta = 1 with F(w, x) = w, squared loss and a ridge.

    Examples:
        >>> toy = linear_toy(0.1, 1.0, 1.0, minibatches="independent")
        >>> round(toy.variance, 6), toy.correlation, linear_toy(0.1, 1.0, 1.0).correlation
        (0.052632, 0.0, 1.0)
    """
    for name, value in {"step_size": step_size, "weight_decay": weight_decay, "noise_variance": noise_variance}.items():
        _scalar.positive(name, value)
    _check.integer("batch_size", batch_size, at_least=1)
    ok = isinstance(width, int | float | np.number) and (width == np.inf or (width >= 2 and width % 1 == 0))
    _check.require(ok, "width", "be an integer >= 2, or infinity", width)
    _check.choice("minibatches", minibatches, ("shared", "independent"))
    must = f"be below {2 / (1 + weight_decay):g}: from there on there is no stationary law"
    _check.require(step_size * (1 + weight_decay) < 2, "step_size", must, step_size)
    kick = step_size**2 * noise_variance / batch_size
    of_mean = 1 - (1 - step_size * (1 + weight_decay)) ** 2
    if minibatches == "shared":
        return LinearToy(kick / of_mean, 1.0, kick / of_mean)
    mean = kick / width / of_mean
    deviation = kick * (1 - 1 / width) / (1 - (1 - step_size * weight_decay) ** 2)
    return LinearToy(mean + deviation, (mean - deviation / (width - 1)) / (mean + deviation), mean)


def response(tau):
    """`q(tau) = E sigma(tau G)`, G ~ N(0, 1), for the activation of the radial flow; its derivative is `response_slope`.

    sigma is -2.5 up to 0.5, 7.5 from 1.5 on, and linear between: `q = -2.5 + 10 (E (tau G - 0.5)_+ - E (tau G - 1.5)_+)`.

    Args:
        tau: numbers >= 0.

    Raises:
        ValueError: a negative number, NaN.

    Source: Mei, Montanari, Nguyen (2018), activation of the isotropic Gaussian example;
    `E (tau G - c)_+ = tau phi(c / tau) - c P(G > c / tau)`.

    Examples:
        >>> float(response(0.0)), round(float(response(1.0)), 6), round(float(response(1e6)), 4)
        (-2.5, -0.815102, 2.5)
    """
    _check.nonnegative("tau", tau)
    return _response(tau)


def _response(tau):
    """`response`, even in tau: a step of a solver may go a little below 0."""
    tau = np.maximum(np.abs(np.asarray(tau, float)), 0.02)  # constant to the last digit below
    excess = lambda c: tau * scipy.stats.norm.pdf(c / tau) - c * scipy.stats.norm.sf(c / tau)  # noqa: E731
    return -2.5 + 10 * (excess(0.5) - excess(1.5))


def response_slope(tau):
    """`q'(tau) = 10 (phi(0.5 / tau) - phi(1.5 / tau))`; see `response`.

    Examples:
        >>> round(float(response_slope(1.0)), 6)
        2.225477
    """
    _check.nonnegative("tau", tau)
    return _response_slope(tau)


def _response_slope(tau):
    tau = np.maximum(np.abs(np.asarray(tau, float)), 0.02)  # constant to the last digit below
    return 10 * (scipy.stats.norm.pdf(0.5 / tau) - scipy.stats.norm.pdf(1.5 / tau))


@dataclass(frozen=True)
class RadialFlow:
    """Solution of the radial flow.

    Args:
        times: (T,).
        risks: R at these times, (T,).
        radii: radii of the atoms at these times, (T, m).
    """

    times: np.ndarray
    risks: np.ndarray
    radii: np.ndarray


def radial_risk(radii, delta: float) -> float:
    """Risk of a radial law: `R = (1 - mean q((1+D) r))^2 / 2 + (1 + mean q((1-D) r))^2 / 2`, D = delta.

    The data are `y = +-1`, `x | y ~ N(0, (1 + y D)^2 I_d)`, the network is the mean of sigma(<w, x>) over weights of independent
    directions and the given radii |w|, and d = infinity: then sigma(<w, x>) and sigma(<w', x>) are independent given y.

    Args:
        radii: radii of atoms of equal mass, (m,).
        delta: D in (0, 1).

    Returns:
        `E (y - f(x))^2`.

    Raises:
        ValueError: a negative or NaN radius, delta outside (0, 1).

    Source: Mei, Montanari, Nguyen (2018), centred isotropic Gaussians; our re-derivation, in the limit of infinite dimension.

    Examples:
        >>> round(radial_risk([0.8], 0.8), 5)
        1.64451
    """
    radii = _checked(radii, delta)
    plus, minus = (float(np.mean(_response((1 + sign * delta) * radii))) for sign in (1, -1))
    return 0.5 * (1 - plus) ** 2 + 0.5 * (1 + minus) ** 2


def radial_flow(radii, delta: float, times) -> RadialFlow:
    """Gradient flow of the risk over radial laws, the mean-field PDE of the example reduced to one dimension.

    `dr/dt = -2 psi'(r)`, `psi(r) = (Q_+ - 1) q((1+D) r) / 2 + (Q_- + 1) q((1-D) r) / 2`, with Q the means of q over the law. SGD on
    the loss |y - f|^2 / 2 with step size eta of a neuron follows it with time `eta / 2` a step.

    Args:
        radii: radii at time 0 of atoms of equal mass, (m,): quantiles of the law at the start.
        delta: D in (0, 1).
        times: increasing times, the first >= 0, (T,).

    Returns:
        `RadialFlow`, to a relative accuracy of about 1e-8.

    Raises:
        ValueError: as in `radial_risk`; times that do not increase.

    Source: Mei, Montanari, Nguyen (2018), distributional dynamics with xi = 1, followed along its characteristics.

    Examples:
        >>> radial_flow([0.8], 0.8, [0.0, 0.1, 1.0]).risks.round(5).tolist()
        [1.64451, 1.31639, 1.06186]
    """
    radii, times = _checked(radii, delta), np.asarray(_check.finite("times", times, ndim=(1,)), float)
    ok = bool(times[0] >= 0 and np.all(np.diff(times) > 0))
    _check.require(ok, "times", "be increasing numbers >= 0", times)
    up, down = 1 + delta, 1 - delta

    def velocity(_, r):
        plus = np.mean(_response(up * r)) - 1
        minus = np.mean(_response(down * r)) + 1
        return -(plus * up * _response_slope(up * r) + minus * down * _response_slope(down * r))

    end = max(times[-1], 1e-12)
    flow = scipy.integrate.solve_ivp(
        velocity, (0, end), radii, t_eval=np.minimum(times, end), rtol=1e-9, atol=1e-11, method="LSODA"
    )
    at = flow.y.T
    return RadialFlow(times, np.array([radial_risk(np.maximum(r, 0), delta) for r in at]), at)


def minimal_risk(delta: float) -> float:
    """Least risk of any radial law: half the squared distance of (1, -1) from the convex hull of `r -> (q((1+D) r), q((1-D) r))`.

    Args:
        delta: D in (0, 1).

    Returns:
        The least risk, to about 1e-9; 0 from `zero_risk_threshold()` on.

    Raises:
        ValueError: delta outside (0, 1).

    Source: as in `radial_risk`.

    Examples:
        >>> round(minimal_risk(0.2), 5), minimal_risk(0.6)
        (0.34115, 0.0)
    """
    _scalar.between("delta", delta, 0, 1)
    # The distance is that to the farthest supporting line between the point and the hull.
    return 0.5 * max(0.0, -_margin(float(delta))) ** 2


@functools.cache
def zero_risk_threshold() -> float:
    """Least delta at which a radial law has risk 0: `(u - v) / (u + v)` with `q(u) = 1` and `q(v) = -1`.

    There the curve `r -> (q((1+D) r), q((1-D) r))` itself passes through (1, -1): one radius does it. Below, the point lies outside
    the convex hull (see `minimal_risk`), above inside.

    Source: Mei, Montanari, Nguyen (2018) report a threshold of about 0.47 in infinite dimension; the digits are ours.

    Examples:
        >>> round(zero_risk_threshold(), 6)
        0.474219
    """
    u, v = (_scalar.root(lambda tau, to=to: float(_response(tau)) - to, 0.1, 10.0) for to in (1.0, -1.0))
    return (u - v) / (u + v)


def _margin(delta: float) -> float:
    """Least over unit vectors n of `max_r <n, curve(r) - (1, -1)>`: negative outside the hull (minus the distance), else positive."""
    grid = np.concatenate([np.linspace(0, 20, 4001), np.geomspace(20, 1e6, 400)[1:]])

    def curve(r):
        return np.stack([_response((1 + delta) * r) - 1, _response((1 - delta) * r) + 1])

    points = curve(grid)

    def support(angle: float) -> float:
        n = np.array([np.cos(angle), np.sin(angle)])
        along = n @ points
        best = int(np.argmax(along))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
        options = {"xatol": 1e-11 * max(1.0, high)}
        polished = scipy.optimize.minimize_scalar(
            lambda r: -float(n @ curve(r)), bounds=(low, high), method="bounded", options=options
        )
        return max(float(along[best]), -float(polished.fun))

    angles = np.linspace(0, 2 * np.pi, 361)
    coarse = np.max(np.stack([np.cos(angles), np.sin(angles)], axis=1) @ points, axis=1)
    best = angles[int(np.argmin(coarse))]
    step = angles[1]
    found = scipy.optimize.minimize_scalar(support, bounds=(best - step, best + step), method="bounded", options={"xatol": 1e-12})
    return float(found.fun)


def _checked(radii, delta: float) -> np.ndarray:
    radii = np.asarray(_check.finite("radii", radii, ndim=(1,)), float)
    _check.require(bool(np.all(radii >= 0)), "radii", "be >= 0", _check.words("an array with negative entries"))
    _scalar.between("delta", delta, 0, 1)
    return radii
