"""Events: parsed messages in, checked runs of columns out.

In    the messages of one fetch of one partition, in log order
Out   `Decoded`: times of all events, `Columns` per run of one (model, version), dead letters
Not   parsing bytes (codec.py), arrays per feature (columns.py), lateness (windows.py)

One bad event never harms its neighbours: it is refused alone, with its reason, and the rest of an
array or a columnar batch is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from stream.detect.ingest.codec import RAW_BYTES_KEPT, DeadLetter, Refused, parse
from stream.detect.ingest.columns import _ABSENT, Columns, column_of
from stream.detect.specs import LimitSpec
from stream.detect.times import BadTime, time_ms

NUMBER = (float, int)
MAYBE_NUMBER = (float, int, type(None), type(_ABSENT))


class Messages(NamedTuple):
    """What one fetch brought of one partition; all sequences are (n,) and in offset order."""

    topic: str
    partition: int
    values: Sequence[bytes | None]
    offsets: Sequence[int]
    arrivals_ms: Sequence[int]  # the record's timestamp


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
    scores: list[Any] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    latencies: list[Any] = field(default_factory=list)
    errors: list[bool] = field(default_factory=list)
    segments: list[dict[str, Any] | None] = field(default_factory=list)


class Reader:
    """Reads the messages of one fetch into columns."""

    def __init__(self, limits: LimitSpec) -> None:
        self._limits = limits
        self._times: list[int] = []
        self._arrivals: list[int] = []
        self._offsets: list[int] = []
        self._open: dict[tuple[str, str], _Run] = {}
        self._runs: list[Columns] = []
        self._dead: list[DeadLetter] = []

    def read(self, messages: Messages) -> Decoded:
        """All events of the messages; refusals are in `dead`, in the order they were met."""
        for value, offset, arrival_ms in zip(
            messages.values, messages.offsets, messages.arrivals_ms, strict=True
        ):
            try:
                self._message(parse(value, self._limits), offset, arrival_ms, value)
            except Refused as refusal:
                self._refuse(refusal, offset, value)
        self._close_runs()
        return Decoded(
            np.array(self._times, np.int64),
            np.array(self._arrivals, np.int64),
            np.array(self._offsets, np.int64),
            self._runs,
            self._dead,
        )

    def _refuse(self, refusal: Refused, offset: int, raw: bytes | None) -> None:
        raw = bytes((raw or b"")[:RAW_BYTES_KEPT])
        self._dead.append(
            DeadLetter(
                reason=refusal.reason,
                field=refusal.field,
                detail=refusal.detail,
                offset=offset,
                raw=raw,
            )
        )

    def _message(self, value: Any, offset: int, arrival_ms: int, raw: bytes | None) -> None:
        if type(value) is dict and "columns" in value and "id" not in value:
            self._batch(value, offset, arrival_ms, raw)
        elif type(value) is list:
            for event in value:
                try:
                    self._event(event, offset, arrival_ms)
                except Refused as refusal:
                    self._refuse(refusal, offset, raw)
        else:
            self._event(value, offset, arrival_ms)

    def _event(self, event: Any, offset: int, arrival_ms: int) -> None:
        if type(event) is not dict:
            raise Refused("not_object", detail=f"an event is an object, got {_kind(event)}")
        get = event.get
        event_id = self._text(event, "id")
        model = self._text(event, "model")
        version = get("version", "0")
        if type(version) is not str:
            _wrong("version", version, "a string")
        if "ts" not in event:
            _missing("ts")
        ts_ms = _time_ms("ts", event["ts"])
        features = get("features")
        if type(features) is not dict:
            features = _dict_or_none("features", features) or {}
        self._check_features(features)
        score, label = _prediction(get("prediction"))
        latency = _number("latency_ms", get("latency_ms", _ABSENT), "a number of milliseconds")
        segment = get("segment")
        if segment is not None:
            segment = _dict_or_none("segment", segment)
        is_error = _is_error(get("status", "ok"))
        if "arrival_time" in event:
            arrival_ms = min(arrival_ms, _time_ms("arrival_time", event["arrival_time"]))
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
        run.scores.append(score)
        run.labels.append(label)
        run.latencies.append(latency)
        run.errors.append(is_error)
        run.segments.append(segment)

    def _text(self, event: dict[str, Any], name: str) -> str:
        value = event.get(name)
        if type(value) is str and 0 < len(value) <= self._limits.max_text:
            return value
        if value is None:
            _missing(name)
        _wrong(name, value, f"a string of 1 to {self._limits.max_text} characters")

    def _check_features(self, features: dict[str, Any]) -> None:
        if len(features) > self._limits.max_features:
            raise Refused(
                "too_many_features",
                field="features",
                detail=f"{len(features)} features, at most {self._limits.max_features}",
            )

    def _batch(
        self, batch: dict[str, Any], offset: int, arrival_ms: int, raw: bytes | None
    ) -> None:
        """A columnar batch; rows with a bad id or time are refused alone."""
        columns = _dict_or_none("columns", batch["columns"]) or {}
        model = self._text(batch, "model")
        version = batch.get("version", "0")
        if type(version) is not str:
            _wrong("version", version, "a string")
        ids, times = _list(columns, "id", None), _list(columns, "ts", None)
        n = len(ids)
        features = _dict_or_none("columns.features", columns.get("features")) or {}
        self._check_features({name: None for name in features})
        lists = {name: _list(features, name, n, "columns.features.") for name in features}
        lists = {name: values for name, values in lists.items() if values}  # null: no such column
        scores, labels = _list(columns, "score", n), _list(columns, "label", n)
        latencies, statuses = _list(columns, "latency_ms", n), _list(columns, "status", n)
        arrivals = _list(columns, "arrival_time", n)
        if len(times) != n:
            _wrong("columns.ts", f"{len(times)} values", f"{n} values, as many as columns.id")
        self._close_runs()  # keeps the runs of a stream in log order
        run = _Run(model, version)
        kept, texts = [], []
        for i, (ts, status, latency) in enumerate(
            zip(times, statuses or repeat("ok"), latencies or repeat(None), strict=False)
        ):
            try:
                self._text({"columns.id": ids[i]}, "columns.id")
                ts_ms, is_error = _time_ms("ts", ts), _is_error("ok" if status is None else status)
                _number("latency_ms", latency, "a number of milliseconds")
                _number("prediction.score", scores[i] if scores else None, "a number")
                came_ms = (
                    min(arrival_ms, _time_ms("arrival_time", arrivals[i]))
                    if arrivals
                    else arrival_ms
                )
                texts.append(_label_text(labels[i]) if labels else None)
            except Refused as refusal:
                self._refuse(refusal, offset, raw)
                continue
            kept.append(i)
            run.rows.append(len(self._times))
            run.errors.append(is_error)
            self._times.append(ts_ms)
            self._arrivals.append(came_ms)
            self._offsets.append(offset)
        run.ids = [ids[i] for i in kept]
        values = {f"feature.{name}": [v[i] for i in kept] for name, v in lists.items()}
        if scores:
            values["prediction.score"] = [scores[i] for i in kept]
        if labels:
            values["prediction.label"] = texts
        if latencies:
            values["service.latency_ms"] = [latencies[i] for i in kept]
        if kept:
            self._append(run, values)

    def _close_runs(self) -> None:
        for run in self._open.values():
            values = _transpose(run.features)
            outputs = (
                ("prediction.score", run.scores),
                ("prediction.label", run.labels),
                ("service.latency_ms", run.latencies),
            )
            values.update((name, v) for name, v in outputs if any(x is not _ABSENT for x in v))
            self._append(run, values)
        self._open.clear()

    def _append(self, run: _Run, values: dict[str, list[Any]]) -> None:
        has_segment = any(s is not None for s in run.segments)
        self._runs.append(
            Columns(
                run.model,
                run.version,
                run.ids,
                np.array(run.rows, np.int64),
                np.array(run.errors, np.bool_),
                {name: column_of(v, self._limits) for name, v in values.items()},
                run.segments if has_segment else None,
            )
        )


def _transpose(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Feature dicts of events as lists by column name."""
    names = list(rows[0])
    if all(list(row) == names for row in rows):  # the usual case, three times as fast
        columns = zip(*(row.values() for row in rows), strict=True)
        return {f"feature.{name}": list(v) for name, v in zip(names, columns, strict=True)}
    every = dict.fromkeys(name for row in rows for name in row)
    return {f"feature.{name}": [row.get(name, _ABSENT) for row in rows] for name in every}


