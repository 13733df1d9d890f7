"""Tail: a topic in, the values of its records out, outside any consumer group."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer

from stream.bus.connection import Connection, client_arguments
from stream.errors import BusError


async def read_topic(connection: Connection, topic: str, *, follow: bool) -> AsyncIterator[bytes]:
    """Values from the beginning to the present end, or for ever.

    Raises BusError if there is no such topic.
    """
    consumer = AIOKafkaConsumer(
        topic,
        **client_arguments(connection),
        auto_offset_reset="earliest",
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    try:
        partitions = consumer.assignment()
        if not partitions:
            raise BusError(
                f"topic {topic} does not exist on {connection.bootstrap}: create it with "
                "`driftline topics create -c FILE`"
            )
        ends = await consumer.end_offsets(partitions)
        while follow or any([await consumer.position(tp) < end for tp, end in ends.items()]):
            fetched = await consumer.getmany(timeout_ms=200)
            for records in fetched.values():
                for record in records:
                    if record.value is not None:
                        yield record.value
    finally:
        await consumer.stop()
