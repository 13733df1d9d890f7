"""Do kills change what windows and alerts say? Compared with a worker that nobody hurt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stream.broker import EmbeddedBroker
from tests.conftest import SeededGenerator
from tests.system.arena import CHUNK, Arena
from tests.system.checker import contradictions, last_revisions
from tests.system.feed import Feed, Trouble
from tests.worker_process import LOGICAL

pytestmark = [pytest.mark.kafka, pytest.mark.faults]

STEPS = (
    "judge.before-send=kill@6",
    "judge.after-send=kill@9",
    "commit.after=kill@2",
    "producer.middle=kill@12",
)


def alerts_of(arena: Arena) -> dict[str, Any]:
    """Alert events by id; what is sent twice must be the same."""
    found: dict[str, Any] = {}
    for alert in arena.values("alerts"):
        assert found.setdefault(alert["id"], alert) == alert
    return found


def windows_of(arena: Arena) -> dict[Any, Any]:
    """Windows without the offsets, which depend on nothing a reader needs."""
    return last_revisions(arena.values("windows"))


def test_a_run_with_kills_says_what_a_run_without_says(
    tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str, rng: SeededGenerator
) -> None:
    arena = Arena(tmp_path, broker.bootstrap, topic_prefix)
    # What comes late revises windows, in an order that depends on which partition is read first.
    feed = Feed(rng.seed, trouble=Trouble(late=0, too_late=0))
    for step in STEPS:
        arena.publish(feed.take(3 * CHUNK))
        with arena.worker("victim", failpoints=step) as victim:
            assert victim.exit_code() == -9, f"never reached {step}"
    with arena.worker("last"):
        arena.finish(feed, what="killed at steps of the judge")
    topics = {name: f"{topic_prefix}calm-{name}" for name in LOGICAL}
    topics["predictions"] = arena.settings.bus.topics["predictions"]
    (tmp_path / "calm").mkdir()
    calm = Arena(
        tmp_path / "calm", broker.bootstrap, f"{topic_prefix}calm-", bus={"topics": topics}
    )
    with calm.worker("calm"):
        calm.settle(what="the same log without faults")
    assert list(contradictions(arena.values("windows"))) == []
    assert windows_of(arena) == windows_of(calm)
    assert alerts_of(arena).keys() == alerts_of(calm).keys()
    assert len(alerts_of(calm)) > 5
