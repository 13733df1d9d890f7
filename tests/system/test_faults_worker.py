"""Is every event counted once when workers are killed, halted and added?

The seed of the feed and of the schedule stands in the report of a failure; DRIFTLINE_SEED gives
it again.
"""

from __future__ import annotations

import random
from contextlib import ExitStack

import pytest

from tests.conftest import SeededGenerator
from tests.kafka_fixture import wait_until
from tests.system.arena import CHUNK, Arena, pause
from tests.system.feed import Feed
from tests.worker_process import WorkerProcess

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

STEPS = (
    "assign.before-offsets=kill",
    "assign.after-offsets=kill@2",
    "ingest.before-send=kill@3",
    "producer.middle=kill@5",
    "ingest.after-send=kill@4",
    "commit.before=kill@2",
    "commit.after=kill@2",
    "judge.before-send=kill@8",
    "judge.after-send=kill@12",
    "state.before=kill@2",
    "state.after=kill@2",
    "producer.middle=kill@14",
)


@pytest.fixture
def chance(rng: SeededGenerator) -> random.Random:
    """The schedule of faults."""
    return random.Random(rng.seed)


def test_without_faults_the_oracle_agrees(arena: Arena, feed: Feed) -> None:
    arena.publish(feed.take(30_000))
    with arena.worker("only") as worker:
        worker.wait_ready()
        arena.finish(feed, what="no fault")
        assert worker.stop() == 0


def test_a_worker_killed_at_each_step(arena: Arena, feed: Feed) -> None:
    for step in STEPS:
        arena.publish(feed.take(CHUNK))
        with arena.worker("victim", failpoints=step) as victim:
            assert victim.exit_code() == -9, f"never reached {step}"
    with arena.worker("last") as last:
        last.wait_ready()
        arena.finish(feed, what="killed at each step")
        assert last.stop() == 0


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_worker_killed_at_twenty_points_of_300_000_events(
    arena: Arena, feed: Feed, chance: random.Random
) -> None:
    for at in range(20):
        arena.publish(feed.take(15_000))
        step = chance.choice(STEPS) if at % 2 else ""
        with arena.worker("victim", failpoints=step) as victim:
            if step:
                assert victim.exit_code() == -9, f"never reached {step}"
            else:
                victim.wait_ready()
                pause(chance.uniform(0, 4))
                victim.kill()
    with arena.worker("last") as last:
        last.wait_ready()
        arena.finish(feed, 240, what="killed at 20 points of 300 000 events")


def one_killed_one_added(arena: Arena, feed: Feed, chance: random.Random, times: int) -> None:
    """Two workers under load; one of them is killed and another one started, several times."""
    started: list[WorkerProcess] = []

    def start(at: int) -> WorkerProcess:
        worker = arena.worker(f"worker-{at}").__enter__()
        started.append(worker)
        return worker

    try:
        alive = [start(0), start(1)]
        alive[0].wait_ready()
        with arena.flow(feed):
            for at in range(times):
                pause(chance.uniform(2, 5))
                alive.pop(chance.randrange(2)).kill()
                alive.append(start(at + 2))
        arena.finish(feed, what=f"one of two killed {times} times")
    finally:
        for worker in started:
            worker.stop()


def test_one_of_two_workers_is_killed_and_one_added(
    arena: Arena, feed: Feed, chance: random.Random
) -> None:
    one_killed_one_added(arena, feed, chance, 2)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_one_of_two_workers_is_killed_and_one_added_ten_times(
    arena: Arena, feed: Feed, chance: random.Random
) -> None:
    one_killed_one_added(arena, feed, chance, 10)


@pytest.mark.chaos
def test_all_workers_are_killed_and_one_comes_back(arena: Arena, feed: Feed) -> None:
    with arena.flow(feed):
        with arena.worker("one") as one, arena.worker("two") as two:
            one.wait_ready()
            pause(6)
            one.kill()
            two.kill()
        with arena.worker("three") as three:
            three.wait_ready()
    with arena.worker("four"):
        arena.finish(feed, what="all killed")


def test_workers_that_start_together_on_a_fresh_topic(arena: Arena, feed: Feed) -> None:
    one, two, three = (arena.worker(name) for name in ("one", "two", "three"))
    with arena.flow(feed, 2_000), one, two, three:
        one.wait_ready()
        pause(2)
    with arena.worker("rest"):
        arena.finish(feed, what="cold start of three")


@pytest.mark.chaos
@pytest.mark.parametrize("at", range(5))
def test_workers_that_start_together_again(arena: Arena, feed: Feed, at: int) -> None:
    with arena.flow(feed, 2_000), arena.worker("one") as one, arena.worker("two"):
        one.wait_ready()
        pause(1 + at / 2)
    with arena.worker("rest"):
        arena.finish(feed, what="cold start of two")


@pytest.mark.chaos
def test_more_workers_than_partitions_come_and_go(arena: Arena, feed: Feed) -> None:
    with arena.flow(feed), arena.worker("stays") as stays, ExitStack() as ends:
        stays.wait_ready()
        more = [ends.enter_context(arena.worker(f"more-{n}")) for n in range(5)]
        for worker in more:
            worker.wait_until_up()  # before, SIGTERM ends it as it ends any program
        for worker in more:
            assert worker.stop() == 0
    with arena.worker("rest"):
        arena.finish(feed, what="one, six, one")


def halted(arena: Arena, feed: Feed, seconds: float) -> None:
    """A worker stands still under load and wakes up, beside another one."""
    with arena.worker("zombie") as zombie, arena.worker("other") as other:
        zombie.wait_ready()
        other.wait_ready()
        with arena.flow(feed):
            pause(3)
            zombie.halt()
            pause(seconds)
            zombie.go_on()
            pause(3)
        arena.finish(feed, what=f"halted for {seconds:g} s")


def test_a_worker_that_was_halted_beyond_its_session(arena: Arena, feed: Feed) -> None:
    halted(arena, feed, 9)


@pytest.mark.chaos
@pytest.mark.parametrize("seconds", [3, 26])
def test_a_worker_that_was_halted(arena: Arena, feed: Feed, seconds: float) -> None:
    halted(arena, feed, seconds)


@pytest.mark.chaos
@pytest.mark.parametrize(
    "step", ["ingest.before-send", "ingest.after-send", "commit.before", "judge.before-send"]
)
def test_a_worker_that_was_halted_between_two_steps(arena: Arena, feed: Feed, step: str) -> None:
    with arena.flow(feed), arena.worker("zombie", failpoints=f"{step}=stop@6") as zombie:
        pause(12)  # it has halted itself by now
        with arena.worker("other") as other:
            assert wait_until(lambda: other.metric("driftline_events_total") > 1_000, 60)
            zombie.go_on()
            pause(3)
    with arena.worker("rest"):
        arena.finish(feed, what=f"halted at {step}")
