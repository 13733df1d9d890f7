"""Values: what stands behind one key in, its bits and its kind out.

In    the address of a value in a padded buffer, the end of its message, `Tables`
Out   cells: the bits of a number or the code of a text, with the number of the key and the kind
Not   which keys an event has (events.py, batches.py)

A value that is not plainly good is refused here; the slow path reads its message and says why.
"""

from __future__ import annotations

import numpy as np

from kernels.decode import tables as t
from kernels.decode.floats import DOT, MINUS, ZERO, digits_in, number_at
from kernels.decode.grammar import (
    CLOSE,
    COMMA,
    LETTER_F,
    LETTER_N,
    LETTER_T,
    OPEN,
    QUOTE,
    REFUSED,
    blank_end,
    boolean_end,
    is_null,
    number_or_word,
    string_end,
    value_end,
)
from kernels.decode.times import LATEST_MS, time_at
from kernels.jit import bits_float, piece, routine
from kernels.memory import load_byte, load_four, load_int, load_word, store_int, store_word

# What a cell is.
NUMBER, TEXT, NULL, OTHER, VECTOR = range(5)
KIND_BITS = 3
CELL = 16  # bytes: bits or code, key << KIND_BITS | kind

# The record of an event, in bytes; version and model are the halves of one word, PAIR.
TIME, ARRIVAL, MESSAGE, PAIR, HASH, FAILED, CELLS_BEGIN, CELLS_END = range(0, 64, 8)
VERSION, MODEL = PAIR, PAIR + 4
EVENT = 64

_OK, _ERROR = 0x6B6F, 0x6F727265  # "ok", "erro"
_LETTER_R = 0x72
_NONE = np.uint64(0)


@piece
def put_cell(bits: np.uint64, key: int, kind: int, words: int) -> None:
    count = load_int(words + t.CELL_COUNT)
    cell = load_int(words + t.CELLS) + CELL * count
    store_word(cell, bits)
    store_int(cell + 8, key << KIND_BITS | kind)
    store_int(words + t.CELL_COUNT, count + 1)


@piece
def _text_at(at: int, end: int, words: int) -> tuple[np.uint64, int, int]:
    """The code of a string that begins here, behind it, its kind."""
    closing = string_end(at + 1, end)
    if closing < 0:
        return _NONE, closing, TEXT
    code = t.code_of(at + 1, closing - at - 1, words)
    return np.uint64(code), closing + 1 if code >= 0 else code, TEXT


@routine
def cell_at(at: int, end: int, words: int) -> tuple[np.uint64, int, int]:
    """Any value: its bits or its code, behind it, its kind."""
    byte = load_byte(at)
    if byte == QUOTE:
        return _text_at(at, end, words)
    if byte == LETTER_N:
        return _NONE, at + 4 if is_null(at) else REFUSED, NULL
    if byte == LETTER_T or byte == LETTER_F:
        behind = boolean_end(at)
        code = t.code_of(at, behind - at, words) if behind >= 0 else REFUSED
        return np.uint64(code), behind if code >= 0 else code, TEXT
    if byte == OPEN:
        return _NONE, value_end(at, end), OTHER
    bits, behind, is_read = number_or_word(at)
    return bits, behind if is_read else REFUSED, NUMBER


@routine
def cells_end(at: int, end: int, level: int, words: int) -> int:
    """Behind an object whose values become cells; `at` is behind its brace. Or a reason to stop."""
    cells = load_int(words + t.CELLS) + CELL * load_int(words + t.CELL_COUNT)
    stamp, first = load_int(words + t.STAMP), cells
    key = load_int(words + t.KEYS) + t.RECORD * level
    at = blank_end(at)
    if load_byte(at) == CLOSE:
        return at + 1
    while True:
        key, at = t.key_at(at, end, level, key, words)
        if at < 0:
            return at
        if load_int(key + t.SEEN) == stamp:
            return REFUSED
        store_int(key + t.SEEN, stamp)
        at = blank_end(at)
        bits, behind, is_read = number_at(at)
        kind = NUMBER
        if not is_read:
            bits, behind, kind = cell_at(at, end, words)
            if behind < 0:
                return behind
        at = behind
        store_word(cells, bits)
        store_int(cells + 8, load_int(key + t.NUMBER) << KIND_BITS | kind)
        cells += CELL
        at = blank_end(at)
        if load_byte(at) != COMMA:
            break
        at = blank_end(at + 1)
    count = (cells - first) // CELL
    if level != t.SEGMENT and count > load_int(words + t.MAX_FEATURES):
        return REFUSED
    store_int(words + t.CELL_COUNT, load_int(words + t.CELL_COUNT) + count)
    return at + 1 if load_byte(at) == CLOSE else REFUSED


@routine
def label_at(at: int, end: int, words: int) -> tuple[np.uint64, int, int]:
    """A label: the code of its text, behind it, its kind."""
    byte = load_byte(at)
    bits, behind, kind = cell_at(at, end, words)
    if kind == NUMBER and behind >= 0:  # only what begins `3` or `3.0` and ends there
        digits = digits_in(load_word(at))
        is_point = load_byte(at + digits) == DOT and load_byte(at + digits + 1) == ZERO
        if behind != (at + digits + 2 if is_point else at + digits) or byte == MINUS:
            return _NONE, REFUSED, kind
        code = t.code_of(at, digits, words)
        return np.uint64(code), behind if code >= 0 else code, TEXT
    return bits, behind if kind != OTHER else REFUSED, kind


@routine
def number_or_null(at: int) -> tuple[np.uint64, int, int]:
    """A number or null: its bits, behind it, its kind."""
    if is_null(at):
        return _NONE, at + 4, NULL
    bits, behind, is_read = number_or_word(at)
    return bits, behind if is_read else REFUSED, NUMBER


@routine
def time_or_number(at: int, end: int) -> tuple[int, int]:
    """A time and behind it."""
    if load_byte(at) == QUOTE:
        closing = string_end(at + 1, end)
        ms = time_at(at + 1, closing) if closing >= 0 else REFUSED
        return ms, closing + 1 if ms >= 0 else REFUSED
    bits, behind, is_read = number_or_word(at)
    number = bits_float(bits)
    if not is_read or not 0.0 <= number <= LATEST_MS:
        return REFUSED, REFUSED
    return int(number), behind


@piece
def short_text_end(at: int, end: int, words: int) -> int:
    """The end of a string that begins here and is neither empty nor long."""
    if load_byte(at) != QUOTE:
        return REFUSED
    closing = string_end(at + 1, end)
    size = closing - at - 1
    return closing if closing >= 0 and 0 < size <= load_int(words + t.MAX_TEXT) else REFUSED


@piece
def status_at(at: int, end: int) -> tuple[int, int]:
    """A status: 1 for an error, 0 for ok or null; and behind it."""
    if is_null(at):
        return 0, at + 4
    closing = string_end(at + 1, end)
    if load_byte(at) != QUOTE or closing < 0:
        return 0, REFUSED
    if closing == at + 3 and load_four(at + 1) & 0xFFFF == _OK:
        return 0, closing + 1
    is_error = load_four(at + 1) == _ERROR and load_byte(at + 5) == _LETTER_R
    return 1, closing + 1 if is_error and closing == at + 6 else REFUSED
