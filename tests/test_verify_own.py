"""Claims of one's own on the command line of verify."""

import re
from pathlib import Path

import pytest

from meanfield.verify.__main__ import command

ROOT = Path(__file__).parent.parent


@pytest.mark.long
def test_the_claim_of_the_page_runs_from_a_file(tmp_path, monkeypatch, capsys):
    """The first program of the page on verify, up to its first test, as a file: consistent, and judged once more from its files."""
    monkeypatch.chdir(tmp_path)
    program = next(
        p for p in re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "verify.md").read_text(), re.S) if "Claim(" in p
    )
    (tmp_path / "my_claims.py").write_text(program.split("evidence =")[0] + "CLAIMS = (student,)\n")
    run = ["Student limit", "--module", "my_claims.py", "--out", "out"]
    assert command([*run, "--quick"]) == 0
    assert "CONSISTENT" in capsys.readouterr().out
    assert command(["--again", "--module", "my_claims.py", "--out", "out"]) == 0
    assert "CONSISTENT" in capsys.readouterr().out
    monkeypatch.syspath_prepend(tmp_path)
    assert command(["--list", "--module", "my_claims"]) == 0
    assert "Student limit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        ("no_such.py", "Argument `module` must be a file that exists, or the name of a module, but is 'no_such.py'."),
        ("no_such", "Argument `module` must be a file .py or a module that can be imported, but is 'no_such'."),
        ("math", "Argument `module` must have a sequence `CLAIMS` of claims, but is 'math'."),
        ("again.py", "Argument `module` must have claims of other names than those of the library, but is 'limit'."),
    ],
)
def test_a_module_without_claims_is_a_sentence(module, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("again.py").write_text("from meanfield.verify import CLAIMS\nCLAIMS = [CLAIMS['limit']]\n")
    assert command(["--list", "--module", module]) == 2
    assert capsys.readouterr().err == f"error: {sentence}\n"
