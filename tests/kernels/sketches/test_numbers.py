"""Numbers: the fused update gives the bytes of the two plain ones, however rows are dealt out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.missing import ABSENT, MISTYPED, NULL
from kernels.sketches import logbins, moments, numbers
from tests.datasets import NAMES, dataset
from tests.fused import NumbersState, numbers_empty, numbers_update
from tests.laws import MANY, assert_same_bytes

Floats = NDArray[np.float64]
Slots = NDArray[np.int32]
BLOCK, LANES = numbers.BLOCK, moments.LANES
SIZES = [1, LANES - 1, LANES, LANES + 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + LANES]


def plain(slots: Slots, x: Floats, anchor: float, inverse_scale: float) -> NumbersState:
    """The definition: both sketches, value by value."""
    state = numbers_empty(5)
    shift, unit = (anchor, inverse_scale) if inverse_scale else (np.nan, 1.0)
    moments.update(state.shape, slots, x, shift, unit)
    logbins.update(state.cells, slots, x, anchor, inverse_scale)
    return state


def fused(
    slots: Slots, x: Floats, anchor: float, inverse_scale: float, cuts: list[int] | None = None
) -> NumbersState:
    state = numbers_empty(5)
    parts = zip(np.split(slots, cuts or []), np.split(x, cuts or []), strict=True)
    for some_slots, some in parts:
        numbers_update(state, some_slots, some, anchor, inverse_scale)
    return state


def assert_fused_is_plain(
    slots: Slots, x: Floats, anchor: float, inverse_scale: float, cuts: list[int] | None = None
) -> None:
    found = fused(slots, x, anchor, inverse_scale, cuts)
    assert_same_bytes(found, plain(slots, x, anchor, inverse_scale))


@pytest.mark.parametrize("grid", ["anchored", "raw"])
@pytest.mark.parametrize("name", NAMES)
def test_every_data_set_gives_the_bytes_of_the_definition(
    name: str, grid: str, rng: np.random.Generator
) -> None:
    data = dataset(name, MANY)
    anchor, inverse_scale = (data.anchor, data.inverse_scale) if grid == "anchored" else (0.0, 0.0)
    slots = rng.integers(-1, 5, MANY).astype(np.int32)
    cuts = np.sort(rng.integers(0, MANY, 9)).tolist()
    assert_fused_is_plain(slots, data.values, anchor, inverse_scale, cuts)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cut", [0, 1, LANES, BLOCK])
def test_blocks_and_lanes_of_any_filling_give_the_same_bytes(
    size: int, cut: int, rng: np.random.Generator
) -> None:
    x = rng.normal(10.0, 3.0, size)
    assert_fused_is_plain(np.zeros(size, np.int32), x, 10.0, 1.0 / 3.0, [min(cut, size)])


@pytest.mark.parametrize("filler", [NULL, ABSENT, MISTYPED, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("inverse_scale", [0.0, 0.5])
def test_a_column_without_a_number_leaves_no_number(filler: float, inverse_scale: float) -> None:
    slots = np.zeros(2 * LANES, np.int32)
    state = fused(slots, np.full(2 * LANES, filler), 1.0, inverse_scale, [3])
    assert state.kinds.sum() == 2 * LANES
    assert np.isnan(state.shift[0])
    assert_same_bytes(state, plain(slots, np.full(2 * LANES, filler), 1.0, inverse_scale))


@pytest.mark.parametrize("anchor", [0.0, -0.0, 1.0])
@pytest.mark.parametrize("inverse_scale", [0.0, 1.0, 1e308, 1e-308])
def test_zeros_of_either_sign_and_the_ends_of_float64_are_placed_as_defined(
    anchor: float, inverse_scale: float
) -> None:
    ends = [0.0, -0.0, 5e-324, -5e-324, 1e308, -1e308, np.nan, 1.0, -1.0, np.inf]
    x = np.array(ends * 7)
    assert_fused_is_plain(np.zeros(x.size, np.int32), x, anchor, inverse_scale, [5, 33])


def test_values_outside_the_grid_are_clamped_and_said_to_be(rng: np.random.Generator) -> None:
    x = rng.normal(0.0, 1.0, 200) * 10.0 ** rng.integers(0, 30, 200)
    x[::9] = np.nan
    state = fused(np.zeros(200, np.int32), x, 0.0, 1.0, [77])
    assert state.clamped[0] == (np.abs(x) >= 2.0**logbins.OCTAVES - 1.0).sum() > 20
    assert_same_bytes(state, plain(np.zeros(200, np.int32), x, 0.0, 1.0))


def test_interleaved_keys_give_the_bytes_of_each_alone(rng: np.random.Generator) -> None:
    slots = np.tile(np.arange(5, dtype=np.int32), MANY // 5)
    x = rng.normal(10.0, 3.0, slots.size)
    together = fused(slots, x, 10.0, 0.5)
    alone = numbers_empty(5)
    for slot in range(5):
        numbers_update(alone, slots[slots == slot], x[slots == slot], 10.0, 0.5)
    assert_same_bytes(together, alone)


def test_a_row_without_a_value_takes_up_its_lane() -> None:
    # A column may be missing from some batches: the row's number in its slot still says the lane.
    x = np.array([1.0, 2.0])
    state = numbers_empty(1)
    arranged = numbers.Runs(
        np.arange(2, dtype=np.int32), np.zeros(1, np.int32), np.array([2]), np.array([LANES - 1])
    )
    numbers.update(state.shape, state.cells, arranged, x, 0.0, 1.0, numbers.scratch())
    assert state.sums[0, 0, LANES - 1] == 1.0
    assert state.sums[0, 0, 0] == 2.0


def test_scratch_left_by_one_column_does_not_reach_the_next(rng: np.random.Generator) -> None:
    used = numbers.scratch()
    for array in used:
        array[:] = 7
    x, state = rng.normal(0.0, 1.0, 100), numbers_empty(5)
    slots = np.zeros(100, np.int32)
    arranged = numbers.Runs(
        np.arange(100, dtype=np.int32), slots[:1], np.array([100]), np.zeros(1, np.int64)
    )
    numbers.update(state.shape, state.cells, arranged, x, 0.0, 1.0, used)
    assert_same_bytes(state, plain(slots, x, 0.0, 1.0))
