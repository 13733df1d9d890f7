"""Vectors: arrays of numbers in, mean and variance of each dimension out.

In    arrays laid end to end: flat float64 and where each ends; slots int32, one per array
Out   per slot the length its arrays have, and sums and squares of their dimensions
Not   how long arrays are as a number feature (stream/detect), parsing them

GUARANTEE: means and variances are within RELATIVE_ERROR of the spread while the mean lies within
TRUSTED spreads of 0. The first array of a slot says which length counts; arrays of another length,
and those with a number that is not finite, are counted apart. Of longer ones the first MOST
dimensions are summed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel
from kernels.packing import Buffer, counts_bytes, counts_of, floats_of, opened, sealed
from kernels.sketches.slots import moved

MOST = 4_096  # dimensions
RELATIVE_ERROR = 1e-9
TRUSTED = 100.0
BYTES_PER_DIMENSION = 16
KIND, VERSION = b"VE", 1


class Vectors(NamedTuple):
    """Sums over the arrays of one length."""

    length: NDArray[np.int64]  # (n_slots,) numbers in each array; 0 before the first
    count: NDArray[np.int64]  # type: ignore[assignment]  # (n_slots,); hides tuple.count
    apart: NDArray[np.int64]  # (n_slots, 2) arrays of another length; with what is not finite
    sums: NDArray[np.float64]  # (n_slots, room) of each dimension
    squares: NDArray[np.float64]  # (n_slots, room)


def empty(n_slots: int, room: int) -> Vectors:
    """Sums of nothing, `n_slots` rows of up to `room` dimensions."""
    return Vectors(
        length=np.zeros(n_slots, np.int64),
        count=np.zeros(n_slots, np.int64),
        apart=np.zeros((n_slots, 2), np.int64),
        sums=np.zeros((n_slots, room)),
        squares=np.zeros((n_slots, room)),
    )


def grow(state: Vectors, n_slots: int, room: int = 0) -> Vectors:
    """A copy with more rows, the new ones empty, and no less room."""
    known = state.sums.shape[1]
    larger = empty(n_slots, max(room, known))
    moved(state[:3], larger[:3])
    larger.sums[: len(state.sums), :known] = state.sums
    larger.squares[: len(state.squares), :known] = state.squares
    return larger


@kernel
def reset(state: Vectors, slot: int) -> None:
    """Empty one row."""
    state.length[slot] = 0
    state.count[slot] = 0
    state.apart[slot] = 0
    state.sums[slot] = 0.0
    state.squares[slot] = 0.0


@kernel
def update(
    state: Vectors,
    slots: NDArray[np.int32],
    flat: NDArray[np.float64],
    ends: NDArray[np.int64],
) -> None:
    """Add arrays, in place.

    slots  (n,)  row of each array; -1 is skipped
    flat   (total,)  the arrays end to end
    ends   (n,)  exclusive; an array of nothing is one of another length

    The state has room for the longest of them, or for MOST.
    """
    start = 0
    for at in range(slots.size):
        slot, vector = slots[at], flat[start : ends[at]]
        start = ends[at]
        if slot < 0:
            continue
        if not _is_finite(vector):
            state.apart[slot, 1] += 1
            continue
        if state.length[slot] == 0:
            state.length[slot] = vector.size
        if vector.size != state.length[slot] or vector.size == 0:
            state.apart[slot, 0] += 1
            continue
        state.count[slot] += 1
        _add(state.sums[slot], state.squares[slot], vector)


@kernel
def _is_finite(vector: NDArray[np.float64]) -> bool:
    nothing = 0.0  # stays 0 unless a number is NaN or infinite
    for value in vector:
        nothing += value * 0.0
    return nothing == 0.0


@kernel
def _add(
    sums: NDArray[np.float64], squares: NDArray[np.float64], vector: NDArray[np.float64]
) -> None:
    for i in range(min(vector.size, sums.size, MOST)):
        value = vector[i] + 0.0
        sums[i] += value
        squares[i] += value * value


@kernel
def merge(into: Vectors, slots: NDArray[np.int32], other: Vectors) -> None:
    """Add row j of `other` to row slots[j], in place; -1 is skipped.

    Arrays of another length than those of `into` are counted apart. `into` has room for `other`.
    """
    for row in range(slots.size):
        slot = slots[row]
        if slot < 0:
            continue
        into.apart[slot, 0] += other.apart[row, 0]
        into.apart[slot, 1] += other.apart[row, 1]
        if other.count[row] == 0:
            continue
        if into.count[slot] == 0:
            into.length[slot] = other.length[row]
        if into.length[slot] != other.length[row]:
            into.apart[slot, 0] += other.count[row]
            continue
        into.count[slot] += other.count[row]
        for i in range(min(other.sums.shape[1], into.sums.shape[1])):
            into.sums[slot, i] += other.sums[row, i]
            into.squares[slot, i] += other.squares[row, i]


@kernel
def norms(flat: NDArray[np.float64], ends: NDArray[np.int64], out: NDArray[np.float64]) -> None:
    """Write the Euclidean length of each array to out (n,); infinite where squares are."""
    start = 0
    for at in range(ends.size):
        total = 0.0
        for value in flat[start : ends[at]]:
            total += value * value
        out[at] = math.sqrt(total)
        start = ends[at]


@kernel
def cosines(
    flat: NDArray[np.float64],
    ends: NDArray[np.int64],
    direction: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write the cosine between each array and a direction (d,) to out (n,).

    NaN for an array of another length than min(d, MOST), for one of zeros or with what is not
    finite; of longer arrays the first MOST dimensions count.
    """
    start, size = 0, direction.size
    own = 0.0
    for value in direction:
        own += value * value
    for at in range(ends.size):
        vector = flat[start : ends[at]]
        start = ends[at]
        out[at] = math.nan
        if min(vector.size, MOST) != size:
            continue
        total, along = 0.0, 0.0
        for i in range(size):
            total += vector[i] * vector[i]
            along += vector[i] * direction[i]
        spread = math.sqrt(total) * math.sqrt(own)
        if spread > 0.0 and math.isfinite(spread):
            out[at] = min(max(along / spread, -1.0), 1.0)


