"""Vectors and magnitudes: against sums over lists, on every data set."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kernels.sketches import magnitudes, vectors
from tests.datasets import NAMES, dataset
from tests.laws import MANY
from tests.oracles import vectors as oracle

FEW = MANY // 10
HUGE = ("huge", "ends", "zipf")  # their squares leave float64, or the digits of it
BEYOND = ("large_offset",)  # its mean lies 1e12 spreads from 0


def fed(arrays: list[list[float]], room: int = 8) -> vectors.Vectors:
    state = vectors.empty(1, room)
    flat = np.array([x for array in arrays for x in array], np.float64)
    ends = np.cumsum([len(array) for array in arrays])
    vectors.update(state, np.zeros(len(arrays), np.int32), flat, ends)
    return state


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HUGE + BEYOND])
def test_means_and_variances_keep_the_guarantee(name: str) -> None:
    values = dataset(name, FEW).values
    arrays = np.stack([values, np.arange(FEW) % 7.0], axis=1)
    state = fed(arrays.tolist())
    finite = arrays[np.isfinite(values)]
    means, variances = oracle.moments(finite.tolist())
    assert (state.count[0], state.apart[0, 1]) == (len(finite), FEW - len(finite))
    for found, exact, variance in zip(vectors.means(state, 0), means, variances, strict=True):
        spread = math.sqrt(variance) or abs(exact)
        assert found == pytest.approx(exact, abs=vectors.RELATIVE_ERROR * spread)
    allowed = vectors.RELATIVE_ERROR * (np.array(variances) + np.square(means) * 1e-4)
    assert (np.abs(vectors.variances(state, 0) - variances) <= allowed).all()


def test_the_first_array_says_which_length_counts() -> None:
    state = fed([[1.0, 2.0], [1.0], [3.0, 4.0], [], [1.0, math.nan], [math.inf, 1.0], [0.0] * 3])
    assert (state.length[0], state.count[0]) == (2, 2)
    assert state.apart[0].tolist() == [3, 2]
    assert vectors.means(state, 0).tolist() == [2.0, 3.0]
    assert vectors.variances(state, 0).tolist() == [1.0, 1.0]


def test_of_long_arrays_the_first_dimensions_are_summed() -> None:
    state = fed([list(range(vectors.MOST + 5))], vectors.MOST)
    assert vectors.means(state, 0).tolist() == list(range(vectors.MOST))
    assert state.length[0] == vectors.MOST + 5
    [*again] = vectors.unpack(vectors.pack(state, 0))
    assert [array.tobytes() for array in again] == [array.tobytes() for array in state]


def test_rows_with_arrays_of_another_length_merge_by_counting_them_apart() -> None:
    state = fed([[1.0, 2.0]])
    vectors.merge(state, np.zeros(1, np.int32), fed([[1.0], [2.0], [3.0, 3.0]]))
    assert (state.length[0], state.count[0]) == (2, 1)
    assert state.apart[0].tolist() == [3, 0]


def test_growing_gives_room_for_longer_arrays() -> None:
    state = vectors.grow(fed([[1.0, 2.0]], 2), 3, 5)
    assert state.sums.shape == (3, 5)
    assert vectors.means(state, 0).tolist() == [1.0, 2.0]
    assert vectors.means(state, 2).tolist() == []


def test_cosines_and_norms_equal_the_oracle(rng: np.random.Generator) -> None:
    arrays = rng.normal(size=(20, 4))
    direction, found, lengths = rng.normal(size=4), np.zeros(24), np.zeros(24)
    odd = [[0.0] * 4, [1.0, math.inf, 0.0, 0.0], [1.0], [1.0, math.nan, 0.0, 0.0]]
    flat = np.concatenate([arrays.ravel(), *map(np.array, odd)])
    ends = np.cumsum([4] * 20 + [len(array) for array in odd])
    vectors.cosines(flat, ends, direction, found)
    expected = [oracle.cosine(array, direction.tolist()) for array in arrays.tolist()]
    assert found[:20].tolist() == pytest.approx(expected, abs=1e-12)
    assert np.isnan(found[20:]).all()
    vectors.norms(flat, ends, lengths)
    assert lengths[:20].tolist() == pytest.approx([math.hypot(*a) for a in arrays.tolist()])
    assert lengths[20:23].tolist() == [0.0, math.inf, 1.0]
    assert math.isnan(lengths[23])


@pytest.mark.parametrize("name", HUGE + BEYOND)
def test_where_squares_leave_float64_or_its_digits_the_mean_is_right(name: str) -> None:
    values = dataset(name, FEW).values / (1e10 if name == "huge" else 1.0)
    state = fed([[value] for value in values.tolist()])
    spread = float(values.astype(np.longdouble).std())
    exact = float(values.astype(np.longdouble).mean())
    allowed = vectors.RELATIVE_ERROR * max(spread, abs(exact))
    [mean] = vectors.means(state, 0)
    assert mean == pytest.approx(exact, abs=allowed) or (name == "ends" and math.isinf(mean))
    [variance] = vectors.variances(state, 0)
    assert variance >= 0.0 or math.isnan(variance)


@pytest.mark.parametrize("name", NAMES)
def test_mean_magnitude_keeps_the_guarantee(name: str) -> None:
    values = dataset(name, FEW).values / (1e10 if name in HUGE else 1.0)
    state = magnitudes.empty(1)
    magnitudes.update(state, np.zeros(FEW, np.int32), values)
    sizes = np.abs(values[np.isfinite(values)])
    assert state.count[0] == len(sizes)
    exact = math.fsum(sizes) / len(sizes)
    assert magnitudes.mean(state, 0) == pytest.approx(exact, rel=magnitudes.RELATIVE_ERROR, abs=0)
    with np.errstate(over="ignore", under="ignore"):
        square = math.fsum(sizes * sizes) if (sizes < 1e150).all() else math.nan
    found = magnitudes.root_mean_square(state, 0)
    expected = pytest.approx(math.sqrt(square / len(sizes)), rel=magnitudes.RELATIVE_ERROR)
    assert found == expected if math.isfinite(square) else math.isnan(found)


def test_no_magnitude_is_no_number() -> None:
    state = magnitudes.empty(2)
    magnitudes.update(state, np.zeros(2, np.int32), np.array([1.7e308, -1.7e308]))
    assert np.isnan([magnitudes.mean(state, 0), magnitudes.mean(state, 1)]).all()


def test_bytes_that_are_not_as_written_are_refused() -> None:
    raw = vectors.pack(fed([[1.0, 2.0]]), 0)
    assert len(raw) < 32 + 30
    for broken in (raw[:-1], raw + b"\x00", b"XX" + raw[2:], raw[:2] + b"\x07" + raw[3:]):
        with pytest.raises(ValueError, match="VE"):
            vectors.unpack(broken)
