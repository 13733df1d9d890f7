"""Arrays: features that are arrays of numbers in, what is kept of their dimensions out.

In    JSON arrays of a run of events, then the slot of each event
Out   `Arrays` of a run, end to end; a slot's dimensions, and cosines to the reference's mean
Not   their lengths as numbers (sketches.py); reading means and variances (judge)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.sketches import vectors
from kernels.sketches.vectors import Vectors

Slots = NDArray[np.int32]
FIRST_ROOM = 16  # dimensions


class Arrays(NamedTuple):
    """Arrays of some events of a run.

    rows  (m,)  which event each is of
    ends  (m,)  where it ends in `flat`, exclusive
    flat  (total,)  NaN where an array has null
    """

    rows: NDArray[np.int64]
    ends: NDArray[np.int64]
    flat: NDArray[np.float64]

    def norms(self) -> NDArray[np.float64]:
        """Euclidean length of each (m,); NaN for an array with null or NaN in it."""
        out = np.empty(len(self.ends))
        vectors.norms(self.flat, self.ends, out)
        return out


def arrays_of(values: Sequence[Any]) -> Arrays | None:
    """Those of the values that are arrays of numbers and nulls; None if there are none."""
    rows, parts = [], []
    for row, value in enumerate(values):
        if type(value) is list and (part := _numbers(value)) is not None:
            rows.append(row)
            parts.append(part)
    if not parts:
        return None
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return Arrays(np.array(rows, np.int64), ends, np.concatenate(parts))


def together(
    pieces: Sequence[tuple[NDArray[np.int64], Arrays]], events: NDArray[np.intp]
) -> Arrays | None:
    """The arrays of a run of events (n,), from pieces that say whose theirs are; None for none."""
    row_of = {event: row for row, event in enumerate(events.tolist())}
    found = sorted(
        (row_of[event], piece, at)
        for piece, (whose, _) in enumerate(pieces)
        for at, event in enumerate(whose.tolist())
        if event in row_of
    )
    if not found:
        return None
    parts = [np.split(arrays.flat, arrays.ends[:-1]) for _, arrays in pieces]
    chosen = [parts[piece][at] for _, piece, at in found]
    ends = np.cumsum([len(part) for part in chosen], dtype=np.int64)
    return Arrays(np.array([row for row, _, _ in found]), ends, np.concatenate(chosen))


def _numbers(value: list[Any]) -> NDArray[np.float64] | None:
    kinds = set(map(type, value))
    if kinds <= {float, int}:
        return np.array(value, np.float64)
    if kinds <= {float, int, type(None)}:
        return np.array([np.nan if v is None else v for v in value], np.float64)
    return None


class ArraySketch:
    """Sums over the dimensions of one feature's arrays, a row per slot."""

    def __init__(self, slots: int, direction: NDArray[np.float64]) -> None:
        self.direction = direction  # (d,) the reference's mean array; empty for none
        self._state = vectors.empty(slots, max(len(direction), FIRST_ROOM))

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        self._state = vectors.grow(self._state, slots)

    def reset(self, slot: int) -> None:
        """Empty a slot."""
        vectors.reset(self._state, slot)

    def update(self, slots: Slots, arrays: Arrays) -> None:
        """Add arrays, each to the slot in slots (m,); -1 is skipped."""
        longest = min(int(np.diff(arrays.ends, prepend=0).max(initial=0)), vectors.MOST)
        room = self._state.sums.shape[1]
        if longest > room:
            self._state = vectors.grow(self._state, len(self._state.length), longest)
        vectors.update(self._state, slots, arrays.flat, arrays.ends)

    def cosines(self, arrays: Arrays) -> NDArray[np.float64]:
        """Of each array and the direction (m,), NaN where there is none."""
        out = np.empty(len(arrays.ends))
        vectors.cosines(arrays.flat, arrays.ends, self.direction, out)
        return out

    def length(self, slot: int) -> int:
        """How many dimensions are kept of the arrays of a slot; 0 before the first."""
        return min(int(self._state.length[slot]), vectors.MOST)

    def state(self, slot: int) -> Vectors | None:
        """A copy of a slot's row; None if no array came."""
        row = slice(slot, slot + 1)
        used = min(int(self._state.length[slot]), self._state.sums.shape[1])
        if not (self._state.count[slot] or self._state.apart[slot].any()):
            return None
        length, count, apart = (array[row].copy() for array in self._state[:3])
        sums, squares = (array[row, :used].copy() for array in self._state[3:])
        return Vectors(length, count, apart, sums, squares)
