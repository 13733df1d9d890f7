"""Logbins: numbers in, counts of cells that are fine around an anchor and coarser away from it out.

In    values float64, slots int32, the anchor and 1 / scale of a reference (median and spread, say)
Out   counts per cell, from which quantiles and every drift measure on bins are read
Not   NaN and infinities (moments.py counts them), values with few distinct numbers (values.py)

y = 1 + |x - anchor| * inverse_scale. Exponent and first K mantissa bits of y number the cells: 2^K
even cells in the first scale, then 2^K per doubling, OCTAVES doublings, mirrored below the anchor.

Which side is closed: the one nearer to the anchor. Above it a cell is [left, right), below it
(left, right]; the anchor itself opens the first cell above. Values past the last edge are counted
in the end cell, and in `clamped`.

inverse_scale == 0 is RAW, for numbers nothing is known of: RAW_K bits per octave of |x| itself,
from 2^RAW_FROM up. Anything smaller goes to the two cells beside zero.

What is promised of a quantile, for values not clamped: its cell is exact. So the estimate is off by
at most one cell width, RESOLUTION * (scale + |x - anchor|), in RAW 1/16 of |x|; and in rank by at
most the share of that cell. On the test data without atoms that comes to GUARANTEE at worst (most
values at both ends of one wide scale), mostly to a tenth of it. Where many are equal rank promises
nothing: the estimate lies beside the atom, in its cell, and misses the share of the whole atom.
Count such features by value instead (values.py).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernels.jit import bits_float, float_bits, kernel, signed
from kernels.missing import INFINITY_BITS, MAGNITUDE_BITS
from kernels.sketches.slots import moved

K = 5
OCTAVES = 24
HALF = OCTAVES << K
CELLS = 2 * HALF
RAW_K = 4
RAW_FROM = -20
RESOLUTION = 2.0**-K
GUARANTEE = 0.02  # rank error, of 1; anchored grid, 20 000 values or more
BYTES_PER_SLOT = 4 * CELLS + 8

SHIFT = np.uint64(52 - K)
FIRST = 1023 << K  # the key of y = 1, before it is taken off
RAW_SHIFT = np.uint64(52 - RAW_K)
RAW_FIRST = (1023 + RAW_FROM) << RAW_K
_LARGEST = float(np.finfo(np.float64).max)
_STEP = 1 << 60  # half the longest stride of a search: sums with a rank stay in int64


class LogBins(NamedTuple):
    """Counts of finite values by cell."""

    # (n_slots, CELLS) uint32 holds 4e9 values per cell, a pane; int64 a window of many panes
    counts: NDArray[np.integer]
    clamped: NDArray[np.int64]  # (n_slots,) of the counts in the end cells, those outside the edges


def empty(n_slots: int, dtype: DTypeLike = np.uint32) -> LogBins:
    """Counts of nothing, `n_slots` rows; `dtype` uint32 or int64."""
    return LogBins(counts=np.zeros((n_slots, CELLS), dtype), clamped=np.zeros(n_slots, np.int64))


def grow(state: LogBins, n_slots: int) -> LogBins:
    """A copy with more rows, the new ones empty."""
    return moved(state, empty(n_slots, state.counts.dtype))


@kernel
def reset(state: LogBins, slot: int) -> None:
    """Empty one row."""
    state.counts[slot, :] = 0
    state.clamped[slot] = 0


@kernel
def update(
    state: LogBins,
    slots: NDArray[np.int32],
    values: NDArray[np.float64],
    anchor: float,
    inverse_scale: float,
) -> None:
    """Count values, in place.

    slots   (n,)  row of each value; -1 is skipped
    values  (n,)  NaN and infinities are skipped
    """
    for at in range(slots.size):
        slot = slots[at]
        if slot < 0 or (float_bits(values[at]) & MAGNITUDE_BITS) >= INFINITY_BITS:
            continue
        offset = offset_of(values[at], anchor, inverse_scale)
        inside = min(max(offset, -HALF), HALF - 1)
        state.counts[slot, HALF + inside] += 1
        if inside != offset:
            state.clamped[slot] += 1


@kernel
def merge(into: LogBins, slots: NDArray[np.int32], other: LogBins) -> None:
    """Add row j of `other` to row slots[j], in place; -1 is skipped. Both are on the same grid."""
    for row in range(slots.size):
        slot = slots[row]
        if slot < 0:
            continue
        for cell in range(into.counts.shape[1]):
            into.counts[slot, cell] += other.counts[row, cell]
        into.clamped[slot] += other.clamped[row]


@kernel
def cell_of(value: float, anchor: float, inverse_scale: float) -> int:
    """The cell that counts a value, in [0, CELLS); -1 for NaN and infinities."""
    if not math.isfinite(value):
        return -1
    return HALF + min(max(offset_of(value, anchor, inverse_scale), -HALF), HALF - 1)


@kernel
def offset_of(value: float, anchor: float, inverse_scale: float) -> int:
    """Cells between the anchor and a finite value, -1 for the first one below; not clamped.

    The sign is that of the difference, before it can underflow. Adding 0.0 makes -0.0 to 0.0.
    """
    if inverse_scale == 0.0:
        step = value + 0.0
        key = signed((float_bits(step) & MAGNITUDE_BITS) >> RAW_SHIFT) - RAW_FIRST
        key = max(key, 0)
    else:
        step = value - anchor + 0.0
        key = signed(float_bits(1.0 + abs(step) * inverse_scale) >> SHIFT) - FIRST
    return key if step >= 0.0 else -1 - key


@kernel
def cell_edges(anchor: float, inverse_scale: float) -> NDArray[np.float64]:
    """Edges (CELLS + 1,) of the cells, ascending and finite, exact to the last bit.

    Exact: every edge is itself counted on its closed side and the next float64 towards the anchor
    on the other, so a histogram by these edges equals the cells. Where the grid is finer than
    float64 around the anchor, edges coincide.
    """
    edges = np.empty(CELLS + 1, np.float64)
    edges[HALF] = anchor if inverse_scale != 0.0 else 0.0
    for key in range(1, HALF + 1):
        nominal = _nominal(key, inverse_scale)
        above = _first_rank(edges[HALF] + nominal, key, anchor, inverse_scale)
        below = _first_rank(edges[HALF] - nominal, -key, anchor, inverse_scale) - 1
        edges[HALF + key] = _ranked(above)
        edges[HALF - key] = _ranked(below)
    return edges


@kernel
def _nominal(key: int, inverse_scale: float) -> float:
    """Distance from the anchor at which cell `key` starts, up to rounding."""
    if inverse_scale == 0.0:
        return float(bits_float(np.uint64(key + RAW_FIRST) << RAW_SHIFT))
    return float(bits_float(np.uint64(key + FIRST) << SHIFT) - 1.0) / inverse_scale


@kernel
def _first_rank(guess: float, offset: int, anchor: float, inverse_scale: float) -> int:
    """Rank of the smallest float64 with at least this offset, found from a guess nearby.

    The largest rank stands for "none": then the edge is the largest float64. Ranks span more than
    an int64 can hold as a difference, so none is taken.
    """
    last = _rank(_LARGEST)
    high = min(max(_rank(guess), -last), last)
    step = 1
    while high < last and offset_of(_ranked(high), anchor, inverse_scale) < offset:
        high = high + step if high < last - step else last
        step = min(step, _STEP) * 2
    low, step = high, 1
    while low > -last and offset_of(_ranked(low), anchor, inverse_scale) >= offset:
        low = low - step if low > step - last else -last
        step = min(step, _STEP) * 2
    while low + 1 < high:
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        if offset_of(_ranked(middle), anchor, inverse_scale) >= offset:
            high = middle
        else:
            low = middle
    return high


@kernel
def _rank(value: float) -> int:
    """Position of a float64 among all, 0 for 0.0, so that neighbours differ by one."""
    rank = signed(float_bits(value) & MAGNITUDE_BITS)
    return rank if value >= 0.0 else -rank


@kernel
def _ranked(rank: int) -> float:
    """The float64 at a position."""
    magnitude = float(bits_float(np.uint64(abs(rank))))
    return magnitude if rank >= 0 else -magnitude


@kernel
def quantiles(
    counts: NDArray[np.integer],
    edges: NDArray[np.float64],
    low: float,
    high: float,
    probabilities: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Write quantiles to `out`, defined as numpy's default: linear between two neighbours in order.

    counts         (n_cells,)
    edges          (n_cells + 1,)
    low, high      smallest and largest value; if unknown (not finite) the outermost edges in use
    probabilities  (n,)  in [0, 1], in any order
    out            (n,)  NaN if all counts are 0

    The values of a cell are taken to lie evenly between its edges.
    """
    cumulative = np.cumsum(counts.astype(np.int64))
    total = cumulative[-1]
    out[:] = np.nan
    if total == 0:
        return
    if not math.isfinite(low):
        low = edges[_cell_at(cumulative, 0)]
    if not math.isfinite(high):
        high = edges[_cell_at(cumulative, total - 1) + 1]
    for at in range(probabilities.size):
        position = min(max(probabilities[at], 0.0), 1.0) * (total - 1)
        below = int(position)
        left = _in_order(cumulative, edges, low, high, below)
        right = _in_order(cumulative, edges, low, high, min(below + 1, total - 1))
        out[at] = _between(left, right, position - below)


