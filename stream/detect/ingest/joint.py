"""Joint: columns of a run in, features side by side kept per slot.

In    `Columns` with the ids of events, the slot of each event, the reference
Out   a slot's row as `JointState`
Not   which features: those the reference says (stream/detect/references.py)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.missing import ABSENT
from kernels.sketches import covariance, rows
from kernels.sketches.slots import taken
from stream.detect.ingest.columns import Columns, numbers_of
from stream.detect.joint import PANE_ROWS, JointState
from stream.detect.references import Reference, joint_names
from stream.detect.specs import ModelSpec

Slots = NDArray[np.int32]


class JointSketch:
    """Sample and covariance of the numeric features of one stream, a row per slot.

    names   (d,) columns
    scales  (d, 2) centre and 1 / scale of each
    """

    def __init__(
        self,
        slots: int,
        names: tuple[str, ...],
        scales: NDArray[np.float64],
        most_rows: int = PANE_ROWS,
    ) -> None:
        self.names, self.scales = names, scales
        self._centres, self._units = np.ascontiguousarray(scales.T)
        self._scratch = np.empty((2, len(names)))
        self._events = np.zeros(slots, np.int64)
        self._sample = rows.empty(slots, most_rows, len(names))
        self._pairs = covariance.empty(slots, len(names))

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        more = np.zeros(slots - len(self._events), np.int64)
        self._events = np.concatenate([self._events, more])
        self._sample = rows.grow(self._sample, slots)
        self._pairs = covariance.grow(self._pairs, slots)

    def reset(self, slot: int) -> None:
        """Empty a slot."""
        if self._events[slot]:
            self._events[slot] = 0
            rows.reset(self._sample, slot)
            covariance.reset(self._pairs, slot)

    def update(self, slots: Slots, columns: Columns) -> None:
        """Add a run of events, each to the slot in slots (n,); -1 is skipped."""
        beside = side_by_side(self.names, columns)
        some = np.empty(len(slots), np.int32)
        covariance.thinned(self._events, slots, some)
        covariance.update(
            self._pairs, some, beside, self._centres, self._units, self._scratch
        )  # fmt: skip
        chosen = np.empty(len(slots), np.int64)
        at = chosen[: rows.candidates(self._sample, slots, columns.ids, chosen)]
        if len(at):
            rows.update(self._sample, slots[at], columns.ids[at], beside.take(at, axis=1))

    def state(self, slot: int) -> JointState | None:
        """A copy of a slot's row; None if no event is in it."""
        if not self._events[slot]:
            return None
        sample, pairs = taken(self._sample, slot), taken(self._pairs, slot)
        return JointState(self.names, self.scales, sample, pairs, int(self._events[slot]))


def joint_sketch(
    slots: int, model: ModelSpec, reference: Reference | None, most_rows: int = PANE_ROWS
) -> JointSketch | None:
    """For the features of the reference that are numbers, unless the configuration says other."""
    if reference is None:
        return None
    specs = {f"feature.{spec.name}": spec.kind for spec in model.features.values()}
    names = joint_names(reference, {name for name, kind in specs.items() if kind == "category"})
    scales = np.array([(grid.anchor, grid.unit) for grid in map(reference.grid, names)])
    return JointSketch(slots, names, scales, most_rows) if names else None


def side_by_side(names: tuple[str, ...], columns: Columns) -> NDArray[np.float64]:
    """Columns as numbers (d, n), missing where a run has no such column."""
    beside = np.empty((len(names), len(columns.rows)))
    for i, name in enumerate(names):
        column = columns.columns.get(name)
        beside[i] = ABSENT if column is None else numbers_of(column)
    return beside
