"""Slices: the sliced distance is that of whole vectors, and shuffled sides tell its chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kernels.jit import IS_COMPILED
from kernels.measures import embeddings, shuffling, slices

KEY = np.uint64(5), np.uint64(6)
RUNS = 300 if IS_COMPILED else 5
ALONG = embeddings.directions(8, 5, KEY)


def projected(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    flat, ends = vectors.ravel(), np.arange(1, len(vectors) + 1) * vectors.shape[1]
    out = np.empty((len(ALONG), len(vectors)))
    embeddings.project(flat, ends, ALONG, out)
    return out.T.copy()


def test_projections_are_products_with_the_directions(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(7, 5))
    np.testing.assert_allclose(projected(vectors), vectors @ ALONG.T, rtol=1e-12)


def test_a_vector_of_another_length_or_without_end_has_no_projection() -> None:
    flat = np.array([1, 2, 3, 4, 5, 1, 2, 1, 2, math.inf, 4, 5, 1, 1, 1, 1, 1.0])
    out = np.empty((len(ALONG), 4))
    embeddings.project(flat, np.array([5, 7, 12, 17]), ALONG, out)
    assert np.isnan(out).all(axis=0).tolist() == [False, True, True, False]


@pytest.mark.parametrize(("n", "m"), [(40, 40), (60, 11), (11, 60)])
def test_the_distance_is_that_of_scipy_in_units(n: int, m: int, rng: np.random.Generator) -> None:
    before, now = np.round(rng.normal(size=(n, 5)), 1), rng.standard_t(3, (m, 5)) + 0.5
    sides = projected(before), projected(now)
    pairs = zip(sides[0].T, sides[1].T, strict=True)
    expected = np.mean([stats.wasserstein_distance(*pair) for pair in pairs])
    whole = embeddings.sliced_wasserstein(before, now, ALONG)
    found = slices.shuffled(*sides, 2.0, KEY).coefficient
    assert found == pytest.approx(expected / 2, rel=1e-9)
    assert found == pytest.approx(whole / 2, rel=1e-9)
    assert slices.shuffled(sides[1], sides[0], 2.0, KEY).coefficient == pytest.approx(found)


def test_shuffles_are_the_same_every_time_and_end_when_enough(rng: np.random.Generator) -> None:
    side = projected(rng.normal(size=(50, 5)))
    found = slices.shuffled(side, side, 1.0, KEY)
    assert found.coefficient == 0.0
    assert found.reached == found.drawn == shuffling.ENOUGH
    assert slices.shuffled(side, side, 1.0, KEY) == found
    far = slices.shuffled(side, side + 100.0, 1.0, KEY)
    assert (far.reached, far.drawn) == (0, shuffling.FEW)


def test_of_too_few_rows_nothing_is_known() -> None:
    few = np.ones((shuffling.FEWEST - 1, 8))
    assert math.isnan(slices.shuffled(few, np.ones((50, 8)), 1.0, KEY).coefficient)


@pytest.mark.slow
def test_unchanged_vectors_reach_a_level_as_often_as_it_says(rng: np.random.Generator) -> None:
    spreads = np.exp(-np.arange(5))
    p_values = []
    for _ in range(RUNS):
        sides = [projected(rng.standard_t(3, (size, 5)) * spreads) for size in (40, 90)]
        found = slices.shuffled(*sides, 1.0, KEY)
        p_values.append((found.reached + 1) / (found.drawn + 1))
    for level in (0.2, 0.05):
        assert sum(p <= level for p in p_values) <= stats.binom.ppf(0.999, RUNS, level)
