"""Times: RFC 3339 text or a number in, epoch milliseconds out, and back.

Not   any clock: what is read here was written into events
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NoReturn

EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
MILLISECOND = timedelta(milliseconds=1)
# The end of year 9998: the end of a window must still be a year that RFC 3339 can say.
NEVER_MS = -(2**62)  # before any event time: where a watermark stands before the first event
LATEST_MS = 253_370_764_799_999
# datetime.fromisoformat reads much more than this, and not the same in every release of Python.
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class BadTime(ValueError):
    """Not a time that an event may carry."""


def time_ms(value: object) -> int:
    """Event time in epoch milliseconds from an RFC 3339 string or a number of milliseconds.

    Raises BadTime for anything else, also for a time without an offset, before 1970, after 9998.
    """
    if type(value) is str:
        return _rfc3339_ms(value)
    if type(value) is int or type(value) is float:
        if value != value or not 0 <= value <= LATEST_MS:
            _bad_time(value)
        return int(value)
    _bad_time(value)


def _rfc3339_ms(text: str) -> int:
    if not RFC_3339.fullmatch(text):
        _bad_time(text)
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        _bad_time(text)
    ms = (moment - EPOCH) // MILLISECOND
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
