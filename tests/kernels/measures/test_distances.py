"""Distances: equal to scipy on the values, exact within cells, NaN for nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.measures import distances
from tests.oracles import distances as oracle

Floats = NDArray[np.float64]
FEW = 400


def counted(values: Floats, points: Floats) -> Floats:
    """How often each point occurs among the values."""
    return np.array([(values == point).sum() for point in points], float)


@pytest.mark.parametrize("shift", [0.0, 0.1, 1.0, 50.0])
def test_ks_on_all_values_equals_scipy(shift: float, rng: np.random.Generator) -> None:
    reference, current = rng.normal(0, 1, FEW), rng.normal(shift, 2, 3 * FEW)
    points = np.sort(np.concatenate([reference, current]))
    cumulative = [
        np.searchsorted(np.sort(side), points, side="right").astype(float)
        for side in (reference, current)
    ]
    assert distances.ks(*cumulative) == pytest.approx(oracle.ks(reference, current))


def test_ks_of_equal_shares_is_zero() -> None:
    assert distances.ks(np.array([1.0, 3.0, 4.0]), np.array([2.0, 6.0, 8.0])) == 0.0


def test_ks_of_sides_that_do_not_overlap_is_one() -> None:
    assert distances.ks(np.array([5.0, 5.0, 5.0]), np.array([0.0, 0.0, 2.0])) == 1.0


def test_ks_is_reached_at_the_point_it_names() -> None:
    reference, current = np.array([2.0, 4.0, 6.0, 8.0]), np.array([2.0, 2.0, 4.0, 8.0])
    assert distances.ks(reference, current) == 0.25
    assert distances.ks_at(reference, current) == 1  # as far apart at 2: the first is named


def test_energy_on_points_equals_scipy(rng: np.random.Generator) -> None:
    points = np.sort(rng.standard_t(2, 40))
    reference, current = rng.choice(points[:30], FEW), rng.choice(points[5:], 2 * FEW)
    counts = counted(reference, points), counted(current, points)
    assert distances.energy(points, *counts) == pytest.approx(
        oracle.energy(points, *counts), rel=1e-12
    )


def test_energy_is_the_mean_distance_between_the_sides_less_that_within_them(
    rng: np.random.Generator,
) -> None:
    reference, current = rng.normal(0, 1, 50), rng.normal(1, 2, 70)
    points = np.sort(np.concatenate([reference, current]))
    between, within, within_too = (
        np.abs(left[:, None] - right).mean()
        for left, right in ((reference, current), (reference, reference), (current, current))
    )
    found = distances.energy(points, counted(reference, points), counted(current, points))
    assert found**2 == pytest.approx(2 * between - within - within_too, rel=1e-12)


def test_energy_of_a_moved_atom_is_the_root_of_twice_the_way() -> None:
    points = np.array([-3.0, 1.0, 5.0])
    assert distances.energy(points, np.array([7.0, 0.0, 0.0]), np.array([0.0, 0.0, 2.0])) == 4.0


def test_energy_on_cells_equals_the_integral(rng: np.random.Generator) -> None:
    edges = np.cumsum(rng.exponential(1.0, 31))
    reference, current = rng.integers(0, 50, (2, 30)).astype(float)
    expected = oracle.energy_cells(edges, reference, current)
    assert distances.energy_cells(edges, reference, current) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("measure", ["wasserstein", "energy"])
def test_a_distance_grows_with_its_unit(measure: str, rng: np.random.Generator) -> None:
    points, edges = np.sort(rng.normal(0, 1, 20)), np.sort(rng.normal(0, 1, 21))
    reference, current = rng.integers(1, 50, (2, 20)).astype(float)
    on_points = getattr(distances, measure)
    on_cells = getattr(distances, f"{measure}_cells")
    by = 9.0 if measure == "wasserstein" else 3.0  # energy goes with the root of the unit
    for found, at in ((on_points, points), (on_cells, edges)):
        small, large = found(at, reference, current), found(9.0 * at, reference, current)
        assert large == pytest.approx(by * small, rel=1e-12)


@pytest.mark.parametrize("measure", ["wasserstein", "energy"])
def test_a_distance_is_symmetric_and_zero_between_equal_shares(
    measure: str, rng: np.random.Generator
) -> None:
    edges = np.sort(rng.normal(0, 1, 21))
    reference, current = rng.integers(1, 50, (2, 20)).astype(float)
    for found, at in (
        (getattr(distances, measure), edges[:-1]),
        (getattr(distances, f"{measure}_cells"), edges),
    ):
        assert found(at, reference, current) == pytest.approx(found(at, current, reference))
        assert found(at, reference, 8.0 * reference) == 0.0


def test_wasserstein_on_points_equals_scipy(rng: np.random.Generator) -> None:
    points = np.sort(rng.normal(0, 10, 40))
    reference, current = rng.choice(points[:30], FEW), rng.choice(points[5:], 2 * FEW)
    counts = counted(reference, points), counted(current, points)
    assert distances.wasserstein(points, *counts) == pytest.approx(
        oracle.wasserstein(points, *counts)
    )


def test_wasserstein_of_a_moved_atom_is_the_way_it_moved() -> None:
    points = np.array([-3.0, 1.0, 4.5])
    moved = distances.wasserstein(points, np.array([7.0, 0.0, 0.0]), np.array([0.0, 0.0, 2.0]))
    assert moved == 7.5


def test_wasserstein_of_one_point_is_zero() -> None:
    assert distances.wasserstein(np.array([2.0]), np.array([3.0]), np.array([5.0])) == 0.0


def test_wasserstein_on_cells_equals_the_integral(rng: np.random.Generator) -> None:
    edges = np.cumsum(rng.exponential(1.0, 31))
    reference, current = rng.integers(0, 50, (2, 30)).astype(float)
    expected = oracle.wasserstein_cells(edges, reference, current)
    assert distances.wasserstein_cells(edges, reference, current) == pytest.approx(
        expected, rel=1e-6
    )


def test_wasserstein_on_cells_adds_both_triangles_where_the_lines_cross() -> None:
    # F - G runs 0 → ½ → -½ → 0: a triangle of ¼, two of ⅛, one of ¼.
    edges = np.array([0.0, 1.0, 2.0, 3.0])
    reference, current = np.array([2.0, 0.0, 2.0]), np.array([0.0, 4.0, 0.0])
    assert distances.wasserstein_cells(edges, reference, current) == 0.25 + 2 * 0.125 + 0.25


def test_wasserstein_on_cells_of_a_moved_cell_is_the_way_it_moved() -> None:
    edges = np.arange(5.0)
    reference, current = np.array([3.0, 0.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, 9.0])
    assert distances.wasserstein_cells(edges, reference, current) == 3.0


@pytest.mark.parametrize("is_reference_empty", [True, False])
def test_an_empty_side_has_no_answer(is_reference_empty: bool) -> None:
    full, empty = np.array([1.0, 2.0]), np.zeros(2)
    pair = (empty, full) if is_reference_empty else (full, empty)
    assert math.isnan(distances.ks(*pair))
    assert math.isnan(distances.wasserstein(np.array([0.0, 1.0]), *pair))
    assert math.isnan(distances.wasserstein_cells(np.array([0.0, 1.0, 2.0]), *pair))
    assert math.isnan(distances.energy(np.array([0.0, 1.0]), *pair))
    assert math.isnan(distances.energy_cells(np.array([0.0, 1.0, 2.0]), *pair))
    assert distances.ks_at(*pair) == -1


def test_no_points_have_no_answer() -> None:
    assert math.isnan(distances.ks(np.zeros(0), np.zeros(0)))
    assert math.isnan(distances.wasserstein(np.zeros(0), np.zeros(0), np.zeros(0)))
    assert math.isnan(distances.wasserstein_cells(np.zeros(1), np.zeros(0), np.zeros(0)))
    assert math.isnan(distances.energy(np.zeros(0), np.zeros(0), np.zeros(0)))
    assert math.isnan(distances.energy_cells(np.zeros(1), np.zeros(0), np.zeros(0)))
    assert distances.ks_at(np.zeros(0), np.zeros(0)) == -1
