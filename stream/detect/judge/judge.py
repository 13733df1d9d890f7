"""Judge: partials of one partition of the partials topic in, windows and alerts out.

In    partials and markers in offset order
Out   `Verdicts` per call: window summaries, alert events, orphans
Not   Kafka, clocks, threads: who calls and what is done with the answer (agents.py, replay)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import nan
from typing import Any, NamedTuple

import numpy as np

from kernels.measures import significance
from stream.detect.ingest.codec import DeadLetter
from stream.detect.judge import rules
from stream.detect.judge.alerts import AlertBook
from stream.detect.judge.enough import sentence_of, sizing
from stream.detect.judge.findings import BREACH, NO_DATA, NOT_ENOUGH, OK, Finding, Reading
from stream.detect.judge.gather import Due, Gather, Orphan
from stream.detect.judge.measures import Comparison, compare, weigh
from stream.detect.judge.past import Past
from stream.detect.judge.summaries import digest, summarise, tidy
from stream.detect.partials import Marker, Partial
from stream.detect.references import Reference
from stream.detect.specs import WEEK_MS, DetectorSpec
from stream.detect.states import FeatureState, Stream, WindowState
from stream.detect.times import NEVER_MS

ReferenceOf = Callable[[str, str], Reference | None]  # by model and version


@dataclass(slots=True)
class Verdicts:
    """What one call hands out.

    windows  summaries with verdicts, contract driftline.window/1
    alerts   alert events, contract driftline.alert.v1
    orphans  parts that came after their window was final
    """

    windows: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    orphans: list[Orphan] = field(default_factory=list)


class JudgeProgress(NamedTuple):
    """What a commit says beside the safe offset.

    told_to       what messages below this offset brought about was handed out and acknowledged;
                  not beyond the last marker, as partials bring about nothing before the next one
    judged_to_ms  windows that end here or earlier were among it
    """

    told_to: int = 0
    judged_to_ms: int = NEVER_MS


class Judge:
    """The judge side of one partition of the partials topic.

    After a restart it reads again what may still be revised, and judges it in silence.

    partitions  how many judges there are: the budget of segments is shared between them
    """

    def __init__(
        self,
        spec: DetectorSpec,
        reference_of: ReferenceOf,
        *,
        topic: str = "predictions",
        partitions: int = 1,
        next_offset: int = 0,
        progress: JudgeProgress | None = None,
    ) -> None:
        self._spec = spec
        self._partitions = partitions
        self._progress = progress or JudgeProgress()
        self._told_to = self._progress.told_to
        self._is_catching_up = next_offset < self._progress.told_to
        self._reference_of = reference_of
        self._topic = topic
        self._gather = Gather(spec, next_offset=next_offset)
        self._books: dict[Stream, AlertBook] = {}
        self._pasts: dict[Stream, Past] = {}
        self._previous: dict[tuple[Stream, int], Reference] = {}

    @property
    def watermark_ms(self) -> int:
        """Windows that end here or earlier are judged; very negative until all sources spoke."""
        return max(self._gather.watermark_ms, self._progress.judged_to_ms)

    def commit_point(self) -> tuple[int, JudgeProgress]:
        """The safe offset, and what to commit with it."""
        return self._gather.safe_offset(), JudgeProgress(self._told_to, self.watermark_ms)

    def add(self, items: list[tuple[int, Partial | Marker]]) -> Verdicts:
        """Take messages (offset, item); hand out windows that are complete or changed now."""
        verdicts = Verdicts()
        for offset, item in items:
            if self._is_catching_up and offset >= self._progress.told_to:
                self._catch_up()
            orphan = self._gather.add(item, offset)
            if self._is_catching_up:
                continue
            if orphan is not None:
                verdicts.orphans.append(orphan)
            elif isinstance(item, Marker):
                self._judge_due(verdicts)
                self._told_to = offset + 1
        return verdicts

    def _catch_up(self) -> None:
        """Judge again, with all that was known, what was judged before; tell nobody."""
        judged_to_ms = self._progress.judged_to_ms
        for due in self._gather.due(judged_to_ms):
            if self._gather.is_whole(due.window, judged_to_ms):
                self._judge(due)
        self._is_catching_up = False

    def firing(self) -> dict[Stream, list[str]]:
        """Fingerprints of firing alerts by stream."""
        return {stream: book.firing() for stream, book in self._books.items()}

    def _judge_due(self, verdicts: Verdicts) -> None:
        for due in self._gather.due():
            window, alerts = self._judge(due)
            verdicts.windows.append(window)
            verdicts.alerts += alerts

    def _judge(self, due: Due) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        stream = due.window.stream
        model = self._spec.model(stream.model)
        references = self._references(due)
        ids = {name: reference.id for name, reference in references.items()}
        past = self._pasts.setdefault(stream, Past())
        past.follow(ids)
        comparisons = _compare(due, references, past)
        by_feature: dict[str, dict[str, Comparison]] = {}
        for name, compared in comparisons.items():
            for feature, comparison in compared.items():
                by_feature.setdefault(feature, {})[name] = comparison
        spec = self._spec
        summary = summarise(due, by_feature, ids, spec.config_hash, self._topic, spec.hash_key)
        segments = self._segments(due)
        reading = Reading(due, summary, references, comparisons, past, segments)
        findings = [f for rule in model.rules for f in rules.apply(rule, model, reading)]
        _write_verdicts(summary, findings)
        book = self._books.get(stream)
        if book is None:
            book = self._books[stream] = AlertBook(stream, model, self._spec.config_hash)
        alerts = book.observe(findings, reading)
        if not due.revision:
            past.learn(due.window.length_ms, due.window.end_ms, comparisons)
        self._keep_as_previous(due, findings)
        return tidy(summary), alerts

    def _segments(self, due: Due) -> int:
        """Among how many segments the model's budget for them is shared."""
        model, version, segment = due.window.stream
        if not segment:
            return 1
        since_ms = due.window.end_ms - WEEK_MS
        seen = sum(
            1
            for stream, past in self._pasts.items()
            if stream[:2] == (model, version) and stream.segment and past.last_ms > since_ms
        )
        return max(seen, 1) * self._partitions

    def _references(self, due: Due) -> dict[str, Reference]:
        stream = due.window.stream
        training = self._reference_of(stream.model, stream.version)
        previous = self._previous.get((stream, due.window.length_ms))
        found = {}
        # Partials made without a reference have no anchor and no vocabulary: what they say is too
        # coarse to be called drift. The first window that was made under one is compared.
        if training is not None and "" not in due.reference_ids:
            found["training"] = training
        if previous is not None and self._spec.model(stream.model).keep_previous:
            found["previous"] = previous
        return found

    def _keep_as_previous(self, due: Due, findings: list[Finding]) -> None:
        """A window in an incident never becomes reference; drift alone is no incident."""
        if due.state is None or not due.state.events or due.revision:
            return
        if any(f.verdict == BREACH and f.rule.kind != "drift" for f in findings):
            return
        stream, length_ms, start_ms = due.window
        self._previous[stream, length_ms] = Reference(
            digest("previous", *stream, length_ms, start_ms),
            stream.model,
            stream.version,
            due.state,
        )


