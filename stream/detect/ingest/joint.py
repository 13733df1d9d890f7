"""Joint: columns of a run in, features side by side kept per slot.

In    `Columns` with the ids of events, the slot of each event, the reference
Out   a slot's row as `JointState`
Not   which features: those the reference says (stream/detect/references.py)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kernels.memory import address_of
from kernels.sketches import covariance, features, rows
from kernels.sketches.slots import taken
from stream.detect.ingest.columns import Columns, numbers_of
from stream.detect.ingest.scratch import SCRATCH
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

    def update(self, slots: Slots, columns: Columns, places: Mapping[str, int]) -> None:
        """Add a run of events, each to the slot in slots (n,); -1 is skipped.

        places  by name addresses of columns (n,) float64; a column that is not there is read here
        """
        found, kept = self._found(columns, places)
        chosen, n = np.empty(len(slots), np.int64), len(slots)
        at = chosen[: covariance.thinned(self._events, slots, chosen)]
        if len(at):
            beside = np.empty((len(found), len(at)))
            features.beside(found, n, at, beside)
            covariance.update(
                self._pairs, slots[at], beside, self._centres, self._units, SCRATCH.pairs
            )
        at = chosen[: rows.candidates(self._sample, slots, columns.ids, chosen)]
        if len(at):
            beside = np.empty((len(found), len(at)))
            features.beside(found, n, at, beside)
            rows.update(self._sample, slots[at], columns.ids[at], beside)
        kept.clear()  # whose addresses were used until here

    def _found(
        self, columns: Columns, places: Mapping[str, int]
    ) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]]:
        """Addresses (d,) of the columns, 0 for none, and what has to be kept meanwhile."""
        found, kept = np.zeros(len(self.names), np.int64), list[NDArray[np.float64]]()
        for i, name in enumerate(self.names):
            place = places.get(name, 0)
            if not place and name in columns.columns:
                kept.append(np.ascontiguousarray(numbers_of(columns.columns[name])))
                place = address_of(kept[-1])
            found[i] = place
        return found, kept

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
