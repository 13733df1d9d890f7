"""Ids: keyed hashes of ids in log order in; which of them were seen before out.

In    uint64 hashes (kernels/hashing.py) and the rows of a batch to look at, in order
Out   NEW, SEEN or UNKEPT per row
Not   which ids are compared with one another (stream/detect/ingest/rolls.py)

GUARANTEE: a row that is SEEN repeats a hash that is kept. Two different ids share a hash with a
chance of n^2 / 2^65 among n ids: below 2e-9 for the 262 144 ids a set keeps unless told otherwise.
A full set keeps no further hash: of those it finds no repetition, and says so (UNKEPT).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel, prefetch, signed

NEW, SEEN, UNKEPT = 0, 1, 2
BYTES_PER_PLACE = 8
FIRST_PLACES = 64
SMALL = 1 << 15  # places: 256 KB
_AHEAD = 16  # rows whose places are loaded meanwhile: a large set is in no near cache
_NONE, _ONE = np.uint64(0), np.uint64(1)


class IdSet(NamedTuple):
    """Open addressing on the low bits of a hash, never more than half full."""

    hashes: NDArray[np.uint64]  # (size,) size a power of two; 0 where there is none
    kept: NDArray[np.int64]  # (1,) hashes in it


def empty(places: int = FIRST_PLACES) -> IdSet:
    """A set of nothing; places: a power of two."""
    return IdSet(np.zeros(places, np.uint64), np.zeros(1, np.int64))


def cleared(ids: IdSet) -> IdSet:
    """A set of nothing in the same places; the set it was is no more."""
    ids.hashes.fill(_NONE)
    ids.kept.fill(0)
    return ids


def with_room(ids: IdSet, more: int, limit: int) -> IdSet:
    """The set itself, or a larger copy that takes so many more hashes, up to limit in all."""
    wanted = min(int(ids.kept[0]) + more, limit)
    places = len(ids.hashes)
    if places >= 2 * wanted:
        return ids
    while places < 2 * wanted:
        places *= 2
    if places < SMALL and wanted < limit:
        places *= 2  # what grows mostly goes on growing, and each time all hashes move
    larger = empty(places)
    move(ids, larger)
    return larger


@kernel
def move(ids: IdSet, larger: IdSet) -> None:
    """Put every hash into another set that has room for them."""
    for at in range(ids.hashes.size):
        if ids.hashes[at] != _NONE:
            larger.hashes[_place(larger.hashes, ids.hashes[at])] = ids.hashes[at]
    larger.kept[0] += ids.kept[0]


@kernel
def add(
    ids: IdSet,
    limit: int,
    hashes: NDArray[np.uint64],
    rows: NDArray[np.int64],
    told_out: NDArray[np.int8],
) -> None:
    """Keep hashes[row] for each of rows, one after another, and write told_out[row].

    limit  hashes the set keeps at most; it must have places for as many as will be in it
    hashes, told_out  (n,)
    rows   (k,) of these; what is not among them is left alone
    """
    last = np.uint64(ids.hashes.size - 1)
    for at in range(rows.size):
        if at + _AHEAD < rows.size:
            prefetch(ids.hashes, signed(hashes[rows[at + _AHEAD]] & last))
        row = rows[at]
        wanted = hashes[row] if hashes[row] != _NONE else _ONE
        place = _place(ids.hashes, wanted)
        if ids.hashes[place] == wanted:
            told_out[row] = SEEN
        elif ids.kept[0] < limit:
            ids.hashes[place] = wanted
            ids.kept[0] += 1
            told_out[row] = NEW
        else:
            told_out[row] = UNKEPT


@kernel
def _place(hashes: NDArray[np.uint64], wanted: np.uint64) -> int:
    """Where a hash stands, or the free place where it would."""
    last = hashes.size - 1
    place = signed(wanted & np.uint64(last))
    while hashes[place] != _NONE and hashes[place] != wanted:
        place = (place + 1) & last
    return place
