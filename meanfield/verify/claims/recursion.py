"""Claims on moments of SGD for least squares: Gurbuzbalaban, Simsekli, Zhu (2021)."""

from dataclasses import replace

import jax
import numpy as np
from scipy import special

from meanfield import _check
from meanfield.simulate import simulate
from meanfield.systems import data as sources
from meanfield.systems import dynamics
from meanfield.systems.system import System
from meanfield.theory import recursion as theory
from meanfield.verify.claim import Check, Claim, Estimate, Hypothesis, mean
from meanfield.verify.claims import _bias
from meanfield.verify.claims._tools import complete, stationary
from meanfield.verify.claims.kesten import SIDE, SOURCE, norms, readable
from meanfield.verify.domain import Real, Row, Several, Whole


def _norms(key, chains: int, eta: float, parameters, steps: int) -> np.ndarray:
    data = sources.gaussian_regression(parameters["dim"])
    system = System(dynamics.chains(), data, dynamics.LinearRecursion(eta, parameters["batch_size"]))
    results = complete(system, widths=chains, steps=steps, seeds=1, key=key)
    return np.linalg.norm(np.asarray(results.particles[chains].w[0, 0], np.float64), axis=-1)


def _at(parameters) -> tuple[float, int, int]:
    return parameters["step_size"], parameters["batch_size"], parameters["dim"]


def _second_moment(parameters):
    return {"E|x|^2": theory.second_moment(*_at(parameters))}


MOST = 300  # steps to half of the time


def _second_moment_steps(parameters) -> int:
    """E|x_n|^2 comes to its limit like h(2)^n."""
    return min(MOST, int(np.ceil(np.log(1e-12) / np.log(theory.moment(2.0, *_at(parameters))))))


def _second_moment_experiment(key, size, parameters, steps=None):
    steps = steps or _second_moment_steps(parameters)
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


def _second_moment_plot(ax, data, parameters) -> None:
    square = np.asarray(data["norm"], np.float64) ** 2
    n = np.unique(np.geomspace(100, len(square), 200).astype(int))
    ax.semilogx(n, (np.cumsum(square) / np.arange(1, len(square) + 1))[n - 1], color="tab:blue", label="measured")
    ax.axhline(_second_moment(parameters)["E|x|^2"], color="black", linestyle=":", label="predicted")
    ax.set(xlabel="chains", ylabel="mean of |x|^2")
    ax.legend(fontsize="small")


def _second_moment_measure(data, parameters):
    """The mean, without what is left of the start; what a sample cannot see of a heavy tail is its bias."""
    square = np.asarray(data["norm"], np.float64) ** 2
    limit, index = theory.second_moment(*_at(parameters)), theory.tail_index(*_at(parameters)) / 2
    left = theory.moment(2.0, *_at(parameters)) ** (2 * _second_moment_steps(parameters)) * (parameters["dim"] - limit)
    bias, found = _bias.unseen(square, index), mean(square)
    why = f"what {len(square)} chains do not see of a tail of index {2 * index:.3g}"
    return {"E|x|^2": replace(found.mapped(shift=-left), bias=bias, why=why)}


def _second_moment_fits(parameters) -> None:
    eta, b, d = _at(parameters)
    critical = theory.critical_step_size(b, d)
    must = f"be below {critical:.5g} for b = {b}, d = {d}, from which on the second moment is infinite"
    _check.require(eta < critical, "step_size", must, eta)
    must = f"contract E|x|^2 by 1/1000 or more in {MOST} steps"
    rate = theory.moment(2.0, eta, b, d)
    _check.require(rate**MOST < 1e-3, "step_size", must, _check.words(f"{eta:g}, which does by {rate**MOST:.2g}"))


