"""Sequential: evidence of a small lasting change adds up, and unchanged data give none."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import exp, log

import numpy as np
import pytest
from scipy import stats

from stream.detect.judge import sequential
from stream.detect.judge.findings import BREACH, NOT_ENOUGH, OK
from stream.detect.judge.measures import Comparison, measure_bins
from stream.detect.specs import ModelSpec, RuleSpec
from tests.judged import EVEN, HOUR_MS, Stream

RULE = RuleSpec(name="creep", measure="psi", sequential=True)
MODEL = ModelSpec(name="m", lengths_ms=(HOUR_MS,), rules=(RULE,), widen_ms=0)
SMALL = np.array([0.07, 0.08, 0.08, 0.09, 0.1, 0.1, 0.11, 0.12, 0.12, 0.13])  # psi 0.037
MIDDLE = np.array([0.05, 0.06, 0.08, 0.09, 0.1, 0.1, 0.11, 0.12, 0.14, 0.15])  # psi 0.1


def comparison(now: np.ndarray, reference: float = 2_000.0) -> Comparison:
    before = np.append(np.full(10, reference), 0.0)
    counts = np.append(now.astype(float), 0.0)
    found = Comparison("feature.x", "number", [], before, counts, int(counts.sum()), 0)
    measure_bins(found)
    return found


@pytest.mark.parametrize(
    ("freedom", "centre"), [(1, 0.5), (9, 8.0), (9, 900.0), (60, 90.0), (99, 2e4)]
)
@pytest.mark.parametrize("statistic", [1.0, 30.0, 3_000.0])
def test_the_likelihood_ratio_is_that_of_two_chi_squares(
    freedom: int, centre: float, statistic: float
) -> None:
    far, near = (stats.ncx2.logpdf(statistic, freedom, c) for c in (2 * centre, centre))
    if not np.isfinite(far - near):
        pytest.skip("scipy has no density so far out")
    found = (
        -centre / 2
        + sequential._log_density(freedom, 2 * centre * statistic)
        - sequential._log_density(freedom, centre * statistic)
    )
    assert found == pytest.approx(far - near, rel=0.01, abs=0.01)


@pytest.mark.parametrize("n", [50, 300, 3_000])
def test_unchanged_data_do_not_multiply_evidence(rng: np.random.Generator, n: int) -> None:
    gains = []
    for _ in range(40):
        reference = rng.multinomial(5_000, EVEN).astype(float)
        for now in rng.multinomial(n, EVEN, 50):
            found = comparison(now)
            found.reference = np.append(reference, 0.0)
            measure_bins(found)
            gains.append(exp(sequential.gain(found)))
    assert np.mean(gains) < 1


def test_a_change_that_no_window_shows_is_found_in_time(rng: np.random.Generator) -> None:
    stream, window = Stream(MODEL), Stream(replace(MODEL, rules=(replace(RULE, sequential=False),)))
    for draw in rng.multinomial(400, EVEN, 20):
        assert stream.judge(draw).verdict == OK
    verdicts = [stream.judge(draw).verdict for draw in rng.multinomial(400, MIDDLE, 30)]
    assert BREACH in verdicts
    assert verdicts[-1] == BREACH
    single = [window.judge(draw).verdict for draw in rng.multinomial(400, SMALL, 30)]
    assert (BREACH, BREACH) not in pairwise(single)  # what a rule waits for


def test_the_finding_says_since_when_and_how_rarely(rng: np.random.Generator) -> None:
    stream = Stream(MODEL)
    for draw in rng.multinomial(400, EVEN, 10):
        stream.judge(draw)
    findings = [stream.judge(draw) for draw in rng.multinomial(400, MIDDLE, 30)]
    breach = next(finding for finding in findings if finding.verdict == BREACH)
    assert breach.measure == "evidence"
    assert breach.detail["average_run_length_windows"] == pytest.approx(168)
    assert breach.threshold == pytest.approx(log(168) / log(10))
    assert breach.span_ms is not None
    assert breach.span_ms[0] >= 8 * HOUR_MS
    assert breach.span_ms[1] > breach.span_ms[0]


def test_evidence_ends_when_the_change_does(rng: np.random.Generator) -> None:
    stream = Stream(MODEL)
    for draw in rng.multinomial(400, MIDDLE, 60):
        stream.judge(draw)
    verdicts = [stream.judge(draw).verdict for draw in rng.multinomial(400, EVEN, 10)]
    assert verdicts[-1] == OK


def test_a_window_without_a_measure_changes_no_evidence(rng: np.random.Generator) -> None:
    stream = Stream(MODEL)
    stream.judge(rng.multinomial(400, MIDDLE))
    before = stream.past.to_json()["evidence"]
    assert stream.judge([0] * 10).verdict == NOT_ENOUGH
    assert stream.past.to_json()["evidence"] == before


def test_the_mean_number_of_windows_to_a_false_alarm_is_kept(rng: np.random.Generator) -> None:
    """With a budget of one per 168 windows, 3 000 windows may begin 17."""
    stream, began, was = Stream(MODEL), 0, False
    for draw in rng.multinomial(150, EVEN, 3_000):
        is_breach = stream.judge(draw).verdict == BREACH
        began += is_breach and not was
        was = is_breach
    assert began <= 3_000 / 168
