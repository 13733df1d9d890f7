"""Grammar: the address of JSON text in, where a piece of it ends out.

In    an address in a padded buffer, and the end of the message
Out   the address behind white space, a string, a word, any value; REFUSED where it is not that, or
      where only the slow path can tell (escapes in what is read, deep nesting)
Not   what the values mean (events.py)

Strict: what is let pass here, orjson accepts too, beside the words NaN, Infinity and -Infinity,
which the slow path takes as numbers.
"""

from __future__ import annotations

import numpy as np

from kernels.decode.floats import number_at
from kernels.jit import piece, routine
from kernels.memory import (
    high_bytes,
    load_byte,
    load_four,
    load_word,
    text_stops,
    zeros_below,
)

REFUSED = -1

QUOTE, COMMA, COLON, LETTER_N, LETTER_T, LETTER_F = 0x22, 0x2C, 0x3A, 0x6E, 0x74, 0x66
OPEN, CLOSE, OPEN_ARRAY, CLOSE_ARRAY = 0x7B, 0x7D, 0x5B, 0x5D
_SPACE, _TAB, _LINE, _RETURN, _MINUS = 0x20, 0x09, 0x0A, 0x0D, 0x2D
_BACKSLASH, _SLASH, _LOWER, _ZERO, _NINE = 0x5C, 0x2F, 0x20, 0x30, 0x39
_LETTER_A, _LETTER_B, _LETTER_R, _LETTER_U = 0x61, 0x62, 0x72, 0x75
_FIRST_HALF, _LAST_HALF = 0xD800, 0xDFFF  # surrogates
_DEEPEST = 60  # levels that are told apart by the bits of one word

_TRUE, _NULL = 0x65757274, 0x6C6C756E
_FALSE, _FIVE_BYTES = np.uint64(0x65736C6166), np.uint64(0xFF_FFFF_FFFF)
_NAN, _THREE_BYTES = 0x4E614E, 0xFF_FFFF
_INFINITY = np.uint64(0x7974696E69666E49)
NAN_BITS = np.uint64(0x7FF8_0000_0000_0000)
INFINITY_BITS = np.uint64(0x7FF0_0000_0000_0000)
_SIGN, _NONE = np.uint64(1 << 63), np.uint64(0)


@piece
def blank_end(at: int) -> int:
    """Behind white space."""
    byte = load_byte(at)
    while byte == _SPACE or byte == _LINE or byte == _RETURN or byte == _TAB:
        at += 1
        byte = load_byte(at)
    return at


@piece
def string_end(at: int, end: int) -> int:
    """The closing quote of a string whose text begins here."""
    while at < end:
        stops = text_stops(at)
        if stops != _NONE:
            at += zeros_below(stops)
            return at if at < end and load_byte(at) == QUOTE else REFUSED
        at += 32
    return REFUSED


@piece
def is_null(at: int) -> bool:
    """Whether the word null stands here."""
    return load_four(at) == _NULL


@piece
def boolean_end(at: int) -> int:
    """Behind the word true or false."""
    if load_four(at) == _TRUE:
        return at + 4
    return at + 5 if (load_word(at) & _FIVE_BYTES) == _FALSE else REFUSED


@routine
def number_or_word(at: int) -> tuple[np.uint64, int, bool]:
    """A number, NaN, Infinity or -Infinity: its bits, where it ends, whether it could be read."""
    bits, behind, is_read = number_at(at)
    if is_read:
        return bits, behind, True
    if load_four(at) & _THREE_BYTES == _NAN:
        return NAN_BITS, at + 3, True
    if load_word(at) == _INFINITY:
        return INFINITY_BITS, at + 8, True
    if load_byte(at) == _MINUS and load_word(at + 1) == _INFINITY:
        return INFINITY_BITS | _SIGN, at + 9, True
    return _NONE, at, False


@piece
def _escape_end(at: int) -> int:
    """Behind an escape; REFUSED also for halves of characters, which the slow path has to pair."""
    kind = load_byte(at + 1)
    if kind != _LETTER_U:
        plain = kind == QUOTE or kind == _BACKSLASH or kind == _SLASH or kind == _LETTER_B
        plain = plain or kind == LETTER_F or kind == LETTER_N or kind == _LETTER_R
        return at + 2 if plain or kind == LETTER_T else REFUSED
    code = 0
    for i in range(2, 6):
        digit = load_byte(at + i)
        letter = digit | _LOWER
        if _ZERO <= digit <= _NINE:
            code = code * 16 + digit - _ZERO
        elif _LETTER_A <= letter <= LETTER_F:
            code = code * 16 + letter - _LETTER_A + 10
        else:
            return REFUSED
    return REFUSED if _FIRST_HALF <= code <= _LAST_HALF else at + 6