SECOND_MOMENT = Claim(
    name="second moment",
    statement="Below the critical step size the stationary law has a second moment in closed form.",
    formula=r"\mathbb E|x_\infty|^2 = \frac{\eta d s^2}{2b-\eta\sigma^2(d+b+1)}",
    source=SOURCE + ", Proposition 5; the formula is ours",
    parameters={"step_size": 0.2, "batch_size": 1, "dim": 2},
    predict=_second_moment,
    experiment=_second_moment_experiment,
    measure=_second_moment_measure,
    detects=lambda p: {"E|x|^2": 0.012 * theory.second_moment(*_at(p))},
    quick_detects=lambda p: {"E|x|^2": 0.06 * theory.second_moment(*_at(p))},
    sizes=(50_000, 1_000_000),
    hypotheses=(Hypothesis("The chains are stationary.", _stationary),),
    controls={
        "moment off by 20 %": {"predict": lambda p: {"E|x|^2": 1.2 * theory.second_moment(*_at(p))}},
        "step 1.7 % larger": {"predict": lambda p: _second_moment({**p, "step_size": 1.017 * p["step_size"]})},
        "one more example in a batch": {"predict": lambda p: _second_moment({**p, "batch_size": p["batch_size"] + 1})},
        "too few steps": {"experiment": lambda key, size, p: _second_moment_experiment(key, size, p, steps=2)},
    },
    plot=_second_moment_plot,
    domain={"step_size": Real(0.01, 1.8, even="log"), "batch_size": Whole(1, 20), "dim": Whole(1, 10)},
    fits=_second_moment_fits,
)

# -- contraction ----------------------------------------------------------------------------------------------------------

ORDERS = (0.5, 1.0, 2.0)


def _contraction(parameters):
    return {f"s = {s:g}": theory.moment(s, *_at(parameters)) ** parameters["steps"] for s in ORDERS}


def _contraction_experiment(key, size, parameters, common=True, decay=0.0):
    """Two chains, of common data or not, from starts that are three times and once the same normal vector."""
    data, eta = sources.gaussian_regression(parameters["dim"]), parameters["step_size"]
    ridge = decay / (eta * parameters["steps"])
    recursion = dynamics.LinearRecursion(eta, parameters["batch_size"], weight_decay=ridge, reduced=False)
    ends = []
    for i, scale in enumerate((1.0, 3.0)):
        own = key if common else jax.random.fold_in(key, i)
        system = System(dynamics.chains(scale), data, recursion)
        results = complete(system, widths=size, steps=parameters["steps"], seeds=1, key=own)
        ends.append(np.asarray(results.particles[size].w[0, 0], np.float64))
    return {"distance": np.linalg.norm(ends[1] - ends[0], axis=-1)}


def _contraction_measure(data, parameters):
    d, distance, made = parameters["dim"], np.asarray(data["distance"], np.float64), {}

    def log_start(s):  # log E|2 N(0, I)|^s
        return 1.5 * s * np.log(2) + special.gammaln((d + s) / 2) - special.gammaln(d / 2)

    def log_moment(s):
        return log_start(s) + parameters["steps"] * np.log(theory.moment(s, *_at(parameters)))

    for s in ORDERS:
        found = mean(distance**s / np.exp(log_start(s)))
        bias = _bias.rare(distance, s, log_moment) * np.exp(log_moment(s) - log_start(s))
        made[f"s = {s:g}"] = replace(found, bias=float(bias), why=f"what {len(distance)} pairs of chains do not see of it")
    return made


def _contraction_detects(*shares: float):
    return lambda p: {name: share * value for (name, value), share in zip(_contraction(p).items(), shares, strict=True)}


def _contraction_fits(parameters) -> None:
    _, b, d = _at(parameters)
    most = 80 // (b * d)
    _check.require(parameters["steps"] <= most, "steps", f"be {most} or fewer for b = {b}, d = {d}", parameters["steps"])


def _contraction_plot(ax, data, parameters) -> None:
    s = np.linspace(0, 2.5, 50)
    ax.plot(s, [theory.moment(v, *_at(parameters)) ** parameters["steps"] for v in s], color="black", label="predicted: h(s)^k")
    measured = _contraction_measure(data, parameters).values()
    bars = [4 * one.standard_error for one in measured]
    ax.errorbar(ORDERS, [one.value for one in measured], bars, fmt="o", color="tab:blue", capsize=2, label="measured, 4 errors")
    ax.set(xlabel="order s", ylabel="moment of the distance, relative to the start")
    ax.legend(fontsize="small")


