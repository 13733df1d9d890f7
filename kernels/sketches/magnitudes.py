"""Magnitudes: numbers in, how large they are on average out.

In    values float64, slots int32
Out   count, sum of |value| and sum of its square of the finite ones
Not   anything else of a number (moments.py)

GUARANTEE: mean and root mean square are within RELATIVE_ERROR of the exact ones; a sum beyond
float64 is NaN. It takes a fifth of the bytes of moments, for what is kept of every feature's
attribution.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import float_bits, kernel
from kernels.missing import INFINITY_BITS, MAGNITUDE_BITS
from kernels.sketches.slots import moved

RELATIVE_ERROR = 1e-11  # for up to 100 000 values; rounding grows with their number
BYTES_PER_SLOT = 24


class Magnitudes(NamedTuple):
    """Sums over finite values."""

    count: NDArray[np.int64]  # type: ignore[assignment]  # (n_slots,); hides tuple.count
    total: NDArray[np.float64]  # (n_slots,) of |value|
    squares: NDArray[np.float64]  # (n_slots,) of value²


def empty(n_slots: int) -> Magnitudes:
    """Sums of nothing, `n_slots` rows."""
    return Magnitudes(np.zeros(n_slots, np.int64), np.zeros(n_slots), np.zeros(n_slots))


def grow(state: Magnitudes, n_slots: int) -> Magnitudes:
    """A copy with more rows, the new ones empty."""
    return moved(state, empty(n_slots))


@kernel
def reset(state: Magnitudes, slot: int) -> None:
    """Empty one row."""
    state.count[slot] = 0
    state.total[slot] = 0.0
    state.squares[slot] = 0.0


@kernel
def update(state: Magnitudes, slots: NDArray[np.int32], values: NDArray[np.float64]) -> None:
    """Add values (n,), in place; slots (n,), -1 is skipped; what is not finite is skipped."""
    for at in range(slots.size):
        slot = slots[at]
        if slot >= 0 and (float_bits(values[at]) & MAGNITUDE_BITS) < INFINITY_BITS:
            state.count[slot] += 1
            state.total[slot] += abs(values[at])
            state.squares[slot] += values[at] * values[at]


@kernel
def merge(into: Magnitudes, slots: NDArray[np.int32], other: Magnitudes) -> None:
    """Add row j of `other` to row slots[j], in place; -1 is skipped."""
    for row in range(slots.size):
        slot = slots[row]
        if slot >= 0:
            into.count[slot] += other.count[row]
            into.total[slot] += other.total[row]
            into.squares[slot] += other.squares[row]


@kernel
def mean(state: Magnitudes, slot: int) -> float:
    """Mean of |value|; NaN for none."""
    n, total = state.count[slot], state.total[slot]
    return total / n if n and math.isfinite(total) else math.nan


@kernel
def root_mean_square(state: Magnitudes, slot: int) -> float:
    """Root of the mean of value²; NaN for none."""
    n, squares = state.count[slot], state.squares[slot]
    return math.sqrt(squares / n) if n and math.isfinite(squares) else math.nan
