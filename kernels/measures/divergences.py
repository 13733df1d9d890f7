"""Divergences: two histograms on the same bins in, how far apart their shares are out.

In    counts float64 (n_bins,) of reference and current; bins come from the reference and never move
Out   one number; NaN if either side has no counts
Not   significance (significance.py), order or distance of bins (distances.py)

p and q are the shares of reference and current. Empty bins: `psi` and `kl` raise every share to at
least FLOOR, without making them sum to one again, as is common practice; the others need no floor.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel

FLOOR = 1e-4  # a share below a ten-thousandth counts as that: else one empty bin makes psi infinite


@kernel
def psi(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """Population stability index Σ (q - p) ln(q / p) of floored shares. Range [0, ∞).

    Symmetric. Its expectation without any drift is near (1/n + 1/m)(n_bins - 1): small windows have
    a large value by chance. Source: Siddiqi 2006.
    """
    n, m = reference.sum(), current.sum()
    if not (n > 0.0 and m > 0.0):
        return math.nan
    total = 0.0
    for i in range(reference.size):
        p, q = max(reference[i] / n, FLOOR), max(current[i] / m, FLOOR)
        total += (q - p) * math.log(q / p)
    return total


@kernel
def kl(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """Kullback-Leibler divergence Σ q ln(q / p) of current from reference, floored shares, in nats.

    Range [0, ∞) but for the floor: raised shares sum to more than one, so it may be as low as
    -FLOOR * n_bins. Not symmetric: what the reference has and the window lacks weighs little.
    Source: Kullback and Leibler 1951.
    """
    n, m = reference.sum(), current.sum()
    if not (n > 0.0 and m > 0.0):
        return math.nan
    total = 0.0
    for i in range(reference.size):
        p, q = max(reference[i] / n, FLOOR), max(current[i] / m, FLOOR)
        total += q * math.log(q / p)
    return total


@kernel
def jensen_shannon(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """Jensen-Shannon distance, base 2: √(½ Σ p log₂(p/m) + ½ Σ q log₂(q/m)), m = (p + q) / 2.

    Range [0, 1]; 1 when no bin is shared. The distance, not the divergence (its square).
    Source: Endres and Schindelin 2003; scipy.spatial.distance.jensenshannon(base=2).
    """
    n, m = reference.sum(), current.sum()
    if not (n > 0.0 and m > 0.0):
        return math.nan
    total = 0.0
    for i in range(reference.size):
        p, q = reference[i] / n, current[i] / m
        middle = 0.5 * (p + q)
        if p > 0.0:
            total += p * math.log2(p / middle)
        if q > 0.0:
            total += q * math.log2(q / middle)
    return math.sqrt(min(max(0.5 * total, 0.0), 1.0))


@kernel
def hellinger(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """Hellinger distance √(½ Σ (√p - √q)²). Range [0, 1]; 1 when no bin is shared."""
    n, m = reference.sum(), current.sum()
    if not (n > 0.0 and m > 0.0):
        return math.nan
    total = 0.0
    for i in range(reference.size):
        step = math.sqrt(reference[i] / n) - math.sqrt(current[i] / m)
        total += step * step
    return math.sqrt(min(0.5 * total, 1.0))


@kernel
def total_variation(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """Total variation ½ Σ |q - p|: the share that would have to move. Range [0, 1]."""
    n, m = reference.sum(), current.sum()
    if not (n > 0.0 and m > 0.0):
        return math.nan
    total = 0.0
    for i in range(reference.size):
        total += abs(current[i] / m - reference[i] / n)
    return min(0.5 * total, 1.0)


@kernel
def l_infinity(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """Largest change of one share, max |q - p|. Range [0, 1]. Blind to many small changes."""
    at = culprit(reference, current)
    if at < 0:
        return math.nan
    return abs(float(current[at] / current.sum() - reference[at] / reference.sum()))


@kernel
def culprit(reference: NDArray[np.float64], current: NDArray[np.float64]) -> int:
    """The bin with the largest change of share, the first of equals; -1 if a side is empty."""
    n, m = reference.sum(), current.sum()
    if not (n > 0.0 and m > 0.0):
        return -1
    at, largest = -1, -1.0
    for i in range(reference.size):
        change = abs(current[i] / m - reference[i] / n)
        if change > largest:
            at, largest = i, change
    return at
