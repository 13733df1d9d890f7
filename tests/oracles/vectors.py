"""Arrays of numbers, plainly: lists, sums by math.fsum."""

from __future__ import annotations

import math
from collections.abc import Sequence

Vector = Sequence[float]


def moments(vectors: Sequence[Vector]) -> tuple[list[float], list[float]]:
    """Mean and variance (ddof 0) of each dimension."""
    columns = list(zip(*vectors, strict=True))
    means = [math.fsum(column) / len(column) for column in columns]
    variances = [
        math.fsum((x - mean) ** 2 for x in column) / len(column)
        for column, mean in zip(columns, means, strict=True)
    ]
    return means, variances


def cosine(one: Vector, other: Vector) -> float:
    """Cosine of the angle between two arrays of one length; NaN if one of them is all zeros."""
    size = math.sqrt(math.fsum(x * x for x in one)) * math.sqrt(math.fsum(x * x for x in other))
    return math.fsum(x * y for x, y in zip(one, other, strict=True)) / size if size else math.nan
