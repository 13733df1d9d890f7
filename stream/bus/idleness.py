"""Idleness: what a lane has delivered in, which of its partitions are silent out.

In    when something of a partition was delivered; the consumer, at every look
Out   `Idle` events
Not   what silence means for windows (detect/judge/sources.py)

Silence is said of a partition that has been read to its end. That is asked of the broker after the
agent is done with all it was told of the partition, its last silence among it: judges rely on this
order. A lag is no silence, and neither is time in which this worker stood still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.bus.lane_events import Idle, LaneEvent
from stream.clock import Clock

STOOD_STILL_MS = 2_000  # between two looks: this worker was halted, or held back by its agent
AGAIN_MS = 1_000  # between two times that the same silence is told
ANSWER_WITHIN_S = 2.0


@dataclass(slots=True)
class _Quiet:
    """A partition; times on the monotonic clock."""

    since_ms: int
    events: int  # of the lane up to the last that was about this partition
    told_ms: int | None = None  # when it was told last that it is idle


class Idleness:
    """The silence of a lane's partitions.

    timeout_ms  how long nothing comes before it is told
    """

    def __init__(self, topic: str, timeout_ms: int, clock: Clock) -> None:
        self._topic, self._timeout_ms, self._clock = topic, timeout_ms, clock
        self._quiet: dict[int, _Quiet] = {}
        self._looked_ms = clock.monotonic_ms()

    def said(self, event: LaneEvent, number: int) -> None:
        """The agent was told of a partition, as the lane's event of this number."""
        if isinstance(event, Idle):
            self._quiet[event.partition].events = number
        else:
            self._quiet[event.partition] = _Quiet(self._clock.monotonic_ms(), number)

    async def look(
        self, consumer: AIOKafkaConsumer, partitions: Collection[int], handled: int
    ) -> list[Idle]:
        """What is to be told now; handled: events that the agent is done with."""
        now_ms = self._clock.monotonic_ms()
        stood_still = now_ms - self._looked_ms > STOOD_STILL_MS
        self._looked_ms = now_ms
        due: dict[TopicPartition, int] = {}  # with the position
        for partition in sorted(self._quiet.keys() & set(partitions)):
            quiet, tp = self._quiet[partition], TopicPartition(self._topic, partition)
            highwater = consumer.highwater(tp)
            if tp not in consumer.assignment() or highwater is None:
                quiet.since_ms = now_ms
            elif (position := await consumer.position(tp)) < highwater:
                quiet.since_ms, quiet.told_ms = now_ms, None
            else:
                quiet.since_ms = now_ms if stood_still else quiet.since_ms
                if self._is_due(quiet, now_ms) and quiet.events <= handled:
                    due[tp] = position
        ends = await _ends(consumer, due) if due else {}
        return [self._tell(tp.partition) for tp in due if due[tp] >= ends.get(tp, due[tp] + 1)]

    def _is_due(self, quiet: _Quiet, now_ms: int) -> bool:
        if quiet.told_ms is not None:
            return now_ms - quiet.told_ms >= min(self._timeout_ms, AGAIN_MS)
        return now_ms - quiet.since_ms >= self._timeout_ms

    def _tell(self, partition: int) -> Idle:
        quiet, now_ms = self._quiet[partition], self._clock.monotonic_ms()
        elapsed_ms = now_ms - quiet.since_ms
        quiet.since_ms = quiet.told_ms = now_ms
        return Idle(partition, elapsed_ms)


async def _ends(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """Where the logs end; nothing if the broker does not say."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            ends: dict[TopicPartition, int] = await consumer.end_offsets(list(partitions))
            return ends
    except (KafkaError, TimeoutError):
        return {}
