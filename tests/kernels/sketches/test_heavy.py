"""Heavy: against a dict, the promised error on every data set, also after merges."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels import hashing
from kernels.sketches import heavy
from tests.datasets import NAMES, dataset
from tests.laws import MANY, assert_same_bytes
from tests.oracles import heavy as oracle

Keys = NDArray[np.uint64]
FEW = MANY // 5
ROOM = 32


def keys_of(name: str, n: int, seed: int = 1) -> Keys:
    """Hashes of the values of a data set, the wide ones rounded so that some come again."""
    keys = np.zeros(n, np.uint64)
    values = dataset(name, n, seed).values
    rounded = np.sign(values) * np.round(np.log2(np.abs(values) + 1e-9) * 8)
    hashing.hash_floats(rounded, (np.uint64(1), np.uint64(2)), keys)
    return keys


def fed(keys: Keys, capacity: int = ROOM) -> heavy.HeavyHitters:
    state = heavy.empty(1, capacity)
    heavy.update(state, np.zeros(len(keys), np.int32), keys)
    return state


def counters(state: heavy.HeavyHitters) -> dict[int, tuple[int, int]]:
    keys, counts, inherited = (array.tolist() for array in heavy.items(state, 0))
    return dict(zip(keys, zip(counts, inherited, strict=True), strict=True))


def assert_promise(state: heavy.HeavyHitters, keys: Keys) -> None:
    exact = Counter(keys[keys != 0].tolist())
    n, found = exact.total(), counters(state)
    for key, (count, inherited) in found.items():
        assert count - inherited <= exact[key] <= count
        assert inherited <= n / ROOM
    absent = [count for key, count in exact.items() if key not in found]
    assert max(absent, default=0) <= n / ROOM
    assert max(absent, default=0) <= state.dropped[0]


@pytest.mark.parametrize("name", NAMES)
def test_counters_equal_the_oracle_and_keep_the_guarantee(name: str) -> None:
    keys = keys_of(name, FEW)
    state = fed(keys)
    assert counters(state) == oracle.space_saving(keys.tolist(), ROOM)
    assert_promise(state, keys)


@pytest.mark.parametrize("name", NAMES)
def test_merged_counters_keep_the_guarantee_in_either_order(name: str) -> None:
    parts = [keys_of(name, FEW, seed) for seed in (1, 2, 3)]
    forward, backward = heavy.empty(1, ROOM), heavy.empty(1, ROOM)
    for part in parts:
        heavy.merge(forward, np.zeros(1, np.int32), fed(part))
    for part in reversed(parts):
        heavy.merge(backward, np.zeros(1, np.int32), fed(part))
    assert_promise(forward, np.concatenate(parts))
    assert_promise(backward, np.concatenate(parts))


def test_of_ever_new_keys_none_is_taken_for_frequent() -> None:
    state = fed(np.arange(1, 1_001, dtype=np.uint64))
    assert max(count for count, _ in counters(state).values()) <= 1_000 / ROOM + 1


def test_bytes_that_are_not_as_written_are_refused() -> None:
    raw = heavy.pack(fed(np.array([5, 9, 5], np.uint64)), 0)
    assert len(raw) == 3 + 4 * 4 + 3 + 16 + 5 + 1
    swapped = raw.replace(b"\x05" + bytes(7) + b"\x09", b"\x09" + bytes(7) + b"\x05")
    for broken in (raw[:-1], raw + b"\x00", b"XX" + raw[2:], raw[:2] + b"\x07" + raw[3:], swapped):
        with pytest.raises(ValueError, match=r"HH|in order"):
            heavy.unpack(broken)


@pytest.mark.parametrize("different", [ROOM // 2, ROOM, 5 * ROOM])
def test_codes_that_come_again_leave_the_bytes_of_their_keys(
    different: int, rng: np.random.Generator
) -> None:
    keys = rng.integers(1, 2**63, different, np.uint64)
    keys[different // 3] = 0
    codes = rng.zipf(1.3, FEW).astype(np.int32) % different
    slots = rng.integers(-1, 2, FEW).astype(np.int32)
    plain, coded = heavy.empty(2, ROOM), heavy.empty(2, ROOM)
    heavy.update(plain, slots, keys[codes])
    heavy.update_coded(coded, slots, codes, keys, np.zeros(different, np.int64))
    assert_same_bytes(coded, plain)
