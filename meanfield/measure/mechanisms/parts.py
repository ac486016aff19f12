"""Which mechanism shrinks a pruning error as the width grows: sampling, a law that moves, or dependence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import jax
import numpy as np

from meanfield import _check, _keys
from meanfield._estimate import Estimate
from meanfield.measure import _jackknife
from meanfield.measure._arrays import Bool, Float, Int
from meanfield.measure.pruning.errors import KINDS, error_curve
from meanfield.measure.pruning.layers import exponent, row_norms

PARTS = ("level", "sampling", "law", "dependence")
_BALANCE = (
    16  # permutations of a pool at the widest width: the draws then add a sixteenth to the variance of one draw for each seed
)
_ENTRIES = 4_000_000  # weights that are drawn and pruned at a time


@final
@dataclass(frozen=True)
class Decomposition:
    """The logarithm of a pruning error at every width, as a sum of parts: `measured = level + sampling + law + dependence`.

    With D(N; M) the logarithm of the mean error of N independent draws from the law of a neuron at width M, and W the widest width:

    Args:
        widths: N, (m,), ascending; the last is W.
        measured: logarithm of the mean error of the networks, (m,) as all parts.
        level: `D(W; W)`, the same at every width.
        sampling: `D(N; W) - D(W; W)`: what fewer draws from ONE law change. It alone is the theorem's mechanism.
        law: `D(N; N) - D(N; W)`: what the law changes between the widths N and W.
        dependence: `measured - D(N; N)`: what neurons of one network share: duplicates, and the data path of the run.
        path: the share of the dependence that a data path makes, if several networks ran on each; None if not.
        network: the rest of it, dependence given the data path; None if there is no `path`.
        slopes: slope in log N of `measured` and of every part, by its name; single numbers.
        paths: number of independent runs S (data paths).
    """

    widths: np.ndarray
    measured: Estimate
    level: Estimate
    sampling: Estimate
    law: Estimate
    dependence: Estimate
    path: Estimate | None
    network: Estimate | None
    slopes: dict[str, Estimate]
    paths: int


def decompose(
    neurons: Mapping[int, Any], kappa: float = 0.1, kind: str = "node", p: float = 2.0, *, key: jax.Array
) -> Decomposition:
    """Take the pruning error of networks of several widths apart: the size of the sample, the law of a neuron, dependence.

    An error that falls with the width shows the theorem at work (heavy tails, independent neurons) only where `sampling` carries
    the fall. N of the S N neurons of a width, drawn without replacement from the pool of its S runs, stand for N independent draws:
    of independent neurons they are. Otherwise a pair in a draw shares its run with probability about 1/S, which makes the error of
    a pool `D_S = D + (D_1 - D)/S` to first order in the dependence, D_1 that of draws within a run. So

        D = (S D_S - D_1) / (S - 1).

    Args:
        neurons: for each of two or more widths N the neurons of S >= 3 independent runs, (S, N, d), the same d and S everywhere:
            what `results.particles_at(width=N, ...)` gives for one cell. Widths may be coupled (same seed, same data path).
            With K networks on each data path: (S, K, N, d).
        kappa: fraction kept, kappa N >= 1.
        kind: "magnitude", "node" or "singular": what is pruned in the matrix of the neurons; whole rows are drawn for all three.
        p: of the norm, as in `pruning.error_curve`.
        key: random key of the draws.

    Returns:
        The parts. Intervals are Student's with S - 1 degrees of freedom, standard errors a delete-one-run jackknife's, which agree with
        the deviations measured. Estimates are skewed, so that intervals miss too often. Measured coverage in %, all widths together,
        from the worst to the best of the planted laws (`python -m benchmarks.mechanisms`):

            runs                                     3         8        24
            measured                             91-96     89-96     92-97
            level                                88-95     88-97     90-97
            sampling                             88-96     87-97     88-97
            law                                  92-98     92-95     93-97
            dependence, independent neurons      95-98     97-98     96-99
            dependence, a shared factor or twins 84-90     85-89     90-92

        Sampling is worst where squares have an index below 2 (Pareto 3 at p = 2). A shared factor's part is a variance between runs.

    Raises:
        ValueError: fewer than two widths or three runs, arrays that do not fit together, NaN or infinite entries (a run that
            diverged), kappa N < 1, errors that are all 0, whose logarithm is infinite.

    Source: ours. The mean of the error is taken before the logarithm: errors lie in [0, 1], and one network without an error does no harm.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> pareto = {n: rng.pareto(1.5, size=(8, n, 1)) for n in (64, 256, 1024)}
        >>> found = decompose(pareto, key=jax.random.key(0))
        >>> {name: round(float(slope), 2) for name, slope in found.slopes.items()}
        {'measured': -0.21, 'level': 0.0, 'sampling': -0.25, 'law': 0.02, 'dependence': 0.02}
        >>> low, high = found.slopes["sampling"].interval  # the limit for Pareto laws of index 1.5 is 1/2 - 1/1.5 = -.17
        >>> bool(low < -0.17 < high)
        True
    """
    arrays, kappa, p = _checked(neurons, kappa, kind, p), float(kappa), exponent(p)
    _check.random_key("key", key)
    rng = _keys.generator(key)
    widths, runs = list(arrays), next(iter(arrays.values())).shape[0]

    def error(rows: Float[np.ndarray, "*lead N d"]) -> Float[np.ndarray, "*lead"]:
        return error_curve(rows, kappa, "magnitude" if kind == "node" else kind, p)

    # The norms are all that node pruning sees: entries of a single column.
    pools = {n: row_norms(x, p)[..., None] if kind == "node" else x for n, x in arrays.items()}
    measured, within, single, level = [], [], [], []
    for n, pool in pools.items():
        of_networks = _logs(error(pool).mean(axis=1), n)
        of_paths = _logs(_drawn_within(pool, n, error, rng), n)
        measured.append(of_networks)
        within.append(_unshared(of_paths, of_networks, pool.shape[1]))
        single.append(_unshared(_log(_drawn_across(pool, n, error, rng), n), of_paths, runs))
    widest = pools[widths[-1]]
    for n in widths[:-1]:
        of_paths = _logs(_drawn_within(widest, n, error, rng), n)
        level.append(_unshared(_log(_drawn_across(widest, n, error, rng), n), of_paths, runs))
    level.append(single[-1])
    measured, within, single, level = (np.stack(part) for part in (measured, within, single, level))
    parts = {
        "measured": measured,
        "level": np.broadcast_to(level[-1], level.shape),
        "sampling": level - level[-1],
        "law": single - level,
        "dependence": measured - single,
    }
    if widest.shape[1] > 1:
        parts |= {"path": within - single, "network": measured - within}
    x = np.log(widths) - np.mean(np.log(widths))
    slopes = {name: _estimate(x @ part / np.sum(x**2)) for name, part in parts.items()}
    split = {name: _estimate(parts[name]) if name in parts else None for name in ("path", "network")}
    whole = {name: _estimate(parts[name]) for name in ("measured", *PARTS)}
    return Decomposition(np.array(widths), **whole, path=split["path"], network=split["network"], slopes=slopes, paths=runs)


def _drawn_within(
    pool: Float[np.ndarray, "path network N d"], n: int, error, rng: np.random.Generator
) -> Float[np.ndarray, " path"]:
    """Mean error of `n` neurons drawn from those of one path, for every path: the path's own, if that is what it has."""
    rows = pool.reshape(len(pool), -1, pool.shape[-1])
    draws, found = rows.shape[1] // n, np.zeros(len(pool))
    repeats = 1 if rows.shape[1] == n else -(-_BALANCE * n // rows.shape[1])
    for _ in range(repeats):
        order = np.arange(n) if rows.shape[1] == n else rng.permutation(rows.shape[1])
        drawn = rows[:, order[: draws * n]].reshape(len(pool), draws, n, -1)
        found += error(drawn).mean(axis=1)
    return found / repeats


def _drawn_across(
    pool: Float[np.ndarray, "path network N d"], n: int, error, rng: np.random.Generator
) -> Float[np.ndarray, " left_out"]:
    """Mean error of `n` neurons drawn from the pool of all paths, and of all paths but one, (1 + S,).

    A draw that leaves path s out takes the place of its neurons of s by the next in the order that are not: most of it stays, so that
    the difference is that of the paths.
    """
    paths, rows = len(pool), pool.reshape(-1, pool.shape[-1])
    per_path = len(rows) // paths
    starts = np.arange(len(rows) // n) * n
    at_once = max(1, _ENTRIES // rows.size)
    found, repeats = np.zeros(1 + paths), -(-_BALANCE * n // per_path)
    for _ in range(repeats):
        order = rng.permutation(len(rows))
        for first in range(0, 1 + paths, at_once):
            several = [
                _blocks(order, order // per_path != i, starts, n) for i in range(first - 1, min(first + at_once, 1 + paths) - 1)
            ]
            found[first : first + at_once] += error(rows[np.stack(several)]).mean(axis=1)
    return found / repeats


def _blocks(order: Int[np.ndarray, " row"], stays: Bool[np.ndarray, " row"], starts, n: int) -> Int[np.ndarray, "draw N"]:
    """The `n` rows that stay, at and after each start, around the end to the beginning."""
    kept = order[stays]
    first = np.cumsum(stays)[starts] - stays[starts]
    return kept[(first[:, None] + np.arange(n)) % len(kept)]


def _logs(errors: Float[np.ndarray, " path"], width: int) -> Float[np.ndarray, " left_out"]:
    """Logarithm of the mean over the paths, and over all paths but one, (1 + S,)."""
    mean = np.append(errors.mean(), (errors.sum() - errors) / (len(errors) - 1))
    return _log(mean, width)


def _log(mean: Float[np.ndarray, " left_out"], width: int) -> Float[np.ndarray, " left_out"]:
    must = f"have errors above 0 in two runs or more of every width: their logarithm at width {width} is infinite"
    _check.require(
        bool(np.all(mean > 0)), "neurons", must, _check.words("networks of which kappa N neurons are all that is not 0")
    )
    return np.log(mean)


def _unshared(
    pool: Float[np.ndarray, " left_out"], within: Float[np.ndarray, " left_out"], groups: int
) -> Float[np.ndarray, " left_out"]:
    """Logarithm of the error of draws no two of which come from one group, from that of a pool of so many groups, and within one."""
    return pool if groups == 1 else (groups * pool - within) / (groups - 1)


def _estimate(part: Float[np.ndarray, "*width left_out"]) -> Estimate:
    value, error = part[..., 0], _jackknife.standard_error(part[..., 1:])
    return Estimate(value, error, dof=part.shape[-1] - 2)


def _checked(neurons, kappa, kind: str, p) -> dict[int, np.ndarray]:
    """The neurons as (S, K, N, d) by width, from narrow to wide."""
    _check.require(isinstance(neurons, Mapping), "neurons", "map widths to arrays of neurons", neurons)
    widths = _check.integers("neurons", tuple(neurons), at_least=1)
    _check.require(len(widths) >= 2, "neurons", "hold at least two widths", _check.words(f"neurons of the widths {widths}"))
    _check.choice("kind", kind, KINDS)
    kappa = _check.number("kappa", kappa, "be a number in (0, 1), the fraction kept", lambda v: (v > 0) & (v < 1))
    arrays = {}
    for width in sorted(widths):
        name = f"neurons[{width}]"
        x = np.asarray(_check.finite(name, neurons[width], ndim=(3, 4)), np.float64)
        shape = _check.words(f"an array of shape {x.shape}")
        _check.require(x.shape[-2] == width, name, f"have {width} neurons, in the last axis but one", shape)
        _check.require(x.shape[0] >= 3, name, "hold at least 3 independent runs, in its first axis", shape)
        parts = min(width, x.shape[-1]) if kind == "singular" else width
        must = f"be at least {1 / parts:.6g}, which keeps one part of the narrowest network"
        _check.require(kappa * parts >= 1 - 1e-9, "kappa", must, kappa)
        first = next(iter(arrays.values()), x)
        must = f"have as many axes, runs and coordinates as {first.shape} at width {min(widths)}"
        same = x.ndim == first.ndim and (*x.shape[:-2], x.shape[-1]) == (*first.shape[:-2], first.shape[-1])
        _check.require(same, name, must, shape)
        arrays[width] = x
    return {width: x if x.ndim == 4 else x[:, None] for width, x in arrays.items()}
