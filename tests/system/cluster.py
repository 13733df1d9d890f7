"""Cluster: what an operator, or an accident, does to topics and groups, in one call each.

In    a bootstrap address
Out   it is done, and the broker says so
Not   stopping the broker (stream/broker.py), spoiling its links (proxy.py)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.admin import DeleteGroupsRequest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tests.kafka_fixture import wait_until

T = TypeVar("T")


class Cluster:
    """One Kafka."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def delete_topic(self, name: str) -> None:
        """Return when it is gone."""
        self._ask(lambda admin: admin.delete_topics([name]))
        assert wait_until(lambda: name not in self._ask(lambda a: a.list_topics()), 30)

    def configure(self, topic: str, config: Mapping[str, str]) -> None:
        """Replace a topic's own settings."""
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, dict(config))
        self._ask(lambda admin: admin.alter_configs([resource]))

    def delete_records(self, topic: str, before: Mapping[int, int]) -> None:
        """Delete what lies before an offset, by partition, as retention does."""
        wanted = {TopicPartition(topic, p): RecordsToDelete(o) for p, o in before.items()}
        self._ask(lambda admin: admin.delete_records(wanted))

    def add_partitions(self, topic: str, total: int) -> None:
        """Widen a topic."""
        self._ask(lambda admin: admin.create_partitions({topic: NewPartitions(total)}))

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Committed offsets by partition."""
        found = self._ask(lambda admin: admin.list_consumer_group_offsets(group))
        return {tp.partition: at.offset for tp, at in found.items() if tp.topic == topic}

    def put(self, topic: str, partition: int, key: bytes, value: bytes | None) -> None:
        """One record, as somebody might write it who should not."""

        async def work() -> None:
            producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap)
            await producer.start()
            await producer.send_and_wait(topic, value, key, partition)
            await producer.stop()

        asyncio.run(work())

    def ends(self, topic: str) -> dict[int, int]:
        """The offsets that come next, by partition."""

        async def work() -> dict[int, int]:
            consumer = AIOKafkaConsumer(topic, bootstrap_servers=self._bootstrap)
            await consumer.start()
            try:
                found = await consumer.end_offsets(sorted(consumer.assignment()))
                return {tp.partition: offset for tp, offset in found.items()}
            finally:
                await consumer.stop()

        return asyncio.run(work())

    def deny_writing(self, topic: str) -> None:
        """Take the right to write to a topic from everybody; the broker needs an authorizer."""
        client = AdminClient({"bootstrap.servers": self._bootstrap})
        for asked in client.create_acls(_acls(topic)).values():
            asked.result(30)

    def allow_all(self, topic: str) -> None:
        """Give everybody every right again."""
        client = AdminClient({"bootstrap.servers": self._bootstrap})
        for asked in client.delete_acls(_acls(topic, AclBindingFilter)).values():
            asked.result(30)

    def delete_group(self, group: str) -> None:
        """Forget a group without members, with all its offsets."""

        async def ask(admin: AIOKafkaAdminClient) -> Any:
            coordinator = await admin.find_coordinator(group)
            return await admin._send_request(DeleteGroupsRequest([group]), coordinator)

        def is_gone() -> bool:
            # A member that was just stopped may still count.
            return all(code in (0, 69) for _, code in self._ask(ask).results)

        assert wait_until(is_gone, 30)

    def _ask(self, question: Callable[[AIOKafkaAdminClient], Awaitable[T]]) -> T:
        async def work() -> T:
            admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
            await admin.start()
            try:
                return await question(admin)
            finally:
                await admin.close()

        return asyncio.run(work())


def _acls(topic: str, kind: type[AclBinding | AclBindingFilter] = AclBinding) -> list[Any]:
    """All is allowed but writing; with any rule, what no rule allows is denied."""
    every = (ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:*", "*")
    return [
        kind(*every, AclOperation.ALL, AclPermissionType.ALLOW),
        kind(*every, AclOperation.WRITE, AclPermissionType.DENY),
    ]
