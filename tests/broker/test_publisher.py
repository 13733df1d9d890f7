"""The client for services: does everything arrive, and does nothing ever wait?"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.bus.connection import Connection
from stream.bus.publisher import Publisher
from stream.bus.topics import TopicPlan, create_missing
from stream.errors import BusError

NOBODY = "127.0.0.1:1"  # no broker listens there


def event(number: int) -> dict[str, Any]:
    return {"id": f"e{number}", "model": "m", "ts": number, "features": {"x": number}}


async def ids_on(connection: Connection, topic: str) -> list[str]:
    """The event ids of all columnar messages on a topic of one partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=connection.bootstrap)
    await consumer.start()
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        [end] = (await consumer.end_offsets([partition])).values()
        ids: list[str] = []
        while await consumer.position(partition) < end:
            record = await consumer.getone()
            ids += orjson.loads(record.value)["columns"]["id"]
        return ids
    finally:
        await consumer.stop()


@pytest.fixture
def topic(connection: Connection, topic_prefix: str) -> str:
    name = f"{topic_prefix}predictions"
    asyncio.run(create_missing(connection, [TopicPlan(name, partitions=1)]))
    return name


def test_everything_arrives_once_in_few_messages(connection: Connection, topic: str) -> None:
    with Publisher(connection, topic=topic) as publisher:
        assert all(publisher.publish(event(i)) for i in range(1000))
    assert publisher.counts.sent == 1000
    assert not publisher.counts.dropped
    assert asyncio.run(ids_on(connection, topic)) == [f"e{i}" for i in range(1000)]


def test_the_event_may_be_changed_afterwards(connection: Connection, topic: str) -> None:
    with Publisher(connection, topic=topic) as publisher:
        same = event(1)
        publisher.publish(same)
        same["id"] = "changed"
    assert asyncio.run(ids_on(connection, topic)) == ["e1"]


def test_few_events_are_sent_after_the_linger(connection: Connection, topic: str) -> None:
    publisher = Publisher(connection, topic=topic, linger_s=0.01)
    publisher.publish(event(1))
    assert publisher.flush()
    assert publisher.counts.sent == 1
    publisher.close()


def test_without_a_broker_nothing_waits_and_what_is_too_much_is_counted() -> None:
    publisher = Publisher(NOBODY, max_pending=3)
    assert [publisher.publish(event(i)) for i in range(5)] == [True] * 3 + [False] * 2
    assert publisher.counts.pending == 3
    counts = publisher.close(timeout_s=0)
    assert counts.dropped == {"queue_full": 2, "closed": 3}
    assert counts.sent == counts.pending == 0


def test_a_topic_that_is_not_there_loses_events_with_a_count(connection: Connection) -> None:
    with Publisher(connection, topic="no-such-topic") as publisher:
        publisher.publish(event(1))
        publisher.close(timeout_s=0.1)
    assert sum(publisher.counts.dropped.values()) == 1


def test_a_closed_publisher_says_so() -> None:
    publisher = Publisher(NOBODY)
    publisher.close()
    publisher.close()
    with pytest.raises(BusError, match="closed"):
        publisher.publish(event(1))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_publishes_its_own_events(connection: Connection, topic: str) -> None:
    publisher = Publisher(connection, topic=topic)
    publisher.publish(event(1))
    child = os.fork()
    if not child:
        publisher.publish(event(2))
        os._exit(0 if publisher.flush() else 1)
    assert os.waitpid(child, 0)[1] == 0
    publisher.close()
    assert sorted(asyncio.run(ids_on(connection, topic))) == ["e1", "e2"]
