"""Peers, plainly: which bins other tools count a feature in, written from what they publish.

In    observed values of reference and window, float64 numbers or integers for texts
Out   counts of both on the bins of the tool
Not   the measures on them, which are ours under test
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
Counts = NDArray[np.float64]


def evidently(reference: Values, current: Values) -> tuple[Counts, Counts]:
    """Sturges' bins over both sides together; by value if the reference has at most twenty."""
    if reference.dtype == float and len(np.unique(reference)) > 20:
        edges = np.histogram_bin_edges(np.concatenate([reference, current]), bins="sturges")
        return _histogram(reference, edges), _histogram(current, edges)
    return by_value(reference, current)


def nannyml(reference: Values, current: Values) -> tuple[Counts, Counts]:
    """Doane's bins of the reference, or its categories; one more bin for all that is outside."""
    if reference.dtype == float:
        edges = np.histogram_bin_edges(reference, bins="doane")
        before, now = _histogram(reference, edges), _histogram(current, edges)
    else:
        before, now = (
            np.array([(side == value).sum() for value in np.unique(reference)], float)
            for side in (reference, current)
        )
    return np.append(before, 0.0), np.append(now, len(current) - now.sum())


def by_value(reference: Values, current: Values) -> tuple[Counts, Counts]:
    """One bin per value of either side, as TFDV and Evidently count categories."""
    values, codes = np.unique(np.concatenate([reference, current]), return_inverse=True)
    n = len(reference)
    return (
        np.bincount(codes[:n], minlength=len(values)).astype(float),
        np.bincount(codes[n:], minlength=len(values)).astype(float),
    )


def _histogram(values: Values, edges: Counts) -> Counts:
    return np.histogram(values, edges)[0].astype(float)
