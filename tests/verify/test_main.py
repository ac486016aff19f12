"""The command line of verify: its options, its exit status, claims of one's own."""

import json
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import meanfield as mf
from meanfield.verify import CLAIMS
from meanfield.verify.__main__ import Config, command, main
from tests.verify.common import four, strictly, toy

ROOT = Path(__file__).parent.parent.parent


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
        ("no_such.py", "Argument `--module` must be a file that exists, or the name of a module, but is 'no_such.py'."),
        ("no_such", "Argument `--module` must be a file .py or a module that can be imported, but is 'no_such'."),
        ("math", "Argument `--module` must have a sequence `CLAIMS` of claims, but is 'math'."),
        ("again.py", "Argument `--module` must have claims of other names than those of the library, but is 'limit'."),
    ],
)
def test_a_module_without_claims_is_a_sentence(module, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("again.py").write_text("from meanfield.verify import CLAIMS\nCLAIMS = [CLAIMS['limit']]\n")
    assert command(["--list", "--module", module]) == 2
    assert capsys.readouterr().err == f"error: {sentence}\n"


def test_an_experiment_that_breaks_down_is_named(tmp_path, monkeypatch, capsys):
    def broken(key, size, parameters):
        raise ZeroDivisionError("It is broken.")

    def wrong(key, size, parameters):
        mf.dynamics.LinearRecursion(-1.0, 1)

    for claim in (toy("fine"), toy("breaks", experiment=broken), toy("wrong", experiment=wrong)):
        monkeypatch.setitem(CLAIMS, claim.name, claim)
    assert command(["fine", "breaks", "--quick", "--out", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert "Traceback" in said and "ZeroDivisionError: It is broken.\nRaised by the claim 'breaks'." in said
    left = strictly(tmp_path / "report.json")
    assert not left["finished"] and [row["verdict"] for row in left["claims"]] == ["CONSISTENT"]
    assert command(["fine", "wrong", "--quick", "--out", str(tmp_path)]) == 2
    assert re.match(r"error: Argument `step_size` .* Raised by the claim 'wrong'\.", capsys.readouterr().err)


@pytest.mark.long
def test_command(tmp_path):
    def call(*arguments):
        command = [sys.executable, "-m", "meanfield.verify", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    done = call("columns", "sharp constant", "--quick", "--out", str(tmp_path / "deep"))
    assert done.returncode == 0, done.stderr
    assert re.search(r"^CONSISTENT +\d+\.\d s  columns$", done.stdout, re.M) and "N error^2" in done.stdout
    assert not done.stderr and "\x1b" not in done.stdout  # no bar, no colours
    assert {p.name for p in (tmp_path / "deep" / "data").iterdir()} == {"columns.npz", "sharp constant.npz"}
    row = strictly(tmp_path / "deep" / "report.json")["claims"][1]
    assert row["rerun"] == "python -m meanfield.verify 'sharp constant' --quick --seed 0 --rate 0.005 --out DIR"
    done = call("nonsense", "--out", str(tmp_path / "other"))
    assert done.returncode == 2 and done.stderr.startswith("error: Argument `claims` must be one of '"), done.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.long
def test_exit_status_and_list(tmp_path, monkeypatch, capsys):
    for claim in [*four(), toy("fooled", controls={"off": {"statement": "The same."}})]:
        monkeypatch.setitem(CLAIMS, claim.name, claim)
    assert main(Config(("b consistent", "d small", "a violated"), tmp_path, controls=True)) == 0
    assert main(Config(("b consistent", "c refuted"), tmp_path)) == 1
    assert main(Config(out=tmp_path, again=True)) == 1
    assert main(Config(("fooled",), tmp_path)) == 0
    assert main(Config(("fooled",), tmp_path, controls=True, budget="quick")) == 0  # only the full budget must catch them
    capsys.readouterr()
    assert main(Config(("fooled",), tmp_path, controls=True)) == 1
    assert "negative control came back CONSISTENT: fooled, off" in capsys.readouterr().out
    assert main(Config(list=True)) == 0
    assert "columns" in (listed := capsys.readouterr().out) and "The mean of numbers" in listed
    with pytest.raises(mf.ArgumentError, match=r"Argument `claims` must be left out with `--again`"):
        main(Config(("fooled",), tmp_path, again=True))


KILLED = """
    import sys
    from meanfield.simulate import checkpoint
    from meanfield.verify import __main__ as main
    checkpoint._WORTH = 0.0  # short runs are kept, too
    sys.exit(main.command(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_was_stopped_goes_on(number, tmp_path):
    """After its first claim: the report of the whole run comes out, and the finished claim is not run again."""
    program = [sys.executable, "-c", textwrap.dedent(KILLED)]
    names = ["limit", "collapse exponent", "decay"]
    asked = [*names, "--quick", "--seed", "5", "--controls"]
    subprocess.run([*program, *asked, "--out", str(tmp_path / "whole")], cwd=ROOT, timeout=300, stdout=subprocess.DEVNULL)
    out = tmp_path / "cut"
    with subprocess.Popen([*program, *asked, "--out", str(out)], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while not (out / "report.json").exists() or not json.loads((out / "report.json").read_text())["claims"]:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
    assert process.returncode == (143 if number == signal.SIGTERM else -9)
    begun = (out / "data" / f"{names[0]}.npz").stat().st_mtime_ns
    done = subprocess.run([*program, "--resume", str(out)], cwd=ROOT, timeout=300, capture_output=True, text=True)
    whole, again = (json.loads((one / "report.json").read_text()) for one in (tmp_path / "whole", out))
    assert done.returncode in (0, 1) and again["finished"] and not (out / "checkpoints").exists(), done.stderr
    assert [row["name"] for row in again["claims"]] == names
    assert (out / "data" / f"{names[0]}.npz").stat().st_mtime_ns == begun
    for one, other in zip(whole["claims"], again["claims"], strict=True):
        assert {n: v for n, v in one.items() if n != "seconds"} == {n: v for n, v in other.items() if n != "seconds"}


def test_only_a_run_that_was_stopped_goes_on(tmp_path, capsys):
    assert command(["limit", "--quick", "--out", str(tmp_path)]) in (0, 1)
    for where in (tmp_path, tmp_path / "nowhere"):
        capsys.readouterr()
        assert command(["--resume", str(where)]) == 2
        assert "must be " in capsys.readouterr().err
