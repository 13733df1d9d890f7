"""Heavy: hashes of values nobody announced in, the most frequent of them out, in bounded memory.

In    keys uint64, hashes of the values; slots int32, the row of each; key 0 is skipped
Out   up to `capacity` keys per slot with their counts
Not   the values behind the keys (stream/detect), vocabularies known beforehand (values.py)

GUARANTEE: a key's count is never too small, and too large by at most what it inherited, which is at
most n / capacity; every key with more than n / capacity of the n values is there. While no more
than `capacity` keys came all counts are exact, and merging is exact in any order. Beyond that the
order of values, and of merges, decides which rare keys stay; batches never do.

Space-Saving: Metwally, Agrawal, El Abbadi 2005. Merging as in Cafaro, Tempesta, Pulimeno 2014: a
key the other side does not hold came there at most as often as what was dropped there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel
from kernels.packing import Buffer, counts_bytes, counts_of, opened, sealed, words_of
from kernels.sketches.slots import moved

BYTES_PER_KEY = 24
KIND, VERSION = b"HH", 1


class HeavyHitters(NamedTuple):
    """Counters, in the order their keys came to their places."""

    keys: NDArray[np.uint64]  # (n_slots, capacity) 0 where there is none
    counts: NDArray[np.int64]  # (n_slots, capacity)
    inherited: NDArray[np.int64]  # (n_slots, capacity) of the count, what other keys left behind
    used: NDArray[np.int64]  # (n_slots,)
    dropped: NDArray[np.int64]  # (n_slots,) no key that is not held came more often


def empty(n_slots: int, capacity: int) -> HeavyHitters:
    """Counters of nothing, `n_slots` rows."""
    return HeavyHitters(
        keys=np.zeros((n_slots, capacity), np.uint64),
        counts=np.zeros((n_slots, capacity), np.int64),
        inherited=np.zeros((n_slots, capacity), np.int64),
        used=np.zeros(n_slots, np.int64),
        dropped=np.zeros(n_slots, np.int64),
    )


def grow(state: HeavyHitters, n_slots: int) -> HeavyHitters:
    """A copy with more rows, the new ones empty."""
    return moved(state, empty(n_slots, state.keys.shape[1]))


@kernel
def reset(state: HeavyHitters, slot: int) -> None:
    """Empty one row."""
    state.keys[slot, :] = 0
    state.counts[slot, :] = 0
    state.inherited[slot, :] = 0
    state.used[slot] = 0
    state.dropped[slot] = 0


@kernel
def update(state: HeavyHitters, slots: NDArray[np.int32], keys: NDArray[np.uint64]) -> None:
    """Count keys, in place; a new one takes over the place of the rarest where all are taken.

    slots  (n,)  row of each key; -1 is skipped
    keys   (n,)  0 is skipped
    """
    for at in range(slots.size):
        if slots[at] >= 0 and keys[at] != 0:
            _add(state, slots[at], keys[at])


@kernel
def update_coded(
    state: HeavyHitters,
    slots: NDArray[np.int32],
    codes: NDArray[np.int32],
    keys: NDArray[np.uint64],
    places: NDArray[np.int64],
) -> None:
    """The same of keys[code] for each of codes, which come again: so a key is searched but once.

    slots   (n,)  row of each code; -1 is skipped
    codes   (n,)  into keys
    keys    (k,)  of a key that is 0 no code is counted
    places  (k,)  zeros; overwritten
    """
    for at in range(slots.size):
        slot, code = slots[at], codes[at]
        key = keys[code]
        if slot < 0 or key == 0:
            continue
        place = places[code]
        if place < state.used[slot] and state.keys[slot, place] == key:
            state.counts[slot, place] += 1
        else:
            places[code] = _add(state, slot, key)


@kernel
def _add(state: HeavyHitters, slot: int, key: np.uint64) -> int:
    """Count a key; its place."""
    place = _place(state, slot, key)
    if place >= 0:
        state.counts[slot, place] += 1
        return place
    if state.used[slot] < state.keys.shape[1]:
        _append(state, slot, key, 1, 0)
        return int(state.used[slot] - 1)
    rarest = _rarest(state, slot)
    before = state.counts[slot, rarest]
    state.dropped[slot] = max(before, state.dropped[slot])
    state.keys[slot, rarest] = key
    state.counts[slot, rarest] = before + 1
    state.inherited[slot, rarest] = before
    return rarest


@kernel
def _place(state: HeavyHitters, slot: int, key: np.uint64) -> int:
    """Where a key stands, -1 for nowhere. No early end: so it is looked for eight at a time."""
    found = -1
    keys = state.keys[slot, : state.used[slot]]
    for place in range(keys.size):
        found = max(found, place if keys[place] == key else -1)
    return found


@kernel
def _append(state: HeavyHitters, slot: int, key: np.uint64, count: int, inherited: int) -> None:
    place = state.used[slot]
    state.used[slot] += 1
    state.keys[slot, place] = key
    state.counts[slot, place] = count
    state.inherited[slot, place] = inherited


@kernel
def _rarest(state: HeavyHitters, slot: int) -> int:
    """The place of the smallest count; of equal ones that of the smallest key."""
    counts, keys, rarest = state.counts[slot], state.keys[slot], 0
    for place in range(1, state.used[slot]):
        is_equal = counts[place] == counts[rarest]
        if counts[place] < counts[rarest] or (is_equal and keys[place] < keys[rarest]):
            rarest = place
    return rarest


@kernel
def merge(into: HeavyHitters, slots: NDArray[np.int32], other: HeavyHitters) -> None:
    """Add row j of `other` to row slots[j], in place; -1 is skipped."""
    for row in range(slots.size):
        slot = slots[row]
        if slot < 0:
            continue
        before = into.dropped[slot]
        for place in range(into.used[slot]):
            there = _place(other, row, into.keys[slot, place])
            more = other.counts[row, there] if there >= 0 else other.dropped[row]
            unsure = other.inherited[row, there] if there >= 0 else other.dropped[row]
            into.counts[slot, place] += more
            into.inherited[slot, place] += unsure
        into.dropped[slot] += other.dropped[row]
        for place in range(other.used[row]):
            # A key that both held and that lost its place is offered again, as rarer than it is.
            if _place(into, slot, other.keys[row, place]) < 0:
                count = other.counts[row, place] + before
                inherited = other.inherited[row, place] + before
                _offer(into, slot, other.keys[row, place], count, inherited)


@kernel
def _offer(state: HeavyHitters, slot: int, key: np.uint64, count: int, inherited: int) -> None:
    """Take a counter in if there is room, or if it is not the rarest of all."""
    if state.used[slot] < state.keys.shape[1]:
        _append(state, slot, key, count, inherited)
        return
    rarest = _rarest(state, slot)
    least, smallest = state.counts[slot, rarest], state.keys[slot, rarest]
    if count < least or (count == least and key < smallest):
        state.dropped[slot] = max(count, state.dropped[slot])
        return
    state.dropped[slot] = max(least, state.dropped[slot])
    state.keys[slot, rarest] = key
    state.counts[slot, rarest] = count
    state.inherited[slot, rarest] = inherited


def items(
    state: HeavyHitters, slot: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Keys (k,) ascending, their counts, and what of these was inherited."""
    order = np.argsort(state.keys[slot, : state.used[slot]])
    return state.keys[slot, order], state.counts[slot, order], state.inherited[slot, order]


def pack(state: HeavyHitters, slot: int) -> bytes:
    """A row as bytes, by key: about eleven per key."""
    keys, counts, inherited = items(state, slot)
    head = np.array([len(keys), state.dropped[slot]])
    parts = [counts_bytes(head), keys.astype("<u8").tobytes(), counts_bytes(counts)]
    return sealed(KIND, VERSION, [*parts, counts_bytes(inherited)])


def unpack(raw: Buffer, capacity: int = 0) -> HeavyHitters:
    """The row that `pack` wrote, as a state of one slot with this capacity or what is held.

    Raises ValueError.
    """
    head, packed, counts, inherited = opened(raw, KIND, VERSION, 4)
    used, dropped = counts_of(head, 2).tolist()
    keys = words_of(packed, used)
    if (keys[1:] <= keys[:-1]).any() or (keys == 0).any():
        raise ValueError("keys of heavy hitters are not in order")
    state = empty(1, max(capacity, used))
    state.keys[0, :used], state.used[0], state.dropped[0] = keys, used, dropped
    state.counts[0, :used] = counts_of(counts, used)
    state.inherited[0, :used] = counts_of(inherited, used)
    return state
