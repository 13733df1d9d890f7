"""Codec: bytes become JSON values by orjson's grammar, and NaN and Infinity are numbers."""

from __future__ import annotations

import json
from math import inf, isnan
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream.detect.ingest.codec import Refused, parse
from stream.detect.specs import LimitSpec

LIMITS = LimitSpec(max_message_bytes=200_000)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)
)
WORDS = (
    b'{"x":[NaN,Infinity,-Infinity,{"id":"\\ud83d\\ude00","n":-12.5e+3,"ok":[true,false,null]}]}'
)


def reason_of(value: bytes | None) -> str:
    with pytest.raises(Refused) as caught:
        parse(value, LIMITS)
    return caught.value.reason


def outcome(value: bytes) -> Any:
    """What parse gives, or None if it refuses; anything else it raises goes through."""
    try:
        return parse(value, LIMITS)
    except Refused:
        return None


def orjson_outcome(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


@given(JSON)
def test_without_bare_words_the_result_is_orjsons(value: Any) -> None:
    raw = json.dumps(value).encode()
    assert repr(parse(raw, LIMITS)) == repr(orjson.loads(raw))


@given(JSON)
def test_beside_a_bare_word_everything_else_reads_as_orjson_reads_it(value: Any) -> None:
    raw = json.dumps(value).encode()
    words, found = parse(b"[NaN," + raw + b"]", LIMITS)
    assert isnan(words)
    assert repr(found) == repr(orjson.loads(raw))


def test_bare_words_are_numbers() -> None:
    nan, plus, minus = parse(b"[NaN, Infinity, -Infinity]", LIMITS)
    assert isnan(nan)
    assert (plus, minus) == (inf, -inf)


@pytest.mark.parametrize(
    "text",
    ["1e999", "-1e999", "9" * 400, "01", "1.", ".5", "+1", "0x10", "1_000", "-NaN", "+Infinity",
     "nan", "inf", "NaNs", "'a'", '"\x01"', '"\\x41"', "[1,]", "{1:2}", '{"a":1,}', "tru", "",
     "\ufeff1", "\x0c1", "// no", '"\\ud800"', '"\\udc00"', '"\\udc00\\ud800"', '{"\\ud800":1}',
     '"\\uD83D"', '"\\ud83d\\u0041"'],
)  # fmt: skip
def test_what_orjson_refuses_stays_refused_beside_a_bare_word(text: str) -> None:
    assert orjson_outcome(f"[0,{text}]".encode()) is None
    assert reason_of(f"[NaN,{text}]".encode()) == "not_json"


@pytest.mark.parametrize("text", ["18446744073709551616", "-9223372036854775809", "1" * 30])
def test_integers_beyond_64_bits_become_floats(text: str) -> None:
    expected = orjson.loads(text)
    assert parse(f"[NaN,{text}]".encode(), LIMITS)[1] == expected
    assert isinstance(expected, float)


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 2**63, 0])
def test_integers_of_64_bits_stay_integers(number: int) -> None:
    found = parse(b"[NaN,%d]" % number, LIMITS)[1]
    assert found == number
    assert isinstance(found, int)


@pytest.mark.parametrize("word", ["0", "NaN"])
def test_a_message_nested_too_deeply_is_refused_as_that(word: str) -> None:
    assert reason_of(b"[" * 50_000 + word.encode() + b"]" * 50_000) == "too_deep"


@pytest.mark.parametrize("value", [b"", None, b" ", b"\xff", b'["\xed\xa0\x80", NaN]', b"NaN NaN"])
def test_what_is_no_json_is_refused_as_that(value: bytes | None) -> None:
    assert reason_of(value) == "not_json"


def test_a_message_at_the_limit_is_read_and_a_byte_more_is_too_large() -> None:
    value = b'"' + b"x" * (LIMITS.max_message_bytes - 2) + b'"'
    assert len(parse(value, LIMITS)) == LIMITS.max_message_bytes - 2
    assert reason_of(value + b" ") == "too_large"


@given(st.data())
@example(None)
def test_damaged_bytes_are_read_as_orjson_reads_them_or_refused(data: st.DataObject | None) -> None:
    raw = bytearray(WORDS)
    if data is not None:
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(raw) - 1))
            raw[at : at + 1] = data.draw(st.binary(max_size=2))
    found, plain = outcome(bytes(raw)), orjson_outcome(bytes(raw))
    assert plain is None or repr(found) == repr(plain)
    if found is not None:
        orjson.dumps(found)  # whatever is read can be written


@given(st.binary(max_size=60))
def test_any_bytes_beside_a_bare_word_are_read_or_refused(raw: bytes) -> None:
    found = outcome(b"[NaN," + raw + b"]")
    if found is not None:
        orjson.dumps(found)
