"""Ingestor: parts are handed out once they are complete, and nothing is dropped silently.

Panes of 60 s, grace 10 s, late for 120 s. What holds for any log stands in test_laws.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stream.detect.configurations import Configurations
from stream.detect.detector import Detector
from stream.detect.ingest.ingestor import MOST_PANES, Ingestor, Intake, Sketchbook
from stream.detect.ingest.windows import NEVER_MS
from stream.detect.partials import Partial, pack
from stream.detect.references import Reference
from stream.detect.specs import FeatureSpec, LimitSpec, ModelSpec
from tests.builders import (
    FAR_S,
    M,
    at,
    cut,
    event,
    ingestor,
    messages,
    no_reference,
    pane_of,
    reference,
    spec,
)

SEGMENTED = ModelSpec(name="m", lengths_ms=(60_000,), segments=("origin",))


def feed(worker: Ingestor, *values: Any, first_offset: int = 0, arrival_s: float = FAR_S) -> Intake:
    return worker.add(messages(*values, first_offset=first_offset, arrival_s=arrival_s))


def keys(intake: Intake) -> list[tuple[str, int, int, int]]:
    """(segment, pane counted from the first, part, events)."""
    return [
        (p.stream.segment, p.pane - pane_of(0), p.part, p.state.events) for p in intake.partials
    ]


def reasons(intake: Intake) -> list[tuple[str, int]]:
    return [(letter.reason, letter.offset) for letter in intake.dead]


def test_a_part_is_handed_out_when_the_watermark_passes_its_end() -> None:
    #   0s         60s        120s
    #   [----A-----)[----B-----)
    #     e1 e2          e3 at 69       e4 at 70: now A is sent, with e1 and e2
    worker = ingestor()
    assert keys(feed(worker, event(10), event(50), event(69))) == []
    assert keys(feed(worker, event(70), first_offset=3)) == [("", 0, 0, 2)]


def test_a_part_says_which_offsets_are_in_it() -> None:
    worker = ingestor()
    intake = feed(worker, event(61), event(10), event(20), event(62), event(70), first_offset=40)
    [part] = intake.partials
    assert (part.first_offset, part.last_offset, part.source) == (41, 42, 0)
    assert (part.reference_id, part.config_hash) == (None, "c0")


def test_late_events_form_a_part_of_their_own_and_are_marked_late() -> None:
    #   0s         60s        120s       180s
    #   [----A-----)[----B-----)[----C-----)
    #        e1     e2 at 80: A is sent       e3 at 30 is late, in part 1 of A
    worker = ingestor()
    feed(worker, event(10), event(80))
    late = feed(worker, event(30), first_offset=2)
    assert (late.late, late.counted[M.model, M.version]) == (1, 1)
    intake = feed(worker, event(135), first_offset=3)
    assert keys(intake) == [("", 0, 1, 1), ("", 1, 0, 1)]
    assert [part.state.late for part in intake.partials] == [1, 0]


def test_too_late_and_too_far_ahead_become_dead_letters_with_their_message() -> None:
    worker = ingestor()
    raw = b'{"id":"x","model":"m","ts":%d}' % at(5)
    intake = feed(worker, event(200), raw, event(800), arrival_s=400, first_offset=7)
    assert reasons(intake) == [("too_late", 8), ("too_far_ahead", 9)]
    assert intake.dead[0].raw == raw
    assert intake.dead[0].detail == (
        "event time 2024-10-04T00:00:05Z, watermark 2024-10-04T00:03:10Z"
    )
    assert sum(intake.counted.values()) == 1


def test_a_marker_tells_every_pane_the_watermark_enters() -> None:
    worker = ingestor(partition=1, partitions=4)
    first = feed(worker, event(10)).marker
    assert first is not None
    assert (first.source, first.sources, first.is_idle) == (1, 4, False)
    assert feed(worker, event(69), first_offset=1).marker is None
    entered = feed(worker, event(75), first_offset=2).marker
    assert entered is not None
    assert entered.watermark_ms == at(65)


def test_an_idle_partition_says_so_and_says_when_it_is_back() -> None:
    worker = ingestor()
    feed(worker, event(20))
    idle = worker.idle(60_000).marker
    back = feed(worker, event(21), first_offset=1).marker
    assert idle is not None
    assert back is not None
    assert (idle.is_idle, idle.watermark_ms) == (True, at(60))
    assert (back.is_idle, back.watermark_ms) == (False, at(60))


def test_silence_is_told_from_border_to_border_of_panes() -> None:
    worker = ingestor()
    feed(worker, event(20), event(30))
    told = []
    for _ in range(4):
        marker = worker.idle(25_000).marker
        assert marker is not None
        told.append(marker.watermark_ms)
    assert told == [at(20), at(60), at(60), at(120)]
    assert worker.watermark_ms == at(20)


def test_silence_sends_everything_and_sends_it_again_if_it_becomes_more() -> None:
    #   0s         60s
    #   [----A-----)
    #     e1 at 20        the watermark is 10; others may be far ahead, so A is sent at once
    #     e2 at 25        still in A, by the log: A is sent again with both
    worker = ingestor()
    feed(worker, event(20))
    assert keys(worker.idle(1_000)) == [("", 0, 0, 1)]
    assert keys(worker.idle(60_000)) == []
    assert keys(feed(worker, event(25), first_offset=1)) == []
    [again] = worker.idle(1_000).partials
    assert (again.part, again.state.events, again.state.late) == (0, 2, 0)
    assert (again.first_offset, again.last_offset) == (0, 1)


def test_no_marker_is_the_same_as_the_one_before() -> None:
    worker = ingestor()
    feed(worker, event(20))
    markers = [worker.idle(0).marker for _ in range(3)]
    assert len(set(markers)) == 3


def test_markers_are_counted_on_from_what_the_owner_was_given() -> None:
    worker = Detector(spec(), no_reference).ingestor(0, 1, beat=7_000)
    markers = [feed(worker, event(20)).marker, worker.idle(0).marker]
    assert [marker.beat for marker in markers if marker] == [7_001, 7_002]


def test_what_was_sent_in_silence_is_not_sent_again_when_its_time_comes() -> None:
    worker = ingestor()
    feed(worker, event(20))
    assert keys(worker.idle(60_000)) == [("", 0, 0, 1)]
    assert keys(feed(worker, event(75), first_offset=1)) == []
    assert keys(worker.finish()) == [("", 1, 0, 1)]


def test_the_clock_of_a_worker_decides_nothing_that_another_one_would_not() -> None:
    #   a worker that stood still takes the partition for idle, or not; e2 comes after that
    log = messages(event(20), event(15), event(95))
    parts = []
    for silence_ms in (0, 1_000, 10_000_000):
        worker = ingestor()
        worker.add(cut(log, 0, 1))
        intakes = [worker.idle(silence_ms), worker.add(cut(log, 1, 3)), worker.finish()]
        last = {(p.pane, p.part): pack(p) for intake in intakes for p in intake.partials}
        parts.append(last)
    assert parts[0] == parts[1] == parts[2]


def test_a_silence_that_was_told_is_not_taken_back_after_a_restart() -> None:
    worker = ingestor()
    feed(worker, event(20))
    worker.idle(120_000)
    offset, progress = worker.commit_point()
    assert (offset, progress.told_ms, progress.read_to) == (0, at(120), 1)
    after = ingestor(next_offset=offset, progress=progress)
    assert after.told_ms == at(120)
    marker = feed(after, event(20), event(21)).marker
    assert marker is not None
    assert (marker.watermark_ms, marker.is_idle) == (at(120), False)
    assert keys(after.finish()) == [("", 0, 0, 2)]


def test_a_partition_without_an_event_is_idle_without_a_watermark() -> None:
    worker = ingestor()
    marker = worker.idle(100_000).marker
    assert marker is not None
    assert (marker.is_idle, marker.watermark_ms) == (True, NEVER_MS)


def test_the_end_hands_out_everything() -> None:
    worker = ingestor()
    feed(worker, event(10), event(65), event(66, model="o"))
    assert keys(worker.finish()) == [("", 0, 0, 1), ("", 1, 0, 1), ("", 1, 0, 1)]


def test_whoever_drops_a_partition_hands_out_nothing_more_and_frees_its_rows() -> None:
    book = Sketchbook(Configurations(spec()), no_reference)
    worker = Ingestor(book, partition=0, partitions=1)
    feed(worker, event(10), event(65))
    worker.drop()
    assert keys(worker.finish()) == []
    assert book.current("m", "1", pane_of(0)).open_slots == 0


def test_partitions_of_one_worker_share_sketches_but_no_rows() -> None:
    book = Sketchbook(Configurations(spec()), no_reference)
    one, two = (Ingestor(book, partition=p, partitions=2) for p in (0, 1))
    feed(one, event(10, {"x": 1}))
    feed(two, event(10, {"x": 2}), event(11, {"x": 3}))
    means = [
        (p.source, p.state.events, float(p.state.features["feature.x"].number.moments.low[0]))  # type: ignore[union-attr]
        for worker in (one, two)
        for p in worker.finish().partials
    ]
    assert means == [(0, 1, 1.0), (1, 2, 2.0)]


def test_a_row_that_was_used_before_starts_empty() -> None:
    worker = ingestor(spec(ModelSpec(name="m", lengths_ms=(60_000,))))
    parts = list[Partial]()
    for pane in range(8):
        values = [event(60 * pane + i, {"x": pane, "c": f"c{pane}"}) for i in range(pane + 1)]
        parts += feed(worker, *values, first_offset=100 * pane).partials
    parts += worker.finish().partials
    found = [
        (p.state.events, p.state.features["feature.c"].category.counts)  # type: ignore[union-attr]
        for p in parts
    ]
    assert found == [(pane + 1, {f"c{pane}": pane + 1}) for pane in range(8)]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"segment": {"origin": "JFK"}}, "origin=JFK"),
        ({"features": {"origin": "JFK"}}, "origin=JFK"),
        ({"segment": {"origin": "JFK"}, "features": {"origin": "LGA"}}, "origin=JFK"),
        ({"segment": {"origin": None}, "features": {"origin": "LGA"}}, "origin=LGA"),
        ({"segment": {"origin": True}}, "origin=true"),
        ({"segment": {"origin": 7.0}}, "origin=7"),
        ({"segment": {"origin": ""}}, "origin="),
        ({"segment": {"origin": "x" * 300}}, "origin=" + "x" * 255 + "…"),
        ({"segment": {"origin": ["JFK"]}}, None),
        ({"segment": {"carrier": "UA"}}, None),
        ({}, None),
    ],
)
def test_an_event_counts_in_its_segment_and_in_the_whole(more: Any, expected: str | None) -> None:
    worker = ingestor(spec(SEGMENTED))
    feed(worker, event(1, **more))
    found = [p.stream.segment for p in worker.finish().partials]
    assert found == ["", *([expected] if expected is not None else [])]


def test_the_segment_of_an_event_does_not_depend_on_its_neighbours() -> None:
    worker = ingestor(spec(SEGMENTED))
    feed(worker, event(1, {"origin": "LGA"}), event(2, segment={"origin": "JFK"}), event(3))
    found = {p.stream.segment: p.state.events for p in worker.finish().partials}
    assert found == {"": 3, "origin=JFK": 1, "origin=LGA": 1}


def test_parts_opened_under_an_old_reference_are_finished_there() -> None:
    #   0s         60s        120s
    #   [----A-----)[----B-----)          the new reference comes between e2 and e3
    #     e1   e2     e3
    old, new = (reference([event(i, {"x": i % k}) for i in range(40)]) for k in (3, 5))
    today: list[Reference] = [old]
    book = Sketchbook(Configurations(spec()), lambda _model, _version: today[0])
    worker = Ingestor(book, partition=0, partitions=1)
    feed(worker, event(10, {"x": 1}))
    today[0] = new
    feed(worker, event(20, {"x": 1}), event(65, {"x": 1}), first_offset=1)
    found = [(p.reference_id, p.state.events) for p in worker.finish().partials]
    assert found == [(old.id, 2), (new.id, 1)]


def test_a_reference_is_in_force_from_a_border_of_panes_on_for_late_events_too() -> None:
    #   0s         60s        120s
    #   [----A-----)[----B-----)          the new reference is in force from 60 s on
    #     e1           e2    e3 at 20 and e4 at 70 in one fetch, e5 late in A
    old, new = (reference([event(i, {"x": i % k}) for i in range(40)]) for k in (3, 5))
    new.from_ms, new.before = at(60), old
    book = Sketchbook(Configurations(spec()), lambda _model, _version: new)
    worker = Ingestor(book, partition=0, partitions=1)
    feed(worker, *[event(s, {"x": 1}) for s in (10, 65, 20, 70, 80, 30)])
    found = [(p.pane - pane_of(0), p.part, p.reference_id) for p in worker.finish().partials]
    assert sorted(found) == [(0, 1, old.id), (1, 0, new.id)]
    assert len(book._current) == 2


def test_latencies_of_counted_events_are_handed_on_for_metrics() -> None:
    worker = ingestor()
    values = [event(300, latency_ms=5), event(1, latency_ms=9), event(301, latency_ms=7)]
    [(whose, latencies_ms)] = feed(worker, *values).latencies_ms
    assert whose == ("m", "1")
    assert latencies_ms.tolist() == [5, 7]


def test_every_late_event_of_a_large_batch_is_refused_with_its_offset() -> None:
    worker = ingestor()
    feed(worker, event(10_000))
    intake = feed(worker, *[event(1)] * 5_000, first_offset=1)
    assert [letter.offset for letter in intake.dead] == list(range(1, 5_001))


def test_a_fetch_over_many_panes_opens_only_some_of_them_at_a_time() -> None:
    book = Sketchbook(Configurations(spec()), no_reference)
    worker = Ingestor(book, partition=0, partitions=1)
    intake = feed(worker, *[event(60 * i, {"x": i}) for i in range(1_000)], b"no event")
    assert len(intake.partials) == 998  # [59 880 s, 59 940 s) is open for ten more seconds
    assert intake.marker is not None
    assert intake.marker.watermark_ms == at(60 * 999 - 10)
    assert (sum(intake.counted.values()), reasons(intake)) == (1_000, [("not_json", 1_000)])
    assert book.current("m", "1", pane_of(0)).rows <= 2 * MOST_PANES


def test_nothing_is_sent_twice_and_nothing_forgotten_over_a_commit() -> None:
    #   offset   0    1    2    3
    #   event    10s  65s  80s  20s(late)      A is sent at offset 2; B is open since offset 1;
    #                                          the ids of A are known for one pane more
    worker = ingestor()
    log = messages(event(10), event(65), event(80), event(20))
    sent = keys(worker.add(log))
    offset, progress = worker.commit_point()
    assert offset == 0
    after = ingestor(next_offset=offset, progress=progress)
    rest = replay_from(offset, log)
    assert sent == [("", 0, 0, 1)]
    assert keys(after.add(rest)) == []
    assert keys(after.finish()) == [("", 0, 1, 1), ("", 1, 0, 2)]


def replay_from(offset: int, log: Any) -> Any:
    return log._replace(
        values=log.values[offset:],
        offsets=log.offsets[offset:],
        arrivals_ms=log.arrivals_ms[offset:],
    )


def test_a_commit_before_the_first_fetch_changes_nothing() -> None:
    worker = ingestor()
    feed(worker, event(10), event(65), event(80), event(20))
    committed = worker.commit_point()
    after = ingestor(next_offset=committed[0], progress=committed[1])
    assert after.commit_point() == committed


def test_a_replay_begins_with_the_watermark_before_the_whole_message() -> None:
    """One message holds an event that closes panes, one before it and one after it in the log."""
    log = messages([event(59), event(95, model="o"), event(70)])
    worker = ingestor()
    before = worker.add(log)
    offset, progress = worker.commit_point()
    after = ingestor(next_offset=offset, progress=progress)
    again = after.add(log)
    assert keys(before) == [("", 0, 0, 1)]
    assert (keys(again), again.dead) == ([], [])
    assert sorted(keys(after.finish())) == [("", 1, 0, 1), ("", 1, 0, 1)]


def test_what_was_refused_before_a_commit_is_not_told_again_with_less() -> None:
    #   offset   0     1      2       3                   4
    #   event    a 5s  a 65s  a 125s  b 20s and b 130s    a 175s: the models of pane 0 are forgotten
    narrow = spec(limits=LimitSpec(max_models=1))
    a = [event(second, model="a") for second in (5, 65, 125, 175)]
    log = messages(*a[:3], [event(20, model="b"), event(130, model="b")], a[3], b"{")
    worker = ingestor(narrow)
    [told] = worker.add(cut(log, 0, 5)).dead
    offset, progress = worker.commit_point()
    again = ingestor(narrow, next_offset=offset, progress=progress).add(replay_from(offset, log))
    assert (told.reason, told.offset, told.count) == ("too_many_models", 3, 2)
    assert (offset, reasons(again)) == (1, [("not_json", 5)])


def test_a_feature_of_configured_kind_counts_other_types_as_mistyped() -> None:
    features = {"x": FeatureSpec(name="x", kind="number")}
    model = replace(SEGMENTED, segments=(), features=features)
    worker = ingestor(spec(model))
    values: list[Any] = [1, "1", True, [1], {}, None]
    feed(worker, *[event(i, {"x": v}) for i, v in enumerate(values)])
    [part] = worker.finish().partials
    found = part.state.features["feature.x"]
    assert (found.number.count, found.category, found.nulls, found.mistyped) == (1, None, 1, 4)  # type: ignore[union-attr]


def test_messages_that_come_again_are_not_counted_again() -> None:
    worker = ingestor()
    feed(worker, event(10), event(50))
    again = feed(worker, event(10), event(50), event(70), first_offset=0)
    assert again.counted.total() == 1
    assert keys(again) == [("", 0, 0, 2)]
