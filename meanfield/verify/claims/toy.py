"""Claims on common noise, in the linear toy: N numbers that fit pure noise by their mean. After De Bortoli et al. (2020)."""

import jax
import numpy as np

from meanfield.systems import data as sources
from meanfield.systems import dynamics
from meanfield.systems.system import System
from meanfield.theory.meanfield import linear_toy
from meanfield.verify.claim import Claim, Estimate, mean
from meanfield.verify.claims._tools import complete, off, stationary

SOURCE = "After De Bortoli, Durmus, Fontaine, Simsekli (2020), beta = 1; the numbers are ours"


def _numbers(key: jax.Array, noise: str, parameters, width: int, steps: int, runs: int) -> np.ndarray:
    """The numbers (runs, N) after some steps from N(0, 1), labels +-1."""
    data = sources.from_arrays(np.ones((2, 1)), np.array([-1.0, 1.0]))
    sgd = dynamics.SGD(parameters["step_size"], parameters["batch_size"], weight_decay=parameters["weight_decay"], noise=noise)
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
    return Estimate(float(value), rest.standard_error, rest.dof)


# -- noise of their own ---------------------------------------------------------------------------------------------------


def _independent(parameters):
    made = {}
    for n in parameters["widths"]:
        toy = linear_toy(*_at(parameters), width=n, noise="independent")
        made |= {f"variance, {n}": toy.variance, f"N Var(mean), {n}": n * toy.mean_variance, f"N corr, {n}": n * toy.correlation}
    return made


def _independent_experiment(key, size, parameters, noise="independent"):
    steps, widths, made = parameters["steps"], parameters["widths"], {}
    for i, n in enumerate(widths):
        made |= _moments(str(n), _numbers(jax.random.fold_in(key, i), noise, parameters, n, steps, size))
    earlier = _numbers(jax.random.fold_in(key, len(widths)), noise, parameters, widths[0], steps // 2, size)
    return made | {"square halfway": np.mean(earlier**2, axis=1)}


def _independent_measure(data, parameters):
    made = {}
    for n in parameters["widths"]:
        means, squares = data[f"mean, {n}"], data[f"square, {n}"]
        corr = _correlation(means, squares, n)
        made[f"variance, {n}"], made[f"N Var(mean), {n}"] = mean(squares), mean(n * means**2)
        made[f"N corr, {n}"] = Estimate(n * corr.value, n * corr.standard_error, corr.dof)
    return made


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
    detects={
        f"{what}, {n}": d
        for n in (4, 32)
        for what, d in (("variance", 0.002), ("N Var(mean)", 0.0025), ("N corr", 0.053 if n == 4 else 0.045))
    },
    quick_detects={
        f"{what}, {n}": d for n in (4, 32) for what, d in (("variance", 0.03), ("N Var(mean)", 0.03), ("N corr", 0.5))
    },
    sizes=(1500, 20_000),
    hypotheses=(stationary("square halfway", "square, 4"),),
    controls={
        "constants off by 20 %": {"predict": off(_independent, 1.2)},
        "shared noise": {"experiment": lambda key, size, p: _independent_experiment(key, size, p, noise="shared")},
    },
    plot=_independent_plot,
)

# -- common noise ---------------------------------------------------------------------------------------------------------


def _shared(parameters):
    p = parameters
    few, n = p["widths"][0], p["early"]
    factor, ratio = (1 - p["step_size"] * (p["weight_decay"] + mean_too) for mean_too in (0, 1))
    limit = linear_toy(*_at(p), noise="shared").mean_variance
    of_mean = limit + ratio ** (2 * n) * (1 / few - limit)
    deviation = factor ** (2 * n) * (1 - 1 / few)
    correlation = (of_mean - deviation / (few - 1)) / (of_mean + deviation)
    exact = {"factor": (factor - p["rounding"], factor + p["rounding"]), "early correlation": correlation}
    late = {"1 - late correlation": (0.0, p["rounding"])}
    return exact | late | {f"Var(mean), {n}": limit for n in p["widths"]}


def _shared_experiment(key, size, parameters, noise="shared"):
    p, made = parameters, {}
    for i, n in enumerate(p["widths"]):
        made |= _moments(str(n), _numbers(jax.random.fold_in(key, i), noise, p, n, p["steps"], size))
    few = p["widths"][0]
    own, other = (jax.random.fold_in(key, len(p["widths"]) + i) for i in range(2))
    start, early = (_numbers(own, noise, p, few, steps, size) for steps in (0, p["early"]))
    made |= _moments("early", early) | _moments("halfway", _numbers(other, noise, p, few, p["steps"] // 2, size))
    return made | {"log spread": np.log(early.std(axis=1) / start.std(axis=1))}


def _shared_measure(data, parameters):
    p = parameters
    few = p["widths"][0]
    late = _correlation(data[f"mean, {few}"], data[f"square, {few}"], few)
    return {
        "factor": mean(np.exp(data["log spread"] / p["early"])),
        "early correlation": _correlation(data["mean, early"], data["square, early"], few),
        "1 - late correlation": Estimate(1 - late.value, max(late.standard_error, 1e-9), late.dof),
    } | {f"Var(mean), {n}": mean(data[f"mean, {n}"] ** 2) for n in p["widths"]}


def _shared_plot(ax, data, parameters):
    found, theory = _shared_measure(data, parameters), _shared(parameters)
    rows = [found[f"Var(mean), {n}"] for n in parameters["widths"]]
    error = [3 * r.standard_error for r in rows]
    ax.errorbar(parameters["widths"], [r.value for r in rows], error, fmt="o", color="black", label="measured")
    ax.axhline(theory[f"Var(mean), {parameters['widths'][0]}"], color="black", linestyle=":", label="predicted")
    of_own = [linear_toy(*_at(parameters), width=n, noise="independent").mean_variance for n in parameters["widths"]]
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
    detects={
        "factor": 0.01,
        "early correlation": 0.05,
        "1 - late correlation": 0.01,
        "Var(mean), 4": 0.0027,
        "Var(mean), 128": 0.0027,
    },
    quick_detects={
        "factor": 0.01,
        "early correlation": 0.3,
        "1 - late correlation": 0.01,
        "Var(mean), 4": 0.02,
        "Var(mean), 128": 0.02,
    },
    sizes=(1500, 10_000),
    hypotheses=(stationary("square, halfway", "square, 4"),),
    controls={
        "constants off by 20 %": {"predict": off(_shared, 1.2)},
        "noise of their own": {"experiment": lambda key, size, p: _shared_experiment(key, size, p, noise="independent")},
    },
    plot=_shared_plot,
)

CLAIMS = (INDEPENDENT, SHARED)
