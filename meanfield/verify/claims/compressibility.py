"""Claims on pruning errors: Gribonval, Cevher, Davies (2012), Proposition 1; Barsbey et al. (2021)."""

from dataclasses import replace
from functools import lru_cache, partial

import jax
import numpy as np
from scipy import special, stats

from meanfield import _check
from meanfield import plot as mfplot
from meanfield._keys import generator
from meanfield.measure import pruning
from meanfield.systems import stable_noise
from meanfield.theory import compressibility as theory
from meanfield.verify.claim import Check, Claim, Estimate, Hypothesis, Row, mean
from meanfield.verify.claims import _bias
from meanfield.verify.claims._tools import keeps_some, log_slope, predicting, predictions, slope_between, tampered
from meanfield.verify.domain import OneOf, Real, Several, Whole

SOURCE = "Gribonval, Cevher, Davies (2012), Proposition 1"


def _errors(draw, size: int, kappa: float, kind: str = "magnitude", p: float = 2.0) -> np.ndarray:
    """Relative errors of `size` independent samples."""
    return np.array([float(pruning.error_curve(draw(), kappa, kind, p)) for _ in range(size)])


def _limit_row(name: str, limit: float, beyond, n: int, parameters, what: str, p: float = 2.0, most: float = 0.003) -> Row:
    """Mean error of samples of n parts; `beyond`: t(s) with P(|X|^p > t(s)) = s, `_bias.pruned`.

    The deviations to detect are no more than a share of the limit, so that a limit near 0 is tested too.
    """

    def measured(data):
        return _bias.corrected(mean(data[name]), _bias.pruned(beyond, n, parameters["kappa"], p, limit), f"the {n} {what}")

    return Row(name, limit, measured, min(most, 0.05 * limit), min(0.01, 0.15 * limit))


# -- the limit ------------------------------------------------------------------------------------------------------------

LAWS = {"normal": stats.norm(), "Laplace": stats.laplace(), "Student": stats.t(5)}


def _case(law: str, p: float) -> str:
    return f"{law}, q = {p:g}"  # p; the golden numbers and older reports know the rows by this name


def _cases(parameters) -> dict:
    """Laws and orders by the names of the rows."""
    return {_case(name, p): (law, p) for name, law in LAWS.items() for p in parameters["orders"]}


def _limit_rows(parameters):
    made = []
    for name, (law, p) in _cases(parameters).items():
        limit = float(theory.limit_error(law, parameters["kappa"], p))
        beyond = partial(_power_beyond, law, p)
        made.append(_limit_row(name, limit, beyond, parameters["parts"], parameters, "parts of a sample", p))
    return made


def _power_beyond(law, p: float, s: np.ndarray) -> np.ndarray:
    return law.isf(s / 2) ** p


@lru_cache(maxsize=64)
def _absolute_moment(law, p: float) -> float:
    z = np.linspace(-60, 40, 20_001)  # s = P(|X| > x) by its logit
    s = special.expit(z)
    return float(np.trapezoid(law.isf(s / 2) ** p * s * special.expit(-z), z))


def _limit_experiment(key, size, parameters, degrees=5.0):
    draw, made = generator(key), {}
    for name, law in {**LAWS, "Student": stats.t(degrees)}.items():
        parts = [np.abs(law.rvs(parameters["parts"], random_state=draw)) for _ in range(size)]
        for p in parameters["orders"]:
            made[_case(name, p)] = _errors(iter(parts).__next__, size, parameters["kappa"], p=p)
            made[f"largest share, {_case(name, p)}"] = np.array([np.max(x) ** p / np.sum(x**p) for x in parts])
    return made


