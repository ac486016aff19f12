"""Claims on pruning errors: Gribonval, Cevher, Davies (2012), Proposition 1; Barsbey et al. (2021)."""

import jax
import numpy as np
from scipy import special, stats

from meanfield.measure import pruning
from meanfield.systems import noise
from meanfield.theory import compressibility as theory
from meanfield.verify.claim import Check, Claim, Estimate, Hypothesis, mean
from meanfield.verify.claims._tools import between, log_slope, off, rng, ticks

SOURCE = "Gribonval, Cevher, Davies (2012), Proposition 1"


def _errors(draw, size: int, kappa: float, kind: str = "magnitude", p: float = 2.0) -> np.ndarray:
    """Relative errors of `size` independent samples."""
    return np.array([float(pruning.error_curve(draw(), kappa, kind, p)) for _ in range(size)])


# -- the limit ------------------------------------------------------------------------------------------------------------

LAWS = {"normal": stats.norm(), "Laplace": stats.laplace(), "Student": stats.t(5)}


def _limit(parameters):
    return {
        f"{name}, q = {q:g}": float(theory.limit_error(law, parameters["kappa"], q))
        for name, law in LAWS.items()
        for q in parameters["orders"]
    }


def _limit_experiment(key, size, parameters, degrees=5.0):
    draw, made = rng(key), {}
    for name, law in {**LAWS, "Student": stats.t(degrees)}.items():
        parts = [np.abs(law.rvs(parameters["parts"], random_state=draw)) for _ in range(size)]
        for q in parameters["orders"]:
            made[f"{name}, q = {q:g}"] = _errors(iter(parts).__next__, size, parameters["kappa"], p=q)
            made[f"largest share, {name}, q = {q:g}"] = np.array([np.max(x) ** q / np.sum(x**q) for x in parts])
    return made


def _moment_is_finite(data, parameters) -> Check:
    """Of a finite moment the largest of n parts has a vanishing share; of an infinite one a share that does not vanish."""
    share = {name: float(np.median(data[f"largest share, {name}"])) for name in _limit(parameters)}
    name, most = max(share.items(), key=lambda item: item[1])
    return Check(most < 0.1, f"The largest part holds {most:.2g} of the sum of |x|^q ({name}); 0.1 would be too much.")


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
    measure=lambda data, parameters: {name: mean(data[name]) for name in _limit(parameters)},
    detects=0.003,
    quick_detects=0.01,
    sizes=(20, 100),
    hypotheses=(Hypothesis("The q-th moment is finite.", _moment_is_finite),),
    controls={
        "limit off by 20 %": {"predict": off(_limit, 1.2)},
        "infinite moment": {"experiment": lambda key, size, parameters: _limit_experiment(key, size, parameters, degrees=1.5)},
    },
    plot=lambda ax, data, parameters: _plot_errors(ax, data, _limit(parameters)),
)


# -- the rate, and the law behind it ------------------------------------------------------------------------------------------

ALPHAS = (1.2, 1.5)


def _decay(parameters):
    return {f"stable {alpha:g}": -float(theory.decay_exponent(alpha)) for alpha in ALPHAS}


def _decay_experiment(key, size, parameters):
    made = {}
    for i, alpha in enumerate(ALPHAS):
        for j, n in enumerate((parameters["narrow"], parameters["wide"])):
            keys = jax.random.split(jax.random.fold_in(key, 2 * i + j), size)
            x = [np.asarray(noise.symmetric_stable(one, alpha, (n,))) for one in keys]
            made[f"stable {alpha:g}, {n}"] = _errors(iter(x).__next__, size, parameters["kappa"])
    return made


def _decay_measure(data, parameters):
    sizes = (parameters["narrow"], parameters["wide"])
    return {name: log_slope(sizes, [data[f"{name}, {n}"] for n in sizes]) for name in _decay(parameters)}


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
    },
    plot=_decay_plot,
)


LEVELS = (0.25, 0.5, 0.75)


def _constant(parameters):
    shares = {f"share below {level:g}": level for level in LEVELS}
    return {"N error^2": theory.divergent_limit(stats.pareto(1), parameters["kappa"]).constant, **shares}


def _constant_experiment(key, size, parameters, index=1.0):
    draw, n = rng(key), parameters["parts"]
    return {"error": _errors(lambda: stats.pareto(index).rvs(n, random_state=draw), size, parameters["kappa"])}


