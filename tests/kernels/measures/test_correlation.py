"""Correlation: equal to scipy, level kept for tails of every kind, the right pair named."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kernels.jit import IS_COMPILED
from kernels.measures import correlation
from tests.oracles import correlation as oracle

Floats = NDArray[np.float64]
RUNS = 400 if IS_COMPILED else 8
LEVEL = 0.05


def mixed(n: int, d: int, r: float, rng: np.random.Generator) -> Floats:
    """Normal rows with the same correlation between all columns."""
    together = math.sqrt(r) * rng.normal(size=(n, 1))
    return np.asarray(together + math.sqrt(1 - r) * rng.normal(size=(n, d)))


def holed(rows: Floats, rng: np.random.Generator) -> Floats:
    special = np.array([np.nan, np.inf, -np.inf])
    return np.where(rng.random(rows.shape) < 0.1, rng.choice(special, rows.shape), rows)


def test_ranks_are_those_of_scipy(rng: np.random.Generator) -> None:
    rows = holed(np.round(rng.normal(0, 3, (80, 4))), rng)
    np.testing.assert_allclose(correlation.ranks(rows), oracle.ranks(rows), rtol=1e-14)


def test_ranks_stay_when_a_column_is_stretched(rng: np.random.Generator) -> None:
    rows = rng.normal(size=(50, 2))
    assert np.array_equal(correlation.ranks(rows), correlation.ranks(np.exp(3.0 * rows)))


def test_correlations_are_those_of_scipy(rng: np.random.Generator) -> None:
    rows = holed(mixed(60, 5, 0.6, rng) * 1e5 + 1e7, rng)
    r, n, _ = correlation.correlations(rows)
    expected = [[oracle.correlation(x, y) for y in rows.T] for x in rows.T]
    np.testing.assert_allclose(r, np.array(expected)[:, :, 0], rtol=1e-9, atol=1e-12)
    assert n.tolist() == np.array(expected)[:, :, 1].tolist()


def test_correlations_of_ranks_are_spearmans(rng: np.random.Generator) -> None:
    rows = np.exp(mixed(70, 3, 0.5, rng))
    r, _, _ = correlation.correlations(correlation.ranks(rows))
    np.testing.assert_allclose(r, stats.spearmanr(rows).statistic, rtol=1e-12)


@pytest.mark.parametrize("tail", [3, 100])
def test_the_spread_of_a_correlation_is_that_of_the_jackknife(
    tail: int, rng: np.random.Generator
) -> None:
    rows = mixed(1_500, 2, 0.5, rng) / np.sqrt(rng.chisquare(2 * tail, (1_500, 1)) / tail)
    _, _, c = correlation.correlations(rows)
    assert c[0, 1] == pytest.approx(oracle.inflation(rows[:, 0], rows[:, 1]), rel=0.1)


def test_a_constant_column_and_few_rows_have_no_correlation(rng: np.random.Generator) -> None:
    rows = np.column_stack([np.full(20, 3.0), rng.normal(size=(20, 2))])
    r, _, _ = correlation.correlations(rows)
    assert np.isnan(r[0]).all()
    assert r[2, 2] == pytest.approx(1.0)
    few, n, _ = correlation.correlations(rows[:9])
    assert np.isnan(few).all()
    assert n.tolist() == [[9.0] * 3] * 3
    assert np.isnan(correlation.correlations(np.zeros((0, 2)))[0]).all()


def changed(reference: Floats, current: Floats) -> Floats:
    """Changes of rank correlations."""
    before = correlation.correlations(correlation.ranks(reference))
    now = correlation.correlations(correlation.ranks(current))
    return correlation.changes(*before, *now)


def test_changes_of_equal_rows_are_zero_and_the_sides_may_be_exchanged(
    rng: np.random.Generator,
) -> None:
    rows, others = mixed(90, 3, 0.5, rng), mixed(70, 3, 0.1, rng)
    same = changed(rows, rows)
    assert np.nanmax(np.abs(same)) == 0.0
    assert np.isnan(np.diag(same)).all()
    np.testing.assert_allclose(changed(rows, others), -changed(others, rows), rtol=1e-12)


def test_a_change_is_fishers(rng: np.random.Generator) -> None:
    def filled(r: float) -> Floats:
        return np.array([[1.0, r], [r, 1.0]])

    ones = np.ones((2, 2))
    z = correlation.changes(filled(0.2), 103 * ones, ones, filled(0.7), 53 * ones, ones)
    assert z[0, 1] == pytest.approx((math.atanh(0.7) - math.atanh(0.2)) / math.sqrt(0.01 + 0.02))


def test_the_largest_change_is_named_with_its_chance(rng: np.random.Generator) -> None:
    z = rng.normal(size=(5, 5))
    z = (z + z.T) / 2
    z[1, 3] = z[3, 1] = -3.5
    z[2, :] = z[:, 2] = np.nan
    i, j, p = correlation.largest_change(z)
    assert (i, j) == (1, 3)
    assert p == pytest.approx(oracle.chance_of_largest(z), rel=1e-9)


def test_of_no_pairs_none_is_named() -> None:
    i, j, p = correlation.largest_change(np.full((3, 3), np.nan))
    assert (i, j) == (-1, -1)
    assert math.isnan(p)
    assert correlation.largest_change(np.array([[np.nan, 0.0], [0.0, np.nan]])) == (0, 1, 1.0)


TAILS = {
    "normal": lambda rows, rng: rows,
    "student t5": lambda rows, rng: rows / np.sqrt(rng.chisquare(5, (len(rows), 1)) / 5),
    "student t2": lambda rows, rng: rows / np.sqrt(rng.chisquare(2, (len(rows), 1)) / 2),
    "lognormal": lambda rows, rng: np.exp(rows),
    "rounded": lambda rows, rng: np.round(rows),
}


def false_alarms(tail: str, n: int, d: int, r: float, rng: np.random.Generator) -> int:
    found = 0
    for _ in range(RUNS):
        reference, current = (TAILS[tail](mixed(k, d, r, rng), rng) for k in (1_000, n))
        found += correlation.largest_change(changed(reference, current))[2] <= LEVEL
    return found


@pytest.mark.slow
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize(("n", "d", "r"), [(60, 4, 0.0), (256, 12, 0.0), (256, 4, 0.6)])
def test_ranks_keep_their_level_whatever_the_tails(
    tail: str, n: int, d: int, r: float, rng: np.random.Generator
) -> None:
    # 1.5: with 60 rows, or strong correlation, c itself is known only roughly.
    assert false_alarms(tail, n, d, r, rng) <= stats.binom.ppf(0.999, RUNS, 1.5 * LEVEL)


@pytest.mark.slow
@pytest.mark.skipif(not IS_COMPILED, reason="needs many runs")
def test_without_ranks_and_c_heavy_tails_break_the_level(rng: np.random.Generator) -> None:
    found = 0
    for _ in range(100):
        sides = (TAILS["student t5"](mixed(256, 12, 0.0, rng), rng) for _ in range(2))
        (r, n, c), (now, m, _) = (correlation.correlations(side) for side in sides)
        one = np.ones_like(c)
        found += correlation.largest_change(correlation.changes(r, n, one, now, m, one))[2] <= LEVEL
    assert found > 50


def test_a_pair_that_comes_apart_is_found_and_named(rng: np.random.Generator) -> None:
    reference, current = (rng.normal(size=(k, 6)) for k in (1_000, 400))
    reference[:, 4] += 0.6 * reference[:, 1]
    i, j, p = correlation.largest_change(changed(reference, current))
    assert (i, j) == (1, 4)
    assert p < 1e-9
