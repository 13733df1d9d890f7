"""Attributions, plainly: SageMaker's formula with sorted lists of features."""

from __future__ import annotations

from collections.abc import Mapping
from math import log2


def ndcg(reference: Mapping[str, float], current: Mapping[str, float]) -> float:
    """DCG of the current order over DCG of the reference's own."""
    before = sorted(reference, key=lambda feature: -abs(reference[feature]))
    now = sorted(current, key=lambda feature: -abs(current[feature]))
    dcg, ideal = (
        sum(abs(reference[feature]) / log2(place + 1) for place, feature in enumerate(order, 1))
        for order in (now, before)
    )
    return dcg / ideal
