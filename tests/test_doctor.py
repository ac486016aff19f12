"""The doctor: what it says of this machine, and that it sees what is broken."""

import dataclasses
import shutil
import subprocess
import sys
from collections import namedtuple

import jax
import jax.numpy as jnp
import pytest

import meanfield as mf
from meanfield import doctor


def found(check):
    """The findings of one check, by their names."""
    return {one.name: one for one in doctor.findings([check])}


@pytest.mark.long
def test_this_machine_is_fit():
    """As a user runs it: a line for every check, and exit status 0."""
    done = subprocess.run([sys.executable, "-m", "meanfield.doctor"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "all well" and len(lines) == 18 and not any(line.startswith("broken") for line in lines)


def test_a_version_that_miscompiles_is_broken(monkeypatch):
    assert found(doctor.versions)["versions"].ok
    monkeypatch.setattr(jax, "__version__", "0.11.1")
    one = found(doctor.versions)["versions"]
    assert one.ok is False and "jax issue 39103" in one.text


def test_a_full_disk_is_broken(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(10**8))
    assert found(doctor.disk)["disk"] == doctor.Finding("disk", "95.4 MiB free here: results may not fit", False)


def test_products_of_low_precision_are_seen(monkeypatch):
    """Ten bits of a number, as TF32 has: broken where we ask for the highest precision, a note by default."""
    exact = jnp.matmul
    low = lambda x: (x.view(jnp.int32) & jnp.int32(-(2**13))).view(jnp.float32)  # noqa: E731
    monkeypatch.setattr(doctor.jnp, "matmul", lambda x, y, precision=None: exact(low(x), low(y)))
    said = found(doctor.precision)
    assert said["products as meanfield takes them"].ok is False and said["products by default"].ok is None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Miscompiled(mf.dynamics.AbstractDynamics):
    """A step that is another one in a program."""

    step_size: float
    batch_size: int = dataclasses.field(default=2, metadata={"static": True})

    def step(self, key, state, batch):
        traced = isinstance(state.particles.w, jax.core.Tracer)  # pyright: ignore
        particles = mf.Particles(state.particles.w * (0.5 + 0.01 * traced), state.particles.a)
        return mf.dynamics.State(particles, state.step + 1, state.network), {}


@pytest.mark.long
def test_a_program_that_is_not_its_step_is_broken(monkeypatch):
    monkeypatch.setattr(doctor, "WIDTHS", (50,))
    monkeypatch.setattr(doctor, "DYNAMICS", {"SGD": mf.dynamics.SGD(0.1, 2), "wrong": Miscompiled(0.1)})
    said = found(doctor.programs)
    assert said["compiled SGD"].ok and said["compiled wrong"].ok is False and said["compiled LinearRecursion"].ok
    assert said["stable noise"].ok


@pytest.mark.parametrize(
    ("program", "wait", "says"), [("import time; time.sleep(60)", 2, "within 2 s"), ("raise OSError('no net')", 60, "no net")]
)
def test_processes_that_do_not_meet_are_broken(program, wait, says, monkeypatch):
    monkeypatch.setattr(doctor, "PROCESS", program)
    monkeypatch.setattr(doctor, "WAIT", wait)
    one = found(doctor.processes)["processes"]
    assert one.ok is False and "did not meet" in one.text and says in one.text


def test_a_check_that_raises_is_broken_and_main_counts(monkeypatch, capsys):
    def sick():
        raise RuntimeError("no\nway")

    monkeypatch.setattr(doctor, "CHECKS", (sick, doctor.disk))
    assert doctor.main() == 1
    assert capsys.readouterr().out.splitlines()[0] == "broken sick: RuntimeError: no way"
    monkeypatch.setattr(doctor, "CHECKS", (doctor.disk,))
    assert doctor.main() == 0 and capsys.readouterr().out.endswith("all well\n")
