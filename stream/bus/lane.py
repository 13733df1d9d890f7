"""Lane: a Kafka topic in, one channel event per fetched partition batch out.

In    a topic and a consumer group
Out   on a bounded Faust channel, in order: Assigned, Batch…, Idle…, Revoked
Not   what the batches say (agents.py); when an offset is safe (the detector knows)

The lane owns its consumer instead of using Faust's, whose offset tracking loses events under
faults and costs seventy microseconds per message (docs/decisions/0001). Back-pressure is the
bounded channel: nothing is fetched while the agent is busy. A partition is given up only after the
agent has answered `Revoked`, so its last commit lies within the group's generation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from mode import Service
from mode.utils.logging import get_logger

from stream.bus.connection import Connection, client_arguments
from stream.clock import Clock

logger = get_logger(__name__)

FETCH_WAIT_MS = 100  # how long a fetch may wait for data, and so a revocation for a fetch
REVOKE_WAIT_S = 8.0  # for the agent's last commit; then the partition is given up without it


class Assigned(NamedTuple):
    """This worker has the partition now, from `offset` on.

    metadata  what was committed with the offset; "" if nothing was
    """

    partition: int
    partitions: int
    offset: int
    metadata: str


class Batch(NamedTuple):
    """Records of one partition in offset order; all sequences are (n,)."""

    partition: int
    values: list[bytes | None]
    offsets: list[int]
    arrivals_ms: list[int]
    lag: int


class Idle(NamedTuple):
    """The partition has been read to its end and nothing came for elapsed_ms more."""

    partition: int
    elapsed_ms: int


class Revoked(NamedTuple):
    """Commit what is safe, forget the partition, then call `done.set()`."""

    partition: int
    done: asyncio.Event


LaneEvent = Assigned | Batch | Idle | Revoked


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSpec:
    """How a lane reads its topic."""

    topic: str
    group: str
    idle_timeout_ms: int | None = None  # None: idleness does not matter
    max_records: int = 2_000  # per fetch; a slice that keeps the event loop free
    session_timeout_ms: int = 10_000


@dataclass(slots=True)
class _Quiet:
    """Since when a partition has been silent, on the monotonic clock."""

    since_ms: int
    told: bool = False


class Lane(Service):
    """Reads one topic in a consumer group and feeds one agent."""

    abstract = False

    def __init__(
        self, spec: LaneSpec, connection: Connection, channel: Any, clock: Clock, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self._connection = connection
        self._channel = channel
        self._clock = clock
        self._quiet: dict[int, _Quiet] = {}  # by partition this worker has
        self._turn = asyncio.Lock()  # delivering and rebalancing take turns
        self._generation = 0
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None

    @property
    def assigned(self) -> list[int]:
        """The partitions this worker has now."""
        return sorted(self._quiet)

    async def on_start(self) -> None:
        """Join the group."""
        arguments = client_arguments(self._connection)
        self._admin = AIOKafkaAdminClient(**arguments)
        await self._admin.start()
        self._consumer = AIOKafkaConsumer(
            **arguments,
            group_id=self.spec.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=1 << 20,
            session_timeout_ms=self.spec.session_timeout_ms,
            heartbeat_interval_ms=self.spec.session_timeout_ms // 3,
            max_poll_interval_ms=300_000,
        )
        await self._consumer.start()
        self._consumer.subscribe([self.spec.topic], listener=_Listener(self))

    async def on_stop(self) -> None:
        """Give the partitions back, with a last commit, and leave the group."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await self.revoke({TopicPartition(self.spec.topic, p) for p in self.assigned})
            await consumer.stop()
        if self._admin is not None:
            await self._admin.close()

    @Service.task
    async def _fetch(self) -> None:
        try:
            while not self.should_stop and self._consumer is not None:
                await self._fetch_once(self._consumer)
                await asyncio.sleep(0)
        except Exception as error:
            if self._consumer is not None:  # else it was closed while fetching
                logger.exception("%s: fetching failed", self.spec.topic)
                await self.crash(error)

    async def _fetch_once(self, consumer: AIOKafkaConsumer) -> None:
        # While partitions are being reassigned getmany waits, so this must not hold the turn.
        fetched = await consumer.getmany(
            timeout_ms=FETCH_WAIT_MS, max_records=self.spec.max_records
        )
        generation = self._generation
        async with self._turn:
            if generation == self._generation:
                await self._deliver(consumer, fetched)

    async def _deliver(
        self, consumer: AIOKafkaConsumer, fetched: Mapping[TopicPartition, list[Any]]
    ) -> None:
        for tp, records in fetched.items():
            quiet = self._quiet.get(tp.partition)
            if quiet is None:
                continue
            quiet.since_ms, quiet.told = self._clock.monotonic_ms(), False
            highwater = consumer.highwater(tp) or records[-1].offset + 1
            await self._channel.send(
                value=Batch(
                    tp.partition,
                    [record.value for record in records],
                    [record.offset for record in records],
                    [record.timestamp for record in records],
                    highwater - records[-1].offset - 1,
                )
            )
        if self.spec.idle_timeout_ms is not None:
            await self._tell_idle(consumer, self.spec.idle_timeout_ms)

    async def _tell_idle(self, consumer: AIOKafkaConsumer, timeout_ms: int) -> None:
        """Silence counts only where everything has been read: a lag is no silence."""
        now_ms = self._clock.monotonic_ms()
        for partition, quiet in list(self._quiet.items()):
            tp = TopicPartition(self.spec.topic, partition)
            highwater = consumer.highwater(tp)
            if tp not in consumer.assignment() or highwater is None:
                quiet.since_ms = now_ms
            elif await consumer.position(tp) < highwater:
                quiet.since_ms, quiet.told = now_ms, False
            elif now_ms - quiet.since_ms >= (min(timeout_ms, 1_000) if quiet.told else timeout_ms):
                elapsed_ms, quiet.since_ms, quiet.told = now_ms - quiet.since_ms, now_ms, True
                await self._channel.send(value=Idle(partition, elapsed_ms))

    async def assign(self, assigned: set[TopicPartition]) -> None:
        """Tell the agent of partitions it has now, with what was committed for them."""
        assert self._consumer is not None and self._admin is not None  # noqa: PT018
        async with self._turn:
            committed: Mapping[TopicPartition, OffsetAndMetadata] = {}
            if assigned:
                committed = await self._admin.list_consumer_group_offsets(
                    self.spec.group, partitions=sorted(assigned)
                )
            beginnings = await self._consumer.beginning_offsets(list(assigned)) if assigned else {}
            # A fetch may have returned between the assignment and the seek below, which makes the
            # consumer fetch the same records again: what it returned is void.
            self._generation += 1
            known = self._consumer.partitions_for_topic(self.spec.topic) or set()
            for tp in sorted(assigned):
                offset, metadata = committed.get(tp, (-1, ""))
                if offset < beginnings[tp]:
                    if offset >= 0:
                        lost = beginnings[tp] - offset
                        logger.error("%s: %d records deleted before they were read", tp, lost)
                    offset, metadata = beginnings[tp], ""
                self._consumer.seek(tp, offset)
                self._quiet[tp.partition] = _Quiet(self._clock.monotonic_ms())
                await self._channel.send(value=Assigned(tp.partition, len(known), offset, metadata))

    async def revoke(self, revoked: set[TopicPartition]) -> None:
        """Let the agent commit and forget; return when it has, or its time is up."""
        self._generation += 1  # what was fetched and not delivered yet is void
        async with self._turn:
            for tp in sorted(revoked):
                if self._quiet.pop(tp.partition, None) is None:
                    continue
                done = asyncio.Event()
                try:
                    async with asyncio.timeout(REVOKE_WAIT_S):
                        await self._channel.send(value=Revoked(tp.partition, done))
                        await done.wait()
                except TimeoutError:
                    logger.error("%s: given up without a last commit", tp)

    async def commit(self, partition: int, offset: int, metadata: str) -> bool:
        """Commit an offset with its metadata; False if the group has moved on without us."""
        consumer = self._consumer
        if consumer is None:
            return False
        tp = TopicPartition(self.spec.topic, partition)
        try:
            await consumer.commit({tp: OffsetAndMetadata(offset, metadata)})
        except CommitFailedError:
            return False  # fenced: the partition has, or will have, another owner
        except KafkaError as error:
            logger.warning("%s: commit of %d failed, will be tried again: %r", tp, offset, error)
            return False
        return True


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes a rebalance on; aiokafka swallows what a listener raises, so it ends the worker."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._guard(self._lane.revoke(revoked))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._guard(self._lane.assign(assigned))

    async def _guard(self, step: Any) -> None:
        try:
            await step
        except Exception as error:
            logger.exception("%s: rebalance failed", self._lane.spec.topic)
            await self._lane.crash(error)
