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

Neighbouring windows of slow traffic resemble one another, and beside each other they show too
little of its noise. So a window is put beside the last but one as well (`of_neighbours`): where
that shows more, the correlation of neighbours is seen, and with it how much the sum of many
windows varies: more than each of them.

Slow changes vary most: of AR(1), ρ = 0.9, the mean varies 19 times as much, the spread 10 times,
what is finer less and less. A sum of so unequal parts has a longer tail than its mean says, that
of a chi-square with fewer degrees of freedom (`evenness`).

The p-value is that of an F distribution: a chi-square over a factor that is itself estimated. Its
second degrees of freedom are what the factor was learnt from, so few windows make it cautious, and
at most FINEST·n, for a histogram of n values has a longer tail than the chi-square law says
(measured: 10 bins, n = 50, p < 3e-5 twice as often).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chndtr, fdtrc, fdtri

from kernels.measures import significance

SMALLEST_N = 30  # values on either side; with fewer no measure is given
LARGEST_N = 2**40
SMALLEST_EXPECTED = 5.0  # per bin in the chance level; rarer bins are pooled (Cochran 1954)
FINEST = 5.0
PRIOR = 5  # windows of independent events that are believed in before any is seen
PRIOR_FREEDOM = 20.0
FEW = 6  # windows to be seen before anything is believed
CAUTION = 4.0  # the factor of p-values until then: that of AR(1), ρ = 0.9
KEPT = 15  # windows whose median counts; with more of them their mean does
MEMORY = 200  # windows after which one counts for a third in the mean
CLIP = 4.0  # times what was known: a window that jumps counts for no more
OF_MEDIAN = 2 / pi  # what a median is worth beside a mean
MOST_ALIKE = 0.75  # correlation of neighbouring windows that is believed in
LARGEST_PART = 0.6  # of what is too much falls on the slowest part; for AR(1) on deciles
SELDOM = 1.0  # standard errors: one in six
DEPENDENCE = 0.25  # of the variance of a sample's mean: what common moves of its events may add
DOUBT = 1.5  # standard errors above 1 that a factor has to be to mean anything

Counts = NDArray[np.float64]


class Noise(NamedTuple):
    """How much more than independent events the shares of a window vary.

    factor   1 for independent events
    freedom  degrees of freedom that it was estimated from; infinite if it is known
    caution  the factor of p-values is at least this
    is_uneven  whether its parts are taken to vary unequally
    alike    correlation of neighbouring windows' shares
    is_learnt  whether enough windows were seen to judge sums of them
    """

    factor: float = 1.0
    freedom: float = inf
    caution: float = 1.0
    is_uneven: bool = False
    alike: float = 0.0
    is_learnt: bool = False

    @property
    def doubted(self) -> float:
        """The factor of p-values."""
        return max(self.factor, self.caution)

    @property
    def is_slow(self) -> bool:
        """Whether p-values are those of its slowest part: it is seen or may still be there."""
        return self.is_uneven or self.caution > 1.0

    @property
    def of_sum(self) -> Noise:
        """The noise of many windows put together, of which neighbours are alike."""
        lasting = (1 + self.alike) / (1 - self.alike)
        return self._replace(factor=self.factor * lasting, alike=0.0)


INDEPENDENT = Noise()


