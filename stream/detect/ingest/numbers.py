"""Numbers: numbers of a feature in; moments, cells, exact counts and how many differ out.

In    numbers of a run of events with the slot of each, the grid and vocabulary of a reference
Out   a slot's row as `NumberState`
Not   what counts as a number (columns.py), texts (categories.py)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels import sparse
from kernels.hashing import Key
from kernels.sketches import features, logbins, moments, values
from kernels.sketches import numbers as fused
from kernels.sketches.logbins import LogBins
from kernels.sketches.runs import Runs, runs_of
from stream.detect.grids import Grid
from stream.detect.ingest.distinct import DistinctSketch
from stream.detect.ingest.scratch import SCRATCH
from stream.detect.states import NumberState

KINDS_APART = [moments.NULLS, moments.ABSENTS, moments.MISTYPEDS]
Slots = NDArray[np.int32]


class NumberSketch:
    """Moments, cells and exact value counts of one numeric feature, a row per slot.

    key  what values are hashed with; None if it does not matter how many are different
    """

    def __init__(
        self, slots: int, grid: Grid, vocabulary: NDArray[np.float64], key: Key | None
    ) -> None:
        self.grid = grid
        self.vocabulary = vocabulary
        self._unlisted = DistinctSketch(slots, key) if key is not None else None
        self._moments = moments.empty(slots)
        self._cells = logbins.empty(slots)
        self._table = values.build_table(vocabulary) if len(vocabulary) else None
        self._values = values.empty(slots, len(vocabulary))
        self.moves = 0  # how often arrays were made anew: addresses of before are no longer good

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        self._moments = moments.grow(self._moments, slots)
        self._cells = logbins.grow(self._cells, slots)
        self._values = values.grow(self._values, slots)
        if self._unlisted is not None:
            self._unlisted.grow(slots)
        self.moves += 1

    def reset(self, slot: int) -> None:
        """Empty a slot."""
        moments.reset(self._moments, slot)
        logbins.reset(self._cells, slot)
        values.reset(self._values, slot)
        if self._unlisted is not None:
            self._unlisted.reset(slot)

    def update(self, slots: Slots, numbers: NDArray[np.float64], runs: Runs | None = None) -> None:
        """Add numbers (n,); NaN payloads say what kind of missing it is; slot -1 is skipped.

        runs  of the events, if a slot's values do not come with each of its events but sometimes in
              no batch at all: then they count events, and without them the values given here
        """
        if runs is None:
            runs = self._runs_of(slots)
        grid = self.grid
        fused.update(self._moments, self._cells, runs, numbers, *grid, SCRATCH.work.numbers)
        if self._table is not None:
            codes = np.empty(len(numbers), np.int32)
            values.lookup(self._table, numbers, codes)
            values.update(self._values, slots, codes)
        self.add_rest(slots, numbers)

    def _runs_of(self, slots: Slots) -> Runs:
        return runs_of(slots, self._moments.count + self._moments.kinds.sum(axis=1))

    def addresses(self) -> list[int]:
        """Of all arrays, as kernels/sketches/features.py takes them."""
        hashed = None
        if self._table is None and self._unlisted is not None:
            hashed = self._unlisted.registers
        return features.number_row(self._moments, self._cells, hashed, self._table, self._values)

    def add_rest(self, slots: Slots, numbers: NDArray[np.float64]) -> None:
        """Add what a kernel that was given the addresses could not: hashes it has no place for."""
        if self._unlisted is None:
            return
        if self._table is None:
            was_dense = self._unlisted.is_dense
            self._unlisted.add_numbers(slots, numbers)
            self.moves += self._unlisted.is_dense != was_dense
        else:
            codes = np.empty(len(numbers), np.int32)
            values.lookup(self._table, numbers, codes)
            self._unlisted.add_unlisted(slots, numbers, codes)

    @property
    def has_rest(self) -> bool:
        """Whether no value is noted by that kernel, so that all have to be given to `add_rest`."""
        unlisted = self._unlisted
        return self._table is None and unlisted is not None and not unlisted.is_dense

    def missing(self, slot: int) -> tuple[int, int]:
        """How many nulls and mistyped values came with a slot's events."""
        kinds = self._moments.kinds
        return int(kinds[slot, moments.NULLS]), int(kinds[slot, moments.MISTYPEDS])

    def state(self, slot: int) -> NumberState:
        """A copy of a slot's row."""
        copied = moments.empty(1)
        moments.take(self._moments, slot, copied)
        # Which nulls and absent keys stand beside numbers depends on how batches were cut: they
        # are counted per feature instead.
        copied.kinds[:, KINDS_APART] = 0
        listed = dict[float, int]()
        if len(self.vocabulary):
            counts = self._values.counts[slot]
            seen = np.flatnonzero(counts)
            listed = dict(zip(self.vocabulary[seen].tolist(), counts[seen].tolist(), strict=True))
        clamped, packed = self._counted(slot)
        return NumberState(
            copied,
            self.grid,
            None,
            clamped,
            listed,
            packed,
            self._unlisted.state(slot) if self._unlisted else None,
        )

    def _counted(self, slot: int) -> tuple[int, NDArray[np.uint8]]:
        """How many values are clamped, and the cells of a slot's row."""
        return int(self._cells.clamped[slot]), packed_cells(self._cells, slot)


def packed_cells(state: LogBins, slot: int) -> NDArray[np.uint8]:
    """The cells of a slot as a NumberState keeps them while nobody asks for single ones."""
    buffer = SCRATCH.packed
    return buffer[: sparse.pack_counts(state.counts[slot], buffer)].copy()
