"""Relative l_p errors of the three prunings as functions of the fraction kept."""

from typing import Any

import numpy as np

from meanfield import _check
from meanfield.measure._arrays import Array, Float, Int
from meanfield.measure.pruning.layers import exponent, finite_sizes, medians, open_layers
from meanfield.measure.pruning.prune import check_centred, kept, sizes_of
from meanfield.measure.pruning.spectrum import decomposed

KINDS = ("magnitude", "node", "singular")
TIE = 1e-12  # relative; an error this close above the one allowed is that error, rounded


def error_curve(w, kappas, kind: str, p: float = 2.0, *, scope: str = "layer", nodes: str = "rows", centred: bool = False) -> Any:
    """Relative error `||w - w_kappa||_p / ||w||_p` of a pruning, for a whole grid of kappas from one sort (one SVD).

    Args:
        w, scope, nodes, centred: as in `magnitude`, `node` and `singular`. Centred weights are `w - median` in both norms.
        kappas: fractions kept, numbers in [0, 1], (m,) or one.
        kind: "magnitude", "node" or "singular".
        p: of the norm, > 0. ||.||_p is the l_p norm of all entries; for "singular" the Schatten norm, l_p of the singular
            values, which is the same at p = 2; for weighted nodes that of all tensors a_i w_i^T.

    Returns:
        Errors in [0, 1], (..., m); without the last axis if `kappas` is one number. Of a pytree with scope "layer" a dict of them,
        by the path of the layer. 0 for weights that are all 0. Sums are taken in float64 from the smallest term upward, in
        units of the largest among them, so that no tail is too heavy and no remainder too small. Singular values of large
        matrices come from a Gram matrix, with a relative error below 1e-5 (`spectrum.singular_values`).

    Raises:
        ValueError: NaN or infinite entries, kappa outside [0, 1], an unknown kind, p <= 0.

    Source: Gribonval, Cevher, Davies (2012), best k-term approximation; Barsbey et al. (2021), the three prunings.

    Examples:
        >>> error_curve([3.0, 4.0], [0.0, 0.5, 1.0], "magnitude")
        array([1. , 0.6, 0. ])
        >>> error_curve({"first": np.eye(2), "second": np.array([[3.0, 4.0]])}, 0.5, "singular")["first"].round(4)
        np.float64(0.7071)
    """
    p = exponent(p)
    _check.numbers("kappas", kappas, "be numbers in [0, 1], fractions kept", lambda v: (v >= 0) & (v <= 1))

    def curve(parts):
        n = parts.shape[-1]
        removed = n - np.asarray(kept(kappas, n))
        edges, where = np.unique(removed, return_inverse=True)
        return _errors(parts, edges, p)[..., where.reshape(np.shape(kappas))]

    return _map(curve, w, kind, p, scope, nodes, centred)


def prunable_fraction(
    w, error: float, kind: str, p: float = 2.0, *, scope: str = "layer", nodes: str = "rows", centred: bool = False
) -> Any:
    """Largest fraction that can be pruned at a given relative error: `max {1 - m/n : error with m of n parts kept <= error}`.

    Args:
        w, kind, p, scope, nodes, centred: as in `error_curve`.
        error: the relative error allowed, in [0, 1].

    Returns:
        Fractions in [0, 1], (...); of a pytree with scope "layer" a dict of them.

    Raises:
        ValueError: as in `error_curve`; an error outside [0, 1].

    Examples:
        >>> float(prunable_fraction([3.0, 4.0, 0.0, 0.0], 0.6, "magnitude"))
        0.75
    """
    error = _check.number("error", error, "be a number in [0, 1]", lambda v: (v >= 0) & (v <= 1))
    p = exponent(p)
    return _map(lambda parts: _prunable(parts, error * (1 + TIE), p), w, kind, p, scope, nodes, centred)


