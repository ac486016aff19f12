"""A scorer for tail estimators: coverage, width, error and verdicts on laws that nobody can have tuned to.

    python -m benchmarks.tails --seed 7 --out DIR
    python -m benchmarks.tails --estimator my_module:my_function --verdict my_module:my_family --classes quarter traps

writes DIR/tails.json and DIR/tails.md. The laws of benchmarks/tail_laws.py are drawn at scoring time from the seed.

An estimator is a function of one sample, a float64 array (n,) in the order of the values, that returns `(estimate, (low, high))` or
`(estimate, (low, high), status)`. The interval is read as one of 95 %. A status is a word; any word that is not in `CLAIMS` says that the
estimator does not vouch for the interval. A verdict is a function of one sample that returns "POWER", "STABLE", "LOGNORMAL", "LIGHT",
"BOUNDED" or "UNDECIDED". Both stand in the tables beside those of this library and beside its peers, on the same samples. The
packages powerlaw and tailestim join where they are installed, as far as `--peer-seconds` lets them.
"""

import importlib
import platform
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy import special

from benchmarks import tail_laws
from benchmarks.tail_laws import CLASSES, Law, laws
from meanfield import _check, _files
from meanfield.measure import tails
from sims import _job

__all__ = ["Config", "Law", "laws", "score"]

OURS, FAMILY = "tail_index", "tail_family"
BATCH = 4_000_000  # values that are drawn and estimated at a time
CLAIMS = ("", "OK", "PARETO", "STABLE", "DATA_END")  # statuses with which an estimator vouches for its interval
EXCUSED = ("slow", "log-gamma", "traps", "dependent")  # classes in which a status that says so counts like coverage
COVERS, WRONG = 0.90, 0.02  # below, or above which a row is a failure
SURE = 0.99  # above which an interval is longer than it need be
# Of every truth the verdicts that are right, and those that are wrong; others, UNDECIDED among them, decide nothing.
VERDICTS = {
    "POWER": ({"POWER"}, {"STABLE", "LOGNORMAL", "LIGHT", "BOUNDED", "FINITE"}),
    "STABLE": ({"STABLE", "POWER"}, {"LOGNORMAL", "LIGHT", "BOUNDED", "FINITE"}),
    "LOGNORMAL": ({"LOGNORMAL", "FINITE"}, {"POWER", "STABLE", "LIGHT", "BOUNDED"}),
    "LIGHT": ({"LIGHT", "FINITE"}, {"POWER", "STABLE", "LOGNORMAL", "BOUNDED"}),
    "BOUNDED": ({"LIGHT", "BOUNDED", "FINITE"}, {"POWER", "STABLE", "LOGNORMAL"}),
    "FINITE": ({"LIGHT", "LOGNORMAL", "FINITE"}, {"POWER", "STABLE", "BOUNDED"}),
}
# Root mean squared errors of the best peer, as (bias, standard deviation) of 20 samples of 100 000: Hill at the top 1 %, powerlaw,
# tailestim, block log-moment and McCulloch's quantiles, each at its defaults (the last two assume a stable law).
PUBLISHED = {
    "Pareto(1.5)": (tail_laws.pareto(1.5), "tailestim Hill", 0.001, 0.005),
    "Pareto(3)": (tail_laws.pareto(3.0), "Hill, top 1 %", -0.005, 0.103),
    "stable(1.2)": (tail_laws.stable(1.2), "block log-moment", 0.002, 0.010),
    "stable(1.5)": (tail_laws.stable(1.5), "stable quantile", 0.003, 0.004),
    "stable(1.8)": (tail_laws.stable(1.8), "block log-moment", 0.004, 0.008),
    "Student(1.5)": (tail_laws.student(1.5), "Hill, top 1 %", -0.006, 0.042),
    "Student(3)": (tail_laws.student(3.0), "Hill, top 1 %", -0.103, 0.073),
}


