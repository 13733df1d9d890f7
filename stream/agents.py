"""Agents: lane events in; partials, windows, alerts and dead letters on their topics out.

In    what `bus/lane.py` puts on a channel: Assigned, Batch, Idle, Revoked
Out   records, awaited; then a commit of what is safe
Not   what events mean (detect/), where partitions come from (bus/lane.py)

An agent takes one event at a time, so nothing here needs a lock. What is handed out by the detector
is acknowledged by the broker before the next event is taken, and offsets are committed only then.
Whatever is not foreseen ends the worker: the next one replays from the last commit.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import faust
import orjson

from stream.bus.configuration_log import ConfigurationLog
from stream.bus.failpoints import reach
from stream.bus.lane import Assigned, Batch, Idle, Lane, LaneEvent, Revoked
from stream.bus.losses import bomb_letter, loss_letter
from stream.bus.oversize import REASON, fitting
from stream.bus.parts import part_records, read_parts
from stream.bus.producer import Producer, Record
from stream.bus.state_store import StateStore
from stream.bus.told import told_records
from stream.clock import Clock
from stream.detect.detector import Detector
from stream.detect.ingest.blocks import Block, slices
from stream.detect.ingest.codec import DeadLetter, dead_letter
from stream.detect.ingest.events import Messages
from stream.detect.ingest.ingestor import Ingestor, Intake
from stream.detect.ingest.windows import Progress
from stream.detect.judge.judge import Judge, JudgeProgress, Verdicts
from stream.detect.judge.records import Damaged
from stream.detect.partials import Marker, Partial
from stream.detect.times import NEVER_MS, rfc3339
from stream.errors import FormatError, RebalanceError
from stream.serve.metrics import Metrics
from stream.serve.recent import Recent

COMMIT_EVERY_MS = 1_000
RECORDS_SHARE = 0.1  # of the time may go into writing what judges know
REFERENCE_WITHIN_MS = 5_000  # a worker saw it on its topic before, so it comes; or it is gone
LOOK_AGAIN_S = 0.05
READ_AT_ONCE = 64  # partials
BREATH_MS = 10  # of work on the event loop between two chances for others


class _Commits:
    """When to commit, and what was committed, so that nothing is committed twice."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_ms = 0
        self._done: dict[int, tuple[int, str]] = {}  # by partition

    def is_due(self) -> bool:
        """Whether the last time lies long enough back; if so, now is the last time."""
        now_ms = self._clock.monotonic_ms()
        if now_ms < self._next_ms:
            return False
        self._next_ms = now_ms + COMMIT_EVERY_MS
        return True

    async def commit(self, lane: Lane, partition: int, offset: int, metadata: str) -> bool:
        """Commit an offset with its metadata, unless just this stands there; whether it did."""
        if self._done.get(partition) == (offset, metadata):
            return False
        is_done = await lane.commit(partition, offset, metadata)
        if is_done:
            self._done[partition] = (offset, metadata)
        return is_done

    def forget(self, partition: int) -> None:
        """Another worker commits for the partition now."""
        self._done.pop(partition, None)


