"""Judge: partials of one partition of the partials topic in, windows and alerts out.

In    partials and markers in offset order; what an earlier judge of the partition knew
Out   `Verdicts` per call: window summaries, alert events, orphans; records of what it knows
Not   Kafka, clocks, threads: who calls and what is done with the answer (agents.py, replay)

All that is told, and all that is known beside partials, changes at markers alone and is a function
of the log below `told_to`, of the references and of the configurations. So a judge that dies
between any two steps is taken up by another one that tells the same again, byte for byte and with
the same ids, if

1. what a call handed out is acknowledged before the next message is taken,
2. then the records of streams that changed are written, then the head with `told_to`,
3. and only then the safe offset is committed.

Died before 2: the head is older, its successor tells again what came after it. Died within 2: some
streams are further on than the head; they sleep until the log is as far as they are. Died before 3:
the successor reads a little more than it needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from stream.detect.configurations import Configurations
from stream.detect.judge import joint, rules
from stream.detect.judge.adaptive import Starts
from stream.detect.judge.alerts import AlertBook
from stream.detect.judge.comparing import compare_all, write_verdicts
from stream.detect.judge.findings import BREACH, Finding, Reading
from stream.detect.judge.gather import Gather, Orphan, Position, Seen
from stream.detect.judge.measures import Comparison
from stream.detect.judge.parts import Due, Fresh, Window
from stream.detect.judge.past import Past
from stream.detect.judge.previous import Previous
from stream.detect.judge.records import Earlier, HeadRecord, Memory, StreamRecord
from stream.detect.judge.summaries import add_joint, finished, summarise
from stream.detect.partials import Marker, Partial
from stream.detect.references import Reference
from stream.detect.specs import ModelSpec, TimeSpec
from stream.detect.states import Stream
from stream.detect.times import NEVER_MS

ReferenceById = Callable[[str, str, str], Reference | None]  # by model, version and id


@dataclass(slots=True)
class Verdicts:
    """What one call hands out.

    windows  summaries with verdicts, contract driftline.window/1
    alerts   alert events, contract driftline.alert.v1
    orphans  parts that came after their window was final
    rebuilt  streams whose record was lost, and that were judged again in silence
    """

    windows: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    orphans: list[Orphan] = field(default_factory=list)
    rebuilt: list[Stream] = field(default_factory=list)


class JudgeProgress(NamedTuple):
    """What a commit says beside the safe offset, in case the records are lost.

    told_to       what messages below this offset brought about was handed out and acknowledged;
                  not beyond the last marker, as partials bring about nothing before the next one
    judged_to_ms  windows that end here or earlier were among it
    """

    told_to: int = 0
    judged_to_ms: int = NEVER_MS


class Changes(NamedTuple):
    """What is to be written, the streams first."""

    streams: dict[Stream, StreamRecord]
    head: HeadRecord


class Judge:
    """The judge side of one partition of the partials topic.

    partitions  how many judges there are: the budget of segments is shared between them
    """

    def __init__(
        self,
        configs: Configurations,
        reference_by_id: ReferenceById,
        *,
        topic: str = "predictions",
        partitions: int = 1,
        next_offset: int = 0,
        progress: JudgeProgress | None = None,
        memory: Memory | None = None,
    ) -> None:
        memory = memory or Memory()
        self._configs = configs
        self._partitions = partitions
        self._reference_by_id = reference_by_id
        self._topic = topic
        position = _position(configs.time, memory.head, progress or JudgeProgress(), next_offset)
        self._gather = Gather(configs, next_offset=next_offset, position=position)
        self._is_awake = False
        self._books: dict[Stream, AlertBook] = {}
        self._pasts: dict[Stream, Past] = {}
        self._over: dict[Stream, int] = {}  # dropped, at which offset; until that is written
        self._earlier: dict[Stream, dict[int, Previous]] = {}  # by length
        self._starts = Starts(configs)
        self._unread: list[Previous] = []  # without sketches yet, the next one last
        self._fresh = Fresh()
        self._changed: dict[Stream, None] = {}
        self._written_to: int | None = None
        self._refused = Counter(memory.head.refused if memory.head else {})
        self._orphans: list[Orphan] = []  # to be told with the next marker
        self._bad: Counter[str] = Counter()  # messages refused since the last marker
        # Its last owner dropped a stream that is as old as this; the record is a zombie's.
        over_ms = position.final_ms - configs.time.forget_after_ms
        for stream, record in memory.streams.items():
            seen = record.seen
            is_known = seen.told_to > position.told_to or seen.last is None
            if is_known or sum(seen.last or ()) > over_ms:
                self._take_over(stream, record)
        self._unread.sort(key=lambda earlier: -earlier.told_to)

    @property
    def watermark_ms(self) -> int:
        """Windows that end here or earlier are judged; very negative until all sources spoke."""
        return self._gather.watermark_ms

    @property
    def told_to(self) -> int:
        """What messages below this offset brought about was handed out."""
        return self._gather.told_to

    def commit_point(self) -> tuple[int, JudgeProgress]:
        """The safe offset, and what to commit with it, once `changes` are written."""
        return self._gather.safe_offset(), JudgeProgress(self.told_to, self.watermark_ms)

    def add(self, items: list[tuple[int, Partial | Marker]]) -> Verdicts:
        """Take messages (offset, item); hand out windows that are complete or changed now."""
        verdicts = Verdicts()
        for offset, item in items:
            is_news = offset >= self.told_to
            while self._unread and self._unread[-1].told_to <= offset:
                self._read_earlier(self._unread.pop())
            if is_news and not self._is_awake:
                self._wake(verdicts)
            orphan = self._gather.add(item, offset)
            if orphan is not None:
                self._orphans.append(orphan)
            elif is_news and isinstance(item, Marker):
                self._tell(verdicts)
        return verdicts

    def refuse(self, offset: int, reason: str) -> bool:
        """A message that cannot be used; whether to tell of it, or it was told before."""
        is_news = offset >= self.told_to
        self._bad[reason] += is_news
        return is_news

    def changes(self) -> Changes | None:
        """What has to be written since the last call; None if nothing."""
        if not self._changed and self._written_to == self.told_to:
            return None
        changed, self._changed, self._written_to = self._changed, {}, self.told_to
        streams = {stream: self._record(stream) for stream in changed}
        gather = self._gather
        config_hash = self._configs.judging(gather.watermark_ms).config_hash
        head = HeadRecord(gather.position(), gather.safe_offset(), dict(self._refused), config_hash)
        return Changes(streams, head)

    def firing(self) -> dict[Stream, list[str]]:
        """Fingerprints of firing alerts by stream."""
        return {stream: book.firing() for stream, book in self._books.items()}

    def refused(self) -> dict[str, int]:
        """Events and messages that came to nothing, by reason, of all owners of the partition."""
        return dict(self._refused)

    def _take_over(self, stream: Stream, record: StreamRecord) -> None:
        self._gather.restore(stream, record.seen, is_over=record.is_over)
        if record.is_over:
            return
        self._pasts[stream] = past = Past.from_json(record.past)
        self._book(stream, past.last_ms).read_json(record.alerts)
        self._starts.restore(stream, record.first)
        for one in record.earlier:
            if one.length_ms not in self._configs.lengths(stream.model, one.start_ms):
                continue
            window = Window(stream, one.length_ms, one.start_ms)
            earlier = Previous(window, one.told_to, is_inline=one.state is not None)
            self._earlier.setdefault(stream, {})[one.length_ms] = earlier
            if one.state is None:
                self._unread.append(earlier)
            else:
                earlier.keep(one.state, self._fresh)

    def _read_earlier(self, earlier: Previous) -> None:
        """The partials that it was made of were read again, and no others yet."""
        state = self._gather.merged(earlier.window)
        if state is not None and state.events:
            earlier.keep(state, self._fresh)

    def _wake(self, verdicts: Verdicts) -> None:
        """Judge again, with all that was known, what was judged before; tell nobody."""
        self._is_awake = True
        rebuilt = dict[Stream, None]()
        for due in self._gather.rebuilt():
            self._judge(due)
            rebuilt[due.window.stream] = None
        verdicts.rebuilt += rebuilt

    def _tell(self, verdicts: Verdicts) -> None:
        for due in self._gather.due():
            window, alerts = self._judge(due)
            verdicts.windows.append(window)
            verdicts.alerts += alerts
        verdicts.orphans += self._orphans
        self._refused.update(self._bad)
        self._refused["too_late"] += sum(o.partial.state.events for o in self._orphans)
        self._orphans, self._bad = [], Counter()
        lost_panes, ended = self._gather.forget()
        for stream in lost_panes:
            for earlier in self._earlier.get(stream, {}).values():
                if not earlier.is_inline and self._gather.has_forgotten(earlier.window):
                    self._changed[stream] = None
        for stream in ended:
            verdicts.alerts += self._end(stream)

    def _end(self, stream: Stream) -> list[dict[str, Any]]:
        """Nothing came of a stream for so long that it is dropped."""
        self._changed[stream] = None
        self._over[stream] = self.told_to
        self._earlier.pop(stream, None)
        self._starts.drop(stream)
        self._pasts.pop(stream, None)
        book = self._books.pop(stream, None)
        if book is None or not book.firing():
            return []
        spec = self._configs.judging(self._gather.final_ms)
        length_ms = spec.model(stream.model).lengths_ms[0]
        end_ms = self._gather.final_ms // length_ms * length_ms
        due = Due(Window(stream, length_ms, end_ms - length_ms), 0, None, {})
        summary = summarise(due, {}, {}, spec.config_hash, self._topic, spec.hash_key)
        return book.close(Reading(due, summary, {}, {}))

    def _record(self, stream: Stream) -> StreamRecord:
        seen = self._gather.seen(stream)
        if seen is None:
            told_to = self._over.pop(stream, self.told_to)
            return StreamRecord(Seen(told_to, self._gather.final_ms), is_over=True)
        told_to = max(seen.told_to, self.told_to)
        rows = []
        for earlier in self._earlier.get(stream, {}).values():
            earlier.is_inline |= self._gather.has_forgotten(earlier.window)
            reference = earlier.reference() if earlier.is_inline else None
            state = reference.state if reference else None
            window = earlier.window
            rows.append(Earlier(window.length_ms, window.start_ms, earlier.told_to, state))
        seen = replace(
            seen,
            told_to=told_to,
            final_ms=self._gather.final_ms,
            revisions=dict(seen.revisions),
        )
        past = self._pasts.get(stream, Past())
        alerts, first = self._book(stream, past.last_ms).to_json(), list(self._starts.rows(stream))
        return StreamRecord(seen, rows, alerts, past.to_json(), first=first)

    def _book(self, stream: Stream, end_ms: int) -> AlertBook:
        """A stream's alerts, under the rules by which its last window is judged.

        end_ms  of the last window of any length
        """
        book, spec = self._books.get(stream), self._configs.judging(end_ms)
        if book is None:
            forget_after_ms = self._configs.time.forget_after_ms
            book = AlertBook(stream, spec.model(stream.model), spec.config_hash, forget_after_ms)
            self._books[stream] = book
        elif book.config_hash != spec.config_hash:
            changed = book.follow(spec.model(stream.model), spec.config_hash)
            self._pasts[stream].drop(changed)
        return book

    def _judge(self, due: Due) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        stream = due.window.stream
        spec = self._configs.judging(due.window.end_ms)
        model = spec.model(stream.model)
        references = self._references(due, model)
        ids = {name: reference.id for name, reference in references.items()}
        past = self._pasts.setdefault(stream, Past())
        past.follow(ids)
        book = self._book(stream, max(past.last_ms, due.window.end_ms))
        comparisons = compare_all(due, references, past)
        by_feature: dict[str, dict[str, Comparison]] = {}
        for name, compared in comparisons.items():
            for feature, comparison in compared.items():
                by_feature.setdefault(feature, {})[name] = comparison
        summary = summarise(due, by_feature, ids, spec.config_hash, self._topic, spec.hash_key)
        together = {
            name: joint.compare(due.state, reference, comparisons[name])
            for name, reference in references.items()
            if due.state is not None
        }
        add_joint(summary, together)
        made_of = [id_ or None for id_ in due.reference_ids]
        summary["made_under"] = {
            "reference_ids": made_of, "config_hashes": list(due.config_hashes)
        }  # fmt: skip
        segments = self._segments(stream)
        reading = Reading(due, summary, references, comparisons, past, segments, together)
        findings = [f for rule in model.rules for f in rules.apply(rule, model, reading)]
        write_verdicts(summary, findings)
        alerts = book.observe(
            findings,
            reading,
            final_ms=self._gather.final_ms,
            later=self._gather.judged_after(due.window),
        )
        if not due.revision:
            past.learn(due.window.length_ms, due.window.end_ms, comparisons)
        self._keep_as_previous(due, findings)
        self._changed[stream] = None
        return finished(summary), alerts

    def _segments(self, stream: Stream) -> int:
        """Among how many segments the model's budget for them is shared."""
        if not stream.segment:
            return 1
        return self._gather.segments(stream) * self._partitions

    def _references(self, due: Due, model: ModelSpec) -> dict[str, Reference]:
        """What a window is compared with; a function of the log, whoever judges it when."""
        stream, found = due.window.stream, {}
        # Partials made without a reference have no vocabulary and each its own anchor: beside a
        # reference that would look like drift. The first window that was made under one counts.
        if due.reference_id and "" not in due.reference_ids:
            training = self._reference_by_id(stream.model, stream.version, due.reference_id)
            if training is not None:
                found["training"] = training
        adaptive = None if found else self._starts.reference(due.window)
        if adaptive is not None:
            found["adaptive"] = adaptive
        earlier = self._earlier.get(stream, {}).get(due.window.length_ms)
        previous = earlier.reference() if earlier and model.keep_previous else None
        if previous is not None:
            found["previous"] = previous
        return found

    def _keep_as_previous(self, due: Due, findings: list[Finding]) -> None:
        """A window in an incident never becomes reference; drift alone is no incident."""
        if due.state is None or not due.state.events or due.revision:
            return
        if any(f.verdict == BREACH and f.rule.kind != "drift" for f in findings):
            return
        self._starts.take(due.window, due.state)
        earlier = Previous(due.window, self._gather.next_offset)
        earlier.keep(due.state, self._fresh)
        self._earlier.setdefault(due.window.stream, {})[due.window.length_ms] = earlier


def _position(
    time: TimeSpec, head: HeadRecord | None, progress: JudgeProgress, next_offset: int
) -> Position:
    """Where a judge goes on: at the head, or without one where the commit says."""
    if head is not None and head.position.told_to >= progress.told_to:
        return head.position
    told_to = max(progress.told_to, next_offset)
    judged_to_ms, pane_ms = progress.judged_to_ms, time.pane_ms
    final_ms = (judged_to_ms - time.revise_for_ms) // pane_ms * pane_ms
    if head is None:
        return Position(told_to, judged_to_ms, final_ms)
    known = head.position
    final_ms = max(final_ms, known.final_ms)
    return Position(told_to, max(judged_to_ms, known.watermark_ms), final_ms, known.sources)
