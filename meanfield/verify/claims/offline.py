"""Claims on SGD on a finite data set (d = b = 1): Pavasovic, Durmus, Simsekli (2023)."""

from dataclasses import replace

import jax
import numpy as np
from scipy import signal, stats

from meanfield import _check
from meanfield._keys import generator
from meanfield.systems import data as sources
from meanfield.systems import dynamics
from meanfield.theory import least_squares
from meanfield.theory import recursion as theory
from meanfield.verify.claim import Check, Claim, Estimate, Hypothesis, Row, mean
from meanfield.verify.claims import _bias
from meanfield.verify.claims._chains import SIDE, ends_of, norms, survival
from meanfield.verify.claims._tools import largest_hundredth, log_hill, predicting, probability, slope, stationary, tampered
from meanfield.verify.domain import Real, Several, Whole

SOURCE = "Pavasovic, Durmus, Simsekli (2023)"


# -- index of a data set ------------------------------------------------------------------------------------------------------


def _set(parameters) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (n, 1) and targets (n,), independent normal numbers: the data set that the claim is about."""
    draw = np.random.default_rng(parameters["data_seed"])
    return draw.standard_normal((parameters["examples"], 1)), draw.standard_normal(parameters["examples"])


def _index(parameters) -> float:
    inputs, _ = _set(parameters)
    return least_squares.empirical_tail_index(inputs, parameters["step_size"], 1, key=jax.random.key(0)).value


def _index_rows(parameters):
    index = _index(parameters)

    def measured(data):
        (inputs, targets), eta, steps = _set(parameters), parameters["step_size"], parameters["steps"]
        shift, unsure = _bias.finite_set(tuple(inputs[:, 0].tolist()), tuple(targets.tolist()), eta, steps, index)
        why = f"the oscillation of the tail at its largest hundredth after {steps} steps, {abs(shift):.2g}"
        found = log_hill(data["largest"])
        return replace(found.mapped(shift=-shift), bias=unsure, why=f"{why}, and what is left of it deep in it")

    return [Row("log alpha", float(np.log(index)), measured, 0.047, 0.2)]


def _index_experiment(key, size, parameters, batch_size=1):
    inputs, targets = _set(parameters)
    keys = jax.random.split(key, 3)
    one, data = dynamics.LinearRecursion(parameters["step_size"], batch_size), sources.from_arrays(inputs, targets)
    steps = parameters["steps"]
    return {
        "inputs": inputs,
        "largest": largest_hundredth(norms(keys[0], size, data, one, steps)),
        "halfway": norms(keys[1], SIDE, data, one, steps // 2).astype(np.float32),
        "now": norms(keys[2], SIDE, data, one, steps).astype(np.float32),
    }


def _contracts(data, parameters) -> Check:
    exponent = float(np.mean(np.log(np.abs(1 - parameters["step_size"] * data["inputs"] ** 2))))
    return Check(exponent < 0, f"The mean of log |1 - eta a_i^2| is {exponent:.3f}.")


def _expands(data, parameters) -> Check:
    largest = float(np.max(np.abs(1 - parameters["step_size"] * data["inputs"] ** 2)))
    return Check(largest > 1, f"The largest |1 - eta a_i^2| is {largest:.3f}.")


def _index_fits(parameters) -> None:
    eta, a = parameters["step_size"], _set(parameters)[0]
    growth = np.abs(1 - eta * a**2)
    where = f"for data_seed {parameters['data_seed']}"
    _check.require(np.max(growth) > 1, "step_size", f"let some step expand {where}", eta)
    _check.require(np.mean(np.log(growth)) < 0, "step_size", f"make the mean of log |1 - eta a_i^2| negative {where}", eta)
    alpha = _index(parameters)
    must = f"make a tail index from {SMALLEST:g} to {LARGEST:g} {where}, which an experiment can read"
    _check.require(SMALLEST <= alpha <= LARGEST, "step_size", must, _check.words(f"{eta:g}, with the index {alpha:.3g}"))


SMALLEST, LARGEST = 0.8, 8.0  # index of a finite set that is read: the grid of its law grows as 1 / index


def _endless(parameters):
    return {"log alpha": float(np.log(theory.tail_index(parameters["step_size"], 1, 1)))}


INDEX = Claim(
    name="finite data index",
    statement="On a finite data set the stationary law has a power tail too, if a step can expand, with an index of its own.",
    formula=r"\frac1n\sum_{i\le n}|1-\eta a_i^2|^{\alpha_n} = 1",
    source=SOURCE + "; the equation is ours",
    parameters={"step_size": 0.8, "examples": 100, "data_seed": 0, "steps": 100},
    rows=_index_rows,
    experiment=_index_experiment,
    sizes=(100_000, 2_000_000),
    hypotheses=(
        Hypothesis("The Lyapunov exponent is negative.", _contracts),
        Hypothesis("Some step expands.", _expands),
        stationary("halfway", "now"),
    ),
    controls={
        "index 10 % larger": {"rows": tampered(_index_rows, shift=np.log(1.1))},
        "index 10 % smaller": {"rows": tampered(_index_rows, shift=np.log(0.9))},
        "index of endless data": {"rows": predicting(_index_rows, _endless)},
        "batches of two": {"experiment": lambda key, size, p: _index_experiment(key, size, p, batch_size=2)},
    },
    domain={
        "step_size": Real(0.3, 1.3),
        "examples": Whole(20, 200),
        "data_seed": Whole(0, 1_000_000),
        "steps": Whole(50, 200),
    },
    fits=_index_fits,
    plot=lambda ax, data, parameters: survival(
        ax, data["largest"], _index(parameters), f"{parameters['examples']} examples", "tab:blue"
    ),
)


# -- rate ---------------------------------------------------------------------------------------------------------------------


def _indices(log_growth: np.ndarray, start: float) -> np.ndarray:
    """Roots s > 0 of mean(exp(s log_growth)) = 1 for rows of numbers, by Newton's method."""
    s = np.full(len(log_growth), start)
    for _ in range(30):
        power = np.exp(s[:, None] * log_growth)
        step = (power.mean(axis=1) - 1) / (power * log_growth).mean(axis=1)
        s = s - np.clip(step, -0.3 * s, 0.3 * s)
        if np.max(np.abs(step)) < 1e-9:
            break
    return s


