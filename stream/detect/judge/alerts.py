"""Alerts: findings window by window in, alert events out.

In    the findings of each window of a stream
Out   alert events, one per change of an alert's state; the book as JSON, and back
Not   the verdict itself (rules.py), when an alert fires and ends (lives.py), sending (bus)

Each event has a reason: first, changed, repeat, resolved, corrected, retracted. An alert whose rule
is gone, or of which no verdict came for `forget_after`, is resolved and says why: nobody would ever
end it otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stream.detect.judge import causes
from stream.detect.judge.enough import budget, sizing
from stream.detect.judge.findings import BREACH, NO_DATA, OK, Finding, Reading
from stream.detect.judge.lives import BREACHED, CLEAR, NEAR, NEW, SMALL, UNKNOWN, WIDE, Life
from stream.detect.judge.summaries import digest, tidy
from stream.detect.specs import ModelSpec, RuleSpec
from stream.detect.states import Stream
from stream.detect.times import NEVER_MS, rfc3339

CLEAR_SHARE = 0.8  # of the threshold: above it a firing alert is not clear
MOST_NAMED = 1_000  # values an alert tells of while it fires; then it says no more of new ones
EVENT_TYPE = "driftline.alert.v1"


@dataclass(slots=True)
class _Alert:
    """One alert: what it is about, in case its rule goes, and its life."""

    rule: RuleSpec
    feature: str | None
    measure: str
    length_ms: int
    life: Life
    is_gone: bool = False  # there is no such rule any more


class AlertBook:
    """The alerts of one stream."""

    def __init__(
        self, stream: Stream, model: ModelSpec, config_hash: str, forget_after_ms: int = -NEVER_MS
    ) -> None:
        self._stream = stream
        self._model = model
        self._rules = {rule.name: rule for rule in model.rules}
        self.config_hash = config_hash
        self._forget_after_ms = forget_after_ms
        self._alerts: dict[str, _Alert] = {}

    def observe(
        self,
        findings: list[Finding],
        reading: Reading,
        *,
        final_ms: int = NEVER_MS,
        later: Sequence[int] = (),
    ) -> list[dict[str, Any]]:
        """Alert events that this window, or this revision of it, brings about.

        final_ms  windows that end here or earlier are not revised any more
        later     starts of windows of this length that come after it and were judged before it
        """
        events, window = [], reading.due.window
        for finding in findings:
            fingerprint = self._fingerprint(finding.rule, finding.feature)
            alert = self._alerts.get(fingerprint)
            if alert is None:
                # Late data may change windows of rules that are gone; that opens no alert.
                if finding.verdict != BREACH or finding.rule.name not in self._rules:
                    continue
                alert = self._alerts[fingerprint] = self._open(finding, reading)
                # Nothing was noted of them, so none was a breach; one without data counts as clear.
                alert.life.letters.update(dict.fromkeys(later, CLEAR))
            alert.life.settle(final_ms, window.length_ms)
            reason = self._step(alert, finding, reading)
            if reason:
                alert.life.tell(reason, window.start_ms, window.length_ms, finding.value)
                events.append(self._event(fingerprint, alert, reason, finding, reading))
        return events + self._close_some(reading)

    def close(self, reading: Reading) -> list[dict[str, Any]]:
        """The stream ended: what still fires is resolved."""
        why = "nothing came for so long that it is not watched any more"
        alerts, self._alerts = self._alerts, {}
        return [
            self._closing(fingerprint, alert, why, reading)
            for fingerprint, alert in alerts.items()
            if alert.life.is_firing
        ]

    def firing(self) -> list[str]:
        """Fingerprints of the alerts that fire now."""
        return [name for name, alert in self._alerts.items() if alert.life.is_firing]

    def to_json(self) -> list[dict[str, Any]]:
        """Every alert of which something could still be told."""
        return [
            {
                "fingerprint": fingerprint,
                "rule": alert.rule.name,
                "kind": alert.rule.kind,
                "severity": alert.rule.severity,
                "feature": alert.feature,
                "measure": alert.measure,
                "length_ms": alert.length_ms,
                **alert.life.to_json(alert.length_ms),
            }
            for fingerprint, alert in sorted(self._alerts.items())
        ]

    def read_json(self, rows: list[dict[str, Any]]) -> None:
        """Take over what `to_json` gave, under the rules of today.

        Raises KeyError, TypeError or ValueError if it did not.
        """
        for row in rows:
            gone = RuleSpec(name=row["rule"], kind=row["kind"], severity=row["severity"])
            rule = self._rules.get(row["rule"], gone)
            life, length_ms = _life(rule), int(row["length_ms"])
            life.read_json(row, length_ms)
            alert = _Alert(rule, row["feature"], row["measure"], length_ms, life)
            alert.is_gone = rule is gone
            self._alerts[row["fingerprint"]] = alert

    def follow(self, model: ModelSpec, config_hash: str) -> set[str]:
        """Go on under another configuration; the names of rules that are gone or others now.

        An alert keeps its life. Where other windows make it up, or another number of them, what
        it came to is final: nobody would live the same windows again by other rules.
        """
        before, self._rules = self._rules, {rule.name: rule for rule in model.rules}
        self._model, self.config_hash = model, config_hash
        for alert in self._alerts.values():
            rule = self._rules.get(alert.rule.name)
            alert.is_gone = rule is None
            length_ms = alert.length_ms
            if rule is not None:
                alert.rule, length_ms = rule, rule.length_ms or model.lengths_ms[0]
            elif length_ms not in model.lengths_ms:
                length_ms = model.lengths_ms[0]
            is_other = length_ms != alert.length_ms
            alert.life.follow(_life(alert.rule), is_other_length=is_other)
            alert.length_ms = length_ms
        return {name for name, rule in before.items() if self._rules.get(name) != rule}

    def _open(self, finding: Finding, reading: Reading) -> _Alert:
        length_ms = reading.due.window.length_ms
        rule = self._rules[finding.rule.name]
        return _Alert(rule, finding.feature, finding.measure, length_ms, _life(rule))

    def _step(self, alert: _Alert, finding: Finding, reading: Reading) -> str | None:
        """The life cycle's next step; the reason to tell of it, if there is one."""
        life, window = alert.life, reading.due.window
        is_revision = reading.due.revision > 0
        if is_revision and finding.is_small:
            return None  # what wide windows say is not revised
        reason = life.take(
            _letter(finding),
            window.start_ms,
            window.length_ms,
            finding.value,
            is_revision=is_revision,
        )
        if finding.verdict != BREACH or not _names_values(finding) or not life.is_firing:
            return reason
        new = set(causes.unseen_values(finding, reading)) - life.named
        is_changed = reason is None and not is_revision and new and len(life.named) < MOST_NAMED
        if reason or is_changed:
            life.named |= new
        return "changed" if is_changed else reason

    def _close_some(self, reading: Reading) -> list[dict[str, Any]]:
        """Forget alerts that are over; resolve those that nothing would ever end."""
        events, window = [], reading.due.window
        for fingerprint, alert in list(self._alerts.items()):
            if alert.length_ms != window.length_ms:
                continue
            is_stale = alert.life.seen_ms < window.end_ms - self._forget_after_ms
            if not (alert.is_gone or is_stale or alert.life.is_over):
                continue
            del self._alerts[fingerprint]
            if alert.life.is_firing:
                why = "its rule is gone" if alert.is_gone else "no verdict came for too long"
                events.append(self._closing(fingerprint, alert, why, reading))
        return events

    def _closing(
        self, fingerprint: str, alert: _Alert, why: str, reading: Reading
    ) -> dict[str, Any]:
        finding = Finding(alert.rule, alert.feature, NO_DATA, alert.measure)
        since_ms, alert.life.base = alert.life.now.since_ms, NEW
        alert.life.letters.clear()
        event = self._event(fingerprint, alert, "resolved", finding, reading)
        whose = f"{self._stream.model}/{self._stream.version}"
        since = f" since {rfc3339(since_ms)}" if since_ms is not None else ""
        what = alert.feature or "the service"
        event["data"]["summary"] = f"{whose}: {what} was an alert{since}; {why}."
        return event

    def _fingerprint(self, rule: RuleSpec, feature: str | None) -> str:
        # The rule's reference, not the one it found: that may come and go with publications.
        return digest(*self._stream, rule.name, feature or "", rule.reference or "")

    def _event(
        self, fingerprint: str, alert: _Alert, reason: str, finding: Finding, reading: Reading
    ) -> dict[str, Any]:
        """A CloudEvents 1.0 event; its id is made of event-time data alone."""
        window, rule, summary = reading.due.window, finding.rule, reading.summary
        stream, since_ms = self._stream, alert.life.now.since_ms
        hinted = causes.hints(finding, reading) if finding.verdict == BREACH else []
        if finding.verdict == BREACH:
            words = causes.sentence(finding, reading, hinted)
        else:
            words = causes.end_sentence(reason, finding, reading)
        reference = reading.references.get(finding.reference or "")
        event = {
            "specversion": "1.0",
            "id": digest(
                fingerprint, window.length_ms, window.start_ms, reason, reading.due.revision
            ),
            "source": f"driftline/{stream.model}/{stream.version}",
            "type": EVENT_TYPE,
            "subject": f"{stream.model}/{stream.version}",
            "time": summary["end"],
            "datacontenttype": "application/json",
            "data": {
                "fingerprint": fingerprint,
                "state": "resolved" if since_ms is None else "firing",
                "reason": reason,
                "since": None if since_ms is None else rfc3339(since_ms),
                "revision": reading.due.revision,
                "kind": rule.kind,
                "rule": rule.name,
                "severity": rule.severity,
                "owner": self._model.owner,
                "runbook": rule.runbook or self._model.runbook,
                "model": stream.model,
                "version": stream.version,
                "segment": stream.segment or None,
                "feature": _feature_name(finding.feature),
                "window": {"start": summary["start"], "end": summary["end"]},
                "measure": _measure(finding),
                "budget": budget(finding),
                "summary": words,
                "evidence": _evidence(finding, reading),
                "causes": hinted,
                "contributors": [],
                "inhibited_by": None,
                "reference_id": reference.id if reference else None,
                "config_hash": reading.summary["config_hash"],
                "source_offsets": summary["source_offsets"],
            },
        }
        return tidy(event)  # type: ignore[no-any-return]


