"""Rolls: which ids a pane has had, so that an event that is sent twice is counted once.

In    the decoded events of a fetch with the pane, part and verdict of each
Out   the verdict DUPLICATE where an id repeats another of the same roll; which ids are not kept
Not   counting them (sketches.py), hashing ids (kernels/hashing.py)

A roll is opened by the first event of a pane and kept until nothing of it can come in time any
more: until the part is sent that is `duplicates_for` late. What comes later than that has a roll
per part. So a roll is a function of the log, and the safe offset never passes the first event of
an open roll: whoever replays from there reads every event of every roll that still decides
anything. Ids of other models, versions, panes and source partitions are other ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kernels import ids
from kernels.hashing import hash_bytes
from kernels.ids import IdSet
from stream.detect.ingest.events import Decoded
from stream.detect.ingest.windows import (
    ALREADY_SENT,
    COUNTED,
    DUPLICATE,
    PartitionTime,
    Placement,
    grouped,
)
from stream.detect.specs import DetectorSpec

RollKey = tuple[int, int]  # pane; 0, or the part if it is later than `duplicates_for`


@dataclass(slots=True)
class Roll:
    """What one pane has had so far.

    before_ms  the watermark before the message at first_offset
    """

    first_offset: int
    before_ms: int
    ids: IdSet = field(default_factory=ids.empty)


class Rolls:
    """The rolls of one source partition."""

    def __init__(self, spec: DetectorSpec, time: PartitionTime) -> None:
        self._spec, self._time = spec, time
        self._kept_parts = spec.time.duplicates_for_ms // spec.time.pane_ms
        self._open: dict[RollKey, Roll] = {}
        self._streams: dict[tuple[str, str], np.uint64] = {}  # their hashes

    def call(self, decoded: Decoded, placement: Placement) -> NDArray[np.bool_]:
        """Mark duplicates in the placement's verdicts; returns (n,) whether an id is not kept.

        An event whose parts were all sent before a restart is passed over: its roll is closed.
        """
        verdicts, told = placement.verdicts, np.zeros(len(placement.verdicts), np.int8)
        units = np.where(placement.parts <= self._kept_parts, 0, placement.parts)
        last = placement.panes + np.maximum(placement.parts, self._kept_parts)
        heard = (verdicts == COUNTED) | (verdicts == ALREADY_SENT)
        heard &= (last + 1) * self._spec.time.pane_ms > self._time.progress.sent_ms
        hashes = self._hashes(decoded)
        keys, index = grouped(placement.panes, units, heard)
        for at, key in enumerate(keys):
            rows = np.flatnonzero(index == at)
            roll = self._roll(key, int(rows[0]), decoded, placement)
            roll.ids = ids.with_room(roll.ids, len(rows), self._spec.limits.max_ids)
            ids.add(roll.ids, self._spec.limits.max_ids, hashes, rows, told)
        verdicts[(told == ids.SEEN) & (verdicts == COUNTED)] = DUPLICATE
        return np.asarray(told == ids.UNKEPT)

    def close(self) -> None:
        """Forget the rolls of which nothing can come any more."""
        for pane, unit in list(self._open):
            if self._time.is_complete(pane, max(unit, self._kept_parts)):
                del self._open[pane, unit]

    def drop(self) -> None:
        """Forget all."""
        self._open.clear()

    def first(self) -> Roll | None:
        """The open roll that begins first in the log."""
        return min(self._open.values(), key=lambda roll: roll.first_offset, default=None)

    def _roll(self, key: RollKey, row: int, decoded: Decoded, placement: Placement) -> Roll:
        roll = self._open.get(key)
        if roll is None:
            first = int(decoded.offsets[row])
            # A replay starts with the whole message, so with what came before its first event.
            before_ms = int(placement.before_ms[np.searchsorted(decoded.offsets, first)])
            roll = self._open[key] = Roll(first, before_ms)
        return roll

    def _hashes(self, decoded: Decoded) -> NDArray[np.uint64]:
        hashes = np.empty(len(decoded.times_ms), np.uint64)
        for run in decoded.runs:
            hashes[run.rows] = run.ids ^ self._stream(run.model, run.version)
        return hashes

    def _stream(self, model: str, version: str) -> np.uint64:
        found = self._streams.get((model, version))
        if found is None:
            name = np.frombuffer(f"{model}\0{version}".encode(), np.uint8)
            found = hash_bytes(name, 0, len(name), self._spec.hash_key)
            if len(self._streams) > 2 * self._spec.limits.max_models:
                self._streams.clear()
            self._streams[model, version] = found
        return found
