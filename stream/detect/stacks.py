"""Stacks: numbers of many features in one piece, so that a call of a kernel does for all of them.

In    tables of an unpacked partial; or how many numbers there are
Out   `Stack`, a row per number, to which another one is added
Not   what a feature is (states.py), bytes (partials.py)

A window has hundreds of features and is added up of a part per pane and source partition. Numbers
of a `WindowState` are views of rows here, so there is one truth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kernels import sparse
from kernels.sketches import hyperloglog, logbins, moments
from kernels.sketches.hyperloglog import REGISTERS, HyperLogLog
from kernels.sketches.moments import Moments
from stream.detect.grids import Grid
from stream.detect.hashes import Hashes, either


class Number(Protocol):
    """What there is of a number beside its rows here."""

    grid: Grid
    unlisted: Hashes | None


@dataclass(slots=True)
class Packed:
    """Cells as kernels/sparse.py packs them: those of row i are `buffer[ends[i] : ends[i + 1]]`.

    hashes  by row, the row of `registers` with its hashes; -1 if it has none
    """

    buffer: NDArray[np.uint8]
    ends: NDArray[np.int64]
    hashes: NDArray[np.int32]


@dataclass(slots=True)
class Stack:
    """Numbers, one row each.

    rows       by feature
    moments    (n_rows)
    registers  (n_hashes, REGISTERS)  of hashes of values that are not counted one by one
    cells      (n_rows, CELLS)  None while they are packed
    """

    rows: dict[str, int]
    moments: Moments
    registers: NDArray[np.uint8]
    cells: NDArray[np.int64] | None = None
    packed: Packed | None = None

    @classmethod
    def empty(cls, rows: dict[str, int]) -> Stack:
        """No value yet, in so many rows."""
        n = len(rows)
        registers = np.zeros((n, REGISTERS), np.uint8)
        cells = np.zeros((n, logbins.CELLS), np.int64)
        return cls(rows, moments.empty(n), registers, cells)

    def row_of(self, row: int) -> Moments:
        """A view of one row's moments."""
        return Moments._make(array[row : row + 1] for array in self.moments)

    def add(self, other: Stack, pairs: Iterable[tuple[str, Number, Number]]) -> None:
        """Add numbers of another one that is packed to numbers of this, on the same grids.

        pairs  feature, number of this one, number of the other one
        """
        assert self.cells is not None  # whoever is added to is not packed
        assert other.packed is not None
        slots = np.full(len(other.packed.hashes), -1, np.int32)
        hash_slots, units = np.full(len(other.registers), -1, np.int32), np.ones(len(slots))
        for name, mine, theirs in pairs:
            row, slot = other.rows[name], self.rows[name]
            slots[row], units[row] = slot, mine.grid.unit
            if theirs.unlisted is None:
                continue
            if mine.unlisted is None:
                mine.unlisted = HyperLogLog(self.registers[slot : slot + 1])
            known = mine.unlisted
            if isinstance(known, HyperLogLog) and known.registers.base is self.registers:
                hash_slots[other.packed.hashes[row]] = slot
            else:
                mine.unlisted = either(known, theirs.unlisted)
        moments.merge_each(self.moments, slots, other.moments, units)
        sparse.unpack_rows(other.packed.buffer, other.packed.ends, slots, self.cells)
        if (hash_slots >= 0).any():
            into = HyperLogLog(self.registers)
            hyperloglog.merge(into, hash_slots, HyperLogLog(other.registers))