CONTRACTION = Claim(
    name="contraction",
    statement="Chains with common data come together, in every moment, at exactly h(s)^k.",
    formula=r"\mathbb E|x_k-x_k'|^s = h(s)^k\,\mathbb E|x_0-x_0'|^s",
    source=SOURCE + "; equality for isotropic inputs is ours",
    parameters={"step_size": 0.3, "batch_size": 1, "dim": 2, "steps": 4},
    predict=_contraction,
    experiment=_contraction_experiment,
    measure=_contraction_measure,
    detects=_contraction_detects(0.0045, 0.0081, 0.03),
    quick_detects=_contraction_detects(0.022, 0.04, 0.15),
    sizes=(30_000, 1_000_000),
    controls={
        "h off by 5 %": {"predict": lambda p: {name: 1.05 * value for name, value in _contraction(p).items()}},
        "data of their own": {"experiment": lambda key, size, p: _contraction_experiment(key, size, p, common=False)},
        "a ridge that takes 3 % off": {"experiment": lambda key, size, p: _contraction_experiment(key, size, p, decay=0.03)},
    },
    plot=_contraction_plot,
    domain={"step_size": Real(0.02, 1.5, even="log"), "batch_size": Whole(1, 6), "dim": Whole(1, 6), "steps": Whole(1, 20)},
    fits=_contraction_fits,
)

# -- critical step size -----------------------------------------------------------------------------------------------------

GROUP = 2000  # chains whose sum of squares is taken


def _pair(b: int, d: int) -> str:
    return f"log critical step, b = {b}, d = {d}"


def _critical(parameters):
    alpha = theory.tail_index(parameters["step_size"], 1, 1)
    critical = {_pair(b, d): float(np.log(theory.critical_step_size(b, d))) for b, d in parameters["settings"]}
    return {**critical, "sum over largest square": 1 / (1 - alpha / 2)}


