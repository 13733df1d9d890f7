"""Lane: a Kafka topic in, one channel event per fetched partition batch out.

In    a topic and a consumer group
Out   on a bounded Faust channel, in order: Assigned, Batch…, Idle…, Revoked
Not   what the batches say (agents.py); when an offset is safe (the detector knows)

The lane owns its consumer instead of using Faust's, whose offset tracking loses events under
faults and costs seventy microseconds per message (docs/decisions/0001). Back-pressure is the
bounded channel: nothing is delivered while the agent is busy, and the consumer holds at most one
fetch of each partition.

A partition is given up after the agent has answered `Revoked`, so its last commit lies within the
group's generation. If the agent does not answer in time, what it still knows is void: a commit is
accepted only from an agent that has taken the last `Assigned` of the partition, and only in the
generation of the group in which this was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from secrets import randbits
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from mode import Service
from mode.utils.logging import get_logger

from stream.bus.connection import Connection, client_arguments
from stream.bus.failpoints import reach
from stream.bus.idleness import Idleness
from stream.bus.lane_events import Assigned, Batch, Idle, LaneEvent, LaneFacts, Revoked
from stream.bus.leaving import leave
from stream.bus.raw import fetched_of, install, raw_records
from stream.bus.starts import lost_before, read_starts
from stream.clock import Clock
from stream.errors import RebalanceError

__all__ = ["Assigned", "Batch", "Idle", "Lane", "LaneEvent", "LaneFacts", "LaneSpec", "Revoked"]

logger = get_logger(__name__)

FETCH_WAIT_MS = 100  # how long a fetch may wait for data, and so a revocation for a fetch
# What a fetch of raw records waits for, and how long: it costs time per model and feature, however
# little it brings, and windows of seconds can wait.
RAW_LEAST_BYTES, RAW_WAIT_MS = 2 << 20, 200
FETCH_BYTES = 1 << 22  # of one partition at a time; a larger batch comes alone
ALL_FETCH_BYTES = 16 << 20  # of all partitions that one broker leads
REVOKE_WAIT_S = 8.0  # for the agent's last commit; then the partition is given up without it
STOP_WAIT_S = 5.0  # the same when the worker stops
CLOSE_WAIT_S = 1.0  # for a connection to end
TENURE_BITS = 52  # a generation would not do: a static member comes back in the same one
REBALANCE_MS = 30_000  # for every member to give up its partitions


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSpec:
    """How a lane reads its topic."""

    topic: str
    group: str
    idle_timeout_ms: int | None = None  # None: idleness does not matter
    is_raw: bool = False  # whether records come as one block
    max_records: int = 2_000  # per fetch, unless raw; a slice that keeps the event loop free
    session_timeout_ms: int = 10_000
    instance_id: str | None = (
        None  # static membership: a restart within the session keeps its place
    )


@dataclass(slots=True)
class _Held:
    """A partition that this worker has; times on the monotonic clock."""

    assigned: Assigned
    generation: int  # of the group when it was assigned
    moved_ms: int  # when something was delivered last, or all was read
    answered_ms: int
    next_offset: int
    answer: object = None  # the broker's last, to see the next one by


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
        self._held: dict[int, _Held] = {}  # by partition; a last commit may come until it is gone
        self._leaving: set[int] = set()  # of these, what is not delivered any more
        self._taken: dict[int, Assigned] = {}  # the last the agent has taken, by partition
        self._turn = asyncio.Lock()  # delivering and rebalancing take turns
        self._voids = 0  # what was fetched before the last of these must not be delivered
        self._events = self._handled = 0  # told, and those the agent is done with
        self._idleness: Idleness | None = None
        if spec.idle_timeout_ms is not None:
            self._idleness = Idleness(spec.topic, spec.idle_timeout_ms, clock)
        self._busy_since_ms: int | None = None
        self._committed_ms: int | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None

    @property
    def assigned(self) -> list[int]:
        """The partitions this worker has now."""
        return sorted(self._held.keys() - self._leaving)

    async def on_start(self) -> None:
        """Join the group."""
        install()
        arguments = client_arguments(self._connection)
        self._admin = AIOKafkaAdminClient(**arguments, request_timeout_ms=10_000)
        await self._admin.start()
        self._consumer = consumer = AIOKafkaConsumer(
            **arguments,
            key_deserializer=raw_records if self.spec.is_raw else None,
            group_id=self.spec.group,
            group_instance_id=self.spec.instance_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=RAW_WAIT_MS if self.spec.is_raw else FETCH_WAIT_MS,
            fetch_min_bytes=RAW_LEAST_BYTES if self.spec.is_raw else 1,
            fetch_max_bytes=ALL_FETCH_BYTES,
            max_partition_fetch_bytes=FETCH_BYTES,
            request_timeout_ms=10_000,
            session_timeout_ms=self.spec.session_timeout_ms,
            heartbeat_interval_ms=self.spec.session_timeout_ms // 3,
            rebalance_timeout_ms=REBALANCE_MS,
            max_poll_interval_ms=300_000,
            metadata_max_age_ms=60_000,  # how soon added partitions are seen
        )
        try:
            await consumer.start()
        except Exception:
            if self._consumer is consumer:
                raise
        # SIGTERM may come meanwhile: then it is closed already.
        if self._consumer is consumer:
            consumer.subscribe([self.spec.topic], listener=_Listener(self))

    async def on_stop(self) -> None:
        """Give the partitions back, with a last commit, and leave the group."""
        consumer = self._consumer
        if consumer is not None:
            held = {TopicPartition(self.spec.topic, p) for p in self.assigned}
            await self.revoke(held, wait_s=STOP_WAIT_S)
            self._consumer = None
            reach("stop.before-leave")
            await leave(consumer, self._admin, self.spec.group)
        if self._admin is not None:
            with suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(self._admin.close(), CLOSE_WAIT_S)

    @Service.task
    async def _fetch(self) -> None:
        try:
            while not self.should_stop and self._consumer is not None:
                await self._fetch_once(self._consumer)
                await asyncio.sleep(0)
        except Exception as error:
            if not self.should_stop:  # else it was closed while fetching
                logger.exception("%s: fetching failed", self.spec.topic)
                await self.crash(error)

    async def _fetch_once(self, consumer: AIOKafkaConsumer) -> None:
        # While partitions are being reassigned getmany waits, so this must not hold the turn.
        fetched = await consumer.getmany(
            timeout_ms=FETCH_WAIT_MS, max_records=self.spec.max_records
        )
        voids = self._voids
        async with self._turn:
            if voids == self._voids:
                await self._deliver(consumer, fetched)

    async def _deliver(
        self, consumer: AIOKafkaConsumer, fetched: Mapping[TopicPartition, list[Any]]
    ) -> None:
        for tp, records in fetched.items():
            held = self._held.get(tp.partition)
            if held is None or tp.partition in self._leaving:
                continue
            found = fetched_of(tp, records)
            lost = await self._lost(consumer, tp, held, found.first_offset)
            lag = (consumer.highwater(tp) or found.next_offset) - found.next_offset
            await self._say(
                Batch(tp.partition, found.messages, found.first_offset, lag, lost, found.bombs)
            )
            held.next_offset = found.next_offset
            held.moved_ms = self._clock.monotonic_ms()
        if self._idleness is not None:
            for idle in await self._idleness.look(consumer, self.assigned, self._handled):
                await self._say(idle)

    async def _say(self, event: LaneEvent) -> None:
        await self._channel.send(value=event)
        self._events += 1
        if self._idleness is not None:
            self._idleness.said(event, self._events)

    async def _lost(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, held: _Held, first_offset: int
    ) -> int:
        if first_offset < held.next_offset:
            raise RebalanceError(
                f"{tp.topic}-{tp.partition}: offset {first_offset} came after "
                f"{held.next_offset - 1}: the topic was made anew while it was read"
            )
        if first_offset == held.next_offset:
            return 0
        beginnings = await consumer.beginning_offsets([tp])
        lost = lost_before(first_offset, held.next_offset, beginnings, tp)
        if lost:
            logger.error("%s: %d records were deleted before they were read", tp, lost)
        return lost

    async def assign(self, assigned: set[TopicPartition]) -> None:
        """Tell the agent of partitions it has now, with what was committed for them."""
        consumer, admin = self._consumer, self._admin
        if consumer is None or admin is None or self.should_stop:
            return  # the group has not heard yet that we leave
        async with self._turn:
            reach("assign.before-offsets")
            starts = await read_starts(consumer, admin, self.spec.group, assigned, self._clock)
            # A fetch may have returned between the assignment and the seek below, which makes the
            # consumer fetch the same records again: what it returned is void.
            self._voids += 1
            known = consumer.partitions_for_topic(self.spec.topic) or set()
            now_ms = self._clock.monotonic_ms()
            for tp, start in starts.items():
                consumer.seek(tp, start.offset)
                told = Assigned(tp.partition, len(known), *start, tenure=randbits(TENURE_BITS))
                self._held[tp.partition] = _Held(
                    told, self._generation, now_ms, now_ms, start.offset
                )
            reach("assign.after-offsets")
            for tp in starts:
                await self._say(self._held[tp.partition].assigned)

    async def revoke(self, revoked: set[TopicPartition], *, wait_s: float = REVOKE_WAIT_S) -> None:
        """Let the agent commit and forget; return when it has, or its time is up."""
        self._voids += 1  # what was fetched and not delivered yet is void
        leaving = {tp.partition: self._held[tp.partition] for tp in revoked
                   if tp.partition in self._held}  # fmt: skip
        if not leaving:
            return
        self._leaving |= leaving.keys()
        handing_over = asyncio.ensure_future(self._hand_over(sorted(leaving)))
        # Past the deadline it goes on: the agent must forget before it hears of the next owner.
        _, late = await asyncio.wait({handing_over}, timeout=wait_s)
        if late:
            logger.error("%s %s: given up without a last commit", self.spec.topic, sorted(leaving))
        for partition in leaving:
            self._held.pop(partition, None)  # a rebalance and a stop may both revoke
        self._leaving -= leaving.keys()

    async def _hand_over(self, partitions: list[int]) -> None:
        async with self._turn:
            for partition in partitions:
                done = asyncio.Event()
                await self._say(Revoked(partition, done))
                await done.wait()

    @property
    def _generation(self) -> int:
        """The group's, as this member knows it; negative when the group does not know us."""
        coordinator = getattr(self._consumer, "_coordinator", None)
        return -1 if coordinator is None else int(coordinator.generation)

    def taken(self, event: LaneEvent) -> None:
        """The agent begins with an event."""
        self._busy_since_ms = self._clock.monotonic_ms()
        if isinstance(event, Assigned):
            self._taken[event.partition] = event

    def handled(self) -> None:
        """The agent is done with it."""
        self._busy_since_ms = None
        self._handled += 1

    def holds(self, partition: int) -> bool:
        """Whether the agent has the partition still, as far as this worker knows."""
        held = self._held.get(partition)
        return (
            held is not None
            and held.assigned is self._taken.get(partition)
            and held.generation == self._generation
        )

    async def commit(self, partition: int, offset: int, metadata: str) -> bool:
        """Commit an offset with its metadata; False if it was not, for now or for ever."""
        consumer = self._consumer
        if consumer is None or not self.holds(partition):
            return False
        tp = TopicPartition(self.spec.topic, partition)
        reach("commit.before")
        try:
            await consumer.commit({tp: OffsetAndMetadata(offset, metadata)})
        except (CommitFailedError, IllegalStateError):
            return False  # fenced: the partition has, or will have, another owner
        except KafkaError as error:
            logger.warning("%s: commit of %d failed, will be tried again: %r", tp, offset, error)
            return False
        reach("commit.after")
        self._committed_ms = self._clock.monotonic_ms()
        return True

    async def measure(self) -> LaneFacts:
        """How the lane does now; to be asked every second or so."""
        now_ms = self._clock.monotonic_ms()
        lags, stalled_ms, unanswered_ms = {}, 0, 0
        consumer = self._consumer
        for partition in self.assigned:
            held, tp = self._held[partition], TopicPartition(self.spec.topic, partition)
            if consumer is None or tp not in consumer.assignment():
                continue
            lags[partition] = lag = await _lag(consumer, tp)
            answer = consumer.last_poll_timestamp(tp)
            if answer != held.answer:
                held.answer, held.answered_ms = answer, now_ms
            if lag == 0:
                held.moved_ms = now_ms
            stalled_ms = max(stalled_ms, now_ms - held.moved_ms)
            unanswered_ms = max(unanswered_ms, now_ms - held.answered_ms)
        busy_ms = 0 if self._busy_since_ms is None else now_ms - self._busy_since_ms
        committed_ms = None if self._committed_ms is None else now_ms - self._committed_ms
        return LaneFacts(self.spec.topic, lags, stalled_ms, busy_ms, unanswered_ms, committed_ms)


async def _lag(consumer: AIOKafkaConsumer, tp: TopicPartition) -> int:
    """Messages that could be read; what an open transaction holds back is not among them."""
    end = consumer.last_stable_offset(tp)
    if end is None or end < 0:
        end = consumer.highwater(tp)
    return max(0, int(end or 0) - int(await consumer.position(tp)))


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
            topic = self._lane.spec.topic
            logger.exception("%s: rebalance failed", topic)
            failure = RebalanceError(f"{topic}: partitions cannot be taken over: {error}")
            await self._lane.crash(failure)
