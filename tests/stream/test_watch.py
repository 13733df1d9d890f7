"""Does the watch tell what it measures, and end a worker that is stuck?"""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stream import app as app_module
from stream import watch as module
from stream.bus.lane_events import LaneFacts
from stream.bus.producer import SenderFacts
from stream.clock import ManualClock, SystemClock
from stream.errors import BusError, RebalanceError, SendError, StalledError
from stream.serve.health import Health
from stream.serve.metrics import Metrics
from stream.watch import Watch, exit_code_of


class App:
    """What a watch needs of an app."""

    def __init__(self) -> None:
        self.crashed, self.crash_reason = False, None
        self.ended = asyncio.Event()

    async def crash(self, reason: Any) -> None:
        self.crashed, self.crash_reason = True, reason
        self.ended.set()


class Lane:
    """A lane with these facts."""

    def __init__(self, **facts: Any) -> None:
        usual = {"topic": "p", "lags": {0: 3}, "stalled_ms": 0, "busy_ms": 0, "unanswered_ms": 0,
                 "committed_ms": None}  # fmt: skip
        self._facts = LaneFacts(**{**usual, **facts})

    async def measure(self) -> LaneFacts:
        return self._facts


def watched(monkeypatch: pytest.MonkeyPatch, lane: Lane, waiting_ms: int) -> tuple[App, Metrics]:
    """An app whose watch found a reason to end it."""
    monkeypatch.setattr(module, "MEASURE_S", 0.01)
    monkeypatch.setattr(module, "end_hard", lambda code: None)

    async def work() -> tuple[App, Metrics]:
        app, metrics = App(), Metrics()
        producer = SimpleNamespace(measure=lambda: SenderFacts(waiting_ms, "NotLeader"))
        watch = Watch(
            cast(Any, app), [cast(Any, lane)], [cast(Any, producer)], Health(60_000), metrics,
            SystemClock(),
        )  # fmt: skip
        async with watch:
            await asyncio.wait_for(app.ended.wait(), 10)
        return app, metrics

    return asyncio.run(work())


def test_a_worker_that_does_not_move_ends_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    app, metrics = watched(monkeypatch, Lane(stalled_ms=60_000), 0)
    assert isinstance(app.crash_reason, StalledError)
    assert "3 messages to read and none read for 60 s" in str(app.crash_reason)
    assert exit_code_of(cast(Any, app)) == 4
    assert b'driftline_consumer_lag{partition="0"} 3.0' in metrics.expose()


def test_a_worker_that_cannot_send_ends_with_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = watched(monkeypatch, Lane(busy_ms=60_000), 60_000)
    assert isinstance(app.crash_reason, SendError)
    assert "acknowledged nothing for 60 s: NotLeader" in str(app.crash_reason)
    assert exit_code_of(cast(Any, app)) == 5


@pytest.mark.parametrize(
    ("reason", "code"), [(RebalanceError("x"), 3), (BusError("x"), 1), (ValueError("x"), 1)]
)
def test_every_fault_has_its_exit_code(reason: Exception, code: int) -> None:
    app: Any = SimpleNamespace(crashed=True, crash_reason=reason)
    assert exit_code_of(app) == code


def test_a_line_that_is_said_again_and_again_is_said_once_in_a_while() -> None:
    clock = ManualClock()
    news = app_module._News(clock)

    def is_said(text: str) -> bool:
        return news.filter(logging.LogRecord("aiokafka", logging.ERROR, "", 0, text, None, None))

    assert [is_said("no node"), is_said("no node"), is_said("no topic")] == [True, False, True]
    clock.advance_ms(app_module.SAY_AGAIN_MS)
    assert is_said("no node")
    assert not is_said("Error GroupCoordinatorNotAvailableError()")
