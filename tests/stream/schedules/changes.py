"""Changes: configurations announced while a world runs; what each worker knows of them, and when.

In    the first configuration, and others with the time of their announcement
Out   `Detector`s that are told as late as a worker may be, or any moment sooner
Not   from when a configuration counts: that is under test, and the oracle has a rule of its own
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from math import lcm
from typing import NamedTuple
from weakref import WeakKeyDictionary

from stream.detect.configurations import NOTICE_MS
from stream.detect.detector import Detector
from stream.detect.specs import DetectorSpec, RuleSpec


class Announced(NamedTuple):
    """A configuration, and when it was announced."""

    written_ms: int
    spec: DetectorSpec


class Changes:
    """All configurations of a world."""

    def __init__(self, first: DetectorSpec, announced: Sequence[Announced]) -> None:
        self.first, self.announced = first, announced
        self._told: WeakKeyDictionary[Detector, int] = WeakKeyDictionary()

    def detector(self) -> Detector:
        """Of a worker that knows the first one only."""
        detector = Detector(self.first, _no_reference)
        self._told[detector] = 0
        return detector

    def informed(self) -> Detector:
        """Of a worker that knows all there will ever be."""
        detector = self.detector()
        self._tell(detector, len(self.announced))
        return detector

    def before(self, detector: Detector, arrived_ms: int, chance: random.Random) -> None:
        """What a worker has to know before it takes what arrived then; at times it knows more."""
        known = [one.written_ms <= arrived_ms - NOTICE_MS for one in self.announced].count(True)
        heard = [one.written_ms <= arrived_ms for one in self.announced].count(True)
        self._tell(detector, chance.choice((known, heard)))

    def in_force(self) -> list[tuple[int, DetectorSpec]]:
        """From when each one counts, by the rule in the documents: a later entry goes first."""
        found = [(-(2**62), self.first)]
        for written_ms, spec in self.announced:
            time = self.first.time
            earliest_ms = written_ms + time.max_ahead_ms + NOTICE_MS
            border_ms = -(-earliest_ms // time.pane_ms) * time.pane_ms
            found = [row for row in found if row[0] < border_ms]
            before, after = found[-1][1].default.lengths_ms, spec.default.lengths_ms
            unit = time.pane_ms if before == after else lcm(*before, *after)
            found.append((-(-earliest_ms // unit) * unit, spec))
        return found

    def _tell(self, detector: Detector, known: int) -> None:
        for written_ms, spec in self.announced[self._told[detector] : known]:
            detector.configs.announce(spec, written_ms)
        self._told[detector] = max(self._told[detector], known)


def some_changes(
    first: DetectorSpec, at_ms: int, pace: int, chance: random.Random
) -> list[Announced]:
    """Up to three changes, in force while events of the world pass; each is another in all."""
    found = list[Announced]()
    for number in range(chance.choice((0, 0, 1, 2, 3))):
        at_ms += chance.choice((0, 500, 4_000, 9_000)) * pace
        lengths = first.default.lengths_ms
        if chance.random() < 0.3:
            lengths = chance.choice(((2_000,), (2_000, 1_000), (3_000, 1_000)))
        rule = RuleSpec(
            name=chance.choice(("few", "fewer")),
            kind="volume",
            objective="rate_per_second",
            below=chance.choice((0.8, 2.5)),
            hold=chance.choice((1, 1, 2)),
        )
        default = replace(first.default, lengths_ms=lengths, rules=(rule,))
        segments = chance.choice(((), ("site",), ("site",)))
        limits = replace(first.limits, max_ids=chance.choice((3, 1_000)))
        models = {"m": replace(default, name="m", segments=segments)}
        if chance.random() < 0.3:
            models["x"] = replace(default, name="x")
        spec = replace(first, default=default, models=models, limits=limits)
        found.append(Announced(at_ms, replace(spec, config_hash=f"c{number + 1}")))
    return found


def _no_reference(_model: str, _version: str) -> None:
    return None
