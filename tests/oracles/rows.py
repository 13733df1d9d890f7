"""A row sample, plainly: sort all events by id and cut."""

from __future__ import annotations

import struct
from collections.abc import Sequence

NO_BOUND = 2**64 - 1


def sample(
    ids: Sequence[int], rows: Sequence[Sequence[float]], k: int
) -> tuple[list[tuple[int, bytes]], int]:
    """The k events of smallest id with their bits, and the id that found no room.

    Of events with one id the one whose bits come first.
    """
    smallest: dict[int, tuple[int, ...]] = {}
    for event, row in zip(ids, rows, strict=True):
        bits = tuple(struct.unpack("<Q", struct.pack("<d", x if x != 0 else 0.0))[0] for x in row)
        smallest[event] = min(bits, smallest.get(event, bits))
    ordered = sorted(smallest)
    held = [(event, struct.pack(f"<{len(smallest[event])}Q", *smallest[event]))
            for event in ordered[:k]]  # fmt: skip
    return held, ordered[k] if len(ordered) > k else NO_BOUND
