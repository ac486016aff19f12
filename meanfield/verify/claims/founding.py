"""The founding theorem: Barsbey, Sefidgaran, Erdogdu, Richard, Simsekli (2021), on a solvable system and on real training."""

from dataclasses import dataclass, replace
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from meanfield import _check
from meanfield.measure import chaos, pruning, tails
from meanfield.simulate import Results, probes, simulate
from meanfield.systems import data as sources
from meanfield.systems import dynamics
from meanfield.systems.networks import TwoLayer
from meanfield.systems.scaling import Number
from meanfield.systems.system import System
from meanfield.theory import recursion
from meanfield.verify.claim import Arrays, Check, Claim, Estimate, Hypothesis, Numbers, Row, mean
from meanfield.verify.claims._tools import predicting, probability
from meanfield.verify.domain import Real, Several, Whole

SOURCE = "Barsbey, Sefidgaran, Erdogdu, Richard, Simsekli (2021), compressibility of two-layer networks and of layers"
NEURONS = 64  # of a run whose dependence is looked at
SIZES = 2**18  # neurons whose tail is looked at
DEPENDENT = 0.1  # correlation of two neurons that the runs must be able to see
KINDS = pruning.KINDS
NULLS = 100  # networks of independent neurons, by which finite widths are judged


# -- what is read off a simulation ---------------------------------------------------------------------------------------