@dataclass(frozen=True)
class Config:
    """Put tail estimators to laws whose index is known, and to laws without one."""

    out: Path = Path("out/bench")
    """Directory for the results."""
    seed: int = 0
    """Seed of the laws' parameters and of the samples."""
    classes: tuple[str, ...] = tuple(CLASSES)
    """Classes of laws."""
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    """Values of a sample."""
    samples: tuple[int, ...] = (400, 400, 400, 100)
    """Samples of every law at each size; one number holds for all sizes."""
    estimator: tuple[str, ...] = ()
    """Estimators to be scored, as module:function."""
    verdict: tuple[str, ...] = ()
    """Functions that name a family, as module:function."""
    peers: bool = True
    """Put the peers to the same samples."""
    peer_seconds: float = 20.0
    """Seconds that powerlaw and tailestim get for each law and size."""
    processes: int = 1
    """Processes that share the work."""
    extras: bool = True
    """Add the seven laws with published errors, and the table of seconds."""


@dataclass
class Answers:
    """What an estimator said of some samples.

    Args:
        estimate: (samples,).
        interval: (samples, 2).
        status: a word for each.
    """

    estimate: np.ndarray
    interval: np.ndarray
    status: list[str] = field(default_factory=list)


Estimator = Callable[[np.ndarray, bool], Answers]  # (samples in order, whether their values may depend) -> answers


# Contestants. -------------------------------------------------------------------------------------------------------------


def of_fit(estimator: Callable[..., tails.TailFit], signs: bool = False) -> Estimator:
    """An estimator of `measure.tails`, all samples at once; `signs` puts random signs on positive samples."""

    def answer(x: np.ndarray, dependent: bool) -> Answers:
        # The one place for an estimator that wants to be told of the order of dependent values: `dependent` says they may be.
        if signs and x.min() >= 0:
            x = x * np.random.default_rng(x.shape).choice([-1.0, 1.0], x.shape)
        fit, names = estimator(x), [status.name for status in tails.TailStatus]
        return Answers(np.asarray(fit.alpha), np.asarray(fit.interval), [names[code] for code in np.ravel(fit.status)])

    return answer


def one_by_one(function: Callable[[np.ndarray], Any]) -> Estimator:
    """A function of one sample -> estimate, interval and, if it likes, a status."""

    def answer(x: np.ndarray, dependent: bool) -> Answers:
        found = [function(one) for one in x]
        status = [str(f[2]) if len(f) > 2 else "" for f in found]
        return Answers(np.array([float(f[0]) for f in found]), np.array([[float(e) for e in f[1]] for f in found]), status)

    return answer


