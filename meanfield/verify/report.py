"""Run claims, keep what they rest on, and say what came out."""

import dataclasses
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from meanfield import _check, _files
from meanfield.simulate import Results, checkpoint
from meanfield.verify import _report_file, page
from meanfield.verify.claim import RATE, Arrays, Claim, Evidence, Verdict, holm
from meanfield.verify.claims import CLAIMS

KEPT = "checkpoints"  # directory in that of the results; gone when the report is finished


@dataclass(frozen=True)
class Entry:
    """What a report has on one claim: evidence, verdicts of its negative controls by name, a data URI."""

    claim: Claim
    evidence: Evidence
    controls: dict[str, str]
    figure: str | None


def run(
    claims: Sequence[Claim],
    out: str | os.PathLike,
    seed: int = 0,
    budget: str = "full",
    told: Callable[[Claim, Evidence], None] | None = None,
    controls: bool = False,
    results: str | os.PathLike | None = None,
    rate: float = RATE,
    resume: bool = False,
) -> dict[str, Evidence]:
    """Test the claims one after the other; write data/NAME.npz of every claim, report.json and report.html into `out`.

    A family of claims shares one false-alarm rate (`holm`), and the claims' own `rate` is replaced by their share. The report is
    written after every claim, judged at Bonferroni's level, `rate / len(claims)`, as its controls are. In the end Holm's procedure judges
    each once more, from its file: its level is another one only if something is refuted.

    Args:
        claims: what is tested.
        out: directory for the results; made if it is not there.
        seed: of all experiments, below 2^32.
        budget: "quick" or "full".
        told: called after every claim, to show progress.
        controls: judge the negative controls, too.
        results: somebody's own simulation, a file of `Results.save` or a directory with results.nc, in place of the experiment of
            the only claim.
        rate: probability with which one or more of the claims, all true, may be refuted.
        resume: go on with the run of these claims in `out` that was interrupted or killed: those in its report do not run again, and
            the next one goes on with its last checkpoint.

    Returns:
        Evidence by the names of the claims.

    Raises:
        ValueError: no claims, two of one name, a name that a file cannot have, parameters that JSON cannot hold, an unknown
            budget, a seed or rate out of its range, a claim that does not read `results`.
        Exception: whatever an experiment raises, with a note that names its claim; the report has those before it.
        KeyboardInterrupt: Ctrl-C, inside a simulation too; the claim is not judged, and the report names it as interrupted.
    """
    claims = _claims(claims)
    if told is not None:
        _check.function("told", told, "(claim, evidence)")
    _check.path("out", out)
    names = [claim.name for claim in claims]
    _check.require(bool(names) and len(set(names)) == len(names), "claims", "be one or several, of different names", names)
    for claim in claims:
        name, parameters = claim.name, dict(claim.parameters)
        fits = name.isprintable() and 0 < len(name) <= 100 and len(name.encode()) <= 240 and "/" not in name
        must = "have names that a file can have, of 1 to 100 printable characters"
        _check.require(fits and name not in (".", ".."), "claims", must, name)
        _check.require(_files.fits(parameters), "parameters", f"be what JSON can hold, also of {name!r}", parameters)
    _check.seed("seed", seed)
    rate = _check.number("rate", rate, "lie in (0, 1)", lambda v: (v > 0) & (v < 1))
    _check.choice("budget", budget, ("quick", "full"))
    own = None
    if results is not None:
        _check.require(len(names) == 1, "claims", "be exactly one if `results` are given", names)
        _check.require(
            not controls, "controls", "be left out if `results` are given: they have experiments of their own", controls
        )
        budget, own = "data", _from_results(claims[0], results)
    head = {
        "about": _report_file.ABOUT,
        "finished": False,
        "planned": len(claims),
        "names": names,
        "controls": controls,
        "date": _files.now(),
        "budget": budget,
        "seed": seed if own is None else None,
        "results": None if results is None else str(results),
        "family_rate": rate,
        "seconds": 0.0,
        **_files.environment(),
    }
    with _check.own_directory("out", out) as out, checkpoint.folder(out / KEPT):
        _check.writable_directory("out", out / "data")
        start = time.perf_counter()
        kept = _finished(claims, head, controls, out) if resume else []
        _write(kept, head, out)
        done = {one.claim.name for one in kept}
        for claim in (one for one in claims if one.name not in done):
            try:
                kept.append(_tested(claim.at_rate(rate / len(claims)), out, seed, budget, controls, own))
            except Exception as error:
                error.add_note(f"Raised by the claim {claim.name!r}. Those before it are in the report.")
                raise
            except KeyboardInterrupt:
                _write(kept, {**head, "seconds": time.perf_counter() - start, "interrupted": claim.name}, out)
                raise
            head["seconds"] = time.perf_counter() - start
            _write(kept, head, out)
            if told:
                told(claim, kept[-1].evidence)
        shutil.rmtree(out / KEPT, ignore_errors=True)
        order = {name: number for number, name in enumerate(names)}
        return _close(sorted(kept, key=lambda one: order[one.claim.name]), head, out)


