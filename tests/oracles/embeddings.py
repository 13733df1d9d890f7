"""Embeddings, plainly: scipy's cosine and Wasserstein distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import distance

Floats = NDArray[np.float64]


def cosine(reference: Floats, current: Floats) -> float:
    """1 - cosine of the angle between two vectors."""
    return float(distance.cosine(reference, current))


def sliced_wasserstein(reference: Floats, current: Floats, along: Floats) -> float:
    """Mean Wasserstein-1 distance of the projections of finite rows."""
    before, now = (side[np.isfinite(side).all(axis=1)] for side in (reference, current))
    return float(np.mean([stats.wasserstein_distance(before @ w, now @ w) for w in along]))
