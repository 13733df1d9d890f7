"""Does the group hear that a consumer leaves, even while the consumer waits for the others?"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream.broker import EmbeddedBroker
from stream.bus.leaving import leave

pytestmark = pytest.mark.kafka


class Slow(ConsumerRebalanceListener):  # type: ignore[misc]
    """Gives its partitions up when it is allowed to."""

    def __init__(self) -> None:
        self.is_asked, self.may = asyncio.Event(), asyncio.Event()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        if revoked:
            self.is_asked.set()
            await self.may.wait()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        pass


def member(broker: EmbeddedBroker, group: str, client: str) -> AIOKafkaConsumer:
    """A consumer that may be waited for for long."""
    return AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap, group_id=group, client_id=client,
        session_timeout_ms=30_000, heartbeat_interval_ms=200, rebalance_timeout_ms=60_000,
    )  # fmt: skip


async def clients_of(admin: AIOKafkaAdminClient, group: str) -> set[str]:
    """Client ids of a group's members."""
    [described] = await admin.describe_consumer_groups([group])
    members = described.groups[0][5]
    return {one[1] for one in members}


def test_a_consumer_leaves_amid_a_rebalance(broker: EmbeddedBroker, topic_prefix: str) -> None:
    topic = group = topic_prefix + "t"

    async def work() -> tuple[set[str], set[str]]:
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(topic, 2, 1)])
        stays, leaves, slow = (*(member(broker, group, n) for n in ("stays", "leaves")), Slow())
        await stays.start()
        stays.subscribe([topic], listener=slow)
        async with asyncio.timeout(40):
            while len(stays.assignment()) < 2:
                await stays.getmany(timeout_ms=100)
            await leaves.start()
            leaves.subscribe([topic])
            await slow.is_asked.wait()
            before = await clients_of(admin, group)
            await leave(leaves, admin, group)
            after = await clients_of(admin, group)
            slow.may.set()
            while len(stays.assignment()) < 2:
                await stays.getmany(timeout_ms=100)
        await stays.stop()
        await leaves._client.close()
        await admin.close()
        return before, after

    before, after = asyncio.run(work())
    assert before == {"stays", "leaves"}
    assert after == {"stays"}
