"""Space-Saving, plainly: one dict, searched for its rarest key."""

from __future__ import annotations

from collections.abc import Iterable


def space_saving(keys: Iterable[int], capacity: int) -> dict[int, tuple[int, int]]:
    """Count and inherited count by key; of equally rare keys the smallest makes room."""
    counters: dict[int, tuple[int, int]] = {}
    for key in filter(None, keys):
        if key in counters or len(counters) < capacity:
            count, inherited = counters.get(key, (0, 0))
            counters[key] = count + 1, inherited
        else:
            rarest = min(counters, key=lambda k: (counters[k][0], k))
            before, _ = counters.pop(rarest)
            counters[key] = before + 1, before
    return counters
