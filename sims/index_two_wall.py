"""Can heavy tails and learning meet? Networks whose noise is multiplicative, beside the tail index that theory gives them.

    python -m sims.index_two_wall --out DIR

writes into DIR: config.json, summary.json, figure.png; and prints tables.

A network whose neurons enter with degree 2, f = mean of F(theta_i), |F| ~ |theta|^2, has multiplicative gradient noise, and a limit
only if its tail index is above 2. Four experiments:

1. a quadratic network on pure noise, whose index is known: measured beside predicted, and how long it lives near 2, against the width;
2. a ReLU network on digits, trained as usual: index, accuracy, and whether the law stands still;
3. a ReLU network with noise of every neuron's own, for which theory predicts the index from the residuals;
4. tanh with injected stable noise, where f is bounded and any index will do.
"""

import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table
from scipy import special

import meanfield as mf
from meanfield import _check
from meanfield import plot as mfplot
from meanfield.measure import pruning, rates, tails
from meanfield.systems.examples import digit_components, quadratic_system
from meanfield.theory import network, random_products
from sims import _run

LIFETIME_WIDTHS = (100, 300, 1_000, 3_000)
EXAMPLES, COMPONENTS = 60, 5  # of the digits in experiment 3: the population solver follows a neuron in 15 dimensions
HALF, LEARNED = 0.5, 0.9  # accuracies
SURE = 4.0  # standard errors within which all predictions of an experiment must be for it to hold
SHARE = 0.95  # of the accuracy under Gaussian noise
KEPT = 0.1  # share of the neurons that pruning keeps in experiment 4


@_run.config(
    quadratic=(0.15, 0.2),
    relu_b1=(0.25, 3.0),
    relu_b8=(1.0, 12.0),
    widths=(256,),
    steps=500,
    noisy=((1.0, 0.2, 0.02),),
    noiseless=((0.5, 0.05),),
    stable=(1.5,),
    stable_widths=(1_000,),
)
class Config:
    """Tail index against accuracy for networks with multiplicative noise, predicted beside measured where theory has a prediction."""

    out: Path = Path("out/index_two_wall")
    """Directory for the results; made if it is not there."""
    quadratic: tuple[float, ...] = (0.15, 0.2, 0.25, 0.3)
    """1: step sizes of the quadratic network (ridge 1, noise 1). Predicted indices 4.08, 3.45, 3.03, 2.73."""
    relu_b1: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
    """2: step sizes of the ReLU network at batch size 1."""
    relu_b8: tuple[float, ...] = (1.0, 4.0, 6.0, 8.0, 12.0)
    """2: step sizes of the ReLU network at batch size 8."""
    widths: tuple[int, ...] = (256, 1024, 4096)
    """2: numbers of neurons."""
    steps: int = 20_000
    """2: SGD steps."""
    noisy: tuple[tuple[float, float, float], ...] = ((1.0, 0.3, 0.1), (1.0, 0.2, 0.02), (2.0, 0.3, 0.02), (2.0, 0.2, 0.02))
    """3: step size, weight decay and temperature of the noise of every neuron's own."""
    noiseless: tuple[tuple[float, float], ...] = ((0.2, 0.05), (0.5, 0.05))
    """3: step size and weight decay without that noise."""
    stable: tuple[float, ...] = (1.3, 1.5, 1.8)
    """4: indices of the injected noise, beside Gaussian noise."""
    stable_widths: tuple[int, ...] = (512, 2048, 8192)
    """4: numbers of neurons."""
    seeds: int = 4
    """Independent runs."""
    key: int = 0
    """Seed of the random key of the whole run."""
    quick: bool = False
    """A small run, to see that everything works; it also takes fewer neurons and runs where no option names them."""


