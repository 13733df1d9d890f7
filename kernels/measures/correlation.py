"""Correlation: rows of two samples in, which pair of columns changed how it moves together out.

In    rows float64 (n, d) of reference and current; or correlations (d, d), and how many pairs of
      values they are of
Out   correlation matrices, changes of them in standard deviations, the pair that changed most
Not   changes of single columns (divergences.py, distances.py), of rows as a whole (twosample.py)

The null law of a change is Fisher's (1921): atanh r has variance c / (n - 3), of either side, and
c is 1 for normal columns. With heavier tails it is larger, for elliptical columns 1 + excess
kurtosis / 3. `correlations` therefore gives c as the rows show it (Browne 1984), at least 1. That
needs fourth moments: where a column has none, as Student's t with few degrees, levels hold only for
`ranks` of the rows. A pair of values is used if both are finite; a missing one does no harm to
other pairs.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel

FEWEST = 10  # pairs of values; with fewer there is no correlation

Matrix = NDArray[np.float64]


@kernel
def ranks(rows: Matrix) -> Matrix:
    """The rows (n, d) with every value replaced by its rank in its column, from -1 to 1.

    Equal values have their mean rank, infinities are ranked, NaN stays NaN. Correlations of ranks
    are Spearman's: they have all moments, and a column that only moved or stretched keeps them.
    """
    scores = np.full(rows.shape, np.nan)
    for column in range(rows.shape[1]):
        values = rows[:, column].copy()
        seen = np.flatnonzero(~np.isnan(values))
        order = seen[np.argsort(values[seen], kind="mergesort")]
        first = 0
        while first < order.size:
            last = first
            while last + 1 < order.size and values[order[last + 1]] == values[order[first]]:
                last += 1
            for at in range(first, last + 1):
                scores[order[at], column] = (first + last + 1) / order.size - 1.0
            first = last + 1
    return scores


@kernel
def correlations(rows: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Correlations (d, d) of columns, pairs of values (d, d) they are of, and their c (d, d).

    rows  (n, d)

    A correlation is NaN with fewer than FEWEST pairs or where a column is constant.
    """
    d = rows.shape[1]
    columns = rows.T.copy()
    r, n, c = np.full((d, d), np.nan), np.zeros((d, d)), np.ones((d, d))
    for i in range(d):
        for j in range(i + 1):
            r[i, j], n[i, j], c[i, j] = _correlation(columns[i], columns[j])
            r[j, i], n[j, i], c[j, i] = r[i, j], n[i, j], c[i, j]
    return r, n, c


@kernel
def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    n, mean_x, mean_y = 0.0, 0.0, 0.0
    for at in range(x.size):
        if math.isfinite(x[at]) and math.isfinite(y[at]):
            n += 1.0
            mean_x += x[at]
            mean_y += y[at]
    if n < FEWEST:
        return math.nan, n, 1.0
    mean_x /= n
    mean_y /= n
    xx, yy, xy = 0.0, 0.0, 0.0
    for at in range(x.size):
        if math.isfinite(x[at]) and math.isfinite(y[at]):
            xx += (x[at] - mean_x) ** 2
            yy += (y[at] - mean_y) ** 2
            xy += (x[at] - mean_x) * (y[at] - mean_y)
    if not (xx > 0.0 and yy > 0.0):
        return math.nan, n, 1.0
    r = min(max(xy / math.sqrt(xx * yy), -1.0), 1.0)
    spread, scale_x, scale_y = 0.0, math.sqrt(n / xx), math.sqrt(n / yy)
    for at in range(x.size):
        if math.isfinite(x[at]) and math.isfinite(y[at]):
            u, v = (x[at] - mean_x) * scale_x, (y[at] - mean_y) * scale_y
            spread += (u * v - 0.5 * r * (u * u + v * v)) ** 2
    free = (1.0 - r * r) ** 2
    return r, n, max(spread / n / free, 1.0) if free > 1e-9 else 1.0


@kernel
def changes(
    reference: Matrix, n_reference: Matrix, c_reference: Matrix,
    current: Matrix, n_current: Matrix, c_current: Matrix,
) -> Matrix:  # fmt: skip
    """Changes (d, d) of correlations in standard deviations, normal on unchanged data.

    reference, current  (d, d)  correlations; n, the pairs of values they are of, and c likewise

    `(atanh r' - atanh r) / √(c / (n - 3) + c' / (n' - 3))`; antisymmetric in the sides. NaN on the
    diagonal, and where either correlation is. A correlation of one is taken as 1 - 1e-9.
    """
    d = reference.shape[0]
    z = np.full((d, d), np.nan)
    for i in range(d):
        for j in range(d):
            r, now, n, m = reference[i, j], current[i, j], n_reference[i, j], n_current[i, j]
            if i == j or math.isnan(r) or math.isnan(now) or min(n, m) < FEWEST:
                continue
            change = _atanh(now) - _atanh(r)
            z[i, j] = change / math.sqrt(c_reference[i, j] / (n - 3) + c_current[i, j] / (m - 3))
    return z


@kernel
def _atanh(r: float) -> float:
    return math.atanh(min(max(r, -1.0 + 1e-9), 1.0 - 1e-9))


@kernel
def largest_change(z: Matrix) -> tuple[int, int, float]:
    """The pair of columns (i, j), i < j, that changed most, and the chance of so large a change.

    z  (d, d)  as `changes` gives it

    The chance is that of the largest of all pairs, `1 - (1 - p)^pairs` of its two-sided p: never
    too small for normal changes, however they depend on each other (Šidák 1967). The first of equal
    pairs; (-1, -1, NaN) if no pair has a change.
    """
    pairs, first, second, largest = 0, -1, -1, -1.0
    for i in range(z.shape[0]):
        for j in range(i + 1, z.shape[0]):
            if not math.isnan(z[i, j]):
                pairs += 1
                if abs(z[i, j]) > largest:
                    first, second, largest = i, j, abs(z[i, j])
    if pairs == 0:
        return -1, -1, math.nan
    p = math.erfc(largest / math.sqrt(2.0))
    return first, second, -math.expm1(pairs * math.log1p(-p)) if p < 1.0 else 1.0
