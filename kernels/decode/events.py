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
from kernels.decode.batches import batch_end
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
    is_ascii,
    is_null,
    is_utf8,
    value_end,
)
from kernels.decode.values import (
    ARRIVAL,
    CELLS_BEGIN,
    CELLS_END,
    EVENT,
    FAILED,
    HASH,
    MESSAGE,
    MODEL,
    PAIR,
    TIME,
    VERSION,
    cells_end,
    label_at,
    number_or_null,
    put_cell,
    short_text_end,
    status_at,
    time_or_number,
)
from kernels.hashing import hash_memory
from kernels.jit import kernel, piece, routine
from kernels.memory import load_byte, load_int, load_word, store_code, store_int, store_word

_REQUIRED = (1 << t.ID) | (1 << t.MODEL) | (1 << t.TS)


@routine
def _output(at: int, end: int, key: int, words: int) -> int:
    """Behind a label, or the number of another key, or null; it becomes a cell."""
    if key == t.LABEL:
        bits, behind, kind = label_at(at, end, words)
    else:
        bits, behind, kind = number_or_null(at)
    if behind >= 0:
        put_cell(bits, key, kind, words)
    return behind


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
            at = _output(at, end, number, words)
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
        return _output(at, end, t.LABEL, words)
    return _output(at, end, t.SCORE, words)


@piece
def _object_or_null(at: int, end: int, level: int, words: int) -> int:
    """Behind an object of cells, or null."""
    if is_null(at):
        return at + 4
    return cells_end(at + 1, end, level, words) if load_byte(at) == OPEN else REFUSED


@routine
def _field(number: int, at: int, end: int, event: int, words: int) -> int:
    """Behind the value of one of the keys that have a meaning."""
    if number == t.ID or number == t.MODEL or number == t.VERSION:
        closing = short_text_end(at, end, words)
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
    if number == t.ATTRIBUTIONS:
        return _object_or_null(at, end, t.ATTRIBUTION, words)
    if number == t.TS or number == t.ARRIVAL:
        ms, at = time_or_number(at, end)
        if number == t.TS:
            store_int(event + TIME, ms)
        else:
            store_int(event + ARRIVAL, min(ms, load_int(event + ARRIVAL)))
        return at
    if number == t.OUTPUT:
        return _prediction(at, end, words)
    if number == t.LATENCY:
        return _output(at, end, t.LATENCY, words)
    if number == t.STATUS:
        is_error, at = status_at(at, end)
        store_int(event + FAILED, is_error)
        return at
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
        brace, cells = at, load_int(words + t.CELL_COUNT)
        at = _next_event(at, end, message, arrival_ms, words)
        if at == t.BATCH:
            store_int(words + t.CELL_COUNT, cells)
            at = batch_end(brace + 1, end, message, arrival_ms, words)
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

    reasons  (n,) becomes 0 for what was read, REFUSED for what was not
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
