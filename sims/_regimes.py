"""What the map of regimes and the main job share: the parts of a pruning error, who vanishes, and whether the theorem is at work."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

import meanfield as mf
from meanfield import plot as mfplot
from meanfield._estimate import quantile
from meanfield.measure import distances, mechanisms, rates
from meanfield.measure.pruning import error_curve
from meanfield.theory.compressibility import decay_exponent

from . import _figures, _tables

KAPPA = 0.1  # fraction kept
LEVELS = (0.5, 0.9, 0.99)  # of the quantiles that a stationary law keeps
PARTS = mechanisms.PARTS[1:]  # the level has no slope
LEVEL = 0.99  # of the intervals by which a part differs from 0
HALF, TENTH = 0.5, 0.1  # of the slope: what sampling must carry at least, and what other parts may, where the theorem is at work
ABOUT = {
    "slope": f"of the log of the mean node error ({KAPPA:.0%} kept, l_p) against log width: measured = sampling + law + dependence",
    "dependence": "part of the log error of the widest networks that their neurons share",
    "predicted": "slope of the error of independent draws from a law with this index, -(1/index - 1/p), 0 above p",
    "shares": "of the widest networks' neurons between half of the steps and the end: dead (off on every example), collapsing"
    " (alive, the norm fell by a factor e), growing (it rose by e), live",
    "vanishing": "share of neurons that are dead or collapsing, at every width",
    "growth": "d log q / d log step of the 99 % quantile q of the widest networks' norms over the second half of the steps",
    "stationary": "the 50 %, 90 % and 99 % quantiles of the widest networks' norms are not seen to move over the second half of the steps:"
    " t-tests over the runs, 1 % for the three together",
    "law_distance": "Kolmogorov distance of the laws of the norms at neighbouring widths, all seeds together, and its slope in log width",
    "duplicates": "of the widest networks: share of neurons that equal another up to a factor; error_of_distinct: without them",
    "slope_halfway": "slope and parts after half of the steps",
    "index": "Hill, largest 1 % of the widest networks' norms, with the family that tail_family names",
    "left_out": "why a row has no slope",
    "fails": "conditions of the founding theorem that do not hold; none: it is at work. The slope and the index are judged by 95 %"
    f" intervals, sampling must carry {HALF:.0%} of the slope, the law and the dependence must not differ from 0 ({LEVEL:.0%} intervals)"
    f" or carry at most {TENTH:.0%} of it; the same for the dependence at the widest. What is not seen to fail holds",
}


def row_of(
    results: mf.Results,
    cell: dict[str, float],
    half: int,
    key: int,
    inputs: np.ndarray | None = None,
    constant: float = np.nan,
    p: float = 2.0,
) -> dict:
    """Everything about one cell of a simulation with a snapshot at the step `half`.

    Without slopes where fewer than three runs completed, or where errors are 0.

    `inputs` are the examples of ReLU neurons; None: neurons of another kind, which are never off. `constant` is the risk of the best
    constant, to which the risk is compared where there are no classes.
    """
    dataset, widths = results.dataset.sel(cell), sorted(results.particles)
    complete = (dataset["status"] == mf.Status.COMPLETE.code).all("width").to_numpy()
    row: dict[str, Any] = cell | {"runs": len(complete), "complete": int(complete.sum())}
    if complete.sum() < 3:
        return row
    steps = int(dataset["step"].max())
    pairs = {w: [results.particles_at(t, width=w, **cell)[complete] for t in (half, None)] for w in widths}
    split = "test" if "test" in dataset["split"] else "train"
    quality = dataset["accuracy"] if "accuracy" in dataset else 1 - dataset["risk"] / constant
    accuracy = quality.sel(split=split, step=steps)
    row["accuracy"] = [float(accuracy.sel(width=w)[complete].mean()) for w in widths]
    row["vanishing"] = [_vanishing(before, after, inputs) for before, after in pairs.values()]
    earlier, later = pairs[widths[-1]]
    off = [_dead(one, inputs) for one in (earlier, later)]
    found = mechanisms.census(earlier.to_numpy(), later.to_numpy(), off[1], steps - half, off[0], kappa=KAPPA, p=p)
    row |= {fate.name.lower(): float(getattr(found, fate.name.lower())) for fate in mechanisms.Fate}
    row |= {"dead_rate": float(found.dead_rate), "error_without_dead": float(found.error_without_dead)}
    row["error_of_live"] = float(found.error_of_live)
    row |= _of_duplicates(later.to_numpy(), p)
    halfway, neurons = ({w: pair[i].to_numpy() for w, pair in pairs.items()} for i in (0, 1))
    try:
        parts = mechanisms.decompose(halfway, KAPPA, p=p, key=jax.random.key(key))
        row["slope_halfway"] = {name: float(slope) for name, slope in parts.slopes.items()}
        return row | measured(neurons, earlier.to_numpy(), float(np.log(steps / half)), key, p)
    except mf.ArgumentError as error:  # neurons that vanish come to be 0 in float32, and an error of 0 has no logarithm
        return row | {"left_out": str(error)}


def _vanishing(earlier: xr.DataArray, later: xr.DataArray, inputs: np.ndarray | None) -> float:
    """Share of neurons that are dead or collapsing."""
    return float(
        np.mean(mechanisms.fates(earlier.to_numpy(), later.to_numpy(), _dead(later, inputs)) <= mechanisms.Fate.COLLAPSING)
    )


def _of_duplicates(neurons: np.ndarray, p: float) -> dict:
    """Share of neurons that equal another up to a factor, mean error of the others."""
    twice = [mechanisms.duplicates(one) for one in neurons]
    errors = [error_curve(one[~double], KAPPA, "node", p) for one, double in zip(neurons, twice, strict=True)]
    return {"duplicates": float(np.mean(twice)), "error_of_distinct": float(np.mean(errors))}


def _dead(neurons: xr.DataArray, inputs: np.ndarray | None) -> np.ndarray:
    return np.zeros(neurons.shape[:2], bool) if inputs is None else mechanisms.dead(neurons.sel(part="w").to_numpy(), inputs)


def measured(neurons: Mapping[int, np.ndarray], earlier: np.ndarray, log_time: float, key: int, p: float = 2.0) -> dict:
    """Parts of the error, tail and stationarity of the widest law, distances of the laws of neighbouring widths."""
    parts = mechanisms.decompose(neurons, KAPPA, p=p, key=jax.random.key(key))
    norms = {w: np.linalg.norm(np.asarray(x, np.float64), axis=-1) for w, x in neurons.items()}
    before, after = np.linalg.norm(np.asarray(earlier, np.float64), axis=-1), norms[max(norms)]
    shifts = _shifts(before, after)
    growth = shifts[-1] / log_time
    end, widths = mechanisms.limit(after, KAPPA, p), sorted(norms)
    pairs = [(norms[a].ravel(), norms[b].ravel()) for a, b in itertools.pairwise(widths)]
    predicted = [0.0 - float(decay_exponent(a, p)) for a in (float(end.index), *end.index.interval)]
    row = {
        "widths": widths,
        "p": p,
        "error": np.exp(parts.measured.value),
        "error_interval": np.exp(parts.measured.interval),
        "of_one_law": np.exp(parts.level.value + parts.sampling.value),
        "slope": {name: float(slope) for name, slope in parts.slopes.items()},
        "slope_interval": {name: slope.interval for name, slope in parts.slopes.items()},
        "slope_error": {name: slope.standard_error for name, slope in parts.slopes.items()},
        "dependence": float(parts.dependence.value[-1]),
        "dependence_error": float(parts.dependence.standard_error[-1]),
        "slope_sure": quantile((1 + LEVEL) / 2, parts.paths - 1),
        "predicted": predicted[0],
        "predicted_interval": predicted[1:],
        "growth": float(growth.mean()),
        "growth_interval": mf.measure.rates.mean_interval(growth)[1],
        "stationary": not any(_moves(shift) for shift in shifts),
        "index": float(end.index),
        "index_interval": end.index.interval,
        "family": end.family.name,
        "limit": float(end.finite),
        "limit_of_power_law": float(end.power),
        "law_distance": (apart := [float(distances.kolmogorov(a, b)) for a, b in pairs]),
        "law_distance_rate": float(rates.rate(np.array(widths[:-1]), np.array(apart)[None]).value) if len(apart) > 1 else np.nan,
    }
    return row | {"fails": fails(row)}


def _shifts(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Of every run, how far the logarithms of its quantiles move, (level, run); 0 where both are 0, infinite where one is."""
    ends = (np.quantile(one, LEVELS, axis=1) for one in (before, after))
    with np.errstate(divide="ignore"):
        old, new = (np.log(one) for one in ends)
    return np.subtract(new, old, where=new != old, out=np.zeros_like(new))


