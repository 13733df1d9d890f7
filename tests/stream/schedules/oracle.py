"""Oracle: the log of predictions in; windows, dead letters and duplicates out, in plain Python.

In    per source partition the messages with their arrivals
Out   `Expected`: what the last revision of each window must say, and every event refused
Not   anything of the package under test: one event after another, from the documents
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

NEVER = -(2**62)


class Rules(NamedTuple):
    """The numbers of the configuration that decide what is counted where."""

    pane_ms: int
    grace_ms: int
    max_ahead_ms: int
    revise_for_ms: int
    duplicates_for_ms: int
    max_ids: int
    max_models: int
    lengths_ms: tuple[int, ...]
    configured: tuple[str, ...]
    segment: str
    is_cut: bool = True  # the configured model is cut by the segment
    config: str = ""


class Key(NamedTuple):
    """One window of one stream."""

    model: str
    segment: str | None
    length_ms: int
    start_ms: int


@dataclass(slots=True)
class Tally:
    """What a window holds.

    ids       how often each id was counted
    hopeless  of these, how many came when others had left the window behind for good
    """

    ids: Counter[str] = field(default_factory=Counter)
    late: int = 0
    duplicates: int = 0
    unkept: int = 0
    hopeless: int = 0


@dataclass(slots=True)
class Expected:
    """What follows from the logs; refused by partition, offset, reason and field."""

    windows: dict[Key, Tally] = field(default_factory=lambda: defaultdict(Tally))
    refused: Counter[tuple[int, int, str, str | None]] = field(default_factory=Counter)
    events: int = 0
    duplicates: int = 0


@dataclass(slots=True)
class _Roll:
    ids: set[tuple[str, str]] = field(default_factory=set)
    models: set[str] = field(default_factory=set)


def expect(
    rules: Rules,
    logs: Sequence[Sequence[tuple[bytes, int, int]]],
    in_force: Sequence[tuple[int, Rules]] = (),
) -> Expected:
    """Everything that follows from the logs of all source partitions.

    in_force  of panes, from when on; the last that applies
    logs  of each message its bytes, its arrival, and how far the furthest partition was by then
    """
    expected = Expected()
    for partition, log in enumerate(logs):
        _Partition(rules, partition, expected, in_force).read(log)
    return expected


def reached_ms(rules: Rules, value: bytes, arrival_ms: int) -> int:
    """How far a message may move the watermark of its partition."""
    times = [event["ts"] for event, reason, _ in _events(value) if reason is None]
    own = [min(ts, arrival_ms) - rules.grace_ms for ts in times]
    return max(own, default=NEVER)


class _Partition:
    def __init__(
        self,
        rules: Rules,
        partition: int,
        expected: Expected,
        in_force: Sequence[tuple[int, Rules]],
    ) -> None:
        self._rules, self._number, self._expected = rules, partition, expected
        self._in_force = in_force
        self._watermark_ms = self._final_ms = NEVER
        self._rolls: dict[tuple[int, int], _Roll] = defaultdict(_Roll)

    def read(self, log: Sequence[tuple[bytes, int, int]]) -> None:
        for offset, (value, arrival_ms, reached) in enumerate(log):
            self._final_ms = (reached - self._rules.revise_for_ms) // self._rules.pane_ms
            self._final_ms *= self._rules.pane_ms
            for event, reason, name in _events(value):
                self._expected.events += 1
                if reason is None:
                    reason, name = self._place(event, arrival_ms)
                if reason is not None:
                    self._expected.refused[self._number, offset, reason, name] += 1

    def _place(self, event: dict[str, Any], arrival_ms: int) -> tuple[str | None, str | None]:
        rules, before_ms, ts_ms = self._rules, self._watermark_ms, event["ts"]
        if ts_ms > arrival_ms + rules.max_ahead_ms:
            return "too_far_ahead", "ts"
        pane = ts_ms // rules.pane_ms
        late_ms = before_ms - (pane + 1) * rules.pane_ms
        if late_ms >= rules.revise_for_ms:
            return "too_late", "ts"
        self._watermark_ms = max(before_ms, min(ts_ms, arrival_ms) - rules.grace_ms)
        part = late_ms // rules.pane_ms + 1 if late_ms >= 0 else 0
        roll = self._rolls[pane, 0 if part <= rules.duplicates_for_ms // rules.pane_ms else part]
        model, rules = event["model"], self._at(pane)
        strangers = len(roll.models - set(rules.configured))
        if model not in roll.models | set(rules.configured) and strangers >= rules.max_models:
            return "too_many_models", "model"
        roll.models.add(model)
        self._count(event, roll, is_late=part > 0)
        return None, None

    def _count(self, event: dict[str, Any], roll: _Roll, *, is_late: bool) -> None:
        whose = event["model"], event["id"]
        rules = self._at(event["ts"] // self._rules.pane_ms)
        is_again, has_room = whose in roll.ids, len(roll.ids) < rules.max_ids
        if has_room:
            roll.ids.add(whose)
        self._expected.duplicates += is_again
        for key in self._keys(event):
            tally = self._expected.windows[key]
            if is_again:
                tally.duplicates += 1
                continue
            tally.ids[event["id"]] += 1
            tally.late += is_late
            tally.unkept += not has_room
            tally.hopeless += key.start_ms + key.length_ms <= self._final_ms

    def _at(self, pane: int) -> Rules:
        return in_force_at(self._in_force, pane * self._rules.pane_ms, self._rules)

    def _keys(self, event: dict[str, Any]) -> Iterator[Key]:
        rules, ts_ms = self._at(event["ts"] // self._rules.pane_ms), event["ts"]
        value = (event.get("segment") or {}).get(rules.segment)
        segments = [None] if value is None else [None, f"{rules.segment}={value}"]
        if event["model"] != "m" or not rules.is_cut:
            segments = [None]
        for segment in segments:
            for length in rules.lengths_ms:
                yield Key(event["model"], segment, length, ts_ms // length * length)


def in_force_at(in_force: Sequence[tuple[int, Rules]], at_ms: int, first: Rules) -> Rules:
    """The rules of a pane that begins then."""
    return [first, *(rules for from_ms, rules in in_force if from_ms <= at_ms)][-1]


def _events(value: bytes) -> Iterator[tuple[dict[str, Any], str | None, str | None]]:
    """Each event of a message, and why it is refused, if it is."""
    try:
        found = json.loads(value)
    except ValueError:
        yield {}, "not_json", None
        return
    for event in found if isinstance(found, list) else [found]:
        if not isinstance(event, dict):
            yield {}, "not_object", None
            continue
        missing = [name for name in ("id", "model", "ts") if name not in event]
        if missing:
            yield event, "missing_field", missing[0]
        elif not isinstance(event["ts"], int):
            yield event, "bad_timestamp", "ts"
        else:
            yield event, None, None
