"""Does a failpoint end or halt the process at its step, when it was asked for, and only then?"""

from __future__ import annotations

import signal

import pytest

from stream.bus import failpoints
from stream.bus.failpoints import Failpoints
from stream.errors import UsageError


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> list[signal.Signals]:
    """What this process would have sent itself."""
    sent: list[signal.Signals] = []
    monkeypatch.setattr("os.kill", lambda _, number: sent.append(number))
    return sent


def test_without_the_variable_nothing_happens(signals: list[signal.Signals]) -> None:
    points = Failpoints.of({})
    for step in failpoints.STEPS:
        points.reach(step)
    assert signals == []


def test_a_step_acts_the_time_it_was_asked_for(signals: list[signal.Signals]) -> None:
    points = Failpoints.of(
        {"DRIFTLINE_FAILPOINTS": "commit.before=kill@2, idle.before-commit=stop"}
    )
    points.reach("commit.before")
    points.reach("commit.after")
    assert signals == []
    points.reach("commit.before")
    points.reach("commit.before")
    points.reach("idle.before-commit")
    assert signals == [signal.SIGKILL, signal.SIGSTOP]


@pytest.mark.parametrize("text", ["commit=kill", "commit.before", "commit.before=kill@x"])
def test_a_step_or_action_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="known: steps assign"):
        Failpoints(text)