def interrupted(out: str | os.PathLike) -> tuple[dict, tuple[str, ...], bool]:
    """What the report of a run says that did not come to its end: its head, the names of all its claims, and whether controls are judged.

    Raises:
        ValueError: no report in `out`, or one of a run that is finished.
    """
    out = _check.path("resume", out)
    content = _report_file.content(out)
    whole = not content["finished"] and isinstance(content.get("names"), list) and isinstance(content.get("controls"), bool)
    must = "be the directory of a run that was interrupted or killed"
    _check.require(whole, "resume", must, _check.words(f"{str(out)!r}, without a run to go on with"))
    return content, tuple(map(str, content["names"])), content["controls"]


def _finished(claims: Sequence[Claim], head: dict, controls: bool, out: Path) -> list[Entry]:
    """The claims that a run before has finished, judged from their files."""
    content = _report_file.content(out)
    for name in ("budget", "seed", "results", "planned", "family_rate"):
        must = f"be a run of the same {name.replace('_', ' ')}, {head[name]}"
        _check.require(content[name] == head[name], "resume", must, _check.words(f"one of {content[name]}"))
    planned = {claim.name: claim for claim in claims}
    for row in content["claims"]:
        _check.choice("claims", row["name"], tuple(planned))
        own = json.loads(json.dumps(_files.strict(dict(planned[row["name"]].parameters), lossless=True)))
        must = f"have the parameters of the run that goes on, {row['parameters']} of {row['name']!r}"
        _check.require(own == row["parameters"], "claims", must, own)
    rows = [row for row in content["claims"] if bool(row["controls"]) == (controls and bool(planned[row["name"]].controls))]
    return _judged(rows, planned, head["family_rate"] / head["planned"], out)


def _tested(claim: Claim, out: Path, seed: int, budget: str, controls: bool, own: Arrays | None) -> Entry:
    begun = time.perf_counter()
    data = claim.collect(seed, budget) if own is None else own
    facts: dict[str, Any] = {"data": f"data/{claim.name}.npz"}
    if own is None:
        facts |= {"seed": seed, "size": claim.sizes[budget == "full"], "seconds": time.perf_counter() - begun}
    with _files.whole(out / facts["data"]) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **data)  # type: ignore[arg-type]
    evidence = dataclasses.replace(claim.judge(data, budget), **facts)
    found = claim.judge_controls(data, seed, budget) if controls else {}
    return Entry(claim, evidence, {name: one.verdict.name for name, one in found.items()}, page.figure(claim, data))


def again(claims: Iterable[Claim], out: str | os.PathLike) -> dict[str, Evidence]:
    """Judge once more from the files that `run` left in `out`, and write the report anew. Controls keep their verdicts.

    Args:
        claims: those known; the ones that report.json names are judged, with the parameters there.
        out: directory of the files.

    Returns:
        Evidence by the names of the claims.

    Raises:
        ValueError: no report in `out`, files that are broken, or a claim that is not known.
    """
    out, known = _check.path("out", out), {claim.name: claim for claim in _claims(claims)}
    content = _report_file.content(out)
    with _check.own_directory("out", out):
        kept = _judged(content.pop("claims"), known, content["family_rate"] / content["planned"], out)
        content["judged_again"] = {"date": _files.now(), "versions": _files.versions()}
        if len(kept) == content["planned"]:
            return _close(kept, content, out)
        _write(kept, content, out)
        return {one.claim.name: one.evidence for one in kept}


def _judged(rows: Sequence[dict], known: Mapping[str, Claim], level: float, out: Path) -> list[Entry]:
    """The rows of a report, judged from their files; controls keep their verdicts."""
    kept = []
    for row in rows:
        _check.choice("claims", row["name"], tuple(known))
        facts = {name: row[name] for name in ("seed", "size", "seconds", "data")}
        try:
            claim = _with(known[row["name"]], row["parameters"]).at_rate(level)
            data = _arrays(out, row["data"])
            evidence = dataclasses.replace(claim.judge(data, row["budget"]), **facts)
            kept.append(Entry(claim, evidence, row["controls"], page.figure(claim, data)))
        except Exception as error:  # files can be broken in many ways
            must = f"hold {row['data']} and a report.json from which {row['name']!r} can be judged"
            _check.require(False, "out", must, _check.words(f"{str(out)!r} ({_report_file.reason(error)})"))
    return kept


def reread(claim: Claim, out: str | os.PathLike, budget: str = "full") -> Evidence:
    """The evidence once more, from the file that `run` left.

    Raises:
        ValueError: no such file in `out`.
    """
    _check.require(isinstance(claim, Claim), "claim", "be a `Claim`", claim)
    out, name = _check.path("out", out), f"data/{claim.name}.npz"
    _check.require((out / name).is_file(), "out", f"hold {name}, as `run` leaves it", str(out))
    return claim.judge(_arrays(out, name), budget)


