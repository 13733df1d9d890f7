"""Chances: a measure's value and the counts it is of in, how rare that is on unchanged data out.

In    values of measures, the sizes n of the window and m of the reference, the number of bins
Out   p-values, expectations, and the value that belongs to a level
Not   the measures (kernels/measures), which of these a rule uses (rules.py)

Every law counts the noise of the reference in: it is a sample, too. With n = m a law that knows
only the window's noise is wrong by half: PSI above χ²/n is no 5 % but a 49 % event.
"""

from __future__ import annotations

from math import ceil, floor, isnan, log, nan, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, chdtrc, chdtri, gammaincc, kolmogi, kolmogorov, ndtr, ndtri

from kernels.measures.shuffling import ENOUGH, Shuffled

JENSEN_SHANNON = 1 / (8 * log(2))  # of psi, to second order: the divergence in bits
MANY = 10_000  # counted events from which on the normal law is good enough
LEAST_SKEW = 0.1  # of the law that continues shuffled coefficients; these are skewed to the right
LONGEST_FROM = 1.5366
OFTEN = 10  # shuffles that must reach a coefficient for their share to be its chance


def psi_expectation(n: float, m: float, bins: int) -> float:
    """What PSI is on average on unchanged data: `(1/n + 1/m)(bins - 1)`. NaN if a side is empty."""
    return _noise(n, m) * max(bins - 1, 0)


def psi_chance(value: float, n: float, m: float, bins: int) -> float:
    """p-value of a PSI: `(1/n + 1/m) χ²` with bins - 1 degrees. NaN if a side is empty.

    bins  those with any count on either side

    Good where each bin expects five values or more; an empty bin of few events is floored by `psi`
    and counts far more than the law allows. Source: Yurdakul 2018.
    """
    return float(chdtrc(bins - 1, value / _noise(n, m))) if bins > 1 else _certain(n, m)


def psi_threshold(level: float, n: float, m: float, bins: int) -> float:
    """The PSI that unchanged data exceed with the chance `level`."""
    return _noise(n, m) * float(chdtri(bins - 1, level)) if bins > 1 else 0.0 * _noise(n, m)


def jensen_shannon_expectation(n: float, m: float, bins: int) -> float:
    """Root of the mean square of a Jensen-Shannon distance (base 2) on unchanged data."""
    return sqrt(psi_expectation(n, m, bins) * JENSEN_SHANNON)


def jensen_shannon_chance(value: float, n: float, m: float, bins: int) -> float:
    """p-value of a Jensen-Shannon distance, base 2: 8 ln 2 of its square has the law of PSI.

    It has no floor, and so keeps its law in bins where PSI loses it. Source: Lin 1991.
    """
    return psi_chance(value * value / JENSEN_SHANNON, n, m, bins)


def jensen_shannon_threshold(level: float, n: float, m: float, bins: int) -> float:
    """The Jensen-Shannon distance that unchanged data exceed with the chance `level`."""
    return sqrt(psi_threshold(level, n, m, bins) * JENSEN_SHANNON)


def ks_chance(value: float, n: float, m: float) -> float:
    """p-value of a Kolmogorov-Smirnov distance, by its limit law. NaN if a side is empty.

    Too large, never too small, where values are equal or n is small. Source: Smirnov 1948.
    """
    return float(kolmogorov(value / sqrt(_noise(n, m))))


def ks_threshold(level: float, n: float, m: float) -> float:
    """The Kolmogorov-Smirnov distance that unchanged data exceed with the chance `level`."""
    return float(kolmogi(level)) * sqrt(_noise(n, m))


def mean_shift_chance(value: float, n: float, m: float) -> float:
    """p-value of a shift of mean vectors in spreads of the reference; at most, for any vectors.

    Its square over 1/n + 1/m is a mean of χ²₁ with weights nobody knows, as dimensions depend on
    one another. None has a longer tail than one χ²₁ alone (Székely and Bakirov 2003), from
    LONGEST_FROM on. NaN if a side is empty.
    """
    square = value * value / _noise(n, m)
    return float(chdtrc(1, square)) if not square < LONGEST_FROM else 1.0


def mean_shift_expectation(n: float, m: float) -> float:
    """Root of the mean square of a shift of mean vectors on unchanged data."""
    return sqrt(_noise(n, m))


def of_more(k: int, n: int, k_reference: int, m: int) -> float:
    """Chance that so many of the k + k_reference fall among the n: Fisher's exact test, 1934.

    k of n in the window, k_reference of m in the reference; one-sided. Exact up to MANY, beyond by
    the normal law of the pooled share. NaN if a side is empty.
    """
    if not (n > 0 and m > 0):
        return nan
    both = k + k_reference
    if both > MANY:
        share = both / (n + m)
        error = sqrt(share * (1 - share) * _noise(n, m))
        return float(ndtr(-(k / n - k_reference / m) / error)) if error else 1.0
    taken = np.arange(k, min(n, both) + 1)
    ways = _log_ways(n, taken) + _log_ways(m, both - taken) - _log_ways(n + m, np.array([both]))
    return min(1.0, float(np.exp(ways).sum()))


def of_unseen(k: int, n: int, once: int, twice: int, m: int) -> float:
    """Chance of k events among n with categories that a reference of m events does not have.

    once, twice  how many categories the reference has once and twice

    A reference is a sample: were the only event of a category left out, it would be unseen. So
    `once / m` is the share to expect (Good 1953), with the noise of a count of `once`. Unseen
    categories come in clumps if n is not small against m; their mean size is taken off both counts.
    One-sided, as `of_more`. NaN if a side is empty.
    """
    if not (n > 0 and m > 0):
        return nan
    clump = 1 + 2 * n / m * twice / max(once, 1)
    return of_more(floor(k / clump), n, ceil(once / clump), m)


def of_shuffled(found: Shuffled) -> float:
    """p-value of a two-sample coefficient: the share of shuffled sides that reach it.

    Where hardly any does, the tail of the gamma law with the mean, variance and skewness of the
    shuffled coefficients, so that a chance far below one in SHUFFLES can be told; never above that
    share. NaN if a side is too small.
    """
    if isnan(found.coefficient):
        return nan
    share = (found.reached + 1) / (found.drawn + 1)
    if found.reached >= OFTEN or not found.variance > 0:
        return found.reached / found.drawn if found.reached >= ENOUGH else share
    deviation = (found.coefficient - found.mean) / sqrt(found.variance)
    skewness = max(found.third / found.variance**1.5, LEAST_SKEW)
    shape = 4 / skewness**2
    return min(share, float(gammaincc(shape, max(shape + deviation * sqrt(shape), 0.0))))


def of_scaled(share: float, scale: float) -> float:
    """Chance of what so large a share of draws reaches, whose errors are `scale` times too large.

    That of a normal number as far out: exact where one sum of errors has to be large, too large
    where any of many may be.
    """
    return float(ndtr(scale * ndtri(share)))


def _noise(n: float, m: float) -> float:
    return 1 / n + 1 / m if n > 0 and m > 0 else nan


def _certain(n: float, m: float) -> float:
    return 1.0 if n > 0 and m > 0 else nan


def _log_ways(n: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logarithm of "n choose k"."""
    return np.asarray(-betaln(1.0 + n - k, 1.0 + k) - np.log1p(n))
