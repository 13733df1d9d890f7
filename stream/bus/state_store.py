"""State store: what the judges of this worker know in, records on the topic `judge-state` out.

In    changes of a judge; the partition that this worker was given
Out   acknowledged records; what an earlier owner of the partition knew
Not   their bytes and which of them counts (detect/judge/records.py)

Partition i of the topic belongs to partition i of the partials. Taking one over begins with a
claim: its offset names the owner, so that an earlier owner that still writes has keys of its own.
"""

from __future__ import annotations

import asyncio
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from mode.utils.logging import get_logger

from stream.bus.connection import Connection, client_arguments
from stream.bus.producer import LARGEST_BYTES, Producer, Record
from stream.detect.judge.judge import Changes
from stream.detect.judge.records import CLAIM_KEY, Damaged, Ledger, Memory, Stored, choose
from stream.errors import BusError, RebalanceError

logger = get_logger(__name__)

READ_WITHIN_S = 120.0  # whatever the broker does meanwhile
PAUSE_S = 0.5


class StateStore:
    """The judge's records of the partitions this worker has."""

    def __init__(self, connection: Connection, producer: Producer, topic: str) -> None:
        self._connection, self._producer, self.topic = connection, producer, topic
        self._ledgers: dict[int, Ledger] = {}

    async def take_over(self, partition: int) -> tuple[Memory, list[Damaged]]:
        """Claim a partition, and read what its earlier owners knew, and what cannot be used.

        Raises RebalanceError if the topic has no such partition, BusError if it cannot be read,
        UsageError if a newer release wrote there.
        """
        partitions = await self._producer.partitions(self.topic)
        if partition >= partitions:
            raise RebalanceError(
                f"topic {self.topic} has {partitions} partitions, the partials have more: give it "
                "as many (kafka-topics.sh --alter), each holds what the judge of one knows"
            )
        claim = uuid4().bytes
        await self._producer.send([Record(self.topic, CLAIM_KEY, claim, partition)])
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                owner, messages = await self._until_read(partition, claim)
        except TimeoutError:
            text = f"partition {partition} of {self.topic} was not read in {READ_WITHIN_S:g} s"
            raise BusError(f"{text} ({self._connection.bootstrap})") from None
        memory, damaged = await asyncio.to_thread(choose, messages.values())
        self._ledgers[partition] = Ledger(owner, memory)
        return memory, damaged

    async def save(self, partition: int, changes: Changes) -> None:
        """Write the records of streams; when they are acknowledged, the head."""
        # In a thread, as choosing below: thousands of records take seconds to pack.
        *streams, head = await asyncio.to_thread(self._ledgers[partition].records, *changes)
        await self._send(partition, streams)
        await self._send(partition, [head])

    async def clean(self, partition: int) -> None:
        """Delete what was replaced; call it after a commit that proves that nobody took over."""
        spare = self._ledgers[partition].spare()
        # One after the other: the last of them may only go when the others have gone.
        await self._producer.send([Record(self.topic, key, None, partition) for key in spare])

    def give_up(self, partition: int) -> None:
        """Another worker has the partition now."""
        self._ledgers.pop(partition, None)

    async def _send(self, partition: int, records: list[tuple[bytes, bytes]]) -> None:
        await self._producer.send(
            [Record(self.topic, key, value, partition) for key, value in records]
        )

    async def _until_read(self, partition: int, claim: bytes) -> tuple[int, dict[bytes, Stored]]:
        while True:
            try:
                return await self._read(partition, claim)
            except KafkaError as error:
                logger.warning("%s-%d, will be read again: %r", self.topic, partition, error)
                await asyncio.sleep(PAUSE_S)

    async def _read(self, partition: int, claim: bytes) -> tuple[int, dict[bytes, Stored]]:
        """The offset of the claim, and the last message of each key."""
        consumer = AIOKafkaConsumer(
            **client_arguments(self._connection),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=LARGEST_BYTES,
        )
        try:
            await consumer.start()
            tp = TopicPartition(self.topic, partition)
            consumer.assign([tp])
            await consumer.seek_to_beginning(tp)
            end = (await consumer.end_offsets([tp]))[tp]
            owner, latest = -1, dict[bytes, Stored]()
            while await consumer.position(tp) < end:
                for record in (await consumer.getmany(tp, timeout_ms=500)).get(tp, []):
                    stored = Stored(record.key or b"", record.value, record.offset)
                    latest[stored.key] = stored
                    if stored.value == claim:
                        owner = record.offset
            return owner, latest
        finally:
            await consumer.stop()
