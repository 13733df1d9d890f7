"""Columns of texts and integers: codes by first appearance, hashes, and nothing read outside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.decode.columns import NULL_CODE
from kernels.decode.strings import MOST, Text, encode_integers, encode_texts, hash_strings
from kernels.hashing import hash_bytes

KEY = np.uint64(0x0123456789ABCDEF), np.uint64(0xFEDCBA9876543210)
ALPHABET = np.frombuffer("abcdeé/0 ".encode(), np.uint8)


class Column:
    """Texts as Arrow keeps them, with nothing behind the last one."""

    def __init__(self, texts: Sequence[bytes | None]) -> None:
        self.data = np.frombuffer(b"".join(text or b"" for text in texts) or b"\0", np.uint8).copy()
        sizes = [len(text or b"") for text in texts]
        self.bounds = np.cumsum([0, *sizes], dtype=np.int32)
        self.bits = np.packbits([text is not None for text in texts], bitorder="little")

    @property
    def text(self) -> Text:
        return Text(self.data.ctypes.data, self.bounds.ctypes.data, int(self.bounds[-1]))


def encoded(texts: Sequence[bytes | None], most: int = MOST) -> list[int] | None:
    """Codes, None if the kernel gave up; the rows of the first are those of the first."""
    column = Column(texts)
    codes, firsts = np.empty(len(texts), np.int32), np.empty(most, np.int32)
    present = column.bits.ctypes.data if None in texts else 0
    count = encode_texts(column.text, present, 0, KEY, firsts, codes)
    if count < 0:
        return None
    assert firsts[:count].tolist() == [
        texts.index(t) for t in dict.fromkeys(texts) if t is not None
    ]
    return [int(code) for code in codes]


def expected(values: Sequence[object]) -> list[int]:
    known: dict[object, int] = {}
    return [NULL_CODE if v is None else known.setdefault(v, len(known)) for v in values]


def some_texts(rng: np.random.Generator, n: int, longest: int) -> list[bytes | None]:
    sizes = rng.integers(0, longest + 1, 40)
    words: list[bytes | None] = [rng.choice(ALPHABET, size).tobytes() for size in sizes]
    return [words[at] for at in rng.integers(0, len(words), n)]


@pytest.mark.parametrize("longest", [0, 1, 3, 7, 8, 9, 16, 17, 40])
def test_texts_of_any_length(rng: np.random.Generator, longest: int) -> None:
    texts = some_texts(rng, 300, longest)
    assert encoded(texts) == expected(texts)


def test_nulls_have_a_code_of_their_own(rng: np.random.Generator) -> None:
    texts = [None if rng.random() < 0.3 else text for text in some_texts(rng, 300, 12)]
    assert encoded(texts) == expected(texts)


def test_texts_that_differ_in_one_byte_or_in_length_only() -> None:
    long = b"the same eight bytes, again and again"
    texts = [long[:at] + bytes([long[at] ^ 1]) + long[at + 1 :] for at in range(len(long))]
    texts += [long[:at] for at in range(len(long))] + [b"\0" * at for at in range(20)]
    assert encoded(texts * 2) == expected(texts * 2)


def test_a_part_of_a_column_begins_at_any_bit() -> None:
    texts = [b"a", None, b"b", b"a", None, b"c", b"b", b"a", None, b"c", b"d"]
    column = Column(texts)
    for first in range(len(texts)):
        part = texts[first:]
        bounds = column.bounds[first:].copy()
        text = Text(column.data.ctypes.data, bounds.ctypes.data, int(bounds[-1]))
        codes, firsts = np.empty(len(part), np.int32), np.empty(8, np.int32)
        encode_texts(text, column.bits.ctypes.data, first, KEY, firsts, codes)
        assert codes.tolist() == expected(part)


def test_too_many_texts_are_left_to_others() -> None:
    texts = [b"%d" % at for at in range(MOST)]
    assert encoded(texts) == expected(texts)
    assert encoded([*texts, b"one more"]) is None


@pytest.mark.parametrize(
    "bounds", [[0, 3, 2, 4], [0, 1, 2, 5], [-1, 1, 2, 4], [0, 1, -2, 4], [5, 6, 7, 8]]
)
def test_places_that_cannot_be_are_not_read(bounds: list[int]) -> None:
    data, places = np.zeros(4, np.uint8), np.array(bounds, np.int32)
    text = Text(data.ctypes.data, places.ctypes.data, 4)
    codes, firsts = np.empty(3, np.int32), np.empty(8, np.int32)
    assert encode_texts(text, 0, 0, KEY, firsts, codes) == -1
    assert not hash_strings(text, 9, KEY, np.zeros(3, np.uint64))


def integers(values: Sequence[int | None], most: int = MOST) -> list[int] | None:
    numbers = np.array([0 if v is None else v for v in values], np.int64)
    bits = np.packbits([v is not None for v in values], bitorder="little")
    codes, firsts = np.empty(len(values), np.int32), np.empty(most, np.int32)
    present = bits.ctypes.data if None in values else 0
    count = encode_integers(numbers.ctypes.data, present, 0, KEY, firsts, codes)
    return None if count < 0 else [int(code) for code in codes]


def test_integers(rng: np.random.Generator) -> None:
    values: list[int | None] = rng.integers(-20, 20, 200).tolist()
    values += [2**63 - 1, -(2**63), None, 0, None, 2**63 - 1]
    assert integers(values) == expected(values)
    assert integers(list(range(9)), most=8) is None


def hashes(texts: Sequence[bytes]) -> NDArray[np.uint64] | None:
    column, found = Column(texts), np.zeros(len(texts), np.uint64)
    return found if hash_strings(column.text, 40, KEY, found) else None


def test_ids_are_hashed_as_everywhere(rng: np.random.Generator) -> None:
    texts = [text for text in some_texts(rng, 100, 40) if text]
    column, found = Column(texts), hashes(texts)
    assert found is not None
    plain = [
        hash_bytes(column.data, int(start), int(end), KEY)
        for start, end in zip(column.bounds, column.bounds[1:], strict=False)
    ]
    assert found.tolist() == [int(one) for one in plain]


@pytest.mark.parametrize("bad", [b"", b"x" * 41])
def test_ids_that_are_refused(bad: bytes) -> None:
    assert hashes([b"a", b"x" * 40]) is not None
    assert hashes([b"a", bad, b"b"]) is None
