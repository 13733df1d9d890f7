"""Gather: partials of all source partitions in, windows that are due out.

In    partials and markers of one partition of the partials topic, in offset order
Out   `Due` windows: complete ones to judge, judged ones to revise
Not   what a window says (summaries.py) or means (rules.py)

The watermark here is the smallest of all source partitions that are not idle; if all are idle, the
largest. A partial replaces the one with its key and never adds to it, unless it covers less of the
source. What may still be revised is kept; what comes after that is an `Orphan`, not lost silently.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from stream.detect.partials import Marker, Partial
from stream.detect.specs import DetectorSpec
from stream.detect.states import Stream, WindowState
from stream.detect.times import NEVER_MS

PartKey = tuple[int, int, int]  # pane, source partition, part


class Window(NamedTuple):
    """A half-open window `[start_ms, start_ms + length_ms)` of one stream."""

    stream: Stream
    length_ms: int
    start_ms: int

    @property
    def end_ms(self) -> int:
        """The first moment after the window."""
        return self.start_ms + self.length_ms


@dataclass(slots=True)
class Due:
    """A window to judge: its merged sketches, None if no event fell into it.

    offsets        per source partition, first and last offset that contributed
    reference_ids  under which its partials were made; "" is none
    """

    window: Window
    revision: int
    state: WindowState | None
    offsets: dict[int, tuple[int, int]]
    reference_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Orphan:
    """Events that came after their window was final."""

    partial: Partial
    watermark_ms: int


@dataclass(slots=True)
class _Held:
    partial: Partial
    offset: int


class Gather:
    """The windows of the streams of one partition of the partials topic."""

    def __init__(self, spec: DetectorSpec, *, next_offset: int = 0) -> None:
        self._spec = spec
        self._pane_ms = spec.time.pane_ms
        self.next_offset = next_offset
        self._sources: dict[int, Marker] = {}
        self._held: dict[Stream, dict[PartKey, _Held]] = {}
        self._waiting: set[Window] = set()  # complete or not, not judged yet
        self._revisions: dict[Window, int] = {}  # of judged windows
        self._last: dict[Stream, Window] = {}  # last judged of the first length
        self._quiet: set[Stream] = set()
        self._final_ms = NEVER_MS  # windows that end here or earlier are never revised

    @property
    def watermark_ms(self) -> int:
        """How far all source partitions have come; very negative until all have spoken."""
        markers = self._sources.values()
        if not markers or len(markers) < max(m.sources for m in markers):
            return NEVER_MS
        active = [m.watermark_ms for m in markers if not m.is_idle]
        return min(active) if active else max(m.watermark_ms for m in markers)

    def add(self, item: Partial | Marker, offset: int) -> Orphan | None:
        """Take one message of the partition."""
        self.next_offset = offset + 1
        if isinstance(item, Marker):
            known = self._sources.get(item.source)
            if known is None or item.watermark_ms >= known.watermark_ms:
                self._sources[item.source] = item
            return None
        if self._is_final(item):
            return Orphan(item, self._final_ms)
        parts = self._held.setdefault(item.stream, {})
        key = (item.pane, item.source, item.part)
        held = parts.get(key)
        if held is None or _says_more(item, held.partial):
            parts[key] = _Held(item, offset)
            self._waiting.update(self._windows(item.stream, item.pane))
        return None

    def due(self, at_least_ms: int = NEVER_MS) -> Iterator[Due]:
        """Windows whose end the watermark has passed, oldest first; then forget what is final.

        at_least_ms  a watermark known otherwise
        """
        watermark_ms = max(self.watermark_ms, at_least_ms)
        ready = [w for w in self._waiting if w.end_ms <= watermark_ms]
        for window in sorted(ready, key=lambda w: (w.end_ms, w.length_ms, w.stream)):
            self._waiting.discard(window)
            yield from self._silence_before(window)
            revision = self._revisions.get(window, -1) + 1
            self._revisions[window] = revision
            self._note(window)
            yield self._merge(window, revision)
        for stream in sorted(self._last):
            if not stream.segment:
                yield from self._silence_after(stream, watermark_ms)
        self._forget(watermark_ms)

    def safe_offset(self) -> int:
        """Everything below is in windows that are final."""
        held = [h.offset for parts in self._held.values() for h in parts.values()]
        return min(held, default=self.next_offset)

    def is_whole(self, window: Window, watermark_ms: int) -> bool:
        """Whether nothing of a window was forgotten when the watermark stood there."""
        first_pane = window.start_ms // self._pane_ms
        kept_ms = self._kept_ms(window.stream, watermark_ms)
        return self._last_end(window.stream, first_pane) > kept_ms

    def _kept_ms(self, stream: Stream, watermark_ms: int) -> int:
        """Panes whose last window ends later are kept: what may be revised, and one window more,
        which is the reference of the next.
        """
        longest_ms = max(self._spec.model(stream.model).lengths_ms)
        return watermark_ms - self._spec.time.revise_for_ms - longest_ms

    def _is_final(self, partial: Partial) -> bool:
        return self._last_end(partial.stream, partial.pane) <= self._final_ms

    def _windows(self, stream: Stream, pane: int) -> list[Window]:
        at_ms = pane * self._pane_ms
        lengths = self._spec.model(stream.model).lengths_ms
        windows = [Window(stream, length, at_ms // length * length) for length in lengths]
        return [w for w in windows if w.end_ms > self._final_ms]

    def _last_end(self, stream: Stream, pane: int) -> int:
        at_ms = pane * self._pane_ms
        lengths = self._spec.model(stream.model).lengths_ms
        return max(at_ms // length * length + length for length in lengths)

    def _merge(self, window: Window, revision: int) -> Due:
        first, last = window.start_ms // self._pane_ms, window.end_ms // self._pane_ms
        parts = self._held[window.stream]
        state, offsets, references = WindowState(), dict[int, tuple[int, int]](), set[str]()
        for key in sorted(k for k in parts if first <= k[0] < last):
            partial = parts[key].partial
            state.merge(partial.state)
            low, high = offsets.get(partial.source, (partial.first_offset, partial.last_offset))
            low, high = min(low, partial.first_offset), max(high, partial.last_offset)
            offsets[partial.source] = (low, high)
            references.add(partial.reference_id or "")
        return Due(
            window, revision, state, dict(sorted(offsets.items())), tuple(sorted(references))
        )

    def _note(self, window: Window) -> None:
        if window.length_ms == self._spec.model(window.stream.model).lengths_ms[0]:
            known = self._last.get(window.stream)
            if known is None or known.start_ms < window.start_ms:
                self._last[window.stream] = window
                self._quiet.discard(window.stream)

    def _silence_before(self, window: Window) -> Iterator[Due]:
        """The first empty window of a gap that ends with this window."""
        last = None if window.stream.segment else self._last.get(window.stream)
        if last and window.length_ms == last.length_ms and window.start_ms > last.end_ms:
            yield from self._silence_after(window.stream, window.start_ms)

    def _silence_after(self, stream: Stream, watermark_ms: int) -> Iterator[Due]:
        """Say once that a stream went quiet; every further empty window would say the same."""
        last = self._last[stream]
        empty = Window(stream, last.length_ms, last.end_ms)
        if stream not in self._quiet and empty.end_ms <= watermark_ms < -NEVER_MS:
            self._quiet.add(stream)
            if empty not in self._waiting and empty not in self._revisions:
                self._revisions[empty] = 0
                yield Due(empty, 0, None, {})

    def _forget(self, watermark_ms: int) -> None:
        final_ms = watermark_ms - self._spec.time.revise_for_ms
        if final_ms <= self._final_ms:
            return
        self._final_ms = final_ms
        self._revisions = {w: r for w, r in self._revisions.items() if w.end_ms > final_ms}
        for stream, parts in list(self._held.items()):
            kept_ms = self._kept_ms(stream, watermark_ms)
            kept = {k: h for k, h in parts.items() if self._last_end(stream, k[0]) > kept_ms}
            if kept:
                self._held[stream] = kept
            else:
                del self._held[stream]


def _says_more(new: Partial, held: Partial) -> bool:
    """Whether new covers at least as much of the source as what is held, and is not just it."""
    covers = new.last_offset >= held.last_offset and new.first_offset <= held.first_offset
    return covers and _identity(new) != _identity(held)


def _identity(partial: Partial) -> tuple[object, ...]:
    """What makes two partials of one key the same, as they are a function of the log."""
    span = partial.first_offset, partial.last_offset, partial.state.events
    return (*span, partial.reference_id, partial.config_hash)
