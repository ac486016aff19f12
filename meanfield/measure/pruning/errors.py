"""Relative l_p errors of the three prunings as functions of the fraction kept."""

import numpy as np

from meanfield import _check
from meanfield.measure.pruning.prune import as_matrices, exponent, kept, row_norms

KINDS = ("magnitude", "node", "singular")


def error_curve(w, kappas, kind: str, p: float = 2.0) -> np.ndarray:
    """Relative error `||w - w_kappa||_p / ||w||_p` of a pruning, for a whole grid of kappas from one sort (one SVD).

    Args:
        w: matrices (..., N, d), one row a neuron; a vector (n,) for magnitude pruning only.
        kappas: fractions kept, numbers in [0, 1], (m,) or one.
        kind: "magnitude", "node" or "singular".
        p: of the norm, > 0. ||.||_p is the l_p norm of all entries; for "singular" the Schatten norm, l_p of the singular
            values, which is the same at p = 2.

    Returns:
        Errors in [0, 1], (..., m); without the last axis if `kappas` is one number. 0 for a matrix of zeros. Sums are taken in
        float64 from the smallest term upward, after the largest is divided out.

    Raises:
        ValueError: NaN or infinite entries, kappa outside [0, 1], an unknown kind, p <= 0.

    Source: Gribonval, Cevher, Davies (2012), best k-term approximation; Barsbey et al. (2021), the three prunings.

    Examples:
        >>> error_curve([3.0, 4.0], [0.0, 0.5, 1.0], "magnitude")
        array([1. , 0.6, 0. ])
    """
    parts, p = _parts(w, kind, p), exponent(p)
    _check.numbers("kappas", kappas, "be numbers in [0, 1], fractions kept", lambda v: (v >= 0) & (v <= 1))
    n = parts.shape[-1]
    removed = n - np.asarray(kept(kappas, n))
    return _relative(parts, p)[..., removed]


def prunable_fraction(w, error: float, kind: str, p: float = 2.0) -> np.ndarray:
    """Largest fraction that can be pruned at a given relative error: `max {1 - m/n : error with m of n parts kept <= error}`.

    Args:
        w, kind, p: as in `error_curve`.
        error: the relative error allowed, in [0, 1].

    Returns:
        Fractions in [0, 1], (...).

    Raises:
        ValueError: as in `error_curve`; an error outside [0, 1].

    Examples:
        >>> float(prunable_fraction([3.0, 4.0, 0.0, 0.0], 0.6, "magnitude"))
        0.75
    """
    error = _check.number("error", error, "be a number in [0, 1]", lambda v: (v >= 0) & (v <= 1))
    parts = _parts(w, kind, p)
    curve = _relative(parts, exponent(p))
    return (np.sum(curve <= error, axis=-1) - 1) / parts.shape[-1]


def _parts(w, kind: str, p: float) -> np.ndarray:
    """Sizes of the parts that a pruning keeps or removes, ascending along the last axis."""
    _check.choice("kind", kind, KINDS)
    w = as_matrices(w, vectors=kind == "magnitude")
    if kind == "magnitude":
        sizes = np.abs(w if w.ndim == 1 else w.reshape(*w.shape[:-2], -1))
    elif kind == "node":
        sizes = row_norms(w, exponent(p))
    else:
        sizes = np.linalg.svd(w, compute_uv=False)
    return np.sort(sizes, axis=-1)


def _relative(parts: np.ndarray, p: float) -> np.ndarray:
    """Relative error after removing the m smallest parts, m = 0 ... n, along the last axis."""
    top = parts[..., -1:]
    powers = (parts / np.where(top > 0, top, 1)) ** p
    removed = np.cumsum(powers, axis=-1)
    total = np.where(top > 0, removed[..., -1:], 1)
    return np.concatenate([np.zeros_like(top), removed / total], axis=-1) ** (1 / p)