def _prediction(value: Any) -> tuple[Any, Any]:
    """(score, label text) of a prediction; _ABSENT where there is none."""
    kind = type(value)
    if value is None:
        return _ABSENT, _ABSENT
    if kind in NUMBER:
        return value, _ABSENT
    if kind is str or kind is bool:
        return _ABSENT, _label_text(value)
    if kind is not dict:
        _wrong("prediction", value, "a number, a string or an object")
    score = _number("prediction.score", value.get("score", _ABSENT), "a number")
    return score, _label_text(value.get("label", _ABSENT))


def _label_text(value: Any) -> Any:
    """A class as text: `1`, `true`, `UA`; None and _ABSENT as they are."""
    kind = type(value)
    if kind is str or value is None or value is _ABSENT:
        return value
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value)
    if kind is float:
        return str(int(value)) if value % 1 == 0 else repr(value)
    _wrong("prediction.label", value, "a string, a number or a boolean")


def _number(name: str, value: Any, accepted: str) -> Any:
    """The value, which is a number, None or _ABSENT."""
    if type(value) not in MAYBE_NUMBER:
        _wrong(name, value, accepted)
    return value


def _is_error(status: Any) -> bool:
    if status == "ok" or status is None:
        return False
    if status == "error":
        return True
    _wrong("status", status, '"ok" or "error"')


def _dict_or_none(name: str, value: Any) -> dict[str, Any] | None:
    if value is None or type(value) is dict:
        return value
    _wrong(name, value, "an object")


def _list(columns: dict[str, Any], name: str, n: int | None, prefix: str = "columns.") -> list[Any]:
    """A column of a batch, empty if it is not there; required and of any length if n is None."""
    value = columns.get(name)
    if value is None and n is not None:
        return []
    if value is None:
        _missing(prefix + name)
    if type(value) is not list:
        _wrong(prefix + name, value, "an array")
    if n is not None and len(value) != n:
        _wrong(prefix + name, f"{len(value)} values", f"{n} values, as many as columns.id")
    return value  # type: ignore[no-any-return]


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")


def _time_ms(name: str, value: Any) -> int:
    try:
        return time_ms(value)
    except BadTime as error:
        raise Refused("bad_timestamp", field=name, detail=str(error)) from None


def _missing(name: str) -> NoReturn:
    raise Refused("missing_field", field=name, detail=f"{name} is required")


def _wrong(name: str, value: Any, accepted: str) -> NoReturn:
    shown = value if type(value) is str and value.endswith(" values") else _kind(value)
    if type(value) is str and shown is not value:
        shown = repr(value[:64])
    raise Refused("wrong_type", field=name, detail=f"{name} is {shown}; accepted: {accepted}")
