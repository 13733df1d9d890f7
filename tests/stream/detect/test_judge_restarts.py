"""Restarts: whatever happens between two steps, the same windows and alerts are told.

A judge's owner takes messages, tells, writes records and commits. It is stopped before, between and
after any of these; the next one goes on from what was written. What was told in all, with repeats
dropped by id, must be what an owner that never stopped tells, to the byte.
"""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pytest

from stream.detect.detector import Detector
from stream.detect.judge import gather, judge
from stream.detect.judge.judge import JudgeProgress, Verdicts
from stream.detect.judge.parts import Away, Fresh
from stream.detect.judge.previous import Previous
from stream.detect.judge.records import (
    CLAIM_KEY,
    Ledger,
    Stored,
    choose,
)
from stream.detect.partials import Marker, Partial, pack, read
from stream.detect.references import Reference
from stream.detect.specs import FeatureSpec, ModelSpec, RuleSpec, TimeSpec
from tests.builders import event, messages, reference, spec

MODEL = ModelSpec(
    name="m",
    lengths_ms=(60_000, 180_000),
    segments=("site",),
    features={"c": FeatureSpec(name="c", allowed=("a", "b"))},
    rules=(
        RuleSpec(name="drift", measure="psi", hold=2, keep_firing=2, repeat_ms=240_000),
        RuleSpec(name="step", measure="psi", reference="previous"),
        RuleSpec(name="long", measure="psi", length_ms=180_000),
        RuleSpec(name="unseen", kind="quality", measure="unseen_ratio", on=("c",)),
        RuleSpec(name="quiet", kind="volume", objective="rate_per_second", below=0.1),
    ),
)
TIME = TimeSpec(pane_ms=60_000, grace_ms=10_000, revise_for_ms=240_000, forget_after_ms=600_000)
SPEC = spec(MODEL, time=TIME)
TRAINED = reference([event(0, {"x": i % 10, "c": "ab"[i % 2]}) for i in range(500)])
Item = tuple[int, Partial | Marker]


def known(_model: str, _version: str) -> Reference:
    return TRAINED


def detector() -> Detector:
    return Detector(SPEC, known)


def log(rng: np.random.Generator, steps: int = 45) -> list[Item]:
    """An hour of two source partitions with incidents, silences, late events and a zombie."""
    sides = detector()
    workers = [sides.ingestor(source, 2) for source in range(2)]
    offsets, second, items = [0, 0], 0, list[Partial | Marker]()
    bad_from = sorted(rng.integers(0, 3_000, 3).tolist())
    for _ in range(steps):
        source, n = int(rng.integers(2)), int(rng.integers(0, 60))
        second += int(rng.integers(0, 90))
        if n < 5:
            intake = workers[source].idle(int(rng.integers(1, 90_000)))
        else:
            bad = any(start <= second < start + 400 for start in bad_from)
            batch = [some_event(rng, second, bad=bad) for _ in range(n)]
            intake = workers[source].add(messages(*batch, first_offset=offsets[source]))
            offsets[source] += n
        made = [read(pack(one)) for one in intake.partials]
        items += [*made, *([intake.marker] if intake.marker else [])]
        if items and rng.random() < 0.1:  # somebody sends again what was sent
            items.append(items[int(rng.integers(len(items)))])
    return list(enumerate(items))


def some_event(rng: np.random.Generator, second: float, *, bad: bool) -> dict[str, Any]:
    behind = rng.integers(0, 300) if rng.random() < 0.1 else rng.integers(-9, 9)
    when = max(0, second - int(behind))
    x = int(rng.integers(10)) + 8 * bad
    c = "abz"[int(rng.integers(3))] if bad else "ab"[int(rng.integers(2))]
    site = {"site": "pq"[int(rng.integers(2))]}
    version = "2" if second < 600 and rng.random() < 0.3 else "1"
    return event(when, {"x": x, "c": c}, segment=site, version=version)


@dataclass
class Said:
    """All that was told; a contradiction fails at once."""

    windows: dict[tuple[str, int], bytes] = field(default_factory=dict)
    alerts: dict[str, bytes] = field(default_factory=dict)

    def take(self, verdicts: Verdicts) -> None:
        for window in verdicts.windows:
            key, body = (window["window_id"], window["revision"]), orjson.dumps(window)
            assert self.windows.setdefault(key, body) == body, "a window contradicts itself"
        for alert in verdicts.alerts:
            body = orjson.dumps(alert)
            assert self.alerts.setdefault(alert["id"], body) == body, "an alert contradicts itself"

    def reasons(self) -> list[str]:
        return [orjson.loads(body)["data"]["reason"] for body in self.alerts.values()]


@dataclass
class Kafka:
    """What outlives an owner."""

    items: list[Item]
    state: list[Stored] = field(default_factory=list)
    committed: tuple[int, JudgeProgress] = (0, JudgeProgress())
    owner: int = -1

    def write(self, key: bytes, value: bytes | None) -> int:
        self.state.append(Stored(key, value, len(self.state)))
        return len(self.state) - 1


