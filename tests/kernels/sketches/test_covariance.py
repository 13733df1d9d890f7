"""Covariance: against two passes in exact fractions, on every data set beside others."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.sketches import covariance
from tests.datasets import NAMES, dataset
from tests.laws import MANY
from tests.oracles import covariance as oracle

Floats = NDArray[np.float64]
FEW = MANY // 10
HUGE = ("huge", "ends", "zipf", "heavy_tail")  # squares out of range, or one value is all there is


def fed(columns: Floats, centres: Floats, units: Floats) -> covariance.Covariance:
    state, slots = covariance.empty(1, len(columns)), np.zeros(columns.shape[1], np.int32)
    covariance.update(state, slots, columns, centres, units, covariance.scratch())
    return state


def read(state: covariance.Covariance) -> tuple[NDArray[np.int64], Floats]:
    d = state.sums.shape[1]
    counts, found = np.zeros((d, d), np.int64), np.zeros((d, d))
    covariance.correlations(state, 0, counts, found)
    return counts, found


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HUGE])
def test_correlation_keeps_the_guarantee(name: str) -> None:
    data, other = dataset(name, FEW), dataset("with_nan", FEW, seed=3)
    finite = np.where(np.isfinite(data.values), data.values, 0.0)
    spread = 1.0 / data.inverse_scale
    columns = np.stack([data.values, other.values, finite / spread + 3.0 * other.values])
    units = np.array([data.inverse_scale, 1 / 3, 1 / 9])
    centres = np.array([data.anchor, 10.0, data.anchor / spread + 30.0])
    counts, found = read(fed(columns, centres, units))
    for i, j in [(0, 1), (0, 2), (1, 2), (2, 0)]:
        assert counts[i, j] == oracle.covariance(columns[i], columns[j])[0]
        expected = oracle.correlation(columns[i], columns[j])
        assert found[i, j] == pytest.approx(expected, abs=covariance.GUARANTEE, nan_ok=True)


@pytest.mark.parametrize("name", HUGE)
def test_where_squares_leave_the_range_there_is_no_number_or_a_right_one(name: str) -> None:
    data, other = dataset(name, FEW), dataset("normal", FEW, seed=3)
    columns = np.stack([data.values, other.values])
    _, found = read(fed(columns, np.array([0.0, 10.0]), np.array([1.0, 1 / 3])))
    scaled = data.values / np.abs(data.values).max()
    expected = oracle.correlation(scaled, other.values)
    assert np.isnan(found[0, 1]) or found[0, 1] == pytest.approx(expected, abs=1e-9)


def test_covariance_is_that_of_the_oracle_in_units_of_both_scales(rng: np.random.Generator) -> None:
    columns = rng.normal([[5.0], [-2.0]], [[2.0], [7.0]], (2, FEW))
    columns[0, ::7], columns[1, ::5] = np.nan, np.inf
    state = fed(columns, np.array([5.0, -2.0]), np.array([0.5, 0.1]))
    counts, found = np.zeros((2, 2), np.int64), np.zeros((2, 2))
    covariance.covariances(state, 0, counts, found)
    n, expected = oracle.covariance(columns[0], columns[1])
    assert counts[0, 1] == n
    assert found[0, 1] == pytest.approx(expected * 0.5 * 0.1, abs=1e-12)


def test_a_constant_and_a_feature_alone_have_no_correlation() -> None:
    columns = np.array([[1.1] * 4, [1.0, 2.0, 3.0, 4.0], [np.nan, np.nan, np.nan, 1.0]])
    counts, found = read(fed(columns, np.zeros(3), np.ones(3)))
    assert np.isnan(found[[0, 0, 1], [1, 2, 2]]).all()
    assert (counts[1, 2], counts[0, 1]) == (1, 4)
    assert found[1, 1] == pytest.approx(1.0, abs=1e-15)


def test_what_is_complete_is_packed_without_sums_by_pair(rng: np.random.Generator) -> None:
    columns = rng.normal(size=(20, 50))
    whole = len(covariance.pack(fed(columns, np.zeros(20), np.ones(20)), 0))
    assert whole < 8 * (20 + 210) + 30
    columns[3, 7] = np.nan
    state = fed(columns, np.zeros(20), np.ones(20))
    [*again] = covariance.unpack(covariance.pack(state, 0))
    assert [array.tobytes() for array in again] == [array.tobytes() for array in state]


def test_bytes_that_are_not_as_written_are_refused(rng: np.random.Generator) -> None:
    raw = covariance.pack(fed(rng.normal(size=(2, 9)), np.zeros(2), np.ones(2)), 0)
    for broken in (raw[:-1], raw + b"\x00", b"XX" + raw[2:], raw[:2] + b"\x07" + raw[3:]):
        with pytest.raises(ValueError, match="CV"):
            covariance.unpack(broken)


def test_of_many_events_every_eighth_is_taken_however_they_come() -> None:
    n = covariance.WHOLLY + 100
    slots = np.array([0, 1] * n, np.int32)
    slots[5::97] = -1
    seen, out = np.zeros(2, np.int64), np.zeros(2 * n, np.int64)
    whole = out[: covariance.thinned(seen, slots, out)].tolist()
    for slot in (0, 1):
        mine = np.flatnonzero(slots == slot).tolist()
        is_taken = [i < covariance.WHOLLY or i % covariance.EVERY == 0 for i in range(len(mine))]
        expected = [at for at, is_one in zip(mine, is_taken, strict=True) if is_one]
        assert [at for at in whole if slots[at] == slot] == expected
        assert seen[slot] == len(mine)
    assert whole == sorted(whole)
    assert (slots[whole] >= 0).all()
    again, cut = np.zeros(2, np.int64), list[int]()
    for first in range(0, 2 * n, 301):
        part, some = slots[first : first + 301], np.zeros(301, np.int64)
        cut += (first + some[: covariance.thinned(again, part, some)]).tolist()
    assert cut == whole


@pytest.mark.parametrize("d", [1, 2, covariance.HALF, covariance.HALF + 1, covariance.MOST])
def test_sums_are_those_of_one_event_after_another_to_the_last_bit(
    d: int, rng: np.random.Generator
) -> None:
    n = 3 * covariance.TILE + covariance.STEP + 3
    columns, slots = rng.normal(3.0, 2.0, (d, n)), np.repeat([1, 0, -1, 1], n)[::4].astype(np.int32)
    columns[0, ::31], columns[-1, 5] = np.nan, np.inf
    state, centres, units = covariance.empty(2, d), rng.normal(size=d), rng.normal(size=d)
    covariance.update(state, slots, columns, centres, units, covariance.scratch())
    sums, products = np.zeros((2, d)), np.zeros((2, d, d))
    for at in range(n):
        if slots[at] >= 0 and np.isfinite(columns[:, at]).all():
            z = (columns[:, at] - centres) * units
            sums[slots[at]] += z
            products[slots[at]] += np.tril(np.outer(z, z))
    assert state.sums.tobytes() == sums.tobytes()
    assert state.products.tobytes() == products.tobytes()
