"""Alerts: findings window by window in, alert events out.

In    the findings of each window of a stream, in event time
Out   alert events, one per change of an alert's state
Not   the verdict itself (rules.py), sending (bus)

    inactive ──breach──► pending ──`for` breaches──► firing ──`keep_firing` clear──► resolved
                            └─────no breach──► inactive

Words and life cycle are Prometheus'. A window without enough data changes nothing: silence never
resolves an alert. While an alert fires, a value still above 80 % of its threshold is not clear.
Each event has a reason: first, changed, resolved, corrected, retracted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stream.detect.judge import causes
from stream.detect.judge.enough import budget, sizing
from stream.detect.judge.findings import BREACH, OK, Finding, Reading
from stream.detect.judge.gather import Window
from stream.detect.judge.summaries import digest, tidy
from stream.detect.specs import ModelSpec
from stream.detect.states import Stream

CLEAR = 0.8  # of the threshold
EVENT_TYPE = "driftline.alert.v1"


@dataclass(slots=True)
class _Alert:
    """The life of one alert."""

    breaches: int = 0  # in a row
    clears: int = 0  # in a row
    is_firing: bool = False
    since: Window | None = None
    named: set[str] = field(default_factory=set)  # values the alert has told of
    sent: dict[Window, str] = field(default_factory=dict)  # last reason told for a window


class AlertBook:
    """The alerts of one stream."""

    def __init__(self, stream: Stream, model: ModelSpec, config_hash: str) -> None:
        self._stream = stream
        self._model = model
        self._config_hash = config_hash
        self._alerts: dict[str, _Alert] = {}

    def observe(self, findings: list[Finding], reading: Reading) -> list[dict[str, Any]]:
        """Alert events that this window, or this revision of it, brings about."""
        events = []
        for finding in findings:
            fingerprint = self._fingerprint(finding)
            alert = self._alerts.get(fingerprint)
            if alert is None:
                if finding.verdict != BREACH:
                    continue
                alert = self._alerts[fingerprint] = _Alert()
            step = self._revise if reading.due.revision else self._advance
            reason = step(alert, finding, reading)
            if reason:
                alert.sent[reading.due.window] = reason
                events.append(self._event(fingerprint, alert, reason, finding, reading))
        return events

    def firing(self) -> list[str]:
        """Fingerprints of the alerts that fire now."""
        return [fingerprint for fingerprint, alert in self._alerts.items() if alert.is_firing]

    def _fingerprint(self, finding: Finding) -> str:
        # The rule's reference, not the one it found: that may come and go with publications.
        rule = finding.rule
        return digest(*self._stream, rule.name, finding.feature or "", rule.reference or "")

    def _advance(self, alert: _Alert, finding: Finding, reading: Reading) -> str | None:
        """The life cycle's next step; the reason to tell of it, if there is one."""
        if finding.verdict == BREACH:
            # A wide window stands for as many as have to agree.
            stands_for = finding.rule.hold if finding.windows > 1 else 1
            alert.breaches, alert.clears = alert.breaches + stands_for, 0
            return self._breach(alert, finding, reading)
        if finding.verdict != OK:
            # Too small to end an alert, but it did not agree with the window before.
            if finding.is_small and not alert.is_firing:
                alert.breaches = 0
            return None
        if alert.is_firing and not _is_clear(finding):
            alert.clears = 0
            return None
        alert.breaches, alert.clears = 0, alert.clears + 1
        if not alert.is_firing or alert.clears < finding.rule.keep_firing:
            return None
        alert.is_firing = False
        alert.named.clear()
        return "resolved"

    def _breach(self, alert: _Alert, finding: Finding, reading: Reading) -> str | None:
        new = set(causes.unseen_values(finding, reading)) if _names_values(finding) else set()
        is_first = not alert.is_firing and alert.breaches >= finding.rule.hold
        is_changed = alert.is_firing and not new <= alert.named
        alert.named |= new if is_first or is_changed else set()
        if is_first:
            alert.is_firing, alert.since = True, reading.due.window
            return "first"
        return "changed" if is_changed else None

    def _revise(self, alert: _Alert, finding: Finding, reading: Reading) -> str | None:
        """Late data changed a window that was judged before."""
        window = reading.due.window
        told = alert.sent.get(window)
        if finding.verdict == BREACH:
            if told in ("first", "changed", "corrected"):
                return "corrected"
            if not alert.is_firing and finding.rule.hold == 1:
                alert.is_firing, alert.since, alert.clears = True, window, 0
                return "corrected"
            return None
        if told not in ("first", "changed", "corrected") or finding.is_small:
            return None
        if alert.since == window:
            alert.is_firing, alert.breaches = False, 0
        return "retracted"

    def _event(
        self, fingerprint: str, alert: _Alert, reason: str, finding: Finding, reading: Reading
    ) -> dict[str, Any]:
        """A CloudEvents 1.0 event; its id is made of event-time data alone."""
        window, rule, summary = reading.due.window, finding.rule, reading.summary
        stream = self._stream
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
                "state": "firing" if alert.is_firing else "resolved",
                "reason": reason,
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
                "config_hash": self._config_hash,
                "source_offsets": summary["source_offsets"],
            },
        }
        return tidy(event)  # type: ignore[no-any-return]


def _is_clear(finding: Finding) -> bool:
    """Whether the value is well within its bound, or between both if there are two."""
    rule = finding.rule
    if rule.below is not None:
        return rule.above is not None or finding.value * CLEAR >= rule.below
    if finding.clear is not None:
        return not finding.value > finding.clear
    noise = finding.null_expectation or 0.0  # in small windows most of the value, and no drift
    bound = noise + CLEAR * (abs(finding.threshold) - noise)
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
