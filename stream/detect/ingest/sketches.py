"""Sketches: columns and slots in, one row of sketches per open part of a pane out.

In    `Columns` and, for each event, the slot of the part it belongs to
Out   the arrays of all features, updated by kernels; a slot's row as `WindowState`
Not   which part an event belongs to (windows.py), when a part is sent (ingestor.py)

One `StreamSketches` serves one (model, version) under one reference. A new reference makes a new
one; parts opened under the old one are finished there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key
from kernels.missing import ABSENT_BITS, MISTYPED_BITS, NULL_BITS
from kernels.sketches.runs import Runs, runs_of
from stream.detect.grids import RAW, Grid
from stream.detect.ingest import attributions
from stream.detect.ingest.anchoring import AnchoringSketch
from stream.detect.ingest.arrays import Arrays, ArraySketch
from stream.detect.ingest.attributions import AttributionSketch
from stream.detect.ingest.categories import CategorySketch
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
from stream.detect.ingest.joint import joint_sketch
from stream.detect.ingest.numbers import NumberSketch
from stream.detect.references import Reference
from stream.detect.specs import DEFAULT_KEY, LimitSpec, ModelSpec
from stream.detect.states import FeatureState, WindowState

FIRST_SLOTS = 1  # many streams never have two parts open
LATENCY = "service.latency_ms"
LATENCY_GRID = Grid(0.0, 32.0)  # 1/32 ms near zero, 3 % further out, up to 524 s

NO_MASKS: Mapping[str, NDArray[np.bool_]] = MappingProxyType({})

COSINE_GRID = Grid(1.0, 1024.0)  # fine where arrays point the way the reference does
NOTHING = np.empty(0)

Slots = NDArray[np.int32]


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
        # Of values in no number sketch, nulls and others (objects); and how many arrays.
        self._untyped = np.zeros((slots, 3), np.int64)

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        more = slots - len(self._untyped)
        self._untyped = np.concatenate([self._untyped, np.zeros((more, 3), np.int64)])
        for part in (self.number, self.category, self.arrays, self.cosine):
            if part:
                part.grow(slots)

    def reset(self, slot: int) -> None:
        """Empty a slot."""
        self._untyped[slot] = 0
        for part in (self.number, self.category, self.arrays, self.cosine):
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
            if column.arrays is not None:
                self._add_arrays(slots[column.arrays.rows], column.arrays)
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

    def _add_arrays(self, slots: Slots, arrays: Arrays) -> None:
        if self.arrays is None:
            self.arrays = ArraySketch(len(self._untyped), self._direction)
            if len(self._direction):
                self.cosine = NumberSketch(len(self._untyped), COSINE_GRID, NOTHING, None)
        self.arrays.update(slots, arrays)
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
        )
        return state if state.number or state.category or nulls or mistyped else None


class StreamSketches:
    """All sketches of one (model, version) under one reference, a row per open part of a pane."""

    def __init__(
        self,
        model: ModelSpec,
        reference: Reference | None,
        limits: LimitSpec,
        key: Key = DEFAULT_KEY,
    ) -> None:
        self._model = model
        self.reference = reference
        self._limits, self._key = limits, key
        self._features: dict[str, FeatureSketch] = {}
        self._attributions = AttributionSketch(FIRST_SLOTS)
        self._joint = joint_sketch(FIRST_SLOTS, model, reference)
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
            if self._joint:
                self._joint.grow(2 * size)
            self._attributions.grow(2 * size)
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
        state.attributions = self._attributions.state(slot)
        state.joint = self._joint.state(slot) if self._joint else None
        return state

    def discard(self, slot: int) -> None:
        """Free a slot and forget what is in it."""
        self._events[slot] = 0
        for feature in self._features.values():
            feature.reset(slot)
        if self._joint:
            self._joint.reset(slot)
        self._attributions.reset(slot)
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
            if name.startswith(attributions.PREFIX):
                self._attributions.update(name, mine, numbers_of(column))
                continue
            feature = self._features.get(name)
            if feature is None:
                feature = self._features[name] = self._feature(name)
            feature.update(mine, column, runs)
        if self._joint and runs.slots.size:
            self._joint.update(slots, columns)

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
            return FeatureSketch(
                len(self._events),
                "number",
                lambda n: NumberSketch(n, LATENCY_GRID, NOTHING, None),
                _never,
            )
        reference, limits, key = self.reference, self._limits, self._key
        spec = self._model.features.get(name.removeprefix("feature."))
        kind = spec.kind if spec and spec.kind else None
        grid, numbers, texts, direction = RAW, NOTHING, list[str](), NOTHING
        is_known = False
        if reference is not None:
            kind = kind or reference.kind(name)
            grid, numbers = reference.grid(name), reference.numbers(name)
            texts, direction = reference.categories(name), reference.mean_array(name)
            known = reference.feature(name)
            is_known = known is not None and known.number is not None
        return FeatureSketch(
            len(self._events),
            kind,
            lambda n: NumberSketch(n, grid, numbers, key) if is_known else AnchoringSketch(n, key),
            lambda n: CategorySketch(n, texts, limits, key),
            direction,
        )


def _announced(model: ModelSpec, reference: Reference | None) -> frozenset[str]:
    """Columns that do not depend on what publishers think of."""
    named = {f"feature.{name}" for name in model.features}
    known = reference.state.features.keys() if reference else ()
    return frozenset(named.union(known, ("prediction.score", "prediction.label", LATENCY)))


def _never(_slots: int) -> Any:
    raise AssertionError("a latency is never a category")
