"""False alarms, coverage and power of the claims, by simulation: many seeds.

    python -m benchmarks.verify --out DIR                  # 20 seeds of every claim at the quick budget; 11 minutes on 2 cores
    python -m benchmarks.verify --budget full --out DIR    # at the full one; an hour and a half

writes DIR/verify.json and DIR/verify.md. Coverage is of intervals for a claim alone. Power is the share of measurements from which a
prediction that is off by the smallest detectable deviation, either way, would be seen: 0.9 if the claims' standard errors are right.
"""

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import tyro
from rich.progress import track

from meanfield import _check
from meanfield.verify import CLAIMS, Claim, Verdict
from meanfield.verify.claim import bounds, compare
from sims import _run


@dataclass(frozen=True)
class Config:
    """How often true claims are refuted, intervals cover, and deviations are seen."""

    claims: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names of claims; none: all."""
    out: Path = Path("out/bench")
    """Directory for the results."""
    seeds: int = 20
    """Runs of every claim."""
    budget: Literal["quick", "full"] = "quick"
    """Of every run."""
    first: int = 1000
    """The first seed: not one that the claims were made with."""


def rates(claim: Claim, config: Config) -> dict:
    """Counts of a claim over the seeds."""
    verdicts, rows = [], []
    predicted = claim.predict(claim.parameters)
    for seed in range(config.first, config.first + config.seeds):
        data = claim.collect(seed, config.budget)
        evidence, measured = claim.judge(data, config.budget), claim.measure(data, claim.parameters)
        verdicts.append(evidence.verdict)
        kept = all(check.holds for check in evidence.checks.values())
        for row in evidence.comparisons if kept else ():  # where a hypothesis fails the claim says nothing
            low, high = bounds(row.predicted)
            off = [end for end in (low - row.detectable, high + row.detectable) if np.isfinite(end)]
            seen = [compare(row.name, end, measured[row.name], row.detects, claim.rate / len(predicted)) for end in off]
            rows.append(
                {
                    "number": low == high,
                    "covered": row.interval[0] <= high and low <= row.interval[1],
                    "seen": [one.p_value <= claim.rate / len(predicted) for one in seen],
                    "z": (row.measured - low) / measured[row.name].standard_error if low == high else 0.0,
                }
            )
    numbers = [row for row in rows if row["number"]]
    return {
        "claim": claim.name,
        "seeds": config.seeds,
        "comparisons": len(predicted),
        "rate": claim.rate,
        "refuted": sum(v is Verdict.REFUTED for v in verdicts),
        "violated": sum(v is Verdict.ASSUMPTION_VIOLATED for v in verdicts),
        "intervals": len(rows),
        "covered": sum(row["covered"] for row in rows),
        "deviations": sum(len(row["seen"]) for row in numbers),
        "seen": sum(sum(row["seen"]) for row in numbers),
        "z_mean": float(np.mean([row["z"] for row in numbers])) if numbers else float("nan"),
        "z_squared": float(np.mean([row["z"] ** 2 for row in numbers])) if numbers else float("nan"),
    }


def report(content: dict) -> str:
    """Markdown."""
    rows = content["claims"]
    total = {name: sum(r[name] for r in rows) for name in ("refuted", "seeds", "intervals", "covered", "deviations", "seen")}
    expected = sum(r["rate"] * r["seeds"] for r in rows)
    lines = [
        f"{content['seeds']} seeds a claim at the {content['budget']} budget; {content['machine']}.",
        "",
        f"Refuted: {total['refuted']} of {total['seeds']} (declared: at most {expected:.1f} expected). "
        f"Intervals that hold the prediction: {total['covered']} of {total['intervals']}. "
        f"Deviations of the smallest detectable size that were seen: {total['seen']} of {total['deviations']} "
        f"({total['seen'] / max(1, total['deviations']):.3f}; declared 0.9).",
        "",
        "| claim | refuted | assumption violated | intervals hold the prediction | deviations seen | mean z | mean z^2 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    shown = lambda value, sign="": "-" if np.isnan(value) else f"{value:{sign}.2f}"  # noqa: E731
    for r in rows:
        seen = f"{r['seen']}/{r['deviations']}" if r["deviations"] else "-"
        cells = (
            r["claim"],
            f"{r['refuted']}/{r['seeds']}",
            str(r["violated"]),
            f"{r['covered']}/{r['intervals']}" if r["intervals"] else "-",
            seen,
            shown(r["z_mean"], "+"),
            shown(r["z_squared"]),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(config: Config) -> None:
    """Measure everything and write it, anew after every claim."""
    _check.integer("seeds", config.seeds, at_least=1)
    _check.seed("first", config.first)
    _check.seed("first + seeds - 1", config.first + config.seeds - 1)
    for name in config.claims:
        _check.choice("claims", name, tuple(CLAIMS))
    config.out.mkdir(parents=True, exist_ok=True)
    content = {
        "seeds": config.seeds,
        "budget": config.budget,
        "first": config.first,
        "machine": f"{platform.machine()}, jax {jax.__version__}, numpy {np.__version__}",
        "claims": [],
    }
    for name in track(config.claims or tuple(CLAIMS), "claims"):
        content["claims"].append(rates(CLAIMS[name], config))
        _run.write_json(config.out / "verify.json", content)
        (config.out / "verify.md").write_text(report(content))
    print(report(content))


if __name__ == "__main__":
    _run.command(Config, main)
