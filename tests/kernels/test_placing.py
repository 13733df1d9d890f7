"""Placing: what one event after another does, against whole arrays at once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels import placing

Times = NDArray[np.int64]
LENGTHS = (60, 10, 300, 180)  # a pane, the grace, ahead, late
NEVER = -(2**62)


def at_once(times: Times, arrivals: Times, start: int, sent: int) -> tuple[Times, ...]:
    """The definition, without a loop."""
    pane, grace, most_ahead, latest = LENGTHS
    ahead = times > arrivals + most_ahead
    own = np.where(ahead, NEVER, np.minimum(times, arrivals) - grace)
    after = np.maximum.accumulate(np.append(start, own))
    before = after[:-1]
    panes = times // pane
    ends = (panes + 1) * pane
    late = ends <= before
    parts = np.where(late, before // pane - panes, 0)
    closes = np.where(late, (before // pane + 1) * pane, ends)
    verdicts = np.zeros(len(times), np.int8)
    verdicts[closes <= sent] = placing.SENT
    verdicts[late & (before - ends >= latest)] = placing.TOO_LATE
    verdicts[ahead] = placing.AHEAD
    return panes, parts, before, verdicts, after[-1:]


@pytest.mark.parametrize("start", [NEVER, 5_000])
@pytest.mark.parametrize("sent", [NEVER, 5_300])
def test_events_are_placed_as_by_whole_arrays(
    start: int, sent: int, rng: np.random.Generator
) -> None:
    n = 400
    arrivals = 5_000 + np.arange(n) * 3
    times = arrivals - rng.integers(-400, 400, n)
    panes, parts, before = np.empty((3, n), np.int64)
    verdicts = np.empty(n, np.int8)
    out = (panes, parts, before, verdicts)
    after, is_plain = placing.place(times, arrivals, start, sent, LENGTHS, *out)
    expected = at_once(times, arrivals, start, sent)
    for found, wanted in zip((panes, parts, before, verdicts, [after]), expected, strict=True):
        assert np.array_equal(found, wanted)
    assert not is_plain
    assert set(verdicts.tolist()) >= {placing.IN_TIME, placing.AHEAD, placing.TOO_LATE}


def test_times_before_the_epoch_have_panes_below_zero() -> None:
    out, verdicts = np.empty((3, 2), np.int64), np.empty(2, np.int8)
    times = np.array([-1, -61])
    placing.place(times, times, NEVER, NEVER, LENGTHS, *out, verdicts)
    assert out[0].tolist() == [-1, -2]


@pytest.mark.parametrize(
    ("times", "is_plain"),
    [
        ([], True),
        ([60, 119, 61], True),
        ([60, 120], False),  # two panes
        ([60, 135, 61], False),  # too late for part 0
        ([60, 500], False),  # ahead
    ],
)
def test_events_in_time_for_one_pane_are_told_from_others(times: list[int], is_plain: bool) -> None:
    n = len(times)
    out, verdicts, arrivals = np.empty((3, n), np.int64), np.empty(n, np.int8), np.full(n, 140)
    found = placing.place(
        np.array(times, np.int64), arrivals, NEVER, NEVER, LENGTHS, *out, verdicts
    )
    assert found[1] == is_plain
