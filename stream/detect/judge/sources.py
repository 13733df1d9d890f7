"""Sources: markers of source partitions in, how far all partitions together have come out.

In    markers of one partition of the partials topic, in offset order
Out   the watermark: events that are older were read, or were published after younger ones
Not   windows (gather.py), when a partition is idle (bus/lane.py)

The watermark is the smallest of all sources that are not idle; if all are idle, the largest. An
idle source has no say in it, but must have nothing left to read: records reach it while others are
far ahead, in a replay by days of event time within a second. So it vouches. An idle marker says
that its partition was read to the end, and all of it sent, some time after the marker before it was
acknowledged (bus/lane.py sees to that). Hence what the others had told by the marker before is
behind everything that this source still has to say, if publishers write in order. The marker
before is its sender's own: what an overtaken owner found, and tells when it wakes up, says nothing
about the time since its successor's last.

    offset   5         6          7           8          9
    S0       60        120                    180
    S1            idle       idle                   idle
    watermark  -       -    60 (told by 5)          120 (told by 6)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stream.detect.partials import Marker
from stream.detect.times import NEVER_MS


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a source partition.

    marker      its last
    seen_ms     how far all had come, idle ones left out, when it came
    vouched_ms  the same of its sender's marker before
    sent_ms     the furthest that any of its markers said of what was sent,
    sent_to     in time and in offsets
    """

    marker: Marker
    seen_ms: int = NEVER_MS
    vouched_ms: int = NEVER_MS
    sent_ms: int = NEVER_MS
    sent_to: int = 0

    def to_json(self) -> list[int]:
        """As a row of a record."""
        m = self.marker
        marker = [m.source, m.sources, m.watermark_ms, m.is_idle]
        return [*marker, self.seen_ms, self.vouched_ms, m.beat, self.sent_ms, self.sent_to]

    @classmethod
    def from_json(
        cls,
        source: int,
        sources: int,
        watermark_ms: int,
        is_idle: bool,
        seen_ms: int = NEVER_MS,
        vouched_ms: int = NEVER_MS,
        beat: int = 0,
        *sent: int,
    ) -> Heard:
        """Of a row; release 0.1 wrote the first four: such a source has vouched for nothing."""
        marker = Marker(
            source=source, sources=sources, watermark_ms=watermark_ms, is_idle=is_idle, beat=beat
        )
        return cls(marker, seen_ms, vouched_ms, *sent)


class Sources:
    """The source partitions of one topic."""

    def __init__(self, heard: Mapping[int, Heard]) -> None:
        self._heard = dict(heard)

    @property
    def heard(self) -> dict[int, Heard]:
        """What is known, by source partition."""
        return dict(self._heard)

    def hear(self, marker: Marker) -> int:
        """Take a marker; the watermark, NEVER_MS before every source has spoken.

        One that says less than the last of its source is an earlier owner's, one with its beat is
        the same, sent twice: both are ignored.
        """
        known = self._heard.get(marker.source)
        if known is None or not _is_old(marker, known.marker):
            vouched_ms = NEVER_MS
            if known is not None:
                is_next = marker.beat == known.marker.beat + 1
                vouched_ms = known.seen_ms if is_next else known.vouched_ms
            if marker.watermark_ms == -NEVER_MS:  # the end of a log that was recorded
                vouched_ms = marker.watermark_ms
            sent_ms = max(known.sent_ms if known else NEVER_MS, marker.sent_ms)
            sent_to = max(known.sent_to if known else 0, marker.sent_to)
            self._heard[marker.source] = Heard(marker)
            seen_ms = self._told_ms()
            self._heard[marker.source] = Heard(marker, seen_ms, vouched_ms, sent_ms, sent_to)
        return self._vouched_ms()

    def has_sent(self, source: int, closes_ms: int, last_offset: int) -> bool:
        """Whether a part must have come before, if nothing can join it from closes_ms on."""
        heard = self._heard.get(source)
        return heard is not None and (closes_ms <= heard.sent_ms or last_offset < heard.sent_to)

    def _told_ms(self) -> int:
        """What all markers say, whoever vouches for it."""
        markers = [heard.marker for heard in self._heard.values()]
        if len(markers) < max((m.sources for m in markers), default=1):
            return NEVER_MS
        active = [m.watermark_ms for m in markers if not m.is_idle]
        return min(active) if active else max(m.watermark_ms for m in markers)

    def _vouched_ms(self) -> int:
        told_ms = self._told_ms()
        idle = [heard for heard in self._heard.values() if heard.marker.is_idle]
        if told_ms == NEVER_MS or not idle:
            return told_ms
        if len(idle) < len(self._heard):
            return min(told_ms, *(heard.vouched_ms for heard in idle))
        return max(_with_others(idle))


def _is_old(marker: Marker, known: Marker) -> bool:
    return marker.watermark_ms < known.watermark_ms or marker.beat == known.beat != 0


def _with_others(idle: list[Heard]) -> Iterable[int]:
    """What each says, as far as all others vouch for it."""
    ranked = sorted(range(len(idle)), key=lambda at: idle[at].vouched_ms)
    for at, heard in enumerate(idle):
        others = [idle[other].vouched_ms for other in ranked[:2] if other != at]
        yield min([heard.marker.watermark_ms, *others[:1]])
