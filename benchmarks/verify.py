"""False alarms, coverage and power of the claims, by simulation: many seeds, and many settings of their parameters.

    python -m benchmarks.verify --out DIR                  # 20 seeds of every claim at the quick budget; 11 minutes on 2 cores
    python -m benchmarks.verify --budget full --out DIR    # at the full one; an hour and a half
    python -m benchmarks.verify --settings 200 --seed 1 --out benchmarks/results  # 200 settings

The first two write DIR/verify.json and DIR/verify.md. Coverage is of intervals for a claim alone. Power is the share of measurements from
which a prediction that is off by the smallest detectable deviation, either way, would be seen: 0.9 if standard errors are right.

The third writes DIR/verify_settings.json and .md after every setting; a setting in the file is not run again. A setting is a claim at
parameters drawn from what `with_parameters` accepts, a budget and a seed, all of them functions of --seed and its number. Every claim
comes up equally often. At the full budget its negative controls are judged with it: all that tamper with the prediction, and one that
has an experiment of its own. A refuted claim is run once more with another seed: chance does not repeat itself, a bias does.
"""

import collections
import json
import platform
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import tyro
from rich.progress import track
from scipy import stats

from meanfield import _check, _files
from meanfield.verify import CLAIMS, Claim, Evidence, Verdict
from meanfield.verify.claim import bounds, compare
from sims import _job


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
    settings: int = 0
    """Settings to draw from the claims' domains, in place of seeds at the default parameters."""
    seed: int = 0
    """Of the settings."""
    full: float = 0.5
    """Share of the settings that are run at the full budget; the others at the quick one."""


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
                    # A known bias, such as that of rounding, may be many standard errors: such rows have no z.
                    "z": (row.measured - low) / measured[row.name].standard_error
                    if low == high and not measured[row.name].bias
                    else None,
                }
            )
    numbers = [row for row in rows if row["number"]]
    z = [row["z"] for row in rows if row["z"] is not None]
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
        "z_mean": float(np.mean(z)) if z else float("nan"),
        "z_squared": float(np.mean(np.square(z))) if z else float("nan"),
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


# -- settings ---------------------------------------------------------------------------------------------------------------

NO_THEOREM = {"founding theorem, digits"}  # nothing says how it ends


@dataclass(frozen=True)
class Setting:
    """A claim at drawn parameters, its budget and the seed of its experiment."""

    number: int
    claim: Claim
    budget: str
    seed: int


def setting(number: int, config: Config) -> Setting:
    """Setting `number`: a function of the seed, the claims and the number, not of the settings before it."""
    names = [name for name in config.claims or tuple(CLAIMS) if name not in NO_THEOREM]
    turn, place = divmod(number, len(names))
    name = np.random.default_rng([config.seed, turn]).permutation(names)[place]
    rng = np.random.default_rng([config.seed, turn, zlib.crc32(name.encode())])
    budget = "full" if rng.random() < config.full else "quick"
    return Setting(number, CLAIMS[name].anywhere(rng), budget, int(rng.integers(2**31)))


def scored(one: Setting) -> dict:
    """Verdict, numbers and reasons of a setting, and what became of its negative controls."""
    claim, start = one.claim, time.perf_counter()
    made = {
        "number": one.number,
        "claim": claim.name,
        "budget": one.budget,
        "seed": one.seed,
        "parameters": dict(claim.parameters),
    }
    try:
        data = claim.collect(one.seed, one.budget)
        evidence = claim.judge(data, one.budget)
        made |= told(evidence)
        if evidence.verdict is Verdict.REFUTED:
            made["again"] = claim.test(one.seed + 1, one.budget).verdict.name
        made["seconds"] = time.perf_counter() - start
        made["controls"] = {} if one.budget == "quick" else controls(one, data)
    except Exception as error:  # a setting that breaks down is a finding, and the others go on
        made |= {
            "verdict": "ERROR",
            "reasons": [f"{type(error).__name__}: {error}"[:500]],
            "seconds": time.perf_counter() - start,
        }
    return made


def told(evidence: Evidence) -> dict:
    """What is kept of evidence."""
    failed = [f"{name} {check.evidence}" for name, check in evidence.checks.items() if not check.holds]
    rows = [
        {
            "name": r.name,
            "predicted": r.predicted,
            "measured": r.measured,
            "interval": r.interval,
            "bias": r.bias,
            "needed": r.needed,
        }
        for r in evidence.comparisons
    ]
    return {
        "verdict": evidence.verdict.name,
        "p_value": evidence.p_value,
        "reasons": failed or list(evidence.reasons),
        "rows": rows,
    }


def controls(one: Setting, data) -> dict[str, dict]:
    """Verdicts of the controls that are judged on the claim's own data, and of one that needs an experiment of its own."""
    claim, made = one.claim, {}
    others = {name: claim.control(name) for name in claim.controls}
    own = {n: c for n, c in others.items() if c.experiment is claim.experiment and c.parameters == claim.parameters}
    made = {name: told(other.judge(data, one.budget)) for name, other in own.items()}
    rest = sorted(set(others) - set(own))
    if rest:
        name = rest[one.seed % len(rest)]
        made[name] = told(others[name].test(one.seed, one.budget))
    return {name: {"verdict": found["verdict"], "reasons": found["reasons"]} for name, found in made.items()}


