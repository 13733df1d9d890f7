"""Check: a world at rest in; AssertionError naming the invariant that does not hold out.

In    `World` (world.py), `Expected` (oracle.py)
Out   nothing, or what is wrong

I1 each event in one window per length, unless others had left it behind when it was published
I2 nothing is lost without a dead letter that names the window   I3 a revision has one content
I4 alerts are those of an undisturbed judge   I5 dead letters have their reason and place
I6 commits never go back   I11 parts are those of an undisturbed run, byte for byte
I12 each pane is counted, each window judged, under the configuration in force for it
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from stream.detect.ingest.events import Messages
from stream.detect.partials import Partial, pack, read
from tests.stream.schedules.oracle import Expected, Key, Rules, Tally, expect, in_force_at
from tests.stream.schedules.world import World, rules_of

PartKey = tuple[Any, ...]
TOP = 10  # ids a window shows


def check(world: World) -> None:
    """All invariants."""
    logs = [
        [(*record, reached) for record, reached in zip(log, known, strict=True)]
        for log, known in zip(world.ingest.topic.partitions, world.reached, strict=True)
    ]
    in_force = [(from_ms, rules_of(spec)) for from_ms, spec in world.changes.in_force()]
    expected = expect(rules_of(world.spec), logs, in_force)
    commits_never_go_back(world)
    dead_letters_are_the_refused(world, expected)
    parts = last_parts(world)
    assert parts == undisturbed_parts(world), "I11: parts differ from those of a quiet run"
    windows_hold_each_event_once(world, expected)
    windows_name_the_configuration_of_their_last_pane(world, in_force)
    judges_agree_with_one_that_never_stopped(world)


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
    parts = dict[PartKey, bytes]()
    sources = len(world.ingest.topic.partitions)
    for partition, log in enumerate(world.ingest.topic.partitions):
        ingestor = world.changes.informed().ingestor(partition, sources)
        values, arrivals = [r.value for r in log], [r.arrival_ms for r in log]
        messages = Messages("p", partition, values, range(len(log)), arrivals)
        handed = ingestor.add(messages).partials + ingestor.finish().partials
        parts |= {part_key(partial): pack(partial) for partial in handed}
    return parts


def windows_hold_each_event_once(world: World, expected: Expected) -> None:
    """I1 and I2: of the last revisions; what is missing came after its window was final."""
    said = world.bench.said
    letters = Counter[Key]()
    for orphan in said.orphans.values():
        for (model, _, segment), length_ms, start_ms in orphan.windows:
            letters[Key(model, segment or None, length_ms, start_ms)] += orphan.partial.state.events
    last: dict[Key, dict[str, Any]] = {}
    for window in sorted(said.windows.values(), key=lambda one: one["revision"]):
        if window["count"] + window["duplicates"]:
            last[key_of(window)] = window
    shown = {key: stated(window) for key, window in last.items() if key not in letters}
    wanted = {key: meant(tally) for key, tally in expected.windows.items() if key not in letters}
    assert shown == wanted, "I1: windows"
    for key, most in letters.items():
        tally = expected.windows[key]
        missing = tally.ids.total() - (last[key]["count"] if key in last else 0)
        assert 0 <= missing <= most, f"I2: {missing} events of {key} are missing"
        assert missing <= tally.hopeless, f"I1: {key} was run away from"
        has_all = key in last and stated(last[key]) == meant(tally)
        assert not has_all, f"I2: {key} has everything, and letters say that it has not"


def windows_name_the_configuration_of_their_last_pane(
    world: World, in_force: list[tuple[int, Rules]]
) -> None:
    """I12: and partials that of their own."""
    first, pane_ms = rules_of(world.spec), world.spec.time.pane_ms
    for window in world.bench.said.windows.values():
        key = key_of(window)
        wanted = in_force_at(in_force, key.start_ms + key.length_ms - pane_ms, first)
        assert window["config_hash"] == wanted.config, f"I12: {key}"
        assert key.length_ms in wanted.lengths_ms, f"I12: {key}"
    for log in world.partials.partitions:
        for partial in (item for record in log if isinstance(item := read(record.value), Partial)):
            wanted = in_force_at(in_force, partial.pane * pane_ms, first)
            assert partial.config_hash == wanted.config, f"I12: {part_key(partial)}"


def judges_agree_with_one_that_never_stopped(world: World) -> None:
    """I3, I4 and I11: whatever befell them, they told the same, and all of it."""
    if world.bench.is_undisturbed:
        return
    said, quiet = world.bench.said, world.bench.undisturbed()
    assert said.windows.keys() == quiet.windows.keys(), "I3: other windows"
    assert said.alerts.keys() == quiet.alerts.keys(), "I4: other alerts"
    assert said.orphans.keys() == quiet.orphans.keys(), "I5: other orphans"
    for window in quiet.windows.values():
        said.window(window)
    for alert in quiet.alerts.values():
        said.alert(alert)


def key_of(window: dict[str, Any]) -> Key:
    start, end = (
        round(datetime.fromisoformat(window[name]).timestamp() * 1000) for name in ("start", "end")
    )
    return Key(window["model"], window["segment"], end - start, start)


def stated(window: dict[str, Any]) -> tuple[Any, ...]:
    """Count, late, duplicates, whether those are all, the first ids and how many there are."""
    who = window["features"].get("who", {"top": [], "distinct": 0})
    told = window["count"], window["late"], window["duplicates"], window["duplicates_exact"]
    return (*told, [tuple(item) for item in who["top"]], who["distinct"])


def meant(tally: Tally) -> tuple[Any, ...]:
    ranked = sorted(tally.ids.items(), key=lambda item: (-item[1], item[0]))
    told = tally.ids.total(), tally.late, tally.duplicates, not tally.unkept
    return (*told, ranked[:TOP], len(tally.ids))
