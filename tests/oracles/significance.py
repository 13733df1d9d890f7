"""Significance, plainly: scipy's contingency table and false discovery control."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


def chi_square(reference: Floats, current: Floats) -> tuple[float, int]:
    """Statistic and degrees of freedom over the bins with any count."""
    table = np.stack([reference, current])[:, reference + current > 0]
    if table.shape[1] == 1:
        return 0.0, 0
    result = stats.chi2_contingency(table, correction=False)
    return float(result.statistic), int(result.dof)


def pooled(
    reference: Floats, current: Floats, smallest_expected: float
) -> list[tuple[float, float]]:
    """(reference, current) of each bin that is left, the bin of the rare ones last."""
    share = min(reference.sum(), current.sum()) / (reference.sum() + current.sum())
    kept = list(zip(reference.tolist(), current.tolist(), strict=True))
    rare = [pair for pair in kept if sum(pair) * share < smallest_expected]
    kept = [pair for pair in kept if pair not in rare]
    while kept and 0 < sum(map(sum, rare)) * share < smallest_expected:
        rarest = min(kept, key=sum)
        rare.append(rarest)
        kept.remove(rarest)
    if not sum(map(sum, rare)):
        return kept
    return [*kept, (sum(pair[0] for pair in rare), sum(pair[1] for pair in rare))]


def benjamini_hochberg(p_values: Floats) -> Floats:
    """scipy's adjusted p-values of those that are not NaN."""
    q_values = np.full(p_values.size, np.nan)
    tested = ~np.isnan(p_values)
    if tested.any():
        q_values[tested] = stats.false_discovery_control(p_values[tested], method="bh")
    return q_values
