"""Sequential: sums are the plain ones, run lengths are what is said, slow drift is found."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kernels.jit import IS_COMPILED
from kernels.measures import sequential
from kernels.measures.sequential import ALLOWANCE
from tests.oracles import sequential as oracle

Floats = NDArray[np.float64]
MANY = 2_000 if IS_COMPILED else 20  # runs side by side, one per slot


def slots(n: int) -> NDArray[np.int32]:
    return np.arange(n, dtype=np.int32)


def test_a_cusum_is_the_plain_sum(rng: np.random.Generator) -> None:
    scores = rng.normal(0.4, 1.0, (50, 3))
    state = sequential.empty_cusum(4)
    for row in scores:
        sequential.cusum_update(state, np.array([2, -1, 0], np.int32), row, ALLOWANCE)
    assert state.sums[2] == pytest.approx(oracle.cusum(scores[:, 0], ALLOWANCE))
    assert state.sums[0] == pytest.approx(oracle.cusum(scores[:, 2], ALLOWANCE))
    assert state.sums[[1, 3]].tolist() == [0.0, 0.0]


def test_a_cusum_tells_since_when_it_grows() -> None:
    state = sequential.empty_cusum(1)
    for score in (1.0, -3.0, math.nan, 1.0, 1.0, 0.2):
        sequential.cusum_update(state, slots(1), np.array([score]), 0.5)
    assert (state.sums[0], state.since[0]) == (pytest.approx(0.7), 3)
    sequential.cusum_reset(state, 0)
    assert (state.sums[0], state.since[0]) == (0.0, 0)


def test_one_window_adds_no_more_than_the_largest_score() -> None:
    state = sequential.empty_cusum(1)
    sequential.cusum_update(state, slots(1), np.array([math.inf]), 0.5)
    assert state.sums[0] == sequential.LARGEST_SCORE - 0.5
    sequential.cusum_update(state, slots(1), np.array([-math.inf]), 0.5)
    assert state.sums[0] == 0.0


def test_evidence_is_the_plain_sum(rng: np.random.Generator) -> None:
    p_values = rng.random((40, 2))
    state = sequential.empty_evidence(3)
    for row in p_values:
        sequential.evidence_update(state, np.array([2, -1], np.int32), row)
    assert math.exp(state.logs[2]) == pytest.approx(oracle.evidence(p_values[:, 0]), rel=1e-9)
    assert state.logs[:2].tolist() == [-math.inf, -math.inf]
    before = state.logs[2]
    sequential.evidence_update(state, np.array([2], np.int32), np.array([math.nan]))
    assert state.logs[2] == before
    sequential.evidence_reset(state, 2)
    assert state.logs[2] == -math.inf


def test_evidence_of_impossible_windows_stays_a_number() -> None:
    state = sequential.empty_evidence(1)
    for _ in range(1_000):
        sequential.evidence_update(state, slots(1), np.zeros(1))
    assert 1e5 < state.logs[0] < math.inf


@pytest.mark.parametrize(
    ("threshold", "allowance", "published"), [(4.0, 0.5, 336.0), (5.0, 0.5, 930.0)]
)
def test_run_lengths_are_the_published_ones(
    threshold: float, allowance: float, published: float
) -> None:
    """Montgomery, Introduction to Statistical Quality Control: 168 and 465 for two sides."""
    found = sequential.cusum_run_length(threshold, allowance)
    assert found == pytest.approx(published, rel=5e-3)


@pytest.mark.parametrize(("threshold", "allowance"), [(0.5, 0.5), (3.0, 0.25), (8.0, 0.5)])
def test_run_lengths_are_those_of_a_markov_chain(threshold: float, allowance: float) -> None:
    expected = oracle.run_length(threshold, allowance)
    assert sequential.cusum_run_length(threshold, allowance) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("run_length", [4.0, 100.0, 2_016.0, 1e6])
def test_a_threshold_has_the_run_length_asked_for(run_length: float) -> None:
    threshold = sequential.cusum_threshold(run_length, ALLOWANCE)
    assert sequential.cusum_run_length(threshold, ALLOWANCE) == pytest.approx(run_length, rel=1e-6)


def test_no_threshold_has_a_run_length_below_that_of_zero() -> None:
    assert sequential.cusum_threshold(2.0, ALLOWANCE) == pytest.approx(0.0, abs=1e-12)
    shortest = 1 / stats.norm.sf(ALLOWANCE)
    assert sequential.cusum_run_length(0.0, ALLOWANCE) == pytest.approx(shortest)


def mean_run_length(p_values_of: object, kind: str, run_length: float) -> float:
    """Of MANY runs, each until its alarm; at most fifteen mean lengths long."""
    draw = p_values_of
    assert callable(draw)
    cusum, evidence = sequential.empty_cusum(MANY), sequential.empty_evidence(MANY)
    threshold = sequential.cusum_threshold(run_length, ALLOWANCE)
    ends = np.full(MANY, 15 * run_length)
    for window in range(1, int(15 * run_length)):
        running = np.flatnonzero(ends == 15 * run_length)
        if not running.size:
            break
        p_values, at = draw(MANY)[running], running.astype(np.int32)
        if kind == "cusum":
            sequential.cusum_update(cusum, at, stats.norm.isf(p_values), ALLOWANCE)
            ends[running[cusum.sums[running] >= threshold]] = window
        else:
            sequential.evidence_update(evidence, at, p_values)
            ends[running[evidence.logs[running] >= math.log(run_length)]] = window
    return float(ends.mean())


@pytest.mark.slow
@pytest.mark.skipif(not IS_COMPILED, reason="needs many runs")
@pytest.mark.parametrize("run_length", [20.0, 100.0])
def test_false_alarms_come_as_rarely_as_is_said(
    run_length: float, rng: np.random.Generator
) -> None:
    found = mean_run_length(rng.random, "cusum", run_length)
    assert found == pytest.approx(run_length, rel=4 / math.sqrt(MANY))
    assert mean_run_length(rng.random, "evidence", run_length) >= run_length


@pytest.mark.slow
@pytest.mark.skipif(not IS_COMPILED, reason="needs many runs")
@pytest.mark.parametrize("kind", ["cusum", "evidence"])
def test_p_values_of_few_values_make_alarms_rarer_not_more_frequent(
    kind: str, rng: np.random.Generator
) -> None:
    def rounded_up(n: int) -> Floats:
        return np.asarray(np.ceil(rng.random(n) * 8) / 8)

    assert mean_run_length(rounded_up, kind, 50.0) >= 50.0 * (1 - 4 / math.sqrt(MANY))


@pytest.mark.parametrize(("kind", "within"), [("cusum", 20), ("evidence", 60)])
def test_a_drift_that_no_window_shows_is_found(
    kind: str, within: int, rng: np.random.Generator
) -> None:
    def slightly_small(n: int) -> Floats:
        return np.asarray(stats.norm.sf(rng.normal(1.0, 1.0, n)))

    assert mean_run_length(slightly_small, kind, 1_000.0) < within
