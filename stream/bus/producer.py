"""Producer: records in, acknowledged by the broker or tried again until they are.

In    records with topic, key, value, and a partition where it matters
Out   nothing, once every record is acknowledged
Not   what is sent (agents.py); the client for model servers (publisher.py); when a worker that
      waits too long has to end (serve/health.py)

Idempotent, all replicas. An idempotent client is dead after an error that its sequence numbers do
not survive, and one whose broker is away never says so. Both are replaced by a new client, which
sends everything again that was not acknowledged as a whole. Readers of our topics take a record
that comes twice for one: partials replace, windows, alerts and dead letters have an identity.
While `send` waits its caller takes nothing new, so no more is held than one call was given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from mode.utils.logging import get_logger

from stream.bus.connection import Connection, client_arguments
from stream.bus.failpoints import reach
from stream.clock import Clock
from stream.errors import BusError

logger = get_logger(__name__)

LARGEST_BYTES = 8 * 1024 * 1024
ATTEMPT_S = 60.0  # without an acknowledgement; then by a new client
CLOSE_S = 3.0  # to send what is buffered, and again to disconnect
AT_ONCE = 50  # records given to the client before others may run
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0

T = TypeVar("T")


class Record(NamedTuple):
    """One record to send; partition None lets the key choose."""

    topic: str
    key: bytes
    value: bytes | None
    partition: int | None = None


class SenderFacts(NamedTuple):
    """How a producer does: for how long its records have waited, and the last error since."""

    waiting_ms: int
    error: str | None


class Producer:
    """One idempotent producer; every record is awaited.

    patience_s  how long `send` tries before it raises BusError; None is for ever, as a worker wants
    """

    def __init__(
        self, connection: Connection, clock: Clock, *, patience_s: float | None = None
    ) -> None:
        self._connection, self._clock, self._patience_s = connection, clock, patience_s
        self._client: AIOKafkaProducer | None = None
        self._since_ms: int | None = None
        self._error: str | None = None

    async def start(self) -> None:
        """Connect. Raises BusError if no broker answers."""
        try:
            await self._connect()
        except KafkaError as error:
            raise BusError(f"cannot produce to {self._connection.bootstrap}: {error}") from error

    async def stop(self) -> None:
        """Send what is buffered, if the broker is there, and disconnect."""
        client, self._client = self._client, None
        await _close(client)

    def measure(self) -> SenderFacts:
        """How it does now."""
        waiting_ms = 0 if self._since_ms is None else self._clock.monotonic_ms() - self._since_ms
        return SenderFacts(waiting_ms, self._error)

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""

        async def ask(client: AIOKafkaProducer) -> int:
            return len(await client.partitions_for(topic))

        return await self._until_done(ask)

    async def send(self, records: Sequence[Record]) -> None:
        """Send records in order and return when all are acknowledged, however long that takes."""
        if records:
            await self._until_done(lambda client: _send(client, records))

    async def _until_done(self, step: Callable[[AIOKafkaProducer], Awaitable[T]]) -> T:
        pause_s = FIRST_PAUSE_S
        self._since_ms = self._clock.monotonic_ms()
        try:
            while True:
                try:
                    client = self._client or await self._connect()
                    async with asyncio.timeout(ATTEMPT_S):
                        return await step(client)
                except (KafkaError, TimeoutError) as error:
                    self._error = " ".join(f"{type(error).__name__} {error}".split())
                    logger.warning("not acknowledged, will be sent again: %s", self._error)
                self._check_patience()
                await self.stop()  # what a client half did is unknown: a new one does it all again
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        finally:
            self._since_ms = self._error = None

    def _check_patience(self) -> None:
        if self._patience_s is not None and self.measure().waiting_ms > self._patience_s * 1000:
            where = self._connection.bootstrap
            raise BusError(f"cannot send to {where}, tried {self._patience_s:g} s: {self._error}")

    async def _connect(self) -> AIOKafkaProducer:
        client = AIOKafkaProducer(
            **client_arguments(self._connection),
            acks="all",
            enable_idempotence=True,
            linger_ms=2,
            request_timeout_ms=10_000,
            max_request_size=LARGEST_BYTES,
        )
        try:
            await client.start()
        except BaseException:
            await _close(client)
            raise
        self._client = client
        return client


async def _send(client: AIOKafkaProducer, records: Sequence[Record]) -> None:
    sent = list[asyncio.Future[Any]]()
    for record in records:
        if len(sent) % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)  # others may run
        topic, key, value, partition = record
        sent.append(await client.send(topic, value, key=key, partition=partition))
    await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
    reach("producer.middle")
    for outcome in await asyncio.gather(*sent, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def _close(client: AIOKafkaProducer | None) -> None:
    """Disconnect, whatever state it is in; nothing of it is on its way to the broker afterwards."""
    if client is None:
        return
    with suppress(KafkaError, TimeoutError):
        await asyncio.wait_for(client.stop(), CLOSE_S)
        return
    with suppress(KafkaError, TimeoutError):
        await asyncio.wait_for(client.client.close(), CLOSE_S)
    if client._sender is not None:  # it would go on trying
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(client._sender.close(), CLOSE_S)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key on the partials topic; the same in every worker and release."""
    return crc32(key) % partitions
