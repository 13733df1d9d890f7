"""Faults: every one has a test that exists, and so has every step at which a worker can die."""

from __future__ import annotations

import re

from stream.bus.failpoints import STEPS
from tests.house.sources import ROOT

SYSTEM = ROOT / "tests" / "system"
ROW = re.compile(r"(?m)^\| (T\d+) \| ([a-z, ]+) \| [^|]+ \| ([^|]+) \|$")
EXPECTED = [f"T{number}" for number in (*range(1, 36), 39, 40, 41)]


def sources() -> dict[str, str]:
    """The text of every file of tests by its name."""
    return {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}


def test_every_fault_has_tests_that_exist() -> None:
    rows = ROW.findall((SYSTEM / "README.md").read_text())
    assert [name for name, _, _ in rows] == EXPECTED
    text = "\n".join(sources().values())
    named = {test for _, _, tests in rows for test in re.findall(r"`(test_\w+)`", tests)}
    assert all(re.findall(r"`test_\w+`", tests) for _, _, tests in rows)
    assert [test for test in sorted(named) if f"def {test}(" not in text] == []


def test_every_test_under_a_fault_is_in_the_table() -> None:
    table = (SYSTEM / "README.md").read_text()
    faults = [text for name, text in sources().items() if name.startswith("test_faults_")]
    tests = {test for text in faults for test in re.findall(r"(?m)^def (test_\w+)\(", text)}
    assert [test for test in sorted(tests) if f"`{test}`" not in table] == []


def test_a_worker_is_killed_or_halted_at_every_step() -> None:
    faults = [text for name, text in sources().items() if name.startswith("test_faults_")]
    hurt = re.findall(r'"([a-z]+\.[a-z-]+)(?:=kill[@\d]*)?"', "\n".join(faults))
    assert sorted(STEPS - set(hurt)) == []
