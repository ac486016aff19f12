"""Claims on what shrinks a pruning error: small neurons that collapse, dead ones, and the parts into which the error is taken apart."""

import dataclasses
from dataclasses import replace
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from meanfield import _check
from meanfield import plot as mfplot
from meanfield._keys import generator
from meanfield.measure import mechanisms, pruning
from meanfield.simulate import probes
from meanfield.systems import data as sources
from meanfield.systems import dynamics
from meanfield.systems.networks import Loss, TwoLayer
from meanfield.systems.system import System
from meanfield.theory import collapse, compressibility, recursion
from meanfield.verify.claim import Arrays, Check, Claim, Hypothesis, Numbers, Row, mean
from meanfield.verify.claims import _bias
from meanfield.verify.claims._chains import ends_of
from meanfield.verify.claims._tools import predicting, predictions, run_to_the_end, side_by_side, tampered
from meanfield.verify.domain import Real, Several, TupleOf, Whole

SOURCE = "Furstenberg, Kesten (1960) for the exponent; the sums are ours, `theory.collapse`"

# -- small neurons on given residuals ---------------------------------------------------------------------------------------

# Five examples of one component, and residuals that a loss linear in f keeps as they are.
INPUTS = np.array([[1.0], [-0.6], [0.8], [1.3], [-1.1]])
RESIDUALS = np.array([[1.0], [0.6], [-0.8], [0.8], [0.4]])
GIVEN = Loss(lambda f, y: jnp.sum(f * y, axis=1), lambda f, y: y + 0 * f)
DEEPEST = 80.0  # logarithm of a norm that float32 holds, either way


