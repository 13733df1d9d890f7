"""Ingestor: messages of one source partition in, partials and dead letters out.

In    fetched messages in offset order, how long nothing came
Out   `Intake` per call: partials and a marker to send, dead letters, counts for metrics
Not   Kafka, clocks, threads: who calls and what is done with the answer (agents.py, replay)

After a call everything below `safe_offset` is in what was handed out. Once that is acknowledged
`safe_offset` and `progress` may be committed, together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kernels import ids
from stream.detect.configurations import Configurations
from stream.detect.ingest import caps
from stream.detect.ingest.blocks import Block, block_of
from stream.detect.ingest.codec import DeadLetter
from stream.detect.ingest.columns import Columns, numbers_of
from stream.detect.ingest.events import Decoded, Messages
from stream.detect.ingest.fast import FastReader
from stream.detect.ingest.groups import Group, Segmentation, groups, segmentation, whole
from stream.detect.ingest.refusals import letters
from stream.detect.ingest.rolls import Called, Rolls
from stream.detect.ingest.sketches import StreamSketches
from stream.detect.ingest.windows import (
    COUNTED,
    DUPLICATE,
    PartitionTime,
    Placement,
    Progress,
)
from stream.detect.partials import Marker, Partial
from stream.detect.references import Reference
from stream.detect.states import Stream, WindowState
from stream.detect.times import NEVER_MS

MOST_PANES = 64  # in a fetch; one of more is taken in halves
FEW_MODELS = 256  # whose sketches are kept for their next pane, whether one comes or not

ReferenceOf = Callable[[str, str], Reference | None]  # by model and version


@dataclass(slots=True)
class Intake:
    """What one call hands out.

    counted  events by (model, version)
    late     of these, events that came after their pane was sent
    duplicates   not among these: events whose id was counted before
    latencies_ms  of these, by (model, version), as many entries as runs; NaN where there is none
    """

    partials: list[Partial] = field(default_factory=list)
    marker: Marker | None = None
    dead: list[DeadLetter] = field(default_factory=list)
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    late: int = 0
    duplicates: int = 0
    latencies_ms: list[tuple[tuple[str, str], NDArray[np.float64]]] = field(default_factory=list)

    def then(self, other: Intake) -> Intake:
        """Both, this one first."""
        return Intake(
            self.partials + other.partials,
            other.marker or self.marker,
            self.dead + other.dead,
            self.counted + other.counted,
            self.late + other.late,
            self.duplicates + other.duplicates,
            self.latencies_ms + other.latencies_ms,
        )


@dataclass(slots=True)
class _OpenPart:
    """A part of a pane that can still grow."""

    sketches: StreamSketches
    slot: int
    first_offset: int
    last_offset: int
    sent_to: int = -1  # last_offset when it was sent before its time


PartKey = tuple[Stream, int, int]  # stream, pane, part


class Sketchbook:
    """The sketches of all (model, version) pairs a worker sees; shared by its partitions."""

    def __init__(self, configs: Configurations, reference_of: ReferenceOf) -> None:
        self.configs = configs
        self._reference_of = reference_of
        self._current: dict[tuple[str, str, str | None, str], StreamSketches] = {}
        self._most = FEW_MODELS
        self.reader = FastReader(configs.first.limits, configs.first.hash_key)

    def current(self, model: str, version: str, pane: int) -> StreamSketches:
        """Where new parts of a model's pane are opened: under what is in force for it.

        Two of them are in use while panes before and after a change are open.
        """
        start_ms = pane * self.configs.time.pane_ms
        known, spec = self._reference_of(model, version), self.configs.at(start_ms)
        reference = known.at(start_ms) if known else None
        key = (model, version, reference.id if reference else None, spec.config_hash)
        sketches = self._current.get(key)
        if sketches is None or sketches.reference is not reference or sketches.is_worn:
            if len(self._current) >= self._most:
                self._forget_unused()
            sketches = StreamSketches(spec.model(model), reference, spec.limits, spec.hash_key)
            self._current[key] = sketches
        return sketches

    def _forget_unused(self) -> None:
        """Models come and go; what has no open part costs memory only."""
        self._current = {k: v for k, v in self._current.items() if v.open_slots}
        self._most = max(FEW_MODELS, 2 * len(self._current))


class Ingestor:
    """The ingest side of one source partition.

    beat  markers count on from here; another owner of the partition counts elsewhere
    """

    def __init__(
        self,
        sketchbook: Sketchbook,
        *,
        partition: int,
        partitions: int,
        next_offset: int = 0,
        progress: Progress | None = None,
        beat: int = 0,
    ) -> None:
        self._sketchbook = sketchbook
        self._configs = configs = sketchbook.configs
        self._pane_ms = configs.time.pane_ms
        self._partition, self._partitions = partition, partitions
        self._next_offset = next_offset
        progress = progress or Progress()
        self._time = PartitionTime(configs.time, progress)
        self._told_ms = progress.told_ms
        self._rolls = Rolls(configs, self._time)
        self._open: dict[PartKey, _OpenPart] = {}
        self._marked_pane = NEVER_MS
        self._was_idle = False
        self._beat = beat
        self._silent_ms, self._silent_from_ms = 0, NEVER_MS

    @property
    def watermark_ms(self) -> int:
        """The partition's watermark; very negative before the first event."""
        return self._time.watermark_ms

    @property
    def told_ms(self) -> int:
        """What markers say: the watermark, or how far silence has moved it."""
        return max(self._told_ms, self._time.watermark_ms)

    def add(self, messages: Messages | Block) -> Intake:
        """Count a fetch; hand out the parts that are complete now.

        Messages below the next offset were counted before and are passed over.
        """
        block = messages if isinstance(messages, Block) else block_of(messages)
        block = block.since(self._next_offset)
        decoded = self._sketchbook.reader.read(block)
        if self._has_many_panes(decoded.times_ms) and len(block.offsets) > 1:
            # How a log is cut changes nothing of what is handed out, but open parts cost memory:
            # a fetch of a sparse stream, each event in a pane of its own, took gigabytes.
            first, second = block.halves()
            return self.add(first).then(self.add(second))
        intake = Intake(dead=decoded.dead)
        placement = self._time.place(decoded.times_ms, decoded.arrivals_ms)
        called = self._rolls.call(decoded, placement)
        is_plain = placement.pane is not None and len(decoded.runs) == 1
        is_plain = is_plain and not placement.verdicts.any() and not called.told.any()
        for run in decoded.runs:
            if is_plain and not called.rolls[0].spec.model(run.model).segments:
                self._add_whole(intake, decoded, placement, run, called)
            else:
                self._add_run(intake, decoded, placement, run, called)
        intake.dead += letters(decoded, placement, block)
        told_to = self._time.progress.read_to
        if self._next_offset < told_to:
            # Told before; and read again without the rolls of sent panes, a letter may say less.
            intake.dead = [letter for letter in intake.dead if letter.offset >= told_to]
        if len(block.offsets):
            self._next_offset = int(block.offsets[-1]) + 1
            self._silent_ms = 0
        return self._hand_out(intake, is_idle=False)

    def idle(self, elapsed_ms: int) -> Intake:
        """Nothing came for so long more (wall clock, not lagging): send everything.

        Open parts are sent as they are, and kept: they are sent again if they become more. Others
        may be far ahead, and do not wait. No event is placed by the clock, so a worker that was
        wrong, or is no longer the owner, does no harm. Markers move from border to border of panes.
        """
        if not self._silent_ms:
            self._silent_from_ms = self.told_ms
        self._silent_ms += elapsed_ms
        if self.watermark_ms > NEVER_MS:
            reached_ms = self._silent_from_ms + self._silent_ms
            reached_ms = reached_ms // self._pane_ms * self._pane_ms
            self._told_ms = max(self._told_ms, reached_ms)
        return self._hand_out(Intake(), is_idle=True)

    def finish(self) -> Intake:
        """There will never be another event: hand out everything."""
        self._told_ms = -NEVER_MS
        intake = self._hand_out(Intake(), is_idle=True)
        self.drop()
        return intake

    def drop(self) -> None:
        """Forget all open parts: another worker has the partition now."""
        for part in self._open.values():
            part.sketches.discard(part.slot)
        self._open.clear()
        self._rolls.drop()

    def commit_point(self) -> tuple[int, Progress]:
        """The safe offset, and what to commit with it; no open part begins before its roll."""
        first = self._rolls.first()
        if first is None:
            return self._next_offset, self._progress(self._time.event_ms)
        return first.first_offset, self._progress(first.before_ms)

    def _has_many_panes(self, times_ms: NDArray[np.int64]) -> bool:
        pane_ms = self._pane_ms
        span_ms = int(times_ms.max()) - int(times_ms.min()) if len(times_ms) else 0
        if span_ms < (MOST_PANES - 1) * pane_ms:
            return False
        return len(np.unique(times_ms // pane_ms)) > MOST_PANES

    def _progress(self, before_ms: int) -> Progress:
        read_to = max(self._next_offset, self._time.progress.read_to)
        return Progress(before_ms, self.watermark_ms, self.told_ms, read_to)

    def _add_whole(
        self,
        intake: Intake,
        decoded: Decoded,
        placement: Placement,
        run: Columns,
        called: Called,
    ) -> None:
        """What `_add_run` does of most fetches: every event is new, and in time for one pane."""
        assert placement.pane is not None
        dropped = self._dropped(called, run)
        whose = run.model, run.version
        intake.counted[whose] += len(run.rows)
        if (latency := run.columns.get("service.latency_ms")) is not None:
            intake.latencies_ms.append((whose, numbers_of(latency).copy()))
        first, last = int(decoded.offsets[0]), int(decoded.offsets[-1])
        part = self._part((Stream(*whose), placement.pane, 0), first, last)
        part.sketches.update(np.full(len(run.rows), part.slot, np.int32), run, dropped)

    def _dropped(self, called: Called, run: Columns) -> dict[str, NDArray[np.bool_]]:
        return caps.beyond(
            called,
            run,
            lambda pane: self._sketchbook.current(run.model, run.version, pane).announced,
        )

    def _add_run(
        self,
        intake: Intake,
        decoded: Decoded,
        placement: Placement,
        run: Columns,
        called: Called,
    ) -> None:
        rows = run.rows
        if (called.index[rows] < 0).all():
            return
        counted = placement.verdicts[rows] == COUNTED
        repeated = placement.verdicts[rows] == DUPLICATE
        unkept = counted & (called.told[rows] == ids.UNKEPT)
        taken = counted | repeated
        dropped = self._dropped(called, run)
        panes, parts = placement.panes[rows], placement.parts[rows]
        if counted.any():
            intake.counted[run.model, run.version] += int(counted.sum())
        intake.late += int((counted & (parts > 0)).sum())
        intake.duplicates += int(repeated.sum())
        if (latency := run.columns.get("service.latency_ms")) is not None:
            intake.latencies_ms.append(((run.model, run.version), numbers_of(latency)[counted]))
        for segments in self._segmentations(run, called):
            cut = groups(segments, panes, parts, taken)
            for sketches, slots in self._slots(decoded, run, cut):
                there = slots >= 0
                sketches.note(slots[repeated & there], slots[unkept & there])
                sketches.update(np.where(counted, slots, np.int32(-1)), run, dropped)

    def _segmentations(self, run: Columns, called: Called) -> Iterator[Segmentation]:
        """The run as a whole, then cut by each configured segment."""
        yield whole(run)
        for name in called.segments(run.model):
            cut = segmentation(run, name)
            if cut is not None:
                yield caps.folded(called, run, name, cut)

    def _slots(
        self, decoded: Decoded, run: Columns, parts: Iterable[Group]
    ) -> Iterator[tuple[StreamSketches, NDArray[np.int32]]]:
        """The slot of each event, -1 for none; more than once if something just changed."""
        by_sketches: dict[int, tuple[StreamSketches, NDArray[np.int32]]] = {}
        for segment, pane, part, mine in parts:
            rows = run.rows[mine]
            first, last = int(decoded.offsets[rows[0]]), int(decoded.offsets[rows[-1]])
            stream = Stream(run.model, run.version, segment)
            opened = self._part((stream, pane, part), first, last)
            _, slots = by_sketches.setdefault(
                id(opened.sketches), (opened.sketches, np.full(len(run.rows), -1, np.int32))
            )
            slots[mine] = opened.slot
        yield from by_sketches.values()

    def _part(self, key: PartKey, first: int, last: int) -> _OpenPart:
        part = self._open.get(key)
        if part is None:
            sketches = self._sketchbook.current(key[0].model, key[0].version, key[1])
            part = _OpenPart(sketches, sketches.open(), first, last)
            self._open[key] = part
        part.last_offset = last
        return part

    def _hand_out(self, intake: Intake, *, is_idle: bool) -> Intake:
        for key in sorted(self._open):
            closes_ms = self._time.closes_ms(key[1], key[2])
            if closes_ms <= self.watermark_ms:
                part = self._open.pop(key)
                self._send(intake, key, part, part.sketches.close(part.slot))
            elif is_idle:
                part = self._open[key]
                self._send(intake, key, part, part.sketches.state(part.slot))
        self._rolls.close()
        pane = self.told_ms // self._pane_ms
        if pane > self._marked_pane or is_idle or self._was_idle:
            self._marked_pane, self._was_idle = pane, is_idle
            self._beat += 1
            intake.marker = Marker(
                source=self._partition,
                sources=self._partitions,
                watermark_ms=self.told_ms,
                is_idle=is_idle,
                beat=self._beat,
                sent_ms=self.watermark_ms,
                sent_to=self._next_offset if is_idle else 0,
            )
        return intake

    def _send(self, intake: Intake, key: PartKey, opened: _OpenPart, state: WindowState) -> None:
        """Hand out a part unless this is what was sent of it before."""
        if opened.sent_to == opened.last_offset:
            return
        opened.sent_to = opened.last_offset
        (stream, pane, part), reference = key, opened.sketches.reference
        state.late = state.events if part else 0
        intake.partials.append(
            Partial(
                stream=stream,
                source=self._partition,
                pane=pane,
                part=part,
                first_offset=opened.first_offset,
                last_offset=opened.last_offset,
                reference_id=reference.id if reference else None,
                config_hash=self._configs.at(pane * self._pane_ms).config_hash,
                state=state,
            )
        )
