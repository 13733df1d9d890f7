"""Two-sample test: the coefficient is the plain one, its chance keeps the level, power is there."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kernels.jit import IS_COMPILED
from kernels.measures import shuffling, twosample
from kernels.measures.shuffling import Shuffled
from stream.detect.judge.chances import of_shuffled
from tests.oracles import twosample as oracle

Floats = NDArray[np.float64]
KEY = np.uint64(7), np.uint64(11)
RUNS = 2_000 if IS_COMPILED else 4


def compared(reference: Floats, current: Floats) -> Shuffled:
    dissimilar = twosample.dissimilarities(twosample.scores(reference, current))
    return twosample.shuffled(dissimilar, len(reference), KEY)


def holed(rows: Floats, rng: np.random.Generator) -> Floats:
    special = np.array([np.nan, np.nan, np.inf])
    return np.where(rng.random(rows.shape) < 0.1, rng.choice(special, rows.shape), rows)


def test_scores_are_the_plain_ones(rng: np.random.Generator) -> None:
    reference, current = holed(rng.normal(size=(30, 3)), rng), np.round(rng.normal(size=(20, 3)))
    found = twosample.scores(reference, current)
    np.testing.assert_allclose(found, oracle.scores(reference, current), rtol=1e-14)
    assert np.abs(found).max() < 1.0


def test_dissimilarities_are_the_plain_ones(rng: np.random.Generator) -> None:
    rows = np.round(rng.normal(size=(40, 2)))
    found = twosample.dissimilarities(rows)
    np.testing.assert_allclose(found, oracle.dissimilarities(rows), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("n", "m"), [(30, 30), (45, 20), (20, 45)])
def test_the_coefficient_is_the_plain_one(n: int, m: int, rng: np.random.Generator) -> None:
    rows = np.concatenate([rng.normal(size=(n, 3)), rng.normal(0.5, 2.0, (m, 3))])
    dissimilar = twosample.dissimilarities(rows)
    found = twosample.shuffled(dissimilar, n, KEY).coefficient
    assert found == pytest.approx(oracle.coefficient(dissimilar, n), rel=1e-10)


def test_equal_sides_have_a_coefficient_of_zero_and_are_no_surprise(
    rng: np.random.Generator,
) -> None:
    rows = rng.normal(size=(40, 3))
    found = compared(rows, rows)
    assert found.coefficient == pytest.approx(0.0, abs=1e-12)
    assert found.reached == found.drawn == shuffling.ENOUGH
    assert of_shuffled(found) == 1.0


def test_constant_rows_are_no_surprise() -> None:
    found = compared(np.ones((20, 2)), np.ones((30, 2)))
    assert (found.coefficient, of_shuffled(found)) == (0.0, 1.0)


def test_sides_that_are_two_points_have_a_coefficient_of_one() -> None:
    dissimilar = np.kron([[0.0, 1.0], [1.0, 0.0]], np.ones((20, 20)))
    found = twosample.shuffled(dissimilar, 20, KEY)
    assert found.coefficient == 1.0
    assert found.drawn == shuffling.FEW
    assert of_shuffled(found) < 1e-6


@pytest.mark.parametrize(("n", "m"), [(9, 50), (50, 9), (0, 50)])
def test_with_too_few_rows_there_is_no_test(n: int, m: int) -> None:
    found = compared(np.ones((n, 2)), np.zeros((m, 2)))
    assert math.isnan(found.coefficient)
    assert math.isnan(of_shuffled(found))


def test_the_same_rows_give_the_same_answer(rng: np.random.Generator) -> None:
    reference, current = rng.normal(size=(2, 40, 3))
    assert compared(reference, current) == compared(reference.copy(), current.copy())


def test_units_and_any_stretch_of_a_column_play_no_part(rng: np.random.Generator) -> None:
    reference, current = rng.normal(size=(2, 40, 2))
    stretched = [np.exp(side * [1.0, 3.0]) * [1e-9, 1e9] for side in (reference, current)]
    assert compared(reference, current) == compared(*stretched)


@pytest.mark.skipif(not IS_COMPILED, reason="needs many shuffles")
@pytest.mark.parametrize("shift", [0.0, 0.3, 0.5])
def test_the_chance_is_that_of_numpys_permutations(shift: float, rng: np.random.Generator) -> None:
    rows = np.concatenate([rng.normal(size=(60, 3)), rng.normal(shift, 1.0, (50, 3))])
    dissimilar = twosample.dissimilarities(rows)
    expected = oracle.chance(dissimilar, 60, 2_000, rng)
    found = of_shuffled(twosample.shuffled(dissimilar, 60, KEY))
    assert found == pytest.approx(expected, rel=0.6, abs=2e-3)


DRAWS = {
    "normal": lambda shape, rng: rng.normal(size=shape),
    "student t2 with holes": lambda shape, rng: holed(rng.standard_t(2, shape), rng),
    "few values": lambda shape, rng: np.round(rng.normal(size=shape)),
}


@pytest.mark.slow
@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize(("n", "m"), [(40, 40), (120, 30)])
def test_the_level_holds(draw: str, n: int, m: int, rng: np.random.Generator) -> None:
    pairs = ([DRAWS[draw]((size, 3), rng) for size in (n, m)] for _ in range(RUNS))
    p_values = np.array([of_shuffled(compared(*pair)) for pair in pairs])
    for level in (0.1, 0.01, 0.002):
        # 1.5: beyond one in a hundred the tail is a fitted one.
        assert (p_values <= level).sum() <= stats.binom.ppf(0.999, RUNS, 1.5 * level)


def test_columns_that_come_apart_are_found_though_each_keeps_its_shares(
    rng: np.random.Generator,
) -> None:
    reference, current = rng.normal(size=(2, 100, 3))
    reference[:, 1] = 0.95 * reference[:, 0] + 0.31 * reference[:, 1]
    assert of_shuffled(compared(reference, current)) < 2e-3