def _moment_is_finite(data, parameters) -> Check:
    """Of a finite moment the largest of n parts has a vanishing share; of an infinite one a share that does not vanish.

    The share that would be too much is 0.1, or three times that of the law of the claim where this is more.
    """
    n, found = parameters["parts"], []
    for name, (law, p) in _cases(parameters).items():
        share = float(np.median(data[f"largest share, {name}"]))
        expected = float(law.isf(np.log(2) / (2 * n)) ** p / (n * _absolute_moment(law, p)))
        found.append((share / max(0.1, 3 * expected), share, max(0.1, 3 * expected), name))
    _, share, most, name = max(found)
    return Check(share < most, f"The largest part holds {share:.2g} of the sum of |x|^p ({name}); {most:.2g} would be too much.")


def _limit_fits(parameters) -> None:
    keeps_some(parameters["kappa"], parameters["parts"])


def _one_sided(parameters):
    return predictions(_limit_rows, {**parameters, "kappa": min(2 * parameters["kappa"], 0.99)})


def _plot_errors(rows):
    """Samples of errors, one column for every row, and the predictions."""

    def plot(ax, data, parameters) -> None:
        predicted = predictions(rows, parameters)
        for i, (name, value) in enumerate(predicted.items()):
            ax.plot(np.linspace(i - 0.2, i + 0.2, len(data[name])), data[name], ".", color="grey", markersize=2)
            ax.plot([i - 0.35, i + 0.35], [value, value], color="steelblue", label=None if i else "predicted")
        ax.set(ylabel="relative error, one point a sample")
        ax.set_xticks(range(len(predicted)), [name.replace(", ", "\n") for name in predicted], fontsize="small")
        ax.legend(fontsize="small")

    return plot


LIMIT = Claim(
    name="limit",
    statement="With a finite p-th moment the relative error of pruning N independent parts tends to G_p(kappa)^(1/p).",
    formula=r"\|x-x_\kappa\|_p/\|x\|_p \to \Big(\int_0^{t_\kappa} x^p\,dF\Big/\mathbb E|X|^p\Big)^{1/p}",
    source=SOURCE,
    parameters={"kappa": 0.1, "orders": (1.0, 2.0), "parts": 100_000},
    rows=_limit_rows,
    experiment=_limit_experiment,
    sizes=(20, 100),
    hypotheses=(Hypothesis("The p-th moment is finite.", _moment_is_finite),),
    controls={
        "limit off by 20 %": {"rows": tampered(_limit_rows, 1.2)},
        "quantile of one side": {"rows": predicting(_limit_rows, _one_sided)},
        "infinite moment": {"experiment": lambda key, size, parameters: _limit_experiment(key, size, parameters, degrees=1.5)},
    },
    plot=_plot_errors(_limit_rows),
    domain={
        "kappa": Real(0.001, 0.95, even="log"),
        "orders": Several(Real(0.5, 4.5), 1, 3),
        "parts": Whole(1000, 300_000),
    },
    fits=_limit_fits,
)


# -- the rate, and the law behind it ------------------------------------------------------------------------------------------

ALPHAS = {"stable 1.2": 1.2, "stable 1.5": 1.5}


def _decay_rows(parameters):
    sizes = (parameters["narrow"], parameters["wide"])

    def measured(data, name):
        found, why = log_slope(sizes, [data[f"{name}, {n}"] for n in sizes]), f"the {sizes[0]} and {sizes[1]} parts"
        return _bias.corrected(found, _decay_off(ALPHAS[name], sizes, parameters["kappa"]), why, _bias.EXACT)

    return [Row(name, slope, partial(measured, name=name), 0.05, 0.3) for name, slope in _decay_slopes().items()]


def _decay_slopes(factor: float = 1.0) -> dict[str, float]:
    """Predicted slopes at this factor of the index."""
    return {name: -float(theory.decay_exponent(factor * alpha)) for name, alpha in ALPHAS.items()}


def _decay_experiment(key, size, parameters, p=2.0):
    made = {}
    for i, (name, alpha) in enumerate(ALPHAS.items()):
        for j, n in enumerate((parameters["narrow"], parameters["wide"])):
            keys = jax.random.split(jax.random.fold_in(key, 2 * i + j), size)
            x = [np.asarray(stable_noise.symmetric_stable(one, alpha, (n,))) for one in keys]
            made[f"{name}, {n}"] = _errors(iter(x).__next__, size, parameters["kappa"], p=p)
    return made