def _constant_measure(data, parameters):
    """The mean, and the shares of samples below the quantiles of (1/kappa - 1)(2/pi) chi2_1."""
    scaled = parameters["parts"] * data["error"] ** 2
    quantile = (1 / parameters["kappa"] - 1) * (2 / np.pi) * stats.chi2(1).ppf(LEVELS)
    shares = {f"share below {level:g}": mean(scaled < q) for level, q in zip(LEVELS, quantile, strict=True)}
    return {"N error^2": mean(scaled), **shares}


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
    detects={"N error^2": 0.57, **{f"share below {level:g}": 0.04 for level in LEVELS}},
    quick_detects={"N error^2": 2.5, **{f"share below {level:g}": 0.15 for level in LEVELS}},
    sizes=(500, 8500),
    controls={
        "constant off by 20 %": {"predict": lambda p: {**_constant(p), "N error^2": 1.2 * _constant(p)["N error^2"]}},
        "an exponential law of this mean": {
            "predict": lambda p: {**_constant(p), **{f"share below {v:g}": stats.expon.cdf(stats.chi2(1).ppf(v)) for v in LEVELS}}
        },
        "index 1.1": {"experiment": lambda key, size, p: _constant_experiment(key, size // 4, p, index=1.1)},
    },
    plot=_constant_plot,
)


# -- columns, singular values, and the counter-example ------------------------------------------------------------------------

DIMS = (2, 10, 100)


def _columns(parameters):
    return {f"dim {dim}": float(theory.node_limit_error(stats.norm(), dim, parameters["kappa"])) for dim in DIMS}


def _columns_experiment(key, size, parameters):
    draw, n = rng(key), parameters["columns"]
    return {f"dim {d}": _errors(lambda d=d: draw.standard_normal((n, d)), size, parameters["kappa"], "node") for d in DIMS}


COLUMNS = Claim(
    name="columns",
    statement="Node pruning of columns of independent normal entries has the limit of their chi-square norms.",
    formula=r"\mathrm{err}_2^2 \to P\big(\chi^2_{d+2} < q_{1-\kappa}(\chi^2_d)\big)",
    source="Gribonval, Cevher, Davies (2012), Proposition 1, for the norms",
    parameters={"kappa": 0.1, "columns": 5000},
    predict=_columns,
    experiment=_columns_experiment,
    measure=lambda data, parameters: {name: mean(data[name]) for name in _columns(parameters)},
    detects=0.003,
    quick_detects=0.01,
    sizes=(15, 60),
    controls={"limit off by 20 %": {"predict": off(_columns, 1.2)}},
    plot=lambda ax, data, parameters: _plot_errors(ax, data, _columns(parameters)),
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
        made[f"kappa = {k:g}"] = Estimate(2 * wide.value - narrow.value, float(error), wide.dof)
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
    detects={"kappa = 0.1": 0.006, "kappa = 0.25": 0.006, "kappa = 0.5": 0.006, "slope, Cauchy": 0.045},
    quick_detects={"kappa = 0.1": 0.03, "kappa = 0.25": 0.03, "kappa = 0.5": 0.03, "slope, Cauchy": 0.25},
    sizes=(20, 250),
    controls={
        "limits off by 20 %": {"predict": off(_singular, 1.2)},
        "exponent off by 0.1": {
            "predict": lambda p: {**_singular(p), "slope, Cauchy": off(_singular, shift=0.1)(p)["slope, Cauchy"]}
        },
        "light-tailed entries": {"experiment": lambda key, size, p: _singular_experiment(key, size // 4, p, "standard_normal")},
    },
    plot=_singular_plot,
)


def _layer(parameters):
    return {f"N = {n}": float(theory.layer_elliptical_limit_error(parameters["kappa"])) for n in parameters["parts"]}


def _layer_experiment(key, size, parameters, column=None):
    """Layers with one scale; or one for every `column` entries."""
    made = {}
    for i, n in enumerate(parameters["parts"]):
        shape = (n // (column or n), column or n)
        keys = jax.random.split(jax.random.fold_in(key, i), size)
        x = iter([np.ravel(noise.isotropic_stable(one, parameters["alpha"], shape)) for one in keys])
        made[f"N = {n}"] = _errors(x.__next__, size, parameters["kappa"])
    return made


LAYER = Claim(
    name="layer-elliptical",
    statement="A layer with one common heavy-tailed scale is not compressible: its error is the Gaussian one at every width.",
    formula=r"\|W-W_\kappa\|/\|W\| \to \sqrt{G_2(\kappa)}\ \text{(normal)},\quad W=\sqrt A\,G",
    source="Ours",
    parameters={"kappa": 0.1, "alpha": 1.2, "parts": (50_000, 1_000_000)},
    predict=_layer,
    experiment=_layer_experiment,
    measure=lambda data, parameters: {name: mean(data[name]) for name in _layer(parameters)},
    detects=0.005,
    quick_detects=0.01,
    sizes=(10, 60),
    controls={
        "limit off by 20 %": {"predict": off(_layer, 1.2)},
        "columns with scales of their own": {"experiment": lambda key, size, p: _layer_experiment(key, size, p, column=10)},
    },
    plot=lambda ax, data, parameters: _plot_errors(ax, data, _layer(parameters)),
)

CLAIMS = (LIMIT, DECAY, CONSTANT, COLUMNS, SINGULAR, LAYER)
