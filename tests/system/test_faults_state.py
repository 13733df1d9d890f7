"""Is every event counted once when what judges know is damaged, lost or cannot be written?

Windows say the same whatever becomes of the topic `judge-state`; a revision that was told is never
told again with another content, and what is not known any more is said in a dead letter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import ConsumerRecord

from stream.broker import EmbeddedBroker
from stream.bus.topics import CONFIGS
from tests.conftest import SeededGenerator
from tests.kafka_fixture import wait_until
from tests.system.arena import Arena
from tests.system.cluster import Cluster
from tests.system.feed import Feed
from tests.worker_process import WorkerProcess, create_topics

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

STATE_LOST = frozenset({"bad_state", "state_rebuilt"})
MESSAGES = 20_000  # 200 s of event time: panes of the first minutes are final by the end
DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "bit": lambda value: value[:-5] + bytes([value[-5] ^ 4]) + value[-4:],
    "short": lambda value: value[: len(value) // 2],
    "kind": lambda _value: b'{"schema": "another"}',
    "older": lambda value: value[:3] + b"\0" + value[4:],
    "none": lambda _value: None,
}


@pytest.fixture
def feed(rng: SeededGenerator) -> Feed:
    """Trouble of every kind, and a window every few thousand messages."""
    return Feed(rng.seed, per_second=100)


def judged(arena: Arena, feed: Feed) -> None:
    """A first worker judges windows, writes what it knows, and stops."""
    arena.publish(feed.take(MESSAGES))
    with arena.worker("first") as first:
        first.wait_ready()
        assert wait_until(lambda: len(arena.values("windows")) > 40, 60), first.log()
        assert wait_until(lambda: not any(first.lags().values()), 30)
        assert first.stop() == 0


def stored(arena: Arena, kind: str) -> list[ConsumerRecord]:
    """The last record of each key of the judge's state, heads or streams."""
    latest = {}
    for record in asyncio.run(arena.reader("judge-state").read()):
        latest[record.partition, record.key] = record
    return [r for r in latest.values() if r.value and orjson.loads(r.key)[0] == kind]


def letters_of(arena: Arena, reason: str) -> list[Any]:
    """Dead letters with this reason."""
    return [one for one in arena.values("dead-letters") if one["reason"] == reason]


def damaged(arena: Arena, cluster: Cluster, feed: Feed, kind: str, how: str) -> None:
    """All records of a kind are damaged while no worker runs; the next one goes on."""
    judged(arena, feed)
    topic, records = arena.settings.bus.topics["judge-state"], stored(arena, kind)
    assert len(records) >= 2, "there is nothing to damage"
    for record in records:
        cluster.put(topic, record.partition, record.key, DAMAGE[how](record.value or b""))
    arena.publish(feed.take(MESSAGES))
    with arena.worker("second"):
        arena.finish(feed, what=f"judge's state, {kind}: {how}", forgives=STATE_LOST)
    told = [one for one in letters_of(arena, "bad_state") if one["topic"] == topic]
    # One that is gone leaves no trace of its own.
    assert len(told) == (0 if how == "none" else len(records))


def test_the_records_of_streams_are_damaged(arena: Arena, cluster: Cluster, feed: Feed) -> None:
    damaged(arena, cluster, feed, "stream", "bit")
    assert letters_of(arena, "state_rebuilt")


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("kind", "how"),
    [("head", "bit"), ("head", "none"), ("stream", "short"), ("stream", "kind"),
     ("stream", "older"), ("stream", "none")],
)  # fmt: skip
def test_records_of_the_judge_are_damaged(
    arena: Arena, cluster: Cluster, feed: Feed, kind: str, how: str
) -> None:
    damaged(arena, cluster, feed, kind, how)


@pytest.mark.chaos
@pytest.mark.parametrize("how", ["emptied", "made anew"])
def test_what_judges_know_is_lost(arena: Arena, cluster: Cluster, feed: Feed, how: str) -> None:
    judged(arena, feed)
    topic = arena.settings.bus.topics["judge-state"]
    if how == "emptied":
        cluster.configure(topic, {**CONFIGS["judge-state"], "cleanup.policy": "delete"})
        cluster.delete_records(topic, cluster.ends(topic))
    else:
        cluster.delete_topic(topic)
        create_topics(arena.settings)
    arena.publish(feed.take(MESSAGES))
    with arena.worker("second"):
        arena.finish(feed, what=f"judge's state {how}", forgives=STATE_LOST)
    assert letters_of(arena, "state_rebuilt"), "nobody was told"


