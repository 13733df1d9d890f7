"""Anchoring: numbers of a feature no reference knows in, cells on a grid of their own out.

In    numbers of a run of events with the slot of each
Out   a slot's row as `NumberState`, each with the grid that its own first values gave
      (`AnchoringSketch`); all such features of a run at once (`Followed`)
Not   features of a reference (numbers.py), what the first windows are compared with (judge)

A part of a pane is anchored by its first SAMPLE finite values, in the order of the log, and by
nothing else: whoever replays the part finds the same grid (docs/decisions/0006). Scales are powers
of two and anchors multiples of them, so that parts of like traffic mostly share a grid and merge
exactly. While a part has few different values they are counted one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key
from kernels.sketches import logbins
from kernels.sketches.logbins import LogBins
from kernels.sketches.runs import Runs
from stream.detect.grids import RAW, Grid, even_grid
from stream.detect.ingest.numbers import NumberSketch, packed_cells
from stream.detect.states import MOST_LISTED, NumberState, rescale

SAMPLE = 1_000  # and so many are counted at once when there is a grid

Slots = NDArray[np.int32]


@dataclass(slots=True)
class _Start:
    """What one part has: its first values until they anchor it, then cells.

    waiting, n      values that are not counted yet: a few take as long as many
    listed, counts  different values, ascending, and how often each came; None once there are many
    """

    waiting: list[NDArray[np.float64]] = field(default_factory=list)
    n: int = 0
    grid: Grid = RAW
    cells: LogBins | None = None
    listed: NDArray[np.float64] | None = field(default_factory=lambda: np.empty(0))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def is_settled(self) -> bool:
        """Whether there are cells alone: values need not be looked at one by one."""
        return self.cells is not None and self.listed is None

    def add(self, values: NDArray[np.float64]) -> None:
        """Add values in the order of the log, finite ones until the part is settled."""
        if self.cells is None:
            room = SAMPLE - self.n
            self._wait(values[:room])
            if self.n < SAMPLE:
                return
            self._count_waiting()
            values = values[room:]
        self._wait(values)
        if self.n >= SAMPLE:
            self._count_waiting()

    def _wait(self, values: NDArray[np.float64]) -> None:
        if len(values):
            self.n += len(values)
            # What stays is a copy, or it would hold a whole fetch.
            self.waiting.append(values.copy() if self.n < SAMPLE else values)

    def _count_waiting(self) -> None:
        """Count what waits, on a grid that it gives if there is none."""
        values = _joined(self.waiting)
        self.waiting, self.n = [], 0
        if self.cells is None:
            self.grid, self.cells = even_grid(values), logbins.empty(1)
        if self.listed is not None:
            self._list(self.listed, values + 0.0)  # -0.0 is listed as 0.0
        self._count(values)

    def _list(self, listed: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        if len(listed):
            place = np.minimum(np.searchsorted(listed, values), len(listed) - 1)
            is_known = listed[place] == values
            self.counts = self.counts + np.bincount(place[is_known], minlength=len(listed))
            values = values[~is_known]
        if not len(values):
            return
        both = np.concatenate([listed, values])
        times = np.concatenate([self.counts, np.ones(len(values), np.int64)])
        self.listed, place = np.unique(both, return_inverse=True)
        self.counts = np.bincount(place, times, len(self.listed)).astype(np.int64)
        if len(self.listed) > MOST_LISTED:
            self.listed = None

    def _count(self, values: NDArray[np.float64]) -> None:
        if self.cells is not None and len(values):
            slots = np.zeros(len(values), np.int32)
            logbins.update(self.cells, slots, values, *self.grid)

    def on_grid(self, raw: NumberState) -> NumberState:
        """The part's row: moments as in `raw`, cells on the grid."""
        # The part may go on: it is not anchored by being looked at.
        start = replace(self) if self.cells is None else self
        start._count_waiting()
        assert start.cells is not None
        values = {}
        if start.listed is not None:
            values = dict(zip(start.listed.tolist(), start.counts.tolist(), strict=True))
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = rescale(raw.moments, start.grid.unit)
        clamped, packed = int(start.cells.clamped[0]), packed_cells(start.cells, 0)
        return NumberState(scaled, start.grid, None, clamped, values, packed, raw.unlisted)