class IngestAgent:
    """Turns predictions into partials, for the partitions this worker has."""

    def __init__(
        self,
        detector: Detector,
        producer: Producer,
        topics: Mapping[str, str],
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._detector, self._producer, self._topics = detector, producer, topics
        self._metrics, self._clock = metrics, clock
        self._ingestors: dict[int, Ingestor] = {}
        self._commits = _Commits(clock)
        self._spread = 0  # partitions of the partials topic

    async def on_event(self, event: LaneEvent, lane: Lane) -> None:
        """One step; returns when all it brought about is acknowledged."""
        match event:
            case Assigned():
                self._forget(event.partition)
                progress = _progress_from(event.metadata)
                self._ingestors[event.partition] = self._detector.ingestor(
                    event.partition,
                    event.partitions,
                    next_offset=event.offset,
                    progress=progress,
                    beat=event.tenure,
                )
                # What was read before it was deleted is not lost, only not read again.
                lost = min(event.lost, max(0, event.offset - progress.read_to))
                await self._tell_loss(event.partition, event.offset, lost)
            case Batch() if event.partition in self._ingestors and lane.holds(event.partition):
                await self._count(event)
            case Idle() if event.partition in self._ingestors and lane.holds(event.partition):
                ingestor = self._ingestors[event.partition]
                intake = await asyncio.to_thread(ingestor.idle, event.elapsed_ms)
                await self._hand_out(intake, event.partition)
                reach("idle.before-commit")
            case Revoked():
                reach("revoke.before-commit")
                await self._commit(lane)
                self._forget(event.partition)
                event.done.set()
        if self._commits.is_due():
            await self._commit(lane)

    async def _count(self, batch: Batch) -> None:
        await self._tell_loss(batch.partition, batch.first_offset, batch.lost)
        for bomb in batch.bombs:
            await self._hand_out(Intake(dead=[bomb_letter(bomb)]), batch.partition)
        ingestor = self._ingestors[batch.partition]
        for part in slices(batch.messages):
            # In a thread: thousands of models in a slice take seconds, and heartbeats must live.
            intake = await asyncio.to_thread(self._add, ingestor, part)
            await self._hand_out(intake, batch.partition)

    def _add(self, ingestor: Ingestor, part: Messages | Block) -> Intake:
        intake = ingestor.add(part)
        self._metrics.count_events(intake.counted, intake.late)
        self._metrics.duplicates.inc(intake.duplicates)
        for stream, latencies_ms in intake.latencies_ms:
            self._metrics.latency.add(stream, latencies_ms)
        return intake

    def _forget(self, partition: int) -> None:
        """The partition is another worker's now, or will be."""
        if (lost := self._ingestors.pop(partition, None)) is not None:
            lost.drop()
        self._commits.forget(partition)
        self._metrics.forget_partition(partition)

    async def _tell_loss(self, partition: int, offset: int, lost: int) -> None:
        if lost:
            self._metrics.lost_messages.inc(lost)
            await self._hand_out(Intake(dead=[loss_letter(offset, lost)]), partition)

    async def _spread_of_partials(self) -> int:
        """How many partitions a stream's partials may go to; the same for all workers, always."""
        topic = self._topics["partials"]
        now = await self._producer.partitions(topic)
        self._spread = self._spread or now
        if now != self._spread:
            raise RebalanceError(
                f"topic {topic} has {now} partitions and had {self._spread}: streams would change "
                "their partition; stop all workers, and start them when all windows are closed"
            )
        return now

    async def _hand_out(self, intake: Intake, partition: int) -> None:
        topics, records = self._topics, list[Record]()
        now = rfc3339(self._clock.now_ms())
        if intake.partials or intake.dead or intake.marker:
            partitions = await self._spread_of_partials()
            to_pack = (intake, topics, partition, partitions, now)
            records += await asyncio.to_thread(part_records, *to_pack)
        if intake.marker is not None and intake.marker.watermark_ms > NEVER_MS:
            gauge = self._metrics.child(self._metrics.watermark, str(partition))
            gauge.set(intake.marker.watermark_ms / 1000)
        for letter in intake.dead:
            self._metrics.dead_letters.labels(letter.reason).inc(letter.count)
        last = max((one.last_offset for one in intake.partials), default=0)
        records, refused = fitting(records, topics["dead-letters"], partition, last, now)
        if refused:
            self._metrics.dead_letters.labels(REASON).inc(refused)
        reach("ingest.before-send")
        await self._producer.send(records)
        reach("ingest.after-send")

    async def _commit(self, lane: Lane) -> None:
        for partition, ingestor in self._ingestors.items():
            offset, progress = ingestor.commit_point()
            await self._commits.commit(lane, partition, offset, _progress_text(progress))


class JudgeAgent:
    """Turns partials into windows and alerts, for the partitions this worker has."""

    def __init__(
        self,
        detector: Detector,
        producer: Producer,
        topics: Mapping[str, str],
        metrics: Metrics,
        recent: Recent,
        states: StateStore,
        clock: Clock,
    ) -> None:
        self._detector, self._producer, self._topics = detector, producer, topics
        self._metrics, self._recent, self._clock = metrics, recent, clock
        self._states = states
        self._judges: dict[int, Judge] = {}
        self._commits = _Commits(clock)
        self._save_from_ms = self._breathe_ms = 0
        self._unknown: set[str] = set()  # ids of references that did not come

    async def on_event(self, event: LaneEvent, lane: Lane) -> None:
        """One step; returns when all it brought about is acknowledged."""
        match event:
            case Assigned():
                memory, damaged = await self._states.take_over(event.partition)
                await self._tell_damage(event.partition, damaged)
                self._judges[event.partition] = await asyncio.to_thread(
                    self._detector.judge,
                    topic=self._topics["predictions"],
                    partitions=event.partitions,
                    next_offset=event.offset,
                    progress=JudgeProgress(**orjson.loads(event.metadata or b"{}")),
                    memory=memory,
                )
            case Batch():
                await self._judge(event, lane)
            case Idle():
                pass  # a judge waits for its sources, not for the clock
            case Revoked():
                reach("revoke.before-commit")
                await self._commit(lane)
                self._judges.pop(event.partition, None)
                self._states.give_up(event.partition)
                self._commits.forget(event.partition)
                event.done.set()
        if self._clock.monotonic_ms() >= self._save_from_ms and self._commits.is_due():
            await self._commit(lane)

    async def _judge(self, batch: Batch, lane: Lane) -> None:
        judge, pane_ms = self._judges[batch.partition], self._detector.configs.time.pane_ms
        assert isinstance(batch.messages, Messages)  # this lane is not raw
        _, _, values, offsets, arrivals_ms = batch.messages
        for first in range(0, len(values), READ_AT_ONCE):
            some = slice(first, first + READ_AT_ONCE)
            # In a thread: a partial is read and checked in half a millisecond.
            items = await asyncio.to_thread(read_parts, values[some], pane_ms)
            rows = zip(items, values[some], offsets[some], arrivals_ms[some], strict=True)
            for item, value, offset, came_ms in rows:
                if not lane.holds(batch.partition):
                    return  # its new owner knows more by now
                await self._take(judge, batch.partition, item, value, offset, came_ms)

    async def _take(
        self,
        judge: Judge,
        partition: int,
        item: Partial | Marker | FormatError,
        value: bytes | None,
        offset: int,
        came_ms: int,
    ) -> None:
        """One message of the partials topic, and all it brings about."""
        await self._breathe()
        if isinstance(item, FormatError):
            if judge.refuse(offset, "bad_partial"):
                await self._refuse(str(item), value or b"", partition, offset)
            return
        if isinstance(item, Partial):
            await self._await_reference(item)
        verdicts = await self._verdicts(judge, offset, item)
        await self._hand_out(verdicts, partition, offset)
        if verdicts.windows:
            took_ms = self._clock.now_ms() - came_ms  # the broker's clock and ours may differ
            self._metrics.window_close.observe(max(0, took_ms) / 1000)

    async def _verdicts(self, judge: Judge, offset: int, item: Partial | Marker) -> Verdicts:
        if isinstance(item, Partial):
            return judge.add([(offset, item)])
        # A marker can close many windows: in a thread, so that heartbeats live.
        return await asyncio.to_thread(judge.add, [(offset, item)])

    async def _hand_out(self, verdicts: Verdicts, partition: int, offset: int) -> None:
        records, letters = list[Record](), Counter[str]()
        if has_told := any((verdicts.windows, verdicts.alerts, verdicts.orphans, verdicts.rebuilt)):
            where = (self._topics, partition, offset, rfc3339(self._clock.now_ms()))
            records, letters = await asyncio.to_thread(told_records, verdicts, *where)
        reach("judge.before-send")
        await self._producer.send(records)
        reach("judge.after-send")
        if has_told:
            await asyncio.to_thread(self._show, verdicts, letters)

    def _show(self, verdicts: Verdicts, letters: Counter[str]) -> None:
        for reason, n in letters.items():
            self._metrics.dead_letters.labels(reason).inc(n)
        self._metrics.observe_windows(verdicts.windows)
        self._metrics.observe_alerts(verdicts.alerts)
        self._recent.add(verdicts.windows, verdicts.alerts)

    async def _breathe(self) -> None:
        """Let others run: hundreds of partials in a row would hold up the event loop."""
        if self._clock.monotonic_ms() >= self._breathe_ms:
            await asyncio.sleep(0)
            self._breathe_ms = self._clock.monotonic_ms() + BREATH_MS

    async def _refuse(self, why: str, raw: bytes, partition: int, offset: int) -> None:
        letter = DeadLetter(
            reason="bad_partial", field=None, detail=why, offset=offset, raw=raw[:3_072]
        )
        topics, now = self._topics, rfc3339(self._clock.now_ms())
        value = dead_letter(letter, topics["partials"], partition, now)
        self._metrics.dead_letters.labels(letter.reason).inc()
        await self._producer.send([Record(topics["dead-letters"], b"bad_partial", value)])

    async def _tell_damage(self, partition: int, damaged: Sequence[Damaged]) -> None:
        topics, now = self._topics, rfc3339(self._clock.now_ms())
        for (key, value, offset), why in damaged:
            detail, raw = f"{key[:200]!r}: {why}", (value or b"")[:3_072]
            letter = DeadLetter(
                reason="bad_state", field=None, detail=detail, offset=offset, raw=raw
            )
            body = dead_letter(letter, topics["judge-state"], partition, now)
            self._metrics.dead_letters.labels(letter.reason).inc()
            await self._producer.send([Record(topics["dead-letters"], b"bad_state", body)])

    async def _await_reference(self, partial: Partial) -> None:
        """What a pane was counted under was on the references topic: it is known in a moment."""
        id_, (model, version, _) = partial.reference_id, partial.stream
        until_ms = self._clock.monotonic_ms() + REFERENCE_WITHIN_MS
        while id_ and id_ not in self._unknown:
            if self._detector.reference_by_id(model, version, id_) is not None:
                return
            if self._clock.monotonic_ms() >= until_ms:
                self._unknown.add(id_)
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _commit(self, lane: Lane) -> None:
        """Write what judges know, then what they need no more; detect/judge/judge.py says why."""
        started_ms = self._clock.monotonic_ms()
        for partition, judge in self._judges.items():
            if (changes := await asyncio.to_thread(judge.changes)) is not None:
                reach("state.before")
                await self._states.save(partition, changes)
                reach("state.after")
            offset, progress = judge.commit_point()
            metadata = orjson.dumps(progress._asdict()).decode()
            if await self._commits.commit(lane, partition, offset, metadata):
                await self._states.clean(partition)
        now_ms = self._clock.monotonic_ms()
        self._save_from_ms = now_ms + int((now_ms - started_ms) * (1 / RECORDS_SHARE - 1))


def attach(
    app: faust.App,
    channel: Any,
    handler: IngestAgent | JudgeAgent,
    lane: Lane,
    log: ConfigurationLog,
) -> None:
    """Make the handler a Faust agent of the app that reads the lane's channel."""

    async def take(events: faust.StreamT[Any]) -> None:
        async for event in events:
            lane.taken(event)
            try:
                await log.before(event)
                await handler.on_event(event, lane)
            except Exception as error:
                await app.crash(error)
                raise
            lane.handled()

    app.agent(channel, name=f"driftline.{type(handler).__name__}")(take)


def _progress_text(progress: Progress) -> str:
    """Progress as a commit's metadata."""
    return orjson.dumps(progress._asdict()).decode()


def _progress_from(metadata: str) -> Progress:
    body = orjson.loads(metadata or "{}")
    if body.pop("floors", ()):
        # Release 0.1 closed parts by the clock: they are sent once more, as the log has them.
        body["sent_ms"] = body["watermark_ms"]
    return Progress(**body)
