"""What the law of the neurons is made of: dead, collapsing and living neurons, and duplicates."""

import enum
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from meanfield import _check
from meanfield._estimate import Estimate, mean
from meanfield.measure._arrays import Bool, Float, Int
from meanfield.measure.pruning.errors import error_curve
from meanfield.measure.pruning.layers import exponent, row_norms

_ENTRIES = 20_000_000  # of the products that are formed at a time


class Fate(enum.IntEnum):
    """What a neuron is; codes in the arrays of `fates`."""

    DEAD = 0
    COLLAPSING = 1
    GROWING = 2
    LIVE = 3


@final
@dataclass(frozen=True)
class Census:
    """Shares of the neurons, and pruning errors with some of them left out; means over runs with Student's interval.

    Args:
        dead: share that no example activates.
        collapsing: share that some example activates, and whose norm fell by the factor.
        growing: share of these whose norm rose by the factor. Where a stationary law fluctuates as many rise as fall.
        live: the rest.
        dead_rate: mean of `log(|theta_later| / |theta_earlier|) / steps` over neurons dead at both times; NaN without any. The ridge
            alone makes it log(1 - step_size weight_decay), `theory.collapse`.
        collapsing_rate: the same of the collapsing.
        error: pruning error of all neurons.
        error_without_dead: of those that are not dead, with the fraction kappa of THEM kept.
        error_of_live: of the living and growing ones, with the fraction kappa of them kept.
    """

    dead: Estimate
    collapsing: Estimate
    growing: Estimate
    live: Estimate
    dead_rate: Estimate
    collapsing_rate: Estimate
    error: Estimate
    error_without_dead: Estimate
    error_of_live: Estimate


