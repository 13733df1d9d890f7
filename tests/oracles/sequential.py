"""Sequential, plainly: sums over a list of windows, and a Markov chain for their run length."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

import numpy as np
from scipy import stats


def cusum(scores: Iterable[float], allowance: float) -> float:
    """Page's sum after these scores."""
    total = 0.0
    for score in scores:
        total = max(0.0, total + score - allowance)
    return total


def evidence(p_values: Iterable[float]) -> float:
    """The Shiryaev-Roberts sum after these p-values, not its logarithm."""
    total = 0.0
    for p in p_values:
        total = (total + 1.0) / (2.0 * sqrt(p))
    return total


def run_length(threshold: float, allowance: float, states: int = 400) -> float:
    """Brook and Evans 1972: the sum in steps of 2 * threshold / (2 * states - 1)."""
    width = 2 * threshold / (2 * states - 1)
    at = width * np.arange(states)
    law = stats.norm(-allowance)
    upper = law.cdf(at[None, :] - at[:, None] + width / 2)
    moves = upper - law.cdf(at[None, :] - at[:, None] - width / 2)
    moves[:, 0] = upper[:, 0]
    return float(np.linalg.solve(np.eye(states) - moves, np.ones(states))[0])
