"""Scores: probabilities and what came true in, how well they rank and are calibrated out.

In    scores float64 in [0, 1], labels int32 0 or 1, slots int32
Out   per slot and class a histogram, from which AUC, log loss, Brier, RIG and calibration are read
Not   joining labels, several classes against each other (confusion.py), numbers (residuals.py)

u = min(p, 1 - p) says how sure a score is. Its exponent and first K mantissa bits number the cells,
mirrored at 1/2: cells are narrow where a score is near 0 or 1. Below SMALLEST every u is SMALLEST,
so that a score of 0 that came true costs 21.5 nats and not infinity. Each cell knows the sum of its
u, so that within a cell only the spread is lost.

GUARANTEE: log loss is too small by at most LOG_LOSS_ERROR nats per event (K bits leave a relative
variance of 4^-K / 4, and -ln is curved by half of it). AUC is off by at most the bound that comes
with it, half the pairs that share a cell. Brier is exact up to rounding, RIG follows log loss.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import float_bits, kernel, signed
from kernels.packing import Buffer, counts_bytes, counts_of, floats_of, opened, sealed
from kernels.sketches.slots import moved

K = 4
OCTAVES = 30
SIDE = OCTAVES << K  # cells of scores below 1/2
CELLS = 2 * SIDE + 1
SMALLEST = 2.0 ** -(OCTAVES + 1)
LOG_LOSS_ERROR = 4.0**-K / 8.0
BYTES_PER_SLOT = 8 * (4 * CELLS + 2)
KIND, VERSION = b"SC", 1

_SHIFT = np.uint64(52 - K)
_FIRST = (1022 - OCTAVES) << K


class Scores(NamedTuple):
    """Histograms of the scores of class 0 and of class 1."""

    counts: NDArray[np.int64]  # (n_slots, 2, CELLS) by ascending score
    tails: NDArray[np.float64]  # (n_slots, 2, CELLS) sum of u
    squares: NDArray[np.float64]  # (n_slots,) sum of (score - label)²
    refused: NDArray[np.int64]  # (n_slots,) score not in [0, 1], or label neither 0 nor 1


def empty(n_slots: int) -> Scores:
    """Histograms of nothing, `n_slots` rows."""
    return Scores(
        counts=np.zeros((n_slots, 2, CELLS), np.int64),
        tails=np.zeros((n_slots, 2, CELLS)),
        squares=np.zeros(n_slots),
        refused=np.zeros(n_slots, np.int64),
    )


def grow(state: Scores, n_slots: int) -> Scores:
    """A copy with more rows, the new ones empty."""
    return moved(state, empty(n_slots))


@kernel
def reset(state: Scores, slot: int) -> None:
    """Empty one row."""
    state.counts[slot] = 0
    state.tails[slot] = 0.0
    state.squares[slot] = 0.0
    state.refused[slot] = 0


@kernel
def update(
    state: Scores,
    slots: NDArray[np.int32],
    scores: NDArray[np.float64],
    labels: NDArray[np.int32],
) -> None:
    """Add labelled scores, in place. slots (n,), -1 is skipped; scores and labels (n,)."""
    for at in range(slots.size):
        slot, score, label = slots[at], scores[at], labels[at]
        if slot < 0:
            continue
        if not (0.0 <= score <= 1.0 and (label == 0 or label == 1)):
            state.refused[slot] += 1
            continue
        is_low = score < 0.5
        tail = max(score if is_low else 1.0 - score, SMALLEST)
        key = signed(float_bits(tail) >> _SHIFT) - _FIRST
        cell = key if is_low else CELLS - 1 - key
        state.counts[slot, label, cell] += 1
        state.tails[slot, label, cell] += tail
        state.squares[slot] += (score - label) * (score - label)


@kernel
def merge(into: Scores, slots: NDArray[np.int32], other: Scores) -> None:
    """Add row j of `other` to row slots[j], in place; -1 is skipped."""
    for row in range(slots.size):
        slot = slots[row]
        if slot < 0:
            continue
        into.squares[slot] += other.squares[row]
        into.refused[slot] += other.refused[row]
        for label in range(2):
            for cell in range(CELLS):
                into.counts[slot, label, cell] += other.counts[row, label, cell]
                into.tails[slot, label, cell] += other.tails[row, label, cell]


@kernel
def auc(state: Scores, slot: int) -> tuple[float, float]:
    """Chance that a 1 scores above a 0, ties half, and by how much it may be off.

    Both NaN if a class never came.
    """
    zeros, ones = 0, 0
    above, tied = 0.0, 0.0
    for cell in range(CELLS):
        n_0, n_1 = state.counts[slot, 0, cell], state.counts[slot, 1, cell]
        above += float(n_1) * (zeros + 0.5 * n_0)
        tied += float(n_1) * n_0
        zeros += n_0
        ones += n_1
    if zeros == 0 or ones == 0:
        return math.nan, math.nan
    pairs = float(zeros) * ones
    return above / pairs, 0.5 * tied / pairs


@kernel
def log_loss(state: Scores, slot: int) -> float:
    """Mean of -ln of the probability given to what came true; NaN without events."""
    total, n = 0.0, 0
    for label in range(2):
        for cell in range(CELLS):
            count = state.counts[slot, label, cell]
            if count:
                tail = state.tails[slot, label, cell] / count
                is_tail = (cell < SIDE) == (label == 1)  # u itself was given to what came true
                total -= count * math.log(tail if is_tail else 1.0 - tail)
                n += count
    return total / n if n else math.nan


@kernel
def brier(state: Scores, slot: int) -> float:
    """Mean of (score - label)²; NaN without events."""
    n = state.counts[slot].sum()
    return float(state.squares[slot] / n) if n else math.nan


@kernel
def rig(state: Scores, slot: int) -> float:
    """Relative information gain: 1 - log loss / entropy of the labels; NaN if a class is absent."""
    zeros, ones = state.counts[slot, 0].sum(), state.counts[slot, 1].sum()
    if zeros == 0 or ones == 0:
        return math.nan
    rate = float(ones / (zeros + ones))
    entropy = -rate * math.log(rate) - (1.0 - rate) * math.log(1.0 - rate)
    return 1.0 - log_loss(state, slot) / entropy


@kernel
def calibration(state: Scores, slot: int, out: NDArray[np.float64]) -> int:
    """Write groups of neighbouring cells to out (n_groups, 3), return how many came to be.

    A group is events, mean score, share of ones; it ends with the cell in which its share of the
    events, 1 / n_groups, is reached.
    """
    n, n_groups = state.counts[slot].sum(), out.shape[0]
    group, seen, before, ones, total = 0, 0, 0, 0, 0.0
    for cell in range(CELLS):
        more = state.counts[slot, 0, cell] + state.counts[slot, 1, cell]
        tails = state.tails[slot, 0, cell] + state.tails[slot, 1, cell]
        total += tails if cell < SIDE else more - tails
        ones += state.counts[slot, 1, cell]
        seen += more
        if seen > before and seen * n_groups >= (before * n_groups // n + 1) * n:
            out[group, 0] = seen - before
            out[group, 1] = total / (seen - before)
            out[group, 2] = ones / (seen - before)
            group, before, ones, total = group + 1, seen, 0, 0.0
    return group


def pack(state: Scores, slot: int) -> bytes:
    """A row as bytes: ten per cell in use."""
    counts = state.counts[slot].ravel()
    tails = np.append(state.squares[slot], state.tails[slot].ravel()[counts > 0])
    parts = [counts_bytes(np.append(counts, state.refused[slot])), tails.astype("<f8").tobytes()]
    return sealed(KIND, VERSION, parts)


def unpack(raw: Buffer) -> Scores:
    """The row that `pack` wrote, as a state of one slot. Raises ValueError."""
    packed, tails = opened(raw, KIND, VERSION, 2)
    counts = counts_of(packed, 2 * CELLS + 1)
    used, state = np.flatnonzero(counts[:-1]), empty(1)
    floats = floats_of(tails, 1 + len(used))
    state.counts[0], state.refused[0] = counts[:-1].reshape(2, CELLS), counts[-1]
    state.tails[0].reshape(-1)[used], state.squares[0] = floats[1:], floats[0]
    return state
