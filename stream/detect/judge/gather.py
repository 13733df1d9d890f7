"""Gather: partials of all source partitions in, windows that are due out.

In    partials and markers of one partition of the partials topic, in offset order
Out   `Due` windows: complete ones to judge, judged ones to revise; streams that ended
Not   what a window says (summaries.py) or means (rules.py), its bytes (records.py)

The watermark (sources.py) never moves back: what a source sends that was idle revises. A partial
replaces the one with its key and never adds to it, unless it covers less of the source. What may
still be revised is kept; what comes after that is an `Orphan`, not lost silently.

All of this is a function of the log, so a gather that starts from what another one knew at some
offset (`Position`, `Seen`), and reads the partials that are still needed once more, goes on as the
other one would have.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from stream.detect.configurations import Configurations
from stream.detect.judge.parts import Due, Fresh, Held, PartKey, Window, merge, says_more
from stream.detect.judge.sources import Heard, Sources
from stream.detect.partials import Marker, Partial
from stream.detect.states import Stream, WindowState
from stream.detect.times import NEVER_MS


@dataclass(frozen=True, slots=True)
class Orphan:
    """A part that came after windows it belongs to were final; longer ones may have it."""

    partial: Partial
    windows: tuple[Window, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition of the partials topic stands.

    told_to       messages below this offset were taken, and what they brought about was told
    watermark_ms  as of then
    final_ms      windows that end here or earlier are never revised
    sources       what is known of each source partition
    """

    told_to: int = 0
    watermark_ms: int = NEVER_MS
    final_ms: int = NEVER_MS
    sources: Mapping[int, Heard] = field(default_factory=dict)


@dataclass(slots=True)
class Seen:
    """What is known of the windows of a stream beside their partials.

    told_to    markers below this offset were taken for this stream
    final_ms   as of then
    revisions  of judged windows that may be revised, by (length_ms, start_ms)
    last       (length_ms, start_ms) of the last judged window of the first length
    is_quiet   it was told that nothing came after it
    born_at    offset of its first partial
    """

    told_to: int = 0
    final_ms: int = NEVER_MS
    revisions: dict[tuple[int, int], int] = field(default_factory=dict)
    last: tuple[int, int] | None = None
    is_quiet: bool = False
    born_at: int = 0


@dataclass(slots=True)
class _Stream:
    """A stream's partials, by pane, and what is known of its windows."""

    seen: Seen
    panes: dict[int, dict[PartKey, Held]] = field(default_factory=dict)
    waiting: set[tuple[int, int]] = field(default_factory=set)  # complete or not, to be judged
    touched: dict[tuple[int, int], int] | None = None  # last offset by window, while it is rebuilt
    is_over: bool = False  # it was dropped at told_to, which is still to come


