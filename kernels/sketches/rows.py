"""Rows: events with hashed ids in, a uniform sample of them out, features side by side.

In    ids uint64 (keyed hashes of event ids), one column per feature, slots int32
Out   up to k rows per slot: those with the smallest ids, whatever came before or after them
Not   hashing ids (kernels/hashing.py), which features there are (stream/detect)

GUARANTEE: every different event is in the sample with the same chance, so that the share of rows
below any value is off by at most GUARANTEE / sqrt(k), except once in a thousand samples (the law
of Kolmogorov). The sample is exact while no more than k events came.

A row is held if its id is below `bound`, the smallest id that found no room. That makes the sample
a function of the set of events: order, batches and merges change nothing, an event that came twice
is one row, and the samples of panes merge to one of a window that may hold more rows than each.
Of two events with one id the row with the smaller bits stays. k-minimum values: Cohen and Kaplan
2007, "Summarizing data using bottom-k sketches".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import float_bits, kernel
from kernels.packing import Buffer, counts_bytes, counts_of, floats_of, opened, sealed, words_of
from kernels.sketches.slots import moved

GUARANTEE = 1.95
NO_BOUND = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
KIND, VERSION = b"RW", 1


class Rows(NamedTuple):
    """A sample per slot; its rows in the order they came to their places."""

    ids: NDArray[np.uint64]  # (n_slots, k) 0 where there is no row
    values: NDArray[np.float64]  # (n_slots, k, n_features) missing kinds as NaN payloads
    used: NDArray[np.int64]  # (n_slots,) rows held
    bound: NDArray[np.uint64]  # (n_slots,) NO_BOUND while every event is held


def empty(n_slots: int, k: int, n_features: int) -> Rows:
    """Samples of nothing, `n_slots` of up to k rows."""
    return Rows(
        ids=np.zeros((n_slots, k), np.uint64),
        values=np.zeros((n_slots, k, n_features)),
        used=np.zeros(n_slots, np.int64),
        bound=np.full(n_slots, NO_BOUND),
    )


def grow(state: Rows, n_slots: int) -> Rows:
    """A copy with more slots, the new ones empty."""
    return moved(state, empty(n_slots, *state.values.shape[1:]))


@kernel
def reset(state: Rows, slot: int) -> None:
    """Empty one slot."""
    state.ids[slot, :] = 0
    state.values[slot, :, :] = 0.0
    state.used[slot] = 0
    state.bound[slot] = NO_BOUND


@kernel
def candidates(
    state: Rows, slots: NDArray[np.int32], ids: NDArray[np.uint64], out: NDArray[np.int64]
) -> int:
    """Write to `out` (n,) which events may enter a sample, and return how many.

    Only their values have to be collected for `update`: of n events some k (1 + ln(n / k)).
    """
    n = 0
    for at in range(slots.size):
        slot = slots[at]
        if slot >= 0 and ids[at] < state.bound[slot]:
            out[n] = at
            n += 1
    return n


@kernel
def update(
    state: Rows, slots: NDArray[np.int32], ids: NDArray[np.uint64], columns: NDArray[np.float64]
) -> None:
    """Add events, in place.

    slots    (n,)  -1 is skipped
    ids      (n,)  equal ids are one event
    columns  (n_features, n)
    """
    for at in range(slots.size):
        slot = slots[at]
        if slot >= 0 and ids[at] < state.bound[slot]:
            _insert(state, slot, ids[at], columns[:, at])


@kernel
def _insert(state: Rows, slot: int, event: np.uint64, row: NDArray[np.float64]) -> None:
    used, last = state.used[slot], 0
    for place in range(used):
        if state.ids[slot, place] == event:
            if _is_smaller(row, state.values[slot, place]):
                _write(state, slot, place, event, row)
            return
        if state.ids[slot, place] > state.ids[slot, last]:
            last = place
    if used < state.ids.shape[1]:
        state.used[slot] += 1
        _write(state, slot, used, event, row)
    elif event > state.ids[slot, last]:
        state.bound[slot] = event
    else:
        state.bound[slot] = state.ids[slot, last]
        _write(state, slot, last, event, row)


@kernel
def _write(state: Rows, slot: int, place: int, event: np.uint64, row: NDArray[np.float64]) -> None:
    state.ids[slot, place] = event
    for feature in range(row.size):
        value = row[feature]
        state.values[slot, place, feature] = value if value != 0.0 else 0.0  # -0.0 is 0.0


@kernel
def _is_smaller(row: NDArray[np.float64], held: NDArray[np.float64]) -> bool:
    """Whether the bits of `row` come first: any order would do that all samples share."""
    for feature in range(row.size):
        mine = float_bits(row[feature] if row[feature] != 0.0 else 0.0)
        other = float_bits(held[feature])
        if mine != other:
            return bool(mine < other)
    return False


@kernel
def merge(into: Rows, slots: NDArray[np.int32], other: Rows) -> None:
    """Add slot j of `other` to slot slots[j], in place; -1 is skipped.

    Both have the same features; how many rows they may hold can differ.
    """
    for row in range(slots.size):
        slot = slots[row]
        if slot < 0:
            continue
        if other.bound[row] < into.bound[slot]:
            into.bound[slot] = other.bound[row]
            _drop_beyond(into, slot)
        for place in range(other.used[row]):
            if other.ids[row, place] < into.bound[slot]:
                _insert(into, slot, other.ids[row, place], other.values[row, place])


@kernel
def _drop_beyond(state: Rows, slot: int) -> None:
    """Keep the rows below the bound, in their order; the places left over are empty again."""
    kept = 0
    for place in range(state.used[slot]):
        if state.ids[slot, place] < state.bound[slot]:
            state.ids[slot, kept] = state.ids[slot, place]
            state.values[slot, kept] = state.values[slot, place]
            kept += 1
    state.ids[slot, kept : state.used[slot]] = 0
    state.values[slot, kept : state.used[slot]] = 0.0
    state.used[slot] = kept


def sample(state: Rows, slot: int) -> NDArray[np.float64]:
    """The rows held (n, n_features), by id: the same for equal sets of events."""
    return np.asarray(state.values[slot, _order(state, slot)])


def _order(state: Rows, slot: int) -> NDArray[np.int64]:
    return np.asarray(np.argsort(state.ids[slot, : state.used[slot]]))


def pack(state: Rows, slot: int) -> bytes:
    """A slot as bytes, rows by id: eight bytes per value, and eight per row."""
    order = _order(state, slot)
    rows = np.ascontiguousarray(state.values[slot, order])
    shape = np.array([len(order), rows.shape[1]], np.int64)
    words = np.append(state.bound[slot], state.ids[slot, order]).astype("<u8")
    bits = rows.view(np.uint64).astype("<u8")
    return sealed(KIND, VERSION, [counts_bytes(shape), words.tobytes(), bits.tobytes()])


def unpack(raw: Buffer, k: int = 0) -> Rows:
    """The slot that `pack` wrote, as a state of one slot with room for k rows or what is held.

    Raises ValueError.
    """
    shape, words, bits = opened(raw, KIND, VERSION, 3)
    used, n_features = counts_of(shape, 2).tolist()
    events = words_of(words, 1 + used)
    values = floats_of(bits, used * n_features).reshape(used, n_features)
    if (events[1:] >= events[0]).any() or (events[1:-1] >= events[2:]).any():
        raise ValueError("ids of rows are not in order")
    state = empty(1, max(k, used), n_features)
    state.ids[0, :used], state.values[0, :used] = events[1:], values
    state.used[0], state.bound[0] = used, events[0]
    return state
