"""The three prunings of weights, layer by layer or over all layers at once."""

from typing import Any

import numpy as np

from meanfield import _check
from meanfield.measure._arrays import Bool, Float
from meanfield.measure.pruning.layers import Layers, exponent, finite_sizes, medians, open_layers, row_norms


def kept(kappa, n: int):
    """Number of parts kept, `floor(kappa n)`.

    A product within 1e-9 below an integer counts as that integer: 0.29 * 100 is 28.999999999999996 in floating point, and 29 are
    meant.

    Examples:
        >>> kept(0.29, 100), kept(0.1, 128), kept(1.0, 7)
        (29, 12, 7)
    """
    _check.numbers("kappa", kappa, "be numbers in [0, 1], fractions kept", lambda v: (v >= 0) & (v <= 1))
    _check.integer("n", n, at_least=0)
    count = np.floor(np.asarray(kappa, float) * n + 1e-9).astype(int)
    return int(count) if count.ndim == 0 else count


def magnitude(w, kappa: float, *, scope: str = "layer", centred: bool = False) -> Any:
    """Keep the floor(kappa n) entries of largest modulus, n their number; zero the rest.

    Args:
        w: matrices (..., N, d), each pruned by itself, or one vector (n,); a particle state, whose neurons `vectors` are the rows
            of one matrix; or a pytree of parameters (of flax, of torch, a dict of arrays). In a pytree every floating-point
            leaf of two or more axes is a layer; the others (biases) are not pruned.
        kappa: fraction kept, in [0, 1].
        scope: "layer": kappa is kept of every layer; "global": of all layers together, the largest wherever they are.
        centred: subtract the median of each layer's entries before, add it after, as the founding paper's code does: what is
            pruned becomes the median.

    Returns:
        The like of `w`: arrays of numpy in the floating-point type of the weights (float64 for integers), in the same pytree.
        Among equal absolute values the first in memory order stay.

    Raises:
        ValueError: NaN or infinite entries, no entries, kappa outside [0, 1], an unknown scope.

    Source: Barsbey et al. (2021); `centred` and the scopes from its code.

    Examples:
        >>> magnitude([[3.0, -1.0], [0.5, -4.0]], 0.5)
        array([[ 3.,  0.],
               [ 0., -4.]])
        >>> magnitude({"first": np.array([[3.0, 2.0]]), "second": np.array([[1.0, 0.5]])}, 0.5, scope="global")
        {'first': array([[3., 2.]]), 'second': array([[0., 0.]])}
    """
    return _prune(w, kappa, "magnitude", 2.0, scope, "rows", centred)


def node(w, kappa: float, p: float = 2.0, *, nodes: str = "rows", scope: str = "layer", centred: bool = False) -> Any:
    """Keep the floor(kappa N) nodes (neurons) of largest l_p norm; zero the rest.

    Args:
        w, kappa, scope: as in `magnitude`, but no vectors.
        p: of the norm that ranks the nodes, > 0; with the p of the error this keeps the best nodes.
        nodes: "rows": row i is what belongs to node i (torch's weights; the neurons (w_i, [bias_i,] a_i) of a particle state).
            "columns": column i (flax's kernels; the last axis of a convolution's kernel). "weighted": neurons of a particle
            state, ranked by `|a_i|_p |(w_i, bias_i)|_p`: the norm of the tensor a_i w_i^T, which is all that a homogeneous
            activation lets the function see.
        centred: subtract the median of every coordinate over the nodes before, add it after; not for "weighted".

    Returns:
        As in `magnitude`. Among equal norms the first nodes stay.

    Raises:
        ValueError: as in `magnitude`; a vector, p <= 0, `nodes` that do not fit the weights.

    Examples:
        >>> node([[3.0, 0.0], [1.0, 1.0]], 0.5)
        array([[3., 0.],
               [0., 0.]])
        >>> node([[3.0, 0.0], [1.0, 1.0]], 0.5, nodes="columns")
        array([[3., 0.],
               [1., 0.]])
    """
    return _prune(w, kappa, "node", p, scope, nodes, centred)


