"""Rolls: an event that is sent twice is counted once, as far as its id is known.

Panes of 60 s, grace 10 s; ids are known for one pane more, unless a case says otherwise. Each case
is drawn: seconds, panes, the copies of one event, then which of them counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream.detect.ingest.events import Messages, Reader
from stream.detect.ingest.ingestor import Ingestor, Intake
from stream.detect.ingest.windows import NEVER_MS
from stream.detect.partials import Partial, pack, read
from stream.detect.specs import DetectorSpec, LimitSpec, ModelSpec
from tests.builders import (
    MINUTE,
    Pipeline,
    at,
    by_key,
    cut,
    event,
    ingestor,
    messages,
    pane_of,
    spec,
)

KNOWN = replace(MINUTE, duplicates_for_ms=60_000)


def copies(second: float, **more: Any) -> dict[str, Any]:
    """An event that says its id; two of them with one id are copies."""
    return event(second, {"x": second}, **{"id": "a"} | more)


def found(intake: Intake) -> list[tuple[int, int, int, int]]:
    """(pane counted from the first, part, events, duplicates) of the stream as a whole."""
    return [
        (p.pane - pane_of(0), p.part, p.state.events, p.state.duplicates)
        for p in intake.partials
        if not p.stream.segment
    ]


def all_of(*values: Any, limits: LimitSpec | None = None) -> list[tuple[int, int, int, int]]:
    """What a worker hands out of these messages in all."""
    worker = ingestor(spec(time=KNOWN, limits=limits))
    whole = worker.add(messages(*values)).then(worker.finish())
    return sorted(found(whole))


def test_a_copy_in_the_same_pane_is_a_duplicate_and_not_in_the_sketches() -> None:
    #   0s         60s
    #   [----A-----)
    #     a  a
    worker = ingestor(spec(time=KNOWN))
    intake = worker.add(messages(copies(10), copies(10), event(20, {"x": 20})))
    assert (intake.duplicates, intake.counted.total()) == (1, 2)
    [part] = worker.finish().partials
    number = part.state.features["feature.x"].number
    assert (part.state.events, part.state.duplicates, part.state.unkept) == (2, 1, 0)
    assert number is not None
    assert (number.count, float(number.moments.low[0])) == (2, 10.0)
    assert (part.first_offset, part.last_offset) == (0, 2)


def test_copies_in_one_message_are_duplicates_too() -> None:
    assert all_of([copies(10), copies(10), copies(11)]) == [(0, 0, 1, 2)]


@pytest.mark.parametrize(
    "other", [{"model": "o"}, {"version": "2"}, {"id": "b"}, {"ts": at(70)}], ids=str
)
def test_another_model_version_id_or_pane_is_another_event(other: dict[str, Any]) -> None:
    assert sum(one[3] for one in all_of(copies(10), copies(10, **other))) == 0


def test_a_late_copy_is_a_duplicate_while_the_ids_of_its_pane_are_known() -> None:
    #   0s         60s        120s       180s
    #   [----A-----)[----B-----)[----C-----)
    #     a            e at 80                 A is sent; the ids of A are known until 120
    #     a                                    a duplicate in part 1 of A
    #                             e at 130     the watermark is 120
    #     a                                    counted again, in part 2 of A
    parts = all_of(copies(10), event(80), copies(10), event(130), copies(10), copies(10))
    assert parts == [(0, 0, 1, 0), (0, 1, 0, 1), (0, 2, 1, 1), (1, 0, 1, 0), (2, 0, 1, 0)]


def test_without_that_time_copies_are_known_within_their_part() -> None:
    worker = ingestor(spec(time=replace(MINUTE, duplicates_for_ms=59_999)))
    intake = worker.add(messages(copies(10), event(80), copies(10), copies(10)))
    parts = sorted(found(intake.then(worker.finish())))
    assert parts == [(0, 0, 1, 0), (0, 1, 1, 1), (1, 0, 1, 0)]


def test_a_copy_is_a_duplicate_in_its_segment_too() -> None:
    model = ModelSpec(name="m", lengths_ms=(60_000,), segments=("site",))
    worker = ingestor(spec(model, time=KNOWN))
    one = copies(10, segment={"site": "x"})
    worker.add(messages(one, one, copies(10, segment={"site": "y"})))
    parts = {p.stream.segment: p.state for p in worker.finish().partials}
    shown = {segment: (state.events, state.duplicates) for segment, state in parts.items()}
    assert shown == {"": (1, 2), "site=x": (1, 1), "site=y": (0, 1)}


def test_beyond_the_cap_events_are_counted_and_the_window_says_so() -> None:
    limits = LimitSpec(max_ids=2)
    values = [copies(10, id=name) for name in ("a", "b", "c", "c", "a")]
    pipeline = Pipeline(spec(time=KNOWN, limits=limits))
    pipeline.feed(*values)
    [window] = pipeline.finish().windows
    shown = window["count"], window["duplicates"], window["duplicates_exact"]
    assert shown == (4, 1, False)


def test_a_window_says_how_many_duplicates_it_had() -> None:
    pipeline = Pipeline(spec(time=KNOWN), partitions=2)
    pipeline.feed(copies(10), copies(10))
    pipeline.feed(copies(10), partition=1)  # a copy on another partition is not seen
    [window] = pipeline.finish().windows
    shown = window["count"], window["duplicates"], window["duplicates_exact"]
    assert shown == (2, 1, True)


def test_a_partial_carries_its_duplicates() -> None:
    worker = ingestor(spec(time=KNOWN, limits=LimitSpec(max_ids=1)))
    worker.add(messages(copies(10), copies(10), copies(10, id="b")))
    [part] = worker.finish().partials
    again = read(pack(part))
    assert isinstance(again, Partial)
    assert pack(again) == pack(part)
    shown = again.state.events, again.state.duplicates, again.state.unkept
    assert shown == (2, 1, 1)


def test_the_ids_of_a_pane_are_read_again_after_a_restart() -> None:
    #   offset   0        1      2           3
    #   event    a at 10  80s    a at 10     A is sent at offset 1, committed, then the worker dies
    log = messages(copies(10), event(80), copies(10))
    first = ingestor(spec(time=KNOWN))
    sent = first.add(cut(log, 0, 2))
    offset, progress = first.commit_point()
    second = ingestor(spec(time=KNOWN), next_offset=offset, progress=progress)
    rest = second.add(log).then(second.finish())
    assert offset == 0
    assert found(sent) == [(0, 0, 1, 0)]
    assert sorted(found(rest)) == [(0, 1, 0, 1), (1, 0, 1, 0)]
    assert (rest.counted.total(), rest.duplicates) == (1, 1)


def test_the_safe_offset_moves_on_once_the_ids_of_a_pane_are_forgotten() -> None:
    #   0s         60s        120s
    #   [----A-----)[----B-----)[----C
    #     a at 10     e at 80      e at 130: the watermark is 120, A is forgotten
    worker = ingestor(spec(time=KNOWN))
    worker.add(messages(copies(10), event(80)))
    assert worker.commit_point()[0] == 0
    worker.add(messages(event(130), first_offset=2))
    assert worker.commit_point()[0] == 1
    worker.finish()
    assert worker.commit_point()[0] == 3


def plain(log: Messages, spec_: DetectorSpec) -> dict[tuple[int, int], Counter[str]]:
    """Events and duplicates by (pane, part), one event after another with plain sets."""
    decoded, time = Reader(spec_.limits).read(log), spec_.time
    whose = {
        int(row): (run.model, run.version, int(name))
        for run in decoded.runs
        for row, name in zip(run.rows, run.ids, strict=True)
    }
    parts, known = dict[tuple[int, int], Counter[str]](), dict[tuple[int, int], set[Any]]()
    watermark_ms = NEVER_MS
    for row, ts_ms in enumerate(decoded.times_ms.tolist()):
        pane, part = ts_ms // time.pane_ms, 0
        late_ms = watermark_ms - (pane + 1) * time.pane_ms
        watermark_ms = max(watermark_ms, ts_ms - time.grace_ms)
        if late_ms >= time.revise_for_ms:
            continue
        if late_ms >= 0:
            part = late_ms // time.pane_ms + 1
        is_known = part <= time.duplicates_for_ms // time.pane_ms
        ids = known.setdefault((pane, 0 if is_known else part), set())
        kind = "duplicates" if whose[row] in ids else "events"
        if kind == "events" and len(ids) >= spec_.limits.max_ids:
            parts.setdefault((pane, part), Counter())["unkept"] += 1
        else:
            ids.add(whose[row])
        parts.setdefault((pane, part), Counter())[kind] += 1
    return parts


def drawn(rng: np.random.Generator) -> Messages:
    """A quarter of an hour of one partition: late events and copies, some hours of them later."""
    values, sent = list[Any](), list[dict[str, Any]]()
    for i in range(int(rng.integers(1, 200))):
        if sent and rng.random() < 0.4:
            values.append(sent[max(0, len(sent) - 1 - int(rng.geometric(0.05)))])
            continue
        second = max(0, 5 * i - int(rng.integers(0, 150)) * int(rng.random() < 0.2))
        sent.append(copies(second, id=f"{i}", model="mo"[int(rng.integers(2))]))
        values.append(sent[-1])
    return messages(*values)


def told(intakes: list[Intake]) -> dict[tuple[int, int], Counter[str]]:
    parts = dict[tuple[int, int], Counter[str]]()
    for one in (p for intake in intakes for p in intake.partials):
        so_far = parts.setdefault((one.pane, one.part), Counter())
        for name in ("events", "duplicates", "unkept"):
            so_far[name] += getattr(one.state, name)
    return parts


@pytest.mark.parametrize("turn", range(40))
def test_parts_are_those_of_plain_sets_through_any_crash(
    rng: np.random.Generator, turn: int
) -> None:
    time = replace(MINUTE, duplicates_for_ms=int(rng.choice([0, 60_000, 130_000])))
    spec_ = spec(time=time, limits=LimitSpec(max_ids=int(rng.choice([3, 1_000]))))
    log, worker, place = drawn(rng), ingestor(spec_), 0
    intakes, committed = list[Intake](), worker.commit_point()
    while place < len(log.values):
        step = int(rng.integers(1, 30))
        intakes.append(worker.add(cut(log, place, place + step)))
        place += step
        if rng.random() < 0.3:
            committed = worker.commit_point()
        if rng.random() < 0.2:
            worker = ingestor(spec_, next_offset=committed[0], progress=committed[1])
            place = committed[0]
    intakes.append(worker.finish())
    undisturbed: Ingestor = ingestor(spec_)
    whole = [undisturbed.add(log), undisturbed.finish()]
    assert by_key(intakes) == by_key(whole), turn
    assert told(whole) == plain(log, spec_), turn
