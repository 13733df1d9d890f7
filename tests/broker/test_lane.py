"""Does a lane deliver every record of its partitions once, whatever a rebalance interrupts?"""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
)
from aiokafka.structs import OffsetAndMetadata

from stream.bus.connection import Connection
from stream.bus.lane import Assigned, Batch, Lane, LaneSpec, Revoked
from stream.clock import ManualClock
from stream.errors import RebalanceError

TP = TopicPartition("t", 0)


class Channel:
    """Remembers what was sent, and answers Revoked as an agent would."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send(self, *, value: Any) -> None:
        self.sent.append(value)
        if isinstance(value, Revoked):
            value.done.set()


class Consumer:
    """A partition of ten records; fetching goes on where it stands."""

    def __init__(self) -> None:
        self.at = 0
        self.beginning, self.end = 0, 10
        self.commits: list[int] = []
        self.failures: list[Exception] = []
        self._coordinator = SimpleNamespace(generation=1)

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.commits.append(offsets[TP].offset)

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
        first, self.at = self.at, 10
        record = [SimpleNamespace(offset=o, value=b"", timestamp=0) for o in range(first, 10)]
        return {TP: record} if record else {}

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.at = offset

    def highwater(self, _: TopicPartition) -> int:
        return 10

    def partitions_for_topic(self, _: str) -> set[int]:
        return {0}

    async def beginning_offsets(self, _: Any) -> dict[TopicPartition, int]:
        return {TP: self.beginning}

    async def end_offsets(self, _: Any) -> dict[TopicPartition, int]:
        return {TP: self.end}


class Admin:
    """Answers what was committed once it is allowed to, after it has failed as often as told."""

    def __init__(self, offset: int, *failures: Any) -> None:
        self.offset, self.failures = offset, list(failures)
        self.may_answer = asyncio.Event()

    async def list_consumer_group_offsets(self, *_: Any, **__: Any) -> dict[Any, Any]:
        await self.may_answer.wait()
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return dict(failure)
        return {TP: OffsetAndMetadata(self.offset, "m")}


def lane(admin: Admin) -> tuple[Lane, Consumer, Channel]:
    """A lane between doubles."""
    channel, consumer = Channel(), Consumer()
    made = Lane(LaneSpec(topic="t", group="g"), Connection("x:1"), channel, ManualClock())
    made._consumer, made._admin = cast(Any, consumer), cast(Any, admin)
    return made, consumer, channel


async def offsets_seen(committed: int) -> tuple[Channel, list[int]]:
    """What is delivered when a fetch returns while the partition is being assigned."""
    admin = Admin(committed)
    made, consumer, channel = lane(admin)
    assigning = asyncio.create_task(made.assign({TP}))
    await asyncio.sleep(0)
    fetching = asyncio.create_task(made._fetch_once(cast(Any, consumer)))
    await asyncio.sleep(0)
    admin.may_answer.set()
    await asyncio.gather(assigning, fetching)
    await made._fetch_once(cast(Any, consumer))
    batches = [value for value in channel.sent if isinstance(value, Batch)]
    return channel, [offset for batch in batches for offset in batch.messages.offsets]


def test_a_fetch_that_returns_during_assignment_is_not_delivered_twice() -> None:
    channel, offsets = asyncio.run(offsets_seen(4))
    assert channel.sent[0][:4] == (0, 1, 4, "m")
    assert offsets == [4, 5, 6, 7, 8, 9]


def test_a_fetch_that_began_before_an_assignment_and_returns_after_it_is_delivered() -> None:
    async def work() -> list[Any]:
        admin = Admin(0)
        admin.may_answer.set()
        made, consumer, channel = lane(admin)
        may_return, getmany = asyncio.Event(), consumer.getmany

        async def slowly(**arguments: Any) -> Any:
            await may_return.wait()
            return await getmany(**arguments)

        consumer.getmany = slowly  # type: ignore[method-assign]
        fetching = asyncio.create_task(made._fetch_once(cast(Any, consumer)))
        await asyncio.sleep(0)
        await made.assign({TP})
        may_return.set()
        await fetching
        return channel.sent

    batch = asyncio.run(work())[-1]
    assert isinstance(batch, Batch)
    assert batch.messages.offsets == list(range(10))


def test_what_was_fetched_before_a_revocation_is_not_delivered_after_it() -> None:
    async def work() -> Channel:
        admin = Admin(0)
        admin.may_answer.set()
        made, consumer, channel = lane(admin)
        await made.assign({TP})
        async with made._turn:  # the agent is busy
            fetching = asyncio.create_task(made._fetch_once(cast(Any, consumer)))
            await asyncio.sleep(0)
            revoking = asyncio.create_task(made.revoke({TP}))
            await asyncio.sleep(0)
        await asyncio.gather(fetching, revoking)
        return channel

    sent = asyncio.run(work()).sent
    assert [type(value) for value in sent] == [Assigned, Revoked]


async def assigned_lane(committed: int = 0) -> tuple[Lane, Consumer, Channel]:
    """A lane whose agent has taken its partition."""
    admin = Admin(committed)
    admin.may_answer.set()
    made, consumer, channel = lane(admin)
    await made.assign({TP})
    made.taken(channel.sent[-1])
    return made, consumer, channel


def test_each_time_a_worker_has_a_partition_is_told_apart() -> None:
    #   or a judge would take the markers of one for the continuation of another's
    async def work() -> list[int]:
        made, _, channel = await assigned_lane()
        await made.assign({TP})
        return [assigned.tenure for assigned in channel.sent]

    first, second = asyncio.run(work())
    assert abs(first - second) > 1_000_000


def test_a_commit_is_accepted_from_the_agent_that_has_the_partition() -> None:
    async def work() -> tuple[bool, list[int]]:
        made, consumer, _ = await assigned_lane()
        return await made.commit(0, 7, "m"), consumer.commits

    assert asyncio.run(work()) == (True, [7])


def test_an_agent_that_did_not_answer_in_time_commits_nothing_any_more() -> None:
    async def work() -> tuple[list[bool], list[int]]:
        made, consumer, channel = await assigned_lane()

        async def silence(*, value: Any) -> None:
            channel.sent.append(value)

        made._channel.send = silence  # the agent is stuck: nobody answers Revoked
        await made.revoke({TP}, wait_s=0.01)
        answers = [await made.commit(0, 7, "m")]
        channel.sent[-1].done.set()  # it is free again and has forgotten
        await made.assign({TP})
        answers.append(await made.commit(0, 8, "m"))  # it has not taken the new Assigned yet
        made.taken(channel.sent[-1])
        answers.append(await made.commit(0, 9, "m"))
        return answers, consumer.commits

    assert asyncio.run(work()) == ([False, False, True], [9])


def test_a_member_the_group_has_forgotten_commits_nothing() -> None:
    async def work() -> tuple[bool, list[int]]:
        made, consumer, _ = await assigned_lane()
        assert made.holds(0)
        consumer._coordinator.generation = -1  # Kafka takes this for a client without a group
        assert not made.holds(0)
        return await made.commit(0, 7, "m"), consumer.commits

    assert asyncio.run(work()) == (False, [])


def test_a_broker_that_does_not_know_yet_is_asked_again(monkeypatch: Any) -> None:
    monkeypatch.setattr("stream.bus.starts.PAUSE_S", 0)

    async def work() -> Any:
        # An answer without the partition is what a coordinator that is loading gives.
        admin = Admin(4, GroupCoordinatorNotAvailableError(), {})
        admin.may_answer.set()
        made, _, channel = lane(admin)
        await made.assign({TP})
        return [assigned[:4] for assigned in channel.sent]

    assert asyncio.run(work()) == [(0, 1, 4, "m")]


def test_records_deleted_before_they_were_read_are_counted(caplog: Any) -> None:
    async def work() -> tuple[list[Any], int]:
        admin = Admin(2)
        admin.may_answer.set()
        made, consumer, channel = lane(admin)
        consumer.beginning = 5
        await made.assign({TP})
        return [assigned[:5] for assigned in channel.sent], consumer.at

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(work()) == ([(0, 1, 5, "m", 3)], 5)
    assert "3 records were deleted before they were read" in caplog.text


def test_records_deleted_while_reading_are_counted_and_other_holes_are_not() -> None:
    async def work(beginning: int) -> int:
        made, consumer, channel = await assigned_lane()
        consumer.at, consumer.beginning = 6, beginning
        await made._fetch_once(cast(Any, consumer))
        return int(channel.sent[-1].lost)

    assert asyncio.run(work(4)) == 4  # 4 and 5 are markers of transactions
    assert asyncio.run(work(0)) == 0


def test_partitions_that_come_while_the_worker_stops_are_left_alone() -> None:
    async def work() -> list[Any]:
        admin = Admin(0)
        admin.may_answer.set()
        made, _, channel = lane(admin)
        made._consumer = None  # as `on_stop` leaves it, before the group has heard of it
        await made.assign({TP})
        return channel.sent

    assert asyncio.run(work()) == []


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_a_worker_that_is_told_to_stop_while_it_joins_just_stops(
    monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    made, _, _ = lane(Admin(0))

    class Joining(Consumer):
        def __init__(self, **_: Any) -> None:
            super().__init__()

        async def start(self) -> None:
            made._consumer = None  # as `on_stop` leaves it
            if ends == "badly":
                raise GroupCoordinatorNotAvailableError

    class Asking:
        def __init__(self, **_: Any) -> None:
            pass

        async def start(self) -> None:
            pass

    monkeypatch.setattr("stream.bus.lane.AIOKafkaConsumer", Joining)
    monkeypatch.setattr("stream.bus.lane.AIOKafkaAdminClient", Asking)
    asyncio.run(made.on_start())
    assert made.assigned == []


def test_a_topic_made_anew_is_read_from_its_beginning() -> None:
    async def work() -> list[Any]:
        _, _, channel = await assigned_lane(99)
        return [assigned[:4] for assigned in channel.sent]

    assert asyncio.run(work()) == [(0, 1, 0, "")]


def test_a_topic_made_anew_while_it_is_read_ends_the_worker() -> None:
    async def work() -> None:
        made, consumer, _ = await assigned_lane(8)
        consumer.at = 0
        await made._fetch_once(cast(Any, consumer))

    with pytest.raises(RebalanceError, match="made anew"):
        asyncio.run(work())
