"""Rolls: what a pane has had so far decides what it takes: repeated ids, models beyond a cap.

In    the decoded events of a fetch with the pane, part and verdict of each
Out   the verdicts DUPLICATE, TOO_MANY_MODELS, TOO_MANY_VERSIONS; a `Called` for caps.py
Not   feature names and segments beyond a cap (caps.py), counting (sketches.py)

A roll is opened by the first event of a pane and kept until nothing of it can come in time any
more: until the part is sent that is `duplicates_for` late. What comes later than that has a roll
per part. First come, first served, in the order of the log. So a roll is a function of the log, and
the safe offset never passes the first event of an open roll: whoever replays from there reads every
event of every roll that still decides anything. Ids of other models, versions, panes and source
partitions are other ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kernels import ids
from kernels.hashing import hash_bytes
from kernels.ids import IdSet
from stream.detect.configurations import Configurations
from stream.detect.ingest.columns import Columns
from stream.detect.ingest.events import Decoded
from stream.detect.ingest.windows import (
    ALREADY_SENT,
    COUNTED,
    DUPLICATE,
    TOO_MANY_MODELS,
    TOO_MANY_VERSIONS,
    PartitionTime,
    Placement,
    grouped,
)
from stream.detect.specs import DetectorSpec

RollKey = tuple[int, int]  # pane; 0, or the part if it is later than `duplicates_for`
ModelKey = tuple[str, str]  # model, version


@dataclass(slots=True)
class Roll:
    """What one pane has had so far.

    before_ms  the watermark before the message at first_offset
    spec       the configuration in force for the pane
    versions   of each model
    strangers  models that are not configured
    names      of features, by model and version, that nobody announced
    segments   values by model, version and configured segment
    """

    pane: int
    first_offset: int
    before_ms: int
    spec: DetectorSpec
    ids: IdSet = field(default_factory=ids.empty)
    versions: dict[str, set[str]] = field(default_factory=dict)
    strangers: int = 0
    names: dict[ModelKey, set[str]] = field(default_factory=dict)
    segments: dict[tuple[str, str, str], set[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Called:
    """The rolls of a fetch, and where its events stand in them.

    index  (n,)  into rolls; -1 for events that are refused, or whose roll is closed
    told   (n,)  NEW, SEEN or UNKEPT (kernels/ids.py) for the others
    """

    rolls: list[Roll]
    index: NDArray[np.intp]
    told: NDArray[np.int8]

    def segments(self, model: str) -> list[str]:
        """Features by which a roll's configuration cuts the model's events, each once."""
        return list(dict.fromkeys(n for r in self.rolls for n in r.spec.model(model).segments))


class Rolls:
    """The rolls of one source partition."""

    def __init__(self, configs: Configurations, time: PartitionTime) -> None:
        self._configs, self._time = configs, time
        self._hash_key, self._pane_ms = configs.first.hash_key, configs.time.pane_ms
        self._kept_parts = configs.time.duplicates_for_ms // self._pane_ms
        self._open: dict[RollKey, Roll] = {}
        self._streams: dict[ModelKey, np.uint64] = {}  # their hashes
        # Of the roll closed last: the next one will have about as many ids. What was not written to
        # before, the system clears page by page, which costs more than all else about ids.
        self._usual, self._spare = 0, ids.empty()

    def call(self, decoded: Decoded, placement: Placement) -> Called:
        """Enter the events of a fetch, and write the verdicts of those that are not counted.

        An event whose parts were all sent before a restart is passed over: its roll is closed.
        """
        verdicts = placement.verdicts
        keys, index = self._groups(placement)
        rolls = [
            self._roll(key, int(np.argmax(index == at)), decoded, placement)
            for at, key in enumerate(keys)
        ]
        called = Called(rolls, index, np.zeros(len(verdicts), np.int8))
        self._admit(called, decoded, verdicts)
        self._recognise(called, decoded)
        if called.told.any():
            repeated = (index >= 0) & (called.told == ids.SEEN)
            verdicts[repeated & (verdicts == COUNTED)] = DUPLICATE
        return called

    def _groups(self, placement: Placement) -> tuple[list[RollKey], NDArray[np.intp]]:
        """The rolls that are called, and which of them each event stands in, -1 for none."""
        verdicts, units = placement.verdicts, placement.parts
        if placement.pane is not None:  # as most fetches
            return [(placement.pane, 0)], np.zeros(len(verdicts), np.intp)
        if units.any():
            units = np.where(units <= self._kept_parts, 0, units)
        heard, again = verdicts == COUNTED, verdicts == ALREADY_SENT
        if again.any():
            last = placement.panes + np.maximum(placement.parts, self._kept_parts)
            again &= (last + 1) * self._pane_ms > self._time.progress.sent_ms
            heard |= again
        return grouped(placement.panes, units, heard)

    def close(self) -> None:
        """Forget the rolls of which nothing can come any more."""
        for pane, unit in list(self._open):
            if self._time.is_complete(pane, max(unit, self._kept_parts)):
                closed = self._open.pop((pane, unit))
                if unit == 0:
                    self._usual = int(closed.ids.kept[0])
                    is_fit = len(closed.ids.hashes) <= 8 * self._usual
                    self._spare = closed.ids if is_fit else ids.empty()

    def drop(self) -> None:
        """Forget all."""
        self._open.clear()

    def first(self) -> Roll | None:
        """The open roll that begins first in the log."""
        return min(self._open.values(), key=lambda roll: roll.first_offset, default=None)

    def _roll(self, key: RollKey, row: int, decoded: Decoded, placement: Placement) -> Roll:
        roll = self._open.get(key)
        if roll is None:
            first = int(decoded.offsets[row])
            # A replay starts with the whole message, so with what came before its first event.
            before_ms = int(placement.before_ms[np.searchsorted(decoded.offsets, first)])
            spec = self._configs.at(key[0] * self._pane_ms)
            roll = self._open[key] = Roll(key[0], first, before_ms, spec)
            if key[1] == 0:
                spare, self._spare = ids.cleared(self._spare), ids.empty()
                roll.ids = ids.with_room(spare, self._usual, spec.limits.max_ids)
        return roll

    def _admit(self, called: Called, decoded: Decoded, verdicts: NDArray[np.int8]) -> None:
        """Refuse the models and versions for which a roll has no room, those that came last."""
        new = list[tuple[int, int, Columns]]()
        for run in decoded.runs:
            places = called.index[run.rows]
            for at, roll in enumerate(called.rolls):
                if run.version not in roll.versions.get(run.model, ()) and (places == at).any():
                    new.append((int(run.rows[np.argmax(places == at)]), at, run))
        for _, at, run in sorted(new, key=lambda found: found[0]):
            verdict = self._verdict(called.rolls[at], run.model, run.version)
            if verdict != COUNTED:
                rows = run.rows[called.index[run.rows] == at]
                called.index[rows] = -1
                verdicts[rows[verdicts[rows] == COUNTED]] = verdict

    def _verdict(self, roll: Roll, model: str, version: str) -> int:
        limits = roll.spec.limits
        if model not in roll.versions:
            is_stranger = model not in roll.spec.models
            if is_stranger and roll.strangers >= limits.max_models:
                return TOO_MANY_MODELS
            roll.strangers += is_stranger
            roll.versions[model] = set()
        if len(roll.versions[model]) >= limits.max_versions:
            return TOO_MANY_VERSIONS
        roll.versions[model].add(version)
        return COUNTED

    def _recognise(self, called: Called, decoded: Decoded) -> None:
        hashes = np.empty(len(called.index), np.uint64)
        for run in decoded.runs:
            own = run.ids ^ self._stream(run.model, run.version)
            if len(own) == len(hashes):  # all events, as they came
                hashes = own
            else:
                hashes[run.rows] = own
        is_whole = len(called.rolls) == 1 and not called.index.any()
        for at, roll in enumerate(called.rolls):
            rows = np.arange(len(hashes)) if is_whole else np.flatnonzero(called.index == at)
            limit = roll.spec.limits.max_ids
            roll.ids = ids.with_room(roll.ids, len(rows), limit)
            ids.add(roll.ids, limit, hashes, rows, called.told)

    def _stream(self, model: str, version: str) -> np.uint64:
        found = self._streams.get((model, version))
        if found is None:
            name = np.frombuffer(f"{model}\0{version}".encode(), np.uint8)
            found = hash_bytes(name, 0, len(name), self._hash_key)
            if len(self._streams) > 2 * self._configs.first.limits.max_models:
                self._streams.clear()
            self._streams[model, version] = found
        return found
