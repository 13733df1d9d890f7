"""Embeddings: equal to scipy, the same directions every time, what is not finite left out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kernels.measures import embeddings
from tests.oracles import embeddings as oracle

KEY = np.uint64(3), np.uint64(5)


def test_cosine_equals_scipy(rng: np.random.Generator) -> None:
    reference, current = rng.normal(1.0, 1.0, (2, 300))
    found = embeddings.cosine(reference, current)
    assert found == pytest.approx(oracle.cosine(reference, current), rel=1e-12)
    assert embeddings.cosine(current, reference) == found
    assert embeddings.cosine(7.0 * reference, current) == pytest.approx(found, rel=1e-12)


def test_cosine_knows_the_same_a_right_and_the_opposite_way() -> None:
    x, y = np.array([3.0, 0.0]), np.array([0.0, 5.0])
    assert [embeddings.cosine(x, other) for other in (2 * x, y, -x)] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_cosine_of_no_direction_has_no_answer(value: float) -> None:
    assert math.isnan(embeddings.cosine(np.full(2, value), np.ones(2)))
    assert math.isnan(embeddings.cosine(np.ones(2), np.full(2, value)))


def test_mean_shift_is_the_way_in_units_of_the_spread() -> None:
    before, now = np.array([1.0, 1.0]), np.array([4.0, 5.0])
    assert embeddings.mean_shift(before, now, 2.0) == 2.5
    assert embeddings.mean_shift(before, before, 2.0) == 0.0
    assert math.isnan(embeddings.mean_shift(before, now, 0.0))


def test_directions_are_unit_vectors_the_same_every_time_and_lean_nowhere() -> None:
    found = embeddings.directions(4_000, 5, KEY)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, rtol=1e-12)
    assert found.tobytes() == embeddings.directions(4_000, 5, KEY).tobytes()
    assert embeddings.directions(10, 5, KEY).tobytes() == found[:10].tobytes()
    assert np.abs(found.mean(axis=0)).max() < 4 / math.sqrt(5 * 4_000)
    np.testing.assert_allclose(found.T @ found / 4_000, np.eye(5) / 5, atol=0.02)


@pytest.mark.parametrize(("n", "m"), [(50, 50), (80, 7), (1, 30)])
def test_sliced_wasserstein_equals_scipy(n: int, m: int, rng: np.random.Generator) -> None:
    reference, current = rng.standard_t(2, (n, 6)), np.round(rng.normal(1.0, 3.0, (m, 6)))
    reference[n // 2, 0], current[m // 2, 3] = (math.nan, math.inf) if min(n, m) > 1 else (0.5, 0.5)
    along = embeddings.directions(10, 6, KEY)
    expected = oracle.sliced_wasserstein(reference, current, along)
    assert embeddings.sliced_wasserstein(reference, current, along) == pytest.approx(expected)
    assert embeddings.sliced_wasserstein(current, reference, along) == pytest.approx(expected)


def test_sliced_wasserstein_grows_with_the_unit_and_is_zero_for_the_same(
    rng: np.random.Generator,
) -> None:
    reference, current = rng.normal(size=(2, 40, 3))
    along = embeddings.directions(8, 3, KEY)
    found = embeddings.sliced_wasserstein(reference, current, along)
    tenfold = embeddings.sliced_wasserstein(10 * reference, 10 * current, along)
    assert tenfold == pytest.approx(10 * found)
    assert embeddings.sliced_wasserstein(reference, reference[::-1].copy(), along) == 0.0


def test_sliced_wasserstein_of_a_moved_point_is_the_mean_of_its_projections() -> None:
    along = np.array([[1.0, 0.0], [0.6, 0.8]])
    before, now = np.zeros((3, 2)), np.full((2, 2), 5.0)
    assert embeddings.sliced_wasserstein(before, now, along) == pytest.approx((5.0 + 7.0) / 2)


def test_without_a_finite_vector_there_is_no_answer() -> None:
    along, rows = embeddings.directions(2, 2, KEY), np.ones((3, 2))
    for other in (np.zeros((0, 2)), np.full((3, 2), math.nan)):
        assert math.isnan(embeddings.sliced_wasserstein(rows, other, along))
        assert math.isnan(embeddings.sliced_wasserstein(other, rows, along))
    assert math.isnan(embeddings.sliced_wasserstein(rows, rows, np.zeros((0, 2))))


def test_the_named_number_of_directions_is_worth_what_is_said(rng: np.random.Generator) -> None:
    reference, current = rng.normal(size=(2, 200, 16))
    current[:, 0] += 1.0
    found = [
        embeddings.sliced_wasserstein(
            reference,
            current,
            embeddings.directions(embeddings.DIRECTIONS, 16, (np.uint64(seed), np.uint64(0))),
        )
        for seed in range(20)
    ]
    assert np.std(found) < 0.15 * np.mean(found)
