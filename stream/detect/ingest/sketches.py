"""Sketches: columns and slots in, one row of sketches per open part of a pane out.

In    `Columns` and, for each event, the slot of the part it belongs to
Out   the arrays of all features, updated by kernels; a slot's row as `WindowState`
Not   which part an event belongs to (windows.py), when a part is sent (ingestor.py)

One `StreamSketches` serves one (model, version) under one reference. A new reference makes a new
one; parts opened under the old one are finished there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import local
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.missing import ABSENT_BITS, MISTYPED_BITS, NULL_BITS
from kernels.sketches import logbins, moments, values
from kernels.sketches import numbers as fused
from kernels.sketches.runs import Runs, runs_of
from stream.detect.ingest.columns import (
    MISTYPED_CODE,
    NULL_CODE,
    Column,
    Columns,
    blanked,
    is_there,
    numbers_of,
    texts_of,
)
from stream.detect.ingest.heavy import HeavyHitters
from stream.detect.references import Reference
from stream.detect.specs import LimitSpec, ModelSpec
from stream.detect.states import (
    RAW,
    CategoryState,
    FeatureState,
    Grid,
    NumberState,
    WindowState,
)

FIRST_SLOTS = 4
LATENCY = "service.latency_ms"
LATENCY_GRID = Grid(0.0, 32.0)  # 1/32 ms near zero, 3 % further out, up to 524 s

NO_MASKS: Mapping[str, NDArray[np.bool_]] = MappingProxyType({})

Slots = NDArray[np.int32]


class _Scratch(local):
    """What a kernel needs besides its arguments; each thread has its own."""

    def __init__(self) -> None:
        self.arrays = fused.scratch()


SCRATCH = _Scratch()


class NumberSketch:
    """Moments, cells and exact value counts of one numeric feature, a row per slot."""

    def __init__(self, slots: int, grid: Grid, vocabulary: NDArray[np.float64]) -> None:
        self.grid = grid
        self.vocabulary = vocabulary
        self._moments = moments.empty(slots)
        self._cells = logbins.empty(slots)
        self._table = values.build_table(vocabulary) if len(vocabulary) else None
        self._values = values.empty(slots, len(vocabulary))

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        self._moments = moments.grow(self._moments, slots)
        self._cells = logbins.grow(self._cells, slots)
        self._values = values.grow(self._values, slots)

    def reset(self, slot: int) -> None:
        """Empty a slot."""
        moments.reset(self._moments, slot)
        logbins.reset(self._cells, slot)
        values.reset(self._values, slot)

    def update(self, slots: Slots, numbers: NDArray[np.float64], runs: Runs | None = None) -> None:
        """Add numbers (n,); NaN payloads say what kind of missing it is; slot -1 is skipped.

        runs  of the events, if a slot's values do not come with each of its events but sometimes in
              no batch at all: then they count events, and without them the values given here
        """
        if runs is None:
            runs = runs_of(slots, self._moments.count + self._moments.kinds.sum(axis=1))
        grid = self.grid
        fused.update(self._moments, self._cells, runs, numbers, *grid, SCRATCH.arrays)
        if self._table is not None:
            codes = np.empty(len(numbers), np.int32)
            values.lookup(self._table, numbers, codes)
            values.update(self._values, slots, codes)

    def missing(self, slot: int) -> tuple[int, int]:
        """How many nulls and mistyped values came with a slot's events."""
        nulls, mistyped = self._moments.kinds[slot, [moments.NULLS, moments.MISTYPEDS]].tolist()
        return nulls, mistyped

    def state(self, slot: int) -> NumberState:
        """A copy of a slot's row."""
        row = slice(slot, slot + 1)
        row_of = {name: array[row].copy() for name, array in self._moments._asdict().items()}
        copied = moments.Moments(**row_of)
        copied = copied._replace(sums=moments.unfolded(moments.folded(copied)))
        # Which nulls and absent keys stand beside numbers depends on how batches were cut: they
        # are counted per feature instead.
        copied.kinds[:, [moments.NULLS, moments.ABSENTS, moments.MISTYPEDS]] = 0
        counts = self._values.counts[slot]
        seen = np.flatnonzero(counts)
        return NumberState(
            copied,
            self.grid,
            self._cells.counts[slot].astype(np.int64),
            int(self._cells.clamped[slot]),
            dict(zip(self.vocabulary[seen].tolist(), counts[seen].tolist(), strict=True)),
        )