class Gather:
    """The windows of the streams of one partition of the partials topic."""

    def __init__(
        self, configs: Configurations, *, next_offset: int = 0, position: Position | None = None
    ) -> None:
        position = position or Position(told_to=next_offset)
        self._configs = configs
        self._pane_ms = configs.time.pane_ms
        self.next_offset = next_offset
        self.told_to = position.told_to
        self.watermark_ms = position.watermark_ms
        self.final_ms = position.final_ms
        self._sources = Sources(position.sources)
        self._is_relearning = not position.sources  # they are lost, or there were none
        self._streams: dict[Stream, _Stream] = {}
        self._queue: list[tuple[int, int, Stream, int]] = []  # end, length, stream, start: a heap
        self._silences: list[tuple[int, Stream]] = []  # a heap of when a stream is called quiet
        self._segments: dict[Stream, int] = {}  # of a model's version, as of the last marker
        self._order: deque[tuple[int, Stream, int, PartKey]] = deque()  # held, by offset
        self._fresh = Fresh()

    def position(self) -> Position:
        """Where the partition stands; streams that were restored further on are so still."""
        return Position(self.told_to, self.watermark_ms, self.final_ms, self._sources.heard)

    def seen(self, stream: Stream) -> Seen | None:
        """What is known of a stream's windows, None if nothing."""
        known = self._streams.get(stream)
        return known.seen if known else None

    def restore(self, stream: Stream, seen: Seen, *, is_over: bool = False) -> None:
        """Go on with a stream from where its record stands.

        is_over  it was dropped there: what comes before is not needed
        """
        lengths, model = self._configs.lengths, stream.model
        seen.revisions = {w: r for w, r in seen.revisions.items() if w[0] in lengths(model, w[1])}
        if seen.last is not None and seen.last[0] != lengths(model, seen.last[1])[0]:
            seen.last = None
        seen.told_to = max(seen.told_to, self.told_to)
        self._streams[stream] = _Stream(seen, is_over=is_over)
        self._await_silence(stream, seen)

    def rebuilt(self) -> Iterator[Due]:
        """Windows that were judged below `told_to`, of streams without a record, oldest first.

        No window was told as often as the log had messages: whoever goes on from the offset of its
        last partial tells no revision again with another content, of what is not committed either.
        """
        lost = {s: known for s, known in self._streams.items() if known.touched is not None}
        found = [Window(stream, *w) for stream, known in lost.items() for w in known.waiting]
        for window in sorted(found, key=lambda w: (w.end_ms, w.length_ms, w.stream)):
            if window.end_ms > self.watermark_ms:
                continue
            known = lost[window.stream]
            known.waiting.discard(window[1:])
            yield from self._silence_before(window, known)
            known.seen.revisions[window[1:]] = (known.touched or {}).get(window[1:], 0)
            self._note(window, known)
            if not self.has_forgotten(window):
                yield self._merge(window, 0)
        for stream, known in lost.items():
            known.touched = None
            if known.seen.last and not stream.segment:
                yield from self._silence_after(stream, known, self.watermark_ms)

    def add(self, item: Partial | Marker, offset: int) -> Orphan | None:
        """Take one message of the partition."""
        self.next_offset = offset + 1
        if isinstance(item, Marker):
            if offset >= self.told_to:
                self.watermark_ms = max(self.watermark_ms, self._sources.hear(item))
            elif self._is_relearning:
                self._sources.hear(item)  # or the next one would seem to be the first
            return None
        known = self._streams.get(item.stream)
        told_to = known.seen.told_to if known else self.told_to
        windows = self._windows(item)
        last_end_ms = windows[-1].end_ms
        if offset >= self.told_to and last_end_ms <= self.final_ms:
            return None if self._is_repeat(item) else Orphan(item, windows, offset)
        is_dropped = known is not None and known.is_over and offset < told_to
        if is_dropped or last_end_ms <= self._kept_ms(item.stream):
            return None
        if known is None:
            # No record, and yet something below what was told: it is lost, or there was nothing.
            known = self._streams[item.stream] = _Stream(Seen(told_to, born_at=offset))
            known.touched = {} if offset < told_to else None
        known.is_over = False
        is_held = self._hold(known, item, offset)
        over = tuple(window for window in windows if window.end_ms <= self.final_ms)
        return Orphan(item, over, offset) if is_held and offset >= told_to and over else None

    def segments(self, stream: Stream) -> int:
        """How many segments of its model's version there are as of the last message."""
        whole = stream._replace(segment="")
        if whole not in self._segments:
            self._segments[whole] = sum(
                1
                for other, known in self._streams.items()
                if other[:2] == stream[:2] and other.segment
                and known.seen.born_at < self.next_offset
            )  # fmt: skip
        return self._segments[whole]

    def due(self) -> Iterator[Due]:
        """Windows whose end the watermark has passed, oldest first; call it after each marker."""
        asleep = []
        self._segments.clear()
        while self._queue and self._queue[0][0] <= self.watermark_ms:
            entry = heappop(self._queue)
            _end_ms, length_ms, stream, start_ms = entry
            known = self._streams.get(stream)
            if known is None or (length_ms, start_ms) not in known.waiting:
                continue
            if known.seen.told_to >= self.next_offset:
                asleep.append(entry)
                continue
            window = Window(stream, length_ms, start_ms)
            known.waiting.discard(window[1:])
            yield from self._silence_before(window, known)
            revision = known.seen.revisions.get(window[1:], -1) + 1
            known.seen.revisions[window[1:]] = revision
            self._note(window, known)
            yield self._merge(window, revision)
        for entry in asleep:
            heappush(self._queue, entry)
        yield from self._silences_due()
        self.told_to = self.next_offset

    def forget(self) -> tuple[list[Stream], list[Stream]]:
        """Let go of what is final now.

        Returns the streams that lost panes, and those that were dropped: nothing came of them for
        so long.
        """
        final_ms = (self.watermark_ms - self._configs.time.revise_for_ms) // self._pane_ms
        final_ms *= self._pane_ms
        if final_ms <= self.final_ms:
            return [], []
        self.final_ms = final_ms
        changed, ended = [], []
        # The end of a log is no silence.
        over_ms = final_ms - self._configs.time.forget_after_ms
        over_ms = over_ms if self.watermark_ms < -NEVER_MS else NEVER_MS
        for stream, known in self._streams.items():
            seen = known.seen
            seen.revisions = {w: r for w, r in seen.revisions.items() if sum(w) > final_ms}
            kept_ms = self._kept_ms(stream)
            gone = [pane for pane in known.panes if self._last_end(stream, pane) <= kept_ms]
            for pane in gone:
                del known.panes[pane]
            if gone:
                changed.append(stream)
            is_old = seen.last is None or sum(seen.last) <= over_ms
            if not known.panes and (known.is_over or is_old):
                ended.append(stream)
        ended = [s for s in ended if self._streams[s].seen.told_to < self.next_offset]
        for stream in ended:
            del self._streams[stream]
        return changed, ended

    def safe_offset(self) -> int:
        """Everything below is in windows that are final, and was told."""
        while self._order and not self._is_held(*self._order[0]):
            self._order.popleft()
        read_to = min(self.told_to, self.next_offset)  # what is still to be read again is needed
        return min(self._order[0][0], read_to) if self._order else read_to

    def has_forgotten(self, window: Window) -> bool:
        """Whether the panes of a window will not be read again."""
        first_pane = window.start_ms // self._pane_ms
        return self._last_end(window.stream, first_pane) <= self._kept_ms(window.stream)

    def judged_after(self, window: Window) -> list[int]:
        """Starts of judged windows of the same length that come later and had events."""
        known = self._streams[window.stream]
        return sorted(
            start_ms
            for length_ms, start_ms in known.seen.revisions
            if length_ms == window.length_ms
            and start_ms > window.start_ms
            and any(start_ms <= pane * self._pane_ms < start_ms + length_ms for pane in known.panes)
        )

    def merged(self, window: Window) -> WindowState | None:
        """What the partials held now say of a window; None if there is none."""
        return self._merge(window, 0).state if window.stream in self._streams else None

    def _is_held(self, offset: int, stream: Stream, pane: int, key: PartKey) -> bool:
        known = self._streams.get(stream)
        held = known.panes.get(pane, {}).get(key) if known else None
        return held is not None and held.offset == offset

    def _is_repeat(self, item: Partial) -> bool:
        """Whether a part that is final now says nothing new: it was sent again."""
        known = self._streams.get(item.stream)
        held = known.panes.get(item.pane, {}).get((item.source, item.part)) if known else None
        if held is not None:
            return not says_more(item, held)
        closes_ms = (item.pane + item.part + 1) * self._pane_ms
        return self._sources.has_sent(item.source, closes_ms, item.last_offset)

    def _hold(self, known: _Stream, item: Partial, offset: int) -> bool:
        """Keep a partial for the windows it belongs to; False if it says nothing new."""
        parts = known.panes.setdefault(item.pane, {})
        key = (item.source, item.part)
        held = parts.get(key)
        if held is not None and not says_more(item, held):
            return False
        parts[key] = Held(item, offset)
        self._fresh.add(parts[key], len(item.state.features))
        self._order.append((offset, item.stream, item.pane, key))
        is_news, final_ms = offset >= known.seen.told_to, max(self.final_ms, known.seen.final_ms)
        at_ms = item.pane * self._pane_ms
        for length_ms in self._configs.lengths(item.stream.model, at_ms):
            start_ms = at_ms // length_ms * length_ms
            window = (length_ms, start_ms)
            if known.touched is not None:
                known.touched[window] = offset
            if start_ms + length_ms <= final_ms or window in known.waiting:
                continue
            if is_news or window not in known.seen.revisions:
                known.waiting.add(window)
                heappush(self._queue, (start_ms + length_ms, length_ms, item.stream, start_ms))
        return True

    def _kept_ms(self, stream: Stream) -> int:
        """Panes whose last window ends later are kept: what may be revised, and one window more,
        which is the reference of the next.
        """
        return self.final_ms - max(self._configs.lengths(stream.model, self.final_ms))

    def _last_end(self, stream: Stream, pane: int) -> int:
        at_ms = pane * self._pane_ms
        lengths = self._configs.lengths(stream.model, at_ms)
        return max(at_ms // length * length + length for length in lengths)

    def _windows(self, item: Partial) -> tuple[Window, ...]:
        """The windows a part belongs to, by their end."""
        at_ms, stream = item.pane * self._pane_ms, item.stream
        lengths = self._configs.lengths(stream.model, at_ms)
        windows = (Window(stream, length, at_ms // length * length) for length in lengths)
        return tuple(sorted(windows, key=lambda window: window.end_ms))

    def _merge(self, window: Window, revision: int) -> Due:
        return merge(window, revision, self._streams[window.stream].panes, self._pane_ms)

    def _note(self, window: Window, known: _Stream) -> None:
        seen = known.seen
        is_later = seen.last is None or seen.last[1] < window.start_ms
        if is_later and self._is_main(window):
            seen.last, seen.is_quiet = window[1:], False
            self._await_silence(window.stream, seen)

    def _is_main(self, window: Window) -> bool:
        lengths = self._configs.lengths(window.stream.model, window.start_ms)
        return window.length_ms == lengths[0]

    def _await_silence(self, stream: Stream, seen: Seen) -> None:
        if seen.last is not None and not seen.is_quiet and not stream.segment:
            heappush(self._silences, (self._after(stream, seen.last).end_ms, stream))

    def _silence_before(self, window: Window, known: _Stream) -> Iterator[Due]:
        """The first empty window of a gap that ends with this window."""
        last = None if window.stream.segment else known.seen.last
        if last and window.start_ms > sum(last) and self._is_main(window):
            yield from self._silence_after(window.stream, known, window.start_ms)

    def _silences_due(self) -> Iterator[Due]:
        asleep = []
        while self._silences and self._silences[0][0] <= self.watermark_ms < -NEVER_MS:
            entry = heappop(self._silences)
            known = self._streams.get(entry[1])
            if known is not None and known.seen.told_to >= self.next_offset:
                asleep.append(entry)
            elif known is not None:
                yield from self._silence_after(entry[1], known, self.watermark_ms)
        self._silences += asleep
        heapify(self._silences)

    def _silence_after(self, stream: Stream, known: _Stream, watermark_ms: int) -> Iterator[Due]:
        """Say once that a stream went quiet; every further empty window would say the same."""
        seen = known.seen
        assert seen.last is not None  # who calls looked
        empty = self._after(stream, seen.last)
        if not seen.is_quiet and empty.end_ms <= watermark_ms < -NEVER_MS:
            seen.is_quiet = True
            if empty[1:] not in known.waiting and empty[1:] not in seen.revisions:
                seen.revisions[empty[1:]] = 0
                yield Due(empty, 0, None, {})

    def _after(self, stream: Stream, last: tuple[int, int]) -> Window:
        """The window of the main length that follows one."""
        end_ms = sum(last)
        return Window(stream, self._configs.lengths(stream.model, end_ms)[0], end_ms)
