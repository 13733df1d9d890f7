"""Hashing: bytes or bits in, 64 keyed bits out; the same on every machine and in every process.

In    UTF-8 bytes or the bits of a number, and a key of two 64-bit words
Out   uint64, evenly spread for whoever does not know the key
Not   where the key comes from (stream/settings), what is counted with it (sketches/)

SipHash-1-3 (Aumasson and Bernstein 2012; the variant of Rust and CPython): publishers choose their
ids, so a hash without a key could be fed collisions. Equal bytes hash equally in whatever buffer
they stand, which is what makes a replay of the log give the same sketches.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kernels.jit import float_bits, kernel, piece
from kernels.memory import load_word
from kernels.missing import INFINITY_BITS, MAGNITUDE_BITS

Key = tuple[np.uint64, np.uint64]

_V0, _V1 = np.uint64(0x736F6D6570736575), np.uint64(0x646F72616E646F6D)
_V2, _V3 = np.uint64(0x6C7967656E657261), np.uint64(0x7465646279746573)
_FINAL, _LENGTH_AT = np.uint64(0xFF), np.uint64(56)


@kernel
def _rotated(value: np.uint64, by: int) -> np.uint64:
    return (value << np.uint64(by)) | (value >> np.uint64(64 - by))


@kernel
def _round(
    a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    a = a + b
    b = _rotated(b, 13) ^ a
    a = _rotated(a, 32)
    c = c + d
    d = _rotated(d, 16) ^ c
    a = a + d
    d = _rotated(d, 21) ^ a
    c = c + b
    b = _rotated(b, 17) ^ c
    c = _rotated(c, 32)
    return a, b, c, d


@kernel
def _finished(a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64, last: np.uint64) -> np.uint64:
    """The last word, then three rounds."""
    d = d ^ last
    a, b, c, d = _round(a, b, c, d)
    a, c = a ^ last, c ^ _FINAL
    a, b, c, d = _round(a, b, c, d)
    a, b, c, d = _round(a, b, c, d)
    a, b, c, d = _round(a, b, c, d)
    return (a ^ b) ^ (c ^ d)


@kernel
def hash_bytes(data: NDArray[np.uint8], start: int, end: int, key: Key) -> np.uint64:
    """The hash of data[start:end]."""
    a, b, c, d = key[0] ^ _V0, key[1] ^ _V1, key[0] ^ _V2, key[1] ^ _V3
    at = start
    while at + 8 <= end:
        word = np.uint64(0)
        for i in range(8):
            word |= np.uint64(data[at + i]) << np.uint64(8 * i)
        d ^= word
        a, b, c, d = _round(a, b, c, d)
        a ^= word
        at += 8
    last = np.uint64(end - start) << _LENGTH_AT
    for i in range(end - at):
        last |= np.uint64(data[at + i]) << np.uint64(8 * i)
    return _finished(a, b, c, d, last)


@piece
def hash_memory(at: int, size: int, key_0: np.uint64, key_1: np.uint64) -> np.uint64:
    """The hash of so many bytes at an address; padding must be readable behind them."""
    a, b, c, d = key_0 ^ _V0, key_1 ^ _V1, key_0 ^ _V2, key_1 ^ _V3
    end = at + size
    while at + 8 <= end:
        word = load_word(at)
        a, b, c, d = _round(a, b, c, d ^ word)
        a ^= word
        at += 8
    last = load_word(at) & ((np.uint64(1) << np.uint64(8 * (end - at))) - np.uint64(1))
    return _finished(a, b, c, d, last | (np.uint64(size) << _LENGTH_AT))


@kernel
def hash_word(word: np.uint64, key: Key) -> np.uint64:
    """The hash of 64 bits: that of the 8 bytes they are in little-endian order."""
    a, b, c, d = key[0] ^ _V0, key[1] ^ _V1, key[0] ^ _V2, key[1] ^ _V3
    a, b, c, d = _round(a, b, c, d ^ word)
    return _finished(a ^ word, b, c, d, np.uint64(8) << _LENGTH_AT)


@kernel
def hash_texts(
    data: NDArray[np.uint8], ends: NDArray[np.int64], key: Key, out: NDArray[np.uint64]
) -> None:
    """Hash n texts that follow one another in data, ends (n,) exclusive, into out (n,)."""
    start = 0
    for i in range(len(ends)):
        out[i] = hash_bytes(data, start, ends[i], key)
        start = ends[i]


@kernel
def hash_floats(values: NDArray[np.float64], key: Key, out: NDArray[np.uint64]) -> None:
    """Hash the bits of n numbers into out (n,); 0, which no sketch counts, for NaN and infinities.

    -0.0 hashes as 0.0.
    """
    hash_some(values, 0, len(values), key, out)


@kernel
def hash_some(
    values: NDArray[np.float64], start: int, n: int, key: Key, out: NDArray[np.uint64]
) -> None:
    """The same of n numbers from `start` on, into the first n of out.

    There is no branch in the loop, and no index from the end: eight are hashed at a time.
    """
    first = np.uint64(start)
    for i in range(np.uint64(n)):
        bits = float_bits(values[first + i] + 0.0)
        hashed = hash_word(bits, key)
        out[i] = hashed if (bits & MAGNITUDE_BITS) < INFINITY_BITS else np.uint64(0)
