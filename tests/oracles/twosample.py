"""Two-sample test, plainly: scipy's distances, means over all pairs, numpy's permutations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import distance

from tests.oracles import correlation

Floats = NDArray[np.float64]


def scores(reference: Floats, current: Floats) -> Floats:
    """Ranks among both sides from -1 to 1, NaN in the middle."""
    return np.nan_to_num(correlation.ranks(np.concatenate([reference, current])))


def dissimilarities(rows: Floats) -> Floats:
    """Gaussian, of half the mean distance."""
    distances = distance.pdist(rows)
    width = distances.mean() / 2
    return distance.squareform(1 - np.exp(-(distances**2) / (2 * width**2)))


def coefficient(dissimilar: Floats, n: int) -> float:
    """(2 E d(X, Y) - E d(X, X') - E d(Y, Y')) / 2 E d(X, Y) of the first n rows and the others."""
    between = dissimilar[:n, n:].mean()
    within = dissimilar[:n, :n].mean() + dissimilar[n:, n:].mean()
    return float(1 - within / (2 * between)) if between else 0.0


def chance(dissimilar: Floats, n: int, shuffles: int, rng: np.random.Generator) -> float:
    """The share of shuffled sides whose coefficient is as large."""
    observed, reached = coefficient(dissimilar, n), 0
    for _ in range(shuffles):
        order = rng.permutation(len(dissimilar))
        reached += coefficient(dissimilar[order][:, order], n) >= observed - 1e-12
    return (reached + 1) / (shuffles + 1)
