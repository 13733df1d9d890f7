"""Feed: a seed in, the messages of a troubled service out, for named partitions.

In    how many messages, over how many partitions, how much trouble of each kind
Out   (partition, value) in log order; the same for the same seed, on any machine
Not   what becomes of them (oracle.py reads that off the topic)

`serial` counts the events, so that sums over a window tell which of them are in it. Trouble begins
after a calm start, when every partition has a watermark that lateness can be measured against.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

START_MS = 1_740_960_000_000  # 2025-03-03T00:00:00Z
CALM = 2_000  # messages
REGIONS = ("north", "east", "south", "west")
POISON = (
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"null",
    b"[1]",
    b"[" * 5_000,
    b'{"id":"a"}',
    b'{"id":"","model":"m","ts":1}',
    b'{"id":"a","model":7,"ts":1}',
    b'{"id":"a","model":"m","ts":"yesterday"}',
    b'{"id":"a","model":"m","ts":NaN}',
    b'{"id":"a","model":"m","ts":1740960000000,"features":[1]}',
)

Sent = tuple[int, bytes]  # partition, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Shares of all messages."""

    out_of_order: float = 0.1  # by up to jitter_ms, which is within the grace
    late: float = 0.01  # beyond the grace, within what may be revised
    too_late: float = 0.002
    ahead: float = 0.001
    poison: float = 0.005
    duplicates: float = 0.05
    arrays: float = 0.01  # three events in one message, one of them bad
    jitter_ms: int = 8_000
    late_ms: tuple[int, int] = (60_000, 180_000)
    too_late_ms: tuple[int, int] = (1_000_000, 2_000_000)


def event(serial: int, **more: Any) -> bytes:
    """A good event."""
    usual = {"id": f"g-{serial}", "model": "alpha", "version": "1", "ts": START_MS + serial}
    return orjson.dumps(usual | {"features": {"x": 1.0}} | more)


class Feed:
    """Messages in order; `take` as many as are wanted now, `close` at the end."""

    def __init__(
        self,
        seed: int,
        *,
        partitions: int = 4,
        per_second: int = 500,  # of event time
        trouble: Trouble | None = None,
    ) -> None:
        self._random = random.Random(seed)
        self._partitions, self._per_second = partitions, per_second
        self._trouble = trouble or Trouble()
        self._serial = 0
        self._messages = 0
        self._again: list[tuple[int, Sent]] = []  # due at this message

    def widen(self, partitions: int) -> None:
        """Use more partitions from now on."""
        self._partitions = partitions

    def take(self, n: int) -> Iterator[Sent]:
        """The next n messages."""
        for _ in range(n):
            self._messages += 1
            if self._again and self._again[0][0] <= self._messages:
                yield self._again.pop(0)[1]
            else:
                yield self._next()

    def close(self) -> Iterator[Sent]:
        """One event far ahead on each partition: the watermark passes everything before."""
        for partition in range(self._partitions):
            yield partition, orjson.dumps(self._event(86_400_000))

    def _next(self) -> Sent:
        chance, trouble = self._random, self._trouble
        partition = chance.randrange(self._partitions)
        draw = chance.random() if self._messages > CALM else 1.0
        for share, kind in (
            (trouble.poison, "poison"),
            (trouble.late, "late"),
            (trouble.too_late, "too_late"),
            (trouble.ahead, "ahead"),
            (trouble.arrays, "array"),
            (trouble.out_of_order, "jitter"),
            (trouble.duplicates, "twice"),
        ):
            draw -= share
            if draw < 0:
                return partition, self._spoiled(kind, partition)
        return partition, orjson.dumps(self._event(0))

    def _spoiled(self, kind: str, partition: int) -> bytes:
        chance, trouble = self._random, self._trouble
        match kind:
            case "poison":
                return chance.choice(POISON)
            case "late":
                return orjson.dumps(self._event(-chance.randint(*trouble.late_ms)))
            case "too_late":
                return orjson.dumps(self._event(-chance.randint(*trouble.too_late_ms)))
            case "ahead":
                return orjson.dumps(self._event(0) | {"ts": "2099-01-01T00:00:00Z"})
            case "array":
                return orjson.dumps([self._event(0), {"id": "no model"}, self._event(0)])
            case "jitter":
                return orjson.dumps(self._event(-chance.randint(0, trouble.jitter_ms)))
        value = orjson.dumps(self._event(0))
        self._again.append((self._messages + chance.randint(1, 50), (partition, value)))
        self._again.sort(key=lambda due: due[0])
        return value

    def _event(self, shift_ms: int) -> dict[str, Any]:
        chance = self._random
        self._serial += 1
        now_ms = START_MS + self._serial * 1000 // self._per_second
        region = chance.choice(REGIONS)
        return {
            "id": f"e-{self._serial}",
            "model": "alpha" if chance.random() < 0.8 else "beta",
            "version": "1",
            "ts": now_ms + shift_ms,
            "features": {
                "serial": self._serial,
                "x": None if chance.random() < 0.02 else round(chance.gauss(10, 3), 3),
                "region": region,
            },
            "status": "error" if chance.random() < 0.01 else "ok",
            "latency_ms": round(chance.lognormvariate(3, 0.4), 2),
        }
