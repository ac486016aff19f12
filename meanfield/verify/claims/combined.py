"""What the founding theorem leaves open: the order of its two limits, and which networks can meet both of its hypotheses. Ours."""

import warnings

import jax
import numpy as np

from meanfield import _check
from meanfield.measure import pruning
from meanfield.simulate import simulate
from meanfield.systems import data as sources
from meanfield.systems import dynamics
from meanfield.systems.examples import digit_components, quadratic_system
from meanfield.systems.networks import TwoLayer
from meanfield.systems.system import System
from meanfield.theory import compressibility, network, recursion
from meanfield.verify.claim import Arrays, Check, Claim, Estimate, Hypothesis, Numbers, Row, mean
from meanfield.verify.claims import _bias
from meanfield.verify.claims._tools import (
    largest_hundredth,
    log_index,
    log_slope,
    predicting,
    predictions,
    run_to_the_end,
    side_by_side,
    stationary,
    tampered,
)
from meanfield.verify.domain import OneOf, Real, Whole

SIZES = 2**20  # neurons whose tail is looked at

# -- the order of the limits ----------------------------------------------------------------------------------------------


def _chains(key, width: int, steps: int, runs: int, step_size: float, parameters: Numbers) -> np.ndarray:
    """Neurons (runs, N) of the recursion that is coupled by its mean."""
    recursion_ = dynamics.LinearRecursion(step_size, 1, weight_decay=parameters["weight_decay"], coupled=True)
    system = System(dynamics.chains(), sources.gaussian_regression(1), recursion_)
    results = run_to_the_end(system, widths=width, steps=steps, seeds=runs, key=key)
    return np.asarray(results.particles[width].w[0, :, :, 0], np.float64)


