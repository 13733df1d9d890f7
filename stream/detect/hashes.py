"""Hashes: sketches of the hashes of a feature's values in, both together or how many differ out.

In    one slot each, or None where nothing is known
Out   merged, or an estimate
Not   hashing (kernels/hashing.py), which values are hashed (states.py)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.sketches import hyperloglog
from kernels.sketches.hyperloglog import HyperLogLog

ONE_ROW = np.zeros(1, np.int32)


def either(one: HyperLogLog | None, other: HyperLogLog | None) -> HyperLogLog | None:
    """What came on either side; `one` is changed in place, `other` is not."""
    if other is None:
        return one
    if one is None:
        one = hyperloglog.empty(1)
    hyperloglog.merge(one, ONE_ROW, other)
    return one


def distinct(unlisted: HyperLogLog, listed: NDArray[np.uint64]) -> int:
    """Estimate of how many hashes are in either."""
    if not len(listed):
        return round(hyperloglog.distinct(unlisted, 0))
    both = hyperloglog.empty(1)
    hyperloglog.merge(both, ONE_ROW, unlisted)
    hyperloglog.update(both, np.zeros(len(listed), np.int32), listed)
    return max(round(hyperloglog.distinct(both, 0)), len(listed))
