"""Coverage of the intervals of `measure.mechanisms.decompose` on laws whose parts are known.

    python -m benchmarks.mechanisms --out DIR --processes 2

writes DIR/mechanisms.json and DIR/mechanisms.md. The true parts come from independent draws of the planted laws.
"""

import platform
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import jax
import numpy as np

from benchmarks.tails import share, table
from meanfield import _check, _files
from meanfield.measure import mechanisms, pruning
from sims import _job

KAPPA = 0.1
LEAST, MOST = 0.93, 0.97  # share of intervals that hold the truth, as promised
PARTS = ("measured", *mechanisms.PARTS)
TRUTH = 100_000  # draws behind every true part
Sizes = Callable[[np.random.Generator, int, int, int], np.ndarray]  # (rng, runs, N, width) -> (runs, N)


@dataclass(frozen=True)
class Planted:
    """Networks whose parts are known.

    Args:
        networks: norms of the neurons of independent runs, all N of a width, (runs, N).
        law: independent draws from the law of one neuron at a width, (runs, N).
    """

    networks: Sizes
    law: Sizes


@dataclass(frozen=True)
class Config:
    """Decompose planted networks many times and count the intervals that hold the truth."""

    out: Path = Path("out/bench")
    """Directory for the results."""
    seed: int = 0
    """Seed of the networks."""
    repeats: int = 200
    """Decompositions of every planted law."""
    runs: tuple[int, ...] = (3, 8, 24)
    """Independent runs in each."""
    widths: tuple[int, ...] = (64, 256, 1024)
    """Numbers of neurons."""
    cases: tuple[str, ...] = ()
    """Planted laws; all by default."""
    processes: int = 1
    """Processes that share the work."""


def _pareto(alpha: float) -> Sizes:
    return lambda rng, runs, n, width: rng.pareto(alpha, (runs, n)) + 1


def _lognormal(rng, runs, n, width):
    return np.exp(rng.standard_normal((runs, n)))


def _spread(base: float, growth: float) -> Sizes:
    """Pareto 3 times a log-normal scale whose spread grows with the logarithm of the width."""

    def draw(rng, runs, n, width):
        scale = (base + growth * np.log2(width / 64)) * rng.standard_normal((runs, n))
        return (rng.pareto(3.0, (runs, n)) + 1) * np.exp(scale)

    return draw


def _zeros(sizes: Sizes, share: float) -> Sizes:
    return lambda rng, runs, n, width: sizes(rng, runs, n, width) * (rng.random((runs, n)) >= share)


def _factor(sizes: Sizes, spread: float) -> Planted:
    """Times a log-normal factor that the neurons of a run share."""

    def shared(rng, runs, n, width):
        return sizes(rng, runs, n, width) * np.exp(spread * rng.standard_normal((runs, 1)))

    def own(rng, runs, n, width):
        return sizes(rng, runs, n, width) * np.exp(spread * rng.standard_normal((runs, n)))

    return Planted(shared, own)


