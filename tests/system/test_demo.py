"""Does the demo show what it promises, and leave nothing running?"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from stream.broker import answers
from tests.kafka_fixture import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

# examples/credit_risk/faults.json: hours after 2013-12-26T00:00Z, in windows of three hours
FAULTY = (
    ("2013-12-28T12:00:00Z", "2013-12-28T18:00:00Z"),
    ("2013-12-29T06:00:00Z", "2013-12-29T12:00:00Z"),
    ("2013-12-30T00:00:00Z", "2013-12-30T06:00:00Z"),
)


@pytest.fixture(scope="module")
def shown() -> str:
    """What the demo prints."""
    words = [sys.executable, "-m", "stream", "demo", "--seconds", "10", "--no-browser"]
    result = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
    assert result.returncode == 0, result.stdout[-2_000:] + result.stderr[-2_000:]
    return result.stdout


@pytest.mark.parametrize(
    "words",
    [
        r"arrival-delay/1: temp is missing in 100.0% of the events .*2013-12-31T00:00:00Z",
        r"arrival-delay/1: visib is missing in 100.0% of the events .*2013-12-31T00:00:00Z",
        r"dest has values that the reference does not know: .*LEX.*2013-11-21T00:00:00Z",
        r"WARNING +arrival-delay/1: dewp drifted from training",
        r"credit-risk/7: p95 latency is \d+.*2013-12-28T12:00:00Z",
        r"credit-risk/7: 30.\d% of the requests failed.*2013-12-29T06:00:00Z",
        r"credit-risk/7: income drifted .*unit change: current ≈ 10\d\d × .*2013-12-30T00:00:00Z",
        r"metrics at http://127.0.0.1:\d+/metrics",
        r"events +413096 counted of 413096 published",
        r"dead letters +0",
    ],
)
def test_the_demo_shows(shown: str, words: str) -> None:
    assert re.search(words, shown)


def test_quiet_hours_of_the_generated_model_raise_no_alert(shown: str) -> None:
    firing = re.findall(r"^(?!RESOLVED).*credit-risk/7:.*, (\S+Z) to (\S+Z), ", shown, re.M)
    assert firing
    for start, end in firing:
        assert any(begin <= start and end <= until for begin, until in FAULTY), (start, end)


def test_the_demo_leaves_nothing_running(shown: str) -> None:
    address = re.search(r"Kafka answers at 127.0.0.1:(\d+)", shown)
    assert address is not None
    assert wait_until(lambda: not answers(int(address[1])), 10)
