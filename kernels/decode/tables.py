"""Tables: what a scanner knows and finds, in memory that kernels reach by address.

In    texts and names of keys as bytes at an address
Out   a code per distinct text, the record of a key; `Tables`, whose `words` hold every address
Not   reading JSON (events.py); when a table is made anew (stream/detect/ingest/fast.py)

`words` is one int64 array of addresses, sizes and counters, and kernels pass its address on: see
memory.py. A key's record holds its text as it stands in JSON, with quotes and colon, and the record
that followed it last time: the usual order of keys costs one comparison each. A lookup that takes
more than a few probes is refused, so nobody can make it slow by choosing texts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.decode.grammar import COLON, QUOTE, REFUSED, blank_end, string_end
from kernels.hashing import Key
from kernels.jit import kernel, piece, routine, signed
from kernels.memory import (
    PADDING,
    load_byte,
    load_int,
    load_word,
    store_byte,
    store_int,
    store_word,
)

# What a scan ends with, beside REFUSED: the event or message is one for the slow path.
LEARN, FULL, BATCH = -2, -3, -4

# Places in `words`, in bytes.
TEXT_SLOTS, TEXT_MASK, TEXT_PLACES, TEXT_COUNT, TEXT_MOST = 0, 8, 16, 24, 32
ARENA, ARENA_USED, ARENA_SIZE, SEED_0, SEED_1 = 40, 48, 56, 64, 72
KEY_SLOTS, KEY_MASK, KEYS, KEY_COUNT, KEY_MOST = 80, 88, 96, 104, 112
CELLS, CELL_COUNT, EVENTS, EVENT_COUNT, STAMP = 120, 128, 136, 144, 152
MAX_BYTES, MAX_TEXT, MAX_FEATURES = 160, 168, 176
UNKNOWN_AT, UNKNOWN_SIZE, UNKNOWN_LEVEL, STAGE, EVENTS_END = 184, 192, 200, 208, 216
_WORDS = 28

# The record of a key, in bytes; MASK covers as much of FIRST as the pattern has.
FIRST, MASK, PATTERN, PATTERN_SIZE, NEXT, SEEN, NUMBER, LEVEL = range(0, 64, 8)
RECORD = 64

# Where a key can stand, which is also the number of the record "before the first key".
TOP, FEATURES, PREDICTION, SEGMENT, COLUMN, ATTRIBUTION = range(6)
# Numbers of the keys that have a meaning of their own.
ID, MODEL, VERSION, TS, INPUTS, OUTPUT, LATENCY, STATUS, SEGMENTS, ARRIVAL = range(6, 16)
ATTRIBUTIONS, COLUMNS, SCORE, LABEL = range(16, 20)
IDS, TIMES, ARRIVALS, STATUSES, INPUT_COLUMNS, SCORES, LABELS, LATENCIES = range(
    20, 28
)  # of batches
SHARE_COLUMNS, LEARNT = 28, 29
FIXED = {
    ID: (TOP, b"id"),
    MODEL: (TOP, b"model"),
    VERSION: (TOP, b"version"),
    TS: (TOP, b"ts"),
    INPUTS: (TOP, b"features"),
    OUTPUT: (TOP, b"prediction"),
    LATENCY: (TOP, b"latency_ms"),
    STATUS: (TOP, b"status"),
    SEGMENTS: (TOP, b"segment"),
    ARRIVAL: (TOP, b"arrival_time"),
    ATTRIBUTIONS: (TOP, b"attributions"),
    COLUMNS: (TOP, b"columns"),
    SCORE: (PREDICTION, b"score"),
    LABEL: (PREDICTION, b"label"),
    IDS: (COLUMN, b"id"),
    TIMES: (COLUMN, b"ts"),
    ARRIVALS: (COLUMN, b"arrival_time"),
    STATUSES: (COLUMN, b"status"),
    INPUT_COLUMNS: (COLUMN, b"features"),
    SCORES: (COLUMN, b"score"),
    LABELS: (COLUMN, b"label"),
    LATENCIES: (COLUMN, b"latency_ms"),
    SHARE_COLUMNS: (COLUMN, b"attributions"),
}

_MOST_PROBES = 24
_PLACE = 16  # bytes: offset in the arena, size
_ODD_1, _ODD_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
_NONE, _ONE, _ALL = np.uint64(0), np.uint64(1), np.uint64(2**64 - 1)
_HALF, _LOW_HALF = np.uint64(32), np.uint64(0xFFFF_FFFF)


class Tables(NamedTuple):
    """Memory of one scanner; `words` points into all the rest."""

    words: NDArray[np.int64]
    text_slots: NDArray[np.uint64]  # (2^k,) upper half of the hash, code + 1; 0 where there is none
    text_places: NDArray[np.int64]  # (most, 2) offset in the arena, size
    arena: NDArray[np.uint8]
    key_slots: NDArray[np.int64]  # (2^k,) address of a record, 0 where there is none
    keys: NDArray[np.int64]  # (most, 8)


def empty(most_texts: int, arena_bytes: int, most_keys: int, key: Key) -> Tables:
    """Tables that know no key and no text; most_texts is a power of two."""
    tables = Tables(
        np.zeros(_WORDS, np.int64),
        np.zeros(2 * most_texts, np.uint64),
        np.zeros((most_texts, 2), np.int64),
        np.zeros(arena_bytes + PADDING, np.uint8),
        np.zeros(1 << (4 * most_keys).bit_length(), np.int64),
        np.zeros((most_keys, RECORD // 8), np.int64),
    )
    put = tables.words.__setitem__
    put(TEXT_SLOTS // 8, tables.text_slots.ctypes.data)
    put(TEXT_MASK // 8, len(tables.text_slots) - 1)
    put(TEXT_PLACES // 8, tables.text_places.ctypes.data)
    put(TEXT_MOST // 8, most_texts)
    put(ARENA // 8, tables.arena.ctypes.data)
    put(ARENA_SIZE // 8, arena_bytes)
    tables.words[SEED_0 // 8 : SEED_1 // 8 + 1] = np.array(key, np.uint64).view(np.int64)
    put(KEY_SLOTS // 8, tables.key_slots.ctypes.data)
    put(KEY_MASK // 8, len(tables.key_slots) - 1)
    put(KEYS // 8, tables.keys.ctypes.data)
    put(KEY_COUNT // 8, ID)
    put(KEY_MOST // 8, most_keys)
    return tables


def with_room(tables: Tables) -> Tables:
    """The same tables with twice the room for texts; all codes stay."""
    places = np.concatenate([tables.text_places, np.zeros_like(tables.text_places)])
    arena = np.concatenate([tables.arena, np.zeros_like(tables.arena)])
    slots = np.zeros(2 * len(tables.text_slots), np.uint64)
    larger = tables._replace(text_slots=slots, text_places=places, arena=arena)
    put = larger.words.__setitem__
    put(TEXT_SLOTS // 8, slots.ctypes.data)
    put(TEXT_MASK // 8, len(slots) - 1)
    put(TEXT_PLACES // 8, places.ctypes.data)
    put(TEXT_MOST // 8, len(places))
    put(ARENA // 8, arena.ctypes.data)
    put(ARENA_SIZE // 8, len(arena) - PADDING)
    find_again(larger.words.ctypes.data)
    return larger


@piece
def text_hash(at: int, size: int, words: int) -> np.uint64:
    """64 bits of a text, for places in a table."""
    first = load_word(at)
    if size < 8:
        first &= (_ONE << np.uint64(8 * size)) - _ONE
        last = first
    else:
        last = load_word(at + size - 8)
    mixed = (first ^ load_word(words + SEED_0)) * _ODD_1
    mixed ^= (last ^ load_word(words + SEED_1)) * _ODD_2 + np.uint64(size)
    i = 8
    while i < size - 8:
        mixed = ((mixed ^ (mixed >> _HALF)) ^ load_word(at + i)) * _ODD_1
        i += 8
    mixed = (mixed ^ (mixed >> _HALF)) * _ODD_2
    return mixed ^ (mixed >> _HALF)


@piece
def same_bytes(at: int, other: int, size: int) -> bool:
    """Whether the same bytes stand at both addresses."""
    i = 0
    while i + 8 <= size:
        if load_word(at + i) != load_word(other + i):
            return False
        i += 8
    rest = (_ONE << np.uint64(8 * (size - i))) - _ONE
    return bool((load_word(at + i) ^ load_word(other + i)) & rest == _NONE)


@kernel
def place_text(at: int, size: int, words: int) -> int:
    """Keep a text under a new code, which no lookup finds; FULL if there is no room."""
    code, used = load_int(words + TEXT_COUNT), load_int(words + ARENA_USED)
    if code == load_int(words + TEXT_MOST) or used + size > load_int(words + ARENA_SIZE):
        return FULL
    arena, place = load_int(words + ARENA) + used, load_int(words + TEXT_PLACES) + _PLACE * code
    for i in range(size):
        store_byte(arena + i, load_byte(at + i))
    store_int(place, used)
    store_int(place + 8, size)
    store_int(words + TEXT_COUNT, code + 1)
    store_int(words + ARENA_USED, used + size)
    return code


@routine
def code_of(at: int, size: int, words: int) -> int:
    """The code of a text, a new one if need be; REFUSED after too many probes, or FULL."""
    mixed = text_hash(at, size, words)
    slots, mask = load_int(words + TEXT_SLOTS), load_int(words + TEXT_MASK)
    places, arena = load_int(words + TEXT_PLACES), load_int(words + ARENA)
    slot = signed(mixed & np.uint64(mask))
    for _ in range(_MOST_PROBES):
        found = load_word(slots + 8 * slot)
        if found == _NONE:
            code = place_text(at, size, words)
            if code >= 0:
                store_word(slots + 8 * slot, (mixed & ~_LOW_HALF) | np.uint64(code + 1))
            return code
        if (found ^ mixed) >> _HALF == _NONE:
            code = signed(found & _LOW_HALF) - 1
            place = places + _PLACE * code
            is_size = load_int(place + 8) == size
            if is_size and same_bytes(at, arena + load_int(place), size):
                return code
        slot = (slot + 1) & mask
    return REFUSED


@kernel
def intern_text(at: int, size: int, words: int) -> int:
    """The code of a text as the scanner would find it; REFUSED or FULL."""
    return code_of(at, size, words)


@kernel
def find_again(words: int) -> None:
    """Enter every text into slots that are empty."""
    slots, mask = load_int(words + TEXT_SLOTS), load_int(words + TEXT_MASK)
    places, arena = load_int(words + TEXT_PLACES), load_int(words + ARENA)
    for code in range(load_int(words + TEXT_COUNT)):
        place = places + _PLACE * code
        mixed = text_hash(arena + load_int(place), load_int(place + 8), words)
        slot = signed(mixed & np.uint64(mask))
        for _ in range(_MOST_PROBES):
            if load_word(slots + 8 * slot) == _NONE:
                store_word(slots + 8 * slot, (mixed & ~_LOW_HALF) | np.uint64(code + 1))
                break
            slot = (slot + 1) & mask


@kernel
def add_key(pattern: int, size: int, level: int, words: int) -> int:
    """Make a key known, `"name":` with so many bytes; returns its number, or FULL.

    The pattern is not copied: it stays where it is as long as the tables are used.
    """
    number = load_int(words + KEY_COUNT)
    if number == load_int(words + KEY_MOST):
        return FULL
    key = load_int(words + KEYS) + RECORD * number
    store_word(key + FIRST, load_word(pattern))
    store_word(key + MASK, _ALL if size >= 8 else (_ONE << np.uint64(8 * size)) - _ONE)
    store_int(key + PATTERN, pattern)
    store_int(key + PATTERN_SIZE, size)
    store_int(key + NUMBER, number)
    store_int(key + LEVEL, level)
    slots, mask = load_int(words + KEY_SLOTS), load_int(words + KEY_MASK)
    slot = signed(text_hash(pattern + 1, size - 3, words) & np.uint64(mask))
    while load_int(slots + 8 * slot) != 0:
        slot = (slot + 1) & mask
    store_int(slots + 8 * slot, key)
    store_int(words + KEY_COUNT, number + 1)
    return number


@piece
def is_key(at: int, key: int) -> bool:
    """Whether a key stands here, quotes, colon and all."""
    if (load_word(at) ^ load_word(key)) & load_word(key + MASK) != _NONE:
        return False
    size = load_int(key + PATTERN_SIZE)
    if size <= 8:
        return True
    pattern = load_int(key + PATTERN)
    i = 8
    while i + 8 <= size:
        if load_word(at + i) != load_word(pattern + i):
            return False
        i += 8
    return bool(load_word(at + size - 8) == load_word(pattern + size - 8))


@routine
def find_key(at: int, end: int, level: int, words: int) -> tuple[int, int]:
    """The record of the key that begins at a quote, and where its value begins.

    The record is 0 for a key that is not known where unknown ones are passed over; the address is
    REFUSED, or LEARN if the key should be made known first.
    """
    closing = string_end(at + 1, end)
    if load_byte(at) != QUOTE or closing < 0:
        return 0, REFUSED
    size = closing - at - 1
    behind = blank_end(closing + 1)
    if load_byte(behind) != COLON:
        return 0, REFUSED
    behind += 1
    slots, mask = load_int(words + KEY_SLOTS), load_int(words + KEY_MASK)
    slot = signed(text_hash(at + 1, size, words) & np.uint64(mask))
    for _ in range(_MOST_PROBES):
        key = load_int(slots + 8 * slot)
        if key == 0:
            break
        is_level = load_int(key + LEVEL) == level and load_int(key + PATTERN_SIZE) == size + 3
        if is_level and same_bytes(at + 1, load_int(key + PATTERN) + 1, size):
            return key, behind
        slot = (slot + 1) & mask
    if load_int(words + KEY_COUNT) == load_int(words + KEY_MOST) or key != 0:
        return 0, behind if level != FEATURES and level != SEGMENT else REFUSED
    store_int(words + UNKNOWN_AT, at)
    store_int(words + UNKNOWN_SIZE, size)
    store_int(words + UNKNOWN_LEVEL, level)
    return 0, LEARN


@piece
def key_at(at: int, end: int, level: int, before: int, words: int) -> tuple[int, int]:
    """As find_key; tries what followed the key before last time."""
    guess = load_int(before + NEXT)
    if guess != 0 and is_key(at, guess):
        return guess, at + load_int(guess + PATTERN_SIZE)
    key, behind = find_key(at, end, level, words)
    if key != 0:
        store_int(before + NEXT, key)
    return key, behind
