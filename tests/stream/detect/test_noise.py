"""Noise: p-values keep their level on independent and on autocorrelated events once it is known."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from scipy import stats

from stream.detect.judge import noise
from stream.detect.judge.noise import FEW, INDEPENDENT, KEPT, Learnt, Noise, of_neighbours

EDGES = stats.norm.ppf(np.linspace(0, 1, 11)[1:-1])
REFERENCE = np.full(10, 1_000.0)


def counts(values: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(EDGES, values), minlength=10).astype(float)


def ar1(rng: np.random.Generator, n: int, before: float, rho: float = 0.9) -> np.ndarray:
    values = np.empty(n)
    for i, step in enumerate(rng.standard_normal(n) * (1 - rho * rho) ** 0.5):
        before = values[i] = rho * before + step
    return values


def taught(ratios: list[float], freedom: int = 9) -> Learnt:
    learnt = Learnt()
    for ratio in ratios:
        learnt.add(ratio, freedom)
    return learnt


def test_a_long_tail_of_small_windows_is_allowed_for(rng: np.random.Generator) -> None:
    """Fifty values in ten bins: chi-square's own law is exceeded twice as often at 3e-5."""
    windows, level = 300_000, 1e-4
    now = rng.multinomial(50, np.full(10, 0.1), windows)
    expected = 5.0
    statistics = ((now - expected) ** 2 / expected).sum(axis=1)
    few = [s for s in statistics if s > 30]
    hits = sum(noise.p_value(s, 9, 50, 1e12, INDEPENDENT) <= level for s in few)
    plain = sum(stats.chi2.sf(s, 9) <= level for s in few)
    assert hits <= level * windows + 3 * (level * windows) ** 0.5
    assert plain > hits


def test_until_a_few_windows_are_seen_p_values_are_cautious() -> None:
    assert Learnt().noise(9).caution > 1
    assert taught([1.0] * (FEW - 1)).noise(9).caution > 1
    assert taught([1.0] * FEW).noise(9).caution == 1


def test_of_a_few_windows_the_noisier_ones_count() -> None:
    known = taught([1.0, 1.2, 0.8, 6.0, 1.1, 7.0, 1.0, 6.5]).noise(9)
    assert known.caution == 6.5
    assert known.is_slow
    assert taught([1.0, 1.2, 0.8, 6.0, 1.1, 7.0, 1.0, 6.5] * 2).noise(9).caution == 1


def test_neighbours_that_are_alike_show_how_much_their_sum_varies() -> None:
    """Correlation c of neighbours, c² of the next: 1 - c and 1 - c² of the noise are seen."""
    c, factor = 0.3, 8.0
    near, far = taught([factor * (1 - c)] * 60), taught([factor * (1 - c * c)] * 60)
    known = of_neighbours(near, far, 9)
    assert known.alike == pytest.approx(1 - (1 - c) / (1 - c * c))
    assert known.factor == pytest.approx(factor, rel=0.05)
    assert known.of_sum.factor == pytest.approx(
        known.factor * (1 + known.alike) / (1 - known.alike)
    )
    assert of_neighbours(far, far, 9).of_sum == far.noise(9)


def test_independent_windows_have_no_likeness() -> None:
    assert of_neighbours(taught([0.7] * 60), taught([1.0] * 60), 9).alike == 0.0


def test_sums_are_judged_once_so_many_windows_were_seen() -> None:
    assert not taught([1.0] * (KEPT - 1)).noise(9).is_learnt
    assert taught([1.0] * KEPT).noise(9).is_learnt
    assert taught([5.0] * KEPT).noise(9).is_learnt


def test_one_jump_of_the_traffic_teaches_nothing() -> None:
    quiet = [1.1, 0.8, 0.9, 1.2, 0.7, 1.0, 0.9, 1.3]
    assert taught([*quiet, 40.0]).noise(9).factor < 1.5
    assert taught([*quiet * 4, 40.0]).noise(9).factor < 1.5


@pytest.mark.parametrize("windows", [12, 60])
def test_traffic_that_varies_by_itself_is_known_as_such(windows: int) -> None:
    known = taught([4.0, 3.0, 5.0, 4.5] * (windows // 4)).noise(9)
    assert 3.5 < known.factor < 8
    assert known.is_uneven


def test_independent_windows_teach_a_factor_near_one(rng: np.random.Generator) -> None:
    learnt = Learnt()
    before = rng.multinomial(500, np.full(10, 0.1)).astype(float)
    for _ in range(200):
        now = rng.multinomial(500, np.full(10, 0.1)).astype(float)
        learnt.add(noise.ratio(before, now, REFERENCE) or 0.0, 9)
        before = now
    assert learnt.noise(9).factor < 1.15
    assert not learnt.noise(9).is_uneven


def test_autocorrelated_windows_keep_their_level(rng: np.random.Generator) -> None:
    level, hits, judged = 0.01, 0, 0
    for _ in range(6):
        learnt, values, before = Learnt(), np.zeros(1), None
        for at in range(100):
            values = ar1(rng, 100, float(values[-1]))
            now = counts(values)
            statistic, freedom = noise.chi_square(REFERENCE, now, REFERENCE)
            if at > 20:
                judged += 1
                hits += noise.p_value(statistic, freedom, 100, 10_000, learnt.noise(9)) <= level
            if before is not None:
                learnt.add(noise.ratio(before, now, REFERENCE) or 0.0, 9)
            before = now
    assert hits <= stats.binom.ppf(0.99, judged, level)


def test_power_is_that_of_a_simulation(rng: np.random.Generator) -> None:
    shares = np.array([0.06, 0.06, 0.08, 0.08, 0.1, 0.1, 0.12, 0.12, 0.14, 0.14])
    psi, level, n = float(np.sum((shares - 0.1) * np.log(shares / 0.1))), 0.001, 250
    found = [
        noise.p_value(*noise.chi_square(REFERENCE, now, REFERENCE), n, 10_000, INDEPENDENT) <= level
        for now in rng.multinomial(n, shares, 2_000).astype(float)
    ]
    assert noise.power(psi, level, n, REFERENCE, INDEPENDENT) == pytest.approx(
        np.mean(found), abs=0.1
    )


def test_the_sizes_of_windows_are_the_smallest_that_do() -> None:
    level = 1e-3
    n = noise.smallest_to_find(0.1, 0.8, level, REFERENCE, INDEPENDENT)
    assert n is not None
    assert noise.power(0.1, level, n, REFERENCE, INDEPENDENT) >= 0.8
    assert noise.power(0.1, level, n - 1, REFERENCE, INDEPENDENT) < 0.8
    assert noise.smallest_to_fire(level, REFERENCE, INDEPENDENT) == noise.SMALLEST_N
    tiny = np.full(10, 5.0)
    assert noise.smallest_to_find(0.01, 0.8, level, tiny, INDEPENDENT) is None
    assert noise.smallest_to_fire(1e-12, REFERENCE, Noise(4.0, inf, 1.0, True)) > 30
