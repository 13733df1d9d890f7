"""Chances: the laws hold in simulation, with the noise of both sides, and equal scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kernels.measures import distances, divergences
from kernels.measures.shuffling import Shuffled
from stream.detect.judge import chances

Floats = NDArray[np.float64]
RUNS = 2_000
SIZES = [(200, 10_000, 10), (1_000, 10_000, 10), (10_000, 10_000, 10), (1_000, 10_000, 50)]


def above(rate: float, runs: int = RUNS) -> float:
    """The share of false alarms that a true rate exceeds once in a thousand times."""
    return float(stats.binom.ppf(0.999, runs, rate)) / runs


def below(rate: float, runs: int = RUNS) -> float:
    return float(stats.binom.ppf(0.001, runs, rate)) / runs


def pairs(n: int, m: int, bins: int, rng: np.random.Generator) -> list[tuple[Floats, Floats]]:
    """Histograms of a reference and of a window of the same law."""
    shares = np.full(bins, 1 / bins)
    references, windows = rng.multinomial(m, shares, RUNS), rng.multinomial(n, shares, RUNS)
    return list(zip(references.astype(float), windows.astype(float), strict=True))


@pytest.mark.parametrize(("n", "m", "bins"), SIZES)
@pytest.mark.parametrize("name", ["psi", "jensen_shannon"])
def test_the_chance_of_a_measure_keeps_its_level(
    name: str, n: int, m: int, bins: int, rng: np.random.Generator
) -> None:
    measure, chance = getattr(divergences, name), getattr(chances, f"{name}_chance")
    values = [measure(*pair) for pair in pairs(n, m, bins, rng)]
    p_values = np.array([chance(value, n, m, bins) for value in values])
    for level in (0.05, 0.01):
        # 1.3: the law is one of large n; with twenty values in a bin its tail is short by that.
        assert below(level) * 0.7 <= (p_values <= level).mean() <= 1.3 * above(level)


@pytest.mark.parametrize("name", ["psi", "jensen_shannon"])
def test_a_law_without_the_noise_of_the_reference_would_not(
    name: str, rng: np.random.Generator
) -> None:
    n, m, bins = 10_000, 10_000, 10
    measure, chance = getattr(divergences, name), getattr(chances, f"{name}_chance")
    values = [measure(*pair) for pair in pairs(n, m, bins, rng)]
    assert np.mean([chance(value, n, math.inf, bins) <= 0.05 for value in values]) > 0.4


@pytest.mark.parametrize(("n", "m", "bins"), SIZES)
def test_the_expectation_is_the_mean_on_unchanged_data(
    n: int, m: int, bins: int, rng: np.random.Generator
) -> None:
    drawn = pairs(n, m, bins, rng)
    mean = np.mean([divergences.psi(*pair) for pair in drawn])
    square = np.mean([divergences.jensen_shannon(*pair) ** 2 for pair in drawn])
    assert chances.psi_expectation(n, m, bins) == pytest.approx(mean, rel=0.06)
    assert chances.jensen_shannon_expectation(n, m, bins) == pytest.approx(square**0.5, rel=0.03)


@pytest.mark.parametrize("level", [0.05, 1e-3, 1e-9])
def test_a_threshold_is_the_value_whose_chance_is_the_level(level: float) -> None:
    n, m, bins = 500, 9_000, 11
    for name in ("psi", "jensen_shannon"):
        threshold = getattr(chances, f"{name}_threshold")(level, n, m, bins)
        found = getattr(chances, f"{name}_chance")(threshold, n, m, bins)
        assert found == pytest.approx(level, rel=1e-9)
    threshold = chances.ks_threshold(level, n, m)
    assert chances.ks_chance(threshold, n, m) == pytest.approx(level, rel=1e-9)


def test_the_threshold_of_psi_is_scipys() -> None:
    expected = (1 / 300 + 1 / 4_000) * stats.chi2.isf(0.01, 9)
    assert chances.psi_threshold(0.01, 300, 4_000, 10) == pytest.approx(expected, rel=1e-12)


def test_one_bin_can_never_be_drift() -> None:
    assert chances.psi_chance(0.0, 100, 100, 1) == 1.0
    assert chances.psi_expectation(100, 100, 1) == 0.0
    assert chances.psi_threshold(0.05, 100, 100, 1) == 0.0


@pytest.mark.parametrize(("n", "m"), [(0, 10), (10, 0)])
def test_an_empty_side_has_no_chance(n: int, m: int) -> None:
    assert math.isnan(chances.psi_chance(0.1, n, m, 10))
    assert math.isnan(chances.psi_chance(0.0, n, m, 1))
    assert math.isnan(chances.jensen_shannon_chance(0.1, n, m, 10))
    assert math.isnan(chances.ks_chance(0.1, n, m))
    assert math.isnan(chances.of_more(0, n, 0, m))
    assert math.isnan(chances.of_unseen(0, n, 0, 0, m))


@pytest.mark.parametrize(("n", "m"), [(50, 10_000), (500, 2_000), (3_000, 3_000)])
def test_the_chance_of_ks_is_scipys_or_larger(n: int, m: int, rng: np.random.Generator) -> None:
    reference, current = rng.normal(0, 1, m), rng.normal(0.05, 1, n)
    points = np.sort(np.concatenate([reference, current]))
    cumulative = (
        np.searchsorted(np.sort(side), points, "right").astype(float)
        for side in (reference, current)
    )
    found = chances.ks_chance(distances.ks(*cumulative), n, m)
    exact = stats.ks_2samp(reference, current, method="asymp").pvalue
    assert exact <= found * (1 + 1e-9)
    assert found == pytest.approx(exact, abs=0.06)


@pytest.mark.parametrize(
    ("k", "n", "k_reference", "m"),
    [(0, 5, 0, 5), (1, 10, 0, 9_000), (3, 10, 2, 400), (40, 50, 400, 2_000), (7, 7, 7, 7),
     (900, 3_000, 9_100, 40_000)],
)  # fmt: skip
def test_the_chance_of_more_is_fishers(k: int, n: int, k_reference: int, m: int) -> None:
    table = [[k, n - k], [k_reference, m - k_reference]]
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    assert chances.of_more(k, n, k_reference, m) == pytest.approx(expected, rel=1e-9)


def test_the_chance_of_more_than_can_be_counted_one_by_one_is_normal() -> None:
    k, n, k_reference, m = 1_100, 10_000, 20_000, 200_000
    share = (k + k_reference) / (n + m)
    z = (k / n - k_reference / m) / math.sqrt(share * (1 - share) * (1 / n + 1 / m))
    assert chances.of_more(k, n, k_reference, m) == pytest.approx(stats.norm.sf(z), rel=1e-9)
    assert chances.of_more(n, n, m, m) == 1.0  # all of both: nothing is more


def test_the_chance_of_a_coefficient_is_the_share_of_shuffles_that_reach_it() -> None:
    assert chances.of_shuffled(Shuffled(0.1, 20, 50, 0.05, 1e-3, 1e-5)) == 0.4
    assert chances.of_shuffled(Shuffled(0.1, 12, 999, 0.05, 1e-3, 1e-5)) == 13 / 1_000


def test_where_no_shuffle_reaches_a_coefficient_a_gamma_law_goes_on() -> None:
    mean, variance, skewness = 0.02, 1e-4, 1.5
    shape = 4 / skewness**2
    law = stats.gamma(shape, mean - shape**0.5 * 0.01, 0.01 / shape**0.5)
    found = Shuffled(0.12, 0, 999, mean, variance, skewness * variance**1.5)
    assert chances.of_shuffled(found) == pytest.approx(law.sf(0.12), rel=1e-9)
    assert chances.of_shuffled(found._replace(coefficient=0.03)) == 1 / 1_000


CATEGORIES = {
    "ten": np.ones(10),
    "zipf": 1 / np.arange(1, 1_001),
    "long zipf": 1 / np.arange(1, 20_001),
    "even": np.ones(20_000),
}


@pytest.mark.parametrize("name", CATEGORIES)
@pytest.mark.parametrize(("n", "m"), [(100, 1_000), (1_000, 10_000), (5_000, 5_000)])
def test_unseen_categories_of_unchanged_data_are_no_alarm(
    name: str, n: int, m: int, rng: np.random.Generator
) -> None:
    shares, runs = CATEGORIES[name] / CATEGORIES[name].sum(), 300
    p_values = np.array([_unseen(shares, shares, n, m, rng) for _ in range(runs)])
    for level in (0.05, 0.01):
        assert (p_values <= level).mean() <= above(level, runs)


def test_a_new_category_of_a_hundredth_is_found_among_many(rng: np.random.Generator) -> None:
    before = np.append(1 / np.arange(1, 1_001), 0.0)
    before /= before.sum()
    now = 0.99 * before + 0.01 * (np.arange(1_001) == 1_000)
    found = [_unseen(before, now, 5_000, 20_000, rng) for _ in range(50)]
    assert max(found) < 1e-3


def _unseen(before: Floats, now: Floats, n: int, m: int, rng: np.random.Generator) -> float:
    reference, window = rng.multinomial(m, before), rng.multinomial(n, now)
    once, twice = int((reference == 1).sum()), int((reference == 2).sum())
    return chances.of_unseen(int(window[reference == 0].sum()), n, once, twice, m)
