"""Does a flood of names, or of features, harm anybody else, and is it counted to the event?"""

from __future__ import annotations

import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stream.broker import EmbeddedBroker
from tests.kafka_fixture import wait_until
from tests.system.arena import BODY, Arena
from tests.system.checker import last_revisions, violations
from tests.system.feed import Feed, Sent, event
from tests.worker_process import MOST_RSS

pytestmark = [pytest.mark.kafka, pytest.mark.faults]


def flood() -> Iterator[Sent]:
    """20 000 models, 100 000 features, 100 000 categories, and one event with 50 000 features."""
    for at in range(20_000):
        yield at % 4, event(at, model=f"flood-{at}")
    for at in range(100):
        features = {f"f{name}": name for name in range(at * 1_000, (at + 1) * 1_000)}
        yield at % 4, event(at, model="wide", features=features)
    for at in range(100_000):
        yield at % 4, event(at // 10, id=f"t-{at}", model="texts", features={"c": f"v{at}"})
    yield 0, event(1, model="wide", features={f"g{name}": name for name in range(50_000)})


def counted(arena: Arena, begins: str) -> int:
    """Events in the minutes of the models whose name begins so."""
    windows = last_revisions(w for w in arena.values("windows") if w["model"].startswith(begins))
    return sum(w["count"] for key, w in windows.items() if key[2:4] == (None, 60_000))


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_flood_of_names_harms_no_established_model(
    tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str, feed: Feed
) -> None:
    models = BODY["models"] | {"wide": {"owner": "a"}, "texts": {"owner": "b"}}
    arena = Arena(tmp_path, broker.bootstrap, topic_prefix, body=BODY | {"models": models})
    arena.publish(feed.take(5_000))
    with arena.worker("only") as worker:
        worker.wait_ready()
        assert wait_until(lambda: worker.metric("driftline_events_total") > 4_500, 30)
        arena.publish(flood())
        arena.publish(feed.take(5_000))
        arena.publish(feed.close())
        expected = arena.expected()
        ours = {k: t for k, t in expected.windows.items() if k.model in ("alpha", "beta")}
        assert ours

        def broken() -> list[str]:
            windows = [w for w in arena.values("windows") if w["model"] in ("alpha", "beta")]
            return violations(replace(expected, windows=ours, refused=Counter()), windows, (), "")

        assert wait_until(lambda: not broken(), 400), broken()
        letters = Counter[str]()
        for one in arena.values("dead-letters"):
            letters[one["reason"]] += one["count"]
        # What closes the feed ends no window of its own; none of the flood is after it.
        assert counted(arena, "flood-") + letters["too_many_models"] == 20_000
        assert counted(arena, "flood-") >= 1_000
        assert counted(arena, "wide") == 100
        assert counted(arena, "texts") == 100_000
        assert letters["too_many_features"] == 1
        started_ms = arena.clock.monotonic_ms()
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.port}/metrics", timeout=10) as page:
            size = len(page.read())
        took_s = (arena.clock.monotonic_ms() - started_ms) / 1000
        rss = worker.rss()
        arena.report(f"flood of names: RSS {rss >> 20} MB, scrape {size >> 10} KiB", took_s)
        assert size < 2 << 20
        assert took_s < 1
        assert rss < 2 * MOST_RSS
        assert worker.stop() == 0


@pytest.mark.chaos
@pytest.mark.timeout(400)
def test_a_part_that_no_broker_takes_is_told_and_holds_nobody_up(
    tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str, feed: Feed
) -> None:
    body = {**BODY, "limits": {"max_features": 100_000, "max_feature_names": 100_000}}
    arena = Arena(tmp_path, broker.bootstrap, topic_prefix, body=body)
    arena.publish(feed.take(3_000))
    for half in range(2):  # each is a message that the broker takes
        features = {f"{half}{name}": name for name in range(20_000)}
        arena.publish([(0, event(half, model="wide", features=features))])
    arena.publish(feed.take(30_000))
    arena.publish(feed.close())
    expected = arena.expected()
    lost = [key for key in expected.windows if key.model == "wide"]
    for key in lost:
        del expected.windows[key]
    with arena.worker("only") as worker:
        worker.wait_ready()
        arena.settle(200, what="a part of 9 MB", expected=expected, forgives={"too_large"})
        assert worker.stop() == 0
    [letter] = [one for one in arena.values("dead-letters") if one["reason"] == "too_large"]
    assert letter["topic"] == arena.settings.bus.topics["partials"]
    assert "wide" in letter["detail"]
