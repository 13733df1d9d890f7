"""Runs: the slot of each row in, the rows of each slot beside each other out.

In    slots (n,) int32, one per row of a batch; how many rows each slot has had before
Out   the rows in the order of their slots, and where each slot's rows end
Not   what the rows hold: every column of a batch uses the same runs

A batch mixes the keys of many streams. A kernel that takes the rows of one slot after the other
loads the slot's sketch once, and works on vectors; the order of rows within a slot stays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel


class Runs(NamedTuple):
    """The rows of a batch by slot; rows without a slot are left out."""

    # (m,) rows, ascending within a slot; empty if all rows stand as they came, in one slot
    order: NDArray[np.int32]
    slots: NDArray[np.int32]  # (k,) ascending
    ends: NDArray[np.int64]  # (k,) where the rows of each slot end in `order`
    before: NDArray[np.int64]  # (k,) rows that each slot had before this batch


def runs_of(slots: NDArray[np.int32], before: NDArray[np.int64]) -> Runs:
    """The runs of a batch.

    slots   (n,)        slot of each row; -1 is left out
    before  (n_slots,)  rows that every slot had before
    """
    if slots.size and slots[0] >= 0 and is_one(slots):
        one, end = slots[:1].copy(), np.array([slots.size])
        return Runs(np.empty(0, np.int32), one, end, before[one])
    order = np.empty(slots.size, np.int32)
    ends = np.zeros(before.size + 1, np.int64)
    kept = arrange(slots, order, ends)
    used = np.flatnonzero(np.diff(ends[:-1], prepend=0)).astype(np.int32)
    return Runs(order[:kept], used, ends[used], before[used])


@kernel
def is_one(slots: NDArray[np.int32]) -> bool:
    """Whether all slots are the first one."""
    other, first = 0, slots[0]
    for row in range(np.uint64(slots.size)):
        other |= slots[row] ^ first
    return other == 0


@kernel
def arrange(slots: NDArray[np.int32], order: NDArray[np.int32], ends: NDArray[np.int64]) -> int:
    """Write the rows by slot to `order`, and return how many have a slot; a counting sort.

    slots  (n,)            -1 is left out
    order  (n,)            out
    ends   (n_slots + 1,)  zeros; out: where each slot's rows end, then their number
    """
    for row in range(slots.size):
        ends[slots[row] + 1] += 1
    ends[0] = 0
    for slot in range(1, ends.size):
        ends[slot] += ends[slot - 1]
    kept = ends[ends.size - 1]
    for row in range(slots.size):
        if slots[row] >= 0:
            order[ends[slots[row]]] = row
            ends[slots[row]] += 1
    return int(kept)
