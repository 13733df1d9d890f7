"""Previous: the last window that may be compared with in, a reference for the next one out.

In    its sketches, when it is judged or its partials are read again
Out   `Reference` named previous; away, it takes little memory
Not   which window may be compared with, and when it is written (judge.py)
"""

from __future__ import annotations

from zlib import compress, decompress

from stream.detect.judge.parts import FAST, Fresh, Window
from stream.detect.judge.summaries import digest
from stream.detect.partials import Partial, pack_state, read
from stream.detect.references import Reference
from stream.detect.states import WindowState


class Previous:
    """The last window of a stream and a length; without sketches until its partials are read.

    told_to    messages below this offset were taken when it was judged
    is_inline  its sketches stand in the record
    """

    __slots__ = ("__weakref__", "_away", "_reference", "is_inline", "told_to", "window")

    def __init__(self, window: Window, told_to: int, *, is_inline: bool = False) -> None:
        self.window, self.told_to, self.is_inline = window, told_to, is_inline
        self._reference: Reference | None = None
        self._away = b""

    def keep(self, state: WindowState, fresh: Fresh) -> None:
        """These are its sketches."""
        state.fold()
        self._reference = self._named(state)
        fresh.add(self, len(state.features))

    def reference(self) -> Reference | None:
        """What the next window is compared with; None without sketches."""
        if self._reference is not None or not self._away:
            return self._reference
        whole = read(decompress(self._away))
        assert isinstance(whole, Partial)
        return self._named(whole.state)

    def put_away(self) -> None:
        """Keep bytes alone."""
        if self._reference is not None:
            self._away = compress(pack_state(self.window.stream, self._reference.state), FAST)
            self._reference = None

    def _named(self, state: WindowState) -> Reference:
        stream, length_ms, start_ms = self.window
        name = digest("previous", *stream, length_ms, start_ms)
        return Reference(name, stream.model, stream.version, state)
