"""Claims on two Gaussians that differ in scale: Mei, Montanari, Nguyen (2018)."""

import functools
from dataclasses import replace

import jax
import numpy as np
import optax
from scipy import optimize, stats

from meanfield import _check
from meanfield import plot as mfplot
from meanfield._keys import generator
from meanfield.systems import data as sources
from meanfield.systems import dynamics
from meanfield.systems.examples import RAMP
from meanfield.systems.networks import TwoLayer
from meanfield.systems.system import System
from meanfield.theory import solvable as theory
from meanfield.verify.claim import Check, Claim, Hypothesis, Prediction, Row, mean
from meanfield.verify.claims._tools import predicting, run_to_the_end, tampered
from meanfield.verify.domain import Real, Several, Whole

SOURCE = "Mei, Montanari, Nguyen (2018)"

# -- the flow -------------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def _risks(radius: float, dim: int, delta: float, times: tuple[float, ...]) -> tuple[float, ...]:
    """Risks of the flow from the radii of N(0, radius^2 / dim I): midpoints of 200 equal shares."""
    radii = radius * np.sqrt(stats.chi2(dim).ppf((np.arange(200) + 0.5) / 200) / dim)
    return tuple(theory.radial_flow(radii, delta, times).risks.tolist())


def _times(parameters) -> dict[str, float]:
    """Times by name."""
    return {f"t = {t:g}": t for t in parameters["times"]}


def _flow(parameters, radius=None, factor=1.0) -> dict[str, tuple[float, float]]:
    p = parameters
    risks = _risks(p["radius"] if radius is None else radius, p["dim"], p["delta"], p["times"])
    low, high = factor * (1 - p["tolerance"]), factor * (1 + p["tolerance"])
    return {name: (low * risk, high * risk) for name, risk in zip(_times(p), risks, strict=True)}


def _flow_rows(parameters):
    predicted = _flow(parameters).items()
    return [Row(name, ends, lambda data, name=name: mean(data[name]), SEEN, 0.15) for name, ends in predicted]


def _another(parameters) -> float:
    """Radius of a start that is told from the one of the claim."""
    return 1.2 if parameters["radius"] < 0.85 else 0.5


SEEN = 0.06  # deviation of a risk that the full budget detects


def _flow_fits(parameters) -> None:
    """The flow forgets its start and then rests: where all times are late, or all early, the claim would fit too much."""
    late = parameters["times"][-1]
    _check.require(late >= 0.5, "times", "end at 0.5 or later, to tell the pace of the flow", parameters["times"])
    own, other = _flow(parameters).values(), _flow(parameters, radius=_another(parameters)).values()
    spread = 1 + parameters["tolerance"]
    gap = max(max(b[0] - a[1], a[0] - b[1]) for a, b in zip(own, other, strict=True)) / spread
    must = f"begin early enough to tell the start from one at radius {_another(parameters):g} by {SEEN:g} beyond the tolerance"
    _check.require(gap >= SEEN, "times", must, parameters["times"])


def _flow_experiment(key, size, parameters, delta=None, momentum=0.0):
    """Squared residuals of every run at the times, meaned over examples that no other run sees."""
    p = parameters
    delta = p["delta"] if delta is None else delta
    data = sources.gaussian_classes(jax.random.fold_in(key, 0), dim=p["dim"], delta=delta, test_size=1)
    scale = p["radius"] / float(np.sqrt(p["dim"]))
    network = TwoLayer(RAMP, "squared", train_output=False, output_weights="ones", init_scale=scale)
    sgd = dynamics.SGD(p["step_size"], p["batch_size"])
    slipped = dynamics.Optax(optax.sgd(p["step_size"], momentum=momentum), p["batch_size"])
    system = System(network, data, slipped if momentum else sgd)
    draw, own, made = generator(jax.random.fold_in(key, 1)), jax.random.fold_in(key, 2), {}
    for name, t in _times(p).items():
        steps = round(2 * t / p["step_size"])  # the loss is half the square
        results = run_to_the_end(system, widths=p["width"], steps=steps, seeds=size, key=own)
        risk = []
        for w in results.particles[p["width"]].w[0]:
            y = draw.choice(np.array([-1.0, 1.0], np.float32), p["examples"])
            x = (1 + y[:, None] * np.float32(delta)) * draw.standard_normal((p["examples"], p["dim"]), np.float32)
            f = np.mean(np.clip(10 * (x @ w.T) - 7.5, -2.5, 7.5), axis=1, dtype=np.float64)
            risk.append(np.mean((y - f) ** 2))
        made[name] = np.array(risk)
    return made


