"""Producer: records in, acknowledged by the broker or an error out.

In    records with topic, key, value, and a partition where it matters
Out   nothing, once every record is acknowledged
Not   what is sent (agents.py); the client for model servers (publisher.py)

Idempotent, all replicas: a record is on the topic once and in order, or `send` raises BusError.
After that its fate is unknown, so the worker must end and replay from its last commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.bus.connection import Connection, client_arguments
from stream.errors import BusError

LARGEST_BYTES = 8 * 1024 * 1024
DEADLINE_S = 300.0  # a broker that stays away longer ends the worker


class Record(NamedTuple):
    """One record to send; partition None lets the key choose."""

    topic: str
    key: bytes
    value: bytes | None
    partition: int | None = None


class Producer:
    """One idempotent producer; every record is awaited."""

    def __init__(self, connection: Connection, *, deadline_s: float = DEADLINE_S) -> None:
        self._connection = connection
        self._deadline_s = deadline_s
        self._client: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. Raises BusError if no broker answers."""
        self._client = AIOKafkaProducer(
            **client_arguments(self._connection),
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=2,
            max_request_size=LARGEST_BYTES,
        )
        try:
            await self._client.start()
        except KafkaError as error:
            raise BusError(f"cannot produce to {self._connection.bootstrap}: {error}") from error

    async def stop(self) -> None:
        """Send what is buffered and disconnect."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.stop()

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        assert self._client is not None, "start() first"
        return len(await self._client.partitions_for(topic))

    async def send(self, records: Sequence[Record]) -> None:
        """Send records in order and return when all are acknowledged.

        Raises BusError if one is refused, or the broker stays away beyond the deadline.
        """
        if not records:
            return
        assert self._client is not None, "start() first"
        try:
            async with asyncio.timeout(self._deadline_s):
                sent = [
                    await self._client.send(r.topic, r.value, key=r.key, partition=r.partition)
                    for r in records
                ]
                await asyncio.gather(*sent)
        except TimeoutError:
            text = f"the broker acknowledged nothing for {self._deadline_s:g} s"
            raise BusError(f"{text} ({self._connection.bootstrap})") from None
        except KafkaError as error:
            topics = ", ".join(sorted({r.topic for r in records}))
            raise BusError(f"cannot send to {topics}: {type(error).__name__} {error}") from error


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key on the partials topic; the same in every worker and release."""
    return crc32(key) % partitions
