"""Builders: events, messages, partials and whole runs, in a few words.

In    times in seconds after START_MS, which begins a minute, an hour, a day
Out   what the pipeline takes: event dicts, Messages, Partial, Marker, Reference, Detector
Not   files of events (stream/replay/sources.py)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stream.detect.configurations import Configurations
from stream.detect.detector import Detector
from stream.detect.ingest.events import Decoded, Messages, Reader
from stream.detect.ingest.ingestor import Ingestor, Intake, Sketchbook
from stream.detect.ingest.windows import Progress
from stream.detect.judge.judge import Judge, Verdicts
from stream.detect.partials import Marker, Partial, pack, read
from stream.detect.profiles import ProfileBuilder
from stream.detect.references import Reference
from stream.detect.specs import DAY_MS, DetectorSpec, LimitSpec, ModelSpec, TimeSpec
from stream.detect.states import Stream, WindowState

START_MS = 20_000 * DAY_MS
FAR_S = 10_000_000  # an arrival nothing is ahead of
MINUTE = TimeSpec(
    pane_ms=60_000, grace_ms=10_000, revise_for_ms=120_000, max_ahead_ms=300_000
)  # fmt: skip
M = Stream("m", "1")


class AnyId(str):
    """An id that nobody asked for: `messages` makes another of it at each place of the log."""

    __slots__ = ()


def at(second: float) -> int:
    """Epoch milliseconds of a second after the start."""
    return START_MS + round(second * 1000)


def pane_of(second: float, pane_ms: int = 60_000) -> int:
    """The pane a second after the start lies in."""
    return at(second) // pane_ms


def event(second: float, features: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A prediction event; whatever is given beside replaces or adds to the usual."""
    usual = {"id": AnyId(f"e-{second}"), "model": M.model, "version": M.version, "ts": at(second)}
    return usual | {"features": dict(features or {})} | more