def _life(rule: RuleSpec) -> Life:
    return Life(rule.hold, rule.keep_firing, rule.repeat_ms)


def _letter(finding: Finding) -> str:
    if finding.verdict == BREACH:
        # A wide window stands for as many as have to agree.
        return WIDE if finding.windows > 1 else BREACHED
    if finding.verdict != OK:
        return SMALL if finding.is_small else UNKNOWN
    return CLEAR if _is_clear(finding) else NEAR


def _is_clear(finding: Finding) -> bool:
    """Whether the value is well within its bound, or between both if there are two."""
    rule = finding.rule
    if rule.below is not None:
        return rule.above is not None or finding.value * CLEAR_SHARE >= rule.below
    if finding.clear is not None:
        return not finding.value > finding.clear
    noise = finding.null_expectation or 0.0  # in small windows most of the value, and no drift
    bound = noise + CLEAR_SHARE * (abs(finding.threshold) - noise)
    return not abs(finding.value) > bound or finding.threshold <= 0


def _names_values(finding: Finding) -> bool:
    return finding.measure.startswith("unseen")


def _feature_name(name: str | None) -> str | None:
    return None if name is None else name.removeprefix("feature.")


def _measure(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.measure,
        "value": finding.value,
        "threshold": finding.threshold,
        "null_expectation": finding.null_expectation,
        "p_value": finding.p_value,
        "q_value": finding.q_value,
        "level": finding.level,
        "windows": finding.windows,
        **sizing(finding),
        "n": finding.n,
        "n_reference": finding.n_reference,
        "reference": finding.reference,
    }


def _evidence(finding: Finding, reading: Reading) -> dict[str, Any]:
    comparison = finding.comparison
    evidence: dict[str, Any] = dict(finding.detail)
    if finding.measure.startswith("unseen"):
        evidence["unseen_values"] = causes.unseen_values(finding, reading)
    if finding.feature is None and finding.rule.measure:
        return evidence
    if finding.feature is None:
        return evidence | {"service": reading.summary["service"]}
    if comparison is None:
        return evidence
    edges = {"edges": comparison.edges} if comparison.edges else {}
    return evidence | edges | {
        "labels": comparison.labels,
        "reference": comparison.reference.astype(int).tolist(),
        "current": comparison.current.astype(int).tolist(),
        "top_bins": causes.top_bins(comparison),
    }  # fmt: skip