def _claims(claims: Any) -> list[Claim]:
    several = isinstance(claims, Iterable) and not isinstance(claims, str | Claim)
    found: list[Any] = list(claims) if several else []
    _check.require(several and all(isinstance(one, Claim) for one in found), "claims", "be a sequence of `Claim` objects", claims)
    return found


def _arrays(out: Path, name: str) -> Arrays:
    with (out / name).open("rb") as file, np.load(file) as data:  # numpy leaves its own file open if it is broken
        return dict(data)


def _with(claim: Claim, parameters: dict) -> Claim:
    """The claim at the parameters of report.json."""
    return claim.with_parameters(**_files.loose(parameters, dict(claim.parameters)))


def escaped(out: str | os.PathLike) -> list[str]:
    """Negative controls that came back CONSISTENT, by report.json; none at the quick budget, which need not catch them."""
    content = _report_file.content(Path(out))
    found = ((row["name"], *item) for row in content["claims"] for item in row["controls"].items() if row["budget"] != "quick")
    return [f"{name}, {control}" for name, control, verdict in found if verdict == Verdict.CONSISTENT.name]


def refuted(evidence: dict[str, Evidence]) -> bool:
    """Whether anything was."""
    _check.require(isinstance(evidence, Mapping), "evidence", "map names of claims to `Evidence`, as `run` returns it", evidence)
    return any(one.verdict is Verdict.REFUTED for one in evidence.values())


def _close(kept: list[Entry], head: dict, out: Path) -> dict[str, Evidence]:
    """Judge at the levels of the family; of a violated hypothesis nothing can be refuted."""
    alone = [one.evidence for one in kept]
    p_values = [1.0 if one.verdict is Verdict.ASSUMPTION_VIOLATED else one.p_value for one in alone]
    closed = []
    for one, level in zip(kept, holm(p_values, head["family_rate"]), strict=True):
        judged = one.claim.at_rate(level).judge(_arrays(out, str(one.evidence.data)), one.evidence.budget)
        facts = {name: getattr(one.evidence, name) for name in ("seed", "size", "seconds", "data")}
        closed.append(dataclasses.replace(one, evidence=dataclasses.replace(judged, **facts)))
    _write(closed, {**head, "finished": True}, out)
    return {one.claim.name: one.evidence for one in closed}


# -- files ----------------------------------------------------------------------------------------------------------------


def _write(kept: list[Entry], head: dict, out: Path) -> None:
    content = {**head, "claims": [_row(one, head["results"]) for one in kept]}
    _files.write_json(out / "report.json", content, lossless=True)
    _files.write_text(out / "report.html", page.render(content, {one.claim.name: one.figure for one in kept}))


def _row(one: Entry, results: str | None) -> dict:
    claim, evidence = one.claim, one.evidence
    return {
        **{name: getattr(claim, name) for name in ("name", "statement", "formula", "source")},
        **dataclasses.asdict(evidence),
        "verdict": evidence.verdict.name,
        "meaning": evidence.verdict.value,
        "size_needed": evidence.size_needed,
        "reasons": evidence.reasons,
        "controls": one.controls,
        "rerun": _rerun(one, results),
    }


def _rerun(one: Entry, results: str | None) -> str:
    """How to have this verdict alone once more: at the level that the claim was judged at."""
    evidence, known = one.evidence, CLAIMS.get(one.claim.name)
    seed, budget, rate = evidence.seed, evidence.budget, float(evidence.rate)
    if known is None or not _same(one.claim, known):
        what = f"test(seed={seed}, budget={budget!r})" if results is None else "judge(claim.collect_from(results))"
        return f"claim.at_rate({rate!r}).{what}"
    how = f"--{budget} --seed {seed}" if results is None else f"--results {shlex.quote(results)}"
    controls = " --controls" if one.controls else ""
    return f"python -m meanfield.verify {shlex.quote(one.claim.name)} {how}{controls} --rate {rate!r} --out DIR"


def _same(claim: Claim, known: Claim) -> bool:
    """Whether the claims differ in nothing but their rates."""
    given, own = (_files.strict(dict(one.parameters), lossless=True) for one in (claim, known))
    return given == own and dataclasses.replace(claim, rate=known.rate, parameters=known.parameters) == known


def _from_results(claim: Claim, path: str | os.PathLike) -> Arrays:
    path = Path(path)
    try:
        results = Results.load(path / "results.nc" if path.is_dir() else path)
    except (OSError, ValueError, KeyError):
        _check.require(False, "results", "be a file of `Results.save`, or a directory with such a results.nc", str(path))
        raise
    _check.require(not results.interrupted, "results", "be of a simulation that Ctrl-C did not cut short", str(path))
    try:
        return claim.collect_from(results)
    except KeyError as error:  # a probe that did not look
        missing = _check.words(f"{str(path)!r} ({str(error.args[0]).split('. ')[0]})")
        _check.require(False, "results", f"hold all that {claim.name!r} reads", missing)
        raise
