"""Floats: the text of a JSON number in, the bits of the nearest float64 out.

In    the address of a number in a padded buffer
Out   its bits, where it ends, and whether it could be read here
Not   numbers that need more care: over 19 digits, subnormal, out of range, `-0`; the caller gives
      those to the slow path

GUARANTEE: what is read is the float64 nearest to the text, ties to even, as in Python's float.
Source: Clinger 1990 for short numbers; Lemire 2021, "Number parsing at a gigabyte per second", with
the proof of Mushtak and Lemire 2023 that the 128-bit product never needs a second look.
"""

from __future__ import annotations

import numpy as np

from kernels.jit import float_bits, piece, signed
from kernels.memory import high_product, load_byte, load_word, zeros_above, zeros_below

DOT, MINUS, PLUS, ZERO, SMALL_E, LARGE_E = 0x2E, 0x2D, 0x2B, 0x30, 0x65, 0x45

_LEAST_POWER, _GREATEST_POWER = -342, 308  # of ten: beyond, a 19-digit number is 0 or infinite
_EXACT_POWER = 22  # 10^22 is the greatest power of ten that is a float64
_EXACT_MANTISSA = np.uint64(1 << 53)
_MOST_EXPONENT_DIGITS = 4


def _powers_of_five() -> tuple[np.ndarray, np.ndarray]:
    """The first 128 bits of 5^q for every q, rounded up where q is negative."""
    upper, lower = [], []
    for power in range(_LEAST_POWER, _GREATEST_POWER + 1):
        number = 5 ** abs(power)
        if power < 0:
            size = number.bit_length() + (number & (number - 1) != 0) - 1  # of the next power of 2
            wide = (1 << (size + 127 if power >= -27 else 2 * size + 128)) // number + 1
        else:
            wide = number << 128
        wide >>= max(0, wide.bit_length() - 128)
        upper.append(wide >> 64)
        lower.append(wide & (2**64 - 1))
    return np.array(upper, np.uint64), np.array(lower, np.uint64)


_UPPER, _LOWER = _powers_of_five()
_TENS = np.array([10.0**i for i in range(_EXACT_POWER + 1)])
_WHOLE_TENS = np.array([10**i for i in range(20)], np.uint64)

_SIGN = np.uint64(1 << 63)
_HIDDEN = np.uint64(1 << 52)
_NONE, _ONE, _THREE = np.uint64(0), np.uint64(1), np.uint64(3)
_DIGITS, _FLOOR = np.uint64(0x3030303030303030), np.uint64(0x7676767676767676)
_HIGH_BITS, _LOW_NIBBLES = np.uint64(0x8080808080808080), np.uint64(0x0F0F0F0F0F0F0F0F)
_PAIRS, _BY_10 = np.uint64(0x00FF00FF00FF00FF), np.uint64(10 * 256 + 1)
_FOURS, _BY_100 = np.uint64(0x0000FFFF0000FFFF), np.uint64(100 * 65536 + 1)
_BY_10000 = np.uint64(10000 * 2**32 + 1)
_TAIL, _BYTE = np.uint64(0x1FF), np.uint64(0xFF)


@piece
def digits_in(word: np.uint64) -> int:
    """How many of eight bytes are digits, from the first on."""
    other = word ^ _DIGITS
    return zeros_below(((other + _FLOOR) | other) & _HIGH_BITS) >> 3


@piece
def value_of(word: np.uint64, digits: int) -> np.uint64:
    """The number that the first digits of eight bytes say; at least one."""
    word = (word << np.uint64(64 - 8 * digits)) & _LOW_NIBBLES
    word = (word * _BY_10 >> np.uint64(8)) & _PAIRS
    word = (word * _BY_100 >> np.uint64(16)) & _FOURS
    return word * _BY_10000 >> np.uint64(32)


@piece
def whole(at: int, mantissa: np.uint64) -> tuple[np.uint64, int, bool]:
    """Digits appended to a mantissa: the mantissa, where they end, and whether it still fits."""
    fits = True
    while True:
        word = load_word(at)
        digits = digits_in(word)
        if digits == 0:
            break
        if mantissa >= _WHOLE_TENS[19 - digits]:
            fits = False
            break
        mantissa = mantissa * _WHOLE_TENS[digits] + value_of(word, digits)
        at += digits
        if digits < 8:
            break
    return mantissa, at, fits


@piece
def exponent(at: int) -> tuple[int, int, bool]:
    """What stands after an `e`: the power, where it ends, and whether there is one, and short."""
    byte = load_byte(at)
    if byte == MINUS or byte == PLUS:
        at += 1
    power, digits = 0, 0
    while digits <= _MOST_EXPONENT_DIGITS:
        digit = load_byte(at) - ZERO
        if digit < 0 or digit > 9:
            break
        power = power * 10 + digit
        at += 1
        digits += 1
    return -power if byte == MINUS else power, at, 0 < digits <= _MOST_EXPONENT_DIGITS