def _order_experiment(key, size, parameters, steps=None) -> Arrays:
    """`size` networks of many neurons, briefly; as many neurons in networks of few, for long."""
    p, made = parameters, {}
    eta = recursion.step_size_for(p["tail_index"], 1, 1, weight_decay=p["weight_decay"])
    for i, order in enumerate(ORDERS):
        few, long = (p["wide"], steps or p["short"]) if i == 0 else (p["narrow"], p["long"])
        x = _chains(jax.random.fold_in(key, i), few, long, size * p["wide"] // few, eta, p).reshape(size, p["wide"])
        made[f"mean log, {order}"] = np.log(np.abs(x)).mean(axis=1)
        made[f"sizes, {order}"] = np.abs(x.ravel()[-SIZES:]).astype(np.float32)
    halfway = _chains(jax.random.fold_in(key, 2), p["wide"], (steps or p["short"]) // 2, 2, eta, p)
    made["sizes, halfway"] = np.abs(halfway.ravel()).astype(np.float32)
    # How the limits are approached, for the figure: in time at a large width, in width after a long time.
    made["times"] = np.array([1, 2, 4, 8, 16])
    made["log at times"] = np.array([np.log(np.abs(_chains(key, p["wide"], int(t), 1, eta, p))).mean() for t in made["times"]])
    return made


ORDERS = ("width first", "time first")


def _order_rows(parameters):
    p, log_alpha = parameters, float(np.log(parameters["tail_index"]))

    def index(order: str, steps: int) -> Row:
        def measured(data):
            largest = largest_hundredth(data[f"sizes, {order}"])
            threshold = float(np.min(largest))
            why = f"the bend of the tail at its threshold {threshold:.3g} and the {steps} steps"
            return _bias.log_alpha(largest, _reading(p, threshold, steps), why)

        return Row(f"log index, {order}", log_alpha, measured, 0.06, 0.08)

    def difference(data):
        first, second = (data[f"mean log, {order}"] for order in ORDERS)
        return mean(second - first)  # independent, group by group

    return [
        index(ORDERS[0], p["short"]),
        index(ORDERS[1], p["long"]),
        Row("difference of E log|w|", (-p["room"], p["room"]), difference, 0.01, 0.05),
    ]


def _heavier(parameters):
    return predictions(_order_rows, {**parameters, "tail_index": 1.1 * parameters["tail_index"]})


def _reading(parameters: Numbers, threshold: float, steps: int) -> _bias.Reading:
    """Of the chains beyond the threshold: `P(|w| > t) = C t^-alpha (1 + D t^-2)`, D as in `_bias`, grown for so many steps."""
    alpha, ridge = parameters["tail_index"], parameters["weight_decay"]
    eta = recursion.step_size_for(alpha, 1, 1, weight_decay=ridge)
    log_h = [np.log(recursion.moment(s, eta, 1, 1, weight_decay=ridge)) for s in (0.999 * alpha, alpha, 1.001 * alpha)]
    drift, spread = (log_h[2] - log_h[0]) / (0.002 * alpha), (log_h[2] - 2 * log_h[1] + log_h[0]) / (0.001 * alpha) ** 2
    x = np.linspace(0, 10, 20_001)
    weight = np.exp(-(x**2) / 2) / np.sum(np.exp(-(x**2) / 2))
    top = alpha * (alpha + 1) / 2 * float(np.sum(weight * np.abs(1 - eta * (x**2 + ridge)) ** alpha * (eta * x) ** 2))
    bend = -top / (recursion.moment(alpha + 2, eta, 1, 1, weight_decay=ridge) - 1)
    grown = _bias.grown(alpha, _bias.SHARE, steps, float(drift), float(spread))
    return _bias.reading(alpha, _bias.bent(alpha, bend / threshold**2, grown))


def _without_a_mean(key, size, parameters) -> Arrays:
    """The mean that holds the neurons together has no limit at an index below 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", _check.StabilityWarning)
        return _order_experiment(key, size, parameters)


def _order_plot(ax, data, parameters):
    ax.plot(
        data["times"], data["log at times"], "o-", color="black", markersize=4, label=f"N = {parameters['wide']:,}, after n steps"
    )
    for order, style in zip(ORDERS, ("-", ":"), strict=True):
        ax.axhline(data[f"mean log, {order}"].mean(), linestyle=style, linewidth=1.2, label=order)
    ax.set(xscale="log", xlabel="steps n", ylabel="E log|w|")
    ax.legend(fontsize="small")


ORDER_AT = {
    "tail_index": 1.6,
    "weight_decay": 0.25,
    "wide": 100_000,
    "short": 40,
    "narrow": 10_000,
    "long": 400,
    "room": 0.005,  # of E log|w|: what 10 000 neurons leave, 0.003 or less
}

ORDER = Claim(
    name="order of limits",
    statement="Wide networks after a short time and narrower ones after a long time have neurons of one law, with one tail index.",
    formula=r"\lim_{n\to\infty}\lim_{N\to\infty}\mathrm{Law}(w^1_n)=\lim_{N\to\infty}\lim_{n\to\infty}\mathrm{Law}(w^1_n)",
    source="Barsbey, Sefidgaran, Erdogdu, Richard, Simsekli (2021) assume it; on the coupled recursion, ours",
    parameters=ORDER_AT,
    rows=_order_rows,
    experiment=_order_experiment,
    sizes=(8, 60),
    hypotheses=(stationary("sizes, halfway", "sizes, width first"),),
    domain={
        "tail_index": Real(1.55, 2.0),
        "weight_decay": Real(0.2, 0.4),
        "wide": OneOf(100_000, 200_000),
        "short": Whole(40, 80),
        "narrow": OneOf(10_000, 20_000),
        "long": Whole(200, 400),
        "room": Real(0.005, 0.02, even="log"),
    },
    controls={
        "a law without a mean": {"parameters": {**ORDER_AT, "tail_index": 0.9}, "experiment": _without_a_mean},
        "index off by 10 %": {"rows": predicting(_order_rows, _heavier)},
        "too few steps": {"experiment": lambda key, size, p: _order_experiment(key, size, p, steps=2)},
    },
    plot=_order_plot,
)


# -- where the hypotheses can meet ------------------------------------------------------------------------------------------

NORMS = (2, 6)  # below and above the index of the quadratic network


def _quadratic(key, size, parameters, step_size=None) -> Arrays:
    """Pruning errors in l_2 and l_6 at both widths, and neurons of the wide one at half of the steps and at the end."""
    system, steps, made = quadratic_system([step_size or parameters["step_size"]]), parameters["steps"], {}

    def neurons(n, steps, runs, stream):
        """Of the runs that live: fluctuations of a mean of squares can feed back and blow up."""
        own = jax.random.fold_in(key, stream)
        results = simulate(system, widths=n, steps=steps, seeds=runs, key=own, probes=(), progress=False)
        alive = results.require_uninterrupted().complete(n)[0]
        if alive.sum() < runs / 2:
            results.require_complete()
        made[f"lost, {n}"] = np.mean(~alive)
        return np.asarray(results.particles[n].w[0, alive], np.float64)

    narrow = parameters["widths"][0]
    made["sizes halfway"] = np.abs(neurons(narrow, steps // 2, size, 0)[:, :256].ravel()).astype(np.float32)
    for i, n in enumerate(parameters["widths"], 1):
        x = neurons(n, steps, size, i)
        for q in NORMS:
            made[f"l_{q}, {n}"] = pruning.error_curve(x, parameters["kappa"], "magnitude", q)
        if n == narrow:
            made["sizes at the end"] = np.abs(x[:, :256].ravel()).astype(np.float32)
    made["sizes"] = np.abs(neurons(parameters["large"], steps, -(-size // 60), 3).ravel()[:SIZES]).astype(np.float32)
    return made


def _injected(key, size, parameters, index=None) -> Arrays:
    """Pruning errors of tanh networks with stable noise; their accuracy, and that with Gaussian noise of the same scale."""
    p, made = parameters, {}
    net, data = TwoLayer("tanh", train_output=False), sources.from_arrays(*digit_components(8), classes=10)

    def neurons(n, alpha, runs, own):
        noisy = dynamics.StableSGD(1.0, 8, alpha, p["scale"], "scalar", weight_decay=p["injected_decay"])
        results = run_to_the_end(System(net, data, noisy), widths=n, steps=p["injected_steps"], seeds=runs, key=own)
        particles = results.particles[n]
        accuracy = [_accuracy(data, *one) for one in zip(particles.w[0, :20], np.asarray(particles.a)[0, :20], strict=True)]
        return np.asarray(particles.w[0], np.float64), np.array(accuracy)

    for i, n in enumerate(p["injected_widths"]):
        w, made["accuracy"] = neurons(n, index or p["alpha"], size, jax.random.fold_in(key, i))  # the wide one is the last
        made[f"injected, {n}"] = pruning.error_curve(w, p["kappa"], "node")
    _, made["accuracy, Gaussian"] = neurons(p["injected_widths"][-1], 2.0, min(size, 20), jax.random.fold_in(key, 2))
    return made


def _accuracy(data, w, a) -> float:
    f = np.tanh(np.asarray(data.x)[::4] @ w.T) @ a
    return float(np.mean(np.argmax(f, axis=1) == np.asarray(data.y)[::4]))


def _compatible_experiment(key, size, parameters, step_size=None, index=None) -> Arrays:
    """The quadratic network is cheap, and the law of its l_6 error wide: three runs of it for one of the other."""
    keys = jax.random.split(key)
    parts = side_by_side(
        {
            "quadratic": lambda: _quadratic(keys[0], 3 * size, parameters, step_size),
            "injected": lambda: _injected(keys[1], size, parameters, index),
        }
    )
    return parts["quadratic"] | parts["injected"]


def _compatible_rows(parameters):
    p = parameters
    alpha = network.quadratic_tail_index(p["step_size"], 1.0)
    falls, injected_falls = -float(compressibility.decay_exponent(alpha, 6.0)), -float(compressibility.decay_exponent(p["alpha"]))

    def slope(what, widths):
        return lambda data: log_slope(widths, [data[f"{what}, {n}"] for n in widths])

    def accuracy(data):
        one, other = mean(data["accuracy"]), mean(data["accuracy, Gaussian"])
        error = np.hypot(one.standard_error / other.value, one.value * other.standard_error / other.value**2)
        return Estimate(one.value / other.value, float(error), dof=one.dof)

    return [
        Row("quadratic: log index", float(np.log(alpha)), lambda data: log_index(data["sizes"]), 0.16, 0.3),
        Row("quadratic: slope, l_2", (-p["room"], p["room"]), slope("l_2", p["widths"]), 0.08, 0.2),
        Row("quadratic: slope, l_6", falls, slope("l_6", p["widths"]), 0.12, 0.6),
        Row("tanh: slope, l_2", injected_falls, slope("injected", p["injected_widths"]), 0.25, 1.0),
        Row("tanh: accuracy kept", (0.9, np.inf), accuracy, 0.12, 0.3),
    ]


def _alive(data, parameters) -> Check:
    lost = max(float(data[f"lost, {n}"]) for n in parameters["widths"])
    return Check(
        lost < 0.2, f"{lost:.1%} of the quadratic networks blew up; 20 % would be too much: what is left would be a choice."
    )


def _compatible_plot(ax, data, parameters):
    p, predicted = parameters, predictions(_compatible_rows, parameters)
    for what, widths, label, exponent in (
        ("l_2", p["widths"], "quadratic, p = 2", 0.0),
        ("l_6", p["widths"], "quadratic, p = 6", predicted["quadratic: slope, l_6"]),
        ("injected", p["injected_widths"], "tanh, stable noise, p = 2", predicted["tanh: slope, l_2"]),
    ):
        logs = [np.log(data[f"{what}, {n}"]) for n in widths]
        at, error = np.exp([one.mean() for one in logs]), [2 * one.std() / len(one) ** 0.5 for one in logs]
        (line,) = ax.plot(widths, at[0] * (np.array(widths) / widths[0]) ** exponent, ":", linewidth=1.2)
        ax.errorbar(widths, at, at * error, fmt="o", markersize=4, capsize=2, color=line.get_color(), label=label)
    ax.set(xscale="log", yscale="log", xlabel="width N (neurons)", ylabel=f"relative error, {p['kappa']:.0%} kept")
    ax.legend(fontsize="small", title="dotted: predicted slope", title_fontsize="small")


COMPATIBLE = Claim(
    name="compatibility",
    statement="Mean field and heavy tails meet below index 2 where noise is injected into a bounded network; with multiplicative noise"
    " only above 2, where l_p errors vanish for p above the index and l_2 errors do not.",
    formula=r"F\sim|w|^2:\ \alpha>2,\quad \mathrm{err}_p\to 0 \iff p>\alpha;\qquad |F|\le C:\ \text{any}\ \alpha",
    source="Ours, a conjecture put to the test: from Barsbey, Sefidgaran, Erdogdu, Richard, Simsekli (2021) and Kesten (1973)",
    parameters={
        "kappa": 0.1,
        "step_size": 0.25,
        "widths": (2_000, 20_000),
        "large": 200_000,
        "room": 0.03,  # of the slope of l_2 errors: they come to their floor like N^-(1 - 2/alpha)
        "steps": 120,
        "alpha": 1.3,
        "scale": 0.1,
        "injected_decay": 0.08,
        "injected_steps": 64,
        "injected_widths": (128, 2048),
    },
    rows=_compatible_rows,
    experiment=_compatible_experiment,
    sizes=(10, 100),
    hypotheses=(
        stationary("sizes halfway", "sizes at the end"),
        Hypothesis("The quadratic network lives: its predictor stays finite.", _alive),
    ),
    domain={
        "kappa": Real(0.08, 0.15),
        "step_size": Real(0.23, 0.26),
        "widths": OneOf((2_000, 20_000)),
        "large": OneOf(200_000),
        "room": Real(0.03, 0.05),
        "steps": Whole(100, 150),
        "alpha": Real(1.2, 1.5),
        "scale": Real(0.08, 0.12),
        "injected_decay": Real(0.06, 0.1),
        "injected_steps": Whole(60, 90),
        "injected_widths": OneOf((128, 2048), (128, 1024)),
    },
    controls={
        "index 2": {"rows": tampered(_compatible_rows, shift=float(np.log(2 / 3.033)), only="quadratic: log index")},
        "no norm compresses the quadratic network": {
            "rows": tampered(_compatible_rows, shift=0.163, only="quadratic: slope, l_6")
        },
        "stable noise does not compress": {"rows": tampered(_compatible_rows, shift=0.269, only="tanh: slope")},
        "index at 2": {"experiment": lambda key, size, p: _compatible_experiment(key, size, p, step_size=0.4)},
        "nearly Gaussian noise": {"experiment": lambda key, size, p: _compatible_experiment(key, size, p, index=1.95)},
    },
    plot=_compatible_plot,
)

CLAIMS = (ORDER, COMPATIBLE)
