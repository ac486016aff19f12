"""The founding theorem: Barsbey, Sefidgaran, Erdogdu, Richard, Simsekli (2021), on a solvable system and on real training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from meanfield import _check
from meanfield.measure import chaos, mechanisms, pruning, tails
from meanfield.simulate import Results, Status, probes, simulate
from meanfield.systems import data as sources
from meanfield.systems import dynamics
from meanfield.systems.networks import TwoLayer
from meanfield.systems.scaling import Number
from meanfield.systems.system import System
from meanfield.theory import recursion
from meanfield.verify.claim import Arrays, Check, Claim, Estimate, Evidence, Hypothesis, Numbers, Row, mean
from meanfield.verify.claims._tools import predicting, probability
from meanfield.verify.domain import Real, Several, Whole

SOURCE = "Barsbey, Sefidgaran, Erdogdu, Richard, Simsekli (2021), compressibility of two-layer networks and of layers"
NEURONS = 64  # of a run whose dependence is looked at
SIZES = 2**18  # neurons whose tail is looked at
DEPENDENT = 0.1  # correlation of two neurons that the runs must be able to see
KINDS = pruning.KINDS
LAW = 2**13  # neurons of a run whose law is compared between widths
SAMPLED = 2**20  # neurons of all runs, at most, of a width whose errors are taken apart
LEVELS = (0.5, 0.9, 0.95)  # of the quantiles at which it is
MOVED = 0.2  # relative change of the share above one of them that the runs must be able to see
PARTS_OF_SLOPE = ("measured", "sampling", "law", "dependence")
NULLS = 100  # networks of independent neurons, by which finite widths are judged


# -- what is read off a simulation ---------------------------------------------------------------------------------------


def read(results: Results, parameters: Numbers) -> Arrays:
    """The arrays of `_read` from a simulation that sweeps nothing but step sizes, of the cell with that of the claim."""
    dims = results.dataset["status"].dims
    shape = _check.words(f"a simulation with axes {', '.join(map(str, dims))}")
    _check.require(dims == ("width", "step_size", "seed"), "results", "have no sweep but that over step sizes", shape)
    held = results.dataset["step_size"].to_numpy()
    nearest = float(held[np.argmin(np.abs(held / parameters["step_size"] - 1))])
    must = f"hold the step size {parameters['step_size']:.6g}, a parameter of the claim"
    close = abs(nearest / parameters["step_size"] - 1) < 1e-3
    _check.require(close, "results", must, _check.words(f"one with {held.tolist()}"))
    return _read(results, {"step_size": nearest}, parameters)


def _read(results: Results, cell: Mapping[str, float], parameters: Numbers) -> Arrays:
    """Pruning errors at every width, a few neurons, the sizes of the widest network, and their 99 % quantile at two times.

    Neurons of one number are taken as the entries of a square layer, those of several as its rows.
    """
    quantile = _seen(results).sel(cell)
    widths = sorted(results.particles)
    made: Arrays = {"widths": np.array(widths)}
    status = results.dataset["status"].sel(cell)
    ok = (status == Status.COMPLETE.code).all("width").to_numpy()  # runs of a seed are compared between widths
    must = "hold at least 4 runs that did not diverge at any width: a diverged one has no stationary law"
    _check.require(int(ok.sum()) >= 4, "results", must, _check.words(f"one with {int(ok.sum())}"))
    x, sizes, most = np.empty((0, 0, 0)), {}, max(SAMPLED // int(ok.sum()), widths[1])
    for n in widths:
        x = np.asarray(results.particles_at(None, width=n, **cell).to_numpy()[ok], np.float64)  # (run, N, D)
        side = int(n**0.5)
        layer = x[:, : side**2].reshape(len(x), side, side) if x.shape[-1] == 1 else x
        for kind in KINDS:
            made[f"{kind}, {n}"] = pruning.error_curve(layer, parameters["kappa"], kind, parameters["p"])
        made[f"neurons, {n}"] = x[:, :NEURONS].astype(np.float32)
        sizes[n] = np.linalg.norm(x[:, : max(LAW, n if n <= most else 0)], axis=-1)
    made["sizes"] = np.linalg.norm(x[: max(1, SIZES // x.shape[1])], axis=-1).ravel().astype(np.float32)
    made["index"] = _index(made["sizes"], parameters)
    made["square"] = np.array(x.shape[-1] == 1)
    made |= _independent_neurons(made, parameters)
    made |= _laws({n: sizes[n][:, :LAW] for n in (_middle(widths), widths[-1])})
    made |= _parts({n: sizes[n] for n in widths if n <= most}, parameters)
    steps = quantile["step"].to_numpy()
    for name, step in (("log quantile, half", steps[(steps > 0) & (steps <= steps[-1] / 2)][-1]), ("log quantile", steps[-1])):
        made[name] = np.log(quantile.sel(step=step, width=widths[-1]).to_numpy()[ok].astype(np.float64))
    return made


def _seen(results: Results):
    """The 99 % quantiles that a probe saw; refuses results from which the claim cannot be judged."""
    dims = results.dataset["status"].dims
    shape = _check.words(f"a simulation with axes {', '.join(map(str, dims))}")
    seen = results.dataset.get("norm_quantile")
    looked = seen is not None and 0.99 in seen["level"].to_numpy().round(6)
    steps = np.array([0]) if seen is None else seen["step"].to_numpy()
    must = "hold what the probe `NormQuantiles` saw of the level 0.99 after half of the steps, or before, and at the end"
    _check.require(bool(looked and np.any((steps > 0) & (steps <= steps[-1] / 2))), "results", must, shape)
    widest = max(results.particles)
    _check.require(
        widest >= NEURONS and len(results.particles) > 1, "results", f"have two widths, one of {NEURONS} or more", shape
    )
    return results.dataset["norm_quantile"].sel(level=0.99)


def _middle(widths: Sequence[int]) -> int:
    """The width next to half of the way, in the logarithm, from the narrowest to the widest."""
    return int(min(widths[:-1], key=lambda n: abs(np.log(n * n / (widths[0] * widths[-1])))))


def _laws(sizes: Mapping[int, np.ndarray]) -> Arrays:
    """Of every run the logarithms of the shares of its neurons above quantiles of the widest networks, the same for all widths.

    Shares have logarithms where sizes are 0. Logarithms, since one run with a huge neuron moves all of its neurons. Half a neuron more
    takes off what the logarithm of a count is too low by.
    """
    above = np.quantile(sizes[max(sizes)], LEVELS)
    return {
        f"law, {n}": np.log((np.sum(x[..., None] > above, axis=1) + 0.5) / (x.shape[1] + 0.5))  # (run, level)
        for n, x in sizes.items()
    }


def _parts(sizes: Mapping[int, np.ndarray], parameters: Numbers) -> Arrays:
    """Slopes of the parts of the error: value, standard error, degrees of freedom; NaN where an error is 0.

    The work of a jackknife over runs is quadratic in their number: many runs are taken apart in groups of 8, and averaged. The mean of
    8 errors makes the logarithms too low by a sixteenth of the squared relative deviation, at every width nearly alike.
    """
    runs = len(sizes[max(sizes)])
    groups = runs // 8 if runs >= 64 else 1
    found = []
    try:
        for i in range(groups):
            some = {n: x[i::groups, :, None] for n, x in sizes.items()}
            found.append(mechanisms.decompose(some, parameters["kappa"], p=parameters["p"], key=jax.random.key(i)).slopes)
    except _check.ArgumentError:
        return {f"slope, {part}": np.full(3, np.nan) for part in PARTS_OF_SLOPE}
    made = {}
    for part in PARTS_OF_SLOPE:
        one = mean([slopes[part].value for slopes in found]) if groups > 1 else found[0][part]
        made[f"slope, {part}"] = np.array([one.value, one.standard_error, one.dof])
    return made


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
    side, family = "below" if z > 0 else "above", tails.tail_family(data["sizes"]).family.item()
    return Check(
        bool(z > 4) and family is tails.Family.POWER,
        f"The tail index of the neurons is {fit.alpha:.3g} +- {fit.standard_error:.2g}, {abs(z):.1f} standard errors {side} p = {p:g}; it"
        f" must be 4 below, and the family of the tail POWER: it is {family.name}.",
    )


def _stands_still(data: Arrays, parameters: Numbers) -> Check:
    moved = mean(data["log quantile"] - data["log quantile, half"])
    z = moved.value / moved.standard_error
    return Check(
        bool(abs(z) < 4 and 4 * moved.standard_error < 0.2),  # runs that could not see a change by a fifth prove nothing
        f"The 99 % quantile of the sizes has changed by {100 * np.expm1(moved.value):+.2g} % since half of the steps, "
        f"{z:+.1f} standard errors.",
    )


def _settled(data: Arrays, parameters: Numbers) -> Check:
    """Changes of the law from half of the way of the widths to the widest, and of the slope of the error what they carry.

    The body shows in shares of neurons. The top makes the error and is too rare for them: it shows in the law's part of the slope.
    """
    widths = np.sort(data["widths"])
    middle, widest, holds, said = _middle(widths.tolist()), widths[-1], True, []
    for i, level in enumerate(LEVELS):
        moved = mean(data[f"law, {widest}"][:, i] - data[f"law, {middle}"][:, i])
        holds &= bool(abs(moved.value) + 4 * moved.standard_error < MOVED)
        said.append(f"{100 * moved.value:+.2g} % +- {100 * moved.standard_error:.1g} above the {level:.0%} quantile")
    slopes = {part: float(data[f"slope, {part}"][0]) for part in PARTS_OF_SLOPE}
    law, error, _ = data["slope, law"]
    holds &= not abs(law) > max(
        4 * error, max(abs(slopes["measured"]), parameters["falls"]) / 10
    )  # NaN: errors of 0 have no slopes
    carried = ", ".join(f"{part} {slopes[part]:+.3f}" for part in PARTS_OF_SLOPE[1:])
    whole = f"; the slope {slopes['measured']:.3f} of the log error is {carried}; no tenth of it may be seen to be the law's +- {error:.1g}"
    parts = whole if np.isfinite(slopes["measured"]) else ""
    return Check(
        holds,
        f"From {middle} to {widest} neurons shares change by {', '.join(said)}, and must by less than {MOVED:.0%} with 4 errors{parts}.",
    )


HYPOTHESES = (
    Hypothesis("Neurons become independent as the network grows.", _independent),
    Hypothesis("Their p-th moment is infinite.", _moment_is_infinite),
    Hypothesis("Their law is stationary.", _stands_still),
    Hypothesis("Their law no longer moves with the width.", _settled),
)


# -- the conclusion ------------------------------------------------------------------------------------------------------


PARTS = ("magnitude", "node")  # of layers that grow in one direction: their singular values keep an error


def _rows(parameters: Numbers, kinds=KINDS, floors: bool = True) -> list[Row]:
    """The theorem alone: errors below eps with probability 1 - eps in the widest network, falling with the width by some power to 0.

    Sampling from one law must carry a fall, too. Without `eps` the first rows are left out.
    Finite widths may hide the conclusion: by as much as independent neurons are off it, a verdict is not built on them.
    """
    p = parameters

    def rows(name, predicted, measured, detects, quick_detects):
        return [
            Row(f"{name}, {kind}", predicted, lambda data, kind=kind: measured(data, kind, p), detects, quick_detects)
            for kind in kinds
        ]

    return [
        *(rows("P(error <= eps)", (1 - p["eps"], 1.0), _sure, 0.2, 0.5) if "eps" in p else ()),
        *rows("slope", (-np.inf, -p["falls"]), _falls, 0.08, 0.4),
        *(rows("floor", (-np.inf, 0.0), _floor, 0.15, 0.45) if floors else ()),
        Row("slope, sampling part", (-np.inf, -p["falls"]), lambda data: _sampling(data, p), 0.08, 0.4),
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


def _sampling(data: Arrays, p: Numbers) -> Estimate:
    """Slope of the log error of N independent draws from the law of the widest networks: the theorem's mechanism alone."""
    value, error, dof = data["slope, sampling"]
    if not np.isfinite(value):
        return Estimate(0.0, 1.0, bias=np.inf, why="errors that are 0, or of less than one part")
    _, _, null, nothing = _errors(data, "magnitude")
    widths = np.sort(data["widths"])
    alone = mean(np.log(null[:, -1] / null[:, 0]) / np.log(widths[-1] / widths[0]))
    why = f"widths up to {widths[-1]}: independent neurons of this law have a slope of {alone.value:.3f}"
    bias = max(0.0, alone.value + 3 * alone.standard_error + p["falls"])
    return Estimate(float(value), float(error), dof=float(dof), **{"bias": bias, "why": why} | nothing)


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


