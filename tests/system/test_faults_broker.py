"""Is every event counted once when the broker is killed, halted, full, or away?"""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.broker import EmbeddedBroker
from tests.conftest import SeededGenerator
from tests.system.arena import Arena, fill_up, pause
from tests.system.feed import Feed

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

SMALL, LARGE = "160m", "600m"  # file systems


@pytest.fixture(scope="module")
def mine() -> Iterator[EmbeddedBroker]:
    """A broker to be ill-treated; every record is on disk before it is acknowledged."""
    with EmbeddedBroker(durable=True) as broker:
        yield broker


@pytest.fixture
def arena(tmp_path: Path, mine: EmbeddedBroker, topic_prefix: str) -> Arena:
    """Topics of this test's own."""
    mine.start()
    return Arena(tmp_path, mine.bootstrap, topic_prefix)


def killed_for(arena: Arena, feed: Feed, mine: EmbeddedBroker, seconds: float) -> None:
    """The broker is killed under load and comes back on its data; the worker stays."""
    with arena.worker("stays") as worker:
        worker.wait_ready()
        with arena.flow(feed):
            pause(4)
            mine.kill()
            pause(seconds)
            mine.start()
            pause(2)
        arena.finish(feed, what=f"broker killed for {seconds:g} s")
        assert worker.stop() == 0


def test_the_broker_is_killed_and_restarted(arena: Arena, feed: Feed, mine: EmbeddedBroker) -> None:
    killed_for(arena, feed, mine, 1)


@pytest.mark.chaos
@pytest.mark.parametrize("seconds", [8, 60])
def test_the_broker_is_killed_and_away_for(
    arena: Arena, feed: Feed, mine: EmbeddedBroker, seconds: float
) -> None:
    killed_for(arena, feed, mine, seconds)


@pytest.mark.chaos
def test_the_broker_is_restarted_cleanly(arena: Arena, feed: Feed, mine: EmbeddedBroker) -> None:
    with arena.worker("stays") as worker:
        worker.wait_ready()
        with arena.flow(feed):
            pause(4)
            mine.restart()
            pause(2)
        arena.finish(feed, what="broker restarted")


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_worker_and_broker_are_killed_together(
    arena: Arena, feed: Feed, mine: EmbeddedBroker, rng: SeededGenerator
) -> None:
    chance = random.Random(rng.seed)
    with arena.flow(feed):
        for at in range(4):
            with arena.worker(f"victim-{at}") as victim:
                victim.wait_ready()
                pause(chance.uniform(1, 4))
                first, second = (victim.kill, mine.kill) if at % 2 else (mine.kill, victim.kill)
                first()
                pause(chance.uniform(0, 1))
                second()
            mine.start()
    with arena.worker("last"):
        arena.finish(feed, what="worker and broker killed 4 times")


@pytest.mark.chaos
@pytest.mark.parametrize("seconds", [5, 20])
def test_the_broker_is_halted(
    arena: Arena, feed: Feed, mine: EmbeddedBroker, seconds: float
) -> None:
    assert mine.pid is not None
    with arena.worker("stays") as worker:
        worker.wait_ready()
        with arena.flow(feed):
            pause(4)
            os.kill(mine.pid, signal.SIGSTOP)
            pause(seconds)
            os.kill(mine.pid, signal.SIGCONT)
            pause(2)
        arena.finish(feed, what=f"broker halted for {seconds:g} s")
        assert worker.stop() == 0


def test_a_worker_that_is_told_to_stop_while_the_broker_is_away_ends_in_time(
    arena: Arena, feed: Feed, mine: EmbeddedBroker
) -> None:
    arena.publish(feed.take(30_000))
    with arena.worker("first") as first:
        first.wait_ready()
        mine.kill()
        pause(3)
        started_ms = arena.clock.monotonic_ms()
        assert first.process is not None
        first.process.terminate()
        assert first.exit_code(20) in (0, 143), first.log()
        took_s = (arena.clock.monotonic_ms() - started_ms) / 1000
    mine.start()
    arena.report("SIGTERM, broker away", took_s)
    with arena.worker("second"):
        arena.finish(feed, what="after SIGTERM without a broker")


@pytest.mark.chaos
@pytest.mark.timeout(400)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_the_disk_of_the_broker_is_full(tmp_path: Path, topic_prefix: str, feed: Feed) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", disk], check=True)
    try:
        settings = {"log.segment.bytes": "8388608", "log.index.size.max.bytes": "65536"}
        with EmbeddedBroker(disk, durable=True, settings=settings) as small:
            arena = Arena(tmp_path, small.bootstrap, topic_prefix)
            with arena.worker("stays") as worker:
                worker.wait_ready()
                with arena.flow(feed):
                    pause(5)
                    filler = fill_up(disk)
                    pause(15)
                    remount = ["mount", "-o", f"remount,size={LARGE}", str(disk)]
                    subprocess.run(remount, check=True)
                    filler.unlink()
                    small.start()  # nothing, if it has survived
                    pause(3)
                arena.finish(feed, 180, what="disk of the broker full")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