class CategorySketch:
    """Counts of the reference's categories, and heavy hitters of all others, a row per slot."""

    def __init__(self, slots: int, vocabulary: list[str], limits: LimitSpec) -> None:
        self.vocabulary = vocabulary
        self._code = {text: code for code, text in enumerate(vocabulary)}
        self._limits = limits
        size = len(vocabulary)
        self._unseen = size
        self._counts = values.empty(slots, size + 1)
        self._heavy: dict[int, HeavyHitters] = {}

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        self._counts = values.grow(self._counts, slots)

    def reset(self, slot: int) -> None:
        """Empty a slot."""
        values.reset(self._counts, slot)
        self._heavy.pop(slot, None)

    def update(self, slots: Slots, codes: NDArray[np.int32], texts: list[str]) -> None:
        """Add categories: codes (n,) into texts, or a negative code; slot -1 is skipped."""
        known = np.array([self._code.get(text, self._unseen) for text in texts] + [-1], np.int32)
        mapped = known[np.maximum(codes, -1)]
        values.update(self._counts, slots, mapped)
        for i in np.flatnonzero((mapped == self._unseen) & (slots >= 0)).tolist():
            slot = int(slots[i])
            heavy = self._heavy.get(slot)
            if heavy is None:
                heavy = self._heavy[slot] = HeavyHitters(self._limits.max_extra_categories)
            heavy.add(texts[codes[i]])

    def state(self, slot: int) -> CategoryState:
        """A copy of a slot's row."""
        counts = self._counts.counts[slot]
        seen = np.flatnonzero(counts[: self._unseen])
        heavy = self._heavy.get(slot)
        return CategoryState(
            {self.vocabulary[code]: int(counts[code]) for code in seen.tolist()}
            | (heavy.counts() if heavy else {}),
            uncertain=heavy.uncertain if heavy else 0,
        )


class FeatureSketch:
    """The sketches of one feature: of its kind, or of every kind it shows if none is given."""

    def __init__(
        self,
        slots: int,
        kind: str | None,
        number: Callable[[int], NumberSketch],
        category: Callable[[int], CategorySketch],
    ) -> None:
        self._kind = kind
        self._make_number, self._make_category = number, category
        self.number: NumberSketch | None = None
        self.category: CategorySketch | None = None
        # Of values in no number sketch, nulls and others (objects); and how many arrays.
        self._untyped = np.zeros((slots, 3), np.int64)

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        more = slots - len(self._untyped)
        self._untyped = np.concatenate([self._untyped, np.zeros((more, 3), np.int64)])
        for part in (self.number, self.category):
            if part:
                part.grow(slots)

    def reset(self, slot: int) -> None:
        """Empty a slot."""
        self._untyped[slot] = 0
        for part in (self.number, self.category):
            if part:
                part.reset(slot)

    def update(self, slots: Slots, column: Column, runs: Runs) -> None:
        """Add a column; values of another type than the feature's kind count as mistyped.

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
        if column.codes is not None and self._kind is None:
            self._add_texts(slots, column.codes, column.texts)
            if column.numbers is None and column.norms is None:
                self._add_untyped(slots, column.codes)
                return
            self._add(slots, column.codes >= 0, 1, -1)  # they are mistyped as numbers
        self._add_numbers(slots, numbers, runs)

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

    def _add_texts(self, slots: Slots, codes: NDArray[np.int32], texts: list[str]) -> None:
        if self.category is None:
            self.category = self._make_category(len(self._untyped))
        self.category.update(slots, codes, texts)

    def state(self, slot: int) -> FeatureState | None:
        """A copy of a slot's row; None if no value of the feature is in it."""
        number = self.number.state(slot) if self.number else None
        category = self.category.state(slot) if self.category else None
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
        )
        return state if state.number or state.category or nulls or mistyped else None