def _vanishing(results: Results) -> Results:
    """Runs in which more neurons vanish the wider a network is, to a tenth: from none of the narrowest to half of the widest."""
    narrow, wide, made = min(results.particles), max(results.particles), {}
    for n, particles in results.particles.items():
        share = 0.5 * np.log(n / narrow) / np.log(wide / narrow)
        gone = np.random.default_rng(n).random(n) < share
        made[n] = replace(particles, w=np.where(gone[:, None], 0.1, 1.0).astype(np.float32) * particles.w)
    return replace(results, particles=made)


def _chains(key, size, parameters, tail_index=None, steps=None, shared=False, changed=lambda results: results) -> Arrays:
    """Least squares by neurons that are pulled to their mean: index, and with it everything, is known."""
    steps, ridge = steps or parameters["steps"], parameters["weight_decay"]
    eta = recursion.step_size_for(tail_index or parameters["tail_index"], 1, 1, weight_decay=ridge)
    one = _OneMiniBatch(eta, ridge) if shared else dynamics.LinearRecursion(eta, 1, weight_decay=ridge, coupled=True)
    system = System(dynamics.chains(), sources.gaussian_regression(1), one)
    probe = probes.NormQuantiles((0.99,), at=(steps // 2, steps))
    run = {"widths": parameters["widths"], "steps": steps, "seeds": size, "key": key, "probes": [probe], "progress": False}
    return read(changed(simulate(system, **run)), {**parameters, "step_size": eta})


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
        "only the law moves": {"experiment": lambda key, size, p: _chains(key, size // 4, p, changed=_vanishing)},
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

# -- somebody's own runs -----------------------------------------------------------------------------------------------------


def founding(
    results: Results, *, kappa: float = 0.1, p: float = 2.0, falls: float = 0.08, eps: float | None = None, **cell: float
) -> Evidence:
    """The checklist of the founding theorem for runs of your own: whether its hypotheses are kept, and its mechanism carries the fall.

    The theorem: if neurons become independent, their law is stationary and no longer moves with the width, and E|theta|^p is infinite,

        P(|W - W_kappa|_p / |W|_p <= eps) >= 1 - eps    for N >= N_0, for every kappa and eps.

    Checked are these four hypotheses. Compared are, for magnitude and node pruning (of neurons that are one number for singular values of
    a square layer, too), the slope of the log error between the narrowest and the widest networks, and the slope of the sampling part
    alone (`measure.mechanisms.decompose`), the fall of N independent draws from the law of the widest networks. Both must be at most
    `-falls`. An error of whose fall the law is seen to carry a tenth does not pass.

    Args:
        results: of `mf.simulate` for two or more widths, the widest of 64 neurons or more; 4 or more seeds that are complete at every
            width (20 to see anything); with what the probe `NormQuantiles` saw of the level 0.99 at half of the steps and at the end.
        kappa: fraction kept, kappa times the narrowest width >= 1.
        p: of the norm, > 0.
        falls: exponent from which on an error counts as falling, > 0.
        eps: in (0, 1): P(error <= eps) >= 1 - eps of the widest networks is compared, too. None: it is not.
        cell: value of every swept field, by name, as in `results.particles_at`.

    Returns:
        The `Evidence`: `verdict`, `checks` of the hypotheses with their numbers, `comparisons` with their intervals.
        ASSUMPTION_VIOLATED: the theorem says nothing of these runs, whatever their errors do. INCONCLUSIVE: see `reasons`.

    Raises:
        ValueError: results or an argument that do not fit, in a sentence.

    Source: Barsbey, Sefidgaran, Erdogdu, Richard, Simsekli (2021). The checks are ours.

    Examples:
        >>> import meanfield as mf
        >>> chains = mf.dynamics.LinearRecursion([0.3, 1.0], 1)  # of tail index 5.3 and 1.1
        >>> system = mf.System(mf.dynamics.chains(), mf.data.gaussian_regression(1), chains)
        >>> run = {"widths": [256, 1024, 4096], "steps": 60, "seeds": 24, "key": jax.random.key(0)}
        >>> results = mf.simulate(system, probes=[mf.probes.NormQuantiles((0.99,), at=(30, 60))], **run)
        >>> light = founding(results, step_size=0.3)
        >>> light.verdict.name, [statement for statement, check in light.checks.items() if not check.holds]
        ('ASSUMPTION_VIOLATED', ['Their p-th moment is infinite.'])
        >>> [check.holds for check in founding(results, step_size=1.0).checks.values()]
        [True, True, True, True]
    """
    _check.require(isinstance(results, Results), "results", "be `Results` of a simulation", results)
    _seen(results)
    parameters: dict[str, Any] = {
        "kappa": _check.number("kappa", kappa, "be a number in (0, 1), the fraction kept", lambda v: (v > 0) & (v < 1)),
        "p": _check.number("p", p, "be a number > 0", lambda v: v > 0),
        "falls": _check.number("falls", falls, "be a number > 0", lambda v: v > 0),
    }
    narrowest = min(results.particles)
    must = f"be at least {1 / narrowest:.6g}, which keeps one part of the narrowest network"
    _check.require(kappa * narrowest >= 1 - 1e-9, "kappa", must, kappa)
    if eps is not None:
        parameters["eps"] = _check.number("eps", eps, "be None or a number in (0, 1)", lambda v: (v > 0) & (v < 1))
    status = results.dataset["status"]
    axes = [str(name) for name in status.dims if name not in ("width", "seed")]
    for name in cell:
        _check.require(name in axes, "cell", f"name swept fields, {', '.join(axes) or 'of which there are none'}", name)
    for name in axes:
        values = status[name].to_numpy().tolist()
        at = cell.get(name, values[0] if len(values) == 1 else None)
        must = "be one of " + ", ".join(f"{v:g}" for v in values) + ", the values of the sweep"
        _check.require(at in values, name, must, _check.words("left out") if at is None else at)
        parameters[name] = at
    kinds = KINDS if results.particles[narrowest].vectors.shape[-1] == 1 else PARTS
    claim = replace(
        FOUNDING,
        name="founding theorem, your runs",
        source=SOURCE,
        parameters=parameters,
        rows=lambda numbers: _rows(numbers, kinds, floors=False),  # some 300 runs would be needed to see them
        controls={},
        domain={},
        fits=None,
    )
    return claim.judge(_read(results, {name: parameters[name] for name in axes}, parameters), "data")


CLAIMS = (FOUNDING, DIGITS)
