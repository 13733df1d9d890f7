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
    reference: NDArray[np.float64],
    current: NDArray[np.float64],
    frequency: NDArray[np.float64],
    smallest_expected: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both histograms with their rare bins put together, no more of them than need be.

    frequency  (n_bins,) of each bin, in any unit, and nothing that chance moved to one side alone:
               bins put together because the current ones have few values seem to have too few

    Rare: fewer than `smallest_expected` counts expected on the smaller side by its frequency. From
    the rarest bin on, the first of equal ones, bins are put together until they are not rare; what
    is left over joins the last ones put together. Empty bins vanish. Source: Cochran 1954.
    """
    both = reference + current
    total = frequency.sum()
    if not (both.sum() > 0.0 and total > 0.0):
        return np.zeros(0), np.zeros(0)
    expected = frequency * (min(reference.sum(), current.sum()) / total)
    order = np.argsort(expected, kind="mergesort")
    of_reference, of_current = np.zeros(both.size), np.zeros(both.size)
    groups, gathered = 0, 0.0
    for bin_ in order:
        of_reference[groups] += reference[bin_]
        of_current[groups] += current[bin_]
        gathered += expected[bin_]
        if gathered >= smallest_expected and gathered > 0.0:
            groups, gathered = groups + 1, 0.0
    if gathered > 0.0 and groups > 0:
        of_reference[groups - 1] += of_reference[groups]
        of_current[groups - 1] += of_current[groups]
    elif gathered > 0.0:
        groups = 1
    return of_reference[:groups].copy(), of_current[:groups].copy()


@kernel
def believed(reference: NDArray[np.float64], current: NDArray[np.float64]) -> NDArray[np.float64]:
    """How frequent each bin (n_bins,) of a number is, in counts of the reference.

    As the reference says: for bins made to be equal there have, by both sides' counts, the order of
    the window's noise. But a bin whose share has more than doubled stands for itself.
    """
    n, m = current.sum(), reference.sum()
    both = reference + current
    found = reference.copy()
    if n + m > 0.0:
        both = both * (m / (n + m))
    for i in range(found.size):
        if both[i] > 2.0 * reference[i]:
            found[i] = both[i]
    return found


@kernel
def groups(frequency: NDArray[np.float64], smaller: float, smallest_expected: float) -> int:
    """How many groups `pooled` makes, where the smaller side has `smaller` counts."""
    total = frequency.sum()
    if not total > 0.0:
        return 0
    scale = smaller / total
    lowest = np.inf
    for i in range(frequency.size):
        if 0.0 < frequency[i] < lowest:
            lowest = frequency[i]
    if lowest * scale >= smallest_expected:
        return int((frequency > 0.0).sum())
    found, gathered = 0, 0.0
    for expected in np.sort(frequency) * scale:
        gathered += expected
        if gathered >= smallest_expected:
            found, gathered = found + 1, 0.0
    return max(found, 1)


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
