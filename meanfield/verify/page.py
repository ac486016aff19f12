"""One self-contained page of a report: formulas as MathML, axes and figures as SVG, nothing loaded from anywhere."""

import base64
import html
import io
import math
import re
import unicodedata
from decimal import Decimal
from importlib import resources
from typing import Any
from xml.etree import ElementTree

import jinja2
import numpy as np
from latex2mathml import converter
from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from meanfield.verify.claim import DIVERGED, Arrays, Claim, Verdict, bounds

ORDER = (Verdict.REFUTED, Verdict.ASSUMPTION_VIOLATED, Verdict.INCONCLUSIVE, Verdict.CONSISTENT)  # what needs a look first
LARGEST_SVG = 300_000  # bytes
FIGURE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "meanfield",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def render(content: dict, figures: dict[str, str | None]) -> str:
    """The page.

    Args:
        content: what report.json holds.
        figures: data URIs by the names of the claims.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": number, "value": value, "formula": formula, "axis": axis, "words": words}
    template = environment.from_string(resources.files("meanfield.verify").joinpath("report.html.j2").read_text("utf-8"))
    counts = {one.name: sum(row["verdict"] == one.name for row in content["claims"]) for one in ORDER}
    return template.render(**content, figures=figures, counts=counts, order=[one.name for one in ORDER])


# -- text -----------------------------------------------------------------------------------------------------------------


def number(value: float, digits: int = 5) -> str:
    """A number as one prints it.

    Examples:
        >>> number(-0.123456), number(float("inf")), number(float("nan"))
        ('−0.12346', '∞', 'not a number')
    """
    if math.isnan(value):
        return "not a number"
    return f"{value:.{digits}g}".replace("inf", "∞").replace("-", "−")


def value(one: Any) -> str:
    """A parameter: numbers, sequences of them, or text.

    Examples:
        >>> value((256, 4096)), value(0.1), value("tanh")
        ('256, 4096', '0.1', 'tanh')
    """
    if isinstance(one, list | tuple | np.ndarray):
        return ", ".join(value(part) for part in one)
    if isinstance(one, float | np.floating):
        return number(float(one), 6)
    return str(one)


def words(verdict: str) -> str:
    """A verdict as words.

    Examples:
        >>> words("ASSUMPTION_VIOLATED")
        'ASSUMPTION VIOLATED'
    """
    return verdict.replace("_", " ")


# What formulas are made of. The converter passes on links, and what stands in \text, as they are: the page of a claim must run nothing.
_ELEMENTS = {
    "math",
    "mi",
    "mn",
    "mo",
    "mtext",
    "mrow",
    "msup",
    "msub",
    "msubsup",
    "mfrac",
    "msqrt",
    "mroot",
    "mover",
    "munder",
    "munderover",
    "mtable",
    "mtr",
    "mtd",
    "mstyle",
    "mspace",
}
_ATTRIBUTES = {
    "display",
    "displaystyle",
    "scriptlevel",
    "mathvariant",
    "stretchy",
    "fence",
    "form",
    "minsize",
    "maxsize",
    "width",
    "height",
    "depth",
    "lspace",
    "rspace",
    "linethickness",
    "accent",
    "accentunder",
    "movablelimits",
    "separator",
    "columnalign",
    "rowspacing",
    "columnspacing",
    "columnlines",
    "rowlines",
}


def _only_a_formula(made: str) -> bool:
    """Whether MathML is well formed and holds no element and no attribute beyond those of formulas."""
    try:
        parts = list(ElementTree.fromstring(made).iter())
    except ElementTree.ParseError:
        return False
    prefix = "{http://www.w3.org/1998/Math/MathML}"
    return all(str(one.tag).removeprefix(prefix) in _ELEMENTS and set(one.attrib) <= _ATTRIBUTES for one in parts)


def formula(text: str) -> Markup:
    r"""LaTeX as MathML; as code if it cannot be converted, or if what comes out is more than a formula.

    Examples:
        >>> "𝔼" in formula(r"\mathbb E X"), formula(r"\nonsense X")
        (True, Markup('<code>\\nonsense X</code>'))
    """
    grown = text
    for left, right in ("()", "[]"):  # brackets of a given size lose it under an exponent: let them grow with what they hold
        if len(re.findall(rf"\\[bB]ig+[lr]?\{left}", text)) == len(re.findall(rf"\\[bB]ig+[lr]?\{right}", text)):
            grown = re.sub(rf"\\[bB]ig+[lr]?(\{left})", r"\\left\1", grown)
            grown = re.sub(rf"\\[bB]ig+[lr]?(\{right})", r"\\right\1", grown)
    try:
        made = converter.convert(grown, display="block")
    except Exception:  # it has many ways to say no
        made = "\\no"
    if re.search(r"\\[A-Za-z]", made) or not _only_a_formula(made):  # a command, or markup, that it passed on
        return Markup("<code>{}</code>").format(text)
    # Browsers know no style of letters but "normal", and take a tilde for a letter.
    made = re.sub(r'<(m[in]) mathvariant="([a-z-]+)">([^<]+)</\1>', _styled, made)
    made = re.sub(r"<mi>(&#x0007E;|~)</mi>", "<mo>∼</mo>", made)
    made = re.sub(r'<mo (?:fence="false" )?stretchy="false">(&#x02016;|&#x0007C;)</mo>', r"<mi>\1</mi>", made)
    return Markup(made)


def _styled(match: re.Match) -> str:
    tag, style, letter = match[1], match[2], html.unescape(match[3])
    if style != "normal" and len(letter) == 1:
        name = re.sub("LATIN |GREEK |LETTER ", "", unicodedata.name(letter))
        for full in (f"MATHEMATICAL {style} {name}", f"{style} {name}"):  # e.g. R is elsewhere
            try:
                return f"<{tag}>{unicodedata.lookup(full.upper())}</{tag}>"
            except KeyError:
                pass
    return match[0]


# -- drawings -------------------------------------------------------------------------------------------------------------


def figure(claim: Claim, data: Arrays) -> str | None:
    """What `claim.plot` draws, as a data URI: SVG, or PNG where that is smaller by far."""
    if claim.plot is None or DIVERGED in data:
        return None
    with rc_context(FIGURE):
        drawn = Figure(figsize=(5.2, 3.4), layout="constrained")
        claim.plot(drawn.subplots(), data, claim.parameters)
        file = io.BytesIO()
        drawn.savefig(file, format="svg", metadata={"Date": None})
        kind = "svg+xml"
        if file.tell() > LARGEST_SVG:
            file, kind = io.BytesIO(), "png"
            drawn.savefig(file, format="png", dpi=130)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def axis(row: dict) -> Markup:
    """Interval, measurement, prediction and the deviation to be detected on one axis.

    Places are percentages, so that the drawing is as wide as there is room and its text keeps its size.
    """
    low, high = bounds(row["predicted"])
    ends, detects = row["interval"], row["detects"]
    shown = np.array([*ends, row["measured"], low, high, low - detects, high + detects])
    shown = shown[np.isfinite(shown)]
    start, width = shown.min(), np.ptp(shown) or 1.0

    def at(x: float) -> float:
        """Percentage; near the edge for what is infinite."""
        return min(max(8 + 84 * (x - start) / width, 1), 99)

    def line(x: float, kind: str, top: int = 5, bottom: int = 39) -> str:
        return f'<line class="{kind}" x1="{at(x):.3f}%" x2="{at(x):.3f}%" y1="{top}" y2="{bottom}"/>'

    def mark(x: float, kind: str, path: str) -> str:
        return f'<svg x="{at(x):.3f}%" y="22" overflow="visible"><path class="{kind}" d="{path}"/></svg>'

    made = ['<line class="base" x1="0" x2="100%" y1="39" y2="39"/>']
    if low < high:
        made += [f'<rect class="bounds" x="{at(low):.3f}%" width="{at(high) - at(low):.3f}%" y="8" height="28"/>']
    made += [line(x, "detects") for x in (low - detects, high + detects) if math.isfinite(x)]
    for x in {low, high}:
        if math.isinf(x):
            made += [mark(x, "predicted", f"M0,0 l{math.copysign(8, -x)},-6 v12 z")]
        else:
            made += [line(x, "predicted"), mark(x, "predicted", "M0,-12 l-5,-8 h10 z")]
    made += [f'<line class="interval" x1="{at(ends[0]):.3f}%" x2="{at(ends[1]):.3f}%" y1="22" y2="22"/>']
    made += [mark(x, "end", "M0,-6 v12") for x in ends]
    made += [f'<circle class="measured" cx="{at(row["measured"]):.3f}%" cy="22" r="5"/>']
    for tick, label in _ticks(start - 0.05 * width, start + 1.05 * width):
        made += [line(tick, "base", 39, 43), f'<text x="{at(tick):.3f}%" y="56">{label}</text>']
    seen = f"{row['name']}: measured {number(row['measured'])} in [{number(ends[0])}, {number(ends[1])}]"
    seen = escape(f"{seen}, predicted {number(low)}" + (f" to {number(high)}" if low < high else ""))
    return Markup(f'<svg class="axis" width="100%" height="62" role="img" aria-label="{seen}">{"".join(made)}</svg>')


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers with labels, as many as there is room for on a telephone."""
    labelled = []
    for count in (6, 5, 4, 3, 2):
        ticks = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        step = ticks[1] - ticks[0]
        decimals = max(0, -int(Decimal(f"{step:.2g}").normalize().as_tuple().exponent))
        inside = [0.0 if abs(t) < step / 2 else float(t) for t in ticks if low <= t <= high]
        labelled = [(t, f"{t:.{decimals}f}".replace("-", "−") if decimals < 8 else number(t)) for t in inside]
        if sum(len(label) + 2 for _, label in labelled) < 40:
            break
    return labelled