# n times what n E(alpha_n - alpha)^2 is above its limit, relative; measured 125 at step size 0.7, 90 at 0.8, 53 at 1, 17 at 1.4.
OVER = 100


def _rate_rows(parameters):
    """Of the root of the mean square."""
    n = parameters["examples"]
    why = f"terms of the next order in 1/n at {n[0]} examples"

    def exponent(data):
        found = slope(n, _deviations(data, parameters))
        return replace(found.mapped(0.5), bias=OVER / 2 / n[0] / float(np.log(n[-1] / n[0])), why=why)

    def log_constant(data):
        last = mean(_deviations(data, parameters)[-1] * n[-1])
        value, error = float(np.log(last.value)) / 2, last.standard_error / last.value / 2
        return Estimate(value, error, dof=last.dof, bias=OVER / 2 / n[-1], why=why)

    return [
        Row("exponent", -0.5, exponent, 0.05, 0.25),
        Row("log constant", _log_constant(parameters["step_size"]), log_constant, 0.09, 0.45),
    ]


def _log_constant(eta: float) -> float:
    alpha = theory.tail_index(eta, 1, 1)
    bend = (theory.moment(alpha * 1.0001, eta, 1, 1) - theory.moment(alpha * 0.9999, eta, 1, 1)) / (0.0002 * alpha)  # h'(alpha)
    return float(np.log((theory.moment(2 * alpha, eta, 1, 1) - 1) ** 0.5 / bend))


