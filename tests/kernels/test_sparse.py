"""Sparse: counts packed and unpacked; bytes that are not ours refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.sparse import pack_counts, packed_bound, totals, unpack_counts, unpack_rows
from tests.oracles import sparse as oracle

MOST = 2**63 - 1
COUNTS = st.lists(st.one_of(st.just(0), st.integers(0, 300), st.integers(0, MOST)), max_size=300)


def pack(counts: list[int], dtype: type = np.int64) -> NDArray[np.uint8]:
    out = np.zeros(packed_bound(len(counts)), np.uint8)
    return out[: pack_counts(np.array(counts, dtype), out)].copy()


def as_bytes(*numbers: int) -> NDArray[np.uint8]:
    return np.array(numbers, np.uint8)


@given(COUNTS)
def test_packed_bytes_equal_the_oracle(counts: list[int]) -> None:
    assert pack(counts).tobytes() == oracle.pack_counts(counts)


@given(COUNTS)
def test_unpacked_counts_equal_what_was_packed(counts: list[int]) -> None:
    out = np.zeros(len(counts), np.int64)
    packed = pack(counts)
    assert unpack_counts(packed, out) == packed.size
    assert out.tolist() == counts


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_both_types_of_count_pack_alike(counts: list[int]) -> None:
    assert pack(counts, np.uint32).tobytes() == pack(counts, np.int64).tobytes()


def test_unpacking_adds_to_what_is_there() -> None:
    out = np.array([1, 2, 3], np.int64)
    unpack_counts(pack([5, 0, 7]), out)
    assert out.tolist() == [6, 2, 10]


def test_bytes_after_the_last_cell_are_left_to_the_caller() -> None:
    packed = pack([0, 9])
    out = np.zeros(2, np.int64)
    assert unpack_counts(np.append(packed, as_bytes(1, 2, 3)), out) == packed.size


def test_read_only_bytes_can_be_unpacked() -> None:
    out = np.zeros(2, np.int64)
    assert unpack_counts(np.frombuffer(pack([0, 9]).tobytes(), np.uint8), out) > 0


def test_nothing_packs_to_one_byte() -> None:
    assert pack([0] * 1000).tobytes() == b"\0"


def test_largest_counts_fill_no_more_than_the_bound() -> None:
    assert pack([MOST] * 200).size <= packed_bound(200)


def test_too_small_a_buffer_is_refused() -> None:
    assert pack_counts(np.ones(4, np.int64), np.zeros(packed_bound(4) - 1, np.uint8)) == -1


@pytest.mark.parametrize(
    "corrupt",
    [
        pytest.param(as_bytes(), id="no bytes at all"),
        pytest.param(as_bytes(1), id="ends before the skip"),
        pytest.param(as_bytes(1, 0), id="ends before the count"),
        pytest.param(as_bytes(1, 0, 0x80), id="ends within the count"),
        pytest.param(as_bytes(1, 3, 1), id="a cell outside"),
        pytest.param(as_bytes(2, 2, 1, 0, 1), id="a second cell outside"),
        pytest.param(as_bytes(4, 0, 1, 0, 1, 0, 1, 0, 1), id="more cells than there are"),
        pytest.param(as_bytes(1, 0, 0), id="a count of zero"),
        pytest.param(as_bytes(1, 0, 0x81, 0), id="a number spelled too long"),
        pytest.param(as_bytes(1, *[0xFF] * 9, 1, 1), id="a skip beyond 63 bits"),
        pytest.param(as_bytes(1, *[0xFF] * 8, 0x7F, 1), id="the largest skip"),
        pytest.param(as_bytes(*[0xFF] * 8, 0x7F, 0, 1), id="the largest number of cells"),
        pytest.param(as_bytes(2, 0, 1, 2, *[0xFF] * 8, 0x7F), id="a sum beyond int64"),
    ],
)
def test_corrupt_bytes_are_refused_and_change_nothing(corrupt: NDArray[np.uint8]) -> None:
    out = np.array([0, 0, 1], np.int64)
    assert unpack_counts(corrupt, out) == -1
    assert out.tolist() == [0, 0, 1]


@given(st.binary(max_size=40))
def test_any_bytes_are_read_within_bounds_or_refused(noise: bytes) -> None:
    out = np.zeros(5, np.int64)
    n_read = unpack_counts(np.frombuffer(noise, np.uint8), out)
    assert (n_read == -1 and not out.any()) or pack(out.tolist()).tobytes() == noise[:n_read]


@given(st.lists(st.lists(st.integers(0, 300), min_size=3, max_size=3), max_size=5))
def test_rows_are_unpacked_as_one_by_one_and_a_row_of_minus_one_is_skipped(
    rows: list[list[int]],
) -> None:
    packed = [pack(row) for row in rows]
    ends = np.cumsum([0, *(part.size for part in packed)])
    buffer = np.frombuffer(b"".join(part.tobytes() for part in packed), np.uint8)
    out, slots = np.ones((len(rows) + 1, 3), np.int64), np.arange(len(rows), dtype=np.int32)
    slots[1::2] = -1
    unpack_rows(buffer, ends, slots, out)
    expected = [row if at % 2 == 0 else [0] * 3 for at, row in enumerate(rows)]
    assert (out[:-1] - 1).tolist() == expected
    found = np.zeros(len(rows), np.int64)
    totals(buffer, ends, 3, found)
    assert found.tolist() == [sum(row) for row in rows]


@given(st.binary(max_size=40))
def test_a_total_is_of_what_can_be_unpacked_and_of_nothing_else(noise: bytes) -> None:
    out, found = np.zeros(5, np.int64), np.zeros(1, np.int64)
    buffer = np.frombuffer(noise, np.uint8)
    n_read = unpack_counts(buffer, out)
    totals(buffer, np.array([0, len(noise)]), 5, found)
    assert found[0] == (-1 if n_read < 0 or sum(out.tolist()) > MOST else out.sum())
