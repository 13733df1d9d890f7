"""Numbers: a column in; moments (moments.py) and cells (logbins.py) of each slot out, in one pass.

In    runs of a batch (runs.py), values float64, the grid of a reference
Out   the same bytes as `moments.update` and `logbins.update`, at a fraction of their cost
Not   what the two sketches are and how they are read: see there

Up to BLOCK values of a slot go through three loops, one after the other, so that what one leaves to
the next is still in the first cache. The first two become vector code, the last cannot:

    _place   deviation and cell of each value, their range, how many are finite
    _power   sums of powers, row i of the slot in lane i % LANES
    _count   one increment per value

They do not branch on a value. One that is not finite is taken for `filler`, a finite value of the
block, and its deviation for 0; what that adds to the filler's cell is taken off again. A block with
zeros, clamped values or missing ones goes through one more short loop for each of these.

Arrays are passed whole, with where to start: a slice counts references, which costs more than a
loop over 128 values. Sums of an unsigned start and index are used because numba counts a negative
index from the end, and a loop that has to look for one is not vectorised.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import greater, kernel, lesser, prefetch
from kernels.missing import ABSENT_BITS, INFINITY_BITS, MAGNITUDE_BITS, MISTYPED_BITS, NULL_BITS
from kernels.sketches.logbins import (
    FIRST,
    HALF,
    RAW_FIRST,
    RAW_SHIFT,
    SHIFT,
    LogBins,
    cell_of,
    offset_of,
)
from kernels.sketches.moments import (
    ABSENTS,
    LANES,
    MISTYPEDS,
    NANS,
    NEG_INFS,
    NULLS,
    POS_INFS,
    Moments,
)
from kernels.sketches.runs import Runs

SPAN = 1024  # deviations of a block, with empty lanes before and after it: 8 KB
BLOCK = SPAN - LANES
_ROWS = 4  # of LANES values: what _power adds up before it stores the sums
_TILE = _ROWS * LANES
_LINE = 8  # float64 in a line of a cache
_LAST = HALF - 1
_MAGNITUDE, _INFINITY = int(MAGNITUDE_BITS), int(INFINITY_BITS)
_SHIFT, _RAW_SHIFT = int(SHIFT), int(RAW_SHIFT)
_NULL, _ABSENT, _NAN = int(NULL_BITS), int(ABSENT_BITS), 0x7FF8_0000_0000_0000
_RARE = (
    (MISTYPEDS, int(MISTYPED_BITS)),
    (POS_INFS, int(INFINITY_BITS)),
    (NEG_INFS, int(INFINITY_BITS) - (1 << 63)),  # as int64
)


class Scratch(NamedTuple):
    """What the loops leave to each other; one serves all sketches of a thread."""

    values: NDArray[np.float64]  # (BLOCK,) gathered from all over a batch
    deviations: NDArray[np.float64]  # (SPAN,)
    places: NDArray[np.uint32]  # (BLOCK,) cells


def scratch() -> Scratch:
    """New scratch."""
    return Scratch(np.zeros(BLOCK), np.zeros(SPAN), np.zeros(BLOCK, np.uint32))


@kernel
def update(
    shape: Moments,
    cells: LogBins,
    runs: Runs,
    values: NDArray[np.float64],
    anchor: float,
    inverse_scale: float,
    work: Scratch,
) -> None:
    """Add the values of a batch to both sketches, in place; `work` is overwritten.

    runs                   of the batch
    values                 (n,)  of every row; not finite: counted by kind, nothing else
    anchor, inverse_scale  of the reference; inverse_scale 0: there is none (logbins.RAW), then
                           deviations are those from a slot's first finite value
    """
    order, deviations, places = runs.order, work.deviations, work.places
    sums, kinds, counts = shape.sums, shape.kinds, cells.counts
    at = 0
    for run in range(runs.slots.size):
        slot, end, before = runs.slots[run], runs.ends[run], runs.before[run]
        ahead = 0 if order.size == 0 else order[at] - at
        is_together = order.size == 0 or order[end - 1] - (end - 1) == ahead
        while at < end:
            n, lane = min(BLOCK, end - at), before % LANES
            if is_together:
                block, start = values, at + ahead
            else:
                block, start = work.values, 0
                gather(values, order, at, n, block)
            at += n
            before += n
            filler = _first_finite(block, start, n)
            if filler != filler:
                _count_kinds(block, start, n, n, kinds, slot)
                continue
            if shape.count[slot] == 0:
                shape.shift[slot] = filler if inverse_scale == 0.0 else anchor
            shift = shape.shift[slot]
            n_tiles = _clear(deviations, lane, n)
            if inverse_scale == 0.0:
                found = _place_raw(block, start, n, filler, shift, deviations, lane, places)
            else:
                grid = (anchor, inverse_scale)
                found = _place(block, start, n, filler, grid, deviations, lane, places)
            low, high, finite, top = found
            _power(deviations, n_tiles, sums, slot)
            _count(places, n, counts, slot, block, start + n)
            if finite < n:
                counts[slot, cell_of(filler, anchor, inverse_scale)] -= n - finite
                _count_kinds(block, start, n, n - finite, kinds, slot)
            if top > _LAST:
                cells.clamped[slot] += _clamped(block, start, n, anchor, inverse_scale)
            if low <= 0.0 <= high:
                shape.zeros[slot] += _zeros(block, start, n)
            shape.count[slot] += finite
            shape.low[slot] = min(shape.low[slot], low + 0.0)  # makes -0.0 to 0.0
            shape.high[slot] = max(shape.high[slot], high + 0.0)


@kernel
def gather(
    values: NDArray[np.float64],
    order: NDArray[np.int32],
    start: int,
    n: int,
    out: NDArray[np.float64],
) -> None:
    """Write the values of n rows, order[start] and those that follow, to out."""
    for at in range(n):
        out[at] = values[np.uint32(order[start + at])]


@kernel
def _first_finite(block: NDArray[np.float64], start: int, n: int) -> float:
    """The first finite value, never -0.0; NaN if there is none."""
    for at in range(start, start + n):
        if _finite_mask(_bits(block[at])) != 0:
            return float(block[at] + 0.0)
    return float(np.nan)


@kernel
def _clear(deviations: NDArray[np.float64], lane: int, n: int) -> int:
    """Zero what surrounds n deviations from `lane` on; the number of tiles they are in."""
    n_tiles = (lane + n + _TILE - 1) // _TILE
    for at in range(lane):
        deviations[at] = 0.0
    for at in range(lane + n, n_tiles * _TILE):
        deviations[at] = 0.0
    return int(n_tiles)


@kernel
def _place(
    block: NDArray[np.float64],
    start: int,
    n: int,
    filler: float,
    grid: tuple[float, float],
    deviations: NDArray[np.float64],
    lane: int,
    places: NDArray[np.uint32],
) -> tuple[float, float, int, int]:
    """Write deviations and cells; low, high, how many are finite, and the key furthest out.

    A cell is that of logbins.offset_of, to the bit.
    """
    anchor, inverse_scale = grid
    centre = -(0.0 - anchor)  # 0.0 becomes -0.0: -0.0 less that is 0.0, as it has to be
    low, high, finite, top, fill = filler, filler, 0, 0, _bits(filler)
    first, left = np.uint64(start), np.uint64(lane)
    for at in range(np.uint64(n)):
        bits = _bits(block[first + at])
        mask = _finite_mask(bits)
        value = _value(bits & mask | fill & ~mask)
        low, high = lesser(low, value), greater(high, value)
        finite -= mask
        z = (value - centre) * inverse_scale
        deviations[left + at] = _value(_bits(z) & mask)
        key = (_bits(1.0 + abs(z)) >> _SHIFT) - FIRST
        top = max(top, key)
        places[at] = HALF + (min(key, _LAST) ^ (_bits(z) >> 63))
    return low, high, finite, top


@kernel
def _place_raw(
    block: NDArray[np.float64],
    start: int,
    n: int,
    filler: float,
    shift: float,
    deviations: NDArray[np.float64],
    lane: int,
    places: NDArray[np.uint32],
) -> tuple[float, float, int, int]:
    """The same without a reference."""
    low, high, finite, top, fill = filler, filler, 0, 0, _bits(filler)
    first, left = np.uint64(start), np.uint64(lane)
    for at in range(np.uint64(n)):
        bits = _bits(block[first + at])
        mask = _finite_mask(bits)
        value = _value(bits & mask | fill & ~mask) + 0.0  # makes -0.0 to 0.0
        low, high = lesser(low, value), greater(high, value)
        finite -= mask
        deviations[left + at] = _value(_bits(value - shift) & mask)
        key = ((_bits(value) & _MAGNITUDE) >> _RAW_SHIFT) - RAW_FIRST
        top = max(top, key)
        places[at] = HALF + (min(max(key, 0), _LAST) ^ (_bits(value) >> 63))
    return low, high, finite, top


@kernel
def _bits(value: float) -> int:
    return int(np.float64(value).view(np.int64))


@kernel
def _value(bits: int) -> float:
    return float(np.int64(bits).view(np.float64))


@kernel
def _finite_mask(bits: int) -> int:
    """All bits set for a finite value, none for another."""
    return ((bits & _MAGNITUDE) - _INFINITY) >> 63


@kernel
def _power(
    deviations: NDArray[np.float64], n_tiles: int, sums: NDArray[np.float64], slot: int
) -> None:
    """Add the powers of whole tiles to the sums (slot, 4, LANES), one row after the other."""
    for tile in range(np.uint64(n_tiles)):
        start = tile * np.uint64(_TILE)
        for lane in range(np.uint64(LANES)):
            one, two = sums[slot, 0, lane], sums[slot, 1, lane]
            three, four = sums[slot, 2, lane], sums[slot, 3, lane]
            for row in range(np.uint64(_ROWS)):
                z = deviations[start + row * np.uint64(LANES) + lane]
                square = z * z
                one += z
                two += square
                three += square * z
                four += square * square
            sums[slot, 0, lane], sums[slot, 1, lane] = one, two
            sums[slot, 2, lane], sums[slot, 3, lane] = three, four


@kernel
def _count(
    places: NDArray[np.uint32],
    n: int,
    counts: NDArray[np.integer],
    slot: int,
    block: NDArray[np.float64],
    following: int,
) -> None:
    """One increment per place; meanwhile the values that follow the block are loaded."""
    last = n // _LINE
    for line in range(last):
        prefetch(block, following + line * _LINE)
        for at in range(_LINE):
            counts[slot, places[line * _LINE + at]] += 1
    for at in range(last * _LINE, n):
        counts[slot, places[at]] += 1


@kernel
def _clamped(
    block: NDArray[np.float64], start: int, n: int, anchor: float, inverse_scale: float
) -> int:
    """How many finite values lie outside the cells."""
    clamped = 0
    for at in range(start, start + n):
        if _finite_mask(_bits(block[at])) != 0:
            offset = offset_of(block[at], anchor, inverse_scale)
            clamped += offset < -HALF or offset > _LAST
    return clamped


@kernel
def _zeros(block: NDArray[np.float64], start: int, n: int) -> int:
    return _equal(block, start, n, _bits(0.0)) + _equal(block, start, n, _bits(-0.0))


@kernel
def _equal(block: NDArray[np.float64], start: int, n: int, bits: int) -> int:
    """How many of n values have these bits."""
    found, first = 0, np.uint64(start)
    for at in range(np.uint64(n)):
        found += _bits(block[first + at]) == bits
    return found


@kernel
def _count_kinds(
    block: NDArray[np.float64],
    start: int,
    n: int,
    missing: int,
    kinds: NDArray[np.int64],
    slot: int,
) -> None:
    """Count the values that are not finite, `missing` of them: mostly nulls, absents or NaN."""
    nulls, absents, nans, first = 0, 0, 0, np.uint64(start)
    for at in range(np.uint64(n)):
        bits = _bits(block[first + at])
        nulls += bits == _NULL
        absents += bits == _ABSENT
        nans += bits == _NAN
    kinds[slot, NULLS] += nulls
    kinds[slot, ABSENTS] += absents
    kinds[slot, NANS] += nans
    missing -= nulls + absents + nans
    for kind, bits in _RARE:
        if missing == 0:
            return
        found = _equal(block, start, n, bits)
        kinds[slot, kind] += found
        missing -= found
    kinds[slot, NANS] += missing  # with other bits than most
