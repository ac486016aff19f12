"""Claims on SGD for least squares: Gurbuzbalaban, Simsekli, Zhu (2021)."""

import jax
import numpy as np
from scipy import special

from meanfield.simulate import simulate
from meanfield.systems import data as sources
from meanfield.systems import dynamics
from meanfield.systems.system import System
from meanfield.theory import recursion as theory
from meanfield.verify.claim import Check, Claim, Hypothesis, mean

SOURCE = "Gurbuzbalaban, Simsekli, Zhu (2021)"


def _norms(key, chains: int, eta: float, parameters, steps: int) -> np.ndarray:
    data = sources.gaussian_regression(parameters["dim"])
    system = System(dynamics.chains(), data, dynamics.LinearRecursion(eta, parameters["batch_size"]))
    results = simulate(system, widths=chains, steps=steps, seeds=1, key=key, probes=()).require_complete()
    return np.linalg.norm(np.asarray(results.particles[chains].w[0, 0], np.float64), axis=-1)


def _at(parameters) -> tuple[float, int, int]:
    return parameters["step_size"], parameters["batch_size"], parameters["dim"]


def _second_moment(parameters):
    return {"E|x|^2": theory.second_moment(*_at(parameters))}


def _second_moment_experiment(key, size, parameters, steps=None):
    # E|x_n|^2 comes to its limit like h(2)^n.
    steps = steps or int(np.ceil(np.log(1e-12) / np.log(theory.moment(2.0, *_at(parameters)))))
    half, whole = jax.random.split(key)
    return {
        "norm halfway": _norms(half, size, parameters["step_size"], parameters, steps),
        "norm": _norms(whole, size, parameters["step_size"], parameters, 2 * steps),
    }


def _stationary(data, parameters) -> Check:
    one, two = mean(data["norm halfway"]), mean(data["norm"])
    z = (two.value - one.value) / np.hypot(one.standard_error, two.standard_error)
    return Check(
        abs(z) < 4, f"E|x| is {one.value:.4g} after half the steps and {two.value:.4g} after all, {z:+.1f} standard errors apart."
    )


SECOND_MOMENT = Claim(
    name="second moment",
    statement="Below the critical step size the stationary law has a second moment in closed form.",
    formula=r"\mathbb E|x_\infty|^2 = \frac{\eta d s^2}{2b-\eta\sigma^2(d+b+1)}",
    source=SOURCE + ", Proposition 5; the formula is ours",
    parameters={"step_size": 0.2, "batch_size": 1, "dim": 2},
    predict=_second_moment,
    experiment=_second_moment_experiment,
    measure=lambda data, parameters: {"E|x|^2": mean(data["norm"] ** 2)},
    detects={"E|x|^2": 0.004},
    quick_detects={"E|x|^2": 0.02},
    sizes=(50_000, 1_000_000),
    hypotheses=(Hypothesis("The chains are stationary.", _stationary),),
    controls={
        "moment off by 20 %": {"predict": lambda p: {"E|x|^2": 1.2 * theory.second_moment(*_at(p))}},
        "too few steps": {"experiment": lambda key, size, p: _second_moment_experiment(key, size, p, steps=2)},
    },
)

# -- contraction ----------------------------------------------------------------------------------------------------------

ORDERS = (0.5, 1.0, 2.0)


def _contraction(parameters):
    return {f"s = {s:g}": theory.moment(s, *_at(parameters)) ** parameters["steps"] for s in ORDERS}


def _contraction_experiment(key, size, parameters, common=True):
    """Two chains, of common data or not, from starts that are three times and once the same normal vector."""
    data = sources.gaussian_regression(parameters["dim"])
    recursion = dynamics.LinearRecursion(parameters["step_size"], parameters["batch_size"], reduced=False)
    ends = []
    for i, scale in enumerate((1.0, 3.0)):
        own = key if common else jax.random.fold_in(key, i)
        system = System(dynamics.chains(scale), data, recursion)
        results = simulate(system, widths=size, steps=parameters["steps"], seeds=1, key=own, probes=()).require_complete()
        ends.append(np.asarray(results.particles[size].w[0, 0], np.float64))
    return {"distance": np.linalg.norm(ends[1] - ends[0], axis=-1)}


def _contraction_measure(data, parameters):
    d = parameters["dim"]
    start = {s: 2 ** (1.5 * s) * np.exp(special.gammaln((d + s) / 2) - special.gammaln(d / 2)) for s in ORDERS}  # E|2 N(0, I)|^s
    return {f"s = {s:g}": mean(data["distance"] ** s / start[s]) for s in ORDERS}


CONTRACTION = Claim(
    name="contraction",
    statement="Chains with common data come together, in every moment, at exactly h(s)^k.",
    formula=r"\mathbb E|x_k-x_k'|^s = h(s)^k\,\mathbb E|x_0-x_0'|^s",
    source=SOURCE + "; equality for isotropic inputs is ours",
    parameters={"step_size": 0.3, "batch_size": 1, "dim": 2, "steps": 4},
    predict=_contraction,
    experiment=_contraction_experiment,
    measure=_contraction_measure,
    detects={"s = 0.5": 0.003, "s = 1": 0.004, "s = 2": 0.01},
    quick_detects={"s = 0.5": 0.015, "s = 1": 0.02, "s = 2": 0.05},
    sizes=(30_000, 1_000_000),
    controls={
        "h off by 5 %": {"predict": lambda p: {name: 1.05 * value for name, value in _contraction(p).items()}},
        "data of their own": {"experiment": lambda key, size, p: _contraction_experiment(key, size, p, common=False)},
    },
)


CLAIMS = (SECOND_MOMENT, CONTRACTION)
