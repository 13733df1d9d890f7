"""Detection peers: a reference sample and a window in, whether other tools would call it drift out.

In    raw values of both; of a category its rank
Out   True or False per rule, each written from its published definition
Not   our rules (detection_streams.py); the tools themselves, which would take hours

    Evidently    reference of up to 1000 rows: KS, or chi-square of a category, p < 0.05; beyond:
                 Wasserstein / max(std, 0.001) >= 0.1, or Jensen-Shannon distance (ln) >= 0.1
    NannyML      Jensen-Shannon distance (base 2) above mean + 3 std of chunks of the reference; of
                 numbers on the reference's Doane bins and one for all outside, else per category
    PSI > limit  on the reference's deciles or per category, shares floored at 1e-4
    p < 0.05     KS, or chi-square of a category
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import jensenshannon

from benchmarks.detection_streams import Law

Values = NDArray[np.float64]
SMALL_REFERENCE = 1_000  # rows up to which Evidently tests instead of measuring
MOST_CHUNKS = 20


@dataclass(slots=True)
class Peers:
    """The rules of other tools, fitted to one reference for windows of n values."""

    law: Law
    reference: Values
    n: int
    limit: float = 0.0  # of NannyML
    bins: Values | None = None

    def __post_init__(self) -> None:
        """NannyML's threshold: how far chunks of the reference are from the whole of it."""
        if not self.law.is_category:
            self.bins = np.histogram_bin_edges(self.reference, "doane")
        chunks = min(max(len(self.reference) // self.n, 10), MOST_CHUNKS)
        found = [self._distance(chunk) for chunk in np.array_split(self.reference, chunks)]
        self.limit = float(np.mean(found) + 3 * np.std(found))

    def rules(self) -> dict[str, Callable[[Values], bool]]:
        """Every rule by name."""
        return {
            "Evidently": self.evidently,
            "NannyML": lambda now: self._distance(now) > self.limit,
            "PSI > 0.1": lambda now: self._psi(now) > 0.1,
            "PSI > 0.25": lambda now: self._psi(now) > 0.25,
            "p < 0.05": lambda now: self._p_value(now) < 0.05,
        }

    def evidently(self, now: Values) -> bool:
        """The default of Evidently for this size of reference."""
        if len(self.reference) <= SMALL_REFERENCE:
            return self._p_value(now) < 0.05
        if self.law.is_category:
            before, after = self._counts(self.reference), self._counts(now)
            return bool(jensenshannon(before, after) >= 0.1)
        distance = stats.wasserstein_distance(self.reference, now)
        return bool(distance / max(float(np.std(self.reference)), 0.001) >= 0.1)

    def _counts(self, values: Values) -> Values:
        return np.bincount(values.astype(np.int64), minlength=self.law.size).astype(np.float64)

    def _distance(self, now: Values) -> float:
        if self.bins is None:
            return float(jensenshannon(self._counts(self.reference), self._counts(now), base=2))
        sides = []
        for values in (self.reference, now):
            inside = np.histogram(values, self.bins)[0] / len(values)
            sides.append(np.append(inside, max(1 - inside.sum(), 0.0)))
        return float(jensenshannon(*sides, base=2))

    def _psi(self, now: Values) -> float:
        if self.law.is_category:
            before, after = self._counts(self.reference), self._counts(now)
        else:
            edges = np.quantile(self.reference, np.linspace(0, 1, 11)[1:-1])
            before, after = (
                np.bincount(np.searchsorted(edges, side), minlength=10).astype(float)
                for side in (self.reference, now)
            )
        p, q = (np.maximum(side / side.sum(), 1e-4) for side in (before, after))
        return float(np.sum((q - p) * np.log(q / p)))

    def _p_value(self, now: Values) -> float:
        if not self.law.is_category:
            return float(stats.ks_2samp(self.reference, now, method="asymp").pvalue)
        table = np.array([self._counts(self.reference), self._counts(now)])
        return float(stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue)
