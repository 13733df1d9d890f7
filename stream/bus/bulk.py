"""Bulk: recorded messages in, a topic filled as fast as the broker takes it.

In    messages with their keys
Out   record batches built here, one per partition, acknowledged
Not   the client for model servers, which must never block (publisher.py)

aiokafka's `send` costs some twenty microseconds per message; a batch built by hand costs one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from zlib import crc32

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from stream.bus.connection import Connection, client_arguments
from stream.errors import BusError

BATCH_BYTES = 512 * 1024
IN_FLIGHT = 8  # batches sent and not acknowledged yet


class BulkPublisher:
    """Publishes messages to one topic; an async context manager."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection, self._topic = connection, topic
        self._client: AIOKafkaProducer | None = None
        self._builders: dict[int, Any] = {}
        self._partitions: list[int] = []
        self._sent: set[asyncio.Future[object]] = set()

    async def __aenter__(self) -> BulkPublisher:
        self._client = AIOKafkaProducer(
            **client_arguments(self._connection),
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            max_batch_size=BATCH_BYTES,
            max_request_size=8 * 1024 * 1024,
        )
        try:
            await self._client.start()
            self._partitions = sorted(await self._client.partitions_for(self._topic))
        except UnknownTopicOrPartitionError:
            await self._client.stop()
            raise BusError(
                f"topic {self._topic} does not exist on {self._connection.bootstrap}: create it "
                "with `driftline topics create -c FILE`"
            ) from None
        except KafkaError as error:
            await self._client.stop()
            raise BusError(f"cannot publish to {self._topic}: {error}") from None
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        assert self._client is not None
        if kind is None:
            await self.flush()
        await self._client.stop()

    async def publish(self, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """Add (key, value) messages; returns when they are on their way.

        Raises BusError if a batch is refused or a message is larger than a batch may be.
        """
        assert self._client is not None
        for key, value in messages:
            partition = self._partitions[crc32(key) % len(self._partitions)]
            builder = self._builders.get(partition) or self._open(partition)
            if builder.append(timestamp=None, key=key, value=value) is None:
                await self._send(partition)
                builder = self._open(partition)
                if builder.append(timestamp=None, key=key, value=value) is None:
                    await self._send_alone(partition, key, value)

    async def flush(self) -> None:
        """Return when everything is acknowledged."""
        for partition in list(self._builders):
            await self._send(partition)
        await self._wait(0)

    def _open(self, partition: int) -> Any:
        assert self._client is not None
        builder = self._builders[partition] = self._client.create_batch()
        return builder

    async def _send(self, partition: int) -> None:
        assert self._client is not None
        builder = self._builders.pop(partition)
        if builder.record_count():
            future = await self._client.send_batch(builder, self._topic, partition=partition)
            self._sent.add(future)
        await self._wait(IN_FLIGHT)

    async def _send_alone(self, partition: int, key: bytes, value: bytes) -> None:
        assert self._client is not None
        try:
            future = await self._client.send(self._topic, value, key=key, partition=partition)
        except KafkaError as error:
            raise BusError(
                f"a message of {len(value)} bytes cannot be published: {error}"
            ) from None
        self._sent.add(future)

    async def _wait(self, most: int) -> None:
        while len(self._sent) > most:
            done, self._sent = await asyncio.wait(self._sent, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                error = future.exception()
                if error is not None:
                    raise BusError(f"cannot publish to {self._topic}: {error!r}")
