"""Histograms: two of them on the same bins in, every measure that rules may ask for out.

In    counts float64 (n_bins,) of reference and current
Out   one array, in the order of MEASURES; of many pairs at once what else is read off them, too
Not   the measures (divergences.py, significance.py): one call instead of seven, for a window has
      hundreds of features
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel
from kernels.measures import divergences, significance

MEASURES = ("psi", "jensen_shannon", "kl", "hellinger", "total_variation", "l_infinity", "chi2")


@kernel
def measured(
    reference: NDArray[np.float64], current: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """MEASURES of all bins (7,), and of all but the last (7,), which is for missing values.

    NaN where a side is empty. The same bits as from the single measures; a logarithm that two of
    them need is taken once.
    """
    every, observed = np.full(7, np.nan), np.full(7, np.nan)
    _measure(reference, current, every)
    if reference[-1] == 0.0 and current[-1] == 0.0:
        observed[:] = every
    else:
        _measure(reference[:-1], current[:-1], observed)
    return every, observed


@kernel
def measured_each(
    reference: NDArray[np.float64],
    current: NDArray[np.float64],
    ends: NDArray[np.int64],
    is_number: NDArray[np.bool_],
    smallest_expected: float,
    out: NDArray[np.float64],
) -> None:
    """Write what is read off many pairs of histograms to `out`, in one call.

    reference, current  (n_bins,) of all pairs, one after another
    ends                (n,)  where the bins of each end
    is_number           (n,)  whether its bins are pooled by what is `believed` of them, else by
                        what both sides have
    out                 (n, 17)  `measured` with and without the last bin, the culprit, and the
                        chi-square with rare bins pooled and its degrees of freedom, both 0 of one
    """
    first = 0
    for at in range(ends.size):
        before, now = reference[first : ends[at]], current[first : ends[at]]
        every, observed = measured(before, now)
        out[at, :7], out[at, 7:14] = every, observed
        out[at, 14] = divergences.culprit(before, now)
        often = significance.believed(before, now) if is_number[at] else before + now
        of_reference, of_current = significance.pooled(before, now, often, smallest_expected)
        out[at, 15], out[at, 16] = 0.0, 0.0
        if of_reference.size > 1:
            out[at, 15], out[at, 16] = significance.chi_square(of_reference, of_current)
        first = ends[at]


@kernel
def _measure(
    reference: NDArray[np.float64], current: NDArray[np.float64], out: NDArray[np.float64]
) -> None:
    n, m = reference.sum(), current.sum()
    if not (n > 0.0 and m > 0.0):
        return
    psi, kl, shannon, hellinger, variation = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(reference.size):
        if reference[i] == 0.0 and current[i] == 0.0:
            continue
        p, q = reference[i] / n, current[i] / m
        middle, step = 0.5 * (p + q), math.sqrt(p) - math.sqrt(q)
        if p > 0.0:
            shannon += p * math.log2(p / middle)
        if q > 0.0:
            shannon += q * math.log2(q / middle)
        hellinger += step * step
        variation += abs(q - p)
        p, q = max(p, divergences.FLOOR), max(q, divergences.FLOOR)
        ratio = math.log(q / p)
        psi += (q - p) * ratio
        kl += q * ratio
    out[0], out[2] = psi, kl
    out[1] = math.sqrt(min(max(0.5 * shannon, 0.0), 1.0))
    out[3] = math.sqrt(min(0.5 * hellinger, 1.0))
    out[4] = min(0.5 * variation, 1.0)
    out[5] = divergences.l_infinity(reference, current)
    out[6] = significance.chi_square(reference, current)[0]
