"""Keyed hashes: against a plain SipHash, which is checked against its published vectors."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import hashing
from tests.oracles.hashing import siphash

KEY = (np.uint64(0x0706050403020100), np.uint64(0xF0F0E0D0C0B0A09))


def test_the_oracle_gives_the_published_vectors_of_siphash_2_4() -> None:
    key = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
    assert siphash(bytes(range(15)), key, 2, 4) == 0xA129CA6149BE45E5
    assert siphash(b"", key, 2, 4) == 0x726FDB47DD0E0E31


@pytest.mark.parametrize("length", [*range(18), 63, 64, 255, 256, 257])
def test_bytes_anywhere_in_a_buffer_hash_as_the_oracle_says(
    length: int, rng: np.random.Generator
) -> None:
    text = rng.integers(0, 256, length, np.uint8).tobytes()
    buffer = np.frombuffer(b"before" + text + b"after", np.uint8)
    expected = siphash(text, (int(KEY[0]), int(KEY[1])))
    assert int(hashing.hash_bytes(buffer, 6, 6 + length, KEY)) == expected


def test_a_word_hashes_as_its_bytes() -> None:
    word = np.uint64(0x0102030405060708)
    text = np.frombuffer(word.tobytes(), np.uint8)
    assert hashing.hash_word(word, KEY) == hashing.hash_bytes(text, 0, 8, KEY)


def test_texts_hash_one_by_one() -> None:
    texts = [b"f-000123", b"", b"\xc3\xa9"]
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    out = np.zeros(3, np.uint64)
    hashing.hash_texts(np.frombuffer(b"".join(texts), np.uint8), ends, KEY, out)
    assert out.tolist() == [siphash(text, (int(KEY[0]), int(KEY[1]))) for text in texts]


def test_another_key_gives_other_hashes() -> None:
    word = np.uint64(1)
    assert hashing.hash_word(word, KEY) != hashing.hash_word(word, (KEY[1], KEY[0]))


def test_numbers_hash_as_their_bits_both_zeros_alike_and_what_is_no_number_as_0() -> None:
    values = np.array([1.5, 0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324])
    hashes = np.ones(len(values), np.uint64)
    hashing.hash_floats(values, KEY, hashes)
    of = [
        int(hashing.hash_word(word, KEY)) for word in np.array([1.5, 0.0, 5e-324]).view(np.uint64)
    ]
    assert hashes.tolist() == [of[0], of[1], of[1], 0, 0, 0, of[2]]
