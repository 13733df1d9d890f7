"""Covariance and correlation, plainly: two passes over the events that have both values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction


def covariance(left: Sequence[float], right: Sequence[float]) -> tuple[int, float]:
    """How many pairs are complete, and their covariance with ddof 0; NaN for fewer than two."""
    pairs = _complete(left, right)
    return len(pairs), float(_covariance(pairs)) if len(pairs) > 1 else math.nan


def correlation(left: Sequence[float], right: Sequence[float]) -> float:
    """Pearson's r of the complete pairs; NaN where one side does not vary."""
    pairs = _complete(left, right)
    spreads = [_covariance([(pair[side],) * 2 for pair in pairs]) for side in (0, 1)]
    if len(pairs) < 2 or not all(spreads):
        return math.nan
    together = _covariance(pairs)
    square = float(together * together / (spreads[0] * spreads[1]))
    return math.copysign(math.sqrt(square), together)


def _complete(left: Sequence[float], right: Sequence[float]) -> list[tuple[Fraction, Fraction]]:
    return [
        (Fraction(x), Fraction(y))
        for x, y in zip(map(float, left), map(float, right), strict=True)
        if math.isfinite(x) and math.isfinite(y)
    ]


def _covariance(pairs: Sequence[tuple[Fraction, Fraction]]) -> Fraction:
    n = max(len(pairs), 1)
    mean_x, mean_y = sum(x for x, _ in pairs) / n, sum(y for _, y in pairs) / n
    return sum(((x - mean_x) * (y - mean_y) for x, y in pairs), Fraction(0)) / n
