"""Attributions: how much each feature weighed in the reference and weighs now in, one number out.

In    float64 (n_features,) mean absolute attributions of reference and current, same order, and the
      standard errors of these means
Out   `ndcg`, NaN if the reference has no attribution; how often chance alone makes it as low
Not   computing attributions (the service does), averaging them (sketches), the p-value
      (stream/detect/judge/chances.py)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key
from kernels.jit import kernel
from kernels.measures.drawing import normal

DRAWS = 499
ENOUGH = 20  # draws that reach what was seen; more tell nothing of a rare one


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
def simulated(
    common: NDArray[np.float64],
    error_reference: NDArray[np.float64],
    error_current: NDArray[np.float64],
    deficit: float,
    key: Key,
) -> tuple[int, int, float]:
    """How many draws reach a deficit 1 - NDCG, of how many, and their mean deficit.

    common  (n_features,) what both sides would have without noise; errors likewise, of each side

    Both sides are drawn as normal means about what is common, features apart from each other. At
    most DRAWS; ends once ENOUGH reached it (Besag and Clifford 1991).
    """
    size, reached, drawn, total = common.size, 0, 0, 0.0
    before, now = np.empty(size), np.empty(size)
    while drawn < DRAWS and reached < ENOUGH:
        for at in range(size):
            number = 2 * (drawn * size + at)
            before[at] = common[at] + error_reference[at] * normal(number, key)
            now[at] = common[at] + error_current[at] * normal(number + 1, key)
        found = 1.0 - ndcg(before, now)
        drawn += 1
        total += found
        # Equal orders must count as reached, whatever they were summed in.
        reached += 1 if found >= deficit - 1e-12 else 0
    return reached, drawn, total / drawn


@kernel
def _known(attributions: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isnan(attributions), 0.0, attributions)