def peers() -> dict[str, Estimator]:
    """Peers by their formulas, and the other estimators of the library."""

    def share(x, part):
        return tails.hill(x, k=x.shape[-1] // part)

    names = ("hill_reduced", "moment_estimator", "kernel_estimator", "power_law", "stable_characteristic")
    others = {name.removesuffix("_estimator"): of_fit(getattr(tails, name)) for name in names}
    return {
        "Hill, top 1 %": of_fit(partial(share, part=100)),
        "Hill, top 5 %": of_fit(partial(share, part=20)),
        "block log-moment": of_fit(tails.block_log_moment),
        "stable quantile": of_fit(tails.stable_quantile, signs=True),
        **others,
    }


def optional() -> dict[str, Callable[[np.ndarray], Any]]:
    """Functions of one sample of the packages that are installed; tailestim gives no interval."""
    found: dict[str, Callable[[np.ndarray], Any]] = {}
    try:
        powerlaw = importlib.import_module("powerlaw")
    except ImportError:
        pass
    else:

        def by_powerlaw(x):
            x = abs(x[x != 0])
            fit = powerlaw.Fit(x, xmin=np.quantile(x, 0.99), verbose=False)
            half = 1.96 * fit.power_law.sigma
            return fit.power_law.alpha - 1, (fit.power_law.alpha - 1 - half, fit.power_law.alpha - 1 + half)

        found["powerlaw, top 1 %"] = by_powerlaw
    try:
        tailestim = importlib.import_module("tailestim")
    except ImportError:
        pass
    else:

        def by_tailestim(x):
            estimator = tailestim.HillEstimator()
            estimator.fit(abs(x[x != 0]))
            return 1 / estimator.get_result().xi_star_, (np.nan, np.nan)

        found["tailestim Hill"] = by_tailestim
    return found


def load(reference: str) -> Callable[[np.ndarray], Any]:
    """The function that `module:function` names."""
    module, _, function = reference.partition(":")
    _check.require(bool(module and function), "estimator", "be module:function", reference)
    return getattr(importlib.import_module(module), function)


def asked(estimator: Estimator, x: np.ndarray, dependent: bool) -> Answers:
    """The answers; a sample on which the estimator raises an error has none, and the error's name for a status."""
    try:
        return estimator(x, dependent)
    except Exception as error:  # whatever it is, the others go on
        if len(x) == 1:
            return Answers(np.array([np.nan]), np.full((1, 2), np.nan), [type(error).__name__])
        return joined([asked(estimator, one[None], dependent) for one in x])


def joined(parts: list[Answers]) -> Answers:
    """Of several batches."""
    status = [word for part in parts for word in part.status]
    return Answers(np.concatenate([p.estimate for p in parts]), np.concatenate([p.interval for p in parts]), status)


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after so many seconds of pure Python; nothing where there are no such signals."""

    def stop(*_):
        raise TimeoutError

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# Scores. ------------------------------------------------------------------------------------------------------------------


def exact(count: int, of: int) -> tuple[float, float]:
    """Interval of Clopper and Pearson for a share, 95 %."""
    low = float(special.betaincinv(count, of - count + 1, 0.025)) if count else 0.0
    return low, float(special.betaincinv(count + 1, of - count, 0.975)) if count < of else 1.0


def batches(law: Law, seed: int, n: int, samples: int) -> Iterator[np.ndarray]:
    """The samples of a law at a size, some at a time."""
    at_once = max(1, BATCH // n)
    for batch, start in enumerate(range(0, samples, at_once)):
        rng = np.random.default_rng([seed, n, batch, *law.name.encode()])
        yield law.draw(rng, (min(at_once, samples - start), n))


def scored(law: Law, n: int, name: str, answers: Answers) -> dict:
    """Coverage, width, error and statuses of one estimator on one law with an index."""
    low, high = answers.interval[:, 0], answers.interval[:, 1]
    inside = (low <= law.alpha) & (law.alpha <= high)
    said = np.array([status not in CLAIMS for status in answers.status])
    good = inside | said if law.cls in EXCUSED else inside
    with np.errstate(all="ignore"):
        width = np.where(low > 0, high / low, np.inf)
        errors = np.log(answers.estimate / law.alpha)
    proper = np.isfinite(errors)
    return {
        "class": law.cls,
        "law": law.name,
        "n": n,
        "estimator": name,
        "samples": len(inside),
        "intervals": int(np.sum(~np.isnan(low))),
        "covered": int(inside.sum()),
        "said": int(said.sum()),
        "good": int(good.sum()),
        "width": float(np.median(width)),
        "squares": float(np.sum(errors[proper] ** 2)),
        "errors": float(np.sum(errors[proper])),
        "estimates": int(proper.sum()),
        "status": dict(Counter(answers.status)),
    }


def judged(law: Law, n: int, name: str, words: list[str]) -> dict:
    """Right, undecided and wrong verdicts on one law. A cut that a sample cannot show makes POWER right."""
    right, wrong = VERDICTS[law.family]
    if law.cut and n * law.cut < tail_laws.BEYOND:
        right, wrong = right | {"POWER"}, wrong - {"POWER"}
    found = Counter(words)
    counts = {kind: sum(found[word] for word in kinds) for kind, kinds in (("right", right), ("wrong", wrong))}
    row = {"class": law.cls, "law": law.name, "n": n, "estimator": name, "family": law.family, "samples": len(words)}
    return row | counts | {"undecided": len(words) - sum(counts.values()), "verdicts": dict(found)}


def score(
    law: Law,
    n: int,
    samples: int,
    seed: int,
    estimators: dict[str, Estimator],
    verdicts: dict[str, Callable[[np.ndarray], list[str]]],
    limited: dict[str, Callable[[np.ndarray], Any]] | None = None,
    seconds: float = 20.0,
) -> tuple[list[dict], list[dict]]:
    """Rows of the estimators, if the law has an index, and of the verdicts, on the same samples."""
    answers: dict[str, list[Answers]] = {}
    words: dict[str, list[str]] = {name: [] for name in verdicts}
    left = dict.fromkeys(limited or {}, seconds)
    dependent = law.cls == "dependent"
    for x in batches(law, seed, n, samples):
        for name, verdict in verdicts.items():
            words[name] += verdict(x)
        if np.isnan(law.alpha):
            continue
        for name, estimator in estimators.items():
            answers.setdefault(name, []).append(asked(estimator, x, dependent))
        for name, function in (limited or {}).items():
            for one in x:
                if left[name] <= 0:
                    break
                start = time.perf_counter()
                try:
                    with limit(left[name]):
                        answers.setdefault(name, []).append(asked(one_by_one(_but_time(function)), one[None], dependent))
                except _TimeUp:
                    left[name] = 0.0
                left[name] -= time.perf_counter() - start
    rows = [scored(law, n, name, joined(parts)) for name, parts in answers.items() if parts]
    return rows, [judged(law, n, name, found) for name, found in words.items()]


class _TimeUp(BaseException):
    """The time of a peer is up: no error of its own."""


def _but_time(function: Callable) -> Callable:
    def wrapped(x):
        try:
            return function(x)
        except TimeoutError as error:
            raise _TimeUp from error

    return wrapped


def family(x: np.ndarray) -> list[str]:
    """Verdicts of `tail_family`."""
    return [found.name for found in np.ravel(tails.tail_family(x).family)]


def words_of(function: Callable[[np.ndarray], Any], x: np.ndarray) -> list[str]:
    """Verdicts of a function of one sample; an error decides nothing, and is counted under its name."""
    found = []
    for one in x:
        try:
            word = function(one)
            found.append(getattr(word, "name", str(word)))
        except Exception as error:  # whatever it is, the others go on
            found.append(type(error).__name__)
    return found


def contestants(config: Config) -> tuple[dict[str, Estimator], dict[str, Callable], dict[str, Callable]]:
    """Estimators, verdicts, and functions whose time is limited."""
    estimators = {OURS: of_fit(tails.tail_index)} | {name: one_by_one(load(name)) for name in config.estimator}
    verdicts: dict[str, Callable] = {FAMILY: family} | {name: partial(words_of, load(name)) for name in config.verdict}
    return (estimators | peers(), verdicts, optional()) if config.peers else (estimators, verdicts, {})


def task(config: Config, number: int, n: int, samples: int) -> tuple[list[dict], list[dict]]:
    """Rows of one law at one size: made again from the config, so that any process can do it."""
    law = _laws(config.seed, config.classes)[number]
    start = time.perf_counter()
    rows, verdicts = score(law, n, samples, config.seed, *contestants(config), config.peer_seconds)
    first = f"covers {rows[0]['covered'] / samples:.3f}, " if rows else ""
    taken = time.perf_counter() - start
    print(f"{law.cls}, {law.name}, n = {n}: {first}wrong {verdicts[0]['wrong'] / samples:.3f}; {taken:.1f} s", flush=True)
    return rows, verdicts


_laws = cache(laws)


def measure(config: Config) -> dict:
    """All rows."""
    _check.require(set(config.classes) <= set(CLASSES), "classes", f"be among {', '.join(CLASSES)}", config.classes)
    counts = config.samples * len(config.sizes) if len(config.samples) == 1 else config.samples
    _check.require(len(counts) >= len(config.sizes), "samples", "be one number, or one for each size", config.samples)
    contestants(config)  # a name that does not exist is found out now
    found = _laws(config.seed, config.classes)
    pairs = list(zip(config.sizes, counts, strict=False))
    tasks = [(i, n, samples) for i, law in enumerate(found) for n, samples in pairs if n <= law.largest]
    if config.processes == 1:
        results = [task(config, *one) for one in tasks]
    else:
        with ProcessPoolExecutor(config.processes, get_context("spawn")) as pool:
            results = [future.result() for future in [pool.submit(task, config, *one) for one in tasks]]
    rows, judgements = [row for result in results for row in result[0]], [row for result in results for row in result[1]]
    about = [{"class": w.cls, "law": w.name, "alpha": w.alpha, "rho": w.rho, "family": w.family} for w in found]
    return {
        "machine": f"{platform.machine()}, jax {jax.__version__}, numpy {np.__version__}",
        "seed": config.seed,
        "classes": {cls: CLASSES[cls] for cls in config.classes},
        "sizes": config.sizes,
        "samples": counts[: len(config.sizes)],
        "scored": [OURS, *config.estimator],
        "laws": about,
        "rows": rows,
        "verdicts": judgements,
        "published": published(config.seed) if config.extras else [],
        "seconds": seconds() if config.extras else [],
    }


def published(seed: int, n: int = 100_000, samples: int = 100) -> list[dict]:
    """`tail_index`, and peers on the same samples, on the seven laws of which errors of other tools are known."""
    rows = []
    for name, (law, best, bias, deviation) in PUBLISHED.items():
        errors: dict[str, list] = {}
        inside = 0
        for x in batches(law, seed, n, samples):
            for who, estimator in ({OURS: of_fit(tails.tail_index)} | peers()).items():
                found = asked(estimator, x, False)
                errors.setdefault(who, []).extend(found.estimate - law.alpha)
                if who == OURS:
                    inside += int(np.sum((found.interval[:, 0] <= law.alpha) & (law.alpha <= found.interval[:, 1])))
        rmse = {who: float(np.sqrt(np.mean(np.square(e)))) for who, e in errors.items()}
        row = {"law": name, "n": n, "samples": samples, "bias": float(np.mean(errors[OURS])), "rmse": rmse, "covered": inside}
        rows.append(row | {"published": float(np.hypot(bias, deviation)), "by": best})
    return rows


def seconds() -> list[dict]:
    """Of one sample of 1 000 000, and of 1000 samples of 10 000 in one call; the second of two calls."""
    rng = np.random.default_rng(0)
    one, many = rng.standard_t(2, 1_000_000), rng.standard_t(2, (1000, 10_000))
    names = ("hill", "hill_reduced", "moment_estimator", "pickands", "kernel_estimator", "block_log_moment", "stable_quantile")
    rows = []
    for name in (*names, "stable_characteristic", "power_law", "tail_index", "tail_family"):
        estimator, taken = getattr(tails, name), []
        for x in (one, many):
            estimator(x)
            start = time.perf_counter()
            estimator(x)
            taken.append(time.perf_counter() - start)
        rows.append({"estimator": name.removesuffix("_estimator"), "one_of_1e6": taken[0], "thousand_of_1e4": taken[1]})
    return rows


# The page. ----------------------------------------------------------------------------------------------------------------


def pooled(rows: list[dict]) -> list[dict]:
    """Rows of laws put together for each class, size and estimator."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((row["class"], row["n"], row["estimator"]), []).append(row)
    found = []
    for (cls, n, estimator), group in groups.items():
        one: dict[str, Any] = {"class": cls, "law": "all", "n": n, "estimator": estimator}
        for key in (
            "samples",
            "intervals",
            "covered",
            "said",
            "good",
            "squares",
            "errors",
            "estimates",
            "right",
            "wrong",
            "undecided",
        ):
            if key in group[0]:
                one[key] = sum(row[key] for row in group)
        for key in ("status", "verdicts"):
            if key in group[0]:
                one[key] = dict(sum((Counter(row[key]) for row in group), Counter()))
        if "width" in group[0]:
            one["width"] = float(np.median([row["width"] for row in group]))
        if "family" in group[0]:
            one["family"] = ""
        found.append(one)
    return found


def table(header: str, lines: list[tuple]) -> list[str]:
    """A Markdown table; cells that look like numbers need no care."""
    columns = header.split(" | ")
    body = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]
    return ["| " + header + " |", "|" + "---|" * len(columns), *body, ""]


