"""Widening: small windows are put together until they can find what they should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import orjson
import pytest

from stream.detect.detector import Detector
from stream.detect.judge.enough import sizing
from stream.detect.judge.findings import BREACH, NOT_ENOUGH, OK
from stream.detect.judge.measures import Comparison
from stream.detect.judge.noise import INDEPENDENT, KEPT
from stream.detect.judge.past import MOST_BINS, Past, coarse
from stream.detect.specs import ModelSpec, RuleSpec
from stream.detect.times import rfc3339
from tests.builders import event, messages, reference, spec
from tests.judged import EVEN, HOUR_MS, Stream

PSI = RuleSpec(name="drift", measure="psi", hold=2)
MODEL = ModelSpec(name="m", lengths_ms=(HOUR_MS,), rules=(PSI,))
MOVED = np.array([0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.12, 0.14, 0.16, 0.18])  # psi 0.26


def quiet(n: int) -> np.ndarray:
    return np.full(10, n / 10)


def test_a_large_window_decides_alone() -> None:
    finding = Stream(MODEL).judge(quiet(1_000))
    assert (finding.verdict, finding.windows, finding.span_ms) == (OK, 1, None)


def test_small_windows_wait_until_their_sum_suffices_which_then_decides() -> None:
    stream = Stream(MODEL)
    findings = [stream.judge(quiet(40)) for _ in range(8)]
    verdicts = [finding.verdict for finding in findings]
    at = verdicts.index(OK)
    assert verdicts[:at] == [NOT_ENOUGH] * at
    decided = findings[at]
    assert decided.n == 40 * (at + 1) >= (findings[0].n_finds or 0)
    assert decided.windows == at + 1
    assert sizing(decided)["decided_on"] == {
        "start": rfc3339(0), "end": rfc3339((at + 1) * HOUR_MS), "n": decided.n,
    }  # fmt: skip
    assert verdicts[at + 1] == NOT_ENOUGH  # the next one begins


def test_a_small_window_says_how_many_events_it_takes() -> None:
    finding = Stream(MODEL).judge(quiet(20))
    assert finding.verdict == NOT_ENOUGH
    assert finding.n_fires == 30
    assert finding.n_finds is not None
    assert Stream(MODEL).judge(quiet(finding.n_finds + 10)).verdict == OK


def test_a_drastic_change_of_a_small_window_is_told_by_itself() -> None:
    stream = Stream(MODEL)
    finding = stream.judge([0] * 9 + [40])
    assert (finding.verdict, finding.windows) == (BREACH, 1)


def test_a_change_too_small_for_one_window_is_found_in_several() -> None:
    stream = Stream(replace(MODEL, rules=(replace(PSI, hold=1),), false_alarms_per_week=0.05))
    findings = [stream.judge(MOVED * 60) for _ in range(12)]
    breach = next(finding for finding in findings if finding.verdict == BREACH)
    assert breach.windows > 1
    assert breach.value > breach.threshold
    assert NOT_ENOUGH in {f.verdict for f in findings[: findings.index(breach)]}


def test_windows_are_put_together_for_so_long_at_most() -> None:
    strict = replace(MODEL, widen_ms=3 * HOUR_MS, false_alarms_per_week=1e-4)
    stream = Stream(strict)
    findings = [stream.judge(quiet(31)) for _ in range(6)]
    assert [finding.windows for finding in findings] == [1, 1, 3, 1, 1, 3]
    assert {finding.verdict for finding in findings} == {NOT_ENOUGH}  # still too few


def test_without_widening_a_small_window_is_judged_as_it_is() -> None:
    assert Stream(replace(MODEL, widen_ms=0)).judge(quiet(40)).verdict == OK


def test_a_window_that_is_judged_again_is_not_added_again() -> None:
    stream, other = Stream(MODEL), Stream(MODEL)
    for one in (stream, other):
        one.judge(quiet(40))
    stream.at -= 1
    assert stream.judge(quiet(40), revision=1, is_kept=False).verdict == NOT_ENOUGH
    stream.judge(quiet(40), is_kept=False)
    stream.at += 1
    assert stream.past.to_json() == other.past.to_json()


def test_what_the_past_is_outlives_a_restart_anywhere(rng: np.random.Generator) -> None:
    draws = rng.multinomial(45, EVEN, 30)
    whole = Stream(MODEL)
    expected = [(f.verdict, f.windows, f.p_value) for f in map(whole.judge, draws)]
    found, past = [], Past()
    for at, draw in enumerate(draws):
        stream = Stream(MODEL, past)
        stream.at = at
        finding = stream.judge(draw)
        found.append((finding.verdict, finding.windows, finding.p_value))
        past = Past.from_json(orjson.loads(orjson.dumps(stream.past.to_json())))
    assert found == expected


def test_another_reference_begins_a_new_wide_window() -> None:
    stream = Stream(MODEL)
    stream.past.follow({"training": "a"})
    stream.judge(quiet(40))
    assert stream.past.blocks
    stream.past.follow({"training": "a", "previous": "p"})
    assert stream.past.blocks
    stream.past.follow({"training": "b"})
    assert not stream.past.blocks


def test_the_level_holds_for_small_windows(rng: np.random.Generator) -> None:
    """One window in fifty may breach; half of that is for the wide ones."""
    rule = RuleSpec(name="r", measure="psi")
    model = replace(MODEL, rules=(rule,), false_alarms_per_week=168 / 50)
    stream, windows = Stream(model), 2_000
    hits = sum(stream.judge(draw).verdict == BREACH for draw in rng.multinomial(40, EVEN, windows))
    assert hits <= windows / 50


def test_only_the_most_frequent_categories_are_kept_apart() -> None:
    n = MOST_BINS + 40
    labels = [*(f"c{i}" for i in range(n)), "unseen", "missing"]
    before = np.append(np.arange(n, 0, -1.0), [0.0, 5.0])
    now = np.append(np.ones(n), [2.0, 3.0])
    found = coarse(Comparison("f", "category", labels, before, now, int(now.sum()), 1))
    assert len(found.labels) == found.current.size == MOST_BINS
    assert found.labels[:2] + found.labels[-3:] == ["c0", "c1", "rarer", "unseen", "missing"]
    assert (found.current.sum(), found.reference.sum()) == (now.sum(), before.sum())
    assert found.noise == INDEPENDENT


def test_a_window_summary_says_what_is_lacking_and_which_windows_decided() -> None:
    model = replace(MODEL, lengths_ms=(60_000,), keep_previous=False)
    known = reference([event(0, {"x": i % 10}) for i in range(2_000)])
    detector = Detector(spec(model), lambda _model, _version: known)
    worker, judge = detector.ingestor(0, 1), detector.judge()
    events = [event(60 * minute + i, {"x": i % 10}) for minute in range(24) for i in range(40)]
    intakes = [worker.add(messages(*events)), worker.finish()]
    items = [x for one in intakes for x in (*one.partials, one.marker) if x is not None]
    windows = judge.add(list(enumerate(items))).windows
    first = windows[0]
    assert first["verdict"] == "not_enough_data"
    assert first["features"]["x"]["measures"]["training"]["n_fires"] == 30
    assert first["summary"].startswith("not enough data for x: 40 events; the rule can fire from")
    decided = next(w for w in windows if w["verdict"] == "ok")
    assert windows.index(decided) >= KEPT  # of a sum the noise has to be known
    measures = decided["features"]["x"]["measures"]["training"]
    assert measures["decided_on"]["start"] == first["start"]
    assert measures["decided_on"]["end"] == decided["end"]
    assert decided["summary"] is None


@pytest.mark.parametrize("hold", [1, 2, 3])
def test_a_wide_breach_stands_for_as_many_windows_as_have_to_agree(hold: int) -> None:
    rule = replace(PSI, hold=hold)
    stream = Stream(replace(MODEL, rules=(rule,)))
    breach = next(f for f in (stream.judge(MOVED * 60) for _ in range(12)) if f.verdict == BREACH)
    assert breach.share is not None
    assert breach.level == pytest.approx(breach.share.chance / 2 * breach.windows)