@dataclass(slots=True)
class Learnt:
    """What windows taught, each beside an earlier one.

    ratios        of the last windows, see `ratio`; at most KEPT
    mean, weight  of all windows, jumps clipped, the oldest forgotten; how many it stands for
    """

    ratios: list[float] = field(default_factory=list)
    mean: float = 1.0
    weight: float = 0.0

    def add(self, ratio: float, freedom: int) -> None:
        """Take a window in."""
        if len(self.ratios) >= KEPT:
            self.weight = min(self.weight + 1, MEMORY)
            clipped = min(ratio, CLIP * self.factor(freedom))
            self.mean += (clipped - self.mean) / self.weight
        self.ratios = [*self.ratios, float(f"{ratio:.4g}")][-KEPT:]

    def factor(self, freedom: int) -> float:
        """The mean of the ratios, as well as it is known."""
        if self.weight >= KEPT:
            return max(1.0, self.mean)
        n = len(self.ratios)
        prior = max(PRIOR - max(n - FEW, 0), 0)
        middle = sorted([_median(freedom)] * prior + self.ratios)[(n + prior - 1) // 2]
        factor = max(1.0, middle)
        for _ in range(2):  # the mean from the median depends on the shape, and that on the mean
            even = freedom * evenness(factor, freedom)
            factor = max(1.0, middle / _median(even))
        return factor

    def _caution(self) -> float:
        """The least factor of p-values: a median of few may be far too small."""
        n = len(self.ratios)
        if n < FEW:
            return CAUTION
        return max(1.0, sorted(self.ratios)[3 * n // 4]) if n < KEPT else 1.0

    def noise(self, freedom: int) -> Noise:
        """The noise to judge a window of so many degrees of freedom with."""
        n, freedom = len(self.ratios), max(freedom, 1)
        worth = self.weight if self.weight >= KEPT else OF_MEDIAN * n
        factor = self.factor(freedom)
        caution, is_learnt = self._caution(), n >= KEPT
        if (factor - 1) ** 2 * freedom * max(worth, 1) < 2 * DOUBT**2:
            # What is assumed, and not estimated, has no error of its own.
            known = PRIOR_FREEDOM + freedom * worth if n >= FEW else inf
            return Noise(factor, known, caution, is_learnt=is_learnt)
        even = freedom * evenness(factor, freedom)
        return Noise(factor, even * max(worth, 2.0), caution, is_uneven=True, is_learnt=is_learnt)


def of_neighbours(near: Learnt, far: Learnt, freedom: int) -> Noise:
    """The noise of windows that were put beside the last one and beside the last but one.

    Windows whose neighbours have the correlation c, and those after them c², show 1 - c of their
    noise beside the last and 1 - c² beside the last but one. Of AR(1) c² is less, so that the noise
    is rather too large.
    """
    noise = far.noise(freedom)
    if not noise.is_uneven:
        return noise
    alike = min(max(1 - near.factor(freedom) / noise.factor, 0.0), MOST_ALIKE)
    return noise._replace(factor=noise.factor / (1 - alike * alike), alike=alike)


def _median(freedom: float) -> float:
    """Of a chi-square beside its mean (Wilson and Hilferty 1931)."""
    return float((1 - 2 / (9 * max(freedom, 0.5))) ** 3)


def evenness(factor: float, freedom: int) -> float:
    """Degrees of freedom that remain, as a share, where the parts of a chi-square vary `factor`
    times too much on average, but unequally.

    Its tail is that of its largest part, so that one is to be right. Of AR(1) part j varies
    (1 + ρʲ)/(1 - ρʲ) times too much: the largest has a constant share of all excess.
    """
    largest = 1 + max(LARGEST_PART * freedom, 1.0) * (factor - 1)
    return factor / largest


def ratio(before: Counts, now: Counts, frequency: Counts) -> float | None:
    """The chi-square of two windows beside what it is on average for independent events."""
    statistic, freedom = chi_square(before, now, frequency)
    return statistic / freedom if freedom else None


def inflation(factor: float, n: float, m: float) -> float:
    """Of the variance of a difference of shares; the reference's events are independent."""
    return (factor / n + 1 / m) / (1 / n + 1 / m)


def chi_square(before: Counts, now: Counts, frequency: Counts) -> tuple[float, int]:
    """The statistic of two samples, rare bins pooled, and its degrees of freedom; 0 if none."""
    pooled = significance.pooled(before, now, frequency, SMALLEST_EXPECTED)
    if pooled[0].size < 2:
        return 0.0, 0
    statistic, freedom = significance.chi_square(*pooled)
    return float(statistic), int(freedom)


def believed(reference: Counts, now: Counts) -> Counts:
    """How frequent each bin of a number is, to pool rare ones by."""
    return significance.believed(reference, now)


def p_value(statistic: float, freedom: int, n: float, m: float, noise: Noise) -> float:
    """The chance of such a chi-square on unchanged data."""
    if freedom < 1:
        return 1.0
    factor = inflation(noise.doubted, n, m)
    even = freedom * (evenness(factor, freedom) if noise.is_slow else 1.0)
    # The slowest part sees so many fewer events, if there is one.
    effective = n / max(factor * freedom / even if noise.is_uneven else factor, 1.0)
    finest = 1 / (1 / noise.freedom + 1 / (FINEST * effective))
    return float(fdtrc(even, finest, statistic / freedom / factor))


def independent(sampled: int, events: float, factor: float) -> int:
    """How many of the sampled events to use, so that their common moves hardly count.

    The mean of k of n events varies by 1/k + (factor - 1)/n.
    """
    most = DEPENDENCE * events / (factor - 1) if factor > 1 else sampled
    return int(min(most, sampled))


def power(psi: float, level: float, n: float, reference: Counts, noise: Noise) -> float:
    """The chance that a window of n events finds a change of this PSI, once its noise is known.

    A window that comes from elsewhere has a chi-square off its centre by PSI / (1/n + 1/m).
    """
    m = float(reference.sum())
    groups = significance.groups(reference, min(n, m), SMALLEST_EXPECTED)
    if groups < 2 or not level > 0:
        return 0.0
    factor = inflation(noise.factor, n, m)
    even = (groups - 1) * (evenness(factor, groups - 1) if noise.is_uneven else 1.0)
    largest = factor * (groups - 1) / even
    needed = even * float(fdtri(even, FINEST * n / largest, 1 - level))
    off_centre = psi / (1 / n + 1 / m) / largest
    if off_centre > 1e4:  # the law of it is not computed so far out, and the answer is plain
        return 1.0 if off_centre > needed else 0.0
    return 1.0 - float(chndtr(needed, even, off_centre))


def least_of(psi: float, freedom: int, n: float, m: float, noise: Noise) -> float:
    """What a drift of this PSI is seen as, its expectation taken off, in five windows of six.

    The variance of PSI under drift is 4·PSI·v + 2·freedom·v², v = factor/n + 1/m.
    """
    v = noise.factor / n + 1 / m
    return psi - SELDOM * sqrt(4 * psi * v + 2 * freedom * v * v)


def smallest_to_find(
    psi: float, enough: float, level: float, reference: Counts, noise: Noise
) -> int | None:
    """The smallest window that finds a change of this PSI with the chance `enough`; None if no
    window does, as the reference is too small.
    """
    return _first(lambda n: power(psi, level, n, reference, noise) >= enough)


def smallest_to_fire(level: float, reference: Counts, noise: Noise) -> int | None:
    """The smallest window that can be significant at all: all of it lies in the rarest bin."""

    def fires(n: int) -> bool:
        now = np.zeros_like(reference)
        now[np.argmin(reference)] = n
        statistic, freedom = chi_square(reference, now, believed(reference, now))
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
