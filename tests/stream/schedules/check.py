"""Check: a world at rest in; AssertionError naming the invariant that does not hold out.

In    `World` (world.py), `Expected` (oracle.py)
Out   nothing, or what is wrong

I1 each event in one window per length   I2 nothing is lost without a dead letter
I5 dead letters have their reason and place   I6 commits never go back
I11 parts are those of an undisturbed run, byte for byte
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from stream.detect.detector import Detector
from stream.detect.ingest.events import Messages
from stream.detect.partials import Partial, pack, read
from tests.stream.schedules.oracle import Expected, Key, Tally, expect
from tests.stream.schedules.world import World, rules_of

PartKey = tuple[Any, ...]
DAY_MS = 86_400_000
TOP = 10  # ids a window shows


def check(world: World) -> None:
    """All invariants."""
    logs = [[(r.value, r.arrival_ms) for r in log] for log in world.ingest.topic.partitions]
    expected = expect(rules_of(world.spec), logs)
    commits_never_go_back(world)
    dead_letters_are_the_refused(world, expected)
    parts = last_parts(world)
    assert parts == undisturbed_parts(world), "I11: parts differ from those of a quiet run"
    windows_hold_each_event_once(world, expected)


def commits_never_go_back(world: World) -> None:
    last: dict[int, int] = {}
    for partition, offset in world.ingest.group.accepted:
        assert offset >= last.get(partition, 0), f"I6: {partition} went back to {offset}"
        last[partition] = offset


def dead_letters_are_the_refused(world: World, expected: Expected) -> None:
    told: dict[tuple[int, int, str, str | None], int] = {}
    for partition, letter in world.dead:
        place = (partition, letter.offset, letter.reason, letter.field)
        assert told.setdefault(place, letter.count) == letter.count, f"I5: {place} in two numbers"
    assert told == dict(expected.refused), "I5: dead letters"


def part_key(partial: Partial) -> PartKey:
    return (*partial.stream, partial.source, partial.pane, partial.part)


def last_parts(world: World) -> dict[PartKey, bytes]:
    """Of each key the part that covers most of the source."""
    best: dict[PartKey, tuple[int, int, bytes]] = {}
    for log in world.partials.partitions:
        for record in log:
            item = read(record.value)
            if isinstance(item, Partial):
                found = item.last_offset, -item.first_offset, record.value
                key = part_key(item)
                known = best.get(key, found)
                if known[:2] == found[:2]:
                    assert known[2] == found[2], f"I11: {key} contradicts itself"
                best[key] = max(known, found)
    return {key: value for key, (_, _, value) in best.items()}


def undisturbed_parts(world: World) -> dict[PartKey, bytes]:
    """Those of one worker that reads everything once and is never silent."""
    detector, parts = Detector(world.spec, lambda _model, _version: None), dict[PartKey, bytes]()
    sources = len(world.ingest.topic.partitions)
    for partition, log in enumerate(world.ingest.topic.partitions):
        ingestor = detector.ingestor(partition, sources)
        values, arrivals = [r.value for r in log], [r.arrival_ms for r in log]
        messages = Messages("p", partition, values, range(len(log)), arrivals)
        handed = ingestor.add(messages).partials + ingestor.finish().partials
        parts |= {part_key(partial): pack(partial) for partial in handed}
    return parts


def keys_of(partial: Partial, world: World) -> list[Key]:
    at_ms = partial.pane * world.spec.time.pane_ms
    model, _, segment = partial.stream
    lengths = world.spec.default.lengths_ms
    return [Key(model, segment or None, n, at_ms // n * n) for n in lengths]


def windows_hold_each_event_once(world: World, expected: Expected) -> None:
    """I1 and I2: of the last revisions; what is missing came after its window was final."""
    orphans = Counter[Key]()
    for partial in {part_key(one): one for one in world.orphans}.values():
        orphans.update(dict.fromkeys(keys_of(partial, world), partial.state.events))
    last: dict[Key, dict[str, Any]] = {}
    for window in world.windows:
        key = key_of(window)
        if (
            window["count"] + window["duplicates"]
            and last.get(key, window)["revision"] <= window["revision"]
        ):
            last[key] = window
    shown = {key: said(window) for key, window in last.items() if key not in orphans}
    wanted = {key: meant(tally) for key, tally in expected.windows.items() if key not in orphans}
    assert shown == wanted, "I1: windows"
    for key, letters in orphans.items():
        missing = expected.windows[key].ids.total() - (last[key]["count"] if key in last else 0)
        assert 0 <= missing <= letters, f"I2: {missing} events of {key} are missing"


def key_of(window: dict[str, Any]) -> Key:
    start, end = (
        round(datetime.fromisoformat(window[name]).timestamp() * 1000) for name in ("start", "end")
    )
    return Key(window["model"], window["segment"], end - start, start)


def said(window: dict[str, Any]) -> tuple[Any, ...]:
    """Count, late, duplicates, whether those are all, the first ids and how many there are."""
    who = window["features"].get("who", {"top": [], "distinct": 0})
    told = window["count"], window["late"], window["duplicates"], window["duplicates_exact"]
    return (*told, [tuple(item) for item in who["top"]], who["distinct"])


def meant(tally: Tally) -> tuple[Any, ...]:
    ranked = sorted(tally.ids.items(), key=lambda item: (-item[1], item[0]))
    told = tally.ids.total(), tally.late, tally.duplicates, not tally.unkept
    return (*told, ranked[:TOP], len(tally.ids))
