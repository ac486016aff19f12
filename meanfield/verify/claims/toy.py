"""Claims on common noise, in the linear toy: N numbers that fit pure noise by their mean. After De Bortoli et al. (2020)."""

from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np

from meanfield import _check
from meanfield import plot as mfplot
from meanfield.systems import data as sources
from meanfield.systems import dynamics
from meanfield.systems.system import System
from meanfield.theory.solvable import linear_toy
from meanfield.verify.claim import Arrays, Claim, Estimate, Row, mean
from meanfield.verify.claims._tools import predicting, run_to_the_end, stationary, tampered
from meanfield.verify.domain import Real, Several, Whole

SOURCE = "After De Bortoli, Durmus, Fontaine, Simsekli (2020), beta = 1; the numbers are ours"


def _numbers(key: jax.Array, minibatches: str, parameters, width: int, steps: int, runs: int) -> np.ndarray:
    """The numbers (runs, N) after some steps from N(0, 1), labels +-1."""
    data = sources.from_arrays(np.ones((2, 1)), np.array([-1.0, 1.0]))
    sgd = dynamics.SGD(
        parameters["step_size"], parameters["batch_size"], weight_decay=parameters["weight_decay"], minibatches=minibatches
    )
    system = System(dynamics.chains(), data, sgd)
    results = run_to_the_end(system, widths=width, steps=steps, seeds=runs, key=key)
    return np.asarray(results.particles[width].w[0, :, :, 0], np.float64)


