"""The law of S = |X_1|^p + ... + |X_dim|^p on a grid."""

import math

import numpy as np
import scipy

from meanfield import _check
from meanfield.theory._absolute import AbsoluteLaw, GammaLaw, Panels

COARSE, FINEST = 2**14, 2**20  # points of the first and of the last grid
TILT, ROOM = 5.0, 4  # masses are taken times exp(-TILT) at the end, so that sums beyond ROOM ends fold back times exp(-TILT ROOM)
ENOUGH = 1e-6  # relative change by another halving of the grid, three times the error that it leaves
LEAST = 3e-7  # mean of S below s over the end of the grid, on which rounding is about 2e-13


def log_shares(law: AbsoluteLaw, dim: int, p: float, kappas) -> list[float]:
    """Log of `E[S; S < s] / E S` with P(S > s) = kappa, for finite E S and kappas in (0, 1)."""
    if isinstance(law, GammaLaw) and law.c == p:
        shape = dim * law.a
        return [math.log(scipy.special.gammainc(shape + 1, scipy.special.gammainccinv(shape, kappa))) for kappa in kappas]
    mean = math.log(dim) + law.log_total(p)
    return [log_body(law, dim, p, kappa) - mean for kappa in kappas]


def log_body(law: AbsoluteLaw, dim: int, p: float, kappa: float) -> float:
    """Log of `E[S; S < s]` with P(S > s) = kappa.

    |X|^p is split between neighbours of a grid so that its mean stays: what this adds to E[S; S < s] is the variance added times the
    density of S over two, so it falls by four when the grid is halved. The grid ends above s, and below 2 s where S is not 0.
    """
    panels = law.panels(p)
    end = p * panels.threshold(-math.expm1(math.log1p(-kappa) / dim))  # of the largest term; S is larger
    end, size, last = max(end, p * panels.edges[0] + 1.0), COARSE, np.inf
    while size <= FINEST:
        found = _lorenz(panels, dim, end, size, kappa)
        if found is None:
            end += math.log(2.0)
        elif found < LEAST * (1 - kappa):
            must = "be so large that E[S; S < s] is not rounding beside s, of S = |X_1|^p + ... and P(S > s) = kappa"
            raise _check.ArgumentError(f"Argument `kappa` must {must}, but is {kappa:g}.")
        elif abs(found - last) < ENOUGH * found:
            return end + math.log(found + (found - last) / 3)
        else:
            size, last = 2 * size, found
    must = "be a number of entries whose sum a grid of a million points follows to six digits"
    raise _check.ArgumentError(f"Argument `dim` must {must}, but is {dim}.")


def _lorenz(panels: Panels, dim: int, end: float, size: int, kappa: float) -> float | None:
    """`E[S; S < s]` in units of exp(end), the end of the grid; None if that is below s."""
    v = np.arange(1, size + 1) / size
    below, moment = panels.relative(np.log(v) / panels.p + end / panels.p, end / panels.p)
    excess = np.concatenate([[0.0, 0.0], v * below - moment])  # E[v - V; V < v], whose kinks are the masses
    masses = np.diff(excess, 2) * size
    tilt = np.exp(-TILT * np.arange(size) / size)
    transform: np.ndarray = np.asarray(scipy.fft.rfft(masses * tilt, ROOM * size))
    masses = scipy.fft.irfft(transform**dim, ROOM * size)[:size] / tilt
    sums = np.cumsum(masses)
    if sums[-1] < 1 - kappa:
        return None
    k = int(np.searchsorted(sums, 1 - kappa))
    rest = 1 - kappa - (sums[k - 1] if k else 0.0)
    return (float(np.arange(k) @ masses[:k]) + k * rest) / size
