"""The grammar of JSON: against Python's json, on whole values, cut ones and changed ones."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.decode.grammar import REFUSED, blank_end, is_ascii, is_utf8, value_end
from kernels.jit import IS_COMPILED
from tests.buffers import padded

MANY = 20_000 if IS_COMPILED else 100
VALUES: tuple[Any, ...] = (
    {}, [], 1, -2.5, "text", "", True, False, None, [1, [2, [3]]], {"a": {"b": [{}, []]}, "c": 1e5},
    "long " * 20, {"k" * 40: ["é", "日本"]}, [[], [[]], {}], float("inf"), float("-inf"),
)  # fmt: skip


def size_of(text: bytes) -> int:
    """How many bytes the value has that stands first; REFUSED if there is none."""
    buffer = padded(text)
    at = buffer.ctypes.data
    end = value_end(at, at + len(text))
    return end - at if end >= 0 else REFUSED


def is_json(text: bytes) -> bool:
    try:
        json.loads(text.decode())
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("value", VALUES, ids=str)
@pytest.mark.parametrize("style", [{}, {"indent": 1}, {"separators": (",", ":")}])
def test_a_value_ends_where_it_ends(value: Any, style: dict[str, Any]) -> None:
    text = json.dumps(value, ensure_ascii=False, **style).encode()
    assert size_of(text) == size_of(text + b" ,1") == len(text)


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_a_value_that_is_cut_is_none(value: Any) -> None:
    text = json.dumps(value).encode()
    for cut in range(len(text)):
        found = size_of(text[:cut])
        assert found == REFUSED or (found <= cut and is_json(text[:found]))


@pytest.mark.parametrize(
    "text",
    [
        b"[1,]", b"[,1]", b"{,}", b'{"a"}', b'{"a":}', b'{"a":1,}', b"{1:2}", b"[1 2]",
        b"[1}", b"{]",
        b'{"a":1]', b"tru", b"nul", b"fals", b"True", b"+1", b"'a'", b'"a', b'"\n"', b'"\x00"',
        b"[" * 61 + b"]" * 61, b"nan", b"-NaN", b"Inf", b"-", b"[1]"[:2], b"]",
        b"}", b":",
    ],
)  # fmt: skip
def test_what_is_no_plain_value_is_refused(text: bytes) -> None:
    assert size_of(text) == REFUSED


@pytest.mark.parametrize(
    "text",
    [
        rb'"\n"', rb'"\"\\\/\b\f\r\t"', rb'"\u00e9\uABcd"', rb'["a\n", {"\u0000": "\u0041"}]',
        b'"' + rb"\n" * 40 + b'"', b'"' + b"x" * 31 + rb"\u1234" + b'"',
    ],
)  # fmt: skip
def test_escapes_are_passed_over(text: bytes) -> None:
    assert is_json(text)
    assert size_of(text) == len(text)


@pytest.mark.parametrize(
    "text",
    [
        rb'"\x"', rb'"\u12"', rb'"\u12g4"', b'"\\', b'"\\"', rb'"\u123', rb'"\ud800"', rb'"\uDFFF"',
        rb'"\ud83d\ude00"', rb'"\U0041"', b'"\\\\\n"', b'"\\\x00"',
    ],
)  # fmt: skip
def test_bad_escapes_and_halves_of_characters_are_refused(text: bytes) -> None:
    assert size_of(text) == REFUSED


def test_sixty_levels_are_read() -> None:
    assert size_of(b"[" * 60 + b"]" * 60) == 120


def test_what_is_let_pass_json_accepts_too(rng: np.random.Generator) -> None:
    alphabet = b'{}[],:" \t\n\r0123456789.eE+-"abtrufalsn\\\xc3\xa9\x00'
    for _ in range(MANY):
        text = bytes(rng.choice(np.frombuffer(alphabet, np.uint8), rng.integers(1, 12)))
        size = size_of(text)
        assert size == REFUSED or not is_utf8_text(text[:size]) or is_json(text[:size]), text


def is_utf8_text(text: bytes) -> bool:
    buffer = padded(text)
    return bool(is_utf8(buffer.ctypes.data, buffer.ctypes.data + len(text)))


def says_python(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize(
    "text",
    [
        b"", b"abc", "é日本😀".encode(), b"\xff", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf4\x8f\xbf\xbf",
        b"\xc3", b"a\xe2\x82",
        b"\x80", b"\xf5\x80\x80\x80", b"\xef\xbf\xbf", b"\xc3\x28", b"\xe2\x28\xa1",
    ],
)  # fmt: skip
def test_utf8_is_what_python_decodes(text: bytes) -> None:
    assert is_utf8_text(text) == says_python(text)


@given(
    st.lists(st.sampled_from(range(256)) | st.sampled_from([0x80, 0xBF, 0xE0, 0xED, 0xF0, 0xF4]))
)
def test_any_bytes_are_utf8_if_python_says_so(numbers: list[int]) -> None:
    assert is_utf8_text(bytes(numbers)) == says_python(bytes(numbers))


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 127, 128, 200])
def test_one_high_byte_anywhere_is_seen(size: int) -> None:
    for place in {0, size // 2, size - 1} if size else ():
        text = bytearray(b"a" * size)
        text[place] = 0x80
        buffer = padded(bytes(text))
        assert not is_ascii(buffer.ctypes.data, buffer.ctypes.data + size)
    buffer = padded(b"a" * size + b"\xff")  # behind the end
    assert is_ascii(buffer.ctypes.data, buffer.ctypes.data + size)


def test_white_space_is_what_json_says() -> None:
    buffer = padded(b" \t\n\r \x0b")
    assert blank_end(buffer.ctypes.data) - buffer.ctypes.data == 5