def run(config: Config) -> dict:
    """Simulate and measure; the summary with predictions beside measurements. Takes some minutes at full size."""
    for name in ("widths", "stable_widths"):
        _check.integers(name, getattr(config, name), at_least=1)
    _check.integer("seeds", config.seeds, at_least=1)
    _check.integer("steps", config.steps, at_least=2)
    parts = {
        "quadratic": _quadratic(config),
        "lifetimes": _lifetimes(config),
        "relu": _relu(config),
        "predicted": _predicted(config),
        "condensation": _condensation(config),
        "stable": _stable(config),
    }
    return {
        "about": {
            "index": "tail_index of the norms of the neurons with its 95 % interval: of all seeds together where it is predicted, else"
            " the mean of its logarithm over seeds with a t-interval",
            "lifetimes": "blow-ups a step against the width, and the slope of its logarithm; predicted: 1 - alpha / 2, because the largest"
            " of N squares over N must reach a size that does not depend on N",
            "hill": "Hill's estimator at the top 5 %, which the conjecture was read from",
            "power, stationary, moving": "shares: of runs that are power laws, and whose index and ranks have stayed within 4 standard"
            " errors since half of the steps; of neurons that have moved since then",
            "half": f"index where the accuracy of a run first falls through {HALF}, between step sizes; geometric mean, t-interval",
            "predicted": "population solver at the mean residuals of the second half of the steps",
            "condensation": "without noise of its own: E|theta|^2 stays while the median falls; log k(2) at the mean residuals of every"
            " run, mean over runs with t-interval, predicted 0; carriers: (sum |theta|^2)^2 / sum |theta|^4",
        },
        "verdict": _verdict(parts),
    } | parts


# 1. The quadratic network


