"""Moments: numbers, kinds of missing, extremes, and what is undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kernels.jit import IS_COMPILED
from kernels.missing import ABSENT, ABSENT_BITS, MISTYPED, MISTYPED_BITS, NULL, NULL_BITS
from kernels.sketches import moments
from kernels.sketches.slots import taken
from tests.datasets import NAMES, dataset
from tests.fused import numbers_empty, numbers_update
from tests.laws import MANY, assert_same_bytes
from tests.oracles import moments as oracle

EXTREME = {"denormals", "huge", "ends", "constant"}
TAME = [name for name in NAMES if name not in EXTREME]


def fed(
    values: NDArray[np.float64] | list[float], shift: float = math.nan, inverse_scale: float = 1.0
) -> moments.Moments:
    state = moments.empty(1)
    array = np.array(values, np.float64)
    moments.update(state, np.zeros(array.size, np.int32), array, shift, inverse_scale)
    return state


@pytest.mark.parametrize("name", TAME)
def test_mean_and_variance_keep_the_guarantee(name: str) -> None:
    data = dataset(name, MANY)
    state = fed(data.values, data.anchor, data.inverse_scale)
    spread = math.sqrt(oracle.variance(data.values, 0))
    mean = moments.mean(state, 0, data.inverse_scale)
    variance = moments.variance(state, 0, data.inverse_scale, 1)
    assert mean == pytest.approx(oracle.mean(data.values), abs=moments.RELATIVE_ERROR * spread)
    assert variance == pytest.approx(oracle.variance(data.values, 1), rel=moments.RELATIVE_ERROR)


@pytest.mark.parametrize("name", sorted(EXTREME))
def test_at_the_ends_of_float64_numbers_keep_the_guarantee_or_there_is_none(name: str) -> None:
    data = dataset(name, MANY)
    state = fed(data.values, data.anchor, data.inverse_scale)
    exact = data.values.astype(np.longdouble)
    spread = float(exact.std())
    mean = moments.mean(state, 0, data.inverse_scale)
    allowed = moments.RELATIVE_ERROR * spread + np.spacing(abs(float(exact.mean())))
    if name == "ends":
        assert math.isnan(mean)  # a value less the shift is infinite
    else:
        assert mean == pytest.approx(float(exact.mean()), abs=allowed)
    variance, expected = moments.variance(state, 0, data.inverse_scale, 1), exact.var(ddof=1)
    if np.isfinite(float(expected)):
        assert variance == pytest.approx(float(expected), rel=moments.RELATIVE_ERROR, abs=0)
    else:
        assert math.isnan(variance)


@pytest.mark.slow
@pytest.mark.skipif(not IS_COMPILED, reason="the same numbers as compiled, only slower")
@pytest.mark.parametrize("name", TAME)
def test_many_values_in_one_pass_keep_the_guarantee(name: str) -> None:
    data, state = dataset(name, 200_000), numbers_empty(1)
    slots = np.zeros(data.values.size, np.int32)
    numbers_update(state, slots, data.values, data.anchor, data.inverse_scale)
    spread = math.sqrt(oracle.variance(data.values, 0))
    mean = moments.mean(state.shape, 0, data.inverse_scale)
    variance = moments.variance(state.shape, 0, data.inverse_scale, 1)
    assert mean == pytest.approx(oracle.mean(data.values), abs=moments.RELATIVE_ERROR * spread)
    assert variance == pytest.approx(oracle.variance(data.values, 1), rel=moments.RELATIVE_ERROR)


@pytest.mark.parametrize("name", TAME)
def test_shape_equals_the_oracle(name: str) -> None:
    data = dataset(name, MANY)
    state = fed(data.values, data.anchor, data.inverse_scale)
    assert moments.skewness(state, 0) == pytest.approx(oracle.skewness(data.values), abs=1e-6)
    assert moments.kurtosis(state, 0) == pytest.approx(oracle.kurtosis(data.values), abs=1e-6)


def test_shape_equals_scipy(rng: np.random.Generator) -> None:
    values = rng.lognormal(0.0, 0.5, MANY)
    state = fed(values)
    assert moments.skewness(state, 0) == pytest.approx(stats.skew(values))
    assert moments.kurtosis(state, 0) == pytest.approx(stats.kurtosis(values))


@pytest.mark.parametrize("distance", [1.0, moments.TRUSTED])
def test_guarantee_holds_as_far_from_the_shift_as_promised(
    distance: float, rng: np.random.Generator
) -> None:
    values = rng.normal(0.0, 2.0, MANY)
    state = fed(values, shift=2.0 * distance, inverse_scale=0.5)
    exact = oracle.variance(values, 1)
    assert moments.variance(state, 0, 0.5, 1) == pytest.approx(exact, rel=moments.RELATIVE_ERROR)


def test_a_large_offset_costs_no_digits_without_a_shift(rng: np.random.Generator) -> None:
    values = 1e9 + rng.normal(0.0, 1e-3, MANY)
    exact = oracle.variance(values, 1)
    assert moments.variance(fed(values), 0, 1.0, 1) == pytest.approx(exact, rel=1e-9)


def test_mean_is_the_shift_and_the_first_sum() -> None:
    state = fed([1.0, 2.0, 6.0], shift=10.0, inverse_scale=0.25)
    assert moments.mean(state, 0, 0.25) == 10.0 + moments.folded(state)[0, 0] / (3 * 0.25)


def test_kinds_of_missing_are_counted_apart() -> None:
    nans = [math.nan, float(-NULL)]
    values = np.array([1.0, NULL, NULL, NULL, ABSENT, ABSENT, MISTYPED, *nans, math.inf, -math.inf])
    state = fed(values)
    expected = oracle.kinds(values, int(NULL_BITS), int(ABSENT_BITS), int(MISTYPED_BITS))
    assert state.count.tolist() == [1]
    assert state.kinds[0].tolist() == expected == [3, 2, 2, 1, 1, 1]


def test_infinities_and_nan_leave_the_numbers_alone() -> None:
    state = fed([math.nan, 1.0, math.inf, 3.0, -math.inf])
    assert moments.mean(state, 0, 1.0) == 2.0
    assert (state.low[0], state.high[0]) == (1.0, 3.0)


def test_shift_is_the_first_finite_value_where_none_is_given() -> None:
    assert fed([math.nan, math.inf, 5.0, 7.0]).shift.tolist() == [5.0]


def test_scale_without_shift_is_one() -> None:
    with_scale, without = fed([5.0, 7.0], inverse_scale=0.1), fed([5.0, 7.0])
    assert with_scale.sums.tobytes() == without.sums.tobytes()


def test_inverse_scale_zero_reads_as_no_scale() -> None:
    state = fed([5.0, 7.0], shift=1.0, inverse_scale=0.0)
    assert (moments.mean(state, 0, 0.0), moments.variance(state, 0, 0.0, 1)) == (6.0, 2.0)


def test_both_zeros_are_counted_and_are_one_number() -> None:
    state = fed([-0.0, 0.0, 1.0])
    assert state.zeros.tolist() == [2]
    assert not np.signbit(state.low[0])


def test_an_empty_row_reads_as_nan_and_no_range() -> None:
    state = moments.empty(1)
    assert math.isnan(moments.mean(state, 0, 1.0))
    assert math.isnan(moments.variance(state, 0, 1.0, 0))
    assert math.isnan(moments.skewness(state, 0))
    assert math.isnan(moments.kurtosis(state, 0))
    assert (state.low[0], state.high[0]) == (math.inf, -math.inf)


def test_one_value_has_a_mean_but_no_sample_variance() -> None:
    state = fed([4.0])
    assert moments.mean(state, 0, 1.0) == 4.0
    assert math.isnan(moments.variance(state, 0, 1.0, 1))


def test_a_constant_has_variance_zero_and_no_shape() -> None:
    state = fed([0.1] * 10, shift=1e5, inverse_scale=0.3)
    assert moments.variance(state, 0, 0.3, 1) == 0.0
    assert math.isnan(moments.skewness(state, 0))
    assert math.isnan(moments.kurtosis(state, 0))


def test_what_overflows_is_nan_and_not_infinite() -> None:
    state = fed([1e308, -1e308, 1e308], shift=0.0)
    assert math.isnan(moments.variance(state, 0, 1.0, 1))
    assert math.isnan(moments.kurtosis(state, 0))
    assert (state.low[0], state.high[0]) == (-1e308, 1e308)


def test_a_scale_keeps_the_ends_of_float64_in_range() -> None:
    state = fed([1e308, -1e308, 1e308], shift=0.0, inverse_scale=1e-308)
    assert moments.mean(state, 0, 1e-308) == pytest.approx(1e308 / 3)
    assert moments.kurtosis(state, 0) == pytest.approx(-1.5)


def test_merging_different_shifts_equals_feeding_together(rng: np.random.Generator) -> None:
    near, far = rng.normal(0.0, 1.0, MANY), rng.normal(50.0, 1.0, MANY)
    state, other = fed(near), fed(far)
    moments.merge(state, np.zeros(1, np.int32), other, 1.0)
    together = np.concatenate([near, far])
    assert state.shift[0] == near[0]
    assert moments.mean(state, 0, 1.0) == pytest.approx(oracle.mean(together))
    assert moments.variance(state, 0, 1.0, 1) == pytest.approx(oracle.variance(together, 1))
    assert moments.kurtosis(state, 0) == pytest.approx(oracle.kurtosis(together), abs=1e-6)


def test_merging_only_missing_values_keeps_the_numbers() -> None:
    state, other = fed([1.0, 2.0]), fed([math.nan, float(NULL)])
    moments.merge(state, np.zeros(1, np.int32), other, 1.0)
    assert moments.mean(state, 0, 1.0) == 1.5
    assert state.kinds[0].tolist() == [1, 0, 1, 0, 0, 0]


def test_a_row_is_taken_with_its_sums_folded_and_nothing_else_changed(
    rng: np.random.Generator,
) -> None:
    state, out = moments.empty(3), moments.empty(1)
    slots = rng.integers(-1, 3, 500).astype(np.int32)
    x = rng.normal(3.0, 2.0, 500)
    x[::50] = np.inf
    moments.update(state, slots, x, 3.0, 0.5)
    moments.take(state, 1, out)
    expected = taken(state, 1)
    assert_same_bytes(out, expected._replace(sums=moments.unfolded(moments.folded(expected))))
    moments.take(moments.empty(1), 0, out)
    assert_same_bytes(out, moments.empty(1))


def test_rows_with_units_of_their_own_merge_as_one_by_one(rng: np.random.Generator) -> None:
    units, shifts = np.array([1.0, 0.25, 3.0]), np.array([0.0, 5.0, math.nan])
    into, other = moments.empty(3), moments.empty(3)
    for state in (into, other):
        for slot in range(3):
            of_slot = np.full(50, slot, np.int32)
            values = rng.normal(5.0, 2.0, 50)
            moments.update(state, of_slot, values, shifts[slot], units[slot])
    plain = moments.Moments(*(array.copy() for array in into))
    slots = np.array([2, -1, 0], np.int32)
    moments.merge_each(into, slots, other, units)
    for row in (0, 2):
        alone = np.full(3, -1, np.int32)
        alone[row] = slots[row]
        moments.merge(plain, alone, other, units[row])
    assert_same_bytes(into, plain)


def test_a_description_is_what_the_queries_say(rng: np.random.Generator) -> None:
    states = [fed(rng.normal(3.0, 2.0, 100), 1.0, 0.5), fed([]), fed([7.0]), fed([1.0, 1.0])]
    stacked = moments.Moments._make(map(np.concatenate, zip(*states, strict=True)))
    units, out = np.array([0.5, 1.0, 1.0, 1.0]), np.zeros((4, 5))
    moments.describe(stacked, units, out)
    for row, (state, unit) in enumerate(zip(states, units, strict=True)):
        expected = [
            moments.mean(state, 0, unit),
            moments.variance(state, 0, unit, 0),
            moments.variance(state, 0, unit, 1),
            moments.skewness(state, 0),
            moments.kurtosis(state, 0),
        ]
        np.testing.assert_array_equal(out[row], expected)
