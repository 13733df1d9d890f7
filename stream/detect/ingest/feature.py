"""Feature: columns of one feature in, a row of its sketches per slot out.

In    a column and, for each event, its slot
Out   moments, cells, counts, arrays: of the feature's kind, or of every kind it shows
Not   many features in one call (together.py), which slot an event has (sketches.py)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kernels.missing import ABSENT_BITS, MISTYPED_BITS, NULL_BITS
from kernels.sketches.runs import Runs
from stream.detect.grids import Grid
from stream.detect.ingest.arrays import Arrays, ArraySketch
from stream.detect.ingest.categories import CategorySketch
from stream.detect.ingest.columns import (
    MISTYPED_CODE,
    NULL_CODE,
    Column,
    numbers_of,
    texts_of,
)
from stream.detect.ingest.numbers import NumberSketch
from stream.detect.ingest.slices import SliceSketch
from stream.detect.states import FeatureState

COSINE_GRID = Grid(1.0, 1024.0)  # fine where arrays point the way the reference does
NOTHING = np.empty(0)

Slots = NDArray[np.int32]
Part = NumberSketch | CategorySketch | ArraySketch | SliceSketch


class FeatureSketch:
    """The sketches of one feature: of its kind, or of every kind it shows if none is given."""

    def __init__(
        self,
        slots: int,
        kind: str | None,
        number: Callable[[int], NumberSketch],
        category: Callable[[int], CategorySketch],
        direction: NDArray[np.float64] = NOTHING,
    ) -> None:
        self._kind = kind
        self._make_number, self._make_category = number, category
        self._direction = direction
        self.number: NumberSketch | None = None
        self.category: CategorySketch | None = None
        self.arrays: ArraySketch | None = None
        self.cosine: NumberSketch | None = None
        self.slices: SliceSketch | None = None
        # Of values in no number sketch, nulls and others (objects); and how many arrays.
        self._untyped = np.zeros((slots, 3), np.int64)

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        more = slots - len(self._untyped)
        self._untyped = np.concatenate([self._untyped, np.zeros((more, 3), np.int64)])
        for part in self._parts():
            if part:
                part.grow(slots)

    def reset(self, slot: int) -> None:
        """Empty a slot."""
        self._untyped[slot] = 0
        for part in self._parts():
            if part:
                part.reset(slot)

    def _parts(self) -> tuple[Part | None, ...]:
        return self.number, self.category, self.arrays, self.cosine, self.slices

    def update(self, slots: Slots, column: Column, runs: Runs, ids: NDArray[np.uint64]) -> None:
        """Add a column; values of another type than the feature's kind count as mistyped.

        ids   (n,) hashed, of the events
        runs  of the events; where slots skip one that is in them, the column has no value
        """
        if self._kind == "category":
            codes, texts = texts_of(column)
            self._add_untyped(slots, codes)
            self._add_texts(slots, codes, texts)
            return
        numbers = numbers_of(column)
        if self._kind != "number" and column.norms is not None:
            bits = numbers.view(np.uint64)
            is_vector = column.norms.view(np.uint64) != MISTYPED_BITS
            is_vector &= (bits != NULL_BITS) & (bits != ABSENT_BITS)
            numbers = np.where(is_vector, column.norms, numbers)
            self._add(slots, is_vector, 2)
            if column.arrays is not None:
                at = column.arrays.rows
                self._add_arrays(slots[at], ids[at], column.arrays)
        if column.codes is not None and self._kind is None:
            self._add_texts(slots, column.codes, column.texts)
            if column.numbers is None and column.norms is None:
                self._add_untyped(slots, column.codes)
                return
            self._add(slots, column.codes >= 0, 1, -1)  # they are mistyped as numbers
        self._add_numbers(slots, numbers, runs)

    def plain_number(self, column: Column) -> NumberSketch | None:
        """The sketch that is all a column concerns, if it has nothing but numbers."""
        numbers = column.numbers
        if column.codes is not None or column.norms is not None or self._kind == "category":
            return None
        if numbers is None or numbers.strides != (8,):
            return None
        if self.number is None:
            self.number = self._make_number(len(self._untyped))
        return self.number

    def plain_category(self, column: Column) -> CategorySketch | None:
        """The same of a column that has nothing but texts."""
        codes = column.codes
        if column.numbers is not None or column.norms is not None:
            return None
        if self._kind not in (None, "category"):
            return None
        if codes is None or codes.strides != (4,):
            return None
        if self.category is None:
            self.category = self._make_category(len(self._untyped))
        return self.category

    @property
    def untyped(self) -> NDArray[np.int64]:
        """(slots, 3) of values in no number sketch nulls and others; and how many arrays."""
        return self._untyped

    def _add_untyped(self, slots: Slots, codes: NDArray[np.int32]) -> None:
        if codes.size and codes.min() < 0:
            self._add(slots, codes == NULL_CODE, 0)
            self._add(slots, codes == MISTYPED_CODE, 1)

    def _add(self, slots: Slots, mask: NDArray[np.bool_], column: int, by: int = 1) -> None:
        if mask.any():
            np.add.at(self._untyped[:, column], slots[mask & (slots >= 0)], by)

    def _add_numbers(self, slots: Slots, numbers: NDArray[np.float64], runs: Runs) -> None:
        if self.number is None:
            self.number = self._make_number(len(self._untyped))
        self.number.update(slots, numbers, runs)

    def _add_arrays(self, slots: Slots, ids: NDArray[np.uint64], arrays: Arrays) -> None:
        if self.arrays is None:
            self.arrays = ArraySketch(len(self._untyped), self._direction)
            if len(self._direction):
                self.cosine = NumberSketch(len(self._untyped), COSINE_GRID, NOTHING, None)
                self.slices = SliceSketch(len(self._untyped), len(self._direction))
        self.arrays.update(slots, arrays)
        if self.slices is not None:
            self.slices.update(slots, ids, arrays)
        if self.cosine is not None:
            self.cosine.update(slots, self.arrays.cosines(arrays))

    def _add_texts(self, slots: Slots, codes: NDArray[np.int32], texts: list[str]) -> None:
        if self.category is None:
            self.category = self._make_category(len(self._untyped))
        self.category.update(slots, codes, texts)

    def state(self, slot: int) -> FeatureState | None:
        """A copy of a slot's row; None if no value of the feature is in it."""
        number = self.number.state(slot) if self.number else None
        category = self.category.state(slot) if self.category else None
        cosine = self.cosine.state(slot) if self.cosine else None
        nulls, mistyped, arrays = self._untyped[slot].tolist()
        if self.number:
            more_nulls, more_mistyped = self.number.missing(slot)
            nulls, mistyped = nulls + more_nulls, mistyped + more_mistyped
        state = FeatureState(
            number if number and (number.count or number.moments.kinds.any()) else None,
            category if category and category.counts else None,
            nulls=nulls,
            mistyped=mistyped,
            is_vector=arrays > 0,
            arrays=self.arrays.state(slot) if self.arrays else None,
            cosine=cosine if cosine and cosine.count else None,
            slices=self.slices.state(slot) if self.slices else None,
        )
        return state if state.number or state.category or nulls or mistyped else None
