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
    reference: Floats, current: Floats, frequency: Floats, smallest_expected: float
) -> list[tuple[float, float]]:
    """(reference, current) of each bin that is left, the rarest first."""
    scale = min(reference.sum(), current.sum()) / frequency.sum()
    bins = zip(frequency.tolist(), reference.tolist(), current.tolist(), strict=True)
    groups: list[list[tuple[float, float, float]]] = [[]]
    for one in sorted(bins, key=lambda one: one[0] * scale):
        groups[-1].append(one)
        gathered = 0.0
        for often, _, _ in groups[-1]:
            gathered += often * scale
        if 0 < gathered >= smallest_expected:
            groups.append([])
    left = groups.pop()
    if left:
        groups = [*groups[:-1], groups[-1] + left] if groups else [left]
    return [(sum(r for _, r, _ in group), sum(c for _, _, c in group)) for group in groups]


def benjamini_hochberg(p_values: Floats) -> Floats:
    """scipy's adjusted p-values of those that are not NaN."""
    q_values = np.full(p_values.size, np.nan)
    tested = ~np.isnan(p_values)
    if tested.any():
        q_values[tested] = stats.false_discovery_control(p_values[tested], method="bh")
    return q_values