class AnchoringSketch(NumberSketch):
    """As a NumberSketch without reference, but for the grid, which each slot has of its own."""

    def __init__(self, slots: int, key: Key | None) -> None:
        super().__init__(slots, RAW, np.empty(0), key)
        self._cells = _unread(slots)
        self._starts: dict[int, _Start] = {}
        self.followed: Followed | None = None  # what it has still to be told

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        super().grow(slots)
        self._cells = _unread(slots)

    def reset(self, slot: int) -> None:
        """Empty a slot."""
        self._catch_up()
        super().reset(slot)
        self._starts.pop(slot, None)

    def update(self, slots: Slots, numbers: NDArray[np.float64], runs: Runs | None = None) -> None:
        """Add numbers (n,); NaN payloads say what kind of missing it is; slot -1 is skipped."""
        runs = runs or self._runs_of(slots)
        super().update(slots, numbers, runs)
        self._catch_up()
        begin = 0
        for slot, end in zip(runs.slots.tolist(), runs.ends.tolist(), strict=True):
            self.follow(slot, numbers[runs.order[begin:end]] if len(runs.order) else numbers)
            begin = end

    def follow(self, slot: int, numbers: NDArray[np.float64]) -> None:
        """Add to the grid of a slot what is in all else already; numbers (n,) are not changed."""
        start = self._starts.get(slot)
        if start is None or not start.is_settled:
            is_finite = np.isfinite(numbers)
            numbers = numbers if is_finite.all() else numbers[is_finite]
            if not len(numbers):
                return
            start = self._starts.setdefault(slot, _Start())
        start.add(numbers)

    def _catch_up(self) -> None:
        if self.followed is not None:
            self.followed.tell()

    def state(self, slot: int) -> NumberState:
        """A copy of a slot's row."""
        self._catch_up()
        raw = super().state(slot)
        start = self._starts.get(slot)
        return start.on_grid(raw) if start else raw

    def _counted(self, slot: int) -> tuple[int, NDArray[np.uint8]]:
        if slot in self._starts:
            return 0, np.empty(0, np.uint8)
        return 0, packed_cells(logbins.empty(1), 0)


@cache
def _unread(slots: int) -> LogBins:
    """Cells that kernels count in and nobody reads, of all sketches: each took six kilobytes."""
    return logbins.empty(slots)


class Followed:
    """Sketches that are told of their values when many have come: a few take as long as many."""

    def __init__(self, sketches: list[AnchoringSketch]) -> None:
        self._sketches = sketches
        self._runs: dict[int, list[list[NDArray[np.float64]]]] = {}  # by slot, a row per run
        self._n = 0
        for sketch in sketches:
            sketch.followed = self

    def add(self, columns: list[NDArray[np.float64]], n: int, runs: Runs) -> None:
        """Column i (n,) for sketch i, as runs have it; what stays is a copy."""
        self._n += n
        is_full, begin = self._n >= SAMPLE, 0
        if not is_full and not len(runs.order):
            columns = [column.copy() for column in columns]
        for slot, end in zip(runs.slots.tolist(), runs.ends.tolist(), strict=True):
            mine = runs.order[begin:end]
            parts = [column[mine] for column in columns] if len(runs.order) else columns
            self._runs.setdefault(slot, []).append(parts)
            begin = end
        if is_full:
            self.tell()

    def tell(self) -> None:
        """Let every sketch know all of it."""
        waiting, self._runs, self._n = self._runs, {}, 0
        for slot, rows in waiting.items():
            for sketch, parts in zip(self._sketches, zip(*rows, strict=True), strict=True):
                sketch.follow(slot, _joined(parts))


def _joined(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate(parts) if len(parts) > 1 else parts[0] if parts else np.empty(0)
