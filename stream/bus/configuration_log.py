"""Configuration log: announcements on a topic in, the configurations in force out.

In    the topic `configurations`, one partition, kept for ever
Out   `Configurations`, the same for all who read it; `known` waits for what may count by now
Not   what a document says (settings/announced.py), from when it counts (detect/configurations.py)

A worker that starts puts what its file says on the topic (`started`), so that one that comes back
with a file that was edited meanwhile still counts older panes under what was in force for them. As
long as nobody publishes, each worker counts under its own file. From the first `changed` on the log
alone decides, and files no more. One published while no worker runs (`restarted`) begins anew.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError
from mode import Service
from mode.utils.logging import get_logger

from stream.bus.connection import Connection, client_arguments
from stream.bus.lane_events import Assigned, Batch, LaneEvent
from stream.bus.producer import Producer, Record
from stream.detect.configurations import NOTICE_MS, Configurations, InForce
from stream.detect.specs import DetectorSpec
from stream.detect.times import NEVER_MS
from stream.errors import DriftlineError, FormatError, UsageError

logger = get_logger(__name__)

FORMAT = "driftline.configuration/1"
STARTED, CHANGED, RESTARTED = "started", "changed", "restarted"
PAUSE_S = 0.5


class Announcement(NamedTuple):
    """One record of the topic.

    kind        STARTED, CHANGED or RESTARTED
    document    the configuration
    key_digest  of the hash key it was made for
    written_ms  by the broker
    """

    kind: str
    document: Mapping[str, Any]
    config_hash: str
    key_digest: str
    written_ms: int = 0


class Announced(NamedTuple):
    """What stands on the topic, and the offset behind it."""

    found: list[Announcement]
    next_offset: int


ReadSpec = Callable[[Announcement], DetectorSpec]


def record_of(announcement: Announcement, topic: str) -> Record:
    """The announcement as a record of the topic."""
    kind, document, config_hash, key_digest, _ = announcement
    body = {"format": FORMAT, "kind": kind, "config_hash": config_hash, "hash_key": key_digest}
    value = json.dumps(body | {"document": document}, ensure_ascii=False, allow_nan=False)
    return Record(topic, kind.encode(), value.encode())


def read(value: bytes, written_ms: int) -> Announcement:
    """What a record says. Raises FormatError if it is none, UsageError if a newer release's."""
    try:
        body = json.loads(value)
        if body["format"] != FORMAT and str(body["format"]).startswith("driftline.configuration/"):
            raise UsageError(f"a newer release announced a configuration ({body['format']})")
        kind, document = body["kind"], body["document"]
        config_hash, key_digest = str(body["config_hash"]), str(body["hash_key"])
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"not an announced configuration: {error!r}") from None
    if kind not in (STARTED, CHANGED, RESTARTED) or not isinstance(document, dict):
        raise FormatError(f"not an announced configuration: of the kind {kind!r}")
    return Announcement(kind, document, config_hash, key_digest, written_ms)


def is_settled(announcements: Sequence[Announcement]) -> bool:
    """Whether the log decides, and files no more."""
    return any(one.kind != STARTED for one in announcements)


def in_force(announcements: Sequence[Announcement], read_spec: ReadSpec) -> Configurations | None:
    """What follows from the log; None if it says nothing.

    One that this release does not accept is left out, unless it is the last.
    """
    rests = [at for at, one in enumerate(announcements) if one.kind == RESTARTED]
    announcements = announcements[rests[-1] :] if rests else announcements
    first = next((at for at, one in enumerate(announcements) if one.kind != STARTED), None)
    if first is not None:  # what workers say after that decides nothing
        later = [one for one in announcements[first:] if one.kind != STARTED]
        announcements = [*announcements[:first], *later]
    found: Configurations | None = None
    for one in announcements:
        try:
            if found is None or one.kind == STARTED:
                found = Configurations(read_spec(one))
            else:
                follow(found, one, read_spec)
        except DriftlineError as error:
            if one is announcements[-1]:
                raise
            logger.error("configuration %s is left out: %s", one.config_hash, error)
    return found


