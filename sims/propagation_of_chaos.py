"""Propagation of chaos on real data: distance of SGD to its limits against the width, with and without common noise.

    python -m sims.propagation_of_chaos --out DIR

writes into DIR: config.json, summary.json, figure.png; and prints a table.
"""

import dataclasses
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import _check
from meanfield import plot as mfplot
from meanfield.measure import chaos, rates
from sims import _run


@_run.config(widths=(16, 32, 64), reference=512, examples=40, betas=(0.5,), time=0.5, seeds=3)
class Config:
    """Coupled errors E|W_i - W*_i|^2 between width N and the limit, tanh networks on handwritten digits, both layers trained."""

    out: Path = Path("out/propagation_of_chaos")
    """Directory for the results; made if it is not there."""
    widths: tuple[int, ...] = (32, 64, 128, 256, 512)
    """Numbers of neurons."""
    reference: int = 8192
    """Width at which limits are simulated."""
    examples: int = 200
    """Examples of the data set: the limits see all of them in every step."""
    betas: tuple[float, ...] = (0.25, 0.5, 0.75)
    """Exponents of the step-size law gamma N^beta, below 1."""
    gamma: float = 1.0
    """Factor of the step-size law."""
    time: float = 2.0
    """Continuous time at which networks are compared."""
    batch_sizes: tuple[int, ...] = (1, 10)
    """Mini-batch sizes."""
    fixed_step: float = 0.1
    """Step size of one neuron at beta = 1."""
    limit_step: float = 0.02
    """Time step of the limits for beta < 1."""
    seeds: int = 12
    """Independent runs."""
    key: int = 0
    """Seed of the random key of the whole run."""
    quick: bool = False
    """A small run, to see that everything works."""


class _Lab:
    """Runs dynamics on the digits up to the same continuous time, each run once."""

    def __init__(self, config: Config):
        self.config = config
        digits = mf.data.digits()
        n = self.config.examples
        must = f"be an integer from 1 to {digits.size}, the number of digits"
        _check.require(1 <= n <= digits.size, "examples", must, n)
        self.data = mf.data.from_arrays(np.asarray(digits.x)[:n], np.asarray(digits.y)[:n], classes=10)
        self._done: dict = {}

    def vectors(self, dynamics, width: int) -> np.ndarray:
        """Final particles (seeds, N, D). A `StepSizeLaw` law takes as many steps as its width needs.

        Its gamma is rounded so that a whole number of steps ends at the same time at every width.
        """
        at = (str(dynamics), width)
        if at not in self._done:
            law, time_ = dynamics.step_size, self.config.time
            if isinstance(law, mf.scaling.StepSizeLaw):
                steps = max(1, round(time_ / float(law.time_step(width))))
                law = dataclasses.replace(law, gamma=float(np.asarray(law.gamma)) * time_ / (steps * float(law.time_step(width))))
                dynamics = dataclasses.replace(dynamics, step_size=law)
            else:
                steps = round(time_ / law)
            system = mf.System(mf.TwoLayer("tanh"), self.data, dynamics)
            run = {"widths": width, "steps": steps, "seeds": self.config.seeds, "probes": ()}
            results = mf.simulate(system, key=jax.random.key(self.config.key), **run).require_complete()
            self._done[at] = results.particles[width].vectors[0]
        return self._done[at]

    def row(self, what: str, dynamics, reference, predicted: float, same_width: bool = False, **about) -> dict:
        """Coupled error at every width, and its slope."""
        widths = self.config.widths
        errors = []
        for n in widths:
            other = self.vectors(reference, n if same_width else self.config.reference)
            errors.append(chaos.coupled_error(self.vectors(dynamics, n), other))
        errors = np.stack(errors, axis=-1)
        fit = rates.rate(widths, errors)
        return {
            "what": what,
            "slope_predicted": predicted,
            "slope": fit.value,
            "interval": fit.interval,
            "errors": errors,
        } | about


def run(config: Config) -> dict:
    """Simulate and measure; the summary with predicted slopes beside measured ones. Takes about two minutes."""
    lab = _Lab(config)
    rows = []
    ode = mf.dynamics.McKeanVlasov(config.limit_step)  # the limit for every beta < 1, with a time step of its own
    rows.append(lab.row("interaction: ODE on N particles against its limit", ode, ode, -1.0, beta=np.nan))
    for beta in config.betas:
        law = mf.scaling.StepSizeLaw(config.gamma, beta=beta)
        for size in config.batch_sizes:
            sgd = mf.dynamics.SGD(law, size)
            at = {"beta": beta, "batch_size": size}
            rows.append(lab.row("noise: SGD against the ODE, both width N", sgd, sgd.limit(), beta - 1, True, **at))
            rows.append(lab.row("SGD against the ODE", sgd, ode, beta - 1, **at))
    size = config.batch_sizes[0]
    shared = mf.dynamics.SGD(config.fixed_step, size)
    independent = mf.dynamics.SGD(config.fixed_step, size, minibatches="independent")
    ode = mf.dynamics.McKeanVlasov(config.fixed_step)  # with the step of SGD: the difference is noise alone
    at = {"beta": 1.0, "batch_size": size}
    rows.append(lab.row("SGD, shared noise, against the ODE", shared, ode, 0.0, **at))
    rows.append(lab.row("SGD, shared noise, against its conditional limit", shared, shared.limit(), -1.0, **at))
    sde = independent.limit()
    rows.append(lab.row("SDE on N particles against its limit", sde, sde, -1.0, **at))
    return {
        "about": {
            "errors": "mean over neurons of |W_i - W*_i|^2 of coupled systems (same start, data and noise), per seed and width",
            "slope": "of log error against log N, mean and 95 % t-interval over seeds",
            "slope_predicted": "of the leading term: -1 of the interaction, -(1 - beta) of the mini-batch noise, 0 where it stays",
            "noise_ratio": "error of batch size 1 over that of batch size M, divided by M: 1 if the noise is proportional to 1/M",
        },
        "widths": config.widths,
        "reference": config.reference,
        "rows": rows,
        "noise_ratio": _noise_ratios(rows, config),
    }


