"""Do all workers change references and configuration at a pane's border, and do windows say so?"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from stream.broker import EmbeddedBroker
from stream.bus.connection import Connection
from stream.bus.producer import Producer
from stream.bus.reference_store import record_of
from stream.cli import cli
from stream.clock import SystemClock
from stream.detect.configurations import NOTICE_MS
from stream.detect.partials import Partial
from stream.detect.partials import read as read_partial
from stream.detect.references import Reference
from stream.detect.times import rfc3339
from stream.settings import Settings
from tests.builders import reference
from tests.conftest import SeededGenerator
from tests.kafka_fixture import wait_until
from tests.system.arena import BODY, Arena
from tests.system.feed import Feed, Sent

pytestmark = pytest.mark.kafka

PANE_MS, AHEAD_MS = 2_000, 6_000
LIVE: dict[str, Any] = {
    "window": {"length": "2s", "pane": "2s", "grace": "0s", "max_ahead": "6s", "revise_for": "1m"},
}
CUT: dict[str, Any] = {  # windows of two panes: one may lie across the border
    "window": {**LIVE["window"], "more": ["4s"]},
    "models": {"m": {"rules": [{"name": "step", "measure": "psi", "reference": "previous"}]}},
}
CLOCK = SystemClock()


def event(ts: int, number: int) -> dict[str, Any]:
    """One event."""
    return {"id": f"e-{number}", "model": "m", "version": "1", "ts": ts,
            "segment": {"site": "ab"[number % 2]}, "features": {"x": number % 10}}  # fmt: skip


class Traffic:
    """Events of this very moment on all partitions, ten on each, and one that is late."""

    def __init__(self, arena: Arena, late_ms: int = 0) -> None:
        self._arena, self._late_ms, self._number = arena, late_ms, 0

    def publish(self) -> None:
        self._arena.publish(self._now())

    def _now(self) -> Iterator[Sent]:
        ts = CLOCK.now_ms()
        for at in range(40):
            self._number += 1
            is_late = at == self._number // 40 % 40
            late_ms = self._late_ms if is_late else 0
            yield at % 4, orjson.dumps(event(ts - late_ms, self._number))

    def until(self, is_true: Any, seconds: float) -> bool:
        """Publish twenty times a second until it is true."""

        def turn() -> bool:
            self.publish()
            return bool(is_true())

        return wait_until(turn, seconds)


def send(settings: Settings, known: Reference) -> int:
    """Put a reference on its topic; the time its record has."""

    async def work() -> None:
        producer = Producer(Connection(settings.bus.bootstrap), CLOCK, patience_s=30)
        await producer.start()
        await producer.send([record_of(known, settings.bus.topics["references"])])
        await producer.stop()

    asyncio.run(work())
    return CLOCK.now_ms()


def partials_of(arena: Arena) -> list[Partial]:
    """All parts that were sent."""
    found = (read_partial(r.value or b"") for r in asyncio.run(arena.reader("partials").read()))
    return [item for item in found if isinstance(item, Partial)]


def test_two_workers_change_their_reference_at_the_same_pane(
    tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str
) -> None:
    arena = Arena(tmp_path, broker.bootstrap, topic_prefix, body=LIVE)
    one = reference([event(0, i) for i in range(200)])
    two = reference([event(0, i * 2) for i in range(200)])
    send(arena.settings, one)
    traffic = Traffic(arena)
    with arena.worker("stays") as stays, arena.worker("killed") as killed:
        stays.wait_ready()
        killed.wait_ready()
        assert wait_until(lambda: stays.shares() == killed.shares() == 2, 60), stays.log()
        assert traffic.until(lambda: len(arena.values("windows")) >= 2, 30)
        sent_ms = send(arena.settings, two)
        killed.kill()
        # The one that comes in between has never seen the first reference in force.
        with arena.worker("comes") as comes:

            def is_over() -> bool:
                ends = [w["made_under"]["reference_ids"] for w in arena.values("windows")]
                return ends.count([two.id]) >= 3

            assert traffic.until(is_over, 60), comes.log()
    by_pane: dict[int, set[str | None]] = defaultdict(set)
    sources: dict[int, set[int]] = defaultdict(set)
    for partial in partials_of(arena):
        by_pane[partial.pane * PANE_MS].add(partial.reference_id)
        sources[partial.pane * PANE_MS].add(partial.source)
    border_ms = min(start for start, ids in by_pane.items() if two.id in ids)
    assert sent_ms < border_ms <= sent_ms + AHEAD_MS + PANE_MS
    for start_ms, ids in by_pane.items():
        assert ids == {one.id if start_ms < border_ms else two.id}, (start_ms, border_ms)
    assert sources[border_ms] == {0, 1, 2, 3}
    made = {tuple(w["made_under"]["reference_ids"]) for w in arena.values("windows")}
    assert made == {(one.id,), (two.id,)}


def in_force(arena: Arena) -> tuple[int, str]:
    """From when the change counts that was published, and its hash; from its record alone."""
    records = asyncio.run(arena.reader("configurations").read())
    announced = [(r.timestamp, orjson.loads(r.value)) for r in records]
    ((written_ms, body),) = [one for one in announced if one[1]["kind"] == "changed"]
    earliest_ms = written_ms + AHEAD_MS + NOTICE_MS
    return -(-earliest_ms // PANE_MS) * PANE_MS, body["config_hash"]


def counted(arena: Arena, border_ms: int) -> Counter[tuple[int, int, str | None]]:
    """Events by length, start and segment; segments of panes from the border on only."""
    found = Counter[tuple[int, int, str | None]]()
    for value in arena.values("predictions"):
        ts, site = value["ts"], f"site={value['segment']['site']}"
        for length in (PANE_MS, 2 * PANE_MS):
            found[length, ts // length * length, None] += 1
            if ts >= border_ms:
                found[length, ts // length * length, site] += 1
    return found


def ms(text: str) -> int:
    """Epoch milliseconds of a time in a window."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def told(arena: Arena) -> dict[tuple[int, int, str | None], dict[str, Any]]:
    """The last revision of each window that had events."""
    found = {}
    for window in sorted(arena.values("windows"), key=lambda w: w["revision"]):
        start, end = ms(window["start"]), ms(window["end"])
        if window["count"]:
            found[end - start, start, window["segment"]] = window
    return found


