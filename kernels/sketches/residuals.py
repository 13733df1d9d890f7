"""Residuals: predicted and true numbers in, how far they are apart out.

In    predictions and labels float64, slots int32
Out   per slot the sums behind bias, MAE, RMSE and MAPE
Not   joining labels (stream/detect), classes (confusion.py), probabilities (scores.py)

GUARANTEE: bias, MAE, RMSE and MAPE are within RELATIVE_ERROR of those by exact sums (the bias: of
the MAE). A pair with a value that is not finite is refused and counted; a label of 0 has no
percentage and is left out of MAPE alone. What leaves the range of float64 is NaN.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import float_bits, kernel
from kernels.missing import INFINITY_BITS, MAGNITUDE_BITS
from kernels.packing import Buffer, counts_bytes, counts_of, floats_of, opened, sealed
from kernels.sketches.slots import moved

RELATIVE_ERROR = 1e-11  # for up to 100 000 pairs; rounding grows with their number
BYTES_PER_SLOT = 8 * (3 + 4)
KIND, VERSION = b"RS", 1


class Residuals(NamedTuple):
    """Sums over pairs of finite numbers."""

    pairs: NDArray[np.int64]  # (n_slots, 3) pairs, of these with a label that is not 0; refused
    sums: NDArray[np.float64]  # (n_slots, 4) of e, |e|, e², |e / label| with e = prediction - label


def empty(n_slots: int) -> Residuals:
    """Sums of nothing, `n_slots` rows."""
    return Residuals(np.zeros((n_slots, 3), np.int64), np.zeros((n_slots, 4)))


def grow(state: Residuals, n_slots: int) -> Residuals:
    """A copy with more rows, the new ones empty."""
    return moved(state, empty(n_slots))


@kernel
def reset(state: Residuals, slot: int) -> None:
    """Empty one row."""
    state.pairs[slot] = 0
    state.sums[slot] = 0.0


@kernel
def update(
    state: Residuals,
    slots: NDArray[np.int32],
    predictions: NDArray[np.float64],
    labels: NDArray[np.float64],
) -> None:
    """Add pairs, in place. slots (n,), -1 is skipped; predictions and labels (n,)."""
    for at in range(slots.size):
        slot = slots[at]
        if slot < 0:
            continue
        if not (_is_finite(predictions[at]) and _is_finite(labels[at])):
            state.pairs[slot, 2] += 1
            continue
        error = predictions[at] - labels[at]
        state.pairs[slot, 0] += 1
        state.sums[slot, 0] += error
        state.sums[slot, 1] += abs(error)
        state.sums[slot, 2] += error * error
        if labels[at] != 0.0:
            state.pairs[slot, 1] += 1
            state.sums[slot, 3] += abs(error / labels[at])


@kernel
def _is_finite(value: float) -> bool:
    return bool((float_bits(value) & MAGNITUDE_BITS) < INFINITY_BITS)


@kernel
def merge(into: Residuals, slots: NDArray[np.int32], other: Residuals) -> None:
    """Add row j of `other` to row slots[j], in place; -1 is skipped."""
    for row in range(slots.size):
        slot = slots[row]
        if slot < 0:
            continue
        for column in range(into.pairs.shape[1]):
            into.pairs[slot, column] += other.pairs[row, column]
        for column in range(into.sums.shape[1]):
            into.sums[slot, column] += other.sums[row, column]


@kernel
def bias(state: Residuals, slot: int) -> float:
    """Mean of prediction - label; NaN without pairs."""
    return _mean(state.sums[slot, 0], state.pairs[slot, 0])


@kernel
def mae(state: Residuals, slot: int) -> float:
    """Mean of |prediction - label|; NaN without pairs."""
    return _mean(state.sums[slot, 1], state.pairs[slot, 0])


@kernel
def rmse(state: Residuals, slot: int) -> float:
    """Root of the mean of (prediction - label)²; NaN without pairs."""
    return math.sqrt(_mean(state.sums[slot, 2], state.pairs[slot, 0]))


@kernel
def mape(state: Residuals, slot: int) -> float:
    """Mean of |(prediction - label) / label|, 1 for 100 %; NaN without labels other than 0."""
    return _mean(state.sums[slot, 3], state.pairs[slot, 1])


@kernel
def _mean(total: float, n: int) -> float:
    return total / n if n and math.isfinite(total) else math.nan


def pack(state: Residuals, slot: int) -> bytes:
    """A row as bytes."""
    sums = state.sums[slot].astype("<f8").tobytes() if state.pairs[slot].any() else b""
    return sealed(KIND, VERSION, [counts_bytes(state.pairs[slot]), sums])


def unpack(raw: Buffer) -> Residuals:
    """The row that `pack` wrote, as a state of one slot. Raises ValueError."""
    pairs, sums = opened(raw, KIND, VERSION, 2)
    state = empty(1)
    state.pairs[0] = counts_of(pairs, 3)
    if state.pairs.any():
        state.sums[0] = floats_of(sums, 4)
    return state