def _flow_plot(ax, data, parameters):
    times = np.geomspace(parameters["times"][0] / 3, parameters["times"][-1], 30)
    p = parameters
    risks = np.array(_risks(p["radius"], p["dim"], p["delta"], tuple(times.tolist())))
    ax.plot(times, risks, color="black", linewidth=1, label="PDE")
    ax.fill_between(times, risks * (1 - p["tolerance"]), risks * (1 + p["tolerance"]), color="lightgrey", label="tolerance")
    mfplot.estimates(ax, p["times"], [mean(data[name]) for name in _times(p)], color="steelblue", label="SGD")
    ax.set(xscale="log", xlabel="time", ylabel="risk")
    ax.legend(fontsize="small")


def _no_run_stands_out(data, parameters) -> Check:
    worst = max(float(np.max(np.abs(r - np.mean(r))) / np.std(r, ddof=1)) for r in data.values())
    return Check(
        worst < 8, f"The risk of a run is at most {worst:.1f} standard deviations from that of the others; 8 is too much."
    )


TIMES = (0.1, 0.3, 1.0, 3.0)

FLOW = Claim(
    name="radial flow",
    statement="The risk of SGD follows that of the PDE for the radii, up to 4 % at 400 neurons in 40 dimensions with step 0.01.",
    formula=r"R(\theta_{t/\varepsilon}) \approx R(\rho_t),\quad \partial_t\rho_t = 2\,\partial_r(\rho_t\,\partial_r\psi(r;\rho_t))",
    source=SOURCE + ", theorem 3 and the centred isotropic Gaussians",
    parameters={
        "delta": 0.8,
        "radius": 0.8,
        "dim": 40,
        "width": 400,
        "step_size": 0.01,
        "batch_size": 25,
        "times": TIMES,
        "tolerance": 0.04,  # the PDE is that of infinite width and dimension, and of vanishing steps
        "examples": 1000,
    },
    rows=_flow_rows,
    experiment=_flow_experiment,
    sizes=(20, 80),
    hypotheses=(Hypothesis("The runs are alike.", _no_run_stands_out),),
    domain={
        "delta": Real(0.78, 0.9),  # below, risks are small beside what 400 neurons add to them
        "radius": Real(0.5, 1.2),
        "dim": Whole(40, 60),
        "width": Whole(400, 600),
        "step_size": Real(0.005, 0.01),
        "batch_size": Whole(25, 50),
        "times": Several(Real(0.1, 3.0, even="log"), 2, 4, rising=True),
        "tolerance": Real(0.04, 0.1),
        "examples": Whole(1000, 3000),
    },
    fits=_flow_fits,
    controls={
        "risk 20 % larger": {"rows": predicting(_flow_rows, lambda p: _flow(p, factor=1.2))},
        "risk 20 % smaller": {"rows": predicting(_flow_rows, lambda p: _flow(p, factor=0.8))},
        "another start": {"rows": predicting(_flow_rows, lambda p: _flow(p, radius=_another(p)))},
        "momentum of 0.9": {"experiment": lambda key, size, p: _flow_experiment(key, size, p, momentum=0.9)},
        "another Delta": {"experiment": lambda key, size, p: _flow_experiment(key, size, p, delta=0.6)},
    },
    plot=_flow_plot,
)

# -- what radial laws can reach -------------------------------------------------------------------------------------------

RADII = np.concatenate([[1e-3], np.geomspace(0.2, 20, 1200)])
BELOW, ABOVE = {"distance, 0.2": 0.2, "distance, 0.3": 0.3, "distance, 0.4": 0.4}, {"distance, 0.6": 0.6}  # Delta


def _least_rows(parameters):
    """Least distances sqrt(2 risk) of E(f | y) from y = (1, -1) over all radial laws, and the Delta where they reach 0."""
    rounding = parameters["rounding"]
    why = f"distances that count as 0 from {rounding:g} on"

    def distance(name: str, predicted: Prediction) -> Row:
        return Row(name, predicted, lambda data: mean(data[name]), 0.02, 0.05)

    def threshold(data):
        """Near it distances are at least as large as what Delta is below it: `rounding` of one is `rounding` of the other."""
        return replace(mean(data["threshold"]), bias=rounding, why=why)

    return [
        Row("threshold", theory.zero_risk_threshold(), threshold, 0.005, 0.02),
        *(distance(name, float(np.sqrt(2 * theory.minimal_risk(delta)))) for name, delta in BELOW.items()),
        *(distance(name, (0.0, rounding)) for name in ABOVE),
    ]


