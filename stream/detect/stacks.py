"""Stacks: numbers of many features in one piece, so that a call of a kernel does for all of them.

In    tables of an unpacked partial; or how many numbers there are
Out   `Stack`, a row per number, to which another one is added
Not   which feature a row belongs to means what (states.py), bytes (partials.py)

A window has hundreds of features and is added up of a part per pane and source partition. Numbers
of a `WindowState` are views of rows here, so there is one truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels import sparse
from kernels.sketches import hyperloglog, logbins, moments
from kernels.sketches.hyperloglog import REGISTERS, HyperLogLog
from kernels.sketches.moments import Moments


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

    def hashes_of(self, row: int) -> HyperLogLog:
        """A view of one row of hashes."""
        return HyperLogLog(self.registers[row : row + 1])

    def add(
        self,
        other: Stack,
        slots: NDArray[np.int32],
        hash_slots: NDArray[np.int32],
        units: NDArray[np.float64],
    ) -> None:
        """Add rows of another one that is packed; grids and units of both are the same.

        slots       (m,)  the row that each row of other is added to; -1 is skipped
        hash_slots  (k,)  the same of its hashes
        units       (m,)  of each row's grid
        """
        assert self.cells is not None  # whoever is added to is not packed
        assert other.packed is not None
        moments.merge_each(self.moments, slots, other.moments, units)
        sparse.unpack_rows(other.packed.buffer, other.packed.ends, slots, self.cells)
        if (hash_slots >= 0).any():
            mine, theirs = HyperLogLog(self.registers), HyperLogLog(other.registers)
            hyperloglog.merge(mine, hash_slots, theirs)