def _critical_experiment(key, size, parameters, skew=None):
    made, eta = {}, 0.25
    for i, (b, d) in enumerate(parameters["settings"]):
        # Without noise the difference of two chains with common data moves like a chain: x_1 = x_0 - (eta / b) H x_0.
        covariance = None if skew is None else np.diag([skew] + (d - 1) * [1.0])
        data = sources.gaussian_regression(d, covariance=covariance, noise_std=0.0)
        system = System(dynamics.chains(), data, dynamics.LinearRecursion(eta, b, reduced=False))
        own, count = jax.random.fold_in(key, i), 150 * size
        run = {"widths": count, "seeds": 1, "key": own, "probes": (), "progress": False}
        start, end = (
            np.asarray(simulate(system, steps=n, **run).require_uninterrupted().particles[count].w[0, 0], np.float64)
            for n in (0, 1)
        )
        square = np.sum(start**2, axis=1)
        gradient = (start - end) / eta
        made[f"along, {b}, {d}"] = (np.sum(start * gradient, axis=1) / square).astype(np.float32)
        made[f"square, {b}, {d}"] = (np.sum(gradient**2, axis=1) / square).astype(np.float32)
    one, data = dynamics.LinearRecursion(parameters["step_size"], 1), sources.gaussian_regression(1)
    keys = jax.random.split(jax.random.fold_in(key, len(parameters["settings"])), 2)
    x = norms(keys[0], GROUP * size, data, one, parameters["steps"]).reshape(size, GROUP) ** 2
    made["sum over largest"] = x.sum(axis=1) / x.max(axis=1)
    made["halfway"] = norms(keys[1], SIDE, data, one, parameters["steps"] // 2).astype(np.float32)
    made["now"] = np.sqrt(x.ravel()[:SIDE]).astype(np.float32)
    return made


def _critical_measure(data, parameters):
    made = {}
    for b, d in parameters["settings"]:
        along, square = (np.asarray(data[f"{name}, {b}, {d}"], np.float64) for name in ("along", "square"))
        # h(2) = 1 - 2 eta E<e, H e> / b + eta^2 E|H e|^2 / b^2 is 1 at eta = 2 E(along) / E(square).
        spread = mean(along / along.mean() - square / square.mean())
        made[_pair(b, d)] = Estimate(float(np.log(2 * along.mean() / square.mean())), spread.standard_error)
    eta, steps = parameters["step_size"], parameters["steps"]
    alpha, now = theory.tail_index(eta, 1, 1), np.asarray(data["now"], np.float64)
    deep = _bias.chain(eta, 1, 1, float(np.quantile(now, 1 - 1 / GROUP)), steps, 1 / GROUP).hill
    off = _bias.sum_over_largest(now**2, alpha, GROUP) + deep * alpha / 2 / (1 - alpha / 2) ** 2
    why = f"groups of {GROUP} chains after {steps} steps"
    return {**made, "sum over largest square": _bias.corrected(mean(data["sum over largest"]), off, why)}


def _critical_detects(step: float, share: float):
    return lambda p: {k: step if k.startswith("log") else share * v for k, v in _critical(p).items()}


def _critical_fits(parameters) -> None:
    eta = parameters["step_size"]
    readable("step_size", eta, 1, 1)
    critical = theory.critical_step_size(1, 1)
    _check.require(eta > critical, "step_size", f"be above {critical:.5g}, below which no chain holds a share of the sum", eta)


def _critical_plot(ax, data, parameters) -> None:
    for (b, d), color in zip(parameters["settings"], ("tab:blue", "0.5", "navy"), strict=False):
        critical = theory.critical_step_size(b, d)
        eta = np.linspace(0, 1.3 * critical, 50)
        h = 1 - 2 * eta * data[f"along, {b}, {d}"].mean() + eta**2 * data[f"square, {b}, {d}"].mean()
        ax.plot(eta, h, color=color, label=f"measured, b = {b}, d = {d}")
        ax.plot(critical, 1, "o", color="black", markersize=5)
    ax.axhline(1, color="black", linestyle=":", linewidth=1)
    ax.set(xlabel="step size", ylabel="h(2): growth of the squared distance in a step")
    ax.legend(fontsize="small", title="dots: critical steps, predicted", title_fontsize="small")


CRITICAL = Claim(
    name="critical step size",
    statement="h(2) = 1 at the step size 2b/(d+b+1); above it the largest chain holds a share of the sum of squares.",
    formula=r"\eta_c = \frac{2b}{d+b+1},\quad \mathbb E\,\frac{\sum_i|x_i|^2}{\max_i|x_i|^2} \to \frac1{1-\alpha/2}"
    r"\ \text{for}\ \eta>\eta_c",
    source=SOURCE + ", Proposition 5; the share: Darling (1952)",
    parameters={"settings": ((1, 2), (5, 4)), "step_size": 1.2, "steps": 100},
    predict=_critical,
    experiment=_critical_experiment,
    measure=_critical_measure,
    detects=_critical_detects(0.045, 0.0972),
    quick_detects=_critical_detects(0.2, 0.486),
    sizes=(60, 1250),
    hypotheses=(stationary("halfway", "now"),),
    controls={
        "step 10 % larger": {"predict": lambda p: {k: v + 0.095 * k.startswith("log") for k, v in _critical(p).items()}},
        "step 10 % smaller": {"predict": lambda p: {k: v - 0.105 * k.startswith("log") for k, v in _critical(p).items()}},
        "share off by 20 %": {"predict": lambda p: {k: v * (0.8 if k.startswith("sum") else 1) for k, v in _critical(p).items()}},
        "inputs not isotropic": {"experiment": lambda key, size, p: _critical_experiment(key, size, p, skew=2.0)},
    },
    plot=_critical_plot,
    domain={
        "settings": Several(Row(Whole(1, 10), Whole(1, 8)), 1, 3),
        "step_size": Real(0.68, 2.2),
        "steps": Whole(50, 300),
    },
    fits=_critical_fits,
)

CLAIMS = (SECOND_MOMENT, CONTRACTION, CRITICAL)
