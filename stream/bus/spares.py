"""Spares: sizes in, memory out that was used before if nobody looks at it any more.

In    how many bytes; one caller at a time
Out   an array of them, with whatever stood in it
Not   what is written there (frames.py, raw.py)

Fresh memory for each fetch costs a tenth of what its events cost: the system clears every page.
"""

from __future__ import annotations

from sys import getrefcount

import numpy as np
from numpy.typing import NDArray

LEAST_BYTES = 1 << 16  # less is not worth keeping
_UNSEEN = 3  # references to an array while it is looked at here: no view of it is left


class Spares:
    """Keeps at most so many bytes for later."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._spares: list[NDArray[np.uint8]] = []

    def room(self, size: int) -> NDArray[np.uint8]:
        """Memory (size,) that is this caller's until the last view of it is gone."""
        if size < LEAST_BYTES:
            return np.empty(size, np.uint8)
        for spare in self._spares:
            if len(spare) >= size and getrefcount(spare) == _UNSEEN:
                return spare[:size]
        fresh = np.empty(1 << (size - 1).bit_length(), np.uint8)
        self._spares.append(fresh)
        while sum(map(len, self._spares)) > self._most_bytes:
            del self._spares[0]
        return fresh[:size]