@pytest.mark.chaos
def test_all_that_is_left_are_the_predictions(arena: Arena, cluster: Cluster, feed: Feed) -> None:
    judged(arena, feed)
    bus = arena.settings.bus
    for stage in ("ingest", "judge"):
        cluster.delete_group(f"{bus.group_prefix}-{stage}")
    # As docs/operations.md says: revisions begin at 0 again, and must not meet those of before.
    for logical in ("partials", "judge-state", "windows", "alerts"):
        cluster.delete_topic(bus.topics[logical])
        arena.forget(logical)
    create_topics(arena.settings)
    arena.publish(feed.take(MESSAGES))
    with arena.worker("second"):
        arena.finish(feed, what="only predictions are left")
    assert arena.values("windows"), "nothing was told: nothing was tested"


@pytest.mark.chaos
@pytest.mark.timeout(400)
def test_the_state_is_compacted_while_it_is_read(
    tmp_path: Path, topic_prefix: str, feed: Feed
) -> None:
    settings = {"log.cleaner.backoff.ms": "100"}
    with EmbeddedBroker(settings=settings) as busy:
        arena, cluster = Arena(tmp_path, busy.bootstrap, topic_prefix), Cluster(busy.bootstrap)
        topic = arena.settings.bus.topics["judge-state"]
        quick = {"segment.ms": "1000", "min.cleanable.dirty.ratio": "0.01",
                 "delete.retention.ms": "0"}  # fmt: skip
        cluster.configure(topic, {**CONFIGS["judge-state"], **quick})
        with arena.flow(feed):
            for at in range(6):
                with arena.worker(f"victim-{at}", failpoints="state.after=kill@8") as victim:
                    assert victim.exit_code(60) == -9, victim.log()
        with arena.worker("last"):
            arena.finish(feed, what="state compacted while it is read")
        left = asyncio.run(arena.reader("judge-state").read())
        written = sum(cluster.ends(topic).values())
        assert len(left) < written / 2, "nothing was compacted: nothing was tested"


@pytest.mark.chaos
@pytest.mark.timeout(400)
def test_the_state_cannot_be_written_for_a_while(
    arena: Arena, cluster: Cluster, feed: Feed
) -> None:
    topic = arena.settings.bus.topics["judge-state"]
    path = arena.config("impatient", bus={"exit_after": "60s"})
    with arena.worker("ends", path=path) as ends:
        ends.wait_ready()
        arena.publish(feed.take(MESSAGES))
        assert wait_until(lambda: len(arena.values("windows")) > 40, 60), ends.log()
        cluster.delete_topic(topic)
        arena.publish(feed.take(MESSAGES))
        assert ends.exit_code(110) == 5
    assert "acknowledged nothing" in ends.log()
    create_topics(arena.settings)
    with arena.worker("goes on"):
        arena.finish(feed, what="no judge-state until exit code 5", forgives=STATE_LOST)


@pytest.mark.chaos
def test_a_worker_refuses_to_start_without_the_state(
    arena: Arena, cluster: Cluster, feed: Feed
) -> None:
    topic = arena.settings.bus.topics["judge-state"]
    cluster.delete_topic(topic)
    with arena.worker("refused") as refused:
        assert refused.exit_code(30) == 1
    assert f"topic {topic} is missing" in refused.log()


def refused_by(worker: WorkerProcess) -> str:
    """What a worker says that ends with the code of wrong use.

    Not its last line alone: asyncio may still name a client that was not closed.
    """
    assert worker.exit_code(60) == 2, worker.log()
    return worker.log()


def test_what_a_newer_release_wrote_is_refused_or_kept(
    arena: Arena, cluster: Cluster, feed: Feed
) -> None:
    judged(arena, feed)
    topics = arena.settings.bus.topics
    head = stored(arena, "head")[0]
    newer = (head.value or b"")[:3] + b"\xff" + (head.value or b"")[4:]
    cluster.put(topics["judge-state"], head.partition, head.key, newer)
    with arena.worker("older") as older:
        last = refused_by(older)
    assert "was written by a newer release" in last
    assert "go back to that release" in last
    cluster.put(topics["judge-state"], head.partition, head.key, head.value)
    partial = next(
        r for r in asyncio.run(arena.reader("partials").read()) if (r.value or b"")[:3] == b"DLP"
    )
    newer = (partial.value or b"")[:3] + b"\xff" + (partial.value or b"")[4:]
    cluster.put(topics["partials"], partial.partition, partial.key, newer)
    with arena.worker("goes on"):
        arena.finish(feed, what="a newer release's records", forgives={"bad_partial"})
    [letter] = letters_of(arena, "bad_partial")
    assert letter["topic"] == topics["partials"]
    assert "version 255" in letter["detail"]