@lru_cache(maxsize=64)
def _decay_off(alpha: float, sizes: tuple[int, int], kappa: float) -> float:
    """What the slope is above its limit; the body's quantiles from a sample of its law, the same for everybody."""
    sample = np.abs(np.asarray(stable_noise.symmetric_stable(jax.random.key(0), alpha, (1_000_000,)), np.float64))
    return _bias.stable_slope(alpha, sample, 1, sizes, kappa)


def _decay_fits(parameters) -> None:
    keeps_some(parameters["kappa"], parameters["narrow"])
    keeps_some(1 - parameters["kappa"], parameters["narrow"])
    must = f"be 10 times `narrow`, {parameters['narrow']}, or more"
    _check.require(parameters["wide"] >= 10 * parameters["narrow"], "wide", must, parameters["wide"])


def _decay_plot(ax, data, parameters):
    widths = np.array([parameters["narrow"], parameters["wide"]])
    for (name, slope), color in zip(_decay_slopes().items(), ("black", "grey"), strict=True):
        errors = [data[f"{name}, {n}"] for n in widths]
        ax.plot(np.repeat(widths, len(errors[0])), np.concatenate(errors), "_", color=color, alpha=0.3)
        typical = np.exp(np.mean(np.log(errors), axis=1))
        ax.plot(widths, typical, "o", color=color, label=name)
        mfplot.power(ax, widths, typical[0], slope, color="steelblue")
    ax.set(xscale="log", yscale="log", xlabel="parts N", ylabel="relative error (dotted: predicted slope)")
    mfplot.tick_at(ax, widths)
    ax.legend(fontsize="small")


DECAY = Claim(
    name="decay",
    statement="With tail index alpha < p the error vanishes like N^-(1/alpha - 1/p), at every kept fraction.",
    formula=r"\|x-x_\kappa\|_p/\|x\|_p \sim N^{-(1/\alpha-1/p)}",
    source=SOURCE + "; the rate is ours",
    parameters={"kappa": 0.1, "narrow": 1000, "wide": 100_000},
    rows=_decay_rows,
    experiment=_decay_experiment,
    sizes=(40, 1100),
    controls={
        "exponent off by 0.1": {"rows": tampered(_decay_rows, shift=0.1)},
        "index off by 10 %": {"rows": predicting(_decay_rows, lambda p: _decay_slopes(0.9))},
        "errors in l_2.5": {"experiment": lambda key, size, p: _decay_experiment(key, size, p, p=2.5)},
    },
    plot=_decay_plot,
    domain={"kappa": Real(0.01, 0.9), "narrow": Whole(200, 5000), "wide": Whole(10_000, 200_000)},
    fits=_decay_fits,
)


LEVELS = {"share below 0.25": 0.25, "share below 0.5": 0.5, "share below 0.75": 0.75}
STEEPEST = 0.242  # largest density of the logarithm of a chi-square variable with one degree of freedom


def _constant_rows(parameters):
    """The mean, and the shares of samples below the quantiles of (1/kappa - 1)(2/pi) chi2_1.

    What N error^2 is off, relative, by the finite number of parts, moves a share by the density of its logarithm at most.
    """
    kappa, n = parameters["kappa"], parameters["parts"]
    limit, odds = theory.divergent_limit(stats.pareto(1), kappa).constant, 1 / kappa - 1

    def measured(data, of, part):
        shift, spread = _bias.pareto(n, kappa)
        relative = abs(shift) + 2 * spread
        return replace(mean(of(n * data["error"] ** 2)), bias=part * relative, why=f"the {n} parts of a sample")

    def below(name, level):
        quantile = odds * (2 / np.pi) * stats.chi2(1).ppf(level)
        return Row(name, level, partial(measured, of=lambda scaled: scaled < quantile, part=STEEPEST), 0.04, 0.15)

    whole = partial(measured, of=lambda scaled: scaled, part=limit)
    first = Row("N error^2", limit, whole, 0.0995 * odds * 2 / np.pi, 0.436 * odds * 2 / np.pi)
    return [first, *(below(*one) for one in LEVELS.items())]


