"""Spares: memory is used again, and never while somebody looks at it."""

from __future__ import annotations

import numpy as np

from stream.bus.spares import LEAST_BYTES, Spares

SIZE = 2 * LEAST_BYTES


def address(array: np.ndarray) -> int:
    return int(array.ctypes.data)


def test_memory_that_nobody_looks_at_is_used_again() -> None:
    spares = Spares(8 * SIZE)
    first = spares.room(SIZE)
    where = address(first)
    del first
    assert address(spares.room(SIZE - 1)) == where


def test_a_view_of_a_view_holds_memory() -> None:
    spares = Spares(8 * SIZE)
    first = spares.room(SIZE)
    first[:] = 7
    seen = np.frombuffer(first.data[10:20], np.uint8)
    where = address(first)
    del first
    second = spares.room(SIZE)
    assert address(second) != where
    second[:] = 9
    assert (seen == 7).all()


def test_what_is_kept_is_bounded() -> None:
    spares = Spares(2 * SIZE)
    held = [spares.room(SIZE) for _ in range(5)]
    assert len({address(one) for one in held}) == 5
    assert sum(map(len, spares._spares)) <= 2 * SIZE


def test_more_than_may_be_kept_is_given_all_the_same() -> None:
    assert len(Spares(SIZE).room(100 * SIZE)) == 100 * SIZE
