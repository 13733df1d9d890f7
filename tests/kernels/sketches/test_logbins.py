"""Logbins: which cell a value falls into, where cells end, what is read from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.missing import NULL
from kernels.sketches import logbins
from kernels.sketches.logbins import CELLS, HALF
from tests.datasets import dataset
from tests.laws import MANY
from tests.oracles import logbins as oracle

Floats = NDArray[np.float64]
GRIDS = {
    "unit": (0.0, 1.0),
    "usual": (10.0, 1.0 / 3.0),
    "offset": (1e9, 1e3),
    "tiny": (-3e-300, 7e300),
    "wide": (0.0, 1e-300),
    "negative": (-3.7, 123.456),
    "raw": (0.0, 0.0),
}
LARGEST = float(np.finfo(np.float64).max)
FINITE = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)
grid = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())


def fed(values: Floats | list[float], anchor: float, inverse_scale: float) -> logbins.LogBins:
    state = logbins.empty(1)
    array = np.array(values, np.float64)
    logbins.update(state, np.zeros(array.size, np.int32), array, anchor, inverse_scale)
    return state


def quantiles(
    counts: NDArray[np.integer], edges: Floats, low: float, high: float, probabilities: Floats
) -> Floats:
    out = np.zeros(probabilities.size)
    logbins.quantiles(counts, edges, low, high, probabilities, out)
    return out


@grid
@given(value=FINITE)
def test_cell_equals_the_oracle_anywhere(value: float, grid: tuple[float, float]) -> None:
    assert logbins.cell_of(value, *grid) == oracle.cell_of(value, *grid)


@grid
@given(place=st.floats(-40.0, 40.0))
def test_cell_equals_the_oracle_near_the_anchor(place: float, grid: tuple[float, float]) -> None:
    anchor, inverse_scale = grid
    value = anchor + place / (inverse_scale or 1.0)
    assert logbins.cell_of(value, *grid) == oracle.cell_of(value, *grid)


@grid
@given(one=FINITE, other=FINITE)
def test_larger_values_never_fall_into_lower_cells(
    one: float, other: float, grid: tuple[float, float]
) -> None:
    low, high = sorted([one, other])
    assert logbins.cell_of(low, *grid) <= logbins.cell_of(high, *grid)


@grid
def test_edges_ascend_and_are_finite(grid: tuple[float, float]) -> None:
    edges = logbins.cell_edges(*grid)
    assert edges.size == CELLS + 1
    assert np.isfinite(edges).all()
    assert (np.diff(edges) > 0).all()


@grid
@pytest.mark.parametrize("key", [1, 2, 31, 32, 33, 100, HALF - 1])
def test_an_edge_above_the_anchor_belongs_to_the_cell_above_it(
    key: int, grid: tuple[float, float]
) -> None:
    edge = logbins.cell_edges(*grid)[HALF + key]
    assert logbins.cell_of(edge, *grid) == HALF + key
    assert logbins.cell_of(np.nextafter(edge, -math.inf), *grid) == HALF + key - 1


@grid
@pytest.mark.parametrize("key", [1, 2, 31, 32, 33, 100, HALF - 1])
def test_an_edge_below_the_anchor_belongs_to_the_cell_below_it(
    key: int, grid: tuple[float, float]
) -> None:
    edge = logbins.cell_edges(*grid)[HALF - key]
    assert logbins.cell_of(edge, *grid) == HALF - key - 1
    assert logbins.cell_of(np.nextafter(edge, math.inf), *grid) == HALF - key


@pytest.mark.parametrize(("anchor", "inverse_scale"), [(0.0, 1.0), (10.0, 0.5), (5.0, 0.0)])
def test_the_anchor_opens_the_first_cell_above(anchor: float, inverse_scale: float) -> None:
    centre = anchor if inverse_scale else 0.0
    assert logbins.cell_of(centre, anchor, inverse_scale) == HALF
    assert logbins.cell_of(np.nextafter(centre, -math.inf), anchor, inverse_scale) == HALF - 1
    assert logbins.cell_edges(anchor, inverse_scale)[HALF] == centre


def test_edges_are_those_of_the_formula() -> None:
    upper = [(1 + step / 32) * 2.0**octave - 1 for octave in range(24) for step in range(32)]
    expected = np.array(
        [-(2.0**24) + 1, *[-edge for edge in reversed(upper)], *upper[1:], 2.0**24 - 1]
    )
    np.testing.assert_allclose(
        logbins.cell_edges(7.0, 0.25), 7.0 + 4.0 * expected, rtol=1e-14, atol=1e-14
    )


def test_raw_edges_are_sixteenths_of_octaves() -> None:
    edges = logbins.cell_edges(0.0, 0.0)
    assert edges[HALF + 1] == 2.0**-20 * 17 / 16
    assert (edges[0], edges[-1]) == (-(2.0**28), 2.0**28)


@pytest.mark.parametrize(("anchor", "inverse_scale"), [(1e308, 1e-307), (5.0, 1e300)])
def test_edges_stay_ordered_at_the_ends_of_float64(anchor: float, inverse_scale: float) -> None:
    edges = logbins.cell_edges(anchor, inverse_scale)
    assert np.isfinite(edges).all()
    assert (np.diff(edges) >= 0).all()


def test_both_zeros_are_one_number() -> None:
    assert logbins.cell_of(-0.0, 0.0, 1.0) == logbins.cell_of(0.0, 0.0, 1.0)
    assert logbins.cell_of(-0.0, 0.0, 0.0) == logbins.cell_of(0.0, 0.0, 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, float(NULL)])
def test_what_is_not_finite_has_no_cell(value: float) -> None:
    assert logbins.cell_of(value, 0.0, 1.0) == -1
    assert fed([value], 0.0, 1.0).counts.sum() == 0


@pytest.mark.parametrize("name", ["normal", "student_t2", "zipf", "mixed", "with_nan", "huge"])
@pytest.mark.parametrize("is_raw", [False, True], ids=["anchored", "raw"])
def test_counts_equal_the_oracle(name: str, is_raw: bool) -> None:
    data = dataset(name, MANY)
    inverse_scale = 0.0 if is_raw else data.inverse_scale
    state = fed(data.values, data.anchor, inverse_scale)
    expected = oracle.counts(data.values, data.anchor, inverse_scale)
    assert np.array_equal(state.counts[0], expected)


def test_a_histogram_by_the_edges_equals_the_cells(rng: np.random.Generator) -> None:
    edges = logbins.cell_edges(2.0, 10.0)
    values = rng.choice(edges[HALF:-1], MANY)  # all of them on an edge; closed on the left there
    expected = np.histogram(values, edges)[0]
    assert np.array_equal(fed(values, 2.0, 10.0).counts[0], expected)


def test_values_past_the_ends_are_clamped_and_counted() -> None:
    state = fed([2.0**24 - 1, -(2.0**24) + 1, LARGEST, -LARGEST, 5.0, 2.0**24 - 2], 0.0, 1.0)
    assert state.clamped.tolist() == [4]
    assert (state.counts[0, 0], state.counts[0, -1]) == (2, 3)


def test_small_raw_magnitudes_share_the_cells_beside_zero_unclamped() -> None:
    state = fed([5e-324, 1e-30, 2.0**-20, -5e-324], 0.0, 0.0)
    assert (state.counts[0, HALF], state.counts[0, HALF - 1]) == (3, 1)
    assert state.clamped.tolist() == [0]


@pytest.mark.parametrize("n", [1, 2, 3, 50, MANY])
def test_quantiles_equal_the_oracle(n: int, rng: np.random.Generator) -> None:
    values = np.concatenate([rng.normal(-3.0, 1.0, n // 2), rng.normal(9.0, 2.0, n - n // 2)])
    counts, edges = fed(values, 1.0, 0.5).counts[0], logbins.cell_edges(1.0, 0.5)
    probabilities = rng.random(25)
    low, high = values.min(), values.max()
    np.testing.assert_allclose(
        quantiles(counts, edges, low, high, probabilities),
        oracle.quantiles(counts, edges, low, high, probabilities),
        rtol=1e-12,
    )


def test_outermost_quantiles_are_the_extreme_values() -> None:
    values = np.array([-7.3, 1.0, 2.0, 900.1])
    state, edges = fed(values, 0.0, 1.0), logbins.cell_edges(0.0, 1.0)
    assert quantiles(state.counts[0], edges, -7.3, 900.1, np.array([1.0, 0.0])).tolist() == [
        900.1,
        -7.3,
    ]


def test_a_constant_has_itself_as_every_quantile() -> None:
    state, edges = fed([3.7] * 9, 0.0, 1.0), logbins.cell_edges(0.0, 1.0)
    assert set(quantiles(state.counts[0], edges, 3.7, 3.7, np.linspace(0, 1, 7))) == {3.7}


def test_values_of_one_cell_lie_between_the_extremes() -> None:
    values = np.linspace(1.51, 1.52, 11)  # the cell reaches from 1.5 to 1.5625
    state, edges = fed(values, 0.0, 1.0), logbins.cell_edges(0.0, 1.0)
    middle = quantiles(state.counts[0], edges, 1.51, 1.52, np.array([0.5]))
    assert middle[0] == pytest.approx(1.515)


def test_quantiles_of_clamped_values_reach_to_the_extremes() -> None:
    values = np.array([-1e30] * 5 + [1e30] * 5)
    state, edges = fed(values, 0.0, 1.0), logbins.cell_edges(0.0, 1.0)
    low, high = quantiles(state.counts[0], edges, -1e30, 1e30, np.array([0.0, 1.0]))
    assert (low, high) == (-1e30, 1e30)


def test_quantiles_of_nothing_are_nan() -> None:
    nothing = np.zeros(CELLS, np.uint32)
    edges = logbins.cell_edges(0.0, 1.0)
    assert np.isnan(quantiles(nothing, edges, math.inf, -math.inf, np.array([0.5]))).all()


def test_unknown_extremes_are_replaced_by_the_edges_in_use() -> None:
    state, edges = fed([1.5, 1.6], 0.0, 1.0), logbins.cell_edges(0.0, 1.0)
    low, high = quantiles(state.counts[0], edges, math.nan, math.inf, np.array([0.0, 1.0]))
    first, last = logbins.cell_of(1.5, 0.0, 1.0), logbins.cell_of(1.6, 0.0, 1.0)
    assert (low, high) == (edges[first], edges[last + 1])


def test_quantiles_do_not_overflow_at_the_ends_of_float64() -> None:
    state, edges = fed([-LARGEST, LARGEST], 0.0, 1e-308), logbins.cell_edges(0.0, 1e-308)
    middle = quantiles(state.counts[0], edges, -LARGEST, LARGEST, np.array([0.5]))
    assert middle.tolist() == [0.0]


def test_regridding_equals_the_oracle(rng: np.random.Generator) -> None:
    counts = fed(rng.normal(5.0, 2.0, MANY), 0.0, 1.0).counts[0]
    edges, new_edges = logbins.cell_edges(0.0, 1.0), logbins.cell_edges(5.0, 0.6)
    out = np.full(CELLS, 77, np.int64)
    logbins.regrid(counts, edges, new_edges, out)
    assert np.abs(out - oracle.regrid(counts, edges, new_edges)).max() <= 1  # a rounded half
    assert out.sum() == counts.sum()
    assert out.min() >= 0


def test_regridding_to_the_same_edges_changes_nothing(rng: np.random.Generator) -> None:
    counts = fed(rng.normal(5.0, 2.0, MANY), 0.0, 1.0).counts[0]
    edges, out = logbins.cell_edges(0.0, 1.0), np.zeros(CELLS, np.int64)
    logbins.regrid(counts, edges, edges, out)
    assert np.array_equal(out, counts)


@pytest.mark.parametrize("bounds", [[-9.0, -8.0], [5.0, 6.0], [0.0, 0.5, 1.0], [0.25, 0.75]])
def test_regridding_keeps_what_lies_outside_the_new_edges(bounds: list[float]) -> None:
    counts, edges = np.array([4, 8], np.int64), np.array([0.0, 0.5, 1.0])
    out = np.zeros(len(bounds) - 1, np.int64)
    logbins.regrid(counts, edges, np.array(bounds), out)
    assert out.sum() == 12


def test_regridding_moves_mass_by_overlap() -> None:
    counts, edges = np.array([4, 8], np.int64), np.array([0.0, 1.0, 2.0])
    out = np.zeros(3, np.int64)
    logbins.regrid(counts, edges, np.array([0.0, 0.5, 1.5, 2.0]), out)
    assert out.tolist() == [2, 6, 4]


def test_regridding_rounds_to_the_nearest_whole_count() -> None:
    out = np.zeros(2, np.int64)
    edges, new_edges = np.array([0.0, 1.0]), np.array([0.0, 0.75, 1.0])
    logbins.regrid(np.array([1], np.int64), edges, new_edges, out)
    assert out.tolist() == [1, 0]


def test_quantiles_of_many_rows_are_those_of_each(rng: np.random.Generator) -> None:
    grids, probabilities = list(GRIDS.values())[:3], np.array([0.0, 0.3, 1.0])
    counts = np.concatenate([fed(rng.normal(10.0, 5.0, 300), *g).counts for g in grids])
    edges, out = np.stack([logbins.cell_edges(*g) for g in grids]), np.zeros((3, 3))
    lows, highs = np.array([-9.0, -math.inf, 0.0]), np.array([40.0, math.inf, 20.0])
    logbins.quantiles_each(counts, edges, lows, highs, probabilities, out)
    for row in range(3):
        one = quantiles(counts[row], edges[row], lows[row], highs[row], probabilities)
        assert out[row].tobytes() == one.tobytes()


def nearest_edges(counts: NDArray[np.integer], edges: Floats, probabilities: Floats) -> Floats:
    """As numpy finds them."""
    below = np.concatenate([[0], np.cumsum(counts)])
    wanted = probabilities * below[-1]
    right = np.clip(np.searchsorted(below, wanted), 1, len(below) - 1)
    nearest = np.where(wanted - below[right - 1] < below[right] - wanted, right - 1, right)
    inner = nearest[(below[nearest] > 0) & (below[nearest] < below[-1])]
    return np.asarray(edges[np.unique(inner)])


@pytest.mark.parametrize("n", [0, 1, 2, 30, 1_000])
def test_snapped_edges_are_those_that_numpy_finds(n: int, rng: np.random.Generator) -> None:
    deciles, edges = np.linspace(0, 1, 11)[1:-1], logbins.cell_edges(10.0, 1.0)
    for spread in (0.01, 3.0, 1e4):
        counts = fed(rng.normal(10.0, spread, n), 10.0, 1.0).counts
        out, found = np.zeros((1, 9)), np.zeros(1, np.int64)
        logbins.snapped_each(counts, edges[None], deciles, out, found)
        expected = nearest_edges(counts[0].astype(np.int64), edges, deciles)
        assert out[0, : found[0]].tobytes() == expected.tobytes()
        alone = np.zeros(9)
        assert logbins.snapped(counts[0], edges, deciles, alone) == found[0]
        assert alone[: found[0]].tobytes() == expected.tobytes()
