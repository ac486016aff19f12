"""Particles against the reduced mean-field PDE of Mei, Montanari and Nguyen: two Gaussians that differ in scale.

    python -m sims.radial_pde --out DIR

writes into DIR: config.json, summary.json, figure.png; and prints tables.
"""

from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table
from scipy import stats

import meanfield as mf
from meanfield import _check
from meanfield import plot as mfplot
from meanfield.measure import distances, rates
from meanfield.systems.examples import RAMP
from meanfield.theory import solvable as theory
from sims import _run

TIMES = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)


@_run.config(dims=(10,), width=200)
class Config:
    """y = +-1, x | y ~ N(0, (1 + y Delta)^2 I): risk of SGD beside that of the PDE for infinitely many neurons and dimensions."""

    out: Path = Path("out/radial_pde")
    """Directory for the results; made if it is not there."""
    delta: float = 0.8
    """Difference of the scales, in (0, 1)."""
    dims: tuple[int, ...] = (10, 40, 160)
    """Dimensions; the PDE is that of infinite dimension."""
    width: int = 2000
    """Number of neurons."""
    step_size: float = 0.002
    """Step size; continuous time is half the step size a step."""
    batch_size: int = 100
    """Examples a step."""
    seeds: int = 3
    """Independent runs."""
    radius: float = 0.8
    """Root mean square radius of the weights at the start."""
    key: int = 0
    """Seed of the random key of the whole run."""
    quick: bool = False
    """A small run, to see that everything works; it also ends at time 1."""


def run(config: Config) -> dict:
    """Simulate, solve the PDE, and compare."""
    _check.integer("width", config.width, at_least=1)
    _check.integer("seeds", config.seeds, at_least=1)
    dims, width, times = config.dims, config.width, TIMES[:4] if config.quick else TIMES
    steps = [round(2 * t / config.step_size) for t in times]
    probe = mf.probes.Evaluation(examples=None, at=tuple(steps))
    rows, radii = [], {}
    for dim in dims:
        key = jax.random.key(config.key)
        data = mf.data.gaussian_classes(jax.random.fold_in(key, dim), dim=dim, delta=config.delta, test_size=20_000)
        network = mf.TwoLayer(
            RAMP, "squared", train_output=False, output_weights="ones", init_scale=config.radius / float(np.sqrt(dim))
        )
        system = mf.System(network, data, mf.dynamics.SGD(config.step_size, config.batch_size))
        run_ = {"widths": width, "steps": steps[-1], "seeds": config.seeds, "probes": [probe]}
        results = mf.simulate(system, key=key, **run_).require_complete()
        risk = 2 * results.dataset["risk"].sel(split="test", width=width).isel(step_size=0).transpose("seed", "step").to_numpy()
        pde = theory.radial_flow(_radii(dim, config.radius), config.delta, times)
        final = np.linalg.norm(np.asarray(results.particles[width].w[0], np.float64), axis=-1)
        gap = [float(distances.wasserstein(one, pde.radii[-1])) for one in final]
        radii[str(dim)] = {"particles": np.sort(final, axis=None)[:: final.size // 200], "pde": pde.radii[-1]}
        rows.append({"dim": dim, "risk": risk, "risk_pde": pde.risks, "radii_wasserstein": gap})
    deltas = np.round(np.arange(0.1, 0.91, 0.05), 2)
    return {
        "about": {
            "risk": "E (y - f)^2 of the particles on a test sample, per seed and time",
            "risk_pde": "of the PDE in infinite dimension, from the radii of the same start",
            "radii_wasserstein": "W_1 between the radii of the particles and of the PDE at the last time, per seed",
            "minimal_risk": "least risk of any radial law, in infinite dimension",
        },
        "times": times,
        "rows": rows,
        "radii": radii,
        "deltas": deltas,
        "minimal_risk": [float(theory.minimal_risk(float(d))) for d in deltas],
        "threshold": float(theory.zero_risk_threshold()),
    }


def _radii(dim: int, radius: float, count: int = 400) -> np.ndarray:
    """Radii of N(0, radius^2 / dim I): midpoints of `count` equal shares."""
    return radius * np.sqrt(stats.chi2(dim).ppf((np.arange(count) + 0.5) / count) / dim)


def tables(summary: dict) -> list[Table]:
    """Risks of the PDE and of particles."""
    rows = []
    for row in summary["rows"]:
        for i, t in enumerate(summary["times"]):
            risk = np.asarray(row["risk"])[:, i]
            mean, interval = rates.mean_interval(risk)
            measured = _run.with_interval(float(mean), interval, 4)
            rows.append((str(row["dim"]), f"{t:g}", f"{row['risk_pde'][i]:.5f}", measured))
    columns = ("dimension", "time", "risk of\nthe PDE", "risk of\nSGD")
    return [
        _run.table("Risk along the flow, with 95 % intervals over seeds", columns, rows),
        _run.table("Zero risk", ("can be reached iff Delta is at least",), [(f"{summary['threshold']:.6f}",)]),
    ]


def plot(summary: dict) -> Figure:
    """Risk against time; law of the radii at the end; least risk against Delta."""
    figure = Figure(figsize=(12.5, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    times, rows = np.asarray(summary["times"]), summary["rows"]
    at = np.maximum(times, 0.05)  # time 0 at the left edge of a logarithmic axis
    for i, row in enumerate(rows):
        look = mfplot.style(i, len(rows) + 1) | {"linestyle": "none"}
        risk = np.asarray(row["risk"])
        spread = np.abs(np.stack([risk.min(axis=0), risk.max(axis=0)]) - risk.mean(axis=0))
        left.errorbar(at, risk.mean(axis=0), spread, capsize=2, markersize=5, label=f"SGD, d = {row['dim']}", **look)
        left.plot(at, row["risk_pde"], ":", color=look["color"], linewidth=1.4)
    left.plot([], [], ":", color="black", label="PDE, $d = \\infty$, same start")
    left.set(xscale="log", xlabel="time (0 drawn at 0.05)", ylabel="risk $E (y - f)^2$")
    left.legend(fontsize="small")
    last = rows[-1]["dim"]
    for (name, radii), style in zip(summary["radii"][str(last)].items(), ("-", ":"), strict=True):
        values = np.sort(np.asarray(radii))
        middle.plot(values, (np.arange(len(values)) + 0.5) / len(values), style, color="black", label=name)
    middle.set(xlabel="radius $|w|$", ylabel="share of neurons below")
    middle.legend(fontsize="small", title=f"d = {last}, time {times[-1]:g}", title_fontsize="small")
    right.plot(summary["deltas"], summary["minimal_risk"], "o-", color="black", markersize=4)
    right.axvline(summary["threshold"], color="black", linestyle=":", linewidth=1)
    right.annotate(f"{summary['threshold']:.4f}", (summary["threshold"], 0.5), (5, 0), textcoords="offset points")
    right.set(xlabel="$\\Delta$", ylabel="least risk of any radial law")
    for ax, title in zip((left, middle, right), ("(a) risk", "(b) radii", "(c) what can be reached"), strict=True):
        ax.set_title(title, loc="left", fontsize="medium")
    return figure


def main(config: Config) -> int:
    """Run, write and print everything."""
    return _run.job(config, run, plot, tables)


if __name__ == "__main__":
    _run.command(Config, main)
