"""Fields: one value of an event in, the value checked out; refuses with name and what is accepted.

In    a JSON value of a declared field
Out   the value in the form columns take it
Not   features, whose values may be anything (columns.py); which fields there are (events.py)
"""

from __future__ import annotations

from typing import Any, NoReturn

from stream.detect.ingest.codec import Refused
from stream.detect.ingest.columns import ABSENT_MARK
from stream.detect.times import BadTime, time_ms

NUMBER = (float, int)
MAYBE_NUMBER = (float, int, type(None), object)  # object: ABSENT_MARK


def prediction(value: Any) -> tuple[Any, Any]:
    """(score, label text) of a prediction; ABSENT_MARK where there is none."""
    kind = type(value)
    if value is None:
        return ABSENT_MARK, ABSENT_MARK
    if kind in NUMBER:
        return value, ABSENT_MARK
    if kind is str or kind is bool:
        return ABSENT_MARK, label_text(value)
    if kind is not dict:
        refuse_wrong("prediction", value, "a number, a string or an object")
    score = number("prediction.score", value.get("score", ABSENT_MARK), "a number")
    return score, label_text(value.get("label", ABSENT_MARK))


def label_text(value: Any) -> Any:
    """A class as text: `1`, `true`, `UA`; None and ABSENT_MARK as they are."""
    kind = type(value)
    if kind is str or value is None or value is ABSENT_MARK:
        return value
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value)
    if kind is float:
        return str(int(value)) if value % 1 == 0 else repr(value)
    refuse_wrong("prediction.label", value, "a string, a number or a boolean")


def number(name: str, value: Any, accepted: str) -> Any:
    """The value, which is a number, None or ABSENT_MARK."""
    if type(value) not in MAYBE_NUMBER:
        refuse_wrong(name, value, accepted)
    return value


def is_error(status: Any) -> bool:
    """Whether the status says so; null and "ok" do not."""
    if status == "ok" or status is None:
        return False
    if status == "error":
        return True
    refuse_wrong("status", status, '"ok" or "error"')


def object_or_none(name: str, value: Any) -> dict[str, Any] | None:
    """The value, which is an object or null."""
    if value is None or type(value) is dict:
        return value
    refuse_wrong(name, value, "an object")


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")


def event_time_ms(name: str, value: Any) -> int:
    """Epoch milliseconds of a time field."""
    try:
        return time_ms(value)
    except BadTime as error:
        raise Refused("bad_timestamp", field=name, detail=str(error)) from None


def refuse_missing(name: str) -> NoReturn:
    """Raise Refused: a required field is not there."""
    raise Refused("missing_field", field=name, detail=f"{name} is required")


def refuse_wrong(name: str, value: Any, accepted: str) -> NoReturn:
    """Raise Refused: the value of a field is of the wrong type."""
    shown = repr(value[:64]) if type(value) is str else kind_of(value)
    raise Refused("wrong_type", field=name, detail=f"{name} is {shown}; accepted: {accepted}")
