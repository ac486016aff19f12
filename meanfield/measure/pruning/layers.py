"""What the prunings act on: one matrix a layer with a row for every node, whatever the weights come in."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from meanfield import _check
from meanfield.measure._arrays import Float

NODES = ("rows", "columns", "weighted")
SCOPES = ("layer", "global")


@runtime_checkable
class ParticleLike(Protocol):
    """A particle state: neurons that are the rows of one matrix."""

    @property
    def vectors(self) -> Any:
        """The neurons as vectors, (..., N, d); the last entries of each are its output weights, if there are any."""
        ...

    @property
    def a(self) -> Any:
        """The output weights, (..., N, outputs), or None."""
        ...

    def like(self, vectors: Any) -> Self:
        """A state of the same make with other vectors."""
        ...


@dataclass(frozen=True)
class Layers:
    """Matrices (..., N, d) in float64, a row for every node (for magnitude pruning also one vector), and the way back.

    Args:
        matrices: of every layer, by its path in the pytree; of a single layer under "".
        close: puts matrices of the same shapes back into what they were taken from.
        strength: norms by which the sizes of the rows are multiplied, (..., N), as a function of p; None: 1.
        single: whether there is just one layer, so that results need no name.
    """

    matrices: dict[str, np.ndarray]
    close: Callable[[dict[str, np.ndarray]], Any]
    strength: Callable[[float], np.ndarray] | None = None
    single: bool = True


def open_layers(w, kind: str, nodes: str = "rows", scope: str = "layer") -> Layers:
    """Check the weights and take them apart.

    Arrays (also lists) are one matrix, or a stack of them on leading axes. A particle state (`ParticleLike`) is
    the matrix of its neurons. Any other pytree has a layer in every floating-point leaf of two or more axes; further axes
    belong to the nodes (a convolution's kernel). Its other leaves are left as they are.
    """
    _check.choice("nodes", nodes, NODES)
    _check.choice("scope", scope, SCOPES)
    must = "be 'rows' unless nodes are pruned"
    _check.require(nodes == "rows" or kind == "node", "nodes", must, nodes)
    if isinstance(w, ParticleLike):
        return _particles(w, nodes)
    must = "be 'rows' or 'columns' except for a particle state"
    _check.require(nodes != "weighted", "nodes", must, nodes)
    plain = w is None or isinstance(w, list | tuple | int | float | complex | str)
    if plain or hasattr(w, "__array__"):
        return _array(w if plain else _numpy(w), nodes, vectors=kind == "magnitude")
    return _tree(w, nodes)


def _array(w, nodes: str, vectors: bool) -> Layers:
    x = as_matrices(w, vectors)

    def close(matrices):
        (pruned,) = matrices.values()
        return _like(pruned.swapaxes(-1, -2) if nodes == "columns" else pruned, np.asarray(w))

    return Layers({"": x.swapaxes(-1, -2) if nodes == "columns" else x}, close)


def _particles(state: ParticleLike, nodes: str) -> Layers:
    _check.require(nodes != "columns", "nodes", "be 'rows' or 'weighted' for a particle state", nodes)
    vectors = _numpy(state.vectors)
    outputs = 0 if state.a is None else state.a.shape[-1]
    must = "be 'rows' for neurons without output weights"
    _check.require(nodes == "rows" or outputs > 0, "nodes", must, nodes)
    x = as_matrices(vectors, vectors=False)
    if nodes == "rows":
        return Layers({"": x}, lambda matrices: state.like(_like(matrices[""], vectors)))
    inputs, a = x[..., :-outputs], x[..., -outputs:]

    def close(matrices):
        kept = np.any(matrices[""] != 0, axis=-1, keepdims=True) | np.all(inputs == 0, axis=-1, keepdims=True)
        return state.like(_like(np.where(kept, x, 0), vectors))

    return Layers({"": inputs}, close, strength=lambda p: row_norms(a, p))


def _tree(w, nodes: str) -> Layers:
    leaves, structure = jax.tree_util.tree_flatten_with_path(w)
    names = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
    arrays = {name: _numpy(leaf) for name, (_, leaf) in zip(names, leaves, strict=True)}
    arrays = {name: a for name, a in arrays.items() if a.ndim >= 2 and jnp.issubdtype(a.dtype, jnp.inexact)}
    must = "hold a floating-point array of two or more axes"
    _check.require(bool(arrays), "w", must, _check.words(f"a pytree ({type(w).__name__}) without one"))

    def matrix(array):
        rows = np.moveaxis(array, -1, 0) if nodes == "columns" else array
        return rows.reshape(rows.shape[0], math.prod(rows.shape[1:]))

    def back(pruned, array):
        if nodes == "columns":
            return _like(np.moveaxis(pruned.reshape(array.shape[-1], *array.shape[:-1]), 0, -1), array)
        return _like(pruned.reshape(array.shape), array)

    def close(matrices):
        pairs = zip(names, leaves, strict=True)
        pruned = [back(matrices[name], arrays[name]) if name in matrices else leaf for name, (_, leaf) in pairs]
        return jax.tree_util.tree_unflatten(structure, pruned)

    matrices = {name: as_matrices(matrix(array), vectors=False, name=f"w[{name}]") for name, array in arrays.items()}
    return Layers(matrices, close, single=False)


def _numpy(x) -> np.ndarray:
    """The array on the host; half precision, which numpy has no kind for, as float32 of the same values."""
    if hasattr(x, "detach"):  # torch
        x = x.detach().cpu()
        x = x.float() if "bfloat16" in str(x.dtype) else x
    for check in (_check.untraced, _check.unmasked):
        check("w", x)
    return _check.as_numpy(x)


def _like(x: np.ndarray, model: np.ndarray) -> np.ndarray:
    """In the floating-point type of `model`; float64 for integers."""
    return x.astype(model.dtype if model.dtype.kind == "f" else np.float64, copy=False)


def as_matrices(w, vectors: bool = True, name: str = "w") -> Float[np.ndarray, "..."]:
    """Check the array and return it in float64."""
    return np.asarray(_check.finite(name, w, ndim=tuple(range(1 if vectors else 2, 9))), np.float64)


def exponent(p) -> float:
    """Check p > 0."""
    return _check.number("p", p, "be a number > 0", lambda v: v > 0)


def row_norms(w: Float[np.ndarray, "*lead row d"], p: float) -> Float[np.ndarray, "*lead row"]:
    """l_p norm of every row. Its largest entry is divided out first, so that a heavy tail neither overflows nor vanishes."""
    size = np.abs(w)
    top = np.max(size, axis=-1, initial=0)
    with np.errstate(over="ignore", invalid="ignore"):  # `finite_sizes` says it in a sentence
        return np.sum((size / np.where(top > 0, top, 1)[..., None]) ** p, axis=-1) ** (1 / p) * top


def finite_sizes(sizes: Float[np.ndarray, "*lead part"]) -> Float[np.ndarray, "*lead part"]:
    """The sizes of the parts, if float64 can hold them."""
    must = f"have norms and singular values below {np.finfo(np.float64).max:.2g}"
    _check.require(bool(np.all(np.isfinite(sizes))), "w", must, _check.words("an array with larger ones"))
    return sizes


def medians(matrix: Float[np.ndarray, "..."], kind: str) -> Float[np.ndarray, "..."]:
    """What median-centring subtracts: of all entries (magnitude), or of every coordinate over the rows (node, singular)."""
    axes = -2 if kind != "magnitude" else tuple(range(-min(matrix.ndim, 2), 0))
    with np.errstate(over="ignore"):
        return np.median(matrix, axis=axes, keepdims=True)
