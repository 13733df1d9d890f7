"""Backlog: a broker in, topics filled with generated events out.

In    an address, how many events
Out   topics of predictions, one event per message or many; the topics of a worker
Not   who reads them (worker.py, peer_faust.py, peer_getmany.py)
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from benchmarks import workloads
from stream.bus.bulk import BulkPublisher
from stream.bus.connection import Connection
from stream.bus.topics import create_missing, plans
from stream.settings import load

JSON = "bench-json"  # a topic of single events
SPARSE = "bench-sparse"  # the same with fewer of them in a pane
PER_MINUTE = {JSON: workloads.EVENTS_PER_MINUTE, SPARSE: 600_000}
FORMS = {  # other topics: the form of their messages, and the events in one
    "bench-arrays": ("array", 100),
    "bench-columnar": ("columnar", 256),
    "bench-arrow": ("arrow", 4_096),
}
PARTITIONS = 4


def create_topics(bootstrap: str, topic: str, config: Path | None = None) -> None:
    """The topics of a configuration, or of none but the predictions' real name."""
    names = load(config).bus.topics if config else {"predictions": topic}
    asyncio.run(create_missing(Connection(bootstrap), plans(names, PARTITIONS, 1)))


def publish(bootstrap: str, topic: str, n: int) -> None:
    """n events, acknowledged, in the form of the topic."""

    async def work() -> None:
        async with BulkPublisher(Connection(bootstrap), topic) as publisher:
            for messages in _messages(topic, n):
                await publisher.publish(messages)

    asyncio.run(work())


def _messages(topic: str, n: int) -> Iterator[Iterator[tuple[bytes, bytes]]]:
    if topic in FORMS:
        form, size = FORMS[topic]
        yield ((b"%d" % at, value) for at, value in workloads.many_packed(n, size, form))
        return
    first = 0
    for values in workloads.many(n, per_minute=PER_MINUTE[topic]):
        yield ((b"%d" % number, value) for number, value in enumerate(values, first))
        first += len(values)
