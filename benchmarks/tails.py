"""Accuracy, coverage and speed of the tail estimators, on laws whose index is known.

    python -m benchmarks.tails --out DIR          # 100 samples of 100 000 of every law; about 6 minutes on 2 cores

writes DIR/tails.json and DIR/tails.md. Chains come from this project's own simulation. Peers are run by their formulas, in
the same process on the same samples; powerlaw and tailestim, which take minutes a sample, stand in benchmarks/README.md.
"""

import platform
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np

import meanfield as mf
from meanfield import _check
from meanfield.measure import tails
from sims import _run

STEPS = 200  # of the chains, from a normal start


@dataclass(frozen=True)
class Config:
    """Bias, error and coverage of `tail_index` beside its peers, verdicts of `tail_family`, and seconds."""

    out: Path = Path("out/bench")
    """Directory for the results."""
    samples: int = 100
    """Samples of every law."""
    size: int = 100_000
    """Values of a sample."""
    seed: int = 0
    """Seed of the samples."""


def stable(rng: np.random.Generator, alpha: float, shape: tuple[int, int]) -> np.ndarray:
    """Symmetric stable, by Chambers, Mallows and Stuck."""
    u, w = rng.uniform(-np.pi / 2, np.pi / 2, shape), rng.exponential(size=shape)
    return np.sin(alpha * u) / np.cos(u) ** (1 / alpha) * (np.cos((1 - alpha) * u) / w) ** ((1 - alpha) / alpha)


def burr(rng: np.random.Generator, power: float, shape_: float, shape: tuple[int, int]) -> np.ndarray:
    """`P(X > x) = (1 + x^power)^(-shape_)`: index power shape_, second-order parameter -1 / shape_."""
    return (rng.random(shape) ** (-1 / shape_) - 1) ** (1 / power)


def chains(rng: np.random.Generator, step_size: float, dim: int, coordinate: bool, shape: tuple[int, int]) -> np.ndarray:
    """Norms, or first coordinates, of SGD on least squares with Gaussian inputs and labels, batch size 1."""
    count = shape[0] * shape[1]
    system = mf.System(
        mf.dynamics.chains(1.0), mf.data.gaussian_regression(dim, noise_std=1.0), mf.dynamics.LinearRecursion(step_size, 1)
    )
    key = jax.random.key(int(rng.integers(2**31)))
    results = mf.simulate(system, widths=count, steps=STEPS, seeds=1, key=key).require_complete()
    x = np.asarray(results.particles[count].w, np.float64).reshape(count, dim)
    return (x[:, 0] if coordinate else np.linalg.norm(x, axis=1)).reshape(shape)


def recursion(step_size: float, dim: int = 1, coordinate: bool = False) -> tuple[float, Callable]:
    """Predicted index and sampler."""
    return mf.theory.recursion.tail_index(step_size, 1, dim), partial(chains, step_size=step_size, dim=dim, coordinate=coordinate)


LAWS: dict[str, tuple[float, Callable[..., np.ndarray]]] = {
    "Pareto 1.5": (1.5, lambda rng, shape: rng.pareto(1.5, shape) + 1),
    "Pareto 3": (3.0, lambda rng, shape: rng.pareto(3.0, shape) + 1),
    "stable 1.2": (1.2, lambda rng, shape: stable(rng, 1.2, shape)),
    "stable 1.5": (1.5, lambda rng, shape: stable(rng, 1.5, shape)),
    "stable 1.8": (1.8, lambda rng, shape: stable(rng, 1.8, shape)),
    "Student 1.5": (1.5, lambda rng, shape: rng.standard_t(1.5, shape)),
    "Student 3": (3.0, lambda rng, shape: rng.standard_t(3, shape)),
    "Frechet 1": (1.0, lambda rng, shape: 1 / rng.exponential(size=shape)),
    "Frechet 2": (2.0, lambda rng, shape: rng.exponential(size=shape) ** -0.5),
    "Burr 2, rho -1": (2.0, lambda rng, shape: burr(rng, 2.0, 1.0, shape)),
    "Burr 1.5, rho -.75": (1.5, lambda rng, shape: burr(rng, 1.125, 4 / 3, shape)),
    "Burr 2, rho -.5": (2.0, lambda rng, shape: burr(rng, 1.0, 2.0, shape)),
    "chain d 1, step .8": recursion(0.8),
    "chain d 1, step .5": recursion(0.5),
    "chain d 1, step 1": recursion(1.0),
    "chain d 2, step .6, norms": recursion(0.6, 2),
    "chain d 2, step .6, coordinates": recursion(0.6, 2, True),
}
# Root mean squared errors of the best peer, as (bias, standard deviation) of 20 samples of 100 000: Hill at the top 1 %, powerlaw,
# tailestim, block log-moment and McCulloch's quantiles, each at its defaults (the last two assume a stable law).
PUBLISHED = {
    "Pareto 1.5": ("tailestim Hill", 0.001, 0.005),
    "Pareto 3": ("Hill, top 1 %", -0.005, 0.103),
    "stable 1.2": ("block log-moment", 0.002, 0.010),
    "stable 1.5": ("stable quantile", 0.003, 0.004),
    "stable 1.8": ("block log-moment", 0.004, 0.008),
    "Student 1.5": ("Hill, top 1 %", -0.006, 0.042),
    "Student 3": ("Hill, top 1 %", -0.103, 0.073),
}
FAMILIES: dict[str, tuple[str, Callable[..., np.ndarray]]] = {
    "Pareto 1.5": ("POWER", LAWS["Pareto 1.5"][1]),
    "Student 2": ("POWER", lambda rng, shape: rng.standard_t(2, shape)),
    "stable 1.5": ("STABLE", LAWS["stable 1.5"][1]),
    "log-normal 1": ("LOGNORMAL", lambda rng, shape: np.exp(rng.standard_normal(shape))),
    "exponential": ("LIGHT", lambda rng, shape: rng.exponential(size=shape)),
    "Gaussian": ("LIGHT", lambda rng, shape: rng.standard_normal(shape)),
}


