"""Poison: whatever bytes publishers send, each is refused with its reason, alone, and cheaply.

Each case goes through an ingestor between two good events, as it would in a fetch.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.detect.ingest.codec import DeadLetter
from stream.detect.ingest.events import Messages
from stream.detect.specs import LimitSpec
from tests.builders import at, event, ingestor, spec, to_bytes

KIB64 = LimitSpec(max_message_bytes=65_536)
MIB = 1_048_576


def with_features(text: str) -> bytes:
    """An event whose features are this JSON."""
    return b'{"id":"p","model":"m","ts":%d,"features":%s}' % (at(5), text.encode())


def offered(*values: bytes | None, limits: LimitSpec = KIB64) -> tuple[int, list[DeadLetter]]:
    """Events counted and dead letters when these stand between two good events."""
    log: list[bytes | None] = [to_bytes(event(1), 1), *values, to_bytes(event(2), 2)]
    worker, n = ingestor(spec(limits=limits)), len(log)
    intake = worker.add(Messages("p", 0, log, range(n), [at(10**7)] * n))
    return intake.counted.total() - 2, intake.dead


REFUSED: dict[str, tuple[bytes | None, str, str | None]] = {
    "tombstone": (None, "not_json", None),
    "empty": (b"", "not_json", None),
    "white space": (b" \n\t", "not_json", None),
    "not UTF-8": (b'{"id":"\xff\xfe","model":"m","ts":1}', "not_json", None),
    "UTF-16": ('{"id":"p","model":"m","ts":1}'.encode("utf-16"), "not_json", None),
    "a byte order mark": (b'\xef\xbb\xbf{"id":"p","model":"m","ts":1}', "not_json", None),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "not_json", None),
    "Avro with its schema id": (b"\x00\x00\x00\x00\x07\x06abc", "not_json", None),
    "zero bytes": (b"\x00" * 1_000, "not_json", None),
    "cut off": (b'{"id":"p","model":"m","ts":1', "not_json", None),
    "two objects": (b'{"id":"p"}{"id":"q"}', "not_json", None),
    "single quotes": (b"{'id':'p'}", "not_json", None),
    "a comment": (b'{"id":"p"} // p', "not_json", None),
    "a trailing comma": (b'{"id":"p",}', "not_json", None),
    "half a surrogate": (b'{"id":"\\ud800","model":"m","ts":1}', "not_json", None),
    "a control character": (b'{"id":"a\nb","model":"m","ts":1}', "not_json", None),
    "null": (b"null", "not_object", None),
    "a number": (b"7", "not_object", None),
    "bare NaN": (b"NaN", "not_object", None),
    "a string": (b'"text"', "not_object", None),
    "an array in an array": (b"[[]]", "not_object", None),
    "an empty object": (b"{}", "missing_field", "id"),
    "no model": (b'{"id":"p","ts":1}', "missing_field", "model"),
    "no time": (b'{"id":"p","model":"m"}', "missing_field", "ts"),
    "a null id": (b'{"id":null,"model":"m","ts":1}', "missing_field", "id"),
    "an empty id": (b'{"id":"","model":"m","ts":1}', "wrong_type", "id"),
    "an id that is a number": (b'{"id":7,"model":"m","ts":1}', "wrong_type", "id"),
    "a long id": (b'{"id":"%s","model":"m","ts":1}' % (b"x" * 257), "wrong_type", "id"),
    "a model that is an object": (b'{"id":"p","model":{},"ts":1}', "wrong_type", "model"),
    "a time that is a boolean": (b'{"id":"p","model":"m","ts":true}', "bad_timestamp", "ts"),
    "a time that is NaN": (b'{"id":"p","model":"m","ts":NaN}', "bad_timestamp", "ts"),
    "a time before 1970": (b'{"id":"p","model":"m","ts":-1}', "bad_timestamp", "ts"),
    "a time in seconds as text": (b'{"id":"p","model":"m","ts":"1"}', "bad_timestamp", "ts"),
    "a time beyond the calendar": (b'{"id":"p","model":"m","ts":1e300}', "bad_timestamp", "ts"),
    "the year 2099": (
        b'{"id":"p","model":"m","ts":"2099-01-01T00:00:00Z"}', "too_far_ahead", "ts",
    ),
    "features as an array": (with_features("[1]"), "wrong_type", "features"),
    "a number beyond a double": (with_features('{"x":1e400}'), "not_json", None),
    "the same beside NaN": (with_features('{"x":1e400,"y":NaN}'), "not_json", None),
    "1001 features": (
        with_features("{" + ",".join(f'"f{i}":1' for i in range(1_001)) + "}"),
        "too_many_features", "features",
    ),
    "64 KiB and a byte": (b" " * 65_537, "too_large", None),
    "20 MB": (b"[" * 20_000_000, "too_large", None),
    "30 000 open arrays": (b"[" * 30_000, "too_deep", None),
    "30 000 arrays": (b"[" * 30_000 + b"]" * 30_000, "too_deep", None),
    "20 000 objects": (with_features('{"x":' * 10_000 + "1" + "}" * 10_000), "too_deep", None),
}  # fmt: skip
COUNTED: dict[str, bytes] = {
    "keys that stand twice, the last counts": b'{"id":1,"id":"p","model":"m","ts":%d}' % at(5),
    "a 300-digit integer": with_features('{"x":' + "9" * 300 + "}"),
    "NaN and infinities": with_features('{"x":NaN,"y":Infinity,"z":-Infinity}'),
    "nested features": with_features('{"x":{"y":[[[[1]]]]}}'),
    "an unknown field of any kind": b'{"id":"p","model":"m","ts":%d,"new":[{"x":[]}]}' % at(5),
    "names of any characters": with_features('{"":1,"\\u0000":2,"</script>":3,"\\u202e":4}'),
    "white space around": b" \r\n" + to_bytes(event(5)) + b"\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_poison_is_refused_alone_with_its_reason(name: str) -> None:
    value, reason, field = REFUSED[name]
    counted, dead = offered(value)
    assert counted == 0
    assert [(x.reason, x.field, x.offset, x.count) for x in dead] == [(reason, field, 1, 1)]
    assert dead[0].raw == (value or b"")[:3_072]
    assert len(dead[0].detail) < 500


@pytest.mark.parametrize("name", COUNTED)
def test_what_only_looks_like_poison_is_counted(name: str) -> None:
    assert offered(COUNTED[name]) == (1, [])


def test_a_thousand_in_a_row_are_a_thousand_letters_in_order() -> None:
    values = [value for value, _, _ in REFUSED.values() if len(value or b"") < 5_000] * 30
    expected = [
        (reason, field) for value, reason, field in REFUSED.values() if len(value or b"") < 5_000
    ] * 30
    counted, dead = offered(*values)
    assert counted == 0
    timely = [(x.reason, x.field) for x in dead if x.reason != "too_far_ahead"]
    assert timely == [one for one in expected if one[0] != "too_far_ahead"]
    assert sum(x.reason == "too_far_ahead" for x in dead) == 30
    assert len(dead) == len(expected) > 1_000


BOMBS: dict[str, bytes] = {
    "numbers": b"[" + b"1," * (MIB // 2 - 2) + b"1]",
    "objects": b"[" + b"{}," * (MIB // 3 - 2) + b"{}]",
    "arrays": b"[" + b"[]," * (MIB // 3 - 2) + b"[]]",
    "ids of nothing": b"[" + b'{"id":1},' * (MIB // 9 - 2) + b"{}]",
    "keys": with_features("{" + ",".join(f'"{i}":1' for i in range(80_000)) + "}"),
    "keys beside NaN": with_features("{" + ",".join(f'"{i}":NaN' for i in range(80_000)) + "}"),
    "one long text": with_features('{"x":"' + "y" * (MIB - 100) + '"}'),
    "a wide batch": b'{"model":"m","columns":{"id":["p"],"ts":[1],"features":{%s}}}'
    % b",".join(b'"%d":[1]' % i for i in range(80_000)),
}
TIMES = 100  # its own size; one letter per bad element cost 1700 times


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_of_a_megabyte_costs_a_bounded_multiple_of_itself(name: str) -> None:
    offered(BOMBS[name], limits=LimitSpec())  # what is made once is made
    tracemalloc.start()
    counted, dead = offered(BOMBS[name], limits=LimitSpec())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < TIMES * MIB
    assert counted == (name == "one long text")
    assert len(dead) <= 2


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        name: ANY_JSON | st.sampled_from(["p", "m", at(5), "2024-10-04T00:00:05Z", {"x": 1}])
        for name in (
            "id", "model", "version", "ts", "features", "prediction", "status", "segment",
            "latency_ms", "columns", "arrival_time",
        )
    },
)  # fmt: skip


def bytes_of(value: Any) -> bytes:
    try:
        return to_bytes(value)
    except (UnicodeEncodeError, ValueError):
        return b"\xed\xa0\x80"


@given(st.lists(st.binary(max_size=30) | (ANY_JSON | NEARLY | st.lists(NEARLY)).map(bytes_of)))
def test_no_bytes_at_all_stop_an_ingestor_or_harm_a_neighbour(values: list[bytes]) -> None:
    counted, dead = offered(*values)
    assert counted >= 0
    refused_whole = sum(letter.reason in ("not_json", "too_deep") for letter in dead)
    assert refused_whole <= len(values)
    assert {letter.offset for letter in dead} <= set(range(1, len(values) + 1))
