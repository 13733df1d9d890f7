"""Adaptive: the first windows of a stream in, a reference for all later ones out.

In    windows that nothing speaks against, in the order they are judged
Out   `Reference` named adaptive, frozen once enough windows are in it
Not   references from training (stream/detect/profiles.py), the window before (judge.py)

For models without training data, if `reference.adaptive` says of how many windows. A window counts
with LEAST_EVENTS events or more, once, and not if a rule other than drift breached in it. What is
taken so far is kept in the stream's record, so a judge that starts again goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stream.detect.configurations import Configurations
from stream.detect.judge.parts import Window
from stream.detect.judge.records import First
from stream.detect.judge.summaries import digest
from stream.detect.references import Reference
from stream.detect.states import Stream, WindowState

LEAST_EVENTS = 100


class Starts:
    """The first windows of every stream and length."""

    def __init__(self, configs: Configurations) -> None:
        self._configs = configs
        self._first: dict[Stream, dict[int, First]] = {}
        self._made: dict[tuple[Stream, int], Reference] = {}

    def reference(self, window: Window) -> Reference | None:
        """What a window is compared with; None for one that the reference is made of."""
        first = self._first.get(window.stream, {}).get(window.length_ms)
        if first is None or not self._is_full(window, first):
            return None
        return self._reference(window, first) if window.start_ms >= first.taken_to_ms else None

    def _reference(self, window: Window, first: First) -> Reference:
        key = window.stream, window.length_ms
        if key not in self._made:
            stream = window.stream
            name = digest("adaptive", *stream, window.length_ms, first.taken_to_ms)
            self._made[key] = Reference(name, stream.model, stream.version, first.state)
        return self._made[key]

    def take(self, window: Window, state: WindowState) -> None:
        """Add a window, unless it is too small or was added before, or there are enough."""
        if not self._wanted(window) or state.events < LEAST_EVENTS:
            return
        known = self._first.setdefault(window.stream, {})
        first = known.get(window.length_ms) or First(window.length_ms)
        if self._is_full(window, first) or window.start_ms < first.taken_to_ms:
            return
        merged = WindowState()
        merged.merge(first.state)
        merged.merge(state)
        known[window.length_ms] = First(
            window.length_ms, first.windows + 1, window.end_ms, merged
        )  # fmt: skip

    def rows(self, stream: Stream) -> Iterator[First]:
        """What has to be kept of a stream."""
        yield from self._first.get(stream, {}).values()

    def restore(self, stream: Stream, rows: Iterable[First]) -> None:
        """What was kept of a stream."""
        self._first[stream] = {first.length_ms: first for first in rows}

    def drop(self, stream: Stream) -> None:
        """Forget a stream."""
        for length_ms in self._first.pop(stream, {}):
            self._made.pop((stream, length_ms), None)

    def _wanted(self, window: Window) -> int:
        return self._configs.judging(window.end_ms).model(window.stream.model).adaptive_windows

    def _is_full(self, window: Window, first: First) -> bool:
        return 0 < self._wanted(window) <= first.windows
