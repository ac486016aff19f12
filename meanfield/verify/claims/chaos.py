"""Claims on propagation of chaos: De Bortoli, Durmus, Fontaine, Simsekli (2020); Sirignano, Spiliopoulos (2020)."""

import functools
from dataclasses import replace

import jax
import numpy as np

from meanfield import plot as mfplot
from meanfield.measure import chaos
from meanfield.systems import data as sources
from meanfield.systems import dynamics, scaling
from meanfield.systems.examples import digit_components
from meanfield.systems.networks import TwoLayer
from meanfield.systems.system import System
from meanfield.verify.claim import Arrays, Check, Claim, Estimate, Hypothesis, Numbers, Row, bounds, mean
from meanfield.verify.claims._tools import in_parts, log_ratio, predictions, run_to_the_end, side_by_side, slope, tampered
from meanfield.verify.domain import OneOf, Real, Several, Whole

SOURCE = "De Bortoli, Durmus, Fontaine, Simsekli (2020)"
TOGETHER = 50  # runs at a time, which fit into memory

# -- networks on digits ---------------------------------------------------------------------------------------------------


@functools.cache
def _digits() -> sources.FiniteData:
    """Twenty handwritten digits in eight principal components of variance 1."""
    x, y = digit_components(8, examples=20, whitened=True)
    return sources.from_arrays(x, y, classes=10)


def _final(key: jax.Array, one, widths: tuple[int, ...], time: float, runs: int) -> dict[int, np.ndarray]:
    """Neurons (runs, N, D) at a continuous time of tanh networks, both layers trained."""
    system = System(TwoLayer("tanh"), _digits(), one)
    steps = round(time / float(one.step_size.time_step(widths[0])))
    results = run_to_the_end(system, widths=widths, steps=steps, seeds=runs, key=key)
    return {n: np.asarray(results.particles[n].vectors[0]) for n in widths}


def _to_wider(key: jax.Array, one, width: int, wider: int, time: float, runs: int) -> np.ndarray:
    """Squared coupled errors (runs,) between N neurons and the limit, of which M stand in: same start, same noise.

    E|W_N - W_M|^2 is c (1/N - 1/M) where E|W_N - W|^2 is c/N: the first N of M neurons feel N of the M.
    """

    def errors(own, count):
        found = _final(own, one, (width, wider), time, count)
        return chaos.coupled_error(found[width], found[wider]) / (1 - width / wider)

    return in_parts(key, runs, TOGETHER, errors)


def _to_other(key: jax.Array, one, other, width: int, time: float, runs: int) -> np.ndarray:
    """Squared coupled errors (runs,) between two dynamics of N neurons from the same start."""

    def errors(own, count):
        return chaos.coupled_error(*(_final(own, each, (width,), time, count)[width] for each in (one, other)))

    return in_parts(key, runs, TOGETHER, errors)


def _slope(name: str, data: Arrays, parameters: Numbers) -> Estimate:
    """Slope in N between the two widths, from data `NAME, N`."""
    return slope(parameters["widths"], [data[f"{name}, {n}"] for n in parameters["widths"]])


def _by_interaction(parameters: Numbers) -> tuple[float, float]:
    """Slope of c/N (1 + k/N) between the two widths, k at most `self`: a neuron of N also feels itself, more than any other."""
    narrow, wide = parameters["widths"]
    return -1 - parameters["self"] * (1 / narrow - 1 / wide) / float(np.log(wide / narrow)), -1.0


