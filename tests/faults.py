"""Wrong numbers, planted one at a time in a copy of the library: what do the tests catch?

    python -m tests.faults                       # all of them, 23 minutes on two cores; writes tests/known/faults.md
    python -m tests.faults "output without 1/N"  # this one; its row is written anew, the others stay

A fault is looked for where it is cheapest: by the module's own test file, its room, then all, in `make test`; then so in `make test-all`.
What is caught is a test that fails. A copy that cannot be collected is a fault that is badly made, and the command says so.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from meanfield import _files

ROOT = Path(__file__).parent.parent
FILE = ROOT / "tests" / "known" / "faults.md"
NOTHING = "nothing"


@dataclass(frozen=True)
class Fault:
    """`old`, which is in `file` once, becomes `new`."""

    name: str
    file: str
    old: str
    new: str


SYSTEMS, SIMULATE, MEASURE, THEORY = (f"meanfield/{room}" for room in ("systems", "simulate", "measure", "theory"))
NETWORKS, DATA, STEPS, PRUNING = f"{SYSTEMS}/networks", f"{SYSTEMS}/data", f"{SYSTEMS}/dynamics", f"{MEASURE}/pruning"
MECHANISMS, COLLAPSE = f"{MEASURE}/mechanisms", f"{THEORY}/collapse"
ESTIMATE, CLAIM, WIDTHS = "meanfield/_estimate.py", "meanfield/verify/claim.py", "sims/width_scaling.py"
FAULTS = (
    Fault("output without 1/N", f"{NETWORKS}/two_layer.py", "is None else a) / w.shape[0]", "is None else a)"),
    Fault("squared loss with twice its slope", f"{NETWORKS}/losses.py", ": f - _target(f, y))", ": 2 * (f - _target(f, y)))"),
    Fault("slope of gelu without z", f"{NETWORKS}/activations.py", "+ z * norm.pdf(z)", "+ norm.pdf(z)"),
    Fault("weight decay dropped", f"{STEPS}/gradient.py", "-eta * (g + decay * p)", "-eta * g"),
    Fault("decay in a window one step late", f"{STEPS}/multistep.py", "numbers <= number", "numbers < number"),
    Fault("label noise is that of the inputs", f"{DATA}/online.py", "normal(key_noise, f.shape", "normal(key_x, f.shape"),
    Fault("every step draws the same data", f"{DATA}/online.py", "normal(jax.random.fold_in(key, step),", "normal(key,"),
    Fault("last example never drawn", f"{DATA}/finite.py", "=jnp.uint32)), self.size)", "=jnp.uint32)), self.size - 1)"),
    Fault("Langevin noise without its factor 2", f"{STEPS}/injections.py", "sqrt(2 * step_size", "sqrt(step_size"),
    Fault("stable noise scaled like a normal one", f"{STEPS}/injections.py", "step_size ** (1 / alpha)", "step_size ** (1 / 2)"),
    Fault("homogenised noise without 1/B", f"{STEPS}/homogenized.py", "twice * time_step / self.batch_size", "twice * time_step"),
    Fault("gradients of a chain summed", f"{STEPS}/least_squares.py", "gradient = jnp.mean(a", "gradient = jnp.sum(a"),
    Fault(
        "width law upside down",
        f"{SYSTEMS}/scaling.py",
        "(jnp.asarray(self.beta, float) - 1)",
        "(1 - jnp.asarray(self.beta, float))",
    ),
    Fault(
        "seeds numbered by their places",
        f"{SIMULATE}/grid.py",
        "asarray(seeds, jnp.uint32)",
        "arange(len(seeds), dtype=jnp.uint32)",
    ),
    Fault(
        "noise from the stream of the data",
        f"{SIMULATE}/program.py",
        "(streams[DATA], streams[NOISE]), meshes",
        "(streams[DATA], streams[DATA]), meshes",
    ),
    Fault(
        "divergence sought in one array", f"{SIMULATE}/program.py", "leaves(states.particles)]", "leaves(states.particles)[:1]]"
    ),
    Fault("steps asked for as steps done", f"{SIMULATE}/driver.py", "np.full(cells, done)", "np.full(cells, steps)"),
    Fault("probes look one step late", f"{SIMULATE}/driver.py", ", stop - done)", ", min(stop + 1, steps) - done)"),
    Fault(
        "Hill's threshold one value too high", f"{MEASURE}/tails/hill.py", "threshold = top[..., -1]", "threshold = top[..., -2]"
    ),
    Fault(
        "bootstrap that breaks up clusters",
        f"{MEASURE}/tails/bootstrap.py",
        "(starts[:, None] + np.arange(block))",
        "rng.integers(0, n, n)",
    ),
    Fault(
        "kept parts rounded up",
        f"{PRUNING}/prune.py",
        "np.floor(np.asarray(kappa, float) * n + 1e-9)",
        "np.ceil(np.asarray(kappa, float) * n)",
    ),
    Fault("pruning error without its p-th root", f"{PRUNING}/errors.py", "(ratio ** (1 / p) * unit)", "(ratio * unit)"),
    Fault("jackknife with n for n - 1", f"{MEASURE}/_jackknife.py", "(size - 1) * np.var", "size * np.var"),
    Fault("correlation with N for N - 1", f"{MEASURE}/chaos.py", "(n - 1) * between / within", "n * between / within"),
    Fault("rate with the wrong sign", f"{MEASURE}/rates.py", "np.log(n) - np.mean(np.log(n))", "np.mean(np.log(n)) - np.log(n)"),
    Fault(
        "ridge pushes outwards",
        f"{THEORY}/_recursion_quadrature.py",
        "m = 1 - np.float64(step_size)",
        "m = 1 + np.float64(step_size)",
    ),
    Fault(
        "tail constant of the stable law",
        f"{THEORY}/stable.py",
        "np.pi * scipy.special.gamma(alpha)",
        "np.pi * scipy.special.gamma(alpha + 1)",
    ),
    Fault("decay exponent of p = 2 for every p", f"{THEORY}/compressibility.py", "np.float64) - 1 / p)", "np.float64) - 1 / 2)"),
    Fault("Occam bound with n for 2n", f"{THEORY}/bounds.py", "np.log(delta)) / (2 * examples)", "np.log(delta)) / examples"),
    Fault(
        "mean of a column without its length",
        f"{THEORY}/_column_norms.py",
        "math.log(dim) + law.log_total(p)",
        "law.log_total(p)",
    ),
    Fault("minimal risk without its factor 1/2", f"{THEORY}/solvable.py", "0.5 * max(0.0, -_margin", "max(0.0, -_margin"),
    Fault(
        "sampling and law swapped",
        f"{MECHANISMS}/parts.py",
        '"sampling": level - level[-1],\n        "law": single - level,',
        '"law": level - level[-1],\n        "sampling": single - level,',
    ),
    Fault(
        "pairs that share a run, S for S - 1",
        f"{MECHANISMS}/parts.py",
        "(groups * pool - within) / (groups - 1)",
        "(groups * pool - within) / groups",
    ),
    Fault("pairs that share a run left in", f"{MECHANISMS}/parts.py", "(groups * pool - within) / (groups - 1)", "pool"),
    Fault(
        "draws with replacement",
        f"{MECHANISMS}/parts.py",
        "order = rng.permutation(len(rows))",
        "order = rng.integers(len(rows), size=len(rows))",
    ),
    Fault(
        "draws within a run with replacement",
        f"{MECHANISMS}/parts.py",
        "else rng.permutation(rows.shape[1])",
        "else rng.integers(rows.shape[1], size=rows.shape[1])",
    ),
    Fault(
        "slope of the parts in log2 N",
        f"{MECHANISMS}/parts.py",
        "x = np.log(widths) - np.mean(np.log(widths))",
        "x = np.log2(widths) - np.mean(np.log2(widths))",
    ),
    Fault(
        "dead on one example is dead",
        f"{MECHANISMS}/census.py",
        "np.max(rows[i : i + at_once] @ x.T",
        "np.min(rows[i : i + at_once] @ x.T",
    ),
    Fault(
        "rates of the census not per step", f"{MECHANISMS}/census.py", "np.log(after / before) / steps", "np.log(after / before)"
    ),
    Fault(
        "collapse and growth swapped",
        f"{MECHANISMS}/census.py",
        "[Fate.COLLAPSING, Fate.GROWING]",
        "[Fate.GROWING, Fate.COLLAPSING]",
    ),
    Fault(
        "a neuron is its own duplicate",
        f"{MECHANISMS}/census.py",
        "np.arange(cosines.shape[1]) < (start",
        "np.arange(cosines.shape[1]) <= (start",
    ),
    Fault("power limit of p = 2 for every p", f"{MECHANISMS}/limit.py", "a, fit.k, p)", "a, fit.k, 2.0)"),
    Fault(
        "finite limit of p = 2 for every p",
        f"{MECHANISMS}/limit.py",
        'value = np.asarray(error_curve(pooled, kappa, "magnitude", p))',
        'value = np.asarray(error_curve(pooled, kappa, "magnitude"))',
    ),
    Fault("Hill's index of a tenth", f"{MECHANISMS}/limit.py", "pooled.size // 100", "pooled.size // 10"),
    Fault(
        "dead neurons without a ridge",
        f"{COLLAPSE}/steps.py",
        "_roots(step_size * weight_decay, momentum)",
        "_roots(0.0, momentum)",
    ),
    Fault(
        "gradient of a mini-batch summed",
        f"{COLLAPSE}/steps.py",
        "step_size / batch_size * gradient(neurons, rows)",
        "step_size * gradient(neurons, rows)",
    ),
    Fault(
        "momentum revives no dead neuron",
        f"{COLLAPSE}/steps.py",
        "end = (1 - ridge - low.real) * w - momentum * velocity",
        "end = w",
    ),
    Fault("boundary of neurons that grow", f"{COLLAPSE}/growth.py", "first.value <= 0", "first.value >= 0"),
    Fault(
        "error of the boundary times the slope",
        f"{COLLAPSE}/growth.py",
        "found.standard_error / slope",
        "found.standard_error * slope",
    ),
    Fault(
        "exponent of the line that falls faster",
        f"{COLLAPSE}/lines.py",
        "return exact(max(_mean_log(f, chance)",
        "return exact(min(_mean_log(f, chance)",
    ),
    Fault("mini-batches without their multiplicities", f"{COLLAPSE}/lines.py", "- np.log(repeat)", "- 0 * np.log(repeat)"),
    Fault(
        "diffusion criterion without its factor 1/2",
        f"{COLLAPSE}/lines.py",
        "step_size / (2 * batch_size)",
        "step_size / batch_size",
    ),
    Fault(
        "index at 0 of the lesser line",
        f"{COLLAPSE}/lines.py",
        "key=lambda log: -float(chance @ log)",
        "key=lambda log: float(chance @ log)",
    ),
    Fault(
        "quadratic noise without x squared", f"{COLLAPSE}/quadratic.py", "np.log(gain) + 2 * u[kept]", "np.log(gain) + u[kept]"
    ),
    Fault("Bonferroni in place of Holm", CLAIM, "rate / (len(p_values) - rank)", "rate / len(p_values)"),
    Fault("verdict without power", CLAIM, "elif all(row.needed <= 1 for row in rows):", "elif holds:"),
    Fault("bias makes a refutation easier", CLAIM, "max(low - measured.value - bias,", "max(low - measured.value + bias,"),
    Fault("contract compares a width with itself", "meanfield/testing.py", "twins.moves[cases, :WIDTH]", "variants.moves[-16:]"),
    Fault(
        "fitted tail of slope 1/alpha", "meanfield/plot.py", "(tail / threshold) ** -alpha", "(tail / threshold) ** (-1 / alpha)"
    ),
    Fault("NaN written as 0", "meanfield/_files.py", "str(value) if lossless else None", "str(value) if lossless else 0.0"),
    Fault("normal quantile for Student's", ESTIMATE, "else scipy.special.stdtrit(dof, p)", "else scipy.special.ndtri(p)"),
    Fault("one-sided quantile for two sides", ESTIMATE, "half = quantile((1 + LEVEL) / 2, dof)", "half = quantile(LEVEL, dof)"),
    Fault(
        "slopes under other kinds",
        WIDTHS,
        "[i]} for i, k in enumerate(pruning.KINDS)}",
        "[i]} for i, k in enumerate(pruning.KINDS[::-1])}",
    ),
    Fault(
        "a neuron off on one example is dead", f"{SIMULATE}/probes.py", "lambda part: jnp.any(part", "lambda part: jnp.all(part"
    ),
    Fault("any law counts as settled", "sims/_regimes.py", 'not matters("law") and', "True or"),
    Fault(
        "indices above p count as below",
        "sims/_regimes.py",
        '["index_interval"][1] < row["p"]',
        '["index_interval"][0] < row["p"]',
    ),
    Fault(
        "collapse of any sign counts",
        "sims/collapse.py",
        "allowed)) and signs == len(decided))",
        "allowed)) or signs == len(decided))",
    ),
    Fault(
        "networks of one seed with one start",
        f"{SIMULATE}/grid.py",
        "own = jnp.where(number == 0, jax.random.clone(of_seed), others)",
        "own = jnp.where(number >= 0, jax.random.clone(of_seed), others)",
    ),
    Fault("a checkpoint of another key", f"{SIMULATE}/checkpoint.py", '"networks", "key", "probes")', '"networks", "probes")'),
    Fault("limits of the root alone", f"{SIMULATE}/memory.py", "in (path, *path.parents):", "in (PurePosixPath('/'),):"),
    Fault(
        "dead neurons in the rate of collapse",
        "sims/collapse.py",
        "old, new = (np.linalg.norm(one[alive], axis=-1) for one in (before, after))",
        "old, new = (np.linalg.norm(one, axis=-1) for one in (before, after))",
    ),
    Fault("sampling shown as predicted", WIDTHS, 'slope("predicted")', 'slope("parts", "sampling")'),
)


def planted(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"is there {text.count(old)} times: {old!r}")
    return text.replace(old, new)


def copied(folder: Path) -> None:
    """The working tree, but the test of this list, which would see every fault; and CPU budgets, which are no numbers of the library."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in names:
        if (ROOT / name).is_file() and name != "tests/test_faults.py":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    conftest = folder / "tests" / "conftest.py"
    conftest.write_text(planted(conftest.read_text(), '"unmarked": 8.0, "long": 60.0', '"unmarked": 1e9, "long": 1e9'))


