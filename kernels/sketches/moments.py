"""Moments: numbers in; count, mean, variance, skewness, kurtosis and range out.

In    values float64 with missing reasons in NaN payloads; slots int32, the row of each value
Out   one row per slot; the queries below read one row
Not   quantiles (logbins.py), which feature lies in which slot (stream/detect)

GUARANTEE: counts, low and high are exact. Mean and variance are within RELATIVE_ERROR of the spread
while the mean lies within TRUSTED spreads of the shift; each further factor of ten costs the
variance two digits. |z| above 1e77 overflows the fourth sum: kurtosis is NaN then.

Power sums about a fixed shift are kept because they add up: with equal shifts a merge is an
addition. Welford's update is slower (5.9 ns per value against 0.33 for power sums in vector code).

Each sum is kept in LANES parts: row i of a slot adds to lane i % LANES, whatever batch it came in.
So the order of additions is fixed, and yet numbers.py can add LANES of them at once and get the
same bytes as `update` here, which adds one by one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import float_bits, kernel
from kernels.missing import ABSENT_BITS, INFINITY_BITS, MAGNITUDE_BITS, MISTYPED_BITS, NULL_BITS
from kernels.sketches.slots import moved

RELATIVE_ERROR = 1e-9
TRUSTED = 100.0
NULLS, ABSENTS, NANS, MISTYPEDS, POS_INFS, NEG_INFS = range(6)  # columns of `kinds`
LANES = 16  # two vectors of eight: less leaves the adders of a core waiting for themselves
BYTES_PER_SLOT = 8 * (1 + 6 + 1 + 1 + 4 * LANES + 2)


class Moments(NamedTuple):
    """z = (x - shift) * inverse_scale of every finite value x; the rest is counted by kind."""

    count: NDArray[np.int64]  # type: ignore[assignment]  # (n_slots,) finite; hides tuple.count
    kinds: NDArray[np.int64]  # (n_slots, 6) values that are not finite, by the columns above
    zeros: NDArray[np.int64]  # (n_slots,) finite values equal to 0
    shift: NDArray[np.float64]  # (n_slots,) NaN while count == 0
    sums: NDArray[np.float64]  # (n_slots, 4, LANES) of z, z², z³, z⁴; `folded` adds up the lanes
    low: NDArray[np.float64]  # (n_slots,) +inf while count == 0
    high: NDArray[np.float64]  # (n_slots,) -inf while count == 0


def empty(n_slots: int) -> Moments:
    """Moments of nothing, `n_slots` rows."""
    return Moments(
        count=np.zeros(n_slots, np.int64),
        kinds=np.zeros((n_slots, 6), np.int64),
        zeros=np.zeros(n_slots, np.int64),
        shift=np.full(n_slots, np.nan),
        sums=np.zeros((n_slots, 4, LANES)),
        low=np.full(n_slots, np.inf),
        high=np.full(n_slots, -np.inf),
    )


def grow(state: Moments, n_slots: int) -> Moments:
    """A copy with more rows, the new ones empty."""
    return moved(state, empty(n_slots))


@kernel
def reset(state: Moments, slot: int) -> None:
    """Empty one row."""
    state.count[slot] = 0
    state.kinds[slot, :] = 0
    state.zeros[slot] = 0
    state.shift[slot] = np.nan
    state.sums[slot, :, :] = 0.0
    state.low[slot] = np.inf
    state.high[slot] = -np.inf


@kernel
def update(
    state: Moments,
    slots: NDArray[np.int32],
    values: NDArray[np.float64],
    shift: float,
    inverse_scale: float,
) -> None:
    """Add values, in place.

    slots          (n,)  row of each value; -1 is skipped
    values         (n,)  not finite: counted by kind, nothing else
    shift          a centre known beforehand; NaN: the first finite value of each slot
    inverse_scale  1 / spread known beforehand; 1 is used without a shift, and for 0 ("no
    reference")

    Values of a slot must all come with the same shift and inverse_scale; its first shift stays.
    """
    unit = _unit(inverse_scale) if shift == shift else 1.0
    count, kinds, sums = state.count, state.kinds, state.sums
    for at in range(slots.size):
        slot, bits = slots[at], float_bits(values[at])
        if slot < 0:
            continue
        lane = _rows(count, kinds, slot) % LANES
        if (bits & MAGNITUDE_BITS) >= INFINITY_BITS:
            kinds[slot, _kind(bits)] += 1
            continue
        value = values[at] + 0.0  # makes -0.0 to 0.0
        if count[slot] == 0:
            state.shift[slot] = shift if shift == shift else value
        count[slot] += 1
        state.zeros[slot] += value == 0.0
        state.low[slot] = min(state.low[slot], value)
        state.high[slot] = max(state.high[slot], value)
        z = (value - state.shift[slot]) * unit
        square = z * z
        sums[slot, 0, lane] += z
        sums[slot, 1, lane] += square
        sums[slot, 2, lane] += square * z
        sums[slot, 3, lane] += square * square


@kernel
def _rows(count: NDArray[np.int64], kinds: NDArray[np.int64], slot: int) -> int:
    """Values a slot has had, of whatever kind."""
    rows = count[slot]
    for kind in range(kinds.shape[1]):
        rows += kinds[slot, kind]
    return int(rows)


@kernel
def _kind(bits: np.uint64) -> int:
    """Column of `kinds` for the bits of a value that is not finite."""
    if bits == NULL_BITS:
        return NULLS
    if bits == ABSENT_BITS:
        return ABSENTS
    if bits == MISTYPED_BITS:
        return MISTYPEDS
    if bits == INFINITY_BITS:
        return POS_INFS
    if (bits & MAGNITUDE_BITS) == INFINITY_BITS:
        return NEG_INFS
    return NANS


@kernel
def _unit(inverse_scale: float) -> float:
    return inverse_scale if inverse_scale > 0.0 else 1.0


@kernel
def merge(into: Moments, slots: NDArray[np.int32], other: Moments, inverse_scale: float) -> None:
    """Add row j of `other` to row slots[j], in place.

    slots          (m,)  -1 is skipped
    inverse_scale  the one both sides were updated with

    Where shifts differ, the sums of `other` are moved to the shift of `into`: binomial theorem.
    """
    unit = _unit(inverse_scale)
    for row in range(slots.size):
        if slots[row] >= 0:
            _merge_row(into, slots[row], other, row, unit)


@kernel
def merge_each(
    into: Moments, slots: NDArray[np.int32], other: Moments, inverse_scales: NDArray[np.float64]
) -> None:
    """As `merge`, where each row has an inverse_scale of its own (m,)."""
    for row in range(slots.size):
        if slots[row] >= 0:
            _merge_row(into, slots[row], other, row, _unit(inverse_scales[row]))


@kernel
def _merge_row(into: Moments, slot: int, other: Moments, row: int, unit: float) -> None:
    for kind in range(into.kinds.shape[1]):
        into.kinds[slot, kind] += other.kinds[row, kind]
    if other.count[row] == 0:
        return
    if into.count[slot] == 0:
        into.shift[slot] = other.shift[row]
    step = (other.shift[row] - into.shift[slot]) * unit
    _add_sums(into.sums[slot], other.sums[row], other.count[row], step)
    into.count[slot] += other.count[row]
    into.zeros[slot] += other.zeros[row]
    into.low[slot] = min(into.low[slot], other.low[row])
    into.high[slot] = max(into.high[slot], other.high[row])


@kernel
def _add_sums(sums: NDArray[np.float64], more: NDArray[np.float64], n: int, step: float) -> None:
    """Add sums (4, LANES) of n values whose shift lies `step` units above the one of `sums`."""
    if step == 0.0:
        for power in range(4):
            for lane in range(LANES):
                sums[power, lane] += more[power, lane]
        return
    one, two, three, four = _total(more[0]), _total(more[1]), _total(more[2]), _total(more[3])
    sums[0, 0] += one + n * step
    sums[1, 0] += two + step * (2.0 * one + n * step)
    sums[2, 0] += three + step * (3.0 * two + step * (3.0 * one + n * step))
    sums[3, 0] += four + step * (4.0 * three + step * (6.0 * two + step * (4.0 * one + n * step)))


@kernel
def _total(lanes: NDArray[np.float64]) -> float:
    total = 0.0
    for lane in range(LANES):
        total += lanes[lane]
    return total


@np.errstate(over="ignore", invalid="ignore")
def folded(state: Moments) -> NDArray[np.float64]:
    """Sums (n_slots, 4) of each row: what is sent and stored. What is out of range is a plain NaN.

    Which NaN comes of inf - inf is a matter of the CPU.
    """
    totals = np.add.accumulate(state.sums, axis=2)[:, :, -1]
    return np.where(np.isnan(totals), np.nan, totals)


@kernel
def take(state: Moments, slot: int, out: Moments) -> None:
    """Write a row to the only row of out, its sums folded."""
    out.count[0], out.zeros[0] = state.count[slot], state.zeros[slot]
    out.shift[0], out.low[0], out.high[0] = state.shift[slot], state.low[slot], state.high[slot]
    for kind in range(state.kinds.shape[1]):
        out.kinds[0, kind] = state.kinds[slot, kind]
    for power in range(4):
        total = state.sums[slot, power, 0]
        for lane in range(1, LANES):
            total += state.sums[slot, power, lane]
            out.sums[0, power, lane] = 0.0
        out.sums[0, power, 0] = total if total == total else np.nan


def unfolded(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums (n_slots, 4) as a state holds them: in the first lane."""
    lanes = np.zeros((*sums.shape, LANES))
    lanes[:, :, 0] = sums
    return lanes


@kernel
def mean(state: Moments, slot: int, inverse_scale: float) -> float:
    """Mean of the finite values; NaN if there are none or their sum is out of range."""
    n = state.count[slot]
    if n == 0:
        return math.nan
    # One after the other: n units may lie beyond float64.
    return _finite(state.shift[slot] + _total(state.sums[slot, 0]) / n / _unit(inverse_scale))


@kernel
def variance(state: Moments, slot: int, inverse_scale: float, ddof: int) -> float:
    """Variance over n - ddof of the finite values; NaN if n <= ddof or it is out of range."""
    n = state.count[slot]
    if n <= ddof:
        return math.nan
    if state.low[slot] == state.high[slot]:
        return 0.0
    unit = _unit(inverse_scale)
    one, two = _total(state.sums[slot, 0]), _total(state.sums[slot, 1])
    second = max(two - one * one / n, 0.0)
    return _finite(second / (n - ddof) / unit / unit)


@kernel
def skewness(state: Moments, slot: int) -> float:
    """m₃ / m₂^1.5 of the finite values (not corrected); NaN for fewer than two distinct."""
    n = state.count[slot]
    if n == 0 or state.low[slot] == state.high[slot]:
        return math.nan
    one, two, three, _ = _powers(state.sums[slot], n)
    second = two - one * one
    if not second > 0.0:
        return math.nan
    return _finite((three - one * (3.0 * two - 2.0 * one * one)) / second**1.5)


@kernel
def kurtosis(state: Moments, slot: int) -> float:
    """m₄ / m₂² - 3 of the finite values, 0 for a normal; NaN for fewer than two distinct."""
    n = state.count[slot]
    if n == 0 or state.low[slot] == state.high[slot]:
        return math.nan
    one, two, three, four = _powers(state.sums[slot], n)
    second = two - one * one
    if not second > 0.0:
        return math.nan
    fourth = four - one * (4.0 * three - one * (6.0 * two - 3.0 * one * one))
    return _finite(fourth / (second * second) - 3.0)


@kernel
def describe(state: Moments, inverse_scales: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Write mean, variance over n and over n - 1, skewness and kurtosis of each row to `out`
    (n_slots, 5): what the queries above give, in one call.

    inverse_scales  (n_slots,)
    """
    for slot in range(inverse_scales.size):
        out[slot, 0] = mean(state, slot, inverse_scales[slot])
        out[slot, 1] = variance(state, slot, inverse_scales[slot], 0)
        out[slot, 2] = variance(state, slot, inverse_scales[slot], 1)
        out[slot, 3] = skewness(state, slot)
        out[slot, 4] = kurtosis(state, slot)


@kernel
def _powers(sums: NDArray[np.float64], n: int) -> tuple[float, float, float, float]:
    """Means of z, z², z³, z⁴."""
    return _total(sums[0]) / n, _total(sums[1]) / n, _total(sums[2]) / n, _total(sums[3]) / n


@kernel
def _finite(number: float) -> float:
    return number if math.isfinite(number) else math.nan
