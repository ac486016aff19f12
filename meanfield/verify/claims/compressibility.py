"""Claims on pruning errors: Gribonval, Cevher, Davies (2012), Proposition 1; Barsbey et al. (2021)."""

import jax
import numpy as np
from scipy import stats

from meanfield.measure import pruning
from meanfield.systems import noise
from meanfield.theory import compressibility as theory
from meanfield.verify.claim import Check, Claim, Estimate, Hypothesis, mean
from meanfield.verify.claims._tools import off, rng

SOURCE = "Gribonval, Cevher, Davies (2012), Proposition 1"


def _errors(draw, size: int, kappa: float, kind: str = "magnitude", p: float = 2.0) -> np.ndarray:
    """Relative errors of `size` independent samples."""
    return np.array([float(pruning.error_curve(draw(), kappa, kind, p)) for _ in range(size)])


# -- the limit ------------------------------------------------------------------------------------------------------------

LAWS = {"normal": stats.norm(), "Laplace": stats.laplace(), "Student 5": stats.t(5)}


def _limit(parameters):
    return {name: float(theory.limit_error(law, parameters["kappa"], parameters["q"])) for name, law in LAWS.items()}


def _limit_experiment(key, size, parameters):
    draw, n, q = rng(key), parameters["parts"], parameters["q"]
    made = {}
    for name, law in LAWS.items():
        x = [law.rvs(n, random_state=draw) for _ in range(size)]
        made[name] = np.array([float(pruning.error_curve(one, parameters["kappa"], "magnitude", q)) for one in x])
        made[f"largest share, {name}"] = np.array([np.max(np.abs(one)) ** q / np.sum(np.abs(one) ** q) for one in x])
    return made


def _moment_is_finite(data, parameters) -> Check:
    """Of a finite moment the largest of n parts has a vanishing share; of an infinite one a share that does not vanish."""
    share = {name: float(np.median(data[f"largest share, {name}"])) for name in LAWS}
    worst = max(share, key=lambda name: share[name])
    return Check(
        share[worst] < 0.1, f"The largest part holds {share[worst]:.2g} of the sum of |x|^q ({worst}); 0.1 would be too much."
    )