class StreamSketches:
    """All sketches of one (model, version) under one reference, a row per open part of a pane."""

    def __init__(self, model: ModelSpec, reference: Reference | None, limits: LimitSpec) -> None:
        self._model = model
        self.reference = reference
        self._limits = limits
        self._features: dict[str, FeatureSketch] = {}
        self._events = np.zeros((FIRST_SLOTS, 5), np.int64)  # in the order of state()
        self._free = list(range(FIRST_SLOTS))
        self.announced = _announced(model, reference)

    @property
    def rows(self) -> int:
        """Slots there are, open or free."""
        return len(self._events)

    @property
    def open_slots(self) -> int:
        """Slots in use."""
        return len(self._events) - len(self._free)

    @property
    def is_worn(self) -> bool:
        """Whether it has seen so many features that a new one is better: most will not come back.

        Features nobody announced can have other names in every pane.
        """
        return len(self._features) > len(self.announced) + 2 * self._limits.max_feature_names

    def open(self) -> int:
        """An empty slot."""
        if not self._free:
            size = len(self._events)
            self._events = np.concatenate([self._events, np.zeros_like(self._events)])
            self._free = list(range(size, 2 * size))
            for feature in self._features.values():
                feature.grow(2 * size)
        return self._free.pop(0)

    def close(self, slot: int) -> WindowState:
        """The slot's row; the slot is free again."""
        state = self.state(slot)
        self.discard(slot)
        return state

    def state(self, slot: int) -> WindowState:
        """A copy of the slot's row."""
        events, errors, duplicates, unkept, dropped = self._events[slot].tolist()
        state = WindowState(events, errors, 0, duplicates, unkept, dropped)
        for name, feature in self._features.items():
            row = feature.state(slot)
            if row is not None:
                state.features[name] = row
        return state

    def discard(self, slot: int) -> None:
        """Free a slot and forget what is in it."""
        self._events[slot] = 0
        for feature in self._features.values():
            feature.reset(slot)
        self._free.append(slot)

    def update(
        self, slots: Slots, columns: Columns, dropped: Mapping[str, NDArray[np.bool_]] = NO_MASKS
    ) -> None:
        """Add a run of events, each to the slot in slots (n,); -1 is skipped.

        dropped  by column the events (n,) of which it is left out
        """
        runs = runs_of(slots, self._events[:, 0])
        self._events[runs.slots, 0] += np.diff(runs.ends, prepend=0)
        if columns.errors.any():
            np.add.at(self._events[:, 1], slots[(slots >= 0) & columns.errors], 1)
        for name, column in columns.columns.items():
            mine = slots
            if name in dropped:
                mine = self._without(slots, column, dropped[name])
                if (mine < 0).all():
                    continue
                column = blanked(column, dropped[name])
            feature = self._features.get(name)
            if feature is None:
                feature = self._features[name] = self._feature(name)
            feature.update(mine, column, runs)

    def _without(self, slots: Slots, column: Column, dropped: NDArray[np.bool_]) -> Slots:
        left_out = slots[dropped & (slots >= 0) & is_there(column)]
        np.add.at(self._events[:, 4], left_out, 1)
        return np.where(dropped, np.int32(-1), slots)

    def note(self, duplicates: Slots, unkept: Slots) -> None:
        """Count events, each to its slot: repeated ones, and those whose ids are not kept."""
        np.add.at(self._events[:, 2], duplicates, 1)
        np.add.at(self._events[:, 3], unkept, 1)

    def _feature(self, name: str) -> FeatureSketch:
        if name == LATENCY:
            none = np.empty(0)
            return FeatureSketch(
                len(self._events), "number", lambda n: NumberSketch(n, LATENCY_GRID, none), _never
            )
        reference, limits = self.reference, self._limits
        spec = self._model.features.get(name.removeprefix("feature."))
        kind = spec.kind if spec and spec.kind else None
        grid, numbers, texts = RAW, np.empty(0), list[str]()
        if reference is not None:
            kind = kind or reference.kind(name)
            grid, numbers = reference.grid(name), reference.numbers(name)
            texts = reference.categories(name)
        return FeatureSketch(
            len(self._events),
            kind,
            lambda n: NumberSketch(n, grid, numbers),
            lambda n: CategorySketch(n, texts, limits),
        )


def _announced(model: ModelSpec, reference: Reference | None) -> frozenset[str]:
    """Columns that do not depend on what publishers think of."""
    named = {f"feature.{name}" for name in model.features}
    known = reference.state.features.keys() if reference else ()
    return frozenset(named.union(known, ("prediction.score", "prediction.label", LATENCY)))


def _never(_slots: int) -> Any:
    raise AssertionError("a latency is never a category")
