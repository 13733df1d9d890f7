"""Columns: JSON values become arrays, and every kind of missing value stays what it was."""

from __future__ import annotations

from math import inf, isnan, sqrt
from typing import Any

import numpy as np
import pytest

from kernels.missing import ABSENT_BITS, MISTYPED_BITS, NULL_BITS
from stream.detect.ingest.columns import (
    ABSENT_CODE,
    ABSENT_MARK,
    MISTYPED_CODE,
    NULL_CODE,
    Column,
    column_of,
    numbers_of,
    texts_of,
)
from stream.detect.specs import LimitSpec

LIMITS = LimitSpec(max_text=16)
NAN = float("nan")
NAMES = {int(NULL_BITS): "null", int(ABSENT_BITS): "absent", int(MISTYPED_BITS): "mistyped"}
CODES = {NULL_CODE: "null", ABSENT_CODE: "absent", MISTYPED_CODE: "mistyped"}


def read(*values: Any) -> Column:
    return column_of(values, LIMITS)


def shown(numbers: np.ndarray | None) -> list[Any]:
    """Numbers, with the kinds of missing ones in words."""
    assert numbers is not None
    bits = numbers.view(np.uint64).tolist()
    return [
        NAMES.get(b, "nan" if isnan(x) else x) for b, x in zip(bits, numbers.tolist(), strict=True)
    ]


def categories(column: Column) -> list[str]:
    codes, texts = texts_of(column)
    assert codes.dtype == np.int32
    return [CODES[c] if c < 0 else f"={texts[c]}" for c in codes.tolist()]


def test_numbers_of_both_types_are_float64() -> None:
    assert shown(read(1, 2.5, -0.0, 2**64 - 1).numbers) == [1.0, 2.5, 0.0, 2.0**64]


def test_missing_numbers_keep_their_kind_beside_nan_and_infinities() -> None:
    found = shown(read(1, None, ABSENT_MARK, NAN, inf, -inf).numbers)
    assert found == [1.0, "null", "absent", "nan", inf, -inf]


@pytest.mark.parametrize("other", ["text", True, [1], {"a": 1}])
def test_missing_numbers_keep_their_kind_in_any_company(other: Any) -> None:
    found = shown(numbers_of(read(1, None, ABSENT_MARK, NAN, inf, other)))
    assert found == [1.0, "null", "absent", "nan", inf, "mistyped"]


def test_a_column_of_missing_values_is_one_of_numbers() -> None:
    column = read(None, ABSENT_MARK)
    assert (shown(column.numbers), column.codes) == (["null", "absent"], None)


def test_texts_are_coded_in_the_order_in_which_they_come() -> None:
    column = read("b", "a", "b", "")
    assert (column.codes.tolist(), column.texts) == ([0, 1, 0, 2], ["b", "a", ""])  # type: ignore[union-attr]
    assert column.numbers is None


def test_booleans_are_the_categories_true_and_false() -> None:
    assert categories(read(True, False, "true", None)) == ["=true", "=false", "=true", "null"]


def test_a_category_takes_numbers_by_their_shortest_text() -> None:
    found = categories(read(3, 3.0, -0.0, 0.5, 1e22, inf, NAN, "3", None, ABSENT_MARK, [1], {}))
    assert found == ["=3", "=3", "=0", "=0.5", "=10000000000000000000000", "=inf", "mistyped", "=3",
                     "null", "absent", "mistyped", "mistyped"]  # fmt: skip


def test_a_number_takes_neither_texts_nor_booleans() -> None:
    assert shown(numbers_of(read("3", True, None, ABSENT_MARK))) == [
        "mistyped", "mistyped", "null", "absent"
    ]  # fmt: skip


def test_long_texts_are_cut_and_what_is_then_equal_is_one() -> None:
    long = "x" * 30
    column = read(long + "1", "a", long + "2", 7, "x" * 16)
    shortened = "=" + "x" * 15 + "…"
    assert categories(column) == [shortened, "=a", shortened, "=7", "=" + "x" * 16]
    assert len(set(column.texts)) == len(column.texts)


@pytest.mark.parametrize(
    ("array", "length"),
    [
        ([3, 4], 5.0),
        ([], 0.0),
        ([0.1, 0.2], sqrt(0.1**2 + 0.2**2)),
        ([1e200, 1e200], inf),
        ([2**63] * 3, sqrt(3) * 2.0**63),
        ([inf, 1], inf),
        ([NAN, 1], "nan"),
        ([None, 1], "nan"),
        (["a"], "mistyped"),
        ([True], "mistyped"),
        ([[1]], "mistyped"),
        ([None, "a"], "mistyped"),
        ([{}], "mistyped"),
    ],
)
def test_an_array_of_numbers_counts_by_its_length(array: list[Any], length: Any) -> None:
    [found] = shown(read(array).norms)
    assert found == pytest.approx(length) if isinstance(length, float) else found == length


def test_a_column_may_hold_numbers_texts_and_arrays_side_by_side() -> None:
    column = read(1.5, "a", [3, 4], None, ABSENT_MARK, {})
    assert shown(column.numbers) == [1.5, "mistyped", "mistyped", "null", "absent", "mistyped"]
    assert shown(column.norms) == ["mistyped", "mistyped", 5.0, "null", "absent", "mistyped"]
    assert column.codes.tolist() == [-3, 0, -3, -1, -2, -3]  # type: ignore[union-attr]
