"""Run claims, keep what they rest on, and say what came out."""

import dataclasses
import json
import os
import platform
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meanfield import _check
from meanfield.simulate import Results
from meanfield.verify import _files, page
from meanfield.verify.claim import RATE, Arrays, Claim, Evidence, Verdict, holm
from meanfield.verify.claims import CLAIMS


@dataclass(frozen=True)
class Entry:
    """What a report has on one claim: evidence, verdicts of its negative controls by name, how to rerun it, a data URI."""

    claim: Claim
    evidence: Evidence
    controls: dict[str, str]
    rerun: str
    figure: str | None


def run(
    claims: Sequence[Claim],
    out: str | os.PathLike,
    seed: int = 0,
    budget: str = "full",
    told: Callable[[Claim, Evidence], None] | None = None,
    controls: bool = False,
    results: str | os.PathLike | None = None,
) -> dict[str, Evidence]:
    """Test the claims one after the other; write data/NAME.npz of every claim, report.json and report.html into `out`.

    A family of claims shares one false-alarm rate (`holm`): in the end each is judged anew, from its file, at the level that is
    left to it. Until then the report says that it is unfinished; it is written after every claim.

    Args:
        claims: what is tested.
        out: directory for the results; made if it is not there.
        seed: of all experiments.
        budget: "quick" or "full".
        told: called after every claim, to show progress.
        controls: judge the negative controls, too.
        results: somebody's own simulation, a file of `Results.save` or a directory with results.nc, in place of the experiment of
            the only claim.

    Returns:
        Evidence by the names of the claims.

    Raises:
        ValueError: no claims, two of one name, an unknown budget, a claim that does not read `results`.
    """
    names = [claim.name for claim in claims]
    _check.require(bool(names) and len(set(names)) == len(names), "claims", "be one or several, of different names", names)
    for name in names:
        _check.require(Path(name).name == name, "claims", "have names that a file can have", name)
    _check.integer("seed", seed, at_least=0)
    _check.choice("budget", budget, ("quick", "full"))
    own = None
    if results is not None:
        _check.require(len(names) == 1, "claims", "be exactly one if `results` are given", names)
        _check.require(
            not controls, "controls", "be left out if `results` are given: they have experiments of their own", controls
        )
        budget, own = "data", _from_results(claims[0], results)
    out = _check.writable_directory("out", out)
    (out / "data").mkdir(exist_ok=True)
    head = {
        "about": _files.ABOUT,
        "finished": False,
        "planned": len(claims),
        "date": _files.now(),
        "budget": budget,
        "seed": seed if own is None else None,
        "family_rate": RATE,
        "seconds": 0.0,
        "versions": _files.versions(),
        "device": _files.device(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    start = time.perf_counter()
    kept: list[Entry] = []
    _write(kept, head, out)
    for claim in claims:
        begun = time.perf_counter()
        data = claim.collect(seed, budget) if own is None else own
        facts: dict[str, Any] = {"data": f"data/{claim.name}.npz"}
        if own is None:
            facts |= {"seed": seed, "size": claim.sizes[budget == "full"], "seconds": time.perf_counter() - begun}
        _files.replace(out / facts["data"], lambda file, data=data: np.savez_compressed(file, **data))  # type: ignore[arg-type]
        evidence = dataclasses.replace(claim.judge(data, budget), **facts)
        found = claim.judge_controls(data, seed, budget) if controls else {}
        verdicts = {name: one.verdict.name for name, one in found.items()}
        figure = page.figure(claim, data)
        kept.append(Entry(claim, evidence, verdicts, _rerun(claim, seed, budget, controls, results), figure))
        head["seconds"] = time.perf_counter() - start
        _write(kept, head, out)
        if told:
            told(claim, evidence)
    return _close(kept, head, out)


def again(claims: Iterable[Claim], out: str | os.PathLike) -> dict[str, Evidence]:
    """Judge once more from the files that `run` left in `out`, and write the report anew. Controls keep their verdicts.

    Args:
        claims: those known; the ones that report.json names are judged, with the parameters there.
        out: directory of the files.

    Returns:
        Evidence by the names of the claims.

    Raises:
        ValueError: no report in `out`, or one of a claim that is not known.
    """
    out, known = Path(out), {claim.name: claim for claim in claims}
    content = _content(out)
    kept = []
    for row in content.pop("claims"):
        _check.choice("claims", row["name"], tuple(known))
        claim = known[row["name"]].with_parameters(**row["parameters"])
        facts = {name: row[name] for name in ("seed", "size", "seconds", "data")}
        _check.require((out / row["data"]).is_file(), "out", f"hold {row['data']}", str(out))
        data = _arrays(out, claim)
        evidence = dataclasses.replace(claim.judge(data, row["budget"]), **facts)
        kept.append(Entry(claim, evidence, row["controls"], row["rerun"], page.figure(claim, data)))
    content["judged_again"] = {"date": _files.now(), "versions": _files.versions()}
    if len(kept) == content["planned"]:
        return _close(kept, content, out)
    _write(kept, content, out)
    return {one.claim.name: one.evidence for one in kept}


def reread(claim: Claim, out: str | os.PathLike, budget: str = "full") -> Evidence:
    """The evidence once more, from the file that `run` left."""
    return claim.judge(_arrays(Path(out), claim), budget)


def _arrays(out: Path, claim: Claim) -> Arrays:
    with np.load(out / "data" / f"{claim.name}.npz") as data:
        return dict(data)


def escaped(out: str | os.PathLike) -> list[str]:
    """Negative controls that came back CONSISTENT, by report.json; none at the quick budget, which need not catch them."""
    content = _content(Path(out))
    found = ((row["name"], *item) for row in content["claims"] for item in row["controls"].items() if row["budget"] != "quick")
    return [f"{name}, {control}" for name, control, verdict in found if verdict == Verdict.CONSISTENT.name]


def refuted(evidence: dict[str, Evidence]) -> bool:
    """Whether anything was."""
    return any(one.verdict is Verdict.REFUTED for one in evidence.values())


def _close(kept: list[Entry], head: dict, out: Path) -> dict[str, Evidence]:
    """Judge at the levels of the family; of a violated hypothesis nothing can be refuted."""
    alone = [one.evidence for one in kept]
    p_values = [1.0 if one.verdict is Verdict.ASSUMPTION_VIOLATED else one.p_value for one in alone]
    closed = []
    for one, level in zip(kept, holm(p_values, head["family_rate"]), strict=True):
        judged = reread(dataclasses.replace(one.claim, rate=float(level)), out, one.evidence.budget)
        facts = {name: getattr(one.evidence, name) for name in ("seed", "size", "seconds", "data")}
        closed.append(dataclasses.replace(one, evidence=dataclasses.replace(judged, **facts)))
    _write(closed, {**head, "finished": True}, out)
    return {one.claim.name: one.evidence for one in closed}


# -- files ----------------------------------------------------------------------------------------------------------------


def _write(kept: list[Entry], head: dict, out: Path) -> None:
    content = {**head, "claims": [_row(one) for one in kept]}
    text = json.dumps(_files.strict(content), indent=2, allow_nan=False) + "\n"
    _files.replace(out / "report.json", lambda file: file.write(text.encode()))
    html = page.render(content, {one.claim.name: one.figure for one in kept})
    _files.replace(out / "report.html", lambda file: file.write(html.encode()))


def _content(out: Path) -> dict:
    try:
        return _files.loose(json.loads((out / "report.json").read_text()))
    except (OSError, json.JSONDecodeError):
        _check.require(False, "out", "be a directory with a report.json of `run`", str(out))
        raise


def _row(one: Entry) -> dict:
    claim, evidence = one.claim, one.evidence
    return {
        **{name: getattr(claim, name) for name in ("name", "statement", "formula", "source")},
        **dataclasses.asdict(evidence),
        "verdict": evidence.verdict.name,
        "meaning": evidence.verdict.value,
        "size_needed": evidence.size_needed,
        "controls": one.controls,
        "rerun": one.rerun,
    }


def _rerun(claim: Claim, seed: int, budget: str, controls: bool, results: str | os.PathLike | None) -> str:
    if claim is not CLAIMS.get(claim.name):
        return f"claim.test(seed={seed}, budget={budget!r})" if results is None else "claim.judge(claim.collect_from(results))"
    how = f"--{budget} --seed {seed}" if results is None else f"--results {shlex.quote(str(results))}"
    return f"python -m meanfield.verify {shlex.quote(claim.name)} {how}{' --controls' * controls} --out DIR"


def _from_results(claim: Claim, path: str | os.PathLike) -> Arrays:
    path = Path(path)
    try:
        results = Results.load(path / "results.nc" if path.is_dir() else path)
    except (OSError, ValueError, KeyError):
        _check.require(False, "results", "be a file of `Results.save`, or a directory with such a results.nc", str(path))
        raise
    try:
        return claim.collect_from(results)
    except KeyError as error:  # a probe that did not look
        missing = _check.words(f"{str(path)!r} ({str(error.args[0]).split('. ')[0]})")
        _check.require(False, "results", f"hold all that {claim.name!r} reads", missing)
        raise