def _twice(planted: Planted) -> Planted:
    """Every neuron stands there twice."""
    return Planted(lambda rng, runs, n, width: np.tile(planted.networks(rng, runs, n // 2, width), (1, 2)), planted.law)


def _independent(sizes: Sizes) -> Planted:
    return Planted(sizes, sizes)


PLANTED = {
    "independent, Pareto 1.2": _independent(_pareto(1.2)),
    "independent, Pareto 1.5": _independent(_pareto(1.5)),
    "independent, Pareto 3": _independent(_pareto(3.0)),
    "a law that moves with the width": _independent(_spread(0.5, 0.125)),
    "a factor that each run shares": _factor(lambda *a: _lognormal(*a) ** 0.8, 0.3),
    "half of the neurons 0": _independent(_zeros(_lognormal, 0.5)),
    "every neuron twice": _twice(_independent(_lognormal)),
    "all together": _twice(_factor(_zeros(_spread(0.8, 0.05), 0.3), 0.3)),
}


def truth(planted: Planted, widths: tuple[int, ...], draws: int = TRUTH) -> dict[str, np.ndarray]:
    """The parts at every width, and the slope of each as its last entry."""
    rng, widest = np.random.default_rng(0), widths[-1]

    def log_error(draw: Sizes, n: int, width: int) -> float:
        at_once = max(1, 2_000_000 // n)
        counts = [min(at_once, draws - start) for start in range(0, draws, at_once)]
        errors = [pruning.error_curve(draw(rng, runs, n, width)[..., None], KAPPA, "node") for runs in counts]
        return float(np.log(np.mean(np.concatenate(errors))))

    measured = np.array([log_error(planted.networks, n, n) for n in widths])
    own = np.array([log_error(planted.law, n, n) for n in widths])
    one = np.array([log_error(planted.law, n, widest) for n in widths[:-1]] + [own[-1]])
    parts = {
        "measured": measured,
        "level": np.full(len(widths), one[-1]),
        "sampling": one - one[-1],
        "law": own - one,
        "dependence": measured - own,
    }
    x = np.log(widths) - np.mean(np.log(widths))
    return {name: np.append(part, x @ part / np.sum(x**2)) for name, part in parts.items()}


def score(config: Config, name: str, runs: int) -> list[dict]:
    """Of every part: covered intervals, mean error, root mean squared errors, at each width and of the slope."""
    planted, start = PLANTED[name], time.perf_counter()
    true = truth(planted, config.widths)
    found: dict[str, list] = {part: [] for part in true}
    for repeat in range(config.repeats):
        rng = np.random.default_rng([config.seed, runs, repeat, *name.encode()])
        neurons = {n: planted.networks(rng, runs, n, n)[..., None] for n in config.widths}
        one = mechanisms.decompose(neurons, KAPPA, key=jax.random.key(repeat))
        for part in true:
            estimate, slope = getattr(one, part), one.slopes[part]
            ends = np.append(estimate.interval, [slope.interval], axis=0)
            values, errors = np.append(estimate.value, slope.value), np.append(estimate.standard_error, slope.standard_error)
            found[part].append(np.column_stack([values, errors, ends]))
    rows = []
    for part, answers in found.items():
        value, error, low, high = np.moveaxis(np.array(answers), -1, 0)
        covered = np.sum((low <= true[part]) & (true[part] <= high), axis=0)
        for j, at in enumerate((*config.widths, "slope")):
            rows.append(
                {
                    "case": name,
                    "runs": runs,
                    "part": part,
                    "at": at,
                    "true": true[part][j],
                    "repeats": len(value),
                    "covered": int(covered[j]),
                    "bias": float(np.mean(value[:, j]) - true[part][j]),
                    "deviation": float(np.std(value[:, j])),
                    "standard_error": float(np.sqrt(np.mean(error[:, j] ** 2))),
                }
            )
    print(f"{name}, {runs} runs: {time.perf_counter() - start:.0f} s", flush=True)
    return rows


def measure(config: Config) -> dict:
    """All rows."""
    names = config.cases or tuple(PLANTED)
    _check.require(set(names) <= set(PLANTED), "cases", f"be among {', '.join(PLANTED)}", names)
    tasks = [(config, name, runs) for name in names for runs in config.runs]
    if config.processes == 1:
        rows = [score(*one) for one in tasks]
    else:
        with ProcessPoolExecutor(config.processes, get_context("spawn")) as pool:
            rows = [future.result() for future in [pool.submit(score, *one) for one in tasks]]
    machine = f"{platform.machine()}, jax {jax.__version__}, numpy {np.__version__}"
    return {"machine": machine, "seed": config.seed, "rows": [row for of_task in rows for row in of_task if not known(row)]}


def known(row: dict) -> bool:
    """Whether the part is 0 by definition, with an interval of no length."""
    return row["standard_error"] == 0


def report(content: dict) -> str:
    """The page as Markdown: intervals that miss too often first."""
    rows = content["rows"]
    outside = [row for row in rows if not LEAST <= row["covered"] / row["repeats"] <= MOST]
    low = sum(row["covered"] / row["repeats"] < LEAST for row in rows)
    lines = [
        "# Parts of pruning errors",
        "",
        f"Seed {content['seed']}, {rows[0]['repeats']} repeats. {content['machine']}; `python -m benchmarks.mechanisms`.",
        "Shares of 95 % intervals that hold the true part, each with its exact 95 % interval (Clopper, Pearson). Bias and",
        "deviation are those of the estimates; the standard error is the root mean square of those stated.",
        "",
        "## By case",
        "",
        *table(
            "case | runs | measured | level | sampling | law | dependence",
            [
                (name, runs, *(by_part(rows, name, runs, part) for part in PARTS))
                for name, runs in dict.fromkeys((r["case"], r["runs"]) for r in rows)
            ],
        ),
        f"## Below {LEAST:g} or above {MOST:g}",
        "",
        f"{len(outside)} of {len(rows)} rows, {low} of them below.",
        "",
        *table(HEADER, [line(row) for row in sorted(outside, key=lambda r: r["covered"] / r["repeats"])]),
        "## Every part",
        "",
        *table(HEADER, [line(row) for row in rows]),
    ]
    return "\n".join(lines).rstrip() + "\n"


HEADER = "case | runs | part | at | true | covers | bias | deviation | standard error"


def line(row: dict) -> tuple:
    """One line of the table."""
    covers = share(row["covered"], row["repeats"])
    numbers = (f"{row[name]:.4f}" for name in ("bias", "deviation", "standard_error"))
    return (row["case"], row["runs"], row["part"], row["at"], f"{row['true']:.4f}", covers, *numbers)


def by_part(rows: list[dict], name: str, runs: int, part: str) -> str:
    """Coverage of a part: at all widths together, and of its slope."""
    of = [row for row in rows if (row["case"], row["runs"], row["part"]) == (name, runs, part)]
    shares = {"widths": [r for r in of if r["at"] != "slope"], "slope": [r for r in of if r["at"] == "slope"]}
    told = [f"{sum(r['covered'] for r in s) / sum(r['repeats'] for r in s):.3f}" for s in shares.values() if s]
    return ", ".join(told)


def main(config: Config) -> None:
    """Measure everything and write it."""
    _check.seed("seed", config.seed)
    with _check.own_directory("out", config.out) as out:
        content = measure(config)
        _files.write_json(out / "mechanisms.json", content)
        _files.write_text(out / "mechanisms.md", report(content))
    print(f"{out / 'mechanisms.md'}")


if __name__ == "__main__":
    _job.command(Config, main)