def test_two_workers_change_their_configuration_at_the_same_pane(
    tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str
) -> None:
    arena = Arena(tmp_path, broker.bootstrap, topic_prefix, body=CUT)
    before = arena.settings.detector.config_hash
    changed = {**CUT, "models": {"m": {**CUT["models"]["m"], "segments": ["site"]}}}
    edited = arena.config("edited", body=changed)
    traffic = Traffic(arena, late_ms=6_500)
    with arena.worker("stays") as stays, arena.worker("killed") as killed:
        stays.wait_ready()
        killed.wait_ready()
        assert wait_until(lambda: stays.shares() == killed.shares() == 2, 60), stays.log()
        assert traffic.until(lambda: len(arena.values("windows")) >= 2, 60)
        said = CliRunner().invoke(cli, ["config", "publish", "-c", str(edited)])
        assert said.exit_code == 0, said.output
        killed.kill()
        border_ms, after = in_force(arena)
        assert after in said.output
        assert rfc3339(border_ms) in said.output
        # Who comes in between has never seen the first file, and begins before the change counts.
        with arena.worker("comes", path=edited) as comes:
            over_ms = border_ms + 5 * PANE_MS
            assert traffic.until(lambda: CLOCK.now_ms() > over_ms + 6_500, 60)
            shown = 4 * PANE_MS  # the last windows wait for events that never come

            def agrees() -> bool:
                wanted = counted(arena, border_ms)
                last_ms = max(start for _, start, _ in wanted) - shown
                windows = told(arena)
                return all(
                    windows.get(key, {}).get("count") == n
                    for key, n in wanted.items()
                    if key[1] < last_ms
                )

            assert traffic.until(agrees, 1) or wait_until(agrees, 60), comes.log()
    for partial in partials_of(arena):
        wanted = before if partial.pane * PANE_MS < border_ms else after
        assert partial.config_hash == wanted, (partial.stream, partial.pane, partial.part)
        assert partial.stream.segment == "" or partial.pane * PANE_MS >= border_ms
    for (length, start, _), window in told(arena).items():
        last_pane_ms = start + length - PANE_MS
        assert window["config_hash"] == (before if last_pane_ms < border_ms else after)
    late = [p for p in partials_of(arena) if p.part and p.config_hash == before]
    assert max(p.pane + p.part for p in late) * PANE_MS >= border_ms  # came when it was over


def test_a_configuration_that_is_rolled_out_loses_nothing_and_is_recorded(
    tmp_path: Path, broker: EmbeddedBroker, topic_prefix: str, rng: SeededGenerator
) -> None:
    arena, feed = Arena(tmp_path, broker.bootstrap, topic_prefix), Feed(rng.seed)
    body = deepcopy(BODY)
    for model in body["models"].values():
        model["rules"][0]["above"] = 0.3
    changed = arena.config("changed", body=body)
    with arena.worker("one") as one, arena.worker("two") as two:
        one.wait_ready()
        two.wait_ready()
        with arena.flow(feed, 2_000):
            assert wait_until(lambda: arena.values("windows"), 60), one.log()
            assert one.stop() == 0
            with arena.worker("new one", path=changed) as new_one:
                new_one.wait_ready()
                assert two.stop() == 0
                with arena.worker("new two", path=changed) as new_two:
                    new_two.wait_ready()
                    wait_until(lambda: new_two.shares() == 2, 20)
        with arena.worker("new three", path=changed):
            arena.finish(feed, what="configuration rolled out")
    before, after = arena.settings.detector.config_hash, new_one.settings.detector.config_hash
    assert before != after
    assert_changed_at_a_border(partials_of(arena), before, after)
    windows = sorted(arena.values("windows"), key=lambda w: (w["end"], w["revision"]))
    assert windows[0]["config_hash"] == before
    assert windows[-1]["config_hash"] == after
    told = {tuple(w["made_under"]["config_hashes"]) for w in windows if w["count"]}
    assert told >= {(before,), (after,)}
    assert told <= {(before,), (after,), tuple(sorted((before, after)))}


def assert_changed_at_a_border(partials: list[Partial], before: str, after: str) -> None:
    """The first part of a pane is made under one configuration, and never under an older one."""
    found: dict[tuple[int, int], set[str]] = defaultdict(set)
    for partial in partials:
        if not partial.part:
            found[partial.source, partial.pane].add(partial.config_hash)
    assert {source for source, _ in found} == {0, 1, 2, 3}
    for source in range(4):
        hashes = [
            next(iter(h)) for (s, _), h in sorted(found.items()) if s == source and len(h) < 2
        ]
        assert hashes == sorted(hashes, key=(before, after).index)