def _fit(response, delta: float) -> tuple[float, np.ndarray]:
    """Distance and weights of the best law on RADII, by non-negative least squares; weights sum to 1 by a stiff third row."""
    rows = np.stack([response((1 + delta) * RADII), response((1 - delta) * RADII), np.full(len(RADII), 1e3)])
    weights = optimize.nnls(rows, np.array([1.0, -1.0, 1e3]))[0]
    weights = weights / weights.sum()
    return float(np.hypot(*(rows[:2] @ weights - [1.0, -1.0]))), weights


def _least_experiment(key, size, parameters, top=1.5):
    """Best radial laws when every neuron sees the same normal sample; the activation is flat from `top` on."""
    draw = generator(key)
    made = {name: [] for name in ("threshold", "largest radius", *BELOW, *ABOVE)}
    for _ in range(size):
        g = np.sort(np.abs(draw.standard_normal(parameters["sample"])))
        above = np.append(np.cumsum(g[::-1])[::-1], 0.0)  # sums of the numbers from each place on

        def excess(tau, knee, g=g, above=above):  # mean (tau G - knee)_+ over the sample and its mirror image
            place = np.searchsorted(g, knee / tau)
            return (tau * above[place] - knee * (len(g) - place)) / (2 * len(g))

        def response(tau, excess=excess):
            return -2.5 + 10 * (excess(tau, 0.5) - excess(tau, top))

        for name, delta in (BELOW | ABOVE).items():
            distance, weights = _fit(response, delta)
            made[name].append(distance)
            if name in BELOW:  # above, many laws do
                made["largest radius"].append(RADII[weights > 1e-6].max())
        low, high = 0.05, 0.95
        for _ in range(15):
            middle = (low + high) / 2
            low, high = (low, middle) if _fit(response, middle)[0] < parameters["rounding"] else (middle, high)
        made["threshold"].append((low + high) / 2)
    return {name: np.array(values) for name, values in made.items()}


def _inside(data, parameters) -> Check:
    largest = float(np.max(data["largest radius"]))
    return Check(largest < RADII[-1], f"The best laws have radii up to {largest:.3g}, of {RADII[-1]:g} that were tried.")


def _least_plot(ax, data, parameters):
    deltas = np.linspace(0.1, 0.9, 17)
    ax.plot(deltas, [np.sqrt(2 * theory.minimal_risk(float(d))) for d in deltas], color="black", linewidth=1, label="predicted")
    points = [np.mean(data[name]) for name in BELOW | ABOVE]
    ax.plot(list((BELOW | ABOVE).values()), points, "o", color="steelblue", label="best law found")
    ax.axvline(mean(data["threshold"]).value, color="steelblue", linestyle=":", label="zero risk from here on, found")
    ax.set(xlabel="Delta", ylabel="sqrt(2 least risk)")
    ax.legend(fontsize="small")


LEAST = Claim(
    name="Delta threshold",
    statement="In infinite dimension a radial law reaches zero risk if and only if Delta is at least 0.4742.",
    formula=r"\min_\rho R(\rho)=0 \iff \Delta\ge\frac{u-v}{u+v},\quad q(u)=1,\ q(v)=-1",
    source=SOURCE + ", who report 0.47; the formula is ours",
    parameters={"sample": 100_000, "rounding": 3e-4},
    rows=_least_rows,
    experiment=_least_experiment,
    sizes=(20, 60),
    hypotheses=(Hypothesis("Larger radii would not do better.", _inside),),
    domain={"sample": Whole(20_000, 400_000), "rounding": Real(1e-4, 1e-3, even="log")},
    controls={
        "threshold off by 10 %": {"rows": tampered(_least_rows, 1.1, only="threshold")},
        "threshold off by -10 %": {"rows": tampered(_least_rows, 0.9, only="threshold")},
        "all off by 20 %": {"rows": tampered(_least_rows, 1.2)},
        "another activation": {"experiment": lambda key, size, p: _least_experiment(key, size, p, top=1.3)},
    },
    plot=_least_plot,
)

CLAIMS = (FLOW, LEAST)
