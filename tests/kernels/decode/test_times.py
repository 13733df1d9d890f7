"""Times of RFC 3339 in the kernel: the same as the slow path's, or given up."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.decode.grammar import REFUSED
from kernels.decode.times import LATEST_MS, time_at
from kernels.jit import IS_COMPILED
from stream.detect import times
from tests.buffers import padded

MANY = 20_000 if IS_COMPILED else 100
assert LATEST_MS == times.LATEST_MS


def read(text: str) -> int:
    buffer = padded(text.encode() + b"99")
    return int(time_at(buffer.ctypes.data, buffer.ctypes.data + len(text.encode())))


def slowly(text: str) -> int:
    try:
        return times.time_ms(text)
    except times.BadTime:
        return REFUSED


@pytest.mark.parametrize(
    "text",
    [
        "1970-01-01T00:00:00Z", "2013-02-01T11:15:00Z", "2013-02-01t11:15:00z",
        "2013-02-01 11:15:00Z",
        "2000-02-29T23:59:59.999Z", "2100-02-28T00:00:00.9Z", "2024-02-29T00:00:00.1234567Z",
        "9998-12-31T23:59:59.999Z", "2013-02-01T11:15:00+01:30", "2013-02-01T11:15:00-12:00",
        "1970-01-01T02:00:00+02:00", "2012-12-31T00:00:00.001Z",
    ],
)  # fmt: skip
def test_a_time_is_read(text: str) -> None:
    assert read(text) == slowly(text) >= 0


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "2013-02-01", "2013-02-01T11:15:00", "2013-02-30T11:15:00Z",
        "2100-02-29T00:00:00Z",
        "2013-13-01T00:00:00Z", "2013-00-01T00:00:00Z", "2013-01-00T00:00:00Z",
        "2013-04-31T00:00:00Z",
        "2013-02-01T24:00:00Z", "2013-02-01T11:60:00Z", "2013-02-01T11:15:60Z",
        "1969-12-31T23:59:59Z",
        "9999-01-01T00:00:00Z", "2013-02-01T11:15:00.Z", "2013-02-01T11:15:00,5Z",
        "2013-02-01T11:15:00Zx",
        "2013-02-01T11:15:00+0130", "2013-02-01T11:15:00+24:00", "2013-02-01T11:15:00+01:60",
        "2013-02-01X11:15:00Z", "20130201T111500Z", "2013-02-01T11:15:00+01:3",
        "1970-01-01T00:00:00+00:01",
        "1969-12-31T23:00:00-01:00",
        "2013/02/01T11:15:00Z", "2013-02-01T11-15-00Z", "２013-02-01T11:15:00Z",
    ],
)  # fmt: skip
def test_what_is_no_time_is_given_up(text: str) -> None:
    assert read(text) == REFUSED


def test_random_times_and_changed_ones_are_as_the_slow_path_reads_them(
    rng: np.random.Generator,
) -> None:
    letters = np.frombuffer(b"0123456789-:.TtZz+ ", np.uint8)
    for ms in rng.integers(0, LATEST_MS, MANY).tolist():
        text = times.rfc3339(ms)
        assert read(text) == ms
        changed = np.frombuffer(text.encode(), np.uint8).copy()
        changed[rng.integers(len(changed))] = rng.choice(letters)
        other = changed.tobytes().decode()
        assert read(other) in (slowly(other), REFUSED), other