def means(state: Vectors, slot: int) -> NDArray[np.float64]:
    """Mean of each dimension (d,); empty without arrays."""
    d = min(int(state.length[slot]), state.sums.shape[1]) if state.count[slot] else 0
    return np.asarray(state.sums[slot, :d] / max(int(state.count[slot]), 1))


@np.errstate(over="ignore", invalid="ignore")
def variances(state: Vectors, slot: int) -> NDArray[np.float64]:
    """Variance of each dimension (d,) with ddof 0; NaN beyond float64; empty without arrays."""
    centre = means(state, slot)
    mean_square = state.squares[slot, : centre.size] / max(int(state.count[slot]), 1)
    return np.asarray(np.maximum(mean_square - centre * centre, 0.0))


def pack(state: Vectors, slot: int) -> bytes:
    """A row as bytes, sixteen per dimension."""
    d = min(int(state.length[slot]), state.sums.shape[1]) if state.count[slot] else 0
    head = np.array([state.length[slot], state.count[slot], *state.apart[slot], d])
    body = np.concatenate([state.sums[slot, :d], state.squares[slot, :d]]).astype("<f8")
    return sealed(KIND, VERSION, [counts_bytes(head), body.tobytes()])


def unpack(raw: Buffer, room: int = 0) -> Vectors:
    """The row that `pack` wrote, as a state of one slot with this room or what is needed.

    Raises ValueError.
    """
    head, body = opened(raw, KIND, VERSION, 2)
    length, count, other, broken, d = counts_of(head, 5).tolist()
    if d > MOST:
        raise ValueError(f"{d} dimensions, at most {MOST} are kept")
    floats, state = floats_of(body, 2 * d), empty(1, max(d, room))
    state.length[0], state.count[0], state.apart[0] = length, count, (other, broken)
    state.sums[0, :d], state.squares[0, :d] = floats[:d], floats[d:]
    return state
