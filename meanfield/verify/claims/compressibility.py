"""Claims on pruning errors: Gribonval, Cevher, Davies (2012), Proposition 1; Barsbey et al. (2021)."""

from dataclasses import replace
from functools import lru_cache

import jax
import numpy as np
from scipy import special, stats

from meanfield import _check
from meanfield.measure import pruning
from meanfield.systems import stable_noise
from meanfield.theory import compressibility as theory
from meanfield.verify.claim import Check, Claim, Estimate, Hypothesis, mean
from meanfield.verify.claims import _bias
from meanfield.verify.claims._tools import between, log_slope, off, rng, ticks
from meanfield.verify.domain import OneOf, Real, Several, Whole

SOURCE = "Gribonval, Cevher, Davies (2012), Proposition 1"


def _errors(draw, size: int, kappa: float, kind: str = "magnitude", p: float = 2.0) -> np.ndarray:
    """Relative errors of `size` independent samples."""
    return np.array([float(pruning.error_curve(draw(), kappa, kind, p)) for _ in range(size)])


def keeps_some(kappa: float, *sizes: int, at_least: int = 10) -> None:
    """Refuse a fraction at which fewer than `at_least` parts are kept: rounding to whole parts would be all that is measured."""
    must = f"keep {at_least} parts or more of {min(sizes)}"
    _check.require(kappa * min(sizes) >= at_least, "kappa", must, kappa)


def below_limits(predict, most: float, share: float):
    """Deviations to detect: `most`, and no more than a share of what is predicted, so that a limit near 0 is tested too."""
    return lambda p: {name: min(most, share * abs(value)) for name, value in predict(p).items()}


# -- the limit ------------------------------------------------------------------------------------------------------------

LAWS = {"normal": stats.norm(), "Laplace": stats.laplace(), "Student": stats.t(5)}


def _limit(parameters):
    return {
        f"{name}, q = {q:g}": float(theory.limit_error(law, parameters["kappa"], q))
        for name, law in LAWS.items()
        for q in parameters["orders"]
    }


def _laws(parameters) -> list:
    """Names of the predictions with their laws and orders."""
    return [(f"{name}, q = {q:g}", law, q) for name, law in LAWS.items() for q in parameters["orders"]]


@lru_cache(maxsize=64)
def _absolute_moment(law, q: float) -> float:
    z = np.linspace(-60, 40, 20_001)  # s = P(|X| > x) by its logit
    s = special.expit(z)
    return float(np.trapezoid(law.isf(s / 2) ** q * s * special.expit(-z), z))


def _limit_experiment(key, size, parameters, degrees=5.0):
    draw, made = rng(key), {}
    for name, law in {**LAWS, "Student": stats.t(degrees)}.items():
        parts = [np.abs(law.rvs(parameters["parts"], random_state=draw)) for _ in range(size)]
        for q in parameters["orders"]:
            made[f"{name}, q = {q:g}"] = _errors(iter(parts).__next__, size, parameters["kappa"], p=q)
            made[f"largest share, {name}, q = {q:g}"] = np.array([np.max(x) ** q / np.sum(x**q) for x in parts])
    return made


def _moment_is_finite(data, parameters) -> Check:
    """Of a finite moment the largest of n parts has a vanishing share; of an infinite one a share that does not vanish.

    The share that would be too much is 0.1, or three times that of the law of the claim where this is more.
    """
    n, found = parameters["parts"], []
    for name, law, q in _laws(parameters):
        share = float(np.median(data[f"largest share, {name}"]))
        expected = float(law.isf(np.log(2) / (2 * n)) ** q / (n * _absolute_moment(law, q)))
        found.append((share / max(0.1, 3 * expected), share, max(0.1, 3 * expected), name))
    _, share, most, name = max(found)
    return Check(share < most, f"The largest part holds {share:.2g} of the sum of |x|^q ({name}); {most:.2g} would be too much.")


