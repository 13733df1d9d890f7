"""Placing: event times in log order in; pane, lateness and watermark of each event out.

In    times and arrivals int64 in ms, how far the watermark had come, the lengths that decide
Out   per event its pane, its part, the watermark before it and a verdict; the watermark after all
Not   what panes and parts are for (stream/detect/ingest/windows.py)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel

IN_TIME, AHEAD, TOO_LATE, SENT = range(4)


@kernel
def place(
    times: NDArray[np.int64],
    arrivals: NDArray[np.int64],
    watermark: int,
    sent: int,
    lengths: tuple[int, int, int, int],
    panes: NDArray[np.int64],
    parts: NDArray[np.int64],
    before: NDArray[np.int64],
    verdicts: NDArray[np.int8],
) -> tuple[int, bool]:
    """Place n events one after another; the watermark behind the last, and whether all are IN_TIME
    in part 0 of the pane of the first.

    watermark        before the first event
    sent             parts that this watermark had closed are not counted again
    lengths          a pane, the grace, how far ahead of its arrival an event may be, how late
    panes … verdicts (n,)  out; a verdict is IN_TIME, AHEAD, TOO_LATE or SENT

    An event that is ahead of its arrival does not move the watermark.
    """
    pane, grace, ahead, latest = lengths
    differ = 0
    for at in range(times.size):
        time, arrival = times[at], arrivals[at]
        own = time // pane
        end = (own + 1) * pane
        part, verdict = 0, IN_TIME
        if end <= watermark:
            now = watermark // pane
            part, closes = now - own, (now + 1) * pane
            late_by = watermark - end
        else:
            closes, late_by = end, -1
        if closes <= sent:
            verdict = SENT
        if late_by >= latest:
            verdict = TOO_LATE
        if time > arrival + ahead:
            verdict = AHEAD
        panes[at], parts[at], before[at], verdicts[at] = own, part, watermark, verdict
        differ |= (own ^ panes[0]) | part | verdict
        if verdict != AHEAD:
            watermark = max(watermark, min(time, arrival) - grace)
    return int(watermark), differ == 0
