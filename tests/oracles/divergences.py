"""Divergences, plainly: textbook sums and scipy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import distance

Floats = NDArray[np.float64]
FLOOR = 1e-4


def psi(reference: Floats, current: Floats) -> float:
    """Population stability index of floored shares."""
    p, q = _floored(reference), _floored(current)
    return float(np.sum((q - p) * np.log(q / p)))


def kl(reference: Floats, current: Floats) -> float:
    """Kullback-Leibler divergence of current from reference, floored shares."""
    p, q = _floored(reference), _floored(current)
    return float(np.sum(q * np.log(q / p)))


def jensen_shannon(reference: Floats, current: Floats) -> float:
    """scipy's distance, base 2."""
    return float(distance.jensenshannon(_shares(reference), _shares(current), base=2))


def hellinger(reference: Floats, current: Floats) -> float:
    """√(1 - Σ √(pq)), the other form of the definition."""
    overlap = np.sum(np.sqrt(_shares(reference) * _shares(current)))
    return float(np.sqrt(max(1.0 - overlap, 0.0)))


def total_variation(reference: Floats, current: Floats) -> float:
    """1 - Σ min(p, q), the other form of the definition."""
    return float(1.0 - np.minimum(_shares(reference), _shares(current)).sum())


def l_infinity(reference: Floats, current: Floats) -> float:
    """Largest difference of shares."""
    return float(np.abs(_shares(current) - _shares(reference)).max())


def _shares(counts: Floats) -> Floats:
    return counts / counts.sum()


def _floored(counts: Floats) -> Floats:
    return np.maximum(_shares(counts), FLOOR)
