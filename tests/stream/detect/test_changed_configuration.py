"""A configuration changes at a border of panes: what is counted, what is judged, what alerts do.

Panes and main windows are of a minute. The change is announced so that it is in force from minute
ten on; events of minute k come at second 60 k + 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from stream.detect.configurations import NOTICE_MS
from stream.detect.detector import Detector
from stream.detect.ingest.ingestor import Intake
from stream.detect.judge.judge import Verdicts
from stream.detect.judge.records import Ledger, Memory, Stored, choose
from stream.detect.partials import Marker, Partial
from stream.detect.specs import DetectorSpec, LimitSpec, ModelSpec, RuleSpec, TimeSpec
from stream.detect.times import time_ms
from tests.builders import at, event, messages, no_reference, spec

TIME = TimeSpec(pane_ms=60_000, grace_ms=0, max_ahead_ms=0, revise_for_ms=20 * 60_000)
BORDER = 10  # minute
FEW = RuleSpec(name="few", kind="volume", objective="rate_per_second", below=5 / 60)
MODEL = ModelSpec(name="m", lengths_ms=(60_000,), rules=(FEW,), keep_previous=False)
BEFORE = spec(MODEL, time=TIME)


def changed(model: ModelSpec = MODEL, limits: LimitSpec | None = None) -> DetectorSpec:
    return replace(spec(model, time=TIME, limits=limits), config_hash="c1")


class Run:
    """One worker, one partition; a change that it knows from the beginning."""

    def __init__(self, after: DetectorSpec, before: DetectorSpec = BEFORE) -> None:
        self.detector = Detector(before, no_reference)
        written_ms = at(60 * BORDER) - NOTICE_MS
        self.change = self.detector.configs.announce(after, written_ms)
        self.ingestor, self.judge = self.detector.ingestor(0, 1), self.detector.judge()
        self.partials: list[Partial] = []
        self.said = Verdicts()
        self._offset = self._judged = 0
        self._log: list[tuple[int, Partial | Marker]] = []

    def minutes(self, counts: dict[int, int], **more: Any) -> Run:
        """So many events in each minute, in this order; then nothing more."""
        for minute, n in counts.items():
            self.take(*(event(60 * minute + 1, {"x": i}, **more) for i in range(n)))
        return self

    def take(self, *events: dict[str, Any]) -> Run:
        """One fetch."""
        batch = messages(*events, first_offset=self._offset, arrival_s=60 * 10_000)
        self._offset += len(events)
        self._pass_on(self.ingestor.add(batch))
        return self

    def finish(self) -> Run:
        """The end of the log."""
        self._pass_on(self.ingestor.finish())
        return self

    def restart(self) -> Run:
        """Another judge goes on from what this one wrote."""
        changes = self.judge.changes()
        assert changes is not None
        records = Ledger(0, Memory()).records(*changes)
        memory, damaged = choose(Stored(key, value, i) for i, (key, value) in enumerate(records))
        assert not damaged
        offset, progress = self.judge.commit_point()
        self.judge = self.detector.judge(next_offset=offset, progress=progress, memory=memory)
        again = [item for item in self._log if item[0] >= offset]
        assert not self.judge.add(again).windows
        return self

    def _pass_on(self, intake: Intake) -> None:
        sent: list[Partial | Marker] = [*intake.partials, *filter(None, [intake.marker])]
        self.partials += intake.partials
        items = list(enumerate(sent, self._judged))
        self._judged += len(items)
        self._log += items
        told = self.judge.add(items)
        self.said.windows += told.windows
        self.said.alerts += told.alerts

    def windows(self) -> list[tuple[int, int, int, str, str]]:
        """Start and length in minutes, revision, verdict and configuration, as they were told."""
        return [
            (*span(w), w["revision"], w["verdict"], w["config_hash"]) for w in self.said.windows
        ]

    def alerts(self) -> list[tuple[int, str, str]]:
        """Minute, reason and state of each, as they were told."""
        return [
            (minute(e["data"]["window"]["start"]), e["data"]["reason"], e["data"]["state"])
            for e in self.said.alerts
        ]


def minute(text: str) -> int:
    return (time_ms(text) - at(0)) // 60_000


def span(window: dict[str, Any]) -> tuple[int, int]:
    start = minute(window["start"])
    return start, minute(window["end"]) - start


def test_each_window_is_judged_by_the_rules_of_its_last_pane() -> None:
    stricter = replace(MODEL, rules=(replace(FEW, below=20 / 60),))
    run = Run(changed(stricter)).minutes(dict.fromkeys(range(8, 12), 10)).finish()
    assert run.change.from_ms == at(60 * BORDER)
    assert [w for w in run.windows() if w[0] < 12] == [
        (8, 1, 0, "ok", "c0"),
        (9, 1, 0, "ok", "c0"),
        (10, 1, 0, "breach", "c1"),
        (11, 1, 0, "breach", "c1"),
    ]
    assert run.alerts()[0] == (10, "first", "firing")
    assert run.said.alerts[0]["data"]["config_hash"] == "c1"


def test_a_long_window_over_the_border_names_both() -> None:
    lengths = replace(MODEL, lengths_ms=(60_000, 240_000))
    run = Run(changed(lengths), spec(lengths, time=TIME))
    run.minutes(dict.fromkeys(range(8, 13), 10)).finish()
    long = {span(w): w for w in run.said.windows if span(w)[1] == 4 and w["count"]}
    assert {k: (w["config_hash"], w["made_under"]["config_hashes"]) for k, w in long.items()} == {
        (8, 4): ("c1", ["c0", "c1"]),
        (12, 4): ("c1", ["c1"]),
    }


def test_late_events_are_counted_and_judged_under_the_configuration_of_their_pane() -> None:
    stricter = replace(MODEL, rules=(replace(FEW, below=20 / 60),), segments=("site",))
    run = Run(changed(stricter))
    run.minutes({8: 2, 9: 10, 10: 10, 11: 10, 12: 10}, segment={"site": "a"})
    run.minutes({8: 4, 13: 1}, segment={"site": "a"}).finish()
    late = [p for p in run.partials if p.part]
    assert [(p.config_hash, p.stream.segment) for p in late] == [("c0", "")]
    assert {p.config_hash for p in run.partials if p.stream.segment} == {"c1"}
    eight = [w for w in run.windows() if w[0] == 8]
    assert eight == [(8, 1, 0, "breach", "c0"), (8, 1, 1, "ok", "c0")]


def test_a_fetch_across_the_border_is_cut_as_each_pane_says() -> None:
    other = replace(MODEL, segments=("city",))
    run = Run(changed(other), spec(replace(MODEL, segments=("site",)), time=TIME))
    where = {"site": "a", "city": "b"}
    rows = [event(60 * m + 1, {"x": 1}, segment=where) for m in (9, 9, 10, 10)]
    run.take(*rows).finish()
    counted = {(p.pane, p.stream.segment): p.state.events for p in run.partials}
    pane = at(60 * BORDER) // 60_000
    assert counted == {
        (pane - 1, ""): 2, (pane - 1, "site=a"): 2, (pane, ""): 2, (pane, "city=b"): 2,
    }  # fmt: skip


def test_caps_are_those_of_the_pane() -> None:
    run = Run(changed(limits=LimitSpec(max_feature_names=1)))
    rows = [event(60 * m + 1, {"x": 1, "y": 2, "z": 3}) for m in (9, 10)]
    run.take(*rows).finish()
    features = [
        sorted(name for name in p.state.features if name.startswith("feature."))
        for p in run.partials
    ]
    assert features == [["feature.x", "feature.y", "feature.z"], ["feature.x"]]


@pytest.mark.parametrize("restarts", [False, True])
def test_an_alert_whose_rule_is_gone_ends_with_the_next_window(restarts: bool) -> None:
    run = Run(changed(replace(MODEL, rules=())))
    run.minutes({8: 1, 9: 1, 10: 1})
    if restarts:
        run.restart()
    run.minutes({11: 1, 12: 1}).finish()
    assert run.alerts() == [(8, "first", "firing"), (10, "resolved", "resolved")]
    assert "its rule is gone" in run.said.alerts[-1]["data"]["summary"]


@pytest.mark.parametrize("restarts", [False, True])
def test_an_alert_that_fires_goes_on_firing_under_another_hold(restarts: bool) -> None:
    slower = replace(MODEL, rules=(replace(FEW, hold=3, keep_firing=2),))
    run = Run(changed(slower))
    run.minutes({8: 10, 9: 1, 10: 1, 11: 1})
    if restarts:
        run.restart()
    run.minutes({12: 10, 13: 10, 14: 1, 15: 1, 16: 10}).finish()
    assert run.alerts()[:2] == [(9, "first", "firing"), (13, "resolved", "resolved")]


def test_late_data_open_no_alert_of_a_rule_that_is_gone() -> None:
    many = RuleSpec(name="many", kind="volume", objective="rate_per_second", above=15 / 60)
    run = Run(changed(replace(MODEL, rules=())), spec(replace(MODEL, rules=(many,)), time=TIME))
    run.minutes({8: 10, 9: 10, 10: 10, 11: 10, 12: 10}).minutes({8: 10, 13: 1}).finish()
    assert [w for w in run.windows() if w[0] == 8] == [
        (8, 1, 0, "ok", "c0"),
        (8, 1, 1, "breach", "c0"),
    ]
    assert run.alerts() == []


def test_windows_of_another_length_begin_where_the_old_ones_end() -> None:
    run = Run(changed(replace(MODEL, lengths_ms=(180_000,))))
    assert run.change.from_ms == at(60 * 12)  # the next border of both
    run.minutes(dict.fromkeys(range(9, 18), 30)).finish()
    spans = [w[:2] for w in run.windows() if w[0] < 18]
    assert spans == [(9, 1), (10, 1), (11, 1), (12, 3), (15, 3)]
    assert sum(w["count"] for w in run.said.windows) == 9 * 30


def test_silence_after_the_border_is_a_window_of_the_new_length() -> None:
    run = Run(changed(replace(MODEL, lengths_ms=(180_000,))))
    run.minutes({10: 30, 11: 30, 20: 30}).finish()
    empty = [(w[:2], w[4]) for w in run.windows() if w[3] == "no_data" or w[0] == 12]
    assert empty[0] == ((12, 3), "c1")


def test_a_judge_that_starts_again_says_the_same() -> None:
    slower = replace(MODEL, rules=(replace(FEW, hold=2),), lengths_ms=(180_000,))
    counts = {8: 1, 9: 10, 10: 1, 11: 10, 12: 1, 13: 1, 14: 1, 15: 30, 18: 1, 21: 1, 24: 30}
    whole = Run(changed(slower)).minutes(counts).finish()
    for stop in list(counts)[2:]:
        first = {m: n for m, n in counts.items() if m <= stop}
        rest = {m: n for m, n in counts.items() if m > stop}
        run = Run(changed(slower)).minutes(first).restart().minutes(rest).finish()
        for told, again in (
            (whole.said.windows, run.said.windows),
            (whole.said.alerts, run.said.alerts),
        ):
            assert orjson.dumps(told) == orjson.dumps(again), stop
