"""Idleness: silence is told of what was read to the end after the agent was done with it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from stream.bus.idleness import Idleness
from stream.bus.lane_events import Assigned, Batch, Idle
from stream.clock import ManualClock
from stream.detect.ingest.events import Messages

TP = TopicPartition("t", 0)
NOTHING = Messages("t", 0, [], [], [])


class Consumer:
    """One partition, read to `at`; `high` is what its last fetch said, `end` what there is."""

    def __init__(self) -> None:
        self.at = self.high = self.end = 10
        self.asked = 0
        self.is_away = False

    def assignment(self) -> set[TopicPartition]:
        return {TP}

    def highwater(self, _: TopicPartition) -> int:
        return self.high

    async def position(self, _: TopicPartition) -> int:
        return self.at

    async def end_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked += 1
        if self.is_away:
            raise KafkaTimeoutError
        return dict.fromkeys(tps, self.end)


class Lane:
    """Looks every 500 ms for partition 0, of which the agent is done with everything so far."""

    def __init__(self) -> None:
        self.clock, self.consumer = ManualClock(), Consumer()
        self.idleness = Idleness("t", 3_000, self.clock)
        self.events = self.handled = 0
        self.say(Assigned(0, 1, 0, ""))

    def say(self, event: Any, *, is_handled: bool = True) -> None:
        self.events += 1
        self.handled += is_handled
        self.idleness.said(event, self.events)

    def pass_time(self, duration_ms: int, step_ms: int = 500) -> list[int]:
        """Elapsed times of what is told meanwhile."""
        told = []
        for _ in range(duration_ms // step_ms):
            self.clock.advance_ms(step_ms)
            look = self.idleness.look(cast(Any, self.consumer), [0], self.handled)
            for idle in asyncio.run(look):
                told.append(idle.elapsed_ms)
                self.say(idle)
        return told


def test_silence_is_told_after_the_timeout_and_every_second_from_then_on() -> None:
    lane = Lane()
    assert lane.pass_time(2_500) == []
    assert lane.pass_time(3_000) == [3_000, 1_000, 1_000]


def test_a_message_ends_it() -> None:
    lane = Lane()
    lane.pass_time(3_000)
    lane.say(Batch(0, NOTHING, 10, 0))
    assert lane.pass_time(2_500) == []
    assert lane.pass_time(500) == [3_000]


def test_a_partition_that_is_not_read_to_its_end_is_not_silent() -> None:
    lane = Lane()
    lane.consumer.high = 11
    assert lane.pass_time(9_000) == []
    lane.consumer.at = 11
    assert lane.pass_time(2_500) == []
    lane.consumer.end = 12  # the last fetch did not know it yet
    assert lane.pass_time(2_000) == []
    assert lane.consumer.asked == 4


def test_nothing_is_told_before_the_agent_is_done_with_what_it_was_told() -> None:
    lane = Lane()
    lane.say(Batch(0, NOTHING, 10, 0), is_handled=False)
    assert lane.pass_time(9_000) == []
    assert lane.consumer.asked == 0, "whoever asks before it is done learns what is old by then"
    lane.handled += 1
    assert lane.pass_time(500) == [9_500]
    lane.say(Idle(0, 0), is_handled=False)
    assert lane.pass_time(5_000) == []


def test_a_worker_that_stood_still_goes_on_telling_but_its_pause_is_no_silence() -> None:
    lane = Lane()
    assert lane.pass_time(9_000, step_ms=3_000) == []
    assert lane.pass_time(3_000) == [3_000]
    assert lane.pass_time(9_000, step_ms=3_000) == [0, 0, 0]


def test_a_broker_that_does_not_answer_is_asked_again() -> None:
    lane = Lane()
    lane.consumer.is_away = True
    assert lane.pass_time(4_000) == []
    lane.consumer.is_away = False
    assert lane.pass_time(500) == [4_500]
