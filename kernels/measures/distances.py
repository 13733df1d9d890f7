"""Distances: two distributions of an ordered quantity in, how far apart they lie out.

In    cumulative counts, or counts on shared points or cells, float64, of reference and current
Out   one number, NaN if either side has no counts; or where the largest gap is
Not   p-values (stream/detect/judge/chances.py), shares of unordered bins (divergences.py)

F and G are the cumulative shares of reference and current.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel


@kernel
def ks(reference_cumulative: NDArray[np.float64], current_cumulative: NDArray[np.float64]) -> float:
    """Kolmogorov-Smirnov distance max |F - G|. Range [0, 1]; 1 when the sides do not overlap.

    reference_cumulative, current_cumulative  (n,)  cumulative counts at the same points

    Between the points it cannot look: at the edges of cells it is a lower bound of the exact one,
    short by at most the share of the fullest cell. Says nothing of how far values moved.
    """
    if reference_cumulative.size == 0:
        return math.nan
    n, m = reference_cumulative[-1], current_cumulative[-1]
    if not (n > 0.0 and m > 0.0):
        return math.nan
    largest = 0.0
    for i in range(reference_cumulative.size):
        largest = max(largest, abs(reference_cumulative[i] / n - current_cumulative[i] / m))
    return largest


@kernel
def ks_at(
    reference_cumulative: NDArray[np.float64], current_cumulative: NDArray[np.float64]
) -> int:
    """The first point at which |F - G| is the `ks`; -1 if a side is empty.

    reference_cumulative, current_cumulative  (n,)  cumulative counts at the same points

    The culprit of the largest gap of two cumulative shares: values moved across this point.
    """
    largest = ks(reference_cumulative, current_cumulative)
    if math.isnan(largest):
        return -1
    n, m = reference_cumulative[-1], current_cumulative[-1]
    at = 0
    while abs(reference_cumulative[at] / n - current_cumulative[at] / m) < largest:
        at += 1
    return at


@kernel
def wasserstein(
    points: NDArray[np.float64],
    reference_counts: NDArray[np.float64],
    current_counts: NDArray[np.float64],
) -> float:
    """Wasserstein-1 distance ∫ |F - G| of two distributions on the same points. Range [0, ∞).

    points                            (n_points,)  ascending
    reference_counts, current_counts  (n_points,)

    In the unit of the points: the mean way a value has to move. One far outlier can carry it alone.
    """
    n, m = reference_counts.sum(), current_counts.sum()
    if not (n > 0.0 and m > 0.0):
        return math.nan
    reference, current, total = 0.0, 0.0, 0.0
    for i in range(points.size - 1):
        reference += reference_counts[i]
        current += current_counts[i]
        total += abs(reference / n - current / m) * (points[i + 1] - points[i])
    return total


@kernel
def wasserstein_cells(
    edges: NDArray[np.float64],
    reference_counts: NDArray[np.float64],
    current_counts: NDArray[np.float64],
) -> float:
    """Wasserstein-1 distance ∫ |F - G| of two histograms. Range [0, ∞), in the unit of the edges.

    edges                             (n_cells + 1,)  ascending
    reference_counts, current_counts  (n_cells,)

    The values of a cell are taken to be spread evenly, so F - G is a straight line within it;
    where that changes sign both triangles are added: the integral is exact. Blind to what moves in
    a cell.
    """
    n, m = reference_counts.sum(), current_counts.sum()
    if not (n > 0.0 and m > 0.0):
        return math.nan
    reference, current, total = 0.0, 0.0, 0.0
    left = 0.0
    for i in range(reference_counts.size):
        reference += reference_counts[i]
        current += current_counts[i]
        right = reference / n - current / m
        total += _mean_size(left, right) * (edges[i + 1] - edges[i])
        left = right
    return total


@kernel
def _mean_size(left: float, right: float) -> float:
    """Mean of |line| over a stretch on which the line runs from left to right."""
    size = abs(left) + abs(right)
    if left * right >= 0.0:
        return 0.5 * size
    return 0.5 * (left * left + right * right) / size


@kernel
def energy(
    points: NDArray[np.float64],
    reference_counts: NDArray[np.float64],
    current_counts: NDArray[np.float64],
) -> float:
    """Energy distance √(2 ∫ (F - G)²) of two distributions on the same points. Range [0, ∞).

    points                            (n_points,)  ascending
    reference_counts, current_counts  (n_points,)

    Its square is 2 E|X - Y| - E|X - X'| - E|Y - Y'|, in the unit of the points. Between `ks`, which
    sees only the largest gap, and `wasserstein`, which a far outlier can carry alone. Source:
    Székely and Rizzo 2004; scipy.stats.energy_distance.
    """
    n, m = reference_counts.sum(), current_counts.sum()
    if not (n > 0.0 and m > 0.0):
        return math.nan
    reference, current, total = 0.0, 0.0, 0.0
    for i in range(points.size - 1):
        reference += reference_counts[i]
        current += current_counts[i]
        gap = reference / n - current / m
        total += gap * gap * (points[i + 1] - points[i])
    return math.sqrt(2.0 * total)


@kernel
def energy_cells(
    edges: NDArray[np.float64],
    reference_counts: NDArray[np.float64],
    current_counts: NDArray[np.float64],
) -> float:
    """Energy distance √(2 ∫ (F - G)²) of two histograms. Range [0, ∞).

    edges                             (n_cells + 1,)  ascending
    reference_counts, current_counts  (n_cells,)

    As in `wasserstein_cells` the values of a cell are taken to be spread evenly, and the integral
    over the straight line F - G is exact.
    """
    n, m = reference_counts.sum(), current_counts.sum()
    if not (n > 0.0 and m > 0.0):
        return math.nan
    reference, current, total = 0.0, 0.0, 0.0
    left = 0.0
    for i in range(reference_counts.size):
        reference += reference_counts[i]
        current += current_counts[i]
        right = reference / n - current / m
        mean_square = (left * left + left * right + right * right) / 3.0
        total += mean_square * (edges[i + 1] - edges[i])
        left = right
    return math.sqrt(2.0 * total)
