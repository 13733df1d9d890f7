"""Windows: event times in, panes and lateness out.

In    times and arrivals of a batch of one source partition, in log order
Out   for each event the pane it belongs to, its part, and whether it is counted
Not   rows of sketches for a pane (sketches.py), sending it (ingestor.py)

Everything here is a function of the log: the watermark of a partition is the largest event time of
accepted events - grace, or arrival - grace for an event that is ahead of its arrival, taken event
by event, so the way batches are cut changes nothing. Arrivals are stamped by the broker: however
wrong a publisher's clock, it cannot close a pane before its time has come. Silence closes no pane:
a worker that takes a partition for idle sends what it has, and sends it again if it becomes more.

    pane    0        1        2        3          part 0 of a pane is what came in time; an event
    time    |--------|--------|--------|------    of pane 0 that comes while the watermark is in
    watermark           ^                         pane 2 goes to part 2 of pane 0, sent when the
                                                  watermark leaves pane 2
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels import placing
from stream.detect.specs import TimeSpec
from stream.detect.times import NEVER_MS

COUNTED, TOO_FAR_AHEAD = placing.IN_TIME, placing.AHEAD
TOO_LATE, ALREADY_SENT = placing.TOO_LATE, placing.SENT
DUPLICATE, TOO_MANY_MODELS, TOO_MANY_VERSIONS = 4, 5, 6  # by rolls.py
FEW = 65_536  # entries of a table that is faster than sorting


class Progress(NamedTuple):
    """What a commit says beside the safe offset; enough to replay from there identically.

    watermark_ms   before the event at the safe offset
    sent_ms        parts that this watermark had closed were all sent
    told_ms        what markers said last; more than the watermark after a silence
    read_to        messages below this offset were read, and what they brought about was sent
    """

    watermark_ms: int = NEVER_MS
    sent_ms: int = NEVER_MS
    told_ms: int = NEVER_MS
    read_to: int = 0


class Placement(NamedTuple):
    """Where each event of a batch goes.

    panes      (n,) int64   index of the pane, event time // pane length
    parts      (n,) int64   0 in time, else panes between the event's own and that of its arrival
    before_ms  (n,) int64   watermark before the event
    verdicts   (n,) int8    COUNTED, TOO_FAR_AHEAD, TOO_LATE or ALREADY_SENT, and those of rolls.py
    pane       of all events, if it is one and all came in time for part 0 of it
    """

    panes: NDArray[np.int64]
    parts: NDArray[np.int64]
    before_ms: NDArray[np.int64]
    verdicts: NDArray[np.int8]
    pane: int | None = None


@dataclass(slots=True)
class PartitionTime:
    """The watermark of one source partition."""

    spec: TimeSpec
    progress: Progress
    event_ms: int = field(init=False)  # what the log says so far

    def __post_init__(self) -> None:
        self.event_ms = self.progress.watermark_ms

    @property
    def watermark_ms(self) -> int:
        """Now; NEVER_MS before the first event.

        While a replay has not caught up this is more than `event_ms`: it knows what was sent.
        """
        return max(self.event_ms, self.progress.sent_ms)

    def place(self, times_ms: NDArray[np.int64], arrivals_ms: NDArray[np.int64]) -> Placement:
        """Pane, part and verdict of each event; moves the watermark."""
        spec, n = self.spec, len(times_ms)
        lengths = (spec.pane_ms, spec.grace_ms, spec.max_ahead_ms, spec.revise_for_ms)
        panes, parts, before_ms = np.empty((3, n), np.int64)
        verdicts = np.empty(n, np.int8)
        start = (self.event_ms, self.progress.sent_ms, lengths)
        self.event_ms, is_plain = placing.place(
            times_ms, arrivals_ms, *start, panes, parts, before_ms, verdicts
        )
        pane = int(panes[0]) if n and is_plain else None
        return Placement(panes, parts, before_ms, verdicts, pane)

    def is_complete(self, pane: int, part: int) -> bool:
        """Whether nothing can join this part any more."""
        return self.closes_ms(pane, part) <= self.watermark_ms

    def closes_ms(self, pane: int, part: int) -> int:
        """The watermark from which on nothing can join this part."""
        return (pane + part + 1) * self.spec.pane_ms


def grouped(
    panes: NDArray[np.int64], parts: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> tuple[list[tuple[int, int]], NDArray[np.intp]]:
    """The distinct (pane, part) of the chosen rows, ascending; and (n,) the position of each.

    Rows that are not chosen have the position -1.
    """
    index = np.full(len(panes), -1, np.intp)
    if not chosen.all():
        panes, parts = panes[chosen], parts[chosen]
    if not len(panes):
        return [], index
    first, width = int(panes.min()), int(parts.max()) + 1
    span = (int(panes.max()) - first + 1) * width
    if span == 1:
        index[chosen] = 0
        return [(first, 0)], index
    if span <= FEW:
        codes = (panes - first) * width + parts
        there = np.flatnonzero(np.bincount(codes, minlength=span))
        position = np.empty(span, np.intp)
        position[there] = np.arange(len(there))
        index[chosen] = position[codes]
        return [(first + c // width, c % width) for c in there.tolist()], index
    pairs, inverse = np.unique(np.stack([panes, parts], 1), axis=0, return_inverse=True)
    index[chosen] = inverse.ravel()
    return [(pane, part) for pane, part in pairs.tolist()], index