def accuracy(config: Config) -> list[dict]:
    """Of `tail_index` and of the peers that are fast, on every law."""
    rows = []
    for i, (law, (alpha, draw)) in enumerate(LAWS.items()):
        x = draw(np.random.default_rng([config.seed, i]), shape=(config.samples, config.size))
        fit = tails.tail_index(x)
        covered = np.mean((fit.interval[:, 0] < alpha) & (alpha < fit.interval[:, 1]))
        row = {
            "law": law,
            "alpha": alpha,
            **_errors(fit.alpha, alpha),
            "coverage": covered,
            "median_standard_error": np.median(fit.standard_error),
            "median_k": np.median(fit.k),
            "status": dict(Counter(list(tails.TailStatus)[c].name for c in fit.status)),
        }
        peers = {
            "Hill, top 1 %": tails.hill(x, k=config.size // 100),
            "block log-moment": tails.block_log_moment(x),
            "stable quantile": tails.stable_quantile(x if x.min() < 0 else x * _signs(x.shape, config.seed)),
        }
        row["peers"] = {}
        for peer, result in peers.items():
            inside = (result.interval[:, 0] < alpha) & (alpha < result.interval[:, 1])
            row["peers"][peer] = _errors(result.alpha, alpha) | {"coverage": np.mean(inside)}
        rows.append(row)
        print(f"{law}: bias {row['bias']:+.4f}, RMSE {row['rmse']:.4f}, coverage {covered:.2f}", flush=True)
    return rows


def families(config: Config) -> list[dict]:
    """How often `tail_family` is right, undecided, wrong."""
    rows = []
    for i, (law, (truth, draw)) in enumerate(FAMILIES.items()):
        x = draw(np.random.default_rng([config.seed, 100 + i]), shape=(config.samples, config.size))
        found = Counter(family.name for family in tails.tail_family(x).family)
        right, undecided = found[truth] / config.samples, found["UNDECIDED"] / config.samples
        rows.append({"law": law, "family": truth, "right": right, "undecided": undecided, "wrong": 1 - right - undecided})
    return rows


def seconds() -> list[dict]:
    """Of one sample of 1 000 000, and of 1000 samples of 10 000 in one call; the second of two calls."""
    rng = np.random.default_rng(0)
    one, many = rng.standard_t(2, 1_000_000), rng.standard_t(2, (1000, 10_000))
    names = ("hill", "hill_reduced", "moment", "pickands", "kernel", "block_log_moment", "stable_quantile")
    rows = []
    for name in (*names, "stable_characteristic", "power_law", "tail_index", "tail_family"):
        estimator, taken = getattr(tails, name), []
        for x in (one, many):
            estimator(x)
            start = time.perf_counter()
            estimator(x)
            taken.append(time.perf_counter() - start)
        rows.append({"estimator": name, "one_of_1e6": taken[0], "thousand_of_1e4": taken[1]})
    return rows


def _errors(estimates: np.ndarray, alpha: float) -> dict:
    return {"bias": np.mean(estimates) - alpha, "rmse": np.sqrt(np.mean((estimates - alpha) ** 2))}


def _signs(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Random signs: what the stable quantiles need of a sample of sizes."""
    return np.random.default_rng([seed, 999]).choice([-1.0, 1.0], shape)


def report(content: dict) -> str:
    """The tables as Markdown."""
    lines = [
        f"# Tail estimators: {content['samples']} samples of {content['size']}",
        "",
        f"{content['machine']}; `python -m benchmarks.tails`. Peers on the same samples; the last column is what the best peer",
        "reached elsewhere on 20 samples.",
        "",
        "| law | alpha | bias | RMSE | 95 % interval covers | Hill 1 %: RMSE (covers) | block log-moment | stable quantile | published |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in content["accuracy"]:
        peers = [f"{p['rmse']:.3f} ({p['coverage']:.2f})" for p in row["peers"].values()]
        best = PUBLISHED.get(row["law"])
        known = f"{np.hypot(best[1], best[2]):.3f} ({best[0]})" if best else ""
        cells = (
            row["law"],
            f"{row['alpha']:.3f}",
            f"{row['bias']:+.4f}",
            f"{row['rmse']:.4f}",
            f"{row['coverage']:.2f}",
            *peers,
            known,
        )
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "| law | family | right | undecided | wrong |", "|---|---|---:|---:|---:|"]
    lines += [
        f"| {r['law']} | {r['family']} | {r['right']:.2f} | {r['undecided']:.2f} | {r['wrong']:.2f} |"
        for r in content["families"]
    ]
    lines += ["", "| estimator | seconds, n = 1 000 000 | seconds, 1000 x 10 000 |", "|---|---:|---:|"]
    lines += [f"| `{r['estimator']}` | {r['one_of_1e6']:.3f} | {r['thousand_of_1e4']:.2f} |" for r in content["seconds"]]
    return "\n".join(lines) + "\n"


def main(config: Config) -> None:
    """Measure everything and write it."""
    _check.seed("seed", config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    content = {
        "samples": config.samples,
        "size": config.size,
        "seed": config.seed,
        "machine": f"{platform.machine()}, jax {jax.__version__}, numpy {np.__version__}",
        "seconds": seconds(),
        "families": families(config),
        "accuracy": accuracy(config),
    }
    _run.write_json(config.out / "tails.json", content)
    (config.out / "tails.md").write_text(report(content))
    print(report(content))


if __name__ == "__main__":
    _run.command(Config, main)
