"""Accuracy: the guarantee of logbins on every data set, with atoms and without."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.jit import IS_COMPILED
from kernels.sketches import logbins
from tests.datasets import NAMES, SMOOTH, Dataset, dataset
from tests.laws import MANY

Floats = NDArray[np.float64]
PROBABILITIES = np.concatenate([np.linspace(0.0, 1.0, 201), [0.001, 0.999]])


def sketched(data: Dataset) -> tuple[logbins.LogBins, Floats, Floats]:
    """The state, the edges and the estimated quantiles of a data set."""
    state, estimates = logbins.empty(1), np.zeros(PROBABILITIES.size)
    slots = np.zeros(data.values.size, np.int32)
    logbins.update(state, slots, data.values, data.anchor, data.inverse_scale)
    edges = logbins.cell_edges(data.anchor, data.inverse_scale)
    low, high = data.finite[0], data.finite[-1]
    logbins.quantiles(state.counts[0], edges, low, high, PROBABILITIES, estimates)
    return state, edges, estimates


def test_there_are_enough_kinds_of_data_to_believe_a_bound() -> None:
    assert len(SMOOTH) >= 18
    assert len(NAMES) - len(SMOOTH) >= 6


@pytest.mark.slow
@pytest.mark.skipif(not IS_COMPILED, reason="the same numbers as compiled, only slower")
@pytest.mark.parametrize("n", [20_000, 200_000])
@pytest.mark.parametrize("name", SMOOTH)
def test_rank_error_keeps_the_guarantee(name: str, n: int) -> None:
    data = dataset(name, n)
    _, _, estimates = sketched(data)
    assert data.rank_errors(estimates, PROBABILITIES).max() <= logbins.GUARANTEE


@pytest.mark.slow
@pytest.mark.skipif(not IS_COMPILED, reason="the same numbers as compiled, only slower")
@pytest.mark.parametrize("name", ["normal", "exponential", "student_t2", "large_offset"])
def test_rank_error_of_one_peak_is_a_tenth_of_the_guarantee(name: str) -> None:
    data = dataset(name, 200_000)
    _, _, estimates = sketched(data)
    assert data.rank_errors(estimates, PROBABILITIES).max() <= logbins.GUARANTEE / 10


@pytest.mark.parametrize("name", SMOOTH)
def test_rank_error_is_at_most_the_share_of_the_fullest_cell(name: str) -> None:
    data = dataset(name, MANY)
    state, _, estimates = sketched(data)
    share = state.counts[0].max() / state.counts[0].sum()
    assert data.rank_errors(estimates, PROBABILITIES).max() <= share


@pytest.mark.parametrize("name", NAMES)
def test_quantile_is_off_by_at_most_a_cell_width(name: str) -> None:
    data = dataset(name, MANY)
    state, edges, estimates = sketched(data)
    exact = data.quantiles(PROBABILITIES)
    is_inside = _neighbours_inside(data, edges[1], edges[-2]) | (state.clamped[0] == 0)
    with np.errstate(over="ignore"):  # "ends" are further apart than the largest float64
        reach = np.maximum(np.abs(exact - data.anchor), np.abs(estimates - data.anchor))
        off_by = np.abs(estimates - exact)
    width = logbins.RESOLUTION / data.inverse_scale + logbins.RESOLUTION * reach
    assert (off_by <= width)[is_inside].all()


def _neighbours_inside(data: Dataset, first: float, last: float) -> NDArray[np.bool_]:
    """Whether both values that a quantile lies between are out of the end cells."""
    position = PROBABILITIES * (data.finite.size - 1)
    below = data.finite[np.floor(position).astype(int)]
    above = data.finite[np.ceil(position).astype(int)]
    return (below > first) & (above < last)


@pytest.mark.parametrize("name", NAMES)
def test_every_value_is_counted_in_the_cell_that_holds_it(name: str) -> None:
    data = dataset(name, MANY)
    state, edges, _ = sketched(data)
    inside = data.finite[(data.finite > edges[0]) & (data.finite < edges[-1])]
    above = np.histogram(inside[inside >= data.anchor], edges)[0]
    below = np.histogram(-inside[inside < data.anchor], -edges[::-1])[0][::-1]
    expected = above + below
    assert state.counts[0].sum() == data.finite.size
    assert np.array_equal(state.counts[0, 1:-1], expected[1:-1])


@pytest.mark.parametrize("name", ["integers", "coin", "mixed"])
def test_an_atom_is_missed_by_less_than_its_cell_but_missed(name: str) -> None:
    # Why few distinct values are counted by value: here the guarantee of rank does not hold.
    data = dataset(name, MANY)
    _, _, estimates = sketched(data)
    assert data.rank_errors(estimates, PROBABILITIES).max() > 0.005