def _moves(shift: np.ndarray) -> bool:
    """Whether a shift differs from 0 over the runs, which are independent where their neurons are not; one test of three."""
    if not np.isfinite(shift).all():
        return True
    error = np.std(shift, ddof=1) / np.sqrt(len(shift))
    return bool(abs(shift.mean()) > quantile(1 - (1 - LEVEL) / 2 / len(LEVELS), len(shift) - 1) * error)


def fails(row: dict) -> list[str]:
    """Conditions of the founding theorem, and its conclusion, that do not hold in a row of `measured`."""
    slope = row["slope"]

    def matters(part: str) -> bool:
        """It differs from 0 and is more than a tenth of the slope: a law settles like a power of the width, never wholly."""
        return abs(slope[part]) > max(row["slope_sure"] * row["slope_error"][part], TENTH * abs(slope["measured"]))

    shared = abs(row["dependence"]) > max(row["slope_sure"] * row["dependence_error"], TENTH)  # as twins make at every width
    holds = {
        "no fall": row["slope_interval"]["measured"][1] < 0,
        "not stationary": row["stationary"],
        "tail undecided": row["family"] != "UNDECIDED",
        "no power law": row["family"] in ("POWER", "UNDECIDED"),
        "index not below p": row["index_interval"][1] < row["p"],
        "law moves with the width": not matters("law") and slope["sampling"] <= HALF * slope["measured"],
        "dependent": not matters("dependence") and not shared,
    }
    return [name for name, right in holds.items() if not right]


def part(name: str):
    """For a column: a part of the slope with its interval."""
    return lambda row: _tables.with_interval(row["slope"][name], row["slope_interval"][name])


def at_work(row: dict) -> str:
    """For a column: whether the theorem is at work, or what fails."""
    return ", ".join(row["fails"]) or "yes"


def draw_parts(ax: Axes, title: str, xlabel: str, names: Iterable[str], rows: Iterable[dict]) -> None:
    """The slope of every row and its parts, with their intervals."""
    rows = list(rows)
    for i, name in enumerate(("measured", *PARTS)):
        values = [row["slope"][name] for row in rows]
        intervals = [row["slope_interval"][name] for row in rows]
        if rows:
            look = mfplot.style(i, 4, "plasma") | {"linestyle": "none"}  # not the colours of the regimes
            _figures.errorbars(ax, np.arange(len(rows)) + 0.15 * (i - 1.5), values, intervals, label=name, **look)
    ax.axhline(0, color="black", linewidth=0.6)
    ax.set_xticks(range(len(rows)), list(names), fontsize="small")
    _figures.panel(ax, title, xlabel, "slope of log error in log width", {} if rows else None)
