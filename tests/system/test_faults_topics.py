"""Is anything lost when topics or groups are missing, refuse, shrink or grow?"""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from stream.broker import EmbeddedBroker
from stream.bus.topics import CONFIGS
from tests.kafka_fixture import wait_until
from tests.system.arena import Arena, pause
from tests.system.cluster import Cluster
from tests.system.feed import Feed
from tests.worker_process import create_topics

pytestmark = [pytest.mark.kafka, pytest.mark.faults]


@pytest.mark.parametrize("logical", ["alerts", "dead-letters", "windows", "partials"])
def test_a_worker_refuses_to_start_without_a_topic(
    arena: Arena, cluster: Cluster, logical: str
) -> None:
    name = arena.settings.bus.topics[logical]
    cluster.delete_topic(name)
    with arena.worker("refused") as refused:
        assert refused.exit_code(30) == 1
    last = refused.log().strip().splitlines()[-1]
    assert f"topic {name} is missing" in last
    assert "driftline topics create" in last


def gone_for(arena: Arena, cluster: Cluster, feed: Feed, logical: str, seconds: float) -> None:
    """A topic that the worker writes to is deleted before it is needed, and made again later."""
    with arena.worker("stays") as worker:
        worker.wait_ready()
        cluster.delete_topic(arena.settings.bus.topics[logical])
        arena.publish(feed.take(20_000))
        pause(seconds)
        if seconds > 60:
            health = worker.get("/health", good=503)
            assert "acknowledged nothing" in orjson.loads(health or "{}")["why"][0]
        create_topics(arena.settings)
        arena.finish(feed, what=f"no topic {logical} for {seconds:g} s")
        assert worker.get("/health") is not None
        assert worker.stop() == 0
    assert arena.values("alerts"), "no alert was sent: nothing was tested"


def test_the_alerts_topic_goes_and_comes_back(arena: Arena, cluster: Cluster, feed: Feed) -> None:
    gone_for(arena, cluster, feed, "alerts", 8)


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("logical", "seconds"),
    [("alerts", 75), ("dead-letters", 15), ("windows", 15), ("partials", 15)],
)
def test_a_topic_goes_and_comes_back(
    arena: Arena, cluster: Cluster, feed: Feed, logical: str, seconds: float
) -> None:
    gone_for(arena, cluster, feed, logical, seconds)


@pytest.mark.chaos
@pytest.mark.parametrize("logical", ["alerts", "dead-letters"])
def test_a_topic_refuses_for_a_while(
    arena: Arena, cluster: Cluster, feed: Feed, logical: str
) -> None:
    name, usual = arena.settings.bus.topics[logical], CONFIGS[logical]
    cluster.configure(name, {**usual, "max.message.bytes": "20"})
    with arena.worker("stays") as worker:
        worker.wait_ready()
        arena.publish(feed.take(20_000))
        pause(10)
        cluster.configure(name, usual)
        arena.finish(feed, what=f"{logical} refuses for 10 s")
        assert worker.stop() == 0


@pytest.mark.chaos
@pytest.mark.parametrize("logical", ["alerts", "partials"])
def test_the_right_to_write_is_lost_for_a_while(
    tmp_path: Path, topic_prefix: str, feed: Feed, logical: str
) -> None:
    rights = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with EmbeddedBroker(settings=rights) as strict:
        arena, cluster = Arena(tmp_path, strict.bootstrap, topic_prefix), Cluster(strict.bootstrap)
        name = arena.settings.bus.topics[logical]
        with arena.worker("stays") as worker:
            worker.wait_ready()
            cluster.deny_writing(name)
            arena.publish(feed.take(20_000))
            pause(10)
            assert "TopicAuthorizationFailed" in worker.log(), "it could write"
            cluster.allow_all(name)
            arena.finish(feed, what=f"no right to write to {logical} for 10 s")
            assert worker.stop() == 0


@pytest.mark.chaos
def test_a_worker_that_cannot_send_for_too_long_ends_and_another_goes_on(
    arena: Arena, cluster: Cluster, feed: Feed
) -> None:
    path = arena.config("impatient", bus={"exit_after": "60s"})
    with arena.worker("ends", path=path) as ends:
        ends.wait_ready()
        cluster.delete_topic(arena.settings.bus.topics["dead-letters"])
        arena.publish(feed.take(20_000))
        assert ends.exit_code(110) == 5
    assert "acknowledged nothing" in ends.log()
    create_topics(arena.settings)
    with arena.worker("goes on"):
        arena.finish(feed, what="after exit code 5")


@pytest.mark.chaos
def test_the_offsets_of_the_groups_are_lost(arena: Arena, cluster: Cluster, feed: Feed) -> None:
    arena.publish(feed.take(20_000))
    with arena.worker("first") as first:
        first.wait_ready()
        assert wait_until(lambda: first.metric("driftline_events_total") > 18_000, 30)
        assert first.stop() == 0
    for stage in ("ingest", "judge"):
        cluster.delete_group(f"{arena.settings.bus.group_prefix}-{stage}")
    arena.publish(feed.take(10_000))
    with arena.worker("second"):
        arena.finish(feed, what="offsets of both groups lost")


def test_messages_deleted_before_they_were_read_are_told(
    arena: Arena, cluster: Cluster, feed: Feed
) -> None:
    topic = arena.settings.bus.topics["predictions"]
    arena.publish(feed.take(8_000))
    with arena.worker("first") as first:
        first.wait_ready()
        assert wait_until(
            lambda: (
                first.metric("driftline_events_total") > 7_000 and not any(first.lags().values())
            ),
            30,
        )
        assert first.stop() == 0
    read_to = cluster.ends(topic)
    arena.publish(feed.take(20_000))
    before = {partition: offset + 2_000 for partition, offset in read_to.items()}
    cluster.delete_records(topic, before)
    arena.publish(feed.close())
    with arena.worker("second") as second:
        second.wait_ready()
        assert wait_until(lambda: second.metric("driftline_lost_messages_total") == 8_000, 30)
        assert wait_until(lambda: second.metric("driftline_windows_closed_total") > 0, 30)
    letters = [one for one in arena.values("dead-letters") if one["reason"] == "data_loss"]
    assert {(one["partition"], one["offset"]) for one in letters} == set(read_to.items())
    assert all(one["detail"].startswith("2000 messages, offsets") for one in letters)
    assert "records were deleted before they were read" in second.log()


@pytest.mark.chaos
@pytest.mark.timeout(400)
def test_the_topic_of_predictions_gets_more_partitions(
    arena: Arena, cluster: Cluster, feed: Feed
) -> None:
    topic = arena.settings.bus.topics["predictions"]
    with arena.worker("stays") as worker:
        worker.wait_ready()
        arena.publish(feed.take(10_000))
        cluster.add_partitions(topic, 6)
        assert wait_until(lambda: worker.shares() == 6, 120)
        feed.widen(6)
        arena.publish(feed.take(10_000))
        arena.finish(feed, 150, what="two partitions more")


@pytest.mark.chaos
@pytest.mark.timeout(400)
def test_the_topic_of_partials_gets_more_partitions_which_is_refused(
    arena: Arena, cluster: Cluster, feed: Feed
) -> None:
    with arena.worker("refuses") as worker:
        worker.wait_ready()
        arena.publish(feed.take(5_000))
        cluster.add_partitions(arena.settings.bus.topics["partials"], 6)
        with arena.flow(feed):
            assert worker.exit_code(240) == 3
    # Whichever agent meets it first: the one that sends there, or the one that reads.
    reasons = "streams would change their partition", "partitions, the partials have more"
    assert any(reason in worker.log() for reason in reasons)
