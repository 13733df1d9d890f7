"""Events: messages in one buffer in, a record per event and a cell per value out.

In    where messages begin and end, and `Tables` with room for what they may hold
Out   per event eight int64 (time, arrival, message, codes of model and version, hash of the id,
      whether it failed, its first cell and the one after its last); per feature, segment, score,
      label and latency a cell: its bits or its code, and the number of its key with its kind
Not   columns (columns.py); batches (batches.py); whatever is unusual: the message is marked, and
      the slow path reads it

Nothing is ever refused here: what is not plainly a good event is left to the slow path, which gives
the reason. That is what makes both paths agree.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.decode import tables as t
from kernels.decode.floats import DOT, MINUS, ZERO, digits_in, number_at
from kernels.decode.grammar import (
    CLOSE,
    CLOSE_ARRAY,
    COMMA,
    LETTER_F,
    LETTER_N,
    LETTER_T,
    OPEN,
    OPEN_ARRAY,
    QUOTE,
    REFUSED,
    blank_end,
    boolean_end,
    is_ascii,
    is_null,
    is_utf8,
    number_or_word,
    string_end,
    value_end,
)
from kernels.decode.times import LATEST_MS, time_at
from kernels.hashing import hash_memory
from kernels.jit import bits_float, kernel, piece, routine
from kernels.memory import (
    load_byte,
    load_four,
    load_int,
    load_word,
    store_code,
    store_int,
    store_word,
)

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
_REQUIRED = (1 << t.ID) | (1 << t.MODEL) | (1 << t.TS)
_NONE = np.uint64(0)


@piece
def _put_cell(bits: np.uint64, key: int, kind: int, words: int) -> None:
    count = load_int(words + t.CELL_COUNT)
    cell = load_int(words + t.CELLS) + CELL * count
    store_word(cell, bits)
    store_int(cell + 8, key << KIND_BITS | kind)
    store_int(words + t.CELL_COUNT, count + 1)


@piece
def _text_cell(at: int, end: int, words: int) -> tuple[np.uint64, int, int]:
    """The code of a string that begins here, behind it, its kind."""
    closing = string_end(at + 1, end)
    if closing < 0:
        return _NONE, closing, TEXT
    code = t.code_of(at + 1, closing - at - 1, words)
    return np.uint64(code), closing + 1 if code >= 0 else code, TEXT


@routine
def _cell_at(at: int, end: int, words: int) -> tuple[np.uint64, int, int]:
    """Any value: its bits or its code, behind it, its kind."""
    byte = load_byte(at)
    if byte == QUOTE:
        return _text_cell(at, end, words)
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
def _cells_end(at: int, end: int, level: int, words: int) -> int:
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
            bits, behind, kind = _cell_at(at, end, words)
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
    if level == t.FEATURES and count > load_int(words + t.MAX_FEATURES):
        return REFUSED
    store_int(words + t.CELL_COUNT, load_int(words + t.CELL_COUNT) + count)
    return at + 1 if load_byte(at) == CLOSE else REFUSED


@routine
def _label(at: int, end: int, words: int) -> int:
    """Behind a label, which becomes a cell with its text."""
    byte = load_byte(at)
    bits, behind, kind = _cell_at(at, end, words)
    if kind == NUMBER and behind >= 0:  # only what begins `3` or `3.0` and ends there
        digits = digits_in(load_word(at))
        is_point = load_byte(at + digits) == DOT and load_byte(at + digits + 1) == ZERO
        if behind != (at + digits + 2 if is_point else at + digits) or byte == MINUS:
            return REFUSED
        code = t.code_of(at, digits, words)
        bits, behind, kind = np.uint64(code), behind if code >= 0 else code, TEXT
    if kind == OTHER:
        return REFUSED
    if behind >= 0:
        _put_cell(bits, t.LABEL, kind, words)
    return behind


@routine
def _number_or_null(at: int, key: int, words: int) -> int:
    """Behind a number or null, which becomes a cell."""
    if is_null(at):
        _put_cell(_NONE, key, NULL, words)
        return at + 4
    bits, at, is_read = number_or_word(at)
    if not is_read:
        return REFUSED
    _put_cell(bits, key, NUMBER, words)
    return at


@routine
def _scores(at: int, end: int, words: int) -> int:
    """Behind a prediction object; `at` is behind its brace."""
    key, seen = load_int(words + t.KEYS) + t.RECORD * t.PREDICTION, 0
    at = blank_end(at)
    if load_byte(at) == CLOSE:
        return at + 1
    while True:
        found, at = t.key_at(at, end, t.PREDICTION, key, words)
        if at < 0:
            return at
        at = blank_end(at)
        number = load_int(found + t.NUMBER) if found else 0
        if number == t.SCORE or number == t.LABEL:
            if seen & (1 << number):
                return REFUSED
            seen |= 1 << number
            is_score = number == t.SCORE
            at = _number_or_null(at, t.SCORE, words) if is_score else _label(at, end, words)
        else:
            at = value_end(at, end)
        if at < 0:
            return at
        key = found if found else key
        at = blank_end(at)
        if load_byte(at) != COMMA:
            return at + 1 if load_byte(at) == CLOSE else REFUSED
        at = blank_end(at + 1)


@piece
def _prediction(at: int, end: int, words: int) -> int:
    """Behind a prediction of any form."""
    byte = load_byte(at)
    if byte == OPEN:
        return _scores(at + 1, end, words)
    if byte == LETTER_N:
        return at + 4 if is_null(at) else REFUSED
    if byte == QUOTE or byte == LETTER_T or byte == LETTER_F:
        return _label(at, end, words)
    return _number_or_null(at, t.SCORE, words)


@routine
def _time(at: int, end: int) -> tuple[int, int]:
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
def _short_text(at: int, end: int, words: int) -> int:
    """The end of a string that begins here and is neither empty nor long."""
    if load_byte(at) != QUOTE:
        return REFUSED
    closing = string_end(at + 1, end)
    size = closing - at - 1
    return closing if closing >= 0 and 0 < size <= load_int(words + t.MAX_TEXT) else REFUSED


@piece
def _status(at: int, end: int, event: int) -> int:
    """Behind a status: ok, error or null."""
    if is_null(at):
        return at + 4
    closing = string_end(at + 1, end)
    if load_byte(at) != QUOTE or closing < 0:
        return REFUSED
    if closing == at + 3 and load_four(at + 1) & 0xFFFF == _OK:
        return closing + 1
    is_error = load_four(at + 1) == _ERROR and load_byte(at + 5) == _LETTER_R
    store_int(event + FAILED, 1)
    return closing + 1 if is_error and closing == at + 6 else REFUSED


@piece
def _object_or_null(at: int, end: int, level: int, words: int) -> int:
    """Behind an object of cells, or null."""
    if is_null(at):
        return at + 4
    return _cells_end(at + 1, end, level, words) if load_byte(at) == OPEN else REFUSED


@routine
def _field(number: int, at: int, end: int, event: int, words: int) -> int:
    """Behind the value of one of the keys that have a meaning."""
    if number == t.ID or number == t.MODEL or number == t.VERSION:
        closing = _short_text(at, end, words)
        size = closing - at - 1
        if closing < 0:
            return REFUSED
        if number == t.ID:
            key_0, key_1 = load_word(words + t.SEED_0), load_word(words + t.SEED_1)
            store_word(event + HASH, hash_memory(at + 1, size, key_0, key_1))
            return closing + 1
        code = t.code_of(at + 1, size, words)
        store_code(event + (MODEL if number == t.MODEL else VERSION), code)
        return closing + 1 if code >= 0 else code
    if number == t.INPUTS:
        return _object_or_null(at, end, t.FEATURES, words)
    if number == t.TS or number == t.ARRIVAL:
        ms, at = _time(at, end)
        if number == t.TS:
            store_int(event + TIME, ms)
        else:
            store_int(event + ARRIVAL, min(ms, load_int(event + ARRIVAL)))
        return at
    if number == t.OUTPUT:
        return _prediction(at, end, words)
    if number == t.LATENCY:
        return _number_or_null(at, t.LATENCY, words)
    if number == t.STATUS:
        return _status(at, end, event)
    return _object_or_null(at, end, t.SEGMENT, words)


@routine
def _event_end(at: int, end: int, event: int, words: int) -> int:
    """Behind one event; `at` is behind its brace, its record is prepared. Or a reason to stop."""
    key, seen = load_int(words + t.KEYS) + t.RECORD * t.TOP, 0
    at = blank_end(at)
    while True:
        found, at = t.key_at(at, end, t.TOP, key, words)
        if at < 0:
            return at
        at = blank_end(at)
        number = load_int(found + t.NUMBER) if found else t.LEARNT
        if number == t.COLUMNS:
            return t.BATCH
        if number >= t.LEARNT:
            at = value_end(at, end)
        else:
            if seen & (1 << number):
                return REFUSED
            seen |= 1 << number
            at = _field(number, at, end, event, words)
        if at < 0:
            return at
        key = found if found else key
        at = blank_end(at)
        if load_byte(at) != COMMA:
            break
        at = blank_end(at + 1)
    if load_byte(at) != CLOSE or seen & _REQUIRED != _REQUIRED:
        return REFUSED
    store_int(event + CELLS_END, load_int(words + t.CELL_COUNT))
    store_int(words + t.EVENT_COUNT, load_int(words + t.EVENT_COUNT) + 1)
    return at + 1


@routine
def _next_event(at: int, end: int, message: int, arrival_ms: int, words: int) -> int:
    """Behind an event, whose record is begun here."""
    event = load_int(words + t.EVENTS) + EVENT * load_int(words + t.EVENT_COUNT)
    store_int(words + t.STAMP, load_int(words + t.STAMP) + 1)
    store_int(event + MESSAGE, message)
    store_int(event + ARRIVAL, arrival_ms)
    store_int(event + PAIR, 0)
    store_int(event + FAILED, 0)
    store_int(event + CELLS_BEGIN, load_int(words + t.CELL_COUNT))
    return _event_end(at + 1, end, event, words) if load_byte(at) == OPEN else REFUSED


@routine
def _array_end(at: int, end: int, message: int, arrival_ms: int, words: int) -> int:
    """Behind an array of events; `at` is behind its bracket."""
    at = blank_end(at)
    if load_byte(at) == CLOSE_ARRAY:
        return at + 1
    while True:
        at = _next_event(at, end, message, arrival_ms, words)
        if at < 0:
            return REFUSED if at == t.BATCH else at
        at = blank_end(at)
        if load_byte(at) != COMMA:
            return at + 1 if load_byte(at) == CLOSE_ARRAY else REFUSED
        at = blank_end(at + 1)


@routine
def _message(at: int, end: int, message: int, arrival_ms: int, words: int) -> int:
    """0 if all of a message was read, or why not."""
    start = at
    if at >= end or end - at > load_int(words + t.MAX_BYTES):
        return REFUSED
    at = blank_end(at)
    if load_byte(at) == OPEN_ARRAY:
        at = _array_end(at + 1, end, message, arrival_ms, words)
    else:
        at = _next_event(at, end, message, arrival_ms, words)
    if at < 0:
        return at
    if at > end or blank_end(at) < end:
        return REFUSED
    return 0 if is_ascii(start, end) or is_utf8(start, end) else REFUSED


@kernel
def scan(
    base: int,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    arrivals_ms: NDArray[np.int64],
    first: int,
    reasons: NDArray[np.int8],
    tables: NDArray[np.int64],
) -> int:
    """Read messages first… of n, whose bytes are at base + starts (n,) to base + ends (n,).

    reasons  (n,) becomes 0 for what was read, REFUSED or BATCH for what was not
    Returns n, or the message at which LEARN or FULL (its reason) made it stop.
    """
    words = tables.ctypes.data
    for i in range(first, len(starts)):
        cells, events = load_int(words + t.CELL_COUNT), load_int(words + t.EVENT_COUNT)
        reason = _message(base + starts[i], base + ends[i], i, arrivals_ms[i], words)
        reasons[i] = reason
        if reason != 0:
            store_int(words + t.CELL_COUNT, cells)
            store_int(words + t.EVENT_COUNT, events)
            if reason == t.LEARN or reason == t.FULL:
                return i
    return len(starts)
