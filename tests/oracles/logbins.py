"""Log-linear cells, plainly: mantissa and exponent from frexp, values placed one by one."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
K, OCTAVES, RAW_K, RAW_FROM = 5, 24, 4, -20
HALF = OCTAVES * 2**K


def cell_of(value: float, anchor: float, inverse_scale: float) -> int:
    """The cell of a finite value; -1 for others."""
    if not math.isfinite(value):
        return -1
    if inverse_scale == 0.0:
        is_above = value >= 0.0
        key = _key(abs(value), RAW_K) - RAW_FROM * 2**RAW_K
    else:
        is_above = value >= anchor
        with np.errstate(over="ignore"):  # an infinite distance is clamped
            distance = float(np.abs(np.float64(value) - anchor) * inverse_scale)
        key = _key(1.0 + distance, K)
    key = min(max(key, 0), HALF - 1)
    return HALF + key if is_above else HALF - 1 - key


def _key(size: float, k: int) -> int:
    """2^k even steps in every octave, 0 at 1."""
    if size == 0.0:
        return -10_000_000
    if math.isinf(size):
        return 10_000_000
    mantissa, exponent = math.frexp(size)
    return (exponent - 1) * 2**k + math.floor((2.0 * mantissa - 1.0) * 2**k)


def counts(values: Floats, anchor: float, inverse_scale: float) -> NDArray[np.int64]:
    """Counts per cell of the finite values."""
    cells = [cell_of(float(value), anchor, inverse_scale) for value in values]
    return np.bincount([cell for cell in cells if cell >= 0], minlength=2 * HALF)


def quantiles(
    counts: NDArray[np.int64], edges: Floats, low: float, high: float, probabilities: Floats
) -> Floats:
    """numpy's quantiles of values set evenly into cells, the first at low, the last at high."""
    used = np.flatnonzero(counts)
    placed: list[float] = []
    for cell in used:
        left = low if cell == used[0] else edges[cell]
        right = high if cell == used[-1] else edges[cell + 1]
        steps = (np.arange(counts[cell]) + 0.5) / counts[cell]
        placed.extend(np.clip(left + (right - left) * steps, low, high))
    placed[0], placed[-1] = low, high
    if len(placed) == 1:
        placed = [low]
    return np.quantile(np.array(placed), probabilities)


def regrid(counts: NDArray[np.int64], edges: Floats, new_edges: Floats) -> NDArray[np.int64]:
    """Differences of the rounded cumulative count at the new inner edges; edges strictly ascend."""
    cumulative = np.concatenate([[0], np.cumsum(counts)])
    inner = np.floor(np.interp(new_edges[1:-1], edges, cumulative) + 0.5)
    return np.diff(np.concatenate([[0], inner, [cumulative[-1]]])).astype(np.int64)
