"""Contributions: how much a feature added to predictions in one window.

In    count and sums of the ingest side, or JSON
Out   `Attribution`, which adds up; its mean and how exact that is
Not   the order of features by it (judge/joint.py)
"""

from __future__ import annotations

from math import inf, isfinite, isnan, nan, sqrt
from typing import NamedTuple


class Attribution(NamedTuple):
    """What a feature contributed: finite values, sums of their magnitudes and squares.

    squares  NaN in what an earlier version wrote
    """

    count: int  # type: ignore[assignment]  # hides tuple.count
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """Mean magnitude; 0 of none."""
        return self.total / self.count if self.count else 0.0

    @property
    def error(self) -> float:
        """Standard error of the mean magnitude of independent events; NaN if unknown."""
        if not self.count:
            return 0.0
        variance = self.squares / self.count - self.mean * self.mean
        return sqrt(max(variance, 0.0) / self.count) if isfinite(variance) else nan

    def plus(self, other: Attribution) -> Attribution:
        """Both together."""
        count, total, squares = (mine + theirs for mine, theirs in zip(self, other, strict=True))
        return Attribution(int(count), total, squares)

    @classmethod
    def read(cls, count: int, total: float | None, squares: float | None = nan) -> Attribution:
        """What JSON has of it: null stands for a sum beyond float64."""
        return cls(count, *(inf if s is None else float(s) for s in (total, squares)))

    def listed(self) -> list[float]:
        """As it goes to JSON."""
        return list(self[:2]) if isnan(self.squares) else list(self)


NO_ATTRIBUTION = Attribution(0, 0.0, 0.0)
