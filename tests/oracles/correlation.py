"""Correlation, plainly: numpy and scipy, one pair of columns at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


def ranks(rows: Floats) -> Floats:
    """Mean ranks from -1 to 1, NaN left out."""
    scores = np.full(rows.shape, np.nan)
    for at, column in enumerate(rows.T):
        seen = ~np.isnan(column)
        scores[seen, at] = (2 * stats.rankdata(column[seen]) - 1) / seen.sum() - 1
    return scores


def correlation(x: Floats, y: Floats) -> tuple[float, int]:
    """Pearson's correlation of the pairs that are finite, and how many these are."""
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < 10 or np.ptp(x[both]) == 0 or np.ptp(y[both]) == 0:
        return float("nan"), int(both.sum())
    return float(stats.pearsonr(x[both], y[both]).statistic), int(both.sum())


def inflation(x: Floats, y: Floats) -> float:
    """n times the jackknife's variance of atanh r, at least 1; 1 is what normal columns have."""
    n = x.size
    left_out = [np.corrcoef(np.delete(x, at), np.delete(y, at))[0, 1] for at in range(n)]
    return max(float(n * (n - 1) * np.var(np.arctanh(left_out))), 1.0)


def chance_of_largest(z: Floats) -> float:
    """Of the largest of all pairs, as if they were independent."""
    pairs = z[np.triu_indices(len(z), 1)]
    pairs = pairs[~np.isnan(pairs)]
    return float(1 - (1 - 2 * stats.norm.sf(np.abs(pairs).max())) ** pairs.size)