def _map(function, w, kind: str, p: float, scope: str, nodes: str, centred: bool):
    """`function` of the ascending sizes (..., n) of the parts: of each layer, or of all together."""
    _check.choice("kind", kind, KINDS)
    layers = open_layers(w, kind, nodes, scope)
    check_centred(layers, centred)
    sizes = {}
    for name, matrix in layers.matrices.items():
        with np.errstate(over="ignore", invalid="ignore"):  # `finite_sizes` says it in a sentence
            centre = matrix - medians(matrix, kind) if centred else matrix
        sizes[name] = finite_sizes(decomposed(centre)) if kind == "singular" else sizes_of(centre, kind, p, layers)
    if scope == "global":
        sizes = {"": np.concatenate(list(sizes.values()), axis=-1)}
    results = {name: function(np.sort(size, axis=-1)) for name, size in sizes.items()}
    return results[""] if layers.single or scope == "global" else results


def _errors(parts: Float[np.ndarray, "*lead n"], edges: Int[np.ndarray, " edge"], p: float) -> Float[np.ndarray, "*lead edge"]:
    """Relative errors (..., len(edges)) after removing the m smallest parts, for ascending numbers m = `edges`."""
    ends = np.append(edges, parts.shape[-1])
    sums, tops = _partial_sums(parts, ends, p)
    total, top = sums[..., -1:], tops[..., -1:]
    ratio = np.divide(sums, total, out=np.zeros_like(sums), where=total > 0)
    unit = np.divide(tops, top, out=np.zeros_like(tops), where=top > 0)
    return (ratio ** (1 / p) * unit)[..., :-1]


def _partial_sums(
    parts: Float[np.ndarray, "*lead n"], ends: Int[np.ndarray, " end"], p: float
) -> tuple[Float[np.ndarray, "*lead end"], Float[np.ndarray, "*lead end"]]:
    """Sums of the p-th powers of the m smallest parts, in units of their largest to the p, and their largest: (..., len(ends))."""
    sums, tops = np.zeros((*parts.shape[:-1], len(ends))), np.zeros((*parts.shape[:-1], len(ends)))
    total, top, start = np.zeros(parts.shape[:-1]), np.zeros(parts.shape[:-1]), 0
    for j, end in enumerate(ends):
        if end > start:
            new = parts[..., end - 1]
            unit = np.where(new > 0, new, 1)
            total = total * (top / unit) ** p + np.sum((parts[..., start:end] / unit[..., None]) ** p, axis=-1)
            top, start = new, end
        sums[..., j], tops[..., j] = total, top
    return sums, tops


def _prunable(parts: Float[np.ndarray, "*lead n"], error: float, p: float) -> Float[Array, "*lead"]:
    """Share of parts that can go: first to a block of about sqrt(n) parts, then to the part."""
    cells, n = parts.reshape(-1, parts.shape[-1]), parts.shape[-1]
    length = int(np.ceil(np.sqrt(n)))
    edges = np.arange(0, n, length)
    sums, tops = _partial_sums(cells, np.append(edges, n), p)
    total, top = sums[:, -1], tops[:, -1]
    last = np.sum(_errors(cells, edges, p) <= error, axis=-1) - 1  # of the edges at which the error is still allowed
    start = edges[last]
    inside = start[:, None] + np.arange(length)
    block = np.where(inside < n, np.take_along_axis(cells, np.minimum(inside, n - 1), axis=-1), np.inf)
    cell = np.arange(len(cells))
    unit = np.where(top > 0, top, 1)
    before = sums[cell, last] ** (1 / p) * tops[cell, last] / unit  # the error of what lies before the block, to be multiplied
    largest = np.max(np.where(np.isfinite(block), block, 0), axis=-1)
    scale = np.where(largest > 0, largest, 1)
    powers = (before * unit / scale) ** p
    removed = powers[:, None] + np.cumsum((np.where(np.isfinite(block), block, 0) / scale[:, None]) ** p, axis=-1)
    errors = (removed / np.where(total > 0, total, 1)[:, None]) ** (1 / p) * (scale / unit)[:, None]
    errors = np.where(top[:, None] > 0, errors, 0)
    count = start + np.sum((errors <= error) & (inside < n), axis=-1)
    return (count / n).reshape(parts.shape[:-1])[()]