def _fewer(size: int, factor: int) -> int:
    """Runs where less is needed."""
    return max(20, size // factor)


def _no_run_dominates(data: Arrays, parameters: Numbers) -> Check:
    worst = {name: float(np.max(errors) / np.mean(errors)) for name, errors in data.items()}
    name = max(worst, key=lambda one: worst[one])
    return Check(
        worst[name] < 20, f"The largest error of a run is {worst[name]:.1f} times the mean ({name}); 20 would be too much."
    )


MOMENTS = Hypothesis("Squared errors have a variance.", _no_run_dominates)


def _errors_plot(rows, *names: str):
    """Mean errors of the arrays `NAME, N` against the width N, with lines of the slopes that the rows of these names predict."""

    def plot(ax, data, parameters) -> None:
        widths, predicted = np.asarray(parameters["widths"], float), predictions(rows, parameters)
        for name, shade in zip(names, ("black", "steelblue", "grey"), strict=False):
            means = np.array([np.mean(data[f"{name}, {n}"]) for n in parameters["widths"]])
            ax.loglog(widths, means, "o", color=shade, label=name)
            mfplot.power(ax, widths, means[0], bounds(predicted[name])[1], color=shade)
        ax.set(xlabel="width N", ylabel="mean squared coupled error")
        ax.legend(fontsize="small", title="dotted: predicted slope", title_fontsize="small")

    return plot


# -- beta < 1 -------------------------------------------------------------------------------------------------------------


def _below_rows(parameters):
    p = parameters
    of_one = f"noise, {p['widths'][0]}"

    def noise(data):
        law = scaling.StepSizeLaw(p["gamma"], beta=p["beta"])
        steps = [float(law.time_step(n)) for n in p["widths"]]
        # The noise part is that of a whole number of steps, with corrections of the order of a step.
        reached = [round(p["time"] / one) * one / p["time"] + one for one in steps]
        return _off_slope(_slope("noise", data, p), p["widths"], reached, f"steps of {max(steps):.2g} in a time of {p['time']:g}")

    def batch_ratio(data):
        return log_ratio(mean(data["larger batch"]), mean(data[of_one]), p["batch_size"])

    return [
        Row("interaction", _by_interaction(p), lambda data: _slope("interaction", data, p), 0.05, 0.2),
        Row("noise", p["beta"] - 1, noise, 0.05, 0.3),
        Row("log batch ratio", 0.0, batch_ratio, 0.091, 1.0),
    ]


def _off_slope(estimate: Estimate, widths, offs, why: str) -> Estimate:
    """A slope whose two errors may be off by these parts of themselves."""
    return replace(estimate, bias=abs(offs[0] - offs[1]) / float(np.log(widths[1] / widths[0])), why=why)


def _below_experiment(key, size, parameters, beta=None):
    p = parameters
    law = scaling.StepSizeLaw(p["gamma"], beta=p["beta"] if beta is None else beta)
    ode = dynamics.McKeanVlasov(scaling.StepSizeLaw(p["ode_step"], beta=1.0))
    one, many = (dynamics.SGD(law, batch_size) for batch_size in (1, p["batch_size"]))
    keys, few = jax.random.split(key, 5), _fewer(size, 4)
    narrow, wide = p["widths"]
    parts = {
        f"interaction, {narrow}": lambda: _to_wider(keys[0], ode, narrow, p["wider"], p["ode_time"], few),
        f"noise, {wide}": lambda: _to_other(keys[3], one, one.limit(), wide, p["time"], size),
        f"interaction, {wide}": lambda: _to_wider(keys[1], ode, wide, p["wider"], p["ode_time"], few),
        f"noise, {narrow}": lambda: _to_other(keys[2], one, one.limit(), narrow, p["time"], size),
        "larger batch": lambda: _to_other(keys[4], many, many.limit(), narrow, p["time"], size),
    }
    return side_by_side(parts)


WIDTHS = OneOf((64, 1024), (64, 512), (128, 1024), (128, 512))
WIDER = OneOf(4096, 8192)


def _exponents_off(shift: float):
    return tampered(tampered(_below_rows, shift=shift, only="interaction"), shift=shift, only="noise")


BELOW = Claim(
    name="chaos below one",
    statement="For beta < 1 neurons are 1/N from the limit by interaction, N^-(1-beta)/M by noise of batches of size M.",
    formula=r"\mathbb E|W^i_t-W^{i,\star}_t|^2 \le C_t\left(N^{-(1-\beta)}/M + 1/N\right)",
    source=SOURCE + ", theorem for beta < 1; that the two parts have just these exponents is ours",
    parameters={
        "beta": 0.5,
        "gamma": 0.0625,
        "widths": (64, 1024),
        "wider": 4096,
        "self": 6.0,
        "time": 0.09375,  # short: the noise part has corrections of relative order (step x time)
        "ode_step": 0.1,
        "ode_time": 1.0,
        "batch_size": 10,
    },
    rows=_below_rows,
    experiment=_below_experiment,
    sizes=(20, 1400),
    hypotheses=(MOMENTS,),
    domain={
        "beta": Real(0.35, 0.65),
        "gamma": Real(0.03, 0.0625, even="log"),
        "widths": WIDTHS,
        "wider": WIDER,
        "self": Real(6.0, 12.0),
        "time": Real(0.06, 0.12),
        "ode_step": Real(0.05, 0.1),
        "ode_time": Real(0.5, 1.0),
        "batch_size": Whole(5, 20),  # of 20 examples
    },
    controls={
        "exponents off by 0.1": {"rows": _exponents_off(0.1)},
        "exponents off by -0.1": {"rows": _exponents_off(-0.1)},
        "noise 20 % larger": {"rows": tampered(_below_rows, shift=float(np.log(1.2)), only="log batch ratio")},
        "another beta": {"experiment": lambda key, size, p: _below_experiment(key, size, p, beta=0.65)},
    },
    plot=_errors_plot(_below_rows, "interaction", "noise"),
)

# -- beta = 1 -------------------------------------------------------------------------------------------------------------


def _at_one_rows(parameters):
    p = parameters

    def constant(name: str) -> Row:
        """A neuron feels one N-th of itself, which changes what does not fall with N by a part of that order."""
        offs, why = [1 / n for n in p["widths"]], f"a width of {p['widths'][0]}"
        return Row(name, 0.0, lambda data: _off_slope(_slope(name, data, p), p["widths"], offs, why), 0.05, 0.3)

    last = "SDE to its limit"
    return [
        constant("shared"),
        constant("independent"),
        Row(last, _by_interaction(p), lambda data: _slope(last, data, p), 0.05, 0.3),
    ]


def _at_one_experiment(key, size, parameters, beta=1.0):
    p = parameters
    law = scaling.StepSizeLaw(p["step_size"] * p["widths"][0] ** (1 - beta), beta=beta)
    ode, sde, sgd = dynamics.McKeanVlasov(law), dynamics.McKeanVlasov(law, 1), dynamics.SGD(law, 1)
    few = _fewer(size, 2)
    keys = iter(jax.random.split(key, 6))
    made = {f"shared, {n}": _to_other(next(keys), sgd, ode, n, p["time"], size) for n in p["widths"]}
    made |= {f"independent, {n}": _to_other(next(keys), sde, ode, n, p["time"], _fewer(size, 12)) for n in p["widths"]}
    return made | {f"SDE to its limit, {n}": _to_wider(next(keys), sde, n, p["wider"], p["time"], few) for n in p["widths"]}


AT_ONE = Claim(
    name="no decay at one",
    statement="At beta = 1 SGD stays away from the ODE at every width, and neurons with independent noise are 1/N from an SDE.",
    formula=r"\mathbb E|W^i_t-W^{i,\mathrm{ODE}}_t|^2 \to c > 0,\quad \mathbb E|W^i_t-W^{i,\mathrm{SDE}}_t|^2 \le C_t/N",
    source=SOURCE + ", theorem for beta = 1; that the rate is just 1/N is ours",
    parameters={"step_size": 0.05, "time": 0.5, "widths": (64, 1024), "wider": 4096, "self": 6.0},
    rows=_at_one_rows,
    experiment=_at_one_experiment,
    sizes=(20, 600),
    hypotheses=(MOMENTS,),
    domain={
        "step_size": Real(0.02, 0.1, even="log"),
        "time": Real(0.3, 1.0),
        "widths": WIDTHS,
        "wider": WIDER,
        "self": Real(6.0, 12.0),
    },
    controls={
        "exponents off by 0.1": {"rows": tampered(_at_one_rows, shift=0.1)},
        "exponents off by -0.1": {"rows": tampered(_at_one_rows, shift=-0.1)},
        "beta below one": {"experiment": lambda key, size, p: _at_one_experiment(key, size, p, beta=0.75)},
    },
    plot=_errors_plot(_at_one_rows, "shared", "independent", "SDE to its limit"),
)

# -- fluctuations -----------------------------------------------------------------------------------------------------------


@functools.cache
def _start() -> float:
    """At the start E f_N^2 = E a^2 E tanh(<w, x>)^2 / N, here by the trapezoidal rule, meaned over the examples."""
    g = np.linspace(-10, 10, 4001)
    weight = np.exp(-(g**2) / 2)
    norms = np.linalg.norm(np.asarray(_digits().x, np.float64), axis=1)
    return float(np.mean([np.sum(weight * np.tanh(norm * g) ** 2) for norm in norms]) / np.sum(weight))


def _fluctuation_rows(parameters):
    narrow, wide = parameters["widths"]
    starts = [
        Row(f"start, N = {n}", _start(), lambda data, n=n: mean(data[f"start, {n}"]), 0.06, 0.3) for n in parameters["widths"]
    ]

    def growth(data):
        found = log_ratio(mean(data[f"later, {wide}"]), mean(data[f"later, {narrow}"]))
        return replace(found, bias=2 * (1 / narrow - 1 / wide), why=f"a width of {narrow}")  # the next order in 1/N

    return [*starts, Row("log growth", 0.0, growth, 0.09, 0.5)]


def _fluctuation_experiment(key, size, parameters, beta=0.0):
    """N times squared deviations of the outputs from their mean (0 at the start), meaned over examples and classes."""
    p = parameters
    one = dynamics.SGD(scaling.StepSizeLaw(p["gamma"] * p["widths"][0] ** -beta, beta=beta), 1)
    x, made = np.asarray(_digits().x, np.float64), {}
    for i, n in enumerate(p["widths"]):
        own = jax.random.fold_in(key, i)
        for name, time in (("start", 0.0), ("later", p["time"])):
            f = []
            for first in range(0, size, TOGETHER):
                w = _final(jax.random.fold_in(own, first), one, (n,), time, min(TOGETHER, size - first))[n]
                f.append(np.einsum("rnj,rnk->rjk", np.tanh(w[..., : x.shape[1]] @ x.T.astype(w.dtype)), w[..., x.shape[1] :]) / n)
            f = np.concatenate(f).astype(np.float64)
            # About the mean of the runs squares are (size - 1) / size of what they are about the expectation.
            gap = f if name == "start" else (f - f.mean(axis=0)) * (size / (size - 1)) ** 0.5
            made[f"{name}, {n}"] = n * np.mean(gap**2, axis=(1, 2))
    return made


def _fluctuation_plot(ax, data, parameters):
    widths = parameters["widths"]
    for name, shade in (("start", "grey"), ("later", "black")):
        mfplot.estimates(ax, widths, [mean(data[f"{name}, {n}"]) for n in widths], color=shade, label=name)
    ax.axhline(_start(), color="grey", linestyle=":")
    ax.set(xscale="log", xlabel="width N", ylabel="N times variance of the outputs", ylim=(0, None))
    ax.legend(fontsize="small", title="dotted: predicted at the start", title_fontsize="small")


FLUCTUATION = Claim(
    name="fluctuation variance",
    statement="At beta = 0 outputs of networks of N neurons have a variance of c/N, at the start with the c of independent neurons.",
    formula=r"N\,\mathbb E f_N(x)^2 = \mathbb E[a^2]\,\mathbb E\tanh(\langle w,x\rangle)^2\ (t=0),\quad N\,\mathrm{Var} f_N(x) \to c_t",
    source="Sirignano, Spiliopoulos (2020), central limit theorem",
    parameters={"gamma": 1.0, "time": 4.0, "widths": (128, 512)},
    rows=_fluctuation_rows,
    experiment=_fluctuation_experiment,
    sizes=(20, 600),
    hypotheses=(MOMENTS,),
    domain={
        "gamma": Real(0.3, 1.5, even="log"),
        "time": Real(1.0, 5.0),
        "widths": Several(Whole(100, 1000), 2, 2, rising=True),
    },
    controls={
        "variance off by 20 %": {"rows": tampered(_fluctuation_rows, 1.2, only="start")},
        "growth of 20 %": {"rows": tampered(_fluctuation_rows, shift=float(np.log(1.2)), only="log growth")},
        "steps that do not vanish": {"experiment": lambda key, size, p: _fluctuation_experiment(key, size, p, beta=1.0)},
    },
    plot=_fluctuation_plot,
)

CLAIMS = (BELOW, AT_ONE, FLUCTUATION)
