"""Events: messages in their three forms become columns, and what is wrong is refused alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest

from kernels.missing import ABSENT_BITS, NULL_BITS
from stream.detect.ingest.codec import DeadLetter
from stream.detect.ingest.columns import ABSENT_CODE, NULL_CODE, Column, hashes_of
from stream.detect.ingest.events import DEFAULT_KEY, Decoded
from stream.detect.specs import LimitSpec
from tests.builders import at, columnar, decode, event

TIGHT = LimitSpec(max_features=2, max_text=8, max_message_bytes=4_000)


def only(read: Decoded) -> DeadLetter:
    """The one refusal there is."""
    [letter] = read.dead
    return letter


def column(read: Decoded, name: str) -> Column:
    [run] = read.runs
    return run.columns[name]


def changed(**changes: Any) -> dict[str, Any]:
    """A good event with other or, where None stands for it, without some fields."""
    body = event(1) | changes
    return {key: value for key, value in body.items() if value is not None}


def test_an_event_an_array_and_a_columnar_batch_say_the_same() -> None:
    rows = [
        event(s, {"x": s / 2, "c": "ab"[s % 2]}, id=f"c-{s}", latency_ms=s, prediction={"score": s})
        for s in range(4)
    ]
    batch = columnar(
        range(4),
        {
            "id": ["c-0", "c-1", "c-2", "c-3"],
            "features": {"x": [0, 0.5, 1, 1.5], "c": ["a", "b", "a", "b"]},
            "latency_ms": [0, 1, 2, 3],
            "score": [0, 1, 2, 3],
        },
    )
    one_by_one, array, together = decode(*rows), decode(rows), decode(batch)
    for read in (one_by_one, array, together):
        [run] = read.runs
        assert (run.ids == hashes_of(["c-0", "c-1", "c-2", "c-3"], DEFAULT_KEY)).all()
        assert read.times_ms.tolist() == [at(s) for s in range(4)]
        assert column(read, "feature.x").numbers.tolist() == [0, 0.5, 1, 1.5]  # type: ignore[union-attr]
        assert column(read, "feature.c").texts == ["a", "b"]
        assert column(read, "prediction.score").numbers.tolist() == [0, 1, 2, 3]  # type: ignore[union-attr]
        assert column(read, "service.latency_ms").numbers.tolist() == [0, 1, 2, 3]  # type: ignore[union-attr]
    assert one_by_one.offsets.tolist() == [0, 1, 2, 3]
    assert array.offsets.tolist() == together.offsets.tolist() == [0, 0, 0, 0]


def test_all_events_of_a_model_are_one_run_in_the_order_of_the_log() -> None:
    read = decode(event(1), event(2, model="o"), columnar([3], {}), event(4), event(5, model="o"))
    found = {run.model: run.rows.tolist() for run in read.runs}
    assert found == {"m": [0, 2, 3], "o": [1, 4]}


def test_a_version_is_zero_unless_given() -> None:
    body = event(1)
    del body["version"]
    assert [run.version for run in decode(body, columnar([1], {}, version="7")).runs] == ["0", "7"]


@pytest.mark.parametrize(
    ("value", "reason", "field"),
    [
        (b"{", "not_json", None),
        (b"", "not_json", None),
        (7, "not_object", None),
        ("text", "not_object", None),
        (None, "not_object", None),
        (True, "not_object", None),
        (b"[" * 5_00 + b"]" * 5_00, "not_object", None),
        (b" " * 4_001, "too_large", None),
        ({}, "missing_field", "id"),
        (changed(id=None), "missing_field", "id"),
        (changed(id=7), "wrong_type", "id"),
        (changed(id=""), "wrong_type", "id"),
        (changed(id="123456789"), "wrong_type", "id"),
        (changed(model=None), "missing_field", "model"),
        (changed(model=["m"]), "wrong_type", "model"),
        (changed(version=3), "wrong_type", "version"),
        (changed(version="123456789"), "wrong_type", "version"),
        (changed(ts=None), "missing_field", "ts"),
        (changed(ts="soon"), "bad_timestamp", "ts"),
        (changed(ts=True), "bad_timestamp", "ts"),
        (changed(ts=float("nan")), "bad_timestamp", "ts"),
        (changed(arrival_time="late"), "bad_timestamp", "arrival_time"),
        (changed(features=[1]), "wrong_type", "features"),
        (changed(features={"a": 1, "b": 2, "c": 3}), "too_many_features", "features"),
        (changed(prediction=[1]), "wrong_type", "prediction"),
        (changed(prediction={"score": "high"}), "wrong_type", "prediction.score"),
        (changed(prediction={"score": True}), "wrong_type", "prediction.score"),
        (changed(prediction={"label": {}}), "wrong_type", "prediction.label"),
        (changed(latency_ms="12"), "wrong_type", "latency_ms"),
        (changed(latency_ms=True), "wrong_type", "latency_ms"),
        (changed(status="fine"), "wrong_type", "status"),
        (changed(status=[]), "wrong_type", "status"),
        (changed(segment="JFK"), "wrong_type", "segment"),
        ({"model": "m", "columns": 7}, "wrong_type", "columns"),
        ({"columns": {}}, "missing_field", "columns.id"),
        ({"columns": {"id": ["a"], "ts": [1]}}, "missing_field", "model"),
        (columnar([1], {}, version=3), "wrong_type", "version"),
        (columnar([1], {}, version="123456789"), "wrong_type", "version"),
        ({"model": "m", "columns": {"ts": []}}, "missing_field", "columns.id"),
        ({"model": "m", "columns": {"id": []}}, "missing_field", "columns.ts"),
        ({"model": "m", "columns": {"id": "a", "ts": []}}, "wrong_type", "columns.id"),
        (columnar([1], {"ts": []}), "wrong_type", "columns.ts"),
        (columnar([1], {"features": []}), "wrong_type", "columns.features"),
        (columnar([1], {"features": {"x": [1, 2]}}), "wrong_type", "columns.features.x"),
        (columnar([1], {"features": {"x": 1}}), "wrong_type", "columns.features.x"),
        (columnar([1], {"features": {x: [1] for x in "abc"}}), "too_many_features", "features"),
        (columnar([1], {"score": [1, 2]}), "wrong_type", "columns.score"),
    ],
)
def test_a_message_is_refused_with_reason_and_field(value: Any, reason: str, field: str) -> None:
    letter = only(decode(value, limits=TIGHT))
    assert (letter.reason, letter.field) == (reason, field)
    assert letter.detail


@pytest.mark.parametrize(
    ("columns", "reason", "field"),
    [
        ({"id": ["a", 7, "c"]}, "wrong_type", "id"),
        ({"id": ["a", None, "c"]}, "missing_field", "id"),
        ({"ts": [at(1), "x", at(3)]}, "bad_timestamp", "ts"),
        ({"ts": [at(1), None, at(3)]}, "bad_timestamp", "ts"),
        ({"latency_ms": [1, "x", 3]}, "wrong_type", "latency_ms"),
        ({"score": [1, "x", 3]}, "wrong_type", "prediction.score"),
        ({"score": [1, True, 3]}, "wrong_type", "prediction.score"),
        ({"label": [1, [], 3]}, "wrong_type", "prediction.label"),
        ({"status": ["ok", "x", None]}, "wrong_type", "status"),
        ({"arrival_time": [at(1), "x", at(3)]}, "bad_timestamp", "arrival_time"),
    ],
)
def test_a_bad_row_of_a_batch_is_refused_alone(columns: Any, reason: str, field: str) -> None:
    read = decode(columnar([1, 2, 3], {"features": {"x": [10, 20, 30]}, **columns}))
    assert (only(read).reason, only(read).field) == (reason, field)
    assert read.times_ms.tolist() == [at(1), at(3)]
    assert column(read, "feature.x").numbers.tolist() == [10, 30]  # type: ignore[union-attr]


def test_a_bad_event_of_an_array_is_refused_alone() -> None:
    read = decode([event(1), 7, changed(id=None), [event(2)], event(3)])
    assert read.times_ms.tolist() == [at(1), at(3)]
    found = [(x.reason, x.field, x.count) for x in read.dead]
    assert found == [("not_object", None, 2), ("missing_field", "id", 1)]


@pytest.mark.parametrize("element", ["1", "{}", "[]", "null", '{"id":1}', '"' + "x" * 90 + '"'])
def test_a_message_of_bad_events_has_one_dead_letter_that_counts_them(element: str) -> None:
    n = 900_000 // (len(element) + 1)
    letter = only(decode(f"[{','.join([element] * n)}]".encode()))
    assert letter.count == n
    assert len(letter.raw) == 3_072


def test_a_dead_letter_stands_for_one_reason_in_one_field_of_one_message() -> None:
    bad = [changed(id=None), changed(ts="soon"), changed(id=7), changed(id=None, ts="soon")]
    read = decode([*bad, event(1)], [changed(ts="x"), changed(ts=-1)])
    found = [(x.offset, x.reason, x.field, x.count) for x in read.dead]
    assert found == [
        (0, "missing_field", "id", 2),
        (0, "bad_timestamp", "ts", 1),
        (0, "wrong_type", "id", 1),
        (1, "bad_timestamp", "ts", 2),
    ]
    assert "soon" in read.dead[1].detail
    assert "'x'" in read.dead[3].detail


def test_a_bad_message_does_not_harm_its_neighbours() -> None:
    read = decode(event(1), b"\xff", event(2), columnar([3], {"ts": []}), event(4))
    assert read.offsets.tolist() == [0, 2, 4]
    assert [(x.reason, x.offset) for x in read.dead] == [("not_json", 1), ("wrong_type", 3)]


def test_a_null_column_of_a_batch_is_no_column() -> None:
    read = decode(columnar([1], {"features": {"x": None, "y": [1]}, "score": None}))
    assert set(read.runs[0].columns) == {"feature.y"}
    assert decode(columnar([1], {"features": None})).dead == []


@pytest.mark.parametrize("empty", [[], columnar([], {}), columnar([], {"features": {"x": []}})])
def test_a_message_may_hold_no_event(empty: Any) -> None:
    read = decode(empty)
    assert (read.dead, read.runs, len(read.times_ms)) == ([], [], 0)


def test_a_batch_of_bad_rows_alone_leaves_no_run() -> None:
    read = decode(columnar([1, 2], {"ts": [None, "x"], "features": {"x": [1, 2]}}))
    assert read.runs == []
    assert [letter.count for letter in read.dead] == [2]


def test_null_absent_and_nan_are_told_apart() -> None:
    read = decode(
        event(1, {"x": None}), event(2), event(3, {"x": float("nan")}), event(4, {"x": 1})
    )
    numbers = column(read, "feature.x").numbers
    assert numbers is not None
    null, absent, nan, one = numbers.view(np.uint64)
    assert (null, absent) == (NULL_BITS, ABSENT_BITS)
    assert nan not in (NULL_BITS, ABSENT_BITS)
    assert one == np.float64(1).view(np.uint64)


def test_a_missing_prediction_is_absent_and_a_null_one_null() -> None:
    read = decode(
        event(1, prediction={"score": None, "label": None}),
        event(2),
        event(3, prediction={"score": 0.5, "label": "a"}),
        event(4, prediction=None),
    )
    bits = column(read, "prediction.score").numbers.view(np.uint64)  # type: ignore[union-attr]
    assert bits[[0, 1, 3]].tolist() == [NULL_BITS, ABSENT_BITS, ABSENT_BITS]
    codes = column(read, "prediction.label").codes
    assert codes is not None
    assert codes.tolist() == [NULL_CODE, ABSENT_CODE, 0, ABSENT_CODE]


@pytest.mark.parametrize(
    ("prediction", "score", "label"),
    [
        (0.25, [0.25], None),
        (3, [3.0], None),
        ("cat", None, ["cat"]),
        (True, None, ["true"]),
        ({"score": 0.5, "label": 1}, [0.5], ["1"]),
        ({"label": 1.0}, None, ["1"]),
        ({"label": 0.5}, None, ["0.5"]),
        ({"label": False, "scores": {"a": 1}}, None, ["false"]),
        ({"label": float("inf")}, None, ["inf"]),
        ({}, None, None),
        (None, None, None),
    ],
)
def test_a_prediction_is_a_score_or_a_class(prediction: Any, score: Any, label: Any) -> None:
    [run] = decode(event(1, prediction=prediction)).runs
    found = run.columns.get("prediction.score")
    assert (None if found is None else found.numbers.tolist()) == score  # type: ignore[union-attr]
    found = run.columns.get("prediction.label")
    assert (None if found is None else found.texts) == label


def test_only_the_status_error_is_an_error() -> None:
    rows = [event(1, status="error"), event(2, status="ok"), event(3, status=None), event(4)]
    assert decode(*rows).runs[0].errors.tolist() == [True, False, False, False]
    batch = columnar([1, 2, 3], {"status": ["error", "ok", None]})
    assert decode(batch).runs[0].errors.tolist() == [True, False, False]


def test_an_event_arrives_when_it_says_but_not_after_its_message() -> None:
    early, late = event(1, arrival_time=at(5)), event(2, arrival_time=at(10**9))
    read = decode(early, late, columnar([3], {"arrival_time": [at(6)]}))
    assert read.arrivals_ms.tolist() == [at(5), at(10_000_000), at(6)]


def test_a_dead_letter_keeps_the_beginning_of_the_message_and_its_offset() -> None:
    long = json.dumps({"id": "x" * 5_000}).encode()
    letter = only(decode(event(1), long))
    assert letter.offset == 1
    assert letter.raw == long[:3_072]


@pytest.mark.parametrize(
    "field", ["id", "model", "version", "ts", "status", "features", "segment", "latency_ms"]
)
def test_a_dead_letter_never_repeats_a_long_text(field: str) -> None:
    letter = only(decode(changed(**{field: "x" * 900_000 + " values"})))
    assert len(letter.detail) < 500


@pytest.mark.parametrize(
    "value",
    [
        b'{"id":"\\ud800","model":"m","ts":1,"features":{"x":NaN}}',
        b'{"id":"a","model":"\\udfff","ts":1,"features":{"x":NaN}}',
        b'{"id":"a","model":"m","ts":1,"features":{"\\ud800":NaN}}',
        b'{"id":"a","model":"m","ts":1,"features":{"x":NaN,"c":"\\ud800"}}',
        b'{"id":"a","model":"m","ts":1,"version":"\\ud800","features":{"x":NaN}}',
        b'{"id":"a","model":"m","ts":"\\ud800","features":{"x":NaN}}',
        b'{"id":"a","model":"m","ts":1,"segment":{"s":"\\ud800"},"features":{"x":NaN}}',
    ],
)
def test_half_a_surrogate_pair_never_comes_through_beside_nan(value: bytes) -> None:
    letter = only(decode(value))
    assert letter.reason == "not_json"
    orjson.dumps([letter.detail, letter.field])


def test_features_of_events_differ_in_names_and_order() -> None:
    read = decode(event(1, {"a": 1, "b": 2}), event(2, {"b": 3, "a": 4}), event(3, {"c": 5}))
    bits = {name: col.numbers.view(np.uint64) for name, col in read.runs[0].columns.items()}  # type: ignore[union-attr]
    assert column(read, "feature.a").numbers[:2].tolist() == [1, 4]  # type: ignore[index]
    assert bits["feature.a"][2] == ABSENT_BITS
    assert bits["feature.c"][:2].tolist() == [ABSENT_BITS, ABSENT_BITS]
