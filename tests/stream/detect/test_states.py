"""States: windows merge from parts, and what is read of them is what numpy reads of the values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kernels.sketches import hyperloglog, logbins, moments
from stream.detect.grids import RAW, Grid
from stream.detect.hashes import Few, distinct, either, registers_of
from stream.detect.references import Reference, inner_edges
from stream.detect.states import FeatureState, NumberState, WindowState
from tests.builders import event, ingestor, messages, reference

EXACT = 1e-9
QUANTILES = np.array([0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0])


def state_of(values: Sequence[float], known: Reference | None = None) -> NumberState:
    worker = ingestor(references={("m", "1"): known} if known else {})
    worker.add(messages(*[event(1, {"x": v}) for v in values]))
    [part] = worker.finish().partials
    number = part.state.features["feature.x"].number
    assert number is not None
    return number


def trained(values: Sequence[float]) -> Reference:
    return reference([event(0, {"x": v}) for v in values])


def merged(*numbers: NumberState) -> NumberState:
    whole = NumberState.empty(numbers[0].grid)
    for number in numbers:
        whole.merge(number)
    return whole


def mean(number: NumberState) -> float:
    return moments.mean(number.moments, 0, number.grid.unit)


def std(number: NumberState) -> float:
    return float(np.sqrt(moments.variance(number.moments, 0, number.grid.unit, 0)))


@given(st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=30))
def test_quantiles_of_values_counted_one_by_one_are_numpys(values: list[float]) -> None:
    number = state_of(values, trained([float(v) for v in range(-5, 6)]))
    assert number.is_atomic
    assert number.quantiles(QUANTILES).tolist() == np.quantile(values, QUANTILES).tolist()


def test_quantiles_of_other_numbers_are_right_to_a_cell(rng: np.random.Generator) -> None:
    values = rng.normal(100, 5, 5_000)
    number = state_of(values.tolist(), trained(rng.normal(100, 5, 5_000).tolist()))
    edges = logbins.cell_edges(*number.grid)
    exact = np.quantile(values, QUANTILES)
    cells = np.searchsorted(edges, exact)
    widths = edges[cells + 1] - edges[cells - 1]
    assert (np.abs(number.quantiles(QUANTILES) - exact) <= widths).all()
    assert number.quantiles(QUANTILES)[[0, -1]].tolist() == exact[[0, -1]].tolist()


def test_quantiles_of_nothing_are_undefined() -> None:
    assert np.isnan(NumberState.empty(RAW).quantiles(QUANTILES)).all()


@pytest.mark.parametrize("grid", [RAW, Grid(3.0, 0.5)])
def test_merging_with_nothing_changes_nothing(grid: Grid, rng: np.random.Generator) -> None:
    number = state_of(rng.normal(size=50).tolist())
    whole = merged(number, NumberState.empty(number.grid))
    assert whole.cells.tolist() == number.cells.tolist()
    assert mean(whole) == mean(number)
    assert merged(NumberState.empty(grid), number).count == 50


def test_parts_of_a_window_add_up(rng: np.random.Generator) -> None:
    known = trained(rng.normal(5, 2, 2_000).tolist())
    values = rng.normal(6, 2, 900)
    whole = state_of(values.tolist(), known)
    parts = merged(*(state_of(values[i::3].tolist(), known) for i in range(3)))
    assert parts.cells.tolist() == whole.cells.tolist()
    assert (parts.count, parts.values) == (whole.count, whole.values)
    assert mean(parts) == pytest.approx(mean(whole), rel=EXACT)
    assert std(parts) == pytest.approx(std(whole), rel=EXACT)


def test_merging_leaves_the_other_alone(rng: np.random.Generator) -> None:
    values = rng.normal(size=50).tolist()
    one, two, before = state_of(values), state_of(values), state_of(values)
    one.merge(two)
    one.merge(two)
    assert two.cells.tolist() == before.cells.tolist()
    assert [a.tolist() for a in two.moments] == [a.tolist() for a in before.moments]


def test_parts_made_under_different_references_merge_approximately(
    rng: np.random.Generator,
) -> None:
    values = rng.normal(10, 2, 2_000)
    old, new = trained(rng.normal(8, 1, 2_000).tolist()), trained(rng.normal(12, 4, 2_000).tolist())
    whole = merged(state_of(values[:1_000].tolist(), old), state_of(values[1_000:].tolist(), new))
    assert whole.count == whole.cells.sum() == 2_000
    assert mean(whole) == pytest.approx(values.mean(), rel=EXACT)
    assert std(whole) == pytest.approx(values.std(), rel=EXACT)
    assert whole.quantiles(np.array([0.5]))[0] == pytest.approx(np.median(values), abs=2 / 16)


def test_atoms_on_another_grid_never_leave_a_negative_count(rng: np.random.Generator) -> None:
    few, many = trained([1.0, 2.0, 3.0]), trained(rng.normal(2, 0.1, 2_000).tolist())
    whole = merged(state_of(rng.normal(2, 0.1, 500).tolist(), many), state_of([1.0, 2.0] * 50, few))
    assert whole.rest().min() >= 0
    points, counts = whole.points()
    assert counts.min() > 0
    assert (np.diff(points) >= 0).all()


def test_a_part_without_a_reference_merges_with_one_that_has_one(rng: np.random.Generator) -> None:
    values = rng.normal(10, 2, 400)
    known = trained(rng.normal(10, 2, 2_000).tolist())
    whole = merged(state_of(values[:200].tolist(), known), state_of(values[200:].tolist()))
    assert whole.count == whole.cells.sum() == 400
    assert mean(whole) == pytest.approx(values.mean(), rel=EXACT)
    assert std(whole) == pytest.approx(values.std(), rel=EXACT)


def test_the_more_frequent_type_is_the_kind_of_a_feature() -> None:
    worker = ingestor()
    worker.add(messages(*[event(1, {"x": v, "y": [1.0]}) for v in ["a", "b", 1]]))
    [part] = worker.finish().partials
    x, y = part.state.features["feature.x"], part.state.features["feature.y"]
    assert (x.kind, x.observed(), x.observed("number")) == ("category", 2, 1)
    assert y.kind == "vector"


def test_windows_merge_whatever_features_they_have() -> None:
    whole = WindowState()
    for second, values in ((1, {"x": 1}), (2, {"x": "a"}), (3, {"y": None})):
        worker = ingestor()
        worker.add(messages(event(second, values, status="error")))
        [part] = worker.finish().partials
        whole.merge(part.state)
    x: FeatureState = whole.features["feature.x"]
    assert (whole.events, whole.errors, sorted(whole.features)) == (
        3,
        3,
        ["feature.x", "feature.y"],
    )
    assert x.number is not None
    assert x.category is not None
    assert (x.number.count, x.category.count, whole.features["feature.y"].nulls) == (1, 1, 1)


@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=40),
    st.floats(-50, 50),
    st.floats(0, 50),
)
def test_values_outside_a_range_are_never_too_many_and_exact_beyond_a_cell(
    values: list[float], low: float, width: float
) -> None:
    number, high = state_of(values), low + width
    array: NDArray[np.float64] = np.array(values)
    found = number.outside(low, high)
    assert found <= ((array < low) | (array > high)).sum()
    # RAW cells are a sixteenth of a value wide.
    cell = np.maximum(np.abs(array) / 8, 2.0**-19)
    assert found >= ((array < low - cell) | (array > high + cell)).sum()
    assert bool(found) == bool(((array < low) | (array > high)).any())


def test_edges_of_a_continuous_number_separate_something(rng: np.random.Generator) -> None:
    spike = np.concatenate([np.zeros(5_000), rng.exponential(1, 1_000)])
    known = trained(spike.tolist())
    number = known.state.features["feature.x"].number
    assert number is not None
    edges = inner_edges(number)
    counts = np.histogram(spike, np.concatenate([[-np.inf], edges, [np.inf]]))[0]
    assert len(edges)
    assert counts.min() > 0


def test_folded_cells_are_the_same_in_less_memory() -> None:
    number, again = state_of([1.0, 2.5, 2.5, 1e9]), state_of([1.0, 2.5, 2.5, 1e9])
    number.fold()
    number.fold()
    assert number.dense is None
    assert number.packed is not None
    assert number.packed.nbytes < 20
    assert merged(number, again).cells.tolist() == merged(again, again).cells.tolist()
    assert number.cells.tolist() == again.cells.tolist()


def test_a_few_hashes_merge_and_pack_as_their_registers_do() -> None:
    few, more = (np.arange(1, n, dtype=np.uint64) * np.uint64(2**61 - 1) for n in (20, 50))
    expected = hyperloglog.empty(1)
    hyperloglog.update(expected, np.zeros(len(more), np.int32), more)
    for one, other in ((Few(few), Few(more)), (None, Few(more)), (registers_of(Few(more)), None)):
        found = either(one, other)
        assert found is not None
        assert registers_of(found).registers.tobytes() == expected.registers.tobytes()
    assert distinct(Few(more), more[:0]) == distinct(expected, more[:0]) == len(more)


def test_hashes_of_a_part_take_the_memory_of_what_came() -> None:
    unlisted = state_of([0.25, 1.5, 0.25]).unlisted
    assert isinstance(unlisted, Few)
    assert len(unlisted.hashes) == 2
