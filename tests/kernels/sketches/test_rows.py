"""Rows: against sorting all events, uniform on every data set, whatever the order."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels import hashing
from kernels.jit import IS_COMPILED
from kernels.sketches import rows
from tests.datasets import NAMES, dataset
from tests.laws import MANY
from tests.oracles import rows as oracle

K = 64


def hashed(n: int, seed: int = 1) -> NDArray[np.uint64]:
    """Hashes of the ids 1 to n."""
    ids = np.zeros(n, np.uint64)
    hashing.hash_floats(np.arange(1.0, n + 1), (np.uint64(seed), np.uint64(0)), ids)
    return ids


def sampled(ids: NDArray[np.uint64], columns: NDArray[np.float64], k: int = K) -> rows.Rows:
    state = rows.empty(1, k, len(columns))
    rows.update(state, np.zeros(len(ids), np.int32), ids, columns)
    return state


def held(state: rows.Rows) -> list[tuple[int, bytes]]:
    order = np.argsort(state.ids[0, : state.used[0]])
    return [(int(state.ids[0, i]), state.values[0, i].tobytes()) for i in order]


@pytest.mark.parametrize("n", [1, K - 1, K, K + 1, 5 * K])
def test_sample_equals_the_oracle(n: int, rng: np.random.Generator) -> None:
    ids = hashed(n)[rng.integers(0, n, n)]
    columns = rng.choice([0.0, -0.0, 1.5, np.nan, -np.inf], (2, n))
    state = sampled(ids, columns)
    expected = oracle.sample(ids.tolist(), columns.T.tolist(), K)
    assert (held(state), int(state.bound[0])) == expected


def test_order_and_batches_do_not_matter(rng: np.random.Generator) -> None:
    ids, columns = hashed(MANY), rng.normal(size=(3, MANY))
    shuffled = rng.permutation(MANY)
    one, other = sampled(ids, columns), sampled(ids[shuffled], columns[:, shuffled].copy())
    assert rows.pack(one, 0) == rows.pack(other, 0)


def test_only_candidates_need_to_be_given(rng: np.random.Generator) -> None:
    ids, columns = hashed(MANY), rng.normal(size=(2, MANY))
    state, chosen, given = rows.empty(1, K, 2), np.zeros(MANY, np.int64), 0
    for start in range(0, MANY, 100):
        slots, part = np.zeros(100, np.int32), ids[start : start + 100]
        n = rows.candidates(state, slots, part, chosen)
        at = chosen[:n]
        rows.update(state, slots[at], part[at], columns[:, start + at].copy())
        given += n
    assert held(state) == held(sampled(ids, columns))
    assert given < (5 + np.log(MANY / K)) * K


def test_panes_merge_to_a_larger_sample_that_is_uniform_still(rng: np.random.Generator) -> None:
    ids, columns = hashed(MANY), rng.normal(size=(1, MANY))
    window = rows.empty(1, 10 * K, 1)
    for part in np.split(np.arange(MANY), 5):
        rows.merge(window, np.zeros(1, np.int32), sampled(ids[part], columns[:, part].copy()))
    assert window.used[0] == np.count_nonzero(ids < window.bound[0])
    assert K < window.used[0] <= 5 * K


@pytest.mark.parametrize("name", NAMES)
def test_share_below_any_value_keeps_the_guarantee(name: str) -> None:
    values = dataset(name, MANY).values
    sample = np.sort(rows.sample(sampled(hashed(MANY), values[None], 200), 0)[:, 0])
    at = np.unique(values)
    of_sample = np.searchsorted(sample, at, side="right") / len(sample)
    of_all = np.searchsorted(np.sort(values), at, side="right") / len(values)
    assert np.abs(of_sample - of_all).max() <= rows.GUARANTEE / np.sqrt(200)


@pytest.mark.skipif(not IS_COMPILED, reason="the same numbers as compiled, only slower")
def test_every_event_has_the_same_chance() -> None:
    n, runs = 400, 1_000
    chosen = np.zeros(n)
    for seed in range(runs):
        places = rows.sample(sampled(hashed(n, seed), np.arange(float(n))[None], 40), 0)
        chosen[places[:, 0].astype(int)] += 1
    expected = runs * 40 / n
    chi_square = ((chosen - expected) ** 2 / (expected * (1 - 40 / n))).sum()
    assert abs(chi_square - n) < 3.3 * np.sqrt(2 * n)


def test_bytes_that_are_not_as_written_are_refused() -> None:
    raw = rows.pack(sampled(hashed(5), np.arange(10.0).reshape(2, 5)), 0)
    assert len(raw) < 5 * 3 * 8 + 40
    for broken in (raw[:-1], raw + b"\x00", b"XX" + raw[2:], raw[:2] + b"\x07" + raw[3:]):
        with pytest.raises(ValueError, match="RW"):
            rows.unpack(broken)


def test_rows_out_of_order_are_refused() -> None:
    raw = rows.pack(sampled(np.array([3, 7], np.uint64), np.zeros((1, 2))), 0)
    swapped = raw.replace(
        b"\x03" + bytes(7) + b"\x07" + bytes(7), b"\x07" + bytes(7) + b"\x03" + bytes(7)
    )
    with pytest.raises(ValueError, match="not in order"):
        rows.unpack(swapped)
