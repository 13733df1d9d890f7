"""Hashes: sketches of the hashes of a feature's values in, both together or how many differ out.

In    one slot each, or None where nothing is known
Out   merged, or an estimate
Not   hashing (kernels/hashing.py), which values are hashed (states.py)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.sketches import hyperloglog
from kernels.sketches.hyperloglog import HyperLogLog

ONE_ROW = np.zeros(1, np.int32)


class Few(NamedTuple):
    """Hashes as they are, while they are few: registers take four kilobytes."""

    hashes: NDArray[np.uint64]


Hashes = HyperLogLog | Few


def registers_of(known: Hashes) -> HyperLogLog:
    """Hashes in registers; those that are there are not copied."""
    if isinstance(known, HyperLogLog):
        return known
    made = hyperloglog.empty(1)
    hyperloglog.update(made, np.zeros(len(known.hashes), np.int32), known.hashes)
    return made


def either(one: Hashes | None, other: Hashes | None) -> Hashes | None:
    """What came on either side; registers of `one` are changed in place, `other` is not."""
    if other is None:
        return one
    into = hyperloglog.empty(1) if one is None else registers_of(one)
    hyperloglog.merge(into, ONE_ROW, registers_of(other))
    return into


def distinct(unlisted: Hashes, listed: NDArray[np.uint64]) -> int:
    """Estimate of how many hashes are in either."""
    if not len(listed):
        return round(hyperloglog.distinct(registers_of(unlisted), 0))
    both = hyperloglog.empty(1)
    hyperloglog.merge(both, ONE_ROW, registers_of(unlisted))
    hyperloglog.update(both, np.zeros(len(listed), np.int32), listed)
    return max(round(hyperloglog.distinct(both, 0)), len(listed))
