"""Hyperloglog: registers and estimate against the oracle, the promised error on every data set."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels import hashing
from kernels.jit import IS_COMPILED
from kernels.missing import ABSENT, NULL
from kernels.sketches import hyperloglog
from tests.datasets import NAMES, dataset
from tests.laws import MANY
from tests.oracles import hyperloglog as oracle

KEY = (np.uint64(7), np.uint64(11))


def sketched(values: NDArray[np.float64], key: hashing.Key = KEY) -> hyperloglog.HyperLogLog:
    state, hashes = hyperloglog.empty(1), np.zeros(len(values), np.uint64)
    hashing.hash_floats(values, key, hashes)
    hyperloglog.update(state, np.zeros(len(values), np.int32), hashes)
    return state


def test_registers_and_estimate_equal_the_oracle(rng: np.random.Generator) -> None:
    hashes = rng.integers(0, 2**63, MANY, dtype=np.uint64) >> rng.integers(0, 64, MANY).astype("u8")
    state = hyperloglog.empty(1)
    hyperloglog.update(state, np.zeros(MANY, np.int32), hashes)
    expected = oracle.registers(hashes.tolist(), hyperloglog.P)
    used = {i: int(r) for i, r in enumerate(state.registers[0]) if r}
    assert used == expected
    found = hyperloglog.distinct(state, 0)
    assert found == pytest.approx(oracle.distinct(expected, hyperloglog.P), rel=1e-12)


def test_a_full_register_is_estimated_as_the_oracle_does() -> None:
    state = hyperloglog.empty(1)
    hyperloglog.update(state, np.zeros(2, np.int32), np.array([5, 2**63], np.uint64))
    assert state.registers[0, 5] == hyperloglog.LONGEST + 1
    expected = oracle.distinct(oracle.registers([5, 2**63], hyperloglog.P), hyperloglog.P)
    assert hyperloglog.distinct(state, 0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_error_keeps_the_guarantee(name: str) -> None:
    values = dataset(name, 10 * MANY if IS_COMPILED else MANY).values
    different = len(np.unique(values[np.isfinite(values)] + 0.0))
    found = hyperloglog.distinct(sketched(values), 0)
    assert abs(found - different) <= max(hyperloglog.GUARANTEE * different, 0.5)


@pytest.mark.skipif(not IS_COMPILED, reason="the same numbers as compiled, only slower")
@pytest.mark.parametrize("n", [3, 30, 99, 300, 3_000, 10_000, 30_000, 300_000])
def test_standard_error_is_what_is_stated_over_many_keys(n: int) -> None:
    errors = []
    for seed in range(60):
        state = sketched(np.arange(n) / 4, (np.uint64(seed), np.uint64(n)))
        errors.append(hyperloglog.distinct(state, 0) - n)
    # A standard deviation over 60 runs is itself within 30 % (chi-square, one in a thousand).
    assert np.sqrt(np.mean(np.square(errors))) <= 1.3 * hyperloglog.STANDARD_ERROR * n
    assert abs(np.mean(errors)) <= 3.3 * hyperloglog.STANDARD_ERROR * n / np.sqrt(60)


def test_missing_and_infinite_numbers_are_no_values_and_both_zeros_are_one() -> None:
    values = np.array([np.nan, float(NULL), float(ABSENT), np.inf, -np.inf, 0.0, -0.0])
    assert round(hyperloglog.distinct(sketched(values), 0)) == 1


def test_an_empty_row_has_none() -> None:
    assert hyperloglog.distinct(hyperloglog.empty(1), 0) == 0.0


def test_packed_size_follows_what_is_in_it() -> None:
    sizes = [len(hyperloglog.pack(sketched(np.arange(float(n))), 0)) for n in (0, 1, 10, 100_000)]
    assert sizes[:2] == [12, 15]
    assert sizes[2] <= 12 + 3 * 10
    assert sizes[3] <= 2_200


def test_registers_far_apart_are_packed_too() -> None:
    state = sketched(np.arange(50_000.0))
    state.registers[0, 17], state.registers[0, 18] = 53, 0
    [again] = hyperloglog.unpack(hyperloglog.pack(state, 0))
    assert again.tobytes() == state.registers.tobytes()


@pytest.mark.parametrize("change", ["kind", "version", "short", "long", "register"])
def test_bytes_that_are_not_as_written_are_refused(change: str) -> None:
    raw = hyperloglog.pack(sketched(np.arange(9.0)), 0)
    broken = {
        "kind": b"XX" + raw[2:],
        "version": raw[:2] + b"\x09" + raw[3:],
        "short": raw[:-1],
        "long": raw + b"\x00",
        "register": b"HL\x01\x03\x00\x00\x00\x01\x00\x36\x00\x00\x00\x00",
    }[change]
    with pytest.raises(ValueError, match=r"HL|register"):
        hyperloglog.unpack(broken)


def unpacked_together(parts: list[bytes]) -> tuple[int, NDArray[np.uint8]]:
    ends = np.cumsum([0, *(len(part) for part in parts)])
    buffer = np.frombuffer(b"".join(parts), np.uint8)
    out = hyperloglog.empty(len(parts)).registers
    return hyperloglog.unpack_each(buffer, np.stack([ends[:-1], ends[1:]], axis=1), out), out


def test_many_are_unpacked_as_one_by_one() -> None:
    states = [sketched(np.arange(float(n))) for n in (0, 1, 10, 1_000, 100_000)]
    states[3].registers[0, :] += np.uint8(3)
    states[4].registers[0, 17], states[4].registers[0, 18] = 53, 0
    bad, rows = unpacked_together([hyperloglog.pack(state, 0) for state in states])
    assert bad == -1
    assert rows.tobytes() == b"".join(state.registers.tobytes() for state in states)


@pytest.mark.parametrize("at", range(20))
def test_of_many_the_one_that_cannot_be_read_is_named(at: int) -> None:
    for n in (9, 5_000):
        good = hyperloglog.pack(sketched(np.arange(float(n))), 0)
        broken = good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1 :]
        try:
            expected = hyperloglog.unpack(broken).registers.tobytes()
        except ValueError:
            assert unpacked_together([good, broken, good])[0] == 1
        else:
            assert unpacked_together([good, broken])[1][1].tobytes() == expected
    assert unpacked_together([good, b"", good])[0] == 1
    assert unpacked_together([good, good[:-1]])[0] == 1
