"""Codec: message bytes in, JSON values out; refuses with reason, field and detail.

In    the bytes of one Kafka message
Out   what JSON says, where the bare words NaN, Infinity and -Infinity are numbers
Not   what the values mean (columns.py); what becomes of a refusal (ingestor.py)

orjson is the parser. It refuses bare NaN and Infinity, which Python's own json writes and which
are the very thing we are here to count, so only messages that hold one of these words are read
again by the standard library, held to orjson's rules in everything else.
"""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from math import isfinite
from typing import Any

import orjson

from stream.detect.specs import LimitSpec

RAW_BYTES_KEPT = 3_072  # 4 KiB as base64


class Refused(Exception):
    """A message or an event that cannot be counted; becomes a dead letter."""

    def __init__(self, reason: str, *, field: str | None = None, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.field = field
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What was refused for one reason in one field of one message, and the place it came from.

    detail  of the first such event
    count   events; 1 for a message that was refused whole
    """

    reason: str
    field: str | None
    detail: str
    offset: int
    raw: bytes
    count: int = 1


def parse(value: bytes | None, limits: LimitSpec) -> Any:
    """Read one message. Raises Refused: too_large, not_json, too_deep."""
    if not value:
        raise Refused("not_json", detail="the message is empty")
    if len(value) > limits.max_message_bytes:
        raise Refused(
            "too_large",
            detail=f"{len(value)} bytes, at most {limits.max_message_bytes} are accepted",
        )
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        if "depth" in str(error) or "ecursion" in str(error):  # the word differs by release
            raise Refused("too_deep", detail="nested too deeply to be read") from None
        if b"NaN" in value or b"Infinity" in value:
            return _parse_with_nan(value)
        raise Refused("not_json", detail=str(error)) from None


def _parse_with_nan(value: bytes) -> Any:
    try:
        found = json.loads(value.decode("utf-8"), parse_float=_finite, parse_int=_bounded)
        if b"\\ud" in value.lower():  # half of a surrogate pair could never be written again
            json.dumps(found, ensure_ascii=False).encode("utf-8")
        return found
    except RecursionError:
        raise Refused("too_deep", detail="nested too deeply to be read") from None
    except ValueError as error:
        raise Refused("not_json", detail=str(error)) from None


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"number {text[:32]} is beyond a double")
    return number


def _bounded(text: str) -> int | float:
    """Integers beyond 64 bits become floats, as in orjson; beyond a double they are refused."""
    if len(text) > 20:
        return _finite(text)
    number = int(text)
    return number if -(2**63) <= number < 2**64 else float(number)


def dead_letter(letter: DeadLetter, topic: str, partition: int, now: str) -> bytes:
    """A dead letter as it stands on its topic."""
    return orjson.dumps(
        {
            "reason": letter.reason,
            "field": letter.field,
            "detail": letter.detail,
            "count": letter.count,
            "topic": topic,
            "partition": partition,
            "offset": letter.offset,
            "raw": b64encode(letter.raw).decode(),
            "time": now,
        }
    )
