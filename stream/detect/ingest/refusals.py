"""Refusals: verdicts on decoded events in, one dead letter per message and reason out.

In    the verdicts of a fetch, and the messages its events came in
Out   dead letters of what was decoded and is not counted, in the order of the log
Not   what cannot be decoded (events.py), what is counted elsewhere (ALREADY_SENT, DUPLICATE)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stream.detect.ingest.blocks import Block
from stream.detect.ingest.codec import RAW_BYTES_KEPT, DeadLetter
from stream.detect.ingest.events import Decoded
from stream.detect.ingest.windows import (
    TOO_FAR_AHEAD,
    TOO_LATE,
    TOO_MANY_MODELS,
    TOO_MANY_VERSIONS,
    Placement,
)
from stream.detect.times import rfc3339

REASONS = {
    TOO_FAR_AHEAD: ("too_far_ahead", "ts"),
    TOO_LATE: ("too_late", "ts"),
    TOO_MANY_MODELS: ("too_many_models", "model"),
    TOO_MANY_VERSIONS: ("too_many_versions", "version"),
}
IS_REFUSED = np.array([verdict in REASONS for verdict in range(max(REASONS) + 1)])


def letters(decoded: Decoded, placement: Placement, block: Block) -> Iterator[DeadLetter]:
    """One letter for all events of a message that are refused for one reason."""
    verdicts = placement.verdicts
    refused = np.flatnonzero(IS_REFUSED[verdicts])
    if not len(refused):
        return
    pairs = np.stack([decoded.offsets[refused], verdicts[refused].astype(np.int64)])
    _, firsts, counts = np.unique(pairs, axis=1, return_index=True, return_counts=True)
    runs = _runs(decoded)
    for row, count in zip(refused[firsts].tolist(), counts.tolist(), strict=True):
        offset = int(decoded.offsets[row])
        reason, field = REASONS[int(verdicts[row])]
        yield DeadLetter(
            reason=reason,
            field=field,
            detail=_detail(field, row, decoded, placement, runs),
            offset=offset,
            raw=block.raw(offset, RAW_BYTES_KEPT),
            count=count,
        )


def _runs(decoded: Decoded) -> NDArray[np.int64]:
    """(n,) the run of each event; a flood of names has as many runs as events."""
    found = np.zeros(len(decoded.times_ms), np.int64)
    for at, run in enumerate(decoded.runs):
        found[run.rows] = at
    return found


def _detail(
    field: str, row: int, decoded: Decoded, placement: Placement, runs: NDArray[np.int64]
) -> str:
    if field != "ts":
        run = decoded.runs[runs[row]]
        named = run.model if field == "model" else f"{run.model}/{run.version}"
        return f"{field} {named}: its pane and partition have as many as limits.max_{field}s"
    ts = rfc3339(int(decoded.times_ms[row]))
    if placement.verdicts[row] == TOO_FAR_AHEAD:
        came = rfc3339(int(decoded.arrivals_ms[row]))
        return f"event time {ts} is ahead of its arrival {came}"
    watermark = rfc3339(max(0, int(placement.before_ms[row])))
    return f"event time {ts}, watermark {watermark}"
