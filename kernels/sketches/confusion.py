"""Confusion: what was true and what was predicted in, counts of each pair of classes out.

In    codes int32 of the true and of the predicted class, slots int32
Out   counts (n_slots, n_classes, n_classes), first the true class, then the predicted one
Not   words to codes, joining labels (stream/detect); scores (scores.py)

GUARANTEE: exact. A ratio of nothing is NaN: the precision of a class that was never predicted, the
recall of one that never came.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel
from kernels.packing import Buffer, counts_bytes, counts_of, opened, sealed
from kernels.sketches.slots import moved

BYTES_PER_PAIR = 8
MOST = 4_096  # classes that bytes may claim
KIND, VERSION = b"CF", 1


class Confusion(NamedTuple):
    """How often each predicted class came with each true class."""

    counts: NDArray[np.int64]  # (n_slots, n_classes, n_classes)
    refused: NDArray[np.int64]  # (n_slots,) pairs of which a class is not among these


def empty(n_slots: int, n_classes: int) -> Confusion:
    """Counts of nothing, `n_slots` rows."""
    counts = np.zeros((n_slots, n_classes, n_classes), np.int64)
    return Confusion(counts, np.zeros(n_slots, np.int64))


def grow(state: Confusion, n_slots: int) -> Confusion:
    """A copy with more rows, the new ones empty."""
    return moved(state, empty(n_slots, state.counts.shape[1]))


@kernel
def reset(state: Confusion, slot: int) -> None:
    """Empty one row."""
    state.counts[slot] = 0
    state.refused[slot] = 0


@kernel
def update(
    state: Confusion,
    slots: NDArray[np.int32],
    actual: NDArray[np.int32],
    predicted: NDArray[np.int32],
) -> None:
    """Count pairs, in place.

    slots              (n,)  -1 is skipped
    actual, predicted  (n,)  codes; outside [0, n_classes) the pair is refused
    """
    n_classes = state.counts.shape[1]
    for at in range(slots.size):
        slot, row, column = slots[at], actual[at], predicted[at]
        if slot < 0:
            continue
        if 0 <= row < n_classes and 0 <= column < n_classes:
            state.counts[slot, row, column] += 1
        else:
            state.refused[slot] += 1


@kernel
def merge(into: Confusion, slots: NDArray[np.int32], other: Confusion) -> None:
    """Add row j of `other` to row slots[j], in place; -1 is skipped. Both have the same classes."""
    n_classes = into.counts.shape[1]
    for row in range(slots.size):
        slot = slots[row]
        if slot < 0:
            continue
        into.refused[slot] += other.refused[row]
        for i in range(n_classes):
            for j in range(n_classes):
                into.counts[slot, i, j] += other.counts[row, i, j]


@kernel
def accuracy(state: Confusion, slot: int) -> float:
    """Share of pairs whose classes are the same."""
    right, total = 0, 0
    for i in range(state.counts.shape[1]):
        right += state.counts[slot, i, i]
        total += state.counts[slot, i].sum()
    return right / total if total else np.nan


@kernel
def precision(state: Confusion, slot: int, code: int) -> float:
    """Of what was predicted to be this class, the share that was."""
    predicted = state.counts[slot, :, code].sum()
    return state.counts[slot, code, code] / predicted if predicted else np.nan


@kernel
def recall(state: Confusion, slot: int, code: int) -> float:
    """Of what was this class, the share that was predicted to be."""
    actual = state.counts[slot, code].sum()
    return state.counts[slot, code, code] / actual if actual else np.nan


@kernel
def f1(state: Confusion, slot: int, code: int) -> float:
    """Harmonic mean of precision and recall; NaN only if the class came on neither side."""
    both = state.counts[slot, code].sum() + state.counts[slot, :, code].sum()
    return 2.0 * state.counts[slot, code, code] / both if both else np.nan


@kernel
def macro_f1(state: Confusion, slot: int) -> float:
    """Mean f1 of the classes that came on either side."""
    total, n = 0.0, 0
    for code in range(state.counts.shape[1]):
        score = f1(state, slot, code)
        if score == score:
            total += score
            n += 1
    return total / n if n else np.nan


def pack(state: Confusion, slot: int) -> bytes:
    """A row as bytes, two or three per pair of classes that came."""
    head = counts_bytes(np.array([state.counts.shape[1], state.refused[slot]]))
    return sealed(KIND, VERSION, [head, counts_bytes(state.counts[slot].ravel())])


def unpack(raw: Buffer) -> Confusion:
    """The row that `pack` wrote, as a state of one slot. Raises ValueError."""
    head, packed = opened(raw, KIND, VERSION, 2)
    n_classes, refused = counts_of(head, 2).tolist()
    if n_classes > MOST:
        raise ValueError(f"{n_classes} classes, at most {MOST} are read")
    counts = counts_of(packed, n_classes * n_classes).reshape(1, n_classes, n_classes)
    return Confusion(counts, np.array([refused], np.int64))
