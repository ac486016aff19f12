"""Claims on common noise, in the linear toy: N numbers that fit pure noise by their mean. After De Bortoli et al. (2020)."""

import dataclasses

import jax
import numpy as np

from meanfield import _check
from meanfield.systems import data as sources
from meanfield.systems import dynamics
from meanfield.systems.system import System
from meanfield.theory.solvable import linear_toy
from meanfield.verify.claim import Claim, Estimate, mean
from meanfield.verify.claims._tools import complete, off, stationary
from meanfield.verify.domain import Real, Several, Whole

SOURCE = "After De Bortoli, Durmus, Fontaine, Simsekli (2020), beta = 1; the numbers are ours"


def _numbers(key: jax.Array, minibatches: str, parameters, width: int, steps: int, runs: int) -> np.ndarray:
    """The numbers (runs, N) after some steps from N(0, 1), labels +-1."""
    data = sources.from_arrays(np.ones((2, 1)), np.array([-1.0, 1.0]))
    sgd = dynamics.SGD(
        parameters["step_size"], parameters["batch_size"], weight_decay=parameters["weight_decay"], minibatches=minibatches
    )
    system = System(dynamics.chains(), data, sgd)
    results = complete(system, widths=width, steps=steps, seeds=runs, key=key)
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


def _biased(estimate: Estimate, bias: float, why: str) -> Estimate:
    return dataclasses.replace(estimate, bias=float(bias), why=why)


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

# -- noise of their own ---------------------------------------------------------------------------------------------------


def _independent(parameters):
    made = {}
    for n in parameters["widths"]:
        toy = linear_toy(*_at(parameters), width=n, minibatches="independent")
        made |= {f"variance, {n}": toy.variance, f"N Var(mean), {n}": n * toy.mean_variance, f"N corr, {n}": n * toy.correlation}
    return made


