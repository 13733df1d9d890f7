"""Oracle: the messages on the topic of predictions in, what windows and dead letters must say out.

In    (partition, offset, arrival, value) in log order, and the numbers of the configuration
Out   counts and sums per window, last revision; (partition, offset) of everything refused
Not   anything of the package under test: plain Python from the documents, one event at a time

    watermark   per partition: the largest event time accepted so far, or arrival if that was
                earlier, - grace
    refused     unreadable; further ahead of its arrival than max_ahead; its pane's end lies
                revise_for or more behind the watermark
    counted     all else, once per id, pane and partition; late if the pane's end was passed
    complete    windows whose end the watermark of every partition has passed
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

NEVER = -(2**62)


class Source(NamedTuple):
    """One message of the topic of predictions."""

    partition: int
    offset: int
    arrival_ms: int
    value: bytes


class Key(NamedTuple):
    """One window; segment is None or `name=value`."""

    model: str
    version: str
    segment: str | None
    length_ms: int
    start_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The numbers of the configuration."""

    pane_ms: int = 10_000
    grace_ms: int = 10_000
    revise_for_ms: int = 600_000
    max_ahead_ms: int = 300_000
    duplicates_for_ms: int = 60_000
    lengths_ms: tuple[int, ...] = (60_000, 30_000)
    segments: tuple[str, ...] = ("region",)
    max_message_bytes: int = 1_048_576
    judges_lateness: bool = True  # not where partitions fall idle: that is the wall clock's


@dataclass(slots=True)
class Tally:
    """What is in a window; sums over the events whose feature is a number."""

    count: int = 0
    late: int = 0
    duplicates: int = 0
    errors: int = 0
    numbers: Counter[str] = field(default_factory=Counter)
    sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    squares: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    texts: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(slots=True)
class Expected:
    """What the log brings about."""

    windows: dict[Key, Tally]
    refused: Counter[tuple[int, int, str]]  # partition, offset, reason or "unreadable"
    counted: int
    duplicates: int
    judges_lateness: bool


class Refused(Exception):
    """This event is not counted."""


def expect(log: Iterable[Source], times: Times) -> Expected:
    """Everything that follows from the log."""
    oracle = _Oracle(times)
    for message in log:
        oracle.take(message)
    return oracle.result()


class _Oracle:
    def __init__(self, times: Times) -> None:
        self._times = times
        self._watermarks: dict[int, int] = {}
        self._windows: dict[Key, Tally] = defaultdict(Tally)
        self._seen: set[tuple[int, str, str, int, int, str]] = set()
        self._refused: Counter[tuple[int, int, str]] = Counter()
        self._counted = self._duplicates = 0

    def take(self, message: Source) -> None:
        where = (message.partition, message.offset)
        try:
            items = _parse(message.value, self._times.max_message_bytes)
        except Refused:
            self._refused[*where, "unreadable"] += 1
            return
        for item in items:
            try:
                event = _checked(item)
            except Refused:
                self._refused[*where, "unreadable"] += 1
                continue
            if why := self._place(event, message):
                self._refused[*where, why] += 1

    def _place(self, event: dict[str, Any], message: Source) -> str | None:
        times, ts = self._times, event["ts"]
        before = self._watermarks.get(message.partition, NEVER)
        if ts > message.arrival_ms + times.max_ahead_ms:
            return "too_far_ahead"
        self._watermarks[message.partition] = max(
            before, min(ts, message.arrival_ms) - times.grace_ms
        )
        pane = ts // times.pane_ms
        pane_end = (pane + 1) * times.pane_ms
        late_panes = (before - pane_end) // times.pane_ms + 1 if pane_end <= before else 0
        if late_panes and before - pane_end >= times.revise_for_ms:
            return "too_late"
        self._count(event, pane, late_panes, message.partition)
        return None

    def _count(self, event: dict[str, Any], pane: int, late_panes: int, partition: int) -> None:
        """What comes later than `duplicates_for` is compared with what came as late as itself."""
        times, is_late = self._times, late_panes > 0
        roll = late_panes if late_panes > times.duplicates_for_ms // times.pane_ms else 0
        name = (partition, event["model"], event["version"], pane, roll, event["id"])
        is_again = name in self._seen
        self._seen.add(name)
        self._counted += not is_again
        self._duplicates += is_again
        for key in self._keys(event):
            tally = self._windows[key]
            if is_again:
                tally.duplicates += 1
            else:
                _add(tally, event, is_late)

    def _keys(self, event: dict[str, Any]) -> Iterator[Key]:
        features = event["features"]
        named = [f"{n}={features[n]}" for n in self._times.segments if n in features]
        for segment in [None, *named]:
            for length in self._times.lengths_ms:
                start = event["ts"] // length * length
                yield Key(event["model"], event["version"], segment, length, start)

    def result(self) -> Expected:
        passed = min(self._watermarks.values(), default=NEVER)
        complete = {k: t for k, t in self._windows.items() if k.start_ms + k.length_ms <= passed}
        return Expected(
            complete,
            self._refused,
            self._counted,
            self._duplicates,
            self._times.judges_lateness,
        )


def _add(tally: Tally, event: dict[str, Any], is_late: bool) -> None:
    tally.count += 1
    tally.late += is_late
    tally.errors += event["is_error"]
    for name, value in event["features"].items():
        if isinstance(value, str):
            tally.texts[name, value] += 1
        elif value is not None and math.isfinite(value):
            tally.numbers[name] += 1
            tally.sums[name] += value
            tally.squares[name] += value * value


def _parse(value: bytes, most: int) -> list[Any]:
    if len(value) > most:
        raise Refused
    try:
        found = json.loads(value.decode())
    except (ValueError, RecursionError):
        raise Refused from None
    return found if isinstance(found, list) else [found]


def _checked(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise Refused
    for name in ("id", "model"):
        if not isinstance(item.get(name), str) or not 0 < len(item[name]) <= 256:
            raise Refused
    features = item.get("features") or {}
    if not isinstance(features, dict) or item.get("features") == []:
        raise Refused
    return {
        "id": item["id"],
        "model": item["model"],
        "version": item.get("version", "0"),
        "ts": _time_ms(item.get("ts")),
        "features": features,
        "is_error": item.get("status") == "error",
    }


def _time_ms(value: Any) -> int:
    if isinstance(value, str):
        try:
            return round(datetime.fromisoformat(value).timestamp() * 1000)
        except ValueError:
            raise Refused from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Refused
    return int(value)
