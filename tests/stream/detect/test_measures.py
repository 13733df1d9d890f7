"""Measures: a window beside its reference gives what numpy and scipy give on the values."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan, nan, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from stream.detect.judge.measures import (
    ON_BINS,
    ON_VALUES,
    Comparison,
    compare,
    measure_bins,
    weigh,
)
from stream.detect.judge.noise import INDEPENDENT
from stream.detect.references import Reference
from stream.detect.states import FeatureState, WindowState
from tests.builders import event, ingestor, messages, reference
from tests.oracles import divergences, significance

EXACT = 1e-9
NAN = float("nan")
DECILES = np.linspace(0, 1, 11)[1:-1]


def trained(values: Sequence[Any]) -> Reference:
    """A reference of the feature x; `...` stands for an event without it."""
    return reference([event(0, {} if v is ... else {"x": v}) for v in values])


def window(values: Sequence[Any], known: Reference) -> WindowState:
    worker = ingestor(references={("m", "1"): known})
    worker.add(messages(*[event(1, {} if v is ... else {"x": v}) for v in values]))
    [part] = worker.finish().partials
    return part.state


def beside(before: Sequence[Any], now: Sequence[Any]) -> Comparison:
    known = trained(before)
    state = window(now, known)
    compared = compare(
        "feature.x", state.features.get("feature.x", FeatureState()), state.events, known
    )
    assert compared is not None
    return compared


def plain_measures(before: NDArray[np.float64], now: NDArray[np.float64]) -> dict[str, float]:
    """Every measure of two histograms, by its plain twin."""
    names = ("psi", "kl", "jensen_shannon", "hellinger", "total_variation", "l_infinity")
    plain: dict[str, float] = {name: getattr(divergences, name)(before, now) for name in names}
    return plain | {"chi2": significance.chi_square(before, now)[0]}


def binned(
    values: NDArray[np.float64], edges: NDArray[np.float64], missing: int
) -> NDArray[np.float64]:
    """Counts of `edges[i-1] < x <= edges[i]`, and one bin of missing values."""
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return np.append(counts, missing).astype(float)


@pytest.mark.parametrize("missing", [0, 40])
def test_numbers_counted_one_by_one_have_exactly_scipys_measures(
    rng: np.random.Generator, missing: int
) -> None:
    before = rng.binomial(12, 0.5, 900).astype(float)
    now = rng.choice(np.unique(before), 400)
    compared = beside([*before, *[None] * 10], [*now, *[...] * missing])
    edges = np.unique(np.quantile(before, DECILES))
    plain = plain_measures(binned(before, edges, 10), binned(now, edges, missing))
    for name, value in plain.items():
        assert compared.values[name] == pytest.approx(value, abs=EXACT, rel=EXACT), name
    assert compared.edges == edges.tolist()
    assert compared.values["ks"] == pytest.approx(stats.ks_2samp(before, now).statistic, abs=EXACT)
    wasserstein = stats.wasserstein_distance(before, now)
    assert compared.values["wasserstein"] == pytest.approx(wasserstein, abs=EXACT)
    normed = wasserstein / before.std()
    assert compared.values["wasserstein_normed"] == pytest.approx(normed, rel=EXACT)
    energy = stats.energy_distance(before, now)
    assert compared.values["energy"] == pytest.approx(energy, rel=EXACT)
    assert compared.values["energy_normed"] == pytest.approx(energy / sqrt(before.std()), rel=EXACT)


def test_observed_measures_leave_the_missing_values_out(rng: np.random.Generator) -> None:
    before, now = rng.poisson(6, 900).astype(float), rng.poisson(7, 400).astype(float)
    compared = beside([*before, *[None] * 10], [*now, *[None] * 200])
    edges = np.unique(np.quantile(before, DECILES))
    plain = plain_measures(binned(before, edges, 0)[:-1], binned(now, edges, 0)[:-1])
    for name in ("psi", "jensen_shannon", "l_infinity", "chi2"):
        assert compared.values[f"{name}_observed"] == pytest.approx(plain[name], rel=EXACT)


def test_categories_have_a_bin_for_unseen_and_one_for_missing_values() -> None:
    before = [*"a" * 500, *"b" * 300, *"c" * 180, *[None] * 20]
    now = [*"a" * 100, *"b" * 100, "d", "d", "e", *[...] * 7]
    compared = beside(before, now)
    assert compared.labels == ["a", "b", "c", "unseen", "missing"]
    assert compared.reference.tolist() == [500, 300, 180, 0, 20]
    assert compared.current.tolist() == [100, 100, 0, 3, 7]
    plain = plain_measures(compared.reference, compared.current)
    assert {name: compared.values[name] for name in plain} == pytest.approx(plain, rel=EXACT)


def test_values_a_reference_of_atoms_does_not_know_count_in_the_bin_they_lie_in() -> None:
    before = np.repeat(np.arange(10.0), 30)
    now = np.repeat([4.2, 100.0, 2.0, -7.0], [20, 25, 30, 5])
    compared = beside(before.tolist(), now.tolist())
    edges = np.unique(np.quantile(before, DECILES))
    assert compared.current.tolist() == binned(now, edges, 0).tolist()
    assert compared.outside == (5, 25)
    assert compared.values["ks"] == pytest.approx(stats.ks_2samp(before, now).statistic, abs=EXACT)


# A continuous feature has its deciles snapped to borders of cells. Near the median these are 1/32
# of a standard deviation wide: up to 1/32 * 0.4 = 0.0125 of the values change the side of an edge.
SNAPPED_SHARE = 0.0125
SNAPPED_L_INFINITY = 2 * SNAPPED_SHARE
SNAPPED_JENSEN_SHANNON = 0.02
SNAPPED_WASSERSTEIN = 1 / 32  # of a standard deviation: one cell


@pytest.mark.parametrize("shift", [0.0, 0.2, 1.0, 5.0])
def test_a_continuous_feature_is_within_a_cell_of_scipy(
    rng: np.random.Generator, shift: float
) -> None:
    before, now = rng.normal(10, 2, 20_000), rng.normal(10 + 2 * shift, 2, 3_000)
    compared = beside(before.tolist(), now.tolist())
    edges = np.quantile(before, DECILES)
    plain = plain_measures(binned(before, edges, 0), binned(now, edges, 0))
    found = compared.values
    assert found["l_infinity"] == pytest.approx(plain["l_infinity"], abs=SNAPPED_L_INFINITY)
    assert found["jensen_shannon"] == pytest.approx(
        plain["jensen_shannon"], abs=SNAPPED_JENSEN_SHANNON
    )
    assert found["ks"] == pytest.approx(stats.ks_2samp(before, now).statistic, abs=SNAPPED_SHARE)
    wasserstein = stats.wasserstein_distance(before, now)
    assert found["wasserstein"] == pytest.approx(wasserstein, abs=2 * SNAPPED_WASSERSTEIN)
    energy = stats.energy_distance(before, now) / sqrt(before.std())
    assert found["energy_normed"] == pytest.approx(energy, abs=SNAPPED_WASSERSTEIN)


def test_the_culprits_are_the_bin_and_the_value_where_it_happened() -> None:
    before = [float(v % 10) for v in range(1_000)]
    compared = beside(before, [*before[:200], *[7.5] * 40])
    assert compared.culprits == {"l_infinity": "<= 8.1", "ks": 7.0}
    texts = beside(["a", "b", "b", "b"] * 50, ["a", "b", "b", "new"] * 50)
    assert texts.culprits == {"l_infinity": "b"}


def test_the_culprit_of_a_continuous_feature_is_where_most_values_passed(
    rng: np.random.Generator,
) -> None:
    before, now = rng.normal(0, 1, 20_000), rng.normal(1, 1, 20_000)
    # Two normal densities of one width cross half-way, and there F - G is largest.
    assert beside(before.tolist(), now.tolist()).culprits["ks"] == pytest.approx(0.5, abs=0.1)


def test_the_bins_of_a_continuous_reference_hold_a_tenth_each(rng: np.random.Generator) -> None:
    before = rng.lognormal(0, 1, 20_000)
    compared = beside(before.tolist(), before[:40].tolist())
    tenths = compared.reference[:-1] / compared.reference.sum()
    assert len(tenths) == 10
    assert tenths == pytest.approx(0.1, abs=SNAPPED_SHARE)


def test_a_window_of_the_reference_itself_has_no_distance(rng: np.random.Generator) -> None:
    values = [*rng.normal(size=5_000).tolist(), *[None] * 50]
    found = beside(values, values).values
    assert {name: value for name, value in found.items() if abs(value) > EXACT} == {}


def test_infinities_count_in_the_outer_bins_of_both_sides() -> None:
    values = [*[float(v) for v in range(100)], *[inf] * 30, *[-inf] * 10, *[NAN] * 5]
    compared = beside(values, values)
    assert compared.reference.tolist() == compared.current.tolist()
    assert compared.reference[[0, -2, -1]].tolist() == [20, 40, 5]
    assert compared.values["psi"] == 0


def test_a_feature_that_vanished_is_all_missing() -> None:
    compared = beside([float(v % 7) for v in range(200)], [...] * 60)
    assert compared.current.tolist()[-1] == 60
    assert compared.current[:-1].sum() == 0
    assert compared.values["l_infinity"] == 1.0
    assert "ks" not in compared.values


def test_a_feature_of_texts_where_numbers_were_is_all_missing() -> None:
    compared = beside([float(v % 7) for v in range(200)], ["1"] * 60)
    assert compared.current[-1] == 60


def test_a_constant_reference_sees_what_leaves_it() -> None:
    compared = beside([5.0] * 200, [5.0] * 30 + [6.0] * 30)
    assert compared.edges == [5.0]
    assert compared.current.tolist() == [30, 30, 0]
    assert compared.values["ks"] == pytest.approx(0.5)
    assert compared.values["wasserstein"] == pytest.approx(0.5, abs=1 / 32)


def test_a_constant_window_of_a_constant_reference_has_no_distance() -> None:
    found = beside([5.0] * 200, [5.0] * 60).values
    assert [found[name] for name in (*ON_BINS, *ON_VALUES)] == [0] * (len(ON_BINS) + len(ON_VALUES))


@pytest.mark.parametrize(("n", "m"), [(29, 500), (500, 29)])
def test_below_thirty_values_there_is_no_measure(n: int, m: int) -> None:
    compared = beside([float(v % 5) for v in range(m)], [float(v % 5) for v in range(n)])
    assert compared.values == {}
    assert compared.p_values == {}
    assert isnan(compared.values.get("psi", nan))


def test_values_and_events_each_have_to_be_thirty() -> None:
    compared = beside([float(v % 5) for v in range(100)], [1.0] * 29 + [None] * 10)
    assert "psi" in compared.values
    assert "ks" not in compared.values


def test_a_reference_without_a_value_is_compared_in_the_kind_of_the_window() -> None:
    texts = beside([None] * 100, ["a"] * 60)
    assert (texts.kind, texts.labels) == ("category", ["unseen", "missing"])
    assert texts.current.tolist() == [60, 0]
    numbers = beside([None] * 100, [3.0] * 60)
    assert (numbers.kind, numbers.labels) == ("number", ["any", "missing"])
    assert numbers.current.tolist() == [60, 0]
    assert texts.values["l_infinity"] == numbers.values["l_infinity"] == 1.0


def test_what_the_reference_does_not_know_is_not_compared() -> None:
    known = trained([1.0] * 50)
    state = window([1.0] * 50, known)
    assert compare("feature.y", state.features["feature.x"], 50, known) is None


@pytest.mark.parametrize("n_bins", [3, 10, 40])
@pytest.mark.parametrize("n", [40, 100, 500])
def test_an_alarm_budget_holds_far_out_in_the_tail(
    rng: np.random.Generator, n: int, n_bins: int
) -> None:
    """Bins of very different size, some with a few values expected, as categories have them."""
    windows, level = 20_000, 0.001
    share = 1 / np.arange(1, n_bins + 1)
    counts = [rng.multinomial(size, share / share.sum(), windows) for size in (5_000, n)]
    alarms = sum(_p_value(before, now) < level for before, now in zip(*counts, strict=True))
    assert alarms <= 3 * level * windows


def _p_value(before: NDArray[np.int64], now: NDArray[np.int64]) -> float:
    compared = Comparison("c", "category", [], before.astype(float), now.astype(float), 0, 0)
    measure_bins(compared)
    weigh(compared, INDEPENDENT)
    return compared.p_values["psi"]


@pytest.mark.parametrize("measure", ["psi", "ks"])
def test_p_values_are_rarely_small_without_drift(rng: np.random.Generator, measure: str) -> None:
    """Below 0.05 in a twentieth of the windows, give or take; a lower share is cautious."""
    known = trained(rng.normal(size=5_000).tolist())
    p_values = []
    for _ in range(200):
        state = window(rng.normal(size=300).tolist(), known)
        compared = compare("feature.x", state.features["feature.x"], 300, known)
        assert compared is not None
        p_values.append(compared.p_values[measure])
    assert np.mean(np.array(p_values) < 0.05) <= 0.05 + 3 * sqrt(0.05 * 0.95 / 200)
    assert np.mean(np.array(p_values) < 0.5) > 0.3


def test_psi_without_drift_is_what_its_null_expectation_says(rng: np.random.Generator) -> None:
    known = trained(rng.integers(0, 50, 5_000).astype(float).tolist())
    found, expected = [], 0.0
    for _ in range(100):
        state = window(rng.integers(0, 50, 400).astype(float).tolist(), known)
        compared = compare("feature.x", state.features["feature.x"], 400, known)
        assert compared is not None
        found.append(compared.values["psi"])
        expected = compared.null_expectation["psi"]
    assert np.mean(found) == pytest.approx(expected, rel=0.25)
