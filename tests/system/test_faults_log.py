"""Is every event counted once whatever stands on the topic, and at what cost?"""

from __future__ import annotations

import asyncio
import gzip
import random
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from stream.broker import EmbeddedBroker
from tests.conftest import SeededGenerator
from tests.kafka_fixture import wait_until
from tests.system.arena import BODY, Arena, pause
from tests.system.feed import POISON, Feed, event
from tests.system.oracle import Times
from tests.worker_process import MOST_RSS

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

IDLE_TIMES = Times(judges_lateness=False)


def test_a_thousand_poison_pills_in_a_row(arena: Arena, feed: Feed) -> None:
    arena.publish(feed.take(5_000))
    arena.publish((0, POISON[at % len(POISON)]) for at in range(1_000))
    arena.publish(feed.take(5_000))
    with arena.worker("only") as worker:
        worker.wait_ready()
        took_s = arena.finish(feed, what="1000 poison pills in a row")
    assert took_s < 60


def test_a_partition_that_falls_silent_holds_nobody_up_and_may_speak_again(
    tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str, feed: Feed, rng: SeededGenerator
) -> None:
    window = {**BODY["window"], "idle_timeout": "3s"}
    arena = Arena(
        tmp_path, broker.bootstrap, topic_prefix, body={**BODY, "window": window}, times=IDLE_TIMES
    )
    arena.publish(feed.take(8_000))
    late = [sent for sent in feed.take(4_000) if sent[0] == 3]  # what partition 3 will say later
    arena.publish(sent for sent in feed.take(30_000) if sent[0] != 3)
    with arena.worker("first", failpoints="idle.before-commit=kill@3") as first:
        assert first.exit_code(60) == -9
    with arena.worker("second") as second:
        second.wait_ready()
        assert wait_until(lambda: len(arena.values("windows")) > 20, 40), second.log()
        arena.publish(late[: len(late) // 2])
        second.kill()
    with arena.worker("third") as third:
        third.wait_ready()
        arena.publish(late[len(late) // 2 :])
        arena.finish(feed, what="a silent partition, a kill, old events")


@pytest.mark.chaos
def test_a_backlog_of_messages_that_are_too_large_is_refused_in_bounded_memory(
    tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str, feed: Feed
) -> None:
    body = {**BODY, "limits": {"max_message_bytes": "64 KiB"}}
    times = Times(max_message_bytes=65_536)
    arena = Arena(tmp_path, broker.bootstrap, topic_prefix, body=body, times=times)
    arena.publish(feed.take(3_000))
    large = event(1, features={"text": "x" * 900_000})
    arena.publish((at % 4, large) for at in range(300))
    arena.publish([(0, event(2, features={"text": "x" * 65_536})), (1, b"[" + b"1," * 200_000)])
    with arena.worker("only") as worker:
        worker.wait_ready()
        most = [0]

        def grows() -> bool:
            most[0] = max(most[0], worker.rss())
            return worker.metric("driftline_dead_letters_total") >= 302

        assert wait_until(grows, 60), worker.log()
        arena.finish(feed, what=f"270 MB too large, RSS {most[0] >> 20} MB")
        assert most[0] < MOST_RSS


@pytest.mark.chaos
def test_a_batch_that_is_a_thousand_times_larger_than_it_looks(arena: Arena, feed: Feed) -> None:
    topic = arena.settings.bus.topics["predictions"]

    async def publish() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=arena.settings.bus.bootstrap, compression_type="gzip",
            max_request_size=200 << 20, max_batch_size=200 << 20, linger_ms=100,
        )  # fmt: skip
        await producer.start()
        value = b" " * 900_000
        sent = [await producer.send(topic, value, partition=0) for _ in range(100)]
        await asyncio.gather(*sent)
        await producer.stop()

    assert len(gzip.compress(bytes(90_000_000), 6)) < 1_000_000  # fits where the limit is 1 MB
    arena.publish(feed.take(3_000))
    asyncio.run(publish())
    with arena.worker("only") as worker:
        worker.wait_ready()
        most = [0]

        def is_through() -> bool:
            most[0] = max(most[0], worker.rss())
            return sum(worker.lags().values()) == 0 and worker.metric("driftline_events") > 2_000

        assert wait_until(is_through, 60), worker.log()
        pause(2)
        arena.report(f"90 MB in one batch, RSS {max(most[0], worker.rss()) >> 20} MB", 0)
        assert max(most[0], worker.rss()) < MOST_RSS


@pytest.mark.chaos
def test_aborted_transactions_are_not_counted_and_holes_are_passed(
    arena: Arena, feed: Feed, rng: SeededGenerator
) -> None:
    topic, chance = arena.settings.bus.topics["predictions"], random.Random(rng.seed)

    async def publish() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=arena.settings.bus.bootstrap, transactional_id=topic
        )
        await producer.start()
        for _ in range(60):
            await producer.begin_transaction()
            for partition, value in feed.take(chance.randint(1, 200)):
                await producer.send(topic, value, partition=partition)
            if chance.random() < 0.3:
                await producer.abort_transaction()
            else:
                await producer.commit_transaction()
        await producer.stop()

    with arena.worker("killed", failpoints="ingest.after-send=kill@4") as killed:
        asyncio.run(publish())  # a fetch of each partition at least, however fast this is
        assert killed.exit_code() == -9
    with arena.worker("last"):
        arena.finish(feed, what="60 transactions, a third aborted")
        assert arena.expected().counted > 1_000


def test_a_backlog_is_read_in_bounded_memory(arena: Arena, feed: Feed) -> None:
    arena.publish(feed.take(60_000))
    with arena.worker("only") as worker:
        worker.wait_ready()
        most = [0]

        def is_through() -> bool:
            most[0] = max(most[0], worker.rss())
            return worker.metric("driftline_events_total") > 55_000

        assert wait_until(is_through, 60), worker.log()
        arena.finish(feed, what=f"60 000 messages of backlog, RSS {most[0] >> 20} MB")
        assert most[0] < MOST_RSS
