"""Is a reference that is published while workers run picked up without a restart?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.broker import EmbeddedBroker
from stream.bus.connection import Connection
from stream.bus.producer import Producer
from stream.bus.reference_store import read_topic, record_of
from stream.clock import SystemClock
from stream.detect.references import Reference
from stream.replay.sources import Message
from stream.settings import Settings, load
from tests.builders import reference
from tests.kafka_fixture import wait_until
from tests.worker_process import WorkerProcess, create_topics, publish, read, write_config

pytestmark = pytest.mark.kafka

BODY: dict[str, Any] = {"window": {"length": "1m", "pane": "1m", "grace": "0s"}}
MINUTE_MS = 60_000


def events(minute: int) -> list[Message]:
    """Two hundred events of one minute, and the ids that spread them over all partitions."""
    return [
        Message(orjson.dumps(event(minute, i)), None, b"%d-%d" % (minute, i)) for i in range(200)
    ]


def event(minute: int, i: int) -> dict[str, Any]:
    """One event."""
    ts = minute * MINUTE_MS + i * 100
    return {
        "id": f"{minute}-{i}",
        "model": "m",
        "version": "1",
        "ts": ts,
        "features": {"x": i % 10},
    }


def send(settings: Settings, known: Reference) -> None:
    """Put a reference on its topic."""

    async def work() -> None:
        producer = Producer(Connection(settings.bus.bootstrap), SystemClock(), patience_s=30)
        await producer.start()
        await producer.send([record_of(known, settings.bus.topics["references"])])
        await producer.stop()

    asyncio.run(work())


def test_a_reference_published_while_a_worker_runs_is_used_from_the_next_pane_on(
    tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str, port: int
) -> None:
    path = write_config(tmp_path, broker.bootstrap, topic_prefix, BODY)
    settings = load(path)
    create_topics(settings)
    known = reference([event(0, i) for i in range(200)])
    with WorkerProcess(path, port) as worker:
        worker.wait_ready()
        publish(settings, [events(10), events(11)])
        assert wait_until(lambda: worker.metric("driftline_windows_closed_total") >= 1, 30)
        send(settings, known)
        topic = settings.bus.topics["references"]
        connection = Connection(settings.bus.bootstrap)
        assert asyncio.run(read_topic(connection, topic)).keys() == {("m", "1")}

        minutes = iter(range(12, 400))

        def is_used() -> bool:
            publish(settings, [events(next(minutes))])
            return any(w["reference_ids"].get("training") for w in read(settings, "windows"))

        assert wait_until(is_used, 30), worker.log()
    windows = sorted(read(settings, "windows"), key=lambda w: w["start"])
    assert "training" not in windows[0]["reference_ids"]
    assert windows[-1]["reference_ids"]["training"] == known.id
    assert windows[-1]["features"]["x"]["measures"]["training"]["psi"] == pytest.approx(0)
