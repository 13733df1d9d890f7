"""Does a lane deliver every record of its partitions once, whatever a rebalance interrupts?"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from stream.bus.connection import Connection
from stream.bus.lane import Assigned, Batch, Lane, LaneSpec, Revoked
from stream.clock import ManualClock

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
        return {TP: 0}


class Admin:
    """Answers what was committed once it is allowed to."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.may_answer = asyncio.Event()

    async def list_consumer_group_offsets(self, *_: Any, **__: Any) -> dict[Any, Any]:
        await self.may_answer.wait()
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
    return channel, [offset for batch in batches for offset in batch.offsets]


def test_a_fetch_that_returns_during_assignment_is_not_delivered_twice() -> None:
    channel, offsets = asyncio.run(offsets_seen(4))
    assert channel.sent[0] == Assigned(0, 1, 4, "m")
    assert offsets == [4, 5, 6, 7, 8, 9]


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