@kernel
def quantiles_each(
    counts: NDArray[np.integer],
    edges: NDArray[np.float64],
    lows: NDArray[np.float64],
    highs: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """`quantiles` of every row, in one call.

    counts       (n_rows, n_cells), edges (n_rows, n_cells + 1)
    lows, highs  (n_rows,)
    out          (n_rows, n)
    """
    for row in range(counts.shape[0]):
        quantiles(counts[row], edges[row], lows[row], highs[row], probabilities, out[row])


@kernel
def snapped(
    counts: NDArray[np.integer],
    edges: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    out: NDArray[np.float64],
) -> int:
    """Write the edges of cells that lie nearest to quantiles to `out`, and return how many.

    counts         (n_cells,), edges (n_cells + 1,)
    probabilities  (n,)  ascending
    out            (n,)  ascending, each edge once; of two as near the upper one

    An edge with nothing on one side is left out: it separates nothing.
    """
    below = np.zeros(counts.size + 1, np.int64)
    below[1:] = np.cumsum(counts.astype(np.int64))
    total, right, last, found = below[-1], 1, -1, 0
    for at in range(probabilities.size):
        wanted = probabilities[at] * total
        while right < counts.size and below[right] < wanted:
            right += 1
        nearest = right - 1 if wanted - below[right - 1] < below[right] - wanted else right
        if nearest != last and 0 < below[nearest] < total:
            out[found] = edges[nearest]
            last, found = nearest, found + 1
    return found


@kernel
def snapped_each(
    counts: NDArray[np.integer],
    edges: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    out: NDArray[np.float64],
    found: NDArray[np.int64],
) -> None:
    """`snapped` of every row, in one call.

    counts  (n_rows, n_cells), edges (n_rows, n_cells + 1)
    out     (n_rows, n), found (n_rows,) how many
    """
    for row in range(counts.shape[0]):
        found[row] = snapped(counts[row], edges[row], probabilities, out[row])


@kernel
def _in_order(
    cumulative: NDArray[np.int64], edges: NDArray[np.float64], low: float, high: float, rank: int
) -> float:
    """Estimate of the value at a rank (0 = smallest); the first and the last are known."""
    total = cumulative[-1]
    if rank == 0:
        return low
    if rank == total - 1:
        return high
    cell = _cell_at(cumulative, rank)
    before = cumulative[cell - 1] if cell > 0 else 0
    # The extreme values bound the outermost cells in use better than edges, also when clamped.
    left = low if before == 0 else edges[cell]
    right = high if cumulative[cell] == total else edges[cell + 1]
    value = _between(left, right, (rank - before + 0.5) / (cumulative[cell] - before))
    return min(max(value, low), high)


@kernel
def _cell_at(cumulative: NDArray[np.int64], rank: int) -> int:
    """The cell of the value at a rank: the first whose cumulative count is above it.

    Searched by hand: numba's np.searchsorted adds seconds to the compile time.
    """
    low, high = 0, cumulative.size - 1
    while low < high:
        middle = (low + high) // 2
        if cumulative[middle] > rank:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def _between(left: float, right: float, fraction: float) -> float:
    """Linear interpolation that cannot overflow and never leaves [left, right]."""
    value = left * (1.0 - fraction) + right * fraction
    return min(max(value, min(left, right)), max(left, right))


@kernel
def regrid(
    counts: NDArray[np.integer],
    edges: NDArray[np.float64],
    new_edges: NDArray[np.float64],
    out: NDArray[np.int64],
) -> None:
    """Overwrite `out` with the counts moved to another grid, by overlap. Approximate.

    counts     (n_cells,)
    edges      (n_cells + 1,)
    new_edges  (n_new + 1,)
    out        (n_new,)  whole counts with the same total

    The values of a cell are taken to lie evenly between its edges; what lies outside the new edges
    goes to the end cells. Cumulative counts are rounded, not counts: the total stays, and no new
    edge is off by more than the count of the old cell it cuts.
    """
    cell, before, written = 0, 0, 0
    for new in range(out.size - 1):
        bound = new_edges[new + 1]
        while cell < counts.size and edges[cell + 1] <= bound:
            before += signed(counts[cell])
            cell += 1
        reached = before
        if cell < counts.size and edges[cell] < bound:
            share = (bound - edges[cell]) / (edges[cell + 1] - edges[cell])
            reached += int(share * counts[cell] + 0.5)
        out[new] = reached - written
        written = reached
    while cell < counts.size:
        before += signed(counts[cell])
        cell += 1
    out[out.size - 1] = before - written
