"""Shuffling: a statistic of two sides of rows, beside what it is when the sides are shuffled.

In    values of a statistic, of the sides as they are and of shuffled ones
Out   `Shuffled`: how often shuffled sides reach it, and their moments
Not   the statistics (twosample.py, slices.py), the p-value (stream/detect/judge/chances.py)

Shuffling makes the level exact for any rows that came independently. It is drawn by hashing a
counter: the same rows give the same answer. It ends as Besag and Clifford (1991) do, once ENOUGH
shuffles reached the statistic, so that unchanged data need a few dozen.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key, hash_word
from kernels.jit import kernel

ENOUGH = 20  # shuffles that reach the statistic; more tell nothing of a rare one
SHUFFLES = 999
FEW, FAR = 99, 15.0  # so many shuffles do, where they stay so many standard deviations below
FEWEST = 10  # rows of a side
ROUNDING = 1e-12  # of the unit of a statistic: equal sides must count as reached


class Shuffled(NamedTuple):
    """A statistic beside those of shuffled sides."""

    coefficient: float  # of the sides as they are; NaN with fewer than FEWEST rows
    reached: int  # shuffles with one as large
    drawn: int  # shuffles, at most SHUFFLES; fewer if ENOUGH reached it, or all are FAR below
    mean: float  # of the shuffled ones: what unchanged data give
    variance: float
    third: float  # central moment


@kernel
def goes_on(totals: NDArray[np.float64]) -> bool:
    """Whether another shuffle is worth it.

    totals  (6,) the statistic of the sides as they are; reached, drawn, mean, sums of the second
            and third central powers of the shuffled ones
    """
    if totals[1] >= ENOUGH or totals[2] >= SHUFFLES:
        return False
    spread = math.sqrt(totals[4] / max(totals[2], 1.0))
    return not (totals[2] == FEW and totals[0] > totals[3] + FAR * spread)


@kernel
def take(totals: NDArray[np.float64], found: float) -> None:
    """Add what shuffled sides gave to the totals, in place (Pébay 2008)."""
    totals[1] += 1.0 if found >= totals[0] - ROUNDING else 0.0
    totals[2] += 1.0
    drawn = totals[2]
    step = found - totals[3]
    part = step / drawn
    grown = step * part * (drawn - 1.0)
    totals[3] += part
    totals[5] += grown * part * (drawn - 2.0) - 3.0 * part * totals[4]
    totals[4] += grown


@kernel
def told(totals: NDArray[np.float64]) -> Shuffled:
    """The totals by name."""
    drawn = max(totals[2], 1.0)
    return Shuffled(
        totals[0], int(totals[1]), int(totals[2]), totals[3], totals[4] / drawn, totals[5] / drawn
    )


@kernel
def unknown() -> Shuffled:
    """Of too few rows."""
    return Shuffled(math.nan, 0, 0, math.nan, math.nan, math.nan)


@kernel
def put_first(members: NDArray[np.int64], smaller: int, number: int, key: Key) -> None:
    """Put a random choice of `smaller` members first, drawn without replacement.

    number  of the shuffle
    """
    n = members.size
    for i in range(smaller):
        drawn = hash_word(np.uint64(number * n + i), key)
        other = i + int(float(drawn >> np.uint64(11)) * 2.0**-53 * (n - i))
        members[i], members[other] = members[other], members[i]
