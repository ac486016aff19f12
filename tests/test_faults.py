"""The list of planted faults follows the library, and what caught them is written down."""

import pytest

from tests import faults


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_planted(fault):
    text = (faults.ROOT / fault.file).read_text()
    assert faults.planted(text, fault.old, fault.new) != text


def test_every_fault_was_caught():
    found = faults.rows(faults.FILE.read_text())
    assert {name: row[0] for name, row in found.items()} == {fault.name: fault.file for fault in faults.FAULTS}
    assert all("::" in row[2] for row in found.values())
