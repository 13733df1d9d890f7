"""Ids: what was seen before, against a plain set; bounded, and the same however batches are cut."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels import ids
from kernels.jit import IS_COMPILED

MANY = 20_000 if IS_COMPILED else 500
Hashes = NDArray[np.uint64]


def told(hashes: Hashes, limit: int, cuts: int) -> list[int]:
    """What a set says of each hash when they come in batches of this size."""
    out, known = np.full(len(hashes), -1, np.int8), ids.empty()
    for start in range(0, len(hashes), cuts):
        rows = np.arange(start, min(start + cuts, len(hashes)))
        known = ids.with_room(known, len(rows), limit)
        ids.add(known, limit, hashes, rows, out)
    return out.tolist()


def plainly(hashes: Hashes, limit: int) -> list[int]:
    known: set[int] = set()
    out = []
    for one in hashes.tolist():
        out.append(ids.SEEN if one in known else ids.NEW if len(known) < limit else ids.UNKEPT)
        if len(known) < limit:
            known.add(one)
    return out


@pytest.mark.parametrize("limit", [1, 63, MANY // 7, 10 * MANY])
def test_a_repeated_hash_is_seen_and_a_full_set_says_what_it_does_not_keep(
    rng: np.random.Generator, limit: int
) -> None:
    hashes = rng.integers(1, MANY // 2, MANY, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    expected = plainly(hashes, limit)
    assert told(hashes, limit, 2_000) == expected
    assert told(hashes, limit, 7) == expected


def test_hashes_that_meet_at_one_place_are_told_apart() -> None:
    hashes = np.array([3 << 32, 5 << 32, 3 << 32, 7 << 32, 5 << 32], np.uint64)
    assert told(hashes, 10, 5) == [ids.NEW, ids.NEW, ids.SEEN, ids.NEW, ids.SEEN]


def test_the_hash_zero_is_an_id_like_others() -> None:
    assert told(np.array([0, 9, 0], np.uint64), 10, 1) == [ids.NEW, ids.NEW, ids.SEEN]


def test_only_the_rows_asked_for_are_looked_at() -> None:
    out = np.full(4, -1, np.int8)
    known = ids.with_room(ids.empty(), 4, 9)
    ids.add(known, 9, np.full(4, 5, np.uint64), np.array([1, 3]), out)
    assert out.tolist() == [-1, ids.NEW, -1, ids.SEEN]


def test_a_set_takes_no_more_memory_than_its_limit_needs() -> None:
    assert len(ids.with_room(ids.empty(), 10**9, 1_000).hashes) == 2_048
    assert len(ids.with_room(ids.empty(), 20, 1_000).hashes) == ids.FIRST_PLACES
