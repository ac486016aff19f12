"""What the experiments of index_two_wall share: accuracies, the index of the neurons of a run, and verdicts on predictions."""

import warnings
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes
from rich.table import Table

import meanfield as mf
from meanfield.measure import tails

from . import _figures, _tables

SURE = 4.0  # standard errors within which all predictions of an experiment must be for its statement to hold
INDEX = (
    "tail_index of the norms of the neurons with its 95 % interval: of all seeds together where it is predicted, else"
    " the mean of its logarithm over seeds with a t-interval"
)


def outputs(x: np.ndarray, neurons: np.ndarray) -> np.ndarray:
    """f_N of a ReLU network with neurons (w, a), (N, dim + outputs), at all inputs (n, dim): (n, outputs)."""
    w, a = neurons[:, : x.shape[1]], neurons[:, x.shape[1] :]
    return np.maximum(x @ w.T, 0) @ a / len(w)


def accuracy(f: np.ndarray, y: np.ndarray) -> float:
    """Share of the examples whose label has the largest output; NaN if an output is not finite."""
    return float(np.mean(np.argmax(f, axis=1) == y)) if np.isfinite(f).all() else np.nan


def simulated(config: Any, system: mf.System, width: int, steps: int, at: tuple[int, ...]) -> mf.Results:
    """The runs of a config (its `seeds` and `key`) at one width; whole particles are kept at the steps `at`."""
    key, probe = jax.random.key(config.key), mf.probes.Snapshot(at=at)
    return mf.simulate(system, widths=width, steps=steps, seeds=config.seeds, key=key, probes=[probe])


def norms(results: mf.Results, earlier: int, width: int, step_size: float) -> tuple[np.ndarray, np.ndarray]:
    """Norms of the neurons (seed, neuron) at an earlier step and after the last; NaN in runs that diverged."""
    found = []
    for step in (earlier, None):
        particles = results.particles_at(step, width=width, step_size=step_size)
        with np.errstate(invalid="ignore", over="ignore"):
            found.append(np.linalg.norm(particles.to_numpy().astype(np.float64), axis=-1))
    bad = results.dataset["first_bad_step"].sel(width=width, step_size=step_size).to_numpy() >= 0
    lost = bad | ~np.isfinite(found).all(axis=(0, 2))
    before, after = (np.where(lost[:, None], np.nan, one) for one in found)
    return before, after


def family(norms: np.ndarray, earlier: np.ndarray) -> tails.TailFamily:
    """Family of the tail, without a warning where it moves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tails.StationarityWarning)  # it is in the tables
        return tails.tail_family(norms, earlier=earlier)


def together(earlier: np.ndarray, norms: np.ndarray) -> dict:
    """Index of the neurons of all runs that did not diverge, as one sample."""
    alive = np.isfinite(norms).all(axis=1)
    row: dict = {"runs": len(norms), "diverged": int(np.sum(~alive))}
    if not alive.any():
        return row | {"index": np.nan, "interval": [np.nan, np.nan], "stationary": False}
    found = family(norms[alive].ravel(), earlier[alive].ravel())
    return row | {"index": float(found.fit.alpha), "interval": found.fit.interval, "stationary": bool(found.stationary)}


def statement(text: str, evidence: str, holds: bool | None) -> dict:
    """One line of the verdict; `holds` is None if nothing decides it."""
    return {"statement": text, "evidence": evidence, "holds": holds}


def predicted(text: str, rows: Iterable[dict]) -> dict:
    """The statement that all predictions of stationary indices are right: within `SURE` standard errors."""
    rows = [r for r in rows if r.get("stationary", True)]
    evidence = f"{sum(map(_tables.inside, rows))} of {len(rows)} predictions in their 95 % intervals"
    return statement(text, evidence, all(_deviation(r) < SURE for r in rows) if rows else None)


def _deviation(row: dict) -> float:
    """How far the prediction is from the middle of the interval, in standard errors."""
    low, high = row["interval"]
    error = np.hypot((high - low) / (2 * 1.96), row.get("predicted_error", 0.0))
    return abs(row["predicted"] - (low + high) / 2) / error


def verdict(summary: dict) -> Table:
    """The statements, the evidence, and whether they hold."""
    said = {True: "holds", False: "does not hold"}  # null in a file, where nothing decides it
    columns = (("statement", "{statement}"), ("evidence", "{evidence}"), ("", lambda v: said.get(v["holds"], "not decided")))
    return _tables.of_rows("Verdict", summary["verdict"], *columns)


def mean_accuracy(row: dict) -> str:
    """For a column: the mean over the runs."""
    return f"{np.mean(row['accuracy']):.2f}"


def draw_predicted(ax: Axes, title: str, kinds: dict[str, list[dict]]) -> None:
    """Measured against predicted index of several kinds of networks; indices of 2 belong to Gaussian noise and light tails."""
    for i, (label, rows) in enumerate(kinds.items()):
        shown = [r for r in rows if np.isfinite(r["index"]) and r["predicted"] != 2]
        found = _figures.columns(shown, "predicted", "index", "interval")
        _figures.errorbars(ax, *found, markersize=5, label=label, **_figures.points(i, len(kinds)))
    ax.plot([1, 5], [1, 5], color="black", linewidth=0.8)
    _figures.panel(ax, title, "predicted index", "measured index", {}, xlim=(1, 5), ylim=(1, 5))