def _compare(
    due: Due, references: Mapping[str, Reference], past: Past
) -> dict[str, dict[str, Comparison]]:
    """Every feature of the window beside every reference, with q-values over the features."""
    state = due.state
    if state is None:
        return {}
    compared: dict[str, dict[str, Comparison]] = {}
    for name, reference in references.items():
        known = state.features.keys() | reference.state.features.keys()
        found = {
            feature: comparison
            for feature in sorted(known)
            if not feature.startswith("service.")
            and (comparison := _compare_feature(feature, state, reference))
        }
        for comparison in found.values():
            weigh(comparison, past.noise(due.window.length_ms, name, comparison))
        p_values = np.array([c.p_values.get("psi", nan) for c in found.values()])
        q_values = significance.benjamini_hochberg(p_values) if len(found) else p_values
        for comparison, q_value in zip(found.values(), q_values.tolist(), strict=True):
            comparison.q_value = q_value
        compared[name] = found
    return compared


def _compare_feature(name: str, state: WindowState, reference: Reference) -> Comparison | None:
    # A feature that vanished is compared too: all of it is missing.
    return compare(name, state.features.get(name, FeatureState()), state.events, reference)


RANK = (NO_DATA, OK, NOT_ENOUGH, BREACH)  # of several findings the last of these counts


def _write_verdicts(summary: dict[str, Any], findings: list[Finding]) -> None:
    """The worst verdict of the window, and of each feature under each reference."""
    verdicts = {finding.verdict for finding in findings}
    worst = max(verdicts, key=RANK.index, default=NOT_ENOUGH if summary["count"] else NO_DATA)
    summary["verdict"] = worst
    for finding in findings:
        for body in _bodies(summary, finding.feature):
            measures = body.get("measures", {}).get(finding.reference)
            if measures is not None:
                told = measures.get("verdict", NO_DATA)
                measures["verdict"] = max(told, finding.verdict, key=RANK.index)
                measures.update(sizing(finding))
    summary["summary"] = sentence_of(summary, findings)


def _bodies(summary: dict[str, Any], feature: str | None) -> list[dict[str, Any]]:
    section, _, name = (feature or "").partition(".")
    prediction = summary["prediction"] or {}
    if section == "feature":
        return [summary["features"][name]] if name in summary["features"] else []
    if section == "prediction" and prediction:
        return [prediction.get("label", prediction) if name == "label" else prediction]
    return []


def orphan_letter(partial: Partial, offset: int) -> DeadLetter:
    """The dead letter of a part that came after its window was final."""
    whose = f"{partial.stream.model}/{partial.stream.version}"
    detail = (
        f"{partial.state.events} events of {whose}, offsets {partial.first_offset} to "
        f"{partial.last_offset} of source partition {partial.source}, came after their window "
        "was final"
    )
    return DeadLetter(reason="too_late", field="ts", detail=detail, offset=offset, raw=b"")