def _noise_ratios(rows: list[dict], config: Config) -> list[dict]:
    ratios = []
    for beta in config.betas:
        one, *others = [r for r in rows if r["what"].startswith("noise") and r["beta"] == beta]
        for other in others:
            per_seed = np.mean(np.log(one["errors"] / other["errors"]), axis=1) - np.log(other["batch_size"] / one["batch_size"])
            mean, interval = rates.mean_interval(per_seed)
            ratios.append({"beta": beta, "batch_size": other["batch_size"], "ratio": np.exp(mean), "interval": np.exp(interval)})
    return ratios


def tables(summary: dict) -> list[Table]:
    """Predicted and measured slopes."""
    rows = []
    for r in summary["rows"]:
        errors = np.mean(r["errors"], axis=0)
        size = str(r.get("batch_size", "all"))
        beta = "<1" if np.isnan(r["beta"]) else f"{r['beta']:g}"
        slope = _run.with_interval(float(r["slope"]), r["interval"])
        rows.append((r["what"], beta, size, f"{errors[0]:.2e}", f"{errors[-1]:.2e}", f"{r['slope_predicted']:g}", slope))
    first, *_, last = summary["widths"]
    columns = ("error", "beta", "batch\nsize", f"N = {first}", f"N = {last}", "slope\npredicted", "measured")
    ratios = [
        (f"{r['beta']:g}", str(r["batch_size"]), "1", _run.with_interval(float(r["ratio"]), r["interval"]))
        for r in summary["noise_ratio"]
    ]
    return [
        _run.table("Squared coupled errors and their slopes in N, with 95 % intervals", columns, rows),
        _run.table(
            "Noise part: batch size times squared error, relative to batch size 1", ("beta", "M", "predicted", "measured"), ratios
        ),
    ]


def plot(summary: dict) -> Figure:
    """Errors against width: the two parts for beta < 1; SGD against its limit; beta = 1."""
    figure = Figure(figsize=(12.5, 4.4), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    widths = np.asarray(summary["widths"])
    rows = summary["rows"]
    betas = sorted({r["beta"] for r in rows if r["beta"] < 1})
    first = min(r["batch_size"] for r in rows if "batch_size" in r)

    def curve(ax, row, label, look):
        errors = np.asarray(row["errors"])
        mean = errors.mean(axis=0)
        spread = np.abs(np.stack([errors.min(axis=0), errors.max(axis=0)]) - mean)
        ax.errorbar(widths, mean, spread, capsize=2, markersize=4.5, linewidth=1.3, label=label, **look)
        line = mean[-1] * (widths / widths[-1]) ** row["slope_predicted"]
        ax.plot(widths, line, ":", color=look["color"], linewidth=1.4)

    def chosen(start, beta):
        return next(r for r in rows if r["what"].startswith(start) and r["beta"] == beta and r.get("batch_size", first) == first)

    for i, beta in enumerate(betas):
        curve(axes[0], chosen("noise", beta), f"noise, $\\beta = {beta:g}$", mfplot.style(i, len(betas) + 1))
        curve(axes[1], chosen("SGD against the ODE", beta), f"$\\beta = {beta:g}$", mfplot.style(i, len(betas) + 1))
    curve(axes[0], rows[0], "interaction", mfplot.style(3, 4))
    for i, (start, label) in enumerate(
        (
            ("SGD, shared noise, against the ODE", "shared noise, to the ODE"),
            ("SGD, shared noise, against its", "shared noise, to its conditional limit"),
            ("SDE", "independent noise, to its limit"),
        )
    ):
        curve(axes[2], chosen(start, 1.0), label, mfplot.style(i, 3))
    titles = ("(a) two parts, $\\beta < 1$", "(b) SGD to the ODE, $\\beta < 1$", "(c) $\\beta = 1$")
    for ax, title in zip(axes, titles, strict=True):
        ax.plot([], [], ":", color="black", label="predicted slope")
        ax.set(xscale="log", yscale="log", xlabel="width $N$ (neurons)")
        ax.set_xticks(widths, [str(n) for n in widths])
        ax.minorticks_off()
        ax.set_title(title, loc="left", fontsize="medium")
        ax.legend(fontsize="small")
    axes[0].set_ylabel("squared coupled error per neuron")
    return figure


def main(config: Config) -> int:
    """Run, write and print everything."""
    return _run.job(config, run, plot, tables)


if __name__ == "__main__":
    _run.command(Config, main)
