"""Scratch: nothing in, what kernels need beside their arguments out; each thread has its own.

In    nothing
Out   arrays that a kernel overwrites, made at a thread's first use
Not   anything that lasts from one call to the next
"""

from __future__ import annotations

from threading import local

import numpy as np

from kernels import sparse
from kernels.sketches import covariance, features, logbins


class _Scratch(local):
    def __init__(self) -> None:
        self.work, self.pairs = features.work(), covariance.scratch()
        self.packed = np.empty(sparse.packed_bound(logbins.CELLS), np.uint8)


SCRATCH = _Scratch()
