"""Distinct: values that are not counted one by one in, how many are different kept.

In    numbers, or hashes of texts, and the slot of each
Out   registers of one feature, a row per slot, as the states take them
Not   reading the estimate (stream/detect/states.py), values of a vocabulary (sketches.py)

Nothing is kept before the first such value comes: most features with a vocabulary have none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key, hash_floats
from kernels.sketches import hyperloglog
from kernels.sketches.hyperloglog import HyperLogLog
from stream.detect.hashes import Few, Hashes

Slots = NDArray[np.int32]

FEW = 64
SURELY = 4  # times FEW hashes tell that there are more than FEW different ones, or mostly


class DistinctSketch:
    """Hashes of the unlisted values of one feature, a row per slot."""

    def __init__(self, slots: int, key: Key) -> None:
        self._slots, self._key = slots, key
        self._state: HyperLogLog | None = None
        # Until one slot has many, hashes as they are: registers take 4 KB for each slot.
        self._few: dict[int, NDArray[np.uint64]] = {}

    @property
    def is_dense(self) -> bool:
        """Whether there are registers."""
        return self._state is not None

    @property
    def registers(self) -> HyperLogLog | None:
        """Of all slots; None while hashes are kept as they are."""
        return self._state

    def grow(self, slots: int) -> None:
        """Make room for more slots."""
        self._slots = slots
        if self._state is not None:
            self._state = hyperloglog.grow(self._state, slots)

    def reset(self, slot: int) -> None:
        """Empty a slot."""
        self._few.pop(slot, None)
        if self._state is not None:
            hyperloglog.reset(self._state, slot)

    def add_numbers(self, slots: Slots, numbers: NDArray[np.float64]) -> None:
        """Note numbers (n,), those that are not finite apart; slot -1 is skipped."""
        hashes = np.empty(len(numbers), np.uint64)
        hash_floats(numbers, self._key, hashes)
        self.add(slots, hashes)

    def add_unlisted(
        self, slots: Slots, numbers: NDArray[np.float64], codes: NDArray[np.int32]
    ) -> None:
        """Note numbers (n,) that have no code in a vocabulary."""
        at = np.flatnonzero((codes < 0) & (slots >= 0))
        if len(at):
            self.add_numbers(slots[at], numbers[at])

    def add(self, slots: Slots, hashes: NDArray[np.uint64]) -> None:
        """Note hashes (n,), 0 for none; slot -1 is skipped."""
        if self._state is None and len(hashes) > SURELY * FEW and slots[0] >= 0:
            is_first = slots[: SURELY * FEW] == slots[0]
            if len(np.unique(hashes[: SURELY * FEW][is_first])) > FEW + 1:  # one may be 0
                self._spread()
        if self._state is None:
            for slot in np.unique(slots[(slots >= 0) & (hashes != 0)]).tolist():
                known = self._few.get(slot, hashes[:0])
                self._few[slot] = np.unique(np.concatenate([known, hashes[slots == slot]]))
            if max(map(len, self._few.values()), default=0) > FEW:
                self._spread()
            return
        hyperloglog.update(self._state, slots, hashes)

    def _spread(self) -> None:
        """Registers from now on."""
        self._state = hyperloglog.empty(self._slots)
        for slot, known in self._few.items():
            hyperloglog.update(self._state, np.full(len(known), slot, np.int32), known)
        self._few.clear()

    def state(self, slot: int) -> Hashes | None:
        """A copy of a slot's row; None if nothing was noted."""
        if self._state is None:
            known = self._few.get(slot)
            return None if known is None else Few(known)
        if not self._state.registers[slot].any():
            return None
        return HyperLogLog(self._state.registers[slot : slot + 1].copy())
