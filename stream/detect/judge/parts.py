"""Parts: partials of a stream by pane in, the merged sketches of a window out.

In    partials with their offsets on the partials topic
Out   `Due` windows; which of two partials of one key counts; which stay at hand
Not   when a window is due (gather.py)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from weakref import ref
from zlib import compress, decompress

from stream.detect.partials import Partial, pack, read
from stream.detect.states import Stream, WindowState

FAST = 1  # of zlib's levels: a third of the size for a tenth of a millisecond
AT_HAND = 4_000  # features that stay unpacked, at some seven kilobytes each

PartKey = tuple[int, int]  # source partition, part
_Identity = tuple[int, int, int, str | None, str]  # offsets, events, reference, configuration


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
    reference_id   the one that judges: of most events of the last pane, the smallest of equals
    config_hashes  under which its partials were made
    """

    window: Window
    revision: int
    state: WindowState | None
    offsets: dict[int, tuple[int, int]]
    reference_ids: tuple[str, ...] = ()
    reference_id: str = ""
    config_hashes: tuple[str, ...] = ()


class Held:
    """A partial, and where it stands on the partials topic; away, it takes little memory.

    identity  what makes two partials of one key the same, as they are a function of the log
    """

    __slots__ = ("__weakref__", "_away", "_partial", "identity", "offset")

    def __init__(self, partial: Partial, offset: int) -> None:
        self.offset, self.identity = offset, _identity(partial)
        self._partial: Partial | None = partial
        self._away = b""

    @property
    def partial(self) -> Partial:
        """The partial; not to be changed."""
        if self._partial is not None:
            return self._partial
        again = read(decompress(self._away))
        assert isinstance(again, Partial)
        return again

    def put_away(self) -> None:
        """Keep bytes alone: what was judged is needed again by longer windows and revisions."""
        if self._partial is not None:
            raw = self._partial.raw or pack(self._partial)
            self._away, self._partial = compress(raw, FAST), None


class Away(Protocol):
    """What can be kept as bytes alone."""

    def put_away(self) -> None:
        """Keep bytes alone; again does no harm."""


class Fresh:
    """What came last stays at hand: to read it again takes as long as to read it took before.

    most  features at hand; what came before is put away, so that many streams cost bytes alone
    """

    def __init__(self, most: int = AT_HAND) -> None:
        self._most, self._features = most, 0
        # Weak, or what was replaced, or let go of, would live until as much has come after it.
        self._items: deque[tuple[ref[Away], int]] = deque()

    def add(self, item: Away, features: int) -> None:
        """Keep one at hand, and put away what is too much now."""
        self._items.append((ref(item), features + 1))
        self._features += features + 1
        while self._features > self._most:
            old, size = self._items.popleft()
            self._features -= size
            if (alive := old()) is not None:
                alive.put_away()


def merge(
    window: Window, revision: int, panes: Mapping[int, Mapping[PartKey, Held]], pane_ms: int
) -> Due:
    """What these panes say of a window, always added up in the same order."""
    first, last = window.start_ms // pane_ms, window.end_ms // pane_ms
    state, offsets = WindowState(), dict[int, tuple[int, int]]()
    references, configs, judging = set[str](), set[str](), dict[str, int]()
    for pane in sorted(pane for pane in panes if first <= pane < last):
        judging = {}
        for key in sorted(panes[pane]):
            partial = panes[pane][key].partial
            panes[pane][key].put_away()
            state.merge(partial.state)
            low, high = offsets.get(partial.source, (partial.first_offset, 0))
            low, high = min(low, partial.first_offset), max(high, partial.last_offset)
            offsets[partial.source] = (low, high)
            reference = partial.reference_id or ""
            judging[reference] = judging.get(reference, 0) + partial.state.events
            references.add(reference)
            configs.add(partial.config_hash)
    return Due(
        window,
        revision,
        state,
        dict(sorted(offsets.items())),
        tuple(sorted(references)),
        min(judging, key=lambda name: (-judging[name], name), default=""),
        tuple(sorted(configs)),
    )


def says_more(new: Partial, held: Held) -> bool:
    """Whether new covers at least as much of the source as what is held, and is not just it."""
    first_offset, last_offset, *_ = held.identity
    covers = new.last_offset >= last_offset and new.first_offset <= first_offset
    return covers and _identity(new) != held.identity


def _identity(partial: Partial) -> _Identity:
    span = partial.first_offset, partial.last_offset, partial.state.events
    return (*span, partial.reference_id, partial.config_hash)
