"""Two-sample test: rows of reference and current in, whether one law could have made both out.

In    rows float64 (n, d) and (m, d), some hundreds of each
Out   the coefficient, how often it is reached when the sides are shuffled, and the moments of the
      shuffled ones
Not   the p-value of these (stream/detect/judge/chances.py), what a sample is (sketches/)

The test sees what no single column shows: columns that keep their shares and come apart. It is the
maximum mean discrepancy (Gretton et al. 2012) of ranks: `scores` replaces each value by its rank
among both sides, so that units and heavy tails play no part; `dissimilarities` are Gaussian, of
half the rows' mean distance. A missing value (NaN) stands in the middle of its column, an infinity
at its end. Shuffling (shuffling.py) makes the level exact whatever is missing.

Cost: (n + m)² d / 2 for the dissimilarities, min(n, m)² / 2 per shuffle; unchanged data need about
a hundred shuffles.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key
from kernels.jit import kernel
from kernels.measures import correlation, shuffling
from kernels.measures.shuffling import FEWEST, Shuffled

Matrix = NDArray[np.float64]


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
    for two points.
    """
    n = dissimilar.shape[0]
    smaller = min(n_reference, n - n_reference)
    if smaller < FEWEST:
        return shuffling.unknown()
    members = np.arange(n)
    if n_reference > smaller:
        members = members[::-1].copy()  # the smaller side comes first
    sums, totals = np.zeros(n), np.zeros(6)
    for row in range(n):
        sums[row] = dissimilar[row].sum()
    totals[0] = _coefficient(dissimilar, sums, members, smaller)
    while shuffling.goes_on(totals):
        shuffling.put_first(members, smaller, int(totals[2]), key)
        shuffling.take(totals, _coefficient(dissimilar, sums, members, smaller))
    return shuffling.told(totals)


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
