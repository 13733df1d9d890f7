"""Fused: the arrays of moments and of cells as one state, and the update that feeds both.

In    a state, slots and numbers
Out   the state, as `numbers.update` leaves it
Not   that these are the bytes of the plain updates (tests/kernels/sketches/test_numbers.py)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.sketches import logbins, moments, numbers, runs


class NumbersState(NamedTuple):
    """The arrays of both sketches that numbers.py feeds, side by side."""

    count: Any  # hides tuple.count
    kinds: NDArray[np.int64]
    zeros: NDArray[np.int64]
    shift: NDArray[np.float64]
    sums: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    counts: NDArray[np.uint32]
    clamped: NDArray[np.int64]

    @property
    def shape(self) -> moments.Moments:
        return moments.Moments(*self[:7])

    @property
    def cells(self) -> logbins.LogBins:
        return logbins.LogBins(*self[7:])


def numbers_update(
    state: NumbersState,
    slots: NDArray[np.int32],
    x: NDArray[np.float64],
    anchor: float,
    inverse_scale: float,
) -> None:
    """The fused update of a state whose slots get a value with every row."""
    rows_before = state.count + state.kinds.sum(axis=1)
    arranged = runs.runs_of(slots, rows_before)
    scratch = numbers.scratch()
    numbers.update(state.shape, state.cells, arranged, x, anchor, inverse_scale, scratch)


def numbers_empty(n_slots: int) -> NumbersState:
    """Nothing in either sketch."""
    return NumbersState(*moments.empty(n_slots), *logbins.empty(n_slots))
