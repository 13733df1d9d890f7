"""Attributions: how much each feature weighed in the reference and weighs now in, one number out.

In    float64 (n_features,) mean absolute attributions of reference and current, same order
Out   `ndcg`, NaN if the reference has no attribution
Not   computing attributions (the service does), averaging them (sketches)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel


@kernel
def ndcg(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """Normalised discounted cumulative gain of the current order of features. Range (0, 1].

    `DCG / iDCG`, `DCG = Σ a(f_i) / log₂(i + 1)`, where f_i is the feature that is ranked i-th now
    and a its attribution in the reference; iDCG has the reference's own order. 1 is an unchanged
    order; sizes alone may change. Attributions are taken without sign, NaN as 0; equal ones are
    ranked in the order they come. SageMaker's definition, which calls below 0.90 drift. Source:
    Järvelin and Kekäläinen 2002.
    """
    gains = np.abs(_known(reference))
    best, found = 0.0, 0.0
    own = np.argsort(-gains, kind="mergesort")
    live = np.argsort(-np.abs(_known(current)), kind="mergesort")
    for place in range(gains.size):
        discount = math.log2(place + 2.0)
        best += gains[own[place]] / discount
        found += gains[live[place]] / discount
    return found / best if best > 0.0 else math.nan


@kernel
def _known(attributions: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isnan(attributions), 0.0, attributions)