def _exponential(parameters):
    return {name: float(stats.expon.cdf(stats.chi2(1).ppf(level))) for name, level in LEVELS.items()}


def _constant_experiment(key, size, parameters, index=1.0):
    draw, n = generator(key), parameters["parts"]
    return {"error": _errors(lambda: stats.pareto(index).rvs(n, random_state=draw), size, parameters["kappa"])}


def _constant_fits(parameters) -> None:
    keeps_some(parameters["kappa"], parameters["parts"])


def _constant_plot(ax, data, parameters):
    scaled = np.sort(parameters["parts"] * data["error"] ** 2)
    level = (np.arange(len(scaled)) + 0.5) / len(scaled)
    ax.plot(scaled, level, color="black", label="measured")
    predicted = (1 / parameters["kappa"] - 1) * (2 / np.pi) * stats.chi2(1).ppf(level)
    ax.plot(predicted, level, ":", color="steelblue", label="predicted")
    ax.set(xscale="log", xlim=(1e-3, None), xlabel="N error^2", ylabel="share below")
    ax.legend(fontsize="small")


CONSTANT = Claim(
    name="sharp constant",
    statement="For Pareto parts of index 1, N times the squared error tends to (1/kappa - 1)(2/pi) times a chi-square variable.",
    formula=r"N\,\mathrm{err}_2^2 \to (1/\kappa-1)\,\tfrac2\pi\,\chi^2_1",
    source="Ours, from the classical limit of sums in the domain of attraction of a stable law",
    parameters={"kappa": 0.1, "parts": 10_000},
    rows=_constant_rows,
    experiment=_constant_experiment,
    sizes=(500, 8500),
    controls={
        "constant off by 20 %": {"rows": tampered(_constant_rows, 1.2, only="N error^2")},
        "an exponential law of this mean": {"rows": predicting(_constant_rows, _exponential)},
        "index 1.1": {"experiment": lambda key, size, p: _constant_experiment(key, size // 4, p, index=1.1)},
    },
    plot=_constant_plot,
    domain={"kappa": Real(0.005, 0.9, even="log"), "parts": Whole(500, 20_000)},
    fits=_constant_fits,
)


# -- columns, singular values, and the counter-example ------------------------------------------------------------------------

DIMS = {"dim 2": 2, "dim 10": 10, "dim 100": 100}


def _columns_rows(parameters):
    made = []
    for name, d in DIMS.items():
        limit = float(theory.node_limit_error(stats.norm(), d, parameters["kappa"]))
        made.append(_limit_row(name, limit, stats.chi2(d).isf, parameters["columns"], parameters, "columns of a matrix"))
    return made


def _columns_experiment(key, size, parameters, degrees=np.inf):
    draw, n, law = generator(key), parameters["columns"], stats.t(degrees)
    normal = np.isinf(degrees)

    def columns(d: int) -> np.ndarray:
        return draw.standard_normal((n, d)) if normal else law.rvs((n, d), random_state=draw)

    return {name: _errors(lambda d=d: columns(d), size, parameters["kappa"], "node") for name, d in DIMS.items()}


def _columns_fits(parameters) -> None:
    keeps_some(parameters["kappa"], parameters["columns"], at_least=1)
    keeps_some(1 - parameters["kappa"], parameters["columns"])


COLUMNS = Claim(
    name="columns",
    statement="Node pruning of columns of independent normal entries has the limit of their chi-square norms.",
    formula=r"\mathrm{err}_2^2 \to P\big(\chi^2_{d+2} < q_{1-\kappa}(\chi^2_d)\big)",
    source="Gribonval, Cevher, Davies (2012), Proposition 1, for the norms",
    parameters={"kappa": 0.1, "columns": 5000},
    rows=_columns_rows,
    experiment=_columns_experiment,
    sizes=(15, 60),
    controls={
        "limit off by 20 %": {"rows": tampered(_columns_rows, 1.2)},
        "entries of Student's law": {"experiment": lambda key, size, p: _columns_experiment(key, size, p, degrees=10)},
    },
    plot=_plot_errors(_columns_rows),
    domain={"kappa": Real(0.005, 0.9, even="log"), "columns": Whole(50, 20_000)},
    fits=_columns_fits,
)


SIDES = {"normal": (40, 80), "Cauchy": (20, 80)}  # small: from 100 on threads of BLAS can cost a hundred times their gain


LEFT = 0.001  # of the limits: the extrapolation from two sides leaves 0.0006 at most


def _singular_rows(parameters):
    exponent, room = -float(theory.decay_exponent(1.0)), parameters["room"]

    def limit_row(i: int, kappa: float) -> Row:
        def measured(data):
            """Errors are c/n off, so twice those of the wide matrices less those of the narrow ones."""
            narrow, wide = (mean(data[f"normal, {n}"][:, i]) for n in SIDES["normal"])
            error = np.hypot(2 * wide.standard_error, narrow.standard_error)
            return Estimate(2 * wide.value - narrow.value, float(error), dof=wide.dof)

        limit = float(theory.singular_limit_error(kappa))
        return Row(f"kappa = {kappa:g}", (limit - LEFT, limit + LEFT), measured, 0.006, 0.03)

    limits = [limit_row(i, kappa) for i, kappa in enumerate(parameters["kappas"])]
    return [*limits, Row("slope, Cauchy", (exponent - room, exponent + room), _cauchy_slope, 0.045, 0.25)]


def _cauchy_slope(data) -> Estimate:
    """Slope of E log error, by a control variate.

    Of m entries the largest L has `-log P(|X| > L)` as its only share in the tail, a number with mean 1 + 1/2 + ... + 1/m; log L
    takes most of the variance of the error out.
    """
    ends = []
    for n in SIDES["Cauchy"]:
        known = special.digamma(n**2 + 1) + np.euler_gamma
        largest = -np.log(2 / np.pi * np.arctan(1 / data[f"largest, {n}"]))
        ends.append(mean(np.log(data[f"Cauchy, {n}"]) + largest - known))
    return slope_between(SIDES["Cauchy"], ends)


def _singular_experiment(key, size, parameters, heavy="standard_cauchy"):
    """Errors (matrices, kappas); of Cauchy entries, of which there are ten times as many matrices, also the largest entry."""
    draw, made = generator(key), {}
    for n in SIDES["normal"]:
        made[f"normal, {n}"] = pruning.error_curve(draw.standard_normal((size, n, n)), parameters["kappas"], "singular")
    for n in SIDES["Cauchy"]:
        parts = [getattr(draw, heavy)((20, n, n)) for _ in range(size // 2)]
        made[f"Cauchy, {n}"] = np.concatenate([pruning.error_curve(x, parameters["kappas"][-1], "singular") for x in parts])
        made[f"largest, {n}"] = np.concatenate([np.max(np.abs(x), axis=(1, 2)) for x in parts])
    return made


def _singular_plot(ax, data, parameters):
    for i, k in enumerate(parameters["kappas"]):
        for n in SIDES["normal"]:
            errors = data[f"normal, {n}"][:, i]
            ax.plot(np.full(len(errors), n), errors, "_", color="grey")
        ax.axhline(float(theory.singular_limit_error(k)), color="steelblue")
    sides = np.array(SIDES["Cauchy"])
    typical = np.array([np.exp(np.mean(np.log(data[f"Cauchy, {n}"]))) for n in sides])
    ax.plot(sides, typical, "o", color="black", label=f"Cauchy, {parameters['kappas'][-1]:g} kept")
    mfplot.power(ax, sides, typical[0], -0.5, color="black", label="slope -1/2")
    ax.plot([], [], color="steelblue", label="limits, normal: " + ", ".join(f"{k:g}" for k in parameters["kappas"]) + " kept")
    ax.set(xscale="log", yscale="log", xlabel="side of the matrix n", ylabel="relative error")
    mfplot.tick_at(ax, sorted({*SIDES["normal"], *SIDES["Cauchy"]}))
    ax.legend(fontsize="small")


SINGULAR = Claim(
    name="singular values",
    statement="Singular-value pruning has the quarter-circle limit for normal entries; for Cauchy entries errors fall like n^-1/2.",
    formula=r"\mathrm{err}_2^2 \to \int_0^{t} x^2\sqrt{4-x^2}\,dx/\pi,\quad \mathrm{err}_2\sim n^{-(1/\alpha-1/2)}",
    source="Marchenko, Pastur (1967); the rate is ours, for Barsbey et al. (2021)",
    parameters={"kappas": (0.1, 0.25, 0.5), "room": 0.02},
    rows=_singular_rows,
    experiment=_singular_experiment,
    sizes=(20, 250),
    controls={
        "limits off by 20 %": {"rows": tampered(_singular_rows, 1.2)},
        "exponent off by 0.1": {"rows": tampered(_singular_rows, shift=0.1, only="slope")},
        "light-tailed entries": {"experiment": lambda key, size, p: _singular_experiment(key, size // 4, p, "standard_normal")},
    },
    plot=_singular_plot,
    domain={
        "kappas": Several(OneOf(*(k / 20 for k in range(2, 17))), 1, 4, rising=True),  # whole numbers of all sides
        "room": Real(0.02, 0.1),
    },
)


def _sizes(parameters) -> dict[str, int]:
    """Numbers of parts by the names of the rows."""
    return {f"N = {n}": n for n in parameters["parts"]}


def _layer_rows(parameters):
    """One scale for all parts leaves the error as it is: that of normal parts."""
    limit = float(theory.layer_elliptical_limit_error(parameters["kappa"]))
    return [
        _limit_row(name, limit, lambda s: special.ndtri(s / 2) ** 2, n, parameters, "parts of a layer", most=0.005)
        for name, n in _sizes(parameters).items()
    ]


def _layer_experiment(key, size, parameters, column=None):
    """Layers with one scale; or one for every `column` entries."""
    made = {}
    for i, (name, n) in enumerate(_sizes(parameters).items()):
        shape = (n // (column or n), column or n)
        keys = jax.random.split(jax.random.fold_in(key, i), size)
        x = iter([np.ravel(stable_noise.isotropic_stable(one, parameters["alpha"], shape)) for one in keys])
        made[name] = _errors(x.__next__, size, parameters["kappa"])
    return made


LAYER = Claim(
    name="layer-elliptical",
    statement="A layer with one common heavy-tailed scale is not compressible: its error is the Gaussian one at every width.",
    formula=r"\|W-W_\kappa\|/\|W\| \to \sqrt{G_2(\kappa)}\ \text{(normal)},\quad W=\sqrt A\,G",
    source="Ours",
    parameters={"kappa": 0.1, "alpha": 1.2, "parts": (50_000, 1_000_000)},
    rows=_layer_rows,
    experiment=_layer_experiment,
    sizes=(10, 60),
    controls={
        "limit off by 20 %": {"rows": tampered(_layer_rows, 1.2)},
        "columns of different scales": {"experiment": lambda key, size, p: _layer_experiment(key, size, p, column=10)},
    },
    plot=_plot_errors(_layer_rows),
    domain={
        "kappa": Real(0.005, 0.9, even="log"),
        "alpha": Real(0.3, 2.0),
        "parts": Several(Whole(2000, 1_000_000), 1, 2, rising=True),
    },
    fits=lambda parameters: keeps_some(parameters["kappa"], *parameters["parts"]),
)

CLAIMS = (LIMIT, DECAY, CONSTANT, COLUMNS, SINGULAR, LAYER)
