"""Sources: a partition that is idle is not waited for, once it cannot know better.

Numbers are seconds; `idle(1)` is an idle marker of source 1, which vouches for what was told before
the marker before it, if `owner` sent that too.
"""

from __future__ import annotations

from collections import Counter

from stream.detect.judge.sources import Heard, Sources
from stream.detect.partials import Marker
from stream.detect.times import NEVER_MS

NEVER = NEVER_MS // 1000


class Told:
    """Two sources unless said otherwise."""

    def __init__(self, sources: int = 2) -> None:
        self._n, self.sources = sources, Sources({})
        self._beats = Counter[tuple[int, int]]()

    def active(self, source: int, second: int, owner: int = 0) -> int:
        return self._hear(source, second, owner, is_idle=False)

    def idle(self, source: int, second: int = NEVER, owner: int = 0) -> int:
        return self._hear(source, second, owner, is_idle=True)

    def _hear(self, source: int, second: int, owner: int, *, is_idle: bool) -> int:
        self._beats[source, owner] += 1
        beat = self._beats[source, owner] + 1_000 * owner
        at_ms = {NEVER: NEVER_MS, -NEVER: -NEVER_MS}.get(second, second * 1000)
        self.last = Marker(
            source=source, sources=self._n, watermark_ms=at_ms, is_idle=is_idle, beat=beat
        )
        heard_ms = self.sources.hear(self.last)
        return {NEVER_MS: NEVER, -NEVER_MS: -NEVER}.get(heard_ms, heard_ms // 1000)


def test_the_smallest_of_active_sources_counts() -> None:
    told = Told()
    assert told.active(0, 90) == NEVER
    assert told.active(1, 60) == 60
    assert told.active(1, 120) == 90


def test_a_source_that_was_idle_before_the_first_event_is_waited_for_until_it_vouches() -> None:
    #   both are silent; then a replay begins, S0 is read first and goes a day ahead
    told = Told()
    for _ in range(3):
        assert told.idle(0) == told.idle(1) == NEVER
    assert told.active(0, 86_400) == NEVER
    assert told.active(0, 2 * 86_400) == NEVER
    assert told.active(1, 60) == 60, "S1 had something to read, too"
    assert told.active(1, 86_400) == 86_400


def test_an_idle_source_vouches_for_what_was_told_before_its_last_marker_but_one() -> None:
    told = Told()
    told.active(0, 60)
    told.active(1, 10)
    assert told.idle(1, 10) == 10
    assert told.active(0, 120) == 10
    assert told.idle(1, 10) == 60, "between both markers S1 was read to its end"
    assert told.active(0, 180) == 60
    assert told.idle(1, 10) == 120


def test_a_marker_that_is_sent_twice_vouches_once() -> None:
    told = Told()
    told.active(0, 60)
    told.active(1, 10)
    told.idle(1, 10)
    assert told.sources.hear(told.last) == 10_000
    assert told.idle(1, 10) == 60


def test_a_source_whose_worker_is_gone_vouches_for_nothing_new() -> None:
    told = Told()
    told.active(0, 60)
    for _ in range(3):
        told.idle(1, 60)
    assert [told.active(0, second) for second in (120, 180, 86_400)] == [60, 60, 60]


def test_an_owner_vouches_from_its_own_last_marker_on_not_from_that_of_another() -> None:
    told = Told()
    told.active(0, 60)
    told.idle(1, 10)
    assert told.idle(1, 10) == 60
    #   the owner of S1 asks where the log ends, and is halted; so is the next one; S0 goes on
    told.active(0, 86_400)
    assert told.idle(1, 10, owner=1) == 60
    assert told.idle(1, 10) == 60, "what it found is older than what its successor told"
    assert told.idle(1, 10, owner=1) == 60, "so is what this one found"
    assert told.idle(1, 10, owner=1) == 86_400


def test_an_overtaken_owner_that_looks_again_is_right() -> None:
    told = Told()
    told.active(0, 60)
    told.idle(1, 10, owner=1)
    told.idle(1, 10)
    told.active(0, 120)
    assert told.idle(1, 10) == 60, "where the log ended after S0 was at 60, whoever asked"


def test_when_all_are_idle_the_furthest_counts_once_all_others_vouch() -> None:
    told = Told(3)
    seen = []
    for _ in range(3):
        seen += [told.idle(0, 60), told.idle(1, 30), told.idle(2)]
    assert seen == [NEVER] * 6 + [30, 60, 60]


def test_one_source_needs_nobody_to_vouch() -> None:
    told = Told(1)
    assert told.idle(0, 60) == 60
    assert told.idle(0, 120) == 120


def test_what_is_known_survives_as_a_row() -> None:
    told = Told()
    told.active(0, 60)
    told.idle(1, 30)
    told.idle(1, 30)
    heard = told.sources.heard
    again = [Heard.from_json(*heard[source].to_json()) for source in (0, 1)]  # type: ignore[arg-type]
    assert dict(enumerate(again)) == heard
    assert (again[1].seen_ms, again[1].vouched_ms) == (60_000, 60_000)
    old = Heard.from_json(1, 2, 30_000, True)
    assert (old.seen_ms, old.vouched_ms) == (NEVER_MS, NEVER_MS)


def test_a_log_that_has_ended_has_nothing_more_to_say() -> None:
    told, end = Told(), -NEVER
    told.active(0, 60)
    assert told.idle(1, end) == 60
    assert told.idle(0, end) == end
