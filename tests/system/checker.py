"""Checker: what the oracle expects and what stands on the topics in, every broken promise out.

In    `Expected` of oracle.py; windows, alerts, dead letters as parsed JSON, in the order read
Out   one line per violation, empty when all holds
Not   reading topics (arena.py); the service's own counters, which are never asked

I1  every counted event is in exactly one window of each length: counts, sums, squares, texts
I2  conservation: messages' events = counted + refused
I3  one content per (window, revision), and revisions 0, 1, 2, … without a hole: the highest is what
    I1 looks at, in whatever order they were written
I4  one content per alert id
I5  every refused event is a dead letter, none other is, each with its reason and place
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from tests.system.oracle import Expected, Key, Tally

MOST_LINES = 12
OTHERS = ("too_far_ahead", "too_late")


def violations(
    expected: Expected,
    windows: Iterable[Any],
    letters: Iterable[Any],
    topic: str,
    *,
    forgives: Collection[str] = (),
) -> list[str]:
    """Everything that is wrong, the first lines of each kind.

    forgives  reasons of dead letters about our own topics, which a test brings about. What a judge
              knew is lost with `state_rebuilt`: it may then leave revisions out, not say two things
    """
    windows = list(windows)
    found = [
        *contradictions(windows),
        *([] if "state_rebuilt" in forgives else _holes(windows)),
        *_windows(expected, last_revisions(windows)),
        *_letters(expected, (one for one in letters if one["reason"] not in forgives), topic),
    ]
    return found[:MOST_LINES]


def last_revisions(windows: Iterable[Any]) -> dict[Key, Any]:
    """The highest revision of each window, whichever was written last."""
    return {key_of(window): window for window in sorted(windows, key=lambda w: w["revision"])}


def key_of(window: Mapping[str, Any]) -> Key:
    """Which window it is."""
    start, end = (_ms(window[name]) for name in ("start", "end"))
    return Key(window["model"], window["version"], window["segment"], end - start, start)


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def contradictions(windows: Iterable[Any]) -> Iterator[str]:
    """I3: revisions that say two things."""
    said: dict[tuple[str, int], Any] = {}
    for window in windows:
        name = (window["window_id"], window["revision"])
        if said.setdefault(name, window) != window:
            differs = [k for k in window if said[name].get(k) != window[k]]
            yield f"I3 {key_of(window)} revision {name[1]} says two things: {differs}"


def _holes(windows: Iterable[Any]) -> Iterator[str]:
    """I3: revisions that nobody was told."""
    told: dict[Key, set[int]] = {}
    for window in windows:
        told.setdefault(key_of(window), set()).add(window["revision"])
    for key, revisions in sorted(told.items(), key=str):
        if len(revisions) <= max(revisions):
            yield f"I3 {key} has the revisions {sorted(revisions)}"


def two_alerts(alerts: Iterable[Any]) -> list[str]:
    """I4: alerts of one id that say two things."""
    said: dict[str, Any] = {}
    return [
        f"I4 alert {alert['id']} says two things"
        for alert in alerts
        if said.setdefault(alert["id"], alert) != alert
    ][:MOST_LINES]


def _windows(expected: Expected, found: Mapping[Key, Any]) -> Iterator[str]:
    """I1: the same windows, and in each the same events."""
    for key in sorted(expected.windows.keys() - found.keys(), key=str):
        yield f"I1 {key} is missing: {expected.windows[key].count} events"
    for key, window in sorted(found.items(), key=str):
        if key not in expected.windows:
            if window["count"]:
                yield f"I1 {key} is not in the log: {window['count']} events"
        else:
            tally, names = expected.windows[key], ["count", "duplicates"]
            names += ["late"] if expected.judges_lateness else []
            yield from (f"I1 {key} {line}" for line in _one(tally, window, names))


def _one(tally: Tally, window: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if window[name] != getattr(tally, name):
            yield f"{name} {window[name]}, expected {getattr(tally, name)}"
    if window["service"]["errors"] != tally.errors:
        yield f"errors {window['service']['errors']}, expected {tally.errors}"
    features = window["features"]
    for name, count in tally.numbers.items():
        feature = features.get(name, {"count": 0})
        if feature["count"] != count:
            yield f"{name}: {feature['count']} numbers, expected {count}"
            continue
        mean, std = feature["mean"], feature["std"] or 0.0
        total, squares = mean * count, std * std * (count - 1) + mean * mean * count
        if not math.isclose(total, tally.sums[name], rel_tol=1e-10):
            yield f"{name}: sum {total}, expected {tally.sums[name]}"
        if not math.isclose(squares, tally.squares[name], rel_tol=1e-9):
            yield f"{name}: squares {squares}, expected {tally.squares[name]}"
    texts = {(name, value): n for name in features for value, n in features[name].get("top", ())}
    if texts != dict(tally.texts):
        yield f"categories {texts}, expected {dict(tally.texts)}"


def _letters(expected: Expected, letters: Iterable[Any], topic: str) -> Iterator[str]:
    """I5; duplicates are allowed, a letter that nothing in the log explains is not."""
    said: Counter[tuple[int, int, str]] = Counter()
    for letter in letters:
        if letter["topic"] != topic:
            yield f"I5 a letter about {letter['topic']}: {letter['reason']} {letter['detail']}"
            continue
        reason = letter["reason"] if letter["reason"] in OTHERS else "unreadable"
        said[letter["partition"], letter["offset"], reason] += letter.get("count") or 1
    for name, count in sorted(expected.refused.items()):
        if said[name] < count:
            yield f"I5 {name} has {said[name]} dead letters, expected {count}"
    for name in sorted(said.keys() - expected.refused.keys()):
        yield f"I5 {name} is a dead letter of nothing refused"
