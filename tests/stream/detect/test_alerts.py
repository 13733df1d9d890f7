"""Alerts: findings window by window become a life with a beginning, changes and an end.

A row of letters stands for windows one after another:
    B breach   . ok and clear   - ok, but not below 80 % of the threshold   ? not enough data
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from stream.detect.judge.alerts import AlertBook
from stream.detect.judge.findings import BREACH, NO_DATA, NOT_ENOUGH, OK, Finding, Reading
from stream.detect.judge.parts import Due, Window
from stream.detect.judge.summaries import summarise
from stream.detect.specs import ModelSpec, RuleSpec
from stream.detect.states import CategoryState, FeatureState, Stream, WindowState
from tests.builders import M, at

PSI = RuleSpec(name="drift", measure="psi", severity="critical", runbook="https://r")
MODEL = ModelSpec(name="m", owner="team", lengths_ms=(60_000,))
LETTERS = {"B": (BREACH, 0.5), ".": (OK, 0.1), "-": (OK, 0.19), "?": (NOT_ENOUGH, 0.5)}
THRESHOLD = 0.2


def reading(minute: int, revision: int = 0, counts: Mapping[str, int] | None = None) -> Reading:
    state = WindowState(events=100)
    state.features["feature.c"] = FeatureState(category=CategoryState(dict(counts or {})))
    due = Due(Window(M, 60_000, at(60 * minute)), revision, state, {0: (1, 2)})
    return Reading(due, summarise(due, {}, {}, "c0", "predictions"), {}, {})


def finding(letter: str, rule: RuleSpec = PSI, **more: Any) -> Finding:
    verdict, value = LETTERS[letter]
    usual: dict[str, Any] = {"value": value, "threshold": THRESHOLD, "reference": "training"}
    name = rule.measure or rule.objective or ""
    feature = None if rule.objective else "feature.c"
    return Finding(rule, feature, verdict, name, **(usual | more))


class Life:
    """One alert book, told of windows one after another."""

    def __init__(self, rule: RuleSpec = PSI) -> None:
        self.rule = rule
        self.book = AlertBook(M, replace(MODEL, rules=(rule,)), "c0")
        self.events: list[dict[str, Any]] = []
        self.minute = 0

    def live(self, letters: str) -> list[tuple[int, str, str]]:
        """What is told of, by the number of the window: (window, state, reason)."""
        told = []
        for letter in letters:
            told += self.tell(finding(letter, self.rule), self.minute)
            self.minute += 1
        return told

    def tell(
        self,
        one: Finding,
        minute: int,
        *,
        revision: int = 0,
        counts: Mapping[str, int] | None = None,
    ) -> list[tuple[int, str, str]]:
        events = self.book.observe([one], reading(minute, revision, counts))
        self.events += events
        return [(minute, event["data"]["state"], event["data"]["reason"]) for event in events]


@pytest.mark.parametrize(
    ("letters", "told"),
    [
        ("....", []),
        ("B", [(0, "firing", "first")]),
        ("BBBB", [(0, "firing", "first")]),
        ("B.", [(0, "firing", "first"), (1, "resolved", "resolved")]),
        ("B..B", [(0, "firing", "first"), (1, "resolved", "resolved"), (3, "firing", "first")]),
        ("B---.", [(0, "firing", "first"), (4, "resolved", "resolved")]),
        ("B????.", [(0, "firing", "first"), (5, "resolved", "resolved")]),
        ("????", []),
        ("-B", [(1, "firing", "first")]),
    ],
)
def test_an_alert_begins_with_a_breach_and_ends_well_below_the_threshold(
    letters: str, told: list[Any]
) -> None:
    assert Life().live(letters) == told


@pytest.mark.parametrize(
    ("letters", "told"),
    [
        ("BB", []),
        ("BBB", [(2, "firing", "first")]),
        ("BB.BB", []),
        ("BB-BB", []),
        ("BB?B", [(3, "firing", "first")]),
        ("BBB.BBB", [(2, "firing", "first"), (3, "resolved", "resolved"), (6, "firing", "first")]),
    ],
)
def test_an_alert_waits_for_as_many_breaches_in_a_row_as_its_rule_says(
    letters: str, told: list[Any]
) -> None:
    assert Life(RuleSpec(name="r", measure="psi", hold=3)).live(letters) == told


@pytest.mark.parametrize(
    ("letters", "told"),
    [
        ("B.", [(0, "firing", "first")]),
        ("B..", [(0, "firing", "first"), (2, "resolved", "resolved")]),
        ("B.B.", [(0, "firing", "first")]),
        ("B.-.", [(0, "firing", "first")]),
        ("B.?.", [(0, "firing", "first"), (3, "resolved", "resolved")]),
    ],
)
def test_an_alert_keeps_firing_until_it_was_clear_for_windows_in_a_row(
    letters: str, told: list[Any]
) -> None:
    assert Life(RuleSpec(name="r", measure="psi", keep_firing=2)).live(letters) == told


def test_silence_never_resolves_an_alert() -> None:
    life = Life()
    life.live("B")
    silent = Finding(PSI, None, NO_DATA, "psi")
    assert life.tell(silent, 1) == []
    assert len(life.book.firing()) == 1


@pytest.mark.parametrize(("value", "is_clear"), [(9.0, False), (12.0, False), (12.6, True)])
def test_an_alert_on_a_lower_bound_ends_well_above_it(value: float, is_clear: bool) -> None:
    rule = RuleSpec(name="r", objective="rate_per_second", below=10.0)
    life = Life(rule)
    life.tell(finding("B", rule, value=5.0, threshold=10.0, reference=None), 0)
    verdict = "B" if value < 10 else "."
    told = life.tell(finding(verdict, rule, value=value, threshold=10.0, reference=None), 1)
    assert bool(told) == is_clear


def test_an_alert_on_a_band_ends_inside_it() -> None:
    rule = RuleSpec(name="r", objective="rate_per_second", below=10.0, above=11.0)
    life = Life(rule)
    life.tell(finding("B", rule, value=5.0, threshold=10.0, reference=None), 0)
    told = life.tell(finding(".", rule, value=10.5, threshold=11.0, reference=None), 1)
    assert told == [(1, "resolved", "resolved")]


UNSEEN = RuleSpec(name="u", kind="quality", measure="unseen_ratio", on=("c",))


def test_new_values_that_are_not_allowed_are_told_once_each() -> None:
    life = Life(UNSEEN)
    breach = finding("B", UNSEEN)
    assert life.tell(breach, 0, counts={"z": 3}) == [(0, "firing", "first")]
    assert life.tell(breach, 1, counts={"z": 4}) == []
    assert life.tell(breach, 2, counts={"y": 1, "z": 1}) == [(2, "firing", "changed")]
    assert life.tell(breach, 3, counts={"y": 1}) == []
    assert life.events[1]["data"]["evidence"]["unseen_values"] == ["y", "z"]


def test_a_value_is_told_again_after_the_alert_was_resolved() -> None:
    life = Life(UNSEEN)
    life.tell(finding("B", UNSEEN), 0, counts={"z": 3})
    life.tell(finding(".", UNSEEN, value=0.0, threshold=0.0), 1)
    assert life.tell(finding("B", UNSEEN), 2, counts={"z": 3}) == [(2, "firing", "first")]


@pytest.mark.parametrize(
    ("value", "told"), [(0.5, []), (0.524, []), (0.53, [(0, "firing", "corrected")])]
)
def test_a_revision_of_a_window_that_was_told_is_a_correction_if_the_value_moved(
    value: float, told: list[Any]
) -> None:
    life = Life()
    life.live("B")
    assert life.tell(finding("B", value=value), 0, revision=1) == told


def test_a_revision_that_takes_the_breach_away_retracts_it() -> None:
    life = Life()
    life.live("B")
    assert life.tell(finding("."), 0, revision=1) == [(0, "resolved", "retracted")]
    assert life.book.firing() == []
    assert life.tell(finding("."), 0, revision=2) == []


def test_a_revision_that_brings_a_breach_fires() -> None:
    life = Life()
    life.live(".")
    assert life.tell(finding("B"), 0, revision=1) == [(0, "firing", "corrected")]
    life.minute = 1
    assert life.live(".") == [(1, "resolved", "resolved")]


def test_a_revision_without_a_change_says_nothing() -> None:
    life = Life()
    life.live("..")
    assert life.tell(finding("."), 0, revision=1) == []


def test_a_correction_of_an_alert_that_is_over_does_not_fire_again() -> None:
    #   window   0  1        then 0 again, still a breach: the alert is over all the same
    life = Life()
    life.live("B.")
    assert life.tell(finding("B", value=0.9), 0, revision=1) == [(0, "resolved", "corrected")]
    assert life.book.firing() == []


def test_an_alert_whose_last_window_was_no_breach_after_all_ends_with_it() -> None:
    life = Life(UNSEEN)
    life.tell(finding("B", UNSEEN), 0, counts={"z": 3})
    life.tell(finding("B", UNSEEN), 1, counts={"y": 3})
    told = life.tell(finding(".", UNSEEN, value=0.0, threshold=0.0), 1, revision=1)
    assert told == [(1, "resolved", "resolved")]
    assert life.book.firing() == []


def test_each_rule_feature_and_stream_has_an_alert_of_its_own() -> None:
    other = RuleSpec(name="other", measure="psi")
    life = Life()
    life.book.follow(replace(MODEL, rules=(PSI, other)), "c0")
    life.live("B")
    life.tell(finding("B", other), 1)
    here = {event["data"]["fingerprint"] for event in life.events}
    segment = Stream("m", "1", "origin=JFK")
    there = AlertBook(segment, replace(MODEL, rules=(PSI,)), "c0").observe(
        [finding("B")], reading(0)
    )
    assert len(here | {there[0]["data"]["fingerprint"]}) == 3
    assert there[0]["data"]["segment"] == "origin=JFK"


def test_an_alert_stays_the_same_when_a_reference_appears() -> None:
    """A rule on allowed values compares with nothing; from the second window on there is one."""
    life = Life(UNSEEN)
    life.tell(finding("B", UNSEEN, reference=None), 0, counts={"z": 1})
    told = life.tell(finding(".", UNSEEN, value=0.0, threshold=0.0, reference="previous"), 1)
    assert told == [(1, "resolved", "resolved")]


def test_ids_depend_on_event_time_alone() -> None:
    one, two = Life(), Life()
    one.live("B.B")
    two.live("B.B")
    ids = [event["id"] for event in one.events]
    assert ids == [event["id"] for event in two.events]
    assert len(set(ids)) == 3
    assert {event["data"]["fingerprint"] for event in one.events} == {
        one.book._fingerprint(PSI, "feature.c")
    }


def test_an_alert_is_a_cloud_event_ready_for_json() -> None:
    life = Life()
    life.live("B")
    [event] = life.events
    assert orjson.loads(orjson.dumps(event)) == event
    assert {key: event[key] for key in ("specversion", "type", "source", "subject", "time")} == {
        "specversion": "1.0",
        "type": "driftline.alert.v1",
        "source": "driftline/m/1",
        "subject": "m/1",
        "time": "2024-10-04T00:01:00Z",
    }
    data = event["data"]
    assert {
        key: data[key] for key in ("kind", "rule", "severity", "owner", "runbook", "feature")
    } == {
        "kind": "drift",
        "rule": "drift",
        "severity": "critical",
        "owner": "team",
        "runbook": "https://r",
        "feature": "c",
    }
    assert data["window"] == {"start": "2024-10-04T00:00:00Z", "end": "2024-10-04T00:01:00Z"}
    assert data["measure"]["value"] == 0.5
    assert data["source_offsets"] == {"predictions-0": [1, 2]}
    assert data["summary"].startswith("m/1: c drifted from training: psi 0.5, limit 0.2")