def share(count: int, of: int) -> str:
    """A share with its exact interval."""
    low, high = exact(count, of)
    return f"{count / of:.3f} [{low:.3f}, {high:.3f}]"


def words(found: dict[str, int]) -> str:
    """Counts of words."""
    return ", ".join(f"{word or 'none'} {count}" for word, count in sorted(found.items(), key=lambda item: -item[1]))


COVERAGE = (
    "class | law | n | samples | estimator | covers | says so | covers or says so | width | RMSE of log alpha | bias | statuses"
)
VERDICT = "class | law | truth | n | estimator | right | undecided | wrong | verdicts"


def coverage_line(row: dict) -> tuple:
    """One line of the table of coverage."""
    count = row["estimates"]
    rmse, bias = (f"{np.sqrt(row['squares'] / count):.3f}", f"{row['errors'] / count:+.3f}") if count else ("", "")
    said, either = f"{row['said'] / row['samples']:.3f}", f"{row['good'] / row['samples']:.3f}" if row["class"] in EXCUSED else ""
    first = (
        row["class"],
        row["law"],
        row["n"],
        row["samples"],
        row["estimator"],
        share(row["covered"], row["samples"]) if row["intervals"] else "no interval",
    )
    return (*first, said, either, f"{row['width']:.2f}", rmse, bias, words(row["status"]))


