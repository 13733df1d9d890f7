"""Times: RFC 3339 and epoch milliseconds come in, and nothing that only looks like them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.detect.specs import WEEK_MS
from stream.detect.times import LATEST_MS, BadTime, rfc3339, time_ms

NOON_MS = 1_359_717_300_000  # 2013-02-01T11:15:00Z


@pytest.mark.parametrize(
    ("value", "expected_ms"),
    [
        ("2013-02-01T11:15:00Z", NOON_MS),
        ("2013-02-01t11:15:00z", NOON_MS),
        ("2013-02-01 12:15:00+01:00", NOON_MS),
        ("2013-02-01T11:15:00-00:00", NOON_MS),
        ("2013-02-01T11:15:00.5Z", NOON_MS + 500),
        ("2013-02-01T11:15:00.123999999Z", NOON_MS + 123),
        ("1970-01-01T00:00:00Z", 0),
        (NOON_MS, NOON_MS),
        (NOON_MS + 0.9, NOON_MS),
        (0, 0),
        (LATEST_MS, LATEST_MS),
    ],
)
def test_a_time_is_epoch_milliseconds(value: Any, expected_ms: int) -> None:
    assert time_ms(value) == expected_ms


@pytest.mark.parametrize(
    "value",
    ["", "soon", "2013-02-01", "2013-02-01T11:15:00", "2013-02-01T11:15Z", "2013-W05-5T11:15:00Z",
     "20130201T111500Z", "2013-02-01T111500+0000", "2013-02-01T11:15:00,5Z",
     "2013-02-01T11:15:00.Z", "2013-02-30T11:15:00Z", "2013-02-01T25:00:00Z",
     "2013-02-01T11:15:00+01:00:30",
     "2013-02-01T11:15:00+0100", "2013-02-01T11:15:00Z ", " 2013-02-01T11:15:00Z",
     "٢٠١٣-02-01T11:15:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z", -1, LATEST_MS + 1,
     float("nan"), float("inf"), True, None, [], {}, 10**30],
)  # fmt: skip
def test_what_is_no_time_is_refused(value: Any) -> None:
    with pytest.raises(BadTime, match="accepted"):
        time_ms(value)


@given(st.integers(0, LATEST_MS))
def test_a_time_that_is_written_is_read_again(ms: int) -> None:
    assert time_ms(rfc3339(ms)) == ms


def test_milliseconds_are_written_only_where_there_are_some() -> None:
    assert rfc3339(NOON_MS) == "2013-02-01T11:15:00Z"
    assert rfc3339(NOON_MS + 7) == "2013-02-01T11:15:00.007Z"


def test_the_end_of_any_window_can_be_written() -> None:
    assert rfc3339(LATEST_MS + 52 * WEEK_MS).startswith("9999-")
