"""The judge's record on Kafka: a worker that is killed while an alert fires."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.broker import EmbeddedBroker
from stream.replay.sources import Message
from stream.settings import load
from tests.builders import event
from tests.kafka_fixture import wait_until
from tests.worker_process import WorkerProcess, create_topics, publish, read, write_config

pytestmark = pytest.mark.kafka

BODY: dict[str, Any] = {
    "window": {"length": "1m", "pane": "10s", "grace": "1s", "revise_for": "2m"},
    "models": {"m": {"rules": [{"name": "errors", "objective": "error_ratio", "above": 0.5}]}},
}


def minutes(first: int, last: int, status: str) -> list[list[Message]]:
    """Ten events a second; a key of their own each, so that all partitions have some."""
    found = []
    for i in range(600 * first, 600 * last):
        body = event(i / 10, {"x": 1}, id=f"e{i}", status=status)
        found.append(Message(orjson.dumps(body), None, str(i).encode()))
    return [found]


def reasons(alerts: list[Any]) -> Counter[str]:
    """Reasons of the alerts, one per id; the same id always says the same."""
    by_id: dict[str, Any] = {}
    for alert in alerts:
        assert by_id.setdefault(alert["id"], alert) == alert
    return Counter(alert["data"]["reason"] for alert in by_id.values())


def test_an_alert_that_fires_when_its_worker_is_killed_is_told_once_and_resolved(
    tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str, port: int
) -> None:
    path = write_config(tmp_path, broker.bootstrap, topic_prefix, BODY)
    settings = load(path)
    create_topics(settings)
    publish(settings, minutes(0, 1, "ok") + minutes(1, 8, "error"))
    with WorkerProcess(path, port, "first") as worker:
        worker.wait_ready()

        def is_told() -> bool:
            # Windows that are older than what may be revised: replay alone would not know.
            return len(read(settings, "alerts")) > 0 and len(read(settings, "windows")) >= 7

        assert wait_until(is_told, 60), worker.log()
        assert wait_until(lambda: worker.metric("driftline_windows_closed_total") >= 7, 60)
        worker.kill()
    assert reasons(read(settings, "alerts")) == {"first": 1}
    publish(settings, minutes(8, 9, "error") + minutes(9, 12, "ok"))
    with WorkerProcess(path, port, "second") as worker:
        worker.wait_ready()
        assert wait_until(lambda: reasons(read(settings, "alerts"))["resolved"] > 0, 60), (
            worker.log()
        )
        assert worker.stop() == 0
    assert reasons(read(settings, "alerts")) == {"first": 1, "resolved": 1}
    [first, *_, resolved] = read(settings, "alerts")
    assert first["data"]["window"]["start"] == "2024-10-04T00:01:00Z"
    assert resolved["data"]["window"]["start"] == "2024-10-04T00:09:00Z"
    windows: dict[tuple[str, int], Any] = {}
    for window in read(settings, "windows"):
        key = (window["window_id"], window["revision"])
        assert windows.setdefault(key, window) == window
    assert {revision for _, revision in windows} == {0}
    # What was sent again of panes long forgotten cannot be told from what came late.
    assert {letter["reason"] for letter in read(settings, "dead-letters")} <= {"too_late"}