@routine
def passed_string_end(at: int, end: int) -> int:
    """The closing quote of a string that nobody reads, so it may hold escapes."""
    while at < end:
        stops = text_stops(at)
        if stops == _NONE:
            at += 32
            continue
        at += zeros_below(stops)
        byte = load_byte(at)
        if byte == QUOTE:
            return at if at < end else REFUSED
        if byte != _BACKSLASH:
            return REFUSED
        at = _escape_end(at)
        if at < 0:
            return REFUSED
    return REFUSED


@routine
def _scalar_end(at: int, end: int) -> int:
    byte = load_byte(at)
    if byte == QUOTE:
        closing = passed_string_end(at + 1, end)
        return closing if closing < 0 else closing + 1
    if byte == LETTER_N:
        return at + 4 if is_null(at) else REFUSED
    if byte == LETTER_T or byte == LETTER_F:
        return boolean_end(at)
    _, behind, is_read = number_or_word(at)
    return behind if is_read else REFUSED


@routine
def _key_end(at: int, end: int) -> int:
    """Behind a key, its colon, and the white space after it."""
    if load_byte(at) != QUOTE:
        return REFUSED
    at = passed_string_end(at + 1, end)
    if at < 0:
        return REFUSED
    at = blank_end(at + 1)
    return blank_end(at + 1) if load_byte(at) == COLON else REFUSED


@routine
def value_end(at: int, end: int) -> int:
    """Behind any value, whose first byte is at `at`; all of it is checked."""
    depth, objects = 0, 0  # the lowest bit of objects: the innermost level is no array
    while True:
        byte = load_byte(at)
        if byte == OPEN or byte == OPEN_ARRAY:
            if depth == _DEEPEST:
                return REFUSED
            depth, objects = depth + 1, 2 * objects + (byte == OPEN)
            at = blank_end(at + 1)
            if load_byte(at) != (CLOSE if byte == OPEN else CLOSE_ARRAY):
                at = _key_end(at, end) if byte == OPEN else at
                if at < 0:
                    return REFUSED
                continue
        else:
            at = _scalar_end(at, end)
            if at < 0:
                return REFUSED
            if depth == 0:
                return at
            at = blank_end(at)
        while load_byte(at) == (CLOSE if objects & 1 else CLOSE_ARRAY):
            depth, objects = depth - 1, objects >> 1
            at += 1
            if depth == 0:
                return at
            at = blank_end(at)
        if load_byte(at) != COMMA:
            return REFUSED
        at = blank_end(at + 1)
        at = _key_end(at, end) if objects & 1 else at
        if at < 0:
            return REFUSED


@routine
def is_ascii(at: int, end: int) -> bool:
    """Whether all bytes are ASCII."""
    high = _NONE
    while at + 64 <= end:
        high |= high_bytes(at)
        at += 64
    if at < end:
        high |= high_bytes(at) << np.uint64(64 - (end - at))
    return bool(high == _NONE)


@piece
def _follows(at: int, end: int, count: int) -> bool:
    """Whether so many continuation bytes stand here."""
    if at + count > end:
        return False
    for i in range(count):
        if load_byte(at + i) & 0xC0 != 0x80:
            return False
    return True


@routine
def is_utf8(at: int, end: int) -> bool:
    """Whether all bytes are UTF-8: no surrogates, nothing longer than needed, nothing beyond."""
    while at < end:
        first = load_byte(at)
        if first < 0x80:
            at += 1
            continue
        second = load_byte(at + 1)
        if 0xC2 <= first <= 0xDF:
            count = 1
        elif 0xE0 <= first <= 0xEF:
            count = 2
            if (first == 0xE0 and second < 0xA0) or (first == 0xED and second > 0x9F):
                return False
        elif 0xF0 <= first <= 0xF4:
            count = 3
            if (first == 0xF0 and second < 0x90) or (first == 0xF4 and second > 0x8F):
                return False
        else:
            return False
        if not _follows(at + 1, end, count):
            return False
        at += 1 + count
    return True
