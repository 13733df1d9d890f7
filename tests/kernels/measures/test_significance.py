"""Significance: equal to scipy; rare bins pooled the same way every time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.measures import significance
from tests.oracles import significance as oracle

Floats = NDArray[np.float64]
COUNTS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=20
).filter(lambda pairs: all(sum(side) > 0 for side in zip(*pairs, strict=True)))
P_VALUES = st.lists(st.one_of(st.just(math.nan), st.floats(0.0, 1.0)), max_size=40)


def sides(pairs: list[tuple[int, int]]) -> tuple[Floats, Floats]:
    return np.array([pair[0] for pair in pairs], float), np.array(
        [pair[1] for pair in pairs], float
    )


@given(COUNTS)
def test_chi_square_equals_scipy(pairs: list[tuple[int, int]]) -> None:
    statistic, dof = significance.chi_square(*sides(pairs))
    expected, expected_dof = oracle.chi_square(*sides(pairs))
    assert dof == expected_dof
    assert statistic == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_chi_square_of_two_bins_has_no_correction() -> None:
    statistic, dof = significance.chi_square(np.array([10.0, 20.0]), np.array([20.0, 10.0]))
    assert (statistic, dof) == (pytest.approx(20.0 / 3.0), 1)


def test_chi_square_passes_over_bins_without_counts() -> None:
    with_gap = significance.chi_square(np.array([10.0, 0.0, 20.0]), np.array([20.0, 0.0, 10.0]))
    assert with_gap == significance.chi_square(np.array([10.0, 20.0]), np.array([20.0, 10.0]))


def test_chi_square_of_an_empty_side_has_no_answer() -> None:
    statistic, dof = significance.chi_square(np.array([1.0, 2.0]), np.zeros(2))
    assert math.isnan(statistic)
    assert dof == 0


@given(COUNTS, st.sampled_from([0.0, 1.0, 5.0, 1000.0]))
def test_pooled_bins_equal_the_oracle(
    pairs: list[tuple[int, int]], smallest_expected: float
) -> None:
    both = np.add(*sides(pairs))
    reference, current = significance.pooled(*sides(pairs), both, smallest_expected)
    expected = oracle.pooled(*sides(pairs), both, smallest_expected)
    assert list(zip(reference.tolist(), current.tolist(), strict=True)) == expected


@given(COUNTS, st.sampled_from([0.1, 1.0, 7.0, 1e6]), st.sampled_from([1.0, 5.0, 1000.0]))
def test_groups_are_as_many_as_are_pooled(
    pairs: list[tuple[int, int]], share: float, smallest_expected: float
) -> None:
    reference, _ = sides(pairs)
    current = reference * share
    found = significance.groups(reference, min(reference.sum(), current.sum()), smallest_expected)
    assert found == significance.pooled(reference, current, reference, smallest_expected)[0].size


@given(COUNTS)
def test_pooling_keeps_all_counts(pairs: list[tuple[int, int]]) -> None:
    reference, current = significance.pooled(*sides(pairs), np.add(*sides(pairs)), 5.0)
    assert (reference.sum(), current.sum()) == tuple(side.sum() for side in sides(pairs))


def test_rare_bins_are_put_together() -> None:
    reference, current = np.array([4.0, 50.0, 3.0, 60.0]), np.array([3.0, 40.0, 4.0, 70.0])
    pooled = significance.pooled(reference, current, reference + current, 5.0)
    assert [side.tolist() for side in pooled] == [[7.0, 50.0, 60.0], [7.0, 40.0, 70.0]]


def test_a_bin_of_the_rare_that_stays_rare_takes_in_the_rarest_other() -> None:
    reference, current = np.array([1.0, 50.0, 9.0, 60.0]), np.array([1.0, 50.0, 9.0, 60.0])
    pooled = significance.pooled(reference, current, reference + current, 5.0)
    assert [side.tolist() for side in pooled] == [[10.0, 50.0, 60.0], [10.0, 50.0, 60.0]]


def test_equally_rare_bins_are_put_together_in_pairs_not_all_in_one() -> None:
    pooled = significance.pooled(np.full(5, 3.0), np.arange(1.0, 6.0), np.ones(5), 5.0)
    assert [side.size for side in pooled] == [2, 2]


def test_bins_are_put_together_by_what_is_believed_of_them_not_by_what_came() -> None:
    """By their counts the two emptiest of four equal bins would be one, and seem too empty."""
    current = np.array([1.0, 5.0, 1.0, 5.0])
    pooled = significance.pooled(np.full(4, 3.0), current, np.full(4, 100.0), 5.0)
    assert [side.tolist() for side in pooled] == [[6.0, 6.0], [6.0, 6.0]]


def test_bins_without_counts_vanish() -> None:
    side = np.array([9.0, 0.0, 9.0])
    pooled = significance.pooled(side, side, side, 5.0)
    assert [side.tolist() for side in pooled] == [[9.0, 9.0], [9.0, 9.0]]


def test_pooling_nothing_leaves_nothing() -> None:
    assert [side.size for side in significance.pooled(*[np.zeros(3)] * 3, 5.0)] == [0, 0]


@given(P_VALUES)
def test_q_values_equal_scipy(p_values: list[float]) -> None:
    array = np.array(p_values, float)
    np.testing.assert_allclose(
        significance.benjamini_hochberg(array), oracle.benjamini_hochberg(array), rtol=1e-12
    )


def test_nan_is_no_test() -> None:
    with_nan = significance.benjamini_hochberg(np.array([0.01, math.nan, 0.04]))
    assert with_nan.tolist()[::2] == [0.02, 0.04]
    assert math.isnan(with_nan[1])


def test_q_values_leave_the_p_values_alone() -> None:
    p_values = np.array([0.5, 0.1])
    significance.benjamini_hochberg(p_values)
    assert p_values.tolist() == [0.5, 0.1]


@given(COUNTS)
def test_what_is_believed_of_a_bin_is_the_reference_unless_it_more_than_doubled(
    pairs: list[tuple[int, int]],
) -> None:
    reference, current = sides(pairs)
    n, m = current.sum(), reference.sum()
    both = (reference + current) * (m / (n + m))
    expected = np.where(both > 2 * reference, both, reference)
    assert significance.believed(reference, current).tobytes() == expected.tobytes()


def test_of_nothing_nothing_is_believed() -> None:
    assert significance.believed(np.zeros(3), np.zeros(3)).tolist() == [0.0, 0.0, 0.0]
