"""Covariance: features side by side in, how they vary together out.

In    one column per feature, the centre and 1 / scale of each; slots int32
Out   per pair of features: events that have both, and their sums, squares and products
Not   which features (stream/detect takes at most MOST), one feature alone (moments.py)

z = (x - centre) * inverse_scale. A value that is not finite is missing; a pair is taken from the
events that have both of its values (pairwise complete cases). Events that have every value share
one set of sums, the others are summed pair by pair: one pass costs n_features² / 2 products.

GUARANTEE: correlations are within GUARANTEE of those by two passes while each mean lies within
TRUSTED scales of its centre; each further factor of ten costs two digits. |z| above 1e154 makes
the pair NaN.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import float_bits, kernel
from kernels.missing import INFINITY_BITS, MAGNITUDE_BITS
from kernels.packing import Buffer, counts_bytes, counts_of, floats_of, opened, sealed
from kernels.sketches.slots import moved

MOST = 32  # features: 40 KB per slot, and 4 KB packed while nothing is missing
GUARANTEE = 1e-9
TRUSTED = 100.0
WHOLLY, EVERY = 2_048, 8
HALF = MOST // 2
TILE, STEP = 64, 8  # events whose products are added together; of these as many at once
KIND, VERSION = b"CV", 1
_LOWER = np.tri(MOST, dtype=np.bool_)  # what is not above the diagonal, row by row


class Covariance(NamedTuple):
    """Sums over events. Of symmetric matrices the part above the diagonal stays 0."""

    whole: NDArray[np.int64]  # (n_slots,) events that have every feature
    sums: NDArray[np.float64]  # (n_slots, d) of z over these
    products: NDArray[np.float64]  # (n_slots, d, d) of z[i] z[j] over these, j <= i
    # Over all other events that have both i and j:
    pair_counts: NDArray[np.int64]  # (n_slots, d, d) j <= i
    pair_sums: NDArray[np.float64]  # (n_slots, d, d) of z[i]
    pair_squares: NDArray[np.float64]  # (n_slots, d, d) of z[i]²
    pair_products: NDArray[np.float64]  # (n_slots, d, d) of z[i] z[j], j <= i


def empty(n_slots: int, n_features: int) -> Covariance:
    """Sums of nothing, `n_slots` rows."""
    square = (n_slots, n_features, n_features)
    return Covariance(
        whole=np.zeros(n_slots, np.int64),
        sums=np.zeros((n_slots, n_features)),
        products=np.zeros(square),
        pair_counts=np.zeros(square, np.int64),
        pair_sums=np.zeros(square),
        pair_squares=np.zeros(square),
        pair_products=np.zeros(square),
    )


def grow(state: Covariance, n_slots: int) -> Covariance:
    """A copy with more rows, the new ones empty."""
    return moved(state, empty(n_slots, state.sums.shape[1]))


@kernel
def reset(state: Covariance, slot: int) -> None:
    """Empty one row."""
    state.whole[slot] = 0
    state.sums[slot] = 0.0
    state.products[slot] = 0.0
    state.pair_counts[slot] = 0
    state.pair_sums[slot] = 0.0
    state.pair_squares[slot] = 0.0
    state.pair_products[slot] = 0.0


@kernel
def thinned(seen: NDArray[np.int64], slots: NDArray[np.int32], out: NDArray[np.int64]) -> int:
    """Write to `out` (n,) which events to take, and return how many.

    seen  (n_slots,)  events of each row so far, raised in place

    A pair of features costs a product per event, and a hundred thousand events say no more of a
    correlation than some thousand: of each row the first WHOLLY are taken, then every EVERYth.
    """
    n = 0
    for at in range(slots.size):
        slot = slots[at]
        if slot >= 0:
            if seen[slot] < WHOLLY or seen[slot] % EVERY == 0:
                out[n] = at
                n += 1
            seen[slot] += 1
    return n


class Scratch(NamedTuple):
    """What one loop leaves to the next; rows are MOST wide, so that vectors need no rest."""

    tile: NDArray[np.float64]  # (TILE, MOST) z of events that have every feature, 0 beyond the last
    is_there: NDArray[np.float64]  # (MOST,) 1 where an event has a value
    products: NDArray[np.float64]  # (MOST, MOST)
    totals: NDArray[np.float64]  # (MOST,)


def scratch() -> Scratch:
    """New scratch."""
    return Scratch(np.zeros((TILE, MOST)), np.zeros(MOST), np.zeros((MOST, MOST)), np.zeros(MOST))


@kernel
def update(
    state: Covariance,
    slots: NDArray[np.int32],
    columns: NDArray[np.float64],
    centres: NDArray[np.float64],
    inverse_scales: NDArray[np.float64],
    work: Scratch,
) -> None:
    """Add events, in place, one after the other: batches change no byte.

    slots                    (n,)  -1 is skipped
    columns                  (d, n)  d at most MOST
    centres, inverse_scales  (d,)  finite, the same in every call
    work                     overwritten
    """
    d, tile, is_there = columns.shape[0], work.tile, work.is_there
    tile[:, d:] = 0.0
    held, holder = 0, -1
    for at in range(slots.size):
        slot = slots[at]
        if slot < 0:
            continue
        if held == TILE or (held > 0 and slot != holder):
            _add_whole(state, holder, held, d, work)
            held = 0
        missing = 0
        for i in range(d):
            value = columns[i, at]
            if (float_bits(value) & MAGNITUDE_BITS) >= INFINITY_BITS:
                missing += 1
                tile[held, i], is_there[i] = 0.0, 0.0
            else:
                tile[held, i], is_there[i] = (value - centres[i]) * inverse_scales[i], 1.0
        if missing == 0:
            held, holder = held + 1, slot
        elif missing < d:
            _add_pairs(state, slot, tile[held, :d], is_there)
    if held > 0:
        _add_whole(state, holder, held, d, work)


@kernel
def _add_whole(state: Covariance, slot: int, n: int, d: int, work: Scratch) -> None:
    """Add n events of the tile, each pair's products in the order of events."""
    products, tile, totals = work.products, work.tile, work.totals
    state.whole[slot] += n
    for i in range(d):
        totals[i] = state.sums[slot, i]
        products[i, : i + 1] = state.products[slot, i, : i + 1]
    for at in range(np.uint64(n)):
        for i in range(np.uint64(MOST)):
            totals[i] += tile[at, i]
    for i in range(np.uint64(d)):
        _add_half(products, tile, i, n, 0)
        if i >= np.uint64(HALF):
            _add_half(products, tile, i, n, HALF)
    for i in range(d):
        state.sums[slot, i] = totals[i]
        state.products[slot, i, : i + 1] = products[i, : i + 1]


