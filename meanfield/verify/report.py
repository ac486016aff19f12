"""Run claims, keep what they rest on, and say what came out."""

import dataclasses
import importlib.metadata
import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from rich import box
from rich.table import Table

from meanfield import _check
from meanfield.verify.claim import Claim, Evidence, Prediction, Verdict, bounds, holm


def run(
    claims: Sequence[Claim], out: Path, seed: int = 0, budget: str = "full", told: Callable[[Claim, Evidence], None] | None = None
) -> dict[str, Evidence]:
    """Test the claims one after the other and write into `out`: data/NAME.npz of every claim, report.json.

    A family of claims shares one false-alarm rate (`holm`): each is judged at the level that is left to it, from its file.

    Args:
        claims: what is tested.
        out: directory for the results; made if it is not there.
        seed: of all experiments.
        budget: "quick" or "full".
        told: called after every claim, to show progress.

    Returns:
        Evidence by the names of the claims.

    Raises:
        ValueError: no claims, two of one name, an unknown budget.
    """
    names = [claim.name for claim in claims]
    _check.require(bool(names) and len(set(names)) == len(names), "claims", "be one or several, of different names", names)
    _check.integer("seed", seed, at_least=0)
    out = _check.writable_directory("out", out)
    (out / "data").mkdir(exist_ok=True)
    alone = []
    for claim in claims:
        start = time.perf_counter()
        data = claim.collect(seed, budget)
        np.savez_compressed(out / "data" / f"{claim.name}.npz", **data)  # type: ignore[arg-type]
        alone.append(dataclasses.replace(claim.judge(data, budget), seed=seed, seconds=time.perf_counter() - start))
        if told:
            told(claim, alone[-1])
    evidence = {}
    for claim, one, rate in zip(claims, alone, holm([one.p_value for one in alone]), strict=True):
        again = reread(dataclasses.replace(claim, rate=float(rate)), out, budget)
        evidence[claim.name] = dataclasses.replace(again, seed=one.seed, seconds=one.seconds)
    write(claims, evidence, out / "report.json")
    return evidence


def reread(claim: Claim, out: Path, budget: str = "full") -> Evidence:
    """The evidence once more, from the files that `run` left."""
    with np.load(Path(out) / "data" / f"{claim.name}.npz") as data:
        return claim.judge(dict(data), budget)


def write(claims: Sequence[Claim], evidence: dict[str, Evidence], path: Path) -> None:
    """report.json: every number of the evidence, the claim in words, and what ran it."""
    packages = ("meanfield-sgd", "jax", "jaxlib", "numpy", "scipy")
    content = {
        "versions": {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages},
        "device": jax.devices()[0].device_kind,
        "claims": [_row(claim, evidence[claim.name]) for claim in claims],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def _row(claim: Claim, evidence: Evidence) -> dict:
    return {
        "name": claim.name,
        "statement": claim.statement,
        "formula": claim.formula,
        "source": claim.source,
        **dataclasses.asdict(evidence),
        "verdict": evidence.verdict.name,
        "meaning": evidence.verdict.value,
        "data": f"data/{claim.name}.npz",
        "rerun": f"python -m meanfield.verify '{claim.name}' --{evidence.budget} --seed {evidence.seed} --out DIR",
    }


def table(evidence: dict[str, Evidence]) -> Table:
    """A row for every comparison, the verdict at the first of a claim."""
    made = Table(box=box.SIMPLE_HEAD)
    for name in ("claim", "verdict", "", "predicted", "measured", "interval", "detects", "sample needed"):
        made.add_column(name, justify="left" if name in ("claim", "verdict", "") else "right", no_wrap=True)
    for name, one in evidence.items():
        for i, row in enumerate(one.comparisons):
            made.add_row(
                *((name, one.verdict.name) if i == 0 else ("", "")),
                row.name,
                shown(row.predicted),
                f"{row.measured:.5g}",
                f"[{row.interval[0]:.5g}, {row.interval[1]:.5g}]",
                f"{row.detects:g}",
                f"x {row.needed:.2g}" if row.needed > 1 else "",
            )
        for statement, check in one.checks.items():
            if not check.holds:
                made.add_row("", "", f"violated: {statement} {check.evidence}")
        made.add_section()
    return made


def shown(predicted: Prediction) -> str:
    """A number, or bounds.

    Examples:
        >>> shown(0.123456), shown((2.0, float("inf")))
        ('0.12346', '2 to inf')
    """
    low, high = bounds(predicted)
    return f"{low:.5g}" if low == high else f"{low:.5g} to {high:.5g}"


def refuted(evidence: dict[str, Evidence]) -> bool:
    """Whether anything was."""
    return any(one.verdict is Verdict.REFUTED for one in evidence.values())
