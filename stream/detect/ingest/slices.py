"""Slices: arrays of a feature in, projections of a uniform sample of them out.

In    `Arrays` of a run, the slot and the hashed id of each event
Out   a slot's row as `Rows`: events with the smallest ids, on DIRECTIONS fixed directions
Not   what follows from it (judge); the arrays themselves, of which nothing else is kept one by one
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.measures import embeddings
from kernels.sketches import rows
from kernels.sketches.rows import Rows
from kernels.sketches.slots import taken
from stream.detect.ingest.arrays import Arrays
from stream.detect.joint import PANE_ROWS
from stream.detect.slices import DIRECTIONS

KEY = np.uint64(0x736C69636564), np.uint64(0)  # any key: the same for references and windows

Slots = NDArray[np.int32]


class SliceSketch:
    """A sample of one feature's arrays of one length, projected, a row per slot."""

    def __init__(self, slots: int, dimension: int, most_rows: int = PANE_ROWS) -> None:
        self._along = embeddings.directions(DIRECTIONS, dimension, KEY)
        self._sample = rows.empty(slots, most_rows, DIRECTIONS)

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        self._sample = rows.grow(self._sample, slots)

    def reset(self, slot: int) -> None:
        """Empty a slot."""
        rows.reset(self._sample, slot)

    def update(self, slots: Slots, ids: NDArray[np.uint64], arrays: Arrays) -> None:
        """Add arrays, each to the slot in slots (m,) under the id of its event (m,).

        -1 is skipped; an array of another length, or with what is not finite, stays out.
        """
        chosen = np.empty(len(slots), np.int64)
        at = chosen[: rows.candidates(self._sample, slots, ids, chosen)]
        if not len(at):
            return
        starts = np.concatenate([[0], arrays.ends[:-1]])[at]
        sizes = arrays.ends[at] - starts
        flat = np.concatenate([arrays.flat[s : s + n] for s, n in zip(starts, sizes, strict=True)])
        projected = np.empty((DIRECTIONS, len(at)))
        embeddings.project(flat, np.cumsum(sizes), self._along, projected)
        kept = np.where(np.isnan(projected[0]), np.int32(-1), slots[at])
        rows.update(self._sample, kept, ids[at], projected)

    def state(self, slot: int) -> Rows | None:
        """A copy of a slot's row; None if no array is in it."""
        return taken(self._sample, slot) if self._sample.used[slot] else None