def verdict_line(row: dict) -> tuple:
    """One line of the table of verdicts."""
    of = row["samples"]
    parts = (f"{row['right'] / of:.3f}", f"{row['undecided'] / of:.3f}", share(row["wrong"], of), words(row["verdicts"]))
    return (row["class"], row["law"], row["family"], row["n"], row["estimator"], *parts)


def rate(row: dict) -> float:
    """What is to be above COVERS."""
    return row["good"] / row["samples"]


def wrong(row: dict) -> float:
    """What is to be at most WRONG."""
    return row["wrong"] / row["samples"]


def worst_first(rows: list[dict], worth: Callable[[dict], float]) -> list[dict]:
    """Laws, or classes, that have the worst row first; the rows of one stay together."""
    worst: dict[tuple, float] = {}
    for row in rows:
        key = (row["class"], row["law"], row["estimator"])
        worst[key] = min(worst.get(key, np.inf), worth(row))
    return sorted(rows, key=lambda r: (worst[r["class"], r["law"], r["estimator"]], r["class"], r["law"], r["estimator"], r["n"]))


def report(content: dict) -> str:
    """The page as Markdown, failures first."""
    mine = [row for row in content["rows"] if row["estimator"] in content["scored"]]
    verdicts = content["verdicts"]
    bad = [row for row in pooled(mine) + mine if rate(row) < COVERS]
    false = [row for row in pooled(verdicts) + verdicts if wrong(row) > WRONG]
    must = [row for row in mine if row["class"] not in EXCUSED]
    sure = sum(rate(row) > SURE for row in must)
    sizes = ", ".join(f"{m} of {n}" for n, m in zip(content["sizes"], content["samples"], strict=True))
    lines = [
        "# Tail estimators",
        "",
        f"Seed {content['seed']}; samples a law: {sizes}. {content['machine']}; `python -m benchmarks.tails --seed {content['seed']}`.",
        "The parameters of the laws are drawn from the seed. Shares have exact 95 % intervals (Clopper, Pearson), those of classes as",
        "if their samples were of one law. *Says so* is the share of samples whose status does not vouch for the interval.",
        f"It counts like coverage in the classes {', '.join(EXCUSED)}, and nowhere else. *Width* is the median ratio of the ends.",
        "The bias is that of log alpha.",
        "",
        f"## Failures: coverage below {COVERS:g}",
        "",
        f"{len(bad)} of {len(pooled(mine)) + len(mine)} rows, whole classes (law: all) among them. Outside of the classes",
        f"{', '.join(EXCUSED)} intervals hold in more than {SURE:g} on {sure} of {len(must)} laws and sizes: longer than they need be.",
        "",
        *table(COVERAGE, [coverage_line(row) for row in worst_first(bad, rate)]),
        f"## Failures: more than {100 * WRONG:g} % wrong verdicts",
        "",
        f"{len(false)} of {len(pooled(verdicts)) + len(verdicts)} rows. POWER counts as right for a stable law, and for a cut beyond which",
        f"fewer than {tail_laws.BEYOND:g} values of the sample are expected.",
        "",
        *table(VERDICT, [verdict_line(row) for row in worst_first(false, lambda r: -wrong(r))]),
        "## Classes",
        "",
        *table("class | laws", list(content["classes"].items())),
        *table(COVERAGE, [coverage_line(row) for row in worst_first(pooled(mine), rate)]),
        *table(VERDICT, [verdict_line(row) for row in worst_first(pooled(verdicts), lambda r: -wrong(r))]),
    ]
    others = [row for row in content["rows"] if row["estimator"] not in content["scored"]]
    if others:
        every = sorted(pooled(content["rows"]), key=lambda r: (list(CLASSES).index(r["class"]), r["n"]))
        lines += ["## Peers on the same samples", "", *table(COVERAGE, [coverage_line(row) for row in every])]
    lines += [
        "## Every law",
        "",
        *table(
            "class | law | alpha | rho | truth",
            [(w["class"], w["law"], f"{w['alpha']:.3f}", f"{w['rho']:.3f}", w["family"]) for w in content["laws"]],
        ),
        *table(COVERAGE, [coverage_line(row) for row in worst_first(mine, rate)]),
        *table(VERDICT, [verdict_line(row) for row in worst_first(verdicts, lambda r: -wrong(r))]),
    ]
    if content["published"]:
        names = list(content["published"][0]["rmse"])
        lines += [
            "## Seven laws with published errors",
            "",
            f"RMSE of alpha, {content['published'][0]['samples']} samples of {content['published'][0]['n']}; the last column is what the",
            "best peer reached elsewhere on 20 samples.",
            "",
            *table(
                " | ".join(["law", "bias", "covers", *names, "published"]),
                [
                    (
                        row["law"],
                        f"{row['bias']:+.4f}",
                        share(row["covered"], row["samples"]),
                        *(f"{row['rmse'][name]:.4f}" for name in names),
                        f"{row['published']:.3f} ({row['by']})",
                    )
                    for row in content["published"]
                ],
            ),
        ]
    if content["seconds"]:
        lines += [
            "## Seconds",
            "",
            *table(
                "estimator | n = 1 000 000 | 1000 x 10 000",
                [(f"`{r['estimator']}`", f"{r['one_of_1e6']:.3f}", f"{r['thousand_of_1e4']:.2f}") for r in content["seconds"]],
            ),
        ]
    return "\n".join(lines).rstrip() + "\n"


def main(config: Config) -> None:
    """Measure everything and write it."""
    _check.seed("seed", config.seed)
    with _check.own_directory("out", config.out) as out:
        content = measure(config)
        _files.write_json(out / "tails.json", content)
        _files.write_text(out / "tails.md", report(content))
    print(f"{out / 'tails.md'}")


if __name__ == "__main__":
    _job.command(Config, main)
