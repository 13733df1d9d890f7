"""Counts of known values, plainly: a dict and a Counter."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence


def codes(vocabulary: Sequence[float], values: Sequence[float]) -> list[int]:
    """The first position of each value in the vocabulary; -1 if it is not there or not finite."""
    positions: dict[float, int] = {}
    for code, word in enumerate(vocabulary):
        if math.isfinite(word):
            positions.setdefault(float(word), code)
    return [positions.get(float(value), -1) for value in values]


def counts(
    slots: Sequence[int], codes: Sequence[int], n_slots: int, n_codes: int
) -> list[list[int]]:
    """How often each code came in each slot; -1 on either side is skipped."""
    seen = Counter(zip(map(int, slots), map(int, codes), strict=True))
    return [[seen[slot, code] for code in range(n_codes)] for slot in range(n_slots)]
