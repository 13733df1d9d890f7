"""Batches: one columnar batch in, records and cells of its events out.

In    {"model": …, "version": …, "columns": {"id": […], "ts": […], "features": {…}, …}}
Out   what events.py would give for the same events one by one
Not   batches in which anything is wrong or unusual: the slow path refuses their rows one by one

Columns are read one after the other into STAGE, column by column; when all are there, and equally
long, they become the cells of events, row by row.
"""

from __future__ import annotations

from kernels.decode import tables as t
from kernels.decode.floats import number_at
from kernels.decode.grammar import (
    CLOSE,
    CLOSE_ARRAY,
    COMMA,
    OPEN,
    OPEN_ARRAY,
    REFUSED,
    blank_end,
    is_null,
    value_end,
)
from kernels.decode.values import (
    ARRIVAL,
    CELL,
    CELLS_BEGIN,
    CELLS_END,
    EVENT,
    FAILED,
    HASH,
    KIND_BITS,
    MESSAGE,
    NUMBER,
    PAIR,
    TIME,
    cell_at,
    label_at,
    number_or_null,
    short_text_end,
    status_at,
    time_or_number,
)
from kernels.hashing import hash_memory
from kernels.jit import piece, routine
from kernels.memory import load_byte, load_int, load_word, store_int, store_word

_REQUIRED = (1 << t.IDS) | (1 << t.TIMES)


@piece
def _value(at: int, end: int, column: int, event: int, cell: int, words: int) -> int:
    """Behind one value of a column that is no feature; it goes to its event or its cell."""
    if column == t.IDS:
        closing = short_text_end(at, end, words)
        if closing < 0:
            return closing
        key_0, key_1 = load_word(words + t.SEED_0), load_word(words + t.SEED_1)
        store_word(event + HASH, hash_memory(at + 1, closing - at - 1, key_0, key_1))
        return closing + 1
    if column == t.TIMES or column == t.ARRIVALS:
        ms, at = time_or_number(at, end)
        store_int(event + (TIME if column == t.TIMES else ARRIVAL), ms)
        return at
    if column == t.STATUSES:
        is_error, at = status_at(at, end)
        store_int(event + FAILED, is_error)
        return at
    bits, behind, kind = label_at(at, end, words) if column == t.LABELS else number_or_null(at)
    key = t.LABEL if column == t.LABELS else t.SCORE if column == t.SCORES else t.LATENCY
    store_word(cell, bits)
    store_int(cell + 8, key << KIND_BITS | kind)
    return behind


@routine
def _column_end(
    at: int, end: int, column: int, event: int, cell: int, words: int
) -> tuple[int, int]:
    """Behind an array of values that are no features, and how many they are."""
    at = blank_end(at)
    if load_byte(at) == CLOSE_ARRAY:
        return at + 1, 0
    count, last = 0, load_int(words + t.EVENTS_END)
    while True:
        at = _value(at, end, column, event, cell, words) if event < last else REFUSED
        if at < 0:
            return at, count
        event, cell, count = event + EVENT, cell + CELL, count + 1
        at = blank_end(at)
        if load_byte(at) != COMMA:
            return at + 1 if load_byte(at) == CLOSE_ARRAY else REFUSED, count
        at = blank_end(at + 1)


@routine
def _feature_end(at: int, end: int, key: int, cell: int, words: int) -> tuple[int, int]:
    """Behind an array of values of a feature, and how many they are."""
    at = blank_end(at)
    if load_byte(at) == CLOSE_ARRAY:
        return at + 1, 0
    count, mark = 0, key << KIND_BITS
    while True:
        bits, behind, is_read = number_at(at)
        kind = NUMBER
        if not is_read:
            bits, behind, kind = cell_at(at, end, words)
            if behind < 0:
                return behind, count
        store_word(cell, bits)
        store_int(cell + 8, mark | kind)
        cell, count = cell + CELL, count + 1
        at = blank_end(behind)
        if load_byte(at) != COMMA:
            return at + 1 if load_byte(at) == CLOSE_ARRAY else REFUSED, count
        at = blank_end(at + 1)


@routine
def _features_end(at: int, end: int, rows: int, done: int, words: int) -> tuple[int, int, int]:
    """Behind the object of features; rows, -1 if not known before; columns of cells by now."""
    stamp, before = load_int(words + t.STAMP), done
    key = load_int(words + t.KEYS) + t.RECORD * t.FEATURES
    at = blank_end(at)
    if load_byte(at) == CLOSE:
        return at + 1, rows, done
    while True:
        key, at = t.key_at(at, end, t.FEATURES, key, words)
        if at < 0 or load_int(key + t.SEEN) == stamp:
            return min(at, REFUSED), rows, done
        store_int(key + t.SEEN, stamp)
        at = blank_end(at)
        if is_null(at):
            at += 4
        elif load_byte(at) == OPEN_ARRAY:
            cell = load_int(words + t.STAGE) + CELL * done * max(rows, 0)
            at, count = _feature_end(at + 1, end, load_int(key + t.NUMBER), cell, words)
            if at < 0 or (rows >= 0 and count != rows):
                return min(at, REFUSED), rows, done
            rows, done = count, done + 1
        else:
            return REFUSED, rows, done
        at = blank_end(at)
        if load_byte(at) != COMMA:
            break
        at = blank_end(at + 1)
    is_good = load_byte(at) == CLOSE and done - before <= load_int(words + t.MAX_FEATURES)
    return at + 1 if is_good else REFUSED, rows, done