def _limit_measure(data, parameters):
    made, n, kappa = {}, parameters["parts"], parameters["kappa"]
    for name, law, q in _laws(parameters):
        limit = _limit(parameters)[name]
        shift = _bias.pruned(lambda s, law=law, q=q: law.isf(s / 2) ** q, n, kappa, q, limit)
        made[name] = _bias.corrected(mean(data[name]), shift, f"the {n} parts of a sample")
    return made


def _limit_fits(parameters) -> None:
    keeps_some(parameters["kappa"], parameters["parts"])


def _plot_errors(ax, data, predicted):
    """Samples of errors, a column a prediction, and the predictions."""
    for i, (name, value) in enumerate(predicted.items()):
        ax.plot(np.linspace(i - 0.2, i + 0.2, len(data[name])), data[name], ".", color="grey", markersize=2)
        ax.plot([i - 0.35, i + 0.35], [value, value], color="steelblue", label=None if i else "predicted")
    ax.set(ylabel="relative error, one point a sample")
    ax.set_xticks(range(len(predicted)), [name.replace(", ", "\n") for name in predicted], fontsize="small")
    ax.legend(fontsize="small")


LIMIT = Claim(
    name="limit",
    statement="With a finite q-th moment the relative error of pruning N independent parts tends to G_q(kappa)^(1/q).",
    formula=r"\|x-x_\kappa\|_q/\|x\|_q \to \Big(\int_0^{t_\kappa} x^q\,dF\Big/\mathbb E|X|^q\Big)^{1/q}",
    source=SOURCE,
    parameters={"kappa": 0.1, "orders": (1.0, 2.0), "parts": 100_000},
    predict=_limit,
    experiment=_limit_experiment,
    measure=_limit_measure,
    detects=below_limits(_limit, 0.003, 0.05),
    quick_detects=below_limits(_limit, 0.01, 0.15),
    sizes=(20, 100),
    hypotheses=(Hypothesis("The q-th moment is finite.", _moment_is_finite),),
    controls={
        "limit off by 20 %": {"predict": off(_limit, 1.2)},
        "quantile of one side": {"predict": lambda p: _limit({**p, "kappa": min(2 * p["kappa"], 0.99)})},
        "infinite moment": {"experiment": lambda key, size, parameters: _limit_experiment(key, size, parameters, degrees=1.5)},
    },
    plot=lambda ax, data, parameters: _plot_errors(ax, data, _limit(parameters)),
    domain={
        "kappa": Real(0.001, 0.95, even="log"),
        "orders": Several(Real(0.5, 4.5), 1, 3),
        "parts": Whole(1000, 300_000),
    },
    fits=_limit_fits,
)


# -- the rate, and the law behind it ------------------------------------------------------------------------------------------

ALPHAS = (1.2, 1.5)


def _decay(parameters):
    return {f"stable {alpha:g}": -float(theory.decay_exponent(alpha)) for alpha in ALPHAS}


def _decay_experiment(key, size, parameters, p=2.0):
    made = {}
    for i, alpha in enumerate(ALPHAS):
        for j, n in enumerate((parameters["narrow"], parameters["wide"])):
            keys = jax.random.split(jax.random.fold_in(key, 2 * i + j), size)
            x = [np.asarray(stable_noise.symmetric_stable(one, alpha, (n,))) for one in keys]
            made[f"stable {alpha:g}, {n}"] = _errors(iter(x).__next__, size, parameters["kappa"], p=p)
    return made


@lru_cache(maxsize=64)
def _decay_off(alpha: float, sizes: tuple[int, int], kappa: float) -> float:
    """What the slope is above its limit; the body's quantiles from a sample of its law, the same for everybody."""
    sample = np.abs(np.asarray(stable_noise.symmetric_stable(jax.random.key(0), alpha, (1_000_000,)), np.float64))
    return _bias.stable_slope(alpha, sample, 1, sizes, kappa)


