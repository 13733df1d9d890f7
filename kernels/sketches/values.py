"""Values: codes of a known vocabulary in, exact counts out; and a table from numbers to codes.

In    codes int32 of categories, or of numbers by `lookup`; slots int32, the row of each
Out   counts (n_slots, n_codes)
Not   words to codes (stream/detect/columns.py); values outside the vocabulary, code -1

GUARANTEE: exact. Numbers with few distinct values (integers, prices, ratings) belong here and not
in logbins.py: between equal values there is nothing to interpolate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import float_bits, kernel, signed
from kernels.missing import INFINITY_BITS, MAGNITUDE_BITS
from kernels.sketches.slots import moved

BYTES_PER_CODE = 8
SPARSENESS = 4  # table places per value: a probe then meets 1.2 places on average
_LOW_HALF = np.uint64(0xFFFF_FFFF)
_HALF_BITS = np.uint64(32)
_ODD = np.uint64(0x9E37_79B1)  # 2^32 / golden ratio: spreads neighbours evenly (Knuth 6.4)


class ValueCounts(NamedTuple):
    """How often each code came."""

    counts: NDArray[np.int64]  # (n_slots, n_codes)


class NumberTable(NamedTuple):
    """Open addressing on the bits of a float64, never more than a quarter full."""

    keys: NDArray[np.float64]  # (size,) size a power of two; 0.0 where there is none
    codes: NDArray[np.int32]  # (size,) -1 where there is none


def empty(n_slots: int, n_codes: int) -> ValueCounts:
    """Counts of nothing, `n_slots` rows."""
    return ValueCounts(counts=np.zeros((n_slots, n_codes), np.int64))


def grow(state: ValueCounts, n_slots: int) -> ValueCounts:
    """A copy with more rows, the new ones empty."""
    return moved(state, empty(n_slots, state.counts.shape[1]))


@kernel
def reset(state: ValueCounts, slot: int) -> None:
    """Empty one row."""
    state.counts[slot, :] = 0


@kernel
def update(state: ValueCounts, slots: NDArray[np.int32], codes: NDArray[np.int32]) -> None:
    """Count codes, in place.

    slots  (n,)  row of each code; -1 is skipped
    codes  (n,)  -1, and any code the state has no column for, is skipped
    """
    n_codes = state.counts.shape[1]
    for at in range(slots.size):
        slot, code = slots[at], codes[at]
        if slot >= 0 and 0 <= code < n_codes:
            state.counts[slot, code] += 1


@kernel
def merge(into: ValueCounts, slots: NDArray[np.int32], other: ValueCounts) -> None:
    """Add row j of `other` to row slots[j], in place; -1 is skipped. Both have the same codes."""
    for row in range(slots.size):
        slot = slots[row]
        if slot < 0:
            continue
        for code in range(into.counts.shape[1]):
            into.counts[slot, code] += other.counts[row, code]


@kernel
def build_table(values: NDArray[np.float64]) -> NumberTable:
    """Table that gives every value its position in `values`.

    values  (v,)  of equal ones the first counts (-0.0 equals 0.0); NaN and infinities are left out
    """
    size = 4
    while size < SPARSENESS * values.size:
        size *= 2
    table = NumberTable(np.zeros(size, np.float64), np.full(size, -1, np.int32))
    for code in range(values.size):
        if (float_bits(values[code]) & MAGNITUDE_BITS) < INFINITY_BITS:
            place = place_of(table, values[code])
            if table.codes[place] < 0:
                table.keys[place] = values[code]
                table.codes[place] = code
    return table


@kernel
def lookup(table: NumberTable, values: NDArray[np.float64], codes_out: NDArray[np.int32]) -> None:
    """Write the code of each value (n,) to `codes_out` (n,); -1 if unknown, NaN or infinite."""
    for at in range(values.size):
        codes_out[at] = -1
        if (float_bits(values[at]) & MAGNITUDE_BITS) < INFINITY_BITS:
            codes_out[at] = table.codes[place_of(table, values[at])]


@kernel
def place_of(table: NumberTable, value: float) -> int:
    """Where a finite value stands in a table, or the free place where it would."""
    size = table.codes.size
    bits = float_bits(value + 0.0)
    folded = (bits ^ (bits >> _HALF_BITS)) & _LOW_HALF
    place = (signed((folded * _ODD) & _LOW_HALF) * size) >> 32  # its highest bits: the best mixed
    while table.codes[place] >= 0 and table.keys[place] != value:
        place = (place + 1) & (size - 1)
    return place