@routine
def _columns_end(at: int, end: int, words: int) -> tuple[int, int, int, int]:
    """Behind the columns of a batch; rows, columns of cells, and which columns there are."""
    first = load_int(words + t.EVENTS) + EVENT * load_int(words + t.EVENT_COUNT)
    key, seen = load_int(words + t.KEYS) + t.RECORD * t.COLUMN, 0
    rows, done = -1, 0
    at = blank_end(at)
    while True:
        found, at = t.key_at(at, end, t.COLUMN, key, words)
        if at < 0:
            return at, rows, done, seen
        at = blank_end(at)
        column = load_int(found + t.NUMBER) if found else t.LEARNT
        if column >= t.LEARNT:
            at = value_end(at, end)
        elif seen & (1 << column):
            at = REFUSED
        elif is_null(at):
            at += 4
        elif column == t.SHARE_COLUMNS:
            at = REFUSED  # rare in batches: the slow path reads them
        elif column == t.INPUT_COLUMNS:
            seen |= 1 << column
            is_open = load_byte(at) == OPEN
            if is_open:
                at, rows, done = _features_end(at + 1, end, rows, done, words)
            at = at if is_open else REFUSED
        elif load_byte(at) == OPEN_ARRAY:
            seen |= 1 << column
            cell = load_int(words + t.STAGE) + CELL * done * max(rows, 0)
            at, count = _column_end(at + 1, end, column, first, cell, words)
            at = REFUSED if at >= 0 and rows >= 0 and count != rows else at
            rows, done = count, done + (column >= t.SCORES)
        else:
            at = REFUSED
        if at < 0:
            return at, rows, done, seen
        key = found if found else key
        at = blank_end(at)
        if load_byte(at) != COMMA:
            return at + 1 if load_byte(at) == CLOSE else REFUSED, rows, done, seen
        at = blank_end(at + 1)


@routine
def _place_rows(
    rows: int, columns: int, seen: int, pair: int, message: int, arrival_ms: int, words: int
) -> None:
    """Complete the records of a batch, and put its cells behind those that are there."""
    count = load_int(words + t.CELL_COUNT)
    stage, cell = load_int(words + t.STAGE), load_int(words + t.CELLS) + CELL * count
    event = load_int(words + t.EVENTS) + EVENT * load_int(words + t.EVENT_COUNT)
    for row in range(rows):
        store_int(event + MESSAGE, message)
        store_int(event + PAIR, pair)
        came_ms = load_int(event + ARRIVAL) if seen & (1 << t.ARRIVALS) else arrival_ms
        store_int(event + ARRIVAL, min(came_ms, arrival_ms))
        if not seen & (1 << t.STATUSES):
            store_int(event + FAILED, 0)
        store_int(event + CELLS_BEGIN, count + row * columns)
        store_int(event + CELLS_END, count + (row + 1) * columns)
        staged = stage + CELL * row
        for _ in range(columns):
            store_word(cell, load_word(staged))
            store_word(cell + 8, load_word(staged + 8))
            cell, staged = cell + CELL, staged + CELL * rows
        event += EVENT
    store_int(words + t.CELL_COUNT, count + rows * columns)
    store_int(words + t.EVENT_COUNT, load_int(words + t.EVENT_COUNT) + rows)


@routine
def batch_end(at: int, end: int, message: int, arrival_ms: int, words: int) -> int:
    """Behind a columnar batch; `at` is behind its brace. Or a reason to stop."""
    store_int(words + t.STAMP, load_int(words + t.STAMP) + 1)
    key, seen_top = load_int(words + t.KEYS) + t.RECORD * t.TOP, 0
    rows, columns, seen, model, version = 0, 0, 0, REFUSED, 0
    at = blank_end(at)
    while True:
        found, at = t.key_at(at, end, t.TOP, key, words)
        if at < 0:
            return at
        at = blank_end(at)
        number = load_int(found + t.NUMBER) if found else t.LEARNT
        is_meant = number == t.MODEL or number == t.VERSION or number == t.COLUMNS
        if number == t.ID or (is_meant and seen_top & (1 << number)):
            return REFUSED
        if number == t.COLUMNS and load_byte(at) == OPEN:
            at, rows, columns, seen = _columns_end(at + 1, end, words)
        elif is_meant:
            closing = short_text_end(at, end, words)
            if closing < 0 or number == t.COLUMNS:
                return REFUSED
            code = t.code_of(at + 1, closing - at - 1, words)
            model, version = (code, version) if number == t.MODEL else (model, code)
            at = closing + 1 if code >= 0 else code
        else:
            at = value_end(at, end)
        if at < 0:
            return at
        seen_top |= is_meant << min(number, t.LEARNT)
        key = found if found else key
        at = blank_end(at)
        if load_byte(at) != COMMA:
            break
        at = blank_end(at + 1)
    if load_byte(at) != CLOSE or seen & _REQUIRED != _REQUIRED or model < 0:
        return REFUSED
    _place_rows(rows, columns, seen, model << 32 | version, message, arrival_ms, words)
    return at + 1