LIMIT = Claim(
    name="limit",
    statement="With a finite q-th moment the relative error of pruning N independent parts tends to G_q(kappa)^(1/q).",
    formula=r"\|x-x_\kappa\|_q/\|x\|_q \to \Big(\int_0^{t_\kappa} x^q\,dF\Big/\mathbb E|X|^q\Big)^{1/q}",
    source=SOURCE,
    parameters={"kappa": 0.1, "q": 2.0, "parts": 100_000},
    predict=_limit,
    experiment=_limit_experiment,
    measure=lambda data, parameters: {name: mean(data[name]) for name in LAWS},
    detects=dict.fromkeys(LAWS, 0.003),
    quick_detects=dict.fromkeys(LAWS, 0.01),
    sizes=(20, 100),
    hypotheses=(Hypothesis("The q-th moment is finite.", _moment_is_finite),),
    controls={"limit off by 20 %": {"predict": off(_limit, 1.2)}},
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
    ratio = np.log(parameters["wide"] / parameters["narrow"])
    made = {}
    for alpha in ALPHAS:
        ends = [mean(np.log(data[f"stable {alpha:g}, {n}"])) for n in (parameters["narrow"], parameters["wide"])]
        error = float(np.hypot(ends[0].standard_error, ends[1].standard_error) / ratio)
        made[f"stable {alpha:g}"] = Estimate((ends[1].value - ends[0].value) / ratio, error, ends[0].dof)
    return made


DECAY = Claim(
    name="decay",
    statement="With tail index alpha < q the error vanishes like N^-(1/alpha - 1/q), at every kept fraction.",
    formula=r"\|x-x_\kappa\|_q/\|x\|_q \sim N^{-(1/\alpha-1/q)}",
    source=SOURCE + "; the rate is ours",
    parameters={"kappa": 0.1, "narrow": 1000, "wide": 100_000},
    predict=_decay,
    experiment=_decay_experiment,
    measure=_decay_measure,
    detects={f"stable {alpha:g}": 0.05 for alpha in ALPHAS},
    quick_detects={f"stable {alpha:g}": 0.2 for alpha in ALPHAS},
    sizes=(40, 700),
    controls={
        "exponent off by 0.1": {"predict": off(_decay, shift=0.1)},
        "index off by 10 %": {
            "predict": lambda p: {f"stable {alpha:g}": -float(theory.decay_exponent(0.9 * alpha)) for alpha in ALPHAS}
        },
    },
)


def _constant(parameters):
    return {"N error^2": theory.divergent_limit(stats.pareto(1), parameters["kappa"]).constant}


def _constant_experiment(key, size, parameters):
    draw, n = rng(key), parameters["parts"]
    return {"error": _errors(lambda: stats.pareto(1).rvs(n, random_state=draw), size, parameters["kappa"])}


CONSTANT = Claim(
    name="sharp constant",
    statement="For Pareto parts of index 1, N times the squared error tends to (1/kappa - 1)(2/pi) times a chi-square variable.",
    formula=r"N\,\mathrm{err}_2^2 \to (1/\kappa-1)\,\tfrac2\pi\,\chi^2_1",
    source="Ours, from the classical limit of sums in the domain of attraction of a stable law",
    parameters={"kappa": 0.1, "parts": 10_000},
    predict=_constant,
    experiment=_constant_experiment,
    measure=lambda data, parameters: {"N error^2": mean(parameters["parts"] * data["error"] ** 2)},
    detects={"N error^2": 0.5},
    quick_detects={"N error^2": 2.0},
    sizes=(500, 8000),
    controls={"constant off by 20 %": {"predict": off(_constant, 1.2)}},
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
    detects={f"dim {d}": 0.003 for d in DIMS},
    quick_detects={f"dim {d}": 0.01 for d in DIMS},
    sizes=(15, 60),
    controls={"limit off by 20 %": {"predict": off(_columns, 1.2)}},
)


def _layer(parameters):
    limit = float(theory.layer_elliptical_limit_error(parameters["kappa"]))
    return {f"N = {n}": limit for n in parameters["parts"]}


def _layer_experiment(key, size, parameters):
    made = {}
    for i, n in enumerate(parameters["parts"]):
        keys = jax.random.split(jax.random.fold_in(key, i), size)
        x = iter([np.ravel(noise.isotropic_stable(one, parameters["alpha"], (1, n))) for one in keys])
        made[f"N = {n}"] = _errors(x.__next__, size, parameters["kappa"])
    return made


LAYER = Claim(
    name="layer-elliptical",
    statement="A layer with one common heavy-tailed scale is not compressible: its error is the Gaussian one at every width.",
    formula=r"\|W-W_\kappa\|/\|W\| \to \sqrt{G_2(\kappa)}\ \text{(normal)},\quad W=\sqrt A\,G",
    source="Ours",
    parameters={"kappa": 0.1, "alpha": 1.2, "parts": (10_000, 1_000_000)},
    predict=_layer,
    experiment=_layer_experiment,
    measure=lambda data, parameters: {name: mean(data[name]) for name in _layer(parameters)},
    detects={"N = 10000": 0.005, "N = 1000000": 0.005},
    quick_detects={"N = 10000": 0.01, "N = 1000000": 0.01},
    sizes=(10, 60),
    controls={
        "limit off by 20 %": {"predict": off(_layer, 1.2)},
        "columns with scales of their own": {
            "experiment": lambda key, size, parameters: {
                f"N = {n}": _errors(
                    iter(
                        [
                            np.ravel(noise.isotropic_stable(one, parameters["alpha"], (n // 10, 10)))
                            for one in jax.random.split(jax.random.fold_in(key, n), size)
                        ]
                    ).__next__,
                    size,
                    parameters["kappa"],
                )
                for n in parameters["parts"]
            }
        },
    },
)

CLAIMS = (LIMIT, DECAY, CONSTANT, COLUMNS, LAYER)
