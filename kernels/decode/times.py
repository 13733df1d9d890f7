"""Times: the text of an RFC 3339 time in, epoch milliseconds out.

In    the address of the text and of its end, in a padded buffer
Out   milliseconds since 1970, cut not rounded; REFUSED for what the slow path has to look at
Not   numbers as times (events.py); the error for a bad one (stream/detect/times.py)

Source  Hinnant, "chrono-compatible low-level date algorithms", for days from a date.
"""

from __future__ import annotations

from kernels.decode.grammar import REFUSED
from kernels.jit import piece
from kernels.memory import load_byte

LATEST_MS = 253_370_764_799_999  # the end of 9998: the end of its window is still a year
_SHORTEST, _DAY_S = 20, 86_400
_DASH, _PLUS, _COLON, _DOT, _SPACE = 0x2D, 0x2B, 0x3A, 0x2E, 0x20
_UPPER_T, _LOWER_T, _UPPER_Z, _LOWER_Z, _ZERO = 0x54, 0x74, 0x5A, 0x7A, 0x30
_BAD = 1_000_000  # more than any two digits, also in a sum or a product


@piece
def _two(at: int) -> int:
    """The number that two digits say."""
    tens, ones = load_byte(at) - _ZERO, load_byte(at + 1) - _ZERO
    return tens * 10 + ones if 0 <= tens <= 9 and 0 <= ones <= 9 else _BAD


@piece
def _days(year: int, month: int, day: int) -> int:
    """Days since 1970; REFUSED if there is no such day."""
    if year > 9999 or not 1 <= month <= 12 or day < 1:
        return REFUSED
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    long = 30 + ((month + (month >> 3)) & 1)
    if day > (28 + is_leap if month == 2 else long):
        return REFUSED
    shifted = year - (month <= 2)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@piece
def _offset_s(at: int, end: int) -> int:
    """Seconds that a zone is ahead of UTC; the text ends with it. _BAD if it is none."""
    mark = load_byte(at)
    if (mark == _UPPER_Z or mark == _LOWER_Z) and at + 1 == end:
        return 0
    if (mark != _PLUS and mark != _DASH) or at + 6 != end or load_byte(at + 3) != _COLON:
        return _BAD
    hours, minutes = _two(at + 1), _two(at + 4)
    if hours > 23 or minutes > 59:
        return _BAD
    ahead = hours * 3_600 + minutes * 60
    return ahead if mark == _PLUS else -ahead


@piece
def time_at(at: int, end: int) -> int:
    """Epoch milliseconds of `2013-02-01T11:15:00.000Z` or the like, between 1970 and 9998."""
    if end - at < _SHORTEST or load_byte(at + 4) != _DASH or load_byte(at + 7) != _DASH:
        return REFUSED
    letter = load_byte(at + 10)
    is_parted = letter == _UPPER_T or letter == _LOWER_T or letter == _SPACE
    if not is_parted or load_byte(at + 13) != _COLON or load_byte(at + 16) != _COLON:
        return REFUSED
    days = _days(_two(at) * 100 + _two(at + 2), _two(at + 5), _two(at + 8))
    hour, minute, second = _two(at + 11), _two(at + 14), _two(at + 17)
    if days < 0 or hour > 23 or minute > 59 or second > 59:
        return REFUSED
    at += 19
    ms, unit = 0, 100
    if load_byte(at) == _DOT:
        first = at = at + 1
        while 0 <= load_byte(at) - _ZERO <= 9:
            ms += (load_byte(at) - _ZERO) * unit
            unit //= 10
            at += 1
        if at == first:
            return REFUSED
    ahead_s = _offset_s(at, end)
    if ahead_s == _BAD:
        return REFUSED
    ms += (days * _DAY_S + hour * 3_600 + minute * 60 + second - ahead_s) * 1_000
    return ms if 0 <= ms <= LATEST_MS else REFUSED