def _decay_measure(data, parameters):
    sizes, made = (parameters["narrow"], parameters["wide"]), {}
    for name, alpha in zip(_decay(parameters), ALPHAS, strict=True):
        found = log_slope(sizes, [data[f"{name}, {n}"] for n in sizes])
        why = f"the {sizes[0]} and {sizes[1]} parts"
        made[name] = _bias.corrected(found, _decay_off(alpha, sizes, parameters["kappa"]), why, _bias.EXACT)
    return made


def _decay_fits(parameters) -> None:
    keeps_some(parameters["kappa"], parameters["narrow"])
    keeps_some(1 - parameters["kappa"], parameters["narrow"])
    must = f"be 10 times `narrow`, {parameters['narrow']}, or more"
    _check.require(parameters["wide"] >= 10 * parameters["narrow"], "wide", must, parameters["wide"])


def _decay_plot(ax, data, parameters):
    widths = np.array([parameters["narrow"], parameters["wide"]])
    for (name, slope), color in zip(_decay(parameters).items(), ("black", "grey"), strict=True):
        errors = [data[f"{name}, {n}"] for n in widths]
        ax.plot(np.repeat(widths, len(errors[0])), np.concatenate(errors), "_", color=color, alpha=0.3)
        typical = np.exp(np.mean(np.log(errors), axis=1))
        ax.plot(widths, typical, "o", color=color, label=name)
        ax.plot(widths, typical[0] * (widths / widths[0]) ** slope, ":", color="steelblue")
    ax.set(xscale="log", yscale="log", xlabel="parts N", ylabel="relative error (dotted: predicted slope)")
    ticks(ax, widths)
    ax.legend(fontsize="small")


DECAY = Claim(
    name="decay",
    statement="With tail index alpha < q the error vanishes like N^-(1/alpha - 1/q), at every kept fraction.",
    formula=r"\|x-x_\kappa\|_q/\|x\|_q \sim N^{-(1/\alpha-1/q)}",
    source=SOURCE + "; the rate is ours",
    parameters={"kappa": 0.1, "narrow": 1000, "wide": 100_000},
    predict=_decay,
    experiment=_decay_experiment,
    measure=_decay_measure,
    detects=0.05,
    quick_detects=0.3,
    sizes=(40, 1100),
    controls={
        "exponent off by 0.1": {"predict": off(_decay, shift=0.1)},
        "index off by 10 %": {"predict": lambda p: {f"stable {a:g}": -float(theory.decay_exponent(0.9 * a)) for a in ALPHAS}},
        "errors in l_2.5": {"experiment": lambda key, size, p: _decay_experiment(key, size, p, p=2.5)},
    },
    plot=_decay_plot,
    domain={"kappa": Real(0.01, 0.9), "narrow": Whole(200, 5000), "wide": Whole(10_000, 200_000)},
    fits=_decay_fits,
)


LEVELS = (0.25, 0.5, 0.75)


def _constant(parameters):
    shares = {f"share below {level:g}": level for level in LEVELS}
    return {"N error^2": theory.divergent_limit(stats.pareto(1), parameters["kappa"]).constant, **shares}


def _constant_experiment(key, size, parameters, index=1.0):
    draw, n = rng(key), parameters["parts"]
    return {"error": _errors(lambda: stats.pareto(index).rvs(n, random_state=draw), size, parameters["kappa"])}


STEEPEST = 0.242  # largest density of the logarithm of a chi-square variable with one degree of freedom


def _constant_measure(data, parameters):
    """The mean, and the shares of samples below the quantiles of (1/kappa - 1)(2/pi) chi2_1.

    What N error^2 is off, relative, by the finite number of parts, moves a share by the density of its logarithm at most.
    """
    shift, spread = _bias.pareto(parameters["parts"], parameters["kappa"])
    relative, why = abs(shift) + 2 * spread, f"the {parameters['parts']} parts of a sample"
    scaled = parameters["parts"] * data["error"] ** 2
    quantile = (1 / parameters["kappa"] - 1) * (2 / np.pi) * stats.chi2(1).ppf(LEVELS)
    bias = STEEPEST * relative
    shares = {
        f"share below {level:g}": replace(mean(scaled < q), bias=bias, why=why) for level, q in zip(LEVELS, quantile, strict=True)
    }
    return {"N error^2": replace(mean(scaled), bias=relative * _constant(parameters)["N error^2"], why=why), **shares}