def _rate_experiment(key, size, parameters, degrees=None, correlation=0.0):
    draw, eta, made = generator(key), parameters["step_size"], {}
    alpha = theory.tail_index(eta, 1, 1)
    for n in parameters["examples"]:
        found = []
        for first in range(0, size, 100):
            shape = (min(100, size - first), n)
            a = draw.standard_normal(shape) if degrees is None else draw.standard_t(degrees, shape)
            if correlation:  # of an example with the one before it
                a *= np.where(np.arange(n), np.sqrt(1 - correlation**2), 1.0)
                a = np.asarray(signal.lfilter([1.0], [1.0, -correlation], a))
            found.append(_indices(np.log(np.abs(1 - eta * a**2)), alpha))
        made[f"index, {n}"] = np.concatenate(found)
    return made


def _deviations(data, parameters) -> list[np.ndarray]:
    alpha = theory.tail_index(parameters["step_size"], 1, 1)
    return [(np.asarray(data[f"index, {n}"], np.float64) - alpha) ** 2 for n in parameters["examples"]]


def _rate_fits(parameters) -> None:
    few, many = parameters["examples"]
    _check.require(many >= 4 * few, "examples", "be two numbers of which the second is at least 4 times the first", (few, many))


def _rate_plot(ax, data, parameters) -> None:
    n, root = np.asarray(parameters["examples"], float), [one.mean() ** 0.5 for one in _deviations(data, parameters)]
    ax.loglog(n, np.exp(_log_constant(parameters["step_size"])) * n**-0.5, color="black", linestyle=":", label="predicted")
    ax.loglog(n, root, "o", color="tab:blue", label="measured")
    ax.set(xlabel="examples n", ylabel="root mean square of alpha_n - alpha")
    ax.legend(fontsize="small")


