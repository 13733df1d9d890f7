"""Events: parsed messages in, checked runs of columns out.

In    the messages of one fetch of one partition, in log order
Out   `Decoded`: times of all events, `Columns` per run of one (model, version), dead letters
Not   parsing bytes (codec.py), arrays per feature (columns.py), lateness (windows.py)

One bad event never harms its neighbours: it is refused alone, with its reason, and the rest of an
array or a columnar batch (batches.py) is counted. A message has one dead letter per reason and
field, whatever the number of bad events in it: a megabyte of `[1,1,…]` costs one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.hashing import Key
from stream.detect.ingest import arrow
from stream.detect.ingest.batches import events_of, is_batch
from stream.detect.ingest.codec import RAW_BYTES_KEPT, DeadLetter, Refused, parse
from stream.detect.ingest.columns import ABSENT_MARK, Columns, column_of, hashes_of
from stream.detect.ingest.fields import (
    event_time_ms,
    is_error,
    kind_of,
    number,
    object_or_none,
    prediction,
    refuse_missing,
    refuse_wrong,
)
from stream.detect.specs import DEFAULT_KEY, LimitSpec


class Messages(NamedTuple):
    """What one fetch brought of one partition; all sequences are (n,) and in offset order."""

    topic: str
    partition: int
    values: Sequence[bytes | None]
    offsets: Sequence[int]
    arrivals_ms: Sequence[int]  # the record's timestamp

    def halves(self) -> tuple[Messages, Messages]:
        """The first and the second half."""
        half = len(self.offsets) // 2
        first = self._replace(
            values=self.values[:half],
            offsets=self.offsets[:half],
            arrivals_ms=self.arrivals_ms[:half],
        )
        return first, self.since(self.offsets[half])

    def since(self, offset: int) -> Messages:
        """The messages from an offset on."""
        first = bisect_left(self.offsets, offset)
        if first == 0:
            return self
        return self._replace(
            values=self.values[first:],
            offsets=self.offsets[first:],
            arrivals_ms=self.arrivals_ms[first:],
        )


@dataclass(slots=True)
class Decoded:
    """The events of one fetch.

    times_ms, arrivals_ms, offsets   (n,) int64, one per accepted event in log order
    """

    times_ms: NDArray[np.int64]
    arrivals_ms: NDArray[np.int64]
    offsets: NDArray[np.int64]
    runs: list[Columns]
    dead: list[DeadLetter]


@dataclass(slots=True)
class _Run:
    """Events of one (model, version) that follow one another, not yet columns."""

    model: str
    version: str
    ids: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    features: list[dict[str, Any]] = field(default_factory=list)
    attributions: list[dict[str, Any]] = field(default_factory=list)
    scores: list[Any] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    latencies: list[Any] = field(default_factory=list)
    errors: list[bool] = field(default_factory=list)
    segments: list[dict[str, Any] | None] = field(default_factory=list)


class Reader:
    """Reads the messages of one fetch into columns."""

    def __init__(self, limits: LimitSpec, hash_key: Key = DEFAULT_KEY) -> None:
        self._limits, self._hash_key = limits, hash_key
        self._times: list[int] = []
        self._arrivals: list[int] = []
        self._offsets: list[int] = []
        self._open: dict[tuple[str, str], _Run] = {}
        self._runs: list[Columns] = []
        self._dead: list[DeadLetter] = []
        self._bad: dict[tuple[str, str | None], list[Any]] = {}  # detail and count, of a message

    def read(self, messages: Messages) -> Decoded:
        """All events of the messages; refusals are in `dead`, in the order they were met."""
        for value, offset, arrival_ms in zip(
            messages.values, messages.offsets, messages.arrivals_ms, strict=True
        ):
            try:
                self._message(self._parsed(value), offset, arrival_ms)
            except Refused as refusal:
                self._refuse(refusal.reason, refusal.field, refusal.detail)
            if self._bad:
                self._close_letters(offset, value or b"")
        self._close_runs()
        return Decoded(
            np.array(self._times, np.int64),
            np.array(self._arrivals, np.int64),
            np.array(self._offsets, np.int64),
            self._runs,
            self._dead,
        )

    def _parsed(self, value: bytes | None) -> Any:
        if value is not None and arrow.is_arrow(value):
            return arrow.events_of(value, self._limits)
        return parse(value, self._limits)

    def _refuse(self, reason: str, name: str | None, detail: str) -> None:
        first = self._bad.get((reason, name))
        if first is None:
            first = self._bad[reason, name] = [detail, 0]
        first[1] += 1

    def _close_letters(self, offset: int, raw: bytes) -> None:
        raw = bytes(raw[:RAW_BYTES_KEPT])
        self._dead += [
            DeadLetter(
                reason=reason, field=name, detail=detail, offset=offset, raw=raw, count=count
            )
            for (reason, name), (detail, count) in self._bad.items()
        ]
        self._bad.clear()

    def _message(self, value: Any, offset: int, arrival_ms: int) -> None:
        events = value if type(value) is list else events_of(value) if is_batch(value) else None
        for event in (value,) if events is None else events:
            if type(event) is not dict:  # a megabyte of these is refused without an exception each
                self._refuse("not_object", None, f"an event is an object, got {kind_of(event)}")
                continue
            try:
                self._event(event, offset, arrival_ms)
            except Refused as refusal:
                self._refuse(refusal.reason, refusal.field, refusal.detail)

    def _event(self, event: dict[str, Any], offset: int, arrival_ms: int) -> None:
        get = event.get
        event_id = self._text(event, "id")
        model = self._text(event, "model")
        version = self._text(event, "version") if "version" in event else "0"
        if "ts" not in event:
            refuse_missing("ts")
        ts_ms = event_time_ms("ts", event["ts"])
        features = get("features")
        if type(features) is not dict:
            features = object_or_none("features", features) or {}
        self._check_count("features", features)
        attributions = get("attributions")
        if attributions is not None:
            attributions = object_or_none("attributions", attributions) or {}
            self._check_count("attributions", attributions)
        score, label = prediction(get("prediction"))
        latency = number("latency_ms", get("latency_ms", ABSENT_MARK), "a number of milliseconds")
        segment = get("segment")
        if segment is not None:
            segment = object_or_none("segment", segment)
        failed = is_error(get("status"))
        if "arrival_time" in event:
            arrival_ms = min(arrival_ms, event_time_ms("arrival_time", event["arrival_time"]))
        # Nothing below refuses: from here the event is counted.
        run = self._open.get((model, version))
        if run is None:
            run = self._open[model, version] = _Run(model, version)
        run.rows.append(len(self._times))
        self._times.append(ts_ms)
        self._arrivals.append(arrival_ms)
        self._offsets.append(offset)
        run.ids.append(event_id)
        run.features.append(features)
        run.attributions.append(attributions or {})
        run.scores.append(score)
        run.labels.append(label)
        run.latencies.append(latency)
        run.errors.append(failed)
        run.segments.append(segment)

    def _text(self, event: dict[str, Any], name: str) -> str:
        value = event.get(name)
        if type(value) is str and 0 < len(value) <= self._limits.max_text:
            return value
        if value is None:
            refuse_missing(name)
        refuse_wrong(name, value, f"a string of 1 to {self._limits.max_text} characters")

    def _check_count(self, name: str, features: dict[str, Any]) -> None:
        if len(features) > self._limits.max_features:
            raise Refused(
                "too_many_features",
                field=name,
                detail=f"{len(features)} {name}, at most {self._limits.max_features}",
            )

    def _close_runs(self) -> None:
        for run in self._open.values():
            values = _transpose(run.features, "feature.")
            if any(run.attributions):
                values |= _transpose(run.attributions, "attribution.")
            outputs = (
                ("prediction.score", run.scores),
                ("prediction.label", run.labels),
                ("service.latency_ms", run.latencies),
            )
            values.update((name, v) for name, v in outputs if any(x is not ABSENT_MARK for x in v))
            self._append(run, values)
        self._open.clear()

    def _append(self, run: _Run, values: dict[str, list[Any]]) -> None:
        segments = _transpose([segment or {} for segment in run.segments], "")
        self._runs.append(
            Columns(
                run.model,
                run.version,
                hashes_of(run.ids, self._hash_key),
                np.array(run.rows, np.int64),
                np.array(run.errors, np.bool_),
                {name: column_of(v, self._limits) for name, v in values.items()},
                {name: column_of(v, self._limits) for name, v in segments.items()},
            )
        )


def _transpose(rows: list[dict[str, Any]], prefix: str) -> dict[str, list[Any]]:
    """Dicts of events as lists by column name."""
    names = list(rows[0])
    if all(list(row) == names for row in rows):  # the usual case, three times as fast
        columns = zip(*(row.values() for row in rows), strict=True)
        return {prefix + name: list(v) for name, v in zip(names, columns, strict=True)}
    every = dict.fromkeys(name for row in rows for name in row)
    return {prefix + name: [row.get(name, ABSENT_MARK) for row in rows] for name in every}
