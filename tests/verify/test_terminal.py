"""The table on the terminal."""

from rich.console import Console

from meanfield.verify import Verdict, report, terminal
from tests.verify.common import four


def test_table(tmp_path):
    evidence = report.run(four(), tmp_path, budget="quick")
    console = Console(width=150)
    with console.capture() as capture:
        console.print(terminal.table(evidence))
    text = capture.get()
    assert f"{evidence['d small'].size_needed:,}" in text and "a violated: violated: It holds. 0.3 standard errors" in text
    assert "−" not in text and "…" not in text and "-0.2 to inf" in text
    assert terminal.coloured(Verdict.REFUTED) == "[red]REFUTED[/]"
    assert report.refuted(evidence) and not report.refuted({"b": evidence["b consistent"]})