def _constant_detects(relative: float, share: float):
    names = [f"share below {level:g}" for level in LEVELS]
    return lambda p: {"N error^2": relative * (1 / p["kappa"] - 1) * 2 / np.pi, **dict.fromkeys(names, share)}


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
    predict=_constant,
    experiment=_constant_experiment,
    measure=_constant_measure,
    detects=_constant_detects(0.0995, 0.04),
    quick_detects=_constant_detects(0.436, 0.15),
    sizes=(500, 8500),
    controls={
        "constant off by 20 %": {"predict": lambda p: {**_constant(p), "N error^2": 1.2 * _constant(p)["N error^2"]}},
        "an exponential law of this mean": {
            "predict": lambda p: {**_constant(p), **{f"share below {v:g}": stats.expon.cdf(stats.chi2(1).ppf(v)) for v in LEVELS}}
        },
        "index 1.1": {"experiment": lambda key, size, p: _constant_experiment(key, size // 4, p, index=1.1)},
    },
    plot=_constant_plot,
    domain={"kappa": Real(0.005, 0.9, even="log"), "parts": Whole(500, 20_000)},
    fits=_constant_fits,
)


# -- columns, singular values, and the counter-example ------------------------------------------------------------------------

DIMS = (2, 10, 100)


def _columns(parameters):
    return {f"dim {dim}": float(theory.node_limit_error(stats.norm(), dim, parameters["kappa"])) for dim in DIMS}


def _columns_experiment(key, size, parameters, degrees=np.inf):
    draw, n, law = rng(key), parameters["columns"], stats.t(degrees)
    normal = np.isinf(degrees)

    def columns(d: int) -> np.ndarray:
        return draw.standard_normal((n, d)) if normal else law.rvs((n, d), random_state=draw)

    return {f"dim {d}": _errors(lambda d=d: columns(d), size, parameters["kappa"], "node") for d in DIMS}


def _columns_measure(data, parameters):
    made, n, kappa = {}, parameters["columns"], parameters["kappa"]
    for d in DIMS:
        limit = _columns(parameters)[f"dim {d}"]
        shift = _bias.pruned(stats.chi2(d).isf, n, kappa, 2.0, limit)
        made[f"dim {d}"] = _bias.corrected(mean(data[f"dim {d}"]), shift, f"the {n} columns of a matrix")
    return made


def _columns_fits(parameters) -> None:
    keeps_some(parameters["kappa"], parameters["columns"], at_least=1)
    keeps_some(1 - parameters["kappa"], parameters["columns"])


COLUMNS = Claim(
    name="columns",
    statement="Node pruning of columns of independent normal entries has the limit of their chi-square norms.",
    formula=r"\mathrm{err}_2^2 \to P\big(\chi^2_{d+2} < q_{1-\kappa}(\chi^2_d)\big)",
    source="Gribonval, Cevher, Davies (2012), Proposition 1, for the norms",
    parameters={"kappa": 0.1, "columns": 5000},
    predict=_columns,
    experiment=_columns_experiment,
    measure=_columns_measure,
    detects=below_limits(_columns, 0.003, 0.05),
    quick_detects=below_limits(_columns, 0.01, 0.15),
    sizes=(15, 60),
    controls={
        "limit off by 20 %": {"predict": off(_columns, 1.2)},
        "entries of Student's law": {"experiment": lambda key, size, p: _columns_experiment(key, size, p, degrees=10)},
    },
    plot=lambda ax, data, parameters: _plot_errors(ax, data, _columns(parameters)),
    domain={"kappa": Real(0.005, 0.9, even="log"), "columns": Whole(50, 20_000)},
    fits=_columns_fits,
)


SIDES = {"normal": (40, 80), "Cauchy": (20, 80)}  # small: from 100 on threads of BLAS can cost a hundred times their gain


LEFT = 0.001  # of the limits: the extrapolation from two sides leaves 0.0006 at most


def _singular(parameters):
    exponent, room = -float(theory.decay_exponent(1.0)), parameters["room"]
    limits = {f"kappa = {k:g}": float(theory.singular_limit_error(k)) for k in parameters["kappas"]}
    limits = {name: (value - LEFT, value + LEFT) for name, value in limits.items()}
    return {**limits, "slope, Cauchy": (exponent - room, exponent + room)}


def _singular_experiment(key, size, parameters, heavy="standard_cauchy"):
    """Errors (matrices, kappas); of Cauchy entries, of which there are ten times as many matrices, also the largest entry."""
    draw, made = rng(key), {}
    for n in SIDES["normal"]:
        made[f"normal, {n}"] = pruning.error_curve(draw.standard_normal((size, n, n)), parameters["kappas"], "singular")
    for n in SIDES["Cauchy"]:
        parts = [getattr(draw, heavy)((20, n, n)) for _ in range(size // 2)]
        made[f"Cauchy, {n}"] = np.concatenate([pruning.error_curve(x, parameters["kappas"][-1], "singular") for x in parts])
        made[f"largest, {n}"] = np.concatenate([np.max(np.abs(x), axis=(1, 2)) for x in parts])
    return made


def _singular_measure(data, parameters):
    """Limits: errors are c/n off, so twice those of the wide matrices less those of the narrow ones.

    Slope: of E log error, by a control variate. Of m entries the largest L has `-log P(|X| > L)` as its only share in the tail, a
    number with mean 1 + 1/2 + ... + 1/m; log L takes most of the variance of the error out.
    """
    made = {}
    for i, k in enumerate(parameters["kappas"]):
        narrow, wide = (mean(data[f"normal, {n}"][:, i]) for n in SIDES["normal"])
        error = np.hypot(2 * wide.standard_error, narrow.standard_error)
        made[f"kappa = {k:g}"] = Estimate(2 * wide.value - narrow.value, float(error), dof=wide.dof)
    ends = []
    for n in SIDES["Cauchy"]:
        known = special.digamma(n**2 + 1) + np.euler_gamma
        largest = -np.log(2 / np.pi * np.arctan(1 / data[f"largest, {n}"]))
        ends.append(mean(np.log(data[f"Cauchy, {n}"]) + largest - known))
    return made | {"slope, Cauchy": between(SIDES["Cauchy"], ends)}


def _singular_plot(ax, data, parameters):
    for i, k in enumerate(parameters["kappas"]):
        for n in SIDES["normal"]:
            errors = data[f"normal, {n}"][:, i]
            ax.plot(np.full(len(errors), n), errors, "_", color="grey")
        ax.axhline(float(theory.singular_limit_error(k)), color="steelblue")
    sides = np.array(SIDES["Cauchy"])
    typical = np.array([np.exp(np.mean(np.log(data[f"Cauchy, {n}"]))) for n in sides])
    ax.plot(sides, typical, "o", color="black", label=f"Cauchy, {parameters['kappas'][-1]:g} kept")
    ax.plot(sides, typical[0] * (sides / sides[0]) ** -0.5, ":", color="black", label="slope -1/2")
    ax.plot([], [], color="steelblue", label="limits, normal: " + ", ".join(f"{k:g}" for k in parameters["kappas"]) + " kept")
    ax.set(xscale="log", yscale="log", xlabel="side of the matrix n", ylabel="relative error")
    ticks(ax, sorted({*SIDES["normal"], *SIDES["Cauchy"]}))
    ax.legend(fontsize="small")


SINGULAR = Claim(
    name="singular values",
    statement="Singular-value pruning has the quarter-circle limit for normal entries; for Cauchy entries errors fall like n^-1/2.",
    formula=r"\mathrm{err}_2^2 \to \int_0^{t} x^2\sqrt{4-x^2}\,dx/\pi,\quad \mathrm{err}_2\sim n^{-(1/\alpha-1/2)}",
    source="Marchenko, Pastur (1967); the rate is ours, for Barsbey et al. (2021)",
    parameters={"kappas": (0.1, 0.25, 0.5), "room": 0.02},
    predict=_singular,
    experiment=_singular_experiment,
    measure=_singular_measure,
    detects=lambda p: {**{f"kappa = {k:g}": 0.006 for k in p["kappas"]}, "slope, Cauchy": 0.045},
    quick_detects=lambda p: {**{f"kappa = {k:g}": 0.03 for k in p["kappas"]}, "slope, Cauchy": 0.25},
    sizes=(20, 250),
    controls={
        "limits off by 20 %": {"predict": off(_singular, 1.2)},
        "exponent off by 0.1": {
            "predict": lambda p: {**_singular(p), "slope, Cauchy": off(_singular, shift=0.1)(p)["slope, Cauchy"]}
        },
        "light-tailed entries": {"experiment": lambda key, size, p: _singular_experiment(key, size // 4, p, "standard_normal")},
    },
    plot=_singular_plot,
    domain={
        "kappas": Several(OneOf(*(k / 20 for k in range(2, 17))), 1, 4, rising=True),  # whole numbers of all sides
        "room": Real(0.02, 0.1),
    },
)


def _layer(parameters):
    return {f"N = {n}": float(theory.layer_elliptical_limit_error(parameters["kappa"])) for n in parameters["parts"]}


def _layer_experiment(key, size, parameters, column=None):
    """Layers with one scale; or one for every `column` entries."""
    made = {}
    for i, n in enumerate(parameters["parts"]):
        shape = (n // (column or n), column or n)
        keys = jax.random.split(jax.random.fold_in(key, i), size)
        x = iter([np.ravel(stable_noise.isotropic_stable(one, parameters["alpha"], shape)) for one in keys])
        made[f"N = {n}"] = _errors(x.__next__, size, parameters["kappa"])
    return made


def _layer_measure(data, parameters):
    """One scale for all parts leaves the error as it is: that of normal parts."""
    made = {}
    for n in parameters["parts"]:
        limit = _layer(parameters)[f"N = {n}"]
        shift = _bias.pruned(lambda s: special.ndtri(s / 2) ** 2, n, parameters["kappa"], 2.0, limit)
        made[f"N = {n}"] = _bias.corrected(mean(data[f"N = {n}"]), shift, f"the {n} parts of a layer")
    return made


LAYER = Claim(
    name="layer-elliptical",
    statement="A layer with one common heavy-tailed scale is not compressible: its error is the Gaussian one at every width.",
    formula=r"\|W-W_\kappa\|/\|W\| \to \sqrt{G_2(\kappa)}\ \text{(normal)},\quad W=\sqrt A\,G",
    source="Ours",
    parameters={"kappa": 0.1, "alpha": 1.2, "parts": (50_000, 1_000_000)},
    predict=_layer,
    experiment=_layer_experiment,
    measure=_layer_measure,
    detects=below_limits(_layer, 0.005, 0.05),
    quick_detects=below_limits(_layer, 0.01, 0.15),
    sizes=(10, 60),
    controls={
        "limit off by 20 %": {"predict": off(_layer, 1.2)},
        "columns with scales of their own": {"experiment": lambda key, size, p: _layer_experiment(key, size, p, column=10)},
    },
    plot=lambda ax, data, parameters: _plot_errors(ax, data, _layer(parameters)),
    domain={
        "kappa": Real(0.005, 0.9, even="log"),
        "alpha": Real(0.3, 2.0),
        "parts": Several(Whole(2000, 1_000_000), 1, 2, rising=True),
    },
    fits=lambda parameters: keeps_some(parameters["kappa"], *parameters["parts"]),
)

CLAIMS = (LIMIT, DECAY, CONSTANT, COLUMNS, SINGULAR, LAYER)
