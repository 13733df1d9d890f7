"""Does a worker that is told to stop end in time, and is every event counted once?"""

from __future__ import annotations

import pytest

from tests.kafka_fixture import wait_until
from tests.system.arena import Arena, pause
from tests.system.feed import Feed

pytestmark = [pytest.mark.kafka, pytest.mark.faults]


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
def test_a_worker_that_is_told_to_stop_leaves_nothing_undone(
    arena: Arena, feed: Feed, busy: bool
) -> None:
    arena.publish(feed.take(60_000 if busy else 3_000))
    with arena.worker("first") as first:
        first.wait_ready()
        if not busy:
            assert wait_until(lambda: first.metric("driftline_events_total") > 2_500, 30)
        started_ms = arena.clock.monotonic_ms()
        assert first.stop() == 0
        took_s = (arena.clock.monotonic_ms() - started_ms) / 1000
        assert "without a last commit" not in first.log()
        assert took_s < 10
        arena.report("SIGTERM, busy" if busy else "SIGTERM, idle", took_s)
    with arena.worker("second"):
        arena.finish(feed, what="after SIGTERM")


@pytest.mark.parametrize("step", ["revoke.before-commit", "stop.before-leave"])
def test_a_worker_killed_while_it_stops(arena: Arena, feed: Feed, step: str) -> None:
    arena.publish(feed.take(20_000))
    with arena.worker("victim", failpoints=f"{step}=kill") as victim:
        victim.wait_ready()
        assert wait_until(lambda: victim.metric("driftline_events_total") > 5_000, 30)
        assert victim.stop() == -9, victim.log()
    with arena.worker("next"):
        arena.finish(feed, what=f"killed at {step}")


@pytest.mark.chaos
@pytest.mark.parametrize("pause_s", [0.0, 0.3, 1.0])
def test_a_worker_is_told_to_stop_amid_a_rebalance(
    arena: Arena, feed: Feed, pause_s: float
) -> None:
    with arena.flow(feed, 2_000), arena.worker("leaves") as leaves:
        leaves.wait_ready()
        with arena.worker("comes") as comes:
            comes.wait_until_up()  # it has just asked to be let into the groups
            pause(pause_s)
            assert leaves.stop() == 0
            comes.wait_ready()
    with arena.worker("rest"):
        arena.finish(feed, what=f"SIGTERM {pause_s:g} s into a rebalance")


def test_a_worker_whose_event_loop_is_held_up_ends_in_time_when_told(
    arena: Arena, feed: Feed
) -> None:
    with arena.worker("hangs", failpoints="ingest.after-send=hang") as hangs:
        hangs.wait_ready()
        arena.publish(feed.take(3_000))
        assert wait_until(lambda: hangs.get("/metrics") is None, 30)
        assert hangs.process is not None
        hangs.process.terminate()
        assert hangs.exit_code(20) == 143
    with arena.worker("next"):
        arena.finish(feed, what="hard stop")


def test_a_worker_whose_event_loop_is_held_up_for_too_long_ends(arena: Arena, feed: Feed) -> None:
    path = arena.config("impatient", bus={"exit_after": "5s"})
    arena.publish(feed.take(3_000))
    with arena.worker("hangs", path=path, failpoints="ingest.after-send=hang@2") as hangs:
        assert hangs.exit_code(60) == 4
    with arena.worker("next"):
        arena.finish(feed, what="held up for too long")


def test_a_static_member_that_comes_back_keeps_its_partitions(arena: Arena, feed: Feed) -> None:
    paths = {
        name: arena.config(name, bus={"group_instance_id": name, "session_timeout": "30s"})
        for name in ("first", "second")
    }
    with arena.worker("stays", path=paths["second"]) as stays:
        stays.wait_ready()
        with arena.worker("leaves", path=paths["first"]) as leaves:
            assert wait_until(lambda: stays.shares() == leaves.shares() == 2, 30)
            with arena.flow(feed):
                pause(3)
                assert leaves.stop() == 0
        started_ms = arena.clock.monotonic_ms()
        with arena.worker("is back", path=paths["first"]) as back:
            assert wait_until(lambda: back.shares() == 2, 25), back.log()
            arena.report("static member back", (arena.clock.monotonic_ms() - started_ms) / 1000)
            assert stays.shares() == 2
            arena.finish(feed, what="static member restarted")