@kernel
def _add_half(
    products: NDArray[np.float64], tile: NDArray[np.float64], i: int, n: int, half: int
) -> None:
    """Add n events to the products of a feature and HALF others; nobody reads those beyond it.

    A loop of a known length is vector code without a rest, and sums stay in registers for STEP
    events: three times as fast as products of exactly the features up to i.
    """
    first, steps = np.uint64(half), np.uint64(n // STEP * STEP)
    for at in range(np.uint64(0), steps, np.uint64(STEP)):
        for column in range(np.uint64(HALF)):
            j = first + column
            total = products[i, j]
            for row in range(np.uint64(STEP)):
                total += tile[at + row, i] * tile[at + row, j]
            products[i, j] = total
    for at in range(steps, np.uint64(n)):
        left = tile[at, i]
        for column in range(np.uint64(HALF)):
            products[i, first + column] += left * tile[at, first + column]


@kernel
def _add_pairs(
    state: Covariance, slot: int, z: NDArray[np.float64], is_there: NDArray[np.float64]
) -> None:
    """What is missing adds 0: a loop without branches is several times as fast."""
    for i in range(z.size):
        if is_there[i] == 0.0:
            continue
        value, square = z[i], z[i] * z[i]
        sums, squares = state.pair_sums[slot, i], state.pair_squares[slot, i]
        counts, products = state.pair_counts[slot, i], state.pair_products[slot, i]
        for j in range(z.size):
            sums[j] += value * is_there[j]
            squares[j] += square * is_there[j]
        for j in range(i + 1):
            products[j] += value * z[j]
            counts[j] += int(is_there[j])


@kernel
def merge(into: Covariance, slots: NDArray[np.int32], other: Covariance) -> None:
    """Add row j of `other` to row slots[j], in place; -1 is skipped.

    Both sides were updated with the same centres and scales.
    """
    d = into.sums.shape[1]
    for row in range(slots.size):
        slot = slots[row]
        if slot < 0:
            continue
        into.whole[slot] += other.whole[row]
        for i in range(d):
            into.sums[slot, i] += other.sums[row, i]
            for j in range(d):
                into.products[slot, i, j] += other.products[row, i, j]
                into.pair_counts[slot, i, j] += other.pair_counts[row, i, j]
                into.pair_sums[slot, i, j] += other.pair_sums[row, i, j]
                into.pair_squares[slot, i, j] += other.pair_squares[row, i, j]
                into.pair_products[slot, i, j] += other.pair_products[row, i, j]


@kernel
def covariances(
    state: Covariance, slot: int, counts: NDArray[np.int64], out: NDArray[np.float64]
) -> None:
    """Write how many events have both features to counts (d, d), their covariance to out (d, d).

    In units of both scales, ddof 0; NaN where fewer than two events have both.
    """
    for i in range(out.shape[0]):
        for j in range(i + 1):
            n = state.whole[slot] + state.pair_counts[slot, i, j]
            counts[i, j] = counts[j, i] = n
            left = state.sums[slot, i] + state.pair_sums[slot, i, j]
            right = state.sums[slot, j] + state.pair_sums[slot, j, i]
            product = state.products[slot, i, j] + state.pair_products[slot, i, j]
            found = _central(n, left, right, product)
            out[i, j] = out[j, i] = found


@kernel
def correlations(
    state: Covariance, slot: int, counts: NDArray[np.int64], out: NDArray[np.float64]
) -> None:
    """Write how many events have both features to counts (d, d), Pearson's r to out (d, d).

    NaN where fewer than two events have both, or one of them does not vary among these.
    """
    covariances(state, slot, counts, out)
    d = out.shape[0]
    spreads = np.empty((d, d))
    for i in range(d):
        for j in range(d):
            total = state.sums[slot, i] + state.pair_sums[slot, i, j]
            square = state.products[slot, i, i] + state.pair_squares[slot, i, j]
            spreads[i, j] = _central(counts[i, j], total, total, square)
    for i in range(d):
        for j in range(d):
            spread = math.sqrt(max(spreads[i, j], 0.0)) * math.sqrt(max(spreads[j, i], 0.0))
            r = out[i, j] / spread if spread > 0.0 else np.nan
            out[i, j] = min(max(r, -1.0), 1.0) if math.isfinite(r) else np.nan


@kernel
def _central(n: int, left: float, right: float, product: float) -> float:
    """Mean product of deviations; 0 where only rounding is left of it."""
    if n < 2:
        return np.nan
    mean = left / n * (right / n)
    found = product / n - mean
    if not math.isfinite(found):
        return np.nan
    return found if abs(found) > 4e-16 * abs(mean) else 0.0


def pack(state: Covariance, slot: int) -> bytes:
    """A row as bytes; of the sums by pair nothing while no value was missing."""
    d = state.sums.shape[1]
    lower = _LOWER[:d, :d]
    counts = np.append(state.whole[slot], state.pair_counts[slot][lower])
    floats = [state.sums[slot], state.products[slot][lower]]
    if state.pair_counts[slot].any():
        floats += [state.pair_sums[slot].ravel(), state.pair_squares[slot].ravel()]
        floats.append(state.pair_products[slot][lower])
    body = np.concatenate(floats).astype("<f8").tobytes() if counts.any() else b""
    return sealed(KIND, VERSION, [counts_bytes(np.array([d])), counts_bytes(counts), body])


def unpack(raw: Buffer) -> Covariance:
    """The row that `pack` wrote, as a state of one slot. Raises ValueError."""
    shape, packed, body = opened(raw, KIND, VERSION, 3)
    d = int(counts_of(shape, 1)[0])
    if d > MOST:
        raise ValueError(f"{d} features, at most {MOST} are kept")
    state, lower = empty(1, d), _LOWER[:d, :d]
    counts = counts_of(packed, 1 + d * (d + 1) // 2)
    state.whole[0], state.pair_counts[0][lower] = counts[0], counts[1:]
    if not counts.any():
        return state
    sizes = [d, d * (d + 1) // 2]
    if counts[1:].any():
        sizes += [d * d, d * d, d * (d + 1) // 2]
    parts = np.split(floats_of(body, sum(sizes)), np.cumsum(sizes)[:-1])
    state.sums[0], state.products[0][lower] = parts[0], parts[1]
    if len(parts) > 2:
        state.pair_sums[0], state.pair_squares[0] = parts[2].reshape(d, d), parts[3].reshape(d, d)
        state.pair_products[0][lower] = parts[4]
    return state
