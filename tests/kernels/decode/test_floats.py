"""Floats of JSON: against Python's float, bit by bit, on every form a number can have."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.decode.floats import number_at
from kernels.jit import IS_COMPILED
from tests.buffers import padded

MANY = 20_000 if IS_COMPILED else 100
HALFWAY = "9007199254740993"  # between two float64


def read(text: str) -> tuple[int, int] | None:
    """Bits of the number a text begins with, and how long it is; None if it was given up."""
    buffer = padded(text.encode())
    bits, behind, is_read = number_at(buffer.ctypes.data)
    return (int(bits), behind - buffer.ctypes.data) if is_read else None


def bits_of(text: str) -> int:
    [bits] = struct.unpack("<Q", struct.pack("<d", float(text)))
    return int(bits)


def differing(texts: list[str]) -> list[str]:
    """Texts that were read as another number; giving up is no difference."""
    found = ((text, read(text)) for text in texts)
    return [text for text, got in found if got not in (None, (bits_of(text), len(text)))]


@pytest.mark.parametrize(
    "text",
    [
        "0", "0.0", "-0.0", "-0e5", "0e9", "0.000", "7", "-7", "10", "1.5", "-1.5e3", "1E5",
        "1e+05",
        "1e-5", "0.1", "123456789", "1234567812345678", "9999999999999999999", HALFWAY,
        HALFWAY + ".0", "-" + HALFWAY, "9007199254740992", "0.3", "2.2250738585072014e-308",
        "1.7976931348623155e308", "1e22", "1e23", "8.5e-23", "0.00012345678901234567", "1e-300",
        "12345678.12345678", "1234567.12345678", "0.12345678", "0.1234567", "00000000"[:1],
    ],
)  # fmt: skip
def test_a_number_is_read_to_the_last_bit(text: str) -> None:
    assert read(text) == (bits_of(text), len(text))


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "1e-", "01", "-01", "00", "-0", "--1", "x",
        "12345678901234567890", "0.123456789012345678901", "1e10000", "1e-10000", "5e-324", "1e309",
        "2.2250738585072011e-308", "1.7976931348623159e308", "NaN", "Infinity",
    ],
)  # fmt: skip
def test_a_number_that_needs_care_is_given_up(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "behind", [",", "}", "]", " ", "\n", "\0", ":", "x", "-", "/", "é", "\x80"]
)
@pytest.mark.parametrize("text", ["1", "-12.5", "12345678", "1234567.5e-7", "1.25e10"])
def test_a_number_ends_where_its_text_ends(text: str, behind: str) -> None:
    assert read(text + behind + "5") == (bits_of(text), len(text))


def test_shortest_texts_of_random_bits(rng: np.random.Generator) -> None:
    numbers = rng.integers(0, 2**64, MANY, np.uint64).view(np.float64)
    texts = [repr(number) for number in numbers[np.isfinite(numbers)].tolist()]
    assert differing(texts) == []
    assert sum(read(text) is None for text in texts) < len(texts) / 500  # subnormals


def test_short_and_long_texts_of_ordinary_numbers(rng: np.random.Generator) -> None:
    numbers = np.concatenate([rng.normal(10, 3, MANY), np.exp(rng.normal(0, 20, MANY))])
    for shown in ("%.4f", "%.6g", "%.17g", "%.12e", "%.0f"):
        texts = [shown % number for number in numbers.tolist()]
        assert differing(texts) == []


def test_every_power_of_ten_with_random_digits(rng: np.random.Generator) -> None:
    digits = rng.integers(1, 10**19, MANY, np.uint64).tolist()
    powers = rng.integers(-345, 310, MANY).tolist()
    cuts = rng.integers(1, 20, MANY).tolist()
    texts = [f"{str(d)[:c]}e{p}" for d, p, c in zip(digits, powers, cuts, strict=True)]
    assert differing([text for text in texts if abs(float(text)) != float("inf")]) == []


def test_numbers_halfway_between_two_floats(rng: np.random.Generator) -> None:
    mantissas = rng.integers(2**52, 2**53, MANY).tolist()
    powers = rng.integers(-30, 8, MANY).tolist()
    texts = []
    for mantissa, power in zip(mantissas, powers, strict=True):
        halfway = Fraction(2 * mantissa + 1) * Fraction(2) ** power
        scale = 0
        while halfway.denominator != 1:
            halfway, scale = halfway * 10, scale - 1
        texts += [f"{halfway.numerator + d}e{scale}" for d in (-1, 0, 1)]
    assert differing(texts) == []


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_comes_back(number: float) -> None:
    assert read(repr(number)) in (None, (bits_of(repr(number)), len(repr(number))))


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(13))
def test_millions_of_random_floats(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(5):
        numbers = rng.integers(0, 2**64, 50_000, np.uint64).view(np.float64)
        other = np.exp(rng.normal(0, 10, 50_000))
        every = np.concatenate([numbers[np.isfinite(numbers)], other])
        assert differing([repr(number) for number in every.tolist()]) == []
