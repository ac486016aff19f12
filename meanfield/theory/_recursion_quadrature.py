"""Quadrature for the law of Q = m^2 (1 - B) + B (m - A T)^2, T ~ chi2_{b+d-1} and B ~ Beta(b/2, (d-1)/2) independent.

Q vanishes only at T = z = m / A, B = 1. So T is integrated over (0, z) and (z, inf), and every variable is mapped to the real
line by a logarithm of its distance to the ends: there integrands are analytic in a strip and decay exponentially, singular or
not, and the trapezoid rule converges exponentially. The steps are those for the Gamma and Beta functions with the exponents in
question.
"""

import functools

import numpy as np
import scipy

from meanfield import _check
from meanfield.theory import _scalar

LIMIT = 20_000_000  # nodes
EXTREME = 1e75  # of the numbers of a step
MARGIN = 42.0  # what lies below exp(-MARGIN) of the maximum is left out


def checked(step_size, batch_size, dim, sigma, weight_decay) -> tuple[float, float, int, int]:
    """Check the arguments of the recursion and return m, A, b, d."""
    _scalar.positive("step_size", step_size)
    _check.integer("batch_size", batch_size, 1)
    _check.integer("dim", dim, 1)
    _scalar.positive("sigma", sigma)
    _scalar.nonnegative("weight_decay", weight_decay)
    with np.errstate(over="ignore"):
        gain = np.float64(step_size) * np.float64(sigma) ** 2 / int(batch_size)
        m = 1 - np.float64(step_size) * np.float64(weight_decay)
    # Squares of both are needed, and ratios of them.
    must = f"be such that step_size sigma^2 / batch_size lies between {1 / EXTREME:g} and {EXTREME:g}"
    _check.require(bool(1 / EXTREME <= gain <= EXTREME), "sigma", must, sigma)
    _check.require(bool(abs(m) <= EXTREME), "weight_decay", f"be at most {EXTREME:g} / step_size", weight_decay)
    return float(m), float(gain), int(batch_size), int(dim)


@functools.lru_cache(maxsize=8)
def nodes(m: float, gain: float, batch: int, dim: int, s: float) -> tuple[np.ndarray, np.ndarray]:
    """Log Q and log weights, good for moments E Q^(r/2) with 0 <= r <= s and for E log Q."""
    _small(130 / _step(s + (batch + dim) / 2), gain * batch, s)
    split = m > 0 and dim < max(40, batch)  # else P(B near 1) is so small that the zero of Q is not felt
    gap, log_t = _chi_square(m / gain, batch + dim - 1, s, split)
    moved = np.maximum((gain * gap) ** 2, 1e-300)
    logit, log_b = _beta(batch / 2, (dim - 1) / 2, s) if dim > 1 else (np.array([np.inf]), np.zeros(1))

    def grid(rows, columns):
        part, rest = scipy.special.expit(logit[rows, None]), scipy.special.expit(-logit[rows, None])
        log_q = np.log(m**2 * rest + part * moved[columns])
        log_w = log_b[rows, None] + log_t[columns]
        return log_q, log_w, log_w + s / 2 * log_q

    _small(len(logit) / 64 * len(moved), gain * batch, s)
    highest = np.max(grid(slice(None, None, 8), slice(None, None, 8))[2])
    bound = log_t + s / 2 * np.log(np.maximum(m**2, moved))  # above log_w + s / 2 log Q for every B
    columns = (log_t > np.max(log_t) - MARGIN) | (bound > highest - MARGIN)
    _small(len(logit) * float(np.sum(columns)), gain * batch, s)
    log_q, log_w, tilted = grid(slice(None), columns)
    keep = (log_w > np.max(log_w) - MARGIN) | (tilted > np.max(tilted) - MARGIN)
    return log_q[keep], log_w[keep]


def log_moment(s: float, law: tuple[np.ndarray, np.ndarray]) -> float:
    """Log E Q^(s/2)."""
    log_q, log_w = law
    return float(scipy.special.logsumexp(log_w + s / 2 * log_q))


def slope(s: float, law: tuple[np.ndarray, np.ndarray]) -> float:
    """Log E Q^(s/2) / s, continued to E log Q / 2 at s = 0: increasing in s, without cancellation near 0."""
    log_q, log_w = law
    if s == 0:
        return float(np.exp(log_w) @ log_q) / 2
    if s > 1:
        return log_moment(s, law) / s
    return float(np.log1p(np.exp(log_w) @ np.expm1(s / 2 * log_q))) / s


def _chi_square(z: float, k: int, s: float, split: bool) -> tuple[np.ndarray, np.ndarray]:
    """T - z and log weights for T ~ chi2_k, from nodes that crowd at z if `split`."""
    tail = 2 * MARGIN / k + 15 / np.sqrt(k)  # length of the lower tail in log T
    top = 2 * (s + k) + 30 * np.sqrt(s + k) + 5 * MARGIN
    fine = _step(s + k / 2)
    if not split:
        if z > 0 and s > 0:  # at a peak of T^(k/2) e^(-T/2) |T - z|^s the exponent curves more than without z
            middle = (k + z) / 2 + s
            peaks = middle + np.array([-1, 1]) * np.sqrt(middle**2 - k * z)
            fine = _step(min(float(np.max(peaks / 2 + s * z * peaks / (peaks - z) ** 2)), 4 * (s + k / 2)))
            top += z
        u = np.arange(np.log(k) - tail, np.log(top), fine)
        t = np.exp(u)
        return t - z, _normalised(k / 2 * u - t / 2 + np.log(fine))
    coarse = _step(k / 2)
    w = np.arange(min(0.0, np.log(k / z)) - tail, MARGIN, coarse)  # T = z expit(w)
    below, rest = scipy.special.log_expit(w), scipy.special.log_expit(-w)
    left = k / 2 * (np.log(z) + below) + rest - z * np.exp(below) / 2 + np.log(coarse)
    u = np.arange(min(0.0, np.log(z)) - MARGIN, np.log(top), fine)  # T = z + e^u
    y = np.exp(u)
    right = (k / 2 - 1) * np.log(z + y) + u - (z + y) / 2 + np.log(fine)
    return np.concatenate([-z * np.exp(rest), y]), _normalised(np.concatenate([left, right]))


def _beta(a: float, c: float, s: float) -> tuple[np.ndarray, np.ndarray]:
    """Logit of B and log weights for B ~ Beta(a, c)."""
    total = a + c + s / 2  # the factor Q^(s/2) adds up to s / 2 to either exponent
    part = float(np.clip(total / 2, a, a + s / 2))
    step = max(_step(part * (total - part) / total), 1.1 / np.sqrt(total + 4))
    spread = 10 * np.sqrt(1 / a + 1 / c)
    logit = np.arange(np.log(a / (c + s / 2)) - MARGIN / a - spread, np.log((a + s / 2) / c) + MARGIN / c + spread, step)
    return logit, _normalised(a * scipy.special.log_expit(logit) + c * scipy.special.log_expit(-logit))


def _small(size: float, step_size: float, s: float) -> None:
    must = f"be larger (moments of order {s:.3g}, as its tail index has, need too many nodes)"
    _check.require(size <= LIMIT, "step_size", must, _check.words(f"{step_size:.3g} / sigma^2"))


def _step(n: float) -> float:
    """Step for e^(n u - e^u): the trapezoid rule's error |Gamma(n + 2 pi i / step)| / Gamma(n) is below 1e-16."""
    return 0.67 / np.sqrt(n + 7)


def _normalised(log_w: np.ndarray) -> np.ndarray:
    """Subtract the log of the sum."""
    return log_w - scipy.special.logsumexp(log_w)