def _moments(name: str, w: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and mean square of every run."""
    return {f"mean, {name}": np.mean(w, axis=1), f"square, {name}": np.mean(w**2, axis=1)}


def _at(parameters) -> tuple[float, float, float, int]:
    """What `linear_toy` takes; labels +-1 have variance 1."""
    return parameters["step_size"], parameters["weight_decay"], 1.0, parameters["batch_size"]


def _correlation(means, squares, n: int) -> Estimate:
    """Of two numbers over runs, all of mean 0: ratio of the mean product of two to the mean square, error by the delta method."""
    products = (n * means**2 - squares) / (n - 1)
    value = np.mean(products) / np.mean(squares)
    rest = mean((products - value * squares) / np.mean(squares))
    return Estimate(float(value), max(rest.standard_error, 1e-9), dof=rest.dof)  # numbers that are equal leave no rest


def _contractions(parameters) -> tuple[float, float]:
    """Factors in a step of the mean, and of deviations from it."""
    gamma, lam = parameters["step_size"], parameters["weight_decay"]
    return 1 - gamma * (1 + lam), 1 - gamma * lam


def _left(parameters, width: int, toy) -> tuple[float, float]:
    """What variance of the mean and variance of deviations are off their stationary values, from a start at N(0, 1)."""
    of_mean, of_rest = (factor ** (2 * parameters["steps"]) for factor in _contractions(parameters))
    rest = toy.variance - toy.mean_variance
    return of_mean * abs(1 / width - toy.mean_variance), of_rest * abs(1 - 1 / width - rest)


def _mean(of: Callable[[Arrays], np.ndarray], bias: float, why: str) -> Callable[[Arrays], Estimate]:
    """The mean over runs of what `of` reads off the data, with this bias."""
    return lambda data: replace(mean(of(data)), bias=float(bias), why=why)


def _stable(parameters) -> None:
    """Steps that contract, and not only just."""
    gamma, lam = parameters["step_size"], parameters["weight_decay"]
    _check.require(gamma * (1 + lam) <= 1.8, "step_size", f"be at most {1.8 / (1 + lam):.4g} at this `weight_decay`", gamma)


DOMAIN = {
    "step_size": Real(0.02, 1.0, even="log"),
    "weight_decay": Real(0.1, 3.0, even="log"),
    "batch_size": Whole(1, 2),  # of the two examples
    "widths": Several(Whole(2, 128), 2, 2, rising=True),
    "steps": Whole(20, 1000),
}

# -- independent noise -----------------------------------------------------------------------------------------------------


def _independent_rows(parameters):
    return [row for n in parameters["widths"] for row in _rows_at(n, parameters)]


def _rows_at(n: int, parameters) -> list[Row]:
    """The rows of one number N of numbers."""
    toy = linear_toy(*_at(parameters), width=n, minibatches="independent")
    of_mean = n * toy.mean_variance
    (mean_left, rest_left), why = _left(parameters, n, toy), f"what {parameters['steps']} steps leave of the start"
    corr_left = (mean_left + rest_left / (n - 1) + abs(toy.correlation) * (mean_left + rest_left)) / toy.variance

    def correlation(data):
        found = _correlation(data[f"mean, {n}"], data[f"square, {n}"], n)
        return replace(found.mapped(n), bias=n * corr_left, why=why)

    variance = _mean(lambda data: data[f"square, {n}"], mean_left + rest_left, why)
    mean_variance = _mean(lambda data: n * data[f"mean, {n}"] ** 2, n * mean_left, why)
    return [
        Row(f"variance, {n}", toy.variance, variance, 0.0386 * toy.variance, 0.6 * toy.variance),
        Row(f"N Var(mean), {n}", of_mean, mean_variance, 0.09 * of_mean, 1.0 * of_mean),
        # The noise of the correlation is proportional to the ratio of the two variances.
        Row(f"N corr, {n}", n * toy.correlation, correlation, 0.0865 * of_mean / toy.variance, 0.9 * of_mean / toy.variance),
    ]


def _independent_experiment(key, size, parameters, minibatches="independent"):
    steps, widths, made = parameters["steps"], parameters["widths"], {}
    for i, n in enumerate(widths):
        made |= _moments(str(n), _numbers(jax.random.fold_in(key, i), minibatches, parameters, n, steps, size))
    earlier = _numbers(jax.random.fold_in(key, len(widths)), minibatches, parameters, widths[0], steps // 2, size)
    return made | {"square halfway": np.mean(earlier**2, axis=1), "square at the end": made[f"square, {widths[0]}"]}


def _independent_plot(ax, data, parameters):
    rows, widths = _independent_rows(parameters), parameters["widths"]
    for i, (what, shade) in enumerate((("variance", "black"), ("N Var(mean)", "steelblue"), ("N corr", "grey"))):
        mfplot.estimates(ax, widths, [row.measured(data) for row in rows[i::3]], color=shade, label=what)
        ax.plot(widths, [row.predicted for row in rows[i::3]], ":", color=shade)
    ax.set(xscale="log", xlabel="numbers N", ylabel="stationary value")
    ax.legend(fontsize="small", title="dotted: predicted", title_fontsize="small")


INDEPENDENT = Claim(
    name="independent noise",
    statement="With independent mini-batches, numbers that fit noise by their mean have a correlation of order 1/N, in closed form.",
    formula=r"\mathrm{Var}(\bar w)=\frac{\gamma^2 v}{N(1-c^2)},\quad \mathrm{Var}(w_i-\bar w)=\frac{\gamma^2 v(1-1/N)}{1-e^2}",
    source=SOURCE,
    parameters={"step_size": 0.1, "weight_decay": 1.0, "batch_size": 1, "widths": (4, 32), "steps": 100},
    rows=_independent_rows,
    experiment=_independent_experiment,
    sizes=(1500, 20_000),
    hypotheses=(stationary("square halfway", "square at the end"),),
    domain=DOMAIN,
    fits=_stable,
    controls={
        "constants off by 20 %": {"rows": tampered(_independent_rows, 1.2)},
        "shared noise": {"experiment": lambda key, size, p: _independent_experiment(key, size, p, minibatches="shared")},
    },
    plot=_independent_plot,
)

# -- common noise ---------------------------------------------------------------------------------------------------------


def _shared_variance(parameters) -> float:
    return linear_toy(*_at(parameters), minibatches="shared").mean_variance


def _shared_rows(parameters):
    p, variance = parameters, _shared_variance(parameters)
    few, n, rounding = p["widths"][0], p["early"], p["rounding"]
    ratio, factor = _contractions(p)
    of_mean = variance + ratio ** (2 * n) * (1 / few - variance)
    deviation = factor ** (2 * n) * (1 - 1 / few)
    # A step rounds by 2^-24 of a number near 1; two numbers that start close together feel it most.
    rounded = 2**-24 * min(n, 1 / (1 - factor**2)) ** 0.5 / abs(factor) ** n
    left, why = ratio ** (2 * p["steps"]), f"what {p['steps']} steps leave of the start"

    def early(data):
        return _correlation(data["mean, early"], data["square, early"], few)

    def apart(data):
        late = _correlation(data[f"mean, {few}"], data[f"square, {few}"], few)
        return replace(late.mapped(-1.0, 1.0), bias=factor ** (2 * p["steps"]) / variance, why=why)

    def variance_row(width: int) -> Row:
        measured = _mean(lambda data: data[f"mean, {width}"] ** 2, left * abs(1 / width - variance), why)
        return Row(f"Var(mean), {width}", variance, measured, 0.097 * variance, 0.72 * variance)

    contraction = _mean(
        lambda data: np.exp(data["log spread"] / n), abs(factor) * rounded * np.log(1 / rounded) / n, "rounding in float32"
    )
    return [
        Row("factor", (abs(factor) - rounding, abs(factor) + rounding), contraction, 0.01, 0.01),
        Row("early correlation", (of_mean - deviation / (few - 1)) / (of_mean + deviation), early, 0.05, 0.3),
        Row("1 - late correlation", (0.0, rounding), apart, 0.01, 0.01),
        *map(variance_row, p["widths"]),
    ]


def _wrong_sign(parameters):
    factor = 1 + parameters["step_size"] * parameters["weight_decay"]
    return {"factor": (factor - parameters["rounding"], factor + parameters["rounding"])}


def _shared_experiment(key, size, parameters, minibatches="shared"):
    p, made = parameters, {}
    for i, n in enumerate(p["widths"]):
        made |= _moments(str(n), _numbers(jax.random.fold_in(key, i), minibatches, p, n, p["steps"], size))
    few = p["widths"][0]
    own, other = (jax.random.fold_in(key, len(p["widths"]) + i) for i in range(2))
    start, early = (_numbers(own, minibatches, p, few, steps, size) for steps in (0, p["early"]))
    made |= _moments("early", early) | _moments("halfway", _numbers(other, minibatches, p, few, p["steps"] // 2, size))
    made["square at the end"] = made[f"square, {few}"]
    return made | {"log spread": np.log(early.std(axis=1) / start.std(axis=1))}


def _apart(parameters) -> None:
    """Numbers that are still apart when their spread is read."""
    _stable(parameters)
    p, factor = parameters, abs(_contractions(parameters)[1])
    most = int(np.log(1e-3) / np.log(factor)) if factor > 1e-3 else 0
    must = f"be at most {most}, when a thousandth of the spread is left, and at most `steps`"
    _check.require(p["early"] <= min(most, p["steps"]), "early", must, p["early"])


def _shared_plot(ax, data, parameters):
    widths = parameters["widths"]
    measured = [row.measured(data) for row in _shared_rows(parameters)[-len(widths) :]]
    mfplot.estimates(ax, widths, measured, color="black", label="measured")
    ax.axhline(_shared_variance(parameters), color="black", linestyle=":", label="predicted")
    independent = [linear_toy(*_at(parameters), width=n, minibatches="independent").mean_variance for n in widths]
    ax.plot(widths, independent, "--", color="grey", label="with independent noise")
    ax.set(xscale="log", yscale="log", xlabel="numbers N", ylabel="variance of the mean")
    ax.legend(fontsize="small")


SHARED = Claim(
    name="shared noise synchronises",
    statement="With common mini-batches the numbers come together by 1 - gamma lam a step, and their mean varies alike at every N.",
    formula=r"|w_i-w_j|_n=(1-\gamma\lambda)^n|w_i-w_j|_0,\quad \mathrm{Var}(\bar w)=\frac{\gamma^2 v}{1-(1-\gamma(1+\lambda))^2}",
    source=SOURCE,
    parameters={
        "step_size": 0.1,
        "weight_decay": 1.0,
        "batch_size": 1,
        "widths": (4, 128),
        "early": 20,
        "steps": 100,
        "rounding": 1e-5,  # in float32, and what is left of the start
    },
    rows=_shared_rows,
    experiment=_shared_experiment,
    sizes=(1500, 10_000),
    hypotheses=(stationary("square, halfway", "square at the end"),),
    domain=DOMAIN | {"early": Whole(1, 60), "rounding": Real(1e-6, 1e-3, even="log")},
    fits=_apart,
    controls={
        "constants off by 20 %": {"rows": tampered(_shared_rows, 1.2)},
        "ridge of the wrong sign": {"rows": predicting(_shared_rows, _wrong_sign)},
        "independent noise": {"experiment": lambda key, size, p: _shared_experiment(key, size, p, minibatches="independent")},
    },
    plot=_shared_plot,
)

CLAIMS = (INDEPENDENT, SHARED)