def dead(w, inputs, bias=None) -> Bool[np.ndarray, "*run N"]:
    """Which ReLU neurons no input activates: `max_x <w, x> + bias <= 0`.

    Such a neuron has no gradient: only the ridge and added noise move it. The field calls it dead, or dormant.

    Args:
        w: input weights, (..., N, dim).
        inputs: all examples that the run may see, (n, dim).
        bias: (..., N), or None.

    Returns:
        Truth values, (..., N).

    Raises:
        ValueError: NaN or infinite entries, arrays that do not fit together.

    Examples:
        >>> dead([[1.0, 0.0], [-1.0, 0.0]], [[1.0, 5.0], [2.0, -5.0]]).tolist()
        [False, True]
    """
    w = np.asarray(_check.finite("w", w, ndim=tuple(range(2, 9))), np.float64)
    x = np.asarray(_check.finite("inputs", inputs, ndim=(2,)), np.float64)
    must = f"have {w.shape[-1]} columns, as many as `w`"
    _check.require(x.shape[1] == w.shape[-1], "inputs", must, _check.words(f"an array of shape {x.shape}"))
    offset = np.zeros(w.shape[:-1]) if bias is None else np.asarray(_check.finite("bias", bias, tuple(range(1, 8))), np.float64)
    must = f"have the shape {w.shape[:-1]}: one for every neuron"
    _check.require(offset.shape == w.shape[:-1], "bias", must, _check.words(f"an array of shape {offset.shape}"))
    rows = w.reshape(-1, w.shape[-1])
    at_once = max(1, _ENTRIES // len(x))
    tops = [np.max(rows[i : i + at_once] @ x.T, axis=1) for i in range(0, len(rows), at_once)]
    return np.concatenate(tops).reshape(w.shape[:-1]) + offset <= 0


def fates(earlier, later, dead, factor: float = np.e) -> Int[np.ndarray, "run N"]:
    """The `Fate` of every neuron between two times.

    Args:
        earlier, later: vectors of the same neurons at two times, (S, N, D).
        dead: which are dead at the later time, (S, N).
        factor: by which the norm of a neuron that is not dead must fall to be collapsing, or rise to be growing; > 1.

    Returns:
        Codes of `Fate`, (S, N).

    Raises:
        ValueError: arrays that do not fit together, NaN or infinite entries, a factor <= 1.

    Examples:
        >>> earlier, later = np.ones((1, 4, 1)), np.array([[[0.1], [0.1], [9.0], [1.2]]])
        >>> [Fate(code).name for code in fates(earlier, later, [[True, False, False, False]])[0]]
        ['DEAD', 'COLLAPSING', 'GROWING', 'LIVE']
    """
    before, after, off = _checked(earlier, later, dead)
    factor = _check.number("factor", factor, "be a number > 1", lambda v: v > 1)
    moved = np.select([after * factor <= before, after >= before * factor], [Fate.COLLAPSING, Fate.GROWING], Fate.LIVE)
    return np.where(off, Fate.DEAD, np.where(before + after > 0, moved, Fate.COLLAPSING)).astype(int)


def census(
    earlier, later, dead, steps: int, dead_before=None, *, kappa: float = 0.1, p: float = 2.0, factor: float = np.e
) -> Census:
    """Count dead, collapsing and living neurons, read off how fast they vanish, and prune without them.

    Args:
        earlier, later, dead, factor: as in `fates`.
        steps: number of steps between the two times.
        dead_before: which neurons were dead at the earlier time, (S, N); None: none, and `dead_rate` is NaN.
        kappa: fraction kept.
        p: of the norm.

    Returns:
        The counts.

    Raises:
        ValueError: as in `fates`; `steps` < 1, kappa outside (0, 1).

    Source: Chen, Kunin, Yamamura, Ganguli (2023) for collapse; the instrument is ours.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> earlier = rng.standard_normal((3, 400, 5))
        >>> off = rng.random((3, 400)) < 0.5  # dead neurons decay by a thousandth a step
        >>> found = census(earlier, np.where(off[..., None], 0.999**500 * earlier, earlier), off, 500, off)
        >>> round(float(found.dead), 1), round(float(found.dead_rate), 7), round(float(found.collapsing), 7)
        (0.5, -0.0010005, 0.0)
    """
    codes, p = fates(earlier, later, dead, factor), exponent(p)
    before, after, off = _checked(earlier, later, dead)
    _check.integer("steps", steps, at_least=1)
    kappa = _check.number("kappa", kappa, "be a number in (0, 1), the fraction kept", lambda v: (v > 0) & (v < 1))
    was = np.zeros(off.shape, bool) if dead_before is None else _mask("dead_before", dead_before, off.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = np.log(after / before) / steps
    norms = row_norms(np.asarray(later, np.float64), p)
    errors = {
        "error": np.ones(off.shape, bool),
        "error_without_dead": codes != Fate.DEAD,
        "error_of_live": codes >= Fate.GROWING,
    }
    return Census(
        **{fate.name.lower(): mean(np.mean(codes == fate, axis=1)) for fate in Fate},
        dead_rate=_mean_where(rates, off & was),
        collapsing_rate=_mean_where(rates, codes == Fate.COLLAPSING),
        **{name: _mean_error(norms, mask, kappa, p) for name, mask in errors.items()},
    )


def duplicates(vectors, angle: float = 0.01) -> Bool[np.ndarray, "*run N"]:
    """Which neurons equal an earlier one of their network up to a positive factor.

    The mean is the share of duplicates. `vectors[~duplicates(vectors)]` are the neurons without them: the pruning error of these says what
    duplicates do to it.

    Args:
        vectors: neurons, (..., N, D).
        angle: between two neurons that count as equal, in radians.

    Returns:
        Truth values, (..., N). Neurons that are 0 have no direction and are no duplicates.

    Raises:
        ValueError: NaN or infinite entries, an angle outside [1e-6, 1).

    Examples:
        >>> duplicates([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]).tolist()
        [False, True, False, False]
    """
    x = np.asarray(_check.finite("vectors", vectors, ndim=tuple(range(2, 9))), np.float64)
    must = "be a number in [1e-6, 1), in radians: nearer directions are one to rounding"
    angle = _check.number("angle", angle, must, lambda v: (v >= 1e-6) & (v < 1))
    norms = row_norms(x, 2.0)[..., None]
    unit = np.divide(x, norms, out=np.zeros_like(x), where=norms > 0)
    found = [_equals_earlier(one, np.cos(angle)) for one in unit.reshape(-1, *x.shape[-2:])]
    return np.array(found).reshape(x.shape[:-1])


def _equals_earlier(unit: Float[np.ndarray, "N d"], least: float) -> Bool[np.ndarray, " N"]:
    at_once, found = max(1, _ENTRIES // len(unit)), []
    for start in range(0, len(unit), at_once):
        cosines = unit[start : start + at_once] @ unit[: start + at_once].T
        earlier = np.arange(cosines.shape[1]) < (start + np.arange(len(cosines)))[:, None]
        found.append(np.any((cosines >= least) & earlier, axis=1))
    return np.concatenate(found)


def _checked(earlier, later, dead) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Norms before and after, (S, N), and which neurons are dead."""
    arrays = {name: _check.finite(name, x, ndim=(3,)) for name, x in {"earlier": earlier, "later": later}.items()}
    must = f"have the shape of `earlier`, {arrays['earlier'].shape}: the same neurons"
    shape = _check.words(f"an array of shape {arrays['later'].shape}")
    _check.require(arrays["earlier"].shape == arrays["later"].shape, "later", must, shape)
    norms = {name: row_norms(np.asarray(x, np.float64), 2.0) for name, x in arrays.items()}
    return norms["earlier"], norms["later"], _mask("dead", dead, norms["later"].shape)


def _mask(name: str, value: Any, shape: tuple[int, ...]) -> Bool[np.ndarray, "run N"]:
    mask = _check.as_numpy(value)
    must = f"be truth values of the shape {shape}: one for every neuron"
    found = _check.words(f"an array of shape {mask.shape} and type {mask.dtype}")
    _check.require(mask.dtype.kind == "b" and mask.shape == shape, name, must, found)
    return mask


def _mean_where(values: Float[np.ndarray, "run N"], mask: Bool[np.ndarray, "run N"]) -> Estimate:
    """Mean over runs of the mean over their chosen neurons; runs without any do not count, and norms that are 0 have no rate."""
    chosen = mask & np.isfinite(values)
    runs = chosen.any(axis=1)
    if not runs.any():
        return Estimate(np.nan, np.nan)
    sums = np.sum(np.where(chosen, values, 0), axis=1)[runs]
    return mean(sums / chosen[runs].sum(axis=1))


def _mean_error(norms: Float[np.ndarray, "run N"], mask: Bool[np.ndarray, "run N"], kappa: float, p: float) -> Estimate:
    """Mean over runs of the error of their chosen neurons; a run without any has no error to leave."""
    return mean(
        [
            float(error_curve(one[chosen], kappa, "magnitude", p)) if chosen.any() else 0.0
            for one, chosen in zip(norms, mask, strict=True)
        ]
    )
