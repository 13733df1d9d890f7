"""Embeddings: mean vectors or rows of vectors in, how far the cloud of them moved out.

In    float64 means (d,) or rows (n, d) and (m, d) of reference and current, directions (k, d)
Out   one number; NaN if either side has no finite vector
Not   the drift of norms (a number like any other: distances.py), p-values (slices.py)

A vector with a value that is not finite is left out.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key
from kernels.jit import kernel
from kernels.measures.drawing import normal

DIRECTIONS = 64  # standard error of `sliced_wasserstein` over directions: some 10 % of it

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@kernel
def cosine(reference: Vector, current: Vector) -> float:
    """Cosine distance 1 - x·y / |x||y| of two mean vectors (d,). Range [0, 2].

    0 is the same direction, 1 a right angle. NaN if a vector is zero or not finite. Blind to what
    happens about the mean; of embeddings whose mean is nearly zero it is noise.
    """
    product, left, right = 0.0, 0.0, 0.0
    for i in range(reference.size):
        product += reference[i] * current[i]
        left += reference[i] * reference[i]
        right += current[i] * current[i]
    both = math.sqrt(left) * math.sqrt(right)
    if not (both > 0.0 and math.isfinite(both)):
        return math.nan
    return min(max(1.0 - product / both, 0.0), 2.0)


@kernel
def mean_shift(reference: Vector, current: Vector, spread: float) -> float:
    """Euclidean distance of two mean vectors (d,) in units of spread. Range [0, ∞).

    spread  root of the mean squared distance of the reference's vectors from their mean; > 0
    """
    square = 0.0
    for i in range(reference.size):
        square += (current[i] - reference[i]) ** 2
    return math.sqrt(square) / spread if spread > 0.0 else math.nan


@kernel
def directions(count: int, dimension: int, key: Key) -> Matrix:
    """Unit vectors (count, dimension), evenly spread, the same for equal arguments."""
    found = np.empty((count, dimension))
    for row in range(count):
        square = 0.0
        for column in range(dimension):
            found[row, column] = normal(row * dimension + column, key)
            square += found[row, column] ** 2
        found[row] /= math.sqrt(square)
    return found


@kernel
def project(flat: NDArray[np.float64], ends: NDArray[np.int64], along: Matrix, out: Matrix) -> None:
    """Write the projection of each vector on each direction to out (k, n).

    flat   (total,)  the vectors end to end
    ends   (n,)      exclusive
    along  (k, d)    unit vectors

    NaN for a vector of another length than d, or with what is not finite.
    """
    start = 0
    for at in range(ends.size):
        vector = flat[start : ends[at]]
        start = ends[at]
        is_whole = vector.size == along.shape[1] and np.isfinite(vector).all()
        for row in range(along.shape[0]):
            total = 0.0 if is_whole else math.nan
            if is_whole:
                for column in range(vector.size):
                    total += along[row, column] * vector[column]
            out[row, at] = total


@kernel
def sliced_wasserstein(reference: Matrix, current: Matrix, along: Matrix) -> float:
    """Mean over directions of the Wasserstein-1 distance of the projections. Range [0, ∞).

    reference, current  (n, d), (m, d)
    along               (k, d)  unit vectors, from `directions`

    In the unit of the vectors. Sees any change of their distribution, not of the mean alone.
    Source: Rabin et al. 2011.
    """
    before, now = _finite(reference), _finite(current)
    if before.shape[0] == 0 or now.shape[0] == 0 or along.shape[0] == 0:
        return math.nan
    total = 0.0
    for row in range(along.shape[0]):
        total += _wasserstein(_projected(before, along[row]), _projected(now, along[row]))
    return float(total / along.shape[0])


@kernel
def _finite(rows: Matrix) -> Matrix:
    kept, n = rows.copy(), 0
    for row in range(rows.shape[0]):
        if np.isfinite(rows[row]).all():
            kept[n] = rows[row]
            n += 1
    return kept[:n]


@kernel
def _projected(rows: Matrix, direction: Vector) -> Vector:
    found = np.zeros(rows.shape[0])
    for row in range(rows.shape[0]):
        for column in range(direction.size):
            found[row] += rows[row, column] * direction[column]
    return np.sort(found)


@kernel
def _wasserstein(left: Vector, right: Vector) -> float:
    """∫ |F - G| of two sorted samples."""
    i, j, total = 0, 0, 0.0
    at = min(left[0], right[0])
    while i < left.size or j < right.size:
        if j == right.size or (i < left.size and left[i] <= right[j]):
            value = left[i]
            total += abs(i / left.size - j / right.size) * (value - at)
            i += 1
        else:
            value = right[j]
            total += abs(i / left.size - j / right.size) * (value - at)
            j += 1
        at = value
    return total
