"""Particles against the reduced mean-field PDE of Mei, Montanari and Nguyen: two Gaussians that differ in scale."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table
from scipy import stats

import meanfield as mf
from meanfield import _check
from meanfield.measure import distances, rates
from meanfield.systems.examples import RAMP
from meanfield.theory import solvable as theory

from . import _figures, _job, _tables


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """y = +-1, x | y ~ N(0, (1 + y Delta)^2 I): risk of SGD beside that of the PDE for infinitely many neurons and dimensions."""

    out: _job.Out = Path("out/radial_pde")
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
    times: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
    """Times at which risks are compared, from 0 on; radii are compared at the last one."""

    def sized(self):
        """The quick run."""
        return dataclasses.replace(self, dims=(10,), width=200, times=self.times[:4])


@_job.options(init_scale="radius")
def run(config: Config) -> dict:
    """Simulate, solve the PDE, and compare."""
    _check.integer("width", config.width, at_least=1)
    _check.integer("seeds", config.seeds, at_least=1)
    dims, width, times = config.dims, config.width, config.times
    _check.require(times[:1] == (0.0,) and list(times) == sorted(set(times)), "times", "be different numbers from 0 up", times)
    steps = [round(2 * t / config.step_size) for t in times]
    probe = mf.probes.Evaluation(examples=None, at=tuple(steps))
    rows, radii = [], {}
    for dim in dims:
        key = jax.random.key(config.key)
        data = mf.data.gaussian_classes(jax.random.fold_in(key, dim), dim=dim, delta=config.delta, test_size=20_000)
        scale = config.radius / float(np.sqrt(dim))
        network = mf.TwoLayer(RAMP, "squared", train_output=False, output_weights="ones", init_scale=scale)
        system = mf.System(network, data, mf.dynamics.SGD(config.step_size, config.batch_size))
        grid = {"widths": width, "steps": steps[-1], "seeds": config.seeds, "probes": [probe]}
        results = mf.simulate(system, key=key, **grid).require_complete()
        at = {"split": "test", "width": width, "step_size": config.step_size}
        risk = 2 * results.dataset["risk"].sel(at).transpose("seed", "step").to_numpy()
        pde = theory.radial_flow(_radii(dim, config.radius), config.delta, times)
        last = results.particles_at(width=width, step_size=config.step_size).to_numpy()  # (seed, neuron, component)
        final = np.linalg.norm(last.astype(np.float64), axis=-1)
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
        for time, risks, pde in zip(summary["times"], np.transpose(row["risk"]), row["risk_pde"], strict=True):
            mean, interval = rates.mean_interval(risks)
            rows.append({"dim": row["dim"], "time": time, "pde": pde, "risk": float(mean), "risk_interval": interval})
    return [
        _tables.of_rows(
            "Risk along the flow, with 95 % intervals over seeds",
            rows,
            ("dimension", "{dim}"),
            ("time", "{time:g}"),
            ("risk of\nthe PDE", "{pde:.5f}"),
            ("risk of\nSGD", _tables.measured("risk", 4)),
        ),
        _tables.of_rows("Zero risk", [summary], ("can be reached iff Delta is at least", "{threshold:.6f}")),
    ]


def plot(summary: dict) -> Figure:
    """Risk against time; law of the radii at the end; least risk against Delta."""
    figure, (left, middle, right) = _figures.panels(12.5, 4.2)
    times, rows = np.asarray(summary["times"]), summary["rows"]
    at = np.maximum(times, 0.05)  # time 0 at the left edge of a logarithmic axis
    for i, row in enumerate(rows):
        look = _figures.points(i, len(rows) + 1)
        _figures.errorbars(
            left, at, *_figures.over_runs(row["risk"], axis=0), markersize=5, label=f"SGD, d = {row['dim']}", **look
        )
        left.plot(at, row["risk_pde"], ":", color=look["color"], linewidth=1.4)
    _figures.named(left, "PDE, $d = \\infty$, same start")
    _figures.panel(left, "(a) risk", "time (0 drawn at 0.05)", "risk $E (y - f)^2$", {}, xscale="log")
    last = rows[-1]["dim"]
    for (name, radii), style in zip(summary["radii"][str(last)].items(), ("-", ":"), strict=True):
        values = np.sort(np.asarray(radii))
        middle.plot(values, (np.arange(len(values)) + 0.5) / len(values), style, color="black", label=name)
    title = {"title": f"d = {last}, time {times[-1]:g}"}
    _figures.panel(middle, "(b) radii", "radius $|w|$", "share of neurons below", title)
    right.plot(summary["deltas"], summary["minimal_risk"], "o-", color="black", markersize=4)
    right.axvline(summary["threshold"], color="black", linestyle=":", linewidth=1)
    right.annotate(f"{summary['threshold']:.4f}", (summary["threshold"], 0.5), (5, 0), textcoords="offset points")
    _figures.panel(right, "(c) what can be reached", "$\\Delta$", "least risk of any radial law")
    return figure


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
