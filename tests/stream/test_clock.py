"""The clocks: the system's, and one that tests move by hand."""

from __future__ import annotations

import pytest

from stream.clock import Clock, ManualClock, SystemClock

YEAR_2026_MS = 1_767_225_600_000


def test_the_system_clock_gives_milliseconds_since_the_epoch():
    now_ms = SystemClock().now_ms()
    assert isinstance(now_ms, int)
    assert YEAR_2026_MS - 366 * 86_400_000 < now_ms < YEAR_2026_MS * 2


def test_monotonic_time_does_not_go_back():
    clock = SystemClock()
    first_ms = clock.monotonic_ms()
    assert clock.monotonic_ms() >= first_ms


def test_advancing_moves_both_clocks():
    clock: Clock = ManualClock(now_ms=YEAR_2026_MS)
    assert isinstance(clock, ManualClock)
    clock.advance_ms(1_500)
    assert (clock.now_ms(), clock.monotonic_ms()) == (YEAR_2026_MS + 1_500, 1_500)


@pytest.mark.parametrize("offset_ms", [-3_600_000, 3_600_000])
def test_a_jump_moves_the_wall_clock_only(offset_ms: int):
    clock = ManualClock(now_ms=YEAR_2026_MS)
    clock.jump_ms(offset_ms)
    assert (clock.now_ms(), clock.monotonic_ms()) == (YEAR_2026_MS + offset_ms, 0)


def test_time_does_not_pass_backwards():
    with pytest.raises(ValueError, match="forwards only, got -1 ms"):
        ManualClock().advance_ms(-1)
