"""Significance: counts or p-values in, test statistics or corrected p-values out.

In    counts float64 (n_bins,) of reference and current on the same bins; p-values (n,)
Out   a statistic and its degrees of freedom; q-values
Not   p-values themselves (stream/detect, with scipy.special)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel


@kernel
def chi_square(reference: NDArray[np.float64], current: NDArray[np.float64]) -> tuple[float, int]:
    """Chi-square statistic of two samples and its degrees of freedom, without Yates' correction.

    Σ (observed - expected)² / expected over the 2 x k table of the k bins with any count; k - 1
    degrees. (NaN, 0) if either side has no counts. Grows with n for the same difference: evidence,
    not size. To be trusted only where expected counts are not small: see `pooled`. Source: Pearson
    1900.
    """
    n, m = reference.sum(), current.sum()
    if not (n > 0.0 and m > 0.0):
        return math.nan, 0
    statistic, bins = 0.0, 0
    for i in range(reference.size):
        both = reference[i] + current[i]
        if both > 0.0:
            bins += 1
            of_reference, of_current = both * (n / (n + m)), both * (m / (n + m))
            statistic += (reference[i] - of_reference) ** 2 / of_reference
            statistic += (current[i] - of_current) ** 2 / of_current
    return statistic, bins - 1


@kernel
def pooled(
    reference: NDArray[np.float64], current: NDArray[np.float64], smallest_expected: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both histograms with their rare bins put together in one last bin.

    Rare: fewer than `smallest_expected` counts expected on the smaller side, were both alike. If
    the bin of the rare is rare itself it takes in the rarest of the others, the first of equal
    ones, until it is not. Empty bins vanish. Source: Cochran 1954.
    """
    both = reference + current
    total = both.sum()
    if not total > 0.0:
        return np.zeros(0), np.zeros(0)
    expected = both * (min(reference.sum(), current.sum()) / total)
    order = np.argsort(expected, kind="mergesort")
    taken, gathered = 0, 0.0
    while taken < order.size and (
        expected[order[taken]] < smallest_expected or 0.0 < gathered < smallest_expected
    ):
        gathered += expected[order[taken]]
        taken += 1
    is_kept = np.ones(both.size, np.bool_)
    is_kept[order[:taken]] = False
    return _gathered(reference, is_kept, both), _gathered(current, is_kept, both)


@kernel
def _gathered(
    counts: NDArray[np.float64], is_kept: NDArray[np.bool_], both: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The kept counts in their order, then the sum of the others unless neither side has any."""
    kept = counts[is_kept]
    if not both[~is_kept].sum() > 0.0:
        return kept
    return np.append(kept, counts[~is_kept].sum())


@kernel
def benjamini_hochberg(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """q-values (n,): the smallest false discovery rate at which each test would be rejected.

    q of the i-th smallest p is min over j >= i of p_j * n / j, at most 1. NaN stays NaN and is not
    counted. Valid for independent or positively dependent tests. Source: Benjamini, Hochberg 1995.
    """
    q_values = np.full(p_values.size, np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="mergesort")]
    smallest = 1.0
    for rank in range(order.size, 0, -1):
        smallest = min(smallest, p_values[order[rank - 1]] * order.size / rank)
        q_values[order[rank - 1]] = smallest
    return q_values
