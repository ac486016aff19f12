"""Claims on moments of SGD for least squares: Gurbuzbalaban, Simsekli, Zhu (2021)."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
from scipy import special

from meanfield import _check
from meanfield import plot as mfplot
from meanfield.systems import data as sources
from meanfield.systems import dynamics
from meanfield.theory import recursion as theory
from meanfield.verify.claim import Check, Claim, Estimate, Hypothesis, Row, mean
from meanfield.verify.claims import _bias
from meanfield.verify.claims._chains import SIDE, ends_of, norms, readable
from meanfield.verify.claims._tools import predicting, predictions, stationary, tampered
from meanfield.verify.domain import Real, Several, TupleOf, Whole

SOURCE = "Gurbuzbalaban, Simsekli, Zhu (2021)"


def _at(parameters) -> tuple[float, int, int]:
    return parameters["step_size"], parameters["batch_size"], parameters["dim"]


# -- second moment --------------------------------------------------------------------------------------------------------

MOST = 300  # steps to half of the time


def _half(parameters) -> int:
    """Steps to half of the time: E|x_n|^2 comes to its limit like h(2)^n."""
    return min(MOST, int(np.ceil(np.log(1e-12) / np.log(theory.moment(2.0, *_at(parameters))))))


def _second_moment_rows(parameters):
    limit = theory.second_moment(*_at(parameters))

    def measured(data):
        """The mean, without what is left of the start; what a sample cannot see of a heavy tail is its bias."""
        square, index = np.asarray(data["norm"], np.float64) ** 2, theory.tail_index(*_at(parameters)) / 2
        left = theory.moment(2.0, *_at(parameters)) ** (2 * _half(parameters)) * (parameters["dim"] - limit)
        bias, found = _bias.unseen(square, index), mean(square)
        why = f"what {len(square)} chains do not see of a tail of index {2 * index:.3g}"
        return replace(found.mapped(shift=-left), bias=bias, why=why)

    return [Row("E|x|^2", limit, measured, 0.012 * limit, 0.06 * limit)]


def _second_moment_experiment(key, size, parameters, steps=None):
    steps = steps or _half(parameters)
    half, whole = jax.random.split(key)
    one, data = dynamics.LinearRecursion(*_at(parameters)[:2]), sources.gaussian_regression(parameters["dim"])
    return {
        "norm halfway": np.linalg.norm(ends_of(half, size, data, one, steps), axis=-1),
        "norm": np.linalg.norm(ends_of(whole, size, data, one, 2 * steps), axis=-1),
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
    ax.axhline(theory.second_moment(*_at(parameters)), color="black", linestyle=":", label="predicted")
    ax.set(xlabel="chains", ylabel="mean of |x|^2")
    ax.legend(fontsize="small")


def _second_moment_fits(parameters) -> None:
    eta, b, d = _at(parameters)
    critical = theory.critical_step_size(b, d)
    must = f"be below {critical:.5g} for b = {b}, d = {d}, from which on the second moment is infinite"
    _check.require(eta < critical, "step_size", must, eta)
    must = f"contract E|x|^2 by 1/1000 or more in {MOST} steps"
    rate = theory.moment(2.0, eta, b, d)
    _check.require(rate**MOST < 1e-3, "step_size", must, _check.words(f"{eta:g}, which does by {rate**MOST:.2g}"))


def _predicted_at(name: str, move):
    """Rows that predict what holds at another value of one parameter."""
    return predicting(_second_moment_rows, lambda p: predictions(_second_moment_rows, {**p, name: move(p[name])}))


SECOND_MOMENT = Claim(
    name="second moment",
    statement="Below the critical step size the stationary law has a second moment in closed form.",
    formula=r"\mathbb E|x_\infty|^2 = \frac{\eta d s^2}{2b-\eta\sigma^2(d+b+1)}",
    source=SOURCE + ", Proposition 5; the formula is ours",
    parameters={"step_size": 0.2, "batch_size": 1, "dim": 2},
    rows=_second_moment_rows,
    experiment=_second_moment_experiment,
    sizes=(50_000, 1_000_000),
    hypotheses=(Hypothesis("The chains are stationary.", _stationary),),
    controls={
        "moment off by 20 %": {"rows": tampered(_second_moment_rows, 1.2)},
        "step 1.7 % larger": {"rows": _predicted_at("step_size", lambda eta: 1.017 * eta)},
        "one more example in a batch": {"rows": _predicted_at("batch_size", lambda b: b + 1)},
        "too few steps": {"experiment": lambda key, size, p: _second_moment_experiment(key, size, p, steps=2)},
    },
    plot=_second_moment_plot,
    domain={"step_size": Real(0.01, 1.8, even="log"), "batch_size": Whole(1, 20), "dim": Whole(1, 10)},
    fits=_second_moment_fits,
)

# -- contraction ----------------------------------------------------------------------------------------------------------

ORDERS = (0.5, 1.0, 2.0)


def _contraction_rows(parameters):
    d, steps = parameters["dim"], parameters["steps"]

    def log_start(s):  # log E|2 N(0, I)|^s
        return 1.5 * s * np.log(2) + special.gammaln((d + s) / 2) - special.gammaln(d / 2)

    def log_moment(s):
        return log_start(s) + steps * np.log(theory.moment(s, *_at(parameters)))

    def moment(data, s):
        distance = np.asarray(data["distance"], np.float64)
        found = mean(distance**s / np.exp(log_start(s)))
        bias = _bias.rare(distance, s, log_moment) * np.exp(log_moment(s) - log_start(s))
        return replace(found, bias=float(bias), why=f"what {len(distance)} pairs of chains do not see of it")

    made = []
    for s, share, quick in zip(ORDERS, (0.0045, 0.0081, 0.03), (0.022, 0.04, 0.15), strict=True):
        predicted = theory.moment(s, *_at(parameters)) ** steps
        made.append(Row(f"s = {s:g}", predicted, partial(moment, s=s), share * predicted, quick * predicted))
    return made


def _contraction_experiment(key, size, parameters, common=True, decay=0.0):
    """Two chains, of common data or not, from starts that are three times and once the same normal vector."""
    data, eta = sources.gaussian_regression(parameters["dim"]), parameters["step_size"]
    ridge = decay / (eta * parameters["steps"])
    recursion = dynamics.LinearRecursion(eta, parameters["batch_size"], weight_decay=ridge, reduced=False)
    near, far = (
        ends_of(key if common else jax.random.fold_in(key, i), size, data, recursion, parameters["steps"], scale)
        for i, scale in enumerate((1.0, 3.0))
    )
    return {"distance": np.linalg.norm(far - near, axis=-1)}


def _contraction_fits(parameters) -> None:
    _, b, d = _at(parameters)
    most = 80 // (b * d)
    _check.require(parameters["steps"] <= most, "steps", f"be {most} or fewer for b = {b}, d = {d}", parameters["steps"])


def _contraction_plot(ax, data, parameters) -> None:
    s = np.linspace(0, 2.5, 50)
    ax.plot(s, [theory.moment(v, *_at(parameters)) ** parameters["steps"] for v in s], color="black", label="predicted: h(s)^k")
    measured = [row.measured(data) for row in _contraction_rows(parameters)]
    mfplot.estimates(ax, ORDERS, measured, 4, color="tab:blue", capsize=2, label="measured, 4 errors")
    ax.set(xlabel="order s", ylabel="moment of the distance, relative to the start")
    ax.legend(fontsize="small")


CONTRACTION = Claim(
    name="contraction",
    statement="Chains with common data come together, in every moment, at exactly h(s)^k.",
    formula=r"\mathbb E|x_k-x_k'|^s = h(s)^k\,\mathbb E|x_0-x_0'|^s",
    source=SOURCE + "; equality for isotropic inputs is ours",
    parameters={"step_size": 0.3, "batch_size": 1, "dim": 2, "steps": 4},
    rows=_contraction_rows,
    experiment=_contraction_experiment,
    sizes=(30_000, 1_000_000),
    controls={
        "h off by 5 %": {"rows": tampered(_contraction_rows, 1.05)},
        "independent data": {"experiment": lambda key, size, p: _contraction_experiment(key, size, p, common=False)},
        "a ridge that takes 3 % off": {"experiment": lambda key, size, p: _contraction_experiment(key, size, p, decay=0.03)},
    },
    plot=_contraction_plot,
    domain={"step_size": Real(0.02, 1.5, even="log"), "batch_size": Whole(1, 6), "dim": Whole(1, 6), "steps": Whole(1, 20)},
    fits=_contraction_fits,
)

# -- critical step size -----------------------------------------------------------------------------------------------------

GROUP = 2000  # chains whose sum of squares is taken


def _critical_rows(parameters):
    made = []
    for b, d in parameters["settings"]:
        critical = float(np.log(theory.critical_step_size(b, d)))
        made.append(Row(f"log critical step, b = {b}, d = {d}", critical, partial(_log_critical, b=b, d=d), 0.045, 0.2))
    eta, steps = parameters["step_size"], parameters["steps"]
    alpha = theory.tail_index(eta, 1, 1)
    limit = 1 / (1 - alpha / 2)

    def over_largest(data):
        now = np.asarray(data["now"], np.float64)
        deep = _bias.chain(eta, 1, 1, float(np.quantile(now, 1 - 1 / GROUP)), steps, 1 / GROUP).hill
        off = _bias.sum_over_largest(now**2, alpha, GROUP) + deep * alpha / 2 / (1 - alpha / 2) ** 2
        return _bias.corrected(mean(data["sum over largest"]), off, f"groups of {GROUP} chains after {steps} steps")

    return [*made, Row("sum over largest square", limit, over_largest, 0.0972 * limit, 0.486 * limit)]


def _log_critical(data, b: int, d: int) -> Estimate:
    """h(2) = 1 - 2 eta E<e, H e> / b + eta^2 E|H e|^2 / b^2 is 1 at eta = 2 E(along) / E(square)."""
    along, square = (np.asarray(data[f"{name}, {b}, {d}"], np.float64) for name in ("along", "square"))
    spread = mean(along / along.mean() - square / square.mean())
    return Estimate(float(np.log(2 * along.mean() / square.mean())), spread.standard_error)


def _critical_experiment(key, size, parameters, skew=None):
    made, eta = {}, 0.25
    for i, (b, d) in enumerate(parameters["settings"]):
        # Without noise the difference of two chains with common data moves like a chain: x_1 = x_0 - (eta / b) H x_0.
        covariance = None if skew is None else np.diag([skew] + (d - 1) * [1.0])
        data = sources.gaussian_regression(d, covariance=covariance, noise_std=0.0)
        own, one = jax.random.fold_in(key, i), dynamics.LinearRecursion(eta, b, reduced=False)
        start, end = (ends_of(own, 150 * size, data, one, steps) for steps in (0, 1))
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
    rows=_critical_rows,
    experiment=_critical_experiment,
    sizes=(60, 1250),
    hypotheses=(stationary("halfway", "now"),),
    controls={
        "step 10 % larger": {"rows": tampered(_critical_rows, shift=0.095, only="log")},
        "step 10 % smaller": {"rows": tampered(_critical_rows, shift=-0.105, only="log")},
        "share off by 20 %": {"rows": tampered(_critical_rows, 0.8, only="sum")},
        "inputs not isotropic": {"experiment": lambda key, size, p: _critical_experiment(key, size, p, skew=2.0)},
    },
    plot=_critical_plot,
    domain={
        "settings": Several(TupleOf(Whole(1, 10), Whole(1, 8)), 1, 3),
        "step_size": Real(0.68, 2.2),
        "steps": Whole(50, 300),
    },
    fits=_critical_fits,
)

CLAIMS = (SECOND_MOMENT, CONTRACTION, CRITICAL)