class Owner:
    """One worker that has the partition, until somebody else claims it."""

    def __init__(self, kafka: Kafka, said: Said) -> None:
        self.kafka, self.said = kafka, said
        self.id = kafka.owner = kafka.write(CLAIM_KEY, b"me")
        self.memory, self.damaged = choose(kafka.state)
        self.ledger = Ledger(self.id, self.memory)
        self.at, progress = kafka.committed
        self.judge = detector().judge(next_offset=self.at, progress=progress, memory=self.memory)

    def take(self, n: int) -> None:
        """Read and tell so many messages more."""
        for item in self.kafka.items[self.at : self.at + n]:
            verdicts = self.judge.add([item])
            assert not verdicts.rebuilt or self.memory.lost or self.memory.head is None
            self.said.take(verdicts)
        self.at = min(self.at + n, len(self.kafka.items))

    def save(self, steps: int = 1_000_000) -> None:
        """Write records, then the head, commit, then delete; or only so many of these steps."""
        changes = self.judge.changes()
        records = self.ledger.records(*changes) if changes else []
        for key, value in records[:steps]:
            self.kafka.write(key, value)
        if steps <= len(records) or self.kafka.owner != self.id:
            return
        self.kafka.committed = self.judge.commit_point()
        for key in self.ledger.spare()[: steps - len(records) - 1]:
            self.kafka.write(key, None)


def uninterrupted(items: list[Item]) -> Said:
    said = Said()
    Owner(Kafka(items), said).take(len(items))
    return said


def agree(told: Said, expected: Said) -> None:
    assert told.alerts == expected.alerts
    assert told.windows == expected.windows


def relay(
    rng: np.random.Generator, items: list[Item], *, zombies: bool = False
) -> tuple[Said, Kafka]:
    """One owner after the other, each stopped anywhere; some go on for a while all the same."""
    told, kafka, undead = Said(), Kafka(items), list[Owner]()
    owner = Owner(kafka, told)
    while owner.at < len(items):
        owner.take(int(rng.integers(1, 30)))
        is_stopped = rng.random() < 0.4
        if rng.random() < 0.7:
            owner.save(*([int(rng.integers(0, 12))] if is_stopped else []))
        if is_stopped:
            if zombies and rng.random() < 0.5:
                undead.append(Owner(kafka, told))
                undead[-1].take(int(rng.integers(0, 30)))
            owner = Owner(kafka, told)
        if undead and rng.random() < 0.5:
            zombie = undead[int(rng.integers(len(undead)))]
            zombie.take(int(rng.integers(0, 40)))
            if rng.random() < 0.5:
                zombie.save(int(rng.integers(0, 12)))
                undead.remove(zombie)
            elif rng.random() < 0.5:
                zombie.save()
    return told, kafka


@pytest.mark.parametrize("turn", range(6))
def test_owners_that_stop_anywhere_tell_what_one_would(rng: np.random.Generator, turn: int) -> None:
    items = log(rng)
    expected = uninterrupted(items)
    told, _ = relay(rng, items, zombies=turn % 2 == 1)
    agree(told, expected)
    assert {"first", "resolved"} <= set(expected.reasons())


@pytest.mark.parametrize("turn", range(8))
def test_who_knows_nothing_any_more_makes_the_same_windows_of_what_was_told_since_the_commit(
    rng: np.random.Generator, turn: int
) -> None:
    items = log(rng)
    before, after, kafka = Said(), Said(), Kafka(items)
    owner = Owner(kafka, before)
    owner.take(int(rng.integers(len(items) // 3, len(items) // 2)))
    owner.save()
    at = set(before.windows)
    owner.take(30)
    kafka.state.clear()
    Owner(kafka, after).take(len(items))

    def counted(said: Said, key: tuple[str, int]) -> list[Any]:
        window = orjson.loads(said.windows[key])
        return [window[name] for name in ("count", "late", "duplicates", "source_offsets")]

    told_since = before.windows.keys() - at
    assert told_since, "nothing was told since: nothing is tested"
    for key in told_since & after.windows.keys():
        assert counted(before, key) == counted(after, key)


def test_what_is_put_away_at_once_is_judged_as_what_stays_at_hand(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = log(rng)
    expected = uninterrupted(items)
    put_away = Counter[str]()

    class Nothing(Fresh):
        def __init__(self) -> None:
            super().__init__(0)

        def add(self, item: Away, features: int) -> None:
            put_away[type(item).__name__] += 1
            super().add(item, features)

    for module in (gather, judge):
        monkeypatch.setattr(module, "Fresh", Nothing)
    agree(uninterrupted(items), expected)
    assert min(put_away["Held"], put_away["Previous"]) > 20


def test_what_is_replaced_is_not_kept_at_hand(rng: np.random.Generator) -> None:
    said = Said()
    owner = Owner(Kafka(log(rng)), said)
    owner.take(len(owner.kafka.items))
    gc.collect()
    alive = sum(isinstance(one, Previous) for one in gc.get_objects())
    streams = {(window[0], window[1]) for window in map(_stream_of, said.windows.values())}
    assert 0 < alive <= 2 * len(MODEL.lengths_ms) * len(streams) < len(said.windows)


def _stream_of(body: bytes) -> list[Any]:
    window = orjson.loads(body)
    return [window["version"], window["segment"]]