def settings_report(content: dict) -> str:
    """Markdown."""
    settings = content["settings"]
    true = [s for s in settings if s["verdict"] != "ERROR"]
    verdicts = collections.Counter(s["verdict"] for s in settings)
    refuted = [s for s in true if s["verdict"] == "REFUTED"]
    rates = [CLAIMS[s["claim"]].rate for s in true]
    chance = float(stats.binom.sf(len(refuted) - 1, len(true), max(rates, default=0.01)))
    found = [(s, name, c) for s in settings for name, c in s.get("controls", {}).items()]
    outcome = collections.Counter(c["verdict"] for _, _, c in found)
    lines = [
        f"{len(settings)} of {content['asked']} settings, seed {content['seed']}, a share of {content['full']:g} at the full budget; "
        f"{content['machine']}.",
        "",
        f"True claims at drawn parameters: {verdicts['CONSISTENT']} consistent, {verdicts['REFUTED']} refuted, "
        f"{verdicts['INCONCLUSIVE']} inconclusive, {verdicts['ASSUMPTION_VIOLATED']} with a hypothesis that failed its check, "
        f"{verdicts['ERROR']} that broke down.",
        f"Refuted: {len(refuted)} of {len(true)}; the declared rate allows {sum(rates):.1f} on average, and as many or more by chance with "
        f"probability {chance:.2g}.",
        f"Negative controls at the full budget: {outcome['REFUTED']} refuted, {outcome['ASSUMPTION_VIOLATED']} with a failed hypothesis, "
        f"{outcome['INCONCLUSIVE']} inconclusive, {outcome['CONSISTENT']} passed, of {len(found)}.",
        "",
        "| claim | settings | refuted | consistent | inconclusive | hypothesis failed | broke down | controls passed | seconds |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys([*CLAIMS, *(s["claim"] for s in settings)]):
        own = [s for s in settings if s["claim"] == name]
        if own:
            count = collections.Counter(s["verdict"] for s in own)
            mine = [c["verdict"] for s, _, c in found if s["claim"] == name]
            cells = [count[v] for v in ("REFUTED", "CONSISTENT", "INCONCLUSIVE", "ASSUMPTION_VIOLATED", "ERROR")]
            passed = f"{mine.count('CONSISTENT')}/{len(mine)}" if mine else "-"
            seconds = f"{np.mean([s['seconds'] for s in own]):.0f}"
            lines.append("| " + " | ".join([name, str(len(own)), *map(str, cells), passed, seconds]) + " |")
    shown = lambda s: f"- `{s['claim']}`, {s['budget']}, {_short(s['parameters'])}"  # noqa: E731
    for title, verdict in (("Refuted", "REFUTED"), ("Broke down", "ERROR")):
        rows = [s for s in settings if s["verdict"] == verdict]
        if rows:
            lines += ["", f"{title}:", ""]
        for s in rows:
            worst = [r for r in s.get("rows", []) if _outside(r)]
            said = "; ".join(f"{r['name']}: predicted {_short(r['predicted'])}, measured {r['measured']:.4g}" for r in worst)
            once = f" Another seed: {s['again'].lower()}." if "again" in s else ""
            lines.append(f"{shown(s)}: {said or ' '.join(s['reasons'])}.{once}")
    if outcome["CONSISTENT"]:
        lines += ["", "Controls that passed:", ""]
        lines += [f"{shown(s)}: {name}" for s, name, c in found if c["verdict"] == "CONSISTENT"]
    for title, verdict in (("Why inconclusive", "INCONCLUSIVE"), ("Failed hypotheses", "ASSUMPTION_VIOLATED")):
        rows = [s for s in settings if s["verdict"] == verdict]
        if rows:
            lines += ["", f"{title}:", ""]
            lines += [f"{shown(s)}: {s['reasons'][0] if s['reasons'] else '-'}" for s in rows]
    return "\n".join(lines) + "\n"


def _outside(row: dict) -> bool:
    low, high = bounds(tuple(row["predicted"]) if isinstance(row["predicted"], list | tuple) else row["predicted"])
    return row["interval"][0] > high or row["interval"][1] < low


def _short(value) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return "(" + ", ".join(map(_short, value)) + ")"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def score(config: Config) -> None:
    """Run the settings that the file does not hold, and write it anew after each."""
    path = config.out / "verify_settings.json"
    content = {
        "asked": config.settings,
        "seed": config.seed,
        "full": config.full,
        "claims": list(config.claims),
        "machine": f"{platform.machine()}, jax {jax.__version__}, numpy {np.__version__}",
        "settings": [],
    }
    if path.exists():
        before = json.loads(path.read_text())
        if all(before[name] == content[name] for name in ("seed", "full", "claims")):
            content["settings"] = list(_files.loose(before["settings"]))
    done = {s["number"] for s in content["settings"]}
    for number in track([i for i in range(config.settings) if i not in done], "settings"):
        made = _files.strict(scored(setting(number, config)), lossless=True)
        content["settings"].append(_files.loose(made))  # as a run that goes on reads it
        _files.write_json(path, content, lossless=True)
        _files.write_text(path.with_suffix(".md"), settings_report(content))
    print(settings_report(content))


def main(config: Config) -> None:
    """Measure everything and write it, anew after every claim."""
    _check.integer("seeds", config.seeds, at_least=1)
    _check.seed("first", config.first)
    _check.seed("first + seeds - 1", config.first + config.seeds - 1)
    for name in config.claims:
        _check.choice("claims", name, tuple(CLAIMS))
    with _check.own_directory("out", config.out):
        return score(config) if config.settings else count(config)


def count(config: Config) -> None:
    """How often every claim is refuted, covers and sees what it declares, written anew after each."""
    content = {
        "seeds": config.seeds,
        "budget": config.budget,
        "first": config.first,
        "machine": f"{platform.machine()}, jax {jax.__version__}, numpy {np.__version__}",
        "claims": [],
    }
    for name in track(config.claims or tuple(CLAIMS), "claims"):
        content["claims"].append(rates(CLAIMS[name], config))
        _files.write_json(config.out / "verify.json", content)
        _files.write_text(config.out / "verify.md", report(content))
    print(report(content))


if __name__ == "__main__":
    _job.command(Config, main)
