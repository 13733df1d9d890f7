"""Attributions: how much each feature contributed to each prediction in, mean magnitudes out.

In    columns of attributions, by feature, and the slot of each event
Out   a slot's row: count and sums by feature, as `WindowState` takes it
Not   the order of features by it (judge)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.sketches import magnitudes
from kernels.sketches.magnitudes import Magnitudes
from stream.detect.contributions import Attribution

PREFIX = "attribution."  # of a column's name

Slots = NDArray[np.int32]


class AttributionSketch:
    """Magnitudes of every feature that ever had an attribution, a row per slot."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._known: dict[str, Magnitudes] = {}

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        self._slots = slots
        self._known = {name: magnitudes.grow(m, slots) for name, m in self._known.items()}

    def reset(self, slot: int) -> None:
        """Empty a slot."""
        for known in self._known.values():
            magnitudes.reset(known, slot)

    def update(self, column: str, slots: Slots, values: NDArray[np.float64]) -> None:
        """Add a column of attributions (n,); slot -1 and what is not finite are skipped."""
        name = column.removeprefix(PREFIX)
        if name not in self._known:
            self._known[name] = magnitudes.empty(self._slots)
        magnitudes.update(self._known[name], slots, values)

    def state(self, slot: int) -> dict[str, Attribution]:
        """What a slot has of each feature."""
        return {
            name: Attribution(
                int(known.count[slot]), float(known.total[slot]), float(known.squares[slot])
            )
            for name, known in self._known.items()
            if known.count[slot]
        }
