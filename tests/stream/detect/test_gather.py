"""Gather: partials of all source partitions become windows, once each, and again when they change.

Panes of 60 s; a window may be revised for 120 s after its end. Two source partitions unless drawn
otherwise: S0 and S1.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream.detect.configurations import Configurations
from stream.detect.ingest.windows import NEVER_MS
from stream.detect.judge.gather import Due, Gather
from stream.detect.judge.letters import orphan_letter
from stream.detect.partials import Marker, Partial
from stream.detect.specs import ModelSpec
from stream.detect.states import Stream
from tests.builders import MINUTE, M, at, marker, partial, spec

LONG = ModelSpec(name="m", lengths_ms=(60_000, 180_000))
SEGMENT = Stream("m", "1", "origin=JFK")


class Told:
    """A gather, and what it said: (start second, length in panes, revision, events)."""

    def __init__(self, model: ModelSpec | None = None, next_offset: int = 0) -> None:
        self.gather = Gather(Configurations(spec(model)), next_offset=next_offset)
        self.offset = next_offset
        self.orphans = 0
        self.letters: list[str] = []

    def give(self, *items: Partial | Marker) -> list[tuple[float, int, int, int | None]]:
        """Take these, then say what is due."""
        for item in items:
            orphan = self.gather.add(item, self.offset)
            self.orphans += orphan is not None
            self.letters += [orphan_letter(orphan, self.offset).detail] if orphan else []
            self.offset += 1
        told = [shown(due) for due in self.gather.due()]
        self.gather.forget()
        return told


def shown(due: Due) -> tuple[float, int, int, int | None]:
    window = due.window
    events = None if due.state is None else due.state.events
    start_s = (window.start_ms - at(0)) / 1000
    return start_s, window.length_ms // 60_000, due.revision, events


def both(second: float) -> tuple[Marker, Marker]:
    """Markers of both sources."""
    return marker(second, source=0, sources=2), marker(second, source=1, sources=2)


def test_a_window_is_due_when_the_watermark_passes_its_end() -> None:
    #   0s         60s
    #   [----A-----)      marker 59: not yet; marker 60: due
    told = Told()
    assert told.give(partial(10, n=3), marker(59)) == []
    assert told.give(marker(60)) == [(0, 1, 0, 3)]


def test_a_window_waits_for_the_slowest_source() -> None:
    #        0s         60s        120s
    #   S0   [----A-----)            90
    #   S1   [----A-----)  59,  then 60
    told = Told()
    s0, s1 = partial(10, n=3, source=0), partial(20, n=4, source=1)
    assert told.give(s0, marker(90, source=0, sources=2)) == []
    assert told.give(s1, marker(59, source=1, sources=2)) == []
    assert told.give(marker(60, source=1, sources=2)) == [(0, 1, 0, 7)]


def test_nothing_is_due_before_every_source_has_spoken() -> None:
    told = Told()
    assert told.give(partial(10), marker(500, source=0, sources=3)) == []
    assert told.give(marker(500, source=2, sources=3)) == []
    assert told.gather.watermark_ms == NEVER_MS
    assert told.give(marker(500, source=1, sources=3))[0] == (0, 1, 0, 1)


def test_an_idle_source_is_not_waited_for() -> None:
    told = Told()
    first, second = (marker(10, source=1, sources=2, is_idle=True, beat=n) for n in (1, 2))
    assert told.give(partial(10), marker(60, source=0, sources=2), first) == []
    assert told.give(second) == [(0, 1, 0, 1)]  # now it has looked since


def test_when_all_sources_are_idle_the_one_furthest_ahead_counts() -> None:
    told = Told()
    first, second = (
        [marker(s, source=i, sources=2, is_idle=True, beat=n) for i, s in enumerate((60, 10))]
        for n in (1, 2)
    )
    assert told.give(partial(10), *first) == []
    assert told.give(*second) == [(0, 1, 0, 1)]


def test_an_idle_source_that_is_back_is_waited_for_again() -> None:
    #        0s         60s        120s
    #   S0   [----A-----)[----B-----)   120
    #   S1   idle at 10, then active at 70: B waits for it
    told = Told()
    told.give(*both(10), marker(10, source=1, sources=2, is_idle=True))
    told.give(marker(70, source=1, sources=2))
    assert told.give(partial(70), marker(130, source=0, sources=2)) == []
    assert told.give(marker(120, source=1, sources=2)) == [(60, 1, 0, 1)]


def test_a_marker_that_is_older_than_the_last_of_its_source_is_ignored() -> None:
    told = Told()
    told.give(partial(10), marker(60))
    told.give(marker(20))
    assert told.gather.watermark_ms == at(60)


def test_parts_of_a_pane_and_of_all_sources_add_up() -> None:
    told = Told()
    parts = [partial(10, n=n, source=s, part=p) for n, s, p in ((1, 0, 0), (2, 1, 0), (4, 0, 1))]
    assert told.give(*parts, *both(60)) == [(0, 1, 0, 7)]


def test_a_partial_replaces_the_one_with_its_key() -> None:
    told = Told()
    first, more = partial(10, n=3, offsets=(0, 9)), partial(10, n=5, offsets=(0, 12))
    assert told.give(first, more, marker(60)) == [(0, 1, 0, 5)]


@pytest.mark.parametrize("offsets", [(0, 8), (1, 9), (1, 8)])
def test_a_zombies_partial_that_covers_less_is_ignored(offsets: tuple[int, int]) -> None:
    told = Told()
    told.give(partial(10, n=3, offsets=(0, 9)), marker(60))
    assert told.give(partial(10, n=2, offsets=offsets), marker(60)) == []


def test_a_partial_that_is_sent_again_after_a_crash_changes_nothing() -> None:
    #   the worker sends A, dies before its commit, and the next one sends A again
    told = Told()
    assert told.give(partial(10, n=3), marker(60)) == [(0, 1, 0, 3)]
    assert told.give(partial(10, n=3), marker(60)) == []


def test_the_same_events_under_another_reference_are_a_revision() -> None:
    told = Told()
    told.give(partial(10, n=3), marker(60))
    again = replace(partial(10, n=3), reference_id="r2")
    assert told.give(again, marker(60)) == [(0, 1, 1, 3)]


def test_a_late_part_revises_its_window() -> None:
    #   0s         60s        120s
    #   [----A-----)[----B-----)
    #                    part 1 of A comes when B closes: A again, revision 1
    told = Told()
    told.give(partial(10, n=3), marker(60))
    due = told.give(partial(70, n=2), partial(10, n=1, part=1, offsets=(10, 11)), marker(120))
    assert due == [(0, 1, 1, 4), (60, 1, 0, 2)]


def test_revisions_count_up() -> None:
    told = Told()
    told.give(partial(10), marker(60))
    for part in (1, 2):
        assert told.give(partial(10, part=part), marker(60 + 60 * part))[0] == (
            0,
            1,
            part,
            part + 1,
        )


def test_windows_of_several_lengths_are_merged_from_the_same_panes() -> None:
    #   0s         60s        120s       180s
    #   [----A-----)[----B-----)[----C-----)
    #   [--------------long----------------)
    told = Told(LONG)
    assert told.give(partial(10, n=1), marker(60)) == [(0, 1, 0, 1)]
    assert told.give(partial(70, n=2), marker(120)) == [(60, 1, 0, 2)]
    assert told.give(partial(130, n=4), marker(180)) == [(120, 1, 0, 4), (0, 3, 0, 7)]


def test_a_late_part_revises_the_windows_that_are_judged_and_joins_the_others() -> None:
    told = Told(LONG)
    told.give(partial(10, n=1), marker(60))
    assert told.give(partial(10, n=2, part=1), marker(120)) == [(0, 1, 1, 3), (60, 1, 0, None)]
    assert told.give(partial(130, n=4), marker(180)) == [(120, 1, 0, 4), (0, 3, 0, 7)]


def test_windows_are_told_oldest_first_and_streams_in_order() -> None:
    told = Told()
    items = [partial(s, stream=stream) for s in (70, 10) for stream in (SEGMENT, M)]
    assert [d.window.stream.segment for d in _due(told, *items, marker(120))] == [
        "", "origin=JFK", "", "origin=JFK"
    ]  # fmt: skip


def _due(told: Told, *items: Partial | Marker) -> list[Due]:
    for item in items:
        told.gather.add(item, told.offset)
        told.offset += 1
    return list(told.gather.due())


def test_a_part_that_comes_after_its_window_is_final_is_an_orphan() -> None:
    #   0s         60s                    180s
    #   [----A-----)                       final: 120 s after its end
    told = Told()
    told.give(partial(10), marker(60))
    told.give(marker(179))
    assert told.give(partial(10, part=1), marker(179))[0] == (0, 1, 1, 2)
    told.give(marker(180))
    assert told.orphans == 0
    assert told.give(partial(10, part=3), marker(181)) == []
    assert told.orphans == 1


def test_a_part_that_was_sent_before_its_window_was_let_go_is_no_orphan() -> None:
    #   the log goes on a day later: what was counted is forgotten; a worker is killed, another
    #   one reads the last minute before that day again, and sends what it finds
    day_s = 86_400
    told = Told()
    end = replace(marker(day_s), sent_ms=at(day_s), sent_to=0)
    told.give(partial(10, n=3, offsets=(0, 9)), end)
    assert told.give(partial(10, n=3, offsets=(0, 9)), end) == []
    assert told.orphans == 0


def test_a_part_that_came_after_a_silence_is_an_orphan_only_if_it_is_more() -> None:
    #   the clock moved the watermark, so the pane is open still: up to offset 9 all of it was sent
    told = Told()
    idle = replace(marker(86_400, is_idle=True), sent_ms=at(20), sent_to=10)
    told.give(partial(10, n=3, offsets=(0, 9)), idle)
    told.give(partial(10, n=3, offsets=(0, 9)), idle)
    assert told.orphans == 0
    told.give(partial(10, n=4, offsets=(0, 10)), idle)
    assert told.orphans == 1


def test_a_final_part_that_is_sent_again_after_a_crash_is_no_orphan() -> None:
    told = Told()
    told.give(partial(10, n=3), marker(60))
    told.give(marker(200))
    assert told.give(partial(10, n=3), marker(200)) == []
    assert told.orphans == 0


def test_the_watermark_stays_when_an_idle_source_returns_with_an_older_one() -> None:
    #   S0 at 130, S1 idle at 10: everything up to 130 is due; then S1 sends for 70 all the same
    told = Told()
    idle = [marker(10, source=1, sources=2, is_idle=True, beat=n) for n in (1, 2, 3)]
    told.give(*both(10), idle[0])
    told.give(partial(70, n=3), marker(130, source=0, sources=2), *idle[1:])
    late = partial(70, n=2, source=1)
    assert told.give(late, marker(75, source=1, sources=2)) == [(60, 1, 1, 5)]
    assert told.gather.watermark_ms == at(130)


def test_with_several_lengths_a_late_part_still_counts_in_what_is_not_final() -> None:
    told = Told(LONG)
    told.give(partial(10, n=1), marker(240))  # [0 s, 60 s) is final, [0 s, 180 s) is not
    assert told.give(partial(10, n=2, part=3), marker(241)) == [(0, 3, 1, 3)]
    [letter] = told.letters
    assert letter.endswith(
        "came after these windows were final: 2024-10-04T00:00:00Z to 2024-10-04T00:01:00Z; "
        "longer ones have it"
    )


def test_a_window_without_events_is_told_once_per_gap() -> None:
    #   0s    60s   120s  180s  240s  300s  360s
    #   [--A--)     no_data            [--B--)      no_data again after B
    told = Told()
    assert told.give(partial(10), marker(60)) == [(0, 1, 0, 1)]
    assert told.give(marker(119)) == []
    assert told.give(marker(120)) == [(60, 1, 0, None)]
    assert told.give(marker(180)) == []
    assert told.give(partial(310), marker(360)) == [(300, 1, 0, 1)]
    assert told.give(marker(420)) == [(360, 1, 0, None)]


def test_a_gap_between_two_windows_of_one_step_is_told_before_the_second() -> None:
    told = Told()
    told.give(partial(10), marker(60))
    due = told.give(partial(310), marker(360))
    assert due == [(60, 1, 0, None), (300, 1, 0, 1)]


def test_windows_that_follow_one_another_leave_no_gap() -> None:
    told = Told()
    assert told.give(partial(10), partial(70), marker(120)) == [(0, 1, 0, 1), (60, 1, 0, 1)]


def test_events_that_come_late_to_a_silent_window_are_its_first_revision() -> None:
    #   0s         60s        120s
    #   [----A-----) no_data 60..120; then part 1 of that pane comes
    told = Told()
    told.give(partial(10), marker(60))
    assert told.give(marker(120)) == [(60, 1, 0, None)]
    assert told.give(partial(70, part=1), marker(180)) == [(60, 1, 1, 1), (120, 1, 0, None)]


def test_a_segment_is_never_told_to_be_silent() -> None:
    told = Told()
    told.give(partial(10), partial(10, stream=SEGMENT), marker(60))
    told.give(partial(70), partial(130), marker(180))
    due = _due(told, partial(190), partial(190, stream=SEGMENT), marker(240))
    assert all(d.state is not None for d in due)


def test_the_end_of_all_sources_is_no_silence() -> None:
    told = Told()
    last = Marker(source=0, sources=1, watermark_ms=-NEVER_MS, is_idle=True)
    assert told.give(partial(10), last) == [(0, 1, 0, 1)]


def test_the_safe_offset_is_the_oldest_partial_that_may_still_be_needed() -> None:
    #   offset   0      1       2         3      4             5
    #            A      mark    B         mark   mark at 180:  mark at 240: A, which was the
    #                                            A is final    reference of B, is not needed
    told = Told(next_offset=0)
    told.give(partial(10), marker(60), partial(70), marker(120), marker(180))
    assert told.gather.safe_offset() == 0
    told.give(marker(240))
    assert told.gather.safe_offset() == 2
    told.give(marker(300))
    assert told.gather.safe_offset() == told.offset


def test_a_gather_that_starts_at_the_safe_offset_tells_the_same_windows() -> None:
    #   two sources; from any place the windows after it are the same as told without a break
    items = [
        item
        for minute in range(1, 9)
        for item in (
            partial(60 * minute - 30, n=minute, source=0),
            partial(60 * minute - 30, n=100, source=1),
            *both(60 * minute),
        )
    ]
    whole = Told()
    told, safe = list[tuple[float, int, int, int | None]](), 0
    for item in items[:22]:
        told += whole.give(item)
    safe = whole.gather.safe_offset()
    judged_to_s = 300
    for item in items[22:]:
        told += whole.give(item)
    after = Told(next_offset=safe)
    again = [due for item in items[safe:] for due in after.give(item)]
    assert [d for d in again if d[0] >= judged_to_s] == [d for d in told if d[0] >= judged_to_s]


def test_a_window_says_which_offsets_and_references_it_is_made_of() -> None:
    told = Told()
    one = partial(10, source=0, offsets=(3, 9))
    late = replace(partial(10, source=0, part=1, offsets=(20, 21)), reference_id="r2")
    other = replace(partial(10, source=1, offsets=(100, 120)), reference_id="r1")
    [due] = _due(told, one, other, late, *both(60))
    assert due.offsets == {0: (3, 21), 1: (100, 120)}
    assert due.reference_ids == ("", "r1", "r2")


def test_what_may_not_change_any_more_is_forgotten() -> None:
    told = Told()
    for minute in range(200):
        told.give(partial(60 * minute), marker(60 * minute + 60))
    gather = told.gather
    known = gather._streams[M]
    assert len(known.panes) <= 4
    assert len(known.seen.revisions) <= 3
    assert known.waiting == set()
    assert gather._queue == []
    assert len(gather._silences) <= 1
    assert MINUTE.revise_for_ms == 120_000
