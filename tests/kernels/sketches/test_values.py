"""Values: exact counts, and numbers found in a table by their bits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.missing import NULL
from kernels.sketches import values
from tests.datasets import NAMES, dataset
from tests.laws import MANY
from tests.oracles import values as oracle

FLOATS = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)


def looked_up(vocabulary: list[float], numbers: list[float]) -> list[int]:
    codes: NDArray[np.int32] = np.full(len(numbers), 99, np.int32)
    table = values.build_table(np.array(vocabulary, np.float64))
    values.lookup(table, np.array(numbers, np.float64), codes)
    return codes.tolist()


def test_counts_equal_the_oracle(rng: np.random.Generator) -> None:
    slots = rng.integers(-1, 3, MANY).astype(np.int32)
    codes = rng.integers(-1, 5, MANY).astype(np.int32)
    state = values.empty(3, 5)
    values.update(state, slots, codes)
    assert state.counts.tolist() == oracle.counts(slots.tolist(), codes.tolist(), 3, 5)


@pytest.mark.parametrize("name", NAMES)
def test_counts_of_a_vocabulary_are_exact_on_every_data_set(name: str) -> None:
    numbers = dataset(name, MANY).values
    known = np.unique(numbers[np.isfinite(numbers)])[:512]
    codes, state = np.empty(MANY, np.int32), values.empty(1, known.size)
    values.lookup(values.build_table(known), numbers, codes)
    values.update(state, np.zeros(MANY, np.int32), codes)
    assert state.counts[0].tolist() == [int((numbers == value).sum()) for value in known]
    assert (codes < 0).sum() == MANY - np.isin(numbers, known).sum()


def test_a_code_beyond_the_columns_is_skipped() -> None:
    state = values.empty(2, 3)
    codes = np.array([2, 3, 1000, np.iinfo(np.int32).min], np.int32)
    values.update(state, np.zeros(4, np.int32), codes)
    assert state.counts.tolist() == [[0, 0, 1], [0, 0, 0]]


@given(st.lists(FLOATS, max_size=30), st.lists(FLOATS, max_size=30))
def test_codes_equal_the_oracle(vocabulary: list[float], others: list[float]) -> None:
    numbers = vocabulary + others
    assert looked_up(vocabulary, numbers) == oracle.codes(vocabulary, numbers)


def test_both_zeros_are_one_value() -> None:
    assert looked_up([-0.0, 1.0], [0.0, -0.0]) == [0, 0]


def test_missing_and_infinite_numbers_have_no_code() -> None:
    assert looked_up([math.inf, 1.0], [math.nan, float(NULL), math.inf, -math.inf]) == [-1] * 4


def test_an_empty_vocabulary_knows_nothing() -> None:
    assert looked_up([], [0.0, 1.0]) == [-1, -1]


def test_of_equal_values_the_first_gives_the_code() -> None:
    assert looked_up([7.0, 8.0, 7.0], [7.0]) == [0]


def test_table_is_a_power_of_two_and_at_most_a_quarter_full() -> None:
    table = values.build_table(np.arange(100.0))
    assert table.keys.size == 512
    assert (table.codes >= 0).sum() == 100


# Such numbers share most of their bits: a poor hash would pile them up.
@pytest.mark.parametrize(
    "vocabulary",
    [
        pytest.param(np.arange(512.0), id="integers"),
        pytest.param(np.arange(512) / 100, id="cents"),
        pytest.param(1e9 + np.arange(512), id="identifiers"),
        pytest.param(2.0 ** np.arange(-256, 256), id="powers of two"),
        pytest.param(np.arange(512) * 2.0**20, id="multiples"),
    ],
)
def test_common_vocabularies_are_found_within_few_places(vocabulary: NDArray[np.float64]) -> None:
    table = values.build_table(vocabulary)
    assert _longest_run(table.codes >= 0) <= 32


def _longest_run(is_used: NDArray[np.bool_]) -> int:
    gaps = np.flatnonzero(~np.concatenate([is_used, is_used]))
    return int(np.diff(gaps).max()) - 1
