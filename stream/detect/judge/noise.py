"""Noise: how much a window's shares vary by themselves, in and out of p-values and power.

In    the chi-square of a histogram beside its reference, sizes n and m, what earlier windows taught
Out   `Noise`, p-values, the power of a window, the smallest window that can fire
Not   the statistic (kernels/measures/significance.py), levels (levels.py)

Events that depend on one another make shares vary more than independent ones would: with AR(1),
ρ = 0.9, up to 19 times as much. By how much shows from window to window: the chi-square of a window
beside the one before it, on the reference's bins, is its degrees of freedom on average if events
are independent, and `factor` times as much if not. Drift that stays does not touch it; a jump does
once, so the factor is a median. Until a few windows have been seen, p-values are those of noisier
traffic than most: a stream that begins is no incident.

The p-value is that of an F distribution: a chi-square over a factor that is itself estimated. Its
second degrees of freedom are what the factor was learnt from, so few windows make it cautious, and
at most FINEST·n, for a histogram of n values has a longer tail than the chi-square law says
(measured: 10 bins, n = 50, p < 3e-5 twice as often).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, pi
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chndtr, fdtrc, fdtri

from kernels.measures import significance

SMALLEST_N = 30  # values on either side; with fewer no measure is given
LARGEST_N = 2**40
SMALLEST_EXPECTED = 5.0  # per bin in the chance level; rarer bins are pooled (Cochran 1954)
FINEST = 5.0
PRIOR = (1.0,) * 4  # believed before anything is seen: so many windows of independent events
PRIOR_FREEDOM = 20.0
KEPT = 15  # windows that count
FEW = 5  # windows to be seen before the factor is believed
CAUTION = 5.0  # the factor of p-values until then
OF_MEDIAN = 2 / pi  # what a median is worth beside a mean

Counts = NDArray[np.float64]


class Noise(NamedTuple):
    """How much more than independent events the shares of a window vary.

    factor   1 for independent events
    freedom  degrees of freedom that it was estimated from; infinite if it is known
    caution  the factor of p-values is at least this
    """

    factor: float = 1.0
    freedom: float = inf
    caution: float = 1.0

    @property
    def doubted(self) -> float:
        """The factor of p-values."""
        return max(self.factor, self.caution)


INDEPENDENT = Noise()


def learnt(ratios: Sequence[float], freedom: int) -> Noise:
    """What windows taught so far.

    ratios   what `ratio` gave for them
    freedom  degrees of freedom of the window that is judged
    """
    factor = sorted([*PRIOR, *ratios])[(len(ratios) + len(PRIOR) - 1) // 2]
    worth = PRIOR_FREEDOM + OF_MEDIAN * freedom * len(ratios)
    return Noise(max(1.0, factor), worth, 1.0 if len(ratios) >= FEW else CAUTION)


def ratio(before: Counts, now: Counts) -> float | None:
    """The chi-square of two windows beside its median for independent events."""
    statistic, freedom = chi_square(before, now)
    if freedom < 1:
        return None
    return statistic / (freedom * (1 - 2 / (9 * freedom)) ** 3)


def inflation(factor: float, n: float, m: float) -> float:
    """Of the variance of a difference of shares; the reference's events are independent."""
    return (factor / n + 1 / m) / (1 / n + 1 / m)


def chi_square(before: Counts, now: Counts) -> tuple[float, int]:
    """The statistic of two samples, rare bins pooled, and its degrees of freedom; 0 if none."""
    pooled = significance.pooled(before, now, SMALLEST_EXPECTED)
    if pooled[0].size < 2:
        return 0.0, 0
    statistic, freedom = significance.chi_square(*pooled)
    return float(statistic), int(freedom)


def p_value(statistic: float, freedom: int, n: float, m: float, noise: Noise) -> float:
    """The chance of such a chi-square on unchanged data."""
    if freedom < 1:
        return 1.0
    finest = 1 / (1 / noise.freedom + 1 / (FINEST * n))
    return float(fdtrc(freedom, finest, statistic / freedom / inflation(noise.doubted, n, m)))


def power(psi: float, level: float, n: float, reference: Counts, factor: float) -> float:
    """The chance that a window of n events finds a change of this PSI, once its noise is known.

    A window that comes from elsewhere has a chi-square off its centre by PSI / (1/n + 1/m).
    """
    m = float(reference.sum())
    groups = significance.pooled(reference, reference * (n / m), SMALLEST_EXPECTED)[0].size
    if groups < 2 or not level > 0:
        return 0.0
    freedom = groups - 1
    needed = freedom * float(fdtri(freedom, FINEST * n, 1 - level))
    off_centre = psi / (factor / n + 1 / m)
    if off_centre > 1e4:  # the law of it is not computed so far out, and the answer is plain
        return 1.0 if off_centre > needed else 0.0
    return 1.0 - float(chndtr(needed, freedom, off_centre))


def smallest_to_find(
    psi: float, enough: float, level: float, reference: Counts, factor: float
) -> int | None:
    """The smallest window that finds a change of this PSI with the chance `enough`; None if no
    window does, as the reference is too small.
    """
    return _first(lambda n: power(psi, level, n, reference, factor) >= enough)


def smallest_to_fire(level: float, reference: Counts, noise: Noise) -> int | None:
    """The smallest window that can be significant at all: all of it lies in the rarest bin."""

    def fires(n: int) -> bool:
        now = np.zeros_like(reference)
        now[np.argmin(reference)] = n
        statistic, freedom = chi_square(reference, now)
        return p_value(statistic, freedom, n, float(reference.sum()), noise) <= level

    return _first(fires)


def _first(holds: Callable[[int], bool]) -> int | None:
    """The smallest n from SMALLEST_N on for which something holds that holds from then on."""
    high = SMALLEST_N
    while not holds(high):
        high *= 2
        if high > LARGEST_N:
            return None
    low = max(SMALLEST_N, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return high
