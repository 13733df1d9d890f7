"""Times: RFC 3339 text or a number in, epoch milliseconds out, and back.

Not   any clock: what is read here was written into events
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NoReturn

EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
MILLISECOND = timedelta(milliseconds=1)
LATEST_MS = 253_402_300_799_999  # the end of year 9999, the last RFC 3339 can say


class BadTime(ValueError):
    """Not a time that an event may carry."""


def time_ms(value: object) -> int:
    """Event time in epoch milliseconds from an RFC 3339 string or a number of milliseconds.

    Raises BadTime for anything else, also for a time without an offset, before 1970, after 9999.
    """
    if type(value) is str:
        return _rfc3339_ms(value)
    if type(value) is int or type(value) is float:
        if value != value or not 0 <= value <= LATEST_MS:
            _bad_time(value)
        return int(value)
    _bad_time(value)


def _rfc3339_ms(text: str) -> int:
    # fromisoformat reads more than RFC 3339: hold it to date, time and offset.
    if len(text) < 20 or text[4] != "-" or text[10] not in "Tt ":
        _bad_time(text)
    try:
        moment = datetime.fromisoformat(text)
        elapsed = moment - EPOCH
    except (ValueError, TypeError):
        _bad_time(text)
    ms = elapsed // MILLISECOND
    if not 0 <= ms <= LATEST_MS:
        _bad_time(text)
    return ms


def _bad_time(value: object) -> NoReturn:
    raise BadTime(
        f"{str(value)[:64]!r} is not a time; accepted: an RFC 3339 string with an offset "
        "(2013-02-01T11:15:00Z) or epoch milliseconds"
    )


def rfc3339(ms: int) -> str:
    """Epoch milliseconds as `2013-02-01T11:15:00Z`, with milliseconds only where there are some."""
    moment = EPOCH + timedelta(milliseconds=ms)
    spec = "milliseconds" if ms % 1000 else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=spec) + "Z"
