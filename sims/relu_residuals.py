"""ReLU networks whose neurons have independent noise: the tail index that theory gives from the residuals, beside the measured one.

With Langevin noise there is a stationary law with a predicted index. Without it nothing is added in a step, and the neurons condense.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table
from scipy import special

import meanfield as mf
from meanfield import _check
from meanfield import plot as mfplot
from meanfield.measure import rates, tails
from meanfield.systems.examples import digit_components
from meanfield.theory import network, random_products

from . import _figures, _job, _tables, _two_wall

EXAMPLES, COMPONENTS = 60, 5  # of the digits: the population solver follows a neuron in 15 dimensions


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """ReLU networks on a few digits, every neuron with independent mini-batches: with injected noise, and without."""

    out: _job.Out = Path("out/relu_residuals")
    noisy: tuple[tuple[float, float, float], ...] = ((1.0, 0.3, 0.1), (1.0, 0.2, 0.02), (2.0, 0.3, 0.02), (2.0, 0.2, 0.02))
    """Step size, weight decay and temperature of the networks with injected noise."""
    width: int = 32_768
    """Number of their neurons."""
    steps: int = 240
    """Their steps, at least 8."""
    noiseless: tuple[tuple[float, float], ...] = ((0.2, 0.05), (0.5, 0.05))
    """Step size and weight decay of the networks without injected noise."""
    noiseless_width: int = 8_192
    """Number of their neurons."""
    noiseless_steps: int = 1_500
    """Their steps, at least 20."""
    population: int = 10_000
    """Directions of the population solver."""
    solver_steps: int = 1_000
    """Steps of the population solver."""
    seeds: int = 4
    """Independent runs."""

    def sized(self):
        """The quick run."""
        small = {"noisy": ((1.0, 0.2, 0.02),), "width": 4_000, "steps": 100, "population": 2_000, "solver_steps": 500}
        return dataclasses.replace(self, **small, noiseless=((0.5, 0.05),), noiseless_width=1_000, noiseless_steps=400)

    @property
    def solver(self) -> dict[str, Any]:
        """Key and size of the population solver."""
        return {"key": jax.random.key(0), "population": self.population, "steps": self.solver_steps}


def run(config: Config) -> dict:
    """Simulate and measure; the summary with predictions beside measurements."""
    _check.integer("seeds", config.seeds, at_least=2)
    _check.integer("steps", config.steps, at_least=8)
    _check.integer("noiseless_steps", config.noiseless_steps, at_least=20)
    for name in ("width", "noiseless_width"):
        _check.integer(name, getattr(config, name), at_least=1)
    rows, condensed = indices(config), condensation(config)
    return {
        "about": {
            "index": _two_wall.INDEX,
            "predicted": "population solver at the mean residuals of the second half of the steps",
            "condensation": "without noise of its own: E|theta|^2 stays while the median falls; log k(2) at the mean residuals of every"
            " run, mean over runs with t-interval, predicted 0; carriers: (sum |theta|^2)^2 / sum |theta|^4",
        },
        "verdict": [
            _two_wall.predicted("3. index of ReLU networks from their residuals", rows),
            _two_wall.statement(
                "3. without noise of its own k(2) = 1",
                "log k(2) = " + ", ".join(_tables.with_interval(r["log_k2"], r["log_k2_interval"], 4) for r in condensed),
                all(r["log_k2_interval"][0] <= 0 <= r["log_k2_interval"][1] for r in condensed),
            ),
        ],
        "predicted": rows,
        "condensation": condensed,
    }


def trained(config: Config, dynamics, width: int, times: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Neurons (step, seed, neuron, component), mean residuals (seed, n, outputs) of the second half of the times, accuracies at the end."""
    x, y = digit_components(COMPONENTS, EXAMPLES)
    system = mf.System(mf.TwoLayer("relu"), mf.data.from_arrays(x, y, classes=10), dynamics)
    results = _two_wall.simulated(config, system, width, times[-1], at=times).require_complete()
    steps = (results.particles_at(step, width=width, step_size=dynamics.step_size) for step in times)
    seen = np.array([one.to_numpy().astype(np.float64) for one in steps])
    late = np.array([[_two_wall.outputs(x, one) for one in step] for step in seen[len(times) // 2 :]])
    residuals = np.mean(special.softmax(late, axis=-1), axis=0) - np.eye(10)[y]
    return seen, residuals, [_two_wall.accuracy(f, y) for f in late[-1]]


@_job.options(step_size="noisy", weight_decay="noisy", temperature="noisy")
def indices(config: Config) -> list[dict]:
    """Index with injected noise, predicted from the mean residuals of all runs."""
    (x, _), rows = digit_components(COMPONENTS, EXAMPLES), []
    for eta, decay, temperature in config.noisy:
        dynamics = mf.dynamics.Langevin(eta, 1, weight_decay=decay, temperature=temperature, minibatches="independent")
        times = tuple(config.steps * k // 8 for k in range(1, 9))
        seen, residuals, accuracy = trained(config, dynamics, config.width, times)
        predicted = network.tail_index(x, residuals.mean(axis=0), eta, 1, decay, **config.solver)
        norms = np.linalg.norm(seen, axis=-1)
        row = {"step_size": eta, "weight_decay": decay, "temperature": temperature, "width": config.width, "accuracy": accuracy}
        row |= {"predicted": predicted.value, "predicted_error": predicted.standard_error}
        rows.append(row | _two_wall.together(norms[3], norms[-1]))
    return rows


@_job.options(step_size="noiseless", weight_decay="noiseless")
def condensation(config: Config) -> list[dict]:
    """Nothing is added in a step: the law of the neurons spreads for ever while the predictor stays."""
    x, _ = digit_components(COMPONENTS, EXAMPLES)
    width, solver, rows = config.noiseless_width, config.solver, []
    for eta, decay in config.noiseless:
        times = tuple(config.noiseless_steps * k // 20 for k in range(1, 21))
        dynamics = mf.dynamics.SGD(eta, 1, weight_decay=decay, minibatches="independent")
        seen, residuals, accuracy = trained(config, dynamics, width, times)
        norms = np.linalg.norm(seen, axis=-1)
        maps = [network.relu_steps(x, one, eta, 1, decay) for one in residuals]
        growth, interval = rates.mean_interval([random_products.log_growth(*one, s=2.0, **solver).value for one in maps])
        exponent = random_products.lyapunov(*maps[0], **solver)
        fits = [tails.tail_index(one) for one in norms]
        rows.append(
            {
                "step_size": eta,
                "weight_decay": decay,
                "width": width,
                "accuracy": accuracy,
                "times": times,
                "index": [np.exp(np.mean(np.log(f.alpha))) for f in fits],
                "second_moment": np.mean(norms**2, axis=(1, 2)),
                "median": np.median(norms, axis=(1, 2)),
                "carriers": np.mean(np.sum(norms**2, axis=2) ** 2 / np.sum(norms**4, axis=2), axis=1),
                "log_k2": growth,
                "log_k2_interval": interval,
                "lyapunov": exponent.value,
                "lyapunov_interval": exponent.interval,
            }
        )
    return rows


def tables(summary: dict) -> list[Table]:
    """Indices, condensation at its first and its last time, verdict."""
    ends = [
        {name: value[i] for name, value in r.items() if name in ("times", "index", "second_moment", "median", "carriers")}
        | {"step_size": r["step_size"], "log_k2": _tables.with_interval(r["log_k2"], r["log_k2_interval"], 4) if i else ""}
        for r in summary["condensation"]
        for i in (0, -1)
    ]
    return [
        _tables.of_rows(
            "3. ReLU, every neuron's own mini-batches and noise",
            summary["predicted"],
            ("step size", "{step_size:g}"),
            ("weight decay", "{weight_decay:g}"),
            ("temperature", "{temperature:g}"),
            ("accuracy", _two_wall.mean_accuracy),
            ("index\npredicted", "{predicted:.4f} +- {predicted_error:.4f}"),
            ("measured", _tables.measured("index", 2, "interval")),
            ("inside", _tables.verdict),
        ),
        _tables.of_rows(
            "3. The same without that noise: no law that stays",
            ends,
            ("step size", "{step_size:g}"),
            ("steps", "{times}"),
            ("index", "{index:.2f}"),
            ("E|theta|^2", "{second_moment:.1f}"),
            ("median", "{median:.2g}"),
            ("neurons that\ncarry it", "{carriers:.0f}"),
            ("log k(2), predicted 0", "{log_k2}"),
        ),
        _two_wall.verdict(summary),
    ]


def plot(summary: dict) -> Figure:
    """Predicted against measured index; condensation."""
    figure, (left, right) = _figures.panels(10, 4.2, columns=2)
    _two_wall.draw_predicted(left, "(a) predicted and measured", {"ReLU, digits": summary["predicted"]})
    draw_condensation(right, "(b) condensation", summary["condensation"])
    return figure


def draw_condensation(ax: Axes, title: str, rows: Sequence[dict]) -> None:
    """Second moment, index and median against time."""
    for i, r in enumerate(rows):
        look = mfplot.style(i, len(rows) + 1)
        for key, marker, label in (("second_moment", "o", "$E|\\theta|^2$"), ("index", "s", "index"), ("median", "^", "median")):
            look["marker"] = marker
            ax.plot(r["times"], r[key], markersize=4, label=f"{label}, step {r['step_size']:g}", **look)
    _figures.panel(ax, title, "steps", "ReLU without noise of its own", {}, yscale="log")


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
