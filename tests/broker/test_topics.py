"""Topics on a real Kafka: created once, compared afterwards, missed in plain words."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from stream.bus.connection import Connection
from stream.bus.topics import (
    CONFIGS,
    TopicPlan,
    TopicReport,
    create_missing,
    plans,
    require,
)
from stream.errors import BusError, ConfigError

YEAR_2013_MS = 1_356_998_400_000

kafka = pytest.mark.kafka


@pytest.fixture
def pipeline(topic_prefix: str) -> list[TopicPlan]:
    """The plans of a whole pipeline under names of this test's own."""
    return plans({name: topic_prefix + name for name in CONFIGS}, partitions=3, replication=1)


def planned(logical: str, **counts: int) -> TopicPlan:
    by_name = {
        plan.name: plan for plan in plans({}, **{"partitions": 4, "replication": 1} | counts)
    }
    return by_name[logical]


def test_a_topic_without_a_name_of_its_own_has_its_logical_name():
    names = [plan.name for plan in plans({"predictions": "scored"}, 4, 1)]
    assert names == ["scored", *list(CONFIGS)[1:]]


def test_a_logical_name_nobody_knows_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="no topic 'prediction'; known: predictions, labels"):
        plans({"prediction": "scored"}, 4, 1)


def test_what_all_workers_read_has_one_partition_and_all_others_the_same_number():
    counts = {plan.name: plan.partitions for plan in plans({}, 7, 1)}
    assert counts == dict.fromkeys(CONFIGS, 7) | {"references": 1, "configurations": 1}


def test_configurations_are_kept_for_ever():
    assert planned("configurations").config["retention.ms"] == "-1"


@pytest.mark.parametrize("logical", ["references", "judge-state"])
def test_what_must_outlive_windows_is_kept_by_key(logical: str):
    assert planned(logical).config["cleanup.policy"] == "compact"


@pytest.mark.parametrize("logical", sorted(set(CONFIGS) - {"references", "judge-state"}))
def test_what_is_deleted_by_age_is_aged_by_arrival(logical: str):
    assert planned(logical).config["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize("logical", ["partials", "windows", "references", "configurations"])
def test_sketches_may_be_large(logical: str):
    assert planned(logical).config["max.message.bytes"] == "8388608"


@pytest.mark.parametrize(("replication", "expected"), [(1, None), (2, None), (3, "2")])
def test_two_copies_are_asked_for_where_there_are_three(replication: int, expected: str | None):
    plan = planned("alerts", replication=replication)
    assert plan.config.get("min.insync.replicas") == expected


@kafka
def test_missing_topics_are_created_and_then_left_alone(
    connection: Connection, pipeline: list[TopicPlan]
):
    names = tuple(plan.name for plan in pipeline)
    first = asyncio.run(create_missing(connection, pipeline))
    second = asyncio.run(create_missing(connection, pipeline))
    assert first == TopicReport(created=names, exists=(), differs=())
    assert second == TopicReport(created=(), exists=names, differs=())


@kafka
def test_several_may_create_at_once_and_each_topic_is_created_once(
    connection: Connection, pipeline: list[TopicPlan]
):
    async def race() -> list[TopicReport]:
        return await asyncio.gather(*[create_missing(connection, pipeline) for _ in range(4)])

    reports = asyncio.run(race())
    assert sorted(name for report in reports for name in report.created) == sorted(
        plan.name for plan in pipeline
    )
    assert [report.differs for report in reports] == [()] * 4


@kafka
def test_what_differs_is_told_and_not_changed(connection: Connection, topic_prefix: str):
    plan = TopicPlan(topic_prefix, 2, {"cleanup.policy": "compact,delete", "retention.ms": "1000"})
    other = replace(plan, partitions=5, config={**plan.config, "retention.ms": "2000"})
    asyncio.run(create_missing(connection, [plan]))
    told = asyncio.run(create_missing(connection, [other])).differs
    assert told == (
        f"{topic_prefix}: partitions is 2, planned 5",
        f"{topic_prefix}: retention.ms is 1000, planned 2000",
    )
    assert asyncio.run(create_missing(connection, [plan])).differs == ()


@kafka
def test_one_new_topic_beside_old_ones_is_created(
    connection: Connection, pipeline: list[TopicPlan]
):
    asyncio.run(create_missing(connection, pipeline[1:]))
    report = asyncio.run(create_missing(connection, pipeline))
    assert report.created == (pipeline[0].name,)
    assert report.exists == tuple(plan.name for plan in pipeline[1:])


@kafka
def test_required_topics_that_exist_pass(connection: Connection, pipeline: list[TopicPlan]):
    asyncio.run(create_missing(connection, pipeline))
    asyncio.run(require(connection, [replace(plan, partitions=99) for plan in pipeline]))


@kafka
def test_a_required_topic_that_is_missing_is_named_with_what_to_do(
    connection: Connection, topic_prefix: str
):
    wanted = [TopicPlan(topic_prefix + name, 1) for name in ("one", "two")]
    asyncio.run(create_missing(connection, wanted[:1]))
    with pytest.raises(BusError) as refused:
        asyncio.run(require(connection, wanted))
    assert str(refused.value) == (
        f"topic {topic_prefix}two is missing on {connection.bootstrap}: "
        "create what is missing with `driftline topics create -c FILE`"
    )


@kafka
def test_asking_for_a_topic_does_not_create_it(connection: Connection, topic_prefix: str):
    wanted = [TopicPlan(topic_prefix, 1)]
    for _ in range(2):
        with pytest.raises(BusError, match="is missing"):
            asyncio.run(require(connection, wanted))


@kafka
@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (TopicPlan("bad-setting", 1, {"retention.ms": "long"}), "retention.ms"),
        (TopicPlan("bad-copies", 1, {}, replication=3), "replica"),
        (TopicPlan("bad name", 1), "bad name"),
    ],
)
def test_a_plan_kafka_refuses_is_told_with_its_reason(
    connection: Connection, plan: TopicPlan, said: str
):
    with pytest.raises(BusError, match=f"refuses to create topic {plan.name}: .*{said}"):
        asyncio.run(create_missing(connection, [plan]))


@kafka
def test_a_record_of_years_ago_is_stamped_with_its_arrival(
    connection: Connection, pipeline: list[TopicPlan]
):
    topic, bootstrap = pipeline[0].name, connection.bootstrap

    async def stamped() -> int:
        await create_missing(connection, pipeline)
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            await producer.send_and_wait(topic, b"old", partition=0, timestamp_ms=YEAR_2013_MS)
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest"
        )
        async with consumer, asyncio.timeout(20):
            record = await consumer.getone()
        assert record.timestamp_type == 1  # LogAppendTime
        return record.timestamp

    assert asyncio.run(stamped()) > YEAR_2013_MS + 10 * 365 * 86_400_000
