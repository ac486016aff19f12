"""What pruning does to the function: distance of the predictions, loss and accuracy along the curve."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from meanfield import _check
from meanfield.measure._arrays import Float
from meanfield.measure.pruning.errors import KINDS
from meanfield.measure.pruning.layers import ParticleLike, open_layers
from meanfield.measure.pruning.prune import kept, largest, magnitude, node, singular, sizes_of

NORMALISATIONS = ("width", "kept")


@dataclass(frozen=True)
class FunctionCurve:
    """The pruned function at every kappa; arrays (m,).

    Args:
        kappas: fractions kept.
        distance: `||f - f_kappa|| = (mean_x |f(x) - f_kappa(x)|^2)^(1/2)` over the data.
        error: `distance / ||f||`, the relative error in function space.
        loss: mean loss of f_kappa; None without a loss.
        accuracy: share of examples whose largest output is the label's; None without integer labels.
        full_loss, full_accuracy: of f itself, so that changes are differences.
    """

    kappas: Float[np.ndarray, " m"]
    distance: Float[np.ndarray, " m"]
    error: Float[np.ndarray, " m"]
    loss: Float[np.ndarray, " m"] | None
    accuracy: Float[np.ndarray, " m"] | None
    full_loss: float | None
    full_accuracy: float | None


def function_curve(
    predict: Callable[[Any, Any], Any],
    w: Any,
    x,
    kappas,
    kind: str,
    p: float = 2.0,
    *,
    y=None,
    loss: Callable[[Any, Any], Any] | None = None,
    normalisation: str = "width",
    nodes: str = "rows",
    scope: str = "layer",
    centred: bool = False,
) -> FunctionCurve:
    """Error of the pruned network in function space, and its loss and accuracy, for a grid of kappas.

    Args:
        predict: `predict(w, x)` -> outputs (n, k), such as `network.predict` or `model.apply`.
        w: the weights: a particle state or a pytree of parameters.
        x: inputs (n, ...).
        kappas: fractions kept, numbers in [0, 1], (m,).
        kind, p, nodes, scope, centred: as in `magnitude`, `node` and `singular`.
        y: labels (n,) or targets (n, k); needed for `loss`. Integer labels give the accuracy.
        loss: `loss(outputs, y)` -> a number.
        normalisation: of node pruning of a particle state. "width": f_kappa is still divided by N, neurons that are pruned count
            as 0. "kept": it is divided by the number M of neurons kept, which are a mean-field network of their own; this
            multiplies f_kappa by N/M.

    Returns:
        `FunctionCurve`. A function that is 0 has error 0 where the distance is 0, else infinity.

    Raises:
        ValueError: as in the prunings; a loss without y; "kept" for anything but node pruning of a particle state, or with a
            kappa at which no neuron is left; outputs that are not finite.

    Source: ours; the normalisations are those of the mean-field predictor `(1/N) sum_i`.

    Examples:
        >>> halves = function_curve(lambda w, x: x @ w["a"].T, {"a": np.array([[3.0, 4.0]])}, np.eye(2), [0.5, 1.0], "magnitude")
        >>> halves.error
        array([0.6, 0. ])
    """
    _check.choice("kind", kind, KINDS)
    _check.choice("normalisation", normalisation, NORMALISATIONS)
    _check.require(callable(predict), "predict", "be a function of weights and inputs", predict)
    _check.require(loss is None or y is not None, "y", "be given with a loss", y)
    if loss is not None:
        _check.function("loss", loss, "outputs and y")
    _check.numbers("kappas", kappas, "be numbers in [0, 1], fractions kept", lambda v: (v >= 0) & (v <= 1))
    kappas = np.atleast_1d(np.asarray(kappas, np.float64))
    pruned = _Pruned(predict, w, x, kind, p, nodes, scope, centred)
    must = "be 'width' except for node pruning of a particle state"
    _check.require(normalisation == "width" or pruned.neurons > 0, "normalisation", must, normalisation)
    if normalisation == "kept":
        must = f"keep at least one of {pruned.neurons} neurons if `normalisation` is 'kept'"
        _check.require(bool(np.all(np.asarray(kept(kappas, pruned.neurons)) > 0)), "kappas", must, kappas)
    full = _outputs(predict(w, x))
    labels = y is not None and _labels(y, full)
    distance, losses, accuracies = [], [], []
    for kappa in kappas:
        f = pruned(float(kappa), normalisation)
        distance.append(np.sqrt(np.mean(np.sum((f - full).reshape(len(f), -1) ** 2, axis=1))))
        losses.append(_loss(loss, f, y) if loss else np.nan)
        accuracies.append(_accuracy(f, y) if labels else np.nan)
    norm = np.sqrt(np.mean(np.sum(full.reshape(len(full), -1) ** 2, axis=1)))
    away = np.array(distance)
    error = np.divide(away, norm, out=np.where(away > 0, np.inf, 0.0), where=norm > 0)
    return FunctionCurve(
        kappas,
        away,
        error,
        np.array(losses) if loss else None,
        np.array(accuracies) if labels else None,
        _loss(loss, full, y) if loss else None,
        _accuracy(full, y) if labels else None,
    )


class _Pruned:
    """Outputs of the pruned network. Neurons that are pruned are taken out of a particle state, not only set to 0."""

    def __init__(self, predict, w, x, kind, p, nodes, scope, centred):
        self.predict, self.w, self.x = predict, w, x
        self.neurons = 0
        if kind == "node" and not centred and isinstance(w, ParticleLike):
            layers = open_layers(w, kind, nodes, scope)
            (matrix,) = layers.matrices.values()
            _check.require(matrix.ndim == 2, "w", "be one network, without axes of runs", _check.words("more"))
            self.sizes = sizes_of(matrix, kind, p, layers)
            self.neurons = len(matrix)
        options = {"scope": scope, "centred": centred} | ({"p": p, "nodes": nodes} if kind == "node" else {})
        prune = {"magnitude": magnitude, "node": node, "singular": singular}[kind]
        self.prune = lambda kappa: prune(w, kappa, **options)

    def __call__(self, kappa: float, normalisation: str) -> np.ndarray:
        if not self.neurons:
            return _outputs(self.predict(self.prune(kappa), self.x))
        vectors = np.asarray(self.w.vectors)[largest(self.sizes, kappa)]
        if not len(vectors):
            return np.zeros_like(_outputs(self.predict(self.w, self.x)))
        return _outputs(self.predict(self.w.like(vectors), self.x)) * (
            len(vectors) / self.neurons if normalisation == "width" else 1.0
        )


def _outputs(f) -> Float[np.ndarray, "n ..."]:
    f = _check.as_numpy(f)
    real = f.ndim >= 2 and f.dtype.kind in "biuf"
    _check.require(real, "predict", "give real outputs (n, k)", _check.words(f"one that gives type {f.dtype} of shape {f.shape}"))
    f = f.astype(np.float64)
    bad = int(f.size - np.count_nonzero(np.isfinite(f)))
    _check.require(bad == 0, "predict", "give finite outputs", _check.words(f"one with {bad} NaN or infinite of shape {f.shape}"))
    return f


def _labels(y, f: np.ndarray) -> bool:
    """Whether `y` holds labels rather than targets, after checking that it fits the outputs `f`."""
    given = _check.finite("y", y, ndim=tuple(range(1, 9)))
    must, shape = f"have {len(f)} rows, one for each input", _check.words(f"an array of shape {given.shape}")
    _check.require(len(given) == len(f), "y", must, shape)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        return False
    outside = given[(given < 0) | (given >= f.shape[-1])]
    found = _check.words(f"holding {outside[:5].tolist()}")
    _check.require(outside.size == 0, "y", f"hold labels in 0, ..., {f.shape[-1] - 1}", found)
    return True


def _loss(loss: Callable[[Any, Any], Any], f, y) -> float:
    value = loss(f, y)
    one = _check.as_numpy(value).ndim == 0 and _check.as_numpy(value).dtype.kind in "biuf"
    _check.require(one, "loss", "return one number", _check.words(f"one that returns {_check.describe(value)}"))
    return float(value)


def _accuracy(f, y) -> float:
    return float(np.mean(np.argmax(f, axis=-1) == np.asarray(y)))
