"""Strings: columns of texts or integers in, a small code per value out.

In    the bytes of n texts behind one another and where each begins, or n integers; which are null
Out   codes in the order in which values first come, and the row of each first; or hashes
Not   what the bytes mean; columns with many different values, which others read (arrow_texts.py)

A value is told by a word: all of a text of up to eight bytes, a keyed hash of a longer one, whose
bytes are compared as well. Work on a table of PLACES: what was met stays in the first cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.decode.columns import NULL_CODE
from kernels.hashing import Key, hash_bytes, hash_memory
from kernels.jit import kernel, piece, signed
from kernels.memory import bytes_at, high_product, load_byte, load_four, load_word

PLACES, MOST = 2048, 512  # of the table; different values in a column
_WORD = 8  # bytes
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_ODD = np.uint64(0x9E37_79B9_7F4A_7C15)


class Text(NamedTuple):
    """n texts of at most 2^31 bytes in all, as Arrow keeps them; nothing else is read."""

    data: int  # address of the bytes
    bounds: int  # address of n + 1 int32: where each begins, and the last ends
    room: int  # bytes there are


@piece
def _is_there(present: int, bit: int) -> bool:
    """Whether a value is not null; present 0: none is."""
    return present == 0 or (load_byte(present + (bit >> 3)) >> (bit & 7)) & 1 == 1


@piece
def _short_word(at: int, size: int, end: int) -> np.uint64:
    """Up to eight bytes as a word; nothing is read at `end` or behind it."""
    if size == 0:
        return np.uint64(0)
    if at + _WORD <= end:
        return load_word(at) & (_ALL >> np.uint64(8 * (_WORD - size)))
    word = np.uint64(0)
    for i in range(size):
        word |= np.uint64(load_byte(at + i)) << np.uint64(8 * i)
    return word


@piece
def _long_word(at: int, size: int, key_0: np.uint64, key_1: np.uint64) -> np.uint64:
    """A hash of more than eight bytes; the last eight are read twice where they do not fit."""
    word = key_1 ^ np.uint64(size)
    for i in range(0, size, _WORD):
        part = load_word(at + min(i, size - _WORD)) ^ key_0
        mixed = (word ^ part) * _ODD
        word = mixed ^ high_product(word ^ part, _ODD)
    return word


@piece
def _is_same(one: int, other: int, size: int) -> bool:
    """Whether texts of the same word and size are equal; of up to eight bytes the word is all."""
    if size <= _WORD:
        return True
    for i in range(0, size, _WORD):
        shift = min(i, size - _WORD)
        if load_word(one + shift) != load_word(other + shift):
            return False
    return True


@piece
def _place_of(word: np.uint64, size: int, key_0: np.uint64, key_1: np.uint64) -> int:
    """Where the search for a word begins; nobody without the key can say which share a place."""
    mixed = (word ^ key_0) + (np.uint64(size) ^ key_1)
    return signed(high_product(mixed * _ODD, key_1 | np.uint64(1)) & np.uint64(PLACES - 1))


@kernel
def encode_texts(
    text: Text,
    present: int,
    first_bit: int,
    key: Key,
    firsts: NDArray[np.int32],
    codes: NDArray[np.int32],
) -> int:
    """Number n texts; returns how many differ, -1 for more than fit or bounds outside the data.

    present    address of a bit per value, the lowest first, of which a null's is 0; or 0
    first_bit  the bit of the first text
    firsts     (most,) out: the row of the first of each
    codes      (n,) out; NULL_CODE for nulls
    """
    base, bounds, room = text
    places = np.full(PLACES, -1, np.int32)
    words, sizes = np.empty(firsts.size, np.uint64), np.empty(firsts.size, np.int64)
    count, end = 0, load_four(bounds)
    for row in range(codes.size):
        start, end = end, load_four(bounds + 4 * (row + 1))
        at, size = base + start, end - start
        if size < 0 or end > room:
            return -1
        if not _is_there(present, first_bit + row):
            codes[row] = NULL_CODE
            continue
        if size <= _WORD:
            word = _short_word(at, size, base + room)
        else:
            word = _long_word(at, size, key[0], key[1])
        place = _place_of(word, size, key[0], key[1])
        code = places[place]
        while code >= 0:
            first = base + load_four(bounds + 4 * int(firsts[code]))
            if words[code] == word and sizes[code] == size and _is_same(first, at, size):
                break
            place = (place + 1) & (PLACES - 1)
            code = places[place]
        if code < 0:
            if count == firsts.size:
                return -1
            code = places[place] = count
            words[code], sizes[code], firsts[code] = word, size, row
            count += 1
        codes[row] = code
    return count


@kernel
def encode_integers(
    values: int,
    present: int,
    first_bit: int,
    key: Key,
    firsts: NDArray[np.int32],
    codes: NDArray[np.int32],
) -> int:
    """The same of n int64 at an address."""
    places = np.full(PLACES, -1, np.int32)
    count = 0
    for row in range(codes.size):
        if not _is_there(present, first_bit + row):
            codes[row] = NULL_CODE
            continue
        word = load_word(values + 8 * row)
        place = _place_of(word, 0, key[0], key[1])
        code = places[place]
        while code >= 0 and load_word(values + 8 * int(firsts[code])) != word:
            place = (place + 1) & (PLACES - 1)
            code = places[place]
        if code < 0:
            if count == firsts.size:
                return -1
            code = places[place] = count
            firsts[code] = row
            count += 1
        codes[row] = code
    return count


@kernel
def hash_strings(text: Text, longest: int, key: Key, hashes: NDArray[np.uint64]) -> bool:
    """Hash n texts as `hashing.hash_bytes`; False if one is empty, too long or not in the data.

    hashes  (n,) out
    """
    base, bounds, room = text
    data = bytes_at(base, room)
    end = load_four(bounds)
    for row in range(hashes.size):
        start, end = end, load_four(bounds + 4 * (row + 1))
        if end <= start or end - start > longest or end > room:
            return False
        if end + _WORD <= room:
            hashes[row] = hash_memory(base + start, end - start, key[0], key[1])
        else:
            hashes[row] = hash_bytes(data, start, end, key)
    return True
