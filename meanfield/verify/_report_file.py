"""The members of report.json, checked when the file is read."""

import json
from pathlib import Path
from typing import Any

from meanfield import _check

ABOUT = (
    'Infinite numbers are the strings "inf" and "-inf", NaN is "nan". The numbers of a claim follow from the arrays in its file: '
    "python -m meanfield.verify --again --out DIR."
)
HEAD: dict[str, Any] = {  # what `content` must find in report.json
    "finished": bool,
    "planned": int,
    "date": str,
    "budget": str,
    "seed": int | None,
    "results": str | None,
    "family_rate": float,
    "seconds": float | int,
    "versions": dict,
    "device": str,
    "system": str,
    "claims": list,
}
ROW: dict[str, Any] = {  # and in every row of its "claims"
    "name": str,
    "parameters": dict,
    "budget": str,
    "size": int | None,
    "seed": int | None,
    "seconds": float | int,
    "data": str,
    "controls": dict,
}


def content(out: Path) -> dict:
    """What report.json in `out` says of `HEAD` and `ROW`, checked.

    Raises:
        ValueError: there is none, or it is none of `report.run`.
    """

    def require(ok: bool, why: str) -> None:
        _check.require(ok, "out", "be a directory with a report.json of `run`", _check.words(f"{str(out)!r} ({why})"))

    def members(given: Any, kinds: dict[str, Any], where: str) -> dict:
        require(isinstance(given, dict), f"{where} is no object")
        for name, kind in kinds.items():
            require(name in given and isinstance(given[name], kind), f"{where} has no {name!r} as it should be")
        require(given["budget"] in ("quick", "full", "data"), f"{where} has the budget {given['budget']!r}")
        return {name: given[name] for name in kinds}

    found: Any = None
    try:
        found = json.loads((out / "report.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        require(False, reason(error))
    head = members(found, HEAD, "report.json")
    rows = head["claims"] = [members(row, ROW, f"row {i} of report.json") for i, row in enumerate(head["claims"])]
    require(len({row["name"] for row in rows}) == len(rows), "report.json has two rows of one name")
    require(max(len(rows), 1) <= head["planned"], f"report.json has {len(rows)} rows, but {head['planned']} were planned")
    require(0 < head["family_rate"] < 1, f"report.json has the family_rate {head['family_rate']}")
    for row in rows:
        require(Path(row["data"]).parent == Path("data"), f"report.json names {row['data']!r}, which is not in data/")
        require(all(isinstance(one, str) for one in row["controls"].values()), "report.json has controls without verdict")
    more = {name: found[name] for name in ("names", "controls") if name in found}  # not in reports of older versions
    return {"about": ABOUT, **head, **more}


def reason(error: Exception) -> str:
    """What went wrong, in one line.

    Examples:
        >>> reason(KeyError("x"))
        "KeyError: 'x'"
    """
    return " ".join(f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}".split())
