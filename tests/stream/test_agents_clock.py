"""Agents: steps of a worker's wall clock change nothing but the time a dead letter was written."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import orjson
import pytest

from stream.agents import IngestAgent
from stream.bus.lane_events import Assigned, Batch, Idle
from stream.bus.producer import Record
from stream.clock import ManualClock
from stream.detect.detector import Detector
from stream.serve.metrics import Metrics
from tests.builders import at, event, messages, no_reference, spec

TOPICS = {name: name for name in ("predictions", "partials", "dead-letters")}
HOUR_MS = 3_600_000


class Sent:
    """In place of producer and lane: what was sent and committed."""

    def __init__(self) -> None:
        self.records: list[tuple[Any, ...]] = []
        self.commits: list[tuple[int, str]] = []

    async def partitions(self, _topic: str) -> int:
        return 2

    async def send(self, records: list[Record]) -> None:
        self.records += [without_time(record) for record in records]

    def holds(self, _partition: int) -> bool:
        return True

    async def commit(self, _partition: int, offset: int, metadata: str) -> bool:
        self.commits.append((offset, metadata))
        return True


def without_time(record: Record) -> tuple[Any, ...]:
    value: Any = record.value
    if record.topic == "dead-letters":
        value = {k: v for k, v in orjson.loads(record.value or b"").items() if k != "time"}
    return record.topic, record.key, value, record.partition


def batch(first_offset: int, *values: Any) -> Batch:
    whole = messages(*values, first_offset=first_offset, arrival_s=900)
    return Batch(0, whole, first_offset, 0)


def told(*steps_ms: int) -> Sent:
    """What comes of one log and one silence when the wall clock steps between the events."""
    sent, clock, steps = Sent(), ManualClock(at(0)), iter(steps_ms)
    agent = IngestAgent(Detector(spec(), no_reference), cast(Any, sent), TOPICS, Metrics(), clock)
    for step in (
        Assigned(0, 1, 0, ""),
        batch(0, event(10), event(65), b"{"),
        batch(3, event(80), event(20), event(9_999)),
        Idle(0, 61_000),
        batch(6, event(90), event(200)),
        Idle(0, 61_000),
    ):
        asyncio.run(agent.on_event(step, cast(Any, sent)))
        clock.jump_ms(next(steps, 0))
        clock.advance_ms(1_000)
    return sent


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS, 10**12, -at(0)])
def test_steps_of_the_wall_clock_change_no_partial_no_marker_and_no_commit(step_ms: int) -> None:
    calm = told()
    for n in range(5):
        stepped = told(*[0] * n, step_ms)
        assert (stepped.records, stepped.commits) == (calm.records, calm.commits)
    assert len(calm.records) > 10
    assert len(calm.commits) > 3