def _grown(key, neurons: int, step_size: float, ridges, batch_size: int, steps: int) -> np.ndarray:
    """Growth per step of log |theta| over the second half of the steps, (ridges, neurons); every neuron has its own mini-batches.

    Neurons of a linear network on given residuals are small neurons at every size.
    """
    one = dynamics.SGD(step_size, batch_size, weight_decay=list(ridges), minibatches="independent")
    system = System(TwoLayer("identity", GIVEN), sources.from_arrays(INPUTS, RESIDUALS), one)
    times = (steps // 2, steps)
    results = run_to_the_end(system, widths=neurons, steps=steps, seeds=1, key=key, probes=[probes.Snapshot(at=times)])
    shape = (len(ridges), neurons, -1)
    early, late = (results.particles_at(at, width=neurons).to_numpy().reshape(shape).astype(np.float64) for at in times)
    return np.log(np.linalg.norm(late, axis=-1) / np.linalg.norm(early, axis=-1)) / (steps - steps // 2)


def _exponent(step_size: float, ridge: float, batch_size: int) -> float:
    """A sum over the mini-batches."""
    key = jax.random.key(0)  # of the solver, which is not needed
    return collapse.exponent(INPUTS, RESIDUALS, step_size, batch_size, ridge, activation=1.0, key=key).value


def _two_lines(step_size: float, ridge: float, batch_size: int, steps: int) -> tuple[float, float]:
    """What is left of the line with the smaller exponent, in growth per step; largest size of a logarithm that a run meets.

    `log(|A| + |B|)` on both lines exceeds that of the line that wins by about the negative part of the difference, a normal variable.
    """
    draws = np.random.default_rng(0).integers(len(INPUTS), size=(20_000, batch_size))
    means = np.mean((INPUTS * RESIDUALS)[:, 0][draws], axis=1)
    logs = [np.log(np.abs(1 - step_size * ridge - sign * step_size * means)) for sign in (1, -1)]
    gap, spread = np.mean(logs[0] - logs[1]), np.std(logs[0] - logs[1])
    half = steps // 2
    z = abs(gap) * half**0.5 / spread
    left = spread * half**0.5 * (stats.norm.pdf(z) - z * stats.norm.sf(z))
    one = logs[int(gap < 0)]
    return float(left / (steps - half)), float(abs(one.mean()) * steps + 5 * one.std() * steps**0.5)


def _shown(name: str, step_size: float, ridge: float, batch_size: int, steps: int, most: float) -> None:
    """Refuse parameters at which the exponent does not show in so many steps."""
    left, deepest = _two_lines(step_size, ridge, batch_size, steps)
    where = f"at step size {step_size:g} and ridge {ridge:.3g}"
    must = f"leave less than {most:.2g} per step of the smaller exponent {where}"
    _check.require(left < most, name, must, _check.words(f"{steps}, which leave {left:.2g}"))
    must = f"be so few that norms stay within float32 {where}, exp(-{DEEPEST:g})"
    _check.require(deepest < DEEPEST, name, must, _check.words(f"{steps}, with exp(-{deepest:.3g})"))


# -- the exponent -----------------------------------------------------------------------------------------------------------


def _name(step_size: float, ridge: float) -> str:
    return f"step {step_size:g}, ridge {ridge:g}"


CHAIN, CHAIN_STEPS = "least squares without noise", 40  # exact at any number of steps


def _exponent_rows(parameters: Numbers) -> list[Row]:
    steps, b = parameters["steps"], parameters["batch_size"]
    made = []
    for eta, ridge in parameters["settings"]:
        name, left, exponent = _name(eta, ridge), _two_lines(eta, ridge, b, steps)[0], _exponent(eta, ridge, b)

        def measured(data, name=name, left=left):
            return replace(mean(data[name]), bias=left, why=f"the line with the smaller exponent after {steps // 2} steps")

        size = max(abs(exponent), eta / 10)
        made.append(Row(name, exponent, measured, 0.03 * size, 0.12 * size))
    rate = recursion.lyapunov(parameters["chain_step_size"], b, 1)
    chain = lambda data: mean(data[CHAIN])  # noqa: E731
    return [*made, Row(CHAIN, rate, chain, 0.03 * abs(rate), 0.12 * abs(rate))]


def _exponent_experiment(key, size, parameters, batch_size=None, noise=0.0) -> Arrays:
    steps, b = parameters["steps"], batch_size or parameters["batch_size"]
    made = {
        _name(eta, ridge): partial(_grown, jax.random.fold_in(key, i), size, eta, (ridge,), b, steps)
        for i, (eta, ridge) in enumerate(parameters["settings"])
    }
    own = jax.random.fold_in(key, len(made))

    def chain():
        data, one = sources.gaussian_regression(1, noise_std=noise), dynamics.LinearRecursion(parameters["chain_step_size"], b)
        start, end = (ends_of(own, size, data, one, at)[:, 0] for at in (0, CHAIN_STEPS))
        return np.log(np.abs(end / start)) / CHAIN_STEPS

    return {name: one.ravel().astype(np.float32) for name, one in side_by_side({**made, CHAIN: chain}).items()}


def _of_the_mean_step(parameters: Numbers) -> dict[str, float]:
    """Predictions without noise: the logarithm of the mean factor, of the line along which the neuron grows."""
    pull = abs(float(np.mean(INPUTS * RESIDUALS)))
    made = {_name(eta, ridge): float(np.log(1 - eta * ridge + eta * pull)) for eta, ridge in parameters["settings"]}
    return made | {CHAIN: float(np.log(abs(1 - parameters["chain_step_size"])))}


def _exponent_fits(parameters: Numbers) -> None:
    for eta, ridge in parameters["settings"]:
        size = max(abs(_exponent(eta, ridge, parameters["batch_size"])), eta / 10)
        _shown("steps", eta, ridge, parameters["batch_size"], parameters["steps"], 0.01 * size)
    rate = recursion.lyapunov(parameters["chain_step_size"], parameters["batch_size"], 1)
    must = f"have an exponent that is not within 0.05 of 0 at batch size {parameters['batch_size']}"
    found = _check.words(f"{parameters['chain_step_size']:g}, with {rate:.3g}")
    _check.require(abs(rate) >= 0.05, "chain_step_size", must, found)


def _exponent_plot(ax, data: Arrays, parameters: Numbers) -> None:
    rows = _exponent_rows(parameters)
    places = np.arange(len(rows))
    measured = [row.measured(data) for row in rows]
    mfplot.estimates(ax, places, measured, 4, color="tab:blue", capsize=2, label="measured, 4 errors")
    ax.plot(places, [row.predicted for row in rows], "_", color="black", markersize=20, label="predicted")
    ax.set_xticks(places, [row.name.replace(", ", ",\n").replace(" without", "\nwithout") for row in rows], fontsize="small")
    ax.set(ylabel="growth of log |theta| per step")
    ax.legend(fontsize="small")


EXPONENT = Claim(
    name="collapse exponent",
    statement="Small neurons shrink or grow like exp(gamma n) with the Lyapunov exponent of their steps, not that of the mean step.",
    formula=r"\tfrac1n\log|\theta_n| \to \gamma = \max_\pm\mathbb E\log|1-\eta\lambda\mp\tfrac\eta b\textstyle\sum_{i\le b} r_ix_i|",
    source=SOURCE,
    parameters={
        "settings": ((0.4, 0.2), (0.2, 0.0)),
        "chain_step_size": 0.4,
        "batch_size": 1,
        "steps": 400,
    },
    rows=_exponent_rows,
    experiment=_exponent_experiment,
    sizes=(1000, 40_000),
    controls={
        "exponent of the mean step": {"rows": predicting(_exponent_rows, _of_the_mean_step)},
        "exponents off by 5 %": {"rows": tampered(_exponent_rows, 1.05)},
        "mini-batches of two": {"experiment": lambda key, size, p: _exponent_experiment(key, size, p, batch_size=2)},
        "label noise": {"experiment": lambda key, size, p: _exponent_experiment(key, size, p, noise=1.0)},
    },
    plot=_exponent_plot,
    domain={
        "settings": Several(TupleOf(Real(0.2, 0.8), Real(0.0, 0.5)), 1, 3),
        "chain_step_size": Real(0.05, 3.0, even="log"),
        "batch_size": Whole(1, 2),
        "steps": Whole(200, 600),
    },
    fits=_exponent_fits,
)


# -- the boundary -----------------------------------------------------------------------------------------------------------


def _boundary(step_size: float, batch_size: int) -> float:
    key = jax.random.key(0)  # of the solver, which is not needed
    return collapse.boundary(INPUTS, RESIDUALS, batch_size, step_size, activation=1.0, key=key).value


def _both_sides(step_size: float, parameters: Numbers) -> np.ndarray:
    return _boundary(step_size, parameters["batch_size"]) * (1 + parameters["room"] * np.array([-1, 1]))


def _boundary_rows(parameters: Numbers) -> list[Row]:
    steps, b = parameters["steps"], parameters["batch_size"]
    made = []
    for eta in parameters["step_sizes"]:
        ridge, sides = _boundary(eta, b), _both_sides(eta, parameters)
        exponents = [_exponent(eta, float(one), b) for one in sides]
        left = max(_two_lines(eta, float(one), b, steps)[0] for one in sides)

        def crossing(data, eta=eta, ridge=ridge, sides=sides, exponents=exponents, left=left):
            """Where the line through both measured exponents is 0, relative to the prediction; both sides have the same draws."""
            low, high = np.asarray(data[f"step {eta:g}"], np.float64)
            at = mean(_line(sides, low.mean(), high.mean(), low, high))
            off = _line(sides, *exponents, *exponents) - ridge  # a chord of a curve
            slope = (exponents[0] - exponents[1]) / (sides[1] - sides[0])
            why = "the curvature of the exponent, and the line with the smaller one"
            return replace(at.mapped(1 / ridge, -off / ridge), bias=float(abs(off) + left / slope) / ridge, why=why)

        made.append(Row(f"ridge over prediction, step {eta:g}", 1.0, crossing, 0.05, 0.25))
    return made


def _line(sides: np.ndarray, low: float, high: float, of_low, of_high):
    """Zero of the line through (sides[0], low) and (sides[1], high), linearised in both: at `of_low`, `of_high`."""
    width, fall = sides[1] - sides[0], low - high
    at = sides[0] + width * low / fall
    return at + width / fall**2 * (-high * (of_low - low) + low * (of_high - high))


def _boundary_experiment(key, size, parameters, batch_size=None) -> Arrays:
    b, steps = parameters["batch_size"], parameters["steps"]

    def at(i: int, eta: float):
        own = jax.random.fold_in(key, i)
        return _grown(own, size, eta, _both_sides(eta, parameters), batch_size or b, steps).astype(np.float32)

    return side_by_side({f"step {eta:g}": partial(at, i, eta) for i, eta in enumerate(parameters["step_sizes"])})


def _without_noise(parameters: Numbers) -> dict[str, float]:
    """The boundary of the mean step: the ridge that outweighs the mean gradient."""
    pull, b = abs(float(np.mean(INPUTS * RESIDUALS))), parameters["batch_size"]
    return {f"ridge over prediction, step {eta:g}": pull / _boundary(eta, b) for eta in parameters["step_sizes"]}


def _of_continuous_time(parameters: Numbers) -> dict[str, float]:
    """The boundary of the diffusion at the same step size, `collapse.diffusion_criterion`."""
    b = parameters["batch_size"]
    made = {}
    for eta in parameters["step_sizes"]:
        ridge = -collapse.diffusion_criterion(INPUTS, RESIDUALS, eta, b)  # the criterion is linear in the ridge
        made[f"ridge over prediction, step {eta:g}"] = max(ridge, 0.0) / _boundary(eta, b)
    return made


def _boundary_fits(parameters: Numbers) -> None:
    for eta in parameters["step_sizes"]:
        ridge, b = _boundary(eta, parameters["batch_size"]), parameters["batch_size"]
        must = "be one at which small neurons grow without a ridge, and at which the ridge that keeps them is 0.02 or more"
        _check.require(ridge >= 0.02, "step_sizes", must, _check.words(f"{eta:g}, with a ridge of {ridge:.3g}"))
        _shown("steps", eta, ridge, b, parameters["steps"], 0.01 * eta * ridge)


def _boundary_plot(ax, data: Arrays, parameters: Numbers) -> None:
    for eta, color in zip(parameters["step_sizes"], ("tab:blue", "black", "0.5"), strict=False):
        sides, b = _both_sides(eta, parameters), parameters["batch_size"]
        ridges = np.linspace(sides[0], sides[1], 20)
        ax.plot(ridges, [_exponent(eta, float(one), b) for one in ridges], color=color, label=f"step {eta:g}, predicted")
        measured = [mean(one) for one in np.asarray(data[f"step {eta:g}"], np.float64)]
        mfplot.estimates(ax, sides, measured, 4, color=color, capsize=2)
    ax.axhline(0, color="black", linestyle=":", linewidth=1)
    ax.set(xlabel="ridge", ylabel="growth of log |theta| per step")
    ax.legend(fontsize="small", title="dots: measured, 4 errors", title_fontsize="small")


BOUNDARY = Claim(
    name="collapse boundary",
    statement="Small neurons shrink above and grow below the ridge at which their exponent is 0.",
    formula=r"\gamma(\eta,\lambda^\star(\eta))=0,\quad \gamma<0\ \text{for}\ \lambda>\lambda^\star(\eta)",
    source=SOURCE,
    parameters={"step_sizes": (0.2, 0.3), "batch_size": 1, "room": 0.3, "steps": 1200},
    rows=_boundary_rows,
    experiment=_boundary_experiment,
    sizes=(1000, 20_000),
    controls={
        "boundary of the mean step": {"rows": predicting(_boundary_rows, _without_noise)},
        "boundary of continuous time": {"rows": predicting(_boundary_rows, _of_continuous_time)},
        "boundary off by 8 %": {"rows": tampered(_boundary_rows, 1.08)},
        "mini-batches of two": {"experiment": lambda key, size, p: _boundary_experiment(key, size, p, batch_size=2)},
    },
    plot=_boundary_plot,
    domain={
        "step_sizes": Several(Real(0.12, 0.5), 1, 3, rising=True),
        "batch_size": Whole(1, 2),
        "room": Real(0.2, 0.5),
        "steps": Whole(800, 2000),
    },
    fits=_boundary_fits,
)


# -- dead neurons -----------------------------------------------------------------------------------------------------------

ROUNDING = 2.0**-23  # of a step in float32, relative: two operations of half a unit each


def _dead_name(ridge: float) -> str:
    return f"rate, ridge {ridge:g}"


def _dead_rows(parameters: Numbers) -> list[Row]:
    def measured(data, name):
        return replace(mean(data[name]), bias=ROUNDING, why="the rounding of float32")

    made = []
    for ridge in parameters["ridges"]:
        rate = collapse.dead_exponent(parameters["step_size"], ridge)
        name = _dead_name(ridge)
        made.append(Row(name, rate, partial(measured, name=name), 0.01 * abs(rate), 0.02 * abs(rate)))
    return made


def _dead_experiment(key, size, parameters, every=1, temperature=None) -> Arrays:
    """Mean rate of the dead neurons of every run; `every`: of so many examples one is looked at."""
    eta, ridges, steps, n = (parameters[name] for name in ("step_size", "ridges", "steps", "width"))
    one = dynamics.SGD(eta, 1, weight_decay=list(ridges))
    if temperature is not None:
        one = dynamics.Langevin(eta, 1, weight_decay=list(ridges), temperature=temperature)
    digits, times = sources.digits(), (steps // 2, steps)
    run = {"widths": n, "steps": steps, "seeds": size, "key": key, "probes": [probes.Snapshot(at=times)]}
    results = run_to_the_end(System(TwoLayer("relu"), digits, one), **run)
    x, made = np.asarray(digits.splits["train"][0], np.float64)[::every], {}
    for ridge in ridges:
        pair = [results.particles_at(at, width=n, step_size=eta, weight_decay=ridge) for at in times]
        off = [mechanisms.dead(seen.sel(part="w").to_numpy(), x) for seen in pair]
        rates, counts = [], []
        for early, late, before, after in zip(*(seen.to_numpy() for seen in pair), *off, strict=True):
            found = mechanisms.census(early[None], late[None], after[None], times[1] - times[0], before[None])
            rates.append(float(found.dead_rate))
            counts.append(int(np.sum(before & after)))
        made |= {f"dead, ridge {ridge:g}": np.array(counts), _dead_name(ridge): np.array(rates)[np.array(counts) > 0]}
    return made


def _some_are_dead(data: Arrays, parameters: Numbers) -> Check:
    counts = {ridge: data[f"dead, ridge {ridge:g}"] for ridge in parameters["ridges"]}
    holds = all(np.sum(one > 0) >= 3 and np.sum(one) >= 20 for one in counts.values())
    said = ", ".join(f"{int(one.sum())} in {int(np.sum(one > 0))} of {len(one)} runs at ridge {r:g}" for r, one in counts.items())
    return Check(bool(holds), f"Neurons that are off on every example at both times: {said}; at least 20 in 3 runs are needed.")


def _dead_plot(ax, data: Arrays, parameters: Numbers) -> None:
    ridges = np.array(parameters["ridges"])
    for ridge in ridges:
        rates = data[_dead_name(ridge)]
        ax.plot(np.full(len(rates), ridge), rates, "_", color="tab:blue", label="runs" if ridge == ridges[0] else None)
    fine = np.linspace(0, 1.1 * ridges.max(), 50)
    ax.plot(fine, np.log1p(-parameters["step_size"] * fine), color="black", linewidth=1, label="predicted")
    ax.set(xlabel="ridge", ylabel="growth of log |theta| per step")
    ax.legend(fontsize="small")


DEAD = Claim(
    name="dead neurons",
    statement="Neurons of a trained ReLU network that are off on every example decay by the ridge alone.",
    formula=r"\log|\theta_{n+1}|-\log|\theta_n| = \log(1-\eta\lambda)",
    source="Ours: no gradient passes a ReLU that is off",
    parameters={"step_size": 1.0, "ridges": (1e-3, 3e-3), "width": 256, "steps": 3000},
    rows=_dead_rows,
    experiment=_dead_experiment,
    sizes=(4, 8),
    hypotheses=(Hypothesis("There are dead neurons.", _some_are_dead),),
    controls={
        "rates off by 2 %": {"rows": tampered(_dead_rows, 1.02)},
        "dead on a fifth of the examples": {"experiment": lambda key, size, p: _dead_experiment(key, size, p, every=5)},
        "noise of its own for every neuron": {
            "experiment": lambda key, size, p: _dead_experiment(key, size, p, temperature=1e-4)
        },
    },
    plot=_dead_plot,
    domain={
        "step_size": Real(0.7, 1.5),
        "ridges": Several(Real(5e-4, 5e-3, even="log"), 1, 3, rising=True),
        "width": Whole(128, 512),
        "steps": Whole(2000, 4000),
    },
)


# -- the parts of an error ----------------------------------------------------------------------------------------------------

RUNS = 8  # of a decomposition
DIRECT = 10_000  # networks by which finite widths are known
SHARES = (0.3, 0.9)  # of neurons that are not 0, in two kinds of networks that are equally frequent
PARTS = ("sampling", "law", "dependence")


@dataclasses.dataclass(frozen=True)
class _Law:
    """Sizes of neurons of a known law: Pareto of the index `alpha`, or |N(0, 1)| with a share of zeros.

    Args:
        alpha: index, or None: normal.
        alive: share that is not 0 of the neurons of a network, one for each of the kinds of networks.
    """

    alpha: float | None = None
    alive: tuple[float, ...] = (1.0,)

    def networks(self, rng: np.random.Generator, runs: int, width: int, independent: bool = False) -> np.ndarray:
        """Sizes (runs, width, 1); `independent`: every neuron draws its own kind."""
        sizes = np.abs(rng.standard_normal((runs, width))) if self.alpha is None else rng.pareto(self.alpha, (runs, width)) + 1
        share = np.array(self.alive)[rng.integers(len(self.alive), size=(runs, width if independent else 1))]
        return np.where(rng.random((runs, width)) < share, sizes, 0.0)[..., None]

    def limit(self, kappa: float) -> float:
        """Logarithm of the mean error of infinitely wide normal networks: kappa / alive of what is alive is kept."""
        return float(np.log(np.mean([compressibility.limit_error(stats.norm(), kappa / one) for one in self.alive])))

    @property
    def mixed(self) -> "_Law":
        """The law of a neuron, of which independent ones are drawn."""
        return _Law(self.alpha, (float(np.mean(self.alive)),))


@lru_cache(maxsize=64)
def _direct(law: _Law, width: int, kappa: float) -> tuple[float, float]:
    """Logarithm of the mean error of independent networks, and the squared relative deviation of one of them."""
    rng, at_once = np.random.default_rng(0), max(1, 4_000_000 // width)
    errors = np.concatenate(
        [
            pruning.error_curve(law.networks(rng, min(at_once, DIRECT - done), width), kappa, "magnitude", 2.0)
            for done in range(0, DIRECT, at_once)
        ]
    )
    return float(np.log(errors.mean())), float(errors.var() / errors.mean() ** 2)


def _laws(name: str, parameters: Numbers) -> dict[int, _Law]:
    """By width."""
    widths = parameters["widths"]
    if name == "heavy":
        return dict.fromkeys(widths, _Law(parameters["alpha"]))
    if name == "vanishing":
        return {n: _Law(alive=(float(one),)) for n, one in zip(widths, np.linspace(0.9, 0.4, len(widths)), strict=True)}
    return dict.fromkeys(widths, _Law(alive=SHARES))


def _slope(widths, values) -> float:
    x = np.log(widths) - np.mean(np.log(widths))
    return float(x @ np.asarray(values) / np.sum(x**2))


def _limits(name: str, parameters: Numbers) -> dict[str, float]:
    """Parts for N -> infinity: slopes of sampling and law, the dependence of the widest networks."""
    widths, laws = parameters["widths"], list(_laws(name, parameters).values())
    if name == "heavy":
        return {"sampling": -float(compressibility.decay_exponent(parameters["alpha"])), "law": 0.0, "dependence": 0.0}
    moved = [law.mixed.limit(parameters["kappa"]) for law in laws]
    return {
        "sampling": 0.0,
        "law": _slope(widths, moved),
        "dependence": laws[-1].limit(parameters["kappa"]) - moved[-1],
    }


def _off(name: str, parameters: Numbers) -> tuple[dict[str, float], float]:
    """What finite widths add to the parts, and what logarithms of means of `RUNS` errors may be too low by."""
    widths, kappa, laws = parameters["widths"], parameters["kappa"], _laws(name, parameters)
    wide = laws[widths[-1]]
    own, of_wide = ([_direct(law.mixed, n, kappa)[0] for n, law in many.items()] for many in (laws, dict.fromkeys(widths, wide)))
    whole, spread = _direct(wide, widths[-1], kappa)
    found = {
        "sampling": _slope(widths, of_wide),
        "law": _slope(widths, np.subtract(own, of_wide)),
        "dependence": whole - own[-1],
    }
    limits = _limits(name, parameters)
    return {part: found[part] - limits[part] for part in PARTS}, spread / (2 * RUNS)


DETECTS = {"heavy": (0.08, 0.25), "vanishing": (0.03, 0.06), "sharing": (0.03, 0.15)}
SYSTEMS = {
    "heavy": "heavy independent sizes",
    "vanishing": "sizes that vanish with the width",
    "sharing": "sizes that share a fate",
}


def _parts_rows(parameters: Numbers) -> list[Row]:
    ratio = float(np.log(parameters["widths"][-1] / parameters["widths"][0]))
    made = []
    for name, called in SYSTEMS.items():
        limits = _limits(name, parameters)
        for part in PARTS:

            def measured(data, name=name, part=part):
                off, low = _off(name, parameters)
                found = _bias.corrected(mean(data[f"{name}, {part}"]), off[part], "", _bias.EXACT)
                room = low if part == "dependence" else low / ratio
                return replace(found, bias=found.bias + room, why=f"finite widths, and logarithms of means of {RUNS} errors")

            what = "dependence" if part == "dependence" else f"slope of {part}"
            made.append(Row(f"{what}, {called}", limits[part], measured, *DETECTS[name]))
    return made


def _parts_experiment(key, size, parameters, instead=None) -> Arrays:
    """Decompositions of `size` times `RUNS` networks; `instead`: laws by width in place of those of a system."""
    rng, made = generator(key), {}
    for i, name in enumerate(SYSTEMS):
        laws = (instead or {}).get(name) or _laws(name, parameters)
        found = []
        for j in range(size):
            networks = {n: law.networks(rng, RUNS, n) for n, law in laws.items()}
            own = jax.random.fold_in(jax.random.fold_in(key, i), j)
            one = mechanisms.decompose(networks, parameters["kappa"], key=own)
            found.append([one.slopes["sampling"].value, one.slopes["law"].value, one.dependence.value[-1]])
        made |= {f"{name}, {part}": column for part, column in zip(PARTS, np.array(found).T, strict=True)}
    return made


def _swapped(name: str, other):
    """A control: the system `name` has the laws that `other(parameters)` gives."""
    return {"experiment": lambda key, size, p: _parts_experiment(key, size, p, {name: other(p)})}


def _moving(parameters: Numbers) -> dict[int, _Law]:
    """Heavier the wider, with the index of the claim in the widest networks."""
    widths, alpha = parameters["widths"], parameters["alpha"]
    return {n: _Law(alpha * factor) for n, factor in zip(widths, np.linspace(1.5, 1.0, len(widths)), strict=True)}


def _blind(parameters: Numbers) -> dict[str, float]:
    """Predictions of somebody who takes neurons that share a fate for independent ones."""
    return {name: 0.0 for name in predictions(_parts_rows, parameters) if name.startswith("dependence")}


def _by_sampling(parameters: Numbers) -> dict[str, float]:
    """Predictions of somebody who takes the fall of a law that moves for that of sampling."""
    law = _limits("vanishing", parameters)["law"]
    return {f"slope of sampling, {SYSTEMS['vanishing']}": law, f"slope of law, {SYSTEMS['vanishing']}": 0.0}


def _parts_plot(ax, data: Arrays, parameters: Numbers) -> None:
    rows = _parts_rows(parameters)
    places = np.arange(len(rows))
    mfplot.estimates(ax, places, [row.measured(data) for row in rows], 4, color="tab:blue", capsize=2)
    ax.plot(places, [row.predicted for row in rows], "_", color="black", markersize=14)
    ax.set_xticks(places, [f"{part}" for _ in SYSTEMS for part in PARTS], fontsize="small", rotation=60)
    for i, name in enumerate(SYSTEMS):
        ax.annotate(name, (3 * i + 1, 0.03), xycoords=("data", "axes fraction"), ha="center", fontsize="small")
    ax.set(ylabel="part of log error (lines: predicted)")


def _parts_fits(parameters: Numbers) -> None:
    widths, kappa = parameters["widths"], parameters["kappa"]
    must = f"keep 5 or more of {widths[0]} neurons, and less than {min(SHARES):g}, all that is alive in some networks"
    _check.require(kappa * widths[0] >= 5 and kappa < 0.8 * min(SHARES), "kappa", must, kappa)
    _check.require(widths[-1] >= 8 * widths[0], "widths", "end at 8 times their first or more", widths)


DECOMPOSITION = Claim(
    name="parts of an error",
    statement="`decompose` gives a fall to sampling, to a law that moves or to dependence where one of them alone makes it.",
    formula=r"\log\mathrm{err}(N) = D(W;W)+[D(N;W)-D(W;W)]+[D(N;N)-D(N;W)]+[\log\mathrm{err}(N)-D(N;N)]",
    source="Ours, `measure.mechanisms.decompose`; limits: Gribonval, Cevher, Davies (2012), Proposition 1",
    parameters={"alpha": 1.3, "kappa": 0.1, "widths": (64, 256, 1024)},
    rows=_parts_rows,
    experiment=_parts_experiment,
    sizes=(12, 200),
    controls={
        "a fate that is shared, unseen": {"rows": predicting(_parts_rows, _blind)},
        "a law that moves taken for sampling": {"rows": predicting(_parts_rows, _by_sampling)},
        "index off by 20 %": {
            "rows": predicting(
                _parts_rows,
                lambda p: {f"slope of sampling, {SYSTEMS['heavy']}": -float(compressibility.decay_exponent(0.8 * p["alpha"]))},
            )
        },
        "neurons that are not independent": _swapped("vanishing", lambda p: dict.fromkeys(p["widths"], _Law(alive=SHARES))),
        "a heavy law that moves": _swapped("heavy", _moving),
    },
    plot=_parts_plot,
    domain={
        "alpha": Real(1.1, 1.6),
        "kappa": Real(0.08, 0.2),
        "widths": Several(Whole(64, 2048), 2, 4, rising=True),
    },
    fits=_parts_fits,
)

CLAIMS = (EXPONENT, BOUNDARY, DEAD, DECOMPOSITION)
