"""Propagation of chaos on real data: distance of SGD to its limits against the width, with and without common noise."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

import meanfield as mf
from meanfield import _check
from meanfield import plot as mfplot
from meanfield.measure import chaos, rates

from . import _figures, _job, _tables


@dataclass(frozen=True, kw_only=True)
class Config(_job.Base):
    """Coupled errors E|W_i - W*_i|^2 between width N and the limit, tanh networks on handwritten digits, both layers trained."""

    out: _job.Out = Path("out/propagation_of_chaos")
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

    def sized(self):
        """The quick run."""
        return dataclasses.replace(self, widths=(16, 32, 64), reference=512, examples=40, betas=(0.5,), time=0.5, seeds=3)


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
        """Final particles (seeds, N, D). A `StepSizeLaw` takes as many steps as its width needs.

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
            self._done[at] = results.particles_at(width=width).isel(step_size=0).to_numpy()
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
    _check.integers("widths", config.widths, at_least=1)
    _check.integer("reference", config.reference, at_least=1)
    _check.number("time", config.time, "be a number > 0", lambda v: v > 0)
    lab = _Lab(config)
    rows = []
    with _job.options(step_size="limit_step"):
        ode = mf.dynamics.McKeanVlasov(config.limit_step)  # the limit for every beta < 1, with another time step
    rows.append(lab.row("interaction: ODE on N particles against its limit", ode, ode, -1.0, beta=np.nan))
    for beta in config.betas:
        law = mf.scaling.StepSizeLaw(config.gamma, beta=beta)
        for size in config.batch_sizes:
            sgd = mf.dynamics.SGD(law, size)
            at = {"beta": beta, "batch_size": size}
            rows.append(lab.row("noise: SGD against the ODE, both width N", sgd, sgd.limit(), beta - 1, True, **at))
            rows.append(lab.row("SGD against the ODE", sgd, ode, beta - 1, **at))
    size = config.batch_sizes[0]
    with _job.options(step_size="fixed_step"):
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
    first, *_, last = summary["widths"]
    errors = lambda i: lambda r: f"{np.mean(r['errors'], axis=0)[i]:.2e}"  # noqa: E731
    return [
        _tables.of_rows(
            "Squared coupled errors and their slopes in N, with 95 % intervals",
            summary["rows"],
            ("error", "{what}"),
            ("beta", lambda r: "<1" if np.isnan(r["beta"]) else f"{r['beta']:g}"),
            ("batch\nsize", lambda r: str(r.get("batch_size", "all"))),
            (f"N = {first}", errors(0)),
            (f"N = {last}", errors(-1)),
            ("slope\npredicted", "{slope_predicted:g}"),
            ("measured", _tables.measured("slope", 3, "interval")),
        ),
        _tables.of_rows(
            "Noise part: batch size times squared error, relative to batch size 1",
            summary["noise_ratio"],
            ("beta", "{beta:g}"),
            ("M", "{batch_size}"),
            ("predicted", "1"),
            ("measured", _tables.measured("ratio", 3, "interval")),
        ),
    ]


def plot(summary: dict) -> Figure:
    """Errors against width: the two parts for beta < 1; SGD against its limit; beta = 1."""
    figure, axes = _figures.panels(12.5, 4.4, sharey=True)
    widths, rows = np.asarray(summary["widths"]), summary["rows"]
    betas = sorted({r["beta"] for r in rows if r["beta"] < 1})
    first = min(r["batch_size"] for r in rows if "batch_size" in r)

    def curve(ax, row, label, look):
        mean, ends = _figures.over_runs(row["errors"], axis=0)
        _figures.errorbars(ax, widths, mean, ends, linewidth=1.3, label=label, **look)
        line = mean[-1] * (widths / widths[-1]) ** row["slope_predicted"]
        ax.plot(widths, line, ":", color=look["color"], linewidth=1.4)

    def chosen(start, beta):
        return next(r for r in rows if r["what"].startswith(start) and r["beta"] == beta and r.get("batch_size", first) == first)

    for i, beta in enumerate(betas):
        curve(axes[0], chosen("noise", beta), f"noise, $\\beta = {beta:g}$", mfplot.style(i, len(betas) + 1))
        curve(axes[1], chosen("SGD against the ODE", beta), f"$\\beta = {beta:g}$", mfplot.style(i, len(betas) + 1))
    curve(axes[0], rows[0], "interaction", mfplot.style(3, 4))
    fixed = {
        "SGD, shared noise, against the ODE": "shared noise, to the ODE",
        "SGD, shared noise, against its": "shared noise, to its conditional limit",
        "SDE": "independent noise, to its limit",
    }
    for i, (start, label) in enumerate(fixed.items()):
        curve(axes[2], chosen(start, 1.0), label, mfplot.style(i, 3))
    titles = ("(a) two parts, $\\beta < 1$", "(b) SGD to the ODE, $\\beta < 1$", "(c) $\\beta = 1$")
    for ax, title in zip(axes, titles, strict=True):
        _figures.named(ax, "predicted slope")
        _figures.panel(ax, title, "width $N$ (neurons)", legend={}, xscale="log", yscale="log")
        _figures.ticks_at(ax, widths)
    axes[0].set_ylabel("squared coupled error per neuron")
    return figure


main = _job.Job(Config, run, tables, plot)

if __name__ == "__main__":
    main.command()