def columnar(seconds: Sequence[float], columns: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A columnar batch."""
    every = {"id": [AnyId(f"c-{s}") for s in seconds], "ts": [at(s) for s in seconds], **columns}
    return {"model": M.model, "version": M.version, "columns": every} | more


def to_bytes(value: Any, place: object = "") -> bytes:
    """A message: bytes as they are, all else as Python's json writes it."""
    return value if isinstance(value, bytes) else json.dumps(_placed(value, place)).encode()


def _placed(value: Any, place: object) -> Any:
    if isinstance(value, AnyId):
        return f"{value}@{place}"
    if isinstance(value, Mapping):
        return {key: _placed(part, place) for key, part in value.items()}
    if isinstance(value, list):
        return [_placed(part, f"{place}.{i}") for i, part in enumerate(value)]
    return value


def messages(
    *values: Any, first_offset: int = 0, arrival_s: float = FAR_S, partition: int = 0
) -> Messages:
    """Messages with consecutive offsets that all came at the same time."""
    n = len(values)
    offsets = list(range(first_offset, first_offset + n))
    raws = [to_bytes(value, offset) for value, offset in zip(values, offsets, strict=True)]
    return Messages("predictions", partition, raws, offsets, [at(arrival_s)] * n)


def decode(*values: Any, limits: LimitSpec | None = None) -> Decoded:
    """Messages as columns."""
    return Reader(limits or LimitSpec()).read(messages(*values))


def cut(whole: Messages, start: int, end: int) -> Messages:
    """Some messages of a fetch."""
    topic, partition, values, offsets, arrivals_ms = whole
    return Messages(topic, partition, values[start:end], offsets[start:end], arrivals_ms[start:end])


def spec(
    model: ModelSpec | None = None, *, time: TimeSpec = MINUTE, limits: LimitSpec | None = None
) -> DetectorSpec:
    """A spec that watches the model `m`, in windows of one minute unless the model says other."""
    model = model or ModelSpec(name=M.model, lengths_ms=(time.pane_ms,))
    default = replace(model, name="*")
    limits = limits or LimitSpec()
    return DetectorSpec(
        time=time, limits=limits, models={M.model: model}, default=default, config_hash="c0"
    )


def no_reference(_model: str, _version: str) -> None:
    """A store that is empty."""


def ingestor(
    spec_: DetectorSpec | None = None,
    references: Mapping[tuple[str, str], Reference] | None = None,
    *,
    partition: int = 0,
    partitions: int = 1,
    next_offset: int = 0,
    progress: Progress | None = None,
) -> Ingestor:
    """The ingest side of a partition, on a worker of its own."""
    spec_, known = spec_ or spec(), references or {}
    return Ingestor(
        Sketchbook(Configurations(spec_), lambda model, version: known.get((model, version))),
        partition=partition,
        partitions=partitions,
        next_offset=next_offset,
        progress=progress,
    )


def reference(
    events: Iterable[Mapping[str, Any]], model: str = "m", version: str = "1"
) -> Reference:
    """What training on these events gives."""
    builder = ProfileBuilder(model, version)
    for run in decode(*events).runs:
        builder.add(run)
    return builder.build()


def partial(
    second: float, *, n: int = 1, part: int = 0, source: int = 0,
    offsets: tuple[int, int] = (0, 9), stream: Stream = M, state: WindowState | None = None,
) -> Partial:  # fmt: skip
    """A part of the pane in which a second lies."""
    return Partial(
        stream=stream,
        source=source,
        pane=pane_of(second),
        part=part,
        first_offset=offsets[0],
        last_offset=offsets[1],
        reference_id=None,
        config_hash="c0",
        state=state or WindowState(events=n),
    )


def marker(
    second: float, *, source: int = 0, sources: int = 1, is_idle: bool = False, beat: int = 0
) -> Marker:
    """How far a source partition has come."""
    return Marker(
        source=source, sources=sources, watermark_ms=at(second), is_idle=is_idle, beat=beat
    )


def by_key(intakes: Iterable[Intake]) -> dict[tuple[Stream, int, int, int], bytes]:
    """Packed partials by (stream, pane, source, part); the same key twice must mean the same."""
    found: dict[tuple[Stream, int, int, int], bytes] = {}
    for intake in intakes:
        for one in intake.partials:
            key = (one.stream, one.pane, one.source, one.part)
            assert found.setdefault(key, pack(one)) == pack(one), f"{key} contradicts itself"
    return found


class Pipeline:
    """Both halves of a detector, one source partition after another, joined by packed partials."""

    def __init__(
        self, spec_: DetectorSpec, trained: Reference | None = None, *, partitions: int = 1
    ) -> None:
        known = trained

        def reference_of(model: str, version: str) -> Reference | None:
            is_meant = known is not None and (model, version) == (known.model, known.version)
            return known if is_meant else None

        detector = Detector(spec_, reference_of)
        self.ingestors = [detector.ingestor(p, partitions) for p in range(partitions)]
        self.judge: Judge = detector.judge()
        self.dead: list[Any] = []
        self._offsets = [0] * partitions
        self._judged = 0

    def feed(self, *values: Any, partition: int = 0, arrival_s: float = FAR_S) -> Verdicts:
        """Give messages to a source partition; what the judge says then."""
        batch = messages(
            *values,
            first_offset=self._offsets[partition],
            arrival_s=arrival_s,
            partition=partition,
        )
        self._offsets[partition] += len(values)
        return self._pass_on(self.ingestors[partition].add(batch))

    def finish(self) -> Verdicts:
        """The end of all source partitions."""
        verdicts = Verdicts()
        for one in self.ingestors:
            told = self._pass_on(one.finish())
            verdicts.windows += told.windows
            verdicts.alerts += told.alerts
            verdicts.orphans += told.orphans
        return verdicts

    def _pass_on(self, intake: Intake) -> Verdicts:
        self.dead += intake.dead
        items: list[tuple[int, Partial | Marker]] = []
        for one in [*intake.partials, *([intake.marker] if intake.marker else [])]:
            items.append((self._judged, read(pack(one)) if isinstance(one, Partial) else one))
            self._judged += 1
        return self.judge.add(items)