def follow(configs: Configurations, one: Announcement, read_spec: ReadSpec) -> InForce | None:
    """Take one that was published; None if it is the last anyway, or must not follow it.

    Raises UsageError if it was published for workers that are still to start.
    """
    if one.kind == STARTED:
        return None
    if one.kind == RESTARTED:
        raise UsageError(
            f"configuration {one.config_hash} was published with --at-rest while this worker ran: "
            "start it again"
        )
    spec = read_spec(one)
    if configs.known[-1].spec.config_hash == spec.config_hash:
        return None
    if not configs.can_follow(spec):
        logger.error("configuration %s is refused: workers run", spec.config_hash)
        return None
    return configs.announce(spec, one.written_ms)


async def read_topic(connection: Connection, topic: str) -> Announced:
    """All there is."""
    log = ConfigurationLog(connection, topic)
    await log.on_start()
    try:
        return Announced(await log.read(), log.next_offset)
    finally:
        await log.on_stop()


async def settle(
    connection: Connection, topic: str, own: Announcement, producer: Producer
) -> Announced:
    """What a worker starts with: the log, on which stands what the worker's own file says."""
    announced = await read_topic(connection, topic)
    found = announced.found
    if not is_settled(found) and (not found or found[-1].config_hash != own.config_hash):
        await producer.send([record_of(own, topic)])
        announced = await read_topic(connection, topic)
    return announced


class ConfigurationLog(Service):
    """The topic from an offset on, read when somebody has to know."""

    abstract = False

    def __init__(
        self,
        connection: Connection,
        topic: str,
        *,
        next_offset: int = 0,
        take: Callable[[Announcement], None] = lambda _: None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._connection, self._partition = connection, TopicPartition(topic, 0)
        self._take = take
        self._consumer: AIOKafkaConsumer | None = None
        self._known_ms = NEVER_MS
        self._turn = asyncio.Lock()
        self.next_offset = next_offset

    async def on_start(self) -> None:
        """Connect."""
        self._consumer = AIOKafkaConsumer(
            **client_arguments(self._connection),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await self._consumer.start()
        self._consumer.assign([self._partition])

    async def on_stop(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def before(self, event: LaneEvent) -> None:
        """Return when every configuration is known that the event may fall under."""
        match event:
            case Batch() if len(event.messages.arrivals_ms):
                await self.known(int(event.messages.arrivals_ms[-1]))
            case Assigned():
                await self.refresh()

    async def known(self, arrived_ms: int) -> None:
        """Return when everything is taken that counts for records that arrived until then.

        It asks for the end of the log once in NOTICE_MS of arrivals, and waits for a broker that is
        away: to go on would be to count panes under what is no longer in force.
        """
        if arrived_ms - NOTICE_MS > self._known_ms:
            await self.refresh()
            self._known_ms = max(self._known_ms, arrived_ms)

    async def refresh(self) -> None:
        """Take everything there is now; tries until the broker answers, or it is cancelled."""
        async with self._turn:
            found = await self._tried()
            while found is None:
                await asyncio.sleep(PAUSE_S)
                found = await self._tried()
            for announcement in found:
                self._take(announcement)

    async def _tried(self) -> list[Announcement] | None:
        if self._consumer is None:  # the worker stops, and would only count what it may not
            return None
        try:
            return await self.read()
        except (KafkaError, ConsumerStoppedError) as error:
            if not self.should_stop:
                logger.warning("configurations will be read again: %r", error)
            return None

    async def read(self) -> list[Announcement]:
        """What came since the last call; records that say nothing are logged and left out."""
        assert self._consumer is not None  # only called while connected
        at, found = self._partition, list[Announcement]()
        self._consumer.seek(at, self.next_offset)
        end = (await self._consumer.end_offsets([at]))[at]
        while await self._consumer.position(at) < end:
            for record in (await self._consumer.getmany(at, timeout_ms=500)).get(at, []):
                try:
                    found.append(read(record.value or b"", record.timestamp))
                except FormatError as error:
                    logger.error("%s-0, offset %d: %s", at.topic, record.offset, error)
        self.next_offset = end
        return found
