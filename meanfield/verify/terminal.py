"""What came out, as tables for a terminal."""

import math
from collections.abc import Iterable

from rich import box
from rich.markup import escape
from rich.table import Table

from meanfield.verify.claim import Claim, Evidence, Prediction, Verdict, bounds

COLOURS = {
    Verdict.CONSISTENT: "green",
    Verdict.REFUTED: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.ASSUMPTION_VIOLATED: "magenta",
}


def coloured(verdict: Verdict) -> str:
    """The verdict in rich's markup."""
    return f"[{COLOURS[verdict]}]{verdict.name}[/]"


def table(evidence: dict[str, Evidence]) -> Table:
    """A row for every comparison, the verdict at the first of a claim; below, the hypotheses that failed."""
    made = Table(box=box.SIMPLE_HEAD, caption_style="", caption_justify="left")
    for name in ("claim", "verdict", "", "predicted", "measured", "interval", "detects", "sample needed"):
        made.add_column(name, justify="left" if name in ("claim", "verdict", "") else "right", no_wrap=True)
    failed = []
    for name, one in evidence.items():
        for i, row in enumerate(one.comparisons):
            needed = f"x {row.needed:.2g}" if one.size_needed is None else f"{one.size_needed:,}" if i == 0 else ""
            needed = "none would do" if math.isinf(row.needed) else needed
            made.add_row(
                *((escape(name), coloured(one.verdict)) if i == 0 else ("", "")),
                escape(row.name),
                shown(row.predicted),
                f"{row.measured:.5g}",
                f"[{row.interval[0]:.5g}, {row.interval[1]:.5g}]",
                f"{row.detects:g}",
                needed if one.verdict is Verdict.INCONCLUSIVE else "",
            )
        if not one.comparisons:
            made.add_row(escape(name), coloured(one.verdict))
        made.add_section()
        failed += [f"{name}: violated: {words} {check.evidence}" for words, check in one.checks.items() if not check.holds]
        failed += [f"{name}: {words}" for words in one.reasons]
    made.caption = escape("\n".join(failed)) or None
    return made


def listed(claims: Iterable[Claim]) -> Table:
    """What claims there are."""
    made = Table("claim", "says", "source", "reads --results", box=box.SIMPLE_HEAD)
    for claim in claims:
        made.add_row(escape(claim.name), escape(claim.statement), escape(claim.source), "yes" if claim.read else "")
    return made


def shown(predicted: Prediction) -> str:
    """A number, or bounds.

    Examples:
        >>> shown(0.123456), shown((2.0, float("inf")))
        ('0.12346', '2 to inf')
    """
    low, high = bounds(predicted)
    return f"{low:.5g}" if low == high else f"{low:.5g} to {high:.5g}"
