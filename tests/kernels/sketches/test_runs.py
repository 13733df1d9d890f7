"""Runs: every row of a slot once, in the order it came."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.sketches.runs import runs_of


@pytest.mark.parametrize(
    ("slots", "order", "used", "ends"),
    [
        ([], [], [], []),
        ([-1, -1], [], [], []),
        ([2, 2, 2], [], [2], [3]),  # as they came
        ([2, 2, -1], [0, 1], [2], [2]),
        ([0, 2, 0, -1, 2, 0], [0, 2, 5, 1, 4], [0, 2], [3, 5]),
        ([2, 1, 0], [2, 1, 0], [0, 1, 2], [1, 2, 3]),
        ([-1, 1], [1], [1], [1]),
    ],
)
def test_rows_stand_by_slot_in_their_order(
    slots: list[int], order: list[int], used: list[int], ends: list[int]
) -> None:
    runs = runs_of(np.array(slots, np.int32), np.array([10, 20, 30]))
    assert runs.order.tolist() == order
    assert runs.slots.tolist() == used
    assert runs.ends.tolist() == ends
    assert runs.before.tolist() == [10 * (slot + 1) for slot in used]
    assert [array.dtype for array in runs] == [np.int32, np.int32, np.int64, np.int64]


def test_runs_do_not_follow_later_changes_of_what_they_were_made_from() -> None:
    slots, before = np.zeros(3, np.int32), np.array([5])
    runs = runs_of(slots, before)
    slots[:], before[:] = 1, 9
    assert (runs.slots.tolist(), runs.before.tolist()) == ([0], [5])
