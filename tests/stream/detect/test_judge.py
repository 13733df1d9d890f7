"""Judge: partials become window summaries with verdicts, beside training and an earlier window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from stream.detect.detector import Detector
from stream.detect.judge.judge import Verdicts
from stream.detect.references import Reference
from stream.detect.specs import FeatureSpec, ModelSpec, RuleSpec
from tests.builders import (
    Pipeline,
    event,
    ingestor,
    marker,
    messages,
    no_reference,
    partial,
    reference,
    spec,
)

PSI = RuleSpec(name="drift", measure="psi")
MODEL = ModelSpec(name="m", lengths_ms=(60_000,), rules=(PSI,))
TRAINED = [event(0, {"x": i % 10, "c": "abc"[i % 3]}, prediction=i / 600) for i in range(600)]


def minute(k: int, values: list[Any], **more: Any) -> list[dict[str, Any]]:
    """Events with these values of x in minute k."""
    return [event(60 * k + 1, {} if v is ... else {"x": v}, **more) for v in values]


def judged(*rows: list[dict[str, Any]], model: ModelSpec = MODEL, trained: bool = True) -> Verdicts:
    """Everything that is said of these minutes."""
    pipeline = Pipeline(spec(model), reference(TRAINED) if trained else None)
    verdicts = Verdicts()
    for events in rows:
        told = pipeline.feed(*events)
        verdicts.windows += told.windows
        verdicts.alerts += told.alerts
    told = pipeline.finish()
    return Verdicts(verdicts.windows + told.windows, verdicts.alerts + told.alerts)


def test_a_window_says_what_the_contract_promises() -> None:
    body = [
        event(
            i,
            {"x": i % 10, "c": "abd"[i % 3]},
            prediction={"score": i / 600, "label": i % 2},
            latency_ms=i,
            status="error" if i % 6 == 0 else "ok",
        )
        for i in range(60)
    ]
    [window] = judged(body).windows
    assert orjson.loads(orjson.dumps(window)) == window
    shown = ("schema", "revision", "model", "version", "segment", "start", "end", "count", "late")
    assert [window[key] for key in shown] == [
        "driftline.window/1", 0, "m", "1", None,
        "2024-10-04T00:00:00Z", "2024-10-04T00:01:00Z", 60, 0,
    ]  # fmt: skip
    assert window["config_hash"] == "c0"
    assert window["source_offsets"] == {"predictions-0": [0, 59]}
    assert window["reference_ids"] == {"training": reference(TRAINED).id}
    service = window["service"]
    assert (service["requests"], service["errors"], service["rate_per_second"]) == (60, 10, 1.0)
    assert service["latency_ms"]["max"] == 59
    x, c = window["features"]["x"], window["features"]["c"]
    assert (x["kind"], x["count"], x["mean"], x["min"], x["max"]) == ("number", 60, 4.5, 0, 9)
    assert (x["zeros"], x["distinct"], x["quantiles"]["p50"]) == (6, 10, 4.5)
    assert x["std"] == pytest.approx(np.std([i % 10 for i in range(60)], ddof=1))
    assert (c["kind"], c["unseen"], c["unseen_values"]) == ("category", 20, [["d", 20]])
    assert c["top"] == [["a", 20], ["b", 20], ["d", 20]]
    assert window["prediction"]["kind"] == "number"
    assert window["prediction"]["label"]["top"] == [["0", 30], ["1", 30]]


def test_every_kind_of_missing_value_is_told() -> None:
    values = [1, 2, None, None, None, ..., ..., float("nan"), "text", float("inf")]
    [window] = judged(minute(0, values)).windows
    x = window["features"]["x"]
    told = {
        key: x[key] for key in ("count", "missing", "nulls", "absent", "nans", "mistyped", "infs")
    }
    assert told == {
        "count": 2, "missing": 7, "nulls": 3, "absent": 2, "nans": 1, "mistyped": 1, "infs": 1
    }  # fmt: skip


def test_a_histogram_counts_every_event_once() -> None:
    values = [-5, 0, 3, 3, 9, 40, None, float("inf"), float("-inf")] * 5
    [window] = judged(minute(0, values)).windows
    histogram = window["features"]["x"]["histogram"]
    parts = (histogram["below"], sum(histogram["counts"]), histogram["above"], histogram["missing"])
    assert parts == (10, 20, 10, 5)
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1


def test_a_feature_that_vanished_is_told_too() -> None:
    [window] = judged(minute(0, [...] * 60)).windows
    x = window["features"]["x"]
    assert (x["count"], x["missing"], x["absent"]) == (0, 60, 60)
    assert x["measures"]["training"]["verdict"] == "breach"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([i % 10 for i in range(300)], "ok"), ([9] * 200, "breach"), ([1] * 20, "not_enough_data")],
)
def test_the_worst_verdict_of_its_features_is_that_of_the_window(
    values: list[int], verdict: str
) -> None:
    rule = replace(PSI, on=("x",))
    [window] = judged(minute(0, values), model=replace(MODEL, rules=(rule,))).windows
    assert window["verdict"] == verdict
    assert window["features"]["x"]["measures"]["training"]["verdict"] == verdict


def test_a_window_nobody_judges_is_not_called_good() -> None:
    [window] = judged(minute(0, [1] * 99), model=replace(MODEL, rules=())).windows
    assert window["verdict"] == "not_enough_data"


def test_a_silent_window_has_no_data() -> None:
    pipeline = Pipeline(spec(MODEL), reference(TRAINED))
    pipeline.feed(*minute(0, [1] * 60))
    told = pipeline.feed(event(200)).windows
    assert [(w["start"], w["count"], w["verdict"]) for w in told[1:]] == [
        ("2024-10-04T00:01:00Z", 0, "no_data")
    ]
    assert orjson.dumps(told[1])


def test_without_training_a_window_is_compared_with_the_one_before() -> None:
    rows = [minute(k, [k % 2 + i % 5 for i in range(100)]) for k in range(3)]
    windows = judged(*rows, trained=False).windows
    assert [list(w["features"]["x"]["measures"]) for w in windows] == [
        [],
        ["previous"],
        ["previous"],
    ]
    assert len({w["reference_ids"].get("previous") for w in windows}) == 3


def test_a_model_can_do_without_the_window_before() -> None:
    rows = [minute(k, [1] * 60) for k in range(2)]
    windows = judged(*rows, model=replace(MODEL, keep_previous=False)).windows
    assert [list(w["reference_ids"]) for w in windows] == [["training"], ["training"]]


def test_a_window_in_an_incident_never_becomes_the_one_to_compare_with() -> None:
    rule = RuleSpec(name="missing", kind="quality", measure="missing_ratio", on=("x",))
    features = {"x": FeatureSpec(name="x", max_missing=0.1)}
    model = replace(MODEL, rules=(rule,), features=features)
    good, bad = [1.0, 2.0] * 50, [None] * 100
    windows = judged(*(minute(k, v) for k, v in enumerate([good, bad, good])), model=model).windows
    before = [w["reference_ids"].get("previous") for w in windows]
    assert before[1] == before[2]
    assert windows[1]["verdict"] == "breach"


def test_a_drift_may_become_the_one_to_compare_with() -> None:
    rows = [minute(k, v) for k, v in enumerate([[1] * 99, [9] * 99, [9] * 99])]
    rule = replace(PSI, reference="previous", on=("x",))
    verdicts = [w["verdict"] for w in judged(*rows, model=replace(MODEL, rules=(rule,))).windows]
    assert verdicts == ["not_enough_data", "breach", "ok"]


def test_a_late_event_revises_its_window() -> None:
    #   0s         60s        120s       180s
    #   [----A-----)[----B-----)[----C-----)
    #                             e at 30 comes while the watermark is in B: A again with B
    pipeline = Pipeline(spec(MODEL), reference(TRAINED))
    first = pipeline.feed(*minute(0, [1] * 60), event(75)).windows
    again = pipeline.feed(event(30, {"x": 5}), event(131)).windows
    assert [(w["start"][11:19], w["revision"], w["count"], w["late"]) for w in first + again] == [
        ("00:00:00", 0, 60, 0), ("00:00:00", 1, 61, 1), ("00:01:00", 0, 1, 0)
    ]  # fmt: skip
    assert first[0]["window_id"] == again[0]["window_id"]


def test_events_of_several_partitions_are_one_window() -> None:
    pipeline = Pipeline(spec(MODEL), reference(TRAINED), partitions=2)
    assert pipeline.feed(*minute(0, [1] * 20), event(75), partition=0).windows == []
    [window] = pipeline.feed(*minute(0, [2] * 30), event(75), partition=1).windows
    assert window["count"] == 50
    assert window["source_offsets"] == {"predictions-0": [0, 19], "predictions-1": [0, 29]}


def test_it_does_not_matter_how_events_are_spread_over_partitions(rng: np.random.Generator) -> None:
    rows = minute(0, rng.normal(5, 2, 300).tolist())
    alone, apart = Pipeline(spec(MODEL), reference(TRAINED)), Pipeline(
        spec(MODEL), reference(TRAINED), partitions=3
    )  # fmt: skip
    alone.feed(*rows)
    for partition in range(3):
        apart.feed(*rows[partition::3], partition=partition)
    [one], [other] = (p.finish().windows for p in (alone, apart))
    assert {**one, "source_offsets": None} == {**other, "source_offsets": None}


def test_windows_made_under_no_reference_are_not_compared_with_a_later_one() -> None:
    known: list[Reference | None] = [None]
    detector = Detector(spec(MODEL), lambda _model, _version: known[0])
    worker, judge = detector.ingestor(0, 1), detector.judge()
    parts = worker.add(messages(*minute(0, [1] * 60))).partials
    known[0] = reference(TRAINED)
    parts += worker.finish().partials
    [window] = judge.add([*enumerate(parts), (9, marker(60))]).windows
    assert window["reference_ids"] == {}


def test_what_comes_after_its_window_was_final_is_an_orphan() -> None:
    judge = Detector(spec(MODEL), no_reference).judge()
    judge.add([(0, partial(10)), (1, marker(400))])
    late = (2, partial(10, part=6))
    assert [o.partial.pane for o in judge.add([late, (3, marker(460))]).orphans] == [
        partial(10).pane
    ]
    assert judge.refused() == {"too_late": 1}


def test_segments_are_judged_beside_the_whole() -> None:
    model = replace(MODEL, segments=("origin",))
    rows = [event(1, {"x": i % 10}, segment={"origin": "AB"[i % 2]}) for i in range(200)]
    windows = judged(rows, model=model).windows
    assert [(w["segment"], w["count"]) for w in windows] == [
        (None, 200), ("origin=A", 100), ("origin=B", 100)
    ]  # fmt: skip
    assert len({w["window_id"] for w in windows}) == 3


def test_a_judge_that_starts_again_does_not_repeat_what_was_told() -> None:
    detector = Detector(spec(MODEL), no_reference)
    judge, worker = detector.judge(), ingestor(spec(MODEL))
    items = []
    for k in range(6):
        intake = worker.add(
            messages(*minute(k, [1] * 40), event(60 * k + 59), first_offset=100 * k)
        )
        items += [*intake.partials, *([intake.marker] if intake.marker else [])]
    log = list(enumerate(items))
    told = judge.add(log[:7]).windows
    safe_offset, progress = judge.commit_point()
    again = detector.judge(next_offset=safe_offset, progress=progress)
    told += again.add(log[safe_offset:]).windows
    ids = [window["window_id"] for window in told]
    whole = Detector(spec(MODEL), no_reference).judge().add(log).windows
    assert ids == [window["window_id"] for window in whole]
    assert len(set(ids)) == len(ids)


def test_a_late_part_still_revises_its_window_after_a_restart() -> None:
    detector = Detector(spec(MODEL), no_reference)
    judge = detector.judge()
    log = [(0, partial(10, n=3)), (1, marker(60)), (2, partial(10, n=1, part=1)), (3, marker(120))]
    judge.add(log[:2])
    safe_offset, progress = judge.commit_point()
    again = detector.judge(next_offset=safe_offset, progress=progress)
    told = again.add(log[safe_offset:]).windows
    assert [(window["revision"], window["count"]) for window in told] == [(1, 4), (0, 0)]


def test_firing_alerts_are_known_by_stream() -> None:
    pipeline = Pipeline(spec(MODEL), reference(TRAINED))
    pipeline.feed(*minute(0, [9] * 100), *minute(1, [9] * 10), event(75))
    [(stream, fingerprints)] = pipeline.judge.firing().items()
    assert stream.model == "m"
    assert len(fingerprints) == 2  # x, and c which vanished; the score is no feature
