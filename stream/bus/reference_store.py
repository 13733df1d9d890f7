"""Reference store: the compacted references topic in, today's reference per model out.

In    the references topic, or a file
Out   `get(model, version)`; references published while the worker runs are picked up
Not   building one (detect/profiles.py)

Key of a record: ["model","version"] as JSON. The latest record of a key counts; an empty one takes
the reference back at once. The first reference of a key is in force for all panes. One that
replaces another is in force from the first border of panes on that lies `max_ahead` or more after
the record's own time. No event of such a pane can have come before the record, so all workers count
a pane under the same reference, though they read the record at different moments.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer
from mode import Service
from mode.utils.logging import get_logger

from stream.bus.connection import Connection, client_arguments
from stream.bus.producer import LARGEST_BYTES, Record
from stream.detect.profiles import from_document, to_document
from stream.detect.references import Reference
from stream.detect.specs import TimeSpec
from stream.errors import DriftlineError, FormatError, UsageError

logger = get_logger(__name__)

KEPT_BEFORE = 4  # references of a model's version that were in force before today's


def read_file(path: Path) -> Reference:
    """The reference in a file. Raises UsageError naming the file."""
    try:
        return from_document(orjson.loads(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (orjson.JSONDecodeError, FormatError) as error:
        raise UsageError(f"{path}: {error}") from None


def to_bytes(reference: Reference) -> bytes:
    """The reference as it stands in files and on the topic."""
    return orjson.dumps(to_document(reference))


def record_of(reference: Reference, topic: str) -> Record:
    """The reference as a record of the references topic."""
    key = orjson.dumps([reference.model, reference.version])
    return Record(topic, key, to_bytes(reference))


async def read_topic(connection: Connection, topic: str) -> dict[tuple[str, str], Reference]:
    """All references on the topic now; unreadable ones are logged and left out."""
    store = ReferenceStore(connection, topic)
    await store.on_start()
    await store.on_stop()
    return store.references


class ReferenceStore(Service):
    """All references of the topic, kept up to date."""

    abstract = False

    def __init__(
        self, connection: Connection, topic: str, time: TimeSpec | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._time = time or TimeSpec()
        self._connection, self._topic = connection, topic
        self._consumer: AIOKafkaConsumer | None = None
        self.references: dict[tuple[str, str], Reference] = {}
        self.files: dict[str, Reference] = {}  # by model, from the configuration

    def get(self, model: str, version: str) -> Reference | None:
        """The reference of a model's version: of the topic, else of the configured file."""
        found = self.references.get((model, version))
        if found is None:
            file = self.files.get(model)
            found = file if file and file.version in (version, "*") else None
        return found

    async def on_start(self) -> None:
        """Read the topic to its present end, so that no window is judged without it."""
        self._consumer = AIOKafkaConsumer(
            self._topic,
            **client_arguments(self._connection),
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=LARGEST_BYTES,
        )
        await self._consumer.start()
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        while any([await self._consumer.position(tp) < end for tp, end in ends.items()]):
            await self._read(timeout_ms=1_000)

    async def on_stop(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.stop()

    @Service.task
    async def _follow(self) -> None:
        while not self.should_stop and self._consumer is not None:
            await self._read(timeout_ms=500)
            await asyncio.sleep(0)

    async def _read(self, timeout_ms: int) -> None:
        assert self._consumer is not None  # only called while connected
        fetched = await self._consumer.getmany(timeout_ms=timeout_ms)
        for records in fetched.values():
            for record in records:
                self.take(record.key, record.value, record.timestamp)

    def take(self, key: bytes | None, value: bytes | None, written_ms: int) -> None:
        """One record of the topic; one that cannot be read is logged and left out."""
        try:
            model, version = orjson.loads(key or b"")
            if value is None:
                self.references.pop((model, version), None)
                return
            reference = from_document(orjson.loads(value))
        except (DriftlineError, ValueError, TypeError) as error:
            logger.error("a reference cannot be read and is left out: %s", error)
            return
        known = self.references.get((model, version))
        if known is None or known.id != reference.id:
            if known is not None:
                pane_ms = self._time.pane_ms
                reference.from_ms = -(-(written_ms + self._time.max_ahead_ms) // pane_ms) * pane_ms
                reference.before = known
                _shorten(known)
            self.references[model, version] = reference
            logger.info("reference of %s/%s is now %s", model, version, reference.id)


def _shorten(reference: Reference) -> None:
    """Forget what was in force long ago."""
    for _ in range(KEPT_BEFORE - 1):
        if reference.before is None:
            return
        reference = reference.before
    reference.before = None
