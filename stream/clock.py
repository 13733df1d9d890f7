"""Clock: nothing in, milliseconds out.

In    the system's clocks, or what a test says the time is
Out   now_ms: wall time since the epoch; monotonic_ms: time that never goes back, from any start
Not   event time, which comes from the log alone (detect/windows.py)

The only file that reads wall time. Nothing that decides what a window contains asks it.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What every part that needs the time is given."""

    def now_ms(self) -> int:
        """Wall time in milliseconds since the epoch; it may jump."""

    def monotonic_ms(self) -> int:
        """Milliseconds from an arbitrary start; for durations and deadlines."""


class SystemClock:
    """The clocks of this machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, now_ms: int = 0) -> None:
        self._wall_ms = now_ms
        self._monotonic_ms = 0

    def now_ms(self) -> int:
        return self._wall_ms

    def monotonic_ms(self) -> int:
        return self._monotonic_ms

    def advance_ms(self, duration_ms: int) -> None:
        """Let time pass; both clocks move.

        Raises ValueError for a negative duration.
        """
        if duration_ms < 0:
            raise ValueError(f"time passes forwards only, got {duration_ms} ms")
        self._wall_ms += duration_ms
        self._monotonic_ms += duration_ms

    def jump_ms(self, offset_ms: int) -> None:
        """Set the wall clock forwards or back, as an operator or NTP would; no time passes."""
        self._wall_ms += offset_ms