@piece
def nearest(mantissa: np.uint64, power: int) -> tuple[np.uint64, bool]:
    """The bits of mantissa * 10^power, by a 128-bit product; mantissa is not zero."""
    if power < _LEAST_POWER or power > _GREATEST_POWER:
        return _NONE, False
    shift = zeros_above(mantissa)
    mantissa = mantissa << np.uint64(shift)
    upper = high_product(mantissa, _UPPER[power - _LEAST_POWER])
    lower = mantissa * _UPPER[power - _LEAST_POWER]
    if (upper & _TAIL) == _TAIL:
        more = high_product(mantissa, _LOWER[power - _LEAST_POWER])
        lower += more
        if lower < more:
            upper += _ONE
    top = upper >> np.uint64(63)
    drop = top + np.uint64(9)
    bits = upper >> drop
    binary = ((217706 * power) >> 16) + 63 + signed(top) - shift + 1023
    if binary <= 0:
        return _NONE, False
    is_tie = lower <= _ONE and -4 <= power <= 23 and (bits & _THREE) == _ONE
    if is_tie and (bits << drop) == upper:
        bits ^= _ONE
    bits = (bits + (bits & _ONE)) >> _ONE
    if bits >= _HIDDEN << _ONE:
        bits = _HIDDEN
        binary += 1
    if binary >= 2047:
        return _NONE, False
    return (bits ^ _HIDDEN) | (np.uint64(binary) << np.uint64(52)), True


@piece
def fraction_at(at: int) -> tuple[np.uint64, int, bool]:
    """The same of digits with a point among the first eight bytes, up to fourteen; False if not.

    As `number_at`, without a sign or an exponent. Where the next number begins depends on a few
    instructions only, so the core reads several at a time.
    """
    word = load_word(at)
    other = word ^ _DIGITS
    marks = ((other + _FLOOR) | other) & _HIGH_BITS  # of what is no digit; a point spoils no other
    point = zeros_below(marks) >> 3
    size = zeros_below(marks & (marks - _ONE)) >> 3
    before = (_ONE << np.uint64(8 * point)) - _ONE
    joined = (word & before) | ((word >> np.uint64(8)) & ~before)
    is_point = 0 < point < 7 and signed(word >> np.uint64(8 * point)) & 0xFF == DOT
    if not is_point or size == point + 1 or (point > 1 and signed(word & _BYTE) == ZERO):
        return _NONE, at, False
    mantissa, digits = value_of(joined, size - 1), size - 1 - point
    if size == 8:
        word = load_word(at + 8)
        more = digits_in(word)
        if more == 8:
            return _NONE, at, False
        if more > 0:
            mantissa = mantissa * _WHOLE_TENS[more] + value_of(word, more)
        digits, size = digits + more, size + more
    follower = load_byte(at + size)
    if follower == SMALL_E or follower == LARGE_E:
        return _NONE, at, False
    return float_bits(np.float64(mantissa) / _TENS[digits]), at + size, True


@piece
def number_at(at: int) -> tuple[np.uint64, int, bool]:
    """A JSON number: its bits, where it ends, and whether it could be read."""
    sign = _NONE
    if load_byte(at) == MINUS:
        sign = _SIGN
        at += 1
    bits, behind, is_read = fraction_at(at)
    if is_read:
        return bits | sign, behind, True
    start = at
    mantissa, at, is_read = whole(at, _NONE)
    if at == start or (load_byte(start) == ZERO and at > start + 1) or not is_read:
        return _NONE, at, False
    power, is_whole = 0, True
    byte = load_byte(at)
    if byte == DOT:
        point = at + 1
        mantissa, at, is_read = whole(point, mantissa)
        if at == point or not is_read:
            return _NONE, at, False
        power, is_whole = point - at, False
        byte = load_byte(at)
    if byte == SMALL_E or byte == LARGE_E:
        more, at, is_read = exponent(at + 1)
        if not is_read:
            return _NONE, at, False
        power, is_whole = power + more, False
    if mantissa == _NONE:
        return sign, at, not (is_whole and sign != _NONE)  # an integer has no -0
    if mantissa <= _EXACT_MANTISSA and -_EXACT_POWER <= power <= _EXACT_POWER:
        number = np.float64(mantissa)
        number = number / _TENS[-power] if power < 0 else number * _TENS[power]
        return float_bits(number) | sign, at, True
    bits, is_read = nearest(mantissa, power)
    return bits | sign, at, is_read