RATE = Claim(
    name="finite data rate",
    statement="The tail index of n examples is off that of endless data by n^-1/2, with the constant of the delta method.",
    formula=r"n^{1/2}\,\big(\mathbb E(\alpha_n-\alpha)^2\big)^{1/2} \to \mathrm{Var}(|1-\eta a^2|^\alpha)^{1/2}/h'(\alpha)",
    source=SOURCE + "; the constant is ours",
    parameters={"step_size": 1.0, "examples": (4000, 64_000)},
    rows=_rate_rows,
    experiment=_rate_experiment,
    sizes=(100, 2500),
    controls={
        "exponent off by 0.1": {"rows": tampered(_rate_rows, shift=0.1, only="exponent")},
        "constant off by 20 %": {"rows": tampered(_rate_rows, shift=np.log(1.2), only="log constant")},
        "inputs of another law": {"experiment": lambda key, size, p: _rate_experiment(key, size // 10, p, degrees=10)},
        "correlated examples": {"experiment": lambda key, size, p: _rate_experiment(key, size, p, correlation=0.5)},
    },
    domain={"step_size": Real(0.8, 1.4), "examples": Several(Whole(1000, 64_000), 2, 2, rising=True)},
    fits=_rate_fits,
    plot=_rate_plot,
)


# -- bounded support ------------------------------------------------------------------------------------------------------------

RUNS, CHAINS = 30, 2000
ROUNDING = 1e-4  # of what is measured; no statistics: no chain of any data set may be beyond the bound
STEP = 5e-7  # relative rounding of a step in float32, at most: it widens the bound


def _bounded_share(parameters) -> float:
    return float(stats.chi2(1).cdf(2 / parameters["step_size"]) ** parameters["examples"])


def _bounded_fits(parameters) -> None:
    value = _bounded_share(parameters)
    must = "make the share of data sets without a tail 0.1 to 0.9"
    _check.require(0.1 <= value <= 0.9, "step_size", must, _check.words(f"{parameters['step_size']:g}, with {value:.3g}"))


def _bounded_rows(parameters):
    def over_bound(data):
        return Estimate(float(np.log(np.max(data["largest"] / data["bound"]))), ROUNDING)

    return [
        Row("share without a tail", _bounded_share(parameters), lambda data: probability(data["bounded"]), 0.02, 0.06),
        Row("log of the largest |x| over its bound", (-np.inf, ROUNDING), over_bound, 0.1, 0.1),
    ]


def _half_of_the_bound(parameters):
    return {"log of the largest |x| over its bound": (-np.inf, -float(np.log(2)))}


def _bounded_experiment(key, size, parameters, factor=1.0):
    start, chains = jax.random.split(key)
    draw, eta, n = generator(start), parameters["step_size"], parameters["examples"]
    inputs = draw.standard_normal((size, n, 1))
    bounded = np.all(eta * inputs**2 < 2, axis=(1, 2))  # |1 - eta a_i^2| < 1 for all i
    one, made = dynamics.LinearRecursion(factor * eta, 1), {"bounded": bounded, "largest": [], "bound": [], "growth": []}
    for i, x in enumerate(inputs[bounded][:RUNS]):
        y = draw.standard_normal(n)
        # From almost 0: outside of the support a start would be seen for long.
        own = jax.random.fold_in(chains, i)
        ends = ends_of(own, CHAINS, sources.from_arrays(x, y), one, parameters["steps"], init_scale=1e-6)
        growth = np.abs(1 - factor * eta * x[:, 0] ** 2)
        made["largest"].append(np.max(np.abs(ends)))
        # A step takes |x| to at most (1 + STEP) (growth |x| + kick).
        room, kick = 1 - (1 + STEP) * growth, (1 + STEP) * np.abs(factor * eta * x[:, 0] * y)
        made["bound"].append(np.max(np.where(room > 0, kick / np.maximum(room, 1e-12), np.inf)))
        made["growth"].append(np.max(growth))
    return {name: np.asarray(values, np.float64) for name, values in made.items()}


def _all_contract(data, parameters) -> Check:
    largest = float(np.max(data["growth"]))
    return Check(largest < 1, f"The largest |1 - eta a_i^2| of the sets that chains ran on is {largest:.3f}.")


def _bounded_plot(ax, data, parameters) -> None:
    ax.loglog(data["bound"], data["largest"], "o", color="tab:blue", label="a data set")
    line = np.array([data["largest"].min(), data["bound"][np.isfinite(data["bound"])].max()])
    ax.loglog(line, line, color="black", linestyle=":", label="equal")
    ax.set(xlabel="bound of |x|", ylabel="largest |x| of the chains")
    ax.legend(fontsize="small")


BOUNDED = Claim(
    name="bounded support",
    statement="A data set on which no step expands has a bounded stationary law without a tail.",
    formula=r"P(\text{no tail}) = P(\chi^2_1<2/\eta)^n,\quad |x| \le \max_i\frac{|\eta a_iy_i|}{1-|1-\eta a_i^2|}",
    source="Ours; the setting: " + SOURCE,
    parameters={"step_size": 0.6, "examples": 5, "steps": 500},
    rows=_bounded_rows,
    experiment=_bounded_experiment,
    sizes=(2000, 20_000),
    hypotheses=(Hypothesis("No step expands.", _all_contract),),
    controls={
        "share off by 20 %": {"rows": tampered(_bounded_rows, 0.8, only="share")},
        "half of the bound": {"rows": predicting(_bounded_rows, _half_of_the_bound)},
        "steps that expand": {"experiment": lambda key, size, p: _bounded_experiment(key, size, p, factor=1.5)},
    },
    domain={"step_size": Real(0.2, 1.2), "examples": Whole(2, 8), "steps": Whole(200, 1000)},
    fits=_bounded_fits,
    plot=_bounded_plot,
)

CLAIMS = (INDEX, RATE, BOUNDED)
