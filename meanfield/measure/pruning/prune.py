"""The three prunings of a matrix whose rows are neurons."""

import numpy as np

from meanfield import _check


def kept(kappa, n: int):
    """Number of parts kept, `floor(kappa n)`.

    A product within 1e-9 below an integer counts as that integer: 0.29 * 100 is 28.999999999999996 in floating point, and 29 are
    meant.

    Examples:
        >>> kept(0.29, 100), kept(0.1, 128), kept(1.0, 7)
        (29, 12, 7)
    """
    count = np.floor(np.asarray(kappa, float) * n + 1e-9).astype(int)
    return int(count) if count.ndim == 0 else count


def magnitude(w, kappa: float) -> np.ndarray:
    """Keep the floor(kappa n) entries of largest modulus of each matrix (or vector), n its number of entries; zero the rest.

    Args:
        w: matrices (..., N, d), or one vector (n,).
        kappa: fraction kept, in [0, 1].

    Returns:
        float64 array of the shape of `w`. Among equal moduli the first in memory order stay.

    Raises:
        ValueError: NaN or infinite entries, kappa outside [0, 1].

    Examples:
        >>> magnitude([[3.0, -1.0], [0.5, -4.0]], 0.5)
        array([[ 3.,  0.],
               [ 0., -4.]])
    """
    w = as_matrices(w)
    flat = w if w.ndim == 1 else w.reshape(*w.shape[:-2], -1)
    return np.where(_largest(np.abs(flat), _fraction(kappa)), flat, 0.0).reshape(w.shape)


def node(w, kappa: float, p: float = 2.0) -> np.ndarray:
    """Keep the floor(kappa N) rows (neurons) of largest l_p norm of each matrix; zero the rest.

    Args:
        w: matrices (..., N, d), one row a neuron.
        kappa: fraction kept, in [0, 1].
        p: of the norm that ranks the rows, > 0; with the p of the error this keeps the best rows.

    Returns:
        float64 array of the shape of `w`. Among equal norms the first rows stay.

    Raises:
        ValueError: NaN or infinite entries, a vector, kappa outside [0, 1], p <= 0.

    Examples:
        >>> node([[3.0, 0.0], [1.0, 1.0]], 0.5)
        array([[3., 0.],
               [0., 0.]])
    """
    w = as_matrices(w, vectors=False)
    return np.where(_largest(row_norms(w, exponent(p)), _fraction(kappa))[..., None], w, 0.0)


def singular(w, kappa: float) -> np.ndarray:
    """Keep the floor(kappa r) largest singular values of each matrix, r = min(N, d); zero the rest.

    Args:
        w: matrices (..., N, d).
        kappa: fraction kept, in [0, 1].

    Returns:
        float64 array of the shape of `w`.

    Raises:
        ValueError: NaN or infinite entries, a vector, kappa outside [0, 1].

    Examples:
        >>> np.round(singular([[2.0, 0.0], [0.0, 1.0]], 0.5), 12)
        array([[2., 0.],
               [0., 0.]])
    """
    w = as_matrices(w, vectors=False)
    u, s, vt = np.linalg.svd(w, full_matrices=False)
    s = np.where(np.arange(s.shape[-1]) < kept(_fraction(kappa), s.shape[-1]), s, 0)
    return (u * s[..., None, :]) @ vt


def as_matrices(w, vectors: bool = True) -> np.ndarray:
    """Check the array and return it in float64."""
    return np.asarray(_check.finite("w", w, ndim=tuple(range(1 if vectors else 2, 9))), np.float64)


def exponent(p) -> float:
    """Check p > 0."""
    return _check.number("p", p, "be a number > 0", lambda v: v > 0)


def row_norms(w: np.ndarray, p: float) -> np.ndarray:
    """l_p norm of every row. The largest entry is divided out first, so that a heavy tail neither overflows nor vanishes."""
    top = np.max(np.abs(w), axis=(-2, -1), keepdims=True, initial=0)
    scaled = np.abs(w) / np.where(top > 0, top, 1)
    return np.sum(scaled**p, axis=-1) ** (1 / p) * top[..., 0]


def _fraction(kappa) -> float:
    return _check.number("kappa", kappa, "be a number in [0, 1], the fraction kept", lambda v: (v >= 0) & (v <= 1))


def _largest(size: np.ndarray, kappa: float) -> np.ndarray:
    """Mask of the floor(kappa n) largest along the last axis; the first of equals."""
    order = np.argsort(-size, axis=-1, kind="stable")
    mask = np.zeros(size.shape, bool)
    np.put_along_axis(mask, order[..., : kept(kappa, size.shape[-1])], True, axis=-1)
    return mask
