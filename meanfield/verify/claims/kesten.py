"""Claims on the power tail of SGD for least squares: Gurbuzbalaban, Simsekli, Zhu (2021)."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from meanfield import _check
from meanfield import plot as mfplot
from meanfield._keys import generator
from meanfield.systems import data as sources
from meanfield.systems import dynamics
from meanfield.theory import recursion as theory
from meanfield.verify.claim import Check, Claim, Estimate, Hypothesis, Row, mean
from meanfield.verify.claims import _bias
from meanfield.verify.claims._chains import ALL_STATIONARY, SIDE, norms, readable, survival
from meanfield.verify.claims._tools import largest_hundredth, log_hill, lognormal, predicting, tampered
from meanfield.verify.domain import Real, Several, TupleOf, Whole

SOURCE = "Gurbuzbalaban, Simsekli, Zhu (2021)"


def _log_alpha(setting: tuple[float, int, int]) -> float:
    return float(np.log(theory.tail_index(*setting)))


def _read(device, data, name: str, setting: tuple[float, int, int], steps: int) -> Estimate:
    """What a device, `_bias.log_alpha` or `_bias.bowed`, reads off the tail of chains, corrected for what is known of it."""
    threshold = float(np.min(data[name]))
    why = f"the bend of the tail at its threshold {threshold:.3g} and the {steps} steps"
    return device(data[name], _bias.chain(*setting, threshold, steps), why)


# -- tail index -----------------------------------------------------------------------------------------------------------


def _settings(parameters) -> dict[str, tuple[float, int, int]]:
    """Settings (step size, batch size, dimension) by name."""
    return {f"step {eta:g}, b = {b}, d = {d}": (eta, b, d) for eta, b, d in parameters["settings"]}


def _index_fits(parameters) -> None:
    for one in parameters["settings"]:
        readable("settings", *one)


def _index_rows(parameters):
    """The index of every setting, and that the tail is bent by nothing: it is a power law's."""

    def read(device, name, setting):
        return lambda data: _read(device, data, name, setting, parameters["steps"])

    of = _settings(parameters).items()
    return [
        *(Row(name, _log_alpha(one), read(_bias.log_alpha, name, one), 0.047, 0.2) for name, one in of),
        *(Row(f"bow, {name}", 0.0, read(_bias.bowed, name, one), 0.05, 0.2) for name, one in of),
    ]


def _index_lognormal(key, size, parameters):
    """Log-normal numbers in place of the chains, whose largest hundredth has the mean log-excess of the index predicted."""
    made, draw = _index_experiment(key, min(size, 100_000), parameters), generator(key)
    for name, setting in _settings(parameters).items():
        made[name] = largest_hundredth(lognormal(draw, size, float(np.exp(_log_alpha(setting)))))
    return made


