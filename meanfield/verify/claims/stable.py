"""Claims on SGD with injected alpha-stable noise: Wan, Barsbey, Zaidi, Simsekli (2024)."""

import math
from dataclasses import replace
from functools import lru_cache, partial

import jax
import numpy as np
from scipy import stats

from meanfield import _check
from meanfield import plot as mfplot
from meanfield._keys import generator
from meanfield.measure import pruning
from meanfield.systems import data as sources
from meanfield.systems import dynamics, stable_noise
from meanfield.systems.dynamics.injections import MODES
from meanfield.systems.networks import TwoLayer
from meanfield.systems.system import System
from meanfield.theory import compressibility, stable
from meanfield.verify.claim import Claim, Estimate, Numbers, Prediction, Row, mean
from meanfield.verify.claims import _bias
from meanfield.verify.claims._tools import (
    in_parts,
    keeps_some,
    log_slope,
    lognormal,
    predicting,
    run_to_the_end,
    stationary,
    tampered,
)
from meanfield.verify.domain import OneOf, Real, Several, Whole

SOURCE = "Wan, Barsbey, Zaidi, Simsekli (2024)"
AT = {"step_size": 0.75, "scale": 0.5, "dim": 2}  # with weight decay 1 a step leaves a quarter of the weights, which start at 0
STEPS = 8
WHERE = {"step_size": Real(0.3, 1.7), "scale": Real(0.1, 5, even="log"), "dim": Whole(1, 20)}


def _steps(parameters: Numbers, least: int) -> int:
    """Even number of steps: at default parameters `least`; elsewhere as many as leave no more of the start's effect on the scale.

    After n steps `|1 - step|^(n alpha)` is missing of the scale's power alpha.
    """
    kept = abs(1 - parameters["step_size"]) ** parameters["alpha"]
    enough = math.log(0.25 ** (1.1 * STEPS)) / math.log(max(kept, 1e-9))
    return max(least, 2 * math.ceil(enough * least / STEPS / 2 - 1e-9))


def _weights(
    key, widths: tuple[int, ...], parameters: Numbers, mode: str, *, runs=1, steps: int, empty=False, act="tanh", outputs=1
) -> dict[int, np.ndarray]:
    """Weights (runs, N, dim) of networks with output weights +-1 and weight decay 1, under stable noise.

    They learn one example by all of its gradient; `empty`: one without input, so that there is no gradient. Alpha and data
    are arguments of one compiled program.
    """
    x = np.zeros((1, parameters["dim"])) if empty else np.full((1, parameters["dim"]), parameters["dim"] ** -0.5)
    network = TwoLayer(act, "squared", train_output=False, output_weights="signs", init_scale=0.0)
    noisy = dynamics.StableSGD(parameters["step_size"], 1, parameters["alpha"], parameters["scale"], mode, weight_decay=1.0)
    system = System(network, sources.from_arrays(x, np.full((1, outputs), 1 / outputs)), noisy)
    results = run_to_the_end(system, widths=widths, steps=steps, seeds=runs, key=key)
    return {n: np.asarray(results.particles[n].w[0], np.float64) for n in widths}


# -- the index ----------------------------------------------------------------------------------------------------------------

WIDTH, AT_ONCE = 25_000, 4  # neurons of a network; networks at a time


DEEP = 0.005  # share of the norms that is kept


def _index_rows(parameters):
    """The index, and that the tail is bent by nothing but what the series of a stable law has: it is a power law's."""
    log_alpha = float(np.log(parameters["alpha"]))

    def read(mode, place):
        return lambda data: _read(data[f"largest norms, {mode}"], mode, parameters, place)

    return [
        *(Row(f"log alpha, {mode}", log_alpha, read(mode, 0), 0.047, 0.3) for mode in MODES),
        *(Row(f"bow, {mode}", 0.0, read(mode, 1), 0.05, 0.3) for mode in MODES),
    ]


def _read(x: np.ndarray, mode: str, parameters: Numbers, place: int) -> Estimate:
    """Hill's log alpha (0) or the bow (1) so far out, corrected by the series of the tail of a stable law."""
    threshold = float(np.min(x))
    # Root mean square of what the example moves a neuron by at most: a gradient is at most tanh', small for a large weight.
    reach = min(1.0, math.sqrt(0.45 * math.sqrt(parameters["dim"]) / threshold))
    off, left = _bias.stable_norms(parameters["alpha"], mode, parameters["dim"], DEEP, threshold, reach)
    why = f"the series of the tail of a stable law, and what the example moves a neuron by, at the threshold {threshold:.3g}"
    found = (_bias.log_alpha, _bias.bowed)[place](x, off, why)
    return replace(found, bias=_bias.EXACT * abs(off[place]) + left[place])


