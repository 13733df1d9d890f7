"""Judges: the judge stage of a world; what was told, whoever told it and however often, out.

In    logs of the partials topic as they grow; when to take, to save, to die
Out   `Said`: windows, alerts and orphans by their ids; two contents under one id fail at once
Not   the ingest stage (world.py), whether what is told is right (check.py)

A judge's owner takes a message, tells, and some time later writes records, their head, a commit,
and deletes what was replaced. It dies before, between and after any of these, having told part of
what a message brought about. Some that lost their partition go on for a while all the same.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import orjson

from stream.detect.judge.gather import Orphan
from stream.detect.judge.judge import JudgeProgress
from stream.detect.judge.records import CLAIM_KEY, Ledger, Stored, choose
from stream.detect.partials import read
from tests.stream.schedules.broker import Record
from tests.stream.schedules.changes import Changes

FOR_EVER = 1_000_000


@dataclass
class Said:
    """All that judges told; `windows` in the order of its revisions."""

    windows: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)
    orphans: dict[tuple[int, int], Orphan] = field(default_factory=dict)

    def window(self, window: dict[str, Any]) -> None:
        key = window["window_id"], window["revision"]
        assert same(self.windows.setdefault(key, window), window), f"I3: {key} in two versions"

    def alert(self, alert: dict[str, Any]) -> None:
        assert same(self.alerts.setdefault(alert["id"], alert), alert), "I4: an alert in two"


def same(one: Any, other: Any) -> bool:
    return one is other or orjson.dumps(one) == orjson.dumps(other)


@dataclass
class Seat:
    """A partition of the partials topic: what outlives its judges."""

    number: int
    log: list[Record]
    said: Said
    state: list[Stored] = field(default_factory=list)
    committed: tuple[int, JudgeProgress] = (0, JudgeProgress())
    owner: int = -1
    owners: int = 0

    def write(self, key: bytes, value: bytes | None) -> int:
        self.state.append(Stored(key, value, len(self.state)))
        return len(self.state) - 1


class Owner:
    """A worker that has a seat, until somebody else claims it."""

    def __init__(self, seat: Seat, changes: Changes, partitions: int) -> None:
        self.seat, self._changes = seat, changes
        self._chance = random.Random(seat.owners)
        self._detector = detector = changes.detector()
        if seat.log:
            changes.before(detector, seat.log[-1].arrival_ms, self._chance)
        self.id = seat.owner = seat.write(CLAIM_KEY, b"me")
        seat.owners += 1
        memory, damaged = choose(seat.state)
        assert not damaged
        self.ledger = Ledger(self.id, memory)
        self.at, progress = seat.committed
        self.judge = detector.judge(
            partitions=partitions, next_offset=self.at, progress=progress, memory=memory
        )
        self.is_new = memory.head is None

    def take(self, n: int, steps: int = FOR_EVER) -> bool:
        """Read and tell so many messages more, or only so many steps; whether it lives."""
        said = self.seat.said
        for offset in range(self.at, min(self.at + n, len(self.seat.log))):
            self._changes.before(self._detector, self.seat.log[offset].arrival_ms, self._chance)
            verdicts = self.judge.add([(offset, read(self.seat.log[offset].value))])
            assert not verdicts.rebuilt or self.is_new, "what was written was lost"
            told = len(verdicts.windows) + len(verdicts.alerts)
            for window in verdicts.windows[:steps]:
                said.window(window)
            for alert in verdicts.alerts[: max(0, steps - len(verdicts.windows))]:
                said.alert(alert)
            if steps < told:
                return False
            steps -= told
            for orphan in verdicts.orphans:
                said.orphans[self.seat.number, orphan.offset] = orphan
            self.at = offset + 1
        return True

    def save(self, steps: int = FOR_EVER) -> bool:
        """Write records, the head, commit, delete; or only so many of these; whether it lives."""
        changes = self.judge.changes()
        records = self.ledger.records(*changes) if changes else []
        for key, value in records[:steps]:
            self.seat.write(key, value)
        if steps <= len(records):
            return False
        if self.seat.owner != self.id:
            return False  # its commit is refused, so it knows now
        self.seat.committed = self.judge.commit_point()
        spare = self.ledger.spare()
        for key in spare[: steps - len(records) - 1]:
            self.seat.write(key, None)
        return steps - len(records) - 1 >= len(spare)


class Bench:
    """All seats and who has them."""

    def __init__(self, logs: list[list[Record]], changes: Changes) -> None:
        self.said = Said()
        self._changes = changes
        self._seats = [Seat(number, log, self.said) for number, log in enumerate(logs)]
        self._owners: list[Owner | None] = [None for _ in logs]
        self._zombies: list[Owner] = []

    def take(self, chance: random.Random) -> None:
        """Somebody reads on, and may die of it."""
        owner = self._someone(chance)
        steps = chance.randint(0, 4) if chance.random() < 0.1 else FOR_EVER
        if not owner.take(chance.choice((3, 12, FOR_EVER)), steps):
            self._forget(owner)

    def save(self, chance: random.Random) -> None:
        """Somebody writes what it knows, and may die of it."""
        owner = self._someone(chance)
        if not owner.save(chance.randint(0, 6) if chance.random() < 0.25 else FOR_EVER):
            self._forget(owner)

    def reassign(self, chance: random.Random) -> None:
        """A seat gets another owner; the last one has saved, or died, or does not know."""
        number, draw = chance.randrange(len(self._seats)), chance.random()
        old, self._owners[number] = self._owners[number], None
        if old is not None and draw < 0.3:
            old.save()
        elif old is not None and draw < 0.6:
            self._zombies.append(old)

    def rest(self) -> None:
        """The owners of today read everything."""
        for number in range(len(self._seats)):
            assert self._owner(number).take(FOR_EVER)

    @property
    def is_undisturbed(self) -> bool:
        """Whether every seat had one owner from its beginning to its end."""
        return all(seat.owners == 1 for seat in self._seats)

    def undisturbed(self) -> Said:
        """What judges tell that read the same logs from their beginnings and never stop."""
        said = Said()
        for seat in self._seats:
            quiet = Seat(seat.number, seat.log, said)
            Owner(quiet, self._changes, len(self._seats)).take(FOR_EVER)
        return said

    def _someone(self, chance: random.Random) -> Owner:
        if self._zombies and chance.random() < 0.3:
            return chance.choice(self._zombies)
        return self._owner(chance.randrange(len(self._seats)))

    def _owner(self, number: int) -> Owner:
        owner = self._owners[number]
        if owner is None:
            owner = Owner(self._seats[number], self._changes, len(self._seats))
            self._owners[number] = owner
        return owner

    def _forget(self, owner: Owner) -> None:
        if self._owners[owner.seat.number] is owner:
            self._owners[owner.seat.number] = None
        if owner in self._zombies:
            self._zombies.remove(owner)
