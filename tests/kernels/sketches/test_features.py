"""Features: one call gives every sketch the bytes of its own update, however rows are dealt out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels import hashing
from kernels.memory import address_of
from kernels.missing import ABSENT, NULL
from kernels.sketches import features, hyperloglog, logbins, moments, numbers, runs, values
from tests.laws import MANY, assert_same_bytes

KEY = (np.uint64(7), np.uint64(11))
SLOTS = 5
NULL_MARK, MISTYPED_MARK = -1, -3

Slots = NDArray[np.int32]


class Number(NamedTuple):
    """The sketches of one number; counts of a vocabulary are empty where there is none."""

    shape: moments.Moments
    cells: logbins.LogBins
    hashed: hyperloglog.HyperLogLog
    listed: values.ValueCounts


def number(vocabulary: NDArray[np.float64]) -> Number:
    return Number(
        moments.empty(SLOTS),
        logbins.empty(SLOTS),
        hyperloglog.empty(SLOTS),
        values.empty(SLOTS, len(vocabulary)),
    )


def vocabularies() -> list[NDArray[np.float64]]:
    return [np.empty(0), np.arange(4.0), np.empty(0)]


def columns(rng: np.random.Generator, n: int) -> list[NDArray[np.float64]]:
    wide, few = rng.normal(10.0, 3.0, n), rng.integers(-1, 5, n) / 1.0
    wide[rng.random(n) < 0.1] = NULL
    few[rng.random(n) < 0.1] = ABSENT
    few[rng.random(n) < 0.1] = np.inf
    return [wide, few, rng.normal(0.0, 1.0, n).round(1)]


def grid_of(feature: int) -> tuple[float, float]:
    return [(10.0, 1.0 / 3.0), (0.0, 1.0), (0.0, 0.0)][feature]


def plainly(slots: Slots, drawn: list[NDArray[np.float64]]) -> tuple[list[Number], list[int]]:
    """The definition: each sketch by itself; and how many values are not in a vocabulary."""
    states, unlisted = [number(v) for v in vocabularies()], []
    for feature, (state, x) in enumerate(zip(states, drawn, strict=True)):
        arranged, scratch = runs.runs_of(slots, np.zeros(SLOTS, np.int64)), numbers.scratch()
        numbers.update(state.shape, state.cells, arranged, x, *grid_of(feature), scratch)
        vocabulary = vocabularies()[feature]
        codes, hashes = np.full(len(x), -1, np.int32), np.zeros(len(x), np.uint64)
        if len(vocabulary):
            values.lookup(values.build_table(vocabulary), x, codes)
            values.update(state.listed, slots, codes)
            unlisted.append(int(((codes < 0) & np.isfinite(x) & (slots >= 0)).sum()))
        else:
            hashing.hash_floats(x, KEY, hashes)
            hyperloglog.update(state.hashed, slots, hashes)
            unlisted.append(0)
    return states, unlisted


def together(slots: Slots, drawn: list[NDArray[np.float64]]) -> tuple[list[Number], list[int]]:
    states = [number(v) for v in vocabularies()]
    tables = [values.build_table(v) if len(v) else None for v in vocabularies()]
    rows = [
        features.number_row(
            state.shape, state.cells, None if table else state.hashed, table, state.listed
        )
        for state, table in zip(states, tables, strict=True)
    ]
    unlisted = np.zeros(len(states), np.int64)
    features.update_numbers(
        np.array(rows),
        np.array([grid_of(feature) for feature in range(len(states))]),
        np.array([address_of(x) for x in drawn]),
        len(slots),
        SLOTS,
        runs.runs_of(slots, np.zeros(SLOTS, np.int64)),
        KEY,
        features.work(),
        unlisted,
    )
    return states, unlisted.tolist()


@pytest.mark.parametrize("dealt", ["one slot", "at random", "in stretches", "nowhere"])
def test_numbers_get_the_bytes_of_their_own_updates(dealt: str, rng: np.random.Generator) -> None:
    slots = {
        "one slot": np.full(MANY, 3),
        "at random": rng.integers(-1, SLOTS, MANY),
        "in stretches": np.sort(rng.integers(0, SLOTS, MANY)),
        "nowhere": np.full(MANY, -1),
    }[dealt].astype(np.int32)
    drawn = columns(rng, MANY)
    expected, expected_unlisted = plainly(slots, drawn)
    found, unlisted = together(slots, drawn)
    assert unlisted == expected_unlisted
    for one, other in zip(found, expected, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            assert_same_bytes(mine, theirs)


def test_categories_are_counted_by_what_their_codes_mean_in_the_vocabulary(
    rng: np.random.Generator,
) -> None:
    slots = rng.integers(-1, SLOTS, MANY).astype(np.int32)
    codes = [rng.integers(-3, 4, MANY).astype(np.int32), np.zeros(MANY, np.int32)]
    known = [[2, -1, 0, 1], [0]]
    listed = [values.empty(SLOTS, 3), values.empty(SLOTS, 1)]
    apart = [np.zeros((SLOTS, 3), np.int64) for _ in codes]
    unlisted = np.zeros(2, np.int64)
    features.update_categories(
        np.array([features.category_row(*pair) for pair in zip(listed, apart, strict=True)]),
        np.array([address_of(column) for column in codes]),
        np.array([*known[0], *known[1]], np.int32),
        np.array([4, 5]),
        slots,
        SLOTS,
        (NULL_MARK, MISTYPED_MARK),
        unlisted,
    )
    for feature in range(2):
        expected = np.zeros_like(listed[feature].counts)
        others, missed = np.zeros((SLOTS, 3), np.int64), 0
        for slot, code in zip(slots.tolist(), codes[feature].tolist(), strict=True):
            if slot < 0:
                continue
            if code < 0:
                others[slot, 0] += code == NULL_MARK
                others[slot, 1] += code == MISTYPED_MARK
            elif known[feature][code] < 0:
                missed += 1
            else:
                expected[slot, known[feature][code]] += 1
        assert np.array_equal(listed[feature].counts, expected)
        assert np.array_equal(apart[feature], others)
        assert unlisted[feature] == missed
    assert unlisted[0] > 0 == unlisted[1]