def _index_experiment(key, size, parameters, steps=None):
    """The largest half percent of the norms, and norms after half of the steps (independent) and after all."""
    made, before, after = {}, [], []
    steps = steps or _steps(parameters, STEPS)
    for i, mode in enumerate(MODES):

        def norms(own, count, steps=steps, mode=mode):
            w = _weights(own, (WIDTH,), parameters, mode, runs=count, steps=steps)[WIDTH]
            return np.linalg.norm(w, axis=-1).astype(np.float32).ravel()

        half, whole = jax.random.split(jax.random.fold_in(key, i))
        last = in_parts(whole, size, AT_ONCE, norms)
        before.append(norms(half, AT_ONCE, steps // 2)[:WIDTH])
        after.append(last[:WIDTH])
        made[f"largest norms, {mode}"] = np.sort(last)[-int(len(last) * DEEP) - 1 :]
    return {**made, "norm halfway": np.concatenate(before), "norm": np.concatenate(after)}


def _index_lognormal(key, size, parameters):
    """Log-normal numbers in place of the norms; their largest half percent has the mean log-excess of the index predicted."""
    made, draw = _index_experiment(key, AT_ONCE, parameters), generator(key)
    for mode in MODES:
        x = np.sort(lognormal(draw, size * WIDTH, parameters["alpha"], DEEP))
        made[f"largest norms, {mode}"] = x[-int(len(x) * DEEP) - 1 :]
    return made


def _index_plot(ax, data, parameters):
    for mode, color in zip(MODES, ("black", "grey", "steelblue"), strict=True):
        mfplot.largest(ax, data[f"largest norms, {mode}"], DEEP, parameters["alpha"], mode, color)
    ax.set(xlabel="norm of a neuron", ylabel="share beyond (dotted: slope -alpha)")
    ax.legend(fontsize="small")


INDEX = Claim(
    name="injected index",
    statement="In a bounded network with injected alpha-stable noise of any of three kinds the norms of neurons have tail index alpha.",
    formula=r"P(|W_i|>t) \asymp t^{-\alpha}",
    source=SOURCE + ", noise of types 1 to 3",
    parameters={**AT, "alpha": 1.1},
    rows=_index_rows,
    experiment=_index_experiment,
    sizes=(4, 160),
    hypotheses=(stationary("norm halfway", "norm"),),
    controls={
        "index off by 10 %": {"rows": tampered(_index_rows, shift=float(np.log(1.1)), only="log alpha")},
        "log-normal neurons": {"experiment": _index_lognormal},
        "Gaussian noise": {"experiment": lambda key, size, p: _index_experiment(key, size // 4, {**p, "alpha": 2.0})},
        "too few steps": {"experiment": lambda key, size, p: _index_experiment(key, size // 4, p, steps=2)},
    },
    plot=_index_plot,
    domain={**WHERE, "alpha": Real(0.5, 1.95)},
)

# -- pruning ------------------------------------------------------------------------------------------------------------------

KIND = "coordinates"
RUNS, GAUSSIANS = 40, 200  # networks at a time; at most so many with Gaussian noise
ROOM = 0.001  # of the slope under Gaussian noise: at 250 neurons the error is still 0.0008 above its limit


def _decay_rows(parameters):
    widths, dim, kappa = tuple(parameters["widths"]), parameters["dim"], parameters["kappa"]
    floor = float(compressibility.node_limit_error(stats.norm(), dim, kappa))
    why = f"the {widths[0]} and {widths[1]} neurons"

    def above(n: int) -> float:
        """What the error of n Gaussian neurons is above its limit."""
        return _bias.pruned(stats.chi2(dim).isf, n, kappa, 2.0, floor)

    def stable_slope(data):
        return _bias.corrected(
            _slope("stable", data, widths), _decay_off(parameters["alpha"], dim, widths, kappa), why, _bias.EXACT
        )

    def gaussian_slope(data):
        steeper = math.log((floor + above(widths[1])) / (floor + above(widths[0]))) / math.log(widths[1] / widths[0])
        return _bias.corrected(_slope("Gaussian", data, widths), steeper, why, _bias.EXACT)

    def gaussian_floor(data):
        return _bias.corrected(mean(data[f"Gaussian, {widths[1]}"]), above(widths[1]), why, _bias.EXACT)

    return [
        Row("slope, stable", _decay_slope(parameters), stable_slope, 0.05, 0.35),
        Row("slope, Gaussian", (-ROOM, ROOM), gaussian_slope, 0.005, 0.02),
        Row("floor, Gaussian", floor, gaussian_floor, 0.005, 0.02),
    ]


def _decay_slope(parameters) -> float:
    return -float(compressibility.decay_exponent(parameters["alpha"]))


def _slope(kind: str, data, widths) -> Estimate:
    return log_slope(widths, [data[f"{kind}, {n}"] for n in widths])


def _decay_experiment(key, size, parameters):
    """Errors of networks under stable noise; and under Gaussian noise without data, where the stationary law is Gaussian."""
    gaussian = {**parameters, "alpha": 2.0}
    made = {}
    for i, (name, at, runs) in enumerate((("stable", parameters, size), ("Gaussian", gaussian, min(size, GAUSSIANS)))):
        for j, n in enumerate(parameters["widths"]):

            def errors(own, count, n=n, at=at):
                w = _weights(own, (n,), at, KIND, runs=count, steps=_steps(at, 6), empty=at is gaussian)[n]
                return pruning.error_curve(w, at["kappa"], "node")

            own = jax.random.fold_in(jax.random.fold_in(key, i), j)
            made[f"{name}, {n}"] = in_parts(own, runs, RUNS, errors)
    return made


@lru_cache(maxsize=64)
def _decay_off(alpha: float, dim: int, widths: tuple[int, int], kappa: float) -> float:
    """What the stable slope is above its limit; the body's quantiles from a sample of its law, the same for everybody."""
    norms = [
        np.asarray(stable_noise.symmetric_stable(key, alpha, (400_000,))) ** 2.0
        for key in jax.random.split(jax.random.key(0), dim)
    ]
    return _bias.stable_slope(alpha, np.sqrt(sum(norms)), dim, widths, kappa)


def _decay_fits(parameters) -> None:
    widths, kappa = parameters["widths"], parameters["kappa"]
    keeps_some(kappa, *widths)
    keeps_some(1 - kappa, *widths)
    _check.require(widths[1] >= 8 * widths[0], "widths", "be 8 times as large at the second place as at the first", widths)


def _decay_plot(ax, data, parameters):
    widths = np.asarray(parameters["widths"])
    for kind, marker, slope in (("stable", "o", _decay_slope(parameters)), ("Gaussian", "x", 0.0)):
        level = [np.exp(np.mean(np.log(data[f"{kind}, {n}"]))) for n in widths]
        ax.plot(widths, level, marker, color="black", markersize=4, label=kind)
        mfplot.power(ax, widths, level[0], slope, color="steelblue")
    ax.set(xscale="log", yscale="log", xlabel="neurons N", ylabel="node pruning error (dotted: predicted slope)")
    mfplot.tick_at(ax, widths)
    ax.legend(fontsize="small")


DECAY = Claim(
    name="injected decay",
    statement="Under alpha-stable noise in every coordinate node pruning errors fall like N^-(1/alpha - 1/2);"
    " under Gaussian noise, without data, they keep a floor.",
    formula=r"\mathrm{err}_2 \sim N^{-(1/\alpha-1/2)},\quad \mathrm{err}_2^2\to P(\chi^2_{d+2}<q_{1-\kappa}(\chi^2_d))\ (\alpha=2)",
    source=SOURCE + "; the rate is ours",
    parameters={**AT, "alpha": 1.4, "kappa": 0.1, "widths": (250, 5000)},
    rows=_decay_rows,
    experiment=_decay_experiment,
    sizes=(RUNS, 1600),
    controls={
        "exponent off by 0.1": {"rows": tampered(_decay_rows, shift=-0.1, only="slope, stable")},
        "floor off by 20 %": {"rows": tampered(_decay_rows, 1.2, only="floor")},
        "alpha 1.7": {"experiment": lambda key, size, p: _decay_experiment(key, size // 4, {**p, "alpha": 1.7})},
    },
    plot=_decay_plot,
    domain={
        **WHERE,
        "alpha": Real(0.8, 1.9),
        "kappa": Real(0.02, 0.9, even="log"),
        "widths": Several(Whole(100, 10_000), 2, 2, rising=True),
    },
    fits=_decay_fits,
)

# -- chaos --------------------------------------------------------------------------------------------------------------------


CHAOS_RUNS = 50  # pairs of networks at a time
OUTPUTS = 5  # with one output the logarithm of an error would be as wide as log |N(0, 1)|


def _coupled_experiment(key, size, parameters, act="tanh"):
    """Mean over neurons of the distance |W_i - W'_i| between N neurons and the first N of a wider system: same noise."""
    made = {}
    wider = parameters["wider"]
    for j, n in enumerate(parameters["widths"]):

        def distances(own, count, n=n):
            run = {"runs": count, "steps": _steps(parameters, STEPS), "act": act, "outputs": OUTPUTS}
            w = _weights(own, (n, wider * n), parameters, parameters["mode"], **run)
            return np.mean(np.linalg.norm(w[n] - w[wider * n][:, :n], axis=-1), axis=-1)

        made[f"N = {n}"] = in_parts(jax.random.fold_in(key, j), size, CHAOS_RUNS, distances)
    return made


def _chaos_plot(ax, data, parameters):
    widths = np.asarray(parameters["widths"])
    typical = np.array([np.exp(np.mean(np.log(data[f"N = {n}"]))) for n in widths])
    for n in widths:
        ax.plot(np.full(100, n), np.quantile(data[f"N = {n}"], np.linspace(0.05, 0.95, 100)), "-", color="grey")
    ax.plot(widths, typical, "o", color="black", label="geometric mean (lines: 90 % of runs)")
    mfplot.power(ax, widths, typical[0], -0.5, color="steelblue", label="slope -1/2")
    ax.set(xscale="log", yscale="log", xlabel="neurons N", ylabel="distance to the wider system")
    mfplot.tick_at(ax, widths)
    ax.legend(fontsize="small")


@lru_cache(maxsize=64)
def _gain(step_size: float, scale: float, dim: int, alpha: float, mode: str) -> float:
    """E tanh'(w.x)^2 at the stationary law of a weight without data, 20 000 draws: by how much an output pulls itself back."""
    wide = stable.euler_scale(alpha, scale, step_size)
    wide *= {"isotropic": 1.0, "coordinates": dim ** (1 / alpha - 1 / 2), "scalar": dim**0.5}[mode]  # of w.x, |x| = 1
    z = stats.levy_stable(alpha, 0).rvs(20_000, random_state=np.random.default_rng(0))
    return float(np.mean(np.cosh(np.clip(wide * z, -50, 50)) ** -4))


def _response(parameters) -> tuple[float, float]:
    """Size of eta g, and of eta (1 + g'), of the narrower network: a step multiplies what outputs are off by `1 - eta (1 + g)`.

    The signs of N neurons make the gains of K outputs spread up to `g' = g (1 + sqrt(K / N))^2`, as eigenvalues of Wishart matrices.
    """
    eta = parameters["step_size"]
    g = _gain(eta, parameters["scale"], parameters["dim"], parameters["alpha"], parameters["mode"])
    return eta * g, eta * (1 + g * (1 + math.sqrt(OUTPUTS / parameters["widths"][0])) ** 2)


def _chaos_rows(parameters):
    return [Row("slope", -0.5, partial(_chaos_slope, parameters=parameters), 0.05, 0.35)]


def _chaos_slope(data, parameters) -> Estimate:
    """The next order is c / N, relative.

    1 is that of a mean over N neurons. The rest is what the spread of the gains makes of `-log(1 - m^2) / 2`, m the factor of a step.
    """
    widths = parameters["widths"]
    pull, whole = _response(parameters)
    m = max(abs(1 - whole), abs(1 - parameters["step_size"] - pull))
    c = 1 + OUTPUTS * pull**2 * (1 + m**2) / (1 - m**2) ** 2 / 2
    bias = c * (1 / widths[0] - 1 / widths[1]) / math.log(widths[1] / widths[0])
    found = log_slope(widths, [data[f"N = {n}"] for n in widths])
    return replace(found, bias=bias, why=f"the order 1/N at {widths[0]} neurons")


STABLE = 1.9  # largest eta (1 + g') of networks that come together: from 2 on they oscillate, and what is small grows


def _chaos_fits(parameters) -> None:
    widths, eta = parameters["widths"], parameters["step_size"]
    _check.require(widths[1] >= 4 * widths[0], "widths", "be 4 times as large at the second place as at the first", widths)
    whole = _response(parameters)[1]
    must = f"be so small that {widths[0]} neurons do not oscillate, eta (1 + g') at most {STABLE}"
    _check.require(whole <= STABLE, "step_size", must, _check.words(f"{eta:g}, with {whole:.3g}"))


CHAOS = Claim(
    name="injected chaos",
    statement="Under isotropic stable noise neurons of a bounded network come to those of a wider one, with the same noise, like N^-1/2.",
    formula=r"\tfrac1N\textstyle\sum_i|W_i^N-W_i^{8N}| \sim N^{-1/2}",
    source=SOURCE + ", propagation of chaos",
    parameters={**AT, "alpha": 1.5, "mode": "isotropic", "widths": (128, 1024), "wider": 8},
    rows=_chaos_rows,
    experiment=_coupled_experiment,
    sizes=(CHAOS_RUNS, 1000),
    controls={
        "exponent off by 0.1": {"rows": tampered(_chaos_rows, shift=-0.1)},
        "unbounded neurons": {"experiment": lambda key, size, p: _coupled_experiment(key, size, p, act="identity")},
    },
    plot=_chaos_plot,
    domain={
        **WHERE,
        "alpha": Real(0.8, 2.0),
        "mode": OneOf(*MODES),
        "widths": Several(Whole(64, 2048), 2, 2, rising=True),
        "wider": Whole(4, 16),
    },
    fits=_chaos_fits,
)

# -- the scheme ---------------------------------------------------------------------------------------------------------------


def _scale_rows(parameters):
    alpha = parameters["alpha"]
    expected = stable.euler_scale(alpha, parameters["scale"], parameters["step_size"])

    def measured(data, mode):
        """Root s of E cos(u w) = exp(-(s u)^alpha) at u = 1/s, s the scale predicted."""
        found = mean(np.cos(np.asarray(data[mode], np.float64) / expected))
        found = replace(found, value=max(found.value, 1e-3))  # a scale that is too large by far
        exponent = -np.log(found.value)
        scale = expected * exponent ** (1 / alpha)
        error = found.standard_error / found.value * scale / (alpha * exponent)  # delta method
        return Estimate(float(scale), float(error), dof=found.dof)

    return [Row(mode, expected, partial(measured, mode=mode), 0.0222 * expected, 0.0443 * expected) for mode in MODES]


def _continuous(parameters) -> dict[str, Prediction]:
    return dict.fromkeys(MODES, stable.ornstein_uhlenbeck_scale(parameters["alpha"], parameters["scale"]))


def _scale_experiment(key, size, parameters):
    """First weights of neurons without data: an Ornstein-Uhlenbeck process by Euler's scheme."""
    made = {}
    for i, mode in enumerate(MODES):

        def weights(own, count, mode=mode):
            w = _weights(own, (WIDTH,), parameters, mode, runs=count, steps=_steps(parameters, 12), empty=True)[WIDTH]
            return w[..., 0].astype(np.float32).ravel()

        made[mode] = in_parts(jax.random.fold_in(key, i), size, AT_ONCE, weights)
    return made


def _scale_plot(ax, data, parameters):
    u = np.linspace(0.05, 4, 60)
    for mode, color in zip(MODES, ("black", "grey", "steelblue"), strict=True):
        w = data[mode][:20_000]
        ax.plot(u, [np.mean(np.cos(one * w)) for one in u], color=color, label=mode)
    scale = stable.euler_scale(parameters["alpha"], parameters["scale"], parameters["step_size"])
    ax.plot(u, np.exp(-((scale * u) ** parameters["alpha"])), "k:", label="predicted")
    ax.set(xlabel="u", ylabel="E cos(u w)")
    ax.legend(fontsize="small")


SCALE = Claim(
    name="injected scale",
    statement="Without data a weight under stable noise and a ridge is stable, with the scale of Euler's scheme, not of continuous time.",
    formula=r"\sigma\,\big(\eta/(1-|1-\eta\lambda|^\alpha)\big)^{1/\alpha}",
    source="Ours, for the scheme of " + SOURCE,
    parameters={**AT, "alpha": 1.5},
    rows=_scale_rows,
    experiment=_scale_experiment,
    sizes=(AT_ONCE, 4 * AT_ONCE),
    controls={
        "scale off by 20 %": {"rows": tampered(_scale_rows, 1.2)},
        "continuous time": {"rows": predicting(_scale_rows, _continuous)},
        "alpha 1.7": {"experiment": lambda key, size, p: _scale_experiment(key, size, {**p, "alpha": 1.7})},
    },
    plot=_scale_plot,
    domain={**WHERE, "alpha": Real(0.5, 2.0)},
)

CLAIMS = (INDEX, DECAY, CHAOS, SCALE)