def own_tests(file: str) -> list[str]:
    """The module's test file, by the rule of tests/test_house.py, if it has one."""
    path = Path("tests", file.removeprefix("meanfield/"))
    path = path.with_name(f"test_{path.stem.strip('_')}.py")
    return [str(path)] if (ROOT / path).is_file() else []


def stages(file: str) -> Iterator[tuple[str, list[str]]]:
    """What is run, one after the other: the command that would catch the fault, and the arguments of pytest."""
    everywhere = ["-n", "auto", "--dist", "worksteal"]
    doctests = [file] if file.startswith("meanfield/") else []
    if own_tests(file):
        yield "make test", ["-m", "not long and not slow", "-n0", *own_tests(file)]
        yield "make test", ["-m", "not long and not slow", *everywhere, "/".join(own_tests(file)[0].split("/")[:2])]
    yield "make test", ["-m", "not long and not slow", *everywhere, "tests"]
    yield "make test-all", ["-m", "not slow", "-n0", *doctests, *own_tests(file)]
    yield "make test-all", ["-m", "not slow", *everywhere]


def failing(folder: Path, arguments: Sequence[str]) -> str:
    """The first test that fails in a copy, "" if none does."""
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(pytest, cwd=folder, capture_output=True, text=True, check=False, timeout=3600)
    if done.returncode in (0, 5):  # 5: none of the tests is of this tier
        return ""
    found = re.search(r"^FAILED (\S+?::.+?)(?: - .*)?$", done.stdout, re.M)
    stopped = done.returncode == 2 and "stopping after 1 failures" in done.stdout  # how xdist ends with -x
    if not found or not (done.returncode == 1 or stopped):
        raise RuntimeError(
            f"pytest ends with {done.returncode} and no test that fails:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
    return found[1]


def caught(fault: Fault) -> tuple[str, str]:
    """The command that catches a fault and the first test that fails."""
    with tempfile.TemporaryDirectory() as name:
        copied(folder := Path(name))
        path = folder / fault.file
        path.write_text(planted(path.read_text(), fault.old, fault.new))
        for command, arguments in stages(fault.file):
            if test := failing(folder, arguments):
                return command, test
    return NOTHING, ""


def rows(text: str) -> dict[str, list[str]]:
    """The rows of the table, by the names of the faults."""
    cells = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| "))
    return {name: rest for name, *rest in cells if name != "fault"}


def report(found: dict[str, list[str]], ran: int) -> str:
    count = {command: sum(row[1] == f"`{command}`" for row in found.values()) for command in ("make test", "make test-all")}
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    lines = [
        "# Planted faults and the tests that catch them",
        "",
        "One wrong number at a time is planted in a copy of the library, by `python -m tests.faults`; the list is in `tests/faults.py`.",
        f"Of {len(found)} faults `make test` catches {count['make test']}, and `make test-all` {count['make test-all']} more.",
        "Many of these tests were written after a first run showed what got through: the count is no rate at which new faults are caught.",
        f"Last run: {_files.now()}, revision {revision}, {ran} faults. Other rows are of earlier runs.",
        "",
        "| fault | file | caught by | the first test that fails |",
        "|---|---|---|---|",
        *(f"| {' | '.join([name, *row])} |" for name, row in found.items()),
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Config:
    """Plant faults, one after the other, and write down which tests catch them."""

    names: tyro.conf.Positional[tuple[str, ...]] = tuple(fault.name for fault in FAULTS)
    """Names of faults."""


def main(config: Config) -> int:
    by_name = {fault.name: fault for fault in FAULTS}
    chosen = [by_name[name] for name in config.names]
    with tempfile.TemporaryDirectory() as name:  # without a fault nothing may fail
        copied(folder := Path(name))
        own = sorted({test for fault in chosen for test in own_tests(fault.file)})
        if wrong := failing(folder, ["-m", "not long and not slow", "-n0", *own]):
            raise RuntimeError(f"fails without a fault: {wrong}")
    known = rows(FILE.read_text()) if FILE.is_file() else {}
    for fault in chosen:
        start = time.perf_counter()
        command, test = caught(fault)
        print(f"{fault.name}: {command}, {test or 'no test'}, {time.perf_counter() - start:.0f} s", flush=True)
        known[fault.name] = [fault.file, command if command == NOTHING else f"`{command}`", test and f"`{test}`"]
        FILE.write_text(report({one.name: known[one.name] for one in FAULTS if one.name in known}, len(chosen)))
    return any(known[fault.name][1] == NOTHING for fault in chosen)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config)))
