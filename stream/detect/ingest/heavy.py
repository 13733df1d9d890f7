"""Heavy hitters: the most frequent of values nobody announced, in bounded memory.

Guarantee  a value's count is never too small, and too large by at most n / capacity, where n is
           the number of values added; every value with more than n / capacity of them is kept
Source     Metwally, Agrawal, El Abbadi 2005, "Space-Saving"
"""

from __future__ import annotations


class HeavyHitters:
    """Space-Saving counters; the result depends on the order of the values alone."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._counts: dict[str, int] = {}
        self._inherited: dict[str, int] = {}  # of these counts, what other values left behind

    @property
    def uncertain(self) -> int:
        """Events that may stand under a wrong value."""
        return sum(self._inherited.values())

    def add(self, value: str) -> None:
        """Count a value; when full it takes over the place of the rarest one."""
        counts = self._counts
        if value in counts or len(counts) < self._capacity:
            counts[value] = counts.get(value, 0) + 1
            return
        rarest = min(counts, key=counts.__getitem__)
        self._inherited.pop(rarest, None)
        self._inherited[value] = counts.pop(rarest)
        counts[value] = self._inherited[value] + 1

    def counts(self) -> dict[str, int]:
        """Counts by value, sorted by value."""
        return dict(sorted(self._counts.items()))
