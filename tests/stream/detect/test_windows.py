"""Windows: the watermark says what an event belongs to. Panes of 60 s, grace 10 s, late for 120 s.

Each case is drawn: seconds, panes, events by name, then what the watermark says of each.
"""

from __future__ import annotations

import numpy as np
import pytest

from stream.detect.ingest.windows import (
    ALREADY_SENT,
    COUNTED,
    NEVER_MS,
    TOO_FAR_AHEAD,
    TOO_LATE,
    PartitionTime,
    Placement,
    Progress,
)
from tests.builders import FAR_S, MINUTE, at, pane_of

FIRST = pane_of(0)


def fresh(progress: Progress | None = None) -> PartitionTime:
    return PartitionTime(MINUTE, progress or Progress())


def place(time: PartitionTime, *seconds: float, arrival_s: float = FAR_S) -> Placement:
    n = len(seconds)
    times_ms = np.array([at(s) for s in seconds], np.int64)
    arrivals_ms = np.full(n, at(arrival_s), np.int64)
    return time.place(times_ms, arrivals_ms)


def parts(placement: Placement) -> list[tuple[int, int]]:
    """(pane, part) of each event, panes counted from the first."""
    return list(zip((placement.panes - FIRST).tolist(), placement.parts.tolist(), strict=True))


def test_an_event_within_grace_joins_its_pane() -> None:
    #   0s         60s        120s
    #   [----A-----)[----B-----)
    #        e2      e1 at 65           the watermark is 55: A is still open
    assert parts(place(fresh(), 65, 30)) == [(1, 0), (0, 0)]


def test_an_event_after_grace_forms_a_part_named_by_how_late_it_is() -> None:
    #   0s         60s        120s       180s
    #   [----A-----)[----B-----)[----C-----)
    #        e2           e1 at 100              the watermark is 90, in B: part 1 of A
    #        e4                     e3 at 190    the watermark is 180, after C: part 3 of A
    assert parts(place(fresh(), 100, 30, 190, 30)) == [(1, 0), (0, 1), (3, 0), (0, 3)]


def test_a_pane_closes_when_the_watermark_reaches_its_end() -> None:
    #   0s         60s
    #   [----A-----)         e1 at 69.999: watermark 59.999, A is open
    #                        e1 at 70:     watermark 60, A is closed
    time = fresh()
    assert parts(place(time, 69.999, 59)) == [(1, 0), (0, 0)]
    assert not time.is_complete(FIRST, 0)
    assert parts(place(time, 70, 59)) == [(1, 0), (0, 1)]
    assert time.is_complete(FIRST, 0)
    assert not time.is_complete(FIRST, 1)


def test_a_late_part_closes_when_the_watermark_leaves_the_pane_of_its_arrival() -> None:
    #   0s         60s        120s
    #   [----A-----)[----B-----)
    #        e2        e1 at 80       part 1 of A, open until the watermark is 120
    time = fresh()
    place(time, 80, 30)
    place(time, 129)
    assert not time.is_complete(FIRST, 1)
    place(time, 130)
    assert time.is_complete(FIRST, 1)


def test_an_event_is_too_late_once_its_pane_is_final() -> None:
    #   0s         60s        120s       180s
    #   [----A-----)
    #        e2                           e1: watermark 179.999, counted; 180, too late
    assert place(fresh(), 189.999, 30).verdicts.tolist() == [COUNTED, COUNTED]
    assert place(fresh(), 190, 30).verdicts.tolist() == [COUNTED, TOO_LATE]


def test_an_event_far_ahead_of_its_arrival_does_not_move_the_watermark() -> None:
    #   arrival 0s                              300s (max_ahead)
    #   ---------------------------------------|---e1 at 300.001
    time = fresh()
    ahead = place(time, 300.001, arrival_s=0)
    assert ahead.verdicts.tolist() == [TOO_FAR_AHEAD]
    assert time.watermark_ms == NEVER_MS
    assert place(time, 300, arrival_s=0).verdicts.tolist() == [COUNTED]
    assert time.watermark_ms == at(-10)


def test_a_publisher_with_a_fast_clock_closes_no_window_of_the_others() -> None:
    #   0s         60s        120s      arrivals 0, 1, 2 … 119
    #   [----A-----)[----B-----)
    #     right     arrival = event time: in time, all of them
    #     fast      event time = arrival + 240: ten of them for each right one
    time, late = fresh(), 0
    for second in range(120):
        fast = place(time, *[second + 240] * 10, arrival_s=second)
        right = place(time, second, arrival_s=second)
        assert (fast.verdicts == COUNTED).all()
        late += int((right.parts > 0).sum() + (right.verdicts != COUNTED).sum())
        assert time.watermark_ms == at(second - 10)
    assert late == 0


def test_a_clock_that_is_slow_makes_its_own_events_late_and_nobody_elses() -> None:
    #   0s         60s        120s
    #   [----A-----)[----B-----)
    #                    right at 80; slow at 80 says 20: part 1 of A, the watermark is 70 as before
    time = fresh()
    assert parts(place(time, 80, 20, 81, arrival_s=81)) == [(1, 0), (0, 1), (1, 0)]
    assert time.watermark_ms == at(71)


def test_the_watermark_never_moves_back() -> None:
    time, seen = fresh(), []
    for second in (50, 20, 90, 0, 90, 91):
        place(time, second)
        seen.append(time.watermark_ms)
    assert seen == [at(s) for s in (40, 40, 80, 80, 80, 81)]


def test_every_event_knows_the_watermark_before_it() -> None:
    assert place(fresh(), 50, 20, 90, 0).before_ms.tolist() == [NEVER_MS, at(40), at(40), at(80)]


def test_what_was_sent_before_is_not_counted_again() -> None:
    #   0s         60s        120s       180s
    #   [----A-----)[----B-----)[----C-----)
    #     e1          e2 at 80                   sent up to 70: A was, B was not
    time = fresh(Progress(at(10), at(70)))
    assert place(time, 20, 80).verdicts.tolist() == [ALREADY_SENT, COUNTED]
    assert time.watermark_ms == at(70)


def test_while_a_replay_catches_up_the_log_alone_says_what_an_event_meets() -> None:
    time = fresh(Progress(at(10), at(300)))
    assert time.watermark_ms == at(300)
    assert time.event_ms == at(10)
    place(time, 60)
    assert time.event_ms == at(50)


@pytest.mark.parametrize("n", [0, 1])
def test_an_empty_batch_places_nothing(n: int) -> None:
    time = fresh()
    place(time, *[20] * n)
    before_ms = time.watermark_ms
    assert place(time).verdicts.tolist() == []
    assert time.watermark_ms == before_ms