def singular(w, kappa: float, *, scope: str = "layer", centred: bool = False) -> Any:
    """Keep the floor(kappa r) largest singular values, r = min(N, d); zero the rest.

    Args:
        w, kappa, scope: as in `magnitude`, but no vectors. In a pytree a leaf of more than two axes is the matrix of its first axis
            by all others.
        centred: subtract the median of every column before, add it after.

    Returns:
        As in `magnitude`.

    Raises:
        ValueError: as in `magnitude`; a vector.

    Examples:
        >>> np.round(singular([[2.0, 0.0], [0.0, 1.0]], 0.5), 12)
        array([[2., 0.],
               [0., 0.]])
    """
    return _prune(w, kappa, "singular", 2.0, scope, "rows", centred)


def _prune(w, kappa, kind, p, scope, nodes, centred):
    kappa = _check.number("kappa", kappa, "be a number in [0, 1], the fraction kept", lambda v: (v >= 0) & (v <= 1))
    p = exponent(p)
    layers = open_layers(w, kind, nodes, scope)
    check_centred(layers, centred)
    middle = {name: medians(m, kind) if centred else 0.0 for name, m in layers.matrices.items()}
    with np.errstate(over="ignore", invalid="ignore"):  # `finite_sizes` says it in a sentence
        centre = {name: m - middle[name] for name, m in layers.matrices.items()}
    with np.errstate(all="ignore"):
        svd = {name: np.linalg.svd(m, full_matrices=False) for name, m in centre.items()} if kind == "singular" else {}
    sizes = {name: finite_sizes(s) for name, (_, s, _) in svd.items()} or {
        n: sizes_of(m, kind, p, layers) for n, m in centre.items()
    }
    pruned = {}
    for name, keep in _kept_masks(sizes, kappa, scope).items():
        if kind == "singular":
            u, s, vt = svd[name]
            left = (u * np.where(keep, s, 0)[..., None, :]) @ vt
        else:
            shape = centre[name].shape
            left = np.where(keep[..., None] if kind == "node" else keep.reshape(shape), centre[name], 0.0)
        pruned[name] = left + middle[name] if centred else left
    return layers.close(pruned)


def check_centred(layers: Layers, centred: bool) -> None:
    """Check the switch, and that the median of the rows means something."""
    _check.boolean("centred", centred)
    _check.require(not (centred and layers.strength), "centred", "be False for weighted nodes", centred)


def sizes_of(matrix: Float[np.ndarray, "..."], kind: str, p: float, layers: Layers) -> Float[np.ndarray, "*lead part"]:
    """Sizes of the parts of a layer in their order: absolute values of entries (..., N d), or norms of nodes (..., N)."""
    if kind == "magnitude":
        return finite_sizes(np.abs(matrix if matrix.ndim == 1 else matrix.reshape(*matrix.shape[:-2], -1)))
    norms = row_norms(matrix, p)
    return finite_sizes(norms * layers.strength(p) if layers.strength else norms)


def _kept_masks(sizes: dict[str, np.ndarray], kappa: float, scope: str) -> dict[str, np.ndarray]:
    if scope == "layer":
        return {name: largest(size, kappa) for name, size in sizes.items()}
    mask = largest(np.concatenate(list(sizes.values()), axis=-1), kappa)
    ends = np.cumsum([size.shape[-1] for size in sizes.values()])
    return dict(zip(sizes, np.split(mask, ends[:-1], axis=-1), strict=True))


def largest(size: Float[np.ndarray, "*lead n"], kappa: float) -> Bool[np.ndarray, "*lead n"]:
    """Mask of the floor(kappa n) largest along the last axis; the first of equals."""
    order = np.argsort(-size, axis=-1, kind="stable")
    mask = np.zeros(size.shape, bool)
    np.put_along_axis(mask, order[..., : kept(kappa, size.shape[-1])], True, axis=-1)
    return mask
