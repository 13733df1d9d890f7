"""Sketches: columns and slots in, one row of sketches per open part of a pane out.

In    `Columns` and, for each event, the slot of the part it belongs to
Out   the arrays of all features, updated by kernels; a slot's row as `WindowState`
Not   which part an event belongs to (windows.py), when a part is sent (ingestor.py)

One `StreamSketches` serves one (model, version) under one reference. A new reference makes a new
one; parts opened under the old one are finished there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key
from kernels.sketches.runs import Runs, runs_of
from stream.detect.grids import RAW, Grid
from stream.detect.ingest import attributions
from stream.detect.ingest.anchoring import AnchoringSketch
from stream.detect.ingest.attributions import AttributionSketch
from stream.detect.ingest.categories import CategorySketch
from stream.detect.ingest.columns import Column, Columns, blanked, is_there, numbers_of
from stream.detect.ingest.feature import NOTHING, FeatureSketch
from stream.detect.ingest.joint import joint_sketch
from stream.detect.ingest.numbers import NumberSketch
from stream.detect.ingest.together import Categories, Numbers
from stream.detect.references import Reference
from stream.detect.specs import DEFAULT_KEY, LimitSpec, ModelSpec
from stream.detect.states import WindowState

FIRST_SLOTS = 1  # many streams never have two parts open
LATENCY = "service.latency_ms"
LATENCY_GRID = Grid(0.0, 32.0)  # 1/32 ms near zero, 3 % further out, up to 524 s

NO_MASKS: Mapping[str, NDArray[np.bool_]] = MappingProxyType({})

Slots = NDArray[np.int32]


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
        self._numbers, self._categories = Numbers(key), Categories()
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
        if runs.slots.size:
            places = self._update_features(slots, columns, dropped, runs)
            if self._joint:
                self._joint.update(slots, columns, places)

    def _update_features(
        self,
        slots: Slots,
        columns: Columns,
        dropped: Mapping[str, NDArray[np.bool_]],
        runs: Runs,
    ) -> dict[str, int]:
        """Add every column; the addresses of those that hold nothing but numbers, by name."""
        names, places = list[str](), list[int]()
        numbers, values = list[NumberSketch](), list[NDArray[np.float64]]()
        categories, texts = list[FeatureSketch](), list[Column]()
        for name, column in columns.columns.items():
            feature = self._features.get(name)
            if feature is None or name in dropped:
                self._update_feature(name, slots, column, dropped.get(name), runs, columns.ids)
            elif (number := feature.plain_number(column)) is not None:
                assert column.numbers is not None  # it has nothing else
                names.append(name)
                numbers.append(number)
                values.append(column.numbers)
            elif feature.plain_category(column) is not None:
                categories.append(feature)
                texts.append(column)
            else:
                feature.update(slots, column, runs, columns.ids)
        if numbers:
            places = self._numbers.update(numbers, values, slots, len(self._events), runs)
        if categories:
            sketches = [feature.category for feature in categories if feature.category]
            untyped = [feature.untyped for feature in categories]
            self._categories.update(sketches, untyped, texts, slots)
        return dict(zip(names, places, strict=True))

    def _update_feature(
        self,
        name: str,
        slots: Slots,
        column: Column,
        dropped: NDArray[np.bool_] | None,
        runs: Runs,
        ids: NDArray[np.uint64],
    ) -> None:
        if dropped is not None:
            slots = self._without(slots, column, dropped)
            if (slots < 0).all():
                return
            column = blanked(column, dropped)
        if name.startswith(attributions.PREFIX):
            self._attributions.update(name, slots, numbers_of(column))
            return
        if name not in self._features:
            self._features[name] = self._feature(name)
        self._features[name].update(slots, column, runs, ids)

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
