"""Distances, plainly: scipy on the values themselves, and integrals by fine steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


def ks(reference: Floats, current: Floats) -> float:
    """Kolmogorov-Smirnov distance of two samples."""
    return float(stats.ks_2samp(reference, current, method="asymp").statistic)


def wasserstein(points: Floats, reference_counts: Floats, current_counts: Floats) -> float:
    """Wasserstein-1 distance of two weighted sets of points."""
    return float(stats.wasserstein_distance(points, points, reference_counts, current_counts))


def wasserstein_cells(edges: Floats, reference_counts: Floats, current_counts: Floats) -> float:
    """∫ |F - G| by ten thousand steps per cell."""
    reference = np.concatenate([[0.0], np.cumsum(reference_counts / reference_counts.sum())])
    current = np.concatenate([[0.0], np.cumsum(current_counts / current_counts.sum())])
    steps = np.linspace(0.0, 1.0, 10_001)
    total = 0.0
    for cell, width in enumerate(np.diff(edges)):
        left = reference[cell] - current[cell]
        right = reference[cell + 1] - current[cell + 1]
        total += float(np.trapezoid(np.abs(left + (right - left) * steps), steps)) * width
    return total


def energy(points: Floats, reference_counts: Floats, current_counts: Floats) -> float:
    """Energy distance of two weighted sets of points."""
    return float(stats.energy_distance(points, points, reference_counts, current_counts))


def energy_cells(edges: Floats, reference_counts: Floats, current_counts: Floats) -> float:
    """√(2 ∫ (F - G)²) by ten thousand steps per cell."""
    reference = np.concatenate([[0.0], np.cumsum(reference_counts / reference_counts.sum())])
    current = np.concatenate([[0.0], np.cumsum(current_counts / current_counts.sum())])
    steps = np.linspace(0.0, 1.0, 10_001)
    total = 0.0
    for cell, width in enumerate(np.diff(edges)):
        left = reference[cell] - current[cell]
        right = reference[cell + 1] - current[cell + 1]
        total += float(np.trapezoid((left + (right - left) * steps) ** 2, steps)) * width
    return float(np.sqrt(2.0 * total))
