"""Two-sample test: rows of reference and current in, whether one law could have made both out.

In    rows float64 (n, d) and (m, d), some hundreds of each
Out   the coefficient, how often it is reached when the sides are shuffled, and the moments of the
      shuffled ones
Not   the p-value of these (stream/detect/judge/chances.py), what a sample is (sketches/)

The test sees what no single column shows: columns that keep their shares and come apart. It is the
maximum mean discrepancy (Gretton et al. 2012) of ranks: `scores` replaces each value by its rank
among both sides, so that units and heavy tails play no part; `dissimilarities` are Gaussian, of
half the rows' mean distance. A missing value (NaN) stands in the middle of its column, an infinity
at its end. Shuffling makes the level exact for any rows that came independently, whatever is
missing. It is drawn by hashing a counter: the same rows give the same answer.

Cost: (n + m)² d / 2 for the dissimilarities, min(n, m)² / 2 per shuffle; unchanged data need about
a hundred shuffles.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key, hash_word
from kernels.jit import kernel
from kernels.measures import correlation

ENOUGH = 20  # shuffles that reach the coefficient; more tell nothing of a rare one
SHUFFLES = 999
FEW, FAR = 99, 15.0  # so many shuffles do, where they stay so many standard deviations below
FEWEST = 10  # rows of a side

Matrix = NDArray[np.float64]


class Shuffled(NamedTuple):
    """A coefficient beside those of shuffled sides."""

    coefficient: float  # in [0, 1], of the sides as they are; NaN with fewer than FEWEST rows
    reached: int  # shuffles with a coefficient as large
    drawn: int  # shuffles, at most SHUFFLES; fewer if ENOUGH reached it, or all are FAR below
    mean: float  # of the shuffled coefficients: what unchanged data give
    variance: float
    third: float  # central moment


@kernel
def scores(reference: Matrix, current: Matrix) -> Matrix:
    """Both sides' rows (n + m, d), reference first, as ranks in their columns from -1 to 1.

    reference  (n, d)
    current    (m, d)

    NaN becomes 0, the middle.
    """
    ranked = correlation.ranks(np.concatenate((reference, current)))
    for row in range(ranked.shape[0]):
        for column in range(ranked.shape[1]):
            if math.isnan(ranked[row, column]):
                ranked[row, column] = 0.0
    return ranked


@kernel
def dissimilarities(rows: Matrix) -> Matrix:
    """`1 - exp(-distance² / 2 width²)` (n, n) between rows (n, d), width half the mean distance.

    Of the whole mean distance, or with distances themselves (the energy distance), a test sees
    columns that moved no better, and columns that came apart hardly. NaN where a row has one.
    """
    n, total = rows.shape[0], 0.0
    found = np.zeros((n, n))
    for i in range(n):
        for j in range(i):
            square = 0.0
            for column in range(rows.shape[1]):
                square += (rows[i, column] - rows[j, column]) ** 2
            found[i, j] = square
            total += math.sqrt(square)
    width = total / max(n * (n - 1), 1)
    scale = 0.5 / (width * width) if width > 0.0 else 0.0
    for i in range(n):
        for j in range(i):
            found[i, j] = found[j, i] = -math.expm1(-found[i, j] * scale)
    return found


@kernel
def shuffled(dissimilar: Matrix, n_reference: int, key: Key) -> Shuffled:
    """The coefficient of the first n_reference rows and the others, beside shuffled ones.

    dissimilar  (n, n)  between all rows, symmetric, 0 between equal ones
    key         of the shuffles

    The coefficient is `(2 E d(X, Y) - E d(X, X') - E d(Y, Y')) / 2 E d(X, Y)`: 0 for equal sides, 1
    for two points. Stops as Besag and Clifford (1991) do: once ENOUGH shuffles reached it.
    """
    n = dissimilar.shape[0]
    smaller = min(n_reference, n - n_reference)
    if smaller < FEWEST:
        return Shuffled(math.nan, 0, 0, math.nan, math.nan, math.nan)
    members = np.arange(n)
    if n_reference > smaller:
        members = members[::-1].copy()  # the smaller side comes first
    sums = np.zeros(n)
    for row in range(n):
        sums[row] = dissimilar[row].sum()
    observed = _coefficient(dissimilar, sums, members, smaller)
    reached, drawn, mean, second, third = 0, 0, 0.0, 0.0, 0.0
    while drawn < SHUFFLES and reached < ENOUGH:
        _shuffle(members, smaller, drawn, key)
        found = _coefficient(dissimilar, sums, members, smaller)
        drawn += 1
        # Equal sides must count as reached, whatever the order they were summed in.
        reached += 1 if found >= observed - 1e-12 else 0
        step = found - mean
        part = step / drawn
        grown = step * part * (drawn - 1)
        mean += part
        third += grown * part * (drawn - 2) - 3.0 * part * second
        second += grown
        if drawn == FEW and observed > mean + FAR * math.sqrt(second / drawn):
            break
    return Shuffled(observed, reached, drawn, mean, second / drawn, third / drawn)


@kernel
def _coefficient(
    dissimilar: Matrix, sums: NDArray[np.float64], members: NDArray[np.int64], smaller: int
) -> float:
    """The coefficient of the first `smaller` members and the others."""
    n, within, crossing = members.size, 0.0, 0.0
    for i in range(smaller):
        row = members[i]
        crossing += sums[row]
        for j in range(i):
            within += 2.0 * dissimilar[row, members[j]]
    crossing -= within
    rest = sums.sum() - within - 2.0 * crossing
    others = n - smaller
    between = 2.0 * crossing / smaller / others
    if not between > 0.0:
        return 0.0
    return float(1.0 - (within / smaller / smaller + rest / others / others) / between)


@kernel
def _shuffle(members: NDArray[np.int64], smaller: int, number: int, key: Key) -> None:
    """Put a random choice of members first, drawn without replacement."""
    n = members.size
    for i in range(smaller):
        drawn = hash_word(np.uint64(number * n + i), key)
        other = i + int(float(drawn >> np.uint64(11)) * 2.0**-53 * (n - i))
        members[i], members[other] = members[other], members[i]
