"""Is every event counted once when workers are killed, halted, added and told to stop?"""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.broker import EmbeddedBroker
from tests.conftest import SeededGenerator
from tests.system.arena import CHUNK, Arena
from tests.system.feed import Feed

pytestmark = [pytest.mark.kafka, pytest.mark.faults]


@pytest.fixture
def arena(tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str) -> Arena:
    """Topics of this test's own on the shared broker."""
    return Arena(tmp_path, broker.bootstrap, topic_prefix)


@pytest.fixture
def feed(rng: SeededGenerator) -> Feed:
    """Trouble of every kind; the seed stands in the report of a failure."""
    return Feed(rng.seed)


def test_without_faults_the_oracle_agrees(arena: Arena, feed: Feed) -> None:
    arena.publish(feed.take(30_000))
    arena.publish(feed.close())
    with arena.worker("only") as worker:
        worker.wait_ready()
        arena.settle(what="no fault")
        assert worker.stop() == 0


def test_a_worker_killed_at_each_step_loses_and_doubles_nothing(arena: Arena, feed: Feed) -> None:
    steps = (
        "assign.after-offsets",
        "ingest.before-send@3",
        "producer.middle@5",
        "ingest.after-send@4",
        "commit.before@2",
        "commit.after@2",
        "judge.before-send@8",
        "judge.after-send@12",
    )
    for step in steps:
        arena.publish(feed.take(CHUNK))
        with arena.worker("victim", failpoints=step.replace("@", "=kill@")
                          if "@" in step else f"{step}=kill") as victim:  # fmt: skip
            assert victim.exit_code() == -9, f"never reached {step}"
    arena.publish(feed.close())
    with arena.worker("last") as last:
        last.wait_ready()
        arena.settle(what="killed at each step")
        assert last.stop() == 0