def _quadratic(config: Config) -> list[dict]:
    width, steps = (20_000, 100) if config.quick else (200_000, 200)
    rows = []
    for eta in config.quadratic:
        probe = mf.probes.Subsample(count=width, at=(steps // 2, steps))
        arguments = {"widths": width, "steps": steps, "seeds": config.seeds, "key": jax.random.key(config.key)}
        results = mf.simulate(quadratic_system([eta]), probes=[probe], **arguments).require_uninterrupted()
        row = {"step_size": eta, "predicted": network.quadratic_tail_index(eta, 1.0), "width": width}
        rows.append(row | _together(*_norms(results.dataset, steps)))
    return rows


def _lifetimes(config: Config) -> list[dict]:
    """Blow-ups a step at several widths: runs that are censored at the last step count with the steps they took."""
    etas = (0.3,) if config.quick else (0.25, 0.27, 0.3)
    widths = LIFETIME_WIDTHS[:3] if config.quick else LIFETIME_WIDTHS
    seeds, steps = (40, 200) if config.quick else (200, 400)
    system, rows = quadratic_system(etas), {eta: [] for eta in etas}
    for i, width in enumerate(widths):
        # Seeds of its own for every width: else narrow networks are the first neurons of wide ones.
        own = range(i * seeds, (i + 1) * seeds)
        key = jax.random.key(config.key)
        results = mf.simulate(system, widths=width, steps=steps, seeds=list(own), key=key, probes=()).require_uninterrupted()
        data = results.dataset.isel(width=0)
        for j, eta in enumerate(etas):
            bad = data["first_bad_step"].isel(step_size=j).to_numpy()
            rows[eta].append(
                {"width": width, "blown": int(np.sum(bad >= 0)), "steps": int(np.sum(np.where(bad >= 0, bad, steps)))}
            )
    return [_lifetime(eta, seeds, rows[eta]) for eta in etas]


def _lifetime(eta: float, seeds: int, rows: list[dict]) -> dict:
    """Slope of the log rate in log N, weighted: the logarithm of a rate from m events has variance 1 / m."""
    alpha = network.quadratic_tail_index(eta, 1.0)
    seen = [r for r in rows if r["blown"] >= 2]
    log_n, events = np.log([r["width"] for r in seen]), np.array([r["blown"] for r in seen], float)
    slope = error = np.nan
    if len(seen) >= 2:
        log_rate = np.log(events / np.array([r["steps"] for r in seen]))
        centred = log_n - np.average(log_n, weights=events)
        spread = np.sum(events * centred**2)
        slope, error = np.sum(events * centred * log_rate) / spread, 1 / np.sqrt(spread)
    return {
        "step_size": eta,
        "alpha": alpha,
        "seeds": seeds,
        "rows": rows,
        "predicted": 1 - alpha / 2,
        "slope": slope,
        "interval": [slope - 1.96 * error, slope + 1.96 * error],
    }


# 2. ReLU networks trained as usual


def _relu(config: Config) -> dict:
    """Cells, and the index at which the accuracy falls through `HALF` for every width and batch size."""
    digits = mf.data.digits()
    x, y = np.asarray(digits.x), np.asarray(digits.y)
    steps = config.steps
    cells, half = [], []
    for size, etas in ((1, config.relu_b1), (8, config.relu_b8)):
        for width in config.widths:
            system = mf.System(mf.TwoLayer("relu"), digits, mf.dynamics.SGD(list(etas), size))
            probe = mf.probes.Subsample(count=width, at=(steps // 2, steps))
            key = jax.random.key(config.key)
            results = mf.simulate(system, widths=width, steps=steps, seeds=config.seeds, key=key, probes=[probe])
            results.require_uninterrupted()
            about = {"batch_size": size, "width": width}
            rows = []
            for i, eta in enumerate(etas):
                vectors = results.particles[width].vectors[i]
                accuracy = [_accuracy(_outputs(x, one), y) for one in vectors]
                norms = _norms(results.dataset.isel(step_size=[i]), steps)
                rows.append(about | {"step_size": eta, "accuracy": accuracy} | _per_run(*norms))
            cells += rows
            accuracy = np.array([r["accuracy"] for r in rows])
            half.append(about | {name: _mean(_at_half(accuracy, [r[name] for r in rows])) for name in ("index", "hill")})
    return {"cells": cells, "half": half}


def _at_half(accuracy: np.ndarray, index) -> np.ndarray:
    """Index of every run, (seed,), where its accuracy (step size, seed) first falls through `HALF`, between step sizes; NaN: never."""
    logs, found = np.log(np.asarray(index, float)), np.full(accuracy.shape[1], np.nan)
    for s, one in enumerate(accuracy.T):
        falls = np.flatnonzero((one[:-1] >= HALF) & (one[1:] < HALF))
        if len(falls):
            i = falls[0]
            found[s] = np.exp(np.interp(HALF, one[[i + 1, i]], logs[[i + 1, i], s]))
    return found


def _mean(values) -> dict:
    """Geometric mean over the runs that have a number, with a t-interval of the logarithm."""
    logs = np.log(np.asarray(values, float))
    logs = logs[np.isfinite(logs)]
    if len(logs) < 2:
        return {"mean": np.nan, "interval": [np.nan, np.nan], "runs": len(logs)}
    mean, interval = rates.mean_interval(logs)
    return {"mean": np.exp(mean), "interval": np.exp(interval), "runs": len(logs)}


def _outputs(x: np.ndarray, neurons: np.ndarray) -> np.ndarray:
    """f_N of a ReLU network with neurons (w, a), (N, dim + outputs), at all inputs (n, dim): (n, outputs)."""
    w, a = neurons[:, : x.shape[1]], neurons[:, x.shape[1] :]
    return np.maximum(x @ w.T, 0) @ a / len(w)


def _accuracy(f: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean(np.argmax(f, axis=1) == y)) if np.isfinite(f).all() else np.nan


def _norms(dataset, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Norms of the neurons (seed, neuron) at half of the steps and at the end; NaN in runs that diverged."""
    seen = dataset["particle"].isel(width=0, step_size=0).transpose("step", "seed", "neuron", "component").to_numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        norms = np.linalg.norm(seen.astype(np.float64), axis=-1)
    lost = ~np.isfinite(norms).all(axis=(0, 2)) | (dataset["first_bad_step"].to_numpy().ravel() >= 0)
    return tuple(np.where(lost[:, None], np.nan, norms[[0, -1]]))


def _family(norms: np.ndarray, earlier: np.ndarray) -> tails.TailFamily:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tails.StationarityWarning)  # it is in the tables
        return tails.tail_family(norms, earlier=earlier)


def _together(earlier: np.ndarray, norms: np.ndarray) -> dict:
    """Index of the neurons of all runs that did not diverge, as one sample."""
    alive = np.isfinite(norms).all(axis=1)
    row: dict = {
        "runs": len(norms),
        "diverged": int(np.sum(~alive)),
        "index": np.nan,
        "interval": [np.nan, np.nan],
        "stationary": False,
    }
    if alive.any():
        family = _family(norms[alive].ravel(), earlier[alive].ravel())
        row |= {"index": float(family.fit.alpha), "interval": family.fit.interval, "stationary": bool(family.stationary)}
    return row


def _per_run(earlier: np.ndarray, norms: np.ndarray) -> dict:
    """Index of every run, NaN if it diverged; shares of the others that are power laws, that stand still, and of neurons that move."""
    alive = np.isfinite(norms).all(axis=1)
    row: dict = {name: np.full(len(norms), np.nan) for name in ("index", "hill")}
    row |= {"diverged": int(np.sum(~alive)), "power": np.nan, "stationary": np.nan, "moving": np.nan}
    if alive.any():
        norms, earlier = norms[alive], earlier[alive]
        family = _family(norms, earlier)
        row["index"][alive] = family.fit.alpha
        row["hill"][alive] = tails.hill(norms, k=norms.shape[-1] // 20).alpha
        row["power"] = np.mean([f is tails.Family.POWER for f in family.family.ravel()])
        row["stationary"], row["moving"] = np.mean(family.stationary), np.mean(norms != earlier)
    return row


# 3. ReLU networks with a prediction


def _trained(config: Config, dynamics, width: int, times: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Neurons (step, seed, neuron, component), mean residuals (seed, n, outputs) of the second half of the times, accuracies at the end."""
    x, y = digit_components(COMPONENTS, EXAMPLES)
    system = mf.System(mf.TwoLayer("relu"), mf.data.from_arrays(x, y, classes=10), dynamics)
    probe = mf.probes.Subsample(count=width, at=times)
    arguments = {"widths": width, "steps": times[-1], "seeds": config.seeds, "key": jax.random.key(config.key)}
    results = mf.simulate(system, probes=[probe], **arguments).require_complete()
    seen = results.dataset["particle"].isel(width=0, step_size=0).transpose("step", "seed", "neuron", "component").to_numpy()
    late = np.array([[_outputs(x, one) for one in step] for step in seen[len(times) // 2 :]])
    residuals = np.mean(special.softmax(late, axis=-1), axis=0) - np.eye(10)[y]
    return seen, residuals, [_accuracy(f, y) for f in late[-1]]


def _solver(config: Config) -> dict[str, Any]:
    """Size and key of the population solver."""
    size = {"population": 2_000, "steps": 500} if config.quick else {"population": 10_000, "steps": 1_000}
    return {"key": jax.random.key(0), **size}


def _predicted(config: Config) -> list[dict]:
    width, steps = (4_000, 100) if config.quick else (32_768, 240)
    solver = _solver(config)
    x, _ = digit_components(COMPONENTS, EXAMPLES)
    rows = []
    for eta, decay, temperature in config.noisy:
        dynamics = mf.dynamics.Langevin(eta, 1, weight_decay=decay, temperature=temperature, minibatches="independent")
        seen, residuals, accuracy = _trained(config, dynamics, width, tuple(steps * k // 8 for k in range(1, 9)))
        predicted = network.tail_index(x, residuals.mean(axis=0), eta, 1, decay, **solver)
        norms = np.linalg.norm(seen.astype(np.float64), axis=-1)
        row = {"step_size": eta, "weight_decay": decay, "temperature": temperature, "width": width, "accuracy": accuracy}
        row |= {"predicted": predicted.value, "predicted_error": predicted.standard_error}
        rows.append(row | _together(norms[3], norms[-1]))
    return rows


def _condensation(config: Config) -> list[dict]:
    """Nothing is added in a step: the law of the neurons spreads for ever while the predictor stays."""
    width, steps = (1_000, 400) if config.quick else (8_192, 1_500)
    solver = _solver(config)
    x, _ = digit_components(COMPONENTS, EXAMPLES)
    rows = []
    for eta, decay in config.noiseless:
        times = tuple(steps * k // 20 for k in range(1, 21))
        dynamics = mf.dynamics.SGD(eta, 1, weight_decay=decay, minibatches="independent")
        seen, residuals, accuracy = _trained(config, dynamics, width, times)
        norms = np.linalg.norm(seen.astype(np.float64), axis=-1)
        maps = [network.relu_steps(x, one, eta, 1, decay) for one in residuals]
        growth, interval = rates.mean_interval([random_products.log_growth(*one, s=2.0, **solver).value for one in maps])
        exponent = random_products.lyapunov(*maps[0], **solver)
        fits = [tails.tail_index(one) for one in norms]
        rows.append(
            {
                "step_size": eta,
                "weight_decay": decay,
                "width": width,
                "accuracy": accuracy,
                "times": times,
                "index": [np.exp(np.mean(np.log(f.alpha))) for f in fits],
                "second_moment": np.mean(norms**2, axis=(1, 2)),
                "median": np.median(norms, axis=(1, 2)),
                "carriers": np.mean(np.sum(norms**2, axis=2) ** 2 / np.sum(norms**4, axis=2), axis=1),
                "log_k2": growth,
                "log_k2_interval": interval,
                "lyapunov": exponent.value,
                "lyapunov_interval": exponent.interval,
            }
        )
    return rows


# 4. Bounded neurons


def _stable(config: Config) -> list[dict]:
    digits = mf.data.digits()
    x, y = np.asarray(digits.x), np.asarray(digits.y)
    steps = 400
    alphas = [*config.stable, 2.0]
    net = mf.TwoLayer("tanh", train_output=False)
    dynamics = mf.dynamics.StableSGD(1.0, 8, weight_decay=0.02, alpha=alphas, scale=0.05, mode="isotropic")
    rows = []
    for width in config.stable_widths:
        probe = mf.probes.Subsample(count=width, at=(steps // 2, steps))
        arguments = {"widths": width, "steps": steps, "seeds": config.seeds, "key": jax.random.key(config.key)}
        results = mf.simulate(mf.System(net, digits, dynamics), probes=[probe], **arguments).require_complete()
        seen = results.dataset["particle"].isel(width=0, step_size=0).transpose("alpha", "step", "seed", "neuron", "component")
        for alpha, one in zip(alphas, seen.to_numpy().astype(np.float64), strict=True):
            w, a = one[..., : x.shape[1]], one[..., x.shape[1] :]
            accuracy = [_accuracy(np.tanh(x @ v.T) @ out / width, y) for v, out in zip(w[1], a[1], strict=True)]
            row = {"predicted": alpha, "width": width, "accuracy": accuracy} | _together(*np.linalg.norm(w, axis=-1))
            error, interval = rates.mean_interval(pruning.error_curve(w[1], [KEPT], "node")[..., 0])
            rows.append(row | {"pruning_error": error, "pruning_interval": interval})
    return rows


# What follows from them


def inside(row: dict) -> bool:
    """Whether the prediction lies in the interval of the measurement, widened by the error of the prediction."""
    low, high = row["interval"]
    slack = 2 * row.get("predicted_error", 0.0)
    return bool(low - slack <= row["predicted"] <= high + slack)


def _deviation(row: dict) -> float:
    """How far the prediction is from the middle of the interval, in standard errors."""
    low, high = row["interval"]
    error = np.hypot((high - low) / (2 * 1.96), row.get("predicted_error", 0.0))
    return abs(row["predicted"] - (low + high) / 2) / error


def _verdict(parts: dict) -> list[dict]:
    def count(rows):
        rows = [r for r in rows if r.get("stationary", True)]
        evidence = f"{sum(map(inside, rows))} of {len(rows)} predictions in their 95 % intervals"
        return evidence, all(_deviation(r) < SURE for r in rows) if rows else None

    def crossing(name):
        found = [h[name] for h in parts["relu"]["half"] if np.isfinite(h[name]["mean"])]
        holds = [f["interval"][0] <= 2 <= f["interval"][1] for f in found]
        return ", ".join(_run.with_interval(f["mean"], f["interval"], 1) for f in found), all(holds) if found else None

    cells, power = parts["relu"]["cells"], [r for r in parts["stable"] if r["predicted"] < 2]
    still = np.mean([r["stationary"] for r in cells if np.mean(r["accuracy"]) > LEARNED])
    widest = [r for r in parts["stable"] if r["width"] == parts["stable"][-1]["width"]]
    statements = {
        "1. index of the quadratic network": count(parts["quadratic"]),
        "1. blow-ups fall with the width like N^(1 - alpha/2)": count(parts["lifetimes"]),
        "2. accuracy 1/2 at tail_index 2, whatever the width": crossing("index"),
        "2. accuracy 1/2 at 2 of Hill, top 5 %": crossing("hill"),
        "2. networks that learn stand still": (f"{still:.0%} of the runs", bool(still > 0.95)),
        "3. index of ReLU networks from their residuals": count(parts["predicted"]),
        "3. without noise of its own k(2) = 1": (
            "log k(2) = " + ", ".join(_run.with_interval(r["log_k2"], r["log_k2_interval"], 4) for r in parts["condensation"]),
            all(r["log_k2_interval"][0] <= 0 <= r["log_k2_interval"][1] for r in parts["condensation"]),
        ),
        "4. index of tanh neurons": count(power),
        f"4. at an index below 2 at least {SHARE:.0%} of the accuracy under Gaussian noise": (
            "accuracies at N = " + str(widest[0]["width"]) + ": " + ", ".join(f"{np.mean(r['accuracy']):.3f}" for r in widest),
            all(np.mean(r["accuracy"]) >= SHARE * np.mean(widest[-1]["accuracy"]) for r in widest),
        ),
    }
    return [{"statement": s, "evidence": e, "holds": h} for s, (e, h) in statements.items()]


def tables(summary: dict) -> list[Table]:
    """One table an experiment, and the verdict."""
    mean = lambda r: f"{np.mean(r['accuracy']):.2f}"  # noqa: E731
    known = lambda r, d=2: _run.with_interval(r["index"], r["interval"], d)  # noqa: E731
    yes = lambda r: ("yes" if inside(r) else "no") if r["stationary"] else "not stationary"  # noqa: E731
    lost = lambda r: f"{r['diverged']} of {r['runs']}"  # noqa: E731
    first = [(f"{r['step_size']:g}", f"{r['predicted']:.3f}", known(r, 3), lost(r), yes(r)) for r in summary["quadratic"]]
    lives = [
        (
            f"{r['step_size']:g}",
            f"{r['alpha']:.3f}",
            ", ".join(f"{one['blown']}/{r['seeds']}" for one in r["rows"]),
            f"{r['predicted']:.3f}",
            _run.with_interval(r["slope"], r["interval"]),
        )
        for r in summary["lifetimes"]
    ]

    def geometric(row, name):
        found = _mean(row[name])
        return _run.with_interval(found["mean"], found["interval"], 2)

    relu = [
        (
            str(r["batch_size"]),
            str(r["width"]),
            f"{r['step_size']:g}",
            mean(r),
            geometric(r, "index"),
            geometric(r, "hill"),
            *(f"{r[name]:.2f}" for name in ("power", "stationary", "moving")),
            str(r["diverged"]),
        )
        for r in summary["relu"]["cells"]
    ]
    half = [
        (
            str(h["batch_size"]),
            str(h["width"]),
            *(_run.with_interval(h[n]["mean"], h[n]["interval"], 2) for n in ("index", "hill")),
        )
        for h in summary["relu"]["half"]
    ]
    third = [
        (
            f"{r['step_size']:g}",
            f"{r['weight_decay']:g}",
            f"{r['temperature']:g}",
            mean(r),
            f"{r['predicted']:.4f} +- {r['predicted_error']:.4f}",
            known(r),
            yes(r),
        )
        for r in summary["predicted"]
    ]
    condensed = [
        (
            f"{r['step_size']:g}",
            f"{r['times'][i]}",
            f"{r['index'][i]:.2f}",
            f"{r['second_moment'][i]:.1f}",
            f"{r['median'][i]:.2g}",
            f"{r['carriers'][i]:.0f}",
            _run.with_interval(r["log_k2"], r["log_k2_interval"], 4) if i else "",
        )
        for r in summary["condensation"]
        for i in (0, -1)
    ]
    stable = [
        (
            f"{r['predicted']:g}",
            str(r["width"]),
            known(r) if r["predicted"] < 2 else "light",
            yes(r) if r["predicted"] < 2 else "-",
            mean(r),
            _run.with_interval(r["pruning_error"], r["pruning_interval"]),
        )
        for r in summary["stable"]
    ]
    said = {True: "holds", False: "does not hold", None: "not decided"}
    verdict = [(v["statement"], v["evidence"], said[v["holds"]]) for v in summary["verdict"]]
    widths = ", ".join(str(r["width"]) for r in summary["lifetimes"][0]["rows"])
    number = "index\npredicted"
    return [
        _run.table("1. Quadratic network on noise", ("step size", number, "measured [95 %]", "diverged", "inside"), first),
        _run.table(
            "1. Its blow-ups",
            (
                "step size",
                "index",
                f"runs blown up at N =\n{widths}",
                "slope of log rate\nin log N: predicted",
                "measured [95 %]",
            ),
            lives,
        ),
        _run.table(
            "2. ReLU on digits, shared mini-batches, no weight decay",
            ("b", "N", "step size", "accuracy", "tail_index", "Hill, top 5 %", "power law", "stationary", "moving", "diverged"),
            relu,
        ),
        _run.table("2. The index at which accuracy falls through 1/2", ("b", "N", "tail_index", "Hill, top 5 %"), half),
        _run.table(
            "3. ReLU, every neuron's own mini-batches and noise",
            ("step size", "weight decay", "temperature", "accuracy", number, "measured", "inside"),
            third,
        ),
        _run.table(
            "3. The same without that noise: no law that stays",
            ("step size", "steps", "index", "E|theta|^2", "median", "neurons that\ncarry it", "log k(2), predicted 0"),
            condensed,
        ),
        _run.table(
            "4. tanh, injected stable noise",
            ("index\ninjected", "N", "measured", "inside", "accuracy", f"pruning error,\n{KEPT:.0%} kept"),
            stable,
        ),
        _run.table("Verdict", ("statement", "evidence", ""), verdict),
    ]


def plot(summary: dict) -> Figure:
    """Predicted against measured index; blow-ups against width; accuracy against index; condensation."""
    figure = Figure(figsize=(12.5, 7.6), layout="constrained")
    (first, second), (third, fourth) = figure.subplots(2, 2)
    kinds = {"quadratic": "quadratic, noise", "predicted": "ReLU, digits", "stable": "tanh, stable noise"}
    for i, (part, label) in enumerate(kinds.items()):
        rows = [r for r in summary[part] if np.isfinite(r["index"]) and r["predicted"] != 2]
        x, y = (np.array([r[k] for r in rows]) for k in ("predicted", "index"))
        spread = np.abs(np.array([r["interval"] for r in rows]).T - y)
        first.errorbar(x, y, spread, markersize=5, capsize=2, label=label, **mfplot.style(i, 3) | {"linestyle": "none"})
    first.plot([1, 5], [1, 5], color="black", linewidth=0.8)
    first.set(xlabel="predicted index", ylabel="measured index", xlim=(1, 5), ylim=(1, 5))
    first.legend(fontsize="small")
    for i, r in enumerate(summary["lifetimes"]):
        look = mfplot.style(i, len(summary["lifetimes"]))
        rows = [one for one in r["rows"] if one["blown"]]
        n, events = (np.array([one[k] for one in rows], float) for k in ("width", "blown"))
        rate = events / np.array([one["steps"] for one in rows])
        second.errorbar(
            n,
            rate,
            1.96 * rate / np.sqrt(events),
            markersize=5,
            capsize=2,
            label=f"{r['alpha']:.2f}",
            **look | {"linestyle": "none"},
        )
        level = np.exp(np.average(np.log(rate) - r["predicted"] * np.log(n), weights=events))
        second.plot(n, level * n ** r["predicted"], color=look["color"], linewidth=1)
    second.set(xscale="log", yscale="log", xlabel="width $N$", ylabel="blow-ups a step")
    second.legend(title="index; lines: $N^{1 - \\alpha/2}$", fontsize="small", title_fontsize="small")
    cells = summary["relu"]["cells"]
    widths = list(dict.fromkeys(r["width"] for r in cells))
    for i, width in enumerate(widths):
        look = mfplot.style(i, len(widths)) | {"linestyle": "none", "markersize": 5}
        index, hill, accuracy = (np.ravel([r[k] for r in cells if r["width"] == width]) for k in ("index", "hill", "accuracy"))
        third.plot(index, accuracy, label=f"{width}", **look)
        third.plot(hill, accuracy, markerfacecolor="none", **look)
    third.plot([], [], "o", color="grey", markerfacecolor="none", label="Hill, top 5 %")
    third.axvline(2, color="black", linewidth=0.8)
    third.set(xscale="log", xlabel="index of ReLU neurons", ylabel="training accuracy")
    third.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    third.minorticks_off()
    third.legend(title="width; filled: tail_index", fontsize="small", title_fontsize="small")
    for i, r in enumerate(summary["condensation"]):
        look = mfplot.style(i, len(summary["condensation"]) + 1)
        for key, marker, label in (("second_moment", "o", "$E|\\theta|^2$"), ("index", "s", "index"), ("median", "^", "median")):
            fourth.plot(r["times"], r[key], **look | {"marker": marker}, markersize=4, label=f"{label}, step {r['step_size']:g}")
    fourth.set(yscale="log", xlabel="steps", ylabel="ReLU without noise of its own")
    fourth.legend(fontsize="small")
    titles = ("(a) predicted and measured", "(b) blow-ups", "(c) accuracy against index", "(d) condensation")
    for ax, title in zip((first, second, third, fourth), titles, strict=True):
        ax.set_title(title, loc="left", fontsize="medium")
    return figure


def main(config: Config) -> int:
    """Run, write and print everything."""
    return _run.job(config, run, plot, tables)


if __name__ == "__main__":
    _run.command(Config, main)