def _independent_experiment(key, size, parameters, minibatches="independent"):
    steps, widths, made = parameters["steps"], parameters["widths"], {}
    for i, n in enumerate(widths):
        made |= _moments(str(n), _numbers(jax.random.fold_in(key, i), minibatches, parameters, n, steps, size))
    earlier = _numbers(jax.random.fold_in(key, len(widths)), minibatches, parameters, widths[0], steps // 2, size)
    return made | {"square halfway": np.mean(earlier**2, axis=1), "square at the end": made[f"square, {widths[0]}"]}


def _independent_measure(data, parameters):
    made = {}
    for n in parameters["widths"]:
        means, squares = data[f"mean, {n}"], data[f"square, {n}"]
        toy = linear_toy(*_at(parameters), width=n, minibatches="independent")
        (mean_left, rest_left), why = _left(parameters, n, toy), f"what {parameters['steps']} steps leave of the start"
        corr = _correlation(means, squares, n)
        corr_left = (mean_left + rest_left / (n - 1) + abs(toy.correlation) * (mean_left + rest_left)) / toy.variance
        made[f"variance, {n}"] = _biased(mean(squares), mean_left + rest_left, why)
        made[f"N Var(mean), {n}"] = _biased(mean(n * means**2), n * mean_left, why)
        made[f"N corr, {n}"] = _biased(corr.mapped(n), n * corr_left, why)
    return made


def _independent_detects(variance: float, mean_variance: float, correlation: float):
    """Shares of the two variances; a share of the ratio of the two for the correlation, whose noise is proportional to it."""

    def detects(parameters):
        made = {}
        for n in parameters["widths"]:
            toy = linear_toy(*_at(parameters), width=n, minibatches="independent")
            of_mean = n * toy.mean_variance
            made |= {f"variance, {n}": variance * toy.variance, f"N Var(mean), {n}": mean_variance * of_mean}
            made[f"N corr, {n}"] = correlation * of_mean / toy.variance
        return made

    return detects


def _independent_plot(ax, data, parameters):
    found, theory = _independent_measure(data, parameters), _independent(parameters)
    for what, shade in (("variance", "black"), ("N Var(mean)", "steelblue"), ("N corr", "grey")):
        rows = [found[f"{what}, {n}"] for n in parameters["widths"]]
        ax.errorbar(
            parameters["widths"], [r.value for r in rows], [3 * r.standard_error for r in rows], fmt="o", color=shade, label=what
        )
        ax.plot(parameters["widths"], [theory[f"{what}, {n}"] for n in parameters["widths"]], ":", color=shade)
    ax.set(xscale="log", xlabel="numbers N", ylabel="stationary value")
    ax.legend(fontsize="small", title="dotted: predicted", title_fontsize="small")


INDEPENDENT = Claim(
    name="independent noise",
    statement="With mini-batches of their own, numbers that fit noise by their mean have a correlation of order 1/N, in closed form.",
    formula=r"\mathrm{Var}(\bar w)=\frac{\gamma^2 v}{N(1-c^2)},\quad \mathrm{Var}(w_i-\bar w)=\frac{\gamma^2 v(1-1/N)}{1-e^2}",
    source=SOURCE,
    parameters={"step_size": 0.1, "weight_decay": 1.0, "batch_size": 1, "widths": (4, 32), "steps": 100},
    predict=_independent,
    experiment=_independent_experiment,
    measure=_independent_measure,
    detects=_independent_detects(0.0386, 0.09, 0.0865),
    quick_detects=_independent_detects(0.6, 1.0, 0.9),
    sizes=(1500, 20_000),
    hypotheses=(stationary("square halfway", "square at the end"),),
    domain=DOMAIN,
    fits=_stable,
    controls={
        "constants off by 20 %": {"predict": off(_independent, 1.2)},
        "shared noise": {"experiment": lambda key, size, p: _independent_experiment(key, size, p, minibatches="shared")},
    },
    plot=_independent_plot,
)

# -- common noise ---------------------------------------------------------------------------------------------------------


def _shared(parameters):
    p = parameters
    few, n = p["widths"][0], p["early"]
    ratio, factor = _contractions(p)
    limit = linear_toy(*_at(p), minibatches="shared").mean_variance
    of_mean = limit + ratio ** (2 * n) * (1 / few - limit)
    deviation = factor ** (2 * n) * (1 - 1 / few)
    correlation = (of_mean - deviation / (few - 1)) / (of_mean + deviation)
    exact = {"factor": (abs(factor) - p["rounding"], abs(factor) + p["rounding"]), "early correlation": correlation}
    late = {"1 - late correlation": (0.0, p["rounding"])}
    return exact | late | {f"Var(mean), {n}": limit for n in p["widths"]}


def _wrong_sign(parameters):
    factor = 1 + parameters["step_size"] * parameters["weight_decay"]
    return {**_shared(parameters), "factor": (factor - parameters["rounding"], factor + parameters["rounding"])}


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


def _shared_measure(data, parameters):
    p = parameters
    few, (ratio, factor) = p["widths"][0], _contractions(p)
    variance = linear_toy(*_at(p), minibatches="shared").mean_variance
    late = _correlation(data[f"mean, {few}"], data[f"square, {few}"], few)
    spread = mean(np.exp(data["log spread"] / p["early"]))
    # A step rounds by 2^-24 of a number near 1; two numbers that start close together feel it most.
    rounded = 2**-24 * min(p["early"], 1 / (1 - factor**2)) ** 0.5 / abs(factor) ** p["early"]
    left, why = ratio ** (2 * p["steps"]), f"what {p['steps']} steps leave of the start"
    apart = factor ** (2 * p["steps"]) / variance
    return {
        "factor": _biased(spread, abs(factor) * rounded * np.log(1 / rounded) / p["early"], "rounding in float32"),
        "early correlation": _correlation(data["mean, early"], data["square, early"], few),
        "1 - late correlation": _biased(late.mapped(-1.0, 1.0), apart, why),
    } | {f"Var(mean), {n}": _biased(mean(data[f"mean, {n}"] ** 2), left * abs(1 / n - variance), why) for n in p["widths"]}


def _shared_detects(share: float, correlation: float):
    def detects(parameters):
        variance = linear_toy(*_at(parameters), minibatches="shared").mean_variance
        fixed = {"factor": 0.01, "early correlation": correlation, "1 - late correlation": 0.01}
        return fixed | {f"Var(mean), {n}": share * variance for n in parameters["widths"]}

    return detects


def _apart(parameters) -> None:
    """Numbers that are still apart when their spread is read."""
    _stable(parameters)
    p, factor = parameters, abs(_contractions(parameters)[1])
    most = int(np.log(1e-3) / np.log(factor)) if factor > 1e-3 else 0
    must = f"be at most {most}, when a thousandth of the spread is left, and at most `steps`"
    _check.require(p["early"] <= min(most, p["steps"]), "early", must, p["early"])


def _shared_plot(ax, data, parameters):
    found, theory = _shared_measure(data, parameters), _shared(parameters)
    rows = [found[f"Var(mean), {n}"] for n in parameters["widths"]]
    error = [3 * r.standard_error for r in rows]
    ax.errorbar(parameters["widths"], [r.value for r in rows], error, fmt="o", color="black", label="measured")
    ax.axhline(theory[f"Var(mean), {parameters['widths'][0]}"], color="black", linestyle=":", label="predicted")
    of_own = [linear_toy(*_at(parameters), width=n, minibatches="independent").mean_variance for n in parameters["widths"]]
    ax.plot(parameters["widths"], of_own, "--", color="grey", label="with noise of their own")
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
    predict=_shared,
    experiment=_shared_experiment,
    measure=_shared_measure,
    detects=_shared_detects(0.097, 0.05),
    quick_detects=_shared_detects(0.72, 0.3),
    sizes=(1500, 10_000),
    hypotheses=(stationary("square, halfway", "square at the end"),),
    domain=DOMAIN | {"early": Whole(1, 60), "rounding": Real(1e-6, 1e-3, even="log")},
    fits=_apart,
    controls={
        "constants off by 20 %": {"predict": off(_shared, 1.2)},
        "ridge of the wrong sign": {"predict": _wrong_sign},
        "noise of their own": {"experiment": lambda key, size, p: _shared_experiment(key, size, p, minibatches="independent")},
    },
    plot=_shared_plot,
)

CLAIMS = (INDEPENDENT, SHARED)