def read(results: Results, parameters: Numbers) -> Arrays:
    """Pruning errors at every width, a few neurons, the sizes of the widest network, and their 99 % quantile at two times.

    Neurons of one number are taken as the entries of a square layer, those of several as its rows.
    """
    cell = _cell(results, parameters["step_size"])
    widths = sorted(results.particles)
    made: Arrays = {"widths": np.array(widths)}
    ok = np.all([results.complete(n)[cell] for n in widths], axis=0)  # runs of a seed are compared between widths
    must = "hold at least 4 runs that did not diverge at any width: a diverged one has no stationary law"
    _check.require(int(ok.sum()) >= 4, "results", must, _check.words(f"one with {int(ok.sum())}"))
    x = np.empty((0, 0, 0))
    for n in widths:
        x = np.asarray(results.particles[n].vectors[cell][ok], np.float64)  # (run, N, D)
        side = int(n**0.5)
        layer = x[:, : side**2].reshape(len(x), side, side) if x.shape[-1] == 1 else x
        for kind in KINDS:
            made[f"{kind}, {n}"] = pruning.error_curve(layer, parameters["kappa"], kind, parameters["p"])
        made[f"neurons, {n}"] = x[:, :NEURONS].astype(np.float32)
    made["sizes"] = np.linalg.norm(x[: max(1, SIZES // x.shape[1])], axis=-1).ravel().astype(np.float32)
    made["index"] = _index(made["sizes"], parameters)
    made["square"] = np.array(x.shape[-1] == 1)
    made |= _independent_neurons(made, parameters)
    quantile = results.dataset["norm_quantile"].isel(step_size=cell).sel(width=widths[-1], level=0.99)
    steps = quantile["step"].to_numpy()
    for name, step in (("log quantile, half", steps[(steps > 0) & (steps <= steps[-1] / 2)][-1]), ("log quantile", steps[-1])):
        made[name] = np.log(quantile.sel(step=step).to_numpy()[ok].astype(np.float64))
    return made


def _cell(results: Results, step_size: float) -> int:
    dims = results.dataset["status"].dims
    shape = _check.words(f"a simulation with axes {', '.join(map(str, dims))}")
    _check.require(dims == ("width", "step_size", "seed"), "results", "have no sweep but that over step sizes", shape)
    seen = results.dataset.get("norm_quantile")
    looked = seen is not None and 0.99 in seen["level"].to_numpy().round(6)
    steps = np.array([0]) if seen is None else seen["step"].to_numpy()
    must = "hold what the probe `NormQuantiles` saw of the level 0.99 after half of the steps, or before, and at the end"
    _check.require(bool(looked and np.any((steps > 0) & (steps <= steps[-1] / 2))), "results", must, shape)
    widest = max(results.particles)
    _check.require(
        widest >= NEURONS and len(results.particles) > 1, "results", f"have two widths, one of {NEURONS} or more", shape
    )
    held = results.dataset["step_size"].to_numpy()
    cell = int(np.argmin(np.abs(held / step_size - 1)))
    must = f"hold the step size {step_size:.6g}, a parameter of the claim"
    _check.require(abs(held[cell] / step_size - 1) < 1e-3, "results", must, _check.words(f"one with {held.tolist()}"))
    return cell


def _index(sizes: np.ndarray, parameters: Numbers) -> np.ndarray:
    """Tail index and its standard error: a parameter of the claim, or read off the neurons."""
    if "tail_index" in parameters:
        return np.array([parameters["tail_index"], 0.0])
    with np.errstate(all="ignore"):  # neurons that are all alike have no tail: the index is not a number
        fit = tails.tail_index(sizes)
    return np.array([fit.alpha, fit.standard_error])


def _independent_neurons(data: Arrays, parameters: Numbers) -> Arrays:
    """Pruning errors of independent neurons: sizes like those of the widest network, their largest hundredth a pure power law.

    All widths have the same largest neurons in units of N^(1/alpha), so that the errors of a run differ by little but the width.
    """
    (alpha, _), p, kappa = data["index"], parameters["p"], parameters["kappa"]
    widths = np.sort(data["widths"])
    if not 0 < alpha < p:
        return {}
    sizes, rng, made = np.sort(np.asarray(data["sizes"], np.float64))[::-1], np.random.default_rng(0), {}
    points = np.cumsum(rng.standard_exponential((NULLS, widths[-1] + 1)), axis=1)
    for n in widths:
        x = _quantiles(sizes, alpha, points[:, :n] / points[:, n : n + 1])  # of n uniform numbers in order
        made[f"null, magnitude, {n}"] = made[f"null, node, {n}"] = pruning.error_curve(x[..., None], kappa, "magnitude", p)
        if data["square"]:
            side = int(n**0.5)
            layer = rng.permuted(x, axis=1)[:, : side**2].reshape(NULLS, side, side)
            made[f"null, node, {n}"] = pruning.error_curve(layer, kappa, "node", p)
    return made


def _quantiles(sizes: np.ndarray, alpha: float, above: np.ndarray) -> np.ndarray:
    """Sizes that a share `above` exceeds: from a falling sample, and from a power law for its largest hundredth."""
    first = len(sizes) // 100
    tail = sizes[first] * np.maximum(above * len(sizes) / first, 1e-300) ** (-1 / alpha)
    return np.where(above * len(sizes) < first, tail, sizes[np.minimum((above * len(sizes)).astype(int), len(sizes) - 1)])


def _independent(data: Arrays, parameters: Numbers) -> Check:
    """Correlations over runs of bounded functions of the neurons, odd and even.

    Bounded, since their variance may be infinite; even, too, since a scale that is common to all shows in sizes alone.
    In the widest network they must be too small to be seen, though 0.1 would be; or have fallen below half of what they are in the
    narrowest.
    """
    widths, holds, said = np.sort(data["widths"])[[0, -1]], True, []
    for name, function in (("directions", lambda x: x), ("sizes", lambda x: np.linalg.norm(x, axis=-1, keepdims=True))):
        ends = []
        for n in widths:
            x = function(np.asarray(data[f"neurons, {n}"], np.float64))
            ends.append(chaos.correlation(x / (np.median(np.abs(x), axis=(0, 1)) + np.abs(x))))
        narrow, wide = ends
        four = 4 * float(wide.standard_error)
        holds &= bool(four < DEPENDENT and (wide.value < four or wide.value + four < narrow.value / 2))
        said.append(
            f"{name} {narrow.value:.2g} at {widths[0]} neurons, {wide.value:.2g} +- {wide.standard_error:.1g} at {widths[1]}"
        )
    return Check(holds, f"Correlations of two neurons over runs: {'; '.join(said)}.")


def _moment_is_infinite(data: Arrays, parameters: Numbers) -> Check:
    with np.errstate(all="ignore"):  # neurons that are all alike have no tail: the index is not a number
        fit, p = tails.tail_index(data["sizes"]), parameters["p"]
    if not np.isfinite(fit.alpha):
        return Check(False, "No tail can be read off the neurons.")
    z = float((np.log(p) - np.log(fit.alpha)) * fit.alpha / fit.standard_error)
    side = "below" if z > 0 else "above"
    return Check(
        bool(z > 4),
        f"The tail index of the neurons is {fit.alpha:.3g} +- {fit.standard_error:.2g}, {abs(z):.1f} standard errors {side} p = {p:g}; it"
        " must be 4 below.",
    )


def _stands_still(data: Arrays, parameters: Numbers) -> Check:
    moved = mean(data["log quantile"] - data["log quantile, half"])
    z = moved.value / moved.standard_error
    return Check(
        bool(abs(z) < 4 and 4 * moved.standard_error < 0.2),  # runs that could not see a change by a fifth prove nothing
        f"The 99 % quantile of the sizes has changed by {100 * np.expm1(moved.value):+.2g} % since half of the steps, "
        f"{z:+.1f} standard errors.",
    )


HYPOTHESES = (
    Hypothesis("Neurons become independent as the network grows.", _independent),
    Hypothesis("Their p-th moment is infinite.", _moment_is_infinite),
    Hypothesis("Their law is stationary.", _stands_still),
)


# -- the conclusion ------------------------------------------------------------------------------------------------------


PARTS = ("magnitude", "node")  # of layers that grow in one direction: their singular values keep an error


def _rows(parameters: Numbers, kinds=KINDS) -> list[Row]:
    """The theorem alone: errors below eps with probability 1 - eps in the widest network, falling with the width by some power to 0.

    Finite widths may hide the conclusion: by as much as independent neurons are off it, a verdict is not built on them.
    """
    p = parameters

    def rows(name, predicted, measured, detects, quick_detects):
        return [
            Row(f"{name}, {kind}", predicted, lambda data, kind=kind: measured(data, kind, p), detects, quick_detects)
            for kind in kinds
        ]

    return [
        *rows("P(error <= eps)", (1 - p["eps"], 1.0), _sure, 0.2, 0.5),
        *rows("slope", (-np.inf, -p["falls"]), _falls, 0.08, 0.4),
        *rows("floor", (-np.inf, 0.0), _floor, 0.15, 0.45),
    ]


def _errors(data: Arrays, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict]:
    """Widths; errors of the runs and of independent neurons, each (runs, widths); the bias without bound if there are none of those."""
    widths, like = np.sort(data["widths"]), "magnitude" if kind == "magnitude" else "node"
    known = f"null, {like}, {widths[0]}" in data  # errors of singular values are proportional to those of nodes
    errors, null = (
        np.stack([data[f"{name}, {n}"] for n in widths], axis=1) for name in (kind, f"null, {like}" if known else kind)
    )
    return widths, errors, null, {} if known else {"bias": np.inf, "why": "a tail index that is not below p"}


def _sure(data: Arrays, kind: str, p: Numbers) -> Estimate:
    """Probability of an error below eps in the widest network."""
    widths, errors, null, nothing = _errors(data, kind)
    right = int(np.sum(null[:, -1] <= p["eps"]))
    at_least = float(stats.beta.ppf(0.01, right, len(null) - right + 1)) if right else 0.0
    why = f"a width of {widths[-1]}: of independent neurons of this law {right / len(null):.0%} are below eps"
    return replace(probability(errors[:, -1] <= p["eps"]), **{"bias": max(0.0, 1 - p["eps"] - at_least), "why": why} | nothing)


def _falls(data: Arrays, kind: str, p: Numbers) -> Estimate:
    """Slope of log error between the widths, run by run: runs of a seed share their draws at all widths."""
    widths, errors, null, nothing = _errors(data, kind)
    logs = (np.log(np.maximum(e, np.finfo(float).tiny)) for e in (errors, null))  # neurons that are all alike leave no error
    falls, alone = (mean((e[:, -1] - e[:, 0]) / np.log(widths[-1] / widths[0])) for e in logs)
    why = f"widths up to {widths[-1]}: independent neurons of this law have a slope of {alone.value:.3f}"
    bias = max(0.0, alone.value + 3 * alone.standard_error + p["falls"])
    return replace(falls, **{"bias": bias, "why": why} | nothing)


def _floor(data: Arrays, kind: str, p: Numbers) -> Estimate:
    """Floor of mean errors = floor + c N^-s by least squares, s = 1/alpha - 1/p, or half of it for the rows of a square layer.

    What the fit finds for independent neurons, which have no floor, is taken off; half of it is allowed for as bias.
    """
    widths, errors, null, nothing = _errors(data, kind)
    (alpha, error), rows = data["index"], kind != "magnitude" and bool(data["square"])
    if not 0 < alpha < p["p"]:
        return replace(mean(errors[:, -1]), **nothing)
    sizes = widths.astype(np.float64)

    def fit(values, alpha):
        s = (1 / alpha - 1 / p["p"]) / (2 if rows else 1)
        design = np.stack([np.ones(len(sizes)), sizes**-s], axis=1)
        weights = sizes ** (2 * s)  # one over the variance, but for a factor
        return values @ np.linalg.solve(design.T @ (weights[:, None] * design), design.T * weights)[0]

    found, alone = mean(fit(errors, alpha)), mean(fit(null, alpha))
    moved = np.mean(fit(errors, alpha)) - np.mean(fit(errors, min(alpha + error, (alpha + p["p"]) / 2)))
    noise = float(np.sqrt(found.standard_error**2 + alone.standard_error**2 + moved**2))
    why = f"the fit of a power law, by which independent neurons of this law have a floor of {alone.value:.3f}"
    made = Estimate(found.value - alone.value, noise, dof=found.dof, bias=abs(alone.value) / 2, why=why)
    return replace(made, **nothing)


def _plot(ax, data: Arrays, parameters: Numbers) -> None:
    widths = np.sort(data["widths"])
    for kind, mark in zip(KINDS, "osD", strict=True):
        low, middle, high = np.quantile([data[f"{kind}, {n}"] for n in widths], [0.1, 0.5, 1 - parameters["eps"]], axis=1)
        ax.errorbar(
            widths, middle, [middle - low, high - middle], fmt=mark + "-", markersize=4, capsize=2, linewidth=1, label=kind
        )
    ax.axhline(parameters["eps"], color="black", linestyle=":", linewidth=1)
    ax.annotate(r"$\varepsilon$", (widths[0], parameters["eps"]), (-2, 3), textcoords="offset points")
    ax.set(xscale="log", yscale="log", xlabel="width N (neurons)", ylabel=f"relative error, {parameters['kappa']:.0%} kept")
    ax.legend(fontsize="small", title=r"10 %, 50 %, $1-\varepsilon$ of runs", title_fontsize="small")


def _wide_enough(parameters: Numbers) -> None:
    widths = parameters["widths"]
    _check.require(widths[-1] >= 64 * widths[0], "widths", "end at 64 times their first or more", widths)


# -- a solvable system: interacting chains ----------------------------------------------------------------------------------


def _above(parameters: Numbers):
    """The opposite: errors above eps in half of the runs."""
    return {f"P(error <= eps), {kind}": (0.0, 0.5) for kind in KINDS}


def _flat(experiment):
    """A system whose errors are at every width those of the narrowest, of other runs."""

    def made(key, size, parameters) -> Arrays:
        data = experiment(key, size, parameters)
        narrow, *wider = np.sort(data["widths"])
        for i, n in enumerate(wider, 1):
            data |= {f"{kind}, {n}": np.roll(data[f"{kind}, {narrow}"], i) for kind in KINDS}
        return data

    return made


@final
@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _OneMiniBatch(dynamics.AbstractDynamics):
    """Chains that are pulled to their mean, as in `_chains`, but take one mini-batch together."""

    step_size: Number
    weight_decay: Number

    batch_size = 1

    def draw(self, source, key, step, width):
        """The same inputs and targets for every chain."""
        return jax.tree.map(lambda v: jnp.broadcast_to(v[None], (width, *v.shape)), source.batch(key, step, 1))

    def step(self, key, state, batch):
        """One step of `LinearRecursion`."""
        return dynamics.LinearRecursion(self.step_size, 1, weight_decay=self.weight_decay, coupled=True).step(key, state, batch)

    @property
    def references(self):
        """BibTeX keys."""
        return ()


def _with_floor(experiment, floor: float):
    """A system whose errors come to a floor: a share of the p-th powers stays with what is cut off."""

    def made(key, size, parameters) -> Arrays:
        data, p = experiment(key, size, parameters), parameters["p"]
        for name in [f"{kind}, {n}" for kind in KINDS for n in data["widths"]]:
            data[name] = np.minimum((data[name] ** p + floor**p) ** (1 / p), 1.0)
        return data

    return made


def _chains(key, size, parameters, tail_index=None, steps=None, shared=False) -> Arrays:
    """Least squares by neurons that are pulled to their mean: index, and with it everything, is known."""
    steps, ridge = steps or parameters["steps"], parameters["weight_decay"]
    eta = recursion.step_size_for(tail_index or parameters["tail_index"], 1, 1, weight_decay=ridge)
    one = _OneMiniBatch(eta, ridge) if shared else dynamics.LinearRecursion(eta, 1, weight_decay=ridge, coupled=True)
    system = System(dynamics.chains(), sources.gaussian_regression(1), one)
    probe = probes.NormQuantiles((0.99,), at=(steps // 2, steps))
    run = {"widths": parameters["widths"], "steps": steps, "seeds": size, "key": key, "probes": [probe], "progress": False}
    return read(simulate(system, **run), {**parameters, "step_size": eta})


FOUNDING = Claim(
    name="founding theorem",
    statement="Independent stationary neurons with an infinite p-th moment are l_p-compressible: all three pruning errors vanish.",
    formula=r"\forall\kappa,\varepsilon\ \exists N_0:\ P\big(\|W-W_\kappa\|_p/\|W\|_p\le\varepsilon\big)\ge 1-\varepsilon,\ N\ge N_0",
    source=SOURCE + "; on the coupled recursion, whose index is known",
    parameters={
        "tail_index": 1.4,
        "weight_decay": 0.25,
        "p": 2.0,
        "kappa": 0.25,
        "eps": 0.35,
        "falls": 0.08,
        "widths": (256, 4096, 65_536),
        "steps": 60,
    },
    rows=_rows,
    experiment=_chains,
    sizes=(24, 160),
    hypotheses=HYPOTHESES,
    domain={
        "tail_index": Real(1.25, 1.75),
        "weight_decay": Real(0.1, 0.5, even="log"),
        "p": Real(2.0, 4.0),
        "kappa": Real(0.05, 0.5, even="log"),
        "eps": Real(0.05, 0.6),
        "falls": Real(0.01, 0.2, even="log"),
        "widths": Several(Whole(128, 65_536), 3, 4, rising=True),
        "steps": Whole(40, 120),
    },
    fits=_wide_enough,
    controls={
        "error above eps": {"rows": predicting(_rows, _above)},
        "errors that do not fall": {"experiment": _flat(_chains)},
        "a floor of 0.15": {"experiment": _with_floor(_chains, 0.15)},
        "light tails": {"experiment": lambda key, size, p: _chains(key, size, p, tail_index=3.0)},
        "one mini-batch for all": {"experiment": lambda key, size, p: _chains(key, size // 4, p, shared=True)},
        "too few steps": {"experiment": lambda key, size, p: _chains(key, size // 4, p, steps=2)},
    },
    plot=_plot,
)


# -- real training -----------------------------------------------------------------------------------------------------------


def _digits(key, size, parameters) -> Arrays:
    system = System(TwoLayer("relu"), sources.digits(), dynamics.SGD(parameters["step_size"], 1))
    steps = parameters["steps"]
    probe = probes.NormQuantiles((0.99,), at=(steps // 2, steps))
    run = {"widths": parameters["widths"], "steps": steps, "seeds": size, "key": key, "probes": [probe], "progress": False}
    return read(simulate(system, **run), parameters)


DIGITS = Claim(
    name="founding theorem, digits",
    statement="ReLU networks trained on handwritten digits with a large step size are l_p-compressible.",
    formula=FOUNDING.formula,
    source=SOURCE + "; ordinary training of both layers, batch size 1, in which neurons share their mini-batches",
    parameters={
        "step_size": 4.0,
        "p": 2.0,
        "kappa": 0.25,
        "eps": 0.35,
        "falls": 0.08,
        "widths": (128, 2048),
        "steps": 10_000,
    },
    rows=lambda p: _rows(p, PARTS),
    experiment=_digits,
    sizes=(12, 60),
    hypotheses=HYPOTHESES,
    domain={
        "step_size": Real(0.05, 5.0, even="log"),
        "p": Real(1.0, 8.0),
        "kappa": Real(0.01, 0.9, even="log"),
        "eps": Real(0.01, 0.99),
        "falls": Real(0.001, 1.0, even="log"),
        "widths": Several(Whole(64, 16_384), 2, 8, rising=True),
        "steps": Whole(4, 1_000_000),
    },
    controls={
        "errors that do not fall": {"experiment": _flat(_digits)},
        "small step": {"experiment": lambda key, size, p: _digits(key, size // 4, {**p, "step_size": 0.1})},
    },
    plot=_plot,
    read=read,
)

CLAIMS = (FOUNDING, DIGITS)
