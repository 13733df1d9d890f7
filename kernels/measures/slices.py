"""Slices: rows of projected vectors of two sides in, how far their distributions are apart out.

In    projections float64 (n, k) and (m, k) of vectors on the same k directions
Out   the sliced Wasserstein distance beside those of shuffled sides
Not   directions and whole vectors (embeddings.py), a sample of rows (sketches/rows.py)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key
from kernels.jit import kernel
from kernels.measures import shuffling
from kernels.measures.shuffling import FEWEST, Shuffled

Matrix = NDArray[np.float64]


@kernel
def shuffled(reference: Matrix, current: Matrix, unit: float, key: Key) -> Shuffled:
    """Mean over directions of the Wasserstein-1 distance, in units, beside shuffled sides.

    reference, current  (n, k), (m, k), finite
    unit                > 0

    `embeddings.sliced_wasserstein` of the vectors on these directions, divided by unit. The sorted
    order of both sides together never changes, so a shuffle costs (n + m) k additions.
    """
    n, m = reference.shape[0], current.shape[0]
    if min(n, m) < FEWEST:
        return shuffling.unknown()
    together = np.concatenate((reference, current))
    order = np.empty((together.shape[1], n + m), np.int64)
    gaps = np.zeros((together.shape[1], n + m))
    for at in range(together.shape[1]):
        column = together[:, at].copy()
        order[at] = np.argsort(column, kind="mergesort")
        gaps[at, :-1] = np.diff(column[order[at]]) / unit
    members, weights, totals = np.arange(n + m), np.empty(n + m), np.zeros(6)
    totals[0] = _distance(order, gaps, members, n, weights)
    if n > m:
        members = members[::-1].copy()  # the smaller side comes first
    smaller = min(n, m)
    while shuffling.goes_on(totals):
        shuffling.put_first(members, smaller, int(totals[2]), key)
        shuffling.take(totals, _distance(order, gaps, members, smaller, weights))
    return shuffling.told(totals)


@kernel
def _distance(
    order: NDArray[np.int64],
    gaps: Matrix,
    members: NDArray[np.int64],
    first: int,
    weights: NDArray[np.float64],
) -> float:
    """Mean of ∫ |F - G|, where the first members are one side; `weights` is overwritten."""
    size, total = members.size, 0.0
    for at in range(size):
        weights[members[at]] = 1.0 / first if at < first else -1.0 / (size - first)
    for along in range(order.shape[0]):
        apart = 0.0
        for at in range(size):
            apart += weights[order[along, at]]
            total += abs(apart) * gaps[along, at]
    return float(total / order.shape[0])
