"""Divergences: equal to the plain ones, zero for equal shares, in range, NaN for nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.measures import divergences
from tests.oracles import divergences as oracle

Floats = NDArray[np.float64]
Measure = Callable[[Floats, Floats], float]
NAMES = ("psi", "kl", "jensen_shannon", "hellinger", "total_variation", "l_infinity")
SYMMETRIC = tuple(name for name in NAMES if name != "kl")
BOUNDED = ("jensen_shannon", "hellinger", "total_variation", "l_infinity")
COUNT = st.one_of(st.just(0), st.integers(0, 20), st.integers(0, 10**9))
PAIRS = st.lists(st.tuples(COUNT, COUNT), min_size=1, max_size=30).filter(
    lambda pairs: all(sum(side) > 0 for side in zip(*pairs, strict=True))
)
measured = pytest.mark.parametrize("name", NAMES)


def sides(pairs: list[tuple[int, int]]) -> tuple[Floats, Floats]:
    return np.array([pair[0] for pair in pairs], float), np.array(
        [pair[1] for pair in pairs], float
    )


def measure(name: str) -> Measure:
    found: Measure = getattr(divergences, name)
    return found


@measured
@given(pairs=PAIRS)
def test_measure_equals_the_oracle(name: str, pairs: list[tuple[int, int]]) -> None:
    reference, current = sides(pairs)
    expected = getattr(oracle, name)(reference, current)
    # A square root of a rounding error is 1e-8: no two ways of summing agree better near zero.
    assert measure(name)(reference, current) == pytest.approx(expected, rel=1e-7, abs=3e-7)


@measured
@given(pairs=PAIRS)
def test_equal_shares_measure_zero(name: str, pairs: list[tuple[int, int]]) -> None:
    reference, _ = sides(pairs)
    assert measure(name)(reference, 4.0 * reference) == 0.0


@pytest.mark.parametrize("name", SYMMETRIC)
@given(pairs=PAIRS)
def test_sides_may_be_exchanged(name: str, pairs: list[tuple[int, int]]) -> None:
    reference, current = sides(pairs)
    swapped = measure(name)(current, reference)
    assert measure(name)(reference, current) == pytest.approx(swapped, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", BOUNDED)
@given(pairs=PAIRS)
def test_bounded_measure_stays_between_zero_and_one(
    name: str, pairs: list[tuple[int, int]]
) -> None:
    assert 0.0 <= measure(name)(*sides(pairs)) <= 1.0


@pytest.mark.parametrize("name", BOUNDED)
def test_bounded_measure_is_one_when_no_bin_is_shared(name: str) -> None:
    assert measure(name)(np.array([5.0, 0.0]), np.array([0.0, 3.0])) == 1.0


@measured
@pytest.mark.parametrize("empty", [0, 1, 2], ids=["reference", "current", "both"])
def test_an_empty_side_has_no_answer(name: str, empty: int) -> None:
    pair = [np.array([1.0, 2.0]), np.array([2.0, 1.0])]
    for side in (0, 1):
        if empty in (side, 2):
            pair[side] = np.zeros(2)
    assert math.isnan(measure(name)(pair[0], pair[1]))


@measured
def test_no_bins_have_no_answer(name: str) -> None:
    assert math.isnan(measure(name)(np.zeros(0), np.zeros(0)))


def test_psi_of_a_vanished_bin_is_that_of_the_floor() -> None:
    value = divergences.psi(np.array([50.0, 50.0]), np.array([100.0, 0.0]))
    assert value == pytest.approx(0.5 * math.log(2.0) + (0.5 - 1e-4) * math.log(0.5 / 1e-4))


def test_psi_of_a_known_shift() -> None:
    value = divergences.psi(np.array([25.0, 75.0]), np.array([75.0, 25.0]))
    assert value == pytest.approx(math.log(3.0))


def test_kl_is_of_current_relative_to_reference() -> None:
    reference, current = np.array([90.0, 10.0]), np.array([50.0, 50.0])
    expected = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert divergences.kl(reference, current) == pytest.approx(expected)


def test_kl_falls_below_zero_by_no_more_than_the_floor() -> None:
    reference = np.array([1.0, *[0.0] * 50])
    current = np.array([1e6, *[1.0] * 50])
    assert -51 * divergences.FLOOR <= divergences.kl(reference, current) <= 0.0


@given(pairs=PAIRS)
def test_culprit_is_the_bin_that_l_infinity_speaks_of(pairs: list[tuple[int, int]]) -> None:
    reference, current = sides(pairs)
    at = divergences.culprit(reference, current)
    change = abs(current[at] / current.sum() - reference[at] / reference.sum())
    assert change == divergences.l_infinity(reference, current)


def test_of_equal_changes_the_first_bin_is_the_culprit() -> None:
    assert divergences.culprit(np.array([1.0, 1.0]), np.array([2.0, 0.0])) == 0


def test_an_empty_side_has_no_culprit() -> None:
    assert divergences.culprit(np.ones(2), np.zeros(2)) == -1
