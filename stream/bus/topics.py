"""Topics: their real names in, the topics on the broker out.

In    logical name → real name; partitions and replication of what is created here
Out   one plan per topic; the missing ones created, the others compared; refusal if one is missing
Not   the records on them (docs/wire.md); the number of partitions of somebody else's topic, which
      is only reported: adding some moves keys

Retention counts from a record's timestamp. Recorded events of years ago would be deleted minutes
after they were published if that timestamp were theirs. So every topic that deletes by age has
`message.timestamp.type=LogAppendTime`: the broker stamps arrival, whatever a client sends, and age
is age on the topic. Event time is in the message alone. It also makes the arrival time that a
future event is measured against (`max_ahead_ms`) the broker's and not the sender's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from stream.bus.connection import Connection, client_arguments, plain_client
from stream.errors import BusError, ConfigError

DAY_MS = 86_400_000
LARGE_MESSAGE = {"max.message.bytes": str(8 * 1024 * 1024)}
DELETE = {"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime"}
# Keeps the last record of each key; small segments, since the one being written is never compacted.
COMPACT = {
    "cleanup.policy": "compact",
    "segment.bytes": str(32 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
}
# By the broker: workers have better things to do than to compress.
PACKED = {"compression.type": "lz4"}
CONFIGS: Mapping[str, Mapping[str, str]] = {
    "predictions": DELETE | {"retention.ms": str(7 * DAY_MS)},
    "labels": DELETE | {"retention.ms": str(30 * DAY_MS)},
    "partials": DELETE | LARGE_MESSAGE | {"retention.ms": str(2 * DAY_MS)},
    # Not compacted: the highest revision counts, and a worker that was halted while it sent one may
    # write it after its successor has written the next.
    "windows": DELETE | LARGE_MESSAGE | PACKED | {"retention.ms": str(365 * DAY_MS)},
    # Not compacted: the key is the alert's fingerprint, and how it came and went is its history.
    "alerts": DELETE | PACKED | {"retention.ms": str(365 * DAY_MS)},
    "dead-letters": DELETE | PACKED | {"retention.ms": str(30 * DAY_MS)},
    # A worker that starts again counts panes under the reference they began with.
    "references": COMPACT | LARGE_MESSAGE | {"min.compaction.lag.ms": str(2 * DAY_MS)},
    "judge-state": COMPACT | LARGE_MESSAGE,
    # Kept for ever: a pane that is read again in a year is counted under its own configuration. The
    # time of a record decides from when it counts, so it is the broker's.
    "configurations": DELETE | LARGE_MESSAGE | {"retention.ms": "-1"},
}
# Every worker reads all of them, in one order.
ONE_PARTITION = frozenset({"references", "configurations"})
VISIBLE_LOOKS = 150  # at a created topic, 0.1 s apart, until the broker we ask knows of it
MISSING = "create what is missing with `driftline topics create -c FILE`"


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """One topic as it should be."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    replication: int = 1


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What `create_missing` found and did; names in the order of the plans."""

    created: tuple[str, ...]
    exists: tuple[str, ...]  # all others, the differing ones among them
    differs: tuple[str, ...]  # one line per difference: topic, what, is, planned


def plans(names: Mapping[str, str], partitions: int, replication: int) -> list[TopicPlan]:
    """A plan per topic of the pipeline.

    names   logical name → real name; what is left out is called by its logical name

    Raises ConfigError for a logical name that does not exist.
    """
    unknown = sorted(set(names) - set(CONFIGS))
    if unknown:
        known = ", ".join(CONFIGS)
        raise ConfigError([f"bus.topics: no topic {name!r}; known: {known}" for name in unknown])
    # With three copies, a record counts as written when two have it; with fewer that would stop
    # every write as soon as one broker is down.
    safety = {"min.insync.replicas": "2"} if replication >= 3 else {}
    return [
        TopicPlan(
            name=names.get(logical, logical),
            partitions=1 if logical in ONE_PARTITION else partitions,
            config={**config, **safety},
            replication=replication,
        )
        for logical, config in CONFIGS.items()
    ]


async def create_missing(connection: Connection, wanted: Iterable[TopicPlan]) -> TopicReport:
    """Create the topics that are missing and compare the others; changes nothing that exists.

    May run in several processes at once.
    Raises BusError if no broker answers, or a right is missing, or the broker refuses a plan.
    """
    wanted = list(wanted)
    found = await _partition_counts(connection, wanted)
    absent = [plan for plan in wanted if plan.name not in found]
    async with _admin(connection) as admin:
        created = await _create(admin, absent)
        await _wait_until_visible(connection, absent)
        others = [plan for plan in wanted if plan.name not in created]
        configs = await _configs(admin, others)
    counts = found if len(created) == len(absent) else await _partition_counts(connection, wanted)
    differs = [line for plan in others for line in _differences(plan, counts, configs)]
    return TopicReport(
        created=tuple(plan.name for plan in wanted if plan.name in created),
        exists=tuple(plan.name for plan in others),
        differs=tuple(differs),
    )


async def require(connection: Connection, wanted: Iterable[TopicPlan]) -> None:
    """Return if every topic is there, with any number of partitions.

    Raises BusError naming the missing ones and the way to create them.
    """
    wanted = list(wanted)
    found = await _partition_counts(connection, wanted)
    missing = [plan.name for plan in wanted if plan.name not in found]
    if missing:
        topics, are = ("topic", "is") if len(missing) == 1 else ("topics", "are")
        where = connection.bootstrap
        raise BusError(f"{topics} {', '.join(missing)} {are} missing on {where}: {MISSING}")


async def members(connection: Connection, groups: Sequence[str]) -> int:
    """How many clients are in these consumer groups."""
    async with _admin(connection) as admin:
        # One at a time: aiokafka cannot read an answer about several (its v3 is read as v2).
        answers = [a for one in groups for a in await admin.describe_consumer_groups([one])]
    return sum(len(group[5]) for answer in answers for group in answer.groups)


async def _partition_counts(connection: Connection, wanted: list[TopicPlan]) -> dict[str, int]:
    """Number of partitions of each topic that exists."""
    # Not the admin client's describe_topics: it lets the broker create what it is asked about.
    request = MetadataRequest([plan.name for plan in wanted], allow_auto_topic_creation=False)
    async with plain_client(connection) as client:
        answer = await client.send(client.get_random_node(), request)
    counts = {}
    for topic in answer.to_object()["topics"]:
        error = for_code(topic["error_code"])
        _refuse_if_unauthorised(error, "Describe", topic["topic"])
        # A topic without partitions yet is one being created.
        if error is not UnknownTopicOrPartitionError and topic["partitions"]:
            counts[topic["topic"]] = len(topic["partitions"])
    return counts


@asynccontextmanager
async def _admin(connection: Connection) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_arguments(connection), request_timeout_ms=30_000)
    try:
        await admin.start()
        yield admin
    except KafkaError as error:
        raise BusError(f"Kafka at {connection.bootstrap} refuses: {error}") from error
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, absent: list[TopicPlan]) -> set[str]:
    """Names of the topics that we, and not somebody else meanwhile, created."""
    if not absent:
        return set()
    topics = [
        NewTopic(plan.name, plan.partitions, plan.replication, topic_configs=dict(plan.config))
        for plan in absent
    ]
    answer = await admin.create_topics(topics)
    created = set()
    for name, code, said in answer.topic_errors:
        error = for_code(code)
        _refuse_if_unauthorised(error, "Create", name)
        if error is NoError:
            created.add(name)
        elif error is not TopicAlreadyExistsError:
            raise BusError(f"Kafka refuses to create topic {name}: {said or error.message}")
    return created


async def _wait_until_visible(connection: Connection, absent: list[TopicPlan]) -> None:
    # The controller has answered; the broker that a client asks next may hear of it a moment later.
    for _ in range(VISIBLE_LOOKS):
        if len(await _partition_counts(connection, absent)) == len(absent):
            return
        await asyncio.sleep(0.1)
    names = ", ".join(plan.name for plan in absent)
    raise BusError(f"created, but still not visible on {connection.bootstrap}: {names}")


async def _configs(
    admin: AIOKafkaAdminClient, existing: list[TopicPlan]
) -> dict[str, dict[str, str]]:
    """Effective settings of each topic, of the keys that its plan names."""
    if not existing:
        return {}
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, plan.name, dict(plan.config)) for plan in existing
    ]
    configs: dict[str, dict[str, str]] = {}
    for answer in await admin.describe_configs(asked):
        for code, _said, _kind, name, entries in answer.resources:
            _refuse_if_unauthorised(for_code(code), "DescribeConfigs", name)
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


def _differences(
    plan: TopicPlan, counts: Mapping[str, int], configs: Mapping[str, Mapping[str, str]]
) -> Iterable[str]:
    count = counts.get(plan.name, plan.partitions)
    if count != plan.partitions:
        yield f"{plan.name}: partitions is {count}, planned {plan.partitions}"
    actual = configs.get(plan.name, {})
    for key, value in plan.config.items():
        # Kafka gives lists back in an order of its own.
        if sorted(actual.get(key, "").split(",")) != sorted(value.split(",")):
            yield f"{plan.name}: {key} is {actual.get(key, 'unknown')}, planned {value}"


def _refuse_if_unauthorised(error: Any, right: str, topic: str) -> None:
    if error in (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
        raise BusError(
            f"this user lacks the right {right} on topic {topic}: grant it "
            f"(kafka-acls.sh --add --operation {right} --topic {topic}), or check bus.security"
        )
