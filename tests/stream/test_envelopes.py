"""Envelopes: what is read from the messages is what was put into them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson
import pytest

from stream.bus.envelopes import pack_events
from tests.builders import at, decode

MAX = 100_000


def event(number: int, **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "id": f"e{number}",
        "model": "m",
        "version": "2",
        "ts": at(number),
        "features": {"x": number / 3, "c": "é"},
        "prediction": {"score": 0.5, "label": "yes"},
        "latency_ms": 1.5,
    }
    return given | more


def values_of(messages: list[bytes]) -> dict[str, list[Any]]:
    """Everything that is read, by column, with missing values by their bits."""
    columns: dict[str, list[Any]] = {}
    decoded = decode(*messages)
    assert not decoded.dead
    columns["times"] = sorted(decoded.times_ms.tolist())
    for run in decoded.runs:
        columns[f"{run.model}/{run.version} ids"] = sorted(run.ids.tolist())
        for name, column in run.columns.items():
            if column.numbers is not None:
                bits = column.numbers.view(np.uint64).tolist()
                columns.setdefault(f"{run.model}/{run.version} {name}", []).extend(bits)
            if column.codes is not None:
                texts = [column.texts[c] if c >= 0 else int(c) for c in column.codes]
                columns.setdefault(f"{run.model}/{run.version} {name} text", []).extend(texts)
    return columns


ALIKE = [event(i) for i in range(5)]
CASES = {
    "one event": ALIKE[:1],
    "events alike": ALIKE,
    "a key is missing in some": [event(1), event(2, features={"x": 1.0}), event(3)],
    "no latency": [{k: v for k, v in e.items() if k != "latency_ms"} for e in ALIKE],
    "no version": [{k: v for k, v in e.items() if k != "version"} for e in ALIKE],
    "a plain score": [event(i, prediction=0.25) for i in range(3)],
    "a plain class": [event(i, prediction="cat") for i in range(3)],
    "an empty prediction": [event(i, prediction={}) for i in range(3)],
    "no prediction": [{k: v for k, v in e.items() if k != "prediction"} for e in ALIKE],
    "failed calls": [event(i, status="error") for i in range(3)],
    "segments": [event(i, segment={"origin": "JFK"}) for i in range(3)],
    "nulls": [event(i, features={"x": None, "c": None}) for i in range(3)],
    "NaN and infinities": [
        event(i, features={"x": x, "c": "é"})
        for i, x in enumerate([float("nan"), float("inf"), -float("inf"), 1.0])
    ],
    "two models": [event(1), event(2, model="other"), event(3)],
}


@pytest.mark.parametrize("events", CASES.values(), ids=CASES.keys())
def test_messages_say_what_the_events_say(events: list[dict[str, Any]]) -> None:
    packed = pack_events(events, MAX)
    assert not packed.refused
    assert sum(envelope.events for envelope in packed.envelopes) == len(events)
    one_by_one = [json.dumps(e).encode() for e in events]
    read, expected = values_of([e.value for e in packed.envelopes]), values_of(one_by_one)
    assert {n: sorted(v, key=str) for n, v in read.items()} == {
        n: sorted(v, key=str) for n, v in expected.items()
    }


def test_events_alike_share_one_columnar_message() -> None:
    [envelope] = pack_events(ALIKE, MAX).envelopes
    assert envelope.key == b"m"
    assert orjson.loads(envelope.value)["columns"]["features"]["c"] == ["é"] * 5


def test_numpy_values_are_values() -> None:
    features = {"x": np.float32(0.5), "n": np.int64(3), "b": np.True_, "v": np.array([1.0, 2.0])}
    [envelope] = pack_events([event(1, features=features)], MAX).envelopes
    read = orjson.loads(envelope.value)["columns"]["features"]
    assert read == {"x": [0.5], "n": [3], "b": [True], "v": [[1.0, 2.0]]}


def test_numpy_nan_stays_a_nan() -> None:
    [envelope] = pack_events([event(1, features={"x": np.float32("nan")})], MAX).envelopes
    assert b'"x":[NaN]' in envelope.value


def test_a_message_is_never_too_large() -> None:
    events = [event(i, features={"text": "x" * 1000}) for i in range(100)]
    packed = pack_events(events, 20_000)
    assert max(len(envelope.value) for envelope in packed.envelopes) <= 20_000
    assert sum(envelope.events for envelope in packed.envelopes) == 100


def test_an_event_nobody_can_hold_is_refused_alone() -> None:
    events = [event(1), event(2, features={"x": "y" * MAX}), event(3, features={"x": object()})]
    packed = pack_events([*events, event(4)], MAX)
    assert packed.refused == {"too_large": 1, "not_json": 1}
    assert sum(envelope.events for envelope in packed.envelopes) == 2
