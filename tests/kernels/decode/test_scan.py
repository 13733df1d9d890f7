"""Tables, columns and the scan: compiled or plain, they say what the slow path says."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.decode import columns, tables
from kernels.decode.grammar import REFUSED
from kernels.hashing import hash_memory
from kernels.jit import IS_COMPILED
from stream.detect.ingest.events import Reader
from stream.detect.ingest.fast import FastReader
from tests.buffers import padded
from tests.builders import event, messages
from tests.oracles.hashing import siphash
from tests.stream.detect.mutations import Author
from tests.stream.detect.test_fast import LIMITS, parts_of

KEY = (np.uint64(7), np.uint64(9))
TEXTS = [b"", b"a", b"b", b"12345678", b"123456789", b"a" * 7, b"a" * 40, b"a" * 39 + b"b", b"\0"]


def intern(known: tables.Tables, text: bytes) -> int:
    buffer = padded(text)
    return int(tables.intern_text(buffer.ctypes.data, len(text), known.words.ctypes.data))


def test_messages_of_every_form_are_read_as_the_slow_path_reads_them() -> None:
    author, fast = Author(np.random.default_rng(3)), FastReader(LIMITS)
    sent = messages(*author.messages(400 if IS_COMPILED else 40), event(1, {"x": 1}), [event(2)])
    assert parts_of(fast.read(sent)) == parts_of(Reader(LIMITS).read(sent))


def test_equal_texts_have_one_code() -> None:
    known = tables.empty(16, 1_000, 8, KEY)
    assert [intern(known, text) for text in TEXTS] == list(range(len(TEXTS)))
    assert [intern(known, text) for text in TEXTS] == list(range(len(TEXTS)))


def test_full_tables_say_so_and_keep_their_codes_when_they_grow() -> None:
    known = tables.empty(2, 8, 8, KEY)
    assert [intern(known, text) for text in (b"ab", b"cd", b"ef")] == [0, 1, tables.FULL]
    known = tables.with_room(known)
    assert [intern(known, text) for text in (b"ef", b"cd", b"ab")] == [2, 1, 0]
    assert intern(known, b"x" * 100) == tables.FULL
    while (code := intern(known, b"x" * 100)) == tables.FULL:
        known = tables.with_room(known)
    assert code == 3


def test_a_text_that_no_lookup_should_find_has_a_code_of_its_own() -> None:
    known, buffer = tables.empty(4, 64, 8, KEY), padded(b"ab")
    words = known.words.ctypes.data
    assert tables.place_text(buffer.ctypes.data, 2, words) == 0
    assert intern(known, b"ab") == 1


def test_too_many_texts_in_one_place_are_refused() -> None:
    known = tables.empty(64, 1_000, 8, KEY)
    known.text_slots[:] = np.uint64(1)  # as if every place were taken by another text
    assert intern(known, b"ab") == REFUSED


@pytest.mark.parametrize("size", [*range(1, 18), 63, 64, 65])
def test_a_hash_of_memory_is_the_hash_of_bytes(size: int, rng: np.random.Generator) -> None:
    text = rng.integers(0, 256, size, np.uint8).tobytes()
    buffer = padded(text + b"behind")
    expected = siphash(text, (int(KEY[0]), int(KEY[1])))
    assert int(hash_memory(buffer.ctypes.data, size, *KEY)) == expected


def test_codes_are_numbered_by_first_appearance() -> None:
    codes, known = np.array([5, -1, 2, 5, -3, 0, 2], np.int32), np.full(6, -1, np.int32)
    texts = np.zeros(7, np.int32)
    assert columns.localize(codes, known, texts) == 3
    assert codes.tolist() == [0, -1, 1, 0, -3, 2, 1]
    assert texts[:3].tolist() == [5, 2, 0]
    assert (known == -1).all()
