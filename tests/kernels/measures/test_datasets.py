"""Measures on every data set: what scipy, numpy and the oracles give, from values and from cells.

A window and a reference are two samples of the same kind, the window a tenth of the spread away.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kernels.measures import (
    correlation,
    distances,
    divergences,
    embeddings,
    significance,
    slices,
    twosample,
)
from kernels.sketches import logbins
from tests.datasets import NAMES, SMOOTH, dataset
from tests.oracles import correlation as correlation_oracle
from tests.oracles import divergences as divergences_oracle
from tests.oracles import significance as significance_oracle
from tests.oracles import twosample as twosample_oracle

Floats = NDArray[np.float64]
N, M = 300, 400
EXACT = 1e-9
KEY = np.uint64(7), np.uint64(8)
FINE = [name for name in SMOOTH if name not in ("huge", "denormals")]  # widths are plain numbers

everywhere = pytest.mark.parametrize("name", NAMES)


def sides(name: str, n: int = N, m: int = M) -> tuple[Floats, Floats, Floats]:
    """Finite values of reference and window, in range, and all values of the window."""
    before, now = dataset(name, m), dataset(name, n, seed=2)
    scale = 1e-200 if name in ("huge", "ends") else 1e200 if name == "denormals" else 1.0
    with np.errstate(over="ignore"):
        every = (now.values + 0.1 / now.inverse_scale) * scale
    return before.finite * scale, np.sort(every[np.isfinite(every)]), every


def on_points(before: Floats, now: Floats) -> tuple[Floats, Floats, Floats]:
    points = np.unique(np.concatenate([before, now]))
    counts = [
        np.bincount(np.searchsorted(points, side), minlength=points.size) for side in (before, now)
    ]
    return points, counts[0].astype(float), counts[1].astype(float)


@everywhere
def test_distances_of_values_equal_scipy(name: str) -> None:
    before, now, _ = sides(name)
    points, p, q = on_points(before, now)
    ks = stats.ks_2samp(before, now, method="asymp").statistic
    assert distances.ks(np.cumsum(p), np.cumsum(q)) == pytest.approx(ks, abs=1e-12)
    way = stats.wasserstein_distance(before, now)
    assert distances.wasserstein(points, p, q) == pytest.approx(way, rel=EXACT)
    energy = stats.energy_distance(before, now)
    assert distances.energy(points, p, q) == pytest.approx(energy, rel=EXACT)


@everywhere
def test_divergences_on_deciles_equal_the_oracles(name: str) -> None:
    before, now, _ = sides(name)
    edges = np.unique(np.quantile(before, np.linspace(0, 1, 11)[1:-1]))
    p, q = (
        np.bincount(np.searchsorted(edges, side, side="left"), minlength=edges.size + 1).astype(
            float
        )
        for side in (before, now)
    )
    for measure in ("psi", "kl", "jensen_shannon", "hellinger", "total_variation", "l_infinity"):
        expected = getattr(divergences_oracle, measure)(p, q)
        found = getattr(divergences, measure)(p, q)
        assert found == pytest.approx(expected, rel=EXACT, abs=1e-9), measure
    statistic, freedom = significance.chi_square(p, q)
    assert (statistic, freedom) == pytest.approx(significance_oracle.chi_square(p, q), rel=EXACT)


@everywhere
def test_ranks_and_their_correlations_equal_scipy(name: str, rng: np.random.Generator) -> None:
    """Missing and infinite values among them."""
    _, _, every = sides(name)
    rows = np.column_stack([every, rng.normal(size=every.size), every[::-1]])
    ranks = correlation.ranks(rows)
    np.testing.assert_allclose(ranks, correlation_oracle.ranks(rows), rtol=0, atol=1e-12)
    r, n, _ = correlation.correlations(ranks)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        expected, pairs = correlation_oracle.correlation(ranks[:, i], ranks[:, j])
        assert n[i, j] == pairs
        assert r[i, j] == pytest.approx(expected, abs=1e-9, nan_ok=True)


@everywhere
def test_the_two_sample_coefficient_equals_the_oracle(name: str, rng: np.random.Generator) -> None:
    before, now = (
        np.column_stack([side[:50], rng.normal(size=50)])
        for side in (dataset(name, 50).values, dataset(name, 50, seed=2).values)
    )
    scores = twosample.scores(before, now)
    np.testing.assert_allclose(scores, twosample_oracle.scores(before, now), rtol=0, atol=1e-12)
    plain = twosample_oracle.dissimilarities(scores)
    dissimilar = twosample.dissimilarities(scores)
    np.testing.assert_allclose(dissimilar, plain, rtol=1e-9, atol=1e-12)
    expected = twosample_oracle.coefficient(plain, 50)
    assert twosample.shuffled(dissimilar, 50, KEY).coefficient == pytest.approx(expected, abs=1e-9)


@everywhere
def test_the_sliced_distance_equals_scipy(name: str, rng: np.random.Generator) -> None:
    sizes = 40, 60
    vectors = [
        np.column_stack([rng.permutation(side)[:n], rng.normal(size=n)])
        for n, side in zip(sizes, sides(name)[:2], strict=True)
    ]
    along = embeddings.directions(5, 2, KEY)
    before, now = (side @ along.T for side in vectors)
    expected = np.mean([stats.wasserstein_distance(*p) for p in zip(before.T, now.T, strict=True)])
    found = slices.shuffled(before, now, 1.0, KEY).coefficient
    assert found == pytest.approx(expected, rel=EXACT)
    assert embeddings.sliced_wasserstein(*vectors, along) == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize("name", FINE)
def test_from_cells_distances_are_off_by_what_is_stated(name: str) -> None:
    """KS: the share of the fullest cell, and never above. Wasserstein: the widths of cells."""
    reference, window = dataset(name, 20 * M), dataset(name, 20 * N, seed=2)
    grid = reference.anchor, reference.inverse_scale
    exact = [reference.finite, window.finite + 0.1 / reference.inverse_scale]
    states = [logbins.empty(1), logbins.empty(1)]
    for state, values in zip(states, exact, strict=True):
        logbins.update(state, np.zeros(values.size, np.int32), values, *grid)
    before, now = (state.counts[0].astype(float) for state in states)
    found = distances.ks(np.cumsum(before), np.cumsum(now))
    plain = stats.ks_2samp(*exact, method="asymp").statistic
    fullest = max((side / side.sum()).max() for side in (before, now))
    assert plain - fullest <= found <= plain + 1e-12
    low, high = min(side[0] for side in exact), max(side[-1] for side in exact)
    borders = np.clip(logbins.cell_edges(*grid), low, high)
    way = distances.wasserstein_cells(borders, before, now)
    widths = np.diff(borders)
    allowed = sum((side / side.sum()) @ widths for side in (before, now))
    assert abs(way - stats.wasserstein_distance(*exact)) <= allowed