def _index_experiment(key, size, parameters, steps=None, beyond=False):
    steps, made = steps or parameters["steps"], {}
    for i, (name, (eta, b, d)) in enumerate(_settings(parameters).items()):
        eta = 1.03 * theory.maximal_step_size(b, d) if beyond else eta
        one, data = dynamics.LinearRecursion(eta, b), sources.gaussian_regression(d)
        keys = jax.random.split(jax.random.fold_in(key, i), 4)
        made[name] = largest_hundredth(norms(keys[0], size, data, one, steps))
        made[f"halfway, {name}"] = norms(keys[1], SIDE, data, one, steps // 2).astype(np.float32)
        made[f"now, {name}"] = norms(keys[2], SIDE, data, one, steps).astype(np.float32)
        # Without noise x_k is the product of the steps alone; a few of them, or it would vanish in single precision.
        few = max(1, parameters["steps"] // 10)
        start = (special.digamma(d / 2) + np.log(2)) / 2  # E log |x_0|
        product = norms(keys[3], SIDE, sources.gaussian_regression(d, noise_std=0.0), one, few)
        made[f"growth, {name}"] = ((np.log(product) - start) / few).astype(np.float32)
    return made


def _contracts(data, parameters) -> Check:
    growth = [mean(data[name]) for name in data if name.startswith("growth, ")]
    worst = max(growth, key=lambda one: one.value / one.standard_error)
    return Check(
        worst.value < -4 * worst.standard_error,
        f"The largest exponent measured is {worst.value:.4f} +- {worst.standard_error:.4f}.",
    )


def _index_plot(ax, data, parameters) -> None:
    for (name, one), color in zip(_settings(parameters).items(), ("tab:blue", "0.5", "navy", "0.7"), strict=False):
        survival(ax, data[name], theory.tail_index(*one), name, color)


INDEX = Claim(
    name="tail index",
    statement="The stationary law has a power tail, whose index is the root of h(alpha) = 1.",
    formula=r"P(|x_\infty|>t) \sim c\,t^{-\alpha},\quad h(\alpha)=1",
    source=SOURCE + ", Theorem 2",
    parameters={"settings": ((1.2, 1, 1), (1.67, 5, 1), (0.6, 1, 2)), "steps": 150},
    rows=_index_rows,
    experiment=_index_experiment,
    sizes=(100_000, 2_000_000),
    hypotheses=(Hypothesis("The Lyapunov exponent is negative.", _contracts), ALL_STATIONARY),
    controls={
        "index 10 % larger": {"rows": tampered(_index_rows, shift=np.log(1.1), only="step")},
        "index 10 % smaller": {"rows": tampered(_index_rows, shift=np.log(0.9), only="step")},
        "log-normal chains": {"experiment": _index_lognormal},
        "no stationary law": {"experiment": lambda key, size, p: _index_experiment(key, size // 10, p, beyond=True)},
        "too few steps": {"experiment": lambda key, size, p: _index_experiment(key, size, p, steps=4)},
    },
    plot=_index_plot,
    domain={"settings": Several(TupleOf(Real(0.02, 2.4), Whole(1, 20), Whole(1, 8)), 1, 3), "steps": Whole(50, 300)},
    fits=_index_fits,
)

# -- monotone ---------------------------------------------------------------------------------------------------------------


def _four(parameters) -> dict[str, tuple[float, int, int]]:
    """The four settings (step size, batch size, dimension) that are compared."""
    low, high, b, d = (parameters[name] for name in ("step_size", "larger_step", "larger_batch", "larger_dim"))
    return {"low": (low, 1, 1), "high": (high, 1, 1), "dim": (low, 1, d), "batch": (high, b, 1)}


PAIRS = {"larger step": ("low", "high"), "larger dimension": ("low", "dim"), "larger batch": ("high", "batch")}


def _monotone_rows(parameters):
    """Differences of log alpha, which theory gives: negative, negative, positive."""
    settings = _four(parameters)

    def difference(data, before, after):
        one, two = (_read(_bias.log_alpha, data, name, settings[name], parameters["steps"]) for name in (before, after))
        error = float(np.hypot(one.standard_error, two.standard_error))
        return Estimate(two.value - one.value, error, bias=one.bias + two.bias, why=max(one, two, key=lambda e: e.bias).why)

    return [
        Row(name, _log_alpha(settings[two]) - _log_alpha(settings[one]), partial(difference, before=one, after=two), 0.2, 0.3)
        for name, (one, two) in PAIRS.items()
    ]


def _monotone_experiment(key, size, parameters, scaled=False):
    settings = _four(parameters)
    if scaled:
        eta, b, d = settings["batch"]
        settings["batch"] = (b * eta, b, d)
    made = {}
    for i, (name, (eta, batch, dim)) in enumerate(settings.items()):
        one, data = dynamics.LinearRecursion(eta, batch), sources.gaussian_regression(dim)
        keys = jax.random.split(jax.random.fold_in(key, i), 2)
        x = norms(keys[0], size, data, one, parameters["steps"])
        made[name], made[f"now, {name}"] = largest_hundredth(x), x[:20_000].astype(np.float32)
        made[f"halfway, {name}"] = norms(keys[1], SIDE, data, one, parameters["steps"] // 2)[:20_000].astype(np.float32)
    return made


def _unchanged(parameters):
    return {**parameters, "larger_step": parameters["step_size"], "larger_dim": 1, "larger_batch": 1}


def _monotone_fits(parameters) -> None:
    low, high = parameters["step_size"], parameters["larger_step"]
    _check.require(high >= 1.1 * low, "larger_step", f"be 1.1 times `step_size`, {low}, or more", high)
    for name, one in zip(("step_size", "larger_step", "larger_dim", "larger_batch"), _four(parameters).values(), strict=True):
        readable(name if name.endswith("e") else "larger_step", *one)


def _monotone_plot(ax, data, parameters) -> None:
    for name, color in zip(("low", "high", "dim", "batch"), ("tab:blue", "0.5", "navy", "0.7"), strict=True):
        alpha = np.exp(log_hill(data[name]).value)
        survival(ax, data[name], alpha, f"{name}: index {alpha:.2f}", color, "measured")


MONOTONE = Claim(
    name="monotone",
    statement="The tail index falls with the step size and the dimension and grows with the batch size.",
    formula=r"\alpha(\eta')<\alpha(\eta),\ \alpha(d')<\alpha(d),\ \alpha(b')>\alpha(b)\ \text{for}\ \eta'>\eta,\ d'>d,\ b'>b",
    source=SOURCE + ", Theorem 4; seen at four settings",
    parameters={"step_size": 0.6, "larger_step": 0.9, "larger_dim": 2, "larger_batch": 2, "steps": 100},
    rows=_monotone_rows,
    experiment=_monotone_experiment,
    sizes=(100_000, 500_000),
    hypotheses=(ALL_STATIONARY,),
    controls={
        "no difference": {"rows": predicting(_monotone_rows, lambda p: dict.fromkeys(PAIRS, 0.0))},
        "nothing changes": {"experiment": lambda key, size, p: _monotone_experiment(key, size, _unchanged(p))},
        "step that grows with the batch": {"experiment": lambda key, size, p: _monotone_experiment(key, size, p, scaled=True)},
    },
    plot=_monotone_plot,
    domain={
        "step_size": Real(0.1, 2.2),
        "larger_step": Real(0.12, 2.4),
        "larger_dim": Whole(2, 8),
        "larger_batch": Whole(2, 20),
        "steps": Whole(50, 300),
    },
    fits=_monotone_fits,
)

# -- generalised central limit theorem ----------------------------------------------------------------------------------------

BURN, REPLICATES = 200, 40


@partial(jax.jit, static_argnames=("chains", "sizes", "additive"))
def _sums(key, eta, chains: int, sizes: tuple[int, ...], additive: bool):
    """Sums of so many steps of stationary chains (d = b = 1), after BURN steps; the chains at BURN / 2 and BURN."""

    def step(carry, i):
        x, total = carry
        a, y = jax.random.normal(jax.random.fold_in(key, i), (2, chains))
        x = (1 - eta) * x + eta * a * y if additive else x - eta * a * (a * x - y)
        return (x, total + x), None

    zero, made, at = jnp.zeros(chains), [], BURN
    (half, _), _ = jax.lax.scan(step, (zero, zero), jnp.arange(BURN // 2))
    (whole, _), _ = jax.lax.scan(step, (half, zero), jnp.arange(BURN // 2, BURN))
    carry = (whole, zero)
    for size in sizes:
        carry, _ = jax.lax.scan(step, carry, jnp.arange(at, BURN + size))
        at = BURN + size
        made.append(carry[1])
    return half, whole, jnp.stack(made)


def _clt_exponent(eta: float) -> float:
    return 1 / min(theory.tail_index(eta, 1, 1), 2.0)


def _step_sizes(parameters) -> dict[str, float]:
    """Step sizes by name."""
    return {f"step {eta:g}": eta for eta in parameters["step_sizes"]}


def _clt_rows(parameters):
    made, tolerance = [], parameters["tolerance"]
    for name, eta in _step_sizes(parameters).items():
        ends = (_clt_exponent(eta) - tolerance, _clt_exponent(eta) + tolerance)
        made.append(Row(name, ends, partial(_clt_slope, name=name, eta=eta, parameters=parameters), 0.045, 0.15))
    return made


def _clt_slope(data, name: str, eta: float, parameters) -> Estimate:
    """Slope of the log median, corrected for the second moment that jumps of the size of the sums add to."""
    sizes = (parameters["sums"][0], parameters["sums"][-1])
    ratio = np.log(sizes[1] / sizes[0])
    spread = np.abs(np.asarray(data[name], np.float64)).reshape(len(parameters["sums"]), REPLICATES, -1)
    middle = np.log(np.median(spread, axis=-1))
    found = mean((middle[-1] - middle[0]) / ratio)
    typical = np.exp(np.mean(middle, axis=-1))
    both = np.concatenate([data[f"halfway, {name}"], data[f"now, {name}"]])
    off = _bias.sums(both, theory.tail_index(eta, 1, 1), eta, sizes, (typical[0], typical[-1]))
    correlated = (1 / sizes[0] - 1 / sizes[1]) / (eta * 2 * ratio)  # a chain forgets in 1/eta steps
    corrected = _bias.corrected(found, off, f"jumps and memory at sums of {sizes[0]} to {sizes[1]} steps")
    return replace(corrected, bias=corrected.bias + correlated)


def _clt_experiment(key, size, parameters, additive=False):
    made = {}
    for i, (name, eta) in enumerate(_step_sizes(parameters).items()):
        own = jax.random.fold_in(key, i)
        half, whole, sums = _sums(own, jnp.float32(eta), size, tuple(parameters["sums"]), additive)
        made[name] = np.asarray(sums)
        half, whole = np.asarray(half), np.asarray(whole)  # of different chains: independent
        made[f"halfway, {name}"], made[f"now, {name}"] = np.abs(half[: size // 2]), np.abs(whole[size // 2 :])
    return made


def _clt_fits(parameters) -> None:
    first, last = parameters["sums"][0], parameters["sums"][-1]
    _check.require(last >= 4 * first, "sums", "end with 4 times the first number of steps or more", parameters["sums"])
    for eta in parameters["step_sizes"]:
        alpha = theory.tail_index(eta, 1, 1)
        what = _check.words(f"{eta:g}, with the index {alpha:.3g}")
        _check.require(alpha >= 1.05, "step_sizes", "make tail indices of 1.05 or more: else a sum has no centre", what)


def _clt_plot(ax, data, parameters) -> None:
    k = np.asarray(parameters["sums"], float)
    for (name, eta), color in zip(_step_sizes(parameters).items(), ("tab:blue", "0.5", "navy"), strict=False):
        exponent, spread = _clt_exponent(eta), np.median(np.abs(data[name]), axis=-1)
        ax.loglog(k, spread, "o-", color=color, label=f"{name}, predicted exponent {exponent:.3g}")
        mfplot.power(ax, k, spread[0], exponent, color="black", linewidth=1)
    ax.set(xlabel="steps K in a sum", ylabel="median of |sum|")
    ax.legend(fontsize="small")


CLT = Claim(
    name="generalised CLT",
    statement="Sums of K steps of a stationary chain spread like K^(1/alpha) for 1 < alpha < 2, like K^(1/2) for alpha > 2.",
    formula=r"\mathrm{median}\,|x_1+\dots+x_K| \sim c\,K^{1/\min(\alpha,2)}",
    source=SOURCE + ", generalised central limit theorem",
    parameters={"step_sizes": (0.9, 0.3), "sums": (1024, 2896, 8192), "tolerance": 0.01},
    rows=_clt_rows,
    experiment=_clt_experiment,
    sizes=(4000, 40_000),
    hypotheses=(ALL_STATIONARY,),
    controls={
        "exponent larger by 0.1": {"rows": tampered(_clt_rows, shift=0.1)},
        "exponent smaller by 0.1": {"rows": tampered(_clt_rows, shift=-0.1)},
        "always 1/2": {"rows": predicting(_clt_rows, lambda p: dict.fromkeys(_step_sizes(p), (0.49, 0.51)))},
        "noise that does not multiply": {"experiment": lambda key, size, p: _clt_experiment(key, size, p, additive=True)},
    },
    plot=_clt_plot,
    domain={
        "step_sizes": Several(Real(0.1, 1.0), 1, 3),
        "sums": Several(Whole(100, 8192), 2, 4, rising=True),
        "tolerance": Real(0.01, 0.05),
    },
    fits=_clt_fits,
)

CLAIMS = (INDEX, MONOTONE, CLT)
